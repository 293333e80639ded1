/* SPDX-License-Identifier: Apache-2.0 */
/* A process's children, by the host's /proc. */
#ifndef RUNTIME_CORE_CHILDREN_H
#define RUNTIME_CORE_CHILDREN_H

#include <sys/types.h>

/*
 * Calls fn for each child of the first thread of `parent`. Children that come or go meanwhile may be left out (proc(5): the list
 * is only reliable if all are stopped). Does nothing if it can't be read.
 */
void each_child(pid_t parent, void (*fn)(pid_t child, void *arg), void *arg);

#endif
