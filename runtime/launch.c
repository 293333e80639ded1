/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing over to the core: see launch.h.
 *
 *	command --memfd at descriptor 3, others at 10 and up--> sentrybox-core monitor
 *	command <--result (memfd), stdout and stderr (pipes), copied-out files (pipe)-- sentrybox-core
 *
 * The core gets an empty environment and no descriptor but stdio, the configuration, and those the configuration names.
 * What comes back over the pipes may have been written by a sentry that was taken over: it is data, bounded here, and
 * copy_out.c lets none of it name a place outside the destination.
 */
#include "runtime/launch.h"
#include "runtime/cleanup.h"
#include "runtime/copy_out.h"
#include "runtime/core/lifecycle_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The core lies beside the command, whatever name the command was called by. */
static char *core_path(struct error **err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash, *core;

	if (n < 0) {
		error_errno(err, errno, "can't find my own program by /proc/self/exe (is /proc mounted?)");
		return NULL;
	}
	self[n] = '\0';
	slash = strrchr(self, '/');
	core = xasprintf("%.*s/sentrybox-core", slash != NULL ? (int)(slash - self) : 0, self);
	if (access(core, X_OK) < 0) {
		error_errno(err, errno, "%s must lie beside the sentrybox command", core);
		free(core);
		return NULL;
	}
	return core;
}

int launch_config(const struct config *c, struct error **err)
{
	cleanup_close int fd = memfd_create("sentrybox-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t used = offsetof(struct config, pool) + c->pool_len;
	size_t done = 0;

	if (fd < 0 || ftruncate(fd, sizeof(*c)) < 0) {
		error_errno(err, errno, "can't make the configuration's memfd");
		return -1;
	}
	while (done < used) {
		ssize_t n = pwrite(fd, (const char *)c + done, used - done, (off_t)done);

		if (n <= 0) {
			error_errno(err, errno, "can't write the configuration");
			return -1;
		}
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		error_errno(err, errno, "can't seal the configuration");
		return -1;
	}
	return steal_fd(&fd);
}

static bool born_inside; /* in the child: in version 2's cgroup */

/*
 * fork, with the child in version 2's cgroup from its first moment if that can be: to move a process there later takes a lock
 * that all forks of the machine share, and some ten milliseconds. The child may do no more than set up its exec: what libc
 * remembers of its thread is still the parent's.
 */
static pid_t fork_inside(const struct build *b)
{
	struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)b->enter_into};
	long pid = b->enter_into >= 0 ? syscall(SYS_clone3, &args, sizeof(args)) : -1;

	if (pid == 0)
		born_inside = true;
	return pid >= 0 ? (pid_t)pid : fork();
}

/* What can't be entered is told to whoever waits for "created". */
static void enter_cgroups(const struct build *b)
{
	struct lifecycle_reply r = {.type = LC_ERROR};

	if (b->pin && sched_setaffinity(0, sizeof(b->cpus), &b->cpus) < 0) {
		snprintf(r.text, sizeof(r.text), "linux.resources.cpu.cpus: none of these CPUs is ours to use: %s", strerror(errno));
	} else {
		for (unsigned i = 0; i < b->nenter && r.text[0] == '\0'; i++)
			if (!(born_inside && i + 1 == b->enter_skip) && write(b->enter[i], "0", 1) < 0)
				snprintf(r.text, sizeof(r.text),
					 "can't enter the container's cgroup: %s (linux.cgroupsPath must lie where we may move "
					 "processes to from our own cgroup)",
					 strerror(errno));
	}
	if (r.text[0] == '\0')
		return;
	if (b->c->sync_fd < 0 || send(b->c->sync_fd, &r, sizeof(r), MSG_NOSIGNAL) < 0)
		dprintf(STDERR_FILENO, "sentrybox: %s\n", r.text);
	_exit(125);
}

/* Exec of the core in this process. Returns only on failure, with errno. */
static void exec_core(const struct build *b, const char *core, int config)
{
	char *const argv[] = {(char *)"sentrybox-core", (char *)(uintptr_t)(b->c->pod_fd >= 0 ? "container" : "monitor"), NULL};
	char *const envp[] = {NULL};

	enter_cgroups(b);
	if (config == CONFIG_FD)
		fcntl(config, F_SETFD, 0);
	else if (dup2(config, CONFIG_FD) < 0)
		return;
	for (size_t i = 0; i < b->nfds; i++) {
		if (fcntl(b->fds[i], F_SETFD, 0) < 0)
			return;
	}
	execve(core, argv, envp);
}

