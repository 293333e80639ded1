/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's life, as the monitor leads it for commands that come and go.
 *
 *	create --sync--> monitor: CREATING --CONTROL_CREATED--> CREATED --LC_START--> RUNNING <--> PAUSED     --> STOPPED
 *	start, kill, exec, ps ... --connection--> request --> control message to the sentry --> answer --> reply
 *
 * Further containers of a pod are led here, too: each has an entry, a life line (container_host.c), and a state of its own.
 * A request names the container it is about.
 *
 * `create` holds the other end of the sync socket until it has written down all that others need; if it is gone before it
 * said so, nobody knows of the container, and it ends. A connection that made a process (exec) is that process's life line.
 *
 * Who asks is the operator (checked by SO_PEERCRED at accept). Who answers may be a sentry that was taken over: its messages
 * name processes by numbers we gave, are looked up in our own table, and can at most tell lies about the sandbox's own
 * processes. Nothing here waits for it: each command that needs its help is answered when it answers, SIGKILL has a deadline
 * after which the sentry itself is killed (a longer one for a further container, which stands still with a paused pod), and
 * pausing is done by us.
 *
 * Pausing stops the sentry first, so that nothing new is made; then its stubs, by SIGSTOP, which they can't refuse. Where there
 * is a freezer (host_cgroup.c) that takes the place of the stubs' SIGSTOP.
 */
#include "runtime/core/lifecycle.h"

#include "runtime/core/children.h"
#include "runtime/core/host_cgroup.h"
#include "runtime/core/join.h"
#include "runtime/core/lifecycle_protocol.h"
#include "runtime/core/memory_watch.h"
#include "runtime/core/owed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KILL_DEADLINE_MS 2000
#define MEMBER_DEADLINE_MS 30000 /* all others of the pod would go with it */
#define HOST_OOM_MS 250
#define CLIENT_PATIENCE_MS 1000 /* for one that doesn't read its answers */

struct connection {
	int fd;
	uint32_t waits; /* LC_START, LC_WAIT, LC_PS, LC_EXEC, LC_EVENTS; 0: for nothing */
	uint32_t exec;  /* the id of its process, 0: none */
	pid_t host_pid; /* exec, container: what stands for it */
	uint32_t container; /* which one its question is about */
	bool life_line; /* exec is a container's number */
};

/* A further container of the pod. */
struct member {
	uint32_t id; /* 0: this entry is free */
	enum container_state state;
	bool start_sent, paused;
	bool empty;         /* no process of it is left, what it had is being taken away */
	int64_t kill_at_ms; /* 0: not so */
	int status;
	uint32_t ooms; /* as told to those that wait for events */
};
#define MEMBERS_MAX 64
#define NOT_LISTENING "the sandbox does not listen"

static const struct config *cfg;
static int control = -1, sync_fd = -1;
static pid_t sentry, gofer;
static enum container_state state;
static bool start_sent;
static uint32_t last_id;
static int64_t kill_at_ms; /* 0: not so */
static bool overdue;
static bool ending;
static uint64_t host_ooms; /* of them, as told to those that wait for events */
static uint32_t own_ooms;  /* times that a process had to end for the sandbox's own limit */
static struct connection *connections;
static unsigned nconnections;
static struct member members[MEMBERS_MAX];

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void lifecycle_init(const struct config *c, int control_fd, pid_t sentry_pid, pid_t gofer_pid)
{
	cfg = c;
	control = control_fd;
	sync_fd = c->sync_fd;
	sentry = sentry_pid;
	gofer = gofer_pid;
	state = c->wait_start ? STATE_CREATING : STATE_RUNNING;
	if (c->control_fd >= 0)
		connections = calloc(LIFECYCLE_MAX, sizeof(*connections));
}

void lifecycle_role_gone(pid_t pid)
{
	if (pid == sentry)
		sentry = 0;
	if (pid == gofer)
		gofer = 0;
}

void lifecycle_control_gone(void)
{
	control = -1;
}

bool lifecycle_on(void)
{
	return connections != NULL;
}

void lifecycle_ending(void)
{
	ending = true;
}

bool lifecycle_paused(void)
{
	return state == STATE_PAUSED;
}

static struct member *find_member(uint32_t id)
{
	for (unsigned i = 0; id != 0 && i < MEMBERS_MAX; i++)
		if (members[i].id == id)
			return &members[i];
	return NULL;
}

static enum container_state state_of(uint32_t container)
{
	const struct member *m = find_member(container);

	if (container == 0)
		return state;
	if (m == NULL || state == STATE_STOPPED)
		return STATE_STOPPED;
	if (m->state == STATE_STOPPED || m->state == STATE_CREATING)
		return m->state;
	return m->paused || state == STATE_PAUSED ? STATE_PAUSED : m->state;
}

