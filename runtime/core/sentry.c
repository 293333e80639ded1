/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's role: from exec to sealed, then the event loop.
 *
 * Everything that needs the host's help happens here, before the first guest instruction: signals, the loop's epoll
 * descriptor, Landlock, the zygote, then the sentry's own filter. Landlock comes before the zygote, which inherits it:
 * after it, we would be cut off from our own stubs. From seal_sentry() on the process can open, connect and execute nothing.
 */
#include "runtime/config.h"
#include "runtime/core/control_protocol.h"
#include "runtime/core/files.h"
#include "runtime/core/root_keep.h"
#include "runtime/core/seal.h"
#include "runtime/gate_cache.h"

#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/base/panic.h"
#include "sentry/fs/image.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/fs/memfs.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/kernel/outside.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/tty.h"
#include "sentry/mm/memory_pace.h"
#include "sentry/kernel/shared_watch.h"
#include "sentry/mm/text.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/inspect.h"
#include "sentry/trace/trace.h"
#include "syscalls/dispatch.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct host_watch child_watch, control_watch;
static bool stats_wanted;

static void send_any(const void *msg, size_t len)
{
	struct iovec iov = {(void *)msg, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	host_sendmsg(SENTRY_CONTROL_FD, &m, MSG_NOSIGNAL);
}

static void send_control(const struct control_message *msg)
{
	send_any(msg, sizeof(*msg));
}

static void tell_shared(uint64_t bytes)
{
	struct control_held held = {.type = CONTROL_SHARED, .bytes = bytes};

	send_any(&held, sizeof(held));
}

static void ask_held(void)
{
	struct control_message msg = {.type = CONTROL_WANT_HELD};

	shared_watch_now();
	send_control(&msg);
}

void control_started(void)
{
	struct control_message msg = {.type = CONTROL_STARTED};

	send_control(&msg);
}

void control_created(void)
{
	struct control_message msg = {.type = CONTROL_CREATED};

	send_control(&msg);
}

void control_container_created(uint32_t id)
{
	struct control_message msg = {.type = CONTROL_CONTAINER_CREATED, .id = id};

	send_control(&msg);
}

void control_container_empty(uint32_t id)
{
	struct control_message msg = {.type = CONTROL_CONTAINER_EMPTY, .id = id};

	send_control(&msg);
}

void control_container_oom(uint32_t id)
{
	struct control_message msg = {.type = CONTROL_CONTAINER_OOM, .container = id};

	send_control(&msg);
}

void control_exec_started(uint32_t id, int pid)
{
	struct control_message msg = {.type = CONTROL_EXEC_STARTED, .id = id, .status = pid};

	send_control(&msg);
}

void control_exec_failed(uint32_t id, int start_errno, const char *text)
{
	struct control_message msg = {.type = CONTROL_EXEC_FAILED, .id = id, .start_errno = start_errno};

	snprintf(msg.text, sizeof(msg.text), "%s", text);
	send_control(&msg);
}

void control_exec_ended(uint32_t id, int status)
{
	struct control_message msg = {.type = CONTROL_EXEC_ENDED, .id = id, .status = status};

	send_control(&msg);
}

void control_keep(int status)
{
	struct control_message msg = {.type = CONTROL_KEEP, .status = status};

	send_control(&msg);
}

void control_failed(int start_errno, const char *text)
{
	struct control_message msg = {.type = CONTROL_FAILED, .start_errno = start_errno};

	snprintf(msg.text, sizeof(msg.text), "%s", text != NULL ? text : "");
	send_control(&msg);
}

/* The images with the most calls first, if anybody wants to know. */
static void tell_gate(void)
{
	struct control_gate g = {.type = CONTROL_GATE};
	uint64_t below = UINT64_MAX;
	struct text_stats s;

	_Static_assert(sizeof(s) == sizeof(g.image), "one is sent as the other");
	g.calls = (struct gate_calls){gate_local_total(), gate_counts.polled, gate_counts.asleep, gate_counts.trapped,
				      gate_counts.notified};
	send_any(&g, sizeof(g));
	for (unsigned n = 0; n < RESULT_GATE_MAX; n++) {
		uint64_t best = 0;

		for (unsigned i = 0; text_stats_get(i, &s); i++)
			if (s.arrivals < below && s.arrivals > best)
				best = s.arrivals;
		if (best == 0)
			return;
		for (unsigned i = 0; text_stats_get(i, &s); i++) {
			if (s.arrivals != best || n >= RESULT_GATE_MAX)
				continue;
			memcpy(&g.image, &s, sizeof(s));
			send_any(&g, sizeof(g));
		}
		below = best;
	}
}

static void tell_sites(void)
{
	struct control_sites part = {.type = CONTROL_SITES};
	void *data;
	size_t size = text_learned(&data);

	for (size_t at = 0; at < size; at += part.len) {
		part.len = (uint32_t)MIN(size - at, sizeof(part.data));
		memcpy(part.data, (const char *)data + at, part.len);
		send_any(&part, offsetof(struct control_sites, data) + part.len);
	}
	kfree(data);
}

void control_ended(int status)
{
	struct control_message msg = {.type = CONTROL_ENDED, .status = status};

	if (stats_wanted)
		tell_gate();
	tell_sites();
	msg.limits = audit_limits();
	msg.denials = audit_denials();
	for (unsigned i = 0; i < SYSCALL_MAX; i++)
		msg.syscalls += syscall_counts[i];
	send_control(&msg);
}

/* ---- limits ---- */

static void tell_limit(uint32_t bit)
{
	struct control_message msg = {.type = CONTROL_LIMIT, .limits = bit};

	send_control(&msg);
}

static void memory_limit_hit(void)
{
	audit_limit("memory");
}

/* The idle time-out: the monitor counts, and we say when the guest isn't idle. */
static struct ktimer activity_timer;
static uint64_t activity_period, calls_seen;

static void tell_activity(struct ktimer *t)
{
	struct control_message msg = {.type = CONTROL_ACTIVITY};
	uint64_t calls = 0;

	for (unsigned i = 0; i < SYSCALL_MAX; i++)
		calls += syscall_counts[i];
	if (calls != calls_seen || stubs_running != 0)
		send_control(&msg);
	calls_seen = calls;
	ktimer_set(t, loop_now() + activity_period);
}

static void watch_activity(uint64_t idle_timeout_ms)
{
	if (idle_timeout_ms == 0)
		return;
	activity_period = MAX(1UL, MIN(idle_timeout_ms / 8, 1000UL)) * NSEC_PER_MSEC;
	ktimer_init(&activity_timer, tell_activity);
	ktimer_set(&activity_timer, loop_now() + activity_period);
}

static void child_ready(struct host_watch *w, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	while (host_read(w->fd, &si, sizeof(si)) == (int64_t)sizeof(si))
		;
	stubs_reap();
}

/*
 * A signal that the command was sent, or that was typed at its terminal: the latter is for whoever is in the foreground
 * inside. Init ignores what it has no handler for only when it comes from inside: who runs the command can end it by ^C.
 */
static void signal_from_host(int sig)
{
	struct linux_siginfo info = {.signo = sig, .code = LINUX_SI_USER};
	struct thread_group *init = kernel.init;
	struct tty *tty = dev_console();

	if (tty != NULL && tty->session != NULL &&
	    (sig == SIGINT || sig == SIGQUIT || sig == SIGTSTP || sig == SIGWINCH)) {
		tty_signal(tty, sig);
		if (tty->session->foreground != init->pgrp)
			return;
	} else {
		signal_send_group(init, sig, &info);
	}
	if ((sig == SIGINT || sig == SIGQUIT || sig == SIGTERM || sig == SIGHUP) && !init->exiting && init->leader != NULL &&
	    init->leader->sighand != NULL && init->leader->sighand->action[sig - 1].handler == LINUX_SIG_DFL)
		group_exit(init, sig);
}

/* `kill`: as a signal from outside the container's pid namespace. */
static void signal_by_command(uint32_t container, uint32_t id, int sig)
{
	struct container *c = container_find(container);
	struct linux_siginfo info = {.signo = sig, .code = LINUX_SI_USER};
	struct thread_group *g;

	if (sig < 1 || sig > 64 || kernel.init == NULL)
		return;
	if (id != 0 && id != CONTROL_EVERYBODY) {
		outside_signal(id, sig);
		return;
	}
	if (c != NULL && c != &container_first) {
		container_signal(c, sig);
		return;
	}
	list_for_each(g, &kernel.groups, all_link) {
		if (id == 0 ? g != kernel.init : g->container != c)
			continue;
		if (sig == SIGKILL)
			signal_kill_group(g); /* init too: what protects it is for those inside */
		else
			signal_send_group(g, sig, &info);
	}
}

static void send_part(const struct control_processes *p)
{
	send_any(p, sizeof(*p));
}

/* The resident sizes that limits on containers are held by: the monitor is asked while there are any. */
static struct ktimer containers_timer;
#define CONTAINERS_LOOK (100 * NSEC_PER_MSEC)

static void look_at_containers(struct ktimer *t)
{
	struct control_message msg = {.type = CONTROL_WANT_RESIDENT};

	if (!container_memory_limited())
		return;
	send_control(&msg);
	ktimer_set(t, loop_now() + CONTAINERS_LOOK);
}

static void watch_containers(void)
{
	if (containers_timer.armed || !container_memory_limited())
		return;
	ktimer_init(&containers_timer, look_at_containers);
	ktimer_set(&containers_timer, loop_now() + CONTAINERS_LOOK);
}

/* With less memory, windows that were made when there was more may be too many: they aren't needed. */
static void limit_windows(uint64_t memory_bytes)
{
	if (memory_bytes != 0 && platform->window_end != NULL)
		platform->window_end(0);
}

/* A further container's: on its own processes. */
static void update_container(const struct control_update *u)
{
	struct container *c = container_find(u->container);

	if (c == NULL)
		return;
	c->max_tasks = u->max_tasks;
	c->memory_limit = u->memory_bytes;
	limit_windows(u->memory_bytes);
	cpu_limit_change(&c->cpu, u->cpu_permille);
	watch_containers();
}

static void tell_usage(uint32_t id)
{
	struct control_usage usage = {.type = CONTROL_USAGE, .container = id};
	struct container *c = container_find(id);

	control_refresh_resident();
	if (c != NULL) {
		container_memory_sampled(c);
		usage.memory_bytes = c->resident;
		usage.memory_peak = c->peak;
		usage.memory_limit = c->memory_limit;
		usage.tasks = c->ntasks;
		usage.ooms = c->oom_kills;
		container_times(c, &usage.cpu_user_ns, &usage.cpu_sys_ns);
		usage.cpu_periods = c->cpu.periods;
		usage.cpu_throttled_periods = c->cpu.throttled_periods;
		usage.cpu_throttled_ns = c->cpu.throttled_ns;
	}
	send_any(&usage, sizeof(usage));
}

static void update_limits(const struct control_update *u)
{
	if (u->container != 0) {
		update_container(u);
		return;
	}
	kernel.max_tasks = u->max_tasks != 0 ? u->max_tasks : kernel.max_tasks;
	kernel.cpu_permille = u->cpu_permille;
	cpu_limit_change(&container_first.cpu, u->cpu_permille);
	alloc_set_limit(u->memory_bytes != 0 ? u->memory_bytes : UINT64_MAX);
	memory_pace_limit(u->memory_bytes, NULL);
	shared_watch_limit(u->memory_bytes, NULL);
	limit_windows(u->memory_bytes);
	if (u->memory_bytes != 0)
		kernel.memory_limit = u->memory_bytes;
}

/* A message of the monitor: a signal it was sent (type holds its number), or one of its own. */
static void control_message(const struct control_message *msg)
{
	struct task *task;

	switch (msg->type) {
	case CONTROL_OOM:
		task = stubs_task_of(msg->status);
		audit_limit("memory");
		if (task != NULL && !task->group->exiting)
			kernel.oom_kills++;
		if (task != NULL)
			group_exit(task->group, LINUX_SIGKILL);
		break;
	case CONTROL_FINISH:
		if (kernel.init != NULL)
			group_exit(kernel.init, LINUX_SIGKILL);
		break;
	case CONTROL_START:
		if (msg->id != 0)
			outside_start(msg->id);
		else
			kernel_start_program();
		break;
	case CONTROL_SIGNAL:
		signal_by_command(msg->container, msg->id, msg->status);
		break;
	case CONTROL_EXEC_KILL:
		outside_kill(msg->id);
		break;
	case CONTROL_FREEZE:
		if (msg->container != 0 && container_find(msg->container) != NULL)
			container_freeze(container_find(msg->container), msg->status != 0);
		break;
	case CONTROL_WANT_USAGE:
		tell_usage(msg->container);
		break;
	case CONTROL_LIST:
		outside_list(send_part);
		break;
	default:
		if (msg->type >= 1 && msg->type < 32 && kernel.init != NULL)
			signal_from_host((int)msg->type);
		break;
	}
}

/* As many descriptors as the caller may have; a third of them at most for files, the rest for stubs and sockets. */
static void take_descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return;
	lim.rlim_cur = lim.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &lim) == 0 || getrlimit(RLIMIT_NOFILE, &lim) == 0)
		memfs_set_fd_budget((unsigned)(lim.rlim_cur / 3 < 2000 ? lim.rlim_cur / 3 : 2000));
}

