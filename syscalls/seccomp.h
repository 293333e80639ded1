/* SPDX-License-Identifier: Apache-2.0 */
/* prctl(2)'s way into seccomp.c. */
#ifndef SYSCALLS_SECCOMP_H
#define SYSCALLS_SECCOMP_H

#include "sentry/base/types.h"

struct task;

int64_t seccomp_prctl(struct task *task, uint64_t mode, uint64_t prog);

#endif
