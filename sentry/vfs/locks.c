/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on files.
 *
 *	FLOCK   flock(2): the whole file, owned by the open file description
 *	POSIX   fcntl(F_SETLK): byte ranges, owned by the process (its descriptor table, as in Linux)
 *	OFD     fcntl(F_OFD_SETLK): byte ranges, owned by the open file description
 *
 * All locks of an inode stand on one list (inode->locks), which exists while there is a lock or somebody waits for one.
 * flock locks conflict only with flock locks; POSIX and OFD locks with each other. A waiter sleeps on the list's queue,
 * is woken by every change, and tries again; whom it waits for is kept in blocked_list, where F_SETLKW looks for a
 * circle of POSIX owners (EDEADLK). A lock never outlives its owner: locks_close_fd, locks_release_file.
 *
 * Invariants: the ranges of one owner and kind don't overlap on an inode, and neighbours of the same type are merged;
 * the list of ranges is sorted by nothing (they are few: a linear walk).
 *
 * The guest controls the number of ranges: LOCKS_PER_OWNER bounds what one owner may hold on one inode, so that a walk
 * stays short. Left out: mandatory locks (gone from Linux too), leases, F_CANCELLK.
 */
#include "sentry/vfs/locks.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/list.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#define LOCKS_PER_OWNER 16384U

enum lock_kind { LOCK_FLOCK, LOCK_POSIX, LOCK_OFD };

struct file_lock {
	struct list link;
	enum lock_kind kind;
	const void *owner;   /* struct file, or struct files for POSIX; never dereferenced */
	int type;            /* LINUX_F_RDLCK, LINUX_F_WRLCK */
	int32_t pid;         /* who set it, for F_GETLK; -1 for OFD */
	uint64_t start, end; /* bytes start..end, both in it; end INT64_MAX: to the end of file */
};

struct file_lock_list {
	struct list locks;     /* struct file_lock */
	struct waitq waitq;    /* woken when a lock went or shrank */
	struct list all_link;  /* all_lists */
	struct inode *inode;   /* borrowed */
	uint32_t sleepers;     /* tasks in wait_for; they keep the list */
};

/* A task asleep for a POSIX lock; lives on its stack. */
struct blocked {
	struct list link;
	const void *owner;   /* who waits */
	const void *blocker; /* the POSIX owner it waits for */
};

static struct list all_lists = LIST_INIT(all_lists);
static struct list blocked_list = LIST_INIT(blocked_list);

static bool same_family(enum lock_kind a, enum lock_kind b)
{
	return (a == LOCK_FLOCK) == (b == LOCK_FLOCK);
}

static bool same_owner(const struct file_lock *a, const struct file_lock *b)
{
	return a->kind == b->kind && a->owner == b->owner;
}

