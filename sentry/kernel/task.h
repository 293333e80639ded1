/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks and thread groups: what Linux calls threads and processes.
 *
 * A task is one guest thread: a coroutine in the sentry and a host thread in a stub. A thread group is a process. The
 * address space (mm), descriptor table (files), fs_context (cwd, root, umask) and signal handlers are objects of their
 * own, shared as clone(2) asks, so vfork's child shares its parent's mm.
 *
 *   platform event -> task's coroutine -> task_syscall() -> handler -> task_return() -> platform reply
 *
 * Invariants: a task belongs to exactly one group and is on its list until it is reaped; task->mm is NULL only while
 * it exits; only the task's own coroutine changes its registers.
 */
#ifndef SENTRY_KERNEL_TASK_H
#define SENTRY_KERNEL_TASK_H

#include "sentry/base/list.h"
#include "sentry/base/ref.h"
#include "sentry/base/types.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/waitq.h"

struct coroutine;
struct file;
struct files;
struct fs_context;
struct container;
struct mm;
struct pid_space;
struct platform_thread;
struct posix_timers;
struct regs;
struct seccomp_filter;
struct session;
struct tty;

#define LINUX_RLIM_NLIMITS 16
#define LINUX_RLIM_INFINITY UINT64_MAX
enum {
	LINUX_RLIMIT_CPU,
	LINUX_RLIMIT_FSIZE,
	LINUX_RLIMIT_DATA,
	LINUX_RLIMIT_STACK,
	LINUX_RLIMIT_CORE,
	LINUX_RLIMIT_RSS,
	LINUX_RLIMIT_NPROC,
	LINUX_RLIMIT_NOFILE,
	LINUX_RLIMIT_MEMLOCK,
	LINUX_RLIMIT_AS,
	LINUX_RLIMIT_LOCKS,
	LINUX_RLIMIT_SIGPENDING,
	LINUX_RLIMIT_MSGQUEUE,
	LINUX_RLIMIT_NICE,
	LINUX_RLIMIT_RTPRIO,
	LINUX_RLIMIT_RTTIME,
};
struct linux_rlimit {
	uint64_t cur, max;
};

/* Resources used, getrusage(2). Times in ns. */
struct rusage_account {
	uint64_t utime, stime;
	uint64_t minflt, majflt, nvcsw, nivcsw;
	uint64_t rchar, wchar, syscr, syscw; /* read(2), write(2) and their relatives: bytes and calls */
	uint64_t maxrss_kib;
};

struct process_group {
	struct ref ref;
	int32_t pgid;
	struct session *session; /* set once */
	struct list groups;      /* thread_group.pgrp_link; zombies too until they are reaped */
};

struct session {
	struct ref ref;
	int32_t sid;
	struct pid_space *pids;           /* whose number sid is, and those of its process groups */
	struct thread_group *leader;      /* borrowed; NULL once it has exited */
	struct tty *tty;                  /* controlling terminal or NULL */
	struct process_group *foreground; /* tty's; borrowed, cleared when that group dies */
};

enum group_stop { GROUP_RUNNING, GROUP_STOPPED };

struct thread_group {
	struct ref ref;
	int32_t pid; /* the leader's tid */
	struct pid_space *pids;      /* whose numbers it and its threads have; set once */
	struct container *container; /* set once */
	struct task *leader;
	struct list threads;         /* task.group_link */
	uint32_t nthreads;           /* live ones */
	struct thread_group *parent; /* borrowed, never a zombie; NULL for init and what came from outside */
	int32_t parent_tid;          /* the parent's thread that counts as ours: pdeath_signal, __WNOTHREAD */
	struct list children;        /* thread_group.sibling */
	struct list sibling;
	struct list all_link;       /* kernel.groups */
	struct process_group *pgrp; /* counted */
	struct list pgrp_link;
	struct waitq child_waitq; /* wait4 sleepers of this group; woken by children */
	struct waitq exit_waitq;  /* pidfd poll; woken with POLLIN when the group is a zombie */
	int exit_signal;          /* to the parent; 0: none */
	bool is_subreaper;
	bool unkillable; /* init: signals without a handler are dropped, SIGKILL too */

	/* end */
	bool exiting;                                  /* exit_group or a fatal signal: every thread must go */
	bool zombie;                                   /* no thread left, not yet reaped */
	int exit_status;                               /* wait(2) encoding; set once exiting or zombie */
	struct task *exec_task;                        /* waits in execve for the other threads to go; NULL otherwise */
	uint32_t outside_id; /* of the process from outside that it comes from (kernel/outside.c); 0: init's own */
	void (*exit_hook)(struct thread_group *group); /* parent NULL: called once it is a zombie; it is then reaped */

