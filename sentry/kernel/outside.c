/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes from outside: `exec`, and the first ones of a pod's further containers.
 *
 *	monitor --CONTROL_EXEC, memfd, descriptors--> outside_exec --> a process without a parent --> its own coroutine:
 *	        descriptors, directory, ids, filter, program --> "started" | "failed"
 *	        ... exit_hook --> "ended", and it is reaped at once: nobody in the sandbox waits for it
 *
 *	monitor --CONTROL_CONTAINER, memfd, gofer's socket, image, descriptors--> outside_container --> a container (container.c), and in
 *	        it a process without a parent --> its own coroutine: root, mounts, then as above --> "created" | "failed"
 *	        ... CONTROL_START --> program --> "started" ... the last of the container has gone --> "ended"
 *
 * Each has a session of its own and sees a parent 0, as in a container of Linux. What it forks carries its number
 * (thread_group.outside_id), so that all of it can be ended when its process on the host is killed. What outlives it is
 * init's to reap.
 *
 * The configuration is the operator's, checked by the monitor and again here; it is mapped read-only, and sealed, until the
 * program runs. Invariant: an entry is on the list from outside_exec until its process's exit hook or failure.
 */
#include "sentry/kernel/outside.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/image.h"
#include "sentry/fs/lower.h"
#include "sentry/fs/memfs.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/mounts.h"
#include "sentry/kernel/process_setup.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/tty.h"
#include "sentry/vfs/vfs.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define KILL_AGAIN (10 * NSEC_PER_MSEC)

struct outside {
	struct list link;
	uint32_t id;
	const struct config *cfg; /* mapped; NULL once the program runs */
	int fds[CONTROL_MAX_FDS]; /* not yet the process's; -1: taken */
	unsigned nfds;
	struct thread_group *group; /* borrowed: it tells us its end */
	struct tty *tty;            /* counted */
	struct container *container; /* it is the first process of this one; NULL: an exec's. Borrowed */
};

static struct list outsiders = LIST_INIT(outsiders);

static struct outside *find_id(uint32_t id)
{
	struct outside *o;

	list_for_each(o, &outsiders, link)
		if (o->id == id)
			return o;
	return NULL;
}

static struct outside *find_group(const struct thread_group *group)
{
	struct outside *o;

	list_for_each(o, &outsiders, link)
		if (o->group == group)
			return o;
	return NULL;
}

static void outside_free(struct outside *o)
{
	list_del(&o->link);
	for (unsigned i = 0; i < o->nfds; i++)
		if (o->fds[i] >= 0)
			host_close(o->fds[i]);
	if (o->cfg != NULL)
		host_munmap((void *)(uintptr_t)o->cfg, sizeof(*o->cfg));
	if (o->tty != NULL)
		tty_put(o->tty);
	kfree(o);
}

static void ended(struct thread_group *group)
{
	struct outside *o = find_group(group);

	if (o == NULL)
		return; /* it was never started, which has been said */
	if (o->container == NULL) /* else it is told when the rest has gone, too */
		control_exec_ended(o->id, group->exit_status);
	outside_free(o);
}

static _Noreturn void cannot_start(struct task *task, struct outside *o, int start_errno, const char *what, int err)
{
	char text[480] = "";

	if (what != NULL)
		snprintf(text, sizeof(text), "cannot %s: %s: %s",
			 o->container != NULL ? "set up the container" : "start the process", what, strerror(-err));
	control_exec_failed(o->id, start_errno, text);
	if (o->container != NULL)
		o->container->told = true;
	outside_free(o);
	task_exit_thread(task, 127 << 8);
}

static int open_descriptors(struct task *task, struct outside *o)
{
	for (unsigned i = 0; i < o->nfds; i++) {
		struct tty *tty;
		int fd = o->fds[i], err;

		o->fds[i] = -1;
		err = process_open_host_fd(task, fd, (int)i, &tty);
		if (err < 0)
			return err;
		if (tty != NULL && o->tty == NULL && o->cfg->terminal) {
			o->tty = tty_get(tty);
			tty_set_controlling(task, tty);
			if (o->container != NULL)
				o->container->console = tty_get(tty);
		}
	}
	return 0;
}

/* On the new task's coroutine. */
static void boot(struct task *task)
{
	struct outside *o = find_group(task->group);
	const char *what = "its descriptors";
	int err;

	if (o == NULL || task_dying(task))
		task_exit_thread(task, task->group->exit_status);
	err = open_descriptors(task, o);
	if (err == 0) {
		what = "its credentials";
		err = process_become_user(task, o->cfg);
	}
	if (err == 0) {
		what = config_str(o->cfg, o->cfg->cwd);
		err = process_enter_cwd(task, o->cfg);
	}
	if (err == 0) {
		what = "the seccomp filter";
		err = process_install_seccomp(task, o->cfg);
	}
	if (err < 0)
		cannot_start(task, o, 0, what, err);
	err = process_exec(task, o->cfg);
	if (err < 0)
		cannot_start(task, o, -err, NULL, err);
	host_munmap((void *)(uintptr_t)o->cfg, sizeof(*o->cfg));
	o->cfg = NULL;
	control_exec_started(o->id, task->group->pid);
}

