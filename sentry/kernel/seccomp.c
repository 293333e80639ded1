/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's own system call filters.
 *
 * The host's seccomp holds the sandbox; this is the same idea one level up: a program in the sandbox that wants to be
 * confined hands us classic BPF, which task_syscall runs before each call. Filters form a chain, newest first, that
 * children share; all are run, and the strictest answer counts.
 *
 * The guest controls the programs (checked in bpf.c) and their number (bounded as in Linux: 32,768 instructions a
 * chain).
 *
 * The first filter of the chain may be the bundle's own (linux.seccomp), put there before the program began: what it denies
 * is a denial of the sandbox, and goes to the audit log.
 *
 * Left out: SECCOMP_RET_USER_NOTIF and listeners (EINVAL, as without that feature; the action answers ENOSYS), tracers.
 */
#include "sentry/kernel/seccomp.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/bpf.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"
#include "syscalls/dispatch.h"

#include <stdio.h>

#define CHAIN_MAX 32768U
#define FILTER_PENALTY 4U

struct seccomp_filter {
	struct ref ref;
	struct seccomp_filter *prev; /* counted; older */
	bool of_bundle;
	unsigned len;
	struct linux_sock_filter *insns;
};

static void filter_put(struct seccomp_filter *f)
{
	while (f != NULL && ref_put(&f->ref)) {
		struct seccomp_filter *prev = f->prev;

		kfree(f->insns);
		kfree(f);
		f = prev;
	}
}

void seccomp_copy(const struct task *task, struct task *child)
{
	child->seccomp_mode = task->seccomp_mode;
	child->seccomp = task->seccomp;
	if (child->seccomp != NULL)
		ref_get(&child->seccomp->ref);
}

void seccomp_free(struct task *task)
{
	filter_put(task->seccomp);
	task->seccomp = NULL;
}

unsigned seccomp_count(const struct task *task)
{
	const struct seccomp_filter *f;
	unsigned n = 0;

	for (f = task->seccomp; f != NULL; f = f->prev)
		n++;
	return n;
}

/* From now on every call is looked at: the stub must not answer any by itself. */
static void set_mode(struct task *task, int mode)
{
	task->seccomp_mode = mode;
	if (platform->forget != NULL)
		platform->forget(task);
}

int seccomp_set_strict(struct task *task)
{
	if (task->seccomp_mode != LINUX_SECCOMP_MODE_DISABLED && task->seccomp_mode != LINUX_SECCOMP_MODE_STRICT)
		return -LINUX_EINVAL;
	set_mode(task, LINUX_SECCOMP_MODE_STRICT);
	return 0;
}

/* True if `older` is in the chain of `f`. */
static bool is_ancestor(const struct seccomp_filter *older, const struct seccomp_filter *f)
{
	if (older == NULL)
		return true;
	for (; f != NULL; f = f->prev)
		if (f == older)
			return true;
	return false;
}

/* The first thread that has filters we have not, or NULL. */
static struct task *cant_sync(const struct task *task)
{
	struct task *t;

	list_for_each(t, &task->group->threads, group_link) {
		if (t == task || t->exiting)
			continue;
		if (t->seccomp_mode == LINUX_SECCOMP_MODE_STRICT ||
		    (t->seccomp_mode == LINUX_SECCOMP_MODE_FILTER && !is_ancestor(t->seccomp, task->seccomp)))
			return t;
	}
	return NULL;
}

static void sync_threads(struct task *task)
{
	struct task *t;

	list_for_each(t, &task->group->threads, group_link) {
		if (t == task || t->exiting)
			continue;
		filter_put(t->seccomp);
		seccomp_copy(task, t);
		if (platform->forget != NULL)
			platform->forget(t);
		if (task->no_new_privs)
			t->no_new_privs = true;
	}
}

int64_t seccomp_add_filter(struct task *task, uint32_t flags, struct linux_sock_filter *insns, unsigned len)
{
	struct seccomp_filter *f, *walk;
	unsigned total = len;
	struct task *other;
	int64_t err = -LINUX_EINVAL;

	if (task->seccomp_mode == LINUX_SECCOMP_MODE_STRICT ||
	    !bpf_check(insns, len, sizeof(struct linux_seccomp_data)))
		goto free_insns;
	err = -LINUX_ENOMEM;
	for (walk = task->seccomp; walk != NULL; walk = walk->prev)
		total += walk->len + FILTER_PENALTY;
	if (total > CHAIN_MAX)
		goto free_insns;
	if (flags & LINUX_SECCOMP_FLAG_TSYNC) {
		other = cant_sync(task);
		err = other == NULL ? 0 : (flags & LINUX_SECCOMP_FLAG_TSYNC_ESRCH) ? -LINUX_ESRCH : other->tid;
		if (err != 0)
			goto free_insns;
	}
	f = kzalloc(sizeof(*f));
	err = -LINUX_ENOMEM;
	if (f == NULL)
		goto free_insns;
	ref_init(&f->ref);
	f->insns = insns;
	f->len = len;
	f->of_bundle = (flags & SECCOMP_OF_BUNDLE) != 0;
	f->prev = task->seccomp; /* the task's reference is the chain's now */
	task->seccomp = f;
	set_mode(task, LINUX_SECCOMP_MODE_FILTER);
	if (flags & LINUX_SECCOMP_FLAG_TSYNC)
		sync_threads(task);
	return 0;

free_insns:
	kfree(insns);
	return err;
}