/* Everything but stdio closes on exec; exec_core takes back what the core is to have. */
static void close_rest_on_exec(void)
{
	if (syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) == 0)
		return;
	for (int fd = 3; fd < 4096; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags >= 0)
			fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
	}
}

bool launch_exec(struct build *b, struct error **err)
{
	cleanup_free char *core = core_path(err);
	cleanup_close int config = -1;

	b->c->message_fd = build_fd(b, fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10));
	if (core == NULL || !build_finish(b, err))
		return false;
	config = launch_config(b->c, err);
	if (config < 0)
		return false;
	close_rest_on_exec();
	exec_core(b, core, config);
	return error_errno(err, errno, "can't execute %s", core);
}

bool launch_role(const char *role, int fd, struct error **err)
{
	cleanup_free char *core = core_path(err);
	char *const argv[] = {(char *)"sentrybox-core", (char *)(uintptr_t)role, NULL};
	char *const envp[] = {NULL};

	if (core == NULL)
		return false;
	close_rest_on_exec();
	if (fd == CONFIG_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, CONFIG_FD) < 0)
		return error_errno(err, errno, "dup2");
	execve(core, argv, envp);
	return error_errno(err, errno, "can't execute %s", core);
}

/* ---- for an engine ---- */

bool launch_background(struct build *b, int tty, pid_t *monitor, struct error **err)
{
	cleanup_free char *core = core_path(err);
	cleanup_close int config = -1;

	*monitor = 0;
	if (core == NULL || !build_finish(b, err))
		return false;
	config = launch_config(b->c, err);
	if (config < 0)
		return false;
	close_rest_on_exec();
	/* fork clears a parent-death signal: an engine's is for us, not for the container. */
	*monitor = fork_inside(b);
	if (*monitor < 0)
		return error_errno(err, errno, "can't start the monitor");
	if (*monitor == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		if (chdir("/") < 0)
			_exit(125);
		if (tty >= 0 && (ioctl(tty, TIOCSCTTY, 0) < 0 || dup2(tty, 0) < 0 || dup2(tty, 1) < 0 || dup2(tty, 2) < 0))
			_exit(125);
		exec_core(b, core, config);
		_exit(125);
	}
	return true;
}

/* ---- with a child ---- */

struct run {
	pid_t pid;
	int out, err, copy, signals; /* our ends; -1: not used or at its end */
	struct copy_out *copier;
};

static void capture_add(struct capture *c, const char *data, size_t len)
{
	if (len > CAPTURE_MAX - c->len) {
		len = CAPTURE_MAX - c->len;
		c->truncated = true;
	}
	if (c->len + len > c->cap) {
		c->cap = c->cap * 2 > c->len + len ? c->cap * 2 : c->len + len + 4096;
		c->data = xrealloc(c->data, c->cap, 1);
	}
	if (len != 0)
		memcpy(c->data + c->len, data, len);
	c->len += len;
}

/* Reads once. Closes the descriptor at its end. */
static void pump(int *fd, struct capture *c, struct copy_out *copier)
{
	static char buf[65536];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close(steal_fd(fd));
		return;
	}
	if (c != NULL)
		capture_add(c, buf, (size_t)n);
	else
		copy_out_feed(copier, buf, (size_t)n);
}

/* A signal for us is one for the program. What the terminal sent, the monitor has got already. */
static void pass_signals(struct run *r)
{
	struct signalfd_siginfo si;

	while (read(r->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo != SIGCHLD && si.ssi_code != SI_KERNEL)
			kill(r->pid, (int)si.ssi_signo);
	}
}

#define GRACE_MS 5000 /* for the ends of pipes, once the monitor is gone */
static int wait_for_end(struct run *r, struct outcome *o)
{
	bool ended = false;
	int status = 0;

	for (;;) {
		struct pollfd p[4] = {
			{r->signals, POLLIN, 0}, {r->out, POLLIN, 0}, {r->err, POLLIN, 0}, {r->copy, POLLIN, 0}};
		bool open = r->out >= 0 || r->err >= 0 || r->copy >= 0;

		if (!ended && waitpid(r->pid, &status, WNOHANG) == r->pid)
			ended = true;
		if (ended && !open)
			return status;
		if (poll(p, 4, ended ? GRACE_MS : -1) == 0)
			return status;
		if (p[0].revents != 0)
			pass_signals(r);
		if (p[1].revents != 0)
			pump(&r->out, &o->out, NULL);
		if (p[2].revents != 0)
			pump(&r->err, &o->err, NULL);
		if (p[3].revents != 0)
			pump(&r->copy, NULL, r->copier);
	}
}

