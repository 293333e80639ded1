/* SPDX-License-Identifier: Apache-2.0 */
/* What the socket handlers share: from a descriptor to a socket, addresses in and out. */
#ifndef SYSCALLS_NET_H
#define SYSCALLS_NET_H

#include "sentry/net/socket.h"

/* The file (a reference) and, borrowed from it, the socket behind fd. NULL: *err is -LINUX_EBADF or -LINUX_ENOTSOCK. */
struct file *net_get(struct task *task, int fd, struct socket **s, int *err) must_check;
int net_name_from_guest(struct task *task, gva_t addr, int len, struct sockname *name) must_check;
int net_name_to_guest(struct task *task, const struct sockname *name, gva_t addr, gva_t lenp) must_check;

#endif
