/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's side of --copy-out: when init has ended (by itself, by a signal, or because a limit is reached and the
 * monitor said CONTROL_FINISH; it then kills us after some seconds), a task of the kernel's own walks the files asked for
 * and writes them to the command as records (runtime/copy_out.h), then lets the sandbox end.
 *
 *	init ends --> copy_out_start --> everybody else is killed; coroutine of our task --> walk --> records -->
 *shutdown
 *
 * The walk keeps a list of directories still to be read instead of recursing: depth and breadth are the guest's, and
 *the list is the sandbox's memory like any other. What a name leads to is looked at without following links (only the
 *item's own path is followed, as the operator wrote it). proc, sys and devices' filesystems are left out.
 *
 * The pipe is written to with blocking writes: nobody else is to be served any more. If the command is gone, so are we.
 */
#include "runtime/copy_out.h"

#include "runtime/config.h"
#include "runtime/core/copy_out_start.h"
#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/trace/names.h"
#include "sentry/vfs/vfs.h"

#include <stdio.h>
#include <string.h>

/* A name on one of the walk's lists: relative to the item. */
struct pending {
	struct list link;
	size_t len;
	char name[];
};

static const struct config *cfg;
static int wait_status;
static bool broken; /* the command doesn't listen any more */
static uint16_t item;

static void put_bytes(const void *p, size_t len)
{
	while (len > 0 && !broken) {
		int64_t n = host_write(cfg->copy_out_fd, p, len);

		if (n <= 0) {
			broken = true;
			return;
		}
		p = (const char *)p + n;
		len -= (size_t)n;
	}
}

static void put_record(struct copy_out_record *r, enum copy_out_kind kind, const char *name, const void *data,
		       size_t len)
{
	r->magic = COPY_OUT_MAGIC;
	r->item = item;
	r->kind = (uint16_t)kind;
	r->name_len = (uint32_t)strlen(name);
	r->len = (uint32_t)len;
	put_bytes(r, sizeof(*r));
	put_bytes(name, r->name_len);
	put_bytes(data, len);
}

static void put_plain(enum copy_out_kind kind, const char *name, const char *data)
{
	struct copy_out_record r = {0};

	put_record(&r, kind, name, data, strlen(data));
}

static void put_failure(const char *name, int err)
{
	const char *e = errno_name(-err);

	log_debug("copy-out: %d in item %u", err, item);
	put_plain(COPY_OUT_FAILED, name,
		  err == -LINUX_ENOENT ? "no such file in the sandbox"
		  : e != NULL          ? e
				       : "failed");
}

static bool all_zero(const char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* The contents, holes left out. 0 or -errno. */
static int put_contents(struct task *task, struct file *file, uint64_t size)
{
	struct copy_out_record r = {0};
	char *buf = kmalloc(COPY_OUT_DATA_MAX);
	int64_t pos = 0, n = 0;

	if (buf == NULL)
		return -LINUX_ENOMEM;
	while (!broken && (uint64_t)pos < size) {
		int64_t data = vfs_llseek(task, file, pos, LINUX_SEEK_DATA);

		if (data == -LINUX_ENXIO)
			break;
		if (data > pos)
			pos = data;
		n = vfs_read_mem(task, file, buf, COPY_OUT_DATA_MAX, pos);
		if (n <= 0)
			break;
		if (!all_zero(buf, (size_t)n)) {
			r.offset = (uint64_t)pos;
			put_record(&r, COPY_OUT_DATA, "", buf, (size_t)n);
		}
		pos += n;
		task_yield(task);
	}
	kfree(buf);
	r.offset = size;
	put_record(&r, COPY_OUT_SIZE, "", NULL, 0);
	return n < 0 ? (int)n : 0;
}

static int put_file(struct task *task, const char *full, const char *rel, const struct kstat *st)
{
	struct copy_out_record r = {
		.mode = st->mode & 07777, .mtime_sec = st->mtime.sec, .mtime_nsec = (uint32_t)st->mtime.nsec};
	struct file *file;
	int err = vfs_open(task, LINUX_AT_FDCWD, full, LINUX_O_RDONLY | LINUX_O_NONBLOCK, 0, 0, &file);

	if (err < 0)
		return err;
	put_record(&r, COPY_OUT_FILE, rel, NULL, 0);
	err = put_contents(task, file, st->size);
	file_put(file);
	return err;
}

/* ---- directories ---- */

struct collector {
	struct dir_emit emit;
	struct list names;
	bool failed;
};

static bool collect(struct dir_emit *emit, const char *name, size_t len, unused_arg uint64_t ino,
		    unused_arg uint32_t type, unused_arg int64_t off)
{
	struct collector *c = container_of(emit, struct collector, emit);
	struct pending *p;

	if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
		return true;
	p = kmalloc(sizeof(*p) + len + 1);
	if (p == NULL) {
		c->failed = true;
		return false;
	}
	p->len = len;
	memcpy(p->name, name, len);
	p->name[len] = '\0';
	list_init(&p->link);
	list_add_tail(&c->names, &p->link);
	return true;
}

static void free_list(struct list *l)
{
	while (!list_empty(l)) {
		struct pending *p = list_first(l, struct pending, link);

		list_del(&p->link);
		kfree(p);
	}
}

/* The item's path and what is beneath it; false if that is longer than a path can be. */
static bool join(char out[LINUX_PATH_MAX], const char *base, const char *rel)
{
	const char *slash = *rel == '\0' || base[strlen(base) - 1] == '/' ? "" : "/";

	return snprintf(out, LINUX_PATH_MAX, "%s%s%s", base, slash, rel) < LINUX_PATH_MAX;
}

static bool walkable(const struct path *path)
{
	static const char *const not_files[] = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "devtmpfs"};
	const char *type = path->dentry->sb->fs_type;

	for (unsigned i = 0; i < ARRAY_LEN(not_files); i++)
		if (strcmp(type, not_files[i]) == 0)
			return false;
	return true;
}

