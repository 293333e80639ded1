/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle's hooks: see hooks.c. */
#ifndef RUNTIME_HOOKS_H
#define RUNTIME_HOOKS_H

#include "runtime/error.h"

#include <json-c/json.h>
#include <stdbool.h>

/* Are they well-formed? Before anything is made. */
bool hooks_check(json_object *spec, struct error **err);
/* Does the bundle have hooks of this kind? */
bool hooks_any(json_object *spec, const char *kind);
/* The list of one kind, borrowed; NULL: there are none. */
bool hooks_of(json_object *spec, const char *kind, json_object **list, struct error **err);

struct hook {
	const char *path;
	const char **args, **env; /* the arrays are owned, the words the bundle's */
	size_t nargs, nenv;
	int64_t timeout; /* seconds; 0: none */
};
/* One of the list; where names it in errors. To be given to hook_free in any case. */
bool hook_parse(json_object *o, const char *where, struct hook *h, struct error **err);
void hook_free(struct hook *h);

/* Runs those of one kind ("prestart", "poststop"...) in their order, state on stdin of each. Stops at the first that fails.
 * On the host: startContainer's are hooks_inside's. */
bool hooks_run(json_object *spec, const char *kind, json_object *state, struct error **err);

struct container;
/* Runs startContainer's in the container, which waits for its start, as processes of it: see hooks_inside.c. As above. */
bool hooks_inside(struct container *c, json_object *spec, struct error **err);

#endif
