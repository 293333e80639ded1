/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prctl(2), arch_prctl(2), personality(2).
 *
 * Left out of prctl: PR_SET_MM (CRIU only, EPERM without CAP_SYS_RESOURCE and EINVAL with it), perf, speculation
 * control, core scheduling, syscall user dispatch: EINVAL or the answer of a kernel built without them.
 */
#include "sentry/abi/capability.h"
#include "sentry/abi/process.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/text.h"
#include "sentry/platform/platform.h"
#include "syscalls/define.h"
#include "syscalls/seccomp.h"

#include <string.h>

enum {
	PR_SET_PDEATHSIG = 1,
	PR_GET_PDEATHSIG = 2,
	PR_GET_DUMPABLE = 3,
	PR_SET_DUMPABLE = 4,
	PR_GET_KEEPCAPS = 7,
	PR_SET_KEEPCAPS = 8,
	PR_GET_TIMING = 13,
	PR_SET_TIMING = 14,
	PR_SET_NAME = 15,
	PR_GET_NAME = 16,
	PR_GET_SECCOMP = 21,
	PR_SET_SECCOMP = 22,
	PR_CAPBSET_READ = 23,
	PR_CAPBSET_DROP = 24,
	PR_GET_TSC = 25,
	PR_SET_TSC = 26,
	PR_GET_SECUREBITS = 27,
	PR_SET_SECUREBITS = 28,
	PR_SET_TIMERSLACK = 29,
	PR_GET_TIMERSLACK = 30,
	PR_TASK_PERF_EVENTS_DISABLE = 31,
	PR_TASK_PERF_EVENTS_ENABLE = 32,
	PR_MCE_KILL = 33,
	PR_MCE_KILL_GET = 34,
	PR_SET_MM = 35,
	PR_SET_CHILD_SUBREAPER = 36,
	PR_GET_CHILD_SUBREAPER = 37,
	PR_SET_NO_NEW_PRIVS = 38,
	PR_GET_NO_NEW_PRIVS = 39,
	PR_GET_TID_ADDRESS = 40,
	PR_SET_THP_DISABLE = 41,
	PR_GET_THP_DISABLE = 42,
	PR_CAP_AMBIENT = 47,
	PR_SET_IO_FLUSHER = 57,
	PR_GET_IO_FLUSHER = 58,
	PR_SET_VMA = 0x53564d41,
	PR_GET_AUXV = 0x41555856,
	PR_SET_PTRACER = 0x59616d61,
};

#define DEFAULT_TIMERSLACK_NS (50 * NSEC_PER_USEC)

static int64_t set_name(struct task *task, uint64_t from)
{
	char name[sizeof(task->comm)];
	size_t n = copy_from_guest_partial(task, name, GVA(from), sizeof(name) - 1);

	name[n] = '\0';
	/* A shorter string may end where the page does. */
	if (n < sizeof(name) - 1 && memchr(name, '\0', n) == NULL)
		return -LINUX_EFAULT;
	memset(task->comm, 0, sizeof(task->comm));
	memcpy(task->comm, name, strlen(name));
	return 0;
}

static int64_t put_int(struct task *task, uint64_t to, int32_t value)
{
	return put_guest(task, GVA(to), &value);
}

static int64_t get_auxv(struct task *task, uint64_t to, uint64_t len)
{
	const struct mm *mm = task->mm;

	if (copy_to_guest(task, GVA(to), mm->auxv, MIN(len, (uint64_t)mm->auxv_len)))
		return -LINUX_EFAULT;
	return mm->auxv_len;
}

/* What concerns capabilities and their like. */
static int64_t prctl_cred(struct task *task, int option, const uint64_t a[6])
{
	uint64_t a2 = a[1], a3 = a[2];

	switch (option) {
	case PR_GET_KEEPCAPS:
		return (task->cred->securebits & LINUX_SECBIT_KEEP_CAPS) != 0;
	case PR_SET_KEEPCAPS:
		return a2 > 1 ? -LINUX_EINVAL : cred_set_keepcaps(task, a2 != 0);
	case PR_CAPBSET_READ:
		return a2 > LINUX_CAP_LAST ? -LINUX_EINVAL : (task->cred->cap_bounding & LINUX_CAP_BIT(a2)) != 0;
	case PR_CAPBSET_DROP:
		return cred_drop_bounding(task, a2);
	case PR_GET_SECUREBITS:
		return task->cred->securebits;
	case PR_SET_SECUREBITS:
		return cred_set_securebits(task, a2);
	case PR_CAP_AMBIENT:
		if ((a2 == 4 && a3 != 0) || a[3] != 0 || a[4] != 0)
			return -LINUX_EINVAL;
		return cred_ambient(task, a2, a3);
	case PR_SET_NO_NEW_PRIVS:
		if (a2 != 1 || a3 != 0 || a[3] != 0 || a[4] != 0)
			return -LINUX_EINVAL;
		task->no_new_privs = true;
		return 0;
	case PR_GET_NO_NEW_PRIVS:
		return (a2 | a3 | a[3] | a[4]) != 0 ? -LINUX_EINVAL : task->no_new_privs;
	case PR_SET_MM:
		return task_capable(task, LINUX_CAP_SYS_RESOURCE) ? -LINUX_EINVAL : -LINUX_EPERM;
	case PR_SET_IO_FLUSHER:
	case PR_GET_IO_FLUSHER:
		return task_capable(task, LINUX_CAP_SYS_RESOURCE) ? (option == PR_GET_IO_FLUSHER ? 0 : -LINUX_EINVAL)
								  : -LINUX_EPERM;
	default:
		return -LINUX_EINVAL;
	}
}