/* ---- to the sentry ---- */

/* Its stubs may hold its end of the socket a moment longer than it lives. */
static int to_sentry(void)
{
	return sentry > 0 ? control : -1;
}

/* A question, or what whoever wants it may try again. */
static bool tell_about(uint32_t type, uint32_t container, uint32_t id, int status)
{
	struct control_message msg = {.type = type, .id = id, .container = container, .status = status};

	return owed_pay(to_sentry()) && send(to_sentry(), &msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(msg);
}

static bool tell_sentry(uint32_t type, uint32_t id, int status)
{
	return tell_about(type, 0, id, status);
}

static bool tell_signal(uint32_t container, uint32_t id, int sig)
{
	return owed_tell(to_sentry(), CONTROL_SIGNAL, container, id, sig, false);
}

static bool send_fds(const struct control_message *msg, const int *fds, unsigned nfds)
{
	union {
		char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} ctl = {0};
	struct iovec iov = {(void *)(uintptr_t)msg, sizeof(*msg)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.bytes};
	struct cmsghdr *c;

	m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	return owed_pay(to_sentry()) && sendmsg(to_sentry(), &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*msg);
}

/* ---- to commands ---- */

static void member_gone(uint32_t id);

static void drop(struct connection *c)
{
	uint32_t gone = c->life_line ? c->container : 0;

	if (c->exec != 0 && state != STATE_STOPPED)
		owed_tell(to_sentry(), CONTROL_EXEC_KILL, 0, c->exec, 0, true);
	close(c->fd);
	*c = connections[--nconnections];
	if (gone != 0)
		member_gone(gone);
}

/* A command that does not read is not waited for long. */
static bool reply_any(struct connection *c, const void *msg, size_t len)
{
	if (send(c->fd, msg, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len)
		return true;
	if (errno == EAGAIN) {
		struct pollfd p = {c->fd, POLLOUT, 0};

		if (poll(&p, 1, CLIENT_PATIENCE_MS) == 1 && send(c->fd, msg, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len)
			return true;
	}
	return false;
}

static void reply(struct connection *c, const struct lifecycle_reply *r)
{
	struct lifecycle_reply copy = *r;

	copy.state = state_of(c->container);
	reply_any(c, &copy, sizeof(copy));
}

static void reply_ok(struct connection *c)
{
	reply(c, &(struct lifecycle_reply){.type = LC_OK});
}

static void reply_error(struct connection *c, int start_errno, const char *text)
{
	struct lifecycle_reply r = {.type = LC_ERROR, .start_errno = start_errno};

	snprintf(r.text, sizeof(r.text), "%s", text);
	reply(c, &r);
}

/* ---- pausing ---- */

struct signalled {
	int sig;
	unsigned n;
};

static void signal_stub(pid_t pid, void *arg)
{
	struct signalled *s = arg;

	if (kill(pid, s->sig) == 0)
		s->n++;
}

/* Signals each stub; their number. */
static unsigned signal_stubs(int sig)
{
	struct signalled s = {.sig = sig};

	each_child(sentry, signal_stub, &s);
	return s.n;
}

static bool is_stopped(pid_t pid)
{
	char path[64], buf[512], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return true;
	buf[n] = '\0';
	p = strrchr(buf, ')');
	return p != NULL && p[1] == ' ' && p[2] == 'T';
}

static void stop_all(void)
{
	const struct timespec tick = {0, 1000000};
	unsigned before = 0, n;

	kill(sentry, SIGSTOP);
	for (int i = 0; i < 100 && !is_stopped(sentry); i++)
		nanosleep(&tick, NULL);
	if (host_cgroup_can_freeze(cfg)) {
		host_cgroup_freeze(cfg);
		return;
	}
	/* A clone that a stub was told to make may still add one. */
	for (int i = 0; i < 10; i++) {
		n = signal_stubs(SIGSTOP);
		if (n == before)
			break;
		before = n;
		nanosleep(&tick, NULL);
	}
	if (gofer > 0) /* not with an image and no mounts */
		kill(gofer, SIGSTOP);
}

static void go_on_all(void)
{
	const struct timespec tick = {0, 2000000};

	if (sentry <= 0) /* 0 would be our own group */
		return;
	if (host_cgroup_can_freeze(cfg)) {
		host_cgroup_thaw(cfg);
	} else {
		if (gofer > 0)
			kill(gofer, SIGCONT);
		signal_stubs(SIGCONT);
	}
	/* What the stubs were asked before answers first: the sentry's clock has gone on, and its patience may be over. */
	nanosleep(&tick, NULL);
	kill(sentry, SIGCONT);
}

static void resume(void)
{
	go_on_all();
	state = STATE_RUNNING;
	for (unsigned i = 0; i < MEMBERS_MAX; i++)
		if (members[i].kill_at_ms != 0)
			members[i].kill_at_ms = now_ms() + MEMBER_DEADLINE_MS;
}

void lifecycle_resume(void)
{
	if (state == STATE_PAUSED)
		resume();
}

/* ---- further containers ---- */

static void tell_ooms(uint32_t container, uint32_t ooms)
{
	struct lifecycle_reply r = {.type = LC_OOM, .ooms = ooms};

	for (unsigned i = 0; i < nconnections; i++) {
		if (connections[i].waits == LC_EVENTS && connections[i].container == container)
			reply(&connections[i], &r);
	}
}

/* Whoever waits for something of it is told that there will be nothing. */
static void answer_waiting(uint32_t id, int status, int start_errno, const char *why)
{
	for (unsigned i = 0; i < nconnections; i++) {
		struct connection *c = &connections[i];

		if (c->container != id || c->life_line)
			continue;
		if (c->waits == LC_WAIT)
			reply(c, &(struct lifecycle_reply){.type = LC_ENDED, .status = status});
		else if (c->waits == LC_START || c->waits == LC_PS || c->waits == LC_STATS || c->waits == LC_EVENTS)
			reply_error(c, start_errno, why);
		else
			continue;
		c->waits = 0;
	}
}

static void member_ended(struct member *m, int status, int start_errno, const char *why)
{
	m->state = STATE_STOPPED;
	m->kill_at_ms = 0;
	m->status = status;
	answer_waiting(m->id, status, start_errno, why);
}

static void member_gone(uint32_t id)
{
	struct member *m = find_member(id);

	if (m == NULL)
		return;
	if (m->state != STATE_STOPPED)
		member_ended(m, SIGKILL, 0, "container not running");
	*m = (struct member){0};
}

static uint32_t next_id(void)
{
	last_id = last_id >= UINT32_MAX - 2 ? 1 : last_id + 1;
	return last_id;
}

static void do_container(struct connection *c, const struct lifecycle_request *rq, const int *fds, unsigned nfds)
{
	struct control_message msg = {.type = CONTROL_CONTAINER, .status = (int32_t)rq->flags, .container = rq->container};
	const char *bad = join_check(cfg, rq->flags, fds, nfds);
	struct member *m = members;

	while (m < members + MEMBERS_MAX && m->id != 0)
		m++;
	if (bad == NULL && state == STATE_PAUSED)
		bad = "the pod is paused";
	if (bad == NULL && state != STATE_RUNNING && state != STATE_CREATED)
		bad = "the pod is not running";
	if (bad == NULL && (c->exec != 0 || c->life_line))
		bad = "one container a connection";
	if (bad == NULL && m == members + MEMBERS_MAX)
		bad = "the pod has as many containers as it may have (64)";
	if (bad == NULL && rq->container != 0 && rq->container != CONTAINER_OWN_PIDS && state_of(rq->container) == STATE_STOPPED)
		bad = "the container whose processes it is to share has ended";
	if (bad == NULL) {
		msg.id = next_id();
		if (!send_fds(&msg, fds, nfds))
			bad = NOT_LISTENING;
	}
	if (bad != NULL) {
		reply_error(c, 0, bad);
		return;
	}
	*m = (struct member){.id = msg.id, .state = STATE_CREATING};
	c->exec = c->container = msg.id;
	c->life_line = true;
	c->waits = LC_EXEC;
	c->host_pid = rq->signal;
}

static void start_member(struct connection *c, struct member *m)
{
	if (m->state == STATE_CREATING)
		reply_error(c, 0, "the container is still being created");
	else if (m->state == STATE_STOPPED)
		reply_error(c, 0, "cannot start a container that has stopped");
	else if (m->state != STATE_CREATED || m->start_sent)
		reply_error(c, 0, "cannot start an already running container");
	else if (!tell_sentry(CONTROL_START, m->id, 0))
		reply_error(c, 0, NOT_LISTENING);
	else {
		m->start_sent = true;
		c->waits = LC_START;
	}
}

static void kill_member(struct connection *c, struct member *m, const struct lifecycle_request *rq)
{
	if (m->state == STATE_STOPPED) {
		reply_error(c, 0, "container not running");
		return;
	}
	if (state == STATE_PAUSED && rq->signal != 0) {
		reply_error(c, 0, "the pod's sandbox is paused: resume it first");
		return;
	}
	if (rq->signal != 0) {
		if (!((rq->flags & LC_ALL) ? tell_signal(m->id, CONTROL_EVERYBODY, rq->signal) : tell_signal(0, m->id, rq->signal)) &&
		    rq->signal != SIGKILL) {
			reply_error(c, 0, NOT_LISTENING);
			return;
		}
		if (rq->signal == SIGKILL && m->kill_at_ms == 0 && !m->empty)
			m->kill_at_ms = now_ms() + MEMBER_DEADLINE_MS;
	}
	reply_ok(c);
}

/* Without the host's freezer, which knows whole sandboxes only: the sentry lets none of its threads run. */
static void pause_member(struct connection *c, struct member *m, bool on)
{
	if (m->state != STATE_RUNNING)
		reply_error(c, 0, "the container is not running");
	else if (state == STATE_PAUSED)
		reply_error(c, 0, "the pod's sandbox is paused");
	else if (m->paused == on)
		reply_error(c, 0, on ? "the container is paused already" : "the container is not paused");
	else if (!tell_about(CONTROL_FREEZE, m->id, 0, on))
		reply_error(c, 0, NOT_LISTENING);
	else {
		m->paused = on;
		reply_ok(c);
	}
}

/* ---- requests ---- */

static void do_start(struct connection *c)
{
	if (c->container != 0) {
		start_member(c, find_member(c->container));
		return;
	}
	if (state == STATE_CREATING)
		reply_error(c, 0, "the container is still being created");
	else if (state != STATE_CREATED || start_sent)
		reply_error(c, 0, "cannot start an already running container");
	else if (!tell_sentry(CONTROL_START, 0, 0))
		reply_error(c, 0, NOT_LISTENING);
	else {
		start_sent = true;
		c->waits = LC_START;
	}
}

static void do_kill(struct connection *c, const struct lifecycle_request *rq)
{
	if (rq->signal < 0 || rq->signal > 64) {
		reply_error(c, 0, "there is no such signal");
		return;
	}
	if (c->container != 0) {
		kill_member(c, find_member(c->container), rq);
		return;
	}
	if (rq->signal == SIGKILL && state == STATE_PAUSED && cfg->root_keep)
		resume(); /* the sentry has still something to do */
	if (rq->signal == SIGKILL && state == STATE_PAUSED) {
		overdue = true;
	} else if (rq->signal != 0) {
		if (!tell_signal(0, (rq->flags & LC_ALL) ? CONTROL_EVERYBODY : 0, rq->signal) && rq->signal != SIGKILL) {
			reply_error(c, 0, NOT_LISTENING);
			return;
		}
		if (rq->signal == SIGKILL && kill_at_ms == 0)
			kill_at_ms = now_ms() + KILL_DEADLINE_MS;
	}
	reply_ok(c);
}

/* Whoever sent this had no patience left, as when we were stopped meanwhile, and has been told that nothing was started. */
static bool has_left(const struct connection *c)
{
	struct pollfd p = {c->fd, 0, 0};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

static const char *check_exec(const int *fds, unsigned nfds)
{
	const char *bad = "descriptors are missing";
	const struct config *c = nfds >= 4 ? join_map(fds[0], &bad) : NULL;

	if (c == NULL)
		return bad;
	bad = config_check_process(c);
	munmap((void *)(uintptr_t)c, sizeof(*c));
	return bad;
}

static void do_exec(struct connection *c, const int *fds, unsigned nfds)
{
	struct control_message msg = {.type = CONTROL_EXEC, .container = c->container};
	const char *bad = check_exec(fds, nfds);
	enum container_state is = state_of(c->container);

	if (bad == NULL && is == STATE_PAUSED)
		bad = "cannot exec in a paused container";
	if (bad == NULL && is != STATE_RUNNING && is != STATE_CREATED)
		bad = "cannot exec in a container that is not running";
	if (bad == NULL && c->exec != 0)
		bad = "one process a connection";
	if (bad == NULL) {
		msg.id = next_id();
		if (!send_fds(&msg, fds, nfds))
			bad = NOT_LISTENING;
	}
	if (bad != NULL) {
		reply_error(c, 0, bad);
		return;
	}
	c->exec = msg.id;
	c->waits = LC_EXEC;
}

static void do_files(struct connection *c, const int *fds, unsigned nfds)
{
	const struct control_message msg = {.type = CONTROL_FILES, .container = c->container};
	enum container_state is = state_of(c->container);

	if (nfds != 1)
		reply_error(c, 0, "one descriptor is wanted");
	else if (is == STATE_PAUSED)
		reply_error(c, 0, "the container is paused: resume it first");
	else if (is != STATE_RUNNING && is != STATE_CREATED)
		reply_error(c, 0, "the container is not there yet, or not any more");
	else if (!send_fds(&msg, fds, nfds))
		reply_error(c, 0, NOT_LISTENING);
	else
		reply_ok(c);
}

static void do_stats(struct connection *c)
{
	struct lifecycle_reply r = {.type = LC_OK};

	if (c->container != 0) {
		if (state == STATE_PAUSED)
			reply_error(c, 0, "the pod's sandbox is paused");
		else if (tell_about(CONTROL_WANT_USAGE, c->container, 0, 0))
			c->waits = LC_STATS;
		else
			reply_error(c, 0, NOT_LISTENING);
		return;
	}
	r.memory_bytes = memory_watch_now(sentry);
	r.memory_peak = memory_watch_peak();
	r.memory_limit = memory_watch_limit(cfg);
	memory_watch_times(sentry, gofer, &r.cpu_user_ns, &r.cpu_sys_ns);
	r.ooms = (uint32_t)(own_ooms + host_cgroup_oom_kills(cfg));
	reply(c, &r);
}

static void do_update(struct connection *c, const struct lifecycle_request *rq)
{
	struct control_update u = {.type = CONTROL_UPDATE,
				   .max_tasks = rq->max_tasks,
				   .cpu_permille = rq->cpu_permille,
				   .container = c->container,
				   .memory_bytes = rq->memory_bytes};

	if (send(to_sentry(), &u, sizeof(u), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(u)) {
		reply_error(c, 0, NOT_LISTENING);
		return;
	}
	if (c->container == 0)
		memory_watch_set_limit(rq->memory_bytes);
	reply_ok(c);
}

static void do_pause(struct connection *c, bool on)
{
	if (sentry <= 0)
		reply_error(c, 0, "container not running");
	else if (on && ending)
		reply_error(c, 0, "the container is ending");
	else if (c->container != 0)
		pause_member(c, find_member(c->container), on);
	else if (on && state != STATE_RUNNING)
		reply_error(c, 0, state == STATE_PAUSED ? "the container is paused already" : "the container is not running");
	else if (!on && state != STATE_PAUSED)
		reply_error(c, 0, "the container is not paused");
	else if (on && cfg->platform == CONFIG_PTRACE && !host_cgroup_can_freeze(cfg))
		reply_error(c, 0, "pausing is not supported with --platform ptrace where there is no freezer (give it a cgroupsPath)");
	else {
		if (on) {
			stop_all();
			state = STATE_PAUSED;
		} else {
			resume();
		}
		reply_ok(c);
	}
}

static void request(struct connection *c, const struct lifecycle_request *rq, const int *fds, unsigned nfds)
{
	/* What comes on the life line of an exec or a container is about that. */
	if (c->exec == 0 && !c->life_line)
		c->container = rq->type == LC_CONTAINER ? 0 : rq->container;
	if (c->container != 0 && find_member(c->container) == NULL) {
		reply_error(c, 0, "container not running");
		return;
	}
	/* What lives as long as whoever asked for it. */
	if ((rq->type == LC_CONTAINER || rq->type == LC_EXEC) && has_left(c))
		return;
	switch (rq->type) {
	case LC_STATE:
		reply_ok(c);
		break;
	case LC_CONTAINER:
		do_container(c, rq, fds, nfds);
		break;
	case LC_START:
		do_start(c);
		break;
	case LC_KILL:
		do_kill(c, rq);
		break;
	case LC_EXEC:
		do_exec(c, fds, nfds);
		break;
	case LC_EXEC_PID:
		c->host_pid = c->exec != 0 && rq->signal > 0 ? rq->signal : 0;
		break;
	case LC_EXEC_SIGNAL:
		if (c->exec != 0 && rq->signal >= 1 && rq->signal <= 64)
			tell_signal(0, c->exec, rq->signal);
		break;
	case LC_WAIT:
	case LC_EVENTS:
		c->waits = rq->type;
		if (c->container != 0 && state_of(c->container) == STATE_STOPPED)
			answer_waiting(c->container, find_member(c->container)->status, 0, "container not running");
		break;
	case LC_PS:
		if (state == STATE_PAUSED)
			reply_error(c, 0, "the container is paused");
		else if (tell_sentry(CONTROL_LIST, 0, 0))
			c->waits = LC_PS;
		else
			reply_error(c, 0, NOT_LISTENING);
		break;
	case LC_PAUSE:
	case LC_RESUME:
		do_pause(c, rq->type == LC_PAUSE);
		break;
	case LC_FILES:
		do_files(c, fds, nfds);
		break;
	case LC_STATS:
		do_stats(c);
		break;
	case LC_UPDATE:
		do_update(c, rq);
		break;
	default:
		reply_error(c, 0, "this is not understood");
	}
}

/* False: the connection is over. */
static bool receive(struct connection *c)
{
	union {
		char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct lifecycle_request rq;
	struct iovec iov = {&rq, sizeof(rq)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.bytes, .msg_controllen = sizeof(ctl.bytes)};
	ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int fds[CONTROL_MAX_FDS];
	unsigned nfds = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (h != NULL && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS && h->cmsg_len > CMSG_LEN(0)) {
		nfds = (unsigned)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(h), nfds * sizeof(int));
	}
	if (n == (ssize_t)sizeof(rq) && rq.magic == LIFECYCLE_MAGIC && (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
		request(c, &rq, fds, nfds);
	else if (n > 0)
		reply_error(c, 0, "the command is of another version than the monitor");
	for (unsigned i = 0; i < nfds; i++)
		close(fds[i]);
	return n > 0;
}

static void accept_one(void)
{
	int fd = accept4(cfg->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), high;
	struct ucred who;
	socklen_t len = sizeof(who);

	if (fd < 0)
		return;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 256);
	close(fd);
	if (high < 0)
		return;
	if (getsockopt(high, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || (who.uid != 0 && who.uid != geteuid()) ||
	    nconnections == LIFECYCLE_MAX) {
		close(high);
		return;
	}
	connections[nconnections++] = (struct connection){.fd = high};
}

void lifecycle_oom(void)
{
	/* Stubs under ptrace can't be stopped by a signal. */
	if (sentry > 0 && host_cgroup_can_tell_oom(cfg) && (host_cgroup_can_freeze(cfg) || cfg->platform != CONFIG_PTRACE)) {
		if (state != STATE_PAUSED)
			stop_all();
		host_cgroup_tell_oom(cfg);
		if (state != STATE_PAUSED)
			go_on_all();
	}
	own_ooms++;
	tell_ooms(0, (uint32_t)(own_ooms + host_ooms));
}

/* The host's OOM killer says nothing by itself: it is looked after while somebody wants to know. */
static bool watch_host_ooms(void)
{
	uint64_t now;

	for (unsigned i = 0; cfg != NULL && cfg->cg_oom_fd >= 0 && i < nconnections; i++) {
		if (connections[i].waits != LC_EVENTS)
			continue;
		now = host_cgroup_oom_kills(cfg);
		if (now > host_ooms) {
			host_ooms = now;
			tell_ooms(0, (uint32_t)(own_ooms + host_ooms));
		}
		return true;
	}
	return false;
}

/* ---- create's end of the sync socket ---- */

static void sync_ready(void)
{
	char word;
	ssize_t n = recv(sync_fd, &word, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != 1)
		overdue = true; /* whoever creates us is gone, and nobody else knows of us */
	close(sync_fd);
	sync_fd = -1;
}

static void sync_tell(const struct lifecycle_reply *r)
{
	if (sync_fd >= 0)
		send(sync_fd, r, sizeof(*r), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- the monitor's loop ---- */

int lifecycle_pollfds(struct pollfd *fds, int max)
{
	int n = 0;

	fds[n++] = (struct pollfd){sync_fd, POLLIN, 0};
	if (connections == NULL)
		return n;
	fds[n++] = (struct pollfd){nconnections < LIFECYCLE_MAX ? cfg->control_fd : -1, POLLIN, 0};
	for (unsigned i = 0; i < nconnections && n < max; i++)
		fds[n++] = (struct pollfd){connections[i].fd, POLLIN, 0};
	return n;
}

static struct connection *find_fd(int fd)
{
	for (unsigned i = 0; i < nconnections; i++)
		if (connections[i].fd == fd)
			return &connections[i];
	return NULL;
}

void lifecycle_ready(const struct pollfd *fds, int n)
{
	if (fds[0].revents != 0 && sync_fd >= 0)
		sync_ready();
	for (int i = 2; i < n; i++) {
		struct connection *c = fds[i].revents != 0 ? find_fd(fds[i].fd) : NULL;

		if (c != NULL && !receive(c))
			drop(c);
	}
	if (n > 1 && fds[1].revents != 0)
		accept_one();
}

/* When the next SIGKILL must have had its effect; 0: none is under way. */
static int64_t first_kill(void)
{
	int64_t at = kill_at_ms;

	/* A paused pod's sentry can't see to its containers' ends: their time begins anew when it goes on. */
	for (unsigned i = 0; state != STATE_PAUSED && i < MEMBERS_MAX; i++)
		if (members[i].kill_at_ms != 0 && (at == 0 || members[i].kill_at_ms < at))
			at = members[i].kill_at_ms;
	return at;
}

int lifecycle_timeout_ms(void)
{
	int64_t left, at = first_kill();
	bool watched = watch_host_ooms();

	if (at == 0)
		return watched ? HOST_OOM_MS : -1;
	left = at - now_ms();
	return left <= 0 ? 0 : (int)left + 1;
}

bool lifecycle_overdue(void)
{
	int64_t at = first_kill();

	if (at != 0 && now_ms() >= at)
		overdue = true;
	return overdue;
}

/* ---- from the sentry ---- */

static struct connection *find_exec(uint32_t id)
{
	for (unsigned i = 0; id != 0 && i < nconnections; i++)
		if (connections[i].exec == id)
			return &connections[i];
	return NULL;
}

/* The same of a container: c is its life line. */
static void take_member(struct connection *c, struct member *m, struct lifecycle_reply *r)
{
	if (m == NULL)
		return;
	if (r->type == LC_STARTED) {
		if (m->state != STATE_CREATED)
			return;
		m->state = STATE_RUNNING;
		for (unsigned i = 0; i < nconnections; i++) {
			if (connections[i].waits == LC_START && connections[i].container == m->id) {
				connections[i].waits = 0;
				reply_ok(&connections[i]);
			}
		}
		return;
	}
	c->exec = 0; /* nothing is left to kill */
	if (r->type == LC_ERROR) {
		/* As a shell has it: what can't be executed is 126. */
		r->status = (r->start_errno == 0 ? 125 : r->start_errno == ENOENT || r->start_errno == ENOTDIR ? 127 : 126) << 8;
		if (r->text[0] == '\0')
			snprintf(r->text, sizeof(r->text), "the container's program can't be started: %s", strerror(r->start_errno));
	}
	member_ended(m, r->status, r->start_errno, r->type == LC_ERROR ? r->text : "the container has ended");
	c->waits = 0;
	reply(c, r);
}

static void take_created(uint32_t id)
{
	struct connection *c = find_exec(id);
	struct member *m = c != NULL && c->life_line ? find_member(id) : NULL;

	if (m == NULL || m->state != STATE_CREATING)
		return;
	m->state = STATE_CREATED;
	reply(c, &(struct lifecycle_reply){.type = LC_OK, .status = (int32_t)id});
}

/* A kill has had its effect. How long the rest takes is the tree's size, and no reason to end the others. */
static void take_empty(uint32_t id)
{
	struct connection *c = find_exec(id);
	struct member *m = c != NULL && c->life_line ? find_member(c->container) : NULL;

	if (m == NULL)
		return;
	m->empty = true;
	m->kill_at_ms = 0;
}

static void take_usage(const struct control_usage *u)
{
	struct lifecycle_reply r = {.type = LC_OK,
				    .memory_bytes = u->memory_bytes,
				    .memory_peak = u->memory_peak,
				    .memory_limit = u->memory_limit,
				    .cpu_user_ns = u->cpu_user_ns,
				    .cpu_sys_ns = u->cpu_sys_ns,
				    .cpu_periods = u->cpu_periods,
				    .cpu_throttled_periods = u->cpu_throttled_periods,
				    .cpu_throttled_ns = u->cpu_throttled_ns,
				    .ooms = u->ooms};

	for (unsigned i = 0; i < nconnections; i++) {
		struct connection *c = &connections[i];

		if (c->waits != LC_STATS || c->container != u->container)
			continue;
		c->waits = 0;
		reply(c, &r);
	}
}

static void take_oom(uint32_t container)
{
	struct member *m = find_member(container);

	if (m != NULL)
		tell_ooms(container, ++m->ooms);
}

static void take_exec(const struct control_message *msg)
{
	struct connection *c = find_exec(msg->id);
	struct lifecycle_reply r = {.type = msg->type == CONTROL_EXEC_STARTED ? LC_STARTED :
					    msg->type == CONTROL_EXEC_ENDED   ? LC_ENDED :
										LC_ERROR,
				    .status = msg->status & 0xffff,
				    .start_errno = msg->start_errno};

	if (c == NULL)
		return;
	memcpy(r.text, msg->text, sizeof(r.text));
	r.text[sizeof(r.text) - 1] = '\0';
	if (c->life_line) {
		take_member(c, find_member(c->container), &r);
		return;
	}
	if (r.type != LC_STARTED)
		c->exec = 0; /* nothing is left to kill */
	else
		r.status = msg->status;
	reply(c, &r);
	if (r.type == LC_ERROR)
		c->waits = 0;
}

/* Those of the container that was asked about; one without entries is the end. */
static bool reply_processes(struct connection *c, const struct lifecycle_processes *all)
{
	static struct lifecycle_processes some;

	memset(&some, 0, sizeof(some));
	some.type = LC_PROCESSES;
	for (uint32_t i = 0; i < all->count; i++) {
		if (all->entry[i].container != c->container)
			continue;
		some.host_pid[some.count] = all->host_pid[i];
		some.entry[some.count++] = all->entry[i];
	}
	return (some.count == 0 && all->count != 0) || reply_any(c, &some, sizeof(some));
}

static void take_processes(const struct control_processes *p)
{
	static struct lifecycle_processes out;

	if (p->count > CONTROL_PROCESSES_MAX)
		return;
	memset(&out, 0, sizeof(out));
	out.type = LC_PROCESSES;
	out.count = p->count;
	memcpy(out.entry, p->entry, p->count * sizeof(p->entry[0]));
	for (uint32_t i = 0; i < out.count; i++) {
		struct control_process *e = &out.entry[i];
		struct connection *c = find_exec(e->id);

		e->name[sizeof(e->name) - 1] = '\0';
		out.host_pid[i] = e->pid == 1 && e->container == 0 ? getpid() : c != NULL && e->ppid == 0 ? c->host_pid : 0;
	}
	for (unsigned i = nconnections; i-- > 0;) {
		struct connection *c = &connections[i];

		if (c->waits != LC_PS)
			continue;
		if (!reply_processes(c, &out))
			drop(c);
		else if (out.count == 0)
			c->waits = 0;
	}
}

bool lifecycle_control(const union control_any *any, size_t n)
{
	if (n == sizeof(any->processes) && any->processes.type == CONTROL_PROCESSES) {
		if (connections != NULL)
			take_processes(&any->processes);
		return true;
	}
	if (n == sizeof(any->usage) && any->usage.type == CONTROL_USAGE) {
		if (connections != NULL)
			take_usage(&any->usage);
		return true;
	}
	if (n != sizeof(any->msg))
		return false;
	switch (any->msg.type) {
	case CONTROL_CREATED:
		if (state == STATE_CREATING) {
			state = STATE_CREATED;
			sync_tell(&(struct lifecycle_reply){.type = LC_OK, .state = state});
		}
		return true;
	case CONTROL_STARTED:
		if (state == STATE_CREATED)
			state = STATE_RUNNING;
		for (unsigned i = 0; i < nconnections; i++) {
			if (connections[i].waits == LC_START && connections[i].container == 0) {
				connections[i].waits = 0;
				reply_ok(&connections[i]);
			}
		}
		return false; /* it is the monitor's too */
	case CONTROL_CONTAINER_CREATED:
		if (connections != NULL)
			take_created(any->msg.id);
		return true;
	case CONTROL_CONTAINER_EMPTY:
		if (connections != NULL)
			take_empty(any->msg.id);
		return true;
	case CONTROL_CONTAINER_OOM:
		if (connections != NULL)
			take_oom(any->msg.container);
		return true;
	case CONTROL_EXEC_STARTED:
	case CONTROL_EXEC_FAILED:
	case CONTROL_EXEC_ENDED:
		if (connections != NULL)
			take_exec(&any->msg);
		return true;
	default:
		return false;
	}
}

/* ---- the end ---- */

void lifecycle_write_exit(const struct config *c, const struct sandbox_result *r)
{
	bool signalled = r->error[0] == '\0' && (r->status & 0x7f) != 0; /* also before it was started */
	char text[256];
	int fd, n;

	if (c == NULL || c->state_fd < 0)
		return;
	n = snprintf(text, sizeof(text), "{\"exitStatus\":%d,\"waitStatus\":%d,\"started\":%s,\"limits\":%u}\n",
		     signalled ? 128 + (r->status & 0x7f) : result_exit_status(r), r->status & 0xffff, r->started ? "true" : "false", r->limits);
	fd = openat(c->state_fd, ".exit.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return; /* deleted under us: nobody will ask */
	if (write(fd, text, (size_t)n) == n)
		renameat(c->state_fd, ".exit.new", c->state_fd, LIFECYCLE_EXIT);
	close(fd);
}

void lifecycle_end(const struct sandbox_result *r)
{
	struct lifecycle_reply failed = {.type = LC_ERROR, .start_errno = r->start_errno};

	state = STATE_STOPPED;
	lifecycle_write_exit(cfg, r);
	snprintf(failed.text, sizeof(failed.text), "%.479s", r->error[0] != '\0' ? r->error : "the container has ended");
	sync_tell(&failed);
	for (unsigned i = 0; i < nconnections; i++) {
		struct connection *c = &connections[i];

		if (c->waits == LC_WAIT)
			reply(c, &(struct lifecycle_reply){.type = LC_ENDED, .status = c->container != 0 ? SIGKILL : r->status & 0xffff});
		else if (c->waits == LC_EXEC && c->exec != 0)
			reply(c, &(struct lifecycle_reply){.type = LC_ENDED, .status = SIGKILL});
		else if (c->waits != 0 && c->waits != LC_EXEC && c->waits != LC_EVENTS)
			reply(c, &failed);
		close(c->fd);
	}
	nconnections = 0;
}
