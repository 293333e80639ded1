/* SPDX-License-Identifier: Apache-2.0 */
/* A container's mounts and rules on paths: see mounts.c. */
#ifndef SENTRY_KERNEL_MOUNTS_H
#define SENTRY_KERNEL_MOUNTS_H

#include "sentry/base/types.h"

struct config;
struct gofer_client;
struct task;

/* Below the task's root. gofer serves the binds (NULL: the first container's). 0, or -errno with *what in words. */
int mounts_make(struct task *task, const struct config *cfg, struct gofer_client *gofer, char *what, size_t size) must_check;

#endif
