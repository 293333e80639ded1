/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of a process that send signals: setitimer(2) and timer_create(2). Those that count CPU time are looked after
 * by cputimer.c, sleeping by sleep.c.
 *
 *      ktimer fires --> signal queued --> the guest takes it --> an interval timer is set again (timers_dequeued)
 *
 * As in Linux an interval timer rests between its expiry and the moment its signal is taken; what it has missed by then
 * is its overrun count. So a timer with an interval of a nanosecond costs no more than its handler can take. If the
 * signal is ignored it goes on at the pace of the clock tick, for the handler may change.
 *
 * The guest controls the number of timers (bounded by RLIMIT_SIGPENDING, as in Linux) and all times.
 */
#include "sentry/kernel/timer_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#define TICK_NS (4 * NSEC_PER_MSEC)

static void real_fired(struct ktimer *k);

struct posix_timers *timers_of(struct thread_group *group)
{
	struct posix_timers *ts = group->timers;

	if (ts != NULL)
		return ts;
	ts = kzalloc(sizeof(*ts));
	if (ts == NULL)
		return NULL;
	ts->group = group;
	list_init(&ts->timers);
	ktimer_init(&ts->real, real_fired);
	cpu_timers_init(ts);
	group->timers = ts;
	return ts;
}

static uint64_t now_ns(void)
{
	return host_clock_ns(CLOCK_MONOTONIC);
}

/* ---- setitimer(2) ---- */

static void real_fired(struct ktimer *k)
{
	struct posix_timers *ts = container_of(k, struct posix_timers, real);

	(void)signal_send_group(ts->group, LINUX_SIGALRM, NULL);
}

void timers_sigalrm_dequeued(struct thread_group *group)
{
	struct posix_timers *ts = group->timers;
	uint64_t now, missed;

	if (ts == NULL || ts->real.armed || ts->real_interval == 0)
		return;
	now = now_ns();
	missed = now > ts->real.deadline ? (now - ts->real.deadline) / ts->real_interval : 0;
	ktimer_set(&ts->real, ts->real.deadline + (missed + 1) * ts->real_interval);
}

static void real_get(const struct posix_timers *ts, struct timer_setting *out)
{
	uint64_t now = now_ns();

	out->interval = ts->real_interval;
	out->value = 0;
	if (ts->real.armed)
		out->value = ts->real.deadline > now + NSEC_PER_USEC ? ts->real.deadline - now : NSEC_PER_USEC;
}

static void cpu_itimer_get(const struct cpu_itimer *it, uint64_t now, struct timer_setting *out)
{
	out->interval = it->interval;
	out->value = 0;
	if (it->expires != 0)
		out->value = it->expires > now ? it->expires - now : TICK_NS;
}

int itimer_get(struct task *task, int which, struct timer_setting *out)
{
	struct posix_timers *ts = task->group->timers;
	uint64_t u, s;

	*out = (struct timer_setting){0};
	if (ts == NULL)
		return 0;
	if (which == LINUX_ITIMER_REAL) {
		real_get(ts, out);
		return 0;
	}
	group_times(task->group, &u, &s);
	if (which == LINUX_ITIMER_VIRTUAL)
		cpu_itimer_get(&ts->virt, u, out);
	else
		cpu_itimer_get(&ts->prof, u + s, out);
	return 0;
}

int itimer_set(struct task *task, int which, const struct timer_setting *set, struct timer_setting *old)
{
	struct posix_timers *ts = timers_of(task->group);
	struct cpu_itimer *it;
	uint64_t u, s, now;
	int err;

	if (ts == NULL)
		return -LINUX_ENOMEM;
	err = itimer_get(task, which, old);
	if (err)
		return err;
	if (which == LINUX_ITIMER_REAL) {
		ts->real_interval = set->value != 0 ? set->interval : 0;
		if (set->value != 0)
			ktimer_set(&ts->real, time_deadline_in(set->value));
		else
			ktimer_cancel(&ts->real);
		return 0;
	}
	group_times(task->group, &u, &s);
	it = which == LINUX_ITIMER_VIRTUAL ? &ts->virt : &ts->prof;
	now = which == LINUX_ITIMER_VIRTUAL ? u : u + s;
	it->interval = set->interval;
	it->expires = set->value != 0 ? MIN(now + set->value, (uint64_t)INT64_MAX) : 0;
	cpu_timers_start(ts);
	return 0;
}

/* ---- timer_create(2) ---- */

static struct posix_timer *timer_find(const struct task *task, int id)
{
	struct posix_timers *ts = task->group->timers;
	struct posix_timer *t;

	if (ts != NULL)
		list_for_each(t, &ts->timers, link)
			if (t->id == id)
				return t;
	return NULL;
}

/* CPU-time clocks have their own idea of now; the others are compared as themselves. */
static uint64_t timer_now(const struct posix_timer *t)
{
	uint64_t now = 0;

	if (t->cpu_group != NULL)
		return cpu_timer_now(t);
	(void)!time_read(t->clock, &now);
	return now;
}

