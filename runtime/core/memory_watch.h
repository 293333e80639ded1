/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's look at how much memory the sandbox holds: see memory_watch.c. */
#ifndef RUNTIME_CORE_MEMORY_WATCH_H
#define RUNTIME_CORE_MEMORY_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct config;
struct control_resident;

/* Samples if it is time. Milliseconds until the next sample, 0 if there is no limit, -1 if the limit is passed. */
int memory_watch(const struct config *c, pid_t sentry);
/* It is time, whenever the last sample was. */
void memory_watch_again(void);
/* The sentry's word: bytes that are in memory without being anybody's page. */
void memory_watch_told(uint64_t bytes);
/* What the last sample saw, bytes. */
uint64_t memory_watch_last(void);
/* Sends what each of the sentry's children holds, in as many parts as it takes; the last one is CONTROL_RESIDENT. */
void memory_watch_resident(pid_t sentry, void (*send)(const struct control_resident *part, size_t len, void *arg), void *arg);
/* The stub that held most at the last sample, 0 if there was none. */
pid_t memory_watch_largest(void);
/* The highest sum seen, bytes. */
uint64_t memory_watch_peak(void);
/* `update`: the limit from now on, 0: none; it takes the configuration's place. */
void memory_watch_set_limit(uint64_t bytes);
uint64_t memory_watch_limit(const struct config *c);
/* The last sample was above it. */
bool memory_watch_is_over(const struct config *c);
/* The sum at this moment. */
uint64_t memory_watch_now(pid_t sentry);
/* CPU time of the sentry, its stubs (ended ones too) and the gofer. */
void memory_watch_times(pid_t sentry, pid_t gofer, uint64_t *user_ns, uint64_t *sys_ns);

#endif
