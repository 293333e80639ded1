/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/sys: what sysctl(8) shows. Numbers are those our kernel really goes by where it has such a limit, else Linux's
 * defaults. Writable are the host name, pipe-max-size, and those that only programs' own expectations hang on
 * (overcommit_memory, swappiness...), which are remembered and change nothing; the rest refuses with EPERM.
 */
#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/proc_internal.h"
#include "sentry/host/host.h"
#include "sentry/kernel/ipc.h"
#include "sentry/kernel/uts.h"
#include "sentry/vfs/pipe.h"

#include <stdio.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

static int refuse(unused_arg struct task *task, unused_arg struct pseudo_node *node, unused_arg char *data,
		  unused_arg size_t len)
{
	return -LINUX_EPERM;
}

#define S_NUMBER(n, v) P_FILE(n, 0644, pseudo_show_number, .store = refuse, .arg = (v))
#define S_TEXT(n, t) P_FILE(n, 0644, pseudo_show_text, .store = refuse, .text = (t))

/* ---- numbers that are remembered ---- */

enum {
	V_OVERCOMMIT,
	V_SWAPPINESS,
	V_DIRTY_RATIO,
	V_DIRTY_BACKGROUND,
	V_DROP_CACHES,
	V_ASLR,
	V_PERF_PARANOID,
	V_SYSRQ,
	V_PANIC,
	V_COREDUMP_PID,
	V_SUID_DUMPABLE,
	NVALUES
};
static struct {
	int64_t value, min, max;
} values[NVALUES] = {
	[V_OVERCOMMIT] = {0, 0, 2},	   [V_SWAPPINESS] = {60, 0, 200},     [V_DIRTY_RATIO] = {20, 0, 100},
	[V_DIRTY_BACKGROUND] = {10, 0, 100}, [V_DROP_CACHES] = {0, 1, 4},     [V_ASLR] = {2, 0, 2},
	[V_PERF_PARANOID] = {4, -1, 4},	   [V_SYSRQ] = {0, 0, 511},	      [V_PANIC] = {0, INT32_MIN, INT32_MAX},
	[V_COREDUMP_PID] = {0, 0, 1},	   [V_SUID_DUMPABLE] = {0, 0, 2},
};

static int value_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%lld\n", (long long)values[node->entry->arg].value);
	return 0;
}

static int value_store(unused_arg struct task *task, struct pseudo_node *node, char *data, unused_arg size_t len)
{
	int64_t v;
	int err = pseudo_parse_s64(data, &v);

	if (err != 0)
		return err;
	if (v < values[node->entry->arg].min || v > values[node->entry->arg].max)
		return -LINUX_EINVAL;
	values[node->entry->arg].value = v;
	return 0;
}

#define S_VALUE(n, which) P_FILE(n, 0644, value_show, .store = value_store, .arg = (which))

/* ---- kernel ---- */

static int name_show(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%s\n", node->entry->arg ? kernel.domainname : kernel.hostname);
	return 0;
}

static int name_store(unused_arg struct task *task, struct pseudo_node *node, char *data, size_t len)
{
	char *name = node->entry->arg ? kernel.domainname : kernel.hostname;
	char *end = memchr(data, '\n', len);

	if (end != NULL)
		*end = '\0';
	/* Longer ones are cut, as in Linux. */
	memset(name, 0, sizeof(kernel.hostname));
	memcpy(name, data, MIN(strlen(data), sizeof(kernel.hostname) - 1));
	return 0;
}

static int pid_max_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%d\n", kernel.pid_max);
	return 0;
}

static int threads_max_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%u\n", kernel.max_tasks != 0 ? kernel.max_tasks : (uint32_t)kernel.pid_max);
	return 0;
}

static void text_uuid(struct text_buf *b, uint8_t u[16])
{
	unsigned i;

	u[6] = (u[6] & 0x0f) | 0x40;
	u[8] = (u[8] & 0x3f) | 0x80;
	for (i = 0; i < 16; i++)
		text_printf(b, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
	text_puts(b, "\n");
}

static int uuid_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	uint8_t u[16];

	if (host_getrandom(u, sizeof(u)) < 0)
		return -LINUX_EIO;
	text_uuid(b, u);
	return 0;
}

