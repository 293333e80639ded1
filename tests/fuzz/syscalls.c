/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls with hostile arguments over hostile memory, through the one path they all take: task_syscall() on a
 * task's coroutine. The process may fork, exec, signal itself, sleep; a run ends when all of its tasks are gone
 * (world.c sees to it, and that they can be killed).
 *
 * Input: who the process is, then calls, each a number, and arguments that are mostly small (descriptors, flags), a
 * pointer to one of the window's slots, or a number at which things go wrong. All processes of a run take their calls
 * from the same input. A number 0xf0 or above writes bytes into the window instead.
 *
 * The window's slots hold at first what most calls want to see: paths, iovecs, addresses, times, signal sets, a script.
 */
#include "tests/fuzz/fuzz.h"

#include "sentry/abi/elf.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/dispatch.h"

#define SLOT 256U
#define SLOTS (GUEST_WINDOW_SIZE / SLOT)
#define CALLS 48U

static struct fuzz_input input;
static uint8_t template[GUEST_WINDOW_SIZE];
static unsigned calls;

static uint64_t slot(unsigned n)
{
	return WINDOW + (uint64_t)n * SLOT;
}

static void put(unsigned n, const void *data, size_t len)
{
	memcpy(template + n * SLOT, data, len);
}

static void make_template(void)
{
	static const char *const paths[] = {"/",
					    "/a",
					    "/b",
					    "/d",
					    "/d/e",
					    "a",
					    "/proc/self/fd/3",
					    "/dev/null",
					    "/proc/self/maps",
					    "/dev/zero",
					    "/tmp/x",
					    "..",
					    "/dev/ptmx",
					    "/proc/self/mem",
					    "/bin/x",
					    "",
					    "/dev/shm/s",
					    "user.x",
					    "/bin/script",
					    "/proc/1/status",
					    "/dev/pts/0",
					    "/proc/self/ns/net",
					    "tmpfs",
					    "/q"};
	uint64_t iov[8] = {slot(40), 64, slot(41), 200, slot(60) + 100, 5000, 0x10, 8};
	uint64_t msg[7] = {slot(26), 16, slot(24), 3, slot(32), 64, 0};
	uint64_t time[4] = {0, 1000, 0, 2000};
	uint64_t action[4] = {0x401000, 0x04000000, 0x402000, 0};
	uint64_t argv[4] = {slot(14), slot(1), 0, 0};
	uint64_t clone[11] = {0, slot(50), slot(51), slot(52), 17, slot(60), 0x1000, 0, 0, 0, 0};
	uint64_t sigevent[2] = {0, 14UL};
	uint8_t in4[16] = {2, 0, 0, 80, 127, 0, 0, 1}, un[110] = {1, 0, '/', 's'};
	uint64_t cmsg[3] = {20, 1 | 1UL << 32, 3};
	uint32_t pollfds[8] = {3, 1, 4, 4, 5, 0x2005, 0, 1};
	uint8_t in6[28] = {10, 0, 0, 81, [23] = 1};
	uint64_t sembuf[2] = {0x0000ffff00000000UL | 1, 0};
	uint64_t ones[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
	uint32_t bpf[8] = {0x20, 0, 0x15 | 1U << 16, 39, 6, 0x7fff0000, 6, 0x50000};
	uint64_t fprog[2] = {4, slot(47)};
	uint64_t how[3] = {0x42, 0644, 0};
	uint64_t robust[3] = {slot(49), 0, 0};
	uint64_t limits[2] = {16, 1 << 20};

	for (unsigned i = 0; i < ARRAY_LEN(paths); i++)
		put(i, paths[i], strlen(paths[i]) + 1);
	put(24, iov, sizeof(iov));
	put(25, msg, sizeof(msg));
	put(26, in4, sizeof(in4));
	put(27, un, sizeof(un));
	put(28, time, sizeof(time));
	put(29, action, sizeof(action));
	put(30, argv, sizeof(argv));
	put(31, clone, sizeof(clone));
	put(32, cmsg, sizeof(cmsg));
	put(33, pollfds, sizeof(pollfds));
	put(34, in6, sizeof(in6));
	put(35, sembuf, sizeof(sembuf));
	put(36, sigevent, sizeof(sigevent));
	put(37, ones, sizeof(ones));
	put(38, how, sizeof(how));
	put(39, limits, sizeof(limits));
	put(46, fprog, sizeof(fprog));
	put(47, bpf, sizeof(bpf));
	put(49, robust, sizeof(robust));
}

/* Something to execute. */
static void write_programs(void)
{
	struct {
		struct linux_ehdr eh;
		struct linux_phdr ph;
		uint8_t code[64];
	} f = {0};

	memcpy(f.eh.ident, "\177ELF\2\1\1", 7);
	f.eh.type = LINUX_ET_EXEC;
	f.eh.machine = LINUX_EM_X86_64;
	f.eh.phentsize = sizeof(f.ph);
	f.eh.phnum = 1;
	f.eh.phoff = sizeof(f.eh);
	f.ph = (struct linux_phdr){.type = LINUX_PT_LOAD,
				   .flags = 5,
				   .vaddr = 0x400000,
				   .filesz = sizeof(f),
				   .memsz = sizeof(f),
				   .align = 0x1000};
	world_write_file("/bin/x", &f, sizeof(f), 0755);
	world_write_file("/bin/script", "#!/bin/x arg\n", 13, 0755);
}

static uint64_t argument(void)
{
	static const uint64_t odd[] = {0,
				       UINT64_MAX,
				       (uint64_t)-100,
				       0x7fffffff,
				       0x80000000,
				       UINT32_MAX,
				       INT64_MAX,
				       1UL << 63,
				       4096,
				       0x1000,
				       0x10000,
				       1UL << 47,
				       WINDOW,
				       WINDOW - 1,
				       WINDOW + GUEST_WINDOW_SIZE - 1,
				       WINDOW + GUEST_WINDOW_SIZE,
				       0x7fff,
				       0x8000,
				       0x40000,
				       0x80000,
				       0x42,
				       0x241,
				       0x800,
				       0x80800,
				       0x101,
				       17,
				       0x11,
				       0x50f00,
				       0x4111,
				       0x3d0f00,
				       1000,
				       65536,
				       1 << 20,
				       8,
				       128,
				       0x5401,
				       0x5421,
				       0x541b,
				       0x80045430,
				       0x10000000,
				       0x22,
				       0x32,
				       0xffff,
				       0x7ffe00000000UL,
				       GiB,
				       511,
				       0x1ff};
	uint8_t b = fuzz_u8(&input);

	if (b < 0x70)
		return (uint64_t)(int64_t)(b - 2);
	if (b < 0xb8)
		return slot((b - 0x70U) % SLOTS);
	if (b < 0xb8 + ARRAY_LEN(odd))
		return odd[b - 0xb8U];
	switch (b) {
	case 0xfb:
		return slot(fuzz_u8(&input) % SLOTS) + fuzz_u8(&input);
	case 0xfc:
		return 1UL << (fuzz_u8(&input) & 63);
	case 0xfd:
		return fuzz_u16(&input);
	case 0xfe:
		return fuzz_u32(&input);
	default:
		return fuzz_u64(&input);
	}
}

static void poke(void)
{
	uint16_t at = fuzz_u16(&input) % GUEST_WINDOW_SIZE;
	size_t n = MIN((size_t)fuzz_u8(&input) % 64 + 1, GUEST_WINDOW_SIZE - at);

	fuzz_bytes(&input, window + at, n);
}

static bool next_call(struct task *task, int *nr, uint64_t args[6])
{
	uint8_t a = 0, b = 0;

	(void)task;
	while (fuzz_more(&input) && (a = fuzz_u8(&input)) >= 0xf0)
		poke();
	if (!fuzz_more(&input) || calls++ >= CALLS) {
		*nr = 231; /* exit_group */
		args[0] = 0;
		return calls < 4 * CALLS;
	}
	b = fuzz_u8(&input);
	*nr = (int)(a | (b & 1U) << 8);
	if (*nr >= 300 && *nr < 400)
		*nr -= 100; /* there are none: spread the others */
	for (unsigned i = 0; i < 6; i++)
		args[i] = i < (b >> 1) % 7 ? argument() : 0;
	return true;
}

static void init(void)
{
	world_init(true);
	make_template();
	world_keep("/bin");
	write_programs();
}

static void run(const uint8_t *data, size_t size)
{
	input = (struct fuzz_input){data, data + size};
	calls = 0;
	memcpy(window, template, sizeof(window));
	world_next_call = next_call;
	world_run(fuzz_u8(&input) & 1);
	world_clean();
}

const struct fuzz_target fuzz_syscalls = {.name = "syscalls", .init = init, .run = run};
