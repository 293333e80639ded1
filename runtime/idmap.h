/* SPDX-License-Identifier: Apache-2.0 */
/* uidMappings and gidMappings of a bundle: see idmap.c. */
#ifndef RUNTIME_IDMAP_H
#define RUNTIME_IDMAP_H

#include "runtime/error.h"

#include <json-c/json.h>
#include <stdbool.h>

/* Both arrays of o, if they are there; where: o's path. False: one of them means what can't be had, err says which and why. */
bool idmap_check(json_object *o, const char *where, struct error **err);
/* The same of one array, with the map of the caller's own namespace in a file of the form of /proc/self/uid_map. */
bool idmap_is_ours(json_object *o, const char *where, const char *key, const char *map, struct error **err);

#endif
