// SPDX-License-Identifier: Apache-2.0
/*
 * System V shared memory (shmget(2), shmat(2), shmctl(2)).
 *
 * A segment is a shared_mem (a memfd) with a key, an owner and a mode, in a table of slots. An attachment is a shared
 * mapping of it whose vma carries VMA_SYSV_ATTACH; the vma's making and freeing count nattch, so fork, exec, exit and
 * munmap need no code of their own. A segment that was removed lives until its last detachment.
 *
 * An id is slot + 32768 * sequence, as in Linux, so that old ids of a reused slot are not taken for new ones.
 *
 * The guest controls keys, ids, sizes (charged as its pages are used, like all shared memory) and the number of
 * segments (SHM_MNI slots).
 *
 * Left out: huge pages (ENOMEM), IPC namespaces, SHM_LOCK's effect (recorded).
 */
#include "sentry/mm/shm.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/text.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"

#include <stdio.h>

#define SHM_MNI 4096U
#define SHM_SEQ 32768
#define SHM_MAX (UINT64_MAX - (1UL << 24))
#define SHM_LIMIT (1UL << 46) /* what a memfd can be here */

struct shm_segment {
	struct shared_mem *mem; /* counted; attachments count it too */
	struct linux_shmid_ds ds;
	unsigned slot;
	uint32_t seq;
	bool removed; /* IPC_RMID: goes with the last attachment; its key is IPC_PRIVATE */
};

static struct shm_segment *slots[SHM_MNI];
static uint32_t slot_seq[SHM_MNI];

static int32_t current_pid(void)
{
	const struct task *task = task_current();

	return task != NULL ? task->group->pid : 0;
}

static int64_t now(void)
{
	return vfs_now().sec;
}

static int segment_id(const struct shm_segment *s)
{
	return (int)(s->slot + s->seq * SHM_SEQ);
}

static struct shm_segment *find(int id)
{
	struct shm_segment *s;

	if (id < 0 || (unsigned)id % SHM_SEQ >= SHM_MNI)
		return NULL;
	s = slots[(unsigned)id % SHM_SEQ];
	return s != NULL && segment_id(s) == id ? s : NULL;
}

/* IPC permission: wanted holds rwx bits in each of its three digits. */
static int permitted(const struct task *task, const struct shm_segment *s, int flags)
{
	const struct linux_ipc_perm *p = &s->ds.perm;
	unsigned wanted = ((unsigned)flags >> 6) | ((unsigned)flags >> 3) | (unsigned)flags, granted = p->mode;

	if (task->cred->euid == p->cuid || task->cred->euid == p->uid)
		granted >>= 6;
	else if (cred_in_group(task->cred, p->cgid) || cred_in_group(task->cred, p->gid))
		granted >>= 3;
	if ((wanted & ~granted & 7) != 0 && !task_capable(task, LINUX_CAP_IPC_OWNER))
		return -LINUX_EACCES;
	return 0;
}

static void destroy(struct shm_segment *s)
{
	slots[s->slot] = NULL;
	s->mem->sysv = NULL;
	shared_mem_put(s->mem);
	kfree(s);
}

void shm_attached(struct shared_mem *mem)
{
	struct shm_segment *s = mem->sysv;

	if (s == NULL)
		return;
	s->ds.nattch++;
	s->ds.atime = now();
	s->ds.lpid = current_pid();
}

void shm_detached(struct shared_mem *mem)
{
	struct shm_segment *s = mem->sysv;

	if (s == NULL)
		return;
	s->ds.nattch--;
	s->ds.dtime = now();
	s->ds.lpid = current_pid();
	if (s->ds.nattch == 0 && s->removed)
		destroy(s);
}

/* ---- shmget ---- */

static int64_t create(struct task *task, int32_t key, uint64_t size, int flags)
{
	struct shm_segment *s;
	unsigned slot = 0;
	char name[32];
	int err;

	if (size == 0 || size > SHM_MAX)
		return -LINUX_EINVAL;
	if (size > SHM_LIMIT)
		return -LINUX_ENOMEM;
	if (flags & LINUX_SHM_HUGETLB)
		return -LINUX_ENOMEM;
	while (slot < SHM_MNI && slots[slot] != NULL)
		slot++;
	if (slot == SHM_MNI)
		return -LINUX_ENOSPC;
	s = kzalloc(sizeof(*s));
	if (s == NULL)
		return -LINUX_ENOMEM;
	snprintf(name, sizeof(name), "/SYSV%08x (deleted)", (uint32_t)key);
	err = shared_mem_new(PAGE_ALIGN(size), name, &s->mem);
	if (err) {
		kfree(s);
		return err;
	}
	s->mem->sysv = s;
	s->slot = slot;
	s->seq = slot_seq[slot]++ % (INT32_MAX / SHM_SEQ);
	s->ds = (struct linux_shmid_ds){
	    .perm = {.key = key,
		     .uid = task->cred->euid,
		     .cuid = task->cred->euid,
		     .gid = task->cred->egid,
		     .cgid = task->cred->egid,
		     .mode = (uint32_t)flags & 0777,
		     .seq = (uint16_t)s->seq},
	    .segsz = size,
	    .ctime = now(),
	    .cpid = task->group->pid,
	};
	slots[slot] = s;
	return segment_id(s);
}