/* ---- a container's first process ---- */

/* The root directory is on no path of any other container's. */
static int make_root(struct task *task, const struct config *cfg, struct container *c)
{
	struct memfs_options root = {.fs_type = "overlay", .lower = lower_tree_of(c->gofer, 0)};
	struct superblock *sb;
	struct path top;
	int err = 0;

	for (uint32_t i = 0; c->image != NULL && err == 0 && i < cfg->npaths; i++)
		if (cfg->paths[i].kind == PATH_HIDE)
			err = image_hide(c->image, config_str(cfg, cfg->paths[i].path));
	if (err < 0)
		return err;
	err = -LINUX_ENOMEM;
	if (root.lower != NULL)
		root.lower->image = c->image;
	sb = root.lower != NULL ? memfs_new_superblock(&root, &err) : NULL;
	if (sb == NULL)
		return err;
	c->root = vfs_new_root(sb, 0, "none", "");
	if (c->root == NULL)
		return -LINUX_ENOMEM;
	top = (struct path){.mount = c->root, .dentry = sb->root};
	path_get(&top);
	fs_set_root(task->fs, &top);
	path_get(&top);
	fs_set_cwd(task->fs, &top);
	return 0;
}

/* As init.c does for the sandbox's own. */
static void boot_container(struct task *task)
{
	struct outside *o = find_group(task->group);
	struct container *c = task->group->container;
	char what[320] = "its root";
	int err;

	if (o == NULL || task_dying(task))
		task_exit_thread(task, task->group->exit_status);
	err = make_root(task, o->cfg, c);
	if (err == 0)
		err = mounts_make(task, o->cfg, c->gofer, what, sizeof(what));
	if (err == 0) {
		snprintf(what, sizeof(what), "its descriptors");
		err = open_descriptors(task, o);
	}
	if (err == 0) {
		snprintf(what, sizeof(what), "the working directory %s", config_str(o->cfg, o->cfg->cwd));
		err = process_enter_cwd(task, o->cfg);
	}
	if (err == 0) {
		snprintf(what, sizeof(what), "the user's credentials");
		task->group->unkillable = o->cfg->container_init && !c->shares_pids;
		err = process_become_user(task, o->cfg);
	}
	if (err == 0) {
		snprintf(what, sizeof(what), "the seccomp filter");
		err = process_install_seccomp(task, o->cfg);
	}
	if (err < 0)
		cannot_start(task, o, 0, what, err);
	err = process_find_program(task, o->cfg);
	if (err < 0)
		cannot_start(task, o, -err, NULL, err);
	control_container_created(c->id);
	while (!c->start_wanted && !task_dying(task))
		(void)!task_block(task, WAIT_KILLABLE, WAIT_FOREVER);
	if (task_dying(task))
		task_exit_thread(task, task->group->exit_status);
	err = process_exec(task, o->cfg);
	if (err < 0)
		cannot_start(task, o, -err, NULL, err);
	host_munmap((void *)(uintptr_t)o->cfg, sizeof(*o->cfg));
	o->cfg = NULL;
	control_exec_started(o->id, task->group->pid);
}

void outside_start(uint32_t id)
{
	struct container *c = container_find(id);

	if (c == NULL || c->init == NULL || c->init->leader == NULL)
		return;
	c->start_wanted = true;
	task_wake(c->init->leader);
}

/* ---- making them ---- */

static struct task *new_task(struct container *c)
{
	struct cred *cred = cred_new(0, 0);
	struct files *files = files_new();
	struct fs_context *fs = fs_context_new();
	struct task *task;

	if (cred == NULL || files == NULL || fs == NULL)
		return NULL; /* memory is out: the sandbox is about to end, what is lost here is little */
	cred->cap_effective = cred->cap_permitted = cred->cap_bounding = LINUX_CAP_ALL;
	cred->all_ids = true;
	if (c != &container_first && c->root != NULL) {
		struct path top = {.mount = c->root, .dentry = c->root->root};

		path_get(&top);
		fs_set_root(fs, &top);
		path_get(&top);
		fs_set_cwd(fs, &top);
	}
	task = task_new_process_in(c, c == &container_first ? pid_space_first() : c->pids, cred, files, fs);
	return task;
}

