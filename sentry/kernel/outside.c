/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes from outside: `exec`.
 *
 *	monitor --CONTROL_EXEC, memfd, descriptors--> outside_exec --> a process without a parent --> its own coroutine:
 *	        descriptors, directory, ids, filter, program --> "started" | "failed"
 *	        ... exit_hook --> "ended", and it is reaped at once: nobody in the sandbox waits for it
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
#include "sentry/host/host.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/loop.h"
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
	control_exec_ended(o->id, group->exit_status);
	outside_free(o);
}

static _Noreturn void cannot_start(struct task *task, struct outside *o, int start_errno, const char *what, int err)
{
	char text[480] = "";

	if (what != NULL)
		snprintf(text, sizeof(text), "cannot start the process: %s: %s", what, strerror(-err));
	control_exec_failed(o->id, start_errno, text);
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

static struct task *new_task(void)
{
	struct cred *cred = cred_new(0, 0);
	struct files *files = files_new();
	struct fs_context *fs = fs_context_new();
	struct task *task;

	if (cred == NULL || files == NULL || fs == NULL)
		return NULL; /* memory is out: the sandbox is about to end, what is lost here is little */
	cred->cap_effective = cred->cap_permitted = cred->cap_bounding = LINUX_CAP_ALL;
	task = task_new_process(cred, files, fs);
	return task;
}

static const struct config *map_config(int fd, const char **bad)
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
	*bad = config_check_process(c);
	if (*bad == NULL)
		return c;
	host_munmap((void *)(uintptr_t)c, sizeof(*c));
	return NULL;
}

void outside_exec(uint32_t id, const int *fds, unsigned nfds)
{
	struct outside *o = nfds >= 1 && nfds <= CONTROL_MAX_FDS ? kzalloc(sizeof(*o)) : NULL;
	const char *bad = "memory is out";
	struct task *task = NULL;

	if (o != NULL) {
		list_init(&o->link);
		list_add_tail(&outsiders, &o->link);
		o->id = id;
		o->cfg = map_config(fds[0], &bad);
		host_close(fds[0]);
		o->nfds = nfds - 1;
		memcpy(o->fds, fds + 1, o->nfds * sizeof(*fds));
		if (o->cfg != NULL && (kernel.init == NULL || kernel.init->exiting))
			bad = "the sandbox is ending";
		else if (o->cfg != NULL)
			task = new_task();
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

void outside_signal(uint32_t id, int sig)
{
	struct linux_siginfo info = {.signo = sig, .code = LINUX_SI_USER};
	struct outside *o = find_id(id);

	if (o == NULL)
		return;
	if (o->tty != NULL && o->tty->session != NULL &&
	    (sig == LINUX_SIGINT || sig == LINUX_SIGQUIT || sig == LINUX_SIGTSTP || sig == LINUX_SIGWINCH))
		tty_signal(o->tty, sig);
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
	struct kill_again *k;

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
	struct thread_group *g = NULL;
	int32_t from = 1;

	memset(&p, 0, sizeof(p));
	p.type = CONTROL_PROCESSES;
	while ((g = group_next(from)) != NULL) {
		struct control_process *e = &p.entry[p.count];
		uint64_t utime, stime;

		from = g->pid + 1;
		if (g->leader == NULL)
			continue;
		group_times(g, &utime, &stime);
		memset(e, 0, sizeof(*e));
		e->pid = g->pid;
		e->ppid = group_ppid(g);
		e->uid = g->leader->cred->uid;
		e->threads = g->nthreads;
		e->id = g->outside_id;
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
