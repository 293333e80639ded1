/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/{stat,statm,status,limits,sched,schedstat}: a process or thread in numbers, in Linux's columns.
 *
 * All times come from the sentry's accounts; start times are counted from the host's boot, as the clocks that the guest
 * reads natively are. Addresses (stack, code) are shown only to who may inspect the process, else 0 or 1.
 * Nothing here sleeps, so the thread shown can't go away meanwhile.
 */
#include "sentry/fs/proc_internal.h"
#include "sentry/host/host.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/tty.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"

#include <string.h>
#include <time.h>

#define U(x) ((unsigned long long)(x))

const char *proc_state_name(char state)
{
	switch (state) {
	case 'R':
		return "R (running)";
	case 'D':
		return "D (disk sleep)";
	case 'T':
		return "T (stopped)";
	case 't':
		return "t (tracing stop)";
	case 'Z':
		return "Z (zombie)";
	case 'X':
		return "X (dead)";
	default:
		return "S (sleeping)";
	}
}

uint64_t proc_boot_ns(uint64_t loop_ns)
{
	uint64_t boot = host_clock_ns(CLOCK_BOOTTIME), mono = host_clock_ns(CLOCK_MONOTONIC);

	return loop_ns + (boot > mono ? boot - mono : 0);
}

/* Handlers by kind, as bit masks. */
static void signal_actions(const struct task *t, uint64_t *ignored, uint64_t *caught)
{
	int i;

	*ignored = *caught = 0;
	if (t->sighand == NULL)
		return;
	for (i = 0; i < LINUX_NSIG; i++) {
		if (t->sighand->action[i].handler == LINUX_SIG_IGN)
			*ignored |= 1ULL << i;
		else if (t->sighand->action[i].handler != LINUX_SIG_DFL)
			*caught |= 1ULL << i;
	}
}

static uint64_t resident_pages(const struct mm *mm)
{
	return mm != NULL && mm->pmm != NULL ? platform->mm_resident(mm->pmm) / PAGE_SIZE : 0;
}

static int stat_priority(const struct task *t)
{
	return t->sched_policy == 1 || t->sched_policy == 2 ? -1 - t->sched_priority : 20 + t->nice;
}

int proc_pid_stat(struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	const struct proc_ref *ref = node_proc(node);
	struct thread_group *g = ref->group;
	struct task *t = node_task(node);
	const struct mm *mm = t->mm;
	const struct session *s = g->pgrp != NULL ? g->pgrp->session : NULL;
	const struct tty *tty = task_tty(t);
	bool inspect = task_may_inspect(task, t);
	struct rusage_account own;
	uint64_t utime, stime, ignored, caught;
	uint64_t start = ref->task != NULL ? t->start_ns : g->start_ns;

	if (ref->task != NULL) {
		task_times(t, &utime, &stime);
		own = t->usage;
	} else {
		group_times(g, &utime, &stime);
		group_usage(g, &own);
	}
	signal_actions(t, &ignored, &caught);

	text_printf(b, "%d (%s) %c %d %d %d %d %d 0 ", ref->task != NULL ? t->tid : g->pid, t->comm, task_state(t),
		    group_ppid(g), g->pgrp != NULL ? g->pgrp->pgid : 0, s != NULL ? s->sid : 0,
		    tty != NULL ? (int)tty->dev : 0,
		    tty == NULL ? -1 : s->foreground != NULL ? s->foreground->pgid : 0);
	text_printf(b, "%llu %llu %llu %llu %llu %llu %lld %lld %d %d %u 0 %llu ", U(own.minflt),
		    U(g->children_usage.minflt), U(own.majflt), U(g->children_usage.majflt), U(utime / NSEC_PER_TICK),
		    U(stime / NSEC_PER_TICK), (long long)(g->children_usage.utime / NSEC_PER_TICK),
		    (long long)(g->children_usage.stime / NSEC_PER_TICK), stat_priority(t), t->nice,
		    g->nthreads, U(proc_boot_ns(start) / NSEC_PER_TICK));
	text_printf(b, "%llu %llu %llu ", U(mm != NULL ? mm->total_pages * PAGE_SIZE : 0), U(resident_pages(mm)),
		    U(g->rlimits[LINUX_RLIMIT_RSS].cur));
	if (mm == NULL || !inspect)
		text_printf(b, "%d %d 0 0 0 ", mm != NULL, mm != NULL);
	else
		text_printf(b, "%llu %llu %llu 0 0 ", U(mm->code_start), U(mm->code_end), U(mm->start_stack));
	signal_mask_look(t);
	/* As in Linux, only the low 31 signals, in decimal. */
	text_printf(b, "%llu %llu %llu %llu 0 0 0 %d 0 %d %d 0 0 0 ", U(t->pending.set & 0x7fffffff),
		    U(t->sigmask & 0x7fffffff), U(ignored & 0x7fffffff), U(caught & 0x7fffffff),
		    ref->task != NULL && t != g->leader ? -1 : g->exit_signal, t->sched_priority, t->sched_policy);
	if (mm == NULL || !inspect)
		text_puts(b, "0 0 0 0 0 0 0 ");
	else
		text_printf(b, "%llu %llu %llu %llu %llu %llu %llu ", U(mm->data_start), U(mm->data_end), U(mm->brk_start),
			    U(mm->arg_start), U(mm->arg_end), U(mm->env_start), U(mm->env_end));
	text_printf(b, "%d\n", inspect && g->zombie ? g->exit_status : 0);
	return 0;
}

