/* SPDX-License-Identifier: Apache-2.0 */
/* Signal numbers and structures as amd64 Linux lays them out (signal(7), sigaction(2), sigaltstack(2)). */
#ifndef SENTRY_ABI_SIGNAL_H
#define SENTRY_ABI_SIGNAL_H

#include <stdint.h>

#define LINUX_NSIG 64
enum {
	LINUX_SIGHUP = 1,
	LINUX_SIGINT,
	LINUX_SIGQUIT,
	LINUX_SIGILL,
	LINUX_SIGTRAP,
	LINUX_SIGABRT,
	LINUX_SIGBUS,
	LINUX_SIGFPE,
	LINUX_SIGKILL,
	LINUX_SIGUSR1,
	LINUX_SIGSEGV,
	LINUX_SIGUSR2,
	LINUX_SIGPIPE,
	LINUX_SIGALRM,
	LINUX_SIGTERM,
	LINUX_SIGSTKFLT,
	LINUX_SIGCHLD,
	LINUX_SIGCONT,
	LINUX_SIGSTOP,
	LINUX_SIGTSTP,
	LINUX_SIGTTIN,
	LINUX_SIGTTOU,
	LINUX_SIGURG,
	LINUX_SIGXCPU,
	LINUX_SIGXFSZ,
	LINUX_SIGVTALRM,
	LINUX_SIGPROF,
	LINUX_SIGWINCH,
	LINUX_SIGIO,
	LINUX_SIGPWR,
	LINUX_SIGSYS,
	LINUX_SIGRTMIN = 32,
};
#define LINUX_SIGMASK(sig) (1ULL << ((sig)-1))

#define LINUX_SIG_DFL 0
#define LINUX_SIG_IGN 1

#define LINUX_SA_NOCLDSTOP 0x00000001U
#define LINUX_SA_NOCLDWAIT 0x00000002U
#define LINUX_SA_SIGINFO 0x00000004U
#define LINUX_SA_EXPOSE_TAGBITS 0x00000800U
#define LINUX_SA_RESTORER 0x04000000U
#define LINUX_SA_ONSTACK 0x08000000U
#define LINUX_SA_RESTART 0x10000000U
#define LINUX_SA_NODEFER 0x40000000U
#define LINUX_SA_RESETHAND 0x80000000U

struct linux_sigaction {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

#define LINUX_SS_ONSTACK 1
#define LINUX_SS_DISABLE 2
#define LINUX_SS_AUTODISARM (1U << 31)
#define LINUX_MINSIGSTKSZ 2048
struct linux_stack {
	uint64_t sp;
	int32_t flags;
	int32_t pad;
	uint64_t size;
};

#define LINUX_SI_USER 0
#define LINUX_SI_KERNEL 0x80
#define LINUX_SI_QUEUE -1
#define LINUX_SI_TIMER -2
#define LINUX_SI_MESGQ -3
#define LINUX_SI_ASYNCIO -4
#define LINUX_SI_SIGIO -5
#define LINUX_SI_TKILL -6
#define LINUX_TRAP_TRACE 2
#define LINUX_SEGV_MAPERR 1
#define LINUX_SEGV_ACCERR 2
#define LINUX_BUS_ADRALN 1
#define LINUX_BUS_ADRERR 2
#define LINUX_CLD_EXITED 1
#define LINUX_CLD_KILLED 2
#define LINUX_CLD_DUMPED 3
#define LINUX_CLD_TRAPPED 4
#define LINUX_CLD_STOPPED 5
#define LINUX_CLD_CONTINUED 6

/* 128 bytes. */
struct linux_siginfo {
	int32_t signo, errno_, code, pad0;
	union {
		struct {
			int32_t pid;
			uint32_t uid;
			uint64_t value; /* rt: sigval */
		} kill;
		struct {
			int32_t timerid, overrun;
			uint64_t value;
		} timer;
		struct {
			int32_t pid;
			uint32_t uid;
			int32_t status, pad;
			int64_t utime, stime;
		} child;
		struct {
			uint64_t addr;
			int16_t addr_lsb, pad[3];
		} fault;
		struct {
			int64_t band;
			int32_t fd;
		} poll;
		struct {
			uint64_t call_addr;
			int32_t syscall;
			uint32_t arch;
		} sys;
		uint8_t bytes[112];
	};
};
_Static_assert(sizeof(struct linux_siginfo) == 128, "siginfo_t is 128 bytes");

#endif
