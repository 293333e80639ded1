/* SPDX-License-Identifier: Apache-2.0 */
/* What memfds hold, told to who watches the limit on memory. See shared_watch.c. */
#ifndef SENTRY_KERNEL_SHARED_WATCH_H
#define SENTRY_KERNEL_SHARED_WATCH_H

#include "sentry/base/types.h"

/* The sandbox's limit from now on, 0: none, then nothing is told; tell (NULL: as before) gets bytes. */
void shared_watch_limit(uint64_t limit, void (*tell)(uint64_t bytes));
/* That limit, while it is watched in this way; else 0. */
uint64_t shared_watch_limited(void);
/* Guests have something new that they can fill: it is looked at soon, and as long as there is any. Cheap. */
void shared_watch_soon(void);
/* Looks now, and tells if it has changed. */
void shared_watch_now(void);

#endif
