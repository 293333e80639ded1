/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rows of sentrybox-bench share. A row (rows.def) is a function that does a thing n times in one thread:
 *
 *	static int64_t do_lseek(struct run *r, long n)    --> nanoseconds all of them took, without the setting up
 *
 * TIMED() is its loop. It times the whole of it, or, when r->samples is there, also each step by the time stamp
 * counter, for the distribution. Calls go through libc's wrappers, as a program's do. A row that can't do its thing
 * ends its process by fail().
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MIB (1 << 20)
#define DIR_FILES 64 /* of the directory that getdents lists */

/* ---- a distribution: 16 buckets an octave ---- */

#define SUB_BITS 4
#define BUCKETS (40 << SUB_BITS)

struct histogram {
	uint32_t count[BUCKETS];
	uint64_t scale; /* nanoseconds a tick, times 2^32 */
	uint64_t empty; /* ticks of measuring nothing, taken off each sample */
};

static inline unsigned bucket_of(uint64_t v)
{
	unsigned top, b;

	if (v < 2 << SUB_BITS)
		return (unsigned)v;
	top = 63 - (unsigned)__builtin_clzll(v);
	b = ((top - SUB_BITS) << SUB_BITS) + (unsigned)(v >> (top - SUB_BITS));
	return b < BUCKETS ? b : BUCKETS - 1;
}
/* The middle of a bucket. */
static inline double bucket_value(unsigned b)
{
	unsigned shift = b < 2 << SUB_BITS ? 0 : (b >> SUB_BITS) - 1;
	uint64_t low = shift == 0 ? b : (uint64_t)((b & ((1 << SUB_BITS) - 1)) + (1 << SUB_BITS)) << shift;

	return (double)low + (double)((1ull << shift) - 1) / 2;
}

/* Waits for what came before it, and lets nothing behind it begin earlier. */
static inline uint64_t tick(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtscp\n\tlfence" : "=a"(lo), "=d"(hi) : : "rcx", "memory");
	return (uint64_t)hi << 32 | lo;
}
static inline void sample(struct histogram *h, uint64_t ticks)
{
	ticks = ticks > h->empty ? ticks - h->empty : 0;
	h->count[bucket_of((uint64_t)((unsigned __int128)ticks * h->scale >> 32))]++;
}
static inline int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* ---- a row's surroundings ---- */

struct run {
	int thread;                                             /* 0 or 1 */
	char path[32];                                          /* a file of 1 MiB, three parts deep */
	char fresh[16];                                         /* a name that no file has */
	char link[16];                                          /* a symbolic link */
	int file, null, pipe[2], pair[2], udp[2], event, epoll; /* pipe[0] is always ready in epoll */
	int ready[2];                                           /* a pipe with a byte in it */
	char *block;                                            /* 1 MiB to read to and write from */
	struct histogram *samples;                              /* NULL: time only the whole */
};

#define TIMED(r, n, ...)                                                                                               \
	({                                                                                                             \
		int64_t start_ = now();                                                                                \
		if ((r)->samples == NULL) {                                                                            \
			for (long i_ = 0; i_ < (n); i_++) {                                                            \
				__VA_ARGS__;                                                                           \
			}                                                                                              \
		} else {                                                                                               \
			for (long i_ = 0; i_ < (n); i_++) {                                                            \
				uint64_t tick_ = tick();                                                               \
				__VA_ARGS__;                                                                           \
				sample((r)->samples, tick() - tick_);                                                  \
			}                                                                                              \
		}                                                                                                      \
		now() - start_;                                                                                        \
	})

/* A row whose every step is the same statement. */
#define ROW(fn, ...)                                                                                                   \
	int64_t fn(struct run *r, long n)                                                                              \
	{                                                                                                              \
		return TIMED(r, n, __VA_ARGS__);                                                                       \
	}

/* Prints why, and ends the row's process. */
void fail(const char *what) __attribute__((noreturn));

#define TRY(call)                                                                                                      \
	({                                                                                                             \
		__auto_type r_ = (call);                                                                               \
		if (r_ < 0)                                                                                            \
			fail(#call);                                                                                   \
		r_;                                                                                                    \
	})

extern char *program; /* argv[0]; executed without arguments it does nothing */
/* A child has ended well. */
void reap(int pid);
/* Sends back whatever comes, until the other end is closed. */
void echo(int in, int out) __attribute__((noreturn));
/* n times: writes size bytes to `to`, reads as many from `from`. */
int64_t ping_pong(struct run *r, int from, int to, long n, unsigned size);

#define X(name, fn, threads, aim, what) int64_t fn(struct run *r, long n);
#include "rows.def"
#undef X

#endif