int64_t shm_get(struct task *task, int32_t key, uint64_t size, int flags)
{
	struct shm_segment *s;
	int err;

	if (key == LINUX_IPC_PRIVATE)
		return create(task, key, size, flags);
	for (unsigned i = 0; i < SHM_MNI; i++) {
		s = slots[i];
		if (s == NULL || s->removed || s->ds.perm.key != key)
			continue;
		if ((flags & (LINUX_IPC_CREAT | LINUX_IPC_EXCL)) == (LINUX_IPC_CREAT | LINUX_IPC_EXCL))
			return -LINUX_EEXIST;
		if (size > s->ds.segsz)
			return -LINUX_EINVAL;
		err = permitted(task, s, flags);
		return err ? err : segment_id(s);
	}
	return (flags & LINUX_IPC_CREAT) ? create(task, key, size, flags) : -LINUX_ENOENT;
}

/* ---- shmat, shmdt ---- */

static int attach_address(struct mm *mm, uint64_t addr, uint64_t len, int flags, uint64_t *out)
{
	if (addr == 0) {
		if (flags & LINUX_SHM_REMAP)
			return -LINUX_EINVAL;
		*out = mm_find_free(mm, 0, len, 0);
		return *out != 0 ? 0 : -LINUX_ENOMEM;
	}
	if (addr & ~PAGE_MASK) {
		if ((flags & LINUX_SHM_RND) == 0)
			return -LINUX_EINVAL;
		addr = PAGE_DOWN(addr);
		if (addr == 0 && (flags & LINUX_SHM_REMAP) != 0)
			return -LINUX_EINVAL;
	}
	if (addr < GUEST_MIN)
		return -LINUX_EPERM;
	if (addr >= GUEST_END || len > GUEST_END - addr)
		return (flags & LINUX_SHM_REMAP) ? -LINUX_ENOMEM : -LINUX_EINVAL;
	if ((flags & LINUX_SHM_REMAP) == 0 && vma_range_used(mm, addr, addr + len))
		return -LINUX_EINVAL;
	*out = addr;
	return 0;
}

int64_t shm_attach(struct task *task, int id, uint64_t addr, int flags)
{
	struct mm *mm = task->mm;
	struct vma_desc d = {.host_fd = -1, .flags = LINUX_MAP_SHARED, .advice = VMA_SYSV_ATTACH};
	struct shm_segment *s = find(id);
	int access = (flags & LINUX_SHM_RDONLY) ? 0444 : 0666, err;
	uint64_t len;

	if (s == NULL)
		return -LINUX_EINVAL;
	if (flags & LINUX_SHM_EXEC)
		access |= 0111;
	err = permitted(task, s, access);
	if (err)
		return err;
	len = s->mem->size;
	if (addr != 0 && len <= GUEST_END && addr < GUEST_END - len) {
		err = text_claim(task, PAGE_DOWN(addr), PAGE_DOWN(addr) + len);
		if (err)
			return err;
		s = find(id); /* it may have slept */
		if (s == NULL || s->mem->size != len)
			return -LINUX_EINVAL;
	}
	err = attach_address(mm, addr, len, flags, &d.start);
	if (!err)
		err = mm_may_expand(mm, task->group, len / PAGE_SIZE, false);
	if (!err && !vma_count_ok(mm, 2))
		err = -LINUX_ENOMEM;
	if (err)
		return err;
	d.end = d.start + len;
	d.prot = LINUX_PROT_READ | ((flags & LINUX_SHM_RDONLY) ? 0 : LINUX_PROT_WRITE) |
		 ((flags & LINUX_SHM_EXEC) ? LINUX_PROT_EXEC : 0);
	d.max_prot = LINUX_PROT_READ | LINUX_PROT_EXEC | ((flags & LINUX_SHM_RDONLY) ? 0 : LINUX_PROT_WRITE);
	d.shm = s->mem;
	d.host_fd = s->mem->host_fd;
	/* Who may only read gets a private mapping in the host, as with files (mmap.c). */
	d.native_private = (flags & LINUX_SHM_RDONLY) != 0;
	err = mm_inflight_add(task, 0, 0, NULL, s->mem);
	if (!err)
		err = mm_map(mm, task->pt, &d);
	return err ? err : (int64_t)d.start;
}

int shm_detach(struct task *task, uint64_t addr)
{
	struct mm *mm = task->mm;
	struct shared_mem *mem = NULL;
	struct vma *v;
	int err;

	if (addr & ~PAGE_MASK)
		return -LINUX_EINVAL;
	v = mm_find_next(mm, addr);
	/* Parts of the attachment may be gone: what is left of it still tells where it began. */
	while (v != NULL && ((v->advice & VMA_SYSV_ATTACH) == 0 || v->start - addr != v->file_off))
		v = mm_find_next(mm, v->end);
	if (v == NULL)
		return -LINUX_EINVAL;
	mem = shared_mem_get(v->shm);
	err = mm_inflight_add(task, addr, addr + mem->size, NULL, NULL);
	while (!err && v != NULL && v->start < addr + mem->size) {
		uint64_t start = v->start, end = v->end;

		if (v->shm == mem && (v->advice & VMA_SYSV_ATTACH) != 0 && start - addr == v->file_off)
			err = mm_unmap(mm, task->pt, start, end);
		v = mm_find_next(mm, end);
	}
	shared_mem_put(mem);
	return err;
}

