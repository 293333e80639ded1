/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop's start and end, for the sentry's role. */
#ifndef SENTRY_KERNEL_LOOP_INTERNAL_H
#define SENTRY_KERNEL_LOOP_INTERNAL_H

/* Before sealing. 0 or -errno. */
int loop_init(void);
int loop_stop_status(void);
/* One turn of loop_run(): work that is ready, then one look at (or sleep for) what comes from outside. */
void loop_turn(void);

#endif
