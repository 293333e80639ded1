/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hostile programs share. A payload says what it tries and how that must end (PAYLOAD), tries it, and ends with
 *
 *	refused(errno)   prints "errno EPERM": the call was refused as expected or otherwise, the harness compares
 *	escaped(...)     prints "ESCAPED ...": it got what it must not get
 *	return 0         for the others: nothing to show for its pains
 *
 * The canaries' places come in the environment: see runtime/watch.c.
 */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* The stub region and all above it: never the guest's. */
#define STUB_BASE 0x7ffe00000000UL
#define USER_END 0x7ffffffff000UL

#define PAYLOAD(tries, flags, expect)                                                                                  \
	__attribute__((used)) static const char payload_header[] =                                                     \
		"# sentrybox: tries=" tries "; flags=" flags "; expect=" expect "\n"
#define PAYLOAD_WANTS(tries, flags, expect, wants)                                                                     \
	__attribute__((used)) static const char payload_header[] =                                                     \
		"# sentrybox: tries=" tries "; flags=" flags "; expect=" expect "; wants=" wants "\n"

/* How many of n counters, of 1024 at most, are still counted up by somebody. */
__attribute__((unused)) static unsigned counting(const volatile uint64_t *counters, unsigned n)
{
	uint64_t before[1024];
	unsigned still = 0;

	for (unsigned i = 0; i < n; i++)
		before[i] = counters[i];
	usleep(300000);
	for (unsigned i = 0; i < n; i++)
		still += counters[i] != before[i];
	return still;
}

/* The same, after some time in which they may end; tries: how often they are looked at again. */
__attribute__((unused)) static unsigned still_counting(const volatile uint64_t *counters, unsigned n, int tries)
{
	unsigned still = counting(counters, n);

	for (int i = 0; i < tries && still != 0; i++)
		still = counting(counters, n);
	return still;
}

__attribute__((noreturn, unused)) static void refused(int err)
{
	const char *name = strerrorname_np(err);

	printf("errno %s\n", name != NULL ? name : "?");
	fflush(stdout);
	_exit(0);
}

__attribute__((noreturn, unused, format(printf, 1, 2))) static void escaped(const char *fmt, ...)
{
	va_list ap;

	printf("ESCAPED ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* A call that must fail: says how it did. */
#define must_fail(call)                                                                                                \
	do {                                                                                                           \
		if ((long)(call) < 0)                                                                                  \
			refused(errno);                                                                                \
		escaped("%s succeeded", #call);                                                                        \
	} while (0)

/* Something that has to work before the attempt can be made. */
#define setup(call)                                                                                                    \
	({                                                                                                             \
		long _r = (long)(call);                                                                                \
		if (_r < 0) {                                                                                          \
			printf("setup: %s: %s\n", #call, strerror(errno));                                             \
			fflush(stdout);                                                                                \
			_exit(99);                                                                                     \
		}                                                                                                      \
		_r;                                                                                                    \
	})

__attribute__((unused)) static const char *canary(const char *name)
{
	const char *v = getenv(name);

	if (v == NULL) {
		printf("setup: no %s: run by `sentrybox harness`\n", name);
		_exit(99);
	}
	return v;
}

__attribute__((unused)) static uint16_t canary_port(const char *name)
{
	return (uint16_t)atoi(canary(name));
}

__attribute__((unused)) static struct sockaddr_in inet4(const char *addr, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, addr, &a.sin_addr);
	return a;
}

__attribute__((unused)) static struct sockaddr_in6 inet6(const char *addr, uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	inet_pton(AF_INET6, addr, &a.sin6_addr);
	return a;
}

#endif
