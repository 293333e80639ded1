/* SPDX-License-Identifier: Apache-2.0 */
/* Constants and structures of clone(2), wait(2), prctl(2), sched(7), getrusage(2), as amd64 Linux has them. */
#ifndef SENTRY_ABI_PROCESS_H
#define SENTRY_ABI_PROCESS_H

#include "sentry/abi/fs.h" /* struct linux_timeval */

#define LINUX_TASK_SIZE_MAX 0x7ffffffff000ULL

#define LINUX_CSIGNAL 0xffULL
#define LINUX_CLONE_NEWTIME 0x80ULL /* clone3 only: CSIGNAL's place in clone */
#define LINUX_CLONE_VM 0x100ULL
#define LINUX_CLONE_FS 0x200ULL
#define LINUX_CLONE_FILES 0x400ULL
#define LINUX_CLONE_SIGHAND 0x800ULL
#define LINUX_CLONE_PIDFD 0x1000ULL
#define LINUX_CLONE_PTRACE 0x2000ULL
#define LINUX_CLONE_VFORK 0x4000ULL
#define LINUX_CLONE_PARENT 0x8000ULL
#define LINUX_CLONE_THREAD 0x10000ULL
#define LINUX_CLONE_NEWNS 0x20000ULL
#define LINUX_CLONE_SYSVSEM 0x40000ULL
#define LINUX_CLONE_SETTLS 0x80000ULL
#define LINUX_CLONE_PARENT_SETTID 0x100000ULL
#define LINUX_CLONE_CHILD_CLEARTID 0x200000ULL
#define LINUX_CLONE_DETACHED 0x400000ULL
#define LINUX_CLONE_UNTRACED 0x800000ULL
#define LINUX_CLONE_CHILD_SETTID 0x1000000ULL
#define LINUX_CLONE_NEWCGROUP 0x2000000ULL
#define LINUX_CLONE_NEWUTS 0x4000000ULL
#define LINUX_CLONE_NEWIPC 0x8000000ULL
#define LINUX_CLONE_NEWUSER 0x10000000ULL
#define LINUX_CLONE_NEWPID 0x20000000ULL
#define LINUX_CLONE_NEWNET 0x40000000ULL
#define LINUX_CLONE_IO 0x80000000ULL
#define LINUX_CLONE_CLEAR_SIGHAND 0x100000000ULL
#define LINUX_CLONE_INTO_CGROUP 0x200000000ULL
#define LINUX_CLONE_NAMESPACES                                                                                         \
	(LINUX_CLONE_NEWNS | LINUX_CLONE_NEWCGROUP | LINUX_CLONE_NEWUTS | LINUX_CLONE_NEWIPC | LINUX_CLONE_NEWUSER |   \
	 LINUX_CLONE_NEWPID | LINUX_CLONE_NEWNET | LINUX_CLONE_NEWTIME)

struct linux_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	uint64_t set_tid, set_tid_size, cgroup;
};
#define LINUX_CLONE_ARGS_SIZE_VER0 64

#define LINUX_WNOHANG 1
#define LINUX_WUNTRACED 2
#define LINUX_WSTOPPED LINUX_WUNTRACED
#define LINUX_WEXITED 4
#define LINUX_WCONTINUED 8
#define LINUX_WNOWAIT 0x01000000
#define LINUX_WNOTHREAD 0x20000000
#define LINUX_WALL 0x40000000
#define LINUX_WCLONE ((int)0x80000000U)
#define LINUX_P_ALL 0
#define LINUX_P_PID 1
#define LINUX_P_PGID 2
#define LINUX_P_PIDFD 3

struct linux_rusage {
	struct linux_timeval utime, stime;
	int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw,
		nivcsw;
};
_Static_assert(sizeof(struct linux_rusage) == 144, "struct rusage");

#define LINUX_SCHED_OTHER 0
#define LINUX_SCHED_FIFO 1
#define LINUX_SCHED_RR 2
#define LINUX_SCHED_BATCH 3
#define LINUX_SCHED_IDLE 5
#define LINUX_SCHED_DEADLINE 6
#define LINUX_SCHED_RESET_ON_FORK 0x40000000

#endif
