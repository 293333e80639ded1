/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues: mq_overview(7).
 * covers: mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
 */
#include "t.h"

#include <mqueue.h>
#include <poll.h>
#include <time.h>

static char name[64];

static mqd_t queue(int flags, long maxmsg, long msgsize)
{
        struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};
        mqd_t q;

        snprintf(name, sizeof name, "/t-%d", getpid());
        q = MUST(mq_open(name, O_CREAT | O_EXCL | O_RDWR | flags, 0600, &attr));
        return q;
}

static void receive(mqd_t q, const char *want, unsigned want_prio)
{
        char s[64] = "";
        unsigned prio;

        CHECK_EQ(mq_receive(q, s, sizeof s, &prio), strlen(want));
        CHECK_STR(s, want);
        CHECK_EQ(prio, want_prio);
}

TEST(opening)
{
        struct mq_attr bad = {.mq_maxmsg = 0, .mq_msgsize = 8};
        mqd_t q = queue(0, 4, 64);

        CHECK_ERR(mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, NULL), EEXIST);
        CHECK_EQ(fcntl(q, F_GETFD), FD_CLOEXEC);
        CHECK_OK(mq_unlink(name));
        CHECK_ERR(mq_unlink(name), ENOENT);
        CHECK_ERR(mq_open(name, O_RDWR), ENOENT);
        CHECK_ERR(mq_open("/a/b", O_CREAT | O_RDWR, 0600, NULL), EACCES);
        CHECK_ERR(mq_open(name, O_CREAT | O_RDWR, 0600, &bad), EINVAL);
        CHECK_ERR(syscall(SYS_mq_open, t_bad, O_RDWR, 0, NULL), EFAULT);
        CHECK_ERR(syscall(SYS_mq_open, "x", O_CREAT | O_RDWR, 0600, t_bad), EFAULT);
        CHECK_OK(mq_close(q));
}

TEST(order_is_by_priority_then_age)
{
        mqd_t q = queue(0, 8, 64);

        CHECK_OK(mq_unlink(name));
        CHECK_OK(mq_send(q, "low", 3, 1));
        CHECK_OK(mq_send(q, "high", 4, 30));
        CHECK_OK(mq_send(q, "high2", 5, 30));
        CHECK_OK(mq_send(q, "mid", 3, 5));
        receive(q, "high", 30);
        receive(q, "high2", 30);
        receive(q, "mid", 5);
        receive(q, "low", 1);
}

TEST(sizes)
{
        mqd_t q = queue(0, 2, 8);
        char s[64];

        CHECK_OK(mq_unlink(name));
        CHECK_ERR(mq_send(q, "123456789", 9, 0), EMSGSIZE);
        CHECK_ERR(mq_receive(q, s, 7, NULL), EMSGSIZE);
        CHECK_ERR(mq_send(q, "1", 1, 32768), EINVAL);
        CHECK_OK(mq_send(q, "", 0, 0));
        CHECK_EQ(mq_receive(q, s, sizeof s, NULL), 0);
        CHECK_ERR(syscall(SYS_mq_timedsend, q, t_bad, 4, 0, NULL), EFAULT);
        CHECK_ERR(syscall(SYS_mq_timedsend, 0, s, 4, 0, NULL), EBADF);
}

TEST(full_and_empty_by_nonblocking_and_timeouts)
{
        mqd_t q = queue(O_NONBLOCK, 1, 8);
        struct mq_attr attr, old;
        struct timespec past = {1, 0}, bad = {0, 1000000000}, soon;
        char s[8];

        CHECK_OK(mq_unlink(name));
        CHECK_ERR(mq_receive(q, s, sizeof s, NULL), EAGAIN);
        CHECK_OK(mq_send(q, "x", 1, 0));
        CHECK_ERR(mq_send(q, "y", 1, 0), EAGAIN);
        attr.mq_flags = 0;
        CHECK_OK(mq_setattr(q, &attr, &old));
        CHECK_EQ(old.mq_flags, O_NONBLOCK);
        CHECK_EQ(old.mq_curmsgs, 1);
        CHECK_EQ(old.mq_maxmsg, 1);
        CHECK_EQ(old.mq_msgsize, 8);
        CHECK_ERR(mq_timedsend(q, "y", 1, 0, &past), ETIMEDOUT);
        CHECK_ERR(mq_timedsend(q, "y", 1, 0, &bad), EINVAL);
        CHECK_EQ(mq_timedreceive(q, s, sizeof s, NULL, &past), 1);
        CHECK_OK(clock_gettime(CLOCK_REALTIME, &soon));
        soon.tv_nsec += 20000000;
        if (soon.tv_nsec >= 1000000000) {
                soon.tv_nsec -= 1000000000;
                soon.tv_sec++;
        }
        CHECK_ERR(mq_timedreceive(q, s, sizeof s, NULL, &soon), ETIMEDOUT);
        attr.mq_flags = 0x1234;
        CHECK_ERR(syscall(SYS_mq_getsetattr, q, &attr, NULL), EINVAL);
        CHECK_ERR(syscall(SYS_mq_getsetattr, q, NULL, t_bad), EFAULT);
}

