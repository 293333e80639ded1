/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory mappings: anonymous, of files, shared and private; protections, moves, advice.
 * covers: mmap munmap mprotect mremap brk madvise msync mincore mlock mlock2 munlock mlockall munlockall
 */
#include "t.h"

#include <linux/mman.h>
#include <setjmp.h>
#include <sys/resource.h>

#define PAGE 4096ul

static sigjmp_buf escape;
static volatile sig_atomic_t fault_signal, fault_code;
static void *volatile fault_address;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	(void)context;
	fault_signal = signal;
	fault_code = info->si_code;
	fault_address = info->si_addr;
	siglongjmp(escape, 1);
}

/* The signal that touching an address raises, 0 for none. */
static int touch(volatile char *p, bool write)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER}, old[2];

	fault_signal = 0;
	CHECK_OK(sigaction(SIGSEGV, &action, &old[0]));
	CHECK_OK(sigaction(SIGBUS, &action, &old[1]));
	if (sigsetjmp(escape, 1) == 0) {
		if (write)
			*p = 42;
		else
			(void)*p;
	}
	CHECK_OK(sigaction(SIGSEGV, &old[0], NULL));
	CHECK_OK(sigaction(SIGBUS, &old[1], NULL));
	return fault_signal;
}

#define CAN_READ(p) (touch((char *)(p), false) == 0)
#define CAN_WRITE(p) (touch((char *)(p), true) == 0)

static char *map(size_t length, int protection)
{
	return MUST(mmap(NULL, length, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* A file of `pages` pages; byte i of page p is p * 16 + i % 13. */
static int new_file(int pages)
{
	int fd;
	char page[PAGE];

	t_scratch();
	fd = MUST(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
	for (int p = 0; p < pages; p++) {
		for (size_t i = 0; i < PAGE; i++)
			page[i] = p * 16 + i % 13;
		CHECK_EQ(write(fd, page, PAGE), PAGE);
	}
	return fd;
}

TEST(anonymous_memory_is_zero_and_writable)
{
	unsigned char *p = (unsigned char *)map(5 * PAGE, PROT_READ | PROT_WRITE);

	CHECK_EQ((uintptr_t)p % PAGE, 0);
	for (size_t i = 0; i < 5 * PAGE; i++)
		CHECK_EQ(p[i], 0);
	memset(p, 0xab, 5 * PAGE);
	CHECK_EQ(p[5 * PAGE - 1], 0xab);
	CHECK_OK(munmap(p, 5 * PAGE));
	CHECK(!CAN_READ(p));
}

TEST(arguments_of_mmap_are_checked)
{
	int fd = new_file(1), reader = MUST(open("file", O_RDONLY)), writer = MUST(open("file", O_WRONLY)), fds[2];
	int dir = MUST(open(".", O_RDONLY)), path = MUST(open("file", O_PATH));

	CHECK_ERR(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0), EBADF);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 9999, 0), EBADF);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, path, 0), EBADF);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1), EINVAL);
	CHECK_ERR(mmap((void *)1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
	CHECK_ERR(mmap(NULL, (size_t)-1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK_ERR(mmap(NULL, 1ul << 48, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0), EACCES);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, writer, 0), EACCES);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, writer, 0), EACCES);
	CHECK_ERR(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, writer, 0), EACCES);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, dir, 0), ENODEV);
	CHECK_OK(pipe(fds));
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fds[0], 0), ENODEV);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0) != MAP_FAILED);
}

