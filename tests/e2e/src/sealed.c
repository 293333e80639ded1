/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries calls under a role's filter, the very array the role installs: one line a call, "NAME killed" or "NAME made".
 * For tests/e2e/posture: built with -I build/gen. First every number with arguments that do nothing, then what the
 * arguments decide.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filters.h"

struct role {
	const char *name;
	const struct sock_filter *filter;
	size_t n;
};
#define ROLE(name, array) {name, array, sizeof(array) / sizeof(array[0])}
static const struct role roles[] = {
	ROLE("SENTRY", sentry_filter),	 ROLE("SENTRY_PTRACE", sentry_ptrace_filter),
	ROLE("GOFER", gofer_filter),	 ROLE("GOFER_WRITE", gofer_write_filter),
	ROLE("INSPECT", inspect_filter),
	ROLE("KEEP", keep_filter),
};

#define NOWHERE 0x7fffffffL /* no process, no descriptor */

static const struct attempt {
	const char *name;
	long nr, args[6];
} attempts[] = {
	{"fcntl:F_GETFL", SYS_fcntl, {-1, F_GETFL}},
	{"fcntl:F_SETFL", SYS_fcntl, {-1, F_SETFL, O_NONBLOCK}},
	{"fcntl:F_SETOWN", SYS_fcntl, {-1, F_SETOWN, NOWHERE}},
	{"fcntl:F_SETSIG", SYS_fcntl, {-1, 10, 9}},
	{"ioctl:TCGETS", SYS_ioctl, {-1, 0x5401}},
	{"ioctl:TIOCSTI", SYS_ioctl, {-1, 0x5412}},
	{"ioctl:TIOCSETD", SYS_ioctl, {-1, 0x5423}},
	{"ioctl:TIOCSCTTY", SYS_ioctl, {-1, 0x540e}},
	{"ioctl:TIOCCONS", SYS_ioctl, {-1, 0x541d}},
	{"ioctl:TIOCLINUX", SYS_ioctl, {-1, 0x541c}},
	{"ioctl:SIOCGIFCONF", SYS_ioctl, {-1, 0x8912}},
	{"ioctl:FS_IOC_SETFLAGS", SYS_ioctl, {-1, 0x40086602}},
	{"mmap:read", SYS_mmap, {0, 4096, 1, 0x22, -1, 0}},
	{"mmap:exec", SYS_mmap, {0, 4096, 5, 0x22, -1, 0}},
	{"mprotect:read", SYS_mprotect, {0, 0, 1}},
	{"mprotect:exec", SYS_mprotect, {0, 0, 4}},
	{"kill:SIGKILL", SYS_kill, {NOWHERE, 9}},
	{"kill:SIGTERM", SYS_kill, {NOWHERE, 15}},
	{"kill:SIGSTOP", SYS_kill, {NOWHERE, 19}},
	{"tgkill:SIGSTKFLT", SYS_tgkill, {NOWHERE, NOWHERE, 16}},
	{"tgkill:SIGKILL", SYS_tgkill, {NOWHERE, NOWHERE, 9}},
	{"sendmsg:plain", SYS_sendmsg, {-1, 0, 0x4040}},
	{"sendmsg:MSG_FASTOPEN", SYS_sendmsg, {-1, 0, 0x20000000}},
	{"sendto:address", SYS_sendto, {-1, 0, 0, 0, 8, 16}},
	{"openat:read", SYS_openat, {-1, 0, O_RDONLY | O_NOFOLLOW}},
	{"openat:write", SYS_openat, {-1, 0, O_WRONLY}},
	{"openat:create", SYS_openat, {-1, 0, O_CREAT}},
	{"openat:truncate", SYS_openat, {-1, 0, O_TRUNC}},
	{"openat:tmpfile", SYS_openat, {-1, 0, O_TMPFILE}},
	{"mknodat:fifo", SYS_mknodat, {-1, 0, 0010600}},
	{"mknodat:char", SYS_mknodat, {-1, 0, 0020600}},
	{"mknodat:block", SYS_mknodat, {-1, 0, 0060600}},
	{"fchownat:nofollow", SYS_fchownat, {-1, 0, -1, -1, AT_SYMLINK_NOFOLLOW}},
	{"fchownat:itself", SYS_fchownat, {-1, 0, -1, -1, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH}},
	{"fchownat:follow", SYS_fchownat, {-1, 0, -1, -1, 0}},
	{"linkat:follow", SYS_linkat, {-1, 0, -1, 0, AT_SYMLINK_FOLLOW}},
};

static int killed(const struct role *r, long nr, const long a[6])
{
	struct sock_fprog prog = {(unsigned short)r->n, (struct sock_filter *)r->filter};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(5); /* one that waits was made */
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, 1, 0, &prog) < 0)
			_exit(99);
		syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 99)) {
		fprintf(stderr, "sealed: can't try calls: %s\n", strerror(errno));
		exit(1);
	}
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

int main(int argc, char **argv)
{
	static const long nothing[6] = {-1, -1, -1, -1, -1, -1};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (argc != 2 || strcmp(argv[1], roles[i].name) != 0)
			continue;
		for (long nr = 0; nr < 480; nr++)
			printf("%ld %s\n", nr, killed(&roles[i], nr, nothing) ? "killed" : "made");
		/* x32's form of a call that is allowed */
		printf("x32 %s\n", killed(&roles[i], 0x40000000L | SYS_exit_group, nothing) ? "killed" : "made");
		for (size_t k = 0; k < sizeof(attempts) / sizeof(attempts[0]); k++)
			printf("%s %s\n", attempts[k].name,
			       killed(&roles[i], attempts[k].nr, attempts[k].args) ? "killed" : "made");
		return 0;
	}
	fprintf(stderr, "usage: sealed ROLE\n");
	return 2;
}
