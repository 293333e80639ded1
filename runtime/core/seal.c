/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing. The programs are data made at build time from filters.def; Landlock is used where the kernel has it, at the
 * level it has, and its absence is no error: seccomp alone already leaves no call that takes a path or an address.
 */
#include "runtime/core/seal.h"

#include "filters.h"

#include <errno.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_SCOPE_SIGNAL
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1)
#endif

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

void seal_landlock_sentry(void)
{
	struct ruleset_attr attr = {0};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	long fd;

	if (abi < 1)
		return;
	attr.fs = (1ULL << 13) - 1;
	if (abi >= 2)
		attr.fs |= 1ULL << 13; /* refer */
	if (abi >= 3)
		attr.fs |= 1ULL << 14; /* truncate */
	if (abi >= 5)
		attr.fs |= 1ULL << 15; /* ioctl on devices */
	if (abi >= 4)
		attr.net = 3;          /* bind and connect TCP */
	if (abi >= 6)
		attr.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
	fd = syscall(SYS_landlock_create_ruleset, &attr, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
	if (fd < 0)
		return;
	syscall(SYS_landlock_restrict_self, fd, 0);
	close((int)fd);
}

static void install(const struct sock_filter *filter, size_t n, const char *role)
{
#ifdef __SANITIZE_ADDRESS__
	/* The sanitizer's runtime makes calls of its own; such builds are for finding bugs, never for guests. */
	(void)filter;
	(void)n;
	(void)role;
	return;
#endif
	struct sock_fprog prog = {(unsigned short)n, (struct sock_filter *)filter};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
		return;
	fprintf(stderr, "sentrybox: cannot seal the %s: %s\n", role, strerror(errno));
	_exit(125);
}

void seal_sentry(bool with_ptrace)
{
	if (with_ptrace) {
		install(sentry_ptrace_filter, sizeof(sentry_ptrace_filter) / sizeof(sentry_ptrace_filter[0]), "sentry");
		return;
	}
	install(sentry_filter, sizeof(sentry_filter) / sizeof(sentry_filter[0]), "sentry");
}

void seal_gofer(void)
{
	install(gofer_filter, sizeof(gofer_filter) / sizeof(gofer_filter[0]), "gofer");
}

void seal_inspector(void)
{
	install(inspect_filter, sizeof(inspect_filter) / sizeof(inspect_filter[0]), "inspector");
}