TEST(protections_are_enforced)
{
	char *none = map(PAGE, PROT_NONE), *r = map(PAGE, PROT_READ), *rw = map(PAGE, PROT_READ | PROT_WRITE);

	CHECK(!CAN_READ(none) && !CAN_WRITE(none));
	CHECK(CAN_READ(r) && !CAN_WRITE(r));
	CHECK_EQ(fault_signal, SIGSEGV);
	CHECK_EQ(fault_code, SEGV_ACCERR);
	CHECK(fault_address == r);
	CHECK(CAN_READ(rw) && CAN_WRITE(rw));
	CHECK_OK(mprotect(rw, PAGE, PROT_READ));
	CHECK(CAN_READ(rw) && !CAN_WRITE(rw));
	CHECK_EQ(*rw, 42);
	CHECK_OK(mprotect(rw, PAGE, PROT_NONE));
	CHECK(!CAN_READ(rw));
	CHECK_OK(mprotect(rw, PAGE, PROT_READ | PROT_WRITE));
	CHECK(CAN_WRITE(rw));
}

TEST(mprotect_splits_and_checks_its_arguments)
{
	char *p = map(6 * PAGE, PROT_READ | PROT_WRITE);

	CHECK_OK(mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ));
	CHECK(CAN_WRITE(p + PAGE) && !CAN_WRITE(p + 2 * PAGE) && !CAN_WRITE(p + 3 * PAGE) && CAN_WRITE(p + 4 * PAGE));
	CHECK_OK(mprotect(p, 6 * PAGE, PROT_READ | PROT_WRITE));
	CHECK(CAN_WRITE(p + 3 * PAGE));
	CHECK_OK(mprotect(p, 0, PROT_READ));
	CHECK(CAN_WRITE(p));
	CHECK_ERR(mprotect(p + 1, PAGE, PROT_READ), EINVAL);
	CHECK_ERR(mprotect(p, PAGE, 0x100), EINVAL);
	CHECK_ERR(mprotect(p, PAGE, PROT_GROWSDOWN | PROT_GROWSUP), EINVAL);
	CHECK_OK(munmap(p + 3 * PAGE, PAGE));
	CHECK_ERR(mprotect(p, 6 * PAGE, PROT_READ), ENOMEM);
	CHECK(!CAN_WRITE(p));
	CHECK(!CAN_WRITE(p + 2 * PAGE));
	CHECK(CAN_WRITE(p + 4 * PAGE));
	CHECK_ERR(mprotect((void *)0, PAGE, PROT_READ), ENOMEM);
}

TEST(munmap_makes_holes_and_ignores_unmapped_parts)
{
	char *p = map(8 * PAGE, PROT_READ | PROT_WRITE);

	for (int i = 0; i < 8; i++)
		p[i * PAGE] = i;
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_OK(munmap(p + 5 * PAGE, 2 * PAGE));
	CHECK(CAN_READ(p) && !CAN_READ(p + PAGE) && CAN_READ(p + 4 * PAGE) && !CAN_READ(p + 6 * PAGE));
	CHECK_EQ(p[7 * PAGE], 7);
	CHECK_EQ(p[2 * PAGE], 2);
	CHECK_OK(munmap(p, 8 * PAGE));
	CHECK_OK(munmap(p, 8 * PAGE));
	CHECK(!CAN_READ(p + 7 * PAGE));
	CHECK_ERR(munmap(p, 0), EINVAL);
	CHECK_ERR(munmap(p + 1, PAGE), EINVAL);
	CHECK_ERR(munmap((void *)0xffff888000000000, PAGE), EINVAL);
}

