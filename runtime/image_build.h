/* SPDX-License-Identifier: Apache-2.0 */
/* Making root images: see image_build.c. */
#ifndef RUNTIME_IMAGE_BUILD_H
#define RUNTIME_IMAGE_BUILD_H

#include "runtime/error.h"

#include <stddef.h>

#define OCI_MAX_LAYERS 128

/* Runs a program to its end with stdin empty and PATH and LC_ALL set; args[0] is its name, package the Debian package that
 * has it. Its output comes as a string in *out (to free), or is thrown away (NULL). */
bool run_program(const char *package, char *const args[], char **out, size_t *out_len, struct error **err);

/* Adds what a tar file has to the directory, as a layer over what is there already: its whiteouts first. */
bool layer_apply(const char *tar, const char *dir, struct error **err);
/* Is the directory an OCI image layout? Then its layers, lowest first, as paths to free. */
bool oci_is_layout(const char *dir);
bool oci_layers(const char *dir, char *paths[OCI_MAX_LAYERS], size_t *n, struct error **err);

#endif