	/* job control */
	enum group_stop stop;       /* STOPPED once every thread sleeps in task_return */
	uint32_t stop_count;        /* threads that a stop in progress still waits for */
	int stop_signal;            /* while stopped */
	bool stop_reported_pending; /* a wait(WUNTRACED) may still report the stop */
	bool continued_pending;     /* a wait(WCONTINUED) may still report it */
	bool execed;                /* setpgid by the parent gives EACCES */

	struct sigqueue shared_pending;
	struct task
		*signal_target; /* the thread that got the last group signal: the next search starts there; borrowed */
	struct list forks;      /* struct fork_in_progress: what is sent to many meanwhile reaches the child too */
	struct linux_rlimit rlimits[LINUX_RLIM_NLIMITS];
	struct posix_timers *timers;          /* itimers and timer_create; NULL until used */
	struct rusage_account dead_threads;   /* of threads that ended */
	struct rusage_account children_usage; /* of reaped children */
	uint64_t start_ns;                    /* loop clock */
	int oom_score_adj, oom_score_adj_min; /* min: the least without CAP_SYS_RESOURCE */
	bool dumpable;
	bool thp_disabled;   /* PR_SET_THP_DISABLE: remembered only */
	uint32_t membarrier; /* membarrier(2): commands registered for */
};

/* A blocked call that restart_syscall(2) goes on with (nanosleep, futex, poll with a timeout). */
struct restart_block {
	int64_t (*fn)(struct task *task); /* NULL: none */
	uint64_t data[6];
};

struct task {
	struct ref ref;
	int32_t tid;
	struct thread_group *group; /* counted */
	struct list group_link;
	struct list all_link; /* tid table */
	char comm[16];        /* NUL-terminated */

	/* shared or own, counted; NULL once the task is exiting */
	struct mm *mm;
	struct mm_inflight *mm_inflight; /* mm/inflight.c: native memory calls on their way; NULL if none */
	struct files *files;
	struct fs_context *fs;
	struct sighand *sighand;
	struct cred *cred;

	/* scheduling: see kernel/sched.c */
	struct coroutine *co;
	void (*boot)(struct task *task); /* kernel/sched.c: runs before anything else; NULL for cloned tasks */
	struct list run_link;
	bool blocked; /* in task_block */
	bool woken;   /* task_wake came */
	enum wait_mode block_mode;
	bool exiting; /* runs task_exit: no more signals, blocks are killable no more */
	bool killed;  /* must go alone (another thread's execve); see task_dying */
	bool dead;    /* ended; a leader stays in the tables until its group is reaped */

	/* platform */
	struct platform_thread *pt; /* NULL before start and after the host thread is gone */

	/* the call being served */
	int syscall_nr; /* -1 outside a call */
	uint64_t syscall_args[6];
	uint64_t syscall_ip; /* behind the instruction */
	uint64_t syscall_gen; /* mm->vma_gen when it came: see usercopy.c */
	struct restart_block restart;

	/* signals */
	bool sigpending;   /* what signal_pending() says: kept by signal_recalc, may be true too often */
	bool stop_pending; /* a group stop waits for this thread */
	bool stopped;      /* sleeps in task_return until SIGCONT or death */
	struct sigqueue pending;
	uint64_t sigmask;       /* blocked */
	uint64_t saved_sigmask; /* restored by task_return when restore_sigmask */
	bool restore_sigmask;
	bool barrier_pending;  /* another task waits for us to come in (membarrier) */
	uint64_t real_sigmask; /* in sigtimedwait: the mask before the waited signals were let through; else 0 */
	struct linux_stack altstack;
	struct waitq signalfd_waitq;                    /* woken when a signal is queued to this task or its group */
	uint64_t fault_addr, fault_trapno, fault_error; /* of the last fault: cr2, trapno, err in the signal frame */

	/* exit */
	int exit_code; /* wait(2) encoding of this thread's end */
	gva_t clear_child_tid;
	gva_t robust_list;
	uint64_t robust_len;
	int pdeath_signal;
	struct platform_loan *loan; /* our thread runs a vfork's child, or has just come back: the platform's */
	struct task *vfork_parent; /* sleeps until we exec or exit; NULL otherwise */

