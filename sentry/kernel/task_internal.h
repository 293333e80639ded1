/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the process model tell each other and nobody else. */
#ifndef SENTRY_KERNEL_TASK_INTERNAL_H
#define SENTRY_KERNEL_TASK_INTERNAL_H

#include "sentry/kernel/task.h"

struct posix_timer;

/* ---- pid.c: numbers, and what they name ---- */

enum pid_type { PID_TASK, PID_GROUP, PID_PGRP, PID_SESSION, PID_TYPES };

/* Reserves a free number that names nothing yet; *nr is set. -LINUX_EAGAIN or -LINUX_ENOMEM. */
int pid_alloc(struct pid_space *s, int32_t *nr) must_check;
/* The same for a wanted number (clone3's set_tid): -LINUX_EEXIST, -LINUX_EINVAL. */
int pid_alloc_at(struct pid_space *s, int32_t nr) must_check;
/* Gives back a number if it names nothing; harmless if it is free. */
void pid_free(struct pid_space *s, int32_t nr);
/* Makes a reserved or used number name obj, too. */
void pid_attach(struct pid_space *s, int32_t nr, enum pid_type type, void *obj);
/* The number no longer names an object of that type; it is free again when it names nothing. */
void pid_detach(struct pid_space *s, int32_t nr, enum pid_type type);

/* ---- task.c ---- */

/* An empty task and group: lists and queues initialised, one reference, no tid. NULL if memory is out. */
struct task *task_alloc(void) must_check;
struct thread_group *group_alloc(void) must_check;
/* Puts a complete task with a tid on its group's list and into the tables; counts it. */
void task_link(struct task *task);
/* The first thread of the group (borrowed) that has not ended, or NULL. */
struct task *group_any_thread(const struct thread_group *group);
/* Its memory (borrowed), whichever of its threads are left; NULL if all have ended. */
struct mm *group_mm(const struct thread_group *group);
/* Before a new thread is linked: its CPU time starts at 0. */
void task_times_begin(struct task *task, struct task *creator);
void usage_add(struct rusage_account *to, const struct rusage_account *from);

/* ---- session.c ---- */

/* Both return a reference; the number is attached. NULL if memory is out. */
struct session *session_new(int32_t sid, struct thread_group *leader) must_check; /* in the leader's space */
struct process_group *pgrp_new(int32_t pgid, struct session *session) must_check;
/* Moves a group to pgrp (borrowed), which counts it. */
void group_set_pgrp(struct thread_group *group, struct process_group *pgrp);
/* SIGHUP and SIGCONT to group's process group if the loss of this link (to parent) orphans it while it has stopped
 * members. parent NULL: group itself is ending; else group is a child that loses its parent. */
void pgrp_check_orphaned(struct thread_group *group, struct thread_group *parent);
/* The session's leader is ending: its terminal is given up. */
void session_leader_exit(struct session *session);
int session_create(struct task *task) must_check;
int group_setpgid(struct task *task, int32_t pid, int32_t pgid) must_check;

/* ---- exit.c ---- */

/* Removes a zombie that was waited for, or that nobody waits for. Drops the table's reference. */
void group_reap(struct thread_group *group);
/* Tells the parent that group ended. True if nobody will wait for it. */
bool group_notify_exit(struct thread_group *group);
/* The end of a task's life but for its coroutine: used for a clone that failed late, too. */
void task_unlink(struct task *task);

/* ---- signal.c ---- */

struct user;

/* One queued signal with what belongs to it. */
struct sigqueue_entry {
	struct list link;
	struct linux_siginfo info;
	struct user *user;         /* whose RLIMIT_SIGPENDING it counts against; NULL: not counted */
	struct posix_timer *timer; /* the entry lies in a POSIX timer and is not freed; NULL otherwise */
};

/* Signals whose default is to be ignored, to stop, or to continue; those a frame is made for first. */
#define SIG_IGNORE_SET                                                                                                 \
	(LINUX_SIGMASK(LINUX_SIGCONT) | LINUX_SIGMASK(LINUX_SIGCHLD) | LINUX_SIGMASK(LINUX_SIGWINCH) |                 \
	 LINUX_SIGMASK(LINUX_SIGURG))
