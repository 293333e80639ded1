/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large reads of a file, again and again: what they give is the file as it is now, as far as
 * it goes, and nothing but the result and the buffer changes.
 * covers: read pread64 readv preadv
 */
#include "large.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int file(uint8_t *b, const char *name, unsigned salt)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600));

	fill(b, SIZE, salt);
	CHECK_EQ(write(fd, b, SIZE), SIZE);
	return fd;
}

static void warm(int fd, uint8_t *b, unsigned salt)
{
	for (int i = 0; i < TIMES; i++) {
		memset(b, 0xee, SIZE);
		CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
	}
	CHECK(is(b, 0, SIZE, salt));
}

TEST_ALONE(the_file_as_it_is_now)
{
	uint8_t *b = buffer(), byte = 0x42;
	int fd, status;
	pid_t child;

	t_scratch();
	fd = file(b, "f", 1);
	warm(fd, b, 1);
	for (int i = 0; i < 20; i++) {
		off_t at = i * 50000 + 17;

		CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
		CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
		CHECK_EQ(b[at], byte);
		b[at] = pattern((size_t)at, 1);
		CHECK(is(b, 0, SIZE, 1));
		byte = pattern((size_t)at, 1);
		CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
		byte = (uint8_t)(0x42 + i);
	}
	/* Another process writes, and reads what we wrote. */
	child = t_fork();
	if (child == 0) {
		fill(b, SIZE, 2);
		if (pwrite(fd, b, SIZE, 0) != SIZE)
			_exit(1);
		for (int i = 0; i < TIMES; i++)
			if (pread(fd, b, SIZE, 0) != SIZE || !is(b, 0, SIZE, 2))
				_exit(2);
		_exit(0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
	CHECK(is(b, 0, SIZE, 2));
}

TEST_ALONE(as_far_as_it_goes)
{
	uint8_t *b = buffer();
	int fd;

	t_scratch();
	fd = file(b, "f", 1);
	warm(fd, b, 1);
	CHECK_EQ(pread(fd, b, 2 * SIZE, 0), SIZE);
	CHECK_EQ(pread(fd, b, SIZE, SIZE - 100000), 100000);
	CHECK(is(b, SIZE - 100000, 100000, 1));
	CHECK_EQ(pread(fd, b, SIZE, SIZE), 0);
	CHECK_OK(ftruncate(fd, 300001));
	CHECK_EQ(pread(fd, b, SIZE, 0), 300001);
	CHECK(is(b, 0, 300001, 1));
	/* It grows again: zeros, not what was there. */
	CHECK_OK(ftruncate(fd, SIZE + 5));
	CHECK_EQ(pread(fd, b, 2 * SIZE, 0), SIZE + 5);
	CHECK(is(b, 0, 300001, 1));
	for (int i = 300001; i < SIZE + 5; i++)
		if (b[i] != 0)
			CHECK_EQ(b[i], 0);
	/* The position goes along. */
	CHECK_EQ(lseek(fd, 1, SEEK_SET), 1);
	CHECK_EQ(read(fd, b, 200000), 200000);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 200001);
	CHECK(is(b, 1, 200000, 1));
	CHECK_EQ(read(fd, b, 2 * SIZE), SIZE + 5 - 200001);
	CHECK_EQ(read(fd, b, SIZE), 0);
}

TEST_ALONE(into_several_buffers)
{
	uint8_t *b = buffer();
	struct iovec v[3] = {{b, 300000}, {b + 300000, 10}, {b + 300010, 400000}};
	int fd;

	t_scratch();
	fd = file(b, "f", 3);
	for (int i = 0; i < TIMES; i++) {
		memset(b, 0, SIZE);
		CHECK_EQ(preadv(fd, v, 3, 5), 700010);
		CHECK(is(b, 5, 700010, 3));
	}
}

TEST_ALONE(where_it_cant_be_written)
{
	uint8_t *b = buffer();
	int fd;

	t_scratch();
	fd = file(b, "f", 1);
	warm(fd, b, 1);
	CHECK_OK(mprotect(b + SIZE / 2, SIZE, PROT_READ));
	/* Linux says how far it came, by pages. */
	CHECK_EQ(pread(fd, b, SIZE, 0), SIZE / 2);
	CHECK(is(b, 0, SIZE / 2, 1));
	CHECK_ERR(pread(fd, b + SIZE / 2, SIZE / 2, 0), EFAULT);
	CHECK_OK(munmap(b, 4 * SIZE));
	CHECK_ERR(pread(fd, b, SIZE, 0), EFAULT);
}

TEST_ALONE(another_file_with_the_same_number)
{
	uint8_t *b = buffer();
	int fd, other;

	t_scratch();
	fd = file(b, "f", 1);
	warm(fd, b, 1);
	other = file(b, "g", 9);
	CHECK_EQ(dup2(other, fd), fd);
	CHECK_EQ(pread(fd, b, SIZE, 0), SIZE);
	CHECK(is(b, 0, SIZE, 9));
	warm(fd, b, 9);
	CHECK_OK(close(fd));
	CHECK_ERR(pread(fd, b, SIZE, 0), EBADF);
	warm(other, b, 9);
	/* More files than can be kept. */
	for (int i = 0; i < 12; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%d", i);
		warm(file(b, name, (unsigned)i), b, (unsigned)i);
	}
	warm(other, b, 9);
}

/* A thread takes the buffer away meanwhile: any result, no harm. */
static volatile bool over;
static uint8_t *shared_buffer;

static void *maps(void *arg)
{
	(void)arg;
	while (!over)
		if (mmap(shared_buffer + SIZE / 2, SIZE / 2, over ? PROT_READ : PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
		    munmap(shared_buffer + SIZE / 2, SIZE / 2) != 0)
			break;
	return NULL;
}

TEST_ALONE(a_buffer_that_comes_and_goes)
{
	pthread_t thread;
	int fd;

	t_scratch();
	shared_buffer = buffer();
	fd = file(shared_buffer, "f", 1);
	warm(fd, shared_buffer, 1);
	CHECK_EQ(pthread_create(&thread, NULL, maps, NULL), 0);
	for (int i = 0; i < 300; i++) {
		ssize_t n = pread(fd, shared_buffer, SIZE, 0);

		if (n < 0)
			CHECK_EQ(errno, EFAULT);
		else
			CHECK(is(shared_buffer, 0, SIZE / 2, 1));
	}
	over = true;
	pthread_join(thread, NULL);
}

TEST_ALONE(vector_registers_stay)
{
	uint8_t *b = buffer(), in[64], out[64];
	int fd;

	t_scratch();
	fd = file(b, "f", 1);
	for (int i = 0; i < 3 * TIMES; i++) {
		fill(in, sizeof(in), (unsigned)i);
		memset(out, 0, sizeof(out));
		/* Also where the copy faults in the middle. */
		if (i == 2 * TIMES)
			CHECK_OK(mprotect(b + SIZE / 2, SIZE, PROT_READ));
		CHECK_EQ(call_with_vectors(SYS_pread64, fd, b, SIZE, in, out), i < 2 * TIMES ? SIZE : SIZE / 2);
		CHECK_MEM(out, in, sizeof(in));
	}
}
