/* SPDX-License-Identifier: Apache-2.0 */
/* A running container's use and limits: see resources.c. */
#ifndef RUNTIME_RESOURCES_H
#define RUNTIME_RESOURCES_H

#include "runtime/state.h"

/* One line of JSON, as `runc events` writes it. */
bool stats_print(struct container *c, struct error **err);
/* Such lines every so often, and one for each OOM, until the container's end. */
bool events_print(struct container *c, uint64_t interval_ms, struct error **err);
/* An object as linux.resources, from a file or "-". */
json_object *resources_read(const char *file, struct error **err);
/* Sets what it names, on the host and in the sandbox. */
bool resources_update(struct container *c, json_object *resources, struct error **err);
/* lifecycle.c: the number of its first process as it knows itself; 0 if that isn't known. */
bool container_first_pid(struct container *c, int64_t *pid, struct error **err);
/* How many threads run inside. */
bool container_threads(struct container *c, uint64_t *n, struct error **err);

#endif
