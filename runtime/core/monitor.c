/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor: the trusted part of a running sandbox, and what an engine sees as the container's init.
 *
 *	command --exec--> monitor --spawn--> sentry, gofer
 *	                     |  control messages (result), dial requests
 *	                     |  SIGCHLD, timers, signals to pass on
 *	                     v
 *	              kills what is left, writes the result, ends with the guest's status
 *
 * It is a child subreaper: stubs whose sentry died come to it, and nothing is left when it ends. Its own end by SIGKILL ends
 * the sentry (PDEATHSIG) and with it every stub. What the sentry says is believed only about the guest's own fate; a dial's
 * address, and a port to listen on, are checked here against the policy before anything is connected or bound, and a
 * datagram leaves only as a reply (udp_relay.c).
 */
#include "runtime/config.h"
#include "runtime/core/children.h"
#include "runtime/core/control_protocol.h"
#include "runtime/core/dial.h"
#include "runtime/core/host_cgroup.h"
#include "runtime/core/ingress.h"
#include "runtime/core/inspector.h"
#include "runtime/core/lifecycle.h"
#include "runtime/core/memory_watch.h"
#include "runtime/core/owed.h"
#include "runtime/core/root_keep.h"
#include "runtime/core/spawn.h"
#include "runtime/core/udp_relay.h"
#include "runtime/gate_cache.h"
#include "sentry/net/inet_addr.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_MSEC 1000000ULL
#define MAX_POLLFDS (320 + INGRESS_MAX_SOCKETS + UDP_RELAY_MAX_POLLFDS + LIFECYCLE_MAX)