int64_t control_take_many(void *buf, size_t size, int *fds, unsigned *nfds)
{
	union {
		char bytes[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {buf, size};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	int64_t n = host_recvmsg(SENTRY_CONTROL_FD, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*nfds = 0;
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len > CMSG_LEN(0)) {
		*nfds = (unsigned)MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), (size_t)CONTROL_MAX_FDS);
		memcpy(fds, CMSG_DATA(c), *nfds * sizeof(int));
	}
	return n;
}

int64_t control_take(void *buf, size_t size, int *fd)
{
	int fds[CONTROL_MAX_FDS];
	unsigned n;
	int64_t got = control_take_many(buf, size, fds, &n);

	for (unsigned i = 1; i < n; i++)
		host_close(fds[i]);
	*fd = n != 0 ? fds[0] : -1;
	return got;
}

static bool resident_came;

static void control_receive(void)
{
	static union {
		struct control_message msg;
		struct control_resident resident;
		struct control_update update;
		struct control_held held;
	} in;
	int fds[CONTROL_MAX_FDS];
	unsigned nfds;
	int64_t n = control_take_many(&in, sizeof(in), fds, &nfds);

	if (n == (int64_t)sizeof(in.msg) && in.msg.type == CONTROL_EXEC) {
		outside_exec(in.msg.id, in.msg.container, fds, nfds);
		return;
	}
	if (n == (int64_t)sizeof(in.msg) && in.msg.type == CONTROL_CONTAINER) {
		outside_container(in.msg.id, (uint32_t)in.msg.status, in.msg.container, fds, nfds);
		watch_containers();
		return;
	}
	if (n == (int64_t)sizeof(in.msg) && in.msg.type == CONTROL_FILES && nfds <= 1) {
		/* A command that copies something now may come before the keeper does. */
		if (in.msg.id == CONTROL_KEEPER && in.msg.container == 0)
			root_keep_take(nfds == 1 ? fds[0] : -1);
		else if (nfds == 1)
			files_start(in.msg.container, fds[0]);
		return;
	}
	if (n == (int64_t)sizeof(in.msg) && in.msg.type == CONTROL_INSPECTOR && nfds <= 1) {
		inspect_attach(nfds == 1 ? fds[0] : -1);
		return;
	}
	for (unsigned i = 0; i < nfds; i++)
		host_close(fds[i]);
	if (n == 0) {
		stubs_kill_all();
		host_exit(125); /* the monitor is gone */
	}
	if (n >= (int64_t)offsetof(struct control_resident, entry) &&
	    (in.msg.type == CONTROL_RESIDENT || in.msg.type == CONTROL_RESIDENT_PART)) {
		for (uint32_t i = 0; i < in.resident.count && i < CONTROL_RESIDENT_MAX; i++)
			stubs_set_resident(in.resident.entry[i].pid, (uint64_t)in.resident.entry[i].pages * PAGE_SIZE);
		if (in.msg.type == CONTROL_RESIDENT) {
			resident_came = true;
			container_memory_look();
		}
	} else if (n == (int64_t)sizeof(in.held) && in.msg.type == CONTROL_HELD) {
		memory_pace_told(in.held.bytes, in.held.limit);
	} else if (n == (int64_t)sizeof(in.update) && in.update.type == CONTROL_UPDATE) {
		update_limits(&in.update);
	} else if (n == (int64_t)sizeof(in.msg)) {
		control_message(&in.msg);
	}
}

