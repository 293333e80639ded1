/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing the roles: Landlock and seccomp. What each may still do is in runtime/core/filters.def. */
#ifndef RUNTIME_CORE_SEAL_H
#define RUNTIME_CORE_SEAL_H

#include <stdbool.h>

/* No path of the host and no new TCP connection any more, where the kernel has Landlock; nothing otherwise. */
void seal_landlock_sentry(void);
/* Installs the role's seccomp filter. Ends the process if that fails: never unsealed. */
void seal_sentry(bool with_ptrace);
void seal_gofer(void);
void seal_inspector(void);

#endif
