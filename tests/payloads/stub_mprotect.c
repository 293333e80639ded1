/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub may change protections below its region without asking, and a guest can jump to the instruction that does. What it
 * maps of a file that it may only read must therefore be nothing that can be made writable: small and large files in memory, a
 * file of the host, memory shared by another that gave it out for reading only.
 */
#include "payload.h"

PAYLOAD("make a shared read-only mapping writable by the stub's mprotect", "--timeout 100s", "exit 0");

#include <setjmp.h>

#define LARGE (1 << 20)

static sigjmp_buf back;
static char altstack[65536];

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static void attack(const char *path, size_t len, unsigned long to)
{
	struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER};
	stack_t ss = {.ss_sp = altstack, .ss_size = sizeof(altstack)};
	char *map;
	int fd;

	setup(setgid(1000));
	setup(setuid(1000));
	fd = (int)setup(open(path, O_RDONLY));
	map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		_exit(99);
	(void)*(volatile char *)map;
	sigaltstack(&ss, NULL);
	for (int sig = SIGILL; sig <= SIGSEGV; sig++)
		if (sig != SIGKILL)
			sigaction(sig, &sa, NULL);
	alarm(2);
	if (sigsetjmp(back, 1) == 0) {
		/* No stack: whatever comes behind the call faults, and control is ours again. */
		__asm__ volatile("mov $8, %%rsp\n\tjmp *%%rcx"
				 :
				 : "c"(to), "a"((long)SYS_mprotect), "D"(map), "S"(len), "d"(3L)
				 : "memory", "r11");
	}
	if (sigsetjmp(back, 1) == 0) {
		for (size_t i = 0; i < len; i += 4096)
			((volatile char *)map)[i] = 'E';
		msync(map, len, MS_SYNC);
	}
	_exit(0);
}

static void make(const char *path, size_t len)
{
	int fd = (int)setup(open(path, O_RDWR | O_CREAT, 0644));
	static char data[4096];

	memset(data, 'o', sizeof(data));
	for (size_t i = 0; i < len; i += sizeof(data))
		setup(write(fd, data, sizeof(data)));
	close(fd);
}

static void unchanged(const char *path, size_t len, char was)
{
	int fd = (int)setup(open(path, O_RDONLY));
	char c;

	for (size_t i = 0; i < len; i += 4096) {
		setup(pread(fd, &c, 1, (off_t)i));
		if (c == 'E' && was != 'E')
			escaped("%s was written", path);
	}
	close(fd);
}

int main(void)
{
	static const struct {
		const char *path;
		size_t len;
	} files[] = {{"/tmp/small", 4096}, {"/tmp/large", LARGE}, {"/dev/shm/shared", 65536}, {"/etc/passwd", 4096}};
	const volatile unsigned char *text = (const volatile unsigned char *)STUB_BASE;
	char was;
	int fd;

	for (int i = 0; i < 3; i++)
		make(files[i].path, files[i].len);
	fd = (int)setup(open(files[3].path, O_RDONLY));
	setup(read(fd, &was, 1));
	/* All four at once: one that stays in the shim has ten seconds. */
	for (unsigned at = 0; at + 1 < STUB_SIZE; at++) {
		if (text[at] != 0x0f || text[at + 1] != 0x05)
			continue;
		for (int i = 0; i < 4; i++)
			if (setup(fork()) == 0)
				attack(files[i].path, files[i].len, STUB_BASE + at);
		for (int i = 0; i < 4; i++)
			setup(wait(NULL));
		for (int i = 0; i < 4; i++)
			unchanged(files[i].path, files[i].len, i == 3 ? was : 'o');
	}
	return 0;
}