static const struct config *map_config(int fd, bool whole, const char **bad)
{
	const struct config *c;
	struct stat st;
	int err;

	*bad = "no configuration came along";
	if (host_fstat(fd, &st) < 0 || st.st_size != (int64_t)sizeof(*c))
		return NULL;
	c = host_mmap(sizeof(*c), PROT_READ, MAP_PRIVATE, fd, 0, &err);
	if (c == NULL)
		return NULL;
	*bad = whole ? config_check(c) : config_check_process(c);
	if (*bad == NULL)
		return c;
	host_munmap((void *)(uintptr_t)c, sizeof(*c));
	return NULL;
}

void outside_exec(uint32_t id, uint32_t container, const int *fds, unsigned nfds)
{
	struct container *c = container_find(container);
	struct outside *o = nfds >= 1 && nfds <= CONTROL_MAX_FDS ? kzalloc(sizeof(*o)) : NULL;
	const char *bad = "memory is out";
	struct task *task = NULL;

	if (o != NULL) {
		list_init(&o->link);
		list_add_tail(&outsiders, &o->link);
		o->id = id;
		o->cfg = map_config(fds[0], false, &bad);
		host_close(fds[0]);
		o->nfds = nfds - 1;
		memcpy(o->fds, fds + 1, o->nfds * sizeof(*fds));
		if (o->cfg != NULL && (kernel.init == NULL || kernel.init->exiting))
			bad = "the sandbox is ending";
		else if (o->cfg != NULL && (c == NULL || c->ending || (c != &container_first && c->root == NULL)))
			bad = "the container is not there yet, or not any more";
		else if (o->cfg != NULL)
			task = new_task(c);
	} else {
		for (unsigned i = 0; i < nfds; i++)
			host_close(fds[i]);
	}
	if (task == NULL) {
		control_exec_failed(id, 0, bad != NULL ? bad : "memory is out");
		if (o != NULL)
			outside_free(o);
		return;
	}
	o->group = task->group;
	task->group->outside_id = id;
	task->group->exit_hook = ended;
	task_start_with(task, boot);
}

/* What the root and the binds are served from: the first of the descriptors, which it takes. NULL, or what is wrong. */
static const char *take_root(struct outside *o, struct container *c, uint32_t root)
{
	static char text[240];
	const char *why;
	unsigned n = 0;

	if (root & CONTAINER_ROOT_GOFER) {
		c->gofer = gofer_client_new(o->fds[n]);
		if (c->gofer == NULL)
			return "memory is out";
		o->fds[n++] = -1; /* the client's */
	}
	if (root & CONTAINER_ROOT_IMAGE) {
		c->image = image_new(o->fds[n], &why);
		o->fds[n++] = -1;
		if (c->image == NULL) {
			snprintf(text, sizeof(text), "the root image: %s", why);
			return text;
		}
	}
	/* What is left are its stdio and what was preserved. */
	o->nfds -= n;
	memmove(o->fds, o->fds + n, o->nfds * sizeof(*o->fds));
	return NULL;
}

/* Does the configuration need what came along, and no more? Else a bind might be looked for at somebody else's gofer. */
static bool root_fits(const struct config *cfg, uint32_t root)
{
	bool gofer = cfg->image_fd < 0;

	for (uint32_t i = 0; i < cfg->nmounts; i++)
		gofer |= cfg->mounts[i].kind == MOUNT_BIND;
	return root == ((gofer ? CONTAINER_ROOT_GOFER : 0U) | (cfg->image_fd >= 0 ? CONTAINER_ROOT_IMAGE : 0U));
}

/* Takes what came along into o and the container. NULL, or what is wrong. */
static const char *take_container(struct outside *o, struct container *c, uint32_t root, uint32_t pids_of, int cfg_fd)
{
	struct container *other = pids_of == CONTAINER_OWN_PIDS ? NULL : container_find(pids_of);
	const char *bad;

	o->cfg = map_config(cfg_fd, true, &bad);
	if (o->cfg == NULL)
		return bad;
	if (!root_fits(o->cfg, root))
		return "its root is not what the configuration says";
	bad = take_root(o, c, root);
	if (bad != NULL)
		return bad;
	if (pids_of != CONTAINER_OWN_PIDS && (other == NULL || other->ending))
		return "the container whose processes it is to share has ended";
	c->shares_pids = other != NULL;
	c->pids = other == NULL ? pid_space_new() : other == &container_first ? pid_space_first() : other->pids;
	if (c->pids == NULL)
		return "memory is out";
	c->max_tasks = o->cfg->max_tasks;
	c->memory_limit = o->cfg->memory_bytes;
	cpu_limit_init(&c->cpu, o->cfg->cpu_permille);
	return kernel.init == NULL || kernel.init->exiting ? "the sandbox is ending" : NULL;
}

