/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc's files about the whole machine, which is the sandbox: its memory limit, its CPUs, its processes.
 *
 * Uptime is the host's, because the guest reads the same clocks natively; CPU time is what the sandbox has used. Interrupts,
 * context switches and paging happen outside and are shown as none.
 */
#include "sentry/fs/proc_internal.h"
#include "sentry/host/host.h"
#include "sentry/kernel/usage.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/mm.h"

#include <time.h>

#define U(x) ((unsigned long long)(x))

int proc_meminfo(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct memory_usage m;
	uint64_t shared = MIN(mm_shared_bytes(), UINT64_MAX / 2);

	usage_memory(&m);
#define LINE(name, bytes) text_printf(b, "%-15s %8llu kB\n", name ":", U((bytes) / KiB))
	LINE("MemTotal", m.total);
	LINE("MemFree", m.free);
	LINE("MemAvailable", m.free);
	LINE("Buffers", 0);
	LINE("Cached", m.files);
	LINE("SwapCached", 0);
	LINE("Active", m.resident);
	LINE("Inactive", m.files);
	LINE("Active(anon)", m.resident);
	LINE("Inactive(anon)", m.files);
	LINE("Active(file)", 0);
	LINE("Inactive(file)", 0);
	LINE("Unevictable", 0);
	LINE("Mlocked", 0);
	LINE("SwapTotal", 0);
	LINE("SwapFree", 0);
	LINE("Dirty", 0);
	LINE("Writeback", 0);
	LINE("AnonPages", m.resident);
	LINE("Mapped", shared);
	LINE("Shmem", m.files + shared);
	LINE("KReclaimable", 0);
	LINE("Slab", 0);
	LINE("SReclaimable", 0);
	LINE("SUnreclaim", 0);
	LINE("KernelStack", (uint64_t)kernel.ntasks * 64 * KiB);
	LINE("PageTables", m.resident / 512);
	LINE("NFS_Unstable", 0);
	LINE("Bounce", 0);
	LINE("WritebackTmp", 0);
	LINE("CommitLimit", m.total);
	LINE("Committed_AS", m.total - m.free);
	LINE("VmallocTotal", 34359738367ULL * KiB);
	LINE("VmallocUsed", 0);
	LINE("VmallocChunk", 0);
	LINE("Percpu", 0);
	LINE("AnonHugePages", 0);
	LINE("ShmemHugePages", 0);
	LINE("ShmemPmdMapped", 0);
	text_puts(b, "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\n");
	LINE("Hugepagesize", 2 * MiB);
	LINE("Hugetlb", 0);
#undef LINE
	return 0;
}