static bool overlap(const struct file_lock *a, const struct file_lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

/* The first lock in want's way, or NULL. */
static struct file_lock *find_conflict(const struct file_lock_list *l, const struct file_lock *want)
{
	struct file_lock *it;

	list_for_each(it, &l->locks, link)
		if (same_family(it->kind, want->kind) && !same_owner(it, want) && overlap(it, want) &&
		    (it->type == LINUX_F_WRLCK || want->type == LINUX_F_WRLCK))
			return it;
	return NULL;
}

static struct file_lock_list *get_list(struct inode *inode)
{
	struct file_lock_list *l = inode->locks;

	if (l != NULL)
		return l;
	l = kzalloc(sizeof(*l));
	if (l == NULL)
		return NULL;
	list_init(&l->locks);
	waitq_init(&l->waitq);
	l->inode = inode;
	list_add_tail(&all_lists, &l->all_link);
	inode->locks = l;
	return l;
}

static void drop_list_if_unused(struct inode *inode)
{
	struct file_lock_list *l = inode->locks;

	if (l == NULL || l->sleepers != 0 || !list_empty(&l->locks))
		return;
	invariant(!waitq_active(&l->waitq));
	list_del(&l->all_link);
	inode->locks = NULL;
	kfree(l);
}

static void remove_lock(struct file_lock *lock)
{
	list_del(&lock->link);
	kfree(lock);
}

/*
 * Gives want's range to its owner with want's type (LINUX_F_UNLCK: to nobody): cuts the owner's old ranges out of it,
 * then adds it, merged with neighbours of the same type. -LINUX_ENOMEM and -LINUX_ENOLCK leave everything as it was.
 */
static int set_range(struct file_lock_list *l, const struct file_lock *want)
{
	struct file_lock *it, *tmp, *added = NULL, *right = NULL;
	uint32_t count = 0;

	list_for_each(it, &l->locks, link)
		if (same_owner(it, want))
			count++;
	if (count >= LOCKS_PER_OWNER && want->type != LINUX_F_UNLCK)
		return -LINUX_ENOLCK;
	/* At most one new piece for the lock, one where an old range is cut in two. Both first: no failure later. */
	if (want->type != LINUX_F_UNLCK) {
		added = kmalloc(sizeof(*added));
		if (added == NULL)
			return -LINUX_ENOMEM;
		*added = *want;
		list_init(&added->link);
	}
	right = kmalloc(sizeof(*right));
	if (right == NULL) {
		kfree(added);
		return -LINUX_ENOMEM;
	}
	list_for_each_safe(it, tmp, &l->locks, link) {
		if (!same_owner(it, want))
			continue;
		if (added != NULL && it->type == added->type) {
			/* Touching or overlapping: becomes part of the new one. */
			bool before = it->end < added->start && it->end + 1 != added->start;
			bool after = it->start > added->end && added->end + 1 != it->start;

			if (!before && !after) {
				added->start = MIN(added->start, it->start);
				added->end = MAX(added->end, it->end);
				remove_lock(it);
			}
			continue;
		}
		if (!overlap(it, want))
			continue;
		if (it->start >= want->start && it->end <= want->end) {
			remove_lock(it);
		} else if (it->start < want->start && it->end > want->end) {
			*right = *it;
			right->start = want->end + 1;
			it->end = want->start - 1;
			list_add(&it->link, &right->link);
			right = NULL;
			break; /* the owner's ranges don't overlap: nothing else can lie in it */
		} else if (it->start < want->start) {
			it->end = want->start - 1;
		} else {
			it->start = want->end + 1;
		}
	}
	kfree(right);
	if (added != NULL)
		list_add_tail(&l->locks, &added->link);
	waitq_wake(&l->waitq, 0);
	return 0;
}

/* Would `owner`, asleep for a lock of `blocker`, wait for itself? */
static bool would_deadlock(const void *owner, const void *blocker)
{
	/* A chain can't be longer than the number of sleepers, unless it is a circle that doesn't hold owner. */
	for (unsigned depth = 0; depth < 64; depth++) {
		struct blocked *b;
		const void *next = NULL;

		if (blocker == owner)
			return true;
		list_for_each(b, &blocked_list, link)
			if (b->owner == blocker) {
				next = b->blocker;
				break;
			}
		if (next == NULL)
			return false;
		blocker = next;
	}
	return false;
}

/* Sleeps until want's conflict may be gone. 0: try again. */
static int wait_for(struct task *task, struct file_lock_list *l, const struct file_lock *want,
		    const struct file_lock *conflict)
{
	struct blocked b = {.owner = want->owner, .blocker = conflict->owner};
	bool posix = want->kind == LOCK_POSIX && conflict->kind == LOCK_POSIX;
	int err;

	if (posix && would_deadlock(want->owner, conflict->owner))
		return -LINUX_EDEADLK;
	list_init(&b.link);
	if (posix)
		list_add_tail(&blocked_list, &b.link);
	l->sleepers++;
	err = task_wait(task, &l->waitq, WAIT_INTERRUPTIBLE);
	l->sleepers--;
	list_del(&b.link);
	return err;
}

static int apply(struct task *task, struct inode *inode, const struct file_lock *want, bool wait)
{
	struct file_lock_list *l;
	struct file_lock *conflict;
	int err = 0;

	if (want->type == LINUX_F_UNLCK && inode->locks == NULL)
		return 0;
	l = get_list(inode);
	if (l == NULL)
		return -LINUX_ENOMEM;
	while (want->type != LINUX_F_UNLCK && (conflict = find_conflict(l, want)) != NULL) {
		err = wait ? wait_for(task, l, want, conflict) : -LINUX_EAGAIN;
		if (err)
			break;
	}
	if (err == 0)
		err = set_range(l, want);
	drop_list_if_unused(inode);
	return err;
}

int locks_flock(struct task *task, struct file *file, int op)
{
	struct file_lock want = {.kind = LOCK_FLOCK, .owner = file, .pid = task->group->pid, .end = INT64_MAX};
	struct file_lock *it, *tmp;

	switch (op & ~LINUX_LOCK_NB) {
	case LINUX_LOCK_SH:
		want.type = LINUX_F_RDLCK;
		break;
	case LINUX_LOCK_EX:
		want.type = LINUX_F_WRLCK;
		break;
	case LINUX_LOCK_UN:
		want.type = LINUX_F_UNLCK;
		break;
	default:
		return -LINUX_EINVAL;
	}
	/* Changing the type is not atomic: the old lock goes first, as flock(2) says. */
	if (want.type != LINUX_F_UNLCK && file->inode->locks != NULL)
		list_for_each_safe(it, tmp, &file->inode->locks->locks, link)
			if (same_owner(it, &want) && it->type != want.type) {
				remove_lock(it);
				waitq_wake(&file->inode->locks->waitq, 0);
			}
	return apply(task, file->inode, &want, (op & LINUX_LOCK_NB) == 0);
}

/* A guest's struct flock as a range. */
static int range_from_flock(struct file *file, const struct linux_flock *fl, struct file_lock *out)
{
	int64_t base, start, end;

	switch (fl->whence) {
	case LINUX_SEEK_SET:
		base = 0;
		break;
	case LINUX_SEEK_CUR:
		base = file->pos;
		break;
	case LINUX_SEEK_END:
		base = (int64_t)file->inode->size;
		break;
	default:
		return -LINUX_EINVAL;
	}
	if (__builtin_add_overflow(base, fl->start, &start))
		return -LINUX_EOVERFLOW;
	if (start < 0)
		return -LINUX_EINVAL;
	if (fl->len > 0) {
		if (__builtin_add_overflow(start, fl->len - 1, &end))
			return -LINUX_EOVERFLOW;
	} else if (fl->len < 0) {
		if (__builtin_add_overflow(start, fl->len, &base) || base < 0)
			return -LINUX_EINVAL;
		end = start - 1;
		start = base;
	} else {
		end = INT64_MAX;
	}
	out->start = (uint64_t)start;
	out->end = (uint64_t)end;
	return 0;
}

static int prepare(struct task *task, struct file *file, int cmd, const struct linux_flock *fl, struct file_lock *want)
{
	bool ofd = cmd == LINUX_F_OFD_GETLK || cmd == LINUX_F_OFD_SETLK || cmd == LINUX_F_OFD_SETLKW;

	if (ofd && fl->pid != 0)
		return -LINUX_EINVAL;
	*want = (struct file_lock){
		.kind = ofd ? LOCK_OFD : LOCK_POSIX,
		.owner = ofd ? (const void *)file : (const void *)task->files,
		.type = fl->type,
		.pid = ofd ? -1 : task->group->pid,
	};
	return range_from_flock(file, fl, want);
}

int locks_set(struct task *task, struct file *file, int cmd, const struct linux_flock *fl)
{
	struct file_lock want;
	int err = prepare(task, file, cmd, fl, &want);

	if (err)
		return err;
	switch (fl->type) {
	case LINUX_F_RDLCK:
		if (!(file->mode & FMODE_READ))
			return -LINUX_EBADF;
		break;
	case LINUX_F_WRLCK:
		if (!(file->mode & FMODE_WRITE))
			return -LINUX_EBADF;
		break;
	case LINUX_F_UNLCK:
		break;
	default:
		return -LINUX_EINVAL;
	}
	return apply(task, file->inode, &want, cmd == LINUX_F_SETLKW || cmd == LINUX_F_OFD_SETLKW);
}

int locks_get(struct task *task, struct file *file, int cmd, struct linux_flock *fl)
{
	struct file_lock want, *conflict = NULL;
	int err;

	/* F_UNLCK asks OFD locks for any lock of its own kind in the range: Linux 6.13; before, EINVAL as here. */
	if (fl->type != LINUX_F_RDLCK && fl->type != LINUX_F_WRLCK)
		return -LINUX_EINVAL;
	err = prepare(task, file, cmd, fl, &want);
	if (err)
		return err;
	if (file->inode->locks != NULL)
		conflict = find_conflict(file->inode->locks, &want);
	if (conflict == NULL) {
		fl->type = LINUX_F_UNLCK;
		return 0;
	}
	fl->type = (int16_t)conflict->type;
	fl->whence = LINUX_SEEK_SET;
	fl->start = (int64_t)conflict->start;
	fl->len = conflict->end == INT64_MAX ? 0 : (int64_t)(conflict->end - conflict->start + 1);
	fl->pid = conflict->pid;
	return 0;
}

static void drop_owner(struct inode *inode, enum lock_kind kind, const void *owner)
{
	struct file_lock_list *l = inode->locks;
	struct file_lock *it, *tmp;
	bool any = false;

	list_for_each_safe(it, tmp, &l->locks, link)
		if (it->kind == kind && it->owner == owner) {
			remove_lock(it);
			any = true;
		}
	if (any)
		waitq_wake(&l->waitq, 0);
}

void locks_close_fd(struct file *file, struct files *owner)
{
	if (file->inode == NULL || file->inode->locks == NULL)
		return;
	drop_owner(file->inode, LOCK_POSIX, owner);
	drop_list_if_unused(file->inode);
}

void locks_release_file(struct file *file)
{
	if (file->inode == NULL || file->inode->locks == NULL)
		return;
	drop_owner(file->inode, LOCK_FLOCK, file);
	drop_owner(file->inode, LOCK_OFD, file);
	drop_list_if_unused(file->inode);
}

void locks_free(struct inode *inode)
{
	struct file_lock_list *l = inode->locks;
	struct file_lock *it, *tmp;

	if (l == NULL)
		return;
	list_for_each_safe(it, tmp, &l->locks, link)
		remove_lock(it);
	drop_list_if_unused(inode);
}

void locks_for_each(void (*fn)(void *arg, const struct lock_view *view), void *arg)
{
	struct file_lock_list *l;
	struct file_lock *it;

	list_for_each(l, &all_lists, all_link)
		list_for_each(it, &l->locks, link) {
			struct lock_view v = {(int)it->kind, it->type, it->pid, it->start, it->end, l->inode};

			fn(arg, &v);
		}
}
