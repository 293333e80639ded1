/* SPDX-License-Identifier: Apache-2.0 */
/* What the whole sandbox uses, as sysinfo(2) and /proc tell it: memory, CPU time, load. */
#ifndef SENTRY_KERNEL_USAGE_H
#define SENTRY_KERNEL_USAGE_H

#include "sentry/base/types.h"

struct memory_usage {
	uint64_t total;     /* bytes; the sandbox's limit */
	uint64_t free;
	uint64_t resident;  /* guest pages, shared ones counted once a process */
	uint64_t files;     /* file data and all else that the sentry holds for the guest */
};
void usage_memory(struct memory_usage *m);

/* CPU time in ns of all processes there ever were. */
void usage_all_times(uint64_t *utime, uint64_t *stime);

/* The load averages over 1, 5 and 15 minutes, as fixed-point numbers with 16 bits of fraction. */
void usage_load(uint32_t load[3]);
/* Threads that want a CPU now. */
uint32_t usage_running(void);

#endif
