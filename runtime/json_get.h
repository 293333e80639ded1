/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed looks at the members of a JSON object. `where` is the object's path, for messages ("" for the outermost); the
 * object may be NULL, which has no members. False, with an error, if the member has another type.
 */
#ifndef RUNTIME_JSON_GET_H
#define RUNTIME_JSON_GET_H

#include "runtime/error.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The member, borrowed, or NULL in *out if it isn't there (or null). */
bool json_get(json_object *o, const char *where, const char *key, enum json_type type, json_object **out,
	      struct error **err);
/* Borrowed; NULL if it isn't there. Without NUL bytes. */
bool json_get_string(json_object *o, const char *where, const char *key, const char **out, struct error **err);
/* False if it isn't there. */
bool json_get_bool(json_object *o, const char *where, const char *key, bool *out, struct error **err);
/* *out is left alone if the field isn't there. */
bool json_get_int(json_object *o, const char *where, const char *key, int64_t min, int64_t max, int64_t *out,
		  bool *there, struct error **err);
/* An array of strings, as a list to free (the strings are the object's). */
bool json_get_strings(json_object *o, const char *where, const char *key, const char ***list, size_t *n,
		      struct error **err);

#endif
