/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/control.h"

#include "runtime/core/sentry.c"

void fuzz_sentry_control(void)
{
	control_ready(&control_watch, POLLIN);
}
