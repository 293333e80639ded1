/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a number to a handler. task_syscall() runs on the task's coroutine; restarts, signals and the trace of results
 * are task_return()'s.
 *
 * The guest controls the number and every argument. A number without a row, and a row that is ABSENT, give its errno and
 * are recorded as denials by the audit log.
 */
#include "syscalls/dispatch.h"

#include "sentry/kernel/seccomp.h"
#include "sentry/mm/mm.h"
#include "sentry/trace/trace.h"

#include <string.h>

/* Handlers are weak, so that a row may be written before its handler; table_check (a unit test) refuses such rows. */
#define FULL 1, SYSCALL_FULL, 0
#define PARTIAL 1, SYSCALL_PARTIAL, 0
#define ABSENT(e) 0, SYSCALL_ABSENT, LINUX_##e
#define ROW(nr, name, verdict, state, trace, note) ROW_(nr, name, verdict, state, trace, note)
#define ROW_(...) ROW_DECLARE(__VA_ARGS__)

#define DECLARE_1(name) int64_t sys_##name(struct task *task, const uint64_t args[6]) __attribute__((weak));
#define DECLARE_0(name)
#define ROW_DECLARE(nr, name, verdict, has, state, err, trace, note) DECLARE_##has(name)
#include "syscalls/table.def"
#undef ROW_DECLARE

#define FN_1(name) sys_##name
#define FN_0(name) NULL
#define ROW_DECLARE(nr, n, v, has, st, err, tr, nt) [nr] = {#n, FN_##has(n), tr, nt, SYSCALL_##v, st, err},
const struct syscall_row syscall_table[SYSCALL_MAX] = {
#include "syscalls/table.def"
};

uint64_t syscall_counts[SYSCALL_MAX];
static bool disabled[SYSCALL_MAX];

void syscall_disable(int nr)
{
	if (nr >= 0 && nr < SYSCALL_MAX)
		disabled[nr] = true;
}

int64_t task_syscall(struct task *task, int nr, const uint64_t args[6])
{
	const struct syscall_row *row;
	int64_t ret;

	trace_remember(task, nr, args);
	if (task->mm_inflight != NULL)
		mm_settle_slow(task);
	if (__builtin_expect(task->seccomp_mode != 0, 0) && !seccomp_allows(task, nr, args, &ret))
		return ret;
	if (nr < 0 || nr >= SYSCALL_MAX || syscall_table[nr].name == NULL) {
		trace_denied_call(task, nr, LINUX_ENOSYS);
		return -LINUX_ENOSYS;
	}
	row = &syscall_table[nr];
	syscall_counts[nr]++;
	if (disabled[nr] || (row->state != SYSCALL_ABSENT && row->fn == NULL))
		return -LINUX_ENOSYS;
	if (row->state == SYSCALL_ABSENT) {
		trace_denied_call(task, nr, row->absent_errno);
		return -row->absent_errno;
	}
	return row->fn(task, args);
}
