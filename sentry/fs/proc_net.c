/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/net and /proc/sysvipc: texts that the network and the IPC objects print themselves.
 *
 * Which files there are in net/ is the network's to say. netstat-like tables (netstat, snmp6, psched, dev_snmp6...) that it
 * doesn't serve are left out.
 */
#include "sentry/base/alloc.h"
#include "sentry/fs/proc_internal.h"
#include "sentry/kernel/ipc.h"
#include "sentry/mm/shm.h"
#include "sentry/net/net.h"

#include <string.h>

/* ---- net ---- */

static int net_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	const char *name = net_proc_name((unsigned)node->num);
	size_t size = 4096;
	int64_t n;

	/* Twice at most: nothing changes between the two. */
	for (;;) {
		char *buf = kmalloc(size);

		if (buf == NULL)
			return -LINUX_ENOMEM;
		n = net_proc_text(name, buf, size);
		if (n >= 0 && (size_t)n < size)
			text_write(b, buf, (size_t)n);
		kfree(buf);
		if (n < 0 || (size_t)n < size)
			break;
		size = (size_t)n + 1;
	}
	return n < 0 ? (int)n : 0;
}

static const struct pseudo_entry net_file = {.mode = LINUX_S_IFREG | 0444, .show = net_show};

static int net_lookup(unused_arg struct task *task, unused_arg struct pseudo_node *dir, const char *name,
		      struct pseudo_found *out)
{
	const char *served;
	unsigned i;

	for (i = 0; (served = net_proc_name(i)) != NULL; i++) {
		if (strcmp(served, name) == 0) {
			out->entry = &net_file;
			out->num = i;
			return 0;
		}
	}
	return -LINUX_ENOENT;
}

static int net_iterate(unused_arg struct task *task, unused_arg struct pseudo_node *dir, uint64_t from,
		       struct pseudo_list *list)
{
	const char *served;
	unsigned i;

	for (i = 0; (served = net_proc_name(i)) != NULL; i++)
		if (i >= from && !pseudo_emit(list, served, LINUX_S_IFREG, i))
			break;
	return 0;
}

const struct pseudo_dir proc_net_dir = {.lookup = net_lookup, .iterate = net_iterate};

/* ---- sysvipc ---- */

static int sem_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	sem_proc_show(b);
	return 0;
}

static int msg_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	msg_proc_show(b);
	return 0;
}

static int shm_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct linux_shmid_ds ds;
	uint64_t resident;
	int id;

	text_puts(b, "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      "
		     "dtime      ctime                   rss                  swap\n");
	for (unsigned i = 0; shm_next(&i, &id, &ds, &resident); i++)
		text_printf(b, "%10d %10d  %4o %21llu %5d %5d %6llu %5u %5u %5u %5u %10lld %10lld %10lld %21llu %21u\n", ds.perm.key,
			    id, ds.perm.mode, (unsigned long long)ds.segsz, ds.cpid, ds.lpid, (unsigned long long)ds.nattch,
			    ds.perm.uid, ds.perm.gid, ds.perm.cuid, ds.perm.cgid, (long long)ds.atime, (long long)ds.dtime,
			    (long long)ds.ctime, (unsigned long long)resident, 0U);
	return 0;
}

static const struct pseudo_entry sysvipc_entries[] = {
	P_FILE("msg", 0444, msg_show),
	P_FILE("sem", 0444, sem_show),
	P_FILE("shm", 0444, shm_show),
};
const struct pseudo_dir proc_sysvipc_dir = PSEUDO_DIR(sysvipc_entries);