static void control_ready(struct host_watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	control_receive();
}

#define RESIDENT_FRESH (100 * NSEC_PER_MSEC)
#define RESIDENT_PATIENCE (20 * NSEC_PER_MSEC)

/*
 * /proc wants to know what processes hold; the monitor can look. Asked at most every 100 ms, and waited for on the spot: the
 * monitor does nothing that takes long, and what is old is good enough if it is late.
 */
void control_refresh_resident(void)
{
	static uint64_t asked;
	uint64_t now = loop_now(), until = now + RESIDENT_PATIENCE;
	struct control_message msg = {.type = CONTROL_WANT_RESIDENT};

	if (asked != 0 && now - asked < RESIDENT_FRESH)
		return;
	asked = now;
	resident_came = false;
	send_control(&msg);
	while (!resident_came && (now = loop_now()) < until) {
		struct pollfd p = {.fd = SENTRY_CONTROL_FD, .events = POLLIN};

		if (host_poll(&p, 1, (int64_t)(until - now)) > 0)
			control_receive();
	}
}

static int watch_children(void)
{
	sigset_t mask;
	int fd;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -1 : host_watch_add(&child_watch, fd, POLLIN, child_ready);
}

/*
 * How many sandboxes of this host may poll at once: one for four CPUs. A slot is the lock of a file that everybody can open
 * and nobody has to make or remove: our own programs.
 */
