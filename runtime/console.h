/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals for engines: see console.c. */
#ifndef RUNTIME_CONSOLE_H
#define RUNTIME_CONSOLE_H

#include "runtime/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Makes a terminal of the given size (0: as it comes) and sends its master over the unix socket at path. Returns the slave,
 * or -1. */
int console_open(const char *path, uint16_t rows, uint16_t cols, struct error **err);

#endif
