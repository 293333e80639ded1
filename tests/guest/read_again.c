/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are read again and again, until their contents may be mapped for the reading thread: whatever happens to the file, its
 * descriptors and the threads meanwhile, a read gives what the file holds.
 * covers: read pread64 readv preadv
 */
#include "large.h"

#include <pthread.h>
#include <sys/uio.h>

static int file(uint8_t *b, const char *name, size_t n, unsigned salt)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600));

	fill(b, n, salt);
	CHECK_EQ(write(fd, b, n), (ssize_t)n);
	return fd;
}

/* Whole file, in pieces: as often as it takes. */
static void warm(int fd, uint8_t *b, size_t n, size_t piece, unsigned salt)
{
	for (size_t all = 0; all < 12 * n + 2 * SIZE; all += n) {
		memset(b, 0xee, n);
		for (size_t at = 0; at < n; at += piece) {
			size_t part = n - at < piece ? n - at : piece;

			CHECK_EQ(pread(fd, b + at, piece, (off_t)at), (ssize_t)part);
		}
		CHECK(is(b, 0, n, salt));
	}
}

TEST_ALONE(small_pieces)
{
	uint8_t *b = buffer(), byte;
	int fd;

	t_scratch();
	fd = file(b, "f", 100003, 1);
	warm(fd, b, 100003, 4096, 1);
	for (off_t at = 0; at < 100003; at += 97) {
		CHECK_EQ(pread(fd, &byte, 1, at), 1);
		CHECK_EQ(byte, pattern((size_t)at, 1));
	}
	for (size_t n = 1; n < 9000; n += 61) {
		memset(b, 0xee, 9001);
		CHECK_EQ(pread(fd, b, n, 4090), (ssize_t)n);
		CHECK(is(b, 4090, n, 1));
		CHECK_EQ(b[n], 0xee);
	}
	CHECK_EQ(pread(fd, b, 4096, 100000), 3);
	CHECK_EQ(pread(fd, b, 4096, 100003), 0);
}

TEST_ALONE(it_grows)
{
	uint8_t *b = buffer(), more[5000];
	size_t n = SIZE / 2;
	int fd, end;

	t_scratch();
	fd = file(b, "f", n, 1);
	end = MUST(open("f", O_WRONLY | O_APPEND));
	for (int i = 0; i < 40; i++) {
		for (int j = 0; j < 10; j++) {
			CHECK_EQ(pread(fd, b, 2 * SIZE, 0), (ssize_t)n);
			CHECK(is(b, 0, n, 1));
		}
		for (size_t j = 0; j < sizeof(more); j++)
			more[j] = pattern(n + j, 1);
		CHECK_EQ(write(end, more, sizeof(more)), (ssize_t)sizeof(more));
		n += sizeof(more);
	}
}

TEST_ALONE(holes_come)
{
	uint8_t *b = buffer();
	int fd;

	t_scratch();
	fd = file(b, "f", SIZE, 1);
	warm(fd, b, SIZE, SIZE, 1);
	CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 65536));
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
		CHECK(is(b, 0, 8192, 1) && is(b + 8192 + 65536, 8192 + 65536, SIZE - 8192 - 65536, 1));
		for (int j = 8192; j < 8192 + 65536; j++)
			if (b[j] != 0)
				CHECK_EQ(b[j], 0);
	}
	fill(b, SIZE, 2);
	CHECK_EQ(pwrite(fd, b, SIZE, 0), SIZE);
	warm(fd, b, SIZE, SIZE, 2);
}

TEST_ALONE(other_names)
{
	uint8_t *b = buffer();
	int fd, other;

	t_scratch();
	fd = file(b, "f", SIZE, 1);
	warm(fd, b, SIZE, SIZE, 1);
	other = file(b, "g", SIZE, 2);
	CHECK_OK(rename("g", "f"));
	warm(fd, b, SIZE, SIZE, 1);
	warm(other, b, SIZE, SIZE, 2);
	CHECK_OK(close(other));
	other = MUST(open("f", O_RDONLY));
	warm(other, b, SIZE, SIZE, 2);
	CHECK_OK(unlink("f"));
	warm(other, b, SIZE, SIZE, 2);
	CHECK_OK(close(fd));
	warm(other, b, SIZE, SIZE, 2);
	CHECK_OK(close(other));
	/* Two that are read in turns. */
	fd = file(b, "f", SIZE, 3);
	other = file(b, "g", SIZE, 4);
	for (int i = 0; i < 40; i++) {
		CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
		CHECK(is(b, 0, SIZE, 3));
		CHECK_EQ(pread(other, b, SIZE, 0), SIZE);
		CHECK(is(b, 0, SIZE, 4));
	}
}