static void polling_slots(const struct config *cfg)
{
	static const char *const names[GATE_SLOTS_MAX] = {"sentrybox-core", "sentrybox", "sentrybox-inspect"};
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned wanted = online >= 8 ? (unsigned)online / 4 : 1;
	char path[PATH_MAX];
	uint64_t mask = 0;
	cpu_set_t set;
	ssize_t len;
	char *slash;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	stubs_cpus = (unsigned)CPU_COUNT(&set);
	for (int cpu = 0; cpu < 64; cpu++)
		mask |= (uint64_t)(CPU_ISSET(cpu, &set) != 0) << cpu;
	place_init(stubs_cpus, mask);
	if (!gate_on || stubs_cpus < 2 ||
	    (cfg->cpu_permille != 0 && cfg->cpu_permille < 2000))
		return;
	len = readlink("/proc/self/exe", path, sizeof(path) - 64);
	if (len <= 0)
		return;
	path[len] = '\0';
	slash = strrchr(path, '/');
	for (unsigned i = 0; slash != NULL && i < MIN(wanted, (unsigned)GATE_SLOTS_MAX); i++) {
		strcpy(slash + 1, names[i]);
		gate_slot_fds[gate_slots] = open(path, O_RDONLY | O_CLOEXEC);
		if (gate_slot_fds[gate_slots] >= 0)
			gate_slots++;
	}
	if (gate_slots != 0)
		gate_set_cpus(stubs_cpus);
}

