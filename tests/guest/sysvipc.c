/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V semaphores and message queues: semget(2), semop(2), semctl(2), msgget(2), msgop(2), msgctl(2).
 * covers: semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
 */
#include "t.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <time.h>

union semun_ {
        int val;
        struct semid_ds *buf;
        unsigned short *array;
        struct seminfo *info;
};

static int ids[16], nids;
static bool ids_are_queues;

static int sem_new(int n)
{
        return ids[nids++] = MUST(semget(IPC_PRIVATE, n, 0600));
}

static int msg_new(void)
{
        ids_are_queues = true;
        return ids[nids++] = MUST(msgget(IPC_PRIVATE, 0600));
}

/* Sets outlive their process: taken away even if a test fails would need more than this; the sandbox ends with us. */
static void done(void)
{
        while (nids > 0) {
                nids--;
                if (ids_are_queues)
                        msgctl(ids[nids], IPC_RMID, NULL);
                else
                        semctl(ids[nids], 0, IPC_RMID);
        }
}

static int value(int id, int n)
{
        return MUST(semctl(id, n, GETVAL));
}

static int op(int id, int num, int delta, int flags)
{
        struct sembuf b = {.sem_num = (unsigned short)num, .sem_op = (short)delta, .sem_flg = (short)flags};

        return semop(id, &b, 1);
}

/* ---- semaphores ---- */

TEST(semget_by_key)
{
        key_t key = (key_t)(0x53000000 + getpid());
        int id;

        CHECK_ERR(semget(key, 1, 0), ENOENT);
        id = MUST(semget(key, 3, IPC_CREAT | 0600));
        CHECK_EQ(semget(key, 0, 0), id);
        CHECK_EQ(semget(key, 3, IPC_CREAT | 0600), id);
        CHECK_ERR(semget(key, 4, 0), EINVAL);
        CHECK_ERR(semget(key, 3, IPC_CREAT | IPC_EXCL), EEXIST);
        CHECK_OK(semctl(id, 0, IPC_RMID));
        CHECK_ERR(semctl(id, 0, GETVAL), EINVAL);
        CHECK_ERR(semget(IPC_PRIVATE, 0, 0600), EINVAL);
        CHECK_ERR(semget(IPC_PRIVATE, -1, 0600), EINVAL);
        CHECK_ERR(semget(IPC_PRIVATE, 1000000, 0600), EINVAL);
}

TEST(semop_all_or_nothing)
{
        int id = sem_new(2);
        struct sembuf both[2] = {{0, 2, 0}, {1, -1, IPC_NOWAIT}};

        CHECK_ERR(semop(id, both, 2), EAGAIN);
        CHECK_EQ(value(id, 0), 0);
        both[1].sem_op = 1;
        CHECK_OK(semop(id, both, 2));
        CHECK_EQ(value(id, 0), 2);
        CHECK_EQ(value(id, 1), 1);
        CHECK_EQ(semctl(id, 0, GETPID), getpid());
        CHECK_ERR(op(id, 0, 0, IPC_NOWAIT), EAGAIN);
        CHECK_ERR(op(id, 0, 32767, 0), ERANGE);
        CHECK_ERR(op(id, 2, 1, 0), EFBIG);
        CHECK_ERR(semop(id, both, 0), EINVAL);
        CHECK_ERR(semop(-1, both, 1), EINVAL);
        CHECK_ERR(semop(id, t_bad, 1), EFAULT);
        CHECK_ERR(syscall(SYS_semop, id, both, 501), E2BIG);
        done();
}

TEST(semop_waits_and_is_woken_in_order)
{
        int id = sem_new(1);
        pid_t child = t_fork();

        if (child == 0) {
                CHECK_OK(op(id, 0, -3, 0));
                _exit(0);
        }
        t_until_asleep(child);
        CHECK_EQ(semctl(id, 0, GETNCNT), 1);
        CHECK_EQ(semctl(id, 0, GETZCNT), 0);
        CHECK_OK(op(id, 0, 2, 0));
        CHECK_EQ(value(id, 0), 2);
        CHECK_OK(op(id, 0, 2, 0));
        t_reap(child);
        CHECK_EQ(value(id, 0), 1);
        done();
}

TEST(semop_waits_for_zero)
{
        int id = sem_new(1);
        pid_t child;

        CHECK_OK(op(id, 0, 1, 0));
        child = t_fork();
        if (child == 0) {
                CHECK_OK(op(id, 0, 0, 0));
                _exit(0);
        }
        t_until_asleep(child);
        CHECK_EQ(semctl(id, 0, GETZCNT), 1);
        CHECK_OK(op(id, 0, -1, 0));
        t_reap(child);
        done();
}

TEST(removal_ends_a_wait_with_eidrm)
{
        int id = sem_new(1);
        pid_t child = t_fork();

        if (child == 0) {
                CHECK_ERR(op(id, 0, -1, 0), EIDRM);
                _exit(0);
        }
        t_until_asleep(child);
        CHECK_OK(semctl(id, 0, IPC_RMID));
        t_reap(child);
}

