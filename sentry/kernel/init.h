/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's start: see init.c. */
#ifndef SENTRY_KERNEL_INIT_H
#define SENTRY_KERNEL_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct task;

/* Before sealing: what must be read from the host (CPU count, boot id...). */
void kernel_prepare(const struct config *cfg);
/* Mounts, descriptors, and the first process, which starts at the loop's first turn. 0 or -errno. */
int kernel_start(const struct config *cfg);

/* The host name into /etc/hosts, when mounts are there and before paths are covered: see init_hosts.c. */
void init_hosts(struct task *task, const struct config *cfg);
/* True if a line of the file gives `name` to an address. */
bool hosts_has_name(const char *text, size_t len, const char *name);

/* The word to start the first program has come (config.wait_start). */
void kernel_start_program(void);

/* runtime/core/sentry.c: words to the monitor. */
void control_created(void);
void control_container_created(uint32_t id);
void control_container_empty(uint32_t id);
void control_container_oom(uint32_t id);
void control_exec_started(uint32_t id, int pid);
void control_exec_failed(uint32_t id, int start_errno, const char *text);
void control_exec_ended(uint32_t id, int status);
void control_started(void);
void control_failed(int start_errno, const char *text);
void control_ended(int status);
void control_keep(int status);
void control_refresh_resident(void);

#endif
