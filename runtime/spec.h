/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of the OCI runtime specification into struct config: see spec.c for the fields. */
#ifndef RUNTIME_SPEC_H
#define RUNTIME_SPEC_H

#include "runtime/build.h"

#include <json-c/json.h>

/* DIR/config.json, to free; NULL with an error. */
char *spec_read(const char *bundle, size_t *len, struct error **err);
/* Fills b from its text. s takes the dev.sentrybox.* annotations; bundle is where relative paths lead. */
bool spec_parse(struct build *b, struct settings *s, const char *bundle, const char *json, size_t len,
		struct error **err);
/* A process object (`exec`) for a container whose config.json is given. Fills in what config_check_process looks at. */
bool spec_process(struct build *b, json_object *process, json_object *container, struct error **err);
/* An object as linux.resources (`update`): memory_bytes, cpu_permille and max_tasks of c, where it names them. */
bool spec_resources(struct config *c, json_object *resources, struct error **err);
/* "CHOWN" ... by number, NULL behind the last. */
const char *spec_capability(size_t n);
/* Mount options that are flags, likewise. */
const char *spec_mount_flag(size_t n);

#endif
