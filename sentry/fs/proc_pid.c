/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID and /proc/PID/task/TID: the tables, who may look, and the small files.
 *
 * Everybody may see that a process exists, its names and numbers; its memory map, environment, descriptors and
 * directories only who could trace it (task_may_inspect). The guest writes comm, oom_score_adj, loginuid.
 *
 * Left out: clear_refs, coredump_filter's effect, io's bytes of disks (zeros), map_files, numa_maps, stack, syscall.
 */
#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/proc_internal.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/kernel/ids.h"
#include "sentry/mm/mm.h"

#include <stdio.h>
#include <string.h>

/* ---- who may look ---- */

int proc_check_access(struct task *task, struct pseudo_node *node)
{
	return task_may_inspect(task, node_task(node)) ? 0 : -LINUX_EACCES;
}

/* What everybody may see, but within its container only: where process numbers are shared, roots and mounts are not. */
static int check_container(struct task *task, struct pseudo_node *node)
{
	return task->group->container == node_task(node)->group->container ? 0 : -LINUX_EACCES;
}

/* ---- small files ---- */

static int comm_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%s\n", node_task(node)->comm);
	return 0;
}

static int comm_store(struct task *task, struct pseudo_node *node, char *data, size_t len)
{
	struct task *t = node_task(node);

	if (task->group != t->group)
		return -LINUX_EINVAL;
	if (len != 0 && data[len - 1] == '\n')
		data[--len] = '\0';
	memset(t->comm, 0, sizeof(t->comm));
	memcpy(t->comm, data, MIN(strlen(data), sizeof(t->comm) - 1));
	return 0;
}

static int oom_score_adj_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%d\n", node_proc(node)->group->oom_score_adj);
	return 0;
}

/* The score goes down again to the least that somebody with the capability has set; by the old scale it never does. */
static int oom_set(struct task *task, struct pseudo_node *node, int64_t adj, bool old_scale)
{
	struct thread_group *g = node_proc(node)->group;
	bool capable = task_capable(task, LINUX_CAP_SYS_RESOURCE);

	if (adj < -1000 || adj > 1000)
		return -LINUX_EINVAL;
	if (g->container != task->group->container)
		return -LINUX_EACCES;
	if (adj < (old_scale ? g->oom_score_adj : g->oom_score_adj_min) && !capable)
		return -LINUX_EACCES;
	g->oom_score_adj = (int)adj;
	if (!old_scale && capable)
		g->oom_score_adj_min = (int)adj;
	return 0;
}

static int oom_score_adj_store(struct task *task, struct pseudo_node *node, char *data, unused_arg size_t len)
{
	int64_t adj;
	int err = pseudo_parse_s64(data, &adj);

	return err != 0 ? err : oom_set(task, node, adj, false);
}

/* The old scale, -17..15. */
static int oom_adj_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	int adj = node_proc(node)->group->oom_score_adj;

	text_printf(b, "%d\n", adj == 1000 ? 15 : adj * 17 / 1000);
	return 0;
}

static int oom_adj_store(struct task *task, struct pseudo_node *node, char *data, unused_arg size_t len)
{
	int64_t adj;
	int err = pseudo_parse_s64(data, &adj);

	if (err != 0)
		return err;
	if (adj < -17 || adj > 15)
		return -LINUX_EINVAL;
	return oom_set(task, node, adj == 15 ? 1000 : adj * 1000 / 17, true);
}

static int oom_score_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	int score = 666 + node_proc(node)->group->oom_score_adj * 2 / 3;

	text_printf(b, "%d\n", score < 0 ? 0 : score);
	return 0;
}

static int personality_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%08x\n", node_task(node)->personality);
	return 0;
}

static int wchan_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_puts(b, "0");
	return 0;
}

static int timerslack_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%llu\n", (unsigned long long)node_task(node)->timer_slack_ns);
	return 0;
}

/* Without a security module there is nothing to say. */
static int attr_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, unused_arg struct text_buf *b)
{
	return -LINUX_EINVAL;
}

static int attr_store(unused_arg struct task *task, unused_arg struct pseudo_node *node, unused_arg char *data,
		      unused_arg size_t len)
{
	return -LINUX_EINVAL;
}

/* Accepted and forgotten, as by a kernel without the feature behind it. */
static int ignore_store(unused_arg struct task *task, unused_arg struct pseudo_node *node, unused_arg char *data,
			unused_arg size_t len)
{
	return 0;
}

/* With the host's ids as the bundle's maps have them, as from inside a user namespace. */
static void show_map(const struct idmap *m, struct text_buf *b)
{
	static const struct idmap_range all = {0, 0, UINT32_MAX};

	for (uint32_t i = 0; i < MAX(m->n, 1U); i++) {
		const struct idmap_range *r = m->n != 0 ? &m->ranges[i] : &all;

		text_printf(b, "%10u %10u %10u\n", r->inside, r->host, r->count);
	}
}

