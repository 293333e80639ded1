/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids in a sandbox and on the host: the translation between the two, by ranges, as a user namespace has it.
 *
 *	gofer    a file's owner on the host --> idmap_inside --> the record that the sentry gets
 *	         an id that the sentry names --> idmap_host --> chown on the host; none: EINVAL, and nothing is done
 *	keeper   the same, when what a container wrote goes to its root's directory
 *	sentry   is an id one that can be had? (sentry/kernel/ids.h)
 *
 * "The host" here is the user namespace that the command was started in: a rootless engine's, or the machine's.
 *
 * The ranges come in the sealed configuration, and config_check() has seen that they are sound (idmap_bad): none is empty or goes
 * beyond the last id, and no id is in two of them, inside or on the host. So each id has one translation or none, there and back.
 */
#ifndef RUNTIME_CORE_IDMAP_H
#define RUNTIME_CORE_IDMAP_H

#include <stdbool.h>
#include <stdint.h>

#define ID_NONE UINT32_MAX     /* no id: the host's chown would take it for "as it is" */
#define ID_OVERFLOW 65534U     /* what is shown in its place, as /proc/sys/kernel/overflowuid says */
#define IDMAP_RANGES_MAX 340U  /* of one map, as many as Linux takes */

struct idmap_range {
	uint32_t inside, host, count;
};

struct idmap {
	const struct idmap_range *ranges; /* borrowed */
	uint32_t n;                       /* 0: no map: each id is itself */
};

/* Of users and groups. */
struct idmaps {
	struct idmap uids, gids;
};

/* The id inside of one on the host, and back; ID_NONE: it is in no range. */
uint32_t idmap_inside(const struct idmap *m, uint32_t host);
uint32_t idmap_host(const struct idmap *m, uint32_t inside);
/* The host's id for one that has to be given to something, whatever it is: itself, or the overflow id, or root, or the first. */
uint32_t idmap_host_or_nearest(const struct idmap *m, uint32_t inside);
/* Do both give every id the same translation, in the same ranges? */
bool idmap_same(const struct idmap *a, const struct idmap *b);

/* Bits of a mode as one user's: what is asked of a file below. */
#define MAY_R 4U
#define MAY_W 2U
#define MAY_X 1U
/*
 * Could anybody in the maps do this with a file on the host, as its owner, by its group or mode, or as the root of a user namespace
 * with these maps? Always true without maps. What a certain user may, the sentry looks at; this is the bound for one that was taken
 * over, where who acts on its word may be the host's root.
 */
bool idmaps_reach(const struct idmaps *m, uint32_t uid, uint32_t gid, uint32_t mode, unsigned want);

/* NULL, or what is wrong with ranges ("overlap on the host"); *which and *other: the ranges by their index. */
const char *idmap_bad(const struct idmap *m, uint32_t *which, uint32_t *other);

/*
 * A mount's map, and what it leads to, put together: an id on the host is one in the mount's map (host), which gives it another
 * (inside), which is the host's id in the container's. At most max ranges to out, which may be none of theirs. Their number, or -1:
 * more than max. No map as either is each id as itself; no range at all in the result (0) is a map that gives nothing.
 */
int idmap_compose(const struct idmap *mount, const struct idmap *container, struct idmap_range *out, uint32_t max);

#endif
