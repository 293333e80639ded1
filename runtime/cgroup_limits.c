/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.resources into the files of cgroups, version 1 or 2.
 *
 * The guest's limits on memory, tasks and CPU time are the sentry's (spec_resources), to the byte, and what the guest sees.
 * The host's are the second line, and have to be wide enough never to come first, as the host knows no difference between
 * a guest's process and our own:
 *
 *	memory   + an eighth, at least 16 MiB, at most 256: the monitor, the gofer, the host's own bookkeeping (page tables,
 *	         sockets), and what a guest can touch between two looks of the monitor
 *	pids     + a quarter, at least 64: the roles, threads that are just ending, the clean stubs in stock
 *	cpu      as given: what the sandbox's kernel uses is the guest's use
 *
 * So a guest that uses up its memory is ended by the monitor in good order, and the host's OOM killer has nothing to look for.
 * Should it come all the same, the largest process ends: a stub, whose end is a guest process's; or the sentry, if what the
 * guest holds are files, and then the container ends as by SIGKILL.
 *
 * A file that isn't there or not ours to write: memory, cpu and pids have the sentry, CPUs an affinity (cgroup.c), weights,
 * reservations and swap are preferences that nothing keeps. Moot, as the sandbox has nothing for them to act on: devices,
 * hugepageLimits, rdma, network, kernel and kernelTCP memory, realtime times, disableOOMKiller.
 */
#include "runtime/cgroup.h"
#include "runtime/cleanup.h"
#include "runtime/json_get.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define MiB (1ULL << 20)

uint64_t cgroup_memory_headroom(uint64_t limit)
{
	uint64_t part = limit / 8;

	return part < 16 * MiB ? 16 * MiB : part > 256 * MiB ? 256 * MiB : part;
}

uint64_t cgroup_pids_headroom(uint64_t limit)
{
	return limit / 4 < 64 ? 64 : limit / 4;
}

bool cgroup_cpu_list(const char *text, uint8_t *set, unsigned bits)
{
	while (*text != '\0') {
		unsigned long from, to;
		char *end;

		if (!isdigit((unsigned char)*text))
			return false;
		from = to = strtoul(text, &end, 10);
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				return false;
			to = strtoul(end + 1, &end, 10);
		}
		if (to < from || to >= bits || (*end != ',' && *end != '\0'))
			return false;
		for (; from <= to; from++)
			set[from / 8] |= (uint8_t)(1u << from % 8);
		text = end + (*end == ',');
	}
	return true;
}

/* A file that isn't there for us is no error. False: another one, in errno. */
static bool put(const char *dir, const char *file, const char *value)
{
	int bad = dir != NULL ? cgroup_write(dir, file, value) : 0;

	errno = bad;
	return bad == 0 || bad == ENOENT || bad == EACCES || bad == EPERM || bad == EROFS;
}

static bool put_failed(const char *dir, const char *file, const char *value, const char *field, struct error **err)
{
	return error_errno(err, errno, "linux.resources.%s: can't write \"%s\" to %s/%s", field, value, dir, file);
}

/* -1 is "no limit", max in version 2. */
static char *limit_text(int64_t n, uint64_t more, bool v2)
{
	if (n < 0)
		return xstrdup(v2 ? "max" : "-1");
	return xasprintf("%llu", (unsigned long long)n > UINT64_MAX / 4 ? (unsigned long long)n : (unsigned long long)n + more);
}

static bool put_number(const struct cgroup *cg, enum cgroup_controller which, const char *v1_file, const char *v2_file,
		       int64_t n, uint64_t more, const char *field, struct error **err)
{
	const char *dir = cgroup_dir(cg, which), *file = cg->v1[which] != NULL ? v1_file : v2_file;
	cleanup_free char *value = limit_text(n, more, cg->v1[which] == NULL);

	return file == NULL || put(dir, file, value) || put_failed(dir, file, value, field, err);
}

struct amount {
	bool there;
	int64_t n;
};

/* 0 says nothing, as in runc. */
static bool get(json_object *o, const char *where, const char *key, struct amount *a, struct error **err)
{
	a->n = 0;
	if (!json_get_int(o, where, key, -1, INT64_MAX, &a->n, NULL, err))
		return false;
	a->there = a->n != 0;
	return true;
}

/* ---- memory ---- */

