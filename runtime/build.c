/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From wishes to struct config: see build.h. The structure is filled in private memory and written to a memfd once, by
 * launch.c; it holds offsets instead of pointers, so nothing of this process's layout reaches the core.
 *
 * Paths of the sandbox's root are looked up with RESOLVE_IN_ROOT: an image is a stranger's, and its /etc/passwd may
 * well be a symbolic link to the host's /etc/shadow.
 */
#include "runtime/build.h"
#include "runtime/cleanup.h"
#include "runtime/idmap_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

void build_init(struct build *b)
{
	struct config *c = xcalloc(1, sizeof(*c));

	memset(b, 0, sizeof(*b));
	b->c = c;
	b->pool_used = 1; /* offset 0: the empty string */
	b->root_fd = b->enter_into = -1;
	c->magic = CONFIG_MAGIC;
	c->version = CONFIG_VERSION;
	c->size = sizeof(*c);
	c->root_fd = c->image_fd = -1;
	c->message_fd = c->strace_fd = c->debug_fd = c->audit_fd = c->result_fd = c->copy_out_fd = c->control_fd = -1;
	c->gate_cache_fd = c->gate_cache_dir = c->sync_fd = c->state_fd = c->net_fd = c->keep_program = c->pod_fd = -1;
	c->cg_leave_fd[0] = c->cg_leave_fd[1] = c->cg_freeze_fd = c->cg_frozen_fd = -1;
	c->cg_oom_fd = c->cg_memory_max_fd = c->cg_memory_fd = -1;
	c->fail_call = -1;
	c->unprivileged_ports = 1024;
}

void build_free(struct build *b)
{
	for (size_t i = 0; i < JOIN_KINDS; i++) {
		free(b->join[i].path);
		free(b->join[i].where);
	}
	for (size_t i = 0; i < b->nfds; i++) {
		if (b->fds[i] >= 0)
			close(b->fds[i]);
	}
	for (size_t i = 0; i < BUILD_DIRS; i++) {
		free(b->dirs[i].name);
		free(b->dirs[i].real);
	}
	free(b->passwd);
	free(b->root_name);
	free(b->c);
	memset(b, 0, sizeof(*b));
}

cfg_str build_str(struct build *b, const char *s)
{
	size_t len = strlen(s) + 1;
	uint32_t off = b->pool_used;

	if (len == 1)
		return 0;
	if (len > CONFIG_POOL - b->pool_used) {
		b->full = true;
		return 0;
	}
	memcpy(b->c->pool + off, s, len);
	b->pool_used += (uint32_t)len;
	return off;
}

cfg_str build_strings(struct build *b, char *const *list, size_t n)
{
	uint32_t first = b->pool_used;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(list[i]) + 1;

		if (len > CONFIG_POOL - b->pool_used) {
			b->full = true;
			return 0;
		}
		memcpy(b->c->pool + b->pool_used, list[i], len);
		b->pool_used += (uint32_t)len;
	}
	return n == 0 ? 0 : first;
}

int32_t build_fd(struct build *b, int fd)
{
	int high;

	if (fd < 0)
		return -1;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	close(fd);
	if (high < 0 || b->nfds == BUILD_MAX_FDS) {
		fputs("sentrybox: too many open descriptors: raise `ulimit -n`\n", stderr);
		_exit(125);
	}
	b->fds[b->nfds++] = high;
	return high;
}

void build_close(struct build *b, int32_t fd)
{
	for (size_t i = 0; i < b->nfds; i++) {
		if (b->fds[i] == fd && fd >= 0)
			close(steal_fd(&b->fds[i]));
	}
}

