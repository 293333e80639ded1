/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /sys, as much as programs read to find out about the machine: CPUs, the loopback interface, transparent huge pages, and
 * the directory to mount cgroups on. All read-only.
 *
 * Every CPU is a core of its own in one package, with its caches as cpuid tells them (lscpu).
 * Left out: block devices, buses, PCI, modules, power: their directories are there and empty.
 */
#include "sentry/base/alloc.h"
#include "sentry/abi/errno.h"
#include "sentry/fs/pseudo.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/kernel/task.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

static unsigned cpus(void)
{
	return MAX(kernel.ncpus, 1U);
}

static const struct pseudo_dir empty_dir = {.nentries = 0};

/* ---- CPUs ---- */

static int cpu_list(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, cpus() == 1 ? "0\n" : "0-%u\n", cpus() - 1);
	return 0;
}

/* A mask in groups of 32 bits; num is the CPU, or all of them by the entry's arg. */
static void text_mask(struct text_buf *b, unsigned first, unsigned n)
{
	unsigned words = (cpus() + 31) / 32, w, i;

	for (w = words; w-- > 0;) {
		uint32_t bits = 0;

		for (i = 0; i < 32; i++)
			if (w * 32 + i >= first && w * 32 + i < first + n)
				bits |= 1U << i;
		/* The first word has as many digits as there are CPUs for. */
		if (w == words - 1)
			text_printf(b, "%0*x", (int)((cpus() - w * 32 + 3) / 4), bits);
		else
			text_printf(b, ",%08x", bits);
	}
	text_puts(b, "\n");
}

enum { TOPO_SELF, TOPO_SELF_LIST, TOPO_ALL, TOPO_ALL_LIST, TOPO_ID };

static int topology_show(struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	unsigned cpu = (unsigned)node->num;

	switch (node->entry->arg) {
	case TOPO_SELF:
		text_mask(b, cpu, 1);
		break;
	case TOPO_SELF_LIST:
	case TOPO_ID:
		text_printf(b, "%u\n", cpu);
		break;
	case TOPO_ALL:
		text_mask(b, 0, cpus());
		break;
	default:
		return cpu_list(task, node, b);
	}
	return 0;
}

#define T_FILE(n, what) P_FILE(n, 0444, topology_show, .arg = (what))

/* The tables below belong to one CPU; directories hand its number down through `inherit`. */
static int inherit_lookup(const struct pseudo_entry *entries, unsigned n, struct pseudo_node *dir, const char *name,
			  struct pseudo_found *out)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (strcmp(entries[i].name, name) == 0) {
			out->entry = &entries[i];
			out->num = dir->num;
			return 0;
		}
	}
	return -LINUX_ENOENT;
}

static int inherit_iterate(const struct pseudo_entry *entries, unsigned n, uint64_t from, struct pseudo_list *list)
{
	for (; from < n; from++)
		if (!pseudo_emit(list, entries[from].name, entries[from].mode, from))
			break;
	return 0;
}