/* Pages: size, resident, shared (files), text, library (0), data and stack, dirty (0). */
int proc_pid_statm(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	const struct mm *mm = node_task(node)->mm;

	if (mm == NULL) {
		text_puts(b, "0 0 0 0 0 0 0\n");
		return 0;
	}
	text_printf(b, "%llu %llu %llu %llu 0 %llu 0\n", U(mm->total_pages), U(resident_pages(mm)),
		    U(MIN(mm->exec_pages, resident_pages(mm))),
		    U((PAGE_ALIGN(mm->code_end) - PAGE_DOWN(mm->code_start)) / PAGE_SIZE), U(mm->data_pages + mm->stack_pages));
	return 0;
}

static void status_memory(const struct mm *mm, struct text_buf *b)
{
	uint64_t rss = resident_pages(mm) * 4, file = MIN(mm->exec_pages * 4, rss);
	uint64_t text = (PAGE_ALIGN(mm->code_end) - PAGE_DOWN(mm->code_start)) / KiB;

	text_printf(b,
		    "VmPeak:\t%8llu kB\n"
		    "VmSize:\t%8llu kB\n"
		    "VmLck:\t%8llu kB\n"
		    "VmPin:\t       0 kB\n"
		    "VmHWM:\t%8llu kB\n"
		    "VmRSS:\t%8llu kB\n"
		    "RssAnon:\t%8llu kB\n"
		    "RssFile:\t%8llu kB\n"
		    "RssShmem:\t       0 kB\n"
		    "VmData:\t%8llu kB\n"
		    "VmStk:\t%8llu kB\n"
		    "VmExe:\t%8llu kB\n"
		    "VmLib:\t%8llu kB\n"
		    "VmPTE:\t%8llu kB\n"
		    "VmSwap:\t       0 kB\n"
		    "HugetlbPages:\t       0 kB\n"
		    "CoreDumping:\t0\n"
		    "THP_enabled:\t1\n",
		    U(MAX(mm->peak_pages, mm->total_pages) * 4), U(mm->total_pages * 4), U(mm->locked_pages * 4), U(rss),
		    U(rss), U(rss - file), U(file), U(mm->data_pages * 4), U(mm->stack_pages * 4), U(text),
		    U(mm->exec_pages * 4 > text ? mm->exec_pages * 4 - text : 0), U(4 + mm->total_pages / 512 * 4));
}

