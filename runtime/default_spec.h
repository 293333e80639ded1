/* SPDX-License-Identifier: Apache-2.0 */
/* `spec` and `features`: what we would take, and what we know. */
#ifndef RUNTIME_DEFAULT_SPEC_H
#define RUNTIME_DEFAULT_SPEC_H

#include "runtime/error.h"

#include <json-c/json.h>
#include <stdbool.h>

/* Writes config.json in dir (NULL: the current one), which must not have one. */
bool spec_write(const char *dir, struct error **err);
json_object *features_json(void);

#endif
