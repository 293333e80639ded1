/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's path from an event to its reply by itself: the core's own object files, without a host.
 *
 *	next_event --> serve_syscall --> task_syscall --> handler --> task_return --> resume --> next_event
 *	    |                                |  usercopy: memcpy from and to a window
 *	    '-- the next of a row's calls    '-- host calls: stand-ins
 *
 * It stands on what the fuzz targets stand on (tests/fuzz/world.c): a platform whose threads run no code, a clock that
 * nobody waits for. So nothing here sleeps, switches or asks the host, and a row's count of instructions is the same in
 * every run: a change of one in a thousand shows, on a machine however busy. What the platforms add (catching the call,
 * copying by the host, waking somebody) is bench/micro's to measure.
 *
 *	dispatch [ROW...]                         stat|1|412.5 409.1 ...     row, calls a step, ns a step in each batch
 *	valgrind --tool=callgrind dispatch 100    counts 100 steps a row, a dump for each (bench/dispatch/run reads
 *them)
 *
 * Each row is a process of its own with the same descriptors, opened before anything is counted:
 */
#include "tests/fuzz/fuzz.h"

#include "sentry/kernel/task.h"
#include "sentry/kernel/signal.h"
#include "sentry/vfs/vfs.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

enum {
	FILE_FD,
	NULL_FD,
	PIPE_R,
	PIPE_W,
	EVENT_FD,
	PAIR_A,
	PAIR_B,
	EPOLL_FD,
	READY_FD,
	LISTEN_FD,
	FREE_FD, /* what the next open gives */
	FREE_FD2,
};

/* Where things lie in the window. */
#define PATH (WINDOW + 0x100)
#define ABSENT (WINDOW + 0x200)
#define FRESH (WINDOW + 0x300)
#define DEV_NULL (WINDOW + 0x400)
#define LINK (WINDOW + 0x500)
#define DIRECTORY (WINDOW + 0x600)
#define FRESH2 (WINDOW + 0x700)
#define READY_EVENT (WINDOW + 0x800)
#define POLLFD (WINDOW + 0x840)
#define ONE (WINDOW + 0x880)
#define ADDRESS (WINDOW + 0x8c0)
#define WORD (WINDOW + 0x900)
#define OUT (WINDOW + 0x1000)
#define BLOCK (WINDOW + 0x2000)
#define SPARE 0x10000000UL /* mapped and unmapped */

#define CALLS 6
#define NO_CALL 1000

struct call {
	int nr;
	uint64_t args[6];
};

static const struct call set_up[] = {
	{SYS_open, {PATH, 2, 0}},
	{SYS_open, {DEV_NULL, 1, 0}},
	{SYS_pipe, {OUT}},
	{SYS_eventfd2, {0, 0}},
	{SYS_socketpair, {1, 1, 0, OUT}},
	{SYS_epoll_create1, {0}},
	{SYS_eventfd2, {1, 0}},
	{SYS_epoll_ctl, {EPOLL_FD, EPOLL_CTL_ADD, READY_FD, READY_EVENT}},
	{SYS_socket, {2, 1, 0}},
	{SYS_bind, {LISTEN_FD, ADDRESS, 16}},
	{SYS_listen, {LISTEN_FD, 16}},
	{SYS_mmap, {SPARE, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1UL, 0}},
};