/* What Linux answers about hardware and subsystems that make no difference here. */
static int64_t prctl_system(struct task *task, int option, const uint64_t a[6])
{
	uint64_t a2 = a[1];

	switch (option) {
	case PR_GET_TIMING:
		return 0; /* PR_TIMING_STATISTICAL, the only one */
	case PR_SET_TIMING:
		return a2 != 0 ? -LINUX_EINVAL : 0;
	case PR_GET_TSC:
		return put_int(task, a2, 1 /* PR_TSC_ENABLE */);
	case PR_SET_TSC:
		return a2 == 1 ? 0 : -LINUX_EINVAL;
	case PR_TASK_PERF_EVENTS_DISABLE:
	case PR_TASK_PERF_EVENTS_ENABLE:
		return 0;
	case PR_MCE_KILL:
		if (a[3] | a[4])
			return -LINUX_EINVAL;
		if (a2 == 0)
			return a[2] != 0 ? -LINUX_EINVAL : 0;
		return a2 == 1 && a[2] <= 2 ? 0 : -LINUX_EINVAL;
	case PR_MCE_KILL_GET:
		return (a2 | a[2] | a[3] | a[4]) != 0 ? -LINUX_EINVAL : 2 /* PR_MCE_KILL_DEFAULT */;
	case PR_GET_SECCOMP:
		return task->seccomp_mode;
	case PR_SET_SECCOMP:
		return seccomp_prctl(task, a2, a[2]);
	case PR_SET_VMA:
		return -LINUX_EINVAL; /* as without CONFIG_ANON_VMA_NAME */
	case PR_SET_PTRACER:
		return -LINUX_EINVAL; /* as without Yama */
	default:
		return prctl_cred(task, option, a);
	}
}

SYSCALL_DEFINE5(prctl, int, option, uint64_t, a2, uint64_t, a3, uint64_t, a4, uint64_t, a5)
{
	const uint64_t a[6] = {(uint64_t)option, a2, a3, a4, a5};
	struct thread_group *g = task->group;

	switch (option) {
	case PR_SET_PDEATHSIG:
		if (a2 > LINUX_NSIG)
			return -LINUX_EINVAL;
		task->pdeath_signal = (int)a2;
		return 0;
	case PR_GET_PDEATHSIG:
		return put_int(task, a2, task->pdeath_signal);
	case PR_GET_DUMPABLE:
		return g->dumpable;
	case PR_SET_DUMPABLE:
		if (a2 > 1)
			return -LINUX_EINVAL;
		g->dumpable = task->mm->dumpable = a2 != 0;
		return 0;
	case PR_SET_NAME:
		return set_name(task, a2);
	case PR_GET_NAME:
		return copy_to_guest(task, GVA(a2), task->comm, sizeof(task->comm));
	case PR_SET_TIMERSLACK:
		task->timer_slack_ns = (int64_t)a2 <= 0 ? DEFAULT_TIMERSLACK_NS : a2;
		return 0;
	case PR_GET_TIMERSLACK:
		return (int64_t)MIN(task->timer_slack_ns, (uint64_t)INT64_MAX);
	case PR_SET_CHILD_SUBREAPER:
		g->is_subreaper = a2 != 0;
		return 0;
	case PR_GET_CHILD_SUBREAPER:
		return put_int(task, a2, g->is_subreaper);
	case PR_GET_TID_ADDRESS:
		return put_guest(task, GVA(a2), &task->clear_child_tid.v);
	case PR_SET_THP_DISABLE:
		if (a3 | a4 | a5)
			return -LINUX_EINVAL;
		g->thp_disabled = a2 != 0;
		return 0;
	case PR_GET_THP_DISABLE:
		return (a2 | a3 | a4 | a5) != 0 ? -LINUX_EINVAL : g->thp_disabled;
	case PR_GET_AUXV:
		return (a4 | a5) != 0 ? -LINUX_EINVAL : get_auxv(task, a2, a3);
	default:
		return prctl_system(task, option, a);
	}
}

/* ---- arch_prctl(2) ---- */

enum {
	ARCH_SET_GS = 0x1001,
	ARCH_SET_FS = 0x1002,
	ARCH_GET_FS = 0x1003,
	ARCH_GET_GS = 0x1004,
	ARCH_GET_CPUID = 0x1011,
	ARCH_SET_CPUID = 0x1012,
};

SYSCALL_DEFINE2(arch_prctl, int, code, uint64_t, addr)
{
	struct regs *regs;

	switch (code) {
	case ARCH_GET_CPUID:
		return 1;
	case ARCH_SET_CPUID:
		return -LINUX_ENODEV;
	case ARCH_SET_GS:
	case ARCH_SET_FS:
	case ARCH_GET_FS:
	case ARCH_GET_GS:
		break;
	default:
		return -LINUX_EINVAL;
	}
	regs = platform->context(task, 0);
	if (regs == NULL)
		return -LINUX_EINTR;
	if (code == ARCH_GET_FS)
		return put_guest(task, GVA(addr), &regs->fs_base);
	if (code == ARCH_GET_GS)
		return put_guest(task, GVA(addr), &regs->gs_base);
	if (addr >= LINUX_TASK_SIZE_MAX)
		return -LINUX_EPERM;
	if (code == ARCH_SET_FS) {
		regs->fs_base = addr;
		return 0;
	}
	/* Rewritten sites jump by GS: none may be left in memory of whoever wants it for himself. */
	if (addr != 0) {
		int err = text_disable(task);

		if (err)
			return err;
	}
	regs = platform->context(task, 0);
	if (regs == NULL)
		return -LINUX_EINTR;
	regs->gs_base = addr;
	return 0;
}

SYSCALL_DEFINE1(personality, uint32_t, persona)
{
	uint32_t old = task->personality;

	if (persona != 0xffffffffU)
		task->personality = persona;
	return old;
}