static bool memory_v1(const struct cgroup *cg, struct amount limit, struct amount swap, uint64_t more, struct error **err)
{
	const char *dir = cg->v1[CG_MEMORY];
	cleanup_free char *memory = limit_text(limit.n, more, false), *both = limit_text(swap.n, more, false);
	bool ok = !limit.there || put(dir, "memory.limit_in_bytes", memory);

	/* The one with swap may not be below the one without: which has to move first depends on where both are. */
	if (swap.there && !put(dir, "memory.memsw.limit_in_bytes", both))
		return put_failed(dir, "memory.memsw.limit_in_bytes", both, "memory.swap", err);
	if (ok || put(dir, "memory.limit_in_bytes", memory))
		return true;
	if (errno == EINVAL && limit.n > 0 && !swap.there)
		return error_set(err,
				 "linux.resources.memory.limit: %lld is above what memory.swap allows for memory and swap together: "
				 "name a new memory.swap, too (-1: none)",
				 (long long)limit.n);
	if (errno == EBUSY)
		return error_set(err,
				 "linux.resources.memory.limit: the container uses more than %lld bytes, and can't be made to give "
				 "them back: free memory in it first",
				 (long long)limit.n);
	return put_failed(dir, "memory.limit_in_bytes", memory, "memory.limit", err);
}

static bool set_memory(const struct cgroup *cg, json_object *memory, struct error **err)
{
	static const char where[] = "linux.resources.memory";
	struct amount limit, swap, reservation, swappiness;
	uint64_t more, now;

	if (!get(memory, where, "limit", &limit, err) || !get(memory, where, "swap", &swap, err) ||
	    !get(memory, where, "reservation", &reservation, err) || !get(memory, where, "swappiness", &swappiness, err))
		return false;
	if (swap.n > 0 && limit.n > 0 && swap.n < limit.n)
		return error_set(err, "%s.swap is memory and swap together: it can't be below memory.limit", where);
	more = cgroup_memory_headroom(limit.n > 0 ? (uint64_t)limit.n : swap.n > 0 ? (uint64_t)swap.n : 0);
	if (cg->v1[CG_MEMORY] != NULL) {
		if (!memory_v1(cg, limit, swap, more, err))
			return false;
	} else {
		if (limit.there && !put_number(cg, CG_MEMORY, NULL, "memory.max", limit.n, more, "memory.limit", err))
			return false;
		/* Without memory.limit: beside the memory there is. */
		if (swap.n > 0 && limit.n <= 0 &&
		    cgroup_dir(cg, CG_MEMORY) != NULL && cgroup_read_number(cg->v2, "memory.max", &now) && now < INT64_MAX)
			swap.n = swap.n + (int64_t)more > (int64_t)now ? swap.n + (int64_t)more - (int64_t)now : 0;
		else if (swap.n > 0)
			swap.n -= limit.n > 0 ? limit.n : 0;
		if (swap.there && !put_number(cg, CG_MEMORY, NULL, "memory.swap.max", swap.n, 0, "memory.swap", err))
			return false;
	}
	if (reservation.there && !put_number(cg, CG_MEMORY, "memory.soft_limit_in_bytes", "memory.low", reservation.n, 0,
					     "memory.reservation", err))
		return false;
	return !swappiness.there ||
	       put_number(cg, CG_MEMORY, "memory.swappiness", NULL, swappiness.n, 0, "memory.swappiness", err);
}

/* ---- cpu ---- */

static bool quota_v1(const struct cgroup *cg, struct amount quota, struct amount period, struct error **err)
{
	const char *dir = cg->v1[CG_CPU];
	cleanup_free char *q = limit_text(quota.n, 0, false), *p = limit_text(period.n, 0, false);
	bool ok = !period.there || put(dir, "cpu.cfs_period_us", p);

	/* The share of both together may be above the parent's for a moment: then the other order is the right one. */
	if (quota.there && !put(dir, "cpu.cfs_quota_us", q))
		return put_failed(dir, "cpu.cfs_quota_us", q, "cpu.quota", err);
	return ok || put(dir, "cpu.cfs_period_us", p) || put_failed(dir, "cpu.cfs_period_us", p, "cpu.period", err);
}

static bool quota_v2(const struct cgroup *cg, struct amount quota, struct amount period, struct error **err)
{
	const char *dir = cgroup_dir(cg, CG_CPU);
	cleanup_free char *now = dir != NULL ? cgroup_read(dir, "cpu.max") : NULL, *value = NULL;
	char *blank = now != NULL ? strchr(now, ' ') : NULL;

	if (!quota.there && !period.there)
		return true;
	if (blank != NULL)
		*blank = '\0';
	if (quota.there) {
		cleanup_free char *q = limit_text(quota.n, 0, true);

		value = xasprintf("%s %s", q, !period.there && blank != NULL ? blank + 1 : "100000");
	}
	if (period.there) {
		cleanup_free char *q = quota.there ? limit_text(quota.n, 0, true) : xstrdup(blank != NULL ? now : "max");

		free(value);
		value = xasprintf("%s %lld", q, (long long)period.n);
	}
	return put(dir, "cpu.max", value) || put_failed(dir, "cpu.max", value, "cpu.quota", err);
}

