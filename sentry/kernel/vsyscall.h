/* SPDX-License-Identifier: Apache-2.0 */
/* Calls through the vsyscall page: see vsyscall.c. */
#ifndef SENTRY_KERNEL_VSYSCALL_H
#define SENTRY_KERNEL_VSYSCALL_H

#include "sentry/platform/platform.h"

/* A fault of the task, a full event. True if it was such a call: it is served, and the registers are the caller's again;
 * what is left is task_return(task, 0, false). False: an ordinary fault. */
bool vsyscall_fault(struct task *task, const struct platform_event *ev) must_check;

#endif