#define INHERIT_DIR(prefix)                                                                                            \
	static int prefix##_lookup(unused_arg struct task *task, struct pseudo_node *dir, const char *name,            \
				   struct pseudo_found *out)                                                           \
	{                                                                                                              \
		return inherit_lookup(prefix##_entries, ARRAY_LEN(prefix##_entries), dir, name, out);                  \
	}                                                                                                              \
	static int prefix##_iterate(unused_arg struct task *task, unused_arg struct pseudo_node *dir, uint64_t from,   \
				    struct pseudo_list *list)                                                          \
	{                                                                                                              \
		return inherit_iterate(prefix##_entries, ARRAY_LEN(prefix##_entries), from, list);                     \
	}                                                                                                              \
	static const struct pseudo_dir prefix##_dir = {.lookup = prefix##_lookup, .iterate = prefix##_iterate}

static const struct pseudo_entry topology_entries[] = {
	T_FILE("cluster_cpus", TOPO_SELF),
	T_FILE("cluster_cpus_list", TOPO_SELF_LIST),
	T_FILE("cluster_id", TOPO_ID),
	T_FILE("core_cpus", TOPO_SELF),
	T_FILE("core_cpus_list", TOPO_SELF_LIST),
	T_FILE("core_id", TOPO_ID),
	T_FILE("core_siblings", TOPO_ALL),
	T_FILE("core_siblings_list", TOPO_ALL_LIST),
	P_NUMBER("die_id", 0),
	T_FILE("package_cpus", TOPO_ALL),
	T_FILE("package_cpus_list", TOPO_ALL_LIST),
	P_NUMBER("physical_package_id", 0),
	T_FILE("thread_siblings", TOPO_SELF),
	T_FILE("thread_siblings_list", TOPO_SELF_LIST),
};
INHERIT_DIR(topology);

/* ---- caches: cpuid leaf 4, or AMD's 0x8000001d ---- */

struct cache {
	unsigned level, type; /* 1 data, 2 instruction, 3 unified */
	uint32_t line, ways, partitions, sets;
};

static bool cache_get(unsigned index, struct cache *c)
{
	uint32_t a, b, cx, d, leaf = 4;
	uint32_t max, ext;

	__cpuid(0, max, b, cx, d);
	__cpuid(0x80000000, ext, b, cx, d);
	if (ext >= 0x8000001d) {
		__cpuid_count(0x8000001d, 0, a, b, cx, d);
		if ((a & 31) != 0)
			leaf = 0x8000001d;
	}
	if (leaf == 4 && max < 4)
		return false;
	__cpuid_count(leaf, index, a, b, cx, d);
	c->type = a & 31;
	c->level = a >> 5 & 7;
	c->line = (b & 0xfff) + 1;
	c->partitions = (b >> 12 & 0x3ff) + 1;
	c->ways = (b >> 22) + 1;
	c->sets = cx + 1;
	return c->type >= 1 && c->type <= 3;
}

enum { CACHE_LEVEL, CACHE_TYPE, CACHE_SIZE, CACHE_LINE, CACHE_WAYS, CACHE_SETS, CACHE_PARTS, CACHE_MAP, CACHE_LIST };

/* num is cpu << 8 | index. */
static int cache_show(struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	static const char *const types[] = {"", "Data", "Instruction", "Unified"};
	unsigned cpu = (unsigned)(node->num >> 8);
	struct cache c;

	if (!cache_get(node->num & 255, &c))
		return -LINUX_ENODEV;
	switch (node->entry->arg) {
	case CACHE_LEVEL:
		text_printf(b, "%u\n", c.level);
		break;
	case CACHE_TYPE:
		text_printf(b, "%s\n", types[c.type]);
		break;
	case CACHE_SIZE:
		text_printf(b, "%lluK\n", (unsigned long long)c.line * c.partitions * c.ways * c.sets / KiB);
		break;
	case CACHE_LINE:
		text_printf(b, "%u\n", c.line);
		break;
	case CACHE_WAYS:
		text_printf(b, "%u\n", c.ways);
		break;
	case CACHE_SETS:
		text_printf(b, "%u\n", c.sets);
		break;
	case CACHE_PARTS:
		text_printf(b, "%u\n", c.partitions);
		break;
	case CACHE_MAP:
		text_mask(b, c.level < 3 ? cpu : 0, c.level < 3 ? 1 : cpus());
		break;
	default:
		if (c.level >= 3)
			return cpu_list(task, node, b);
		text_printf(b, "%u\n", cpu);
		break;
	}
	return 0;
}

#define C_FILE(n, what) P_FILE(n, 0444, cache_show, .arg = (what))
static const struct pseudo_entry index_entries[] = {
	C_FILE("coherency_line_size", CACHE_LINE), C_FILE("level", CACHE_LEVEL),
	C_FILE("number_of_sets", CACHE_SETS),	   C_FILE("physical_line_partition", CACHE_PARTS),
	C_FILE("shared_cpu_list", CACHE_LIST),	   C_FILE("shared_cpu_map", CACHE_MAP),
	C_FILE("size", CACHE_SIZE),		   C_FILE("type", CACHE_TYPE),
	C_FILE("ways_of_associativity", CACHE_WAYS),
};
INHERIT_DIR(index);
static const struct pseudo_entry index_entry = {.mode = LINUX_S_IFDIR | 0755, .dir = &index_dir};

static int cache_lookup(unused_arg struct task *task, struct pseudo_node *dir, const char *name, struct pseudo_found *out)
{
	struct cache c;
	uint32_t i;

	if (strncmp(name, "index", 5) != 0)
		return -LINUX_ENOENT;
	i = pseudo_parse_name(name + 5);
	if (i > 7 || !cache_get(i, &c))
		return -LINUX_ENOENT;
	out->entry = &index_entry;
	out->num = dir->num << 8 | i;
	return 0;
}

static int cache_iterate(unused_arg struct task *task, unused_arg struct pseudo_node *dir, uint64_t from,
			 struct pseudo_list *list)
{
	struct cache c;
	char name[16];

	for (; from < 8 && cache_get((unsigned)from, &c); from++) {
		snprintf(name, sizeof(name), "index%u", (unsigned)from);
		if (!pseudo_emit(list, name, LINUX_S_IFDIR, from))
			break;
	}
	return 0;
}
static const struct pseudo_dir cache_dir = {.lookup = cache_lookup, .iterate = cache_iterate};

static const struct pseudo_entry cpu_entries[] = {
	P_DIR("cache", 0755, &cache_dir),
	P_NUMBER("online", 1),
	P_DIR("topology", 0755, &topology_dir),
};
INHERIT_DIR(cpu);
static const struct pseudo_entry cpu_entry = {.mode = LINUX_S_IFDIR | 0755, .dir = &cpu_dir};

static int cpus_lookup(unused_arg struct task *task, unused_arg struct pseudo_node *dir, const char *name,
		       struct pseudo_found *out)
{
	uint32_t i;

	if (strncmp(name, "cpu", 3) != 0)
		return -LINUX_ENOENT;
	i = pseudo_parse_name(name + 3);
	if (i >= cpus())
		return -LINUX_ENOENT;
	out->entry = &cpu_entry;
	out->num = i;
	return 0;
}

static int cpus_iterate(unused_arg struct task *task, unused_arg struct pseudo_node *dir, uint64_t from,
			struct pseudo_list *list)
{
	char name[16];

	for (; from < cpus(); from++) {
		snprintf(name, sizeof(name), "cpu%u", (unsigned)from);
		if (!pseudo_emit(list, name, LINUX_S_IFDIR, from))
			break;
	}
	return 0;
}

static const struct pseudo_entry cpus_entries[] = {
	P_TEXT("isolated", "\n"),
	P_NUMBER("kernel_max", 8191),
	P_TEXT("modalias", "\n"),
	P_TEXT("offline", "\n"),
	P_FILE("online", 0444, cpu_list),
	P_FILE("possible", 0444, cpu_list),
	P_FILE("present", 0444, cpu_list),
};
static const struct pseudo_dir cpus_dir = PSEUDO_DIR(cpus_entries, .lookup = cpus_lookup, .iterate = cpus_iterate);

/* ---- memory nodes ---- */

static int node_cpumap(unused_arg struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	text_mask(b, 0, cpus());
	return 0;
}

static const struct pseudo_entry node0_entries[] = {
	P_FILE("cpulist", 0444, cpu_list),
	P_FILE("cpumap", 0444, node_cpumap),
	P_TEXT("distance", "10\n"),
};
static const struct pseudo_dir node0_dir = PSEUDO_DIR(node0_entries);
static const struct pseudo_entry nodes_entries[] = {
	P_TEXT("has_cpu", "0\n"),	    P_TEXT("has_memory", "0\n"), P_TEXT("has_normal_memory", "0\n"),
	P_DIR("node0", 0755, &node0_dir),   P_TEXT("online", "0\n"),	 P_TEXT("possible", "0\n"),
};
static const struct pseudo_dir nodes_dir = PSEUDO_DIR(nodes_entries);

static const struct pseudo_entry system_entries[] = {
	P_DIR("cpu", 0755, &cpus_dir),
	P_DIR("node", 0755, &nodes_dir),
};
static const struct pseudo_dir system_dir = PSEUDO_DIR(system_entries);

/* ---- the loopback interface ---- */

static const struct pseudo_entry lo_statistics[] = {
	P_NUMBER("collisions", 0), P_NUMBER("rx_bytes", 0),   P_NUMBER("rx_dropped", 0), P_NUMBER("rx_errors", 0),
	P_NUMBER("rx_packets", 0), P_NUMBER("tx_bytes", 0),   P_NUMBER("tx_dropped", 0), P_NUMBER("tx_errors", 0),
	P_NUMBER("tx_packets", 0),
};
static const struct pseudo_dir lo_statistics_dir = PSEUDO_DIR(lo_statistics);
static const struct pseudo_entry lo_entries[] = {
	P_NUMBER("addr_len", 6),
	P_TEXT("address", "00:00:00:00:00:00\n"),
	P_TEXT("broadcast", "00:00:00:00:00:00\n"),
	P_NUMBER("carrier", 1),
	P_NUMBER("dev_id", 0),
	P_TEXT("flags", "0x9\n"),
	P_NUMBER("ifindex", 1),
	P_NUMBER("iflink", 1),
	P_NUMBER("mtu", 65536),
	P_TEXT("operstate", "unknown\n"),
	P_DIR("statistics", 0755, &lo_statistics_dir),
	P_NUMBER("tx_queue_len", 1000),
	P_NUMBER("type", 772),
	P_TEXT("uevent", "INTERFACE=lo\nIFINDEX=1\n"),
};
static const struct pseudo_dir lo_dir = PSEUDO_DIR(lo_entries);
static const struct pseudo_entry virtual_net_entries[] = {P_DIR("lo", 0755, &lo_dir)};
static const struct pseudo_dir virtual_net_dir = PSEUDO_DIR(virtual_net_entries);
static const struct pseudo_entry virtual_entries[] = {P_DIR("net", 0755, &virtual_net_dir)};
static const struct pseudo_dir virtual_dir = PSEUDO_DIR(virtual_entries);
static const struct pseudo_entry devices_entries[] = {
	P_DIR("system", 0755, &system_dir),
	P_DIR("virtual", 0755, &virtual_dir),
};
static const struct pseudo_dir devices_dir = PSEUDO_DIR(devices_entries);

static const struct pseudo_entry class_net_entries[] = {
	P_LINK("lo", pseudo_readlink_text, .text = "../../devices/virtual/net/lo"),
};
static const struct pseudo_dir class_net_dir = PSEUDO_DIR(class_net_entries);
static const struct pseudo_entry class_entries[] = {
	P_DIR("block", 0755, &empty_dir),
	P_DIR("net", 0755, &class_net_dir),
	P_DIR("power_supply", 0755, &empty_dir),
	P_DIR("tty", 0755, &empty_dir),
};
static const struct pseudo_dir class_dir = PSEUDO_DIR(class_entries);

/* ---- kernel, fs ---- */

static const struct pseudo_entry thp_entries[] = {
	P_TEXT("defrag", "always defer defer+madvise [madvise] never\n"),
	P_TEXT("enabled", "always [madvise] never\n"),
	P_NUMBER("hpage_pmd_size", 2097152),
	P_TEXT("shmem_enabled", "always within_size advise [never] deny force\n"),
	P_NUMBER("use_zero_page", 1),
};
static const struct pseudo_dir thp_dir = PSEUDO_DIR(thp_entries);
static const struct pseudo_entry mm_entries[] = {
	P_DIR("hugepages", 0755, &empty_dir),
	P_DIR("transparent_hugepage", 0755, &thp_dir),
};
static const struct pseudo_dir mm_dir = PSEUDO_DIR(mm_entries);
static const struct pseudo_entry cgroup_entries[] = {
	P_TEXT("delegate", "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\nmemory.oom.group\n"),
	P_TEXT("features", "nsdelegate\nmemory_recursiveprot\n"),
};
static const struct pseudo_dir kernel_cgroup_dir = PSEUDO_DIR(cgroup_entries);
static const struct pseudo_entry kernel_entries[] = {
	P_DIR("cgroup", 0755, &kernel_cgroup_dir),
	P_DIR("mm", 0755, &mm_dir),
	P_TEXT("profiling", "0\n"),
	P_DIR("security", 0755, &empty_dir),
};
static const struct pseudo_dir kernel_dir = PSEUDO_DIR(kernel_entries);
static const struct pseudo_entry fs_entries[] = {
	P_DIR("cgroup", 0755, &empty_dir),
};
static const struct pseudo_dir fs_dir = PSEUDO_DIR(fs_entries);

static const struct pseudo_entry root_entries[] = {
	P_DIR("block", 0755, &empty_dir),     P_DIR("bus", 0755, &empty_dir),	 P_DIR("class", 0755, &class_dir),
	P_DIR("dev", 0755, &empty_dir),	      P_DIR("devices", 0755, &devices_dir), P_DIR("firmware", 0755, &empty_dir),
	P_DIR("fs", 0755, &fs_dir),	      P_DIR("kernel", 0755, &kernel_dir), P_DIR("module", 0755, &empty_dir),
	P_DIR("power", 0755, &empty_dir),
};
static const struct pseudo_dir root_dir = PSEUDO_DIR(root_entries);
static const struct pseudo_entry root_entry = P_DIR("/", 0555, &root_dir);

struct superblock *sys_new_superblock(void)
{
	struct pseudo_fs *fs = kzalloc(sizeof(*fs));

	if (fs == NULL)
		return NULL;
	if (pseudo_fs_init(fs, "sysfs", LINUX_SYSFS_MAGIC, &root_entry) != 0) {
		kfree(fs);
		return NULL;
	}
	return &fs->sb;
}
