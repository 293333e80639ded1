/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `events` and `update`: what a container uses, and changing what it may.
 *
 *	events   cgroup files: CPU time, memory with its peak and failures, throttling      what it costs the host
 *	         the monitor: the same from /proc, where there is no cgroup; OOMs            as they come
 *	         the sentry: threads, the limits                                             as the guest has them
 *	update   linux.resources --> cgroup files, then the monitor and the sentry --> state.json
 *
 * Limits are shown as they were given. The host's own are a bit wider (cgroup_limits.c), so what is used may be more than the
 * limit by that bit, as it has the sandbox's kernel and the monitor in it.
 */
#include "runtime/resources.h"
#include "runtime/cgroup.h"
#include "runtime/cleanup.h"
#include "runtime/json_get.h"
#include "runtime/spec.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define ENDING_MS 60000

/* ---- events ---- */

static void number(json_object *to, const char *key, uint64_t n)
{
	json_object_object_add(to, key, json_object_new_uint64(n));
}

static json_object *object_in(json_object *to, const char *key)
{
	json_object *o = json_object_new_object();

	json_object_object_add(to, key, o);
	return o;
}

static json_object *event(const struct container *c, const char *type)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "type", json_object_new_string(type));
	json_object_object_add(o, "id", json_object_new_string(c->id));
	return o;
}

static void print_event(json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE | JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(o);
}

static uint64_t kept(const struct container *c, const char *key)
{
	json_object *v;

	return json_object_object_get_ex(c->state, key, &v) ? json_object_get_uint64(v) : 0;
}

static void add_cpu(json_object *data, const struct cgroup_usage *u, const struct lifecycle_reply *r)
{
	json_object *cpu = object_in(data, "cpu"), *usage = object_in(cpu, "usage"), *throttling;

	number(usage, "total", u->cpu ? u->cpu_ns : r->cpu_user_ns + r->cpu_sys_ns);
	number(usage, "kernel", u->cpu ? u->cpu_sys_ns : r->cpu_sys_ns);
	number(usage, "user", u->cpu ? u->cpu_user_ns : r->cpu_user_ns);
	throttling = object_in(cpu, "throttling");
	if (!u->cpu && r->cpu_periods == 0)
		return;
	if (!u->cpu) {
		number(throttling, "periods", r->cpu_periods);
		number(throttling, "throttledPeriods", r->cpu_throttled_periods);
		number(throttling, "throttledTime", r->cpu_throttled_ns);
		return;
	}
	number(throttling, "periods", u->periods);
	number(throttling, "throttledPeriods", u->throttled_periods);
	number(throttling, "throttledTime", u->throttled_ns);
}

static void add_memory(json_object *data, const struct cgroup_usage *u, const struct lifecycle_reply *r)
{
	json_object *memory = object_in(data, "memory"), *usage;

	if (u->memory)
		number(memory, "cache", u->cache_bytes);
	usage = object_in(memory, "usage");
	number(usage, "limit", r->memory_limit != 0 ? r->memory_limit : UINT64_MAX);
	number(usage, "usage", u->memory ? u->memory_bytes : r->memory_bytes);
	number(usage, "max", u->memory && u->memory_peak != 0 ? u->memory_peak : r->memory_peak);
	number(usage, "failcnt", u->memory ? u->memory_failcnt : r->ooms);
	if (!u->memory)
		return;
	usage = object_in(memory, "swap");
	number(usage, "usage", u->swap_bytes);
	if (u->memory_raw != NULL)
		json_object_object_add(memory, "raw", json_object_get(u->memory_raw));
}

bool stats_print(struct container *c, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_STATS};
	cleanup_error struct error *paused = NULL;
	json_object *o, *data, *pids;
	struct lifecycle_reply r;
	struct cgroup_usage use;
	uint64_t threads = 0;
	struct cgroup cg;
	bool counted;

	if (!container_ask(c, &rq, &r, err))
		return false;
	/* A paused sandbox can't be asked. */
	counted = container_threads(c, &threads, &paused);
	if (!counted && r.state != STATE_PAUSED)
		return error_set(err, "%s", paused != NULL ? paused->text : "container not running");
	cgroup_of_state(&cg, c->state);
	/* A container of a pod has a cgroup for what stands for it on the host; its processes are the sandbox's, and the sentry knows. */
	if (container_pod(c) != NULL)
		memset(&use, 0, sizeof(use));
	else
		cgroup_usage(&cg, &use);
	o = event(c, "stats");
	data = object_in(o, "data");
	add_cpu(data, &use, &r);
	add_memory(data, &use, &r);
	pids = object_in(data, "pids");
	if (counted || use.pids)
		number(pids, "current", counted ? threads : use.pids_current);
	if (kept(c, "pids") != 0)
		number(pids, "limit", kept(c, "pids"));
	print_event(o);
	json_object_put(use.memory_raw);
	cgroup_free(&cg);
	return true;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool events_print(struct container *c, uint64_t interval_ms, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_EVENTS};
	cleanup_close int fd = container_connect(c, ANSWER_MS, err);
	int64_t next = 0;

	if (fd < 0 || !monitor_send(c, fd, &rq, NULL, 0, err))
		return false;
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		struct lifecycle_reply r;
		cleanup_error struct error *ended = NULL;

		if (now_ms() >= next) {
			/* Limits may have been changed meanwhile. */
			json_object_put(c->state);
			c->state = container_file_json(c, "state.json");
			if (c->state == NULL || !stats_print(c, &ended)) {
				if (next == 0 && ended != NULL)
					return error_set(err, "%s", ended->text);
				interval_ms = ENDING_MS; /* it has ended: what it said last is still to be read */
			}
			next = now_ms() + (int64_t)interval_ms;
		}
		if (poll(&p, 1, (int)(next - now_ms() > 0 ? next - now_ms() : 0)) <= 0)
			continue;
		if (recv(fd, &r, sizeof(r), 0) != (ssize_t)sizeof(r))
			return true; /* its end */
		if (r.type == LC_OOM)
			print_event(event(c, "oom"));
	}
}