static void on_alarm(int sig)
{
        (void)sig;
}

TEST(a_signal_ends_a_wait_and_is_never_restarted)
{
        int id = sem_new(1);

        t_tick(SA_RESTART, NULL);
        CHECK_ERR(op(id, 0, -1, 0), EINTR);
        t_tick_stop();
        (void)on_alarm;
        done();
}

TEST(semtimedop_gives_up)
{
        int id = sem_new(1);
        struct sembuf b = {0, -1, 0};
        struct timespec ts = {0, 10000000}, bad = {0, 1000000000};

        CHECK_ERR(semtimedop(id, &b, 1, &ts), EAGAIN);
        CHECK_ERR(semtimedop(id, &b, 1, &bad), EINVAL);
        CHECK_ERR(semtimedop(id, &b, 1, t_bad), EFAULT);
        done();
}

TEST(undo_at_exit)
{
        int id = sem_new(1);

        CHECK_OK(semctl(id, 0, SETVAL, 5));
        IN_CHILD() {
                CHECK_OK(op(id, 0, -2, SEM_UNDO));
                CHECK_EQ(value(id, 0), 3);
        }
        CHECK_EQ(value(id, 0), 5);
        IN_CHILD() {
                CHECK_OK(op(id, 0, -2, SEM_UNDO));
                CHECK_OK(semctl(id, 0, SETVAL, 9));
        }
        CHECK_EQ(value(id, 0), 9);
        done();
}

TEST(setall_getall_and_stat)
{
        int id = sem_new(3);
        unsigned short in[3] = {1, 2, 3}, out[3];
        struct semid_ds ds;
        union semun_ u = {.array = in};

        CHECK_OK(semctl(id, 0, SETALL, u));
        u.array = out;
        CHECK_OK(semctl(id, 0, GETALL, u));
        CHECK_MEM(in, out, sizeof in);
        u.buf = &ds;
        CHECK_OK(semctl(id, 0, IPC_STAT, u));
        CHECK_EQ(ds.sem_nsems, 3);
        CHECK_EQ(ds.sem_perm.mode & 0777, 0600);
        CHECK_EQ(ds.sem_perm.uid, geteuid());
        CHECK_EQ(ds.sem_otime, 0);
        ds.sem_perm.mode = 0640;
        CHECK_OK(semctl(id, 0, IPC_SET, u));
        CHECK_OK(semctl(id, 0, IPC_STAT, u));
        CHECK_EQ(ds.sem_perm.mode & 0777, 0640);
        in[1] = 40000;
        u.array = in;
        CHECK_ERR(semctl(id, 0, SETALL, u), ERANGE);
        CHECK_ERR(semctl(id, 0, SETVAL, -1), ERANGE);
        CHECK_ERR(semctl(id, 3, GETVAL), EINVAL);
        CHECK_ERR(semctl(id, 0, 12345), EINVAL);
        u.buf = t_bad;
        CHECK_ERR(semctl(id, 0, IPC_STAT, u), EFAULT);
        done();
}

TEST(limits_of_semaphores)
{
        struct seminfo info;
        union semun_ u = {.info = &info};

        CHECK_GE(semctl(0, 0, IPC_INFO, u), 0);
        CHECK_EQ(info.semvmx, 32767);
        CHECK_GE(info.semmsl, 250);
        CHECK_GE(semctl(0, 0, SEM_INFO, u), 0);
}

TEST(permission_of_semaphores)
{
        int id;

        t_need_root();
        id = sem_new(1);
        IN_CHILD() {
                t_become_nobody();
                CHECK_ERR(op(id, 0, 1, 0), EACCES);
                CHECK_ERR(semctl(id, 0, GETVAL), EACCES);
                CHECK_ERR(semctl(id, 0, IPC_RMID), EPERM);
        }
        done();
}

/* ---- message queues ---- */

struct text {
        long type;
        char s[64];
};

static void send_text(int id, long type, const char *s)
{
        struct text m = {.type = type};

        strcpy(m.s, s);
        CHECK_OK(msgsnd(id, &m, strlen(s), 0));
}

static void receive_text(int id, long type, int flags, long want_type, const char *want)
{
        struct text m = {0};

        CHECK_EQ(msgrcv(id, &m, sizeof m.s, type, flags), strlen(want));
        CHECK_EQ(m.type, want_type);
        CHECK_STR(m.s, want);
}

TEST(messages_by_type)
{
        int id = msg_new();
        struct text m;

        send_text(id, 3, "three");
        send_text(id, 1, "one");
        send_text(id, 2, "two");
        send_text(id, 3, "more");
        receive_text(id, -2, 0, 1, "one");
        receive_text(id, 2, 0, 2, "two");
        send_text(id, 7, "seven");
        receive_text(id, 3, MSG_EXCEPT, 7, "seven");
        receive_text(id, 0, 0, 3, "three");
        receive_text(id, 0, 0, 3, "more");
        CHECK_ERR(msgrcv(id, &m, sizeof m.s, 0, IPC_NOWAIT), ENOMSG);
        done();
}

