/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on the host for a container that joined a pod: its own process, made by its own `create`.
 *
 *	create --fork, exec--> us --LC_CONTAINER: configuration, gofer's socket, image, stdio--> the pod's monitor --> its sentry
 *	create <--sync: "created", number-- us <--LC_OK--
 *	engine --signals--> us --LC_EXEC_SIGNAL--> monitor --> sentry --> the container's first process
 *	engine <--exit----- us <--LC_ENDED-------- monitor <-- sentry <-- its end, and that of all its others
 *
 * The container's files are served by a gofer of its own, our child, which holds its directories and no others; the sentry has
 * the other end of its socket. So what a container may read of the host is decided by its own configuration, whatever the
 * others of the pod may. A root that is an image is handed over itself, and needs no gofer unless there are binds.
 *
 * Our end, whatever its reason, closes the connection, and the monitor ends the container; the gofer dies with us. The
 * monitor's end is the pod's, and ours. Until `create` says "go", its end is ours, too. What comes over the connection is the
 * monitor's word: trusted.
 */
#include "runtime/config.h"
#include "runtime/core/control_protocol.h"
#include "runtime/core/host_cgroup.h"
#include "runtime/core/lifecycle.h"
#include "runtime/core/lifecycle_protocol.h"
#include "runtime/core/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct host {
	const struct config *cfg;
	int signals;
	pid_t gofer;
	bool created, over;
	struct sandbox_result result;
};

/* Its own troubles a process doesn't pass on; SIGCHLD is the gofer's end. */
static const int own_signals[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGPIPE, SIGTTIN, SIGTTOU, 32, 33, 34};

static int take_signals(void)
{
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(own_signals) / sizeof(own_signals[0]); i++)
		sigdelset(&set, own_signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void tell_create(const struct host *h, const struct lifecycle_reply *r)
{
	if (h->cfg->sync_fd >= 0)
		send(h->cfg->sync_fd, r, sizeof(*r), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void failed(struct host *h, const char *what, int err)
{
	struct lifecycle_reply r = {.type = LC_ERROR};

	snprintf(h->result.error, sizeof(h->result.error), "%s: %s", what, strerror(err));
	snprintf(r.text, sizeof(r.text), "%.479s", h->result.error);
	tell_create(h, &r);
	h->over = true;
}

/* ---- joining ---- */

/* gofer: a socket to it, or -1. */
static bool send_container(const struct host *h, int gofer)
{
	const struct config *c = h->cfg;
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_CONTAINER, .container = c->pod_pids, .signal = getpid()};
	int fds[CONTROL_MAX_FDS] = {CONFIG_FD};
	unsigned n = 1;
	union {
		char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} ctl = {0};
	struct iovec iov = {&rq, sizeof(rq)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.bytes};
	struct cmsghdr *head;

	if (gofer >= 0) {
		rq.flags |= CONTAINER_ROOT_GOFER;
		fds[n++] = gofer;
	}
	if (c->image_fd >= 0) {
		rq.flags |= CONTAINER_ROOT_IMAGE;
		fds[n++] = c->image_fd;
	}
	for (int fd = 0; fd < 3; fd++)
		fds[n++] = fd;
	for (uint32_t i = 0; i < c->npreserved && n < CONTROL_MAX_FDS; i++)
		fds[n++] = c->preserved[i];
	m.msg_controllen = CMSG_SPACE(n * sizeof(int));
	head = CMSG_FIRSTHDR(&m);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(head), fds, n * sizeof(int));
	return sendmsg(c->pod_fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(rq);
}

static void join(struct host *h)
{
	const struct config *c = h->cfg;
	int pair[2] = {-1, -1}, err;

	if (c->npreserved > CONTROL_MAX_FDS - 6) {
		failed(h, "a container of a pod can have 14 preserved descriptors at most", E2BIG);
		return;
	}
	if (c->root_keep) {
		failed(h, "root-writes=keep: what a container that joins a pod writes can't be kept", ENOTSUP);
		return;
	}
	if (spawn_needs_gofer(c)) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
			failed(h, "cannot start the container's gofer", errno);
			return;
		}
		h->gofer = spawn_gofer(c, CONFIG_FD, pair[1]);
		close(pair[1]);
	}
	host_cgroup_leave(c);
	if (h->gofer < 0) {
		err = -h->gofer;
		h->gofer = 0;
		failed(h, "cannot start the container's gofer", err);
	} else if (!send_container(h, pair[0])) {
		failed(h, "the pod's sandbox does not listen", errno);
	}
	if (pair[0] >= 0)
		close(pair[0]);
}