	bool no_new_privs;
	int seccomp_mode;               /* LINUX_SECCOMP_MODE_*: the guest's own filters, kernel/seccomp.c */
	struct seccomp_filter *seccomp; /* counted */
	uint32_t personality;
	uint32_t login_uid, login_session; /* who logged in (/proc/PID/loginuid), UINT32_MAX: nobody; children inherit them */
	int nice;
	uint64_t timer_slack_ns;
	uint64_t affinity; /* CPU mask as the guest set it */
	int sched_policy, sched_priority;
	int ioprio;
	bool sched_reset_on_fork;
	struct rusage_account usage;  /* of host threads that are gone (exec); task_times adds the live one's */
	uint64_t cpu_share, cpu_seen; /* task_times' estimate: our part of the group's time, and that time by then */
	uint64_t start_ns;
};

static inline struct task *task_get(struct task *t)
{
	ref_get(&t->ref);
	return t;
}
void task_put(struct task *t);
static inline struct thread_group *group_get(struct thread_group *g)
{
	ref_get(&g->ref);
	return g;
}
void group_put(struct thread_group *g);

/* The task whose coroutine runs now; NULL in the event loop. */
struct task *task_current(void);

/* ---- pids (kernel/pid.c); borrowed results, NULL if there is none. In the running task's space of numbers ---- */
struct task *task_find(int32_t tid);
struct thread_group *group_find(int32_t pid);
struct process_group *pgrp_find(int32_t pgid);
struct session *session_find(int32_t sid);
/* All thread groups in order of pid, for /proc: the first with a pid >= from, or NULL. */
struct thread_group *group_next(int32_t from);

/* The same in a certain space: for what is remembered beyond a call, and is looked up by whoever comes. */
struct task *task_find_in(struct pid_space *s, int32_t tid);
struct thread_group *group_find_in(struct pid_space *s, int32_t pid);
struct process_group *pgrp_find_in(struct pid_space *s, int32_t pgid);
/* Spaces are made with a container and never freed. NULL if memory is out. */
struct pid_space *pid_space_new(void) must_check;
struct pid_space *pid_space_first(void);
/* The task's; the first one for NULL. */
struct pid_space *pid_space_of(const struct task *task);
int32_t pid_space_last(const struct pid_space *s);
/* The process that takes orphans, as pid 1 does; NULL once it has ended. */
struct thread_group *pid_space_init(const struct pid_space *s);
void pid_space_set_init(struct pid_space *s, struct thread_group *init);

/* Permission: may the task do what needs this capability? */
static inline bool task_capable(const struct task *t, int cap)
{
	return cred_capable(t->cred, cap);
}

/* The whole kernel's state that isn't an object of its own (kernel/task.c). */
struct kernel {
	struct list groups; /* thread_group.all_link */
	struct thread_group *init;
	char hostname[65], domainname[65];
	uint32_t ngroups, ntasks;
	uint32_t max_tasks; /* --pids; 0: no limit */
	int32_t pid_max;    /* pids are below it: /proc/sys/kernel/pid_max */
	uint64_t boot_ns;      /* host monotonic at start: /proc/uptime counts from the host's boot, see time.c */
	uint64_t memory_limit; /* bytes; what /proc/meminfo shows as total */
	uint64_t disk_limit;   /* bytes of file data; UINT64_MAX none */
	uint16_t unprivileged_ports; /* from here on, ports are everybody's */
	uint32_t ncpus;        /* what the guest sees */
	uint32_t oom_kills;    /* processes that ended for the limit on memory */
	uint32_t cpu_permille; /* --cpus * 1000; 0: no limit */
};
extern struct kernel kernel;

/* ---- life (kernel/exit.c, kernel/fork.c, kernel/exec.c) ---- */

/*
 * A new process from outside: the sandbox's first, which becomes init, or one that `exec` brings in (parent NULL). It
 * has a session and process group of its own, default signals, Linux's usual rlimits, no mm and no platform thread yet.
 * Takes the three references, also on failure. NULL if memory or pids are out. The caller starts it (task_start).
 */
struct task *task_new_process(struct cred *cred, struct files *files, struct fs_context *fs) must_check;
/* The same in a container, with a number of `pids`. The first one there is its pid 1. */
struct task *task_new_process_in(struct container *container, struct pid_space *pids, struct cred *cred, struct files *files,
				 struct fs_context *fs) must_check;
