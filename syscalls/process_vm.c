/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process_vm_readv(2), process_vm_writev(2): one guest process reads or writes another's memory, through the sentry,
 * with ptrace's permission rule. Both lists are walked together in pieces of a page; a fault on either side ends the
 * call with what was moved so far.
 */
#include "sentry/base/alloc.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/iobuf.h"
#include "syscalls/define.h"

/* Reads the remote list; lengths are bounded together like a read's. */
static int read_remote(struct task *task, gva_t uvec, uint64_t n, struct guest_iovec **out)
{
	struct guest_iovec *v;
	uint64_t total = 0, i;

	*out = NULL;
	if (n > LINUX_IOV_MAX)
		return -LINUX_EINVAL;
	if (n == 0)
		return 0;
	v = kcalloc(n, sizeof(*v));
	if (v == NULL)
		return -LINUX_ENOMEM;
	if (copy_from_guest(task, v, uvec, n * sizeof(*v))) {
		kfree(v);
		return -LINUX_EFAULT;
	}
	for (i = 0; i < n; i++) {
		if ((int64_t)v[i].len < 0) {
			kfree(v);
			return -LINUX_EINVAL;
		}
		v[i].len = MIN(v[i].len, LINUX_MAX_RW_COUNT - total);
		total += v[i].len;
	}
	*out = v;
	return 0;
}

/* One piece; returns the bytes moved. */
static size_t move_piece(struct mm *mm, struct iobuf *local, uint8_t *page, uint64_t addr, size_t len, bool write)
{
	size_t n;

	if (write) {
		n = iobuf_get(local, page, len);
		return mm_write_guest(mm, GVA(addr), page, n);
	}
	n = mm_read_guest(mm, page, GVA(addr), len);
	return iobuf_put(local, page, n);
}

static int64_t move_all(struct task *task, struct mm *mm, struct iobuf *local, const struct guest_iovec *remote,
			uint64_t nremote, bool write)
{
	uint8_t *page = kmalloc(PAGE_SIZE);
	unsigned pieces = 0;
	int64_t done = 0;
	uint64_t i;

	if (page == NULL)
		return -LINUX_ENOMEM;
	for (i = 0; i < nremote && local->left != 0; i++) {
		uint64_t off = 0;

		while (off < remote[i].len && local->left != 0) {
			uint64_t addr = remote[i].base + off;
			size_t len = MIN(MIN(remote[i].len - off, local->left), PAGE_SIZE - (addr & (PAGE_SIZE - 1)));
			size_t n = move_piece(mm, local, page, addr, len, write);

			done += (int64_t)n;
			off += n;
			if (n != len) {
				kfree(page);
				return done != 0 ? done : -LINUX_EFAULT;
			}
			if (++pieces % 256 == 0)
				task_yield(task);
		}
	}
	kfree(page);
	return done;
}

static int64_t process_vm(struct task *task, int pid, gva_t lvec, uint64_t ln, gva_t rvec, uint64_t rn, uint64_t flags,
			  bool write)
{
	struct guest_iovec *remote;
	struct iobuf local;
	struct mm *mm = NULL;
	struct task *t;
	int64_t ret;

	if (flags != 0)
		return -LINUX_EINVAL;
	ret = iobuf_init_iovec(&local, task, lvec, ln);
	if (ret)
		return ret;
	if (local.left == 0) {
		iobuf_done(&local);
		return 0;
	}
	ret = read_remote(task, rvec, rn, &remote);
	if (ret)
		goto done_local;
	t = task_find(pid);
	if (t == NULL || t->mm == NULL)
		ret = -LINUX_ESRCH;
	else if (!task_may_inspect(task, t))
		ret = -LINUX_EPERM;
	else
		mm = mm_get(t->mm);
	if (mm != NULL) {
		ret = move_all(task, mm, &local, remote, rn, write);
		mm_put(mm);
	}
	kfree(remote);
done_local:
	iobuf_done(&local);
	return ret;
}

SYSCALL_DEFINE6(process_vm_readv, int, pid, gva_t, lvec, uint64_t, ln, gva_t, rvec, uint64_t, rn, uint64_t, flags)
{
	return process_vm(task, pid, lvec, ln, rvec, rn, flags, false);
}

SYSCALL_DEFINE6(process_vm_writev, int, pid, gva_t, lvec, uint64_t, ln, gva_t, rvec, uint64_t, rn, uint64_t, flags)
{
	return process_vm(task, pid, lvec, ln, rvec, rn, flags, true);
}