static const struct row {
	const char *name;
	unsigned ncalls; /* of a step */
	struct call calls[CALLS];
	int64_t result; /* of an error that is meant; 0: none may come */
} rows[] = {
	{"getpid", 1, {{SYS_getpid, {0}}}, 0},
	{"getppid", 1, {{SYS_getppid, {0}}}, 0},
	{"sched_get_priority_max", 1, {{SYS_sched_get_priority_max, {0}}}, 0},
	{"enosys", 1, {{NO_CALL, {0}}}, -38},
	{"uname", 1, {{SYS_uname, {OUT}}}, 0},
	{"clock_gettime", 1, {{SYS_clock_gettime, {1, OUT}}}, 0},
	{"stat", 1, {{SYS_stat, {PATH, OUT}}}, 0},
	{"stat-absent", 1, {{SYS_stat, {ABSENT, OUT}}}, -2},
	{"access", 1, {{SYS_access, {PATH, 4}}}, 0},
	{"open-close", 2, {{SYS_open, {PATH, 0, 0}}, {SYS_close, {FREE_FD}}}, 0},
	{"create-unlink", 3, {{SYS_open, {FRESH, 0xc1, 0600}}, {SYS_close, {FREE_FD}}, {SYS_unlink, {FRESH}}}, 0},
	{"rename", 2, {{SYS_rename, {PATH, FRESH2}}, {SYS_rename, {FRESH2, PATH}}}, 0},
	{"readlink", 1, {{SYS_readlink, {LINK, OUT, 256}}}, 0},
	{"getdents",
	 4,
	 {{SYS_open, {DIRECTORY, 0x10000, 0}},
	  {SYS_getdents64, {FREE_FD, BLOCK, 16384}},
	  {SYS_getdents64, {FREE_FD, BLOCK, 16384}},
	  {SYS_close, {FREE_FD}}},
	 0},
	{"fstat", 1, {{SYS_fstat, {FILE_FD, OUT}}}, 0},
	{"lseek", 1, {{SYS_lseek, {FILE_FD, 100, 0}}}, 0},
	{"dup-close", 2, {{SYS_dup, {FILE_FD}}, {SYS_close, {FREE_FD}}}, 0},
	{"fcntl", 1, {{SYS_fcntl, {FILE_FD, 3, 0}}}, 0},
	{"write-null", 1, {{SYS_write, {NULL_FD, BLOCK, 1}}}, 0},
	{"pread-1", 1, {{SYS_pread64, {FILE_FD, BLOCK, 1, 0}}}, 0},
	{"pread-4k", 1, {{SYS_pread64, {FILE_FD, BLOCK, 4096, 0}}}, 0},
	{"pwrite-1", 1, {{SYS_pwrite64, {FILE_FD, BLOCK, 1, 0}}}, 0},
	{"pwrite-4k", 1, {{SYS_pwrite64, {FILE_FD, BLOCK, 4096, 0}}}, 0},
	{"pipe", 2, {{SYS_write, {PIPE_W, BLOCK, 1}}, {SYS_read, {PIPE_R, BLOCK, 1}}}, 0},
	{"socketpair", 2, {{SYS_write, {PAIR_A, BLOCK, 1}}, {SYS_read, {PAIR_B, BLOCK, 1}}}, 0},
	{"eventfd", 2, {{SYS_write, {EVENT_FD, ONE, 8}}, {SYS_read, {EVENT_FD, OUT, 8}}}, 0},
	{"poll", 1, {{SYS_poll, {POLLFD, 1, 0}}}, 0},
	{"epoll_wait", 1, {{SYS_epoll_wait, {EPOLL_FD, OUT, 1, 0}}}, 0},
	{"mmap", 2, {{SYS_mmap, {0, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1UL, 0}}, {SYS_munmap, {0, 8192}}}, 0},
	{"mprotect", 2, {{SYS_mprotect, {SPARE, 4096, 1}}, {SYS_mprotect, {SPARE, 4096, 3}}}, 0},
	{"sigprocmask", 1, {{SYS_rt_sigprocmask, {0, 0, OUT, 8}}}, 0},
	{"futex-wake", 1, {{SYS_futex, {WORD, 129, 1, 0, 0, 0}}}, 0},
	{"tcp-connect",
	 5,
	 {{SYS_socket, {2, 1, 0}},
	  {SYS_connect, {FREE_FD, ADDRESS, 16}},
	  {SYS_accept, {LISTEN_FD, 0, 0}},
	  {SYS_close, {FREE_FD}},
	  {SYS_close, {FREE_FD2}}},
	 0},
};

#define BATCHES 40
#define BATCH_NS 250000

static const struct row *row;
static uint64_t step, at, begun;
static uint64_t warm, wanted; /* steps before the counted ones, and those */
static double spent;
static int64_t last; /* what the last call returned */
static bool any;     /* a call was made */

void __real_task_return(struct task *task, int64_t ret, bool in_syscall);
void __wrap_task_return(struct task *task, int64_t ret, bool in_syscall);
void __wrap_task_return(struct task *task, int64_t ret, bool in_syscall)
{
	last = ret;
	__real_task_return(task, ret, in_syscall);
}

static uint64_t real_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void check_last(void)
{
	if (!any || last >= 0 || last < -4095 || last == row->result)
		return;
	fprintf(stderr, "dispatch: %s: step %lu, call %lu gave %ld\n", row->name, (unsigned long)step,
		(unsigned long)at, (long)last);
	exit(1);
}

