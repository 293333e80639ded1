/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test harness for guest programs, with no dependency but libc.
 *
 *      TEST(read_at_end_of_file_returns_0)
 *      {
 *              int fd = MUST(open("/dev/null", O_RDONLY));
 *              char c;
 *
 *              CHECK_EQ(read(fd, &c, 1), 0);
 *              CHECK_ERR(read(-1, &c, 1), EBADF);
 *      }
 *
 * Each test runs in a forked child, so that what it leaves behind (descriptors, signals, mappings) harms nobody; with
 * -s all run in the one process, for a kernel that can't fork yet: a test that would spoil the process for the next
 * one is a TEST_ALONE and is skipped there. Nothing here looks at the clock: a test may wait for as long as the machine
 * needs, and one that depends on an event asks for it again until it happens.
 *
 * A failed check prints file, line and both values and ends the test at once, from whichever process or thread it
 * happens in. A test's own children report by their exit status: end them with _exit(0) and wait with t_reap().
 * -x ends the program with the first failure.
 *
 * Usage: PROGRAM [-s] [-x] [-l] [NAME-PART | =NAME...]. Output: "ok NAME", "not ok NAME: why", "skip NAME: why", and at last
 * "N passed, N failed". The status is 1 if a test failed.
 */
#ifndef TESTS_GUEST_T_H
#define TESTS_GUEST_T_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct t_test {
	const char *name;
	void (*run)(void);
	bool alone; /* needs a process of its own */
	struct t_test *next;
};

void t_register(struct t_test *test);

