/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CORE_JOIN_H
#define RUNTIME_CORE_JOIN_H

#include "runtime/config.h"

/* The configuration in a sealed memfd, to be unmapped; NULL: it is none, and *bad says why. */
const struct config *join_map(int fd, const char **bad);
/* fds[0] is the container's configuration, root says what the others are. NULL: it may join; else why not. */
const char *join_check(const struct config *cfg, uint32_t root, const int *fds, unsigned nfds);

#endif
