/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed looks at the members of a JSON object. The text was written by somebody else: nothing is believed to have a type
 * before it was looked at, a member that is null isn't there, and the error names the member by its whole path.
 */
#include "runtime/json_get.h"
#include "runtime/cleanup.h"

#include <string.h>

static const char *type_words(enum json_type t)
{
	switch (t) {
	case json_type_object:
		return "an object";
	case json_type_array:
		return "an array";
	case json_type_string:
		return "a string";
	case json_type_int:
		return "a number";
	case json_type_boolean:
		return "true or false";
	default:
		return "something else";
	}
}

bool json_get(json_object *o, const char *where, const char *key, enum json_type type, json_object **out,
	      struct error **err)
{
	json_object *v = NULL;

	*out = NULL;
	if (o == NULL || !json_object_object_get_ex(o, key, &v) || v == NULL)
		return true;
	if (!json_object_is_type(v, type))
		return error_set(err, "%s%s%s is not %s", where, *where != '\0' ? "." : "", key, type_words(type));
	*out = v;
	return true;
}

bool json_get_string(json_object *o, const char *where, const char *key, const char **out, struct error **err)
{
	json_object *v;

	if (!json_get(o, where, key, json_type_string, &v, err))
		return false;
	*out = v != NULL ? json_object_get_string(v) : NULL;
	if (v != NULL && strlen(*out) != (size_t)json_object_get_string_len(v))
		return error_set(err, "%s.%s has a NUL byte in it", where, key);
	return true;
}

bool json_get_bool(json_object *o, const char *where, const char *key, bool *out, struct error **err)
{
	json_object *v;

	if (!json_get(o, where, key, json_type_boolean, &v, err))
		return false;
	*out = v != NULL && json_object_get_boolean(v);
	return true;
}

bool json_get_int(json_object *o, const char *where, const char *key, int64_t min, int64_t max, int64_t *out,
		  bool *there, struct error **err)
{
	json_object *v;
	int64_t n;

	if (!json_get(o, where, key, json_type_int, &v, err))
		return false;
	if (there != NULL)
		*there = v != NULL;
	if (v == NULL)
		return true;
	n = json_object_get_int64(v);
	if (n < min || n > max)
		return error_set(err, "%s.%s is %lld: not within %lld and %lld", where, key, (long long)n,
				 (long long)min, (long long)max);
	*out = n;
	return true;
}

bool json_get_strings(json_object *o, const char *where, const char *key, const char ***list, size_t *n,
		      struct error **err)
{
	json_object *v;

	*list = NULL;
	*n = 0;
	if (!json_get(o, where, key, json_type_array, &v, err))
		return false;
	if (v == NULL)
		return true;
	*n = json_object_array_length(v);
	*list = xcalloc(*n + 1, sizeof(**list));
	for (size_t i = 0; i < *n; i++) {
		json_object *s = json_object_array_get_idx(v, i);

		if (s == NULL || !json_object_is_type(s, json_type_string) ||
		    strlen(json_object_get_string(s)) != (size_t)json_object_get_string_len(s))
			return error_set(err, "%s.%s[%zu] is not a string (without NUL bytes)", where, key, i);
		(*list)[i] = json_object_get_string(s);
	}
	return true;
}