/* Used time is spread evenly over the CPUs: nobody here knows on which one a thread ran. */
int proc_stat(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	uint64_t boot = host_clock_ns(CLOCK_BOOTTIME), real = host_clock_ns(CLOCK_REALTIME);
	uint64_t user, sys, cpus = MAX(kernel.ncpus, 1U), all = boot * cpus, idle;
	uint64_t i;

	usage_all_times(&user, &sys);
	idle = all > user + sys ? all - user - sys : 0;
	text_printf(b, "cpu  %llu 0 %llu %llu 0 0 0 0 0 0\n", U(user / NSEC_PER_TICK),
		    U(sys / NSEC_PER_TICK), U(idle / NSEC_PER_TICK));
	for (i = 0; i < cpus; i++)
		text_printf(b, "cpu%llu %llu 0 %llu %llu 0 0 0 0 0 0\n", U(i), U(user / cpus / NSEC_PER_TICK),
			    U(sys / cpus / NSEC_PER_TICK), U(idle / cpus / NSEC_PER_TICK));
	text_printf(b, "intr 0\nctxt 0\nbtime %llu\nprocesses %d\nprocs_running %u\nprocs_blocked 0\n",
		    U((real - boot) / NSEC_PER_SEC), pid_space_last(pid_space_of(task_current())), usage_running());
	text_puts(b, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
	return 0;
}

int proc_uptime(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	uint64_t boot = host_clock_ns(CLOCK_BOOTTIME), user, sys, idle;

	usage_all_times(&user, &sys);
	idle = boot * MAX(kernel.ncpus, 1U);
	idle = idle > user + sys ? idle - user - sys : 0;
	text_printf(b, "%llu.%02llu %llu.%02llu\n", U(boot / NSEC_PER_SEC), U(boot % NSEC_PER_SEC / 10000000),
		    U(idle / NSEC_PER_SEC), U(idle % NSEC_PER_SEC / 10000000));
	return 0;
}

int proc_loadavg(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	uint32_t load[3];
	unsigned i;

	usage_load(load);
	for (i = 0; i < 3; i++)
		text_printf(b, "%u.%02u ", load[i] >> 16, (load[i] & 0xffff) * 100 >> 16);
	text_printf(b, "%u/%u %d\n", usage_running(), kernel.ntasks, pid_space_last(pid_space_of(task_current())));
	return 0;
}

int proc_version(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_puts(b, UTS_SYSNAME " version " UTS_RELEASE " (sentrybox@sentrybox) (gcc, GNU ld) " UTS_VERSION "\n");
	return 0;
}

int proc_vmstat(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	static const char *const zeros[] = {
		"nr_zone_write_pending", "nr_mlock", "nr_bounce", "nr_dirty", "nr_writeback", "nr_unstable",
		"nr_slab_reclaimable", "nr_slab_unreclaimable", "pgpgin", "pgpgout", "pswpin", "pswpout", "pgfree",
		"pgactivate", "pgdeactivate", "pgfault", "pgmajfault", "pgrefill", "pgsteal_kswapd", "pgsteal_direct",
		"pgscan_kswapd", "pgscan_direct", "oom_kill",
	};
	struct memory_usage m;
	unsigned i;

	usage_memory(&m);
	text_printf(b, "nr_free_pages %llu\nnr_anon_pages %llu\nnr_mapped 0\nnr_file_pages %llu\nnr_shmem %llu\n",
		    U(m.free / PAGE_SIZE), U(m.resident / PAGE_SIZE), U(m.files / PAGE_SIZE), U(m.files / PAGE_SIZE));
	for (i = 0; i < ARRAY_LEN(zeros); i++)
		text_printf(b, "%s 0\n", zeros[i]);
	return 0;
}

static void cpu_header(struct text_buf *b)
{
	unsigned i;

	for (i = 0; i < MAX(kernel.ncpus, 1U); i++)
		text_printf(b, "      CPU%-2u", i);
	text_puts(b, "\n");
}

int proc_interrupts(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	static const char *const names[][2] = {
		{"NMI", "Non-maskable interrupts"},
		{"LOC", "Local timer interrupts"},
		{"RES", "Rescheduling interrupts"},
		{"TLB", "TLB shootdowns"},
	};
	unsigned i, j;

	text_puts(b, "     ");
	cpu_header(b);
	for (i = 0; i < ARRAY_LEN(names); i++) {
		text_printf(b, " %s:", names[i][0]);
		for (j = 0; j < MAX(kernel.ncpus, 1U); j++)
			text_printf(b, " %10u", 0);
		text_printf(b, "   %s\n", names[i][1]);
	}
	return 0;
}

int proc_softirqs(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	static const char *const names[] = {"HI",    "TIMER",	"NET_TX",  "NET_RX", "BLOCK",
					    "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"};
	unsigned i, j;

	text_puts(b, "            ");
	cpu_header(b);
	for (i = 0; i < ARRAY_LEN(names); i++) {
		text_printf(b, "%12s:", names[i]);
		for (j = 0; j < MAX(kernel.ncpus, 1U); j++)
			text_printf(b, " %10u", 0);
		text_puts(b, "\n");
	}
	return 0;
}

int proc_zoneinfo(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct memory_usage m;

	usage_memory(&m);
	text_printf(b,
		    "Node 0, zone   Normal\n"
		    "  pages free     %llu\n        boost    0\n        min      0\n        low      0\n        high     0\n"
		    "        spanned  %llu\n        present  %llu\n        managed  %llu\n",
		    U(m.free / PAGE_SIZE), U(m.total / PAGE_SIZE), U(m.total / PAGE_SIZE), U(m.total / PAGE_SIZE));
	return 0;
}
