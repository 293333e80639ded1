/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's memory as the inspector sees it: see memory.c. */
#ifndef RUNTIME_INSPECT_MEMORY_H
#define RUNTIME_INSPECT_MEMORY_H

#include "runtime/core/inspect_protocol.h"

#include <stdbool.h>
#include <stddef.h>

/* Forgets what was read for the last backtrace. */
void memory_begin(void);
/* All of [addr, addr + len), or false. */
bool memory_read(uint64_t addr, void *dst, size_t len);
/* What is mapped at addr; false: nothing. */
bool memory_map(uint64_t addr, struct inspect_mapping *out);

/* One message to the sentry, one from it. The process ends if the sentry is gone. */
void send_message(const void *msg, size_t len);
size_t receive_message(union inspect_message *msg);

#endif
