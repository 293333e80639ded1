/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's cgroups on the host.
 *
 * The sandbox enforces its limits itself (the sentry counts tasks, memory and CPU time, the monitor watches). Cgroups are
 * there for what only the host can do: hold the whole of it, sentry and gofer included, even if the sentry was taken over;
 * weigh it against its neighbours; keep it on its CPUs; freeze it; and be where engines read statistics, by the pid that
 * they were given.
 *
 *	                     CONTAINER/            the monitor (its pid is the engine's), and what stands for each exec
 *	limits are set here      |
 *	                     CONTAINER/sandbox/    sentry, gofer, stubs      only version 1's freezer, and version 2
 *
 * The lower one is what `pause` freezes: the monitor must go on answering. It has no limits and no controllers of its own, so
 * that version 2's rule about processes in inner nodes isn't touched. The command's child enters the lower one before it
 * becomes the monitor, and the monitor leaves for the upper one when it has started its roles, so nothing of the container
 * ever ran outside. What stands on the host for an exec that outlives its command (exec_host.c) enters the upper one: it is
 * never frozen, so that signals and the end are passed on. It runs nothing of the guest's; where its caller may not move it, it
 * stays where it was. In the foreground that is the command itself, which is its caller's and stays.
 *
 * Where: each version 1 hierarchy that has one of our controllers, and the version 2 one if it has some that no version 1
 * hierarchy has (a hybrid's often has none; then it is left alone). Controllers we'd have no use for are not entered:
 * devices (no guest opens a device of the host's), hugetlb (the sandbox has no huge pages), net_cls, net_prio, perf_event,
 * rdma, and systemd's.
 *
 *	linux.cgroupsPath    "/a/b"   below the mount
 *	                     "a/b"    below our own cgroup; with version 2 below its parent, as ours has processes in it
 *	                     none     as "sentrybox-ID", if linux.resources asks for anything; else no cgroups at all
 *	    --systemd-cgroup "S:P:N"  S as directories, below them P-N.scope: where systemd would put it. systemd isn't asked
 *
 * Parents that are missing are made, and stay, as other runtimes leave them. A cgroup that exists is used if nobody is in it.
 *
 * Without the right to write (rootless, inside a container) a hierarchy is left out, and the sentry's own limits stand alone.
 *
 * The end: the state directory names the directories from before they are made, so whatever is killed, `delete` finds them.
 * What is in them then is thawed, killed and waited for: a process that is just dying keeps rmdir busy for a moment.
 */
#include "runtime/cgroup.h"
#include "runtime/cleanup.h"
#include "runtime/json_get.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define STATE_KEY "cgroup"
#define LOWER "sandbox"
#define REMOVE_MS 5000
#define PATIENT_TRIES 3 /* of half a millisecond, one, two: for those that end by themselves */

static const struct {
	const char *v1, *v2;
} names[CG_CONTROLLERS] = {
	[CG_CPU] = {"cpu", "cpu"},          [CG_CPUACCT] = {"cpuacct", NULL}, [CG_CPUSET] = {"cpuset", "cpuset"},
	[CG_MEMORY] = {"memory", "memory"}, [CG_PIDS] = {"pids", "pids"},     [CG_FREEZER] = {"freezer", NULL},
	[CG_BLKIO] = {"blkio", "io"},
};

static bool systemd_paths;

void cgroup_use_systemd_paths(void)
{
	systemd_paths = true;
}

void cgroup_free(struct cgroup *cg)
{
	for (int i = 0; i < CG_CONTROLLERS; i++) {
		free(cg->v1[i]);
		free(cg->v1_mount[i]);
	}
	free(cg->v2);
	free(cg->v2_mount);
	memset(cg, 0, sizeof(*cg));
}

static inline void cleanup_cgroupp(struct cgroup *cg)
{
	cgroup_free(cg);
}
#define cleanup_cgroup __attribute__((cleanup(cleanup_cgroupp)))

bool cgroup_any(const struct cgroup *cg)
{
	for (int i = 0; i < CG_CONTROLLERS; i++) {
		if (cg->v1[i] != NULL)
			return true;
	}
	return cg->v2 != NULL;
}

const char *cgroup_dir(const struct cgroup *cg, enum cgroup_controller which)
{
	if (cg->v1[which] != NULL)
		return cg->v1[which];
	return (cg->v2_controllers >> which & 1) != 0 ? cg->v2 : NULL;
}

/* ---- files ---- */

char *cgroup_read(const char *dir, const char *file)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, file);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0, cap = 4096;
	char *text;
	ssize_t n;

	if (fd < 0)
		return NULL;
	text = xcalloc(1, cap);
	while ((n = read(fd, text + len, cap - 1 - len)) > 0) {
		len += (size_t)n;
		if (len == cap - 1)
			text = xrealloc(text, cap *= 2, 1);
	}
	while (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	return text;
}

int cgroup_write(const char *dir, const char *file, const char *value)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, file);
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, value, strlen(value)) < 0 ? errno : 0;
}

