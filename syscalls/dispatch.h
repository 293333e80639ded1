/* SPDX-License-Identifier: Apache-2.0 */
/* The table of system calls as data: see syscalls/table.def. */
#ifndef SYSCALLS_DISPATCH_H
#define SYSCALLS_DISPATCH_H

#include "syscalls/define.h"

#define SYSCALL_MAX 512 /* numbers at or above this have no row */

enum syscall_verdict { SYSCALL_NONE, SYSCALL_NOTIFY, SYSCALL_TRAP };
enum syscall_state { SYSCALL_UNKNOWN, SYSCALL_FULL, SYSCALL_PARTIAL, SYSCALL_ABSENT };

struct syscall_row {
	const char *name;   /* NULL: no such number */
	syscall_fn fn;      /* NULL if absent */
	const char *trace, *note;
	enum syscall_verdict verdict;
	enum syscall_state state;
	int absent_errno;   /* positive */
};

extern const struct syscall_row syscall_table[SYSCALL_MAX];
/* Calls served so far, by number. */
extern uint64_t syscall_counts[SYSCALL_MAX];

/* Makes a row answer ENOSYS, so that a test can show that it depends on it (--fail-call, hidden). */
void syscall_disable(int nr);

#endif
