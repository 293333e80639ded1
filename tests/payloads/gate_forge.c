/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread makes calls; another writes kinds, lengths, offsets, states, actions and answers into its box meanwhile, as fast as
 * it can. In a child each, which may end as it likes; nobody else may notice.
 */
#include "gate.h"

PAYLOAD("forge the gate's box while calls are made and served", "--timeout 110s", "exit 0");

static volatile uint64_t victim;

static void *caller(void *arg)
{
	static char buf[70000];
	int fds[2];

	(void)arg;
	if (pipe2(fds, O_NONBLOCK) != 0)
		return NULL;
	victim = own_area();
	for (;;) {
		struct pollfd p = {.fd = fds[0], .events = POLLIN};
		void *m;

		(void)!write(fds[1], buf, 5000);
		(void)!write(fds[1], buf, 50000);
		poll(&p, 1, 0);
		(void)!read(fds[0], buf, sizeof(buf));
		getppid();
		m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(m, 8192);
	}
}

static void attack(unsigned seed)
{
	static const uint16_t fields[] = {
		offsetof(struct gate_box, state),   offsetof(struct gate_box, nr), /* kind and number of segments with it */
		offsetof(struct gate_box, args),    offsetof(struct gate_box, asked),   offsetof(struct gate_box, segs),
		offsetof(struct gate_box, result),  offsetof(struct gate_box, long_nr), offsetof(struct gate_box, pending),
		offsetof(struct gate_box, outs),    offsetof(struct gate_box, known),   offsetof(struct gate_box, bell),
		offsetof(struct gate_box, errand),  offsetof(struct gate_box, futex_seq),
		offsetof(struct gate_box, carried), offsetof(struct gate_box, broken),  offsetof(struct gate_box, pieces)};
	uint64_t x = seed * 0x9e3779b97f4a7c15UL + 1;
	pthread_t thread;

	alarm(1);
	if (pthread_create(&thread, NULL, caller, NULL) != 0)
		_exit(0);
	while (victim == 0)
		sched_yield();
	for (int i = 0; i < 300000; i++) {
		volatile char *box = (volatile char *)BOX(victim);
		unsigned field;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		field = fields[(x >> 8) % (seed % 3 == 0 ? 2 : sizeof(fields) / sizeof(fields[0]))];
		if (seed % 2 == 0)
			*(volatile uint32_t *)(box + field) = (uint32_t)(x >> 32) & 7;
		else if (field >= offsetof(struct gate_box, segs))
			*(volatile uint64_t *)(box + (field & ~7U) + (x >> 20) % 96 / 8 * 8) = x;
		else
			*(volatile uint32_t *)(box + field) = (uint32_t)(x >> 32) & ((x & 1) ? 7 : ~0U);
	}
	_exit(0);
}

int main(void)
{
	unsigned n = 0;

	warm_up();
	if (own_area() == 0)
		return 0;
	honest_begin();
	/* All at once: one whose shim runs in circles is ended only when it doesn't come in time. */
	for (unsigned seed = 0; seed < 24; seed++) {
		pid_t pid = fork();

		if (pid == 0)
			attack(seed);
		n += pid > 0;
	}
	for (unsigned i = 0; i < n; i++)
		if (wait(NULL) == honest_pid)
			escaped("the honest process was harmed");
	honest_end();
	return 0;
}
