/* SPDX-License-Identifier: Apache-2.0 */
/* The roles `exec` and `exec-init` of sentrybox-core: see exec_host.c. */
#ifndef RUNTIME_CORE_EXEC_HOST_H
#define RUNTIME_CORE_EXEC_HOST_H

#include <stdbool.h>

/* by_signal: ends by the signal that ended the process (for engines), else with 128 + its number (for shells). */
int exec_host_main(bool by_signal);

#endif
