/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest's kernel calls itself: uname(2), /proc/version, /proc/sys/kernel. The names are kernel.hostname's. */
#ifndef SENTRY_KERNEL_UTS_H
#define SENTRY_KERNEL_UTS_H

#define UTS_SYSNAME "Linux"
#define UTS_RELEASE "6.6.0-sentrybox"
#define UTS_VERSION "#1 SMP PREEMPT_DYNAMIC Thu Jan  1 00:00:00 UTC 2026"
#define UTS_MACHINE "x86_64"

#endif