struct monitor {
	const struct config *cfg;
	pid_t sentry, gofer;
	int control, dial;  /* our ends */
	int signals;        /* signalfd */
	bool sentry_gone;
	bool ended;         /* the guest's status is known */
	uint64_t start_ns, last_activity_ns;
	uint64_t finish_ns; /* a limit was reached, and files are copied out until then; 0: not so */
	/* root-writes=keep: init has ended, and what it changed is on its way */
	bool keeping;
	pid_t keeper;
	int keep_status;        /* of init */
	uint64_t keep_until_ns;
	uint64_t end_by_ns; /* when a sentry that should end is killed; 0: it need not end yet */
	uint64_t oom_ns;    /* when a process was last sacrificed */
	pid_t oom_pid;      /* its host process */
	unsigned oom_tries;
	uint8_t *sites;     /* what the sentry has learned, as far as it has told; NULL: nothing */
	size_t nsites;
	struct sandbox_result result;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static void set_error(struct monitor *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void set_error(struct monitor *m, const char *fmt, ...)
{
	va_list ap;

	if (m->result.error[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(m->result.error, sizeof(m->result.error), fmt, ap);
	va_end(ap);
}

/* Moves a descriptor out of the way of the fixed numbers 3..9. */
static int high_fd(int fd)
{
	int n = fcntl(fd, F_DUPFD_CLOEXEC, 256);

	close(fd);
	return n;
}

static int make_pair(int out[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out) < 0)
		return -errno;
	out[0] = high_fd(out[0]);
	out[1] = high_fd(out[1]);
	return out[0] < 0 || out[1] < 0 ? -EMFILE : 0;
}

static int start_roles(struct monitor *m)
{
	const struct config *c = m->cfg;
	int control[2], gofer[2] = {-1, -1}, dial[2], udp[2] = {-1, -1}, cfg_fd = fcntl(CONFIG_FD, F_DUPFD_CLOEXEC, 256);
	int sentry_keep[6 + CONFIG_MAX_PRESERVED] = {c->strace_fd,     c->debug_fd,      c->audit_fd,
						     c->copy_out_fd, c->gate_cache_fd, c->image_fd};
	bool files = spawn_needs_gofer(c);

	if (cfg_fd < 0 || make_pair(control) < 0 || (files && make_pair(gofer) < 0) || make_pair(dial) < 0 ||
	    (ingress_has_udp(c->ingress, c->ningress) && make_pair(udp) < 0))
		return -EMFILE;
	udp_relay_init(udp[0], udp[1]);
	memcpy(sentry_keep + 6, c->preserved, c->npreserved * sizeof(c->preserved[0]));
	m->sentry = spawn_role(&(struct spawn){
		.role = "sentry",
		.fds = {cfg_fd, control[1], gofer[0], dial[1], udp[1]},
		.nfds = 5,
		.keep = sentry_keep,
		.nkeep = 6 + c->npreserved,
		.drop_ids = c->drop_ids,
		.uid = c->sandbox_uid,
		.gid = c->sandbox_gid,
	});
	if (m->sentry < 0) {
		int err = m->sentry;

		m->sentry = 0;
		return err;
	}
	m->gofer = files ? spawn_gofer(c, cfg_fd, gofer[1]) : 0;
	close(control[1]);
	if (files) {
		close(gofer[0]);
		close(gofer[1]);
	}
	close(dial[1]);
	if (udp[1] >= 0)
		close(udp[1]);
	close(cfg_fd);
	m->control = control[0];
	m->dial = dial[0];
	if (m->gofer < 0) {
		int err = m->gofer;

		m->gofer = 0;
		return err;
	}
	return 0;
}

static void take_gate(struct monitor *m, const struct control_gate *g)
{
	struct gate_image *image = &m->result.gate[m->result.ngate];

	m->result.gate_calls = g->calls;
	if (g->image.path[0] == '\0' || m->result.ngate == RESULT_GATE_MAX)
		return;
	*image = g->image;
	image->path[sizeof(image->path) - 1] = '\0';
	m->result.ngate++;
}

/* Kept as bytes until the end: gate_cache_store looks at them. */
static void take_sites(struct monitor *m, const struct control_sites *s, size_t n)
{
	if (m->cfg->gate_cache_dir < 0 || n < offsetof(struct control_sites, data) ||
	    s->len != n - offsetof(struct control_sites, data) || s->len > GATE_CACHE_MAX - m->nsites)
		return;
	if (m->sites == NULL)
		m->sites = malloc(GATE_CACHE_MAX);
	if (m->sites == NULL)
		return;
	memcpy(m->sites + m->nsites, s->data, s->len);
	m->nsites += s->len;
}

#define END_NS (5 * 1000 * NSEC_PER_MSEC)

/* The sentry has nothing more to say: one that stays all the same is killed. */
static void expect_end(struct monitor *m)
{
	if (m->end_by_ns == 0)
		m->end_by_ns = now_ns() + END_NS;
}

/* Milliseconds until then, or -1. A keeper that runs still hears from it. */
static int check_end(struct monitor *m, uint64_t now)
{
	if (m->end_by_ns == 0 || m->sentry <= 0 || m->keeper > 0)
		return -1;
	if (now < m->end_by_ns)
		return (int)((m->end_by_ns - now) / NSEC_PER_MSEC) + 1;
	if (m->keeping)
		m->result.status = m->keep_status;
	else if (!m->ended)
		set_error(m, "the sentry has hung up, and did not end");
	m->ended = true;
	m->end_by_ns = now + END_NS; /* no other turn of the loop at once */
	host_cgroup_thaw(m->cfg);    /* a frozen process does not die */
	kill(m->sentry, SIGKILL);
	return (int)(END_NS / NSEC_PER_MSEC);
}

#define LOST "root-writes: what the container wrote is lost, or a part of it: "
#define KEEP_NS (600 * 1000 * NSEC_PER_MSEC)
#define KEEP_LOOK_MS 1000

/*
 * What is told here a sentry that was taken over can tell as well, with init alive: a keeper is started once, and judges for
 * itself; what limits there were are replaced by KEEP_NS and twice the memory.
 */
static void begin_keeping(struct monitor *m, int status)
{
	pid_t pid;

	if (m->keeping || !m->cfg->root_keep) /* without it, its limits stay what they are */
		return;
	m->keeping = true;
	m->keep_status = status;
	m->keep_until_ns = now_ns() + KEEP_NS;
	lifecycle_ending();
	pid = root_keep_spawn(m->cfg, m->control, !m->ended);
	m->keeper = pid > 0 ? pid : 0;
	if (m->keeper == 0)
		expect_end(m);
	if (pid >= 0)
		return;
	result_say(m->cfg, LOST "no process could be started for it");
	if (pid == -EPIPE)
		m->keep_until_ns = 0;
}

static bool keeping_too_long(const struct monitor *m, uint64_t now)
{
	uint64_t limit = memory_watch_limit(m->cfg);

	return now >= m->keep_until_ns || (limit != 0 && m->sentry > 0 && memory_watch_now(m->sentry) / 2 > limit);
}

static void out_of_memory(struct monitor *m);

/* The sentry is about to fill memory. */
static void tell_held(struct monitor *m)
{
	struct control_held held = {.type = CONTROL_HELD};

	if (m->finish_ns == 0 && !m->keeping && !m->ended) {
		memory_watch_again();
		if (memory_watch(m->cfg, m->sentry) < 0)
			out_of_memory(m);
		held.bytes = memory_watch_last();
		held.limit = memory_watch_limit(m->cfg);
	}
	if (m->control >= 0)
		send(m->control, &held, sizeof(held), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_resident(const struct control_resident *part, size_t len, void *arg)
{
	const struct monitor *m = arg;

	send(m->control, part, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void control_ready(struct monitor *m)
{
	union control_any any;
	struct control_message msg;
	ssize_t n = recv(m->control, &any, sizeof(any), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		lifecycle_control_gone();
		close(m->control);
		m->control = -1;
		expect_end(m);
		return;
	}
	if (n > 0 && lifecycle_control(&any, (size_t)n))
		return;
	if (n >= (ssize_t)sizeof(any.sites.type) && any.sites.type == CONTROL_SITES) {
		take_sites(m, &any.sites, (size_t)n);
		return;
	}
	if (n == (ssize_t)sizeof(any.held) && any.held.type == CONTROL_SHARED) {
		memory_watch_told(any.held.bytes);
		return;
	}
	if (n == (ssize_t)sizeof(any.gate) && any.gate.type == CONTROL_GATE)
		take_gate(m, &any.gate);
	if (n != (ssize_t)sizeof(msg))
		return;
	msg = any.msg;
	msg.text[sizeof(msg.text) - 1] = '\0';
	switch (msg.type) {
	case CONTROL_ACTIVITY:
		m->last_activity_ns = now_ns();
		break;
	case CONTROL_LIMIT:
		m->result.limits |= msg.limits & (LIMIT_MEMORY | LIMIT_PIDS | LIMIT_DISK | LIMIT_CPU);
		break;
	case CONTROL_STARTED:
		m->result.started = 1;
		m->last_activity_ns = now_ns();
		break;
	case CONTROL_INSPECT:
		inspector_start(m->cfg, m->control, m->sentry, msg.status, msg.start_errno);
		break;
	case CONTROL_WANT_RESIDENT:
		memory_watch_resident(m->sentry, send_resident, m);
		break;
	case CONTROL_WANT_HELD:
		tell_held(m);
		break;
	case CONTROL_KEEP:
		begin_keeping(m, msg.status);
		break;
	case CONTROL_ENDED:
	case CONTROL_FAILED:
		if (m->ended)
			break;
		m->ended = true;
		lifecycle_ending(); /* who is paused does not end */
		expect_end(m);
		/* Nobody asks it any more: it ends beside the sentry, not after it. */
		if (m->gofer > 0)
			kill(m->gofer, SIGKILL);
		m->result.status = msg.status;
		m->result.limits |= msg.limits;
		m->result.syscalls = msg.syscalls;
		m->result.denials = msg.denials;
		if (m->keeping)
			m->result.status = m->keep_status;
		if (m->finish_ns != 0) {
			/* The limit ended it, also if it came in the middle of the program's start. */
			m->result.status = SIGKILL;
			break;
		}
		m->result.start_errno = msg.start_errno;
		if (msg.type == CONTROL_FAILED) {
			m->result.started = 0;
			if (msg.text[0] != '\0')
				set_error(m, "%s", msg.text);
		}
		break;
	default:
		break;
	}
}

static void kill_child(pid_t pid, void *arg)
{
	const struct monitor *m = arg;

	if (pid != m->keeper)
		kill(pid, SIGKILL);
}

static void add_usage(struct monitor *m, const struct rusage *ru)
{
	m->result.cpu_user_ns += (uint64_t)ru->ru_utime.tv_sec * 1000000000ULL + (uint64_t)ru->ru_utime.tv_usec * 1000;
	m->result.cpu_sys_ns += (uint64_t)ru->ru_stime.tv_sec * 1000000000ULL + (uint64_t)ru->ru_stime.tv_usec * 1000;
}

/* A role is gone: what the sentry said last may still be in the socket. */
static void take_last_words(struct monitor *m)
{
	while (m->control >= 0 && !m->ended) {
		struct pollfd p = {m->control, POLLIN, 0};

		if (poll(&p, 1, 0) <= 0)
			break;
		control_ready(m);
	}
}

static void reap(struct monitor *m)
{
	struct rusage ru;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0) {
		add_usage(m, &ru);
		lifecycle_role_gone(pid);
		if (pid == m->sentry) {
			m->sentry_gone = true;
			m->sentry = 0;
			take_last_words(m);
			if (!m->ended) {
				if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && host_cgroup_oom_kills(m->cfg) > 0) {
					m->result.limits |= LIMIT_MEMORY;
					m->result.status = SIGKILL;
				} else if (WIFSIGNALED(status))
					set_error(m, "the sentry was killed by signal %d", WTERMSIG(status));
				else
					set_error(m, "the sentry ended with status %d", WEXITSTATUS(status));
			}
		} else if (pid == m->keeper) {
			m->keeper = 0; /* it has said itself what went wrong, unless it could not */
			m->end_by_ns = 0;
			expect_end(m);
			if (WIFSIGNALED(status))
				result_say(m->cfg, LOST "the process that kept it was killed");
		} else if (pid == m->gofer) {
			m->gofer = 0;
			take_last_words(m); /* the gofer ends when the sentry does, and may be reaped first */
			if (!m->sentry_gone && !m->ended)
				set_error(m, "the gofer ended early (%s %d)", WIFSIGNALED(status) ? "signal" : "status",
					  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			if (m->sentry > 0 && !m->ended)
				kill(m->sentry, SIGKILL);
		}
	}
	if (m->sentry_gone && m->gofer > 0)
		kill(m->gofer, SIGKILL);
}

#define FINISH_NS (10 * 1000 * NSEC_PER_MSEC)

/* The sandbox ends: at once, or when what --copy-out names is out. That is the sentry's to do, so it gets some seconds. */
static void stop_by_limit(struct monitor *m, uint32_t limit)
{
	if (m->keeping)
		return;
	m->result.limits |= limit;
	if ((m->cfg->ncopy_out != 0 || m->cfg->root_keep) && m->result.started && m->finish_ns == 0 && m->control >= 0 &&
	    owed_tell(m->control, CONTROL_FINISH, 0, 0, 0, true)) {
		m->finish_ns = now_ns() + FINISH_NS;
		lifecycle_resume(); /* who is paused does nothing, and what was to be kept would be lost */
		return;
	}
	m->result.status = SIGKILL;
	m->ended = true;
	if (m->sentry > 0)
		kill(m->sentry, SIGKILL);
	host_cgroup_thaw(m->cfg); /* a frozen process does not die */
}

#define OOM_GRACE_MS 50
#define OOM_LOOK_MS 10
#define OOM_TRIES 4

/*
 * As Linux's OOM killer: the process that holds most ends, and the sandbox lives on if that helps. If it doesn't (the sentry
 * itself holds it, or new processes take it at once), the sandbox ends.
 */
static void out_of_memory(struct monitor *m)
{
	struct control_message msg = {.type = CONTROL_OOM, .status = memory_watch_largest()};
	uint64_t now = now_ns();

	m->result.limits |= LIMIT_MEMORY;
	if (m->oom_ns != 0 && now - m->oom_ns < OOM_GRACE_MS * NSEC_PER_MSEC)
		return;
	if (now - m->oom_ns > 10 * OOM_GRACE_MS * NSEC_PER_MSEC)
		m->oom_tries = 0;
	m->oom_ns = now;
	if (msg.status == 0 || msg.status != m->oom_pid) /* else it takes its time to end */
		lifecycle_oom();
	m->oom_pid = msg.status;
	if (m->control < 0 || msg.status == 0 || m->oom_tries++ >= OOM_TRIES)
		stop_by_limit(m, LIMIT_MEMORY);
	else
		send(m->control, &msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Milliseconds until a time limit is due, -1 for none; ends the sandbox if one is over. */
static int check_time(struct monitor *m)
{
	const struct config *c = m->cfg;
	uint64_t now = now_ns();
	int64_t left = -1;
	int end;

	if (m->keeping && keeping_too_long(m, now)) {
		m->keep_until_ns = UINT64_MAX;
		if (m->keeper > 0)
			kill(m->keeper, SIGKILL);
		if (m->sentry > 0)
			kill(m->sentry, SIGKILL);
		m->result.status = m->keep_status;
		m->ended = true;
	}
	end = check_end(m, now);
	if (m->keeping)
		return end >= 0 && end < KEEP_LOOK_MS ? end : KEEP_LOOK_MS;
	if (m->ended || end >= 0)
		return end;
	if (m->finish_ns != 0) {
		if (now >= m->finish_ns) {
			stop_by_limit(m, 0);
			return -1;
		}
		return (int)((m->finish_ns - now) / NSEC_PER_MSEC) + 1;
	}
	if (c->timeout_ms != 0) {
		uint64_t used = (now - m->start_ns) / NSEC_PER_MSEC;

		if (used >= c->timeout_ms) {
			stop_by_limit(m, LIMIT_WALL);
			return 0; /* what time is left now is looked at at once */
		}
		left = (int64_t)(c->timeout_ms - used);
	}
	if (c->idle_timeout_ms != 0) {
		uint64_t used = (now - m->last_activity_ns) / NSEC_PER_MSEC;

		if (used >= c->idle_timeout_ms) {
			stop_by_limit(m, LIMIT_IDLE);
			return 0; /* what time is left now is looked at at once */
		}
		if (left < 0 || (int64_t)(c->idle_timeout_ms - used) < left)
			left = (int64_t)(c->idle_timeout_ms - used);
	}
	return left < 0 ? -1 : (int)(left < 1000000 ? left + 1 : 1000000);
}

static void signals_ready(struct monitor *m)
{
	struct signalfd_siginfo si;

	while (read(m->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			continue;
		/* Passed on to the guest's init by the sentry; a signal of the terminal reaches the guest by itself only
		 * if it owns the terminal, so all of them go this way. */
		if (m->control >= 0) {
			struct control_message msg = {.type = (uint32_t)si.ssi_signo, .status = 0};

			/* From an engine they mean what they mean to a container's init; typed ones are the terminal's. */
			if (m->cfg->engine_init && si.ssi_code != SI_KERNEL) {
				msg.type = CONTROL_SIGNAL;
				msg.status = (int32_t)si.ssi_signo;
			}

			send(m->control, &msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT);
		}
	}
}

static void run(struct monitor *m)
{
	while (!m->sentry_gone || m->gofer > 0 || m->keeper > 0) {
		struct pollfd fds[MAX_POLLFDS];
		int n = 0, ndial, nin, nudp, nlife, timeout, memory;

		fds[n++] = (struct pollfd){m->signals, POLLIN, 0};
		fds[n++] = (struct pollfd){m->control, owed_any() && !m->sentry_gone ? POLLIN | POLLOUT : POLLIN, 0};
		fds[n++] = (struct pollfd){m->sentry_gone ? -1 : m->dial, POLLIN, 0};
		if (m->sentry_gone || m->dial < 0) {
			ingress_close();
			udp_relay_close();
		}
		nudp = udp_relay_pollfds(fds + n, UDP_RELAY_MAX_POLLFDS);
		n += nudp;
		nin = ingress_pollfds(fds + n, INGRESS_MAX_SOCKETS);
		ndial = dial_pollfds(fds + n + nin, MAX_POLLFDS - LIFECYCLE_MAX - n - nin);
		nlife = lifecycle_pollfds(fds + n + nin + ndial, MAX_POLLFDS - n - nin - ndial);
		if (!m->ended && m->finish_ns == 0 && lifecycle_overdue())
			stop_by_limit(m, 0);
		if (lifecycle_paused())
			m->last_activity_ns = now_ns();
		timeout = check_time(m);
		memory = m->finish_ns != 0 || m->keeping ? 0 : memory_watch(m->cfg, m->sentry);
		/* It has helped. A container may come here as often as it likes, as on Linux. */
		if (memory >= 0 && m->oom_tries != 0 && lifecycle_on() && !memory_watch_is_over(m->cfg)) {
			m->oom_tries = 0;
			m->oom_pid = 0;
		}
		if (memory < 0) {
			out_of_memory(m);
			timeout = OOM_LOOK_MS;
		} else if (memory > 0 && (timeout < 0 || memory < timeout)) {
			timeout = memory;
		}
		if (dial_timeout_ms() >= 0 && (timeout < 0 || dial_timeout_ms() < timeout))
			timeout = dial_timeout_ms();
		if (ingress_timeout_ms() >= 0 && (timeout < 0 || ingress_timeout_ms() < timeout))
			timeout = ingress_timeout_ms();
		if (!m->ended && !m->keeping && m->finish_ns == 0 && lifecycle_timeout_ms() >= 0 && (timeout < 0 || lifecycle_timeout_ms() < timeout))
			timeout = lifecycle_timeout_ms();
		poll(fds, (nfds_t)(n + nin + ndial + nlife), timeout);
		if (fds[0].revents != 0)
			signals_ready(m);
		if (fds[1].revents & POLLOUT)
			(void)owed_pay(m->control);
		if (fds[1].revents & ~POLLOUT)
			control_ready(m);
		if (fds[2].revents != 0 && dial_handle(m->dial, m->cfg) < 0) {
			close(m->dial);
			m->dial = -1;
		}
		udp_relay_ready(fds + n - nudp, nudp);
		ingress_ready(m->dial, fds + n, nin);
		dial_ready(m->dial, fds + n + nin, ndial);
		lifecycle_ready(fds + n + nin + ndial, nlife);
		reap(m);
		if (m->sentry_gone) {
			each_child(getpid(), kill_child, m); /* stubs that came to us as their subreaper */
			if (m->gofer <= 0 && m->keeper <= 0)
				break;
		}
	}
	ingress_close();
	udp_relay_close();
	/* What the sentry could not reap any more. */
	for (;;) {
		struct rusage ru;
		pid_t pid;
		int status;

		each_child(getpid(), kill_child, m); /* stubs that came to us as their subreaper */
		pid = wait4(-1, &status, 0, &ru);
		if (pid < 0 && errno == ECHILD)
			break;
		/* Those that were killed together are there together. */
		for (; pid > 0; pid = wait4(-1, &status, WNOHANG, &ru))
			add_usage(m, &ru);
	}
}

/* Signals that are passed on. From an engine all but those that a process causes itself. */
static bool takes_signal(const struct config *c, int sig)
{
	switch (sig) {
	case SIGHUP:
	case SIGINT:
	case SIGQUIT:
	case SIGUSR1:
	case SIGUSR2:
	case SIGTERM:
	case SIGWINCH:
	case SIGTSTP:
	case SIGCONT:
		return true;
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGTRAP:
	case SIGABRT:
	case SIGPIPE:
	case SIGTTIN:
	case SIGTTOU:
	case 32: /* libc's own */
	case 33:
	case 34:
		return false;
	default:
		return c->engine_init;
	}
}

/* An engine learns from our own end how the program ended. */
static void end_by_signal(int sig)
{
	sigset_t set;

	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* An engine's network: outgoing connections are made there, and hooks find it by our pid. */
static int join_network(const struct config *c)
{
	if (c->net_fd >= 0 && setns(c->net_fd, CLONE_NEWNET) < 0)
		return -errno;
	/* A user without the right can't have hooks that set up a network either. */
	if (c->net_fd < 0 && c->net_new && unshare(CLONE_NEWNET) < 0 && (errno != EPERM || geteuid() == 0))
		return -errno;
	return 0;
}

/* Descriptors are moved out of the way here and there (spawn.c, ptrace.c), up to 1023; the sentry takes what it may have. */
#define FILES_LEAST 1024

static int take_descriptors(struct monitor *m)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= FILES_LEAST)
		return 0;
	files.rlim_cur = FILES_LEAST;
	if (files.rlim_max >= FILES_LEAST && setrlimit(RLIMIT_NOFILE, &files) == 0)
		return 0;
	set_error(m, "a process may have %llu open files here, and a sandbox needs %d: raise the hard limit (ulimit -Hn)",
		  (unsigned long long)files.rlim_max, FILES_LEAST);
	return -EMFILE;
}

static void say(const struct monitor *m, const char *line)
{
	if (m->cfg->message_fd >= 0)
		result_say(m->cfg, line);
}

int monitor_main(void)
{
	struct monitor m = {.cfg = core_config(), .control = -1, .dial = -1, .signals = -1};
	struct rlimit core = {1, 1}, files;
	sigset_t mask;
	char limits[256];
	int err;

	m.start_ns = m.last_activity_ns = now_ns();
	m.result.magic = RESULT_MAGIC;
	prctl(PR_SET_NAME, "sbx-monitor", 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &core);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	for (int sig = 1; sig < 65; sig++)
		if (takes_signal(m.cfg, sig))
			sigaddset(&mask, sig);
	/* Nobody but root may look into us. The roles' exec makes them dumpable again: the sentry reads its stubs. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	err = take_descriptors(&m);
	/* Behind that, as it moves to a high number. Without it we would hear of nobody's end. */
	if (err == 0 && (m.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK)) >= 0)
		m.signals = high_fd(m.signals);
	if (err == 0 && m.signals < 0)
		err = -EMFILE;
	if (err == 0) {
		err = join_network(m.cfg);
		if (err < 0)
			set_error(&m, "cannot join the container's network namespace: %s", strerror(-err));
		else
			err = start_roles(&m);
	}
	host_cgroup_leave(m.cfg);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	if (err < 0) {
		set_error(&m, "cannot start the sandbox's processes: %s", strerror(-err));
		if (m.sentry > 0)
			kill(m.sentry, SIGKILL);
	}
	if (m.cfg->control_fd >= 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max; /* a connection for each exec */
		setrlimit(RLIMIT_NOFILE, &files);
	}
	lifecycle_init(m.cfg, m.control, m.sentry, m.gofer);
	if (m.sentry > 0 || m.gofer > 0)
		run(&m);
	if (host_cgroup_oom_kills(m.cfg) > 0)
		m.result.limits |= LIMIT_MEMORY;
	if (m.sites != NULL)
		gate_cache_store(m.cfg->gate_cache_dir, m.sites, m.nsites);
	m.result.wall_ns = now_ns() - m.start_ns;
	m.result.max_memory_bytes = memory_watch_peak();
	result_explain(&m.result, m.cfg);
	if (m.result.error[0] != '\0')
		say(&m, m.result.error);
	else if (m.result.limits != 0 && result_limits(&m.result, m.cfg, limits, sizeof(limits))[0] != '\0')
		say(&m, limits);
	if (m.cfg->result_fd >= 0)
		while (write(m.cfg->result_fd, &m.result, sizeof(m.result)) < 0 && errno == EINTR)
			;
	lifecycle_end(&m.result);
	if (m.cfg->engine_init && m.result.error[0] == '\0' && (m.result.status & 0x7f) != 0)
		end_by_signal(m.result.status & 0x7f);
	return result_exit_status(&m.result);
}
