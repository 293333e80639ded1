/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor tables.
 *
 * An array of descriptions with two bitmaps beside it (open, close-on-exec), growing by doubling up to FD_MAX. The lowest
 * free number is found in the open bitmap from a hint that is never above it. Tables are shared by CLONE_FILES and
 * copied by fork. No function here sleeps between looking at the table and changing it.
 *
 * The guest controls descriptor numbers and how many there are: bounded by RLIMIT_NOFILE, and by FD_MAX whatever that
 * says.
 */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/locks.h"

#include <string.h>

#define FD_MAX (1U << 20) /* /proc/sys/fs/nr_open */
#define FD_FIRST 64U      /* slots of a new table */
#define WORD 64U

struct files {
	struct ref ref;
	uint32_t cap;        /* slots; a multiple of WORD */
	uint32_t hint;       /* no free slot lies below it */
	uint32_t nopen;
	struct file **slot;  /* counted */
	uint64_t *open, *cloexec;
};

static bool test_bit(const uint64_t *map, uint32_t i)
{
	return (map[i / WORD] >> (i % WORD)) & 1;
}

static void set_bit(uint64_t *map, uint32_t i, bool on)
{
	if (on)
		map[i / WORD] |= 1ULL << (i % WORD);
	else
		map[i / WORD] &= ~(1ULL << (i % WORD));
}

/* Makes room for cap slots (a multiple of WORD). Nothing changes on failure. */
static int files_grow(struct files *f, uint32_t cap)
{
	struct file **slot = kcalloc(cap, sizeof(struct file *));
	uint64_t *bits = kcalloc(2UL * (cap / WORD), sizeof(*bits));

	if (slot == NULL || bits == NULL) {
		kfree(slot);
		kfree(bits);
		return -LINUX_ENOMEM;
	}
	if (f->cap != 0) {
		memcpy(slot, f->slot, f->cap * sizeof(struct file *));
		memcpy(bits, f->open, f->cap / 8);
		memcpy(bits + cap / WORD, f->cloexec, f->cap / 8);
		kfree(f->slot);
		kfree(f->open);
	}
	f->slot = slot;
	f->open = bits; /* both bitmaps are one block */
	f->cloexec = bits + cap / WORD;
	f->cap = cap;
	return 0;
}

static int files_need(struct files *f, uint32_t fd)
{
	uint32_t cap = MAX(f->cap, FD_FIRST);

	if (fd < f->cap)
		return 0;
	while (cap <= fd)
		cap *= 2;
	return files_grow(f, cap);
}

struct files *files_new(void)
{
	struct files *f = kzalloc(sizeof(*f));

	if (f == NULL)
		return NULL;
	ref_init(&f->ref);
	if (files_grow(f, FD_FIRST) != 0) {
		kfree(f);
		return NULL;
	}
	return f;
}

struct files *files_dup(struct files *old)
{
	struct files *f = kzalloc(sizeof(*f));
	uint32_t cap = FD_FIRST;

	if (f == NULL)
		return NULL;
	ref_init(&f->ref);
	for (uint32_t w = 0; w < old->cap / WORD; w++)
		if (old->open[w] != 0)
			cap = MAX(cap, (w + 1) * WORD);
	if (files_grow(f, cap) != 0) {
		kfree(f);
		return NULL;
	}
	cap = MIN(cap, old->cap);
	memcpy(f->open, old->open, cap / 8);
	memcpy(f->cloexec, old->cloexec, cap / 8);
	for (int fd = files_next(old, 0); fd >= 0; fd = files_next(old, fd + 1))
		f->slot[fd] = file_get(old->slot[fd]);
	f->hint = old->hint;
	f->nopen = old->nopen;
	return f;
}

struct files *files_get(struct files *f)
{
	ref_get(&f->ref);
	return f;
}

int files_unshare(struct task *task)
{
	struct files *old = task->files, *own;

	if (old->ref.count == 1)
		return 0;
	own = files_dup(old);
	if (own == NULL)
		return -LINUX_ENOMEM;
	task->files = own;
	files_put(task, old);
	return 0;
}

/* Takes fd's description out of the table; the caller owns its reference. NULL if there is none. */
static struct file *take(struct files *f, uint32_t fd)
{
	struct file *file;

	if (fd >= f->cap || !test_bit(f->open, fd))
		return NULL;
	file = f->slot[fd];
	f->slot[fd] = NULL;
	set_bit(f->open, fd, false);
	set_bit(f->cloexec, fd, false);
	f->hint = MIN(f->hint, fd);
	f->nopen--;
	return file;
}

static void put_in(struct files *f, uint32_t fd, struct file *file, bool cloexec)
{
	f->slot[fd] = file;
	set_bit(f->open, fd, true);
	set_bit(f->cloexec, fd, cloexec);
	f->nopen++;
}

/* What close(2) does to a description besides dropping the reference, which it takes. */
static int finish_close(struct task *task, struct files *owner, struct file *file)
{
	int err = 0;

	if (!(file->mode & FMODE_PATH)) {
		if (file->inode->locks != NULL)
			locks_close_fd(file, owner);
		if (file->ops->flush != NULL)
			err = file->ops->flush(task, file);
	}
	file_put(file);
	return err;
}

