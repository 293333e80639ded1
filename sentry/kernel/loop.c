/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop.
 *
 *	run ready tasks --> fire timers --> sleep in poll(platform descriptor, epoll descriptor) --> dispatch --> ...
 *
 * The sentry sleeps in poll() on the listener itself, with the epoll descriptor of everything else nested in it: the
 * wake-up on the same CPU that makes notifications cheap is lost in epoll_wait. Timers are a tree by deadline.
 *
 * What ends a sleep in time is a timer descriptor among the others, not poll's limit. A limit is a timer of the host's that is
 * set and taken back with each sleep, tens of thousands of times a second; whenever it is the next one of its CPU, which it is half of
 * the time if it is a few milliseconds away, the CPU's own timer has to be set anew twice, and in a virtual machine that costs as much as
 * all else of a sleep. The descriptor is set only to be earlier. It may be too early then: we look, and set it to what is next.
 */
#include "sentry/kernel/loop.h"

#include "sentry/abi/errno.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/kernel/sched.h"
#include "sentry/platform/internal.h"

#include <poll.h>
#include <sys/epoll.h>
#include <time.h>

static int timer_cmp(const struct ktimer *a, const struct ktimer *b)
{
	if (a->deadline != b->deadline)
		return a->deadline < b->deadline ? -1 : 1;
	return a < b ? -1 : a > b;
}

RB_HEAD(timer_tree, ktimer);
TREE_GENERATE(timer_tree, ktimer, node, timer_cmp)

static struct timer_tree timers = RB_INITIALIZER(&timers);
static struct list deferred_list = LIST_INIT(deferred_list);
/* Below that a sleep is worth no timer of its own: poll's limit. */
#define SHORT_NS ((int64_t)(200 * 1000))

static int epoll_fd = -1;
static int timer_fd = -1;
static struct host_watch timer_watch;
static uint64_t alarm_at; /* ns: when timer_fd becomes ready, or did; 0: it is set to nothing */
static bool stopping;
static int stop_status;
static uint64_t now; /* 0: not read in this turn */

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *t))
{
	*t = (struct ktimer){.fn = fn};
}

void ktimer_set(struct ktimer *t, uint64_t deadline_ns)
{
	ktimer_cancel(t);
	t->deadline = deadline_ns;
	t->armed = true;
	RB_INSERT(timer_tree, &timers, t);
}

void ktimer_cancel(struct ktimer *t)
{
	if (!t->armed)
		return;
	RB_REMOVE(timer_tree, &timers, t);
	t->armed = false;
}

uint64_t loop_now(void)
{
	/* A turn is short, but a task may run long in it: the vDSO is cheap enough to be exact. */
	now = host_clock_ns(CLOCK_MONOTONIC);
	return now;
}

int host_watch_add(struct host_watch *w, int fd, uint32_t events, void (*ready)(struct host_watch *, uint32_t))
{
	struct epoll_event ev = {.events = events, .data.ptr = w};
	int err;

	w->fd = fd;
	w->events = events;
	w->ready = ready;
	err = host_epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
	if (err < 0)
		w->fd = -1;
	return err;
}

int host_watch_set(struct host_watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (w->fd < 0 || w->events == events)
		return 0;
	w->events = events;
	return host_epoll_ctl(epoll_fd, EPOLL_CTL_MOD, w->fd, &ev);
}

/* Watches whose events were fetched but not yet handled when they were deleted. */
static struct epoll_event batch[32];
static int batch_len;

void host_watch_del(struct host_watch *w)
{
	struct epoll_event ev = {0};

	if (w->fd < 0)
		return;
	host_epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, &ev);
	w->fd = -1;
	for (int i = 0; i < batch_len; i++)
		if (batch[i].data.ptr == w)
			batch[i].data.ptr = NULL;
}

void loop_defer(struct deferred *d, void (*fn)(struct deferred *d))
{
	d->fn = fn;
	list_add_tail(&deferred_list, &d->link);
}

