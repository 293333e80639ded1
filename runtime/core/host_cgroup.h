/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's part in its container's cgroups: see host_cgroup.c. All do nothing where there are none. */
#ifndef RUNTIME_CORE_HOST_CGROUP_H
#define RUNTIME_CORE_HOST_CGROUP_H

#include "runtime/config.h"

#include <sys/types.h>

/* The roles are started: up to where it isn't frozen with them. */
void host_cgroup_leave(const struct config *c);
bool host_cgroup_can_freeze(const struct config *c);
/* All but the monitor. Returns when they stand still, or after some milliseconds. */
void host_cgroup_freeze(const struct config *c);
void host_cgroup_thaw(const struct config *c);
/* The host's OOM kills among the container's processes so far, without those that host_cgroup_tell_oom made. */
uint64_t host_cgroup_oom_kills(const struct config *c);
bool host_cgroup_can_tell_oom(const struct config *c);
/* The sandbox's own limit was passed: has the host see an OOM, too. While all but us stand still. */
void host_cgroup_tell_oom(const struct config *c);

#endif
