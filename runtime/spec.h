/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of the OCI runtime specification into struct config: see spec.c for the fields. */
#ifndef RUNTIME_SPEC_H
#define RUNTIME_SPEC_H

#include "runtime/build.h"

/* Reads DIR/config.json and fills b. s takes the dev.sentrybox.* annotations. */
bool spec_load(struct build *b, struct settings *s, const char *bundle, struct error **err);
/* The same from memory, for tests and fuzzing; bundle is where relative paths lead. */
bool spec_parse(struct build *b, struct settings *s, const char *bundle, const char *json, size_t len,
		struct error **err);

#endif
