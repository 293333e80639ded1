/* SPDX-License-Identifier: Apache-2.0 */
/* What a crash report says about the guest: whose coroutine ran, in which call, and the last calls of all tasks. */
#include "sentry/trace/trace.h"

#include "sentry/base/log.h"
#include "sentry/base/panic.h"
#include "sentry/kernel/task.h"
#include "sentry/trace/inspect.h"
#include "syscalls/dispatch.h"

#include <string.h>

static const char *call_name(int nr)
{
	return nr >= 0 && nr < SYSCALL_MAX && syscall_table[nr].name != NULL ? syscall_table[nr].name : "?";
}

static void describe(void)
{
	const struct task *task = task_current();
	const struct trace_recent *r;
	char comm[64];

	if (task != NULL)
		panic_line("  task %d \"%s\", in call %d (%s)", task->tid,
			   log_quote(comm, sizeof(comm), task->comm, strnlen(task->comm, sizeof(task->comm))),
			   task->syscall_nr, call_name(task->syscall_nr));
	else
		panic_line("  no task: in the event loop");
	for (unsigned i = 0; (r = trace_recall(i)) != NULL; i++)
		panic_line("  %s [%d] %s(%#llx, %#llx, %#llx, %#llx, %#llx, %#llx)",
			   i == 0 ? "last calls:" : "           ", r->tid, call_name(r->nr),
			   (unsigned long long)r->args[0], (unsigned long long)r->args[1],
			   (unsigned long long)r->args[2], (unsigned long long)r->args[3],
			   (unsigned long long)r->args[4], (unsigned long long)r->args[5]);
}

void trace_crash_init(void)
{
	panic_more = describe;
	panic_last = inspect_crash;
}
