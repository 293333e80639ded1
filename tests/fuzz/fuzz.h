/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz targets. All of them are one program (tests/fuzz/main.c), which is what it is called: build/fuzz/elf, ...
 *
 *	libFuzzer --> run(data, size) --> the code under test, in this process
 *	                                     | host_*() and a few libc calls
 *	                                     v
 *	                                  struct fuzz_host: what the target puts in the host's place
 *
 * Nothing a target does may reach the host: the calls that would are wrapped at link time (host.c) and do something
 * harmless unless the target says otherwise. A panic of the sentry, a sanitizer's report and FUZZ_CHECK end the
 *process. A target says in a comment at its head what is checked beside that.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "sentry/base/types.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

struct iovec;
struct msghdr;

struct fuzz_target {
	const char *name;
	void (*init)(void); /* optional */
	void (*run)(const uint8_t *data, size_t size);
};

#define FUZZ_CHECK(cond)                                                                                               \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #cond);                       \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* ---- the input, taken from its front; zeroes behind its end ---- */

struct fuzz_input {
	const uint8_t *at, *end;
};

static inline bool fuzz_more(const struct fuzz_input *in)
{
	return in->at < in->end;
}
static inline void fuzz_bytes(struct fuzz_input *in, void *dst, size_t n)
{
	size_t have = MIN(n, (size_t)(in->end - in->at));

	memset(dst, 0, n);
	if (have != 0)
		memcpy(dst, in->at, have);
	in->at += have;
}
static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}
static inline uint16_t fuzz_u16(struct fuzz_input *in)
{
	uint16_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}
static inline uint32_t fuzz_u32(struct fuzz_input *in)
{
	uint32_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}
static inline uint64_t fuzz_u64(struct fuzz_input *in)
{
	uint64_t v;

	fuzz_bytes(in, &v, sizeof(v));
	return v;
}

/* ---- the host (host.c) ---- */

struct fuzz_host {
	/* optional, each: what stands for the call; NULL: the default that is written there */
	int64_t (*recvmsg)(int fd, struct msghdr *msg, int flags);       /* -EAGAIN */
	int64_t (*sendmsg)(int fd, const struct msghdr *msg, int flags); /* all of it is sent */
	int (*poll)(
		int64_t timeout_ns); /* how many are ready, the last ones; 0, and the clock goes on by the timeout */
	int (*kill)(int pid, int tid, int sig); /* 0; tid 0: the whole process */
	int64_t (*guest_copy)(int pid, bool write, const struct iovec *local, const struct iovec *remote); /* -EFAULT */
	ssize_t (*libc_recv)(int fd, void *buf, size_t len, int flags);       /* -1, EAGAIN */
	ssize_t (*libc_sendmsg)(int fd, const struct msghdr *msg, int flags); /* all of it is sent */
	void (*connected)(const uint8_t *addr, bool v6, uint16_t port);       /* looks at what connect(2) was given */
	ssize_t (*libc_recvmsg)(int fd, struct msghdr *msg, int flags);       /* -1, EAGAIN */
	void (*bound)(int fd, const uint8_t *addr, bool v6, uint16_t port);   /* looks at what bind(2) was given */
	int (*libc_accept)(struct sockaddr *addr, socklen_t *len);            /* -1, EAGAIN */
	void (*stream_pause)(void *box); /* the shim's side of a stream's wait; NULL: it does nothing */
	bool streaming;        /* a stream's time has come: the gate polls, and is patient */
	uint64_t last_random;  /* the last 8 bytes that host_getrandom gave at once */
	uint64_t now;          /* all clocks; a microsecond goes by whenever one is read */
	bool descriptors_only; /* open(2) gives O_PATH descriptors only, and fopen(3) nothing */
};
extern struct fuzz_host fuzz_host;

/* ---- a kernel without guests (world.c) ---- */

struct linux_ehdr;
struct platform_thread;
struct task;

/* Guest memory: this window and nothing else, in every address space. */
#define WINDOW 0x200000UL
#define GUEST_WINDOW_SIZE 0x8000UL
extern uint8_t window[GUEST_WINDOW_SIZE];

/* One system call of a program: false when it has ended. */
extern bool (*world_next_call)(struct task *task, int *nr, uint64_t args[6]);

/* A fresh kernel with "/" a tmpfs, init waiting for ever. full: also proc, dev, sys and the others are mounted. */
void world_init(bool full);
/* A process as root or as uid 1000, which makes the calls world_next_call gives; returns when it and all its kin are
 * gone. */
void world_run(bool root);
/* The same with another first step, on the process's coroutine; the platform is the target's. */
void world_run_from(void (*begin)(struct task *task), bool root);
/* A tmpfs that world_clean leaves alone. */
void world_keep(const char *dir);
/* Empties "/". Complains about memory that grows from run to run. */
void world_clean(void);
void world_write_file(const char *path, const void *data, size_t len, uint32_t mode);
/* A platform thread of no task, with an address space of its own. */
struct platform_thread *world_thread(void);
void world_thread_free(struct platform_thread *pt);

#endif