static int show_uid_map(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	show_map(&id_maps.uids, b);
	return 0;
}

static int show_gid_map(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	show_map(&id_maps.gids, b);
	return 0;
}

static int refuse_store(unused_arg struct task *task, unused_arg struct pseudo_node *node, unused_arg char *data,
			unused_arg size_t len)
{
	return -LINUX_EPERM;
}

static int loginuid_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%u", node_task(node)->login_uid);
	return 0;
}

static int sessionid_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%u", node_task(node)->login_session);
	return 0;
}

/* pam_loginuid writes it at the begin of a session: freely the first time, then only with the capability. */
static int loginuid_store(struct task *task, struct pseudo_node *node, char *data, unused_arg size_t len)
{
	static uint32_t last_session;
	uint64_t id;
	int err;

	if (node_task(node) != task)
		return -LINUX_EPERM;
	err = pseudo_parse_u64(data, &id);
	if (err != 0)
		return err;
	if (id > UINT32_MAX)
		return -LINUX_ERANGE;
	if (id != UINT32_MAX && !uid_mapped((kuid_t)id))
		return -LINUX_EINVAL;
	if (task->login_uid != UINT32_MAX && !task_capable(task, LINUX_CAP_AUDIT_CONTROL))
		return -LINUX_EPERM;
	task->login_uid = (uint32_t)id;
	task->login_session = id != UINT32_MAX ? ++last_session : UINT32_MAX;
	return 0;
}

/* The children of a process are shown as its leader's. */
static int children_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	const struct proc_ref *r = node_proc(node);
	struct thread_group *child;

	if (node_task(node) != r->group->leader)
		return 0;
	list_for_each(child, &r->group->children, sibling)
		text_printf(b, "%d ", child->pid);
	return 0;
}

/* ---- task/ ---- */

static const struct pseudo_entry tid_entry;

static int task_lookup(unused_arg struct task *task, struct pseudo_node *dir, const char *name, struct pseudo_found *out)
{
	uint32_t tid = pseudo_parse_name(name);
	struct task *t = tid == UINT32_MAX ? NULL : task_find((int32_t)tid);

	if (t == NULL || t->group != node_proc(dir)->group)
		return -LINUX_ENOENT;
	out->object = proc_ref_new(t->group, t);
	if (out->object == NULL)
		return -LINUX_ENOMEM;
	out->entry = &tid_entry;
	return 0;
}

/* In order of id, as the cookies must be: the next higher one is searched each time, threads are few. */
static int task_iterate(unused_arg struct task *task, struct pseudo_node *dir, uint64_t from, struct pseudo_list *list)
{
	struct thread_group *g = node_proc(dir)->group;

	for (;;) {
		struct task *t, *best = NULL;
		char name[16];

		list_for_each(t, &g->threads, group_link)
			if ((uint64_t)t->tid >= from && (best == NULL || t->tid < best->tid))
				best = t;
		/* A zombie leader is on no list any more but still shown. */
		t = g->leader;
		if (t != NULL && (uint64_t)t->tid >= from && (best == NULL || t->tid < best->tid) && task_find(t->tid) == t)
			best = t;
		if (best == NULL)
			return 0;
		snprintf(name, sizeof(name), "%d", best->tid);
		if (!pseudo_emit(list, name, LINUX_S_IFDIR, (uint64_t)best->tid))
			return 0;
		from = (uint64_t)best->tid + 1;
	}
}

/* A link for each thread: Chromium's zygote takes three for "I have one thread", and won't fork with any other number. */
static void task_getattr(struct pseudo_node *dir, struct kstat *st)
{
	st->nlink += node_proc(dir)->group->nthreads;
}

static const struct pseudo_dir task_dir = {.lookup = task_lookup, .iterate = task_iterate, .getattr = task_getattr};

/* ---- the tables ---- */

static const struct pseudo_entry attr_entries[] = {
	P_FILE("current", 0666, attr_show, .store = attr_store),
	P_FILE("exec", 0666, attr_show, .store = attr_store),
	P_FILE("fscreate", 0666, attr_show, .store = attr_store),
	P_FILE("keycreate", 0666, attr_show, .store = attr_store),
	P_FILE("prev", 0444, attr_show),
	P_FILE("sockcreate", 0666, attr_show, .store = attr_store),
};
static const struct pseudo_dir attr_dir = PSEUDO_DIR(attr_entries);

