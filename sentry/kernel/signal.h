/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: queues, handlers, sending. Delivery (frames, restarts) is task_return()'s, in kernel/signal_frame.c. */
#ifndef SENTRY_KERNEL_SIGNAL_H
#define SENTRY_KERNEL_SIGNAL_H

#include "sentry/abi/signal.h"
#include "sentry/base/list.h"
#include "sentry/base/ref.h"
#include "sentry/base/types.h"

struct task;
struct thread_group;

/* Pending signals. A standard signal is queued at most once, real-time ones up to RLIMIT_SIGPENDING. */
struct sigqueue {
	uint64_t set;      /* bit n-1: signal n is pending */
	struct list infos; /* struct sigqueue_entry, oldest first */
};

/* Handlers, shared by CLONE_SIGHAND. */
struct sighand {
	struct ref ref;
	struct linux_sigaction action[LINUX_NSIG]; /* [sig - 1] */
	uint64_t plain;                            /* surely all zero: the default, without flags (for the stubs to say so) */
	bool between_groups;                       /* processes share it: nothing is known to be plain */
};

void sigqueue_init(struct sigqueue *q);
void sigqueue_flush(struct sigqueue *q);

/* Sends sig to one thread (tgkill, faults). info is copied; NULL stands for SI_KERNEL. 0 or -LINUX_EAGAIN (queue full).
 * A forced signal (fault) is delivered though blocked or ignored: then the handler is reset, as force_sig does. */
int signal_send_task(struct task *task, int sig, const struct linux_siginfo *info);
int signal_force(struct task *task, int sig, const struct linux_siginfo *info);
/* Sends sig to the process: the thread that takes it is chosen as Linux does (the leader if it wants it, else any). */
int signal_send_group(struct thread_group *group, int sig, const struct linux_siginfo *info);
/* The same to task's process, but task itself takes it if it wants it. */
int signal_send_group_by(struct task *task, int sig, const struct linux_siginfo *info);
struct process_group;
int signal_send_pgrp(struct process_group *pgrp, int sig, const struct linux_siginfo *info);
/* SI_USER from a task. */
void siginfo_from_task(struct linux_siginfo *info, int sig, int code, const struct task *sender);

/* signal_pending(task) is in task.h: a flag. Recomputes it after the mask or the queues changed. */
void signal_recalc(struct task *task);
/* Its actions have changed otherwise than by signal_set_action. */
void sighand_recount(struct sighand *s);
/* It is going to be shared by another process. */
void sighand_between_groups(struct task *task);
/* The thread goes to guest code with its mask, which the stub may change there. */
void signal_resume(struct task *task, int64_t ret);
/* It has come from guest code: its mask is the sentry's again. */
void signal_mask_in(struct task *task);
/* task->sigmask becomes what it is by now; for who wants to show another task's. */
void signal_mask_look(struct task *task);
/* Replaces the blocked mask (SIGKILL and SIGSTOP never blocked), and wakes what that unblocks. */
void signal_set_mask(struct task *task, uint64_t mask);
/* Takes the lowest pending signal in set off the queues (task's first). Returns its number or 0, fills info. */
int signal_dequeue(struct task *task, uint64_t set, struct linux_siginfo *info);

/*
 * A mask for the length of one call (ppoll, pselect6, epoll_pwait, sigsuspend). The call simply returns: task_return
 * puts the old mask back, after handlers have run if the result is -EINTR or a restart code, else before. The second
 * form reads the guest's sigset: -LINUX_EINVAL for a size other than 8, -LINUX_EFAULT; a null pointer changes nothing.
 */
void signal_temp_mask(struct task *task, uint64_t mask);
int signal_temp_mask_from_guest(struct task *task, gva_t set, uint64_t size) must_check;

/* kill(2)'s permission: 0 or -LINUX_EPERM. */
int signal_may_send(const struct task *sender, const struct task *target, int sig) must_check;
/* A fault of the task's own code: remembers what the frame needs, and forces the signal. */
struct platform_event;
void signal_fault(struct task *task, const struct platform_event *ev);
/* Signals queued for a user's processes: /proc/PID/status, SigQ. */
uint64_t signal_queued_of(uint32_t uid);
/* SIGKILL from outside (monitor, limits): reaches init too. */
void signal_kill_group(struct thread_group *group);

struct sighand *sighand_new(void) must_check;
/* A copy, for fork without CLONE_SIGHAND. */
struct sighand *sighand_dup(const struct sighand *s) must_check;
void sighand_put(struct sighand *s);

/*
 * The last step of every call and event, on the task's coroutine: resolves restart codes, delivers signals (frames on
 * the guest's stack by the platform's context), stops for job control, ends the task if it must go. ret is the
 * handler's result; in_syscall is false for faults and kicks.
 */
void task_return(struct task *task, int64_t ret, bool in_syscall);

#endif