TEST(fixed_replaces_and_noreplace_refuses)
{
	char *p = map(4 * PAGE, PROT_READ | PROT_WRITE);
	const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;

	memset(p, 1, 4 * PAGE);
	CHECK(mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, anonymous | MAP_FIXED, -1, 0) == p + PAGE);
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(p[0], 1);
	CHECK_EQ(p[2 * PAGE], 1);
	CHECK_ERR(mmap(p + PAGE, PAGE, PROT_READ, anonymous | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK(mmap(p + PAGE, PAGE, PROT_READ, anonymous | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK(mmap(p + PAGE, PAGE, PROT_READ, anonymous, -1, 0) == p + PAGE);
	CHECK(mmap(p + PAGE, PAGE, PROT_READ, anonymous, -1, 0) != p + PAGE);
}

TEST(a_hint_off_a_page_border_is_rounded)
{
	char *p = map(2 * PAGE, PROT_READ), *q;

	CHECK_OK(munmap(p, 2 * PAGE));
	q = MUST(mmap(p + 5, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK_EQ((uintptr_t)q % PAGE, 0);
}

TEST_ALONE(low_addresses_need_a_capability)
{
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EPERM);
	}
}

TEST(lengths_are_rounded_up_to_pages)
{
	char *p = map(PAGE + 1, PROT_READ | PROT_WRITE);

	CHECK(CAN_WRITE(p + 2 * PAGE - 1));
	CHECK_OK(munmap(p, 1));
	CHECK(!CAN_READ(p + PAGE - 1));
	CHECK(CAN_READ(p + PAGE));
}

TEST(a_private_file_mapping_shows_the_file_and_copies_on_write)
{
	int fd = new_file(3);
	char *p = MUST(mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)), c;

	CHECK_EQ(p[2 * PAGE + 5], 2 * 16 + 5);
	p[10] = 99;
	CHECK_EQ(pread(fd, &c, 1, 10), 1);
	CHECK_EQ(c, 10);
	CHECK_EQ(p[10], 99);
	CHECK_EQ(p[PAGE], 16);
}

TEST(a_shared_file_mapping_is_coherent_with_read_and_write)
{
	int fd = new_file(2);
	char *p = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char *q = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE)), c;

	CHECK_EQ(pwrite(fd, "W", 1, 100), 1);
	CHECK_EQ(p[100], 'W');
	p[200] = 'M';
	CHECK_EQ(pread(fd, &c, 1, 200), 1);
	CHECK_EQ(c, 'M');
	p[PAGE + 7] = 'S';
	CHECK_EQ(q[7], 'S');
	CHECK_OK(close(fd));
	p[PAGE + 8] = 'T';
	CHECK_EQ(q[8], 'T');
	CHECK_OK(munmap(p, 2 * PAGE));
	fd = MUST(open("file", O_RDONLY));
	CHECK_EQ(pread(fd, &c, 1, PAGE + 8), 1);
	CHECK_EQ(c, 'T');
}

TEST(a_read_only_shared_mapping_sees_writes_by_others)
{
	int fd = new_file(1), reader = MUST(open("file", O_RDONLY));
	char *p = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0));

	CHECK_EQ(p[0], 0);
	CHECK_EQ(pwrite(fd, "now", 3, 0), 3);
	CHECK_MEM(p, "now", 3);
	CHECK_ERR(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
	CHECK(!CAN_WRITE(p));
}

TEST(an_untouched_private_page_follows_the_file)
{
	int fd = new_file(1);
	char *p = MUST(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));

	CHECK_EQ(pwrite(fd, "x", 1, 50), 1);
	CHECK_EQ(p[50], 'x');
}

TEST(past_the_end_of_the_file_there_is_sigbus)
{
	int fd = new_file(1);
	char *p;

	CHECK_OK(ftruncate(fd, PAGE + 100));
	p = MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK(CAN_READ(p + PAGE + 99));
	CHECK_EQ(p[PAGE + 500], 0);
	CHECK_EQ(touch(p + 2 * PAGE, false), SIGBUS);
	CHECK_EQ(fault_code, BUS_ADRERR);
	CHECK(fault_address == p + 2 * PAGE);
	CHECK_OK(ftruncate(fd, 3 * PAGE));
	CHECK(CAN_READ(p + 2 * PAGE));
	CHECK_EQ(touch(p + 3 * PAGE, true), SIGBUS);
	CHECK_OK(ftruncate(fd, 0));
	CHECK_EQ(touch(p, false), SIGBUS);
	CHECK_OK(ftruncate(fd, 10));
	CHECK_EQ(touch(p, false), 0);
	CHECK_EQ(p[0], 0);
}

