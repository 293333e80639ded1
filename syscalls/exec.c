// SPDX-License-Identifier: Apache-2.0
/*
 * execve(2), execveat(2): fetching path, argv and envp. What happens then is in sentry/kernel/exec.c.
 *
 * Limits as Linux has them: a string of 128 KiB; all strings, the pointers to them and the path a quarter of the
 * stack's limit, at most 6 MiB and at least 128 KiB. Strings and pointers are fetched through two windows,
 * since they mostly lie side by side: one copy serves many.
 */
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"
#include "syscalls/define.h"

#include <stdio.h>
#include <string.h>

#define ARG_STRING_MAX (128 * KiB) /* with its NUL */
#define ARGS_MIN (128 * KiB)
#define ARGS_MAX (6 * MiB)
#define POINTERS_MAX (ARGS_MAX / 8)

#define WINDOW_SIZE (2 * PAGE_SIZE)

/* Of two pages each: the arrays and new strings lie on the heap, most often, and inherited strings above the stack. */
struct windows {
	struct window {
		uint64_t base;
		size_t len;
		char bytes[WINDOW_SIZE];
	} of[2];
	unsigned last; /* used */
};

/* The guest's bytes at `at`: how many there are, at *from. 0: they can't be read. */
static size_t window_at(struct task *task, struct windows *ws, uint64_t at, const char **from)
{
	struct window *w = &ws->of[ws->last];

	if (at - w->base >= w->len) {
		w = &ws->of[ws->last ^= 1];
		if (at - w->base >= w->len) {
			w->base = at & ~(uint64_t)(PAGE_SIZE - 1);
			w->len = copy_from_guest_partial(task, w->bytes, GVA(w->base), sizeof(w->bytes));
			if (at - w->base >= w->len)
				return 0;
		}
	}
	*from = w->bytes + (at - w->base);
	return w->len - (at - w->base);
}

/* Appends the guest's string at `at` to args. */
static int fetch_string(struct task *task, struct windows *ws, uint64_t at, struct exec_args *args)
{
	char *whole = NULL;
	size_t len = 0;
	int err;

	for (;;) {
		const char *from, *nul;
		size_t avail;
		char *bigger;

		avail = window_at(task, ws, at, &from);
		err = -LINUX_EFAULT;
		if (avail == 0)
			goto out;
		nul = memchr(from, '\0', avail);
		if (nul != NULL)
			avail = (size_t)(nul - from);
		err = -LINUX_E2BIG;
		if (len + avail + 1 > ARG_STRING_MAX)
			goto out;
		if (nul != NULL && whole == NULL) {
			err = exec_args_add(args, from, avail);
			goto out;
		}
		bigger = krealloc(whole, len + avail);
		err = -LINUX_ENOMEM;
		if (bigger == NULL)
			goto out;
		whole = bigger;
		memcpy(whole + len, from, avail);
		len += avail;
		if (nul != NULL) {
			err = exec_args_add(args, whole, len);
			goto out;
		}
		at += avail;
	}
out:
	kfree(whole);
	return err;
}

/* The pointers of a NULL-terminated array, without the NULL: *out to kfree. */
static int fetch_pointers(struct task *task, struct windows *ws, gva_t array, uint64_t **out, uint32_t *count)
{
	uint64_t *p = NULL;
	size_t n = 0, cap = 0;

	*out = NULL;
	*count = 0;
	if (array.v == 0)
		return 0; /* Linux takes it for an empty one */
	for (;;) {
		uint64_t at = gva_add(array, n * 8).v;
		const char *from;
		size_t got;

		if (n == POINTERS_MAX) {
			kfree(p);
			return -LINUX_E2BIG;
		}
		if (n == cap) {
			uint64_t *bigger = krealloc(p, (cap = MIN(cap == 0 ? 64 : cap * 2, (size_t)POINTERS_MAX)) * sizeof(*p));

			if (bigger == NULL) {
				kfree(p);
				return -LINUX_ENOMEM;
			}
			p = bigger;
		}
		/* One at a window's end may lie in two. */
		got = MIN(window_at(task, ws, at, &from) / 8, cap - n);
		if (got != 0)
			memcpy(p + n, from, got * 8);
		else
			got = copy_from_guest_partial(task, p + n, GVA(at), 8) / 8;
		if (got == 0) {
			kfree(p);
			return -LINUX_EFAULT;
		}
		for (; got > 0; got--, n++) {
			if (p[n] == 0) {
				*out = p;
				*count = (uint32_t)n;
				return 0;
			}
		}
	}
}

static size_t args_limit(const struct task *task)
{
	uint64_t limit = group_rlimit(task->group, LINUX_RLIMIT_STACK) / 4;

	return MAX(MIN(limit, ARGS_MAX), ARGS_MIN);
}

