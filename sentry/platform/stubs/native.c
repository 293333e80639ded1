/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Native calls commanded in a guest's address space.
 *
 * They are queued while a handler runs and carried out by the thread in its trap door, when it resumes or at a flush. The
 * filter notifies those that could do harm (descriptors, the stub region); each is compared with what is expected here.
 * A host descriptor is put into the stub's (empty) table for the batch only: ADDFD, the call, close.
 *
 * A guarded descriptor (a root image: it shows more than this process may read) goes to a number at which the filter
 * lets no mapping pass unasked: only what was commanded can be mapped through it, whichever thread tries. In one process those
 * numbers never hold anything else (sentry/fs/image.c maps no other container's image), so one that is used twice at the same
 * time is the same file.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/stub_filter.h"

#include <string.h>
#include <sys/syscall.h>

int native_queue_call(struct platform_thread *pt, const struct native_call *call)
{
	if (pt->state == THREAD_DEAD)
		return -LINUX_ESRCH;
	if (pt->nqueue == pt->queue_cap) {
		unsigned cap = pt->queue_cap != 0 ? pt->queue_cap * 2 : 16;
		struct native_call *bigger = krealloc(pt->queue, cap * sizeof(*bigger));

		if (bigger == NULL)
			return -LINUX_ENOMEM;
		pt->queue = bigger;
		pt->queue_cap = cap;
	}
	pt->queue[pt->nqueue++] = *call;
	return 0;
}

/*
 * Private mappings of one file that follow one another in it and in memory, as a program's segments do, become one mapping and
 * mprotects of its parts: a mapping with a descriptor is notified, an mprotect isn't. True if the call is to be queued still.
 */
static bool join_mapping(struct platform_thread *pt, struct native_call *call)
{
	const uint64_t *a = call->cmd.args;
	struct native_call *first;
	unsigned i = pt->nqueue;

	while (i != 0 && pt->queue[i - 1].joined)
		i--;
	if (i == 0)
		return true;
	first = &pt->queue[i - 1];
	if (first->cmd.nr != SYS_mmap || first->host_fd != call->host_fd || first->cmd.args[3] != a[3] ||
	    !(a[3] & LINUX_MAP_PRIVATE) || first->cmd.args[0] + first->cmd.args[1] != a[0] ||
	    first->cmd.args[5] + first->cmd.args[1] != a[5])
		return true;
	first->cmd.args[1] += a[1];
	if (first->cmd.args[2] == a[2])
		return false;
	call->cmd = (struct stub_cmd){SYS_mprotect, {a[0], a[1], a[2]}};
	call->host_fd = -1;
	call->joined = true;
	return true;
}

int native_queue(struct platform_thread *pt, const struct platform_mm_cmd *cmd)
{
	struct native_call call = {.host_fd = -1};
	uint64_t *a = call.cmd.args;

	/* Nothing commanded by a handler reaches the stub region, whatever the vma tree believes. */
	if (cmd->addr > GUEST_END || cmd->len > GUEST_END - cmd->addr)
		return -LINUX_EINVAL;
	a[0] = cmd->addr;
	a[1] = cmd->len;
	switch (cmd->op) {
	case PLATFORM_MMAP:
		call.cmd.nr = SYS_mmap;
		a[2] = (uint64_t)cmd->prot;
		a[3] = (uint64_t)(cmd->flags | LINUX_MAP_FIXED);
		if (cmd->host_fd < 0) {
			a[3] |= LINUX_MAP_ANONYMOUS;
			a[4] = (uint64_t)-1;
		} else {
			a[5] = cmd->off;
			call.host_fd = cmd->host_fd;
			if (!join_mapping(pt, &call))
				return 0;
		}
		break;
	case PLATFORM_MUNMAP:
		call.cmd.nr = SYS_munmap;
		break;
	case PLATFORM_MPROTECT:
		call.cmd.nr = SYS_mprotect;
		a[2] = (uint64_t)cmd->prot;
		break;
	case PLATFORM_MADVISE:
		call.cmd.nr = SYS_madvise;
		a[2] = (uint64_t)cmd->flags;
		break;
	case PLATFORM_MREMAP:
		/* Only a move: equal, non-zero sizes. */
		if (cmd->len == 0 || cmd->new_addr > GUEST_END || cmd->len > GUEST_END - cmd->new_addr)
			return -LINUX_EINVAL;
		call.cmd.nr = SYS_mremap;
		a[2] = cmd->len;
		a[3] = LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED;
		a[4] = cmd->new_addr;
		break;
	case PLATFORM_MINCORE:
		if (cmd->new_addr > GUEST_END || cmd->len / PAGE_SIZE > GUEST_END - cmd->new_addr)
			return -LINUX_EINVAL;
		call.cmd.nr = SYS_mincore;
		a[2] = cmd->new_addr;
		break;
	}
	return native_queue_call(pt, &call);
}

static unsigned nargs_of(int64_t nr)
{
	switch (nr) {
	case SYS_mmap:
		return 6;
	case SYS_mremap:
		return 5;
	case SYS_munmap:
		return 2;
	case SYS_close:
		return 1;
	case SYS_close_range:
		return 3;
	default:
		return 3;
	}
}

/* Room for a close behind each call that passes a descriptor. */
#define BATCH (STUB_MAX_CMDS - 8)
#define BATCH_FDS 8

bool native_fits(const struct platform_thread *pt)
{
	unsigned with_fd = 0;

	for (unsigned i = 0; i < pt->nqueue; i++)
		with_fd += pt->queue[i].host_fd >= 0;
	return pt->nqueue <= BATCH && with_fd <= BATCH_FDS;
}

bool native_needs_call(const struct platform_thread *pt)
{
	for (unsigned i = 0; i < pt->nqueue; i++)
		if (pt->queue[i].host_fd >= 0)
			return true;
	return false;
}

#define GUARDED_MAX 80 /* a pod's containers have an image each, at most */
static int guarded[GUARDED_MAX];
static unsigned nguarded;

static bool is_guarded(int fd)
{
	for (unsigned i = 0; i < nguarded; i++)
		if (guarded[i] == fd)
			return true;
	return false;
}

bool native_guard_fd(int fd, bool on)
{
	unsigned i = 0;

	while (i < nguarded && guarded[i] != fd)
		i++;
	if (on && i == GUARDED_MAX)
		return false;
	if (on && i == nguarded)
		guarded[nguarded++] = fd;
	else if (!on && i < nguarded)
		guarded[i] = guarded[--nguarded];
	return true;
}

static bool in_guarded_range(int number)
{
	return number >= (int)STUB_GUARDED_LO && number < (int)STUB_GUARDED_HI;
}

#define NO_FD 0x7fffffff /* a number that no table has */

/*
 * Most mappings are private ones of files that the process may read, which the filter lets pass unasked. A close of theirs that is
 * asked for would be a notification more; so they have numbers that may be closed unasked, each thread its own, which nothing
 * that is asked for is ever passed at (pass). Who leaves such a close out, or makes it too early, has or misses a private view
 * of what it could have mapped anyway. Not a root image's: that shows more than the process may read.
 */
#define OWN_EACH 2U

/* The number for the thread's n-th descriptor of a batch; -1: there is none. */
static int own_number(const struct platform_thread *pt, unsigned n)
{
	if (!transport->chooses_number || n >= OWN_EACH || pt->area >= (STUB_OWN_HI - STUB_OWN_LO) / OWN_EACH)
		return -1;
	return (int)(STUB_OWN_LO + pt->area * OWN_EACH + n);
}

static bool in_own_range(int number)
{
	return number >= (int)STUB_OWN_LO && number < (int)STUB_OWN_HI;
}

/* Whether the call may be made by way of such a number. */
static bool may_be_own(const struct native_call *call)
{
	struct stub_cmd cmd = call->cmd;

	cmd.args[4] = STUB_OWN_LO;
	return cmd.nr == SYS_mmap && !is_guarded(call->host_fd) && stub_filter_free(cmd.nr, cmd.args);
}

/* Passes a descriptor of the batch: the number to close afterwards, or -errno. *use is the one for the calls. */
static int pass(struct platform_thread *pt, int host_fd, int *use)
{
	static unsigned next;
	bool guard = is_guarded(host_fd);
	int at = guard ? (int)(STUB_GUARDED_LO + next++ % (STUB_GUARDED_HI - STUB_GUARDED_LO)) : -1;
	int number = transport->pass_fd(pt->call_id, host_fd, at, false);

	*use = number;
	/* Another file may not be there (so many are on their way at once), nor a guarded one elsewhere. */
	if (number < 0 || in_own_range(number) || (nguarded != 0 && in_guarded_range(number) != guard))
		*use = NO_FD; /* the call then fails by itself */
	return number;
}

/*
 * The closes of a batch. Numbers that follow one another become one call: what lies in between is nobody else's. Each is
 * notified, and so is the last one in any case. *may_wait: that one may be made as late as with the next batch. Not if it is of
 * a guarded number: those come round, and the next batch's file may be put there first.
 */
static unsigned load_closes(struct platform_thread *pt, volatile struct stub_cmd *out, const int *numbers, unsigned nfds,
			    bool *may_wait)
{
	unsigned n = 0, end;

	*may_wait = false;
	for (unsigned i = 0; i < nfds; i = end) {
		struct stub_cmd close = {SYS_close, {(uint64_t)numbers[i]}};

		end = i + 1;
		*may_wait = !in_guarded_range(numbers[i]) && !in_own_range(numbers[i]);
		while (end < nfds && numbers[i] != NO_FD && !in_own_range(numbers[i]) && numbers[end] == numbers[end - 1] + 1 &&
		       !in_own_range(numbers[end]))
			*may_wait &= !in_guarded_range(numbers[end++]);
		if (end > i + 1)
			close = (struct stub_cmd){SYS_close_range, {(uint64_t)numbers[i], (uint64_t)numbers[end - 1], 0}};
		if (!stub_filter_free(close.nr, close.args))
			stubs_expect(pt, close.nr, nargs_of(close.nr), close.args);
		memcpy((void *)&out[n++], &close, sizeof(close));
	}
	return n;
}

/* reports: a close that is asked for is welcome, being the report. */
static bool load_batch(struct platform_thread *pt, bool *close_reports, bool reports)
{
	int passed[BATCH_FDS], numbers[BATCH_FDS], use[BATCH_FDS];
	unsigned nfds = 0, n = 0, taken = 0, owned = 0;
	volatile struct stub_cmd *out = pt->mailbox->cmds;

	while (taken < pt->nqueue && n < BATCH) {
		struct native_call *call = &pt->queue[taken];

		if (call->host_fd >= 0) {
			bool own = !reports && may_be_own(call);
			unsigned i = 0;

			/* What is asked for uses no number of the others. */
			while (i < nfds && (passed[i] != call->host_fd || (in_own_range(use[i]) && !own)))
				i++;
			if (i == BATCH_FDS)
				break;
			if (i == nfds) {
				int at = own ? own_number(pt, owned) : -1;

				passed[nfds] = call->host_fd;
				if (at >= 0 && transport->pass_fd(pt->call_id, call->host_fd, at, false) == at) {
					numbers[nfds] = use[nfds] = at;
					owned++;
				} else {
					numbers[nfds] = pass(pt, call->host_fd, &use[nfds]);
				}
				if (numbers[nfds] < 0)
					numbers[nfds] = NO_FD;
				nfds++;
			}
			call->cmd.args[4] = (uint64_t)use[i];
		}
		if (call->cmd.nr >= 0 && !stub_filter_free(call->cmd.nr, call->cmd.args))
			stubs_expect(pt, call->cmd.nr, nargs_of(call->cmd.nr), call->cmd.args);
		memcpy((void *)&out[n++], &call->cmd, sizeof(call->cmd));
		taken++;
	}
	n += load_closes(pt, out + n, numbers, nfds, close_reports);
	pt->mailbox->ncmds = n;
	pt->nqueue -= taken;
	if (pt->nqueue != 0)
		memmove(pt->queue, pt->queue + taken, pt->nqueue * sizeof(*pt->queue));
	return n != 0;
}

bool native_load(struct platform_thread *pt)
{
	bool close_reports;

	return load_batch(pt, &close_reports, false);
}

bool native_load_batch(struct platform_thread *pt, bool *close_reports)
{
	return load_batch(pt, close_reports, true);
}

int native_cmpxchg32(struct task *task, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *seen)
{
	struct native_call call = {
		.cmd = {STUB_CMD_CMPXCHG, {addr, old, new_value}},
		.host_fd = -1,
	};
	struct platform_thread *pt = task->pt;
	int err;

	if (addr >= GUEST_END - 4)
		return -LINUX_EFAULT;
	/* Only a thread of the address space can do it: ours, in its trap door. */
	if (platform->context(task, 0) == NULL)
		return -LINUX_ESRCH;
	err = native_queue_call(pt, &call);
	if (err == 0)
		err = native_flush(task, pt);
	*seen = (uint32_t) * (volatile uint64_t *)&pt->mailbox->value;
	return err;
}

int native_flush(struct task *task, struct platform_thread *pt)
{
	bool close_reports;

	(void)task;
	while (pt->nqueue != 0) {
		if (!stubs_unpark(pt) || (pt->state != THREAD_FULL && pt->state != THREAD_GATE))
			return -LINUX_ESRCH;
		if (native_needs_call(pt) && !stubs_to_call(pt))
			return -LINUX_ESRCH;
		if (pt->state == THREAD_GATE) {
			native_load(pt);
			gate_reply(pt, GATE_RUN, 0, THREAD_GATE_RUNNING);
		} else {
			native_load_batch(pt, &close_reports);
			pt->report_by_close = close_reports;
			stubs_action(pt, close_reports ? STUB_RUN_CLOSE : STUB_RUN, THREAD_RUNNING);
		}
		if (!stubs_wait(pt, &pt->event_ready))
			return -LINUX_ESRCH;
		pt->event_ready = false;
		/* What was expected of a batch that stopped early never comes. */
		pt->expected_next = pt->nexpected = 0;
		if (pt->result < 0) {
			pt->nqueue = 0;
			return (int)pt->result;
		}
	}
	return 0;
}