bool cgroup_read_number(const char *dir, const char *file, uint64_t *n)
{
	cleanup_free char *text = cgroup_read(dir, file);
	char *end;

	if (text == NULL)
		return false;
	if (strcmp(text, "max") == 0) {
		*n = UINT64_MAX;
		return true;
	}
	errno = 0;
	*n = strtoull(text, &end, 10);
	return end != text && *end == '\0' && errno == 0;
}

/* ---- where ---- */

/* The n-th word of a line of mountinfo, decoded (a blank is written as \040); to free. */
static char *mount_word(const char *line, const char *end, int n)
{
	char *word, *to;

	for (; n > 0 && line < end; n--) {
		while (line < end && *line != ' ')
			line++;
		line += line < end;
	}
	word = to = xcalloc(1, (size_t)(end - line) + 1);
	for (; line < end && *line != ' '; line++) {
		if (end - line >= 4 && line[0] == '\\' && isdigit(line[1]) && isdigit(line[2]) && isdigit(line[3])) {
			*to++ = (char)((line[1] - '0') << 6 | (line[2] - '0') << 3 | (line[3] - '0'));
			line += 3;
		} else {
			*to++ = *line;
		}
	}
	return word;
}

static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; *p != '\0'; p += *p == ',') {
		size_t n = strcspn(p, ",");

		if (n == len && strncmp(p, name, n) == 0)
			return true;
		p += n;
	}
	return false;
}

/* Our own cgroup in the hierarchy with this controller ("": version 2), as a path; to free. */
static char *own_path(const char *self, const char *controller)
{
	for (const char *line = self; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t len = strcspn(line, "\n");
		const char *list = memchr(line, ':', len), *path;
		cleanup_free char *controllers = NULL;

		if (list == NULL || (path = memchr(list + 1, ':', len - (size_t)(list + 1 - line))) == NULL)
			continue;
		controllers = xstrndup(list + 1, (size_t)(path - list - 1));
		if (*controller == '\0' ? *controllers == '\0' : in_list(controllers, controller))
			return xstrndup(path + 1, len - (size_t)(path + 1 - line));
	}
	return xstrdup("/");
}

/* A mount may show only a part of its hierarchy: our own path as seen below it. */
static const char *below_mount(const char *own, const char *mount_root)
{
	size_t len = strlen(mount_root);

	if (strcmp(mount_root, "/") == 0)
		return own;
	if (strncmp(own, mount_root, len) == 0 && (own[len] == '/' || own[len] == '\0'))
		return own + len;
	return "/";
}

/* Joined without doubled or trailing slashes; to free. */
static char *join(const char *a, const char *b, const char *c)
{
	char *path = xasprintf("%s/%s/%s", a, b, c), *to = path;

	for (const char *p = path; *p != '\0'; p++) {
		if (*p != '/' || to == path || to[-1] != '/')
			*to++ = *p;
	}
	while (to > path + 1 && to[-1] == '/')
		to--;
	*to = '\0';
	return path;
}

/* The container's directory below a mount. */
static char *place(const char *mount, const char *mount_root, const char *self, const char *controller, const char *path)
{
	cleanup_free char *own = NULL;
	const char *below;

	if (path[0] == '/')
		return join(mount, path, "");
	own = own_path(self, controller);
	below = below_mount(own, mount_root);
	if (*controller == '\0') {
		char *slash = strrchr(below, '/');

		if (slash != NULL)
			*slash = '\0';
	}
	return join(mount, below, path);
}

