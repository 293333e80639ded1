/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a role: a child that gives up everything before it executes this program again.
 *
 * The order matters: the bounding set needs CAP_SETPCAP, ids need CAP_SETUID, and a change of ids clears the parent-death
 * signal. So: descriptors, core limit, bounding set, groups, ids, capabilities, no-new-privileges, PDEATHSIG, check of the
 * parent, exec. The exec makes the new process dumpable again, which the sentry's access to its stubs needs.
 */
#include "runtime/core/spawn.h"

#include "runtime/config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP_LAST 40
#define CAP_CHOWN 0
#define CAP_DAC_OVERRIDE 1
#define CAP_DAC_READ_SEARCH 2
#define CAP_FOWNER 3
#define CAP_FSETID 4

static int drop_privileges(const struct spawn *s)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};

	for (int cap = 0; cap <= CAP_LAST; cap++)
		if (!(s->keep_caps >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			break; /* not ours to drop: without CAP_SETPCAP no exec can gain it either (no-new-privileges) */
	if (s->drop_ids) {
		if (s->keep_caps != 0)
			prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
		if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0 ||
		    syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
			return -1;
	}
	for (unsigned i = 0; i < 2; i++) {
		uint32_t caps = (uint32_t)(s->keep_caps >> (32 * i));

		data[i].effective = data[i].permitted = data[i].inheritable = caps;
	}
	if (syscall(SYS_capset, &head, data) < 0 && s->keep_caps != 0)
		return -1;
	/* Ambient: what survives the exec of a program without file capabilities. */
	for (int cap = 0; cap <= CAP_LAST; cap++)
		if (s->keep_caps >> cap & 1)
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

struct child_args {
	const struct spawn *spawn;
	int parent;
};

/* Runs in our memory while we wait for its exec: changes nothing of ours. */
static int child(void *arg)
{
	const struct child_args *args = arg;
	const struct spawn *s = args->spawn;
	/* 1, not 0: only 1 keeps a piped core handler of the host from parsing guest memory. */
	struct rlimit core = {1, 1};
	static char name[] = "sentrybox-core";
	char *argv[] = {name, (char *)(uintptr_t)s->role, NULL}, *envp[] = {NULL};
	int high[SPAWN_MAX_FDS];
	unsigned top = 3 + s->nfds;

	setrlimit(RLIMIT_CORE, &core);
	for (unsigned i = 0; i < s->nfds; i++)
		high[i] = s->fds[i] < 0 ? -1 : fcntl(s->fds[i], F_DUPFD_CLOEXEC, 512);
	for (unsigned i = 0; i < s->nfds; i++)
		if (high[i] < 0 ? s->fds[i] >= 0 : dup2(high[i], (int)(3 + i)) < 0)
			_exit(124);
	if (syscall(SYS_close_range, top, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
		for (int fd = (int)top; fd < 1024; fd++)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	for (unsigned i = 0; i < s->nfds; i++)
		if (s->fds[i] < 0)
			close((int)(3 + i));
	for (unsigned i = 0; i < s->nkeep; i++)
		if (s->keep[i] >= 0)
			fcntl(s->keep[i], F_SETFD, 0);
	if (drop_privileges(s) < 0)
		_exit(123);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != args->parent)
		_exit(122);
	if (s->program_fd > 0)
		syscall(SYS_execveat, s->program_fd, "", argv, envp, AT_EMPTY_PATH);
	else
		execve("/proc/self/exe", argv, envp);
	_exit(121);
}

int spawn_role(const struct spawn *s)
{
	static char stack[32768] __attribute__((aligned(16)));
	struct child_args args = {s, getpid()};
	int pid = clone(child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, &args);

	return pid < 0 ? -errno : pid;
}

/* ---- the gofer ---- */

#define CAP(n) (1ULL << (n))

/* What the gofer keeps of root: reading what only root may; where a writable bind was given, what changing files as root
 * takes. */
static uint64_t gofer_caps(const struct config *c)
{
	uint64_t caps = CAP(CAP_DAC_READ_SEARCH);

	for (uint32_t i = 0; i < c->nmounts; i++)
		if (c->mounts[i].kind == MOUNT_BIND && !(c->mounts[i].flags & 1 /* MS_RDONLY */))
			caps |= CAP(CAP_DAC_OVERRIDE) | CAP(CAP_CHOWN) | CAP(CAP_FOWNER) | CAP(CAP_FSETID);
	return caps;
}

bool spawn_needs_gofer(const struct config *c)
{
	bool needed = c->image_fd < 0;

	for (uint32_t i = 0; i < c->nmounts; i++)
		needed |= c->mounts[i].kind == MOUNT_BIND;
	return needed;
}

/*
 * It serves files with the caller's ids; as root it needs to read what only root may, and to write where a writable bind was
 * given.
 */
int spawn_gofer(const struct config *c, int cfg_fd, int sock)
{
	int keep[CONFIG_MAX_MOUNTS + 1];
	unsigned nkeep = 0;

	keep[nkeep++] = c->root_fd;
	for (uint32_t i = 0; i < c->nmounts; i++)
		if (c->mounts[i].kind == MOUNT_BIND)
			keep[nkeep++] = c->mounts[i].dir_fd;
	return spawn_role(&(struct spawn){
		.role = "gofer",
		.fds = {cfg_fd, sock},
		.nfds = 2,
		.keep = keep,
		.nkeep = nkeep,
		.keep_caps = geteuid() == 0 ? gofer_caps(c) : 0,
	});
}