/* Version 2's weights go from 1 to 10000, shares from 2 to 262144: as runc has it. */
static int64_t weight_of_shares(int64_t shares)
{
	shares = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
	return 1 + (shares - 2) * 9999 / 262142;
}

static bool set_list(const struct cgroup *cg, json_object *cpu, const char *key, const char *file, struct error **err)
{
	const char *dir = cgroup_dir(cg, CG_CPUSET), *list;
	cleanup_free char *field = xasprintf("cpu.%s", key);
	cleanup_free char *have = NULL, *effective = xasprintf("%s.effective", file);
	cleanup_free char *parent = NULL;
	uint8_t set[1024] = {0};

	if (!json_get_string(cpu, "linux.resources.cpu", key, &list, err))
		return false;
	if (list == NULL || *list == '\0')
		return true;
	if (!cgroup_cpu_list(list, set, sizeof(set) * 8))
		return error_set(err, "linux.resources.%s: \"%s\" is not a list as 0-2,5", field, list);
	if (dir == NULL || put(dir, file, list))
		return true;
	if (errno != EINVAL && errno != EACCES && errno != ERANGE && errno != ENOSPC)
		return put_failed(dir, file, list, field, err);
	parent = xstrdup(dir);
	*strrchr(parent, '/') = '\0';
	have = cgroup_read(parent, cg->v1[CG_CPUSET] != NULL ? file : effective);
	return error_set(err, "linux.resources.%s: \"%s\" can't be had: %s is what %s has", field, list,
			 have != NULL && *have != '\0' ? have : "nothing", parent);
}

static bool set_cpu(const struct cgroup *cg, json_object *cpu, struct error **err)
{
	static const char where[] = "linux.resources.cpu";
	struct amount shares, quota, period, burst, idle;

	if (!get(cpu, where, "shares", &shares, err) || !get(cpu, where, "quota", &quota, err) ||
	    !get(cpu, where, "period", &period, err) || !get(cpu, where, "burst", &burst, err) ||
	    !get(cpu, where, "idle", &idle, err))
		return false;
	if (shares.there && cg->v1[CG_CPU] == NULL)
		shares.n = weight_of_shares(shares.n);
	if (shares.there && !put_number(cg, CG_CPU, "cpu.shares", "cpu.weight", shares.n, 0, "cpu.shares", err))
		return false;
	if (cg->v1[CG_CPU] != NULL ? !quota_v1(cg, quota, period, err) : !quota_v2(cg, quota, period, err))
		return false;
	if (burst.there && !put_number(cg, CG_CPU, "cpu.cfs_burst_us", "cpu.max.burst", burst.n, 0, "cpu.burst", err))
		return false;
	if (idle.there && !put_number(cg, CG_CPU, "cpu.idle", "cpu.idle", idle.n, 0, "cpu.idle", err))
		return false;
	return set_list(cg, cpu, "mems", "cpuset.mems", err) && set_list(cg, cpu, "cpus", "cpuset.cpus", err);
}

/* ---- block devices ---- */

static bool throttle(const struct cgroup *cg, json_object *io, const char *key, const char *v1_file, const char *v2_word,
		     struct error **err)
{
	cleanup_free char *where = xasprintf("linux.resources.blockIO.%s", key);
	const char *dir = cgroup_dir(cg, CG_BLKIO), *file = cg->v1[CG_BLKIO] != NULL ? v1_file : "io.max";
	json_object *list;

	if (!json_get(io, "linux.resources.blockIO", key, json_type_array, &list, err))
		return false;
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		json_object *o = json_object_array_get_idx(list, i);
		int64_t major = 0, minor = 0, rate = 0;
		cleanup_free char *value = NULL;

		if (!json_object_is_type(o, json_type_object))
			return error_set(err, "%s[%zu] is not an object", where, i);
		if (!json_get_int(o, where, "major", 0, INT32_MAX, &major, NULL, err) ||
		    !json_get_int(o, where, "minor", 0, INT32_MAX, &minor, NULL, err) ||
		    !json_get_int(o, where, "rate", 0, INT64_MAX, &rate, NULL, err))
			return false;
		value = cg->v1[CG_BLKIO] != NULL ?
				xasprintf("%d:%d %lld", (int)major, (int)minor, (long long)rate) :
				xasprintf("%d:%d %s=%lld", (int)major, (int)minor, v2_word, (long long)rate);
		if (!put(dir, file, value))
			return put_failed(dir, file, value, where + strlen("linux.resources."), err);
	}
	return true;
}