TEST(messages_that_are_too_long)
{
        int id = msg_new();
        struct text m = {.type = 1};

        send_text(id, 1, "0123456789");
        CHECK_ERR(msgrcv(id, &m, 4, 0, 0), E2BIG);
        CHECK_EQ(msgrcv(id, &m, 4, 0, MSG_NOERROR), 4);
        CHECK_MEM(m.s, "0123", 4);
        CHECK_ERR(msgrcv(id, &m, 4, 0, IPC_NOWAIT), ENOMSG);
        CHECK_ERR(msgsnd(id, &m, 100000, 0), EINVAL);
        m.type = 0;
        CHECK_ERR(msgsnd(id, &m, 1, 0), EINVAL);
        CHECK_ERR(msgsnd(-1, &m, 1, 0), EINVAL);
        CHECK_ERR(msgsnd(id, t_bad, 1, 0), EFAULT);
        m.type = 1;
        CHECK_OK(msgsnd(id, &m, 0, 0));
        CHECK_EQ(msgrcv(id, &m, 0, 0, 0), 0);
        done();
}

TEST(a_full_queue_blocks_and_an_empty_one_too)
{
        int id = msg_new(), n = 0;
        static struct {
                long type;
                char s[8000];
        } big = {.type = 1};
        pid_t child;

        while (msgsnd(id, &big, sizeof big.s, IPC_NOWAIT) == 0)
                n++;
        CHECK_EQ(errno, EAGAIN);
        CHECK_EQ(n, 2);
        child = t_fork();
        if (child == 0) {
                CHECK_OK(msgsnd(id, &big, sizeof big.s, 0));
                _exit(0);
        }
        t_until_asleep(child);
        CHECK_EQ(msgrcv(id, &big, sizeof big.s, 0, 0), sizeof big.s);
        t_reap(child);
        CHECK_EQ(msgrcv(id, &big, sizeof big.s, 0, 0), sizeof big.s);
        CHECK_EQ(msgrcv(id, &big, sizeof big.s, 0, 0), sizeof big.s);
        child = t_fork();
        if (child == 0) {
                receive_text(id, 5, 0, 5, "late");
                _exit(0);
        }
        t_until_asleep(child);
        send_text(id, 4, "other");
        send_text(id, 5, "late");
        t_reap(child);
        done();
}

TEST(removal_and_signals_end_a_receive)
{
        int id = msg_new();
        struct text m;
        pid_t child = t_fork();

        if (child == 0) {
                CHECK_ERR(msgrcv(id, &m, sizeof m.s, 0, 0), EIDRM);
                _exit(0);
        }
        t_until_asleep(child);
        CHECK_OK(msgctl(id, IPC_RMID, NULL));
        t_reap(child);
        CHECK_ERR(msgrcv(id, &m, sizeof m.s, 0, 0), EINVAL);
        id = msg_new();
        t_tick(SA_RESTART, NULL);
        CHECK_ERR(msgrcv(id, &m, sizeof m.s, 0, 0), EINTR);
        t_tick_stop();
        done();
}

TEST(queue_state)
{
        int id = msg_new();
        struct msqid_ds ds;
        struct msginfo info;

        send_text(id, 1, "abc");
        CHECK_OK(msgctl(id, IPC_STAT, &ds));
        CHECK_EQ(ds.msg_qnum, 1);
        CHECK_EQ(ds.msg_cbytes, 3);
        CHECK_EQ(ds.msg_qbytes, 16384);
        CHECK_EQ(ds.msg_lspid, getpid());
        ds.msg_qbytes = 100;
        CHECK_OK(msgctl(id, IPC_SET, &ds));
        CHECK_OK(msgctl(id, IPC_STAT, &ds));
        CHECK_EQ(ds.msg_qbytes, 100);
        CHECK_GE(msgctl(0, IPC_INFO, (struct msqid_ds *)&info), 0);
        CHECK_EQ(info.msgmax, 8192);
        CHECK_ERR(msgctl(id, 12345, &ds), EINVAL);
        CHECK_ERR(msgctl(id, IPC_STAT, t_bad), EFAULT);
        done();
}

TEST(msgget_by_key)
{
        key_t key = (key_t)(0x54000000 + getpid());
        int id;

        CHECK_ERR(msgget(key, 0), ENOENT);
        id = MUST(msgget(key, IPC_CREAT | 0600));
        CHECK_EQ(msgget(key, 0), id);
        CHECK_ERR(msgget(key, IPC_CREAT | IPC_EXCL), EEXIST);
        CHECK_OK(msgctl(id, IPC_RMID, NULL));
        CHECK_ERR(msgctl(id, IPC_RMID, NULL), EINVAL);
}