/* a-b.slice lies in a.slice. To free. */
static char *slice_path(const char *slice, size_t len, struct error **err)
{
	size_t stem = len > 6 ? len - 6 : 0;
	char *path = xstrdup("");

	if (stem == 0 || strncmp(slice + stem, ".slice", 6) != 0 || memchr(slice, '/', len) != NULL) {
		free(path);
		error_set(err, "linux.cgroupsPath: \"%.*s\" is not a slice of systemd's: NAME.slice", (int)len, slice);
		return NULL;
	}
	if (stem == 1 && slice[0] == '-') /* the root */
		return path;
	for (size_t i = 1; i <= stem; i++) {
		char *more;

		if (i < stem && slice[i] != '-')
			continue;
		more = xasprintf("%s/%.*s.slice", path, (int)i, slice);
		free(path);
		path = more;
	}
	return path;
}

static char *systemd_path(const char *path, const char *id, struct error **err)
{
	cleanup_free char *slice = NULL;
	cleanup_free char *made = NULL;
	const char *prefix, *name;
	size_t len;

	if (path == NULL)
		path = made = xasprintf("system.slice:sentrybox:%s", id);
	prefix = strchr(path, ':');
	name = prefix != NULL ? strchr(prefix + 1, ':') : NULL;
	if (name == NULL || name[1] == '\0' || strchr(name + 1, ':') != NULL || strchr(name + 1, '/') != NULL ||
	    strchr(prefix, '/') != NULL) {
		error_set(err,
			  "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"%s\" instead: "
			  "write it so, or leave out --systemd-cgroup",
			  path);
		return NULL;
	}
	slice = prefix == path ? xstrdup("/system.slice") : slice_path(path, (size_t)(prefix - path), err);
	if (slice == NULL)
		return NULL;
	prefix++;
	len = strlen(name + 1);
	if (len > 6 && strcmp(name + 1 + len - 6, ".slice") == 0)
		return xasprintf("%s/%s", slice, name + 1);
	return xasprintf("%s/%.*s%s%s.scope", slice, (int)(name - prefix), prefix, name != prefix ? "-" : "", name + 1);
}

/* What is asked for, as a path that can't lead out or be everybody's; to free. */
static char *wanted_path(const char *path, const char *id, struct error **err)
{
	bool named = false;

	if (path != NULL && *path == '\0')
		path = NULL;
	if (systemd_paths)
		return systemd_path(path, id, err);
	if (path == NULL)
		return xasprintf("sentrybox-%s", id);
	for (const char *p = path; *p != '\0';) {
		size_t n = strcspn(p, "/");

		if (n == 2 && strncmp(p, "..", 2) == 0) {
			error_set(err, "linux.cgroupsPath: \"%s\" has a .. in it: write where it leads", path);
			return NULL;
		}
		named = named || (n > 0 && !(n == 1 && *p == '.'));
		p += n;
		p += *p == '/';
	}
	if (!named) {
		error_set(err, "linux.cgroupsPath: \"%s\" is no container's alone: name one below it", path);
		return NULL;
	}
	return xstrdup(path);
}

static void plan_v1(struct cgroup *cg, const char *mount, const char *root, const char *options, const char *self,
		    const char *path)
{
	for (int i = 0; i < CG_CONTROLLERS; i++) {
		if (cg->v1[i] == NULL && in_list(options, names[i].v1)) {
			cg->v1[i] = place(mount, root, self, names[i].v1, path);
			cg->v1_mount[i] = xstrdup(mount);
		}
	}
}

