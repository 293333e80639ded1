/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V semaphores and message queues (kernel/sem.c, kernel/msg.c; sysvipc(7)), POSIX message queues (fs/mqueue.c;
 * mq_overview(7)), ptys: their limits and what the calls and /proc need. Shared memory is mm/shm.c's.
 */
#ifndef SENTRY_KERNEL_IPC_H
#define SENTRY_KERNEL_IPC_H

#include "sentry/base/types.h"

#include "sentry/abi/ipc.h"
#include "sentry/base/ref.h"

struct task;
struct text_buf;
struct thread_group;

/* ---- what sets and queues have in common (kernel/ipc.c) ---- */

struct ipc_object {
	struct ref ref;    /* one is the table's; sleepers hold others */
	int32_t id;        /* slot + 32768 * sequence: an old id of a slot used again isn't taken for the new one */
	bool removed;      /* IPC_RMID: sleepers give EIDRM */
	struct linux_ipc_perm perm;
};

struct ipc_ids {
	struct ipc_object **slots; /* NULL: free */
	uint32_t nslots, used, max;
	uint16_t seq;
};

/* The object with key, or NULL (also for IPC_PRIVATE). Borrowed. */
struct ipc_object *ipc_find_key(const struct ipc_ids *ids, int32_t key);
/* By id: NULL and *err = -LINUX_EINVAL or -LINUX_EIDRM. Borrowed. */
struct ipc_object *ipc_find(const struct ipc_ids *ids, int32_t id, int *err);
/* By slot, for the STAT calls and /proc. */
struct ipc_object *ipc_at(const struct ipc_ids *ids, uint32_t slot);
/* Gives a new object (zeroed, reference initialised here) its id and owner. 0, -LINUX_ENOSPC or -LINUX_ENOMEM. */
int ipc_add(struct ipc_ids *ids, struct task *task, struct ipc_object *o, int32_t key, int flags) must_check;
/* Takes it out of the table; the caller puts the table's reference. */
void ipc_remove(struct ipc_ids *ids, struct ipc_object *o);
/* The highest slot in use, 0 if none: what the INFO calls return. */
int ipc_highest(const struct ipc_ids *ids);
/* flags: wanted permission bits in each of three digits. 0 or -LINUX_EACCES. */
int ipc_permission(const struct task *task, const struct ipc_object *o, int flags) must_check;
/* IPC_SET and IPC_RMID: owner, creator or CAP_SYS_ADMIN. 0 or -LINUX_EPERM. */
int ipc_may_control(const struct task *task, const struct ipc_object *o) must_check;
int ipc_set_owner(struct ipc_object *o, const struct linux_ipc_perm *perm) must_check;

/* semget(2): semaphores a set, in all, operations a call, sets; largest value. */
#define SEM_MSL 32000
#define SEM_MNS 1024000000
#define SEM_OPM 500
#define SEM_MNI 32000
#define SEM_VMX 32767
#define SEM_TOTAL_MAX (1U << 20) /* ours, below SEM_MNS: what a guest can make us allocate */
/* msgget(2): bytes a message, bytes a queue, queues. */
#define MSG_MAX 8192
#define MSG_MNB 16384
#define MSG_MNI 32000
/* mq_overview(7) */
#define MQ_MSG_MAX 10
#define MQ_MSG_DEFAULT 10
#define MQ_MSGSIZE_MAX 8192
#define MQ_MSGSIZE_DEFAULT 8192
#define MQ_QUEUES_MAX 256
#define MQ_HARD_MSGMAX 65536
#define MQ_HARD_MSGSIZEMAX (16 * MiB)
#define MQ_PRIO_MAX 32768

/* ---- semaphores (kernel/sem.c) ---- */

int64_t sem_get(struct task *task, int32_t key, int nsems, int flags);
/* semtimedop(2): ops (sentry memory) are checked against the set here. deadline: loop clock, WAIT_FOREVER for none. */
int64_t sem_op(struct task *task, int32_t id, const struct linux_sembuf *ops, unsigned nops, uint64_t deadline);
/* semctl(2)'s commands on one value (GETVAL, GETPID, GETNCNT, GETZCNT, SETVAL), and the others. */
int64_t sem_control(struct task *task, int32_t id, int num, int cmd, int32_t value);
/* GETALL: allocates *values (kfree) of *n; SETALL: takes them, n must be the set's size. */
int sem_get_all(struct task *task, int32_t id, uint16_t **values, unsigned *n) must_check;
int sem_set_all(struct task *task, int32_t id, const uint16_t *values, unsigned n) must_check;
/* Whether a process has adjustments that are made when it ends (SEM_UNDO). */
bool sem_group_undoes(const struct thread_group *group);
/* Number of semaphores in a set (to read SETALL's array), or -LINUX_EINVAL, EIDRM. */
int sem_count(struct task *task, int32_t id) must_check;
/* IPC_STAT, SEM_STAT, SEM_STAT_ANY: fill ds; 0 or the id. IPC_SET: reads it. */
int64_t sem_stat(struct task *task, int32_t id, int cmd, struct linux_semid_ds *ds);
int sem_set(struct task *task, int32_t id, const struct linux_semid_ds *ds) must_check;
/* IPC_INFO, SEM_INFO: the highest slot. */
int sem_info(int cmd, struct linux_seminfo *info);
/* task (exiting is set) ends. If it is its process's last thread, the adjustments (SEM_UNDO) are carried out. */
void sysv_sem_exit(struct task *task);
void sem_proc_show(struct text_buf *b);

/* ---- message queues (kernel/msg.c) ---- */

int64_t msg_get(struct task *task, int32_t key, int flags);
/* text is taken (kfree), also on failure. */
int64_t msg_send(struct task *task, int32_t id, int64_t type, uint8_t *text, size_t len, int flags);
/* Returns the length; *type and *text (to kfree) are the message, cut to size with MSG_NOERROR. */
int64_t msg_receive(struct task *task, int32_t id, size_t size, int64_t type, int flags, int64_t *got_type, uint8_t **text);
int msg_remove(struct task *task, int32_t id) must_check;
int64_t msg_stat(struct task *task, int32_t id, int cmd, struct linux_msqid_ds *ds);
int msg_set(struct task *task, int32_t id, const struct linux_msqid_ds *ds) must_check;
int msg_info(int cmd, struct linux_msginfo *info);
void msg_proc_show(struct text_buf *b);

#define PTY_MAX 4096
uint32_t pty_count(void); /* ptys in use in the running task's container (fs/devpts.c) */

#endif