/* Wakes us when the clock shows expires, but not before min_ns from now. */
static void timer_arm(struct posix_timer *t, uint64_t min_ns)
{
	uint64_t deadline, least;

	if (t->cpu_group != NULL) {
		cpu_timers_start(t->owner);
		return;
	}
	if (!time_deadline(t->clock, t->expires, &deadline))
		return;
	least = now_ns() + min_ns;
	ktimer_set(&t->timer, MAX(deadline, least));
}

uint64_t timer_forward(struct posix_timer *t, uint64_t now)
{
	uint64_t n;

	if (t->expires > now)
		return 0;
	n = (now - t->expires) / t->interval + 1;
	if (__builtin_mul_overflow(n, t->interval, &now) || now > (uint64_t)INT64_MAX - t->expires)
		t->expires = INT64_MAX;
	else
		t->expires += now;
	return n;
}

/* An interval timer whose signal nobody takes now. */
static void timer_go_on(struct posix_timer *t)
{
	if (t->interval == 0) {
		t->expires = 0;
		return;
	}
	t->overrun += (int64_t)timer_forward(t, timer_now(t));
	timer_arm(t, TICK_NS);
}

void timer_fire(struct posix_timer *t)
{
	struct task *target = t->target;

	if (t->notify == LINUX_SIGEV_NONE) {
		if (t->interval == 0)
			t->expires = 0;
		return;
	}
	if (signal_send_timer(&t->entry, target, t->owner->group, t->entry.info.signo) != 0)
		timer_go_on(t);
}

static void timer_fired(struct ktimer *k)
{
	timer_fire(container_of(k, struct posix_timer, timer));
}

static int overrun_int(int64_t overrun)
{
	return overrun > INT_MAX ? INT_MAX : (int)overrun;
}

void timers_dequeued(struct posix_timer *t, struct linux_siginfo *info)
{
	uint64_t n;

	if (t->interval == 0) {
		t->expires = 0;
		t->overrun_last = t->overrun;
	} else {
		n = timer_forward(t, timer_now(t));
		t->overrun_last = t->overrun + (n != 0 ? (int64_t)n - 1 : 0);
		timer_arm(t, 0);
	}
	t->overrun = 0;
	info->timer.overrun = overrun_int(t->overrun_last);
}

/* The queued signal was thrown away (its handler became SIG_IGN). */
void timers_discarded(struct posix_timer *t)
{
	if (!t->owner->group->exiting)
		timer_go_on(t);
}

/* -LINUX_EINVAL: no such clock; -LINUX_EOPNOTSUPP: none that can have timers. */
static int timer_check_clock(int clock)
{
	uint64_t unused;

	switch (clock) {
	case LINUX_CLOCK_REALTIME:
	case LINUX_CLOCK_MONOTONIC:
	case LINUX_CLOCK_BOOTTIME:
	case LINUX_CLOCK_TAI:
		return 0;
	case LINUX_CLOCK_REALTIME_ALARM:
	case LINUX_CLOCK_BOOTTIME_ALARM:
		return -LINUX_EOPNOTSUPP;
	default:
		return time_read(clock, &unused) ? -LINUX_EOPNOTSUPP : -LINUX_EINVAL;
	}
}

static int timer_set_event(struct task *task, struct posix_timer *t, const struct linux_sigevent *ev)
{
	struct linux_siginfo *info = &t->entry.info;
	struct task *target = NULL;

	info->code = LINUX_SI_TIMER;
	info->timer.timerid = t->id;
	if (ev == NULL) {
		t->notify = LINUX_SIGEV_SIGNAL;
		info->signo = LINUX_SIGALRM;
		info->timer.value = (uint64_t)t->id;
		return 0;
	}
	if (ev->notify == LINUX_SIGEV_THREAD_ID) {
		target = task_find(ev->tid);
		if (target == NULL || target->group != task->group)
			return -LINUX_EINVAL;
	} else if (ev->notify != LINUX_SIGEV_SIGNAL && ev->notify != LINUX_SIGEV_THREAD &&
		   ev->notify != LINUX_SIGEV_NONE) {
		return -LINUX_EINVAL;
	}
	if (ev->notify != LINUX_SIGEV_NONE && (ev->signo <= 0 || ev->signo > LINUX_NSIG))
		return -LINUX_EINVAL;
	t->notify = ev->notify;
	info->signo = ev->signo;
	info->timer.value = ev->value;
	if (target != NULL)
		t->target = task_get(target);
	return 0;
}

static void timer_free(struct posix_timer *t)
{
	struct thread_group *g = t->owner->group;

	ktimer_cancel(&t->timer);
	sigqueue_entry_unlink(&t->entry, t->target != NULL ? &t->target->pending : &g->shared_pending);
	list_del(&t->link);
	if (t->target != NULL)
		task_put(t->target);
	if (t->cpu_task != NULL)
		task_put(t->cpu_task);
	if (t->cpu_group != NULL)
		group_put(t->cpu_group);
	kfree(t);
}

