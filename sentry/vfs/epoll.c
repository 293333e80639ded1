/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll(7).
 *
 * An instance holds items, each for one (file, descriptor number) pair, with a waiter on that file's queue. A wake-up
 * puts the item on the ready list and wakes the instance's own queue; epoll_wait asks each ready item's file what it
 * says now:
 *
 *	file's waitq --> item_wake --> ready list --> epoll_collect --> vfs_poll(file) --> struct epoll_event
 *	                                   |
 *	                               instance's waitq --> sleepers, and instances that watch this one
 *
 * A level-triggered item that was reported stays on the ready list until its file says nothing; an edge-triggered one
 * leaves it until the next wake-up; a one-shot one is disabled until EPOLL_CTL_MOD.
 *
 * Items don't keep their file: epoll_file_released takes them out when its last reference goes. An instance may watch
 * others, up to NEST_MAX deep and without a circle (ELOOP), which bounds the recursion of wake-ups and polls;
 * NESTED_STEPS_MAX bounds their breadth.
 *
 * The guest controls the number of items (bounded by its memory limit) and the events. Left out: EPOLLWAKEUP (accepted,
 * without effect), busy polling, the per-user limit on watches.
 */
#include "sentry/vfs/epoll.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/tree.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"

#define NEST_MAX 5
#define ALWAYS_TOLD (LINUX_POLLERR | LINUX_POLLHUP)
#define CONTROL_BITS (LINUX_EPOLLEXCLUSIVE | LINUX_EPOLLWAKEUP | LINUX_EPOLLONESHOT | LINUX_EPOLLET)
#define EXCLUSIVE_OK                                                                                                   \
	(LINUX_POLLIN | LINUX_POLLOUT | LINUX_POLLERR | LINUX_POLLHUP | LINUX_EPOLLWAKEUP | LINUX_EPOLLET |            \
	 LINUX_EPOLLEXCLUSIVE)

struct epoll;

struct epitem {
	RB_ENTRY(epitem) node;  /* epoll.items */
	struct list file_link;  /* file.epitems */
	struct list ready_link; /* epoll.ready, or empty */
	struct waiter waiter;
	struct epoll *ep;
	struct file *file;      /* borrowed, see above */
	int fd;
	uint32_t events;        /* 0 but for control bits: disabled by EPOLLONESHOT */
	uint64_t data;
};

RB_HEAD(epitem_tree, epitem);

struct epoll {
	struct epitem_tree items;
	struct list ready;
	struct waitq waitq;     /* woken with POLLIN */
	struct file *file;      /* borrowed: it owns this */
};

static int item_cmp(const struct epitem *a, const struct epitem *b)
{
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return a->fd < b->fd ? -1 : a->fd > b->fd;
}

TREE_GENERATE(epitem_tree, epitem, node, item_cmp)

static const struct file_ops epoll_fops;

bool file_is_epoll(const struct file *file)
{
	return file->ops == &epoll_fops;
}

/*
 * Instances that watch instances make a graph, in which the number of ways grows with the breadth to the power of the
 * depth. What one wake-up or poll may cost there is bounded: a guest that builds such a graph loses events in it.
 */
#define NESTED_STEPS_MAX 10000U
static unsigned wake_depth, wake_steps, poll_depth, poll_steps;

static void make_ready(struct epitem *item)
{
	if (list_empty(&item->ready_link))
		list_add_tail(&item->ep->ready, &item->ready_link);
	if (wake_depth == 0)
		wake_steps = 0;
	if (wake_depth > 0 && ++wake_steps > NESTED_STEPS_MAX)
		return;
	wake_depth++;
	waitq_wake(&item->ep->waitq, LINUX_POLLIN | LINUX_POLLRDNORM);
	wake_depth--;
}

static bool item_wake(struct waiter *w, uint32_t events)
{
	struct epitem *item = container_of(w, struct epitem, waiter);

	if ((item->events & ~CONTROL_BITS) == 0)
		return false; /* disabled */
	if (events != 0 && !(events & (item->events | ALWAYS_TOLD)))
		return false;
	make_ready(item);
	return true;
}

/* What the item's file says now, of what was asked for. */
static uint32_t item_poll(struct task *task, struct epitem *item, struct waiter *waiter)
{
	if ((item->events & ~CONTROL_BITS) == 0)
		return 0;
	return vfs_poll(task, item->file, waiter) & (item->events | ALWAYS_TOLD) & ~CONTROL_BITS;
}

static void item_free(struct epitem *item)
{
	waitq_remove(&item->waiter);
	list_del(&item->file_link);
	list_del(&item->ready_link);
	RB_REMOVE(epitem_tree, &item->ep->items, item);
	kfree(item);
}

static struct epitem *item_find(struct epoll *ep, struct file *file, int fd)
{
	struct epitem key = {.file = file, .fd = fd};

