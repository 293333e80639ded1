/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup (version 2) that the sandbox is in, as a container sees its own: what programs read to learn their limits
 * (memory.max, cpu.max, pids.max) and their use; in a pod, the container's that reads. Read-only; every process is in it, and there are no others.
 *
 * Left out: controllers' other files, pressure, making and moving (the mount is read-only, as docker's).
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/pseudo.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/usage.h"

#define U(x) ((unsigned long long)(x))

static int memory_max(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct memory_usage m;

	usage_memory(&m);
	text_printf(b, "%llu\n", U(m.total));
	return 0;
}

static int memory_current(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct memory_usage m;

	usage_memory(&m);
	text_printf(b, "%llu\n", U(m.resident + m.files));
	return 0;
}

static int memory_stat(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct memory_usage m;

	usage_memory(&m);
	text_printf(b,
		    "anon %llu\nfile %llu\nkernel 0\nkernel_stack 0\npagetables 0\nsock 0\nshmem %llu\nfile_mapped 0\n"
		    "file_dirty 0\nfile_writeback 0\ninactive_anon %llu\nactive_anon %llu\ninactive_file 0\nactive_file 0\n"
		    "unevictable 0\nslab_reclaimable 0\nslab_unreclaimable 0\nslab 0\npgfault 0\npgmajfault 0\n",
		    U(m.resident), U(m.files), U(m.files), U(m.files), U(m.resident));
	return 0;
}

static int memory_events(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	const struct container *c = container_here();
	uint32_t n = c == &container_first ? kernel.oom_kills : c->oom_kills;

	text_printf(b, "low 0\nhigh 0\nmax %u\noom %u\noom_kill %u\noom_group_kill 0\n", n, n, n);
	return 0;
}

/* Quota and period in us. */
static int cpu_max(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	const struct container *c = container_here();
	uint32_t permille = c != &container_first && c->cpu.permille != 0 ? c->cpu.permille : kernel.cpu_permille;

	if (permille == 0)
		text_puts(b, "max 100000\n");
	else
		text_printf(b, "%llu 100000\n", U(permille) * 100);
	return 0;
}

static int cpu_stat(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct container *c = container_here();
	uint64_t user, sys;

	if (c != &container_first)
		container_times(c, &user, &sys);
	else
		usage_all_times(&user, &sys);
	text_printf(b, "usage_usec %llu\nuser_usec %llu\nsystem_usec %llu\nnr_periods %llu\nnr_throttled %llu\nthrottled_usec %llu\n",
		    U((user + sys) / 1000), U(user / 1000), U(sys / 1000), U(c->cpu.periods), U(c->cpu.throttled_periods),
		    U(c->cpu.throttled_ns / 1000));
	return 0;
}

static int pids_max(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	const struct container *c = container_here();
	uint32_t max = c->max_tasks != 0 ? c->max_tasks : kernel.max_tasks;

	if (max == 0)
		text_puts(b, "max\n");
	else
		text_printf(b, "%u\n", max);
	return 0;
}

static int pids_current(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%u\n", container_here()->ntasks);
	return 0;
}

static int procs_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct thread_group *g;

	for (g = group_next(0); g != NULL; g = group_next(g->pid + 1))
		if (!g->zombie && g->container == container_here())
			text_printf(b, "%d\n", g->pid);
	return 0;
}

static int threads_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct thread_group *g;
	struct task *t;

	for (g = group_next(0); g != NULL; g = group_next(g->pid + 1))
		if (g->container == container_here())
			list_for_each(t, &g->threads, group_link)
				text_printf(b, "%d\n", t->tid);
	return 0;
}

static int cpuset_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, kernel.ncpus <= 1 ? "0\n" : "0-%u\n", kernel.ncpus - 1);
	return 0;
}

static const struct pseudo_entry root_entries[] = {
	P_TEXT("cgroup.controllers", "cpuset cpu memory pids\n"),
	P_TEXT("cgroup.events", "populated 1\nfrozen 0\n"),
	P_TEXT("cgroup.freeze", "0\n"),
	P_TEXT("cgroup.max.depth", "max\n"),
	P_TEXT("cgroup.max.descendants", "max\n"),
	P_FILE("cgroup.procs", 0644, procs_show),
	P_TEXT("cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n"),
	P_TEXT("cgroup.subtree_control", ""),
	P_FILE("cgroup.threads", 0644, threads_show),
	P_TEXT("cgroup.type", "domain\n"),
	P_FILE("cpu.max", 0644, cpu_max),
	P_FILE("cpu.stat", 0444, cpu_stat),
	P_TEXT("cpu.weight", "100\n"),
	P_TEXT("cpuset.cpus", "\n"),
	P_FILE("cpuset.cpus.effective", 0444, cpuset_show),
	P_TEXT("cpuset.mems", "\n"),
	P_TEXT("cpuset.mems.effective", "0\n"),
	P_FILE("memory.current", 0444, memory_current),
	P_FILE("memory.events", 0444, memory_events),
	P_TEXT("memory.high", "max\n"),
	P_TEXT("memory.low", "0\n"),
	P_FILE("memory.max", 0644, memory_max),
	P_TEXT("memory.min", "0\n"),
	P_TEXT("memory.oom.group", "0\n"),
	P_FILE("memory.stat", 0444, memory_stat),
	P_TEXT("memory.swap.current", "0\n"),
	P_TEXT("memory.swap.max", "0\n"),
	P_FILE("pids.current", 0444, pids_current),
	P_TEXT("pids.events", "max 0\n"),
	P_FILE("pids.max", 0644, pids_max),
};
static const struct pseudo_dir root_dir = PSEUDO_DIR(root_entries);
static const struct pseudo_entry root_entry = P_DIR("/", 0755, &root_dir);

struct superblock *cgroup_new_superblock(void)
{
	struct pseudo_fs *fs = kzalloc(sizeof(*fs));

	if (fs == NULL)
		return NULL;
	if (pseudo_fs_init(fs, "cgroup2", LINUX_CGROUP2_SUPER_MAGIC, &root_entry) != 0) {
		kfree(fs);
		return NULL;
	}
	return &fs->sb;
}