/* "0-3" for the first n CPUs of a mask that is otherwise a list. */
static void text_cpu_list(struct text_buf *b, uint64_t mask)
{
	bool first = true;
	unsigned i = 0;

	while (i < 64) {
		unsigned start = i;

		if (!(mask >> i & 1)) {
			i++;
			continue;
		}
		while (i < 64 && (mask >> i & 1))
			i++;
		text_printf(b, i - start == 1 ? "%s%u" : "%s%u-%u", first ? "" : ",", start, i - 1);
		first = false;
	}
	text_puts(b, "\n");
}

static unsigned fd_size(const struct task *t)
{
	unsigned size = 64;
	int fd, last = 0;

	if (t->files == NULL)
		return 0;
	for (fd = files_next(t->files, 0); fd >= 0; fd = files_next(t->files, fd + 1))
		last = fd;
	while (size <= (unsigned)last)
		size *= 2;
	return size;
}

int proc_pid_status(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	const struct proc_ref *ref = node_proc(node);
	struct thread_group *g = ref->group;
	struct task *t = node_task(node);
	const struct cred *c = t->cred;
	uint64_t ignored, caught, cpus, all = kernel.ncpus >= 64 ? UINT64_MAX : (1ULL << kernel.ncpus) - 1;
	uint32_t i;

	text_puts(b, "Name:\t");
	text_escape(b, t->comm, "\n");
	signal_mask_look(t);
	if (t->fs != NULL)
		text_printf(b, "\nUmask:\t%04o", t->fs->umask);
	text_printf(b, "\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
		    proc_state_name(task_state(t)), g->pid, t->tid, group_ppid(g));
	if (c != NULL) {
		text_printf(b, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", c->uid, c->euid, c->suid, c->fsuid, c->gid,
			    c->egid, c->sgid, c->fsgid);
		text_printf(b, "FDSize:\t%u\nGroups:\t", fd_size(t));
		for (i = 0; i < c->ngroups; i++)
			text_printf(b, "%u ", c->groups[i]);
	}
	text_printf(b, "\nNStgid:\t%d\nNSpid:\t%d\nNSpgid:\t%d\nNSsid:\t%d\n", g->pid, t->tid,
		    g->pgrp != NULL ? g->pgrp->pgid : 0, g->pgrp != NULL ? g->pgrp->session->sid : 0);
	text_puts(b, "Kthread:\t0\n");
	if (t->mm != NULL)
		status_memory(t->mm, b);
	signal_actions(t, &ignored, &caught);
	text_printf(b,
		    "Threads:\t%u\nSigQ:\t0/%llu\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\n"
		    "SigCgt:\t%016llx\n",
		    g->nthreads, U(g->rlimits[LINUX_RLIMIT_SIGPENDING].cur), U(t->pending.set), U(g->shared_pending.set),
		    U(t->sigmask), U(ignored), U(caught));
	if (c != NULL)
		text_printf(b, "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n",
			    U(c->cap_inheritable), U(c->cap_permitted), U(c->cap_effective), U(c->cap_bounding),
			    U(c->cap_ambient));
	cpus = t->affinity & all;
	if (cpus == 0)
		cpus = all;
	text_printf(b,
		    "NoNewPrivs:\t%d\nSeccomp:\t%d\nSeccomp_filters:\t%u\nSpeculation_Store_Bypass:\tthread vulnerable\n"
		    "SpeculationIndirectBranch:\tconditional enabled\nCpus_allowed:\t",
		    t->no_new_privs, t->seccomp_mode, seccomp_count(t));
	if (kernel.ncpus > 32)
		text_printf(b, "%08x,%08x", (uint32_t)(cpus >> 32), (uint32_t)cpus);
	else
		text_printf(b, "%x", (uint32_t)cpus);
	text_puts(b, "\nCpus_allowed_list:\t");
	text_cpu_list(b, cpus);
	text_puts(b, "Mems_allowed:\t1\nMems_allowed_list:\t0\n");
	text_printf(b, "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t%llu\n", U(t->usage.nvcsw),
		    U(t->usage.nivcsw));
	return 0;
}

