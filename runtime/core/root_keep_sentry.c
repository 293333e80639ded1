/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's part of root-writes=keep: when init has ended, by itself, by a signal or because a limit was reached, everybody
 * else is dead already (kill_the_rest). The monitor is asked for a keeper; when its socket comes, a task of the kernel's own
 * serves what it asks (runtime/core/files.c: a DIFF, as for `sentrybox diff`), then the sandbox ends.
 *
 * Nothing here is trusted by anybody: what the keeper makes of the records is its own care.
 */
#include "runtime/core/root_keep.h"

#include "runtime/core/control_protocol.h"
#include "runtime/core/files.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"

static bool waiting;
static int wait_status;

static void end(void)
{
	control_ended(wait_status);
	loop_stop(0);
}

bool root_keep_start(const struct config *cfg, int status)
{
	if (!cfg->root_keep || mount_root == NULL)
		return false;
	wait_status = status;
	waiting = true;
	/* What the guest may have used up is no reason to lose what it made. */
	alloc_set_limit(UINT64_MAX);
	log_debug("root-writes: what was changed is asked for");
	control_keep(status);
	return true;
}

void root_keep_take(int fd)
{
	if (!waiting) {
		if (fd >= 0)
			host_close(fd);
		return;
	}
	waiting = false;
	if (fd < 0 || !files_serve_last(fd, end))
		end();
}