void files_put(struct task *task, struct files *f)
{
	unsigned closed = 0;

	if (f == NULL || !ref_put(&f->ref))
		return;
	for (int fd = files_next(f, 0); fd >= 0; fd = files_next(f, fd + 1)) {
		(void)finish_close(task, f, take(f, (uint32_t)fd));
		if (++closed % 1024 == 0 && task != NULL && task == task_current())
			task_yield(task);
	}
	kfree(f->slot);
	kfree(f->open);
	kfree(f);
}

struct file *files_peek(struct files *f, int fd)
{
	if (fd < 0 || (uint32_t)fd >= f->cap || !test_bit(f->open, (uint32_t)fd))
		return NULL;
	return file_get(f->slot[fd]);
}

struct file *fd_get_path(struct task *task, int fd)
{
	return files_peek(task->files, fd);
}

struct file *fd_get(struct task *task, int fd)
{
	struct files *f = task->files;

	if (fd < 0 || (uint32_t)fd >= f->cap || !test_bit(f->open, (uint32_t)fd) || (f->slot[fd]->mode & FMODE_PATH))
		return NULL;
	return file_get(f->slot[fd]);
}

static uint32_t fd_limit(const struct task *task)
{
	return (uint32_t)MIN(task->group->rlimits[LINUX_RLIMIT_NOFILE].cur, (uint64_t)FD_MAX);
}

/* The lowest free slot >= from; cap if all are taken. */
static uint32_t lowest_free(const struct files *f, uint32_t from)
{
	for (uint32_t w = from / WORD; w < f->cap / WORD; w++) {
		uint64_t free = ~f->open[w];

		if (w == from / WORD)
			free &= ~0ULL << (from % WORD);
		if (free != 0)
			return w * WORD + (uint32_t)__builtin_ctzll(free);
	}
	return MAX(f->cap, from);
}

int fd_install(struct task *task, struct file *file, int min, bool cloexec)
{
	struct files *f = task->files;
	uint32_t limit = fd_limit(task), fd;
	int err;

	if (min < 0 || (uint32_t)min >= limit) {
		err = min < 0 ? -LINUX_EINVAL : -LINUX_EMFILE;
		goto put_file;
	}
	fd = lowest_free(f, MAX((uint32_t)min, f->hint));
	if (fd >= limit) {
		err = -LINUX_EMFILE;
		goto put_file;
	}
	err = files_need(f, fd);
	if (err != 0)
		goto put_file;
	put_in(f, fd, file, cloexec);
	if ((uint32_t)min <= f->hint)
		f->hint = fd + 1;
	return (int)fd;

put_file:
	file_put(file);
	return err;
}

int fd_install_at(struct task *task, struct file *file, int fd, bool cloexec)
{
	struct files *f = task->files;
	struct file *old;
	int err;

	if (fd < 0 || (uint32_t)fd >= fd_limit(task)) {
		file_put(file);
		return -LINUX_EBADF;
	}
	err = files_need(f, (uint32_t)fd);
	if (err != 0) {
		file_put(file);
		return err;
	}
	old = take(f, (uint32_t)fd);
	put_in(f, (uint32_t)fd, file, cloexec);
	if (old != NULL)
		(void)finish_close(task, f, old);
	return fd;
}

int fd_close(struct task *task, int fd)
{
	struct file *file = fd < 0 ? NULL : take(task->files, (uint32_t)fd);

	if (file == NULL)
		return -LINUX_EBADF;
	return finish_close(task, task->files, file);
}

void files_close_on_exec(struct task *task)
{
	struct files *f = task->files;

	for (uint32_t w = 0; w < f->cap / WORD; w++) {
		while (f->cloexec[w] != 0) {
			uint32_t fd = w * WORD + (uint32_t)__builtin_ctzll(f->cloexec[w]);

			(void)finish_close(task, f, take(f, fd));
		}
	}
}

bool fd_cloexec(struct task *task, int fd)
{
	struct files *f = task->files;

	return fd >= 0 && (uint32_t)fd < f->cap && test_bit(f->cloexec, (uint32_t)fd);
}

int fd_set_cloexec(struct task *task, int fd, bool on)
{
	struct files *f = task->files;

	if (fd < 0 || (uint32_t)fd >= f->cap || !test_bit(f->open, (uint32_t)fd))
		return -LINUX_EBADF;
	set_bit(f->cloexec, (uint32_t)fd, on);
	return 0;
}

uint32_t files_count(const struct files *f)
{
	uint32_t n = 0;

	for (uint32_t w = 0; w < f->cap / WORD; w++)
		n += (uint32_t)__builtin_popcountll(f->open[w]);
	return n;
}

int files_next(struct files *f, int from)
{
	if (from < 0)
		from = 0;
	for (uint32_t w = (uint32_t)from / WORD; w < f->cap / WORD; w++) {
		uint64_t open = f->open[w];

		if (w == (uint32_t)from / WORD)
			open &= ~0ULL << ((uint32_t)from % WORD);
		if (open != 0)
			return (int)(w * WORD + (uint32_t)__builtin_ctzll(open));
	}
	return -1;
}
