/* SPDX-License-Identifier: Apache-2.0 */
/* System V shared memory; see shm.c. */
#ifndef SENTRY_MM_SHM_H
#define SENTRY_MM_SHM_H

#include "sentry/abi/ipc.h"
#include "sentry/base/types.h"

struct task;

int64_t shm_get(struct task *task, int32_t key, uint64_t size, int flags);
int64_t shm_attach(struct task *task, int id, uint64_t addr, int flags); /* full event */
int shm_detach(struct task *task, uint64_t addr) must_check;             /* full event */
/* shmctl(2) without its copies. IPC_STAT and the STATs fill *ds (the STATs return the id), IPC_SET reads it. */
int64_t shm_control(struct task *task, int id, int cmd, struct linux_shmid_ds *ds);
/* IPC_INFO, SHM_INFO: return the highest index in use. */
int shm_limits(struct linux_shminfo *info);
int shm_usage(struct linux_shm_info *info);
/* For /proc/sysvipc/shm: the first segment whose index is >= *index; fills ds, id and resident bytes, sets *index. */
bool shm_next(unsigned *index, int *id, struct linux_shmid_ds *ds, uint64_t *resident);

#endif
