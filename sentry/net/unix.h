/* SPDX-License-Identifier: Apache-2.0 */
/* unix(7) sockets, as the rest of the sentry sees them. The objects are in unix_internal.h. */
#ifndef SENTRY_NET_UNIX_H
#define SENTRY_NET_UNIX_H

#include "sentry/base/types.h"

struct scm;
struct socket;
struct unix_name;

/* Drops what a message carried: file references and credentials. NULL is allowed. */
void scm_free(struct scm *scm);
/* One of the descriptors of a unix socket closes, not necessarily the last. */
void unix_descriptor_closed(struct socket *s);
/* NULL is allowed. */
void unix_name_put(struct unix_name *name);

#endif
