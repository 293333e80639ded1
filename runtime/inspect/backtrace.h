/* SPDX-License-Identifier: Apache-2.0 */
/* See backtrace.c and instruction.c. Each sends lines to the sentry. */
#ifndef RUNTIME_INSPECT_BACKTRACE_H
#define RUNTIME_INSPECT_BACKTRACE_H

#include "runtime/core/inspect_protocol.h"

/* Before sealing: what the libraries allocate once. */
void backtrace_init(void);
void instruction_init(void);

/* The frames from these registers outwards. */
void backtrace(const struct inspect_start *from);
/* The system call's instruction before rip, or else the one at rip. */
void instruction(const struct inspect_start *from);

#endif
