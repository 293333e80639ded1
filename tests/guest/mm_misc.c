/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rarer memory calls: other pages of a file, protection keys, NUMA policy, advice about another process, advice for fork.
 * covers: remap_file_pages pkey_mprotect pkey_alloc pkey_free mbind set_mempolicy get_mempolicy process_madvise
 */
#include "t.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define PAGE 4096UL

static sigjmp_buf fault_jump;
static volatile int fault_signal, fault_code;
static void *volatile fault_address;

static void on_fault(int sig, siginfo_t *info, void *context)
{
        (void)context;
        fault_signal = sig;
        fault_code = info->si_code;
        fault_address = info->si_addr;
        siglongjmp(fault_jump, 1);
}

static void catch_faults(void)
{
        struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

        sigaction(SIGSEGV, &action, NULL);
        sigaction(SIGBUS, &action, NULL);
}

/* The signal that touching the byte raises, or 0. */
static int touch(volatile char *p, bool write)
{
        fault_signal = 0;
        if (sigsetjmp(fault_jump, 1) == 0) {
                if (write)
                        *p = 1;
                else
                        (void)*p;
        }
        return fault_signal;
}

static char *anon(size_t pages)
{
        return MUST(mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

TEST(dev_zero)
{
        int fd = MUST(open("/dev/zero", O_RDWR));
        char *p = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
        char *s = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));

        CHECK_EQ(p[0], 0);
        p[0] = s[0] = 1;
        IN_CHILD() {
                CHECK_EQ(s[0], 1);
                s[0] = 2;
        }
        CHECK_EQ(s[0], 2);
}

TEST(madvise_for_fork)
{
        char *p = anon(2);

        p[0] = p[PAGE] = 1;
        CHECK_OK(madvise(p, PAGE, MADV_WIPEONFORK));
        CHECK_OK(madvise(p + PAGE, PAGE, MADV_DONTFORK));
        IN_CHILD() {
                CHECK_EQ(p[0], 0);
                catch_faults();
                CHECK_EQ(touch(p + PAGE, false), SIGSEGV);
        }
        CHECK_OK(madvise(p, PAGE, MADV_KEEPONFORK));
        CHECK_OK(madvise(p + PAGE, PAGE, MADV_DOFORK));
        IN_CHILD() {
                CHECK_EQ(p[0], 1);
                CHECK_EQ(p[PAGE], 1);
        }
        char *s = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        CHECK_ERR(madvise(s, PAGE, MADV_WIPEONFORK), EINVAL);
        s[0] = 1;
        CHECK_OK(madvise(s, PAGE, MADV_REMOVE));
        CHECK_EQ(s[0], 0);
        CHECK_ERR(madvise(p, PAGE, MADV_REMOVE), EINVAL);
}

TEST(remap_file_pages_shows_another_page)
{
        t_scratch();
        int fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
        CHECK_OK(ftruncate(fd, 4 * PAGE));
        char *p = MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        for (int i = 0; i < 4; i++)
                p[i * PAGE] = 'a' + i;
        CHECK_OK(syscall(SYS_remap_file_pages, p, PAGE, 0, 3, 0));
        CHECK_EQ(p[0], 'd');
        CHECK_ERR(syscall(SYS_remap_file_pages, p, PAGE, 1, 3, 0), EINVAL);
        CHECK_ERR(syscall(SYS_remap_file_pages, anon(1), PAGE, 0, 0, 0), EINVAL);
}

TEST(memory_policy)
{
        int mode = 7;
        unsigned long nodes = 1;
        char *p = anon(1);

        if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) == -1 && errno == EPERM)
                SKIP("memory policies are refused by an outer filter, as docker's");
        CHECK_OK(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0));
        CHECK_EQ(mode, 0);
        CHECK_OK(syscall(SYS_set_mempolicy, 2 /* BIND */, &nodes, 64));
        CHECK_OK(syscall(SYS_set_mempolicy, 0, NULL, 0));
        CHECK_ERR(syscall(SYS_set_mempolicy, 99, NULL, 0), EINVAL);
        CHECK_OK(syscall(SYS_mbind, p, PAGE, 2, &nodes, 64, 0));
        CHECK_ERR(syscall(SYS_mbind, p + 1, PAGE, 2, &nodes, 64, 0), EINVAL);
        CHECK_ERR(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 64), EINVAL);
        CHECK_ERR(syscall(SYS_get_mempolicy, t_bad, NULL, 0, NULL, 0), EFAULT);
}

static void *churn(void *arg)
{
        unsigned seed = (unsigned)(long)arg;

        for (int i = 0; i < 2000; i++) {
                size_t n = 1 + (size_t)rand_r(&seed) % 8;
                char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (p == MAP_FAILED)
                        return (void *)1;
                for (size_t k = 0; k < n; k++)
                        p[k * PAGE] = (char)seed;
                for (size_t k = 0; k < n; k++)
                        if (p[k * PAGE] != (char)seed)
                                return (void *)2;
                munmap(p, n * PAGE);
        }
        return NULL;
}

TEST(threads_that_map_and_unmap_do_not_meet)
{
        pthread_t t[4];

        for (long i = 0; i < 4; i++)
                CHECK_OK(pthread_create(&t[i], NULL, churn, (void *)i));
        for (int i = 0; i < 4; i++) {
                void *ret;

                CHECK_OK(pthread_join(t[i], &ret));
                CHECK(ret == NULL);
        }
}

TEST(process_madvise_hints)
{
        int self = MUST((int)syscall(SYS_pidfd_open, getpid(), 0));
        struct iovec v = {anon(2), 2 * PAGE};

        CHECK_EQ(syscall(SYS_process_madvise, self, &v, 1, MADV_COLD, 0), (long)(2 * PAGE));
        CHECK_ERR(syscall(SYS_process_madvise, self, &v, 1, MADV_COLD, 1), EINVAL);
        CHECK_ERR(syscall(SYS_process_madvise, -1, &v, 1, MADV_COLD, 0), EBADF);
}

TEST(protection_keys_there_are_none)
{
        char *p = anon(1);

        CHECK_ERR(pkey_mprotect(p, PAGE, PROT_READ, 12345), EINVAL);
        CHECK_OK(pkey_mprotect(p, PAGE, PROT_READ, -1));
        CHECK_ERR(pkey_alloc(1, 0), EINVAL);
        CHECK_ERR(pkey_alloc(0, 0xff), EINVAL);
        CHECK_ERR(pkey_free(3), EINVAL);
        int key = pkey_alloc(0, 0); /* a machine with keys gives one */
        if (key < 0)
                CHECK(errno == ENOSPC || errno == EINVAL); /* by kernel version */
        else
                CHECK_OK(pkey_free(key));
}