/* Copied before it is checked: a sandbox that has the cache's directory on a writable mount can change the file. */
static void known_sites(const struct config *cfg)
{
	size_t max, n = 0;
	void *data = NULL;
	struct stat st;

	if (cfg->gate_cache_fd >= 0) {
		if (fstat(cfg->gate_cache_fd, &st) == 0 && st.st_size > 0 && st.st_size <= GATE_CACHE_MAX) {
			max = PAGE_ALIGN((size_t)st.st_size);
			data = mmap(NULL, max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (data == MAP_FAILED)
				data = NULL;
			else
				n = gate_cache_read(cfg->gate_cache_fd, data, max);
		}
		close(cfg->gate_cache_fd);
	}
	text_known_init(data, n, cfg->gate_cache_dir >= 0);
}

int sentry_main(void)
{
	const struct config *cfg = core_config();
	const char *step = "";
	char text[256];
	int err;

	prctl(PR_SET_NAME, "sbx-sentry", 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	/* Signals of the terminal are the monitor's to pass on. */
	for (int sig = 1; sig < 32; sig++)
		if (sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGTERM || sig == SIGTSTP || sig == SIGTTIN ||
		    sig == SIGTTOU)
			signal(sig, SIG_IGN);
	log_fd = cfg->debug_fd;
	panic_init(cfg->debug_fd >= 0 ? cfg->debug_fd : 2);
	trace_crash_init();
	trace_init(cfg->strace_fd);
	audit_init(cfg->audit_fd, cfg->backtrace);
	err = loop_init();
	if (err == 0)
		err = watch_children();
	if (err == 0)
		err = host_watch_add(&control_watch, SENTRY_CONTROL_FD, POLLIN, control_ready);
	if (err < 0) {
		control_failed(0, "cannot set up the event loop");
		return 125;
	}
	log_debug("start: the sentry is there");
	if (cfg->image_fd >= 0) {
		const char *why = image_mount(cfg->image_fd);

		if (why != NULL) {
			snprintf(text, sizeof(text), "the root image: %s", why);
			control_failed(0, text);
			return 125;
		}
	}
	kernel_prepare(cfg);
	gate_on = cfg->gate;
	stats_wanted = cfg->stats;
	if (gate_on)
		known_sites(cfg);
	polling_slots(cfg);
	take_descriptors();
	stubs_refresh_resident = control_refresh_resident;
	stubs_find_vdso(); /* reads /proc/self/maps */
	seal_landlock_sentry();
	err = cfg->platform == CONFIG_PTRACE ? ptrace_boot(&step) : notify_boot(&step);
	if (err < 0) {
		if (err <= -1000)
			snprintf(text, sizeof(text), "cannot start the platform: %s failed at step %d", step, -1000 - err);
		else
			snprintf(text, sizeof(text), "cannot start the platform: %s: %s", step, strerror(-err));
		control_failed(0, text);
		return 125;
	}
	log_debug("start: the zygote is there");
	seal_sentry(cfg->platform == CONFIG_PTRACE);
	audit_on_limit = tell_limit;
	alloc_limit_hit = memory_limit_hit;
	if (cfg->memory_bytes != 0)
		alloc_set_limit(cfg->memory_bytes);
	memory_pace_limit(cfg->memory_bytes, ask_held);
	shared_watch_limit(cfg->memory_bytes, tell_shared);
	watch_activity(cfg->idle_timeout_ms);
	if (cfg->fail_alloc != 0)
		alloc_fail_nth(cfg->fail_alloc);
	if (cfg->fail_call >= 0)
		syscall_disable(cfg->fail_call);
	err = kernel_start(cfg);
	if (err < 0) {
		snprintf(text, sizeof(text), "cannot set up the sandbox: %s", strerror(-err));
		control_failed(0, text);
		return 125;
	}
	log_debug("start: sealed, the root is mounted");
	loop_run();
	log_debug("calls: %llu in the shim, %llu polled, %llu asleep, %llu trapped, %llu notified; polling begun %llu times"
		  " (ended: %llu idle, %llu at once, %llu late, %llu crowded, %llu parallel, %llu futexes); %llu streams, %llu stalled; %llu windows; %llu threads lent",
		  (unsigned long long)gate_local_total(), (unsigned long long)gate_counts.polled,
		  (unsigned long long)gate_counts.asleep, (unsigned long long)gate_counts.trapped,
		  (unsigned long long)gate_counts.notified, (unsigned long long)gate_counts.bursts,
		  (unsigned long long)gate_counts.ends[GATE_END_IDLE], (unsigned long long)gate_counts.ends[GATE_END_AT_ONCE],
		  (unsigned long long)gate_counts.ends[GATE_END_LATE], (unsigned long long)gate_counts.ends[GATE_END_CROWDED],
		  (unsigned long long)gate_counts.ends[GATE_END_PARALLEL], (unsigned long long)gate_counts.ends[GATE_END_FUTEXES],
		  (unsigned long long)gate_counts.streams, (unsigned long long)gate_counts.stalls,
		  (unsigned long long)gate_counts.windows, (unsigned long long)gate_counts.lent);
	log_debug("the loop has ended");
	stubs_kill_all();
	return 0;
}