TEST(truncation_zeroes_the_rest_of_the_last_page)
{
	int fd = new_file(1);
	char *p = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));

	CHECK(p[100] != 0);
	CHECK_OK(ftruncate(fd, 100));
	CHECK_EQ(p[100], 0);
	CHECK_EQ(p[99], 99 % 13);
}

TEST(system_calls_on_memory_past_the_end_of_a_file_give_efault)
{
	int fd = new_file(1), null = MUST(open("/dev/zero", O_RDONLY)), pipes[2];
	char *p = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));

	CHECK_OK(pipe(pipes));
	CHECK_ERR(read(null, p + PAGE, 10), EFAULT);
	CHECK_ERR(write(pipes[1], p + PAGE, 10), EFAULT);
}

TEST(an_unlinked_file_stays_mapped)
{
	int fd = new_file(1);
	char *p = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));

	CHECK_OK(unlink("file"));
	CHECK_OK(close(fd));
	CHECK_EQ(p[20], 20 % 13);
	p[20] = 1;
	CHECK_EQ(p[20], 1);
}

TEST_ALONE(shared_mappings_are_shared_over_fork_and_private_ones_are_not)
{
	int fd = new_file(1);
	char *shared = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char *private = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	char *anonymous = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

	private[1] = 1;
	IN_CHILD() {
		shared[0] = 77;
		private[1] = 77;
		anonymous[0] = 77;
	}
	CHECK_EQ(shared[0], 77);
	CHECK_EQ(private[0], 0); /* its page was copied before */
	CHECK_EQ(private[1], 1);
	CHECK_EQ(anonymous[0], 77);
}

TEST(code_written_into_memory_runs)
{
	static const unsigned char code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
	char *p = map(PAGE, PROT_READ | PROT_WRITE);

	memcpy(p, code, sizeof code);
	CHECK_OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	CHECK_EQ(((int (*)(void))(uintptr_t)p)(), 42);
	p = map(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy(p, code, sizeof code);
	p[1] = 43;
	CHECK_EQ(((int (*)(void))(uintptr_t)p)(), 43);
}

TEST(huge_reservations_cost_nothing)
{
	size_t size = 64ul << 30;
	char *p = MUST(mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));

	CHECK_OK(mprotect(p + (32ul << 30), 16 * PAGE, PROT_READ | PROT_WRITE));
	CHECK(CAN_WRITE(p + (32ul << 30) + 5));
	CHECK(!CAN_READ(p));
	CHECK_OK(munmap(p, size));
	p = MUST(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	CHECK(CAN_WRITE(p + size - 1));
	CHECK_OK(munmap(p, size));
}

TEST(mremap_grows_shrinks_and_moves)
{
	char *p = map(8 * PAGE, PROT_READ | PROT_WRITE), *q;

	CHECK_OK(munmap(p + 3 * PAGE, 5 * PAGE));
	p[0] = 1, p[PAGE] = 2, p[2 * PAGE] = 3;
	CHECK(mremap(p, 3 * PAGE, 2 * PAGE, 0) == p);
	CHECK(!CAN_READ(p + 2 * PAGE));
	CHECK(mremap(p, 2 * PAGE, 3 * PAGE, 0) == p);
	CHECK_EQ(p[2 * PAGE], 0);
	CHECK(mmap(p + 3 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 3 * PAGE);
	CHECK_ERR(mremap(p, 3 * PAGE, 5 * PAGE, 0), ENOMEM);
	q = MUST(mremap(p, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE));
	CHECK(q != p);
	CHECK_EQ(q[0], 1);
	CHECK_EQ(q[PAGE], 2);
	CHECK_EQ(q[4 * PAGE], 0);
	CHECK(!CAN_READ(p));
}

TEST(mremap_moves_to_a_fixed_place)
{
	char *p = map(2 * PAGE, PROT_READ | PROT_WRITE), *target = map(4 * PAGE, PROT_READ);

	p[0] = 9;
	CHECK(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE) == target + PAGE);
	CHECK_EQ(target[PAGE], 9);
	CHECK(CAN_WRITE(target + PAGE) && !CAN_WRITE(target) && !CAN_WRITE(target + 3 * PAGE));
	CHECK(!CAN_READ(p));
	p = target + PAGE;
	CHECK(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP) != MAP_FAILED);
	CHECK(CAN_READ(p));
	CHECK_EQ(p[0], 0);
}

