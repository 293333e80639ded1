// SPDX-License-Identifier: Apache-2.0
/*
 * NUMA policy calls (mbind, set_mempolicy, get_mempolicy): one node, number 0. Policies are checked as on such a
 * machine and have no effect; the thread's own is remembered nowhere and always read as the default.
 */
#include "sentry/mm/mm.h"
#include "syscalls/define.h"

#define MPOL_DEFAULT 0
#define MPOL_PREFERRED 1
#define MPOL_LOCAL 4
#define MPOL_MAX 7 /* first unknown: weighted interleave is 6 */
#define MPOL_F_STATIC_NODES (1 << 15)
#define MPOL_F_RELATIVE_NODES (1 << 14)
#define MPOL_F_NUMA_BALANCING (1 << 13)
#define MPOL_MODE_FLAGS (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING)
#define MPOL_F_NODE 1U
#define MPOL_F_ADDR 2U
#define MPOL_F_MEMS_ALLOWED 4U
#define MPOL_MF_VALID 7U /* STRICT, MOVE, MOVE_ALL */
#define NODES_MAX (PAGE_SIZE * 8)

/* The nodes of a mask: only node 0 exists, others give EINVAL. */
static int fetch_nodes(struct task *task, gva_t mask, uint64_t maxnode, uint64_t *nodes)
{
	uint64_t word;

	*nodes = 0;
	if (maxnode > 0)
		maxnode--;
	if (maxnode == 0 || mask.v == 0)
		return 0;
	if (maxnode > NODES_MAX)
		return -LINUX_EINVAL;
	for (uint64_t i = 0; i < maxnode; i += 64) {
		if (copy_from_guest(task, &word, gva_add(mask, i / 8), sizeof(word)) != 0)
			return -LINUX_EFAULT;
		if (maxnode - i < 64)
			word &= (1UL << (maxnode - i)) - 1;
		if (i == 0)
			*nodes = word;
		else if (word != 0)
			return -LINUX_EINVAL;
	}
	return 0;
}

static int check_policy(struct task *task, int mode, gva_t mask, uint64_t maxnode)
{
	int flags = mode & MPOL_MODE_FLAGS;
	uint64_t nodes;
	int err;

	mode &= ~MPOL_MODE_FLAGS;
	if (mode < 0 || mode >= MPOL_MAX)
		return -LINUX_EINVAL;
	if ((flags & MPOL_F_STATIC_NODES) != 0 && (flags & MPOL_F_RELATIVE_NODES) != 0)
		return -LINUX_EINVAL;
	err = fetch_nodes(task, mask, maxnode, &nodes);
	if (err)
		return err;
	if (mode == MPOL_DEFAULT || mode == MPOL_LOCAL)
		return nodes != 0 ? -LINUX_EINVAL : 0;
	if (nodes == 0)
		return mode == MPOL_PREFERRED && flags == 0 ? 0 : -LINUX_EINVAL;
	return (nodes & 1) ? 0 : -LINUX_EINVAL;
}

SYSCALL_DEFINE3(set_mempolicy, int, mode, gva_t, mask, uint64_t, maxnode)
{
	return check_policy(task, mode, mask, maxnode);
}

SYSCALL_DEFINE6(mbind, uint64_t, addr, uint64_t, len, int, mode, gva_t, mask, uint64_t, maxnode, uint32_t, flags)
{
	int err = check_policy(task, mode, mask, maxnode);
	uint64_t end;

	if (err)
		return err;
	if (flags & ~MPOL_MF_VALID)
		return -LINUX_EINVAL;
	if (addr & ~PAGE_MASK)
		return -LINUX_EINVAL;
	end = addr + PAGE_ALIGN(len);
	if (end < addr)
		return -LINUX_EINVAL;
	while (addr < end) {
		const struct vma *v = mm_find(task->mm, addr);

		if (v == NULL)
			return -LINUX_EFAULT;
		addr = v->end;
	}
	return 0;
}

SYSCALL_DEFINE5(get_mempolicy, gva_t, mode, gva_t, mask, uint64_t, maxnode, uint64_t, addr, uint32_t, flags)
{
	const int policy = MPOL_DEFAULT, node = 0;
	uint64_t nodes = (flags & MPOL_F_MEMS_ALLOWED) ? 1 : 0;

	if (mask.v != 0 && maxnode < 1)
		return -LINUX_EINVAL;
	if (flags & ~(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
		return -LINUX_EINVAL;
	if ((flags & MPOL_F_MEMS_ALLOWED) != 0 && (flags & (MPOL_F_NODE | MPOL_F_ADDR)) != 0)
		return -LINUX_EINVAL;
	if (flags & MPOL_F_ADDR) {
		if (mm_find(task->mm, addr) == NULL)
			return -LINUX_EFAULT;
	} else if (addr != 0) {
		return -LINUX_EINVAL;
	} else if (flags & MPOL_F_NODE) {
		return -LINUX_EINVAL; /* only for interleaving policies */
	}
	if (mode.v != 0 && put_guest(task, mode, (flags & MPOL_F_NODE) ? &node : &policy) != 0)
		return -LINUX_EFAULT;
	if (mask.v == 0)
		return 0;
	for (uint64_t i = 0; i + 1 < maxnode && i < NODES_MAX; i += 64, nodes = 0)
		if (put_guest(task, gva_add(mask, i / 8), &nodes) != 0)
			return -LINUX_EFAULT;
	return 0;
}