#define SIG_STOP_SET                                                                                                   \
	(LINUX_SIGMASK(LINUX_SIGSTOP) | LINUX_SIGMASK(LINUX_SIGTSTP) | LINUX_SIGMASK(LINUX_SIGTTIN) |                  \
	 LINUX_SIGMASK(LINUX_SIGTTOU))
#define SIG_SYNC_SET                                                                                                   \
	(LINUX_SIGMASK(LINUX_SIGSEGV) | LINUX_SIGMASK(LINUX_SIGBUS) | LINUX_SIGMASK(LINUX_SIGILL) |                    \
	 LINUX_SIGMASK(LINUX_SIGTRAP) | LINUX_SIGMASK(LINUX_SIGFPE) | LINUX_SIGMASK(LINUX_SIGSYS))
/* End the process by the thread's own hand in Linux (they would dump core). */
#define SIG_CORE_SET                                                                                                   \
	(SIG_SYNC_SET | LINUX_SIGMASK(LINUX_SIGQUIT) | LINUX_SIGMASK(LINUX_SIGABRT) | LINUX_SIGMASK(LINUX_SIGXCPU) |   \
	 LINUX_SIGMASK(LINUX_SIGXFSZ))
#define SIG_UNBLOCKABLE (LINUX_SIGMASK(LINUX_SIGKILL) | LINUX_SIGMASK(LINUX_SIGSTOP))

/* Wakes a task for a signal: out of an interruptible sleep, or out of guest code. fatal: out of any sleep. */
void signal_wake(struct task *task, bool fatal);
/* Queues a POSIX timer's entry. 1 if it was ignored or pending already, 0 if queued. */
int signal_send_timer(struct sigqueue_entry *e, struct task *task, struct thread_group *group, int sig);
void sigqueue_entry_unlink(struct sigqueue_entry *e, struct sigqueue *q);
/* Takes the next signal for task_return: faults first, then its own, then the group's, lowest first. */
int signal_dequeue_next(struct task *task, struct linux_siginfo *info);
/* A thread ends: what is pending for the group may need another one. */
void signal_retarget(struct task *task);
/* Takes all signals of set off every queue of the group. */
void signal_flush_group(struct thread_group *group, uint64_t set);
/* The state as /proc shows it and rt_sigpending answers. */
uint64_t signal_pending_set(const struct task *task);
int signal_set_action(struct task *task, int sig, const struct linux_sigaction *act, struct linux_sigaction *old);
/* A clone under way: signals sent to more than one process reach the child as well. */
struct fork_in_progress {
	struct list link; /* thread_group.forks */
	uint64_t set;
};
/* Waits for one of set (rt_sigtimedwait): its number, -LINUX_EAGAIN at the deadline (0: doesn't wait), -LINUX_EINTR. */
int signal_wait(struct task *task, uint64_t set, uint64_t deadline, struct linux_siginfo *info) must_check;
/* kill(2) with pid 0, -1 or negative. */
int signal_send_many(struct task *task, int32_t pid, int sig);
int signal_kill_one(struct task *sender, struct thread_group *target, int sig, const struct linux_siginfo *info);

/* ---- jobctl.c: stop and continue ---- */

/* A default stop signal was taken off the queue by task. False if it must be forgotten (orphaned group). */
bool group_stop_begin(struct task *task, int sig);
/* SIGCONT (or death) arrived: whoever is stopped goes on. */
void group_stop_end(struct thread_group *group, bool notify);
/* The task is asked to stop: does its part and sleeps until continued or killed. */
void task_stop(struct task *task);
/* One thread fewer to wait for: it stopped or it ended. */
void group_stop_participate(struct task *task);
/* A new thread joins a group in which a stop is under way. */
void group_stop_join(struct task *task);
void group_notify_stop(struct thread_group *group, int why);

/* ---- timer.c ---- */

void timers_exit(struct thread_group *group); /* the last thread ended */
void timers_task_exit(struct task *task);     /* timers that signal this thread */
void timers_exec(struct thread_group *group); /* timer_create's go, itimers stay */
void timers_dequeued(struct posix_timer *timer, struct linux_siginfo *info);
void timers_discarded(struct posix_timer *timer);
void timers_sigalrm_dequeued(struct thread_group *group);
void timers_rlimit_cpu(struct thread_group *group); /* RLIMIT_CPU was set */

/* ---- rlimit.c ---- */

/* Number of tasks of a real uid, for RLIMIT_NPROC. */
uint32_t tasks_of_uid(kuid_t uid);

#endif