	return RB_FIND(epitem_tree, &ep->items, &key);
}

/* ---- nesting ---- */

/* How deep instances hang below ep (1: it watches none); more than NEST_MAX if it is too deep or reaches `avoid`. */
static int depth_below(struct epoll *ep, const struct epoll *avoid, int level, unsigned *steps)
{
	struct epitem *item;
	int deepest = 1;

	if (ep == avoid || level > NEST_MAX || ++*steps > NESTED_STEPS_MAX)
		return NEST_MAX + 1;
	RB_FOREACH (item, epitem_tree, &ep->items) {
		int d;

		if (!file_is_epoll(item->file))
			continue;
		d = 1 + depth_below(item->file->private_data, avoid, level + 1, steps);
		deepest = MAX(deepest, d);
		if (deepest > NEST_MAX)
			break;
	}
	return deepest;
}

/* How many instances stand above ep, itself counted. */
static int depth_above(const struct epoll *ep, int level, unsigned *steps)
{
	const struct epitem *item;
	int highest = 1;

	if (level > NEST_MAX || ++*steps > NESTED_STEPS_MAX)
		return NEST_MAX + 1;
	list_for_each(item, &ep->file->epitems, file_link) {
		highest = MAX(highest, 1 + depth_above(item->ep, level + 1, steps));
		if (highest > NEST_MAX)
			break;
	}
	return highest;
}

static int nesting_allowed(struct epoll *ep, struct epoll *target)
{
	unsigned steps = 0;
	int below = depth_below(target, ep, 1, &steps);

	return below > NEST_MAX || below + depth_above(ep, 1, &steps) > NEST_MAX ? -LINUX_ELOOP : 0;
}

/* ---- epoll_ctl ---- */

static int item_add(struct task *task, struct epoll *ep, struct file *file, int fd, const struct linux_epoll_event *ev)
{
	struct epitem *item;
	int err;

	if (file_is_epoll(file)) {
		if (ev->events & LINUX_EPOLLEXCLUSIVE)
			return -LINUX_EINVAL;
		err = nesting_allowed(ep, file->private_data);
		if (err)
			return err;
	}
	item = kzalloc(sizeof(*item));
	if (item == NULL)
		return -LINUX_ENOMEM;
	item->ep = ep;
	item->file = file;
	item->fd = fd;
	item->events = ev->events;
	item->data = ev->data;
	list_init(&item->ready_link);
	list_init(&item->waiter.link);
	/* The waiter sees every wake-up, so that EPOLL_CTL_MOD need not touch the queue. */
	item->waiter.wake = item_wake;
	item->waiter.exclusive = (ev->events & LINUX_EPOLLEXCLUSIVE) != 0;
	RB_INSERT(epitem_tree, &ep->items, item);
	list_add_tail(&file->epitems, &item->file_link);
	if (vfs_poll(task, file, &item->waiter) & (item->events | ALWAYS_TOLD) & ~CONTROL_BITS)
		make_ready(item);
	return 0;
}

static int item_modify(struct task *task, struct epitem *item, const struct linux_epoll_event *ev)
{
	if ((ev->events | item->events) & LINUX_EPOLLEXCLUSIVE)
		return -LINUX_EINVAL;
	item->events = ev->events;
	item->data = ev->data;
	if (item_poll(task, item, NULL))
		make_ready(item);
	return 0;
}

int epoll_control(struct task *task, struct file *epfile, int op, struct file *file, int fd,
	      const struct linux_epoll_event *ev, unused_arg bool nonblock)
{
	struct epoll *ep = epfile->private_data;
	struct epitem *item;

	if (file->ops->poll == NULL)
		return -LINUX_EPERM;
	if (!file_is_epoll(epfile) || file == epfile)
		return -LINUX_EINVAL;
	if (op != LINUX_EPOLL_CTL_DEL && (ev->events & LINUX_EPOLLEXCLUSIVE)) {
		if (op == LINUX_EPOLL_CTL_MOD || (op == LINUX_EPOLL_CTL_ADD && (ev->events & ~EXCLUSIVE_OK)))
			return -LINUX_EINVAL;
	}
	item = item_find(ep, file, fd);
	switch (op) {
	case LINUX_EPOLL_CTL_ADD:
		return item != NULL ? -LINUX_EEXIST : item_add(task, ep, file, fd, ev);
	case LINUX_EPOLL_CTL_MOD:
		return item == NULL ? -LINUX_ENOENT : item_modify(task, item, ev);
	case LINUX_EPOLL_CTL_DEL:
		if (item == NULL)
			return -LINUX_ENOENT;
		item_free(item);
		return 0;
	default:
		return -LINUX_EINVAL;
	}
}

void epoll_file_released(struct file *file)
{
	struct epitem *item, *tmp;

	list_for_each_safe(item, tmp, &file->epitems, file_link)
		item_free(item);
}