static int boot_id_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	static uint8_t id[16];
	static bool made;

	if (!made && host_getrandom(id, sizeof(id)) < 0)
		return -LINUX_EIO;
	made = true;
	text_uuid(b, id);
	return 0;
}

static const struct pseudo_entry random_entries[] = {
	P_FILE("boot_id", 0444, boot_id_show),
	P_NUMBER("entropy_avail", 256),
	P_NUMBER("poolsize", 256),
	S_NUMBER("urandom_min_reseed_secs", 60),
	P_FILE("uuid", 0444, uuid_show),
	S_NUMBER("write_wakeup_threshold", 256),
};
static const struct pseudo_dir random_dir = PSEUDO_DIR(random_entries);

static const struct pseudo_entry yama_entries[] = {
	S_NUMBER("ptrace_scope", 1),
};
static const struct pseudo_dir yama_dir = PSEUDO_DIR(yama_entries);

static const struct pseudo_entry seccomp_entries[] = {
	P_TEXT("actions_avail", "kill_process kill_thread trap errno user_notif trace log allow\n"),
	S_TEXT("actions_logged", "kill_process kill_thread trap errno user_notif trace log\n"),
};
static const struct pseudo_dir seccomp_dir = PSEUDO_DIR(seccomp_entries);

static const struct pseudo_entry keys_entries[] = {
	S_NUMBER("maxbytes", 20000),
	S_NUMBER("maxkeys", 200),
	S_NUMBER("root_maxbytes", 25000000),
	S_NUMBER("root_maxkeys", 1000000),
};
static const struct pseudo_dir keys_dir = PSEUDO_DIR(keys_entries);

static int pty_nr_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%u\n", pty_count());
	return 0;
}

static const struct pseudo_entry pty_entries[] = {
	S_NUMBER("max", PTY_MAX),
	P_FILE("nr", 0444, pty_nr_show),
	S_NUMBER("reserve", 0),
};
static const struct pseudo_dir pty_dir = PSEUDO_DIR(pty_entries);

static int sem_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%d\t%d\t%d\t%d\n", SEM_MSL, SEM_MNS, SEM_OPM, SEM_MNI);
	return 0;
}

static const struct pseudo_entry kernel_entries[] = {
	P_NUMBER("cap_last_cap", LINUX_CAP_LAST),
	S_TEXT("core_pattern", "core\n"),
	S_VALUE("core_uses_pid", V_COREDUMP_PID),
	S_NUMBER("ctrl-alt-del", 0),
	S_NUMBER("dmesg_restrict", 1),
	P_FILE("domainname", 0644, name_show, .store = name_store, .arg = 1),
	P_FILE("hostname", 0644, name_show, .store = name_store, .arg = 0),
	P_DIR("keys", 0555, &keys_dir),
	S_NUMBER("kptr_restrict", 1),
	S_NUMBER("msg_next_id", (uint64_t)-1),
	S_NUMBER("msgmax", MSG_MAX),
	S_NUMBER("msgmnb", MSG_MNB),
	S_NUMBER("msgmni", MSG_MNI),
	P_NUMBER("ngroups_max", 65536),
	S_NUMBER("numa_balancing", 0),
	P_TEXT("osrelease", UTS_RELEASE "\n"),
	P_TEXT("ostype", UTS_SYSNAME "\n"),
	S_NUMBER("overflowgid", 65534),
	S_NUMBER("overflowuid", 65534),
	S_VALUE("panic", V_PANIC),
	S_NUMBER("perf_event_max_sample_rate", 100000),
	S_NUMBER("perf_event_mlock_kb", 516),
	S_VALUE("perf_event_paranoid", V_PERF_PARANOID),
	P_FILE("pid_max", 0644, pid_max_show, .store = refuse),
	S_TEXT("printk", "4\t4\t1\t7\n"),
	P_DIR("pty", 0555, &pty_dir),
	P_DIR("random", 0555, &random_dir),
	S_VALUE("randomize_va_space", V_ASLR),
	S_NUMBER("sched_autogroup_enabled", 0),
	S_NUMBER("sched_child_runs_first", 0),
	S_NUMBER("sched_rr_timeslice_ms", 100),
	S_NUMBER("sched_rt_period_us", 1000000),
	S_NUMBER("sched_rt_runtime_us", 950000),
	P_DIR("seccomp", 0555, &seccomp_dir),
	P_FILE("sem", 0644, sem_show, .store = refuse),
	S_NUMBER("shm_rmid_forced", 0),
	S_NUMBER("shmall", 18446744073692774399ULL),
	S_NUMBER("shmmax", 18446744073692774399ULL),
	S_NUMBER("shmmni", 4096),
	S_VALUE("sysrq", V_SYSRQ),
	P_NUMBER("tainted", 0),
	P_FILE("threads-max", 0644, threads_max_show, .store = refuse),
	S_NUMBER("unprivileged_bpf_disabled", 2),
	P_TEXT("version", UTS_VERSION "\n"),
	P_DIR("yama", 0555, &yama_dir),
};
static const struct pseudo_dir kernel_dir = PSEUDO_DIR(kernel_entries);