/* After version 1: what that has can't be here. */
static void plan_v2(struct cgroup *cg, const char *mount, const char *root, const char *self, const char *path)
{
	cleanup_free char *offered = cgroup_read(mount, "cgroup.controllers");

	for (char *p = offered; p != NULL && *p != '\0'; p++)
		*p = *p == ' ' ? ',' : *p;
	for (int i = 0; offered != NULL && i < CG_CONTROLLERS; i++) {
		if (cg->v1[i] == NULL && names[i].v2 != NULL && in_list(offered, names[i].v2))
			cg->v2_controllers |= 1u << i;
	}
	/* These two need no controller. */
	if (offered != NULL && cg->v1[CG_CPUACCT] == NULL)
		cg->v2_controllers |= 1u << CG_CPUACCT;
	if (offered != NULL && cg->v1[CG_FREEZER] == NULL)
		cg->v2_controllers |= 1u << CG_FREEZER;
	if (cg->v2_controllers == 0)
		return;
	cg->v2 = place(mount, root, self, "", path);
	cg->v2_mount = xstrdup(mount);
}

static void plan_mounts(struct cgroup *cg, const char *mountinfo, const char *self, const char *path, bool v2)
{
	for (const char *line = mountinfo, *end; *line != '\0'; line = end + (*end == '\n')) {
		cleanup_free char *mount = NULL, *root = NULL, *type = NULL, *options = NULL;
		const char *dash;

		end = line + strcspn(line, "\n");
		dash = strstr(line, " - ");
		if (dash == NULL || dash > end)
			continue;
		type = mount_word(dash + 3, end, 0);
		if (strcmp(type, v2 ? "cgroup2" : "cgroup") != 0 || (v2 && cg->v2 != NULL))
			continue;
		root = mount_word(line, end, 3);
		mount = mount_word(line, end, 4);
		options = mount_word(dash + 3, end, 2);
		if (v2)
			plan_v2(cg, mount, root, self, path);
		else
			plan_v1(cg, mount, root, options, self, path);
	}
}

bool cgroup_plan(struct cgroup *cg, const char *mountinfo, const char *self, const char *path, const char *id,
		 struct error **err)
{
	cleanup_free char *where = wanted_path(path, id, err);

	memset(cg, 0, sizeof(*cg));
	if (where == NULL)
		return false;
	plan_mounts(cg, mountinfo, self, where, false);
	plan_mounts(cg, mountinfo, self, where, true);
	return true;
}

/* ---- in the state ---- */

static void note(const struct cgroup *cg, json_object *state)
{
	json_object *o = json_object_new_object();

	for (int i = 0; i < CG_CONTROLLERS; i++) {
		if (cg->v1[i] != NULL)
			json_object_object_add(o, names[i].v1, json_object_new_string(cg->v1[i]));
	}
	if (cg->v2 != NULL) {
		json_object_object_add(o, "unified", json_object_new_string(cg->v2));
		json_object_object_add(o, "unified_controllers", json_object_new_int64(cg->v2_controllers));
	}
	json_object_object_add(state, STATE_KEY, o);
}

void cgroup_of_state(struct cgroup *cg, json_object *state)
{
	json_object *o, *v;

	memset(cg, 0, sizeof(*cg));
	if (state == NULL || !json_object_object_get_ex(state, STATE_KEY, &o))
		return;
	for (int i = 0; i < CG_CONTROLLERS; i++) {
		if (json_object_object_get_ex(o, names[i].v1, &v))
			cg->v1[i] = xstrdup(json_object_get_string(v));
	}
	if (json_object_object_get_ex(o, "unified", &v))
		cg->v2 = xstrdup(json_object_get_string(v));
	if (json_object_object_get_ex(o, "unified_controllers", &v))
		cg->v2_controllers = (unsigned)json_object_get_int64(v);
}

/* ---- making ---- */

/* Calls fn once for each directory, also if several controllers share it. */
static bool each_dir(const struct cgroup *cg, bool (*fn)(const char *dir, void *arg, struct error **err), void *arg,
		     struct error **err)
{
	for (int i = 0; i < CG_CONTROLLERS; i++) {
		bool seen = false;

		for (int k = 0; k < i; k++)
			seen = seen || (cg->v1[k] != NULL && cg->v1[i] != NULL && strcmp(cg->v1[k], cg->v1[i]) == 0);
		if (cg->v1[i] != NULL && !seen && !fn(cg->v1[i], arg, err))
			return false;
	}
	return cg->v2 == NULL || fn(cg->v2, arg, err);
}

