/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vsyscall page: three calls at fixed addresses that Linux once had mapped for everybody, and that static programs of
 * before 2012 still jump to.
 *
 *	0xffffffffff600000  gettimeofday        0xffffffffff600400  time        0xffffffffff600800  getcpu
 *
 * Guests can't have a page there: it is the host kernel's half. What happens depends on the host:
 *
 *	vsyscall=xonly, emulate (the default)   the host emulates the jump, and asks its filters: the call arrives here as a
 *	                                        notification like any other
 *	vsyscall=none                           the jump faults, and the fault arrives: this file does what the host would
 *
 * As there: the call is made with the registers as they are, the guest's own filters are asked, and the caller goes on
 * behind its `call`, with nothing changed but RAX and the stack pointer. A bad pointer, or a stack without a return
 * address, is the fault itself.
 */
#include "sentry/kernel/vsyscall.h"

#include "sentry/abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/trace/trace.h"
#include "syscalls/dispatch.h"

#include <string.h>

#define VSYSCALL_PAGE 0xffffffffff600000UL

static int number_of(uint64_t ip)
{
	switch (ip) {
	case VSYSCALL_PAGE:
		return 96; /* gettimeofday */
	case VSYSCALL_PAGE + 0x400:
		return 201; /* time */
	case VSYSCALL_PAGE + 0x800:
		return 309; /* getcpu */
	default:
		return -1;
	}
}

bool vsyscall_fault(struct task *task, const struct platform_event *ev)
{
	int nr = number_of(ev->ip);
	uint64_t back, args[6] = {0};
	struct regs *regs;
	int64_t ret;

	/* A jump there faults at the very instruction. */
	if (nr < 0 || ev->addr != ev->ip)
		return false;
	regs = platform->context(task, 0);
	if (regs == NULL || get_guest(task, &back, GVA(regs->rsp)))
		return false;
	args[0] = regs->rdi;
	args[1] = regs->rsi;
	args[2] = regs->rdx;
	task->syscall_nr = nr;
	task->syscall_ip = ev->ip;
	memcpy(task->syscall_args, args, sizeof(args));
	if (trace_on)
		trace_enter(task, nr, args);
	ret = task_syscall(task, nr, args);
	if (trace_on)
		trace_exit(task, nr, args, ret);
	task->syscall_nr = -1; /* nothing is restarted, and RAX is ours */
	if (ret == -LINUX_EFAULT)
		return false;
	regs = platform->context(task, 0);
	if (regs == NULL)
		return false;
	regs->rip = back;
	regs->rsp += sizeof(back);
	regs->rax = (uint64_t)ret;
	return true;
}