/* First what is set up, then the warm-up, then what counts. */
static bool next_call(struct task *task, int *nr, uint64_t args[6])
{
	const struct call *c;

	(void)task;
	check_last();
	any = true;
	if (step == 0) {
		c = &set_up[at++];
		if (at == ARRAY_LEN(set_up)) {
			at = 0;
			step = 1;
		}
	} else {
		if (at == 0 && step == 1 + warm) {
			CALLGRIND_ZERO_STATS;
			begun = real_ns();
		}
		if (at == 0 && step == 1 + warm + wanted) {
			spent = (double)(real_ns() - begun) / (double)wanted;
			CALLGRIND_DUMP_STATS_AT(row->name);
			return false;
		}
		c = &row->calls[at++];
		if (at == row->ncalls) {
			at = 0;
			step++;
		}
	}
	*nr = c->nr;
	memcpy(args, c->args, sizeof(c->args));
	if (c->nr == SYS_munmap)
		args[0] = (uint64_t)last; /* what mmap gave */
	return true;
}

static void put(uint64_t addr, const void *data, size_t len)
{
	memcpy(window + (addr - WINDOW), data, len);
}

static void fill_window(void)
{
	const struct {
		uint32_t events;
		uint64_t data;
	} __attribute__((packed)) ready = {EPOLLIN, 7};
	const uint32_t pollfd[2] = {PIPE_R, 1};
	const uint8_t address[16] = {2, 0, 0x1f, 0x90, 127, 0, 0, 1};
	const uint64_t one = 1;

	memset(window, 0, GUEST_WINDOW_SIZE);
	put(PATH, "/tmp/d/file", 12);
	put(ABSENT, "/tmp/d/none", 12);
	put(FRESH, "/tmp/d/fresh", 13);
	put(FRESH2, "/tmp/d/other", 13);
	put(DEV_NULL, "/dev/null", 10);
	put(LINK, "/tmp/d/link", 12);
	put(DIRECTORY, "/tmp/many", 10);
	put(READY_EVENT, &ready, sizeof(ready));
	put(POLLFD, pollfd, sizeof(pollfd));
	put(ADDRESS, address, sizeof(address));
	put(ONE, &one, sizeof(one));
}

/* Nanoseconds a step. */
static double measure(uint64_t warm_steps, uint64_t steps)
{
	fill_window();
	warm = warm_steps;
	wanted = steps;
	step = at = 0;
	any = false;
	spent = 0;
	world_next_call = next_call;
	world_run(true);
	if (spent == 0) {
		fprintf(stderr, "dispatch: %s did not end\n", row->name);
		exit(1);
	}
	return spent;
}

static void time_row(void)
{
	uint64_t steps = 64;
	double ns;

	while ((ns = measure(1, steps)) * (double)steps < BATCH_NS / 4)
		steps *= 2;
	steps = (uint64_t)(BATCH_NS / ns) + 1;
	printf("%s|%u|", row->name, row->ncalls);
	for (unsigned b = 0; b < BATCHES; b++)
		printf("%s%.2f", b ? " " : "", measure(steps / 8 + 1, steps));
	printf("\n");
	fflush(stdout);
}

static void make_files(void)
{
	static const char text[8192];
	char name[64];

	FUZZ_CHECK(vfs_mkdir(vfs_boot_task(), LINUX_AT_FDCWD, "/tmp/d", 0755) == 0);
	FUZZ_CHECK(vfs_mkdir(vfs_boot_task(), LINUX_AT_FDCWD, "/tmp/many", 0755) == 0);
	FUZZ_CHECK(vfs_symlink(vfs_boot_task(), "file", LINUX_AT_FDCWD, "/tmp/d/link") == 0);
	world_write_file("/tmp/d/file", text, sizeof(text), 0644);
	for (unsigned i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "/tmp/many/a-file-of-many-%u", i);
		world_write_file(name, "x", 1, 0644);
	}
}

int main(int argc, char **argv)
{
	uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 0; /* 0: a name, or nothing */
	int names = steps != 0 ? 2 : 1;

	world_init(true);
	make_files();
	for (row = rows; row < rows + ARRAY_LEN(rows); row++) {
		bool named = argc == names;

		for (int i = names; i < argc && !named; i++)
			named = strcmp(argv[i], row->name) == 0;
		if (!named)
			continue;
		if (steps != 0)
			measure(20, steps);
		else
			time_row();
	}
	return 0;
}
