/* SPDX-License-Identifier: Apache-2.0 */
/* What the System V IPC calls share (sysvipc(7)), and shared memory (shmget(2), shmctl(2)). */
#ifndef SENTRY_ABI_IPC_H
#define SENTRY_ABI_IPC_H

#include <stdint.h>

#define LINUX_IPC_PRIVATE 0
#define LINUX_IPC_CREAT 01000
#define LINUX_IPC_EXCL 02000
#define LINUX_IPC_NOWAIT 04000
#define LINUX_IPC_RMID 0
#define LINUX_IPC_SET 1
#define LINUX_IPC_STAT 2
#define LINUX_IPC_INFO 3

struct linux_ipc_perm {
	int32_t key;
	uint32_t uid, gid, cuid, cgid, mode;
	uint16_t seq, pad2;
	uint32_t pad3;
	uint64_t unused[2];
};
_Static_assert(sizeof(struct linux_ipc_perm) == 48, "struct ipc64_perm");

#define LINUX_SHM_RDONLY 010000
#define LINUX_SHM_RND 020000
#define LINUX_SHM_REMAP 040000
#define LINUX_SHM_EXEC 0100000
#define LINUX_SHM_HUGETLB 04000
#define LINUX_SHM_NORESERVE 010000
#define LINUX_SHM_LOCK 11
#define LINUX_SHM_UNLOCK 12
#define LINUX_SHM_STAT 13
#define LINUX_SHM_INFO 14
#define LINUX_SHM_STAT_ANY 15
#define LINUX_SHM_DEST 01000
#define LINUX_SHM_LOCKED 02000

struct linux_shmid_ds {
	struct linux_ipc_perm perm;
	uint64_t segsz;
	int64_t atime, dtime, ctime;
	int32_t cpid, lpid;
	uint64_t nattch, unused[2];
};
_Static_assert(sizeof(struct linux_shmid_ds) == 112, "struct shmid64_ds");

struct linux_shminfo {
	uint64_t shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
};
struct linux_shm_info {
	int32_t used_ids, pad;
	uint64_t tot, rss, swp, swap_attempts, swap_successes;
};

/* ---- semaphores: semop(2), semctl(2) ---- */

#define LINUX_SEM_UNDO 0x1000
#define LINUX_GETPID 11
#define LINUX_GETVAL 12
#define LINUX_GETALL 13
#define LINUX_GETNCNT 14
#define LINUX_GETZCNT 15
#define LINUX_SETVAL 16
#define LINUX_SETALL 17
#define LINUX_SEM_STAT 18
#define LINUX_SEM_INFO 19
#define LINUX_SEM_STAT_ANY 20

struct linux_sembuf {
	uint16_t num;
	int16_t op, flg;
};
struct linux_semid_ds {
	struct linux_ipc_perm perm;
	int64_t otime, unused1, ctime, unused2;
	uint64_t nsems, unused3, unused4;
};
_Static_assert(sizeof(struct linux_semid_ds) == 104, "struct semid64_ds");
struct linux_seminfo {
	int32_t semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx, semaem;
};

/* ---- message queues: msgop(2), msgctl(2) ---- */

#define LINUX_MSG_NOERROR 010000
#define LINUX_MSG_EXCEPT 020000
#define LINUX_MSG_COPY 040000
#define LINUX_MSG_STAT 11
#define LINUX_MSG_INFO 12
#define LINUX_MSG_STAT_ANY 13

struct linux_msqid_ds {
	struct linux_ipc_perm perm;
	int64_t stime, rtime, ctime;
	uint64_t cbytes, qnum, qbytes;
	int32_t lspid, lrpid;
	uint64_t unused[2];
};
_Static_assert(sizeof(struct linux_msqid_ds) == 120, "struct msqid64_ds");
struct linux_msginfo {
	int32_t msgpool, msgmap, msgmax, msgmnb, msgmni, msgssz, msgtql;
	uint16_t msgseg;
};
_Static_assert(sizeof(struct linux_msginfo) == 32, "struct msginfo");

/* ---- POSIX message queues: mq_overview(7) ---- */

struct linux_mq_attr {
	int64_t flags, maxmsg, msgsize, curmsgs, reserved[4];
};
#define LINUX_SIGEV_SIGNAL 0
#define LINUX_SIGEV_NONE 1
#define LINUX_SIGEV_THREAD 2
struct linux_mq_sigevent {
	uint64_t value;
	int32_t signo, notify;
	uint8_t pad[48];
};
_Static_assert(sizeof(struct linux_mq_sigevent) == 64, "struct sigevent");

#endif