static bool nobody_in(const char *dir, void *arg, struct error **err)
{
	cleanup_free char *procs = cgroup_read(dir, "cgroup.procs");

	(void)arg;
	if (procs == NULL || *procs == '\0')
		return true;
	return error_set(err, "linux.cgroupsPath: container's cgroup is not empty: processes are in %s: end them, or name another",
			 dir);
}

/* A fresh cpuset of version 1 has no CPU and no memory: nobody could enter. */
static void cpuset_inherit(const char *dir)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	cleanup_free char *parent = xstrdup(dir);

	*strrchr(parent, '/') = '\0';
	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *own = cgroup_read(dir, files[i]);
		cleanup_free char *value = NULL;

		if (own == NULL || *own != '\0')
			continue;
		value = cgroup_read(parent, files[i]);
		if (value != NULL)
			cgroup_write(dir, files[i], value);
	}
}

/* Version 2: what a cgroup's children may have is said in it. Whatever isn't possible is found missing later. */
static void enable_controllers(const char *dir)
{
	for (int i = 0; i < CG_CONTROLLERS; i++) {
		cleanup_free char *word = names[i].v2 != NULL ? xasprintf("+%s", names[i].v2) : NULL;

		if (word != NULL)
			cgroup_write(dir, "cgroup.subtree_control", word);
	}
}

static bool not_ours_to_write(int error)
{
	return error == EACCES || error == EPERM || error == EROFS;
}

/* With its parents. 0 or an errno. */
static int make_dir(const char *mount, const char *dir, enum cgroup_controller which, bool v2)
{
	cleanup_free char *path = xstrdup(dir);

	if (v2)
		enable_controllers(mount);
	for (char *p = path + strlen(mount) + 1, *slash;; p = slash + 1) {
		slash = strchr(p, '/');
		if (slash != NULL)
			*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return errno;
		if (which == CG_CPUSET && !v2)
			cpuset_inherit(path);
		if (slash == NULL)
			break;
		if (v2)
			enable_controllers(path);
		*slash = '/';
	}
	/* A cgroup may be there and not be ours. */
	return access(dir, W_OK) < 0 ? errno : 0;
}

static int make_lower(const char *dir)
{
	cleanup_free char *path = xasprintf("%s/" LOWER, dir);

	return mkdir(path, 0755) < 0 && errno != EEXIST ? errno : 0;
}

static void leave_out(char **dir)
{
	free(*dir);
	*dir = NULL;
}

static bool make_all(struct cgroup *cg, bool *left_out, struct error **err)
{
	for (int i = 0; i < CG_CONTROLLERS; i++) {
		int bad = cg->v1[i] != NULL ? make_dir(cg->v1_mount[i], cg->v1[i], (enum cgroup_controller)i, false) : 0;

		if (bad == 0 && i == CG_FREEZER && cg->v1[i] != NULL)
			bad = make_lower(cg->v1[i]);
		if (bad != 0 && !not_ours_to_write(bad))
			return error_errno(err, bad, "can't make the cgroup %s", cg->v1[i]);
		if (bad != 0) {
			leave_out(&cg->v1[i]);
			*left_out = true;
		}
	}
	if (cg->v2 != NULL) {
		int bad = make_dir(cg->v2_mount, cg->v2, CG_CPU, true);

		bad = bad == 0 ? make_lower(cg->v2) : bad;
		if (bad != 0 && !not_ours_to_write(bad))
			return error_errno(err, bad, "can't make the cgroup %s", cg->v2);
		if (bad != 0) {
			leave_out(&cg->v2);
			cg->v2_controllers = 0;
			*left_out = true;
		}
	}
	return true;
}

/* ---- the ways in, and what the monitor keeps in hand ---- */

/*
 * Where a process of one thread writes "0" to enter. Version 1's `tasks` moves the writing thread alone, which takes no lock that
 * all forks of the machine share; `cgroup.procs` takes it, and has to wait for every CPU to notice: some ten milliseconds.
 */
static const char *entry_file(const char *dir)
{
	cleanup_free char *tasks = xasprintf("%s/tasks", dir);

	return access(tasks, W_OK) == 0 ? "tasks" : "cgroup.procs";
}

static bool enter_dir(const char *dir, void *arg, struct error **err)
{
	(void)arg;
	(void)err;
	cgroup_write(dir, entry_file(dir), "0");
	return true;
}