static int fetch_args(struct task *task, gva_t argv, gva_t envp, struct exec_args *args)
{
	struct windows *w = kmalloc(sizeof(*w));
	uint64_t *a = NULL, *e = NULL;
	uint32_t na = 0, ne = 0;
	size_t fixed;
	int err = -LINUX_ENOMEM;

	if (w == NULL)
		return err;
	w->of[0].base = w->of[0].len = w->of[1].base = w->of[1].len = w->last = 0;
	err = fetch_pointers(task, w, argv, &a, &na);
	if (!err)
		err = fetch_pointers(task, w, envp, &e, &ne);
	if (err)
		goto free;
	args->limit = args_limit(task);
	fixed = (MAX(na, 1U) + (size_t)ne) * 8 + strlen(args->execfn) + 1;
	err = -LINUX_E2BIG;
	if (fixed >= args->limit)
		goto free;
	args->limit -= fixed;
	err = 0;
	for (; !err && args->argc < na; args->argc++)
		err = fetch_string(task, w, a[args->argc], args);
	if (!err && na == 0) {
		/* No program expects argc 0: Linux adds an empty name since 5.18. */
		err = exec_args_add(args, "", 0);
		args->argc = 1;
	}
	for (; !err && args->envc < ne; args->envc++)
		err = fetch_string(task, w, e[args->envc], args);
free:
	kfree(a);
	kfree(e);
	kfree(w);
	return err;
}

/* What the program will see as its own name: /dev/fd/N or /dev/fd/N/name if a descriptor leads to it. */
static char *exec_name(int dirfd, const char *path)
{
	char *name;
	size_t len = strlen(path) + 24;

	if (path[0] == '/' || dirfd == LINUX_AT_FDCWD)
		return kstrdup(path);
	name = kmalloc(len);
	if (name != NULL)
		snprintf(name, len, path[0] != '\0' ? "/dev/fd/%d/%s" : "/dev/fd/%d%s", dirfd, path);
	return name;
}

/* The file that execveat means. A description without a path (memfd) can only be named by itself. */
static int open_program(struct task *task, int dirfd, const char *path, int flags, struct file **out)
{
	unsigned lookup = ((flags & LINUX_AT_SYMLINK_NOFOLLOW) ? 0 : LOOKUP_FOLLOW) |
			  ((flags & LINUX_AT_EMPTY_PATH) ? LOOKUP_EMPTY : 0);

	if (path[0] == '\0' && (flags & LINUX_AT_EMPTY_PATH) != 0 && dirfd >= 0) {
		struct file *file = fd_get_path(task, dirfd);
		int err;

		if (file == NULL)
			return -LINUX_EBADF;
		if (file->path.dentry == NULL && (file->inode->mode & LINUX_S_IFMT) == LINUX_S_IFREG) {
			err = inode_permission(task, file->inode, MAY_EXEC);
			if (!err && file->inode->writers > 0 && !file->inode->busy_ok)
				err = -LINUX_ETXTBSY;
			if (err)
				file_put(file);
			else
				*out = file;
			return err;
		}
		file_put(file);
	}
	return exec_open(task, dirfd, path, lookup, out);
}

static int64_t do_exec(struct task *task, int dirfd, gva_t path, gva_t argv, gva_t envp, int flags)
{
	struct exec_args args = {0};
	struct file *file;
	char *name;
	int err;

	if (flags & ~(int)(LINUX_AT_EMPTY_PATH | LINUX_AT_SYMLINK_NOFOLLOW))
		return -LINUX_EINVAL;
	err = copy_path_from_guest(task, path, &name);
	if (err)
		return err;
	err = -LINUX_ENOENT;
	if (name[0] == '\0' && (flags & LINUX_AT_EMPTY_PATH) == 0)
		goto free_name;
	err = open_program(task, dirfd, name, flags, &file);
	if (err)
		goto free_name;
	args.execfn = exec_name(dirfd, name);
	args.path_inaccessible = name[0] != '/' && dirfd >= 0 && fd_cloexec(task, dirfd);
	err = args.execfn != NULL ? fetch_args(task, argv, envp, &args) : -LINUX_ENOMEM;
	if (!err)
		err = task_exec(task, file, &args);
	exec_args_free(&args);
	file_put(file);
free_name:
	kfree(name);
	return err;
}

SYSCALL_DEFINE3(execve, gva_t, path, gva_t, argv, gva_t, envp)
{
	return do_exec(task, LINUX_AT_FDCWD, path, argv, envp, 0);
}

SYSCALL_DEFINE5(execveat, int, dirfd, gva_t, path, gva_t, argv, gva_t, envp, int, flags)
{
	return do_exec(task, dirfd, path, argv, envp, flags);
}