TEST(mremap_checks_its_arguments)
{
	char *p = map(4 * PAGE, PROT_READ | PROT_WRITE);

	CHECK_ERR(mremap(p + 1, PAGE, PAGE, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERR(mremap(p, PAGE, 0, MREMAP_MAYMOVE), EINVAL);
	CHECK_ERR(mremap(p, PAGE, PAGE, 0x100), EINVAL);
	CHECK_ERR(mremap(p, PAGE, PAGE, MREMAP_FIXED, p + PAGE), EINVAL);
	CHECK_ERR(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE), EINVAL);
	CHECK_ERR(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 1), EINVAL);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(mremap(p + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_ERR(mremap(p, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_ERR(mremap(p, 0, PAGE, MREMAP_MAYMOVE), EINVAL);
}

TEST(mremap_of_old_size_0_duplicates_a_shared_mapping)
{
	char *p = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)), *q;

	q = MUST(mremap(p, 0, PAGE, MREMAP_MAYMOVE));
	CHECK(q != p);
	p[3] = 33;
	CHECK_EQ(q[3], 33);
}

TEST(a_moved_file_mapping_keeps_its_offset)
{
	int fd = new_file(4);
	char *p = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE)), *q;

	q = MUST(mremap(p, PAGE, 3 * PAGE, MREMAP_MAYMOVE));
	CHECK_EQ(q[1], 16 + 1);
	CHECK_EQ(q[2 * PAGE + 1], 48 + 1);
	q[2 * PAGE] = 'k';
	char c;
	CHECK_EQ(pread(fd, &c, 1, 3 * PAGE), 1);
	CHECK_EQ(c, 'k');
}

