/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub's own system call instructions with what a stub may be told to do, or may tell: moves that would grow a mapping,
 * files, clones, forged doorbells. Where an instruction lies is no proof of who asks. In a child each, which may end as it
 * likes; whoever gets something by it says so.
 */
#include "payload.h"

PAYLOAD("make the stub's calls from the stub's own instructions", "--timeout 110s", "exit 0");

#include <linux/futex.h>
#include <sys/time.h>

#define DOORBELL SYS_getppid, {0x5e17c0de
#define AREA 0x7ffe00100000UL

static char page[8192] __attribute__((aligned(4096)));

static const struct {
	long nr;
	unsigned long a[6];
} calls[] = {
	{SYS_mremap, {(unsigned long)page, 0, 4096, 1}},            /* a second view */
	{SYS_mremap, {(unsigned long)page, 4096, 1UL << 30, 1}},    /* growing */
	{SYS_mremap, {(unsigned long)page, 4096, 4096, 3, AREA}},   /* into the stub's areas */
	{SYS_remap_file_pages, {(unsigned long)page, 4096, 0, 1, 0}},
	{SYS_mmap, {0, 1UL << 33, 3, 0x22, -1UL, 0}},               /* more than the filter looks at */
	{SYS_mmap, {STUB_BASE, 65536, 7, 0x32, -1UL, 0}},           /* over the stub */
	{SYS_mmap, {0x10000, 4096, 3, 0x8032, -1UL, 0}},            /* populated */
	{SYS_mmap, {0x10000, 4096, 3, 0x40032, -1UL, 0}},           /* of huge pages */
	{SYS_mmap, {0x10000, 4096, 3, 0x2032, -1UL, 0}},            /* locked */
	{SYS_mmap, {0x10000, 4096, 3, 0x31, -1UL, 0}},              /* shared */
	{SYS_mmap, {0x10000, 4096, 1, 0x12, 0, 0}},                 /* of a descriptor */
	{SYS_munmap, {0, 0x7fffffffffffUL}},
	{SYS_munmap, {STUB_BASE, 4096}},
	{SYS_mprotect, {STUB_BASE, 4096, 7}},
	{SYS_mprotect, {AREA, 0x20000, 7}},
	{SYS_madvise, {AREA, 0x20000, 4}},                          /* DONTNEED in the stub region */
	{SYS_madvise, {(unsigned long)page, 4096, 100}},            /* HWPOISON */
	{SYS_madvise, {(unsigned long)page, 4096, 23}},             /* POPULATE_WRITE */
	{SYS_prctl, {1, 0}},                                        /* outlive the sentry */
	{SYS_prctl, {1, 9}},
	{SYS_prctl, {4, 0}},                                        /* not dumpable */
	{SYS_clone, {0x8011, 0}},
	{SYS_clone, {0x11, 0}},
	{SYS_clone, {0x10000000 | 17, 0}},                          /* a user namespace */
	{SYS_clone3, {(unsigned long)page, 88}},
	{SYS_execve, {(unsigned long)"/bin/sh", 0, 0}},
	{SYS_openat, {-100UL, (unsigned long)"/etc/shadow", 0}},
	{SYS_close, {0}},
	{SYS_close, {48}},                                        /* a number that may be closed unasked */
	{SYS_close, {1007}},
	{SYS_close, {1024}},
	{SYS_mmap, {0x10000, 4096, 1, 0x11, 48, 0}},              /* shared, of such a one */
	{SYS_mmap, {0x10000, 4096, 1, 0x12, 48, 0}},
	{SYS_close_range, {0, 1000, 0}},
	{SYS_exit, {0}},
	{SYS_exit_group, {3}},
	{SYS_rt_sigreturn, {0}},
	{SYS_seccomp, {1, 8, (unsigned long)page}},
	{SYS_futex, {AREA, FUTEX_WAIT, 77}},
	{SYS_futex, {AREA, FUTEX_WAKE_OP, 1, 1, AREA, 0}},
	{SYS_futex, {(unsigned long)page, FUTEX_WAIT, 0}},
	{SYS_futex, {AREA, FUTEX_LOCK_PI, 0}},
	{SYS_process_vm_readv, {1, 0, 0, 0, 0}},
	{SYS_kill, {-1UL, 9}},
	{DOORBELL, 1}},                                             /* the zygote's */
	{DOORBELL, 2, 0}},
	{DOORBELL, 2, 0x123456789abcUL}},                           /* a token */
	{DOORBELL, 3, 0}},
	{DOORBELL, 3, 0x123456789abcUL}},
	{DOORBELL, 4, 1000}},
	{DOORBELL, 5, 1}},
	{DOORBELL, 6, 0}},
	{DOORBELL, 7, 1}},
	{DOORBELL, -1UL, -1UL}},
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void jump(unsigned long to, unsigned which)
{
	const struct itimerval soon = {{0, 0}, {0, 20000}};
	static unsigned long a[7];

	for (int i = 0; i < 6; i++)
		a[i] = calls[which].a[i];
	a[6] = (unsigned long)calls[which].nr;
	setitimer(ITIMER_REAL, &soon, NULL);
	__asm__ volatile("mov 24(%%rbx), %%r10\n\tmov 32(%%rbx), %%r8\n\tmov 40(%%rbx), %%r9\n\tjmp *%%rcx"
			 :
			 : "c"(to), "a"(a[6]), "D"(a[0]), "S"(a[1]), "d"(a[2]), "b"(a)
			 : "memory", "r8", "r9", "r10");
}

int main(void)
{
	const volatile unsigned char *text = (const volatile unsigned char *)STUB_BASE;

	for (unsigned at = 0; at + 1 < STUB_SIZE; at++) {
		if (text[at] != 0x0f || text[at + 1] != 0x05)
			continue;
		for (unsigned i = 0; i < CALLS; i++) {
			pid_t pid = fork();

			if (pid == 0) {
				jump(STUB_BASE + at, i);
				_exit(1);
			}
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
	}
	/* Still here, still served, its memory as it was. */
	memset(page, 1, sizeof(page));
	return getppid() < 0;
}
