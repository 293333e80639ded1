/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's start: mounts, descriptors 0-2, the first process.
 *
 *	kernel_start --> coroutine of init: mounts (mounts.c, asks the gofer) --> stdio --> user, cwd --> task_exec --> task's loop
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
#include "sentry/kernel/container.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/mounts.h"
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

static const struct config *cfg;

void kernel_prepare(const struct config *c)
{
	struct sysinfo si;
	uint32_t host_cpus;
	cpu_set_t set;

	cfg = c;
	ids_init(c);
	CPU_ZERO(&set);
	kernel.ncpus = sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
	host_cpus = kernel.ncpus;
	if (c->cpu_permille != 0)
		kernel.ncpus = MAX(1U, MIN(kernel.ncpus, (c->cpu_permille + 999) / 1000));
	kernel.cpu_permille = c->cpu_permille;
	if (c->cpu_permille < 1000 * host_cpus)
		cpu_limit_init(&container_first.cpu, c->cpu_permille);
	kernel.memory_limit = c->memory_bytes;
	if (kernel.memory_limit == 0 && sysinfo(&si) == 0)
		kernel.memory_limit = (uint64_t)si.totalram * si.mem_unit;
	kernel.disk_limit = c->disk_bytes != 0 ? c->disk_bytes : MIN(CONFIG_DEFAULT_DISK, kernel.memory_limit / 2);
	kernel.unprivileged_ports = c->unprivileged_ports;
	kernel.max_tasks = c->max_tasks != 0 ? c->max_tasks : CONFIG_DEFAULT_TASKS;
	kernel.boot_ns = host_clock_ns(CLOCK_MONOTONIC);
	time_init();
	snprintf(kernel.hostname, sizeof(kernel.hostname), "%s", config_str(c, c->hostname));
	snprintf(kernel.domainname, sizeof(kernel.domainname), "%s",
		 c->domainname != 0 ? config_str(c, c->domainname) : "(none)");
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

	err = mounts_make(task, cfg, NULL, what, sizeof(what));
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
	cred->all_ids = true;
	dev_init();
	err = net_init(cfg, SENTRY_DIAL_FD, SENTRY_UDP_FD);
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