/* ---- epoll_wait ---- */

/*
 * Reports what is ready now, up to max. Each item is taken off the ready list once; those that must stay on it (level
 * triggered) go to its end, so that no item starves the others. Number, or -LINUX_EFAULT if nothing was reported.
 */
static int64_t collect(struct task *task, struct epoll *ep, gva_t events, int max)
{
	struct list todo = LIST_INIT(todo), again = LIST_INIT(again);
	int64_t n = 0;

	list_splice_tail(&todo, &ep->ready);
	while (n < max && !list_empty(&todo)) {
		struct epitem *item = list_first(&todo, struct epitem, ready_link);
		struct linux_epoll_event ev;

		list_del(&item->ready_link);
		ev.events = item_poll(task, item, NULL);
		ev.data = item->data;
		if (ev.events == 0)
			continue;
		if (put_guest(task, gva_add(events, (uint64_t)n * sizeof(ev)), &ev) != 0) {
			list_add(&todo, &item->ready_link);
			if (n == 0)
				n = -LINUX_EFAULT;
			break;
		}
		n++;
		if (item->events & LINUX_EPOLLONESHOT)
			item->events &= CONTROL_BITS;
		else if (!(item->events & LINUX_EPOLLET) && list_empty(&item->ready_link))
			list_add_tail(&again, &item->ready_link);
	}
	/* First what wasn't looked at, then what became ready meanwhile, then what was reported and may be so again. */
	list_splice_tail(&todo, &ep->ready);
	list_splice_tail(&todo, &again);
	list_splice_tail(&ep->ready, &todo);
	return n;
}

int64_t epoll_collect(struct task *task, struct file *epfile, gva_t events, int max, uint64_t deadline)
{
	struct epoll *ep = epfile->private_data;
	bool timed_out = deadline == 0, interrupted = false;
	struct waiter w;

	waiter_init_task(&w, task, LINUX_POLLIN);
	for (;;) {
		int64_t ret = list_empty(&ep->ready) ? 0 : collect(task, ep, events, max);
		int err;

		if (ret != 0 || timed_out)
			return ret;
		if (interrupted)
			return -LINUX_EINTR;
		waitq_add(&ep->waitq, &w);
		err = task_block(task, WAIT_INTERRUPTIBLE, deadline);
		waitq_remove(&w);
		/* Either way one more look: an event goes before the end of the wait. */
		timed_out = err == -LINUX_ETIMEDOUT;
		interrupted = err != 0 && !timed_out;
	}
}

/* ---- the instance as a file ---- */

static uint32_t epoll_poll(struct task *task, struct file *file, struct waiter *waiter)
{
	struct epoll *ep = file->private_data;
	struct epitem *item, *tmp;
	uint32_t told = 0;

	if (waiter != NULL)
		waitq_add(&ep->waitq, waiter);
	if (poll_depth == 0)
		poll_steps = 0;
	if (poll_depth > 0 && ++poll_steps > NESTED_STEPS_MAX)
		return 0;
	poll_depth++;
	/* An item may have been ready once and no longer be so: it leaves the list here. */
	list_for_each_safe(item, tmp, &ep->ready, ready_link) {
		if (item_poll(task, item, NULL)) {
			told = LINUX_POLLIN | LINUX_POLLRDNORM;
			break;
		}
		list_del(&item->ready_link);
	}
	poll_depth--;
	return told;
}

static void epoll_release(struct file *file)
{
	struct epoll *ep = file->private_data;
	struct epitem *item, *next;

	RB_FOREACH_SAFE (item, epitem_tree, &ep->items, next)
		item_free(item);
	kfree(ep);
}

static const struct file_ops epoll_fops = {
	.poll = epoll_poll,
	.release = epoll_release,
};

void epoll_for_each(struct file *epfile,
		    void (*fn)(void *arg, int fd, uint32_t events, uint64_t data, struct inode *inode), void *arg)
{
	struct epoll *ep = epfile->private_data;
	struct epitem *item;

	if (!file_is_epoll(epfile))
		return;
	RB_FOREACH (item, epitem_tree, &ep->items)
		fn(arg, item->fd, item->events | ALWAYS_TOLD, item->data, item->file->inode);
}

int epoll_open(struct task *task, bool cloexec)
{
	struct epoll *ep = kzalloc(sizeof(*ep));
	struct file *file;

	if (ep == NULL)
		return -LINUX_ENOMEM;
	RB_INIT(&ep->items);
	list_init(&ep->ready);
	waitq_init(&ep->waitq);
	file = file_new_anon(task, "anon_inode:[eventpoll]", &epoll_fops, LINUX_O_RDWR, ep);
	if (file == NULL) {
		kfree(ep);
		return -LINUX_ENOMEM;
	}
	ep->file = file;
	return fd_install(task, file, 0, cloexec);
}
