/* SPDX-License-Identifier: Apache-2.0 */
/* Ids, keys and permissions of semaphore sets and message queues (sysvipc(7)). The tables grow as they are used. */
#include "sentry/kernel/ipc.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/task.h"

#include <string.h>

#define IPC_SLOTS 32768

struct ipc_object *ipc_at(const struct ipc_ids *ids, uint32_t slot)
{
	return slot < ids->nslots ? ids->slots[slot] : NULL;
}

struct ipc_object *ipc_find_key(const struct ipc_ids *ids, int32_t key)
{
	uint32_t i;

	if (key == LINUX_IPC_PRIVATE)
		return NULL;
	for (i = 0; i < ids->nslots; i++)
		if (ids->slots[i] != NULL && ids->slots[i]->perm.key == key)
			return ids->slots[i];
	return NULL;
}

struct ipc_object *ipc_find(const struct ipc_ids *ids, int32_t id, int *err)
{
	struct ipc_object *o = id >= 0 ? ipc_at(ids, (uint32_t)id % IPC_SLOTS) : NULL;

	*err = 0;
	if (o == NULL) {
		*err = -LINUX_EINVAL;
		return NULL;
	}
	if (o->id != id) {
		*err = -LINUX_EIDRM;
		return NULL;
	}
	return o;
}

static int grow(struct ipc_ids *ids)
{
	uint32_t n = ids->nslots == 0 ? 16 : ids->nslots * 2;
	struct ipc_object **slots;

	n = MIN(n, ids->max);
	slots = krealloc(ids->slots, n * sizeof(struct ipc_object *));
	if (slots == NULL)
		return -LINUX_ENOMEM;
	memset(slots + ids->nslots, 0, (n - ids->nslots) * sizeof(struct ipc_object *));
	ids->slots = slots;
	ids->nslots = n;
	return 0;
}

int ipc_add(struct ipc_ids *ids, struct task *task, struct ipc_object *o, int32_t key, int flags)
{
	uint32_t i;

	if (ids->used >= ids->max)
		return -LINUX_ENOSPC;
	if (ids->used == ids->nslots) {
		int err = grow(ids);

		if (err != 0)
			return err;
	}
	for (i = 0; ids->slots[i] != NULL; i++)
		;
	ref_init(&o->ref);
	o->perm.key = key;
	o->perm.seq = ids->seq;
	o->perm.mode = (uint32_t)flags & 0777;
	o->perm.uid = o->perm.cuid = task->cred->euid;
	o->perm.gid = o->perm.cgid = task->cred->egid;
	o->id = (int32_t)(i + (uint32_t)(ids->seq & 0x7fff) * IPC_SLOTS);
	o->removed = false;
	ids->slots[i] = o;
	ids->used++;
	return 0;
}

void ipc_remove(struct ipc_ids *ids, struct ipc_object *o)
{
	ids->slots[(uint32_t)o->id % IPC_SLOTS] = NULL;
	ids->used--;
	ids->seq++;
	o->removed = true;
}

int ipc_highest(const struct ipc_ids *ids)
{
	uint32_t i;

	for (i = ids->nslots; i > 0; i--)
		if (ids->slots[i - 1] != NULL)
			return (int)i - 1;
	return 0;
}

int ipc_permission(const struct task *task, const struct ipc_object *o, int flags)
{
	const struct cred *c = task->cred;
	const struct linux_ipc_perm *p = &o->perm;
	uint32_t wanted = ((uint32_t)flags >> 6) | ((uint32_t)flags >> 3) | (uint32_t)flags, granted = p->mode;

	if (c->euid == p->cuid || c->euid == p->uid)
		granted >>= 6;
	else if (cred_in_group(c, p->cgid) || cred_in_group(c, p->gid))
		granted >>= 3;
	if ((wanted & ~granted & 7) != 0 && !cred_capable(c, LINUX_CAP_IPC_OWNER))
		return -LINUX_EACCES;
	return 0;
}

int ipc_may_control(const struct task *task, const struct ipc_object *o)
{
	const struct cred *c = task->cred;

	if (c->euid == o->perm.cuid || c->euid == o->perm.uid || cred_capable(c, LINUX_CAP_SYS_ADMIN))
		return 0;
	return -LINUX_EPERM;
}

int ipc_set_owner(struct ipc_object *o, const struct linux_ipc_perm *perm)
{
	if (!uid_mapped(perm->uid) || !gid_mapped(perm->gid))
		return -LINUX_EINVAL;
	o->perm.uid = perm->uid;
	o->perm.gid = perm->gid;
	o->perm.mode = (o->perm.mode & ~0777U) | (perm->mode & 0777);
	return 0;
}
