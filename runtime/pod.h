/* SPDX-License-Identifier: Apache-2.0 */
/* Which pod a bundle's container joins: see pod.c. */
#ifndef RUNTIME_POD_H
#define RUNTIME_POD_H

#include "runtime/build.h"
#include "runtime/state.h"

#include <json-c/json.h>

/*
 * Looks at what spec_parse found in linux.namespaces and the annotations. A container of a pod: c's state names it, and b has a
 * connection to its monitor (pod_fd). Any other: b has the network namespace to join, if there is one with a path.
 */
bool pod_find(struct container *c, struct build *b, json_object *spec, struct error **err);

#endif