int open_in_root(int root_fd, const char *path, int flags)
{
	struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

bool build_root(struct build *b, const char *dir, struct error **err)
{
	int fd = open(dir, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "can't open the root %s", dir);
	if (S_ISREG(st.st_mode)) {
		close(fd);
		return build_image(b, dir, err);
	}
	if (!S_ISDIR(st.st_mode)) {
		close(fd);
		return error_set(err, "the root %s is neither a directory nor an image file", dir);
	}
	b->root_fd = build_fd(b, fd);
	b->c->root_fd = b->root_fd;
	return true;
}

/* ---- mounts ---- */

struct config_mount *build_mount(struct build *b, enum config_mount_kind kind, const char *source, const char *target,
				 const char *options, uint64_t flags, struct error **err)
{
	struct config_mount *m;

	if (b->c->nmounts == CONFIG_MAX_MOUNTS) {
		error_set(err, "more than %d mounts", CONFIG_MAX_MOUNTS);
		return NULL;
	}
	m = &b->c->mounts[b->c->nmounts++];
	memset(m, 0, sizeof(*m));
	m->kind = kind;
	m->source = build_str(b, source);
	m->target = build_str(b, target);
	m->options = build_str(b, options);
	m->flags = flags;
	m->dir_fd = -1;
	return m;
}

bool build_bind(struct build *b, const char *source, const char *target, uint64_t flags, struct error **err)
{
	cleanup_close int fd = open(source, O_PATH | O_CLOEXEC);
	struct config_mount *m;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "can't open %s", source);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return error_set(err,
				 "%s is neither a directory nor a regular file: devices and sockets of the host are "
				 "not passed in",
				 source);
	m = build_mount(b, MOUNT_BIND, source, target, (flags & MS_RDONLY) != 0 ? "ro,relatime" : "rw,relatime", flags,
			err);
	if (m == NULL)
		return false;
	m->source_is_file = S_ISREG(st.st_mode);
	m->dir_fd = build_fd(b, steal_fd(&fd));
	return true;
}

