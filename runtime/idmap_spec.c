/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux.uidMappings, linux.gidMappings, those of mounts, and those of a user namespace that is joined by its path.
 *
 *	"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]
 *	    --> idmap_read --> idmap_store: config.idranges, config.idmaps --> gofer, keeper (the host's files), sentry (which ids there are)
 *	mounts[]: {"uidMappings": ..., "options": ["idmap"]} --> idmap_read_mount --> idmap_finish: put together with the container's
 *
 * A sandbox has no user namespace, and needs none: its ids are the sentry's own, and none of its processes has the right of any
 * of them on the host. A map is the translation between the owners that files have on the host and those that programs see. "The
 * host" is the user namespace that we run in: a rootless engine makes one, calls us inside it, and writes maps that are relative
 * to it (podman --userns=keep-id: the user's own id, 0 there, becomes 1000, and 1 to 1000 become 0 to 999).
 *
 * What we can't give is refused, as the kernel refuses it to who writes a map (user_namespaces(7)): ids that our own namespace
 * doesn't have, and for an ordinary user all but his own. Maps that give each id to itself and leave out none that we have, change
 * nothing: they are none.
 *
 * The bundle is the operator's; what the guest controls has no part in this.
 */
#include "runtime/idmap_spec.h"

#include "runtime/cleanup.h"
#include "runtime/json_get.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

const struct idmap_caller idmap_caller = {"/proc/self/uid_map", "/proc/self/gid_map", (uid_t)-1, (gid_t)-1};

/* ---- a list of JSON ---- */

static bool read_ranges(json_object *o, const char *where, const char *key, struct idmap_range *out, uint32_t *n, struct error **err)
{
	uint32_t which, other;
	json_object *list;
	const char *bad;
	size_t len;

	*n = 0;
	if (!json_get(o, where, key, json_type_array, &list, err))
		return false;
	len = list != NULL ? json_object_array_length(list) : 0;
	if (len > IDMAP_RANGES_MAX)
		return error_set(err, "%s.%s: more than %u", where, key, IDMAP_RANGES_MAX);
	for (size_t i = 0; i < len; i++) {
		cleanup_free char *at = xasprintf("%s.%s[%zu]", where, key, i);
		json_object *range = json_object_array_get_idx(list, i);
		int64_t inside = 0, host = 0, size = 0;

		if (!json_object_is_type(range, json_type_object))
			return error_set(err, "%s is not an object", at);
		if (!json_get_int(range, at, "containerID", 0, UINT32_MAX, &inside, NULL, err) ||
		    !json_get_int(range, at, "hostID", 0, UINT32_MAX, &host, NULL, err) ||
		    !json_get_int(range, at, "size", 1, UINT32_MAX, &size, NULL, err))
			return false;
		out[(*n)++] = (struct idmap_range){(uint32_t)inside, (uint32_t)host, (uint32_t)size};
	}
	bad = idmap_bad(&(struct idmap){out, *n}, &which, &other);
	if (bad != NULL && which != other)
		return error_set(err, "%s.%s[%u] %s (%s[%u]): each id can be in one of them", where, key, which, bad, key, other);
	return bad == NULL || error_set(err, "%s.%s[%u] %s", where, key, which, bad);
}

static bool read_both(json_object *o, const char *where, struct idmap_pair *out, struct error **err)
{
	if (!read_ranges(o, where, "uidMappings", out->uids, &out->nuids, err) || !read_ranges(o, where, "gidMappings", out->gids, &out->ngids, err))
		return false;
	if ((out->nuids == 0) != (out->ngids == 0))
		return error_set(err, "%s.%s is missing, and %s is there: users and groups are mapped together", where,
				 out->nuids == 0 ? "uidMappings" : "gidMappings", out->nuids == 0 ? "gidMappings" : "uidMappings");
	return true;
}

/* ---- the caller's own ids ---- */

/* Lines of INSIDE OUTSIDE COUNT. */
static bool read_map_file(const char *path, struct idmap_range *out, uint32_t *n)
{
	cleanup_fclose FILE *f = fopen(path, "re");
	unsigned inside, outside, count;

	*n = 0;
	if (f == NULL)
		return false;
	while (*n < IDMAP_RANGES_MAX && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
		out[(*n)++] = (struct idmap_range){inside, outside, count};
	return true;
}

static int by_first(const void *a, const void *b)
{
	const struct idmap_range *x = a, *y = b;

	return x->inside < y->inside ? -1 : x->inside > y->inside;
}

/* Is [first, first + count) in the ranges, which are sorted, by their inside? */
static bool covered(uint32_t first, uint32_t count, const struct idmap_range *have, uint32_t n)
{
	uint64_t at = first, end = (uint64_t)first + count;

	for (uint32_t i = 0; i < n && at < end; i++) {
		if (have[i].inside > at)
			return false;
		if ((uint64_t)have[i].inside + have[i].count > at)
			at = (uint64_t)have[i].inside + have[i].count;
	}
	return at >= end;
}

/* *nothing: it gives each id to itself, and has all of the caller's. */
static bool check_against(const struct idmap_range *want, uint32_t n, const char *where, const char *key, const char *file, uint32_t own,
			  bool root, bool *nothing, struct error **err)
{
	cleanup_free struct idmap_range *have = xcalloc(IDMAP_RANGES_MAX, sizeof(*have)), *sorted = xcalloc(IDMAP_RANGES_MAX, sizeof(*sorted));
	uint32_t nhave;

	if (!read_map_file(file, have, &nhave))
		return error_errno(err, errno, "%s.%s: can't read %s to compare with", where, key, file);
	qsort(have, nhave, sizeof(*have), by_first);
	*nothing = true;
	for (uint32_t i = 0; i < n; i++)
		*nothing &= want[i].inside == want[i].host;
	memcpy(sorted, want, n * sizeof(*want));
	qsort(sorted, n, sizeof(*sorted), by_first);
	for (uint32_t i = 0; i < nhave && *nothing; i++)
		*nothing = covered(have[i].inside, have[i].count, sorted, n);
	if (*nothing)
		return true;
	for (uint32_t i = 0; i < n; i++)
		if (!covered(want[i].host, want[i].count, have, nhave))
			return error_set(err,
					 "%s.%s[%u]: ids %u to %u of the host are not all in the user namespace that sentrybox runs in (%s)",
					 where, key, i, want[i].host, want[i].host + want[i].count - 1, file);
	if (!root && (n != 1 || want[0].host != own || want[0].count != 1))
		return error_set(err,
				 "%s.%s: an ordinary user can map his own id %u (hostID, size 1) and no other: files can't be given to them. "
				 "Be root, or in a user namespace of your own that has them (podman unshare)",
				 where, key, own);
	return true;
}

/* Neither, if both change nothing. */
static bool settle(struct idmap_pair *p, const char *where, const struct idmap_caller *caller, struct error **err)
{
	uid_t uid = caller->uid != (uid_t)-1 ? caller->uid : geteuid();
	gid_t gid = caller->gid != (gid_t)-1 ? caller->gid : getegid();
	bool no_uids, no_gids;

	if (p->nuids == 0)
		return true;
	if (!check_against(p->uids, p->nuids, where, "uidMappings", caller->uid_map, uid, uid == 0, &no_uids, err) ||
	    !check_against(p->gids, p->ngids, where, "gidMappings", caller->gid_map, gid, uid == 0, &no_gids, err))
		return false;
	if (no_uids && no_gids)
		p->nuids = p->ngids = 0;
	return true;
}

bool idmap_read(json_object *o, const char *where, const struct idmap_caller *caller, struct idmap_pair *out, struct error **err)
{
	return read_both(o, where, out, err) && (caller == NULL || settle(out, where, caller, err));
}

/* ---- a namespace ---- */

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* A child goes into it, and waits there for the end of its input: its maps are the namespace's, told relative to ours. */
static pid_t child_inside(int ns, int go[2], int ready[2])
{
	pid_t pid = fork();
	int why = 0;
	char end;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(go[1]);
	if (setns(ns, CLONE_NEWUSER) < 0)
		why = errno;
	if (write(ready[1], &why, sizeof(why)) == sizeof(why) && why == 0)
		while (read(go[0], &end, 1) > 0)
			;
	_exit(0);
}

static bool read_inside(int ns, const char *path, const char *where, struct idmap_pair *out, struct error **err)
{
	int go[2] = {-1, -1}, ready[2] = {-1, -1}, why = EIO;
	pid_t pid = -1;
	bool ok = true;

	if (pipe2(go, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0)
		pid = child_inside(ns, go, ready);
	if (pid < 0) {
		ok = error_errno(err, errno, "%s.path: can't start a process to look into %s", where, path);
	} else {
		close(steal_fd(&ready[1]));
		if (read(ready[0], &why, sizeof(why)) != sizeof(why))
			why = EIO;
		if (why != 0) {
			ok = error_errno(err, why, "%s.path: can't join the user namespace %s", where, path);
		} else {
			cleanup_free char *uids = xasprintf("/proc/%d/uid_map", pid), *gids = xasprintf("/proc/%d/gid_map", pid);

			if (!read_map_file(uids, out->uids, &out->nuids) || !read_map_file(gids, out->gids, &out->ngids))
				ok = error_errno(err, errno, "%s.path: can't read the maps of the user namespace %s", where, path);
			else if (out->nuids == 0 || out->ngids == 0)
				ok = error_set(err, "%s.path: the user namespace %s has no ids: its uid_map or gid_map was not written", where, path);
		}
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (int i = 0; i < 2; i++) {
		if (go[i] >= 0)
			close(go[i]);
		if (ready[i] >= 0)
			close(ready[i]);
	}
	return ok;
}

bool idmap_of_namespace(const char *path, const char *where, struct idmap_pair *out, struct error **err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	out->nuids = out->ngids = 0;
	if (fd < 0)
		return error_errno(err, errno, "%s.path: can't open the user namespace %s", where, path);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWUSER)
		return error_set(err, "%s.path: %s is not a user namespace", where, path);
	if (same_file(path, "/proc/self/ns/user"))
		return true;
	return read_inside(fd, path, where, out, err) && settle(out, where, &idmap_caller, err);
}

static bool same_ranges(const struct idmap_range *a, uint32_t na, const struct idmap_range *b, uint32_t nb)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < na; i++)
		for (uint32_t k = 0; k < nb; k++)
			found += memcmp(&a[i], &b[k], sizeof(a[i])) == 0;
	return na == nb && found == na; /* no two of one map are the same */
}

bool idmap_pair_same(const struct idmap_pair *a, const struct idmap_pair *b)
{
	return same_ranges(a->uids, a->nuids, b->uids, b->nuids) && same_ranges(a->gids, a->ngids, b->gids, b->ngids);
}

/* ---- into the configuration ---- */

static bool put_ranges(struct config *c, const struct idmap_range *r, uint32_t n, uint32_t *first, uint32_t *count, struct error **err)
{
	if (n > CONFIG_MAX_IDRANGES - c->nidranges)
		return error_set(err, "uidMappings and gidMappings: more than %u ranges in all", CONFIG_MAX_IDRANGES);
	if (n != 0)
		memcpy(c->idranges + c->nidranges, r, n * sizeof(*r));
	*first = n != 0 ? c->nidranges : 0;
	*count = n;
	c->nidranges += n;
	return true;
}

static bool put_pair(struct config *c, const struct idmap_pair *p, struct config_idmaps *m, struct error **err)
{
	return put_ranges(c, p->uids, p->nuids, &m->uid_first, &m->uid_n, err) && put_ranges(c, p->gids, p->ngids, &m->gid_first, &m->gid_n, err);
}

bool idmap_store(struct build *b, const struct idmap_pair *p, struct error **err)
{
	return put_pair(b->c, p, &b->c->idmaps, err);
}

/* ids of the disk are the host's side, those they become the inside. */
static void turn(struct idmap_range *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		r[i] = (struct idmap_range){r[i].host, r[i].inside, r[i].count};
}

bool idmap_read_mount(struct build *b, json_object *mount, const char *where, struct config_mount *m, bool whole, struct error **err)
{
	struct idmap_pair p;
	size_t index = (size_t)(m - b->c->mounts);

	if (!read_both(mount, where, &p, err))
		return false;
	if ((whole || p.nuids != 0) && m->kind != MOUNT_BIND)
		return error_set(err, "%s: only a bind mount has files of the host, whose ids can be mapped (uidMappings, gidMappings, option idmap)", where);
	b->idmap_whole[index] = whole && p.nuids == 0;
	turn(p.uids, p.nuids);
	turn(p.gids, p.ngids);
	return put_pair(b->c, &p, &m->idmaps, err);
}

/* ---- at the end ---- */

/* The ranges of a mount's own map (or, without, of the container's seen as one) led on through the container's. */
static bool lead_on(struct build *b, const struct config_mount *m, const struct idmap *own, const struct idmap *container, struct idmap_range *out,
		    uint32_t *n, struct error **err)
{
	int got = idmap_compose(own, container, out, IDMAP_RANGES_MAX);

	if (got < 0)
		return error_set(err, "the mount on %s: its map and the container's together are more than %u ranges", config_str(b->c, m->target),
				 IDMAP_RANGES_MAX);
	if (got == 0)
		return error_set(err, "the mount on %s: its uidMappings or gidMappings lead to no id that the container has (hostID there is the hostID here)",
				 config_str(b->c, m->target));
	*n = (uint32_t)got;
	return true;
}

static bool finish_mount(struct build *b, struct config_mount *m, struct error **err)
{
	const struct idmaps container = config_idmaps(b->c, &b->c->idmaps);
	struct idmaps own = config_idmaps(b->c, &m->idmaps);
	struct idmap_pair turned, out;

	if (b->idmap_whole[m - b->c->mounts]) {
		turned.nuids = container.uids.n;
		turned.ngids = container.gids.n;
		memcpy(turned.uids, container.uids.ranges, container.uids.n * sizeof(turned.uids[0]));
		memcpy(turned.gids, container.gids.ranges, container.gids.n * sizeof(turned.gids[0]));
		turn(turned.uids, turned.nuids);
		turn(turned.gids, turned.ngids);
		own = (struct idmaps){{turned.uids, turned.nuids}, {turned.gids, turned.ngids}};
	}
	if (own.uids.n == 0) {
		m->idmaps = b->c->idmaps;
		return true;
	}
	return lead_on(b, m, &own.uids, &container.uids, out.uids, &out.nuids, err) &&
	       lead_on(b, m, &own.gids, &container.gids, out.gids, &out.ngids, err) && put_pair(b->c, &out, &m->idmaps, err);
}

bool idmap_check_process(const struct config *c, const struct idmaps *m, struct error **err)
{
	if (idmap_host(&m->uids, c->uid) == ID_NONE)
		return error_set(err, "process.user.uid: %u is not among the ids of linux.uidMappings", c->uid);
	if (idmap_host(&m->gids, c->gid) == ID_NONE)
		return error_set(err, "process.user.gid: %u is not among the ids of linux.gidMappings", c->gid);
	for (uint32_t i = 0; i < c->ngroups; i++)
		if (idmap_host(&m->gids, c->groups[i]) == ID_NONE)
			return error_set(err, "process.user.additionalGids[%u]: %u is not among the ids of linux.gidMappings", i, c->groups[i]);
	return true;
}

bool idmap_finish(struct build *b, struct error **err)
{
	const struct idmaps maps = config_idmaps(b->c, &b->c->idmaps);

	for (uint32_t i = 0; i < b->c->nmounts; i++)
		if (b->c->mounts[i].kind == MOUNT_BIND && !finish_mount(b, &b->c->mounts[i], err))
			return false;
	return idmap_check_process(b->c, &maps, err);
}
