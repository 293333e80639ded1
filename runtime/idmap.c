/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.uidMappings, linux.gidMappings, and those of mounts: user namespaces.
 *
 * A sandbox has no user namespace, and needs none: its ids are the sentry's own, and none of its processes has the right of any
 * of them on the host. The numbers that files of the root and of volumes have on the host are those that the program sees. So
 * mappings that give each id to itself, and leave out none that the caller's own namespace has, change nothing and are taken:
 *
 *	"uidMappings": [{"containerID": 0, "hostID": 0, "size": 65537}]     in a namespace with the ids 0 to 65536
 *
 * All others would have to be worked out for every file that is looked at, and for every right that root in the container has
 * over it: they are refused, by an error that says so, rather than be taken for what they aren't.
 */
#include "runtime/idmap.h"

#include "runtime/cleanup.h"
#include "runtime/json_get.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_MAX 340 /* as many as Linux takes */

struct range {
	int64_t first, end; /* without end */
};

static int by_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Are all ids of want in the n sorted ranges? */
static bool covered(const struct range *want, const struct range *have, size_t n)
{
	int64_t at = want->first;

	for (size_t i = 0; i < n && at < want->end; i++) {
		if (have[i].first > at)
			return false;
		if (have[i].end > at)
			at = have[i].end;
	}
	return at >= want->end;
}

static bool read_ranges(json_object *list, const char *where, const char *key, struct range *out, size_t n, struct error **err)
{
	for (size_t i = 0; i < n; i++) {
		cleanup_free char *at = xasprintf("%s%s%s[%zu]", where, *where != '\0' ? "." : "", key, i);
		json_object *o = json_object_array_get_idx(list, i);
		int64_t inside = 0, outside = 0, size = 0;

		if (!json_object_is_type(o, json_type_object))
			return error_set(err, "%s is not an object", at);
		if (!json_get_int(o, at, "containerID", 0, UINT32_MAX, &inside, NULL, err) ||
		    !json_get_int(o, at, "hostID", 0, UINT32_MAX, &outside, NULL, err) ||
		    !json_get_int(o, at, "size", 1, UINT32_MAX, &size, NULL, err))
			return false;
		if (inside != outside)
			return error_set(err,
					 "%s: id %lld in the container is id %lld on the host: a sandbox's ids are its own, and files have the same "
					 "owners in it as on the host, so only mappings of ids to themselves can be had (with podman: no --userns, "
					 "--uidmap)",
					 at, (long long)inside, (long long)outside);
		out[i] = (struct range){inside, inside + size};
	}
	return true;
}

bool idmap_is_ours(json_object *o, const char *where, const char *key, const char *map, struct error **err)
{
	cleanup_free struct range *have = NULL;
	cleanup_fclose FILE *f = NULL;
	unsigned long inside, outside, count;
	json_object *list;
	size_t n;

	if (!json_get(o, where, key, json_type_array, &list, err))
		return false;
	n = list != NULL ? json_object_array_length(list) : 0;
	if (n == 0)
		return true;
	if (n > RANGES_MAX)
		return error_set(err, "%s.%s: more than %d", where, key, RANGES_MAX);
	have = xcalloc(n, sizeof(*have));
	if (!read_ranges(list, where, key, have, n, err))
		return false;
	qsort(have, n, sizeof(*have), by_first);
	f = fopen(map, "re");
	if (f == NULL)
		return error_errno(err, errno, "%s.%s: can't read %s to compare with", where, key, map);
	while (fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3) {
		const struct range want = {(int64_t)inside, (int64_t)inside + (int64_t)count};

		if (count != 0 && !covered(&want, have, n))
			return error_set(err,
					 "%s.%s: not all ids from %lu to %lu are in it, which the caller has: a sandbox can't leave out some of "
					 "its caller's ids",
					 where, key, inside, inside + count - 1);
	}
	return true;
}

bool idmap_check(json_object *o, const char *where, struct error **err)
{
	return idmap_is_ours(o, where, "uidMappings", "/proc/self/uid_map", err) && idmap_is_ours(o, where, "gidMappings", "/proc/self/gid_map", err);
}
