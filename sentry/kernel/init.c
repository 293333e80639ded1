/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's start: mounts, descriptors 0-2, the first process.
 *
 *	kernel_start --> coroutine of init: mounts (asks the gofer) --> stdio --> user, cwd --> task_exec --> task's loop
 *
 * The first process is made before there is anything to run, because everything that may sleep needs a task. It works as
 * root of the sandbox until its own credentials are set, just before the exec. A failure up to there is reported as "could
 * not start", with the errno that becomes 126 or 127.
 */
#include "sentry/kernel/init.h"

#include "runtime/config.h"
#include "runtime/core/control_protocol.h"
#include "runtime/core/copy_out_start.h"
#include "runtime/core/root_keep.h"
#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/fs/image.h"
#include "sentry/fs/lower.h"
#include "sentry/fs/bindfs.h"
#include "sentry/fs/memfs.h"
#include "sentry/fs/memfs_changes.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/host/host.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/process_setup.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time.h"
#include "sentry/kernel/tty.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/text.h"
#include "sentry/net/net.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/modify.h"
#include "sentry/vfs/vfs.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>

#define DEFAULT_DISK_LIMIT (4 * GiB)
#define DEFAULT_MAX_TASKS 8192 /* a fork bomb must not reach the host's limit */

static const struct config *cfg;

void kernel_prepare(const struct config *c)
{
	struct sysinfo si;
	uint32_t host_cpus;
	cpu_set_t set;

	cfg = c;
	CPU_ZERO(&set);
	kernel.ncpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
	host_cpus = kernel.ncpus;
	if (c->cpu_permille != 0)
		kernel.ncpus = MAX(1U, MIN(kernel.ncpus, (c->cpu_permille + 999) / 1000));
	kernel.cpu_permille = c->cpu_permille;
	if (c->cpu_permille < 1000 * host_cpus)
		cpu_limit_init(c->cpu_permille);
	kernel.memory_limit = c->memory_bytes;
	if (kernel.memory_limit == 0 && sysinfo(&si) == 0)
		kernel.memory_limit = (uint64_t)si.totalram * si.mem_unit;
	kernel.disk_limit = c->disk_bytes != 0 ? c->disk_bytes : MIN(DEFAULT_DISK_LIMIT, kernel.memory_limit / 2);
	kernel.unprivileged_ports = c->unprivileged_ports;
	kernel.max_tasks = c->max_tasks != 0 ? c->max_tasks : DEFAULT_MAX_TASKS;
	kernel.boot_ns = host_clock_ns(CLOCK_MONOTONIC);
	time_init();
	snprintf(kernel.hostname, sizeof(kernel.hostname), "%s", config_str(c, c->hostname));
	snprintf(kernel.domainname, sizeof(kernel.domainname), "%s",
		 c->domainname != 0 ? config_str(c, c->domainname) : "(none)");
}

/* ---- mounts ---- */

static struct superblock *new_tmpfs(uint32_t mode, uint64_t size, int *err)
{
	return memfs_new_superblock(&(struct memfs_options){.fs_type = "tmpfs", .mode = mode, .size = size}, err);
}

static struct superblock *bind_superblock(struct task *task, const struct config_mount *m, unsigned index, int *err)
{
	struct memfs_options o = {.fs_type = "overlay", .readonly = true};

	if (!(m->flags & LINUX_MS_RDONLY))
		return bindfs_new_superblock(task, index, err);
	o.lower = lower_tree_new((uint16_t)index);
	return o.lower == NULL ? NULL : memfs_new_superblock(&o, err);
}

static struct superblock *mount_superblock(struct task *task, const struct config_mount *m, unsigned index, int *err)
{
	*err = -LINUX_ENOMEM;
	switch (m->kind) {
	case MOUNT_BIND:
		return bind_superblock(task, m, index, err);
	case MOUNT_TMPFS:
	case MOUNT_SHM:
		return new_tmpfs(m->mode != 0 ? m->mode : 01777, m->size, err);
	case MOUNT_PROC:
		return proc_new_superblock();
	case MOUNT_SYSFS:
		return sys_new_superblock();
	case MOUNT_DEV:
		return dev_new_superblock();
	case MOUNT_DEVPTS:
		return devpts_new_superblock();
	case MOUNT_MQUEUE:
		return mqueue_new_superblock();
	case MOUNT_CGROUP:
		return cgroup_new_superblock();
	}
	*err = -LINUX_EINVAL;
	return NULL;
}