/* ---- update ---- */

json_object *resources_read(const char *file, struct error **err)
{
	cleanup_fclose FILE *f = strcmp(file, "-") == 0 ? fdopen(dup(STDIN_FILENO), "r") : fopen(file, "re");
	cleanup_free char *text = xcalloc(1, 65536);
	json_object *o;
	size_t n;

	if (f == NULL) {
		error_errno(err, errno, "--resources: can't read %s", file);
		return NULL;
	}
	n = fread(text, 1, 65535, f);
	text[n] = '\0';
	o = json_tokener_parse(text);
	if (o == NULL || !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		error_set(err, "--resources: %s is not an object of JSON", file);
		return NULL;
	}
	return o;
}

static void keep(struct container *c, const char *key, uint64_t n)
{
	json_object_object_add(c->state, key, json_object_new_uint64(n));
}

/* What was said of a quota or period before: by an update, or in config.json. */
static json_object *said_before(const struct container *c, const char *key)
{
	cleanup_free char *name = xasprintf("cpu_%s", key);
	json_object *o, *spec, *v = NULL;

	if (json_object_object_get_ex(c->state, name, &v))
		return json_object_get(v);
	spec = container_file_json(c, "config.json");
	if (spec != NULL && json_object_object_get_ex(spec, "linux", &o) && json_object_object_get_ex(o, "resources", &o) &&
	    json_object_object_get_ex(o, "cpu", &o) && json_object_object_get_ex(o, key, &v))
		json_object_get(v);
	json_object_put(spec);
	return v;
}

/* A share is quota and period together: where only one is named, the other is what it was. */
static bool complete_cpu(struct container *c, json_object *resources, struct error **err)
{
	static const char *const keys[] = {"quota", "period"};
	json_object *cpu, *v[2];

	if (!json_get(resources, "linux.resources", "cpu", json_type_object, &cpu, err) ||
	    !json_get(cpu, "linux.resources.cpu", keys[0], json_type_int, &v[0], err) ||
	    !json_get(cpu, "linux.resources.cpu", keys[1], json_type_int, &v[1], err))
		return false;
	if (v[0] == NULL && v[1] == NULL)
		return true;
	for (int i = 0; i < 2; i++) {
		if (v[i] == NULL && (v[i] = said_before(c, keys[i])) != NULL)
			json_object_object_add(cpu, keys[i], v[i]);
		if (v[i] != NULL) {
			cleanup_free char *name = xasprintf("cpu_%s", keys[i]);

			json_object_object_add(c->state, name, json_object_get(v[i]));
		}
	}
	return true;
}

/* What only a cgroup can do. */
static bool check_possible(const struct cgroup *cg, json_object *resources, struct error **err)
{
	json_object *cpu;
	const char *cpus;

	if (!json_get(resources, "linux.resources", "cpu", json_type_object, &cpu, err) ||
	    !json_get_string(cpu, "linux.resources.cpu", "cpus", &cpus, err))
		return false;
	return cpus == NULL || *cpus == '\0' || cgroup_dir(cg, CG_CPUSET) != NULL ||
	       error_set(err, "linux.resources.cpu.cpus can't be changed: the container has no cpuset cgroup (a cgroupsPath that "
			      "can be written gives it one)");
}

static bool set_on_host(struct container *c, json_object *resources, struct error **err)
{
	struct cgroup cg;
	bool ok;

	cgroup_of_state(&cg, c->state);
	ok = check_possible(&cg, resources, err) && cgroup_limits(&cg, resources, err);
	cgroup_free(&cg);
	return ok;
}

bool resources_update(struct container *c, json_object *resources, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_UPDATE};
	cleanup_free struct config *limits = xcalloc(1, sizeof(*limits));
	struct lifecycle_reply r;

	if (!container_lock(c, err))
		return false;
	if (container_pid(c) == 0)
		return error_set(err, "container not running");
	limits->memory_bytes = kept(c, "memory");
	limits->cpu_permille = (uint32_t)kept(c, "cpu_permille");
	limits->max_tasks = (uint32_t)kept(c, "pids");
	if (!complete_cpu(c, resources, err) || !spec_resources(limits, resources, err) || !set_on_host(c, resources, err))
		return false;
	rq.memory_bytes = limits->memory_bytes;
	rq.cpu_permille = limits->cpu_permille;
	rq.max_tasks = limits->max_tasks;
	if (!container_ask(c, &rq, &r, err))
		return false;
	keep(c, "memory", rq.memory_bytes);
	keep(c, "cpu_permille", rq.cpu_permille);
	keep(c, "pids", rq.max_tasks);
	return container_save(c, err);
}