TEST_ALONE(a_large_one)
{
	const size_t size = 34 * SIZE;
	uint8_t *b = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	CHECK(b != MAP_FAILED);
	t_scratch();
	fd = file(b, "f", size, 1);
	for (int i = 0; i < 3; i++) {
		memset(b, 0xee, size);
		CHECK_EQ(pread(fd, b, size, 0), (ssize_t)size);
		CHECK(is(b, 0, size, 1));
	}
	CHECK_OK(ftruncate(fd, 6 * SIZE));
	for (int i = 0; i < 4; i++) {
		memset(b, 0xee, 6 * SIZE);
		CHECK_EQ(pread(fd, b, size, 0), 6 * SIZE);
		CHECK(is(b, 0, 6 * SIZE, 1));
	}
}

TEST_ALONE(into_what_is_written_twice)
{
	uint8_t *b = buffer();
	struct iovec v[3];
	int fd;

	t_scratch();
	fd = file(b, "f", SIZE, 1);
	warm(fd, b, SIZE, SIZE, 1);
	/* The later range wins. */
	v[0] = (struct iovec){b, 100000};
	v[1] = (struct iovec){b + 5000, 50000};
	v[2] = (struct iovec){b, 16};
	CHECK_EQ(preadv(fd, v, 3, 0), 150016);
	CHECK(is(b, 150000, 16, 1) && is(b + 16, 16, 4984, 1) && is(b + 5000, 100000, 50000, 1) && is(b + 55000, 55000, 45000, 1));
	/* The array goes with it. */
	memcpy(b, v, sizeof(v));
	CHECK_EQ(preadv(fd, (struct iovec *)b, 3, 0), 150016);
	CHECK(is(b, 150000, 16, 1) && is(b + 5000, 100000, 50000, 1));
}

TEST_ALONE(into_other_memory)
{
	uint8_t *b = buffer(), *shared, *mapped;
	int fd, other;

	t_scratch();
	fd = file(b, "f", SIZE, 1);
	other = file(b, "g", SIZE, 2);
	warm(fd, b, SIZE, SIZE, 1);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	CHECK(shared != MAP_FAILED && mapped != MAP_FAILED);
	CHECK_EQ(pread(fd, shared, SIZE, 0), SIZE);
	CHECK(is(shared, 0, SIZE, 1));
	CHECK_EQ(pread(fd, mapped, SIZE, 0), SIZE);
	warm(other, b, SIZE, SIZE, 1);
	CHECK_OK(munmap(mapped, SIZE));
	/* Into a mapping of itself, behind its end, and where there is nothing. */
	mapped = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(mapped != MAP_FAILED);
	CHECK_EQ(pread(fd, mapped, SIZE, 0), SIZE);
	warm(fd, b, SIZE, SIZE, 1);
	CHECK_ERR(pread(fd, mapped + SIZE, 4096, 0), EFAULT);
	CHECK_ERR(pread(fd, t_null, SIZE, 0), EFAULT);
	warm(fd, b, SIZE, SIZE, 1);
}

TEST_ALONE(children)
{
	uint8_t *b = buffer();
	int fd, status;
	pid_t pid;

	t_scratch();
	fd = file(b, "f", SIZE, 1);
	warm(fd, b, SIZE, SIZE, 1);
	for (int i = 0; i < 3; i++) {
		pid = t_fork();
		if (pid == 0) {
			if (i != 0)
				warm(fd, b, SIZE, SIZE, 1);
			CHECK_OK(close(fd));
			warm(file(b, "g", SIZE, 5), b, SIZE, SIZE, 5);
			_exit(0);
		}
		warm(fd, b, SIZE, SIZE, 1);
		t_reap(pid);
	}
	/* It has its own table, and its parent's memory. */
	for (int i = 0; i < 20; i++) {
		pid = vfork();
		if (pid == 0) {
			if (pread(fd, b, SIZE, 0) != SIZE || close(fd) != 0)
				_exit(1);
			if (i % 2 == 1)
				execl("/nowhere", "nowhere", (char *)NULL);
			_exit(0);
		}
		CHECK(pid > 0);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		CHECK(is(b, 0, SIZE, 1));
		memset(b, 0xee, SIZE);
		CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
		CHECK(is(b, 0, SIZE, 1));
	}
}

TEST_ALONE(without_its_rights)
{
	uint8_t *b = buffer();
	int fd;
	pid_t pid;

	t_need_root();
	t_scratch();
	fd = file(b, "f", SIZE, 1);
	pid = t_fork();
	if (pid == 0) {
		warm(fd, b, SIZE, SIZE, 1);
		t_become_nobody();
		CHECK_ERR(open("f", O_RDONLY), EACCES);
		warm(fd, b, SIZE, SIZE, 1);
		_exit(0);
	}
	t_reap(pid);
}

/* ---- several threads ---- */

static volatile bool over;
static int common;

