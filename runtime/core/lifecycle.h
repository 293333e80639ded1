/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's side of create, start, exec, kill ...: see lifecycle.c. Without control_fd and sync_fd it does nothing. */
#ifndef RUNTIME_CORE_LIFECYCLE_H
#define RUNTIME_CORE_LIFECYCLE_H

#include "runtime/config.h"
#include "runtime/core/control_protocol.h"

#include <poll.h>
#include <sys/types.h>

#define LIFECYCLE_MAX 1000 /* connections at a time, execs included */

void lifecycle_init(const struct config *cfg, int control, pid_t sentry, pid_t gofer);
/* A child was reaped: if it was one of the roles, its number is nobody's from now on. */
void lifecycle_role_gone(pid_t pid);
/* The sentry's socket is about to be closed: its number will be another's. */
void lifecycle_control_gone(void);
/* Sandboxes without it wait for nobody. */
bool lifecycle_on(void);
int lifecycle_pollfds(struct pollfd *fds, int max);
void lifecycle_ready(const struct pollfd *fds, int n);
/* A message of the sentry, n bytes long: true if it was for us. */
bool lifecycle_control(const union control_any *any, size_t n);
/* Milliseconds until lifecycle_overdue may change, or -1. */
int lifecycle_timeout_ms(void);
/* The sandbox must end now, without asking its sentry. */
bool lifecycle_overdue(void);
/* The sandbox stands still: no time limit but the wall's makes sense of it. */
bool lifecycle_paused(void);
void lifecycle_resume(void); /* if it is paused */
void lifecycle_ending(void); /* init has ended, and the sentry has still something to do */
/* A process had to end for the sandbox's limit on memory. */
void lifecycle_oom(void);
/* How a container ended, into its state directory. */
void lifecycle_write_exit(const struct config *c, const struct sandbox_result *r);
/* All is over: whoever waits is told, and the state directory how it ended. */
void lifecycle_end(const struct sandbox_result *r);

#endif