void loop_stop(int status)
{
	stopping = true;
	stop_status = status;
}

int loop_stop_status(void)
{
	return stop_status;
}

static void alarm_ready(unused_arg struct host_watch *w, unused_arg uint32_t events)
{
	alarm_at = 0;
}

int loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return -LINUX_EMFILE;
	alarm_at = 0;
	timer_fd = host_timer_open();
	if (timer_fd < 0)
		return 0; /* whose outer filter refuses it sleeps by poll's limit */
	/* An edge each time it is due: nothing has to be read. */
	return host_watch_add(&timer_watch, timer_fd, EPOLLIN | EPOLLET, alarm_ready);
}

static void run_deferred(void)
{
	struct list turn = LIST_INIT(turn);

	list_splice_tail(&turn, &deferred_list);
	while (!list_empty(&turn)) {
		struct deferred *d = list_first(&turn, struct deferred, link);

		list_del(&d->link);
		d->fn(d);
	}
}

static void fire_timers(void)
{
	struct ktimer *t = RB_MIN(timer_tree, &timers);
	uint64_t at;

	if (t == NULL)
		return;
	at = loop_now();
	while (t != NULL && t->deadline <= at) {
		ktimer_cancel(t);
		t->fn(t);
		t = RB_MIN(timer_tree, &timers);
	}
}

/* Nanoseconds until something is due; -1: nothing is. */
static int64_t until_next(void)
{
	struct ktimer *t = RB_MIN(timer_tree, &timers);
	uint64_t at;

	if (!list_empty(&deferred_list))
		return 0;
	if (t == NULL)
		return -1;
	at = loop_now();
	return t->deadline <= at ? 0 : (int64_t)MIN(t->deadline - at, (uint64_t)INT64_MAX);
}

/* What poll's limit has to be if we are to sleep so long. */
static int64_t by_alarm(int64_t timeout)
{
	struct ktimer *t = RB_MIN(timer_tree, &timers);

	if (timeout <= 0 || t == NULL || timer_fd < 0)
		return timeout;
	if (alarm_at == 0 || alarm_at > t->deadline) {
		if (timeout < SHORT_NS || host_timer_set(timer_fd, t->deadline) < 0)
			return timeout;
		alarm_at = t->deadline;
	}
	return -1;
}

static void dispatch_watches(void)
{
	int n = host_epoll_wait(epoll_fd, batch, ARRAY_LEN(batch), 0);

	batch_len = n > 0 ? n : 0;
	for (int i = 0; i < batch_len; i++) {
		struct host_watch *w = batch[i].data.ptr;

		if (w != NULL)
			w->ready(w, batch[i].events);
	}
	batch_len = 0;
}

void loop_turn(void)
{
	struct pollfd fds[2] = {{.fd = platform_event_fd, .events = POLLIN}, {.fd = epoll_fd, .events = POLLIN}};
	int64_t timeout;
	bool busy;

	now = 0;
	run_deferred();
	fire_timers();
	busy = sched_run();
	if (stopping)
		return;
	/* After work new work may be ready; look without sleeping. */
	timeout = busy && !sched_idle() ? 0 : until_next();
	switch (gate_turn(timeout != 0)) {
	case GATE_SERVE:
		return;
	case GATE_LOOK:
		timeout = 0;
		break;
	case GATE_SLEEP:
		break;
	}
	if (timeout != 0) {
		stubs_before_sleep();
		timeout = until_next(); /* an end of polling has timers of its own */
	}
	if (host_poll(fds, 2, by_alarm(timeout)) <= 0)
		return;
	if (fds[0].revents != 0)
		platform_dispatch((uint32_t)fds[0].revents);
	if (fds[1].revents != 0)
		dispatch_watches();
}

void loop_run(void)
{
	while (!stopping)
		loop_turn();
}