static int mount_one(struct task *task, const struct config_mount *m, unsigned bind_index, char *what, size_t size)
{
	const char *target = config_str(cfg, m->target);
	struct superblock *sb;
	struct path where;
	int err;

	snprintf(what, size, "mounting %s", target);
	sb = mount_superblock(task, m, bind_index, &err);
	if (sb == NULL)
		return err;
	err = memfs_make_path(task, target, m->kind == MOUNT_BIND && m->source_is_file, &where);
	if (err < 0)
		return err;
	err = vfs_mount(sb, sb->root, &where, m->flags, config_str(cfg, m->source), config_str(cfg, m->options));
	path_put(&where);
	return err;
}

static int mount_all(struct task *task, char *what, size_t size)
{
	unsigned binds = 0;
	int err;

	for (uint32_t i = 0; i < cfg->nmounts; i++) {
		const struct config_mount *m = &cfg->mounts[i];

		/* The gofer's root 0 is the sandbox's; the binds follow in their order. */
		err = mount_one(task, m, m->kind == MOUNT_BIND ? ++binds : 0, what, size);
		if (err < 0)
			return err;
	}
	return 0;
}

/* A hidden file is gone, as if removed in memory; what can't be removed is covered by something empty. */
static int apply_path_rule(struct task *task, enum config_path_kind kind, const char *name, const struct path *path)
{
	bool dir = inode_is_dir(path->dentry->inode);
	struct superblock *sb;
	struct dentry *cover;
	int err;

	switch (kind) {
	case PATH_READONLY:
		return vfs_mount(path->mount->sb, path->dentry, path, path->mount->flags | LINUX_MS_RDONLY, "none", "");
	case PATH_HIDE:
		if (!dir && vfs_unlink(task, LINUX_AT_FDCWD, name) == 0)
			return 0;
		break;
	case PATH_MASK:
	case PATH_NO_GATE:
		break;
	}
	sb = new_tmpfs(kind == PATH_HIDE ? 0700 : 0755, 0, &err);
	if (sb == NULL)
		return err;
	if (dir)
		return vfs_mount(sb, sb->root, path, LINUX_MS_RDONLY, "none", "");
	err = memfs_make(task, sb->root, "empty", LINUX_S_IFREG | 0444, 0, NULL, 0, 0, &cover);
	if (err < 0)
		return err;
	err = vfs_mount(sb, cover, path, LINUX_MS_RDONLY, "none", "");
	dentry_put(cover);
	return err;
}

/* Is the path on a bind mount? By its words only: what a symlink leads to is the rule's own path. */
static bool on_a_bind(const char *name)
{
	for (uint32_t i = 0; i < cfg->nmounts; i++) {
		const char *target = config_str(cfg, cfg->mounts[i].target);
		size_t len = strlen(target);

		if (cfg->mounts[i].kind == MOUNT_BIND && strncmp(name, target, len) == 0 &&
		    (name[len] == '/' || name[len] == '\0'))
			return true;
	}
	return false;
}

