/* SPDX-License-Identifier: Apache-2.0 */
/* See stub_jump.c. */
#define QUARTER 3
#include "stub_jump.c"
