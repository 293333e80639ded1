/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large writes, and large reads beside them: all arrives, as far as the buffer goes; writers
 * don't mix; signals, a file that is cut and a buffer that goes away change nothing else.
 * covers: write pwrite64 writev pwritev read pread64 ftruncate
 */
#include "large.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static bool all(const uint8_t *p, size_t n, uint8_t byte)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != byte)
			return false;
	return true;
}

static int file(const char *name)
{
	t_scratch();
	return MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0600));
}

TEST_ALONE(every_size_and_place)
{
	static const size_t sizes[] = {1, 3071, 3072, 4096, 8191, 16384, 16385, 20000, 32767, 32768, 32769, 65536, 65537, 100001, 262144, 262145, 700003, SIZE};
	uint8_t *b = buffer(), *back = buffer();
	int fd = file("f");

	for (int i = 0; i < TIMES; i++) {
		for (size_t k = 0; k < T_COUNT(sizes); k++) {
			size_t n = sizes[k], skew = (size_t)(i * 37 + i / 7) % 5000;
			off_t at = (off_t)(i % 5) * 12345;

			fill(b + skew, n, (unsigned)(i + (int)k));
			CHECK_EQ(pwrite(fd, b + skew, n, at), n);
			back[skew / 2 + n] = 0x5a;
			CHECK_EQ(pread(fd, back + skew / 2, n, at), n);
			CHECK(is(back + skew / 2, 0, n, (unsigned)(i + (int)k)));
			CHECK_EQ(back[skew / 2 + n], 0x5a);
		}
	}
	/* The position, and the end. */
	CHECK_EQ(lseek(fd, SIZE * 2 + 3, SEEK_SET), SIZE * 2 + 3);
	CHECK_EQ(write(fd, b, 3 * SIZE), 3 * SIZE);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5 * SIZE + 3);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 5 * SIZE + 3);
	CHECK_EQ(pread(fd, back, 3 * SIZE, SIZE * 2 + 3), 3 * SIZE);
	CHECK_MEM(back, b, 3 * SIZE);
}

TEST_ALONE(from_several_buffers)
{
	uint8_t *b = buffer(), *back = buffer();
	struct iovec v[4] = {{b, 300000}, {b + 300000, 10}, {b + 300010, 0}, {b + 300010, 400000}};
	int fd = file("f");

	fill(b, SIZE, 3);
	for (int i = 0; i < TIMES; i++) {
		CHECK_OK(ftruncate(fd, 0));
		CHECK_EQ(pwritev(fd, v, 4, 5), 700010);
		CHECK_EQ(pread(fd, back, SIZE, 5), 700010);
		CHECK(is(back, 0, 700010, 3));
	}
	/* The last one isn't there: what comes before it is written. */
	CHECK_OK(munmap(b + SIZE / 2, SIZE));
	CHECK_OK(ftruncate(fd, 0));
	v[3] = (struct iovec){b + SIZE / 2, 400000};
	CHECK_EQ(pwritev(fd, v, 4, 0), 300010);
	CHECK_EQ(pread(fd, back, SIZE, 0), 300010);
	CHECK(is(back, 0, 300010, 3));
}

TEST_ALONE(where_it_cant_be_read)
{
	uint8_t *b = buffer(), *back = buffer();
	int fd = file("f");

	fill(b, SIZE, 1);
	for (int i = 0; i < TIMES; i++)
		CHECK_EQ(pwrite(fd, b, SIZE, 0), SIZE);
	for (int i = 1; i < 12; i++) {
		size_t to = (size_t)i * 20480;

		CHECK_OK(mprotect(b + to, SIZE, PROT_NONE));
		CHECK_OK(ftruncate(fd, 0));
		CHECK_EQ(pwrite(fd, b, SIZE, 0), to);
		CHECK_EQ(lseek(fd, 0, SEEK_END), to);
		CHECK_ERR(pwrite(fd, b + to, SIZE / 2, 0), EFAULT);
		CHECK_EQ(lseek(fd, 0, SEEK_END), to);
		CHECK_OK(mprotect(b + to, SIZE, PROT_READ | PROT_WRITE));
		CHECK_EQ(pread(fd, back, SIZE, 0), to);
		CHECK(is(back, 0, to, 1));
		/* And all of it, again. */
		CHECK_EQ(pwrite(fd, b, SIZE, 0), SIZE);
	}
}

/* Two who write over the same place: one of them is seen. */
static int both;
static uint8_t *ones[2];
static pthread_barrier_t turn;

static void *writes(void *arg)
{
	const uint8_t *mine = ones[(intptr_t)arg];
	long failed = 0;

	for (int i = 0; i < TIMES; i++) {
		pthread_barrier_wait(&turn);
		failed += pwrite(both, mine, SIZE, 0) != SIZE;
		pthread_barrier_wait(&turn);
	}
	return (void *)failed;
}

TEST_ALONE(writers_dont_mix)
{
	pthread_t thread[2];
	uint8_t *back = buffer();
	int mixed = 0;
	void *failed;

	both = file("f");
	CHECK_EQ(pthread_barrier_init(&turn, NULL, 3), 0);
	for (intptr_t i = 0; i < 2; i++) {
		ones[i] = buffer();
		memset(ones[i], 'a' + (int)i, SIZE);
		CHECK_EQ(pthread_create(&thread[i], NULL, writes, (void *)i), 0);
	}
	for (int i = 0; i < TIMES; i++) {
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
		CHECK_EQ(pread(both, back, SIZE, 0), SIZE);
		mixed += !all(back, SIZE, back[0]);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], &failed);
		CHECK(failed == NULL);
	}
	CHECK_EQ(mixed, 0);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