/* What a process and a thread both have. */
#define COMMON_ENTRIES                                                                                                 \
	P_DIR("attr", 0555, &attr_dir),                                                                                \
	P_FILE("auxv", 0400, proc_pid_auxv, .check = proc_check_access),                                               \
	P_TEXT("cgroup", "0::/\n"),                                                                                    \
	P_FILE("cmdline", 0444, proc_pid_cmdline),                                                                     \
	P_FILE("comm", 0644, comm_show, .store = comm_store),                                                          \
	P_LINK("cwd", proc_cwd_readlink, .follow = proc_cwd_follow, .check = proc_check_access),                       \
	P_FILE("environ", 0400, proc_pid_environ, .check = proc_check_access),                                         \
	P_LINK("exe", proc_exe_readlink, .follow = proc_exe_follow, .check = proc_check_access),                       \
	P_DIR("fd", 0500, &proc_fd_dir, .check = proc_check_access),                                                   \
	P_DIR("fdinfo", 0555, &proc_fdinfo_dir, .check = proc_check_access),                                           \
	P_FILE("gid_map", 0444, show_gid_map),                                                                         \
	P_FILE("io", 0400, proc_pid_io, .check = proc_check_access),                                                   \
	P_FILE("limits", 0444, proc_pid_limits),                                                                       \
	P_FILE("loginuid", 0644, loginuid_show, .store = loginuid_store),                                              \
	P_FILE("maps", 0444, proc_pid_maps, .check = proc_check_access),                                               \
	P_FILE("mem", 0600, NULL, .fops = &proc_mem_ops, .check = proc_check_access),                                  \
	P_FILE("mountinfo", 0444, proc_pid_mountinfo, .check = check_container),                                       \
	P_FILE("mounts", 0444, proc_pid_mounts, .check = check_container),                                             \
	P_DIR("net", 0555, &proc_net_dir),                                                                             \
	P_DIR("ns", 0511, &proc_ns_dir, .check = proc_check_access),                                                   \
	P_FILE("oom_adj", 0644, oom_adj_show, .store = oom_adj_store),                                                 \
	P_FILE("oom_score", 0444, oom_score_show),                                                                     \
	P_FILE("oom_score_adj", 0644, oom_score_adj_show, .store = oom_score_adj_store),                               \
	P_FILE("pagemap", 0400, NULL, .fops = &proc_pagemap_ops, .check = proc_check_access),                          \
	P_FILE("personality", 0400, personality_show, .check = proc_check_access),                                     \
	P_TEXT("projid_map", "         0          0 4294967295\n"),                                                    \
	P_LINK("root", proc_root_readlink, .follow = proc_root_follow, .check = proc_check_access),                    \
	P_FILE("sched", 0644, proc_pid_sched, .store = ignore_store),                                                  \
	P_FILE("schedstat", 0444, proc_pid_schedstat),                                                                 \
	P_FILE("sessionid", 0444, sessionid_show),                                                                     \
	P_FILE("setgroups", 0644, pseudo_show_text, .text = "allow\n", .store = refuse_store),                         \
	P_FILE("smaps", 0444, proc_pid_smaps, .check = proc_check_access),                                             \
	P_FILE("smaps_rollup", 0444, proc_pid_smaps_rollup, .check = proc_check_access),                               \
	P_FILE("stat", 0444, proc_pid_stat),                                                                           \
	P_FILE("statm", 0444, proc_pid_statm),                                                                         \
	P_FILE("status", 0444, proc_pid_status),                                                                       \
	P_FILE("uid_map", 0444, show_uid_map),                                                       \
	P_FILE("wchan", 0444, wchan_show)

static const struct pseudo_entry pid_entries[] = {
	COMMON_ENTRIES,
	P_FILE("autogroup", 0644, pseudo_show_text, .text = "/autogroup-1 nice 0\n", .store = ignore_store),
	P_FILE("coredump_filter", 0644, pseudo_show_text, .text = "00000033\n", .store = ignore_store),
	P_FILE("mountstats", 0400, proc_pid_mountstats, .check = check_container),
	P_DIR("task", 0555, &task_dir),
	P_TEXT("timers", ""),
	P_FILE("timerslack_ns", 0666, timerslack_show, .store = ignore_store),
};
static const struct pseudo_dir pid_dir = PSEUDO_DIR(pid_entries);
const struct pseudo_entry proc_pid_entry = {.mode = LINUX_S_IFDIR | 0555, .dir = &pid_dir};

struct thread_group *proc_file_group(struct file *file)
{
	struct pseudo_node *node;

	if (file->inode == NULL || file->inode->sb == NULL || strcmp(file->inode->sb->fs_type, "proc") != 0)
		return NULL;
	node = file_node(file);
	return node != NULL && node->entry == &proc_pid_entry ? node_proc(node)->group : NULL;
}

static const struct pseudo_entry tid_entries[] = {
	COMMON_ENTRIES,
	P_FILE("children", 0444, children_show),
};
static const struct pseudo_dir tid_dir = PSEUDO_DIR(tid_entries);
static const struct pseudo_entry tid_entry = {.mode = LINUX_S_IFDIR | 0555, .dir = &tid_dir};