void cgroup_enter(const struct container *c)
{
	cleanup_cgroup struct cgroup cg;

	cgroup_of_state(&cg, c->state);
	each_dir(&cg, enter_dir, NULL, NULL);
}

static bool open_entry(const char *dir, void *arg, struct error **err)
{
	struct build *b = arg;
	const char *file = entry_file(dir);
	cleanup_free char *lower = xasprintf("%s/" LOWER "/%s", dir, file);
	cleanup_free char *upper = xasprintf("%s/%s", dir, file);
	bool split = access(lower, F_OK) == 0;
	int fd = open(split ? lower : upper, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, errno, "can't open %s", split ? lower : upper);
	b->enter[b->nenter++] = fd;
	if (split && strcmp(file, "tasks") != 0 && b->enter_into < 0) {
		*strrchr(lower, '/') = '\0';
		b->enter_into = open(lower, O_PATH | O_DIRECTORY | O_CLOEXEC);
		b->enter_skip = b->nenter;
	}
	if (split)
		b->c->cg_leave_fd[b->c->cg_leave_fd[0] >= 0] = build_fd(b, open(upper, O_WRONLY | O_CLOEXEC));
	return true;
}

static int32_t keep_open(struct build *b, const char *dir, const char *file, int flags)
{
	cleanup_free char *path = dir != NULL ? xasprintf("%s/%s", dir, file) : NULL;

	return path != NULL ? build_fd(b, open(path, flags | O_CLOEXEC)) : -1;
}

static void open_files(const struct cgroup *cg, struct build *b)
{
	const char *freezer = cgroup_dir(cg, CG_FREEZER), *memory = cgroup_dir(cg, CG_MEMORY);
	bool v1 = cg->v1[CG_FREEZER] != NULL;

	b->c->cg_freeze_fd = keep_open(b, freezer, v1 ? LOWER "/freezer.state" : LOWER "/cgroup.freeze", O_RDWR);
	b->c->cg_frozen_fd = v1 ? -1 : keep_open(b, freezer, LOWER "/cgroup.events", O_RDONLY);
	v1 = cg->v1[CG_MEMORY] != NULL;
	b->c->cg_oom_fd = keep_open(b, memory, v1 ? "memory.oom_control" : "memory.events", O_RDONLY);
	b->c->cg_memory_max_fd = keep_open(b, memory, v1 ? "memory.limit_in_bytes" : "memory.max", O_RDWR);
	b->c->cg_memory_fd = keep_open(b, memory, v1 ? "memory.usage_in_bytes" : "memory.current", O_RDONLY);
}

/* linux.resources.cpu.cpus where there is no cpuset: by affinity, which all that the monitor starts inherits. */
static bool pin(const struct cgroup *cg, json_object *resources, struct build *b, struct error **err)
{
	json_object *cpu;
	const char *cpus;

	if (!json_get(resources, "linux.resources", "cpu", json_type_object, &cpu, err) ||
	    !json_get_string(cpu, "linux.resources.cpu", "cpus", &cpus, err))
		return false;
	if (cpus == NULL || *cpus == '\0' || cgroup_dir(cg, CG_CPUSET) != NULL)
		return true;
	CPU_ZERO(&b->cpus);
	if (!cgroup_cpu_list(cpus, (uint8_t *)&b->cpus, CPU_SETSIZE))
		return error_set(err, "linux.resources.cpu.cpus: \"%s\" is not a list of CPUs as 0-2,5", cpus);
	b->pin = true;
	return true;
}

/* ---- create ---- */

static bool asks_for_any(json_object *os, json_object *resources)
{
	static const char *const keys[] = {"memory", "cpu", "pids", "blockIO", "unified"};
	json_object *v;

	if (json_object_object_get_ex(os, "cgroupsPath", &v) && json_object_get_string_len(v) > 0)
		return true;
	for (size_t i = 0; resources != NULL && i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (json_object_object_get_ex(resources, keys[i], &v) && json_object_object_length(v) > 0)
			return true;
	}
	return false;
}

