/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state directory.
 *
 *	ROOT/                 0700, ours: /run/sentrybox as root, $XDG_RUNTIME_DIR/sentrybox, or /tmp/sentrybox-UID
 *	    ID/               locked (flock) by whoever creates or deletes the container
 *	        state.json    what create knows; written beside and renamed, so that a reader sees all of it or none
 *	        config.json   the bundle's, as it was at create: hooks and exec's defaults come from it
 *	        control       the monitor's socket
 *	        exit.json     written by the monitor at its end
 *
 * A container of a pod has no control socket: its pod's monitor is asked, by its number there ("pod", "number" in state.json). The
 * process that its pid names is its own (container_host.c).
 *
 * What a container is doing is never believed from a file: it runs if the process of that number and start time is there,
 * and what it does is asked of that process. So whatever is killed at whatever moment, there is nothing to go stale: a
 * directory without a living monitor is a stopped container, one without state.json and lock the rest of a killed create,
 * and `delete` takes either away.
 *
 * Nobody but us can write here (owner and mode are checked, links are not followed), so what is in the files is ours.
 */
#include "runtime/state.h"
#include "runtime/cgroup.h"
#include "runtime/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#define FILE_MAX (17 << 20)

static const char *root_option;

void state_set_root(const char *dir)
{
	root_option = dir;
}

bool container_id_ok(const char *id)
{
	return *id != '\0' && strlen(id) <= 128 && strcmp(id, ".") != 0 && strcmp(id, "..") != 0 &&
	       strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-._") == strlen(id);
}

/* ---- directories and files ---- */

static char *root_path(void)
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (root_option != NULL)
		return xstrdup(root_option);
	if (geteuid() == 0)
		return xstrdup("/run/sentrybox");
	if (run != NULL && run[0] == '/')
		return xasprintf("%s/sentrybox", run);
	return xasprintf("/tmp/sentrybox-%u", geteuid());
}

static bool make_directories(const char *path)
{
	cleanup_free char *part = xstrdup(path);

	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return false;
		*p = '/';
	}
	return mkdir(part, 0700) == 0 || errno == EEXIST;
}

/* -1 with an error; or, not to be made and not there, -1 with *missing. */
static int open_root(bool make, bool *missing, struct error **err)
{
	cleanup_free char *path = root_path();
	cleanup_close int fd = -1;
	size_t len = strlen(path);
	struct stat st;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	*missing = false;
	if (make && !make_directories(path)) {
		error_errno(err, errno, "can't make the state directory %s (--root names another)", path);
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT && !make) {
		*missing = true;
		return -1;
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(err, errno, "can't open the state directory %s", path);
		return -1;
	}
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
		error_set(err, "the state directory %s is not ours alone: its owner must be user %u, and nobody else may write there",
			  path, geteuid());
		return -1;
	}
	return steal_fd(&fd);
}

static char *read_file(int dir, const char *name, size_t *len)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	char *text;
	ssize_t n;

	*len = 0;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return NULL;
	text = xcalloc(1, (size_t)st.st_size + 1);
	while (*len < (size_t)st.st_size && (n = read(fd, text + *len, (size_t)st.st_size - *len)) > 0)
		*len += (size_t)n;
	return text;
}

json_object *container_file_json(const struct container *c, const char *name)
{
	size_t len;
	cleanup_free char *text = read_file(c->dir_fd, name, &len);

	return text != NULL ? json_tokener_parse(text) : NULL;
}

void container_init(struct container *c)
{
	memset(c, 0, sizeof(*c));
	c->root_fd = c->dir_fd = -1;
}

void container_close(struct container *c)
{
	if (c->root_fd >= 0)
		close(c->root_fd);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	json_object_put(c->state);
	free(c->id);
	container_init(c);
}

static bool no_such(const char *id, struct error **err)
{
	return error_set(err, "container \"%s\" does not exist", id);
}