/* One name: its record, and for a directory its place on the list. buf is a path's worth of memory. */
static int put_entry(struct task *task, char *buf, const char *base, const char *rel, struct list *dirs)
{
	struct copy_out_record r = {0};
	struct pending *p;
	struct path path;
	struct kstat st;
	char *target;
	int err;

	if (!join(buf, base, rel)) {
		put_plain(COPY_OUT_SKIPPED, "", "");
		return 0;
	}
	err = vfs_lookup(task, LINUX_AT_FDCWD, buf, *rel == '\0' ? LOOKUP_FOLLOW : 0, &path);
	if (err < 0)
		return err;
	err = vfs_getattr(task, path.dentry->inode, &path, &st);
	if (err < 0)
		goto put_path;
	r.mode = st.mode & 07777;
	switch (st.mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		err = put_file(task, buf, rel, &st);
		break;
	case LINUX_S_IFLNK:
		err = vfs_readlink(task, &path, &target);
		if (err == 0) {
			put_record(&r, COPY_OUT_SYMLINK, rel, target, strlen(target));
			kfree(target);
		}
		break;
	case LINUX_S_IFDIR:
		if (!walkable(&path))
			break;
		p = kmalloc(sizeof(*p) + strlen(rel) + 1);
		if (p == NULL) {
			err = -LINUX_ENOMEM;
			break;
		}
		put_record(&r, COPY_OUT_DIR, rel, NULL, 0);
		p->len = strlen(rel);
		memcpy(p->name, rel, p->len + 1);
		list_init(&p->link);
		list_add_tail(dirs, &p->link);
		break;
	default:
		put_plain(COPY_OUT_SKIPPED, rel, "");
	}
put_path:
	path_put(&path);
	return err;
}

static int put_directory(struct task *task, char *buf, char *child, const char *base, const char *rel,
			 struct list *dirs)
{
	struct collector c = {.emit = {.add = collect}, .names = LIST_INIT(c.names)};
	struct file *file;
	int err;

	if (!join(buf, base, rel))
		return -LINUX_ENAMETOOLONG;
	err = vfs_open(task, LINUX_AT_FDCWD, buf, LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0, 0, &file);
	if (err < 0)
		return err;
	err = vfs_iterate(task, file, &c.emit);
	file_put(file);
	if (c.failed)
		err = -LINUX_ENOMEM;
	while (err >= 0 && !broken && !list_empty(&c.names)) {
		struct pending *p = list_first(&c.names, struct pending, link);

		if (*rel == '\0' ? snprintf(child, LINUX_PATH_MAX, "%s", p->name) < LINUX_PATH_MAX
				 : join(child, rel, p->name))
			err = put_entry(task, buf, base, child, dirs);
		if (err < 0 && err != -LINUX_ENOMEM) {
			const char *e = errno_name(-err);

			put_plain(COPY_OUT_SKIPPED, child, e != NULL ? e : "can't be read");
			err = 0;
		}
		list_del(&p->link);
		kfree(p);
		task_yield(task);
	}
	free_list(&c.names);
	return err < 0 ? err : 0;
}

static void copy_item(struct task *task, const char *base)
{
	struct list dirs = LIST_INIT(dirs);
	char *buf = kmalloc(LINUX_PATH_MAX), *child = kmalloc(LINUX_PATH_MAX);
	int err = buf == NULL || child == NULL ? -LINUX_ENOMEM : put_entry(task, buf, base, "", &dirs);

	while (err == 0 && !broken && !list_empty(&dirs)) {
		struct pending *p = list_first(&dirs, struct pending, link);

		list_del(&p->link);
		err = put_directory(task, buf, child, base, p->name, &dirs);
		kfree(p);
	}
	if (err < 0)
		put_failure("", err);
	else
		put_plain(COPY_OUT_END, "", "");
	free_list(&dirs);
	kfree(buf);
	kfree(child);
}

static void copy_all(struct task *task)
{
	for (item = 0; item < cfg->ncopy_out && !broken; item++)
		copy_item(task, config_str(cfg, cfg->copy_out[item]));
	host_close(cfg->copy_out_fd);
	control_ended(wait_status);
	loop_stop(0);
	for (;;)
		coroutine_suspend();
}

bool copy_out_start(const struct config *c, int status)
{
	struct path root = {.mount = mount_root};
	struct cred *cred;
	struct files *files;
	struct fs_context *fs;
	struct thread_group *g;
	struct task *task;

	if (c->ncopy_out == 0 || c->copy_out_fd < 0 || mount_root == NULL)
		return false;
	cfg = c;
	wait_status = status;
	list_for_each(g, &kernel.groups, all_link) if (g != kernel.init && !g->zombie) group_exit(g, LINUX_SIGKILL);
	/* What the guest may have used up is no reason to lose what it made. */
	alloc_set_limit(UINT64_MAX);
	cred = cred_new(0, 0);
	files = files_new();
	fs = fs_context_new();
	if (cred == NULL || files == NULL || fs == NULL)
		return false;
	cred->cap_effective = cred->cap_permitted = LINUX_CAP_ALL;
	cred->all_ids = true;
	root.dentry = mount_root->root;
	fs_set_root(fs, &root);
	fs_set_cwd(fs, &root);
	task = task_new_process(cred, files, fs);
	if (task == NULL)
		return false;
	task_start_with(task, copy_all);
	return true;
}