/* Each byte is the file's as it was at some time: one of two patterns, or zero. */
static void *reads(void *arg)
{
	uint8_t *b = buffer();

	(void)arg;
	while (!over) {
		ssize_t n = pread(common, b, SIZE, 0);

		CHECK(n >= 0 && n <= SIZE);
		for (ssize_t i = 0; i < n; i++)
			if (b[i] != 0 && b[i] != pattern((size_t)i, 1) && b[i] != pattern((size_t)i, 2))
				CHECK_EQ(b[i], pattern((size_t)i, 1));
	}
	munmap(b, 4 * SIZE);
	return NULL;
}

static void with_readers(void (*changes)(int fd, uint8_t *b))
{
	uint8_t *b = buffer();
	pthread_t t[2];

	t_scratch();
	common = file(b, "f", SIZE, 1);
	over = false;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, reads, NULL), 0);
	for (int i = 0; i < 40; i++) {
		for (int j = 0; j < 5; j++)
			CHECK(pread(common, b, SIZE, 0) >= 0);
		changes(common, b);
	}
	over = true;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

static void writes(int fd, uint8_t *b)
{
	static unsigned salt;

	fill(b, SIZE, 1 + ++salt % 2);
	CHECK_EQ(pwrite(fd, b, SIZE, 0), SIZE);
}

static void cuts(int fd, uint8_t *b)
{
	CHECK_OK(ftruncate(fd, 12345));
	CHECK_OK(ftruncate(fd, 0));
	fill(b, SIZE, 1);
	CHECK_EQ(pwrite(fd, b, SIZE, 0), SIZE);
}

static void punches(int fd, uint8_t *b)
{
	CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, SIZE - 10000));
	writes(fd, b);
}

static void forks(int fd, uint8_t *b)
{
	pid_t pid = t_fork();

	(void)b;
	if (pid == 0) {
		over = true;
		for (int i = 0; i < 3; i++)
			CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
		_exit(0);
	}
	t_reap(pid);
}

TEST_ALONE(written_while_read)
{
	with_readers(writes);
}

TEST_ALONE(cut_while_read)
{
	with_readers(cuts);
}

TEST_ALONE(punched_while_read)
{
	with_readers(punches);
}

TEST_ALONE(forked_while_read)
{
	with_readers(forks);
}

static void *comes_and_goes(void *arg)
{
	uint8_t *b = buffer();
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "t%ld", (long)(intptr_t)arg);
	fd = file(b, name, SIZE, (unsigned)(intptr_t)arg);
	warm(fd, b, SIZE, SIZE, (unsigned)(intptr_t)arg);
	warm(common, b, SIZE, 65536, 1);
	if ((intptr_t)arg % 2)
		CHECK_OK(close(fd));
	munmap(b, 4 * SIZE);
	return NULL;
}

TEST_ALONE(threads_come_and_go)
{
	uint8_t *b = buffer();
	pthread_t t[3];

	t_scratch();
	common = file(b, "f", SIZE, 1);
	for (int i = 0; i < 4; i++) {
		for (intptr_t j = 0; j < 3; j++)
			CHECK_EQ(pthread_create(&t[j], NULL, comes_and_goes, (void *)(10 * i + j)), 0);
		warm(common, b, SIZE, SIZE, 1);
		for (int j = 0; j < 3; j++)
			CHECK_EQ(pthread_join(t[j], NULL), 0);
	}
}

/* Another thread closes what one has just read: what it got is whole. */
static volatile int opened = -1;

static void *closes(void *arg)
{
	(void)arg;
	while (!over) {
		int fd = __atomic_exchange_n(&opened, -1, __ATOMIC_SEQ_CST);

		if (fd >= 0)
			CHECK_OK(close(fd));
	}
	return NULL;
}

TEST_ALONE(closed_by_another)
{
	uint8_t *b = buffer();
	pthread_t t;

	t_scratch();
	over = false;
	CHECK_EQ(pthread_create(&t, NULL, closes, NULL), 0);
	for (int i = 0; i < 20; i++) {
		int fd = file(b, "f", SIZE, 1);

		CHECK_OK(unlink("f"));
		warm(fd, b, SIZE, SIZE, 1);
		memset(b, 0xee, SIZE);
		opened = fd;
		ssize_t n = pread(fd, b, SIZE, 0);
		if (n < 0)
			CHECK_EQ(errno, EBADF);
		else
			CHECK(n == SIZE && is(b, 0, SIZE, 1));
		while (opened >= 0)
			sched_yield();
	}
	over = true;
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static volatile unsigned ticks;

static void on_tick(void)
{
	ticks = ticks + 1;
}

TEST_ALONE(signals_meanwhile)
{
	uint8_t *b = buffer();
	int fd;

	t_scratch();
	fd = file(b, "f", SIZE, 1);
	warm(fd, b, SIZE, SIZE, 1);
	t_tick(SA_RESTART, on_tick);
	for (int i = 0; i < 100 || ticks < 3; i++) {
		memset(b, 0xee, SIZE);
		CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
		CHECK(is(b, 0, SIZE, 1));
	}
	t_tick_stop();
}