/* Away with what a failed create has made; others' stay. */
static bool take_away(const char *dir, void *arg, struct error **err)
{
	cleanup_free char *lower = xasprintf("%s/" LOWER, dir);

	(void)arg;
	(void)err;
	rmdir(lower);
	rmdir(dir);
	return true;
}

bool cgroup_create(struct container *c, json_object *spec, struct build *b, struct error **err)
{
	cleanup_free char *mounts = cgroup_read("/proc/self", "mountinfo"), *self = cgroup_read("/proc/self", "cgroup");
	cleanup_cgroup struct cgroup cg = {0};
	json_object *os, *resources;
	bool left_out = false;
	const char *path;

	if (!json_get(spec, "", "linux", json_type_object, &os, err) ||
	    !json_get_string(os, "linux", "cgroupsPath", &path, err) ||
	    !json_get(os, "linux", "resources", json_type_object, &resources, err))
		return false;
	if (os == NULL || !asks_for_any(os, resources))
		return true;
	if (!cgroup_plan(&cg, mounts != NULL ? mounts : "", self != NULL ? self : "", path, c->id, err) ||
	    !each_dir(&cg, nobody_in, NULL, err))
		return false;
	note(&cg, c->state);
	if (cgroup_any(&cg) && !container_save(c, err))
		return false;
	if (make_all(&cg, &left_out, err) && cgroup_limits(&cg, resources, err) && pin(&cg, resources, b, err) &&
	    each_dir(&cg, open_entry, b, err)) {
		note(&cg, c->state);
		open_files(&cg, b);
		return true;
	}
	each_dir(&cg, take_away, NULL, err);
	json_object_object_del(c->state, STATE_KEY);
	return false;
}

/* ---- the end ---- */

static void kill_in(const char *dir)
{
	cleanup_free char *procs = cgroup_read(dir, "cgroup.procs");

	for (char *p = procs, *end; p != NULL && *p != '\0'; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		if (pid > 1) /* 0: not of our pid namespace */
			kill((pid_t)pid, SIGKILL);
	}
}

/* A frozen process of version 1 dies when it is thawed. */
static void kill_below(const char *dir)
{
	cleanup_closedir DIR *d = opendir(dir);
	struct dirent *e;

	kill_in(dir);
	cgroup_write(dir, "freezer.state", "THAWED");
	cgroup_write(dir, "cgroup.freeze", "0");
	while (d != NULL && (e = readdir(d)) != NULL) {
		cleanup_free char *path = NULL;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		path = xasprintf("%s/%s", dir, e->d_name);
		kill_below(path);
		rmdir(path);
	}
}

struct removal {
	const struct cgroup *cg;
	int left_ms;
};

static bool kill_in_dir(const char *dir, void *arg, struct error **err)
{
	(void)arg;
	(void)err;
	kill_below(dir);
	return true;
}

static bool remove_dir(const char *dir, void *arg, struct error **err)
{
	struct timespec pause = {0, 500000};
	struct removal *r = arg;

	for (int i = 0;; i++) {
		cleanup_free char *lower = xasprintf("%s/" LOWER, dir);

		rmdir(lower);
		if (rmdir(dir) == 0 || errno == ENOENT || errno == ENOTDIR)
			return true;
		if (errno != EBUSY && errno != ENOTEMPTY)
			return error_errno(err, errno, "can't remove the cgroup %s", dir);
		if (r->left_ms <= 0)
			return error_set(err, "can't remove the cgroup %s: processes in it don't end (its cgroup.procs lists them)",
					 dir);
		/* What stands for an exec has heard of the end, and has a terminal to put right. Then, in all of them: what keeps it in this one may be frozen in another. */
		if (i >= PATIENT_TRIES)
			each_dir(r->cg, kill_in_dir, NULL, NULL);
		nanosleep(&pause, NULL);
		r->left_ms -= (int)(pause.tv_nsec / 1000000) + 1;
		if (pause.tv_nsec < 50000000)
			pause.tv_nsec *= 2;
	}
}

bool cgroup_remove(const struct container *c, struct error **err)
{
	cleanup_cgroup struct cgroup cg;
	struct removal r = {&cg, REMOVE_MS};

	cgroup_of_state(&cg, c->state);
	return each_dir(&cg, remove_dir, &r, err);
}
