/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of ids in a bundle, and of a user namespace: see idmap_spec.c. */
#ifndef RUNTIME_IDMAP_SPEC_H
#define RUNTIME_IDMAP_SPEC_H

#include "runtime/build.h"
#include "runtime/core/idmap.h"
#include "runtime/error.h"

#include <json-c/json.h>
#include <stdbool.h>

/* Maps in hand: of users and groups. Both or neither have ranges; neither: each id is itself. */
struct idmap_pair {
	struct idmap_range uids[IDMAP_RANGES_MAX], gids[IDMAP_RANGES_MAX];
	uint32_t nuids, ngids;
};

/* Where the caller's own maps are read, and who it is: a test gives others. */
struct idmap_caller {
	const char *uid_map, *gid_map; /* as /proc/self/uid_map */
	uid_t uid;
	gid_t gid;
};
extern const struct idmap_caller idmap_caller; /* this process; its ids are set by idmap_read */

/*
 * uidMappings and gidMappings of o (NULL: none), whose path is where. Those that give each id to itself and leave out none of the
 * caller's come out as none; with caller NULL they are taken as they are. False: they overlap, name ids that the caller doesn't have, or make no sense; err names the entry.
 */
bool idmap_read(json_object *o, const char *where, const struct idmap_caller *caller, struct idmap_pair *out, struct error **err);
/* Those of a mount (mount_setattr's): from ids on the disk, containerID, to the host's, hostID. whole: it has options idmap or ridmap. */
bool idmap_read_mount(struct build *b, json_object *mount, const char *where, struct config_mount *m, bool whole, struct error **err);
/* Those of the user namespace at path, as seen from ours. */
bool idmap_of_namespace(const char *path, const char *where, struct idmap_pair *out, struct error **err);
/* In any order. */
bool idmap_pair_same(const struct idmap_pair *a, const struct idmap_pair *b);
/* They become the container's. */
bool idmap_store(struct build *b, const struct idmap_pair *p, struct error **err);
/* The ids of the process to start are in the maps? */
bool idmap_check_process(const struct config *c, const struct idmaps *m, struct error **err);
/* Last: the maps of mounts, put together with the container's; the ids of its process. */
bool idmap_finish(struct build *b, struct error **err);

#endif
