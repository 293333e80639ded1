/* SPDX-License-Identifier: Apache-2.0 */
/* The sentry's side of --copy-out: see copy_out.c. */
#ifndef RUNTIME_CORE_COPY_OUT_START_H
#define RUNTIME_CORE_COPY_OUT_START_H

#include <stdbool.h>

struct config;
/* When init has ended with status: true if files are to be copied first; control_ended and loop_stop follow then. */
bool copy_out_start(const struct config *cfg, int status);

#endif
