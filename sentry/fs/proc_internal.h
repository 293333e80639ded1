/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of /proc share: whom a directory is about, who may look, and each file's table of entries. */
#ifndef SENTRY_FS_PROC_INTERNAL_H
#define SENTRY_FS_PROC_INTERNAL_H

#include "sentry/abi/errno.h"
#include "sentry/fs/pseudo.h"
#include "sentry/kernel/task.h"

/* USER_HZ: what stat, times(2) and clock ticks in /proc are counted in. */
#define PROC_HZ 100
#define NSEC_PER_TICK (NSEC_PER_SEC / PROC_HZ)

/*
 * Whom /proc/PID or /proc/PID/task/TID is about. It holds its process for as long as somebody looks; once that was
 * reaped, proc_check gives -LINUX_ESRCH and nothing else of it is touched.
 */
struct proc_ref {
	struct ref ref;
	struct thread_group *group; /* counted */
	struct task *task;          /* counted; NULL: the process, shown by its leader */
};

static inline struct proc_ref *node_proc(const struct pseudo_node *node)
{
	return node->object;
}
/* The thread shown, borrowed: valid until the caller sleeps. */
static inline struct task *node_task(const struct pseudo_node *node)
{
	const struct proc_ref *r = node->object;

	return r->task != NULL ? r->task : r->group->leader;
}
/* A reference for group, or for task if that isn't NULL; NULL if memory is out. */
struct proc_ref *proc_ref_new(struct thread_group *group, struct task *task) must_check;

/* A pseudo_entry's check: who may look into the process's memory and descriptors. 0 or -LINUX_EACCES. */
int proc_check_access(struct task *task, struct pseudo_node *node);

const char *proc_state_name(char state);
/* Host time as the ticks since boot of /proc/PID/stat. */
uint64_t proc_boot_ns(uint64_t loop_ns);

/* proc_pid.c: found by the root's lookup */
extern const struct pseudo_entry proc_pid_entry;

/* proc_task.c */
int proc_pid_stat(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_statm(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_status(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_limits(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_sched(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_schedstat(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_io(struct task *task, struct pseudo_node *node, struct text_buf *b);

/* proc_mm.c */
int proc_pid_maps(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_smaps(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_smaps_rollup(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_cmdline(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_environ(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_auxv(struct task *task, struct pseudo_node *node, struct text_buf *b);
extern const struct file_ops proc_mem_ops, proc_pagemap_ops;

/* proc_fd.c */
extern const struct pseudo_dir proc_fd_dir, proc_fdinfo_dir, proc_ns_dir;
int proc_exe_readlink(struct task *task, struct pseudo_node *node, char **target);
int proc_exe_follow(struct task *task, struct pseudo_node *node, struct path *out);
int proc_cwd_readlink(struct task *task, struct pseudo_node *node, char **target);
int proc_cwd_follow(struct task *task, struct pseudo_node *node, struct path *out);
int proc_root_readlink(struct task *task, struct pseudo_node *node, char **target);
int proc_root_follow(struct task *task, struct pseudo_node *node, struct path *out);

/* proc_mounts.c */
int proc_pid_mounts(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_mountinfo(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_pid_mountstats(struct task *task, struct pseudo_node *node, struct text_buf *b);

/* proc_system.c, proc_cpuinfo.c */
int proc_meminfo(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_stat(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_uptime(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_loadavg(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_version(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_vmstat(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_interrupts(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_softirqs(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_zoneinfo(struct task *task, struct pseudo_node *node, struct text_buf *b);
int proc_cpuinfo(struct task *task, struct pseudo_node *node, struct text_buf *b);
/* Notes the time stamp counter, for the MHz that cpuinfo shows later. */
void proc_cpuinfo_init(void);

/* proc_sys.c, proc_net.c, proc_sysvipc.c */
extern const struct pseudo_dir proc_sys_dir, proc_net_dir, proc_sysvipc_dir;

#endif