/* ---- vm ---- */

static const struct pseudo_entry vm_entries[] = {
	S_VALUE("dirty_background_ratio", V_DIRTY_BACKGROUND),
	S_VALUE("dirty_ratio", V_DIRTY_RATIO),
	P_FILE("drop_caches", 0200, value_show, .store = value_store, .arg = V_DROP_CACHES),
	S_NUMBER("legacy_va_layout", 0),
	S_NUMBER("max_map_count", 65530),
	S_NUMBER("memfd_noexec", 0),
	S_NUMBER("min_free_kbytes", 4096),
	S_NUMBER("mmap_min_addr", 65536),
	S_NUMBER("mmap_rnd_bits", 28),
	S_NUMBER("nr_hugepages", 0),
	S_NUMBER("nr_overcommit_hugepages", 0),
	S_NUMBER("oom_kill_allocating_task", 0),
	S_NUMBER("overcommit_kbytes", 0),
	S_VALUE("overcommit_memory", V_OVERCOMMIT),
	S_NUMBER("overcommit_ratio", 50),
	S_NUMBER("page-cluster", 3),
	S_NUMBER("panic_on_oom", 0),
	S_VALUE("swappiness", V_SWAPPINESS),
	S_NUMBER("unprivileged_userfaultfd", 0),
	S_NUMBER("vfs_cache_pressure", 100),
	S_NUMBER("zone_reclaim_mode", 0),
};
static const struct pseudo_dir vm_dir = PSEUDO_DIR(vm_entries);

/* ---- fs ---- */

static int pipe_max_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%u\n", pipe_max_size);
	return 0;
}

static int pipe_max_store(unused_arg struct task *task, unused_arg struct pseudo_node *node, char *data,
			  unused_arg size_t len)
{
	uint64_t v, size = PAGE_SIZE;
	int err = pseudo_parse_u64(data, &v);

	if (err != 0)
		return err;
	if (v < PAGE_SIZE || v > 1 * MiB)
		return -LINUX_EINVAL;
	while (size < v)
		size *= 2;
	pipe_max_size = (uint32_t)size;
	return 0;
}

static const struct pseudo_entry inotify_entries[] = {
	S_NUMBER("max_queued_events", 16384),
	S_NUMBER("max_user_instances", 128),
	S_NUMBER("max_user_watches", 65536),
};
static const struct pseudo_dir inotify_dir = PSEUDO_DIR(inotify_entries);

static const struct pseudo_entry epoll_entries[] = {
	S_NUMBER("max_user_watches", 1048576),
};
static const struct pseudo_dir epoll_dir = PSEUDO_DIR(epoll_entries);

