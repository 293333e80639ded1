/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sentrybox-bench: what single system calls, faults and switches cost. `sentrybox bench` runs it natively and in
 * sandboxes, and makes tables of what it prints; bench/programs uses it as a stopwatch.
 *
 *	sentrybox-bench run DIR US BATCHES THREADS [NAME...]
 *	    one line a row (rows.def), times in nanoseconds; files are made in DIR:
 *		stat|1|4096|1151.2 1149.9 1200.4|1136:2010 1200:1740 ...
 *		name, threads, steps a batch | time a step in each batch | distribution of single steps, value:count
 *	sentrybox-bench list
 *		stat|2|0.7|stat, path of 3 parts      name, most threads, aim, what it is
 *	sentrybox-bench time COMMAND [ARGS...]
 *	    runs COMMAND; "@ms 12.345" on stderr
 *
 * The number of steps is found so that a batch takes about US microseconds; that also warms up what there is to warm.
 * Many short batches are better than a few long ones: on a busy machine most of them are then left alone.
 * With two threads both do the same at once, each with files of its own, and a time is the mean of theirs. Each row
 * runs in a process of its own: one that fails prints `name|threads|failed|why`, and the others go on.
 *
 * Static, so that no loader is in the way.
 */
#include "micro.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_STEPS 100000000
#define SAMPLED_BATCHES 8    /* how many batches' steps are measured one by one */
#define MOST_CONNECTIONS 500 /* each leaves a port in TIME_WAIT */
#define WARM_BATCHES 20      /* so many batches' time goes by before the first that counts, */
#define MOST_WARM_UPS 100    /* if it takes no more than so many */