/* ---- shmctl ---- */

static bool is_owner(const struct task *task, const struct shm_segment *s)
{
	return task->cred->euid == s->ds.perm.cuid || task->cred->euid == s->ds.perm.uid ||
	       task_capable(task, LINUX_CAP_SYS_ADMIN);
}

static void fill(const struct shm_segment *s, struct linux_shmid_ds *ds)
{
	*ds = s->ds;
	if (s->removed)
		ds->perm.mode |= LINUX_SHM_DEST;
}

static int lock(struct task *task, struct shm_segment *s, bool on)
{
	if (!task_capable(task, LINUX_CAP_IPC_LOCK)) {
		if (task->cred->euid != s->ds.perm.uid && task->cred->euid != s->ds.perm.cuid)
			return -LINUX_EPERM;
		if (on && group_rlimit(task->group, LINUX_RLIMIT_MEMLOCK) == 0)
			return -LINUX_EPERM;
	}
	if (on)
		s->ds.perm.mode |= LINUX_SHM_LOCKED;
	else
		s->ds.perm.mode &= ~(uint32_t)LINUX_SHM_LOCKED;
	return 0;
}

int64_t shm_control(struct task *task, int id, int cmd, struct linux_shmid_ds *ds)
{
	bool by_slot = cmd == LINUX_SHM_STAT || cmd == LINUX_SHM_STAT_ANY;
	struct shm_segment *s;
	int err;

	if (id < 0)
		return -LINUX_EINVAL;
	s = by_slot ? slots[(unsigned)id % SHM_SEQ % SHM_MNI] : find(id);
	if (s == NULL)
		return -LINUX_EINVAL;
	switch (cmd) {
	case LINUX_IPC_STAT:
	case LINUX_SHM_STAT:
	case LINUX_SHM_STAT_ANY:
		err = cmd == LINUX_SHM_STAT_ANY ? 0 : permitted(task, s, 0444);
		if (err)
			return err;
		fill(s, ds);
		return by_slot ? segment_id(s) : 0;
	case LINUX_IPC_SET:
		if (!is_owner(task, s))
			return -LINUX_EPERM;
		if (!uid_mapped(ds->perm.uid) || !gid_mapped(ds->perm.gid))
			return -LINUX_EINVAL;
		s->ds.perm.uid = ds->perm.uid;
		s->ds.perm.gid = ds->perm.gid;
		s->ds.perm.mode = (s->ds.perm.mode & ~0777U) | (ds->perm.mode & 0777);
		s->ds.ctime = now();
		return 0;
	case LINUX_IPC_RMID:
		if (!is_owner(task, s))
			return -LINUX_EPERM;
		s->removed = true;
		s->ds.perm.key = LINUX_IPC_PRIVATE;
		if (s->ds.nattch == 0)
			destroy(s);
		return 0;
	case LINUX_SHM_LOCK:
	case LINUX_SHM_UNLOCK:
		return lock(task, s, cmd == LINUX_SHM_LOCK);
	default:
		return -LINUX_EINVAL;
	}
}

static int highest_slot(void)
{
	int i = (int)SHM_MNI - 1;

	while (i > 0 && slots[i] == NULL)
		i--;
	return i;
}

int shm_limits(struct linux_shminfo *info)
{
	*info = (struct linux_shminfo){
	    .shmmax = SHM_MAX, .shmmin = 1, .shmmni = SHM_MNI, .shmseg = SHM_MNI, .shmall = SHM_MAX};
	return highest_slot();
}

static uint64_t resident(const struct shm_segment *s)
{
	int64_t size, blocks;

	return host_fstat_blocks(s->mem->host_fd, &size, &blocks) == 0 ? (uint64_t)blocks * 512 : 0;
}

int shm_usage(struct linux_shm_info *info)
{
	*info = (struct linux_shm_info){0};
	for (unsigned i = 0; i < SHM_MNI; i++) {
		if (slots[i] == NULL)
			continue;
		info->used_ids++;
		info->tot += slots[i]->mem->size / PAGE_SIZE;
		info->rss += resident(slots[i]) / PAGE_SIZE;
	}
	return highest_slot();
}

bool shm_next(unsigned *index, int *id, struct linux_shmid_ds *ds, uint64_t *resident_bytes)
{
	for (; *index < SHM_MNI; ++*index) {
		const struct shm_segment *s = slots[*index];

		if (s == NULL)
			continue;
		fill(s, ds);
		*id = segment_id(s);
		*resident_bytes = resident(s);
		return true;
	}
	return false;
}