bool build_default_mounts(struct build *b, struct error **err)
{
	static const struct {
		enum config_mount_kind kind;
		const char *source, *target, *options;
		uint64_t flags;
	} mounts[] = {
		{MOUNT_PROC, "proc", "/proc", "rw,nosuid,nodev,noexec,relatime", MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{MOUNT_SYSFS, "sysfs", "/sys", "ro,nosuid,nodev,noexec,relatime",
		 MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{MOUNT_CGROUP, "cgroup", "/sys/fs/cgroup", "ro,nosuid,nodev,noexec,relatime",
		 MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{MOUNT_DEV, "tmpfs", "/dev", "rw,nosuid,size=65536k,mode=755", MS_NOSUID},
		{MOUNT_DEVPTS, "devpts", "/dev/pts", "rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666",
		 MS_NOSUID | MS_NOEXEC},
		{MOUNT_SHM, "shm", "/dev/shm", "rw,nosuid,nodev,noexec,relatime", MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{MOUNT_MQUEUE, "mqueue", "/dev/mqueue", "rw,nosuid,nodev,noexec,relatime",
		 MS_NOSUID | MS_NODEV | MS_NOEXEC},
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		if (build_mount(b, mounts[i].kind, mounts[i].source, mounts[i].target, mounts[i].options,
				mounts[i].flags, err) == NULL)
			return false;
	}
	return true;
}

/* ---- rules on paths ---- */

static bool add_rule(struct build *b, enum config_path_kind kind, const char *path, struct error **err)
{
	for (uint32_t i = 0; i < b->c->npaths; i++) {
		if (b->c->paths[i].kind == kind && strcmp(config_str(b->c, b->c->paths[i].path), path) == 0)
			return true;
	}
	if (b->c->npaths == CONFIG_MAX_PATHS)
		return error_set(err, "more than %d rules on paths: name a directory above them", CONFIG_MAX_PATHS);
	b->c->paths[b->c->npaths].kind = kind;
	b->c->paths[b->c->npaths++].path = build_str(b, path);
	return true;
}

/* The name of an open directory as seen from the root, or NULL: told by /proc, which both ends of the name share. */
static char *name_in_root(struct build *b, int fd)
{
	char link[64], name[4096];
	size_t nroot;
	ssize_t n;

	if (b->root_name == NULL) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", b->root_fd);
		n = readlink(link, name, sizeof(name) - 1);
		if (n <= 0)
			return NULL;
		name[n] = '\0';
		b->root_name = xstrdup(name);
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	if (n <= 0)
		return NULL;
	name[n] = '\0';
	nroot = strlen(b->root_name);
	if (nroot == 1)
		return xstrdup(name);
	if (strncmp(name, b->root_name, nroot) != 0 || (name[nroot] != '/' && name[nroot] != '\0'))
		return NULL;
	return xstrdup(name[nroot] == '\0' ? "/" : name + nroot);
}

static char *join(const char *dir, const char *name)
{
	return xasprintf("%s%s%s", strcmp(dir, "/") == 0 ? "" : dir, *name != '\0' ? "/" : "", name);
}

/*
 * The name of a directory of the root with all links on the way followed, or NULL if there is no such directory.
 * Borrowed: the last few are kept, since rules come many to a directory and a start is short.
 */
static const char *real_directory(struct build *b, const char *dir)
{
	struct build_dir *d = &b->dirs[b->next_dir];
	cleanup_close int fd = -1;

	for (size_t i = 0; i < BUILD_DIRS; i++) {
		if (b->dirs[i].name != NULL && strcmp(b->dirs[i].name, dir) == 0)
			return b->dirs[i].real;
	}
	b->next_dir = (b->next_dir + 1) % BUILD_DIRS;
	free(d->name);
	free(d->real);
	d->name = xstrdup(dir);
	fd = open_in_root(b->root_fd, dir, O_PATH | O_DIRECTORY);
	d->real = fd >= 0 ? name_in_root(b, fd) : NULL;
	return d->real;
}

/* A link at the end: what it leads to is covered too. */
static bool add_target(struct build *b, enum config_path_kind kind, const char *link, struct error **err)
{
	cleanup_free char *real = NULL;
	cleanup_close int fd = -1;
	struct stat st;

	if (b->root_fd < 0) /* an image's links are followed by the sentry */
		return true;
	if (fstatat(b->root_fd, link + 1, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode))
		return true;
	fd = open_in_root(b->root_fd, link, O_PATH);
	if (fd >= 0)
		real = name_in_root(b, fd);
	return real == NULL || strcmp(real, "/") == 0 || add_rule(b, kind, real, err);
}

bool build_path_rule(struct build *b, enum config_path_kind kind, const char *path, struct error **err)
{
	cleanup_free char *head = xstrdup(path);
	cleanup_free char *tail = xstrdup("");
	cleanup_free char *whole = NULL;
	size_t len = strlen(head);

	while (len > 1 && head[len - 1] == '/')
		head[--len] = '\0';
	if (strcmp(head, "/") == 0)
		return error_set(err, "the root itself can't be named here");
	if (strstr(path, "/../") != NULL || strcmp(head + (len >= 3 ? len - 3 : 0), "/..") == 0)
		return error_set(err, "\"%s\" has .. in it: write the path itself", path);
	/* The longest part that exists, without its last component, is where links may lead elsewhere. */
	while (whole == NULL) {
		char *slash = strrchr(head, '/');
		cleanup_free char *old_tail = tail;
		const char *dir;

		tail = *old_tail == '\0' ? xstrdup(slash + 1) : join(slash + 1, old_tail);
		*slash = '\0';
		dir = real_directory(b, *head == '\0' ? "/" : head);
		if (dir != NULL || *head == '\0')
			whole = join(dir != NULL ? dir : "/", tail);
	}
	return add_rule(b, kind, whole, err) && add_target(b, kind, whole, err);
}

/* ---- what flags and annotations have in common ---- */

static bool open_output(struct build *b, const struct output *o, const char *flag, int32_t *fd, struct error **err)
{
	int f;

	if (o->to == OUTPUT_OFF)
		return true;
	if (o->to == OUTPUT_STDERR)
		f = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	else /* what is written there may hold secrets of the program: for the caller's eyes */
		f = open(o->file, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
	if (f < 0 && o->to == OUTPUT_FILE && (errno == EACCES || errno == EINVAL || errno == ENXIO))
		f = open(o->file, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY); /* a FIFO, a device */
	if (f < 0)
		return error_errno(err, errno, "--%s: can't write %s", flag,
				   o->to == OUTPUT_FILE ? o->file : "to stderr");
	*fd = build_fd(b, f);
	return true;
}

/* At the end a process of this program changes the root's directory: it is looked now whether that will be possible. */
static bool keep_root_writes(struct build *b, struct error **err)
{
	struct config *c = b->c;

	if (c->image_fd >= 0)
		return error_set(err, "root-writes=keep: the root is an image file, which nothing is written to: give it a directory, or say discard");
	if (c->root_readonly)
		return true; /* there will be none */
	if (c->pod_fd >= 0) /* the end of the pod's own init is the only one that a keeper is started for */
		return error_set(err, "root-writes=keep: what a container that joins a pod writes can't be kept: say discard for it (annotation dev.sentrybox.root-writes)");
	if (c->root_is_host)
		return error_set(err, "root-writes=keep is for containers, which have a root of their own");
	if (faccessat(c->root_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return error_errno(err, errno, "root-writes=keep: can't write to the root's directory");
	c->keep_program = build_fd(b, open("/proc/self/exe", O_PATH | O_CLOEXEC));
	if (c->keep_program < 0)
		return error_errno(err, errno, "root-writes=keep: can't open my own program by /proc/self/exe");
	c->root_keep = true;
	return true;
}

bool build_settings(struct build *b, const struct settings *s, struct error **err)
{
	struct config *c = b->c;

	c->root_readonly = c->root_readonly || s->readonly_root;
	if (s->hostname != NULL)
		c->hostname = build_str(b, s->hostname);
	if (s->memory != 0)
		c->memory_bytes = s->memory;
	if (s->cpu_permille != 0)
		c->cpu_permille = s->cpu_permille;
	if (s->pids != 0)
		c->max_tasks = (uint32_t)s->pids;
	c->disk_bytes = s->disk;
	c->timeout_ms = s->timeout_ms;
	c->idle_timeout_ms = s->idle_timeout_ms;
	c->platform = s->platform;
	c->gate = !s->no_gate;
	c->fail_call = s->fail_call;
	c->backtrace = s->backtrace;
	if (s->backtrace && s->audit.to == OUTPUT_OFF && !s->json)
		return error_set(err, "--backtrace adds to denials: say --audit FILE or --json as well");
	c->fail_alloc = s->fail_alloc;
	for (size_t i = 0; i < s->negress; i++) {
		struct config_egress *e = &c->egress[c->negress++];

		if (!parse_egress(s->egress[i], e, err))
			return false;
		e->text = build_str(b, s->egress[i]);
	}
	for (size_t i = 0; i < s->ningress; i++) {
		struct config_ingress *in = &c->ingress[c->ningress++];

		if (!parse_ingress(s->ingress[i], in, err))
			return false;
		in->text = build_str(b, s->ingress[i]);
	}
	for (size_t i = 0; i < s->nhide; i++) {
		if (!build_path_rule(b, PATH_HIDE, s->hide[i], err))
			return error_wrap(err, "--hide");
	}
	for (size_t i = 0; i < s->ngate_exclude; i++) {
		if (!build_path_rule(b, PATH_NO_GATE, s->gate_exclude[i], err))
			return error_wrap(err, "--gate-exclude");
	}
	for (size_t i = 0; i < s->nmounts; i++) {
		if (!build_bind(b, s->mounts[i].source, s->mounts[i].target, s->mounts[i].readonly ? MS_RDONLY : 0,
				err))
			return error_wrap(err, "--mount");
	}
	build_gate_cache(b, s);
	for (size_t i = 0; i < s->ncopy_out; i++)
		c->copy_out[c->ncopy_out++] = build_str(b, s->copy_out[i].guest);
	if (s->root_writes && !keep_root_writes(b, err))
		return false;
	return open_output(b, &s->strace, "strace", &c->strace_fd, err) &&
	       open_output(b, &s->debug, "debug-log", &c->debug_fd, err) &&
	       open_output(b, &s->audit, "audit", &c->audit_fd, err);
}

bool build_finish(struct build *b, struct error **err)
{
	const char *bad;

	if (!idmap_finish(b, err))
		return false;
	if (b->full)
		return error_set(err, "arguments and environment are longer than %u KiB together", CONFIG_POOL >> 10);
	b->c->pool_len = b->pool_used;
	bad = config_check(b->c);
	if (bad != NULL)
		return error_set(err, "the configuration is not valid: %s", bad);
	return true;
}
