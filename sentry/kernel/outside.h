/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that `exec` brings into the sandbox, and containers that join it: see outside.c. */
#ifndef SENTRY_KERNEL_OUTSIDE_H
#define SENTRY_KERNEL_OUTSIDE_H

#include "runtime/core/control_protocol.h"

/* fds[0] is a sealed memfd with a struct config, the others become 0, 1, 2 ... of the process. Takes them all. What became
 * of it is told by control_exec_started, _failed, _ended. */
void outside_exec(uint32_t id, uint32_t container, const int *fds, unsigned nfds);
/* A further container and its first process. fds[0] as above, but a whole container's; fds[1] what its root is; the others
 * become 0, 1, 2 ... pids_of: the container whose process numbers it shares, or CONTAINER_OWN_PIDS. Takes all descriptors.
 * Told by control_container_created, then as above. */
void outside_container(uint32_t id, uint32_t root, uint32_t pids_of, const int *fds, unsigned nfds);
/* The word to start a container's program has come. */
void outside_start(uint32_t id);
/* A signal to the process; if it has a terminal, those of the keyboard go to whoever is in the foreground there. */
void outside_signal(uint32_t id, int sig);
/* It ends, and all that came of it; a container's id: all of it. */
void outside_kill(uint32_t id);
/* All processes, in parts. */
void outside_list(void (*part)(const struct control_processes *p));

#endif