#define T_DEFINE(name, is_alone)                                                                                       \
	static void test_##name(void);                                                                                 \
	static struct t_test t_##name = {#name, test_##name, is_alone, NULL};                                          \
	__attribute__((constructor)) static void t_register_##name(void)                                               \
	{                                                                                                              \
		t_register(&t_##name);                                                                                 \
	}                                                                                                              \
	static void test_##name(void)

#define TEST(name) T_DEFINE(name, false)
#define TEST_ALONE(name) T_DEFINE(name, true)

/* Ends the test as failed. Never returns. */
void t_fail(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
/* Ends the test as skipped, from its main process only. */
void t_skip(const char *why) __attribute__((noreturn));
/* The name of an errno ("ENOENT"), or "0" for none. */
const char *t_errno(int number);

#define FAIL(...) t_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(why) t_skip(why)

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			FAIL("not true: %s", #condition);                                                              \
	} while (0)

#define CHECK_EQ(got, want)                                                                                            \
	do {                                                                                                           \
		long long got_ = (long long)(got), want_ = (long long)(want);                                          \
		if (got_ != want_)                                                                                     \
			FAIL("%s is %lld (%#llx), should be %s = %lld (%#llx)", #got, got_, (unsigned long long)got_,  \
			     #want, want_, (unsigned long long)want_);                                                 \
	} while (0)

#define CHECK_GE(got, least)                                                                                           \
	do {                                                                                                           \
		long long got_ = (long long)(got), least_ = (long long)(least);                                        \
		if (got_ < least_)                                                                                     \
			FAIL("%s is %lld, should be at least %s = %lld", #got, got_, #least, least_);                  \
	} while (0)

#define CHECK_STR(got, want)                                                                                           \
	do {                                                                                                           \
		const char *got_ = (got), *want_ = (want);                                                             \
		if (strcmp(got_, want_) != 0)                                                                          \
			FAIL("%s is \"%s\", should be %s = \"%s\"", #got, got_, #want, want_);                         \
	} while (0)

#define CHECK_MEM(got, want, length)                                                                                   \
	do {                                                                                                           \
		if (memcmp(got, want, length) != 0)                                                                    \
			FAIL("%s differs from %s", #got, #want);                                                       \
	} while (0)

/* The call returns -1 and sets this errno. */
#define CHECK_ERR(call, want)                                                                                          \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long long got_ = (long long)(call);                                                                    \
		int errno_ = errno;                                                                                    \
		if (got_ != -1)                                                                                        \
			FAIL("%s returned %lld, should fail with %s", #call, got_, #want);                             \
		if (errno_ != (want))                                                                                  \
			FAIL("%s failed with %s, should be %s", #call, t_errno(errno_), #want);                        \
	} while (0)

/* The call returns 0. */
#define CHECK_OK(call)                                                                                                 \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long long got_ = (long long)(call);                                                                    \
		int errno_ = errno;                                                                                    \
		if (got_ != 0)                                                                                         \
			FAIL("%s returned %lld (%s), should succeed with 0", #call, got_, t_errno(errno_));            \
	} while (0)

/* The call's value, which mustn't be -1. */
#define MUST(call)                                                                                                     \
	({                                                                                                             \
		errno = 0;                                                                                             \
		__auto_type got_ = (call);                                                                             \
		if ((long long)got_ == -1)                                                                             \
			FAIL("%s failed with %s", #call, t_errno(errno));                                              \
		got_;                                                                                                  \
	})

/* Makes an empty directory for this test and changes into it; all of it is removed when the test ends. */
const char *t_scratch(void);

/* fork(), or the test fails. Standard output is flushed first. */
pid_t t_fork(void);
/* Waits for the child's end and returns its status as wait4 gives it. */
int t_wait(pid_t pid);
/* The child ends by _exit(0), or the test fails. */
void t_reap_at(pid_t pid, const char *file, int line);
#define t_reap(pid) t_reap_at(pid, __FILE__, __LINE__)
/* A child that runs the block that follows and ends with 0; waited for. */
#define IN_CHILD()                                                                                                     \
	for (pid_t child_ = t_fork(), again_ = 1; again_; again_ = t_end_child(child_, __FILE__, __LINE__))            \
		if (child_ == 0)
/* Ends a child, reaps it in the parent and returns 0. */
int t_end_child(pid_t pid, const char *file, int line);

/*
 * The program again, in another role: execv(t_self, {t_self, "@role", ...}) calls the file's t_role() in place of the
 * tests, with argv[0] the role's name without the @. Its return value is the exit status.
 */
extern char t_self[PATH_MAX];
int t_role(int argc, char **argv);

bool t_root(void);
/* Skips the test unless it runs as root. */
void t_need_root(void);
/* Gives up all of root's rights for good: uid, gid 65534, no groups. Meant for a child. */
void t_become_nobody(void);
#define T_NOBODY 65534

/* Whether the kernel says that it is at least this release: older ones lack a call and it is skipped. */
bool t_kernel_since(int major, int minor);

/* Pointers that no compiler may reason about. */
extern void *volatile t_bad;    /* never mapped: below mmap_min_addr */
extern void *volatile t_kernel; /* the kernel's half */
extern void *volatile t_null;

/* `length` bytes that end where a page ends, with nothing mapped behind. length may be up to 64 KiB. */
void *t_edge(size_t length);
/* A string placed so. The first form ends with its NUL at the edge, the second is cut before the NUL. */
char *t_edge_string(const char *s);
char *t_cut_string(const char *s);

/* Interval timer: SIGALRM every 2 ms, so that what is to be interrupted is, however late it began. flags are those of
 * sigaction. t_ticks counts; on_tick may be NULL. */
extern volatile sig_atomic_t t_ticks;
void t_tick(int flags, void (*on_tick)(void));
void t_tick_stop(void);

/* Returns once thread `tid` of process `pid` sleeps (state S) or is stopped (T), by /proc. */
void t_until_asleep(pid_t pid);

/* Nanoseconds of a clock. */
int64_t t_now(int clock);

/* Whole files. t_get ends what it read with a NUL and returns the length. */
void t_put(const char *path, const char *text);
size_t t_get(const char *path, char *buffer, size_t size);

#define T_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