TEST_ALONE(signals_in_the_middle)
{
	struct sigaction act = {.sa_handler = on_alarm};
	struct itimerval often = {{0, 200}, {0, 200}}, never = {0};
	uint8_t *b = buffer(), *back = buffer();
	int fd = file("f");

	fill(b, SIZE, 7);
	CHECK_OK(sigaction(SIGALRM, &act, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &often, NULL));
	/* A file's reads and writes aren't cut short by a handler. */
	for (int i = 0; i < 4 * TIMES || alarms < 20; i++) {
		CHECK_EQ(pwrite(fd, b, SIZE, 0), SIZE);
		if (i % 16 == 0)
			memset(back, 0, SIZE);
		CHECK_EQ(pread(fd, back, SIZE, 0), SIZE);
		if (i % 16 == 0)
			CHECK(is(back, 0, SIZE, 7));
	}
	CHECK_OK(setitimer(ITIMER_REAL, &never, NULL));
}

static volatile bool over;

static void *cuts(void *arg)
{
	long failed = 0;

	(void)arg;
	while (!over) {
		failed += ftruncate(both, SIZE / 3) != 0;
		failed += ftruncate(both, SIZE) != 0;
	}
	return (void *)failed;
}

TEST_ALONE(a_file_that_is_cut)
{
	uint8_t *b = buffer(), *back = buffer();
	pthread_t thread;
	void *failed;

	both = file("f");
	fill(b, SIZE, 5);
	CHECK_EQ(pwrite(both, b, SIZE, 0), SIZE);
	CHECK_EQ(pthread_create(&thread, NULL, cuts, NULL), 0);
	for (int i = 0; i < 4 * TIMES; i++) {
		ssize_t n;

		CHECK_EQ(pwrite(both, b, SIZE, 0), SIZE);
		n = pread(both, back, SIZE, 0);
		CHECK(n >= SIZE / 3 && n <= SIZE);
		CHECK(is(back, 0, SIZE / 3, 5));
		/* Behind it what was written, or nothing. */
		for (ssize_t k = SIZE / 3; k < n; k++)
			if (back[k] != 0 && back[k] != pattern((size_t)k, 5))
				CHECK_EQ(back[k], pattern((size_t)k, 5));
	}
	over = true;
	pthread_join(thread, &failed);
	CHECK(failed == NULL);
}

static uint8_t *shared_buffer;

static void *maps(void *arg)
{
	(void)arg;
	while (!over)
		if (munmap(shared_buffer + SIZE / 2, SIZE / 2) != 0 ||
		    mmap(shared_buffer + SIZE / 2, SIZE / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == MAP_FAILED)
			break;
	return NULL;
}

TEST_ALONE(a_buffer_that_comes_and_goes)
{
	uint8_t *back = buffer();
	pthread_t thread;
	int fd = file("f");

	shared_buffer = buffer();
	fill(shared_buffer, SIZE, 1);
	CHECK_EQ(pthread_create(&thread, NULL, maps, NULL), 0);
	for (int i = 0; i < 300; i++) {
		ssize_t n;

		CHECK_OK(ftruncate(fd, 0));
		n = pwrite(fd, shared_buffer, SIZE, 0);
		/* As much is there as it said, and of what can't go away all. */
		CHECK(n >= SIZE / 2 && n <= SIZE);
		CHECK_EQ(lseek(fd, 0, SEEK_END), n);
		CHECK_EQ(pread(fd, back, SIZE, 0), n);
		CHECK(is(back, 0, SIZE / 2, 1));
	}
	over = true;
	pthread_join(thread, NULL);
}

TEST_ALONE(pipes_and_sockets)
{
	static const size_t sizes[] = {4096, 16384, 40000, 65536};
	uint8_t *b = buffer(), *back = buffer();
	int p[2], s[2], room = 400000;

	CHECK_OK(pipe(p));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)));
	for (int i = 0; i < TIMES; i++) {
		for (size_t k = 0; k < T_COUNT(sizes); k++) {
			fill(b + i, sizes[k], (unsigned)i);
			CHECK_EQ(write(p[1], b + i, sizes[k]), sizes[k]);
			CHECK_EQ(read(p[0], back, SIZE), sizes[k]);
			CHECK(is(back, 0, sizes[k], (unsigned)i));
			CHECK_EQ(write(s[0], b + i, sizes[k]), sizes[k]);
			CHECK_EQ(recv(s[1], back + 1, sizes[k], MSG_WAITALL), sizes[k]);
			CHECK(is(back + 1, 0, sizes[k], (unsigned)i));
		}
	}
}

TEST_ALONE(vector_registers_stay)
{
	uint8_t *b = buffer(), in[64], out[64];
	int fd = file("f");

	for (int i = 0; i < 3 * TIMES; i++) {
		fill(in, sizeof(in), (unsigned)i);
		memset(out, 0, sizeof(out));
		/* Also where the copy faults in the middle. */
		if (i == 2 * TIMES)
			CHECK_OK(mprotect(b + SIZE / 2, SIZE, PROT_NONE));
		CHECK_EQ(call_with_vectors(SYS_pwrite64, fd, b, SIZE, in, out), i < 2 * TIMES ? SIZE : SIZE / 2);
		CHECK_MEM(out, in, sizeof(in));
	}
}