static const struct pseudo_entry mqueue_entries[] = {
	S_NUMBER("msg_default", MQ_MSG_DEFAULT),
	S_NUMBER("msg_max", MQ_MSG_MAX),
	S_NUMBER("msgsize_default", MQ_MSGSIZE_DEFAULT),
	S_NUMBER("msgsize_max", MQ_MSGSIZE_MAX),
	S_NUMBER("queues_max", MQ_QUEUES_MAX),
};
static const struct pseudo_dir mqueue_dir = PSEUDO_DIR(mqueue_entries);

static const struct pseudo_entry binfmt_entries[] = {
	P_TEXT("status", "enabled\n"),
};
static const struct pseudo_dir binfmt_dir = PSEUDO_DIR(binfmt_entries);

static const struct pseudo_entry fs_entries[] = {
	P_NUMBER("aio-nr", 0),
	S_NUMBER("aio-max-nr", 65536),
	P_DIR("binfmt_misc", 0555, &binfmt_dir),
	P_TEXT("dentry-state", "1024\t512\t45\t0\t256\t0\n"),
	P_DIR("epoll", 0555, &epoll_dir),
	S_NUMBER("file-max", 9223372036854775807ULL),
	P_TEXT("file-nr", "1024\t0\t9223372036854775807\n"),
	P_TEXT("inode-nr", "1024\t0\n"),
	P_TEXT("inode-state", "1024\t0\t0\t0\t0\t0\t0\n"),
	P_DIR("inotify", 0555, &inotify_dir),
	S_NUMBER("lease-break-time", 45),
	S_NUMBER("leases-enable", 1),
	S_NUMBER("mount-max", 100000),
	P_DIR("mqueue", 0555, &mqueue_dir),
	S_NUMBER("nr_open", 1048576),
	S_NUMBER("overflowgid", 65534),
	S_NUMBER("overflowuid", 65534),
	P_FILE("pipe-max-size", 0644, pipe_max_show, .store = pipe_max_store),
	S_NUMBER("pipe-user-pages-hard", 0),
	S_NUMBER("pipe-user-pages-soft", 16384),
	S_NUMBER("protected_fifos", 1),
	S_NUMBER("protected_hardlinks", 1),
	S_NUMBER("protected_regular", 2),
	S_NUMBER("protected_symlinks", 1),
	S_VALUE("suid_dumpable", V_SUID_DUMPABLE),
};
static const struct pseudo_dir fs_dir = PSEUDO_DIR(fs_entries);

/* ---- net ---- */

static const struct pseudo_entry core_entries[] = {
	S_TEXT("default_qdisc", "noqueue\n"),
	S_NUMBER("netdev_max_backlog", 1000),
	S_NUMBER("optmem_max", 20480),
	S_NUMBER("rmem_default", 212992),
	S_NUMBER("rmem_max", 212992),
	S_NUMBER("somaxconn", 4096),
	S_NUMBER("wmem_default", 212992),
	S_NUMBER("wmem_max", 212992),
};
static const struct pseudo_dir core_dir = PSEUDO_DIR(core_entries);

static const struct pseudo_entry conf4_entries[] = {
	S_NUMBER("accept_redirects", 0), S_NUMBER("forwarding", 0), S_NUMBER("rp_filter", 0), S_NUMBER("arp_ignore", 0),
};
static const struct pseudo_dir conf4_if_dir = PSEUDO_DIR(conf4_entries);
static const struct pseudo_entry conf4_ifs[] = {
	P_DIR("all", 0555, &conf4_if_dir),
	P_DIR("default", 0555, &conf4_if_dir),
	P_DIR("lo", 0555, &conf4_if_dir),
};
static const struct pseudo_dir conf4_dir = PSEUDO_DIR(conf4_ifs);

static int unprivileged_ports_show(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%u\n", kernel.unprivileged_ports);
	return 0;
}