/* kernel/sched.c: makes the task's coroutine and lets it run. Its first step for a cloned task is task_return(task, 0,
 * true). The reference that the maker returned is the coroutine's; task_exit_thread drops it: the scheduler must not
 * touch the task after that (the tables have a reference of their own until it is reaped). */
void task_start(struct task *task);
/* kernel/init.c: init has ended with this wait(2) status: the sandbox is over. */
void kernel_shutdown(int wait_status);

/* Ends the calling thread, on its coroutine. status is wait(2)-encoded. */
_Noreturn void task_exit_thread(struct task *task, int status);
/* Marks the whole group as ending with status; every thread notices at its next stop in the sentry. */
void group_exit(struct thread_group *group, int status);
/* True once the task must go (group exit or kill): handlers return, task_return() ends it. */
static inline bool task_dying(const struct task *task)
{
	return task->group->exiting || task->killed;
}
/* A signal that would end a sleep or be delivered at return is pending for the task, or it must stop or die. */
static inline bool signal_pending(const struct task *task)
{
	return task->sigpending;
}
/*
 * execve's part: every other thread ends and the caller becomes the leader, with the group's pid as its tid. Sleeps.
 * -LINUX_EAGAIN if the group is ending or another thread is in execve.
 */
int group_kill_other_threads(struct task *task) must_check;
/* execve's part, behind the point of no return: handlers and alternate stack reset, exec'd flags, vfork's parent woken,
 * POSIX timers deleted. Needs the group to be single-threaded. -LINUX_ENOMEM before anything is changed. */
int signals_on_exec(struct task *task) must_check;
/* The child of a vfork no longer uses its parent's memory. signals_on_exec and exit call it. */
void vfork_done(struct task *task);
/* What others wait for in our memory: robust futexes, CLEARTID. Before the task leaves it, by exit or execve. */
void task_leave_memory(struct task *task);
/* Adds the CPU time of the task's host thread to task->usage: before platform->exec_commit, which ends that thread. */
void task_save_times(struct task *task);
/* The same of its times alone, of a task that goes on: what its host process uses from now on may be another's. */
void task_settle_times(struct task *task);

struct clone_args {
	uint64_t flags; /* LINUX_CLONE_* without the exit signal */
	gva_t pidfd, child_tid, parent_tid;
	int exit_signal;
	gva_t stack;     /* top of the new stack; 0: the parent's */
	int32_t set_tid; /* clone3: the wanted number, 0: any */
	uint64_t tls;
};
/* clone(2) and friends. Returns the child's tid or -errno. */
int64_t task_clone(struct task *task, const struct clone_args *args);

/* CPU time in ns: of one task (an estimate if it has siblings), of a whole group with its ended threads. */
void task_times(const struct task *task, uint64_t *utime, uint64_t *stime);
void group_times(const struct thread_group *group, uint64_t *utime, uint64_t *stime);
/* As getrusage(RUSAGE_SELF) has it. */
void group_usage(const struct thread_group *group, struct rusage_account *out);
/* 'R', 'S', 'D', 'T' or 'Z', as /proc/PID/stat. */
char task_state(const struct task *task);
/* True if no member has a parent in another group of the same session: stops by the terminal are then ignored. */
bool pgrp_is_orphaned(const struct process_group *pgrp);
static inline int32_t group_ppid(const struct thread_group *g)
{
	return g->parent != NULL ? g->parent->pid : 0;
}
static inline uint64_t group_rlimit(const struct thread_group *g, int which)
{
	return g->rlimits[which].cur;
}
/* May task look into target (ptrace's rule: same ids, or CAP_SYS_PTRACE)? For /proc/PID and process_vm_readv. */
bool task_may_inspect(const struct task *task, const struct task *target);

/* ---- sessions and process groups (kernel/session.c) ---- */
struct process_group *pgrp_get(struct process_group *p);
void pgrp_put(struct process_group *p);
struct session *session_get(struct session *s);
void session_put(struct session *s);

/* ---- pidfds (kernel/pidfd.c) ---- */
/* The group behind a pidfd (borrowed, lives as long as file), or NULL if file isn't one. */
struct thread_group *pidfd_group(struct file *file);
/* Returns a reference to a new description for group. flags: LINUX_O_NONBLOCK. */
struct file *pidfd_new(struct task *task, struct thread_group *group, uint32_t flags) must_check;

/* The one path of a system call: called on the task's coroutine. Returns what goes into RAX. */
int64_t task_syscall(struct task *task, int nr, const uint64_t args[6]);

#endif