int proc_pid_limits(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	static const struct {
		const char *name, *unit;
	} names[LINUX_RLIM_NLIMITS] = {
		[LINUX_RLIMIT_CPU] = {"Max cpu time", "seconds"},
		[LINUX_RLIMIT_FSIZE] = {"Max file size", "bytes"},
		[LINUX_RLIMIT_DATA] = {"Max data size", "bytes"},
		[LINUX_RLIMIT_STACK] = {"Max stack size", "bytes"},
		[LINUX_RLIMIT_CORE] = {"Max core file size", "bytes"},
		[LINUX_RLIMIT_RSS] = {"Max resident set", "bytes"},
		[LINUX_RLIMIT_NPROC] = {"Max processes", "processes"},
		[LINUX_RLIMIT_NOFILE] = {"Max open files", "files"},
		[LINUX_RLIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
		[LINUX_RLIMIT_AS] = {"Max address space", "bytes"},
		[LINUX_RLIMIT_LOCKS] = {"Max file locks", "locks"},
		[LINUX_RLIMIT_SIGPENDING] = {"Max pending signals", "signals"},
		[LINUX_RLIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
		[LINUX_RLIMIT_NICE] = {"Max nice priority", ""},
		[LINUX_RLIMIT_RTPRIO] = {"Max realtime priority", ""},
		[LINUX_RLIMIT_RTTIME] = {"Max realtime timeout", "us"},
	};
	const struct thread_group *g = node_proc(node)->group;
	unsigned i, j;

	text_puts(b, "Limit                     Soft Limit           Hard Limit           Units     \n");
	for (i = 0; i < LINUX_RLIM_NLIMITS; i++) {
		uint64_t v[2] = {g->rlimits[i].cur, g->rlimits[i].max};

		text_printf(b, "%-25s ", names[i].name);
		for (j = 0; j < 2; j++) {
			if (v[j] == LINUX_RLIM_INFINITY)
				text_printf(b, "%-20s ", "unlimited");
			else
				text_printf(b, "%-20llu ", U(v[j]));
		}
		text_printf(b, "%-10s\n", names[i].unit);
	}
	return 0;
}

int proc_pid_sched(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	struct task *t = node_task(node);
	uint64_t utime, stime;

	task_times(t, &utime, &stime);
	text_printf(b, "%s (%d, #threads: %u)\n", t->comm, t->tid, t->group->nthreads);
	text_puts(b, "-------------------------------------------------------------------\n");
	text_printf(b, "%-45s:%21llu.%06llu\n", "se.sum_exec_runtime", U((utime + stime) / NSEC_PER_MSEC),
		    U((utime + stime) % NSEC_PER_MSEC));
	text_printf(b, "%-45s:%21llu\n", "nr_switches", U(t->usage.nvcsw + t->usage.nivcsw));
	text_printf(b, "%-45s:%21llu\n", "nr_voluntary_switches", U(t->usage.nvcsw));
	text_printf(b, "%-45s:%21llu\n", "nr_involuntary_switches", U(t->usage.nivcsw));
	text_printf(b, "%-45s:%21d\n", "policy", t->sched_policy);
	text_printf(b, "%-45s:%21d\n", "prio", 100 + stat_priority(t));
	return 0;
}

/* Time run, time waited, turns. */
int proc_pid_schedstat(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	struct task *t = node_task(node);
	uint64_t utime, stime;

	task_times(t, &utime, &stime);
	text_printf(b, "%llu 0 %llu\n", U(utime + stime), U(t->usage.nvcsw + t->usage.nivcsw));
	return 0;
}

/* A process's has that of its threads that ended and of its children that were reaped, as in Linux. Nothing reaches a disk. */
int proc_pid_io(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	const struct proc_ref *ref = node_proc(node);
	const struct rusage_account *children = &ref->group->children_usage;
	struct rusage_account u;

	if (ref->task != NULL) {
		u = ref->task->usage;
	} else {
		group_usage(ref->group, &u);
		u.rchar += children->rchar;
		u.wchar += children->wchar;
		u.syscr += children->syscr;
		u.syscw += children->syscw;
	}
	text_printf(b, "rchar: %llu\nwchar: %llu\nsyscr: %llu\nsyscw: %llu\n", U(u.rchar), U(u.wchar), U(u.syscr), U(u.syscw));
	text_puts(b, "read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
	return 0;
}