static const struct pseudo_entry ipv4_entries[] = {
	P_DIR("conf", 0555, &conf4_dir),
	S_NUMBER("icmp_echo_ignore_all", 0),
	S_NUMBER("ip_default_ttl", 64),
	S_NUMBER("ip_forward", 0),
	S_TEXT("ip_local_port_range", "32768\t60999\n"),
	S_TEXT("ip_local_reserved_ports", "\n"),
	S_NUMBER("ip_nonlocal_bind", 0),
	P_FILE("ip_unprivileged_port_start", 0644, unprivileged_ports_show, .store = refuse),
	S_TEXT("ping_group_range", "1\t0\n"),
	S_TEXT("tcp_allowed_congestion_control", "reno cubic\n"),
	S_TEXT("tcp_available_congestion_control", "reno cubic\n"),
	S_TEXT("tcp_congestion_control", "cubic\n"),
	S_NUMBER("tcp_fastopen", 1),
	S_NUMBER("tcp_fin_timeout", 60),
	S_NUMBER("tcp_keepalive_intvl", 75),
	S_NUMBER("tcp_keepalive_probes", 9),
	S_NUMBER("tcp_keepalive_time", 7200),
	S_NUMBER("tcp_max_syn_backlog", 1024),
	S_NUMBER("tcp_max_tw_buckets", 65536),
	S_TEXT("tcp_mem", "94503\t126007\t189006\n"),
	S_NUMBER("tcp_retries1", 3),
	S_NUMBER("tcp_retries2", 15),
	S_TEXT("tcp_rmem", "4096\t131072\t6291456\n"),
	S_NUMBER("tcp_sack", 1),
	S_NUMBER("tcp_syn_retries", 6),
	S_NUMBER("tcp_synack_retries", 5),
	S_NUMBER("tcp_syncookies", 1),
	S_NUMBER("tcp_timestamps", 1),
	S_NUMBER("tcp_tw_reuse", 2),
	S_NUMBER("tcp_window_scaling", 1),
	S_TEXT("tcp_wmem", "4096\t16384\t4194304\n"),
	S_TEXT("udp_mem", "189006\t252014\t378012\n"),
};
static const struct pseudo_dir ipv4_dir = PSEUDO_DIR(ipv4_entries);

static const struct pseudo_entry conf6_entries[] = {
	S_NUMBER("accept_ra", 0),
	S_NUMBER("disable_ipv6", 0),
	S_NUMBER("forwarding", 0),
};
static const struct pseudo_dir conf6_if_dir = PSEUDO_DIR(conf6_entries);
static const struct pseudo_entry conf6_ifs[] = {
	P_DIR("all", 0555, &conf6_if_dir),
	P_DIR("default", 0555, &conf6_if_dir),
	P_DIR("lo", 0555, &conf6_if_dir),
};
static const struct pseudo_dir conf6_dir = PSEUDO_DIR(conf6_ifs);
static const struct pseudo_entry ipv6_entries[] = {
	S_NUMBER("bindv6only", 0),
	P_DIR("conf", 0555, &conf6_dir),
};
static const struct pseudo_dir ipv6_dir = PSEUDO_DIR(ipv6_entries);

static const struct pseudo_entry unix_entries[] = {
	S_NUMBER("max_dgram_qlen", 512),
};
static const struct pseudo_dir unix_dir = PSEUDO_DIR(unix_entries);

static const struct pseudo_entry net_entries[] = {
	P_DIR("core", 0555, &core_dir),
	P_DIR("ipv4", 0555, &ipv4_dir),
	P_DIR("ipv6", 0555, &ipv6_dir),
	P_DIR("unix", 0555, &unix_dir),
};
static const struct pseudo_dir net_dir = PSEUDO_DIR(net_entries);

static const struct pseudo_dir empty_dir = {.nentries = 0};

static const struct pseudo_entry sys_entries[] = {
	P_DIR("abi", 0555, &empty_dir),
	P_DIR("debug", 0555, &empty_dir),
	P_DIR("dev", 0555, &empty_dir),
	P_DIR("fs", 0555, &fs_dir),
	P_DIR("kernel", 0555, &kernel_dir),
	P_DIR("net", 0555, &net_dir),
	P_DIR("user", 0555, &empty_dir),
	P_DIR("vm", 0555, &vm_dir),
};
const struct pseudo_dir proc_sys_dir = PSEUDO_DIR(sys_entries);
