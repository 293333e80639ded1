/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that `exec` brings into the sandbox: see outside.c. */
#ifndef SENTRY_KERNEL_OUTSIDE_H
#define SENTRY_KERNEL_OUTSIDE_H

#include "runtime/core/control_protocol.h"

/* fds[0] is a sealed memfd with a struct config, the others become 0, 1, 2 ... of the process. Takes them all. What became
 * of it is told by control_exec_started, _failed, _ended. */
void outside_exec(uint32_t id, const int *fds, unsigned nfds);
/* A signal to the process; if it has a terminal, those of the keyboard go to whoever is in the foreground there. */
void outside_signal(uint32_t id, int sig);
/* It ends, and all that came of it. */
void outside_kill(uint32_t id);
/* All processes, in parts. */
void outside_list(void (*part)(const struct control_processes *p));

#endif
