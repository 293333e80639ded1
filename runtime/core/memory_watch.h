/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's look at how much memory the sandbox holds: see memory_watch.c. */
#ifndef RUNTIME_CORE_MEMORY_WATCH_H
#define RUNTIME_CORE_MEMORY_WATCH_H

#include <stdint.h>
#include <sys/types.h>

struct config;

/* Samples if it is time. Milliseconds until the next sample, 0 if there is no limit, -1 if the limit is passed. */
int memory_watch(const struct config *c, pid_t sentry);
/* The stub that held most at the last sample, 0 if there was none. */
pid_t memory_watch_largest(void);
/* The highest sum seen, bytes. */
uint64_t memory_watch_peak(void);

#endif
