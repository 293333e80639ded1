/* SPDX-License-Identifier: Apache-2.0 */
/* Futexes; see futex.c. shared: the key is the memory itself, else (mm, address). */
#ifndef SENTRY_KERNEL_FUTEX_H
#define SENTRY_KERNEL_FUTEX_H

#include "sentry/abi/futex.h"
#include "sentry/base/types.h"

struct task;

/* Sleeps until woken while the word is val. 0, -LINUX_EAGAIN (it isn't), -LINUX_ETIMEDOUT, -LINUX_EINVAL,
 * -LINUX_EFAULT, -LINUX_ERESTARTSYS, or with a deadline -LINUX_ERESTART_RESTARTBLOCK. deadline: host monotonic ns or
 * WAIT_FOREVER. */
int64_t futex_wait(struct task *task, gva_t addr, bool shared, uint32_t val, uint64_t deadline, uint32_t bitset);
/* Wakes up to nr (at least one, as Linux). Their number or -errno. */
int64_t futex_wake(struct task *task, gva_t addr, bool shared, int nr, uint32_t bitset);
/* cmp: NULL or the value that the word must still have. */
int64_t futex_requeue(struct task *task, gva_t from, bool shared, int nr_wake, gva_t to, int nr_requeue,
		      const uint32_t *cmp);
int64_t futex_wake_op(struct task *task, gva_t addr, bool shared, int nr_wake, gva_t addr2, int nr_wake2, uint32_t op);
int64_t futex_lock_pi(struct task *task, gva_t addr, bool shared, uint64_t deadline, bool trylock);
int64_t futex_unlock_pi(struct task *task, gva_t addr, bool shared);

/* One of several words, futex_waitv(2). */
struct futex_wait_one {
	gva_t addr;
	uint32_t val;
	bool shared;
};
/* The index of one that was woken, or -errno. */
int64_t futex_wait_many(struct task *task, const struct futex_wait_one *v, unsigned n, uint64_t deadline);

/* CLONE_CHILD_CLEARTID: wakes n waiters on a word of the task's memory, shared or not. */
int64_t futex_wake_addr(struct task *task, gva_t addr, int n);
/* The task holds no robust futex, as its list says now. */
bool futex_robust_empty(struct task *task);
/* The task leaves its memory: marks the robust futexes it holds and hands over the PI futexes it owns. */
void futex_exit_robust(struct task *task);

#endif