/* ---- the question ---- */

static bool strict_allows(int nr)
{
	return nr == 0 /* read */ || nr == 1 /* write */ || nr == 60 /* exit */ || nr == 15 /* rt_sigreturn */;
}

/* *by: the filter that gave the answer; NULL if all allow. */
static uint32_t ask_filters(const struct task *task, const struct linux_seccomp_data *data,
			    const struct seccomp_filter **by)
{
	uint32_t strictest = LINUX_SECCOMP_RET_ALLOW, r;
	const struct seccomp_filter *f;

	*by = NULL;
	for (f = task->seccomp; f != NULL; f = f->prev) {
		r = bpf_run(f->insns, data, sizeof(*data));
		/* As signed numbers the stricter action is the smaller one; the newest filter's data wins. */
		if ((int32_t)(r & LINUX_SECCOMP_RET_ACTION) < (int32_t)(strictest & LINUX_SECCOMP_RET_ACTION)) {
			strictest = r;
			*by = f;
		}
	}
	return strictest;
}

static void siginfo_sys(const struct task *task, int nr, uint32_t reason, struct linux_siginfo *info)
{
	*info = (struct linux_siginfo){.signo = LINUX_SIGSYS, .code = LINUX_SYS_SECCOMP, .errno_ = (int32_t)reason};
	info->sys.call_addr = task->syscall_ip;
	info->sys.syscall = nr;
	info->sys.arch = LINUX_AUDIT_ARCH_X86_64;
}

/* One among others ends in the host too, or nobody would count it: it must be in the trap door for that. */
static _Noreturn void kill_thread(struct task *task, bool whole_process, int sig)
{
	if (whole_process || task->group->nthreads == 1)
		group_exit(task->group, sig);
	else
		(void)platform->context(task, 0); /* what doesn't come there the platform kills */
	task_exit_thread(task, sig);
}

/* ENOSYS is no denial: it answers probes for calls that a profile is too old to know. */
static void tell_denial(struct task *task, int nr, uint32_t answer)
{
	const char *name = nr >= 0 && nr < SYSCALL_MAX ? syscall_table[nr].name : NULL;
	char number[16];

	if (answer == (LINUX_SECCOMP_RET_ERRNO | LINUX_ENOSYS) ||
	    (answer & LINUX_SECCOMP_RET_ACTION) == LINUX_SECCOMP_RET_LOG)
		return;
	snprintf(number, sizeof(number), "%d", nr);
	audit_deny(task, name != NULL ? name : number, "", "seccomp", "the bundle's linux.seccomp refuses the call", NULL);
}

bool seccomp_allows(struct task *task, int nr, const uint64_t args[6], int64_t *ret)
{
	struct linux_seccomp_data data = {nr, LINUX_AUDIT_ARCH_X86_64, task->syscall_ip, {0}};
	const struct seccomp_filter *by;
	struct linux_siginfo info;
	uint32_t answer, reason;
	int i;

	if (task->seccomp_mode == LINUX_SECCOMP_MODE_STRICT) {
		if (strict_allows(nr))
			return true;
		kill_thread(task, false, LINUX_SIGKILL);
	}
	for (i = 0; i < 6; i++)
		data.args[i] = args[i];
	answer = ask_filters(task, &data, &by);
	reason = answer & LINUX_SECCOMP_RET_DATA;
	if (by != NULL && by->of_bundle)
		tell_denial(task, nr, answer);
	switch (answer & LINUX_SECCOMP_RET_ACTION) {
	case LINUX_SECCOMP_RET_ALLOW:
	case LINUX_SECCOMP_RET_LOG:
		return true;
	case LINUX_SECCOMP_RET_ERRNO:
		*ret = -(int64_t)MIN(reason, 4095U);
		return false;
	case LINUX_SECCOMP_RET_TRAP:
		siginfo_sys(task, nr, reason, &info);
		(void)signal_force(task, LINUX_SIGSYS, &info);
		*ret = nr; /* the handler finds RAX as it was, and may set the result */
		return false;
	case LINUX_SECCOMP_RET_TRACE:
	case LINUX_SECCOMP_RET_USER_NOTIF:
		*ret = -LINUX_ENOSYS;
		return false;
	case LINUX_SECCOMP_RET_KILL_THREAD:
		kill_thread(task, false, LINUX_SIGSYS);
	default:
		kill_thread(task, true, LINUX_SIGSYS);
	}
}
