/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a file again and again gives a thread a mapping of its contents (sentry/platform/stubs/windows.c). It is looked for where
 * it was after the descriptor is closed, after the rights are given up, after the file was cut, and in a fork's child; and
 * unmapped, written to, and put elsewhere, to see whether the sentry or another process minds.
 */
#include "gate.h"

#include <setjmp.h>

PAYLOAD("keep, share or spoil the mapping that reads go by", "--timeout 60s", "exit 0");

#define SIZE (1UL << 20)

static volatile char *const window = (volatile char *)STUB_WINDOWS;
static sigjmp_buf back;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

/* Does any place of the windows show the secret? */
static int seen(void)
{
	for (volatile unsigned i = 0; i < 8; i++) {
		if (sigsetjmp(back, 1) != 0)
			continue;
		if (memcmp((const char *)STUB_WINDOWS + i * WINDOW_SIZE + 4096, "the secret", 10) == 0)
			return 1;
	}
	return 0;
}

static int secret(const char *name)
{
	static char b[SIZE];
	int fd = setup(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600));

	memset(b, 'x', sizeof(b));
	memcpy(b + 4096, "the secret", 10);
	setup(write(fd, b, sizeof(b)) == SIZE ? 0 : -1);
	return fd;
}

static void read_often(int fd)
{
	static char b[SIZE];

	for (int i = 0; i < 80; i++)
		setup(pread(fd, b, SIZE, 0));
}

int main(void)
{
	struct sigaction a = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
	int status, fd, had;
	pid_t pid;

	setup(sigaction(SIGSEGV, &a, NULL));
	setup(sigaction(SIGBUS, &a, NULL));
	fd = secret("/tmp/one");
	read_often(fd);
	had = seen();
	if (!had && own_area() != 0)
		printf("no window\n"); /* the rest then shows little */
	/* A child has its own right to the file, but not the mapping: it closes what it has, and looks. */
	pid = setup(fork());
	if (pid == 0)
		_exit(seen());
	waitpid(pid, &status, 0);
	if (status != 0)
		escaped("a fork's child sees the window");
	setup(close(fd));
	if (seen())
		escaped("the window outlives its descriptor");
	fd = secret("/tmp/two");
	read_often(fd);
	if (had && !seen())
		printf("no second window\n");
	if (setresgid(1, 1, 1) == 0 && setresuid(65534, 65534, 65534) == 0 && seen())
		escaped("the window outlives the rights it was made with");
	setup(fd = secret("/tmp/three"));
	read_often(fd);
	setup(ftruncate(fd, 0));
	if (seen())
		escaped("the window outlives the contents");
	setup(close(fd));
	setup(fd = secret("/tmp/four"));
	/* Spoiled: reads may fail or lie to this process, and nobody else. */
	for (int how = 0; how < 3; how++) {
		pid = setup(fork());
		if (pid != 0) {
			waitpid(pid, &status, 0);
			continue;
		}
		read_often(fd);
		if (how == 0)
			munmap((void *)window, WINDOW_SIZE);
		else if (how == 1 && mprotect((void *)window, SIZE, PROT_READ | PROT_WRITE) == 0)
			memset((void *)window, 'y', SIZE);
		else if (how == 1 && sigsetjmp(back, 1) == 0)
			*window = 'y';
		else if (how == 2)
			mmap((void *)window, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		read_often(fd);
		_exit(0);
	}
	pid = setup(fork());
	if (pid == 0) {
		static char b[SIZE];

		for (int i = 0; i < 100; i++)
			if (pread(fd, b, SIZE, 0) != SIZE || memcmp(b + 4096, "the secret", 10) != 0)
				_exit(1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (status != 0)
		escaped("another process reads what one has spoiled");
	return 0;
}