static bool open_dir(struct container *c)
{
	c->dir_fd = openat(c->root_fd, c->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return c->dir_fd >= 0;
}

bool container_open_missing(struct container *c, const char *id, bool *missing, struct error **err)
{
	*missing = false;
	if (!container_id_ok(id)) {
		*missing = true;
		return error_set(err, "\"%s\" is not a name for a container: letters, digits and +-._", id);
	}
	c->root_fd = open_root(false, missing, err);
	if (*missing)
		return no_such(id, err);
	if (c->root_fd < 0)
		return false;
	free(c->id);
	c->id = xstrdup(id);
	if (!open_dir(c)) {
		*missing = errno == ENOENT;
		return *missing ? no_such(id, err) : error_errno(err, errno, "can't open the container's state");
	}
	c->state = container_file_json(c, "state.json");
	return true;
}

bool container_open(struct container *c, const char *id, struct error **err)
{
	bool missing;

	return container_open_missing(c, id, &missing, err);
}

bool container_lock(struct container *c, struct error **err)
{
	struct stat here, there;

	if (flock(c->dir_fd, LOCK_EX) < 0)
		return error_errno(err, errno, "can't lock the container");
	c->locked = true;
	/* Whoever had it may have deleted it. */
	if (fstat(c->dir_fd, &here) < 0 || fstatat(c->root_fd, c->id, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
	    here.st_ino != there.st_ino) {
		c->gone = true;
		return no_such(c->id, err);
	}
	json_object_put(c->state);
	c->state = container_file_json(c, "state.json");
	return true;
}

bool container_save(struct container *c, struct error **err)
{
	const char *text = json_object_to_json_string_ext(c->state, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	size_t len = strlen(text), done = 0;
	cleanup_close int fd =
		openat(c->dir_fd, ".state.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	while (fd >= 0 && done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n <= 0)
			return error_errno(err, errno, "can't write the container's state");
		done += (size_t)n;
	}
	if (fd < 0 || renameat(c->dir_fd, ".state.new", c->dir_fd, "state.json") < 0)
		return error_errno(err, errno, "can't write the container's state");
	return true;
}

/* state.json first: from then on it is the rest of something, whatever happens to us. */
static bool empty_dir(int dir)
{
	cleanup_closedir DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;

	unlinkat(dir, "state.json", 0);
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dir, e->d_name, 0);
	}
	return d != NULL;
}

/* Whether `path` still leads to the state directory that we have open: the last container takes it along. */
static bool root_is_there(const struct container *c, const char *path)
{
	struct stat open, there;

	return fstat(c->root_fd, &open) == 0 && stat(path, &there) == 0 && there.st_ino == open.st_ino && there.st_dev == open.st_dev;
}

/*
 * The default one goes with its last container: nothing of us is left on the host. Whoever has the lock is waited for: of two
 * that end at once the first may have found the second's directory still there.
 */
static void drop_root(struct container *c)
{
	cleanup_free char *path = root_path();

	if (root_option == NULL && flock(c->root_fd, LOCK_EX) == 0) {
		if (root_is_there(c, path))
			rmdir(path);
		flock(c->root_fd, LOCK_UN);
	}
}

bool container_remove(struct container *c, struct error **err)
{
	if (!cgroup_remove(c, err))
		return false;
	/* A monitor that nobody knew of yet (its create was killed) may be writing its last word there. */
	for (int i = 0; !empty_dir(c->dir_fd) || (unlinkat(c->root_fd, c->id, AT_REMOVEDIR) < 0 && errno != ENOENT); i++) {
		const struct timespec tick = {0, 10000000};

		if (errno != ENOTEMPTY || i == 100)
			return error_errno(err, errno, "can't remove the container's state");
		nanosleep(&tick, NULL);
	}
	drop_root(c);
	return true;
}

/* Takes away what a killed create has left: no state, and nobody holds the lock. */
static bool clear_debris(struct container *c)
{
	struct stat st;

	if (!open_dir(c))
		return errno == ENOENT;
	if (flock(c->dir_fd, LOCK_EX | LOCK_NB) < 0 || fstatat(c->dir_fd, "state.json", &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	    !empty_dir(c->dir_fd) || unlinkat(c->root_fd, c->id, AT_REMOVEDIR) < 0)
		return false;
	close(steal_fd(&c->dir_fd));
	return true;
}

bool container_create(struct container *c, const char *id, struct error **err)
{
	cleanup_free char *path = root_path();
	bool missing, made;

	if (!container_id_ok(id))
		return error_set(err, "\"%s\" is not a name for a container: letters, digits and +-._", id);
	c->id = xstrdup(id);
	do {
		if (c->root_fd >= 0)
			close(c->root_fd);
		c->root_fd = open_root(true, &missing, err);
		if (c->root_fd < 0)
			return false;
		/* One creator at a time: between mkdir and the lock, a directory looks like what a killed one left. */
		if (flock(c->root_fd, LOCK_EX) < 0)
			return error_errno(err, errno, "can't lock the state directory");
	} while (!root_is_there(c, path));
	made = mkdirat(c->root_fd, id, 0700) == 0;
	if (!made && errno == EEXIST && clear_debris(c))
		made = mkdirat(c->root_fd, id, 0700) == 0;
	if (!made)
		return errno == EEXIST || c->dir_fd >= 0 ? error_set(err, "container with given ID already exists: %s", id) :
							   error_errno(err, errno, "can't make the container's state");
	if (!open_dir(c) || flock(c->dir_fd, LOCK_EX) < 0) /* a reader may have it for a moment */
		return error_errno(err, errno, "can't lock the container's state");
	c->locked = true;
	c->state = json_object_new_object();
	json_object_object_add(c->state, "id", json_object_new_string(id));
	if (!container_save(c, err)) {
		container_remove(c, err);
		return false;
	}
	flock(c->root_fd, LOCK_UN);
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **container_names(struct error **err)
{
	cleanup_closedir DIR *d = NULL;
	char **names = xcalloc(1, sizeof(*names));
	bool missing;
	int fd = open_root(false, &missing, err);
	struct dirent *e;
	size_t n = 0;

	if (fd < 0) {
		if (missing)
			return names;
		free(names);
		return NULL;
	}
	d = fdopendir(fd);
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || !container_id_ok(e->d_name))
			continue;
		names = xrealloc(names, n + 2, sizeof(*names));
		names[n++] = xstrdup(e->d_name);
		names[n] = NULL;
	}
	qsort(names, n, sizeof(*names), by_name);
	return names;
}

/* ---- what it is doing ---- */

uint64_t process_start_time(pid_t pid)
{
	char path[64], buf[1024], state;
	unsigned long long start;
	const char *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	p = strrchr(buf, ')');
	if (p == NULL ||
	    sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state, &start) != 2 ||
	    state == 'Z' || state == 'X')
		return 0;
	return start;
}