static bool set_block(const struct cgroup *cg, json_object *io, struct error **err)
{
	const char *dir = cgroup_dir(cg, CG_BLKIO);
	struct amount weight;

	if (!get(io, "linux.resources.blockIO", "weight", &weight, err))
		return false;
	if (weight.there && dir != NULL) {
		cleanup_free char *value = limit_text(weight.n, 0, false);
		cleanup_free char *wide = limit_text(1 + (weight.n - 10) * 9999 / 990, 0, false);
		bool v1 = cg->v1[CG_BLKIO] != NULL;

		/* Which of them there is depends on the scheduler. */
		if (!put(dir, v1 ? "blkio.weight" : "io.weight", v1 ? value : wide) ||
		    !put(dir, v1 ? "blkio.bfq.weight" : "io.bfq.weight", value))
			return error_errno(err, errno, "linux.resources.blockIO.weight: %s can't be set in %s", value, dir);
	}
	return throttle(cg, io, "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", err) &&
	       throttle(cg, io, "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", err) &&
	       throttle(cg, io, "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", err) &&
	       throttle(cg, io, "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", err);
}

/* ---- version 2's files by their names ---- */

/* The sentry honours these three wherever it runs (spec.c), and the host's limits are above its own. */
static bool by_the_sentry(const struct cgroup *cg, const char *key, const char *text, bool *ok, struct error **err)
{
	int64_t n = strncmp(text, "max", 3) == 0 ? -1 : strtoll(text, NULL, 10);

	*ok = true;
	if (strcmp(key, "cpu.max") == 0)
		*ok = put(cg->v2, key, text) || put_failed(cg->v2, key, text, "unified", err);
	else if (strcmp(key, "memory.max") == 0)
		*ok = put_number(cg, CG_MEMORY, "memory.limit_in_bytes", key, n, cgroup_memory_headroom((uint64_t)(n > 0 ? n : 0)), "unified", err);
	else if (strcmp(key, "pids.max") == 0)
		*ok = put_number(cg, CG_PIDS, "pids.max", key, n, cgroup_pids_headroom((uint64_t)(n > 0 ? n : 0)), "unified", err);
	else
		return false;
	return true;
}

static bool set_unified(const struct cgroup *cg, json_object *unified, struct error **err)
{
	if (unified == NULL)
		return true;
	json_object_object_foreach(unified, key, value)
	{
		bool ok;

		if (strchr(key, '/') != NULL || strchr(key, '.') == NULL || key[0] == '.' || strncmp(key, "cgroup.", 7) == 0)
			return error_set(err, "linux.resources.unified: \"%s\" is not a controller's file, as memory.high", key);
		if (!json_object_is_type(value, json_type_string))
			return error_set(err, "linux.resources.unified[\"%s\"] is not a string", key);
		if (by_the_sentry(cg, key, json_object_get_string(value), &ok, err)) {
			if (!ok)
				return false;
			continue;
		}
		if (cg->v2 == NULL)
			return error_set(err,
					 "linux.resources.unified[\"%s\"] needs cgroups of version 2 that can be written, and there are "
					 "none: say it by memory, cpu, pids or blockIO",
					 key);
		errno = cgroup_write(cg->v2, key, json_object_get_string(value));
		if (errno != 0)
			return error_errno(err, errno, "linux.resources.unified: can't write \"%s\" to %s/%s",
					   json_object_get_string(value), cg->v2, key);
	}
	return true;
}

bool cgroup_limits(const struct cgroup *cg, json_object *resources, struct error **err)
{
	static const char where[] = "linux.resources";
	json_object *memory, *cpu, *pids, *io, *unified;
	struct amount limit;

	if (!json_get(resources, where, "memory", json_type_object, &memory, err) ||
	    !json_get(resources, where, "cpu", json_type_object, &cpu, err) ||
	    !json_get(resources, where, "pids", json_type_object, &pids, err) ||
	    !json_get(resources, where, "blockIO", json_type_object, &io, err) ||
	    !json_get(resources, where, "unified", json_type_object, &unified, err) ||
	    !get(pids, "linux.resources.pids", "limit", &limit, err))
		return false;
	if (!set_memory(cg, memory, err) || !set_cpu(cg, cpu, err) || !set_block(cg, io, err) || !set_unified(cg, unified, err))
		return false;
	return !limit.there || put_number(cg, CG_PIDS, "pids.max", "pids.max", limit.n,
					  cgroup_pids_headroom((uint64_t)(limit.n > 0 ? limit.n : 0)), "pids.limit", err);
}
