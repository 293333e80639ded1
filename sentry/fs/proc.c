/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of /proc.
 *
 *	/proc/FILE          tables here, texts in proc_system.c
 *	/proc/PID           proc_pid.c, found by process id in the root's lookup
 *	/proc/PID/task/TID  the same for one thread
 *	/proc/sys, net      proc_sys.c, proc_net.c
 *
 * All values are the sentry's own state: the sandbox's processes, its memory limit, its number of CPUs. Where Linux
 * counts something that doesn't exist here (interrupts, disks, swap), the file is there and says none.
 * The guest controls which names it asks for; a directory that is open keeps its process's structures, not its memory.
 *
 * Left out: /proc/kcore, kmsg, kallsyms, sysrq-trigger, keys (a container masks them), and kpage*.
 */
#include "sentry/fs/proc_internal.h"

#include "sentry/base/alloc.h"
#include "sentry/fs/pseudo_mounts.h"

#include <stdio.h>
#include <string.h>

static int self_readlink(struct task *task, unused_arg struct pseudo_node *node, char **target)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", task->group->pid);
	*target = kstrdup(name);
	return *target == NULL ? -LINUX_ENOMEM : 0;
}

static int thread_self_readlink(struct task *task, unused_arg struct pseudo_node *node, char **target)
{
	char name[48];

	snprintf(name, sizeof(name), "%d/task/%d", task->group->pid, task->tid);
	*target = kstrdup(name);
	return *target == NULL ? -LINUX_ENOMEM : 0;
}

static const struct pseudo_entry root_entries[] = {
	P_TEXT("cmdline", "BOOT_IMAGE=/sentrybox\n"),
	P_TEXT("consoles", ""),
	P_FILE("cpuinfo", 0444, proc_cpuinfo),
	P_TEXT("crypto", ""),
	P_TEXT("devices", "Character devices:\n"
			  "  1 mem\n"
			  "  5 /dev/tty\n"
			  "  5 /dev/console\n"
			  "  5 /dev/ptmx\n"
			  "136 pts\n"
			  "\n"
			  "Block devices:\n"),
	P_TEXT("diskstats", ""),
	P_TEXT("dma", ""),
	P_TEXT("filesystems", "nodev\tsysfs\n"
			      "nodev\ttmpfs\n"
			      "nodev\tproc\n"
			      "nodev\tcgroup2\n"
			      "nodev\tdevpts\n"
			      "nodev\tmqueue\n"
			      "nodev\toverlay\n"),
	P_FILE("interrupts", 0444, proc_interrupts),
	P_TEXT("iomem", ""),
	P_TEXT("ioports", ""),
	P_FILE("loadavg", 0444, proc_loadavg),
	P_TEXT("locks", ""),
	P_FILE("meminfo", 0444, proc_meminfo),
	P_TEXT("misc", ""),
	P_TEXT("modules", ""),
	P_LINK("mounts", pseudo_readlink_text, .text = "self/mounts"),
	P_LINK("net", pseudo_readlink_text, .text = "self/net"),
	P_TEXT("partitions", "major minor  #blocks  name\n\n"),
	P_LINK("self", self_readlink),
	P_FILE("softirqs", 0444, proc_softirqs),
	P_FILE("stat", 0444, proc_stat),
	P_TEXT("swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"),
	P_DIR("sys", 0555, &proc_sys_dir),
	P_DIR("sysvipc", 0555, &proc_sysvipc_dir),
	P_LINK("thread-self", thread_self_readlink),
	P_FILE("uptime", 0444, proc_uptime),
	P_FILE("version", 0444, proc_version),
	P_FILE("vmstat", 0444, proc_vmstat),
	P_FILE("zoneinfo", 0444, proc_zoneinfo),
};

/* Any thread's id leads to its process's directory (seen as by that thread), though only leaders are listed. */
static int root_lookup(unused_arg struct task *task, unused_arg struct pseudo_node *dir, const char *name,
		       struct pseudo_found *out)
{
	uint32_t pid = pseudo_parse_name(name);
	struct thread_group *group;
	struct task *t = NULL;

	if (pid == UINT32_MAX)
		return -LINUX_ENOENT;
	group = group_find((int32_t)pid);
	if (group == NULL) {
		t = task_find((int32_t)pid);
		if (t == NULL)
			return -LINUX_ENOENT;
		group = t->group;
	}
	out->object = proc_ref_new(group, t);
	if (out->object == NULL)
		return -LINUX_ENOMEM;
	out->entry = &proc_pid_entry;
	return 0;
}

static int root_iterate(unused_arg struct task *task, unused_arg struct pseudo_node *dir, uint64_t from,
			struct pseudo_list *list)
{
	struct thread_group *g;

	if (from > INT32_MAX)
		return 0;
	for (g = group_next((int32_t)from); g != NULL; g = group_next(g->pid + 1)) {
		char name[16];

		snprintf(name, sizeof(name), "%d", g->pid);
		if (!pseudo_emit(list, name, LINUX_S_IFDIR, (uint64_t)g->pid))
			break;
	}
	return 0;
}

static const struct pseudo_dir root_dir = PSEUDO_DIR(root_entries, .lookup = root_lookup, .iterate = root_iterate);
static const struct pseudo_entry root_entry = P_DIR("/", 0555, &root_dir);

/* ---- whom a directory is about ---- */

struct proc_ref *proc_ref_new(struct thread_group *group, struct task *task)
{
	struct proc_ref *r = kmalloc(sizeof(*r));

	if (r == NULL)
		return NULL;
	ref_init(&r->ref);
	r->group = group_get(group);
	r->task = task != NULL ? task_get(task) : NULL;
	return r;
}

static void proc_ref_get(void *object)
{
	ref_get(&((struct proc_ref *)object)->ref);
}

static void proc_ref_put(void *object)
{
	struct proc_ref *r = object;

	if (!ref_put(&r->ref))
		return;
	if (r->task != NULL)
		task_put(r->task);
	group_put(r->group);
	kfree(r);
}

static bool proc_ref_same(const void *a, const void *b)
{
	const struct proc_ref *x = a, *y = b;

	return x->group == y->group && x->task == y->task;
}

static int proc_ref_check(void *object)
{
	const struct proc_ref *r = object;

	if (group_find(r->group->pid) != r->group || r->group->leader == NULL)
		return -LINUX_ESRCH;
	if (r->task != NULL && task_find(r->task->tid) != r->task)
		return -LINUX_ESRCH;
	return 0;
}

/* A process's files belong to its effective ids; what isn't dumpable (setuid programs) belongs to root. */
static void proc_own(struct inode *inode, struct pseudo_node *node)
{
	const struct task *t;

	if (node->object == NULL || proc_ref_check(node->object) != 0)
		return;
	t = node_task(node);
	if (t->cred == NULL)
		return;
	if (t->mm != NULL && !t->group->dumpable && (inode->mode & 0777) != 0555)
		return;
	inode->uid = t->cred->euid;
	inode->gid = t->cred->egid;
}

struct superblock *proc_new_superblock(void)
{
	struct pseudo_fs *fs = kzalloc(sizeof(*fs));

	if (fs == NULL)
		return NULL;
	fs->object_get = proc_ref_get;
	fs->object_put = proc_ref_put;
	fs->object_same = proc_ref_same;
	fs->object_check = proc_ref_check;
	fs->own = proc_own;
	fs->sb.no_new_names = true;
	proc_cpuinfo_init();
	if (pseudo_fs_init(fs, "proc", LINUX_PROC_SUPER_MAGIC, &root_entry) != 0) {
		kfree(fs);
		return NULL;
	}
	return &fs->sb;
}
