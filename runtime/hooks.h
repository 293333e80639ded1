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
/* Runs those of one kind ("prestart", "poststop"...) in their order, state on stdin of each. Stops at the first that fails. */
bool hooks_run(json_object *spec, const char *kind, json_object *state, struct error **err);

#endif
