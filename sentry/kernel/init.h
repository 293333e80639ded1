/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's start: see init.c. */
#ifndef SENTRY_KERNEL_INIT_H
#define SENTRY_KERNEL_INIT_H

struct config;

/* Before sealing: what must be read from the host (CPU count, boot id...). */
void kernel_prepare(const struct config *cfg);
/* Mounts, descriptors, and the first process, which starts at the loop's first turn. 0 or -errno. */
int kernel_start(const struct config *cfg);

/* runtime/core/sentry.c: words to the monitor. */
void control_started(void);
void control_failed(int start_errno, const char *text);
void control_ended(int status);
void control_refresh_resident(void);

#endif
