/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building struct config: the strings into the pool, the descriptors to numbers the core may inherit (10 and up), the
 * rest into its fields. `do` and `run` fill it in their own ways from here; launch.c hands it over.
 */
#ifndef RUNTIME_BUILD_H
#define RUNTIME_BUILD_H

#include "runtime/settings.h"

#include <sched.h>

#define BUILD_MAX_FDS 256
#define BUILD_DIRS 8

enum build_joins { JOIN_NETWORK, JOIN_IPC, JOIN_UTS, JOIN_PID, JOIN_USER, JOIN_KINDS };

struct build {
	struct config *c;
	uint32_t pool_used;
	int fds[BUILD_MAX_FDS]; /* what the core inherits; close-on-exec until launch */
	size_t nfds;
	int root_fd;       /* borrowed copy of c->root_fd, for looking things up in the sandbox's root; -1: an image */
	char *root_name;   /* the host's name for it, once it was asked for */
	struct build_dir { /* the last directories that rules were for, see build_path_rule */
		char *name, *real;
	} dirs[BUILD_DIRS];
	unsigned next_dir;
	char *passwd;      /* an image's /etc/passwd, read when it was opened; NULL: none */
	/* For the child that becomes the monitor, before anything else: the cgroups it enters (cgroup.procs of each), and
	 * the CPUs it stays on. */
	int enter[8];
	unsigned nenter;
	int enter_into; /* version 2's directory, for a child that is born there; -1: none */
	unsigned enter_skip; /* and its place in enter[] + 1, where there is nothing to do then */
	bool pin;
	cpu_set_t cpus;
	bool full; /* a string did not fit; told by build_finish */
	/* linux.namespaces' paths, and where in config.json they stand; owned, NULL: none. pod.c says what they lead to. */
	struct build_join {
		char *path, *where;
	} join[JOIN_KINDS];
	bool idmap_whole[CONFIG_MAX_MOUNTS]; /* mounts with option idmap and no maps: the container's */
};

void build_init(struct build *b);
void build_free(struct build *b);
/* An offset in the pool. */
cfg_str build_str(struct build *b, const char *s);
cfg_str build_strings(struct build *b, char *const *list, size_t n);
/* Takes fd and gives the number under which the core will have it; -1 stays -1. */
int32_t build_fd(struct build *b, int fd);
/* Closes our copy of one of them, once the core has its own. */
void build_close(struct build *b, int32_t fd);

/* A directory, or an image file (image.c). */
bool build_root(struct build *b, const char *dir, struct error **err);
bool build_image(struct build *b, const char *file, struct error **err);
/* A file of the root as a string to free (NULL if there is none that can be read): etc/passwd and the like. */
char *build_read_file(struct build *b, const char *path);
#define BUILD_FILE_MAX ((size_t)4 << 20)
struct config_mount *build_mount(struct build *b, enum config_mount_kind kind, const char *source, const char *target,
				 const char *options, uint64_t flags, struct error **err);
/* A host directory or file at target. */
bool build_bind(struct build *b, const char *source, const char *target, uint64_t flags, struct error **err);
/* proc, sys, dev and what belongs beneath them. */
bool build_default_mounts(struct build *b, struct error **err);
/* A rule on a path of the root. Symbolic links on the way are followed first; a link at the end is covered with its
 * target. */
bool build_path_rule(struct build *b, enum config_path_kind kind, const char *path, struct error **err);
/* The documented list of credentials in the host's root (hide.c). home: the caller's, or NULL. */
bool build_default_hides(struct build *b, const char *home, struct error **err);
void print_default_hides(FILE *out);

#define DOCKER_CAPS 0x00000000a80425fbULL /* the 14 that container engines give by default */
/* Sets ids, groups and capabilities for NAME|UID[:GID] of the root's own /etc/passwd. home: its directory, to free, or
 * NULL. */
bool build_user(struct build *b, const char *user, char **home, struct error **err);
/* ... for the caller's own ids. */
bool build_caller(struct build *b, char **home);
void build_caps(struct build *b);

/* The cache of call sites, if it can be used: gate_cache.c. After c->gate is known. */
void build_gate_cache(struct build *b, const struct settings *s);

/* Host ids for the sandbox's processes: see ids.c. */
bool build_host_ids(struct build *b, const struct settings *s, struct error **err);

/* Limits, egress, outputs: what flags and annotations have in common. */
bool build_settings(struct build *b, const struct settings *s, struct error **err);
/* Last: the totals, and config_check. */
bool build_finish(struct build *b, struct error **err);

/* Opens path as seen from the root (symbolic links stay inside), O_CLOEXEC. -1 and errno. */
int open_in_root(int root_fd, const char *path, int flags);

#endif