static int64_t state_int(const struct container *c, const char *key)
{
	json_object *v;

	return c->state != NULL && json_object_object_get_ex(c->state, key, &v) ? json_object_get_int64(v) : 0;
}

const char *container_pod(const struct container *c)
{
	json_object *v;

	return c->state != NULL && json_object_object_get_ex(c->state, "pod", &v) && json_object_is_type(v, json_type_string) ?
		       json_object_get_string(v) :
		       NULL;
}

uint32_t container_number(const struct container *c)
{
	return container_pod(c) != NULL ? (uint32_t)state_int(c, "number") : 0;
}

pid_t container_pid(const struct container *c)
{
	pid_t pid = (pid_t)state_int(c, "pid");

	return pid > 0 && process_start_time(pid) == (uint64_t)state_int(c, "start") ? pid : 0;
}

enum container_state container_status(const struct container *c)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_STATE};
	cleanup_error struct error *err = NULL;
	cleanup_close int fd = -1;
	struct lifecycle_reply r;

	if (state_int(c, "pid") == 0) {
		/* Whoever creates it holds the lock; if nobody does, it was killed. */
		if (c->locked || flock(c->dir_fd, LOCK_SH | LOCK_NB) < 0)
			return STATE_CREATING;
		flock(c->dir_fd, LOCK_UN);
		return STATE_STOPPED;
	}
	if (container_pid(c) == 0)
		return STATE_STOPPED;
	fd = container_connect(c, ANSWER_MS, &err);
	if (fd < 0 && fd != -EAGAIN)
		return STATE_STOPPED;
	if (fd < 0 || !monitor_send(c, fd, &rq, NULL, 0, &err) || !monitor_receive(fd, &r, ANSWER_MS, &err))
		return container_pid(c) == 0 ? STATE_STOPPED : STATE_RUNNING; /* ending; or it doesn't answer */
	return r.state <= STATE_STOPPED ? (enum container_state)r.state : STATE_STOPPED;
}

const char *container_state_name(enum container_state state)
{
	static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

	return names[state];
}

static void copy_field(json_object *to, const char *key, json_object *from)
{
	json_object *v;

	if (from != NULL && json_object_object_get_ex(from, key, &v))
		json_object_object_add(to, key, json_object_get(v));
}

json_object *container_state_json(const struct container *c, enum container_state state, bool more)
{
	json_object *o = json_object_new_object(), *v;

	json_object_object_add(o, "ociVersion", json_object_new_string("1.2.0"));
	json_object_object_add(o, "id", json_object_new_string(c->id));
	json_object_object_add(o, "pid", json_object_new_int64(state == STATE_STOPPED ? 0 : state_int(c, "pid")));
	json_object_object_add(o, "status", json_object_new_string(container_state_name(state)));
	copy_field(o, "bundle", c->state);
	if (!json_object_object_get_ex(o, "bundle", &v))
		json_object_object_add(o, "bundle", json_object_new_string(""));
	if (more) {
		copy_field(o, "rootfs", c->state);
		copy_field(o, "created", c->state);
		copy_field(o, "owner", c->state);
	}
	copy_field(o, "annotations", c->state);
	return o;
}