static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT};

static bool start_child(struct build *b, struct run *r, const char *core, int config, int out_end, int err_end,
			struct error **err)
{
	pid_t me = getpid();
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, &old);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signals < 0)
		return error_errno(err, errno, "signalfd");
	r->pid = fork_inside(b);
	if (r->pid < 0)
		return error_errno(err, errno, "can't start the monitor");
	if (r->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != me)
			_exit(125);
		sigprocmask(SIG_SETMASK, &old, NULL);
		if ((out_end >= 0 && dup2(out_end, STDOUT_FILENO) < 0) ||
		    (err_end >= 0 && dup2(err_end, STDERR_FILENO) < 0))
			_exit(125);
		exec_core(b, core, config);
		_exit(125);
	}
	return true;
}

static bool make_pipe(int *ours, int *theirs, struct error **err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return error_errno(err, errno, "can't make a pipe");
	*ours = p[0];
	*theirs = p[1];
	return true;
}

/* The monitor's own account, or what its end says about it. */
static void read_result(int fd, int status, const struct config *c, struct outcome *o)
{
	struct sandbox_result *r = &o->result;

	if (pread(fd, r, sizeof(*r), 0) != sizeof(*r) || r->magic != RESULT_MAGIC) {
		memset(r, 0, sizeof(*r));
		if (WIFSIGNALED(status))
			snprintf(r->error, sizeof(r->error), "the sandbox's monitor was killed by signal %d",
				 WTERMSIG(status));
		else
			snprintf(r->error, sizeof(r->error), "the sandbox's monitor ended with status %d and no result",
				 WEXITSTATUS(status));
	}
	r->error[sizeof(r->error) - 1] = '\0';
	result_explain(r, c);
	o->status = result_exit_status(r);
}

bool launch_wait(struct build *b, const struct settings *s, struct outcome *o,
		 bool (*started)(pid_t monitor, void *arg, struct error **err), void *arg, struct error **err)
{
	cleanup_free char *core = core_path(err);
	cleanup_close int config = -1, result = -1, out_end = -1, err_end = -1;
	struct run r = {.out = -1, .err = -1, .copy = -1, .signals = -1};
	int status, end = -1;

	memset(o, 0, sizeof(*o));
	if (core == NULL)
		return false;
	result = memfd_create("sentrybox-result", MFD_CLOEXEC);
	if (result < 0)
		return error_errno(err, errno, "can't make the result's memfd");
	b->c->result_fd = build_fd(b, fcntl(result, F_DUPFD_CLOEXEC, 10));
	if (s->ncopy_out != 0) {
		if (!make_pipe(&r.copy, &end, err))
			return false;
		b->c->copy_out_fd = build_fd(b, end);
		r.copier = copy_out_open(s->copy_out, s->ncopy_out, err);
		if (r.copier == NULL)
			return error_wrap(err, "--copy-out");
	}
	b->c->json = s->json;
	b->c->stats = true;
	if (s->json && (!make_pipe(&r.out, &out_end, err) || !make_pipe(&r.err, &err_end, err)))
		return false;
	if (!build_finish(b, err))
		return false;
	config = launch_config(b->c, err);
	if (config < 0)
		return false;
	close_rest_on_exec();
	if (!start_child(b, &r, core, config, out_end, err_end, err))
		return false;
	/* Our copies of the far ends would keep the pipes open for ever. */
	if (out_end >= 0) {
		close(steal_fd(&out_end));
		close(steal_fd(&err_end));
	}
	build_close(b, b->c->copy_out_fd);
	build_close(b, b->c->sync_fd);
	if (started != NULL && !started(r.pid, arg, err)) {
		kill(r.pid, SIGKILL);
		waitpid(r.pid, NULL, 0);
		return false;
	}
	status = wait_for_end(&r, o);
	read_result(result, status, b->c, o);
	if (r.copier != NULL)
		o->copy_error = copy_out_close(r.copier, o->result.started != 0);
	if (o->copy_error != NULL && o->status == 0)
		o->status = 125;
	return true;
}

void outcome_free(struct outcome *o)
{
	free(o->out.data);
	free(o->err.data);
	free(o->copy_error);
}