/* ---- its life ---- */

static void signals_ready(struct host *h)
{
	struct signalfd_siginfo si;
	int status;

	while (read(h->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_EXEC_SIGNAL, .signal = (int32_t)si.ssi_signo};

		if (si.ssi_signo != SIGCHLD)
			send(h->cfg->pod_fd, &rq, sizeof(rq), MSG_NOSIGNAL);
	}
	if (h->gofer > 0 && waitpid(h->gofer, &status, WNOHANG) == h->gofer) {
		h->gofer = 0;
		/* With status 0 the sentry has closed its end: the container is over, and its end will be told. Else, without its
		 * files it is nothing. */
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			failed(h, "the container's gofer ended early", WIFSIGNALED(status) ? EINTR : EIO);
	}
}

static void connection_ready(struct host *h)
{
	struct lifecycle_reply r;
	ssize_t n = recv(h->cfg->pod_fd, &r, sizeof(r), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(r)) {
		h->result.status = SIGKILL; /* the pod has ended, and all with it */
		h->over = true;
		if (!h->created)
			failed(h, "the pod ended before the container was there", ECONNRESET);
		return;
	}
	r.text[sizeof(r.text) - 1] = '\0';
	switch (r.type) {
	case LC_OK:
		h->created = true;
		tell_create(h, &r);
		break;
	case LC_ERROR:
		h->over = true;
		h->result.start_errno = r.start_errno;
		memcpy(h->result.error, r.text, sizeof(r.text));
		if (r.start_errno != 0) {
			h->result.error[0] = '\0';
			result_explain(&h->result, h->cfg);
			snprintf(r.text, sizeof(r.text), "%.479s", h->result.error);
		}
		tell_create(h, &r);
		break;
	case LC_ENDED:
		h->over = true;
		h->result.started = 1;
		h->result.status = r.status;
		break;
	default:
		break;
	}
}

/* create's end of the sync socket: its word that all is well, or its end. True: it is not looked at any more. */
static bool sync_ready(struct host *h)
{
	char word;
	ssize_t n = recv(h->cfg->sync_fd, &word, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n != 1) {
		h->result.status = SIGKILL; /* whoever creates us is gone, and nobody else knows of us */
		h->over = true;
	}
	close(h->cfg->sync_fd);
	return true;
}

static void run(struct host *h)
{
	bool synced = h->cfg->sync_fd < 0;

	signals_ready(h); /* what came before they were looked at */
	while (!h->over) {
		struct pollfd p[3] = {{h->signals, POLLIN, 0}, {h->cfg->pod_fd, POLLIN, 0}, {synced ? -1 : h->cfg->sync_fd, POLLIN, 0}};

		poll(p, 3, -1);
		if (p[1].revents != 0)
			connection_ready(h);
		if (p[0].revents != 0 && !h->over)
			signals_ready(h);
		if (p[2].revents != 0 && !h->over)
			synced = sync_ready(h);
	}
}

static void end_by_signal(int sig)
{
	sigset_t set;

	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int container_host_main(void)
{
	struct host h = {.cfg = core_config()};
	struct rlimit core = {1, 1};

	h.result.magic = RESULT_MAGIC;
	prctl(PR_SET_NAME, "sbx-container", 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &core);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	join(&h);
	h.signals = take_signals(); /* not before: the gofer would inherit the mask */
	if (!h.over)
		run(&h);
	if (h.gofer > 0)
		kill(h.gofer, SIGKILL);
	lifecycle_write_exit(h.cfg, &h.result);
	if (h.cfg->result_fd >= 0)
		while (write(h.cfg->result_fd, &h.result, sizeof(h.result)) < 0 && errno == EINTR)
			;
	if (h.result.error[0] != '\0' && h.cfg->message_fd >= 0)
		result_say(h.cfg, h.result.error);
	/* The container ends with us at the latest: the connection is cut. */
	if (h.cfg->engine_init && h.result.error[0] == '\0' && (h.result.status & 0x7f) != 0)
		end_by_signal(h.result.status & 0x7f);
	return result_exit_status(&h.result);
}
