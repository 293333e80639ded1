/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudoterminals; see fs/devpts.c. */
#ifndef SENTRY_FS_DEVPTS_H
#define SENTRY_FS_DEVPTS_H

#include "sentry/base/types.h"

struct file;
struct task;
struct tty;

/* Registers the devices; once. 0 or -LINUX_ENOMEM. */
int devpts_init(void) must_check;

#endif
