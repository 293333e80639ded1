/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's cgroups on the host: see cgroup.c (where they lie, their life), cgroup_limits.c (linux.resources into
 * files) and cgroup_usage.c (what they have counted).
 */
#ifndef RUNTIME_CGROUP_H
#define RUNTIME_CGROUP_H

#include "runtime/build.h"
#include "runtime/state.h"

#include <json-c/json.h>

enum cgroup_controller { CG_CPU, CG_CPUACCT, CG_CPUSET, CG_MEMORY, CG_PIDS, CG_FREEZER, CG_BLKIO, CG_CONTROLLERS };

/* Where those of one container are; owns its strings. Each controller is in at most one place. */
struct cgroup {
	char *v1[CG_CONTROLLERS];       /* the container's directory in that hierarchy; NULL: not there */
	char *v1_mount[CG_CONTROLLERS]; /* what it lies below, not for those read from a state */
	char *v2, *v2_mount;            /* NULL: none, or nothing there that version 1 doesn't have */
	unsigned v2_controllers;        /* by bit: those it offers */
};

/* --systemd-cgroup: paths are SLICE:PREFIX:NAME. */
void cgroup_use_systemd_paths(void);

void cgroup_free(struct cgroup *cg);
bool cgroup_any(const struct cgroup *cg);
/*
 * Where they would be. The texts are /proc/self/mountinfo and /proc/self/cgroup; path is linux.cgroupsPath or NULL. Makes
 * nothing; of the files, only cgroup.controllers of a version 2 mount is read.
 */
bool cgroup_plan(struct cgroup *cg, const char *mountinfo, const char *self, const char *path, const char *id,
		 struct error **err);
/* Those that a container's state names. */
void cgroup_of_state(struct cgroup *cg, json_object *state);

/*
 * For a container that is being made from spec: makes its cgroups with their limits, notes them in c's state (and writes that
 * first), and has the monitor that b starts begin its life in them. Without anything to ask for, or where nothing can be
 * written, there are none, and that is no error.
 */
bool cgroup_create(struct container *c, json_object *spec, struct build *b, struct error **err);
/* Those that c's state names, and whatever still is in them. Only when the monitor is gone. */
bool cgroup_remove(const struct container *c, struct error **err);
/* Moves the calling process, which has one thread, into the container's cgroups, where the monitor is; what can't be, isn't. */
void cgroup_enter(const struct container *c);

/* ---- limits ---- */

/* An object as linux.resources, of which each member that is there is set. */
bool cgroup_limits(const struct cgroup *cg, json_object *resources, struct error **err);
/* What the host's limit is above the guest's. */
uint64_t cgroup_memory_headroom(uint64_t limit);
uint64_t cgroup_pids_headroom(uint64_t limit);
/* The directory that has this controller's files; NULL: none. */
const char *cgroup_dir(const struct cgroup *cg, enum cgroup_controller which);
/* "0-2,5": by bit, of at most `bits`. */
bool cgroup_cpu_list(const char *text, uint8_t *set, unsigned bits);

/* ---- use ---- */

struct cgroup_usage {
	bool cpu, memory, pids; /* there are numbers */
	uint64_t cpu_ns, cpu_user_ns, cpu_sys_ns;
	uint64_t periods, throttled_periods, throttled_ns;
	uint64_t memory_bytes, memory_peak, memory_failcnt, cache_bytes;
	uint64_t swap_bytes;
	uint64_t pids_current, pids_limit; /* the host's count and limit; UINT64_MAX: none */
	json_object *memory_raw;           /* memory.stat, or NULL; to put */
};
void cgroup_usage(const struct cgroup *cg, struct cgroup_usage *u);
/* A file of a directory as a number; false if it isn't there or isn't one. "max" is UINT64_MAX. */
bool cgroup_read_number(const char *dir, const char *file, uint64_t *n);
/* The text of a file of a directory without its newline, or NULL; to free. */
char *cgroup_read(const char *dir, const char *file);
/* 0 or an errno. */
int cgroup_write(const char *dir, const char *file, const char *value);

#endif
