/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers of a pod, all served by this sentry: see container.c. The first one is the sandbox itself; it is there from
 * the start, and its end is the end of all.
 */
#ifndef SENTRY_KERNEL_CONTAINER_H
#define SENTRY_KERNEL_CONTAINER_H

#include "sentry/base/list.h"
#include "sentry/base/types.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/waitq.h"

struct gofer_client;
struct lower_image;
struct mount;
struct pid_space;
struct pty_set;
struct task;
struct thread_group;
struct tty;

struct container {
	struct list link;
	uint32_t id;                 /* the monitor's number for it; 0: the first */
	struct mount *root;          /* the table's reference; NULL: not yet, or not any more. The first's is mount_root */
	struct gofer_client *gofer;  /* of its own; NULL: none, or the first */
	struct lower_image *image;   /* its root, if that is one; NULL for the first, too (image_root) */
	struct pid_space *pids;
	bool shares_pids;            /* with another container */
	struct thread_group *init;   /* its first process, borrowed; NULL before and after */
	struct pty_set *ptys;        /* fs/devpts.c; NULL: none yet, or another's by now */
	struct tty *console;         /* counted: what /dev/console opens; the first's is dev.c's */
	uint32_t ntasks;             /* threads, zombies' leaders included */
	uint32_t max_tasks;          /* 0: no limit but the sandbox's */
	uint64_t memory_limit;       /* bytes that its processes may hold; 0: none but the sandbox's */
	uint64_t resident, peak;     /* as sampled last */
	uint32_t oom_kills;
	struct cpu_limit cpu;        /* on its processes; the first one's is the whole sandbox's */
	uint64_t ended_utime, ended_stime; /* of its processes that have gone */
	bool start_wanted;           /* the word to start its program has come */
	bool ending;                 /* its first process has ended; the rest is told to */
	bool ended;                  /* nobody is left */
	bool told;                   /* the monitor knows that it never started */
	bool frozen;                 /* paused: its threads sleep in task_return until thawed */
	struct waitq thaw;
	int status;                  /* of its first process, wait(2) encoding; set with ending */
};

extern struct container container_first;
/* A further one, on the list. NULL if memory is out. Never freed: what its processes leave behind may name it. */
struct container *container_new(uint32_t id) must_check;
/* One that hasn't ended, or NULL. 0: the first. */
struct container *container_find(uint32_t id);
/* Of the running task; the first in the loop. Borrowed. */
struct container *container_here(void);

/* Every process of it is told to end. Those that are about to be made end too (container_group_ended looks again). */
void container_kill(struct container *c);
void container_signal(struct container *c, int sig);
/* kernel/exit.c: a process of c has ended; first: the one it was made for. True: it was the last, and container_finish is to be
 * called, once. */
bool container_group_ended(struct container *c, bool first, int status) must_check;
/* What it had goes, and its end is told. task: whose time this takes, others run in between; NULL: nobody's, all at once. */
void container_finish(struct container *c, struct task *task);
/* ... and this is what it has used. */
void container_count_times(const struct thread_group *group);
/* CPU time of all its processes so far, those that have gone too, and of the sentry for them as far as that is known. In ns. */
void container_times(struct container *c, uint64_t *utime, uint64_t *stime);
/* Nothing of it runs until it is thawed; death comes through. */
void container_freeze(struct container *c, bool on);
extern uint32_t containers_frozen; /* how many are */
/* task_return's part: sleeps while the task's container is frozen. */
void container_wait_thawed(struct task *task);
/* Its processes' resident memory is known anew: the largest ends if that is above the limit. */
void container_memory_sampled(struct container *c);
/* The same for all that have a limit. */
void container_memory_look(void);
/* Is there one with a limit on memory of its own, so that sampling is needed? */
bool container_memory_limited(void);

#endif