/* ---- its monitor ---- */

/* A socket's name has 108 bytes at most, an engine's directories more: through the directory's descriptor. */
static socklen_t socket_name(int dir, struct sockaddr_un *a)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "/proc/self/fd/%d/" LIFECYCLE_SOCKET, dir);
	return (socklen_t)sizeof(*a);
}

int container_listen(const struct container *c, struct error **err)
{
	cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a;
	socklen_t len = socket_name(c->dir_fd, &a);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 128) < 0) {
		error_errno(err, errno, "can't make the container's control socket");
		return -1;
	}
	return steal_fd(&fd);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* 0 or an errno. connect waits while the queue of those who want in is full: for ever, if nobody takes them out of it. A unix
 * socket's time for sending ends that, and so does a signal, which is none of ours to end it. */
static int connect_within(int fd, const struct sockaddr_un *a, socklen_t len, uint64_t ms)
{
	int64_t end = now_ms() + (int64_t)ms, left = (int64_t)ms;

	do {
		const struct timeval patience = {left / 1000, left % 1000 * 1000 + (left == 0)}; /* 0 would be for ever */

		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
			return errno;
		if (connect(fd, (const struct sockaddr *)a, len) == 0)
			return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){0}, sizeof(struct timeval)) < 0 ? errno : 0;
		left = end - now_ms();
	} while (errno == EINTR && left > 0);
	return errno == EINTR ? EAGAIN : errno;
}

static int try_connect(const struct container *c, uint64_t ms)
{
	const char *pod = container_pod(c);
	cleanup_close int fd = -1, dir = -1;
	struct sockaddr_un a;
	socklen_t len;
	int failed;

	if (container_pid(c) == 0)
		return -ESRCH;
	if (pod != NULL && container_id_ok(pod))
		dir = openat(c->root_fd, pod, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (pod != NULL && dir < 0)
		return -ESRCH;
	len = socket_name(pod != NULL ? dir : c->dir_fd, &a);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	failed = fd < 0 ? errno : connect_within(fd, &a, len, ms);
	return failed != 0 ? -failed : steal_fd(&fd);
}

int container_connect(const struct container *c, uint64_t ms, struct error **err)
{
	int fd = try_connect(c, ms);

	if (fd < 0)
		error_set(err, fd == -EAGAIN ? "the container's monitor does not answer" : "container not running");
	return fd;
}

bool monitor_send(const struct container *c, int fd, const struct lifecycle_request *wanted, const int *fds, unsigned nfds,
		  struct error **err)
{
	union {
		char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} ctl = {0};
	struct lifecycle_request rq = *wanted;
	struct iovec iov = {&rq, sizeof(rq)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (c != NULL)
		rq.container = container_number(c);
	if (nfds != 0) {
		struct cmsghdr *h;

		m.msg_control = ctl.bytes;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
	}
	if (sendmsg(fd, &m, MSG_NOSIGNAL) != (ssize_t)sizeof(rq))
		return error_set(err, "container not running");
	return true;
}

bool monitor_heard(int fd, uint64_t ms)
{
	struct pollfd p = {fd, POLLIN, 0};
	int64_t end = now_ms() + (int64_t)ms, left = (int64_t)ms;
	int got;

	do {
		got = poll(&p, 1, left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left);
		left = end - now_ms();
	} while (got <= 0 && left > 0);
	return got > 0;
}

bool monitor_receive(int fd, struct lifecycle_reply *r, int ms, struct error **err)
{
	struct pollfd p = {fd, POLLIN, 0};
	int got;
	ssize_t n;

	do {
		got = poll(&p, 1, ms);
	} while (got < 0 && errno == EINTR);
	if (got == 0)
		return error_set(err, "the container's monitor does not answer");
	n = recv(fd, r, sizeof(*r), 0);
	if (n != (ssize_t)sizeof(*r))
		return error_set(err, "container not running");
	r->text[sizeof(r->text) - 1] = '\0';
	if (r->type == LC_ERROR) {
		error_set(err, "%s", r->text);
		if (r->start_errno != 0) /* as a shell has it */
			(*err)->status = r->start_errno == ENOENT || r->start_errno == ENOTDIR ? 127 : 126;
		return false;
	}
	return true;
}

bool container_ask(const struct container *c, const struct lifecycle_request *rq, struct lifecycle_reply *r, struct error **err)
{
	cleanup_close int fd = container_connect(c, ANSWER_MS, err);

	return fd >= 0 && monitor_send(c, fd, rq, NULL, 0, err) && monitor_receive(fd, r, rq->type == LC_WAIT ? -1 : ANSWER_MS, err);
}
