/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs share with create.c. */
#ifndef RUNTIME_CREATE_H
#define RUNTIME_CREATE_H

#include "runtime/state.h"

/* Atomically; path NULL: nothing to do. */
bool pid_file_write(const char *path, pid_t pid, struct error **err);
/* Are the caller's 3 to 2+n there? To be asked before we open a thing: else the guest would be handed what is ours. */
bool preserved_are_open(unsigned n, struct error **err);
/* Hooks poststop, then the directory. Locked, and nothing of it runs any more. spec may be NULL. */
bool container_delete(struct container *c, json_object *spec, struct error **err);

#endif