static int timer_next_id(struct task *task, struct posix_timers *ts)
{
	do {
		ts->next_id = ts->next_id == INT_MAX ? 0 : ts->next_id + 1;
	} while (timer_find(task, ts->next_id - 1) != NULL);
	return ts->next_id - 1;
}

int ptimer_new(struct task *task, int clock, const struct linux_sigevent *ev)
{
	struct posix_timers *ts;
	struct posix_timer *t;
	int err = 0;

	if (!clock_is_cpu(clock))
		err = timer_check_clock(clock);
	if (err)
		return err;
	ts = timers_of(task->group);
	if (ts == NULL || ts->count >= group_rlimit(task->group, LINUX_RLIMIT_SIGPENDING) || ts->count >= 1U << 20)
		return -LINUX_EAGAIN;
	t = kzalloc(sizeof(*t));
	if (t == NULL)
		return -LINUX_EAGAIN;
	t->owner = ts;
	t->clock = clock;
	list_init(&t->link);
	list_init(&t->entry.link);
	t->entry.timer = t;
	ktimer_init(&t->timer, timer_fired);
	t->id = timer_next_id(task, ts);
	err = timer_set_event(task, t, ev);
	if (!err && clock_is_cpu(clock))
		err = cpu_timer_clock(task, clock, t);
	if (err) {
		timer_free(t);
		return err;
	}
	list_add_tail(&ts->timers, &t->link);
	ts->count++;
	return t->id;
}

int ptimer_delete(struct task *task, int id)
{
	struct posix_timer *t = timer_find(task, id);

	if (t == NULL)
		return -LINUX_EINVAL;
	t->owner->count--;
	timer_free(t);
	signal_recalc(task);
	return 0;
}

static void timer_remaining(struct posix_timer *t, struct timer_setting *out)
{
	uint64_t now;

	out->interval = t->interval;
	out->value = 0;
	if (t->expires == 0)
		return;
	now = timer_now(t);
	/* One that waits for its signal to be taken, or has none, goes on in the mind. */
	if (t->interval != 0 && (t->notify == LINUX_SIGEV_NONE || !list_empty(&t->entry.link)))
		t->overrun += (int64_t)timer_forward(t, now);
	if (t->expires > now)
		out->value = t->expires - now;
	else
		out->value = t->notify == LINUX_SIGEV_NONE || !list_empty(&t->entry.link) ? 0 : 1;
}

int ptimer_get(struct task *task, int id, struct timer_setting *out)
{
	struct posix_timer *t = timer_find(task, id);

	if (t == NULL)
		return -LINUX_EINVAL;
	timer_remaining(t, out);
	return 0;
}

int ptimer_set(struct task *task, int id, bool absolute, const struct timer_setting *set, struct timer_setting *old)
{
	struct posix_timer *t = timer_find(task, id);
	struct thread_group *g = task->group;
	uint64_t now;

	if (t == NULL)
		return -LINUX_EINVAL;
	timer_remaining(t, old);
	ktimer_cancel(&t->timer);
	/* A signal of the old setting that nobody has taken is stale. */
	sigqueue_entry_unlink(&t->entry, t->target != NULL ? &t->target->pending : &g->shared_pending);
	t->overrun = t->overrun_last = 0;
	t->interval = set->value != 0 ? set->interval : 0;
	t->expires = 0;
	if (set->value == 0)
		return 0;
	now = absolute ? 0 : timer_now(t);
	t->expires = set->value > (uint64_t)INT64_MAX - now ? (uint64_t)INT64_MAX : now + set->value;
	if (t->notify != LINUX_SIGEV_NONE || t->cpu_group != NULL)
		timer_arm(t, 0);
	return 0;
}

int ptimer_overrun(struct task *task, int id)
{
	struct posix_timer *t = timer_find(task, id);

	return t != NULL ? overrun_int(t->overrun_last) : -LINUX_EINVAL;
}

/* ---- the process's life ---- */

void timers_exec(struct thread_group *group)
{
	struct posix_timers *ts = group->timers;
	struct posix_timer *t, *tmp;

	if (ts == NULL)
		return;
	list_for_each_safe(t, tmp, &ts->timers, link)
		timer_free(t);
	ts->count = 0;
}

void timers_exit(struct thread_group *group)
{
	struct posix_timers *ts = group->timers;

	if (ts == NULL)
		return;
	timers_exec(group);
	ktimer_cancel(&ts->real);
	ktimer_cancel(&ts->sample);
	group->timers = NULL;
	kfree(ts);
}

/* Timers that signal the thread stay, silent, as in Linux; what they had queued to it goes. */
void timers_task_exit(struct task *task)
{
	struct posix_timers *ts = task->group->timers;
	struct posix_timer *t;

	if (ts == NULL)
		return;
	list_for_each(t, &ts->timers, link) {
		if (t->target != task)
			continue;
		ktimer_cancel(&t->timer);
		sigqueue_entry_unlink(&t->entry, &task->pending);
	}
}
