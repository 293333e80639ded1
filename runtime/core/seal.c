/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing. The programs are data made at build time from filters.def; Landlock is used where the kernel has it, at the
 * level it has, and its absence is no error: seccomp alone already leaves no call that takes a path or an address.
 */
#include "runtime/core/seal.h"

#include "runtime/core/gofer.h"

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

/* Packed in the kernel's interface. */
struct beneath_attr {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

/* A ruleset that handles all that this kernel knows; -1 without Landlock. *abi is its level. */
static int landlock_everything(long *level)
{
	struct ruleset_attr attr = {0};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	*level = abi;
	if (abi < 1)
		return -1;
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
	return (int)syscall(SYS_landlock_create_ruleset, &attr, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
}

void seal_landlock_sentry(void)
{
	long abi;
	int fd = landlock_everything(&abi);

	if (fd < 0)
		return;
	syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
}

#define FS_READ_FILE (1ULL << 2)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_TRUNCATE (1ULL << 14)
#define FS_READ (FS_READ_FILE | 1ULL << 3 /* directories */)
/* Files, and what is done in directories: removing and making, but no devices. */
#define FS_WRITE                                                                                                       \
	(FS_WRITE_FILE | 1ULL << 4 | 1ULL << 5 | 1ULL << 7 | 1ULL << 8 | 1ULL << 9 | 1ULL << 10 | 1ULL << 12)
#define FS_REFER (1ULL << 13)

/*
 * The gofer's: its directories, for reading, or for writing where that was given. Level 1 can't allow renames from one
 * directory to another: there writable binds would break, and seccomp alone remains.
 */
void seal_landlock_gofer(const struct gofer_root *roots, unsigned n, bool writes)
{
	long abi;
	int fd = landlock_everything(&abi);

	if (fd < 0)
		return;
	for (unsigned i = 0; i < n && !(abi < 2 && writes); i++) {
		struct beneath_attr rule = {FS_READ, roots[i].fd};

		if (roots[i].fd < 0)
			continue;
		if (roots[i].writable)
			rule.allowed |= FS_WRITE | FS_REFER | (abi >= 3 ? FS_TRUNCATE : 0);
		if (roots[i].is_file)
			rule.allowed &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
		if (syscall(SYS_landlock_add_rule, fd, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &rule, 0) < 0) {
			fprintf(stderr, "sentrybox: cannot seal the gofer: Landlock: %s\n", strerror(errno));
			_exit(125);
		}
	}
	if (!(abi < 2 && writes))
		syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
}

/*
 * The keeper's: everything but devices beneath the root, nothing elsewhere. Level 1 can't allow a file without a name to be linked
 * into another directory: there seccomp alone remains.
 */
static void landlock_keeper(int root)
{
	struct beneath_attr rule = {FS_READ | FS_WRITE | FS_REFER, root};
	long abi;
	int fd = landlock_everything(&abi);

	if (fd < 0)
		return;
	if (abi >= 3)
		rule.allowed |= FS_TRUNCATE;
	if (abi >= 2) {
		if (syscall(SYS_landlock_add_rule, fd, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &rule, 0) < 0 ||
		    syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
			fprintf(stderr, "sentrybox: cannot seal the process that keeps root-writes: Landlock: %s\n", strerror(errno));
			_exit(125);
		}
	}
	close(fd);
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

void seal_gofer(bool writes)
{
	if (writes) {
		install(gofer_write_filter, sizeof(gofer_write_filter) / sizeof(gofer_write_filter[0]), "gofer");
		return;
	}
	install(gofer_filter, sizeof(gofer_filter) / sizeof(gofer_filter[0]), "gofer");
}

void seal_inspector(void)
{
	install(inspect_filter, sizeof(inspect_filter) / sizeof(inspect_filter[0]), "inspector");
}

void seal_keeper(int root)
{
	landlock_keeper(root);
	install(keep_filter, sizeof(keep_filter) / sizeof(keep_filter[0]), "process that keeps root-writes");
}