TEST_ALONE(brk_moves_the_break_and_failure_returns_the_old_one)
{
	char *start = (char *)syscall(SYS_brk, 0), *end;

	CHECK(start != NULL);
	end = (char *)syscall(SYS_brk, start + 10 * PAGE);
	CHECK(end == start + 10 * PAGE);
	CHECK_EQ(end[-1], 0);
	end[-1] = 5;
	CHECK((char *)syscall(SYS_brk, start + PAGE) == start + PAGE);
	CHECK((char *)syscall(SYS_brk, start + 10 * PAGE) == end);
	CHECK_EQ(end[-1], 0);
	CHECK((char *)syscall(SYS_brk, start + 10 * PAGE + 100) == end + 100);
	CHECK((char *)syscall(SYS_brk, 1) == end + 100);
	CHECK((char *)syscall(SYS_brk, 1ul << 50) == end + 100);
	CHECK(mmap(end + 4 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == end + 4 * PAGE);
	CHECK((char *)syscall(SYS_brk, end + 8 * PAGE) == end + 100);
	struct rlimit limit = {0, RLIM_INFINITY};
	CHECK_OK(setrlimit(RLIMIT_DATA, &limit));
	CHECK((char *)syscall(SYS_brk, end + 2 * PAGE) == end + 100);
}

TEST(madvise_dontneed_drops_anonymous_pages_and_rereads_files)
{
	char *p = map(3 * PAGE, PROT_READ | PROT_WRITE), *q;
	int fd;

	memset(p, 7, 3 * PAGE);
	CHECK_OK(madvise(p + PAGE, PAGE, MADV_DONTNEED));
	CHECK_EQ(p[0], 7);
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(p[2 * PAGE], 7);
	fd = new_file(1);
	q = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	q[3] = 99;
	CHECK_OK(madvise(q, PAGE, MADV_DONTNEED));
	CHECK_EQ(q[3], 3);
}

TEST(madvise_knows_its_advice_and_checks_ranges)
{
	static const int fine[] = {MADV_NORMAL,  MADV_RANDOM,        MADV_SEQUENTIAL,    MADV_WILLNEED, MADV_FREE,
				   MADV_DODUMP,  MADV_DONTDUMP,      MADV_DONTFORK,      MADV_DOFORK,   MADV_COLD,
				   MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE};
	char *p = map(4 * PAGE, PROT_READ | PROT_WRITE);

	for (size_t i = 0; i < T_COUNT(fine); i++)
		CHECK_OK(madvise(p, 4 * PAGE, fine[i]));
	CHECK_OK(madvise(p, 0, MADV_NORMAL));
	CHECK_ERR(madvise(p, PAGE, 9999), EINVAL);
	CHECK_ERR(madvise(p + 1, PAGE, MADV_NORMAL), EINVAL);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(madvise(p, 4 * PAGE, MADV_DONTNEED), ENOMEM);
	CHECK_ERR(madvise(p + PAGE, PAGE, MADV_NORMAL), ENOMEM);
	CHECK_ERR(madvise(p + PAGE, PAGE, MADV_POPULATE_READ), ENOMEM);
}

TEST(madvise_remove_punches_a_hole_into_a_shared_file)
{
	int fd = MUST(memfd_create("hole", 0));
	char *p, c = 9;

	CHECK_OK(ftruncate(fd, 2 * PAGE));
	p = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	memset(p, 3, 2 * PAGE);
	CHECK_OK(madvise(p, PAGE, MADV_REMOVE));
	CHECK_EQ(p[0], 0);
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	CHECK_EQ(c, 0);
	CHECK_EQ(p[PAGE], 3);
}

TEST(msync_checks_flags_and_range)
{
	int fd = new_file(2);
	char *p = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));

	p[0] = 1;
	CHECK_OK(msync(p, 2 * PAGE, MS_SYNC));
	CHECK_OK(msync(p, PAGE, MS_ASYNC));
	CHECK_OK(msync(p, PAGE, MS_INVALIDATE));
	CHECK_OK(msync(p, 0, MS_SYNC));
	CHECK_ERR(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	CHECK_ERR(msync(p, PAGE, 0x100), EINVAL);
	CHECK_ERR(msync(p + 1, PAGE, MS_SYNC), EINVAL);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(msync(p, 2 * PAGE, MS_SYNC), ENOMEM);
}

TEST(mincore_tells_resident_pages)
{
	unsigned char vec[4] = {9, 9, 9, 9};
	char *p = map(3 * PAGE, PROT_READ | PROT_WRITE);

	p[PAGE] = 1;
	CHECK_OK(mincore(p, 3 * PAGE, vec));
	CHECK_EQ(vec[1] & 1, 1);
	CHECK_EQ(vec[0] & 1, 0);
	CHECK_EQ(vec[3], 9);
	CHECK_ERR(mincore(p + 1, PAGE, vec), EINVAL);
	CHECK_ERR(syscall(SYS_mincore, p, PAGE, t_bad), EFAULT);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(mincore(p, 3 * PAGE, vec), ENOMEM);
}

