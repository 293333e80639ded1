/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing the roles: Landlock and seccomp. What each may still do is in runtime/core/filters.def. */
#ifndef RUNTIME_CORE_SEAL_H
#define RUNTIME_CORE_SEAL_H

#include <stdbool.h>

/* No path of the host and no new TCP connection any more, where the kernel has Landlock; nothing otherwise. */
void seal_landlock_sentry(void);
/* The gofer's: what lies beneath its roots, for reading or writing as given; nothing else. */
struct gofer_root;
void seal_landlock_gofer(const struct gofer_root *roots, unsigned n, bool writes);
/* Installs the role's seccomp filter. Ends the process if that fails: never unsealed. */
void seal_sentry(bool with_ptrace);
/* writes: one of its roots is writable. */
void seal_gofer(bool writes);
void seal_inspector(void);
/* Of runtime/root_keep.c: changes beneath the directory root alone, where the kernel has Landlock; and its filter. */
void seal_keeper(int root);

#endif
