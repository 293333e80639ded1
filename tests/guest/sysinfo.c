/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls about the whole system: uname(2), sysinfo(2), getrandom(2), ustat(2), sysfs(2), and setting names.
 * covers: uname sysinfo getrandom ustat sysfs
 */
#include "t.h"

#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

TEST(uname_says_linux)
{
        struct utsname u;
        char text[128];

        CHECK_OK(uname(&u));
        CHECK_STR(u.sysname, "Linux");
        CHECK_STR(u.machine, "x86_64");
        CHECK(strlen(u.release) > 0 && u.release[0] >= '3');
        t_get("/proc/sys/kernel/osrelease", text, sizeof text);
        text[strcspn(text, "\n")] = 0;
        CHECK_STR(text, u.release);
        CHECK_OK(gethostname(text, sizeof text));
        CHECK_STR(text, u.nodename);
        CHECK_ERR(syscall(SYS_uname, t_bad), EFAULT);
        CHECK_ERR(syscall(SYS_uname, t_edge(100)), EFAULT);
}

TEST(sysinfo_agrees_with_clocks_and_proc)
{
        struct sysinfo s;
        struct timespec t;
        char text[4096];
        unsigned long long kib;

        CHECK_OK(sysinfo(&s));
        CHECK_OK(clock_gettime(CLOCK_BOOTTIME, &t));
        CHECK(t.tv_sec - s.uptime >= -1 && t.tv_sec - s.uptime <= 60); /* rounded up */
        CHECK(s.totalram > 0 && s.freeram <= s.totalram);
        CHECK_GE(s.procs, 1);
        t_get("/proc/meminfo", text, sizeof text);
        CHECK_EQ(sscanf(text, "MemTotal: %llu kB", &kib), 1);
        CHECK_EQ(kib, (unsigned long long)s.totalram * s.mem_unit / 1024);
        CHECK_ERR(syscall(SYS_sysinfo, t_bad), EFAULT);
}

TEST(getrandom_fills_and_checks)
{
        static unsigned char a[100000], b[100000];
        unsigned char few[64] = {0}, zero[64] = {0};

        CHECK_EQ(getrandom(a, sizeof a, 0), sizeof a);
        CHECK_EQ(getrandom(b, sizeof b, GRND_NONBLOCK), sizeof b);
        CHECK(memcmp(a, b, sizeof a) != 0);
        CHECK_EQ(getrandom(few, sizeof few, GRND_RANDOM), sizeof few);
        CHECK(memcmp(few, zero, sizeof few) != 0);
        CHECK_EQ(getrandom(few, 0, 0), 0);
        CHECK_ERR(getrandom(few, 1, 0x80), EINVAL);
        CHECK_ERR(getrandom(few, 1, GRND_RANDOM | 4), EINVAL);
        CHECK_ERR(syscall(SYS_getrandom, t_bad, 16, 0), EFAULT);
}

TEST(ustat_of_a_mounted_filesystem)
{
        struct stat st;
        char buf[64];

        CHECK_OK(stat("/", &st));
        if (syscall(SYS_ustat, (unsigned)st.st_dev, buf) == -1 && errno == EPERM)
                SKIP("ustat is refused by an outer filter, as docker's");
        CHECK_OK(syscall(SYS_ustat, (unsigned)st.st_dev, buf));
        CHECK_ERR(syscall(SYS_ustat, 0xfffff, buf), EINVAL);
        CHECK_ERR(syscall(SYS_ustat, (unsigned)st.st_dev, t_bad), EFAULT);
}

TEST(sysfs_names_filesystems)
{
        char name[64];
        long n = syscall(SYS_sysfs, 3), proc;

        if (n == -1 && errno == EPERM)
                SKIP("sysfs is refused by an outer filter, as docker's");
        CHECK_GE(n, 3);
        proc = MUST(syscall(SYS_sysfs, 1, "proc"));
        CHECK_OK(syscall(SYS_sysfs, 2, proc, name));
        CHECK_STR(name, "proc");
        CHECK_ERR(syscall(SYS_sysfs, 1, "no such thing"), EINVAL);
        CHECK_ERR(syscall(SYS_sysfs, 2, 100000, name), EINVAL);
        CHECK_ERR(syscall(SYS_sysfs, 7), EINVAL);
}

TEST(names_cant_be_set_without_privilege)
{
        t_need_root();
        IN_CHILD() {
                t_become_nobody();
                CHECK_ERR(sethostname("x", 1), EPERM);
                CHECK_ERR(setdomainname("x", 1), EPERM);
                CHECK_ERR(syscall(SYS_vhangup), EPERM);
        }
}
