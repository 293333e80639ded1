/* SPDX-License-Identifier: Apache-2.0 */
/* Between a platform backend, the event loop and the start of the sentry. */
#ifndef SENTRY_PLATFORM_INTERNAL_H
#define SENTRY_PLATFORM_INTERNAL_H

#include "sentry/base/types.h"

struct task;

extern const struct platform_ops notify_platform, ptrace_platform;

/* Before Landlock: where the host's vDSO lies. */
void stubs_find_vdso(void);
/* Before sealing: makes the zygote and the way calls come to us. 0 or -errno (below -1000: the zygote ended at step
 * -1000 - error); *step names what failed. */
int notify_boot(const char **step);
int ptrace_boot(const char **step);
/* The descriptor the loop polls, and what it calls when it is ready. */
extern int platform_event_fd;
extern void (*platform_dispatch)(uint32_t revents);
/* Threads that run guest code now. */
extern int stubs_running;
/* CPUs of the host that we may use. */
extern unsigned stubs_cpus;
/* The loop is about to sleep. */
void stubs_before_sleep(void);

/* ---- the gate (stubs/gate.c) ---- */
extern bool gate_on; /* --gate */
/* Why polling ended. */
enum gate_end {
	GATE_END_IDLE,     /* nobody called */
	GATE_END_AT_ONCE,  /* nobody came back at first */
	GATE_END_LATE,     /* late answers */
	GATE_END_CROWDED,  /* other ways */
	GATE_END_PARALLEL, /* parallel threads */
	GATE_END_FUTEXES,  /* threads that are to do without us */
	GATE_ENDS,
};
/* How calls came, for statistics. */
struct gate_counts {
	uint64_t local, polled, asleep, trapped, notified; /* local: gate_local_total has the sum */
	uint64_t bursts; /* times polling began */
	uint64_t ends[GATE_ENDS]; /* why it ended */
	uint64_t streams, stalls; /* large copies carried by shims; of them, by some that didn't get on */
	uint64_t windows; /* made: windows.c */
	uint64_t lent; /* vforks whose child ran on its parent's thread */
};
extern struct gate_counts gate_counts;
/* All that shims have answered alone: by threads that have ended, which local counts, and by those that live. Every number
 * of a box is the guest's word. */
uint64_t gate_local_total(void);
/* Files whose locks are the host's slots for polling; without any, polling is free. */
#define GATE_SLOTS_MAX 3
extern int gate_slot_fds[GATE_SLOTS_MAX];
extern unsigned gate_slots;
/* How many of the host's CPUs we may use (0: never poll). */
void gate_set_cpus(unsigned cpus);
/* ... and which of the first 64: where the guest's threads may be put (stubs/placement.c). */
void place_init(unsigned cpus, uint64_t mask);
bool gate_polling(void);
enum gate_next {
	GATE_SLEEP, /* look at descriptors, and sleep if nothing is ready */
	GATE_LOOK,  /* look at descriptors, without sleeping */
	GATE_SERVE, /* calls were taken: serve them first */
};
/* After a turn of the loop: looks at the boxes while we poll. may_sleep: nothing else is to be done now. */
enum gate_next gate_turn(bool may_sleep);

/* A host child has ended or stopped. */
void stubs_reap(void);
/* What a host process holds, as the monitor saw it; stubs_refresh_resident asks for it (runtime/core/sentry.c). */
void stubs_set_resident(int pid, uint64_t bytes);
extern void (*stubs_refresh_resident)(void);
/* CPU time that all stubs have used so far, those that have ended included. Costs a host call a process. */
uint64_t stubs_cpu_ns(void);
/*
 * Host threads without a task that may run all the same: those that were told to end and still exist (one that doesn't obey counts
 * until it is killed for it), and idle ones that aren't seen to wait. maker: whose clone takes one of the latter if there is one; NULL.
 */
uint32_t stubs_leaving(const struct task *maker);
extern uint32_t stubs_exiting, stubs_idle; /* at most so many */
/* A task of the host process pid, borrowed; NULL if there is none. */
struct task *stubs_task_of(int pid);
/* The host's numbers of the task's thread; false if it has none. */
bool stubs_where(const struct task *task, int *pid, int *tid);
/* Where the guest stands in a call that came by the gate (its host thread stands in the shim); false if it doesn't. */
bool stubs_gate_place(const struct task *task, uint64_t *ip, uint64_t *sp);
/* The sandbox ends: kills every stub. */
void stubs_kill_all(void);

#endif
