/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's part in a backtrace: see inspector.c. */
#ifndef RUNTIME_CORE_INSPECTOR_H
#define RUNTIME_CORE_INSPECTOR_H

#include <sys/types.h>

struct config;

/* Answers a CONTROL_INSPECT that came over control: starts an inspector and hands its socket to the sentry. pid and tid: a stub
 * of the sentry's whose place is to be told, or 0. */
void inspector_start(const struct config *cfg, int control, pid_t sentry, pid_t pid, pid_t tid);

#endif
