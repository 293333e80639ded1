/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container's cgroups have counted: the whole sandbox, the monitor and the sandbox's kernel included, which is what
 * it costs the host. Version 1 has a file a number, version 2 lines of "name number".
 */
#include "runtime/cgroup.h"
#include "runtime/cleanup.h"

#include <string.h>

/* The number behind a name in a file of such lines; 0 if it isn't there. */
static uint64_t line_number(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = text; p != NULL && *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		if (strncmp(p, name, len) == 0 && p[len] == ' ')
			return strtoull(p + len + 1, NULL, 10);
	}
	return 0;
}

static void cpu_v1(const struct cgroup *cg, struct cgroup_usage *u)
{
	cleanup_free char *parts = cgroup_read(cg->v1[CG_CPUACCT], "cpuacct.stat");
	cleanup_free char *stat = cg->v1[CG_CPU] != NULL ? cgroup_read(cg->v1[CG_CPU], "cpu.stat") : NULL;
	uint64_t tick = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);

	u->cpu = cgroup_read_number(cg->v1[CG_CPUACCT], "cpuacct.usage", &u->cpu_ns);
	if (!cgroup_read_number(cg->v1[CG_CPUACCT], "cpuacct.usage_user", &u->cpu_user_ns))
		u->cpu_user_ns = line_number(parts, "user") * tick;
	if (!cgroup_read_number(cg->v1[CG_CPUACCT], "cpuacct.usage_sys", &u->cpu_sys_ns))
		u->cpu_sys_ns = line_number(parts, "system") * tick;
	u->periods = line_number(stat, "nr_periods");
	u->throttled_periods = line_number(stat, "nr_throttled");
	u->throttled_ns = line_number(stat, "throttled_time");
}

static void cpu_v2(const struct cgroup *cg, struct cgroup_usage *u)
{
	cleanup_free char *stat = cgroup_read(cg->v2, "cpu.stat");

	u->cpu = stat != NULL;
	u->cpu_ns = line_number(stat, "usage_usec") * 1000;
	u->cpu_user_ns = line_number(stat, "user_usec") * 1000;
	u->cpu_sys_ns = line_number(stat, "system_usec") * 1000;
	u->periods = line_number(stat, "nr_periods");
	u->throttled_periods = line_number(stat, "nr_throttled");
	u->throttled_ns = line_number(stat, "throttled_usec") * 1000;
}

static json_object *raw_lines(const char *text)
{
	json_object *o = json_object_new_object();

	for (const char *p = text; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t n = strcspn(p, " \n");
		cleanup_free char *name = xstrndup(p, n);

		if (p[n] == ' ')
			json_object_object_add(o, name, json_object_new_uint64(strtoull(p + n + 1, NULL, 10)));
	}
	return o;
}

static void memory(const struct cgroup *cg, struct cgroup_usage *u)
{
	const char *dir = cgroup_dir(cg, CG_MEMORY);
	bool v1 = cg->v1[CG_MEMORY] != NULL;
	cleanup_free char *stat = cgroup_read(dir, "memory.stat");
	cleanup_free char *events = v1 ? NULL : cgroup_read(dir, "memory.events");
	uint64_t both;

	u->memory = cgroup_read_number(dir, v1 ? "memory.usage_in_bytes" : "memory.current", &u->memory_bytes);
	if (!cgroup_read_number(dir, v1 ? "memory.max_usage_in_bytes" : "memory.peak", &u->memory_peak))
		u->memory_peak = 0; /* before 5.19 */
	if (!v1)
		u->memory_failcnt = line_number(events, "max");
	else
		cgroup_read_number(dir, "memory.failcnt", &u->memory_failcnt);
	u->cache_bytes = line_number(stat, v1 ? "cache" : "file");
	if (!v1)
		cgroup_read_number(dir, "memory.swap.current", &u->swap_bytes);
	else if (cgroup_read_number(dir, "memory.memsw.usage_in_bytes", &both) && both > u->memory_bytes)
		u->swap_bytes = both - u->memory_bytes;
	if (stat != NULL)
		u->memory_raw = raw_lines(stat);
}

void cgroup_usage(const struct cgroup *cg, struct cgroup_usage *u)
{
	const char *pids = cgroup_dir(cg, CG_PIDS);

	memset(u, 0, sizeof(*u));
	if (cg->v1[CG_CPUACCT] != NULL)
		cpu_v1(cg, u);
	else if (cgroup_dir(cg, CG_CPUACCT) != NULL)
		cpu_v2(cg, u);
	if (cgroup_dir(cg, CG_MEMORY) != NULL)
		memory(cg, u);
	if (pids != NULL) {
		u->pids = cgroup_read_number(pids, "pids.current", &u->pids_current);
		if (!cgroup_read_number(pids, "pids.max", &u->pids_limit))
			u->pids_limit = UINT64_MAX;
	}
}
