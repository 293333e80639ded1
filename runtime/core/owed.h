/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor must not fail to tell the sentry: see owed.c. */
#ifndef RUNTIME_CORE_OWED_H
#define RUNTIME_CORE_OWED_H

#include <stdbool.h>
#include <stdint.h>

#define OWED_MAX 4096
#define OWED_KILLS 2048 /* of these the last are for what must always fit */

/* Sends it, or keeps it until there is room, behind what is kept already. urgent: one of those that always fit, if there are
 * no more than OWED_KILLS of them. False: too much is kept already, or there is no socket (-1). */
bool owed_tell(int fd, uint32_t type, uint32_t container, uint32_t id, int32_t status, bool urgent);
/* Sends what is kept, as far as there is room. True: nothing is left, and something new may be sent past this. */
bool owed_pay(int fd);
/* Something is kept: ask for POLLOUT. */
bool owed_any(void);

#endif
