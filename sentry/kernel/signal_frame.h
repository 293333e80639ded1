/* SPDX-License-Identifier: Apache-2.0 */
/* Alternate signal stacks and the way back from a handler: what syscalls/signal.c needs of signal_frame.c. */
#ifndef SENTRY_KERNEL_SIGNAL_FRAME_H
#define SENTRY_KERNEL_SIGNAL_FRAME_H

#include "sentry/kernel/task.h"

/* sigaltstack(2): what is set, seen with this stack pointer; and setting it: 0, -LINUX_EPERM (running on it),
 * -LINUX_EINVAL, -LINUX_ENOMEM (too small). */
void altstack_get(const struct task *task, uint64_t sp, struct linux_stack *out);
int altstack_set(struct task *task, uint64_t sp, const struct linux_stack *ss) must_check;

/* rt_sigreturn(2), in a full event: the frame at the stack pointer becomes the context. Returns the restored RAX. */
int64_t signal_return(struct task *task);

#endif