TEST(receivers_and_senders_wait)
{
        mqd_t q = queue(0, 1, 64);
        pid_t child = t_fork();

        if (child == 0) {
                receive(q, "first", 2);
                _exit(0);
        }
        CHECK_OK(mq_unlink(name));
        t_until_asleep(child);
        CHECK_OK(mq_send(q, "first", 5, 2));
        t_reap(child);
        CHECK_OK(mq_send(q, "a", 1, 0));
        child = t_fork();
        if (child == 0) {
                CHECK_OK(mq_send(q, "b", 1, 0));
                _exit(0);
        }
        t_until_asleep(child);
        receive(q, "a", 0);
        t_reap(child);
        receive(q, "b", 0);
}

TEST(a_signal_interrupts)
{
        mqd_t q = queue(0, 1, 8);
        char s[8];

        CHECK_OK(mq_unlink(name));
        t_tick(0, NULL);
        CHECK_ERR(mq_receive(q, s, sizeof s, NULL), EINTR);
        t_tick_stop();
}

static volatile sig_atomic_t told;
static volatile sig_atomic_t told_code;
static volatile sig_atomic_t told_value;

static void on_told(int sig, siginfo_t *info, void *context)
{
        (void)sig;
        (void)context;
        told_code = info->si_code;
        told_value = info->si_value.sival_int;
        told++;
}

TEST(notification)
{
        mqd_t q = queue(0, 4, 8);
        struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
        struct sigaction sa = {.sa_sigaction = on_told, .sa_flags = SA_SIGINFO};
        char s[8];

        CHECK_OK(mq_unlink(name));
        CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
        CHECK_OK(mq_notify(q, &ev));
        IN_CHILD() {
                CHECK_ERR(mq_notify(q, &ev), EBUSY);
        }
        CHECK_OK(mq_send(q, "x", 1, 0));
        CHECK_EQ(told, 1);
        CHECK_EQ(told_code, SI_MESGQ);
        CHECK_EQ(told_value, 42);
        CHECK_EQ(mq_receive(q, s, sizeof s, NULL), 1);
        CHECK_OK(mq_send(q, "x", 1, 0));
        CHECK_EQ(told, 1);
        CHECK_OK(mq_notify(q, &ev));
        CHECK_OK(mq_notify(q, NULL));
        ev.sigev_signo = 65;
        CHECK_ERR(mq_notify(q, &ev), EINVAL);
        CHECK_ERR(mq_notify(0, NULL), EBADF);
}

TEST(polling)
{
        mqd_t q = queue(0, 1, 8);
        struct pollfd p = {.fd = q, .events = POLLIN | POLLOUT};

        CHECK_OK(mq_unlink(name));
        CHECK_EQ(poll(&p, 1, 0), 1);
        CHECK_EQ(p.revents, POLLOUT);
        CHECK_OK(mq_send(q, "x", 1, 0));
        CHECK_EQ(poll(&p, 1, 0), 1);
        CHECK_EQ(p.revents, POLLIN);
}

TEST(modes_are_kept)
{
        mqd_t q = queue(0, 1, 8), r, w;
        char s[8];

        r = MUST(mq_open(name, O_RDONLY));
        w = MUST(mq_open(name, O_WRONLY));
        CHECK_OK(mq_unlink(name));
        CHECK_ERR(mq_send(r, "x", 1, 0), EBADF);
        CHECK_ERR(mq_receive(w, s, sizeof s, NULL), EBADF);
        CHECK_OK(mq_send(w, "x", 1, 0));
        CHECK_EQ(mq_receive(r, s, sizeof s, NULL), 1);
        (void)q;
}