void outside_container(uint32_t id, uint32_t root, uint32_t pids_of, const int *fds, unsigned nfds)
{
	struct outside *o = nfds >= 5 && nfds <= CONTROL_MAX_FDS ? kzalloc(sizeof(*o)) : NULL;
	struct container *c = o != NULL ? container_new(id) : NULL;
	const char *bad = "memory is out";
	struct task *task = NULL;

	if (c == NULL) {
		for (unsigned i = 0; i < nfds; i++)
			host_close(fds[i]);
		kfree(o);
		control_exec_failed(id, 0, bad);
		return;
	}
	list_init(&o->link);
	list_add_tail(&outsiders, &o->link);
	o->id = id;
	o->container = c;
	o->nfds = nfds - 1;
	memcpy(o->fds, fds + 1, o->nfds * sizeof(*fds));
	bad = take_container(o, c, root, pids_of, fds[0]);
	host_close(fds[0]);
	if (bad == NULL) {
		task = new_task(c);
		if (task == NULL)
			bad = "memory is out, or there are too many processes";
	}
	if (task == NULL) {
		control_exec_failed(id, 0, bad);
		c->told = c->ending = true;
		if (container_group_ended(c, false, 0)) /* nobody is there: what it has goes */
			container_finish(c, NULL);
		outside_free(o);
		return;
	}
	c->init = task->group;
	o->group = task->group;
	task->group->outside_id = id;
	task->group->exit_hook = ended;
	task_start_with(task, boot_container);
}

void outside_signal(uint32_t id, int sig)
{
	struct linux_siginfo info = {.signo = sig, .code = LINUX_SI_USER};
	struct outside *o = find_id(id);

	if (o == NULL)
		return;
	if (o->tty != NULL && o->tty->session != NULL &&
	    (sig == LINUX_SIGINT || sig == LINUX_SIGQUIT || sig == LINUX_SIGTSTP || sig == LINUX_SIGWINCH))
		tty_signal(o->tty, sig);
	else if (o->container != NULL && sig == LINUX_SIGKILL)
		signal_kill_group(o->group); /* pid 1 too: what protects it is for those inside */
	else
		(void)signal_send_group(o->group, sig, &info);
}

/* ---- the end of all that came of one ---- */

struct kill_again {
	struct ktimer timer;
	uint32_t id;
};

static bool kill_all(uint32_t id)
{
	struct thread_group *g;
	bool any = false;

	list_for_each(g, &kernel.groups, all_link) {
		if (g->outside_id != id || g->zombie)
			continue;
		signal_kill_group(g);
		any = true;
	}
	return any;
}

/* A fork that was on its way may have added one: until nothing is left. */
static void kill_once_more(struct ktimer *t)
{
	struct kill_again *k = container_of(t, struct kill_again, timer);

	if (kill_all(k->id))
		ktimer_set(t, loop_now() + KILL_AGAIN);
	else
		kfree(k);
}

void outside_kill(uint32_t id)
{
	struct container *c = container_find(id);
	struct kill_again *k;

	if (id != 0 && c != NULL) { /* a container's: the rest is container.c's to see to */
		container_kill(c);
		return;
	}
	if (id == 0 || !kill_all(id))
		return;
	k = kzalloc(sizeof(*k));
	if (k == NULL)
		return;
	k->id = id;
	ktimer_init(&k->timer, kill_once_more);
	ktimer_set(&k->timer, loop_now() + KILL_AGAIN);
}

/* ---- ps ---- */

void outside_list(void (*part)(const struct control_processes *p))
{
	static struct control_processes p;
	struct thread_group *g;

	memset(&p, 0, sizeof(p));
	p.type = CONTROL_PROCESSES;
	list_for_each(g, &kernel.groups, all_link) {
		struct control_process *e = &p.entry[p.count];
		uint64_t utime, stime;

		if (g->leader == NULL)
			continue;
		group_times(g, &utime, &stime);
		memset(e, 0, sizeof(*e));
		e->pid = g->pid;
		e->ppid = group_ppid(g);
		e->uid = g->leader->cred->uid;
		e->threads = g->nthreads;
		e->id = g->outside_id;
		e->container = g->container->id;
		e->cpu_ms = (uint32_t)((utime + stime) / NSEC_PER_MSEC);
		e->age_ms = (loop_now() - g->start_ns) / NSEC_PER_MSEC;
		e->state = task_state(g->leader);
		memcpy(e->name, g->leader->comm, strnlen(g->leader->comm, sizeof(g->leader->comm)));
		if (++p.count == CONTROL_PROCESSES_MAX) {
			part(&p);
			p.count = 0;
		}
	}
	if (p.count != 0)
		part(&p);
	p.count = 0;
	part(&p);
}
