/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods: does a bundle's container join a sandbox that is already there, and which?
 *
 *	linux.namespaces: ipc, uts, network with paths   --> /proc/PID/ns/TYPE --> which of our containers has that pid
 *	annotations io.kubernetes.cri.container-type, sandbox-id               --> the container of that name
 *	    --> state.json: "pod" --> a connection to that one's monitor, for the container's own process (container_host.c)
 *
 * A path's text says nothing by itself: the pid in it must be the monitor's (or the container process's) of a container in our
 * own state directory, by number and start time, and it must live. A network may be given as a file; then it must be the very
 * one that the pod's monitor is in. If there are both words, paths and annotations, they must agree. What is none of ours is
 * an error: a sandbox can't be put into another runtime's pod.
 *
 * The network's path alone makes no pod: as ever, such a sandbox dials from there (docs/oci.md).
 */
#include "runtime/pod.h"
#include "runtime/cleanup.h"
#include "runtime/idmap_spec.h"
#include "runtime/json_get.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define ANNOTATION_TYPE "io.kubernetes.cri.container-type"
#define ANNOTATION_POD "io.kubernetes.cri.sandbox-id"

static const char *const ns_names[JOIN_KINDS] = {[JOIN_USER] = "user", [JOIN_NETWORK] = "net", [JOIN_IPC] = "ipc", [JOIN_UTS] = "uts", [JOIN_PID] = "pid"};

/* The monitor joins it; the program's own network is the sandbox's all the same. */
static bool join_network(struct build *b, struct error **err)
{
	const struct build_join *j = &b->join[JOIN_NETWORK];
	cleanup_close int fd = -1;

	if (j->path == NULL)
		return true;
	fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_errno(err, errno, "%s.path: can't open %s", j->where, j->path);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return error_set(err, "%s.path: %s is not a network namespace", j->where, j->path);
	b->c->net_fd = build_fd(b, steal_fd(&fd));
	return true;
}

/* The pid in /proc/PID/ns/NAME; 0: it isn't such a path. */
static pid_t pid_in_path(const char *path, const char *name)
{
	cleanup_free char *tail = xasprintf("/ns/%s", name);
	char *end;
	long pid;

	if (strncmp(path, "/proc/", 6) != 0 || path[6] < '1' || path[6] > '9')
		return 0;
	pid = strtol(path + 6, &end, 10);
	return pid > 0 && pid <= INT32_MAX && strcmp(end, tail) == 0 ? (pid_t)pid : 0;
}

/* The living container that this process stands for. False: none of ours. */
static bool find_pid(pid_t pid, struct container *found, struct error **err)
{
	char **names = container_names(err);
	bool there = false;

	for (char **n = names; n != NULL && *n != NULL; n++) {
		cleanup_error struct error *gone = NULL;

		if (!there) {
			container_init(found);
			there = container_open(found, *n, &gone) && container_pid(found) == pid;
			if (!there)
				container_close(found);
		}
		free(*n);
	}
	free(names);
	return there;
}

/* The maps that a container's user namespace by path gave it, in its state: whoever joins it has no other word of them. */
#define STATE_MAPS "userNamespaceMaps"

static json_object *ranges_json(const struct idmap_range *r, uint32_t n)
{
	json_object *list = json_object_new_array();

	for (uint32_t i = 0; i < n; i++) {
		json_object *range = json_object_new_object();

		json_object_object_add(range, "containerID", json_object_new_int64(r[i].inside));
		json_object_object_add(range, "hostID", json_object_new_int64(r[i].host));
		json_object_object_add(range, "size", json_object_new_int64(r[i].count));
		json_object_array_add(list, range);
	}
	return list;
}

static void remember_maps(struct container *c, const struct idmap_pair *p)
{
	json_object *maps = json_object_new_object();

	json_object_object_add(maps, "uidMappings", ranges_json(p->uids, p->nuids));
	json_object_object_add(maps, "gidMappings", ranges_json(p->gids, p->ngids));
	json_object_object_add(c->state, STATE_MAPS, maps);
}

/* Does the bundle name a user namespace by its path? */
static bool joins_one(json_object *os)
{
	json_object *list = NULL, *type, *path;

	if (!json_object_object_get_ex(os, "namespaces", &list) || !json_object_is_type(list, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		json_object *ns = json_object_array_get_idx(list, i);

		if (json_object_object_get_ex(ns, "type", &type) && json_object_object_get_ex(ns, "path", &path) &&
		    strcmp(json_object_get_string(type), "user") == 0)
			return true;
	}
	return false;
}

/* The maps of a container of ours, by what its own bundle says, or the namespace gave that this one names by a path. */
static bool maps_of_container(const struct container *c, const struct build_join *j, struct idmap_pair *out, struct error **err)
{
	json_object *spec = container_file_json(c, "config.json"), *os, *given;
	bool ok;

	if (spec == NULL)
		return error_set(err, "%s.path: the config.json of container %s is not there any more", j->where, c->id);
	if (json_object_object_get_ex(c->state, STATE_MAPS, &given))
		ok = idmap_read(given, STATE_MAPS, NULL, out, err) || error_wrap(err, "container %s: state.json", c->id);
	else
		ok = json_get(spec, "", "linux", json_type_object, &os, err) && idmap_read(os, "linux", &idmap_caller, out, err) &&
		     (out->nuids != 0 || !joins_one(os) ||
		      error_set(err, "%s.path: container %s has its user namespace by a path, and which ids that gave it isn't known: make it anew",
				j->where, c->id));
	json_object_put(spec);
	return ok;
}

/*
 * A namespace that is the runtime's own and none of a container's here: a container of another state directory has none of its own
 * on the host either, and its maps can't be seen. So it isn't taken for a namespace without maps.
 */
static bool is_other(const struct build_join *j, struct error **err)
{
	struct stat theirs, own;

	if (stat(j->path, &theirs) < 0)
		return error_errno(err, errno, "%s.path: can't open the user namespace %s", j->where, j->path);
	if (stat("/proc/self/ns/user", &own) < 0)
		return error_errno(err, errno, "%s.path: can't see which user namespace sentrybox is in", j->where);
	return theirs.st_ino != own.st_ino || theirs.st_dev != own.st_dev ||
	       error_set(err, "%s.path: %s is the user namespace that sentrybox runs in, and none of a running container's in this state "
			      "directory (--root): whose ids are meant can't be told. Leave the path out for none, or give the container's --root",
			 j->where, j->path);
}

/*
 * A user namespace by its path gives its maps: those of a container of ours, which has none on the host, or those of a real one. A
 * bundle that says them as well must say the same.
 */
static bool join_user(struct container *c, struct build *b, struct error **err)
{
	const struct build_join *j = &b->join[JOIN_USER];
	pid_t pid = j->path != NULL ? pid_in_path(j->path, "user") : 0;
	const struct idmaps own = config_idmaps(b->c, &b->c->idmaps);
	struct idmap_pair theirs, ours = {.nuids = own.uids.n, .ngids = own.gids.n};
	struct container other;
	bool ok;

	if (j->path == NULL)
		return true;
	if (pid != 0 && find_pid(pid, &other, err)) {
		ok = maps_of_container(&other, j, &theirs, err);
		container_close(&other);
	} else {
		ok = *err == NULL && is_other(j, err) && idmap_of_namespace(j->path, j->where, &theirs, err);
	}
	if (!ok)
		return false;
	remember_maps(c, &theirs);
	memcpy(ours.uids, own.uids.ranges, own.uids.n * sizeof(ours.uids[0]));
	memcpy(ours.gids, own.gids.ranges, own.gids.n * sizeof(ours.gids[0]));
	if (ours.nuids == 0)
		return idmap_store(b, &theirs, err);
	return idmap_pair_same(&ours, &theirs) ||
	       error_set(err, "%s.path: the maps of the user namespace %s are not those of linux.uidMappings and gidMappings: leave these out, or say the same",
			 j->where, j->path);
}

/* The pod that a container is in, itself if it is the sandbox. */
static const char *pod_of(const struct container *c)
{
	return container_pod(c) != NULL ? container_pod(c) : c->id;
}

/* Whose is the path? *pod is set, or must be the same. number: of the container in its pod. */
static bool resolve(const struct build_join *j, const char *ns, char **pod, uint32_t *number, struct error **err)
{
	pid_t pid = pid_in_path(j->path, ns);
	struct container c;
	bool ok = true;

	if (pid == 0 || !find_pid(pid, &c, err))
		return *err != NULL ? false :
				      error_set(err, "%s.path: a sandbox can't join the %s namespace %s: it is none of a running "
						     "container's in this state directory (--root)",
						j->where, ns, j->path);
	if (*pod != NULL && strcmp(*pod, pod_of(&c)) != 0)
		ok = error_set(err, "%s.path: %s is a namespace of pod %s, not of %s: a container is in one pod", j->where, j->path, pod_of(&c), *pod);
	else if (*pod == NULL)
		*pod = xstrdup(pod_of(&c));
	*number = container_number(&c);
	container_close(&c);
	return ok;
}

/* A file that is the network: the pod's own? */
static bool same_network(const struct build_join *j, const struct container *pod, struct error **err)
{
	cleanup_free char *theirs = xasprintf("/proc/%d/ns/net", container_pid(pod));
	struct stat a, b;

	if (stat(j->path, &a) < 0)
		return error_errno(err, errno, "%s.path: can't look at %s", j->where, j->path);
	if (stat(theirs, &b) < 0)
		return error_errno(err, errno, "%s.path: can't see which network pod %s is in", j->where, pod->id);
	return (a.st_ino == b.st_ino && a.st_dev == b.st_dev) ||
	       error_set(err, "%s.path: %s is not the network of pod %s", j->where, j->path, pod->id);
}

static bool annotated_pod(json_object *spec, char **pod, struct error **err)
{
	json_object *map;
	const char *type, *id;

	if (!json_get(spec, "", "annotations", json_type_object, &map, err) ||
	    !json_get_string(map, "annotations", ANNOTATION_TYPE, &type, err) ||
	    !json_get_string(map, "annotations", ANNOTATION_POD, &id, err))
		return false;
	if (type == NULL || strcmp(type, "container") != 0)
		return true;
	if (id == NULL || !container_id_ok(id))
		return error_set(err, "annotations[\"%s\"] is missing or no container's name, and %s is \"container\"", ANNOTATION_POD, ANNOTATION_TYPE);
	*pod = xstrdup(id);
	return true;
}

/* Paths of ipc and uts go together: a pod's containers share both, whatever a bundle says. */
static bool check_paths(const struct build *b, struct error **err)
{
	if ((b->join[JOIN_IPC].path == NULL) != (b->join[JOIN_UTS].path == NULL) ||
	    (b->join[JOIN_IPC].path == NULL && b->join[JOIN_PID].path != NULL))
		return error_set(err, "linux.namespaces: the containers of a pod share network, ipc and uts: give all three the paths of "
				      "its sandbox, or none");
	return b->join[JOIN_IPC].path == NULL || b->join[JOIN_NETWORK].path != NULL ||
	       error_set(err, "linux.namespaces: ipc and uts are another container's, and the network is not: the containers of a pod "
			      "share all three");
}

static bool connect_pod(struct container *c, struct build *b, const char *id, struct error **err)
{
	const struct build_join *net = &b->join[JOIN_NETWORK];
	cleanup_error struct error *why = NULL;
	struct container pod;
	uint32_t ignored;
	char *name = xstrdup(id);
	bool ok;
	int fd = -1;

	container_init(&pod);
	ok = container_open(&pod, id, &why) || error_set(err, "pod %s: %s", id, why != NULL ? why->text : "it can't be opened");
	if (ok && (container_pod(&pod) != NULL || container_pid(&pod) == 0))
		ok = error_set(err, container_pod(&pod) != NULL ? "%s is a container of pod %s, not a pod's sandbox" : "pod %s is not running", id,
			       container_pod(&pod));
	if (ok && net->path != NULL)
		ok = pid_in_path(net->path, "net") != 0 ? resolve(net, "net", &name, &ignored, err) : same_network(net, &pod, err);
	if (ok) {
		fd = container_connect(&pod, ANSWER_MS, err);
		if (fd < 0)
			ok = fd == -EAGAIN ? error_wrap(err, "pod %s", id) : error_set(err, "pod %s is not running", id);
	}
	if (ok) {
		b->c->pod_fd = build_fd(b, fd);
		json_object_object_add(c->state, "pod", json_object_new_string(id));
	}
	free(name);
	container_close(&pod);
	return ok;
}

bool pod_find(struct container *c, struct build *b, json_object *spec, struct error **err)
{
	cleanup_free char *pod = NULL;
	uint32_t ignored;

	if (!annotated_pod(spec, &pod, err) || !check_paths(b, err) || !join_user(c, b, err))
		return false;
	if (pod == NULL && b->join[JOIN_IPC].path == NULL)
		return join_network(b, err);
	b->c->pod_pids = CONTAINER_OWN_PIDS;
	if (b->join[JOIN_IPC].path != NULL &&
	    (!resolve(&b->join[JOIN_IPC], ns_names[JOIN_IPC], &pod, &ignored, err) ||
	     !resolve(&b->join[JOIN_UTS], ns_names[JOIN_UTS], &pod, &ignored, err)))
		return false;
	if (b->join[JOIN_PID].path != NULL && !resolve(&b->join[JOIN_PID], ns_names[JOIN_PID], &pod, &b->c->pod_pids, err))
		return false;
	b->c->net_new = false;
	return connect_pod(c, b, pod, err);
}