/* Hidden, masked and read-only paths. A path that does not exist needs no hiding. */
static int apply_path_rules(struct task *task, char *what, size_t size)
{
	for (uint32_t i = 0; i < cfg->npaths; i++) {
		const char *name = config_str(cfg, cfg->paths[i].path);
		struct path path;
		int err;

		if (cfg->paths[i].kind == PATH_NO_GATE) {
			err = text_exclude(name);
			if (err < 0)
				return err;
			continue;
		}
		/* The gofer or the image hides what is on the root: here it would cost a question for each. */
		if (cfg->paths[i].kind == PATH_HIDE && !on_a_bind(name))
			continue;
		err = vfs_lookup(task, LINUX_AT_FDCWD, name, 0, &path);
		if (err == -LINUX_ENOENT || err == -LINUX_ENOTDIR)
			continue;
		snprintf(what, size, "the rule for %s", name);
		if (err < 0)
			return err;
		err = apply_path_rule(task, cfg->paths[i].kind, name, &path);
		path_put(&path);
		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- the process ---- */

static int open_stdio(struct task *task)
{
	struct tty *tty;

	for (int fd = 0; fd < 3; fd++) {
		int err = process_open_host_fd(task, fd, fd, &tty);

		if (err < 0)
			return err;
		if (tty != NULL && dev_console() == NULL) {
			dev_set_console(tty);
			tty_set_controlling(task, tty);
		}
	}
	for (uint32_t i = 0; i < cfg->npreserved; i++) {
		int err = process_open_host_fd(task, cfg->preserved[i], 3 + (int)i, &tty);

		if (err < 0)
			return err;
	}
	return 0;
}

static _Noreturn void cannot_start(struct task *task, int start_errno, const char *what, int err)
{
	char text[480] = "";

	if (what != NULL)
		snprintf(text, sizeof(text), "cannot set up the sandbox: %s: %s", what, strerror(-err));
	control_failed(start_errno, text);
	log_debug("start failed: %s (%d)", text, err);
	loop_stop(125);
	for (;;) {
		(void)task;
		coroutine_suspend();
	}
}

static bool start_wanted;

void kernel_start_program(void)
{
	start_wanted = true;
	if (kernel.init != NULL && kernel.init->leader != NULL)
		task_wake(kernel.init->leader);
}

/* `create` wants to know whether there is a program before `start` runs it. */
static void wait_for_start(struct task *task)
{
	int err = process_find_program(task, cfg);

	if (err < 0)
		cannot_start(task, -err, NULL, err);
	control_created();
	while (!start_wanted && !task_dying(task))
		(void)!task_block(task, WAIT_KILLABLE, WAIT_FOREVER);
	if (task_dying(task))
		task_exit_thread(task, task->group->exit_status);
}

/* Runs first on init's coroutine; returns with the program's first context waiting in a full event. */
static void boot_init(struct task *task)
{
	char what[320] = "";
	int err;

	err = mount_all(task, what, sizeof(what));
	if (err == 0)
		init_hosts(task, cfg);
	if (err == 0)
		err = apply_path_rules(task, what, sizeof(what));
	if (cfg->root_readonly && mount_root != NULL)
		mount_root->flags |= LINUX_MS_RDONLY;
	if (err == 0) {
		snprintf(what, sizeof(what), "descriptors 0 to 2");
		err = open_stdio(task);
	}
	if (err == 0) {
		snprintf(what, sizeof(what), "the working directory %s", config_str(cfg, cfg->cwd));
		err = process_enter_cwd(task, cfg);
	}
	if (err == 0) {
		snprintf(what, sizeof(what), "the user's credentials");
		task->group->unkillable = cfg->container_init;
		err = process_become_user(task, cfg);
	}
	if (err == 0) {
		snprintf(what, sizeof(what), "the seccomp filter");
		err = process_install_seccomp(task, cfg);
	}
	if (err < 0)
		cannot_start(task, 0, what, err);
	log_debug("start: mounts are there");
	memfs_started();
	if (cfg->wait_start)
		wait_for_start(task);
	else
		control_started();
	err = process_exec(task, cfg);
	if (err < 0)
		cannot_start(task, -err, NULL, err);
	if (cfg->wait_start)
		control_started();
	log_debug("start: the program is mapped");
}

static bool needs_gofer(void)
{
	bool needed = image_root() == NULL;

	for (uint32_t i = 0; i < cfg->nmounts; i++)
		needed |= cfg->mounts[i].kind == MOUNT_BIND;
	return needed;
}

/* Before there is a task: the gofer is asked on the spot. */
static int mount_root_tree(void)
{
	struct memfs_options root = {.fs_type = "overlay"};
	struct lower_image *image = image_root();
	int err = needs_gofer() ? gofer_client_start(SENTRY_GOFER_FD) : 0;

	for (uint32_t i = 0; image != NULL && err == 0 && i < cfg->npaths; i++)
		if (cfg->paths[i].kind == PATH_HIDE)
			err = image_hide(image, config_str(cfg, cfg->paths[i].path));
	if (err < 0)
		return err;
	root.lower = lower_tree_new(0);
	if (root.lower == NULL)
		return -LINUX_ENOMEM;
	root.lower->image = image;
	return memfs_mount_root(&root, 0, "none", "");
}

int kernel_start(const struct config *c)
{
	int err = mount_root_tree();
	struct cred *cred;
	struct files *files;
	struct fs_context *fs;
	struct task *task;

	(void)c;
	if (err < 0)
		return err;
	cred = cred_new(0, 0);
	files = files_new();
	fs = fs_context_new();
	if (cred == NULL || files == NULL || fs == NULL)
		return -LINUX_ENOMEM;
	cred->cap_effective = cred->cap_permitted = cred->cap_bounding = LINUX_CAP_ALL;
	dev_init();
	err = net_init(cfg, SENTRY_DIAL_FD);
	if (err < 0)
		return err;
	task = task_new_process(cred, files, fs);
	if (task == NULL)
		return -LINUX_ENOMEM;
	kernel.init = task->group;
	task_start_with(task, boot_init);
	return 0;
}

void kernel_shutdown(int wait_status)
{
	if (copy_out_start(cfg, wait_status) || root_keep_start(cfg, wait_status))
		return; /* goes on when the files are out */
	control_ended(wait_status);
	loop_stop(0);
}