TEST_ALONE(the_mlock_family_obeys_limit_and_range)
{
	char *p = map(8 * PAGE, PROT_READ | PROT_WRITE);
	struct rlimit limit = {2 * PAGE, 2 * PAGE}, none = {0, 0};

	CHECK_OK(mlock(p, PAGE));
	CHECK_OK(munlock(p, PAGE));
	CHECK_OK(syscall(SYS_mlock2, p, PAGE, MLOCK_ONFAULT));
	CHECK_ERR(syscall(SYS_mlock2, p, PAGE, 2), EINVAL);
	CHECK_ERR(mlockall(0), EINVAL);
	CHECK_ERR(mlockall(64), EINVAL);
	CHECK_ERR(mlockall(MCL_ONFAULT), EINVAL);
	CHECK_OK(munlockall());
	CHECK_OK(munmap(p + 4 * PAGE, PAGE));
	CHECK_ERR(munlock(p + 3 * PAGE, 3 * PAGE), ENOMEM);
	pid_t pid = t_fork();
	if (pid == 0) {
		CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
		t_become_nobody();
		CHECK_OK(mlock(p, PAGE));
		CHECK_OK(mlock(p, 2 * PAGE));
		CHECK_ERR(mlock(p, 3 * PAGE), ENOMEM);
		CHECK_ERR(mlockall(MCL_CURRENT), ENOMEM);
		CHECK_OK(munlockall());
		CHECK_OK(setrlimit(RLIMIT_MEMLOCK, &none));
		CHECK_ERR(mlock(p, PAGE), EPERM);
		CHECK_ERR(mlockall(MCL_CURRENT), EPERM);
		_exit(0);
	}
	t_reap(pid);
}

TEST_ALONE(the_address_space_limit_gives_enomem)
{
	struct rlimit limit = {256ul << 20, RLIM_INFINITY};

	CHECK_OK(setrlimit(RLIMIT_AS, &limit));
	CHECK_ERR(mmap(NULL, 300ul << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

TEST(a_growsdown_mapping_grows_when_touched_below)
{
	char *room = map(64 * PAGE, PROT_NONE), *p;

	CHECK_OK(munmap(room, 64 * PAGE));
	p = mmap(room + 60 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	CHECK(p == room + 60 * PAGE);
	CHECK(CAN_WRITE(p));
	CHECK(CAN_WRITE(p - 8));
	CHECK(CAN_WRITE(p - PAGE - 8));
}

TEST(the_main_stack_grows_by_itself)
{
	volatile char *deep = (char *)__builtin_frame_address(0) - (4 << 20);

	*deep = 3;
	CHECK_EQ(*deep, 3);
}

TEST(a_noexec_page_is_not_executed)
{
	char *p = map(PAGE, PROT_READ | PROT_WRITE);
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	*p = (char)0xc3;
	CHECK_OK(sigaction(SIGSEGV, &action, NULL));
	fault_signal = 0;
	if (sigsetjmp(escape, 1) == 0)
		((void (*)(void))(uintptr_t)p)();
	signal(SIGSEGV, SIG_DFL);
	CHECK_EQ(fault_signal, SIGSEGV);
}

TEST(dev_zero_can_be_mapped)
{
	int fd = MUST(open("/dev/zero", O_RDWR));
	char *p = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));

	CHECK_EQ(p[100], 0);
	CHECK(CAN_WRITE(p));
}

TEST(thousands_of_small_mappings_work)
{
	enum { COUNT = 2000 };
	static char *p[COUNT];

	for (int i = 0; i < COUNT; i++) {
		p[i] = map(PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
		if (i % 2 == 0)
			*p[i] = i;
	}
	for (int i = 0; i < COUNT; i++) {
		CHECK_EQ(*p[i], i % 2 ? 0 : (char)i);
		CHECK_OK(munmap(p[i], PAGE));
	}
}

TEST(map_populate_and_locked_and_stack_flags_are_accepted)
{
	int flags[] = {MAP_POPULATE, MAP_STACK, MAP_NORESERVE, MAP_32BIT, MAP_DENYWRITE, MAP_LOCKED};

	for (size_t i = 0; i < T_COUNT(flags); i++) {
		char *p = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags[i], -1, 0));

		CHECK(CAN_WRITE(p));
		if (flags[i] == MAP_32BIT)
			CHECK((uintptr_t)p < 1ul << 31);
		CHECK_OK(munmap(p, PAGE));
	}
}

TEST(shared_validate_refuses_unknown_flags)
{
	int fd = new_file(1);

	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0) != MAP_FAILED);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | (1 << 24), fd, 0), EOPNOTSUPP);
}
