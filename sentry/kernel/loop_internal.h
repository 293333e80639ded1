/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop's start and end, for the sentry's role. */
#ifndef SENTRY_KERNEL_LOOP_INTERNAL_H
#define SENTRY_KERNEL_LOOP_INTERNAL_H

/* Before sealing. 0 or -errno. */
int loop_init(void);
int loop_stop_status(void);

#endif
