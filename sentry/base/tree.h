/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ordered sets: libbsd's red-black tree macros (RB_HEAD, RB_ENTRY, RB_INSERT, RB_FIND, RB_NFIND, RB_MIN, RB_NEXT...),
 * generated static. Header only, nothing is linked.
 */
#ifndef SENTRY_BASE_TREE_H
#define SENTRY_BASE_TREE_H

#include <bsd/sys/tree.h>

#define TREE_GENERATE(name, type, field, cmp) RB_GENERATE_INTERNAL(name, type, field, cmp, __attribute__((unused)) static)

#endif