static const struct row {
	const char *name;
	int64_t (*fn)(struct run *r, long n);
	int threads;
	double aim;
	const char *what;
} rows[] = {
#define X(name, fn, threads, aim, what) {name, fn, threads, aim, what},
#include "rows.def"
#undef X
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

char *program;
static uint64_t scale, empty;

void fail(const char *what)
{
	printf("failed|%s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

/* Ticks to nanoseconds, and what measuring nothing takes. */
static void calibrate(void)
{
	int64_t from = now();
	uint64_t start = tick(), end;

	empty = UINT64_MAX;
	do {
		uint64_t t = tick(), spent = tick() - t;

		empty = spent < empty ? spent : empty;
		end = tick();
	} while (now() - from < 10000000);
	scale = (uint64_t)((double)(now() - from) / (double)(end - start) * 4294967296.0);
}

/* ---- a row ---- */

static void udp_pair(int fd[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	fd[0] = TRY(socket(AF_INET, SOCK_DGRAM, 0));
	fd[1] = TRY(socket(AF_INET, SOCK_DGRAM, 0));
	TRY(bind(fd[1], (struct sockaddr *)&a, len));
	TRY(getsockname(fd[1], (struct sockaddr *)&a, &len));
	TRY(connect(fd[0], (struct sockaddr *)&a, len));
}

static void set_up(struct run *r, int thread)
{
	struct epoll_event e = {.events = EPOLLIN};

	r->thread = thread;
	snprintf(r->path, sizeof(r->path), "one/two/file%d", thread);
	snprintf(r->fresh, sizeof(r->fresh), "fresh%d", thread);
	snprintf(r->link, sizeof(r->link), "link%d", thread);
	r->file = TRY(open(r->path, O_RDWR));
	r->null = TRY(open("/dev/null", O_WRONLY));
	TRY(pipe(r->pipe));
	TRY(pipe(r->ready));
	TRY(write(r->ready[1], "x", 1));
	TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, r->pair));
	udp_pair(r->udp);
	r->event = TRY(eventfd(0, 0));
	r->epoll = TRY(epoll_create1(0));
	TRY(epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->ready[0], &e));
	r->block = malloc(MIB);
	if (r->block == NULL)
		fail("malloc");
	memset(r->block, 'x', MIB);
}

/* The second thread does what the first does, batch by batch: n steps, then again, until n is 0. */
struct team {
	const struct row *row;
	struct run run[2];
	int threads;
	long n;
	bool sampled;
	int64_t spent[2];
	struct histogram samples[2];
	pthread_barrier_t begin, end;
};

static void do_part(struct team *t, int me)
{
	t->run[me].samples = t->sampled ? &t->samples[me] : NULL;
	t->spent[me] = t->row->fn(&t->run[me], t->n);
}

static void *second(void *arg)
{
	struct team *t = arg;

	for (;;) {
		pthread_barrier_wait(&t->begin);
		if (t->n == 0)
			return NULL;
		do_part(t, 1);
		pthread_barrier_wait(&t->end);
	}
}

/* Nanoseconds a step. */
static double batch(struct team *t, long n, bool sampled)
{
	t->n = n;
	t->sampled = sampled;
	if (t->threads == 1) {
		do_part(t, 0);
		return (double)t->spent[0] / (double)n;
	}
	pthread_barrier_wait(&t->begin);
	if (n == 0)
		return 0;
	do_part(t, 0);
	pthread_barrier_wait(&t->end);
	return (double)(t->spent[0] + t->spent[1]) / 2 / (double)n;
}

static long steps_for(struct team *t, int us, long most)
{
	double aim = us * 1e3, least = aim, spent = 0;
	long n = 1;

	for (;;) {
		double step = batch(t, n, false);

		least = step < least ? step : least; /* a step that was interrupted says nothing */
		if (least * (double)n >= aim / 4 || n >= most)
			break;
		n = n * 2 < most ? n * 2 : most;
	}
	/*
	 * What takes a while to get going (a kernel that learns which calls are busy) is faster by then: as often as it is so, and for
	 * as long as the batches will take at the least. What the first calls of a program cost shows in the programs' rows.
	 */
	for (int i = 0; i < MOST_WARM_UPS; i++) {
		double step;

		n = least > 0 && aim / least < (double)most ? (long)(aim / least) : most;
		n = n < 1 ? 1 : n;
		step = batch(t, n, false);
		spent += step * (double)n;
		if (step > least * 0.75 && spent >= aim * WARM_BATCHES)
			break;
		least = step < least ? step : least;
	}
	return n;
}

static void print_samples(const struct team *t)
{
	for (unsigned b = 0, shown = 0; b < BUCKETS; b++) {
		unsigned long count = (unsigned long)t->samples[0].count[b] + t->samples[1].count[b];

		if (count != 0)
			printf("%s%g:%lu", shown++ ? " " : "", bucket_value(b), count);
	}
}

static void measure(const struct row *row, int us, int batches, int threads)
{
	static struct team t;
	long most = row->fn == do_connect ? MOST_CONNECTIONS : MOST_STEPS, n;
	pthread_t helper;

	t.row = row;
	t.threads = threads;
	for (int i = 0; i < threads; i++) {
		set_up(&t.run[i], i);
		t.samples[i].scale = scale;
		t.samples[i].empty = empty;
	}
	if (threads == 2) {
		pthread_barrier_init(&t.begin, NULL, 2);
		pthread_barrier_init(&t.end, NULL, 2);
		errno = pthread_create(&helper, NULL, second, &t);
		if (errno)
			fail("pthread_create");
	}
	n = steps_for(&t, us, most);
	printf("%ld|", n);
	for (int b = 0; b < batches; b++)
		printf("%s%.2f", b ? " " : "", batch(&t, n, false));
	printf("|");
	batch(&t, n * SAMPLED_BATCHES < most ? n * SAMPLED_BATCHES : most, true);
	print_samples(&t);
	printf("\n");
	if (threads == 2) {
		batch(&t, 0, false);
		pthread_join(helper, NULL);
	}
}

/* ---- the program ---- */

static void make_files(const char *dir)
{
	char *block = malloc(MIB), name[32];

	if (block == NULL)
		fail("malloc");
	memset(block, 'x', MIB);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		fail(dir);
	TRY(chdir(dir));
	mkdir("one", 0755);
	mkdir("one/two", 0755);
	mkdir("many", 0755);
	for (int i = 0; i < 2; i++) {
		int fd;

		snprintf(name, sizeof(name), "one/two/file%d", i);
		fd = TRY(open(name, O_CREAT | O_RDWR | O_TRUNC, 0644));
		if (TRY(write(fd, block, MIB)) != MIB)
			fail("a file of 1 MiB");
		close(fd);
		snprintf(name, sizeof(name), "link%d", i);
		if (symlink("one/two/file0", name) < 0 && errno != EEXIST)
			fail("symlink");
	}
	for (int i = 0; i < DIR_FILES; i++) {
		snprintf(name, sizeof(name), "many/a-file-of-many-%d", i);
		close(TRY(open(name, O_CREAT | O_WRONLY, 0644)));
	}
	free(block);
}

static bool wanted(const struct row *row, char **names)
{
	if (*names == NULL)
		return true;
	for (; *names != NULL; names++)
		if (strcmp(*names, row->name) == 0)
			return true;
	return false;
}

static int run(char **argv)
{
	int us = atoi(argv[1]), batches = atoi(argv[2]), threads = atoi(argv[3]), failed = 0;

	if (us < 1 || batches < 1 || threads < 1 || threads > 2)
		return 2;
	make_files(argv[0]);
	calibrate();
	for (const struct row *row = rows; row < rows + NROWS; row++) {
		pid_t pid;
		int status;

		if (threads > row->threads || !wanted(row, argv + 4))
			continue;
		printf("%s|%d|", row->name, threads);
		fflush(stdout);
		pid = TRY(fork());
		if (pid == 0) {
			measure(row, us, batches, threads);
			fflush(stdout);
			_exit(0);
		}
		TRY(waitpid(pid, &status, 0));
		if (WIFSIGNALED(status))
			printf("failed|signal %d\n", WTERMSIG(status));
		fflush(stdout);
		failed |= status != 0;
	}
	return failed;
}

static int stopwatch(char **argv)
{
	int64_t start = now();
	pid_t pid = vfork();
	int status;

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 125;
	fprintf(stderr, "@ms %.3f\n", (double)(now() - start) / 1e6);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	if (argc == 1) /* what vfork-exec executes */
		return 0;
	program = realpath(argv[0], NULL); /* rows have another working directory */
	if (argc >= 6 && program != NULL && strcmp(argv[1], "run") == 0)
		return run(argv + 2);
	if (argc >= 3 && strcmp(argv[1], "time") == 0)
		return stopwatch(argv + 2);
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (const struct row *row = rows; row < rows + NROWS; row++)
			printf("%s|%d|%g|%s\n", row->name, row->threads, row->aim, row->what);
		return 0;
	}
	fprintf(stderr,
		"usage: sentrybox-bench run DIR US BATCHES THREADS [NAME...] | list | time COMMAND [ARGS...]\n");
	return 2;
}
