/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which ids there are in the sandbox: those of its bundle's mappings (linux.uidMappings, gidMappings), as in a user namespace that
 * has only some (user_namespaces(7)); all of them where there are none.
 *
 * The sentry knows ids of the inside alone. The gofer translates the owners of the host's files, and of one that isn't mapped
 * comes ID_NONE: an inode has it as its owner, stat(2) shows the overflow id, nobody is its owner, and capabilities don't count
 * over it (inode_capable). An id that isn't mapped can't be given to anything: EINVAL.
 *
 * All containers of a pod have the same mappings: the monitor sees to that.
 */
#ifndef SENTRY_KERNEL_IDS_H
#define SENTRY_KERNEL_IDS_H

#include "runtime/core/idmap.h"
#include "sentry/kernel/cred.h"

struct config;

/* The sandbox's maps; borrows c. Before, and if it has none, each id but ID_NONE is one. */
void ids_init(const struct config *c);
extern struct idmaps id_maps;

static inline bool uid_mapped(kuid_t uid)
{
	return uid != ID_NONE && (id_maps.uids.n == 0 || idmap_host(&id_maps.uids, uid) != ID_NONE);
}
static inline bool gid_mapped(kgid_t gid)
{
	return gid != ID_NONE && (id_maps.gids.n == 0 || idmap_host(&id_maps.gids, gid) != ID_NONE);
}
/* What a program is shown. */
static inline uint32_t uid_shown(kuid_t uid)
{
	return uid_mapped(uid) ? uid : ID_OVERFLOW;
}
static inline uint32_t gid_shown(kgid_t gid)
{
	return gid_mapped(gid) ? gid : ID_OVERFLOW;
}

#endif
