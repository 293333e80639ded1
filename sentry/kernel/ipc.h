/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V semaphores and message queues (kernel/sem.c, kernel/msg.c; sysvipc(7)), POSIX message queues (fs/mqueue.c;
 * mq_overview(7)), ptys: their limits and what the calls and /proc need. Shared memory is mm/shm.c's.
 */
#ifndef SENTRY_KERNEL_IPC_H
#define SENTRY_KERNEL_IPC_H

#include "sentry/base/types.h"

struct task;
struct text_buf;
struct thread_group;

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

/* For /proc/sysvipc. */
void sem_proc_show(struct text_buf *b);
void msg_proc_show(struct text_buf *b);
/* The process ends: its semaphore adjustments (SEM_UNDO) are carried out. exit_task is the last thread using undo. */
void sem_exit(struct task *task);

#define PTY_MAX 4096
extern uint32_t pty_count; /* ptys in use (fs/devpts.c) */

#endif
