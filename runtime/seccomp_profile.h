/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp of a bundle: see seccomp_profile.c. */
#ifndef RUNTIME_SECCOMP_PROFILE_H
#define RUNTIME_SECCOMP_PROFILE_H

#include "runtime/config.h"
#include "runtime/error.h"

#include <json-c/json.h>
#include <stdbool.h>

/* Makes the program of linux.seccomp, if `os` (the object "linux", or NULL) has one, in c->seccomp. */
bool seccomp_profile(struct config *c, json_object *os, struct error **err);

#endif
