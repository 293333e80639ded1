/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memfs over a lower tree that the real gofer serves from a child process, for tests: no sandbox, no guest. The boot
 * task stands for the caller, and the gofer's client waits on the spot. Criterion runs each test in a process of its own.
 */
#ifndef TESTS_UNIT_FS_FIXTURE_H
#define TESTS_UNIT_FS_FIXTURE_H

#include "runtime/core/gofer.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/bindfs.h"
#include "sentry/fs/lower.h"
#include "sentry/fs/memfs.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/modify.h"
#include "sentry/vfs/vfs.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FX __attribute__((unused)) static

static char fx_dir[64];
static struct gofer_root fx_roots[2];

FX void fx_remove_dir(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", fx_dir);
	if (fx_dir[0] != '\0' && system(cmd) != 0)
		fprintf(stderr, "%s was left behind\n", fx_dir);
}

/* A fresh directory on the host. */
FX const char *fixture_dir(void)
{
	snprintf(fx_dir, sizeof(fx_dir), "/tmp/sbx-unit-XXXXXX");
	cr_assert_not_null(mkdtemp(fx_dir));
	atexit(fx_remove_dir);
	return fx_dir;
}

FX int sh(const char *fmt, ...)
{
	char cmd[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

/* Starts a gofer: root 0 is dir, read-only, root 1 is rw (NULL: none), writable. hide: a path of root 0, or NULL. */
FX void fixture_gofer(const char *dir, const char *rw, const char *hide)
{
	int pair[2], parent = getpid();

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	fx_roots[1].fd = -1;
	gofer_root_init(&fx_roots[0], open(dir, O_PATH), false);
	if (rw != NULL)
		gofer_root_init(&fx_roots[1], open(rw, O_PATH), true);
	if (hide != NULL)
		cr_assert_eq(gofer_root_hide(&fx_roots[0], hide), 0);
	gofer_share_init();
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		close(pair[0]);
		umask(0);
		_exit(gofer_serve(pair[1], fx_roots, 2) != 0);
	}
	close(pair[1]);
	cr_assert_eq(gofer_client_start(pair[0]), 0);
}

/* "/": memfs over gofer root 0, or an empty tmpfs. */
FX void fixture_root(bool lower)
{
	struct memfs_options o = {.fs_type = lower ? "overlay" : "tmpfs", .mode = 0755};

	kernel.disk_limit = UINT64_MAX;
	if (lower) {
		o.lower = lower_tree_new(0);
		cr_assert_not_null(o.lower);
	}
	cr_assert_eq(memfs_mount_root(&o, 0, "none", ""), 0);
}

#define boot vfs_boot_task()

FX struct file *fx_open(const char *path, uint32_t flags, uint32_t mode, int *err)
{
	struct file *file = NULL;

	*err = vfs_open(boot, LINUX_AT_FDCWD, path, flags, mode, 0, &file);
	return *err == 0 ? file : NULL;
}

FX int fx_write_file(const char *path, const char *text)
{
	struct iobuf buf;
	int64_t n;
	int err;
	struct file *file = fx_open(path, LINUX_O_WRONLY | LINUX_O_CREAT | LINUX_O_TRUNC, 0644, &err);

	if (file == NULL)
		return err;
	iobuf_init_mem(&buf, (void *)(uintptr_t)text, strlen(text));
	n = vfs_write(boot, file, &buf, NULL);
	file_put(file);
	return n == (int64_t)strlen(text) ? 0 : n < 0 ? (int)n : -LINUX_EIO;
}

FX char *fx_read_file(const char *path)
{
	struct kstat st;
	char *text;
	int err;
	struct file *file = fx_open(path, LINUX_O_RDONLY, 0, &err);

	if (file == NULL)
		return NULL;
	cr_assert_eq(vfs_getattr(boot, file->inode, &file->path, &st), 0);
	text = calloc(1, st.size + 1);
	cr_assert_eq(vfs_read_mem(boot, file, text, st.size, 0), (int64_t)st.size);
	file_put(file);
	return text;
}

FX int fx_lookup(const char *path, struct path *out)
{
	return vfs_lookup(boot, LINUX_AT_FDCWD, path, 0, out);
}

FX int fx_stat(const char *path, struct kstat *st)
{
	struct path p;
	int err = fx_lookup(path, &p);

	if (err != 0)
		return err;
	err = vfs_getattr(boot, p.dentry->inode, &p, st);
	path_put(&p);
	return err;
}

FX int fx_link(const char *old, const char *name)
{
	struct path p;
	int err = fx_lookup(old, &p);

	if (err != 0)
		return err;
	err = vfs_link(boot, &p, LINUX_AT_FDCWD, name);
	path_put(&p);
	return err;
}

FX int fx_truncate(const char *path, int64_t len)
{
	struct path p;
	int err = fx_lookup(path, &p);

	if (err != 0)
		return err;
	err = vfs_truncate(boot, &p, len);
	path_put(&p);
	return err;
}

FX int fx_chmod(const char *path, uint32_t mode)
{
	struct iattr attr = {.valid = ATTR_MODE | ATTR_CTIME, .mode = mode, .ctime = {.sec = 1}};
	struct path p;
	int err = vfs_lookup(boot, LINUX_AT_FDCWD, path, LOOKUP_FOLLOW, &p);

	if (err != 0)
		return err;
	err = vfs_setattr(boot, &p, p.dentry->inode, &attr);
	path_put(&p);
	return err;
}

/* ---- listings ---- */

struct fx_names {
	struct dir_emit emit;
	char *text;
	size_t len, cap;
	unsigned n, max;
};

FX bool fx_add(struct dir_emit *emit, const char *name, size_t len, uint64_t ino, uint32_t type, int64_t off)
{
	struct fx_names *s = (struct fx_names *)emit;

	(void)ino;
	(void)type;
	(void)off;
	if (s->n == s->max)
		return false;
	s->n++;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return true;
	while (s->len + len + 2 > s->cap) {
		s->cap = s->cap != 0 ? s->cap * 2 : 256;
		s->text = realloc(s->text, s->cap);
	}
	memcpy(s->text + s->len, name, len);
	s->len += len;
	s->text[s->len++] = '\n';
	s->text[s->len] = '\0';
	return true;
}

/* Names of a directory, a line each, read `step` at a time. */
FX char *fx_list_by(const char *path, unsigned step)
{
	struct fx_names s = {.emit = {.add = fx_add}};
	int err;
	struct file *file = fx_open(path, LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0, &err);

	if (file == NULL)
		return NULL;
	s.text = calloc(1, 1);
	s.cap = 1;
	do {
		s.n = 0;
		s.max = step;
		cr_assert_eq(vfs_iterate(boot, file, &s.emit), 0);
	} while (s.n != 0);
	file_put(file);
	return s.text;
}

FX char *fx_list(const char *path)
{
	return fx_list_by(path, 1000000);
}

FX int fx_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The tree below path, sorted: type, mode, size and hash of files, targets of links. */
FX void fx_tree(const char *path, FILE *out)
{
	char *names = fx_list(path), *name, *save = NULL, **all = NULL;
	size_t n = 0;

	cr_assert_not_null(names, "%s", path);
	for (name = strtok_r(names, "\n", &save); name != NULL; name = strtok_r(NULL, "\n", &save)) {
		all = realloc(all, (n + 1) * sizeof(*all));
		all[n++] = name;
	}
	if (n != 0)
		qsort(all, n, sizeof(*all), fx_compare);
	for (size_t i = 0; i < n; i++) {
		char sub[4096], *text, *target;
		struct kstat st;
		struct path p;

		snprintf(sub, sizeof(sub), "%s/%s", strcmp(path, "/") == 0 ? "" : path, all[i]);
		cr_assert_eq(fx_stat(sub, &st), 0, "%s", sub);
		fprintf(out, "%s %o", sub, st.mode);
		switch (st.mode & LINUX_S_IFMT) {
		case LINUX_S_IFREG: {
			uint64_t h = 14695981039346656037ULL;

			text = fx_read_file(sub);
			for (size_t j = 0; j < st.size; j++)
				h = (h ^ (uint8_t)text[j]) * 1099511628211ULL;
			fprintf(out, " %llu %u %llx", (unsigned long long)st.size, st.nlink, (unsigned long long)h);
			free(text);
			break;
		}
		case LINUX_S_IFLNK:
			cr_assert_eq(fx_lookup(sub, &p), 0);
			cr_assert_eq(vfs_readlink(boot, &p, &target), 0);
			path_put(&p);
			fprintf(out, " %s", target);
			kfree(target);
			break;
		case LINUX_S_IFDIR:
			fprintf(out, " %u", st.nlink);
			break;
		default:
			break;
		}
		fputc('\n', out);
		if ((st.mode & LINUX_S_IFMT) == LINUX_S_IFDIR)
			fx_tree(sub, out);
	}
	free(all);
	free(names);
}

#endif
