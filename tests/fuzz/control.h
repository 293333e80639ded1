/* SPDX-License-Identifier: Apache-2.0 */
/* The inner functions that take control messages, out of the two roles' files. */
#ifndef TESTS_FUZZ_CONTROL_H
#define TESTS_FUZZ_CONTROL_H

#include <stdbool.h>

/* runtime/core/sentry.c: takes one message from its socket. */
void fuzz_sentry_control(void);
/* runtime/core/monitor.c: the same; what it has learned must be sound. False: the socket was closed. */
bool fuzz_monitor_control(void);

#endif
