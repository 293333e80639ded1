/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V shared memory.
 * covers: shmget shmat shmdt shmctl
 */
#include "t.h"

#include <sys/shm.h>

#define PAGE 4096UL

static int segment(size_t size)
{
        return MUST(shmget(IPC_PRIVATE, size, IPC_CREAT | 0600));
}

TEST(shared_by_id_and_over_fork)
{
        int id = segment(5000);
        char *p = MUST(shmat(id, NULL, 0)), *q = MUST(shmat(id, NULL, SHM_RDONLY));
        struct shmid_ds ds;

        strcpy(p, "hello");
        CHECK_STR(q, "hello");
        CHECK_OK(shmctl(id, IPC_STAT, &ds));
        CHECK_EQ(ds.shm_nattch, 2);
        CHECK_EQ(ds.shm_segsz, 5000);
        CHECK_EQ(ds.shm_cpid, getpid());
        IN_CHILD() {
                strcpy(p, "child");
                struct shmid_ds d;
                CHECK_OK(shmctl(id, IPC_STAT, &d));
                CHECK_EQ(d.shm_nattch, 4);
        }
        CHECK_STR(q, "child");
        CHECK_OK(shmdt(q));
        CHECK_ERR(shmdt(q), EINVAL);
        CHECK_OK(shmctl(id, IPC_RMID, NULL));
        CHECK_OK(shmctl(id, IPC_STAT, &ds));
        CHECK(ds.shm_perm.mode & SHM_DEST);
        CHECK_EQ(ds.shm_nattch, 1);
        CHECK_STR(p, "child");
        CHECK_OK(shmdt(p));
        CHECK_ERR(shmctl(id, IPC_STAT, &ds), EINVAL);
}

TEST(keys)
{
        key_t key = 0x5b000000 + getpid();
        int id = MUST(shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600));

        CHECK_EQ(shmget(key, 100, 0600), id);
        CHECK_ERR(shmget(key, 100, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
        CHECK_ERR(shmget(key, 101, 0600), EINVAL);
        CHECK_OK(shmctl(id, IPC_RMID, NULL));
        CHECK_ERR(shmget(key, 100, 0600), ENOENT);
        CHECK_ERR(shmget(key, 0, IPC_CREAT | 0600), EINVAL);
}

TEST(refusals)
{
        int id = segment(PAGE);
        char *p = MUST(shmat(id, NULL, 0));

        CHECK_ERR((long)shmat(-1, NULL, 0), EINVAL);
        CHECK_ERR((long)shmat(id, p, 0), EINVAL);      /* something is there */
        CHECK_ERR((long)shmat(id, p + 1, 0), EINVAL);
        CHECK(shmat(id, p + 1, SHM_RND | SHM_REMAP) == p);
        CHECK_ERR((long)shmat(id, NULL, SHM_REMAP), EINVAL);
        CHECK_ERR(shmctl(id, IPC_STAT, t_bad), EFAULT);
        CHECK_ERR(shmctl(id, 9999, NULL), EINVAL);
        CHECK_ERR(shmctl(-1, IPC_RMID, NULL), EINVAL);
        CHECK_ERR(shmdt(p + 1), EINVAL);
        CHECK_OK(shmctl(id, IPC_RMID, NULL));
        t_need_root();
        id = segment(PAGE);
        IN_CHILD() {
                t_become_nobody();
                CHECK_ERR((long)shmat(id, NULL, 0), EACCES);
                CHECK_ERR(shmctl(id, IPC_RMID, NULL), EPERM);
        }
        struct shmid_ds ds;
        CHECK_OK(shmctl(id, IPC_STAT, &ds));
        ds.shm_perm.mode = 0644;
        CHECK_OK(shmctl(id, IPC_SET, &ds));
        IN_CHILD() {
                t_become_nobody();
                CHECK_ERR((long)shmat(id, NULL, 0), EACCES);
                MUST(shmat(id, NULL, SHM_RDONLY));
        }
        CHECK_OK(shmctl(id, IPC_RMID, NULL));
}

TEST(information)
{
        struct shminfo info;
        struct shm_info use;
        int id = segment(3 * PAGE);

        CHECK_GE(shmctl(0, IPC_INFO, (void *)&info), 0);
        CHECK_EQ(info.shmmin, 1);
        int top = MUST(shmctl(0, SHM_INFO, (void *)&use));
        CHECK_GE(use.used_ids, 1);
        CHECK_GE(use.shm_tot, 3);
        struct shmid_ds ds;
        bool found = false;
        for (int i = 0; i <= top; i++)
                if (shmctl(i, SHM_STAT, &ds) == id)
                        found = true;
        CHECK(found);
        CHECK_OK(shmctl(id, IPC_RMID, NULL));
}
