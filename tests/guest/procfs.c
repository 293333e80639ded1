/* SPDX-License-Identifier: Apache-2.0 */
/* /proc: that it tells the truth about processes, as proc(5) has it. */
#include "t.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

static char text[65536];

static const char *get(const char *format, ...) __attribute__((format(printf, 1, 2)));

#include <stdarg.h>
static const char *get(const char *format, ...)
{
        char path[256];
        va_list ap;

        va_start(ap, format);
        vsnprintf(path, sizeof path, format, ap);
        va_end(ap);
        t_get(path, text, sizeof text);
        return text;
}

/* The value behind "Name:" in a file of such lines. */
static const char *field(const char *file, const char *name)
{
        static char value[256];
        char key[64];
        const char *p = get("%s", file);

        snprintf(key, sizeof key, "%s:", name);
        while (strncmp(p, key, strlen(key)) != 0) {
                p = strchr(p, '\n');
                if (p == NULL)
                        FAIL("no %s in %s", name, file);
                p++;
        }
        p += strlen(key);
        p += strspn(p, " \t");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(p, "\n"), p);
        return value;
}

static const char *link_of(const char *path)
{
        static char target[PATH_MAX];
        ssize_t n = MUST(readlink(path, target, sizeof target - 1));

        target[n] = 0;
        return target;
}

static bool listed(const char *dir, const char *name)
{
        DIR *d = opendir(dir);
        struct dirent *e;
        bool found = false;

        if (d == NULL)
                FAIL("opendir %s: %s", dir, t_errno(errno));
        while ((e = readdir(d)) != NULL)
                found |= strcmp(e->d_name, name) == 0;
        closedir(d);
        return found;
}

TEST(it_is_proc)
{
        struct statfs s;

        CHECK_OK(statfs("/proc", &s));
        CHECK_EQ(s.f_type, 0x9fa0);
}

TEST(self_and_thread_self)
{
        char want[64];

        snprintf(want, sizeof want, "%d", getpid());
        CHECK_STR(link_of("/proc/self"), want);
        snprintf(want, sizeof want, "%d/task/%ld", getpid(), syscall(SYS_gettid));
        CHECK_STR(link_of("/proc/thread-self"), want);
}

TEST(stat_has_the_process)
{
        int pid, ppid, pgrp, sid;
        char comm[32], state;

        CHECK_EQ(sscanf(get("/proc/self/stat"), "%d (%31[^)]) %c %d %d %d", &pid, comm, &state, &ppid, &pgrp, &sid), 6);
        CHECK_EQ(pid, getpid());
        CHECK_EQ(ppid, getppid());
        CHECK_EQ(pgrp, getpgrp());
        CHECK_EQ(sid, getsid(0));
        CHECK_EQ(state, 'R');
}

TEST(a_childs_states)
{
        pid_t child = t_fork();
        char path[64];
        int status;

        if (child == 0) {
                for (;;)
                        pause();
        }
        snprintf(path, sizeof path, "/proc/%d/status", child);
        t_until_asleep(child);
        CHECK_STR(field(path, "State"), "S (sleeping)");
        CHECK_OK(kill(child, SIGSTOP));
        CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
        CHECK_STR(field(path, "State"), "T (stopped)");
        CHECK_OK(kill(child, SIGKILL));
        while (strcmp(field(path, "State"), "Z (zombie)") != 0)
                ;
        t_wait(child);
        CHECK_ERR(open(path, O_RDONLY), ENOENT);
}

TEST(status_has_ids_and_masks)
{
        char want[128];
        sigset_t set;

        snprintf(want, sizeof want, "%d\t%d\t%d\t%d", getuid(), geteuid(), geteuid(), geteuid());
        CHECK_STR(field("/proc/self/status", "Uid"), want);
        snprintf(want, sizeof want, "%d", getppid());
        CHECK_STR(field("/proc/self/status", "PPid"), want);
        umask(027);
        CHECK_STR(field("/proc/self/status", "Umask"), "0027");
        signal(SIGUSR1, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        CHECK_OK(sigprocmask(SIG_SETMASK, &set, NULL));
        raise(SIGUSR2);
        CHECK_STR(field("/proc/self/status", "SigBlk"), "0000000000000800");
        CHECK_EQ(strtoull(field("/proc/self/status", "SigIgn"), NULL, 16) >> (SIGUSR1 - 1) & 1, 1);
        CHECK_EQ((strtoull(field("/proc/self/status", "SigPnd"), NULL, 16) |
                  strtoull(field("/proc/self/status", "ShdPnd"), NULL, 16)) >> (SIGUSR2 - 1) & 1, 1);
        CHECK_STR(field("/proc/self/status", "Threads"), "1");
}

TEST(comm_can_be_changed)
{
        int fd = MUST(open("/proc/self/comm", O_WRONLY));

        CHECK_EQ(write(fd, "a name that is long", 19), 19);
        CHECK_STR(get("/proc/self/comm"), "a name that is \n");
        CHECK_STR(field("/proc/self/status", "Name"), "a name that is ");
}

int t_role(int argc, char **argv)
{
        (void)argc;
        printf("%s", argv[0]);
        fflush(stdout);
        return (int)read(0, argv, 1) < 0;
}

TEST(cmdline_environ_and_exe_of_another_program)
{
        int in[2], out[2];
        pid_t child;
        char c[16], path[64];
        char *args[] = {t_self, (char *)"@waiter", (char *)"two words", NULL};
        char *env[] = {(char *)"ONE=1", (char *)"TWO=2", NULL};
        size_t n;

        CHECK_OK(pipe(in));
        CHECK_OK(pipe(out));
        child = t_fork();
        if (child == 0) {
                dup2(in[0], 0);
                dup2(out[1], 1);
                execve(t_self, args, env);
                _exit(1);
        }
        CHECK_EQ(read(out[0], c, 6), 6);
        snprintf(path, sizeof path, "/proc/%d/cmdline", child);
        n = t_get(path, text, sizeof text);
        CHECK_EQ(n, strlen(t_self) + 1 + 8 + 10);
        CHECK_STR(text, t_self);
        CHECK_STR(text + strlen(t_self) + 1, "@waiter");
        snprintf(path, sizeof path, "/proc/%d/environ", child);
        n = t_get(path, text, sizeof text);
        CHECK_EQ(n, 12);
        CHECK_MEM(text, "ONE=1\0TWO=2", 12);
        snprintf(path, sizeof path, "/proc/%d/exe", child);
        CHECK_STR(link_of(path), t_self);
        CHECK_EQ(write(in[1], "x", 1), 1);
        t_reap(child);
}

TEST(cwd_and_root)
{
        const char *dir = t_scratch();
        int fd;

        CHECK_STR(link_of("/proc/self/cwd"), dir);
        CHECK_STR(link_of("/proc/self/root"), "/");
        t_put("here", "x");
        fd = MUST(open("/proc/self/cwd/here", O_RDONLY));
        close(fd);
}

TEST(descriptors_are_links_to_the_very_files)
{
        char path[64];
        const char *dir = t_scratch();
        int fd = MUST(open("file", O_RDWR | O_CREAT, 0600)), again, fds[2];
        char want[PATH_MAX + 32];
        struct stat a, b;

        CHECK_EQ(write(fd, "hello", 5), 5);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        snprintf(want, sizeof want, "%s/file", dir);
        CHECK_STR(link_of(path), want);
        CHECK_OK(lstat(path, &a));
        CHECK_EQ(a.st_mode & 0777, 0700);
        CHECK_OK(unlink("file"));
        snprintf(want, sizeof want, "%s/file (deleted)", dir);
        CHECK_STR(link_of(path), want);
        again = MUST(open(path, O_RDONLY));
        CHECK_OK(fstat(fd, &a));
        CHECK_OK(fstat(again, &b));
        CHECK_EQ(a.st_ino, b.st_ino);
        CHECK_EQ(read(again, text, 10), 5);
        CHECK_OK(pipe(fds));
        snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
        CHECK_OK(fstat(fds[0], &a));
        snprintf(want, sizeof want, "pipe:[%lu]", (unsigned long)a.st_ino);
        CHECK_STR(link_of(path), want);
        close(fds[0]);
        CHECK_ERR(readlink(path, want, sizeof want), ENOENT);
        snprintf(want, sizeof want, "%d", fds[1]);
        CHECK(listed("/proc/self/fd", want));
        CHECK_EQ(fcntl(fds[1], F_DUPFD, 500), 500);
        CHECK(listed("/proc/self/fd", "500"));
        close(500);
        CHECK(!listed("/proc/self/fd", "500"));
}

TEST(fdinfo_has_position_and_flags)
{
        char path[64];
        int fd;

        t_scratch();
        fd = MUST(open("file", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
        CHECK_EQ(write(fd, "12345", 5), 5);
        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
        CHECK_STR(field(path, "pos"), "5");
        CHECK_EQ(strtol(field(path, "flags"), NULL, 8) & (O_ACCMODE | O_APPEND | O_CLOEXEC), O_RDWR | O_APPEND | O_CLOEXEC);
}

TEST(maps_has_every_mapping)
{
        char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), want[64];
        int fd;

        CHECK(p != MAP_FAILED);
        CHECK_OK(mprotect(p + 4096, 4096, PROT_NONE));
        snprintf(want, sizeof want, "%lx-%lx ---p", (unsigned long)p + 4096, (unsigned long)p + 8192);
        CHECK(strstr(get("/proc/self/maps"), want) != NULL);
        CHECK_OK(munmap(p, 3 * 4096));
        CHECK(strstr(get("/proc/self/maps"), want) == NULL);
        CHECK(strstr(text, "[stack]") != NULL);
        CHECK(strstr(text, t_self) != NULL);
        t_scratch();
        fd = MUST(open("mapped file", O_RDWR | O_CREAT, 0600));
        CHECK_OK(ftruncate(fd, 8192));
        p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);
        CHECK(p != MAP_FAILED);
        snprintf(want, sizeof want, "%lx-%lx r--s 00001000", (unsigned long)p, (unsigned long)p + 4096);
        CHECK(strstr(get("/proc/self/maps"), want) != NULL);
        CHECK(strstr(strstr(text, want), "/mapped file\n") != NULL);
        CHECK(strstr(get("/proc/self/smaps"), want) != NULL);
}

TEST(mem_reads_and_writes)
{
        static char here[] = "before";
        int fd = MUST(open("/proc/self/mem", O_RDWR));
        char got[8] = "";

        CHECK_EQ(pread(fd, got, 7, (off_t)(uintptr_t)here), 7);
        CHECK_STR(got, "before");
        CHECK_EQ(pwrite(fd, "after!", 6, (off_t)(uintptr_t)here), 6);
        CHECK_STR((char *)(volatile char *)here, "after!");
        CHECK_ERR(pread(fd, got, 1, 0), EIO);
        CHECK_EQ(lseek(fd, (off_t)(uintptr_t)here, SEEK_SET), (uintptr_t)here);
        CHECK_EQ(read(fd, got, 2), 2);
}

TEST(others_processes_are_closed)
{
        pid_t child;
        char path[64];

        t_need_root();
        child = t_fork();
        if (child == 0) {
                for (;;)
                        pause();
        }
        IN_CHILD() {
                static const char *const closed[] = {"mem", "environ", "maps", "auxv", "io"};

                t_become_nobody();
                for (size_t i = 0; i < T_COUNT(closed); i++) {
                        snprintf(path, sizeof path, "/proc/%d/%s", child, closed[i]);
                        CHECK_ERR(open(path, O_RDONLY), EACCES);
                }
                snprintf(path, sizeof path, "/proc/%d/exe", child);
                CHECK_ERR(readlink(path, text, sizeof text), EACCES);
                snprintf(path, sizeof path, "/proc/%d/fd", child);
                CHECK_ERR(open(path, O_RDONLY | O_DIRECTORY), EACCES);
                snprintf(path, sizeof path, "/proc/%d/stat", child);
                close(MUST(open(path, O_RDONLY)));
        }
        CHECK_OK(kill(child, SIGKILL));
        t_wait(child);
}

static void *idle(void *arg)
{
        char path[64];

        snprintf(path, sizeof path, "/proc/self/task/%ld/comm", syscall(SYS_gettid));
        t_put(path, "worker");
        CHECK_STR(get("/proc/thread-self/comm"), "worker\n");
        *(long *)arg = syscall(SYS_gettid);
        return NULL;
}

#include <pthread.h>
TEST(threads_are_listed)
{
        pthread_t thread;
        char name[32];
        long tid = 0;

        snprintf(name, sizeof name, "%d", getpid());
        CHECK(listed("/proc/self/task", name));
        CHECK_EQ(pthread_create(&thread, NULL, idle, &tid), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK(tid != 0 && tid != getpid());
        snprintf(name, sizeof name, "/proc/self/task/%ld", tid);
        /* Joined is not quite gone. */
        while (access(name, F_OK) == 0)
                ;
        CHECK_EQ(errno, ENOENT);
}

static void *read_one(void *arg)
{
        char c;

        CHECK_EQ(read(*(int *)arg, &c, 1), 0);
        return NULL;
}

TEST_ALONE(a_process_has_a_link_for_each_thread)
{
        pthread_t thread;
        struct stat st;
        int fds[2];

        CHECK_OK(stat("/proc/self/task", &st));
        CHECK_EQ(st.st_nlink, 3);
        CHECK_OK(pipe(fds));
        CHECK_EQ(pthread_create(&thread, NULL, read_one, &fds[0]), 0);
        CHECK_OK(stat("/proc/self/task/", &st));
        CHECK_EQ(st.st_nlink, 4);
        close(fds[1]);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        /* Joined is not quite gone. */
        do
                CHECK_OK(stat("/proc/self/task", &st));
        while (st.st_nlink != 3);
}

/* The number of descriptors is the directory's size, since Linux 6.2. */
TEST(the_descriptors_are_counted)
{
        struct stat before, after;
        int fd, high;

        CHECK_OK(stat("/proc/self/fd", &before));
        if (before.st_size == 0)
                SKIP("an older kernel");
        fd = MUST(open("/proc/self/fd", O_RDONLY));
        high = MUST(fcntl(fd, F_DUPFD, 700));
        CHECK_OK(fstat(fd, &after));
        CHECK_EQ(after.st_size, before.st_size + 2);
        close(high);
        CHECK_OK(fstat(fd, &after));
        CHECK_EQ(after.st_size, before.st_size + 1);
}

TEST_ALONE(limits_are_the_rlimits)
{
        struct rlimit r = {17, 4096};

        CHECK_OK(setrlimit(RLIMIT_NOFILE, &r));
        CHECK(strstr(get("/proc/self/limits"), "Max open files            17                   4096                 files") != NULL);
}

TEST(mounts_show_proc)
{
        CHECK(strstr(get("/proc/self/mounts"), " /proc proc ") != NULL);
        CHECK(strstr(get("/proc/mounts"), " /proc proc ") != NULL);
        CHECK(strstr(get("/proc/self/mountinfo"), " - proc ") != NULL);
}

TEST(oom_score_adj_is_checked)
{
        int fd = MUST(open("/proc/self/oom_score_adj", O_RDWR));

        CHECK_EQ(pwrite(fd, "500\n", 4, 0), 4);
        CHECK_STR(get("/proc/self/oom_score_adj"), "500\n");
        CHECK_ERR(pwrite(fd, "5000", 4, 0), EINVAL);
        CHECK_ERR(pwrite(fd, "x", 1, 0), EINVAL);
}

static long number(const char *path, const char *name)
{
        char *at = strstr(get(path), name);

        CHECK(at != NULL);
        return atol(at + strlen(name));
}

/* A kernel may be without accounting. */
static void score_is(int fd, int score)
{
        char s[16];
        int n = snprintf(s, sizeof s, "%d", score);

        CHECK_EQ(pwrite(fd, s, (size_t)n, 0), n);
        CHECK_EQ(atoi(get("/proc/self/oom_score_adj")), score);
}

/* What somebody raised he may lower again, to what it was when he had no say in it. */
TEST(oom_score_adj_goes_up_and_down_again)
{
        int base = atoi(get("/proc/self/oom_score_adj"));

        if (base < -600 || base > 600)
                SKIP("the score is near its limits");
        IN_CHILD() {
                int fd = MUST(open("/proc/self/oom_score_adj", O_RDWR));
                char less[16];

                score_is(fd, base); /* with the capability this is the least from now on */
                if (t_root())
                        t_become_nobody();
                score_is(fd, base + 300);
                score_is(fd, base + 100);
                score_is(fd, base);
                snprintf(less, sizeof less, "%d", base - 1);
                CHECK_ERR(pwrite(fd, less, strlen(less), 0), EACCES);
        }
}

TEST_ALONE(reads_writes_and_sleeps_are_counted)
{
        int fds[2], status;
        long before;
        pid_t pid;
        char c[8];

        if (access("/proc/self/io", R_OK) != 0)
                SKIP("there is no /proc/self/io");
        CHECK_OK(pipe(fds));
        before = number("/proc/self/io", "wchar: ");
        CHECK_EQ(write(fds[1], "12345678", 8), 8);
        CHECK_EQ(number("/proc/self/io", "wchar: "), before + 8);
        before = number("/proc/self/io", "syscr: ");
        CHECK_EQ(read(fds[0], c, 8), 8);
        CHECK_GE(number("/proc/self/io", "syscr: "), before + 1);
        before = number("/proc/self/io", "wchar: ");
        pid = t_fork();
        if (pid == 0) {
                usleep(1000);
                CHECK_GE(number("/proc/self/status", "\nvoluntary_ctxt_switches:"), 1);
                CHECK_EQ(number("/proc/self/io", "wchar: "), 0);
                CHECK_EQ(write(fds[1], "123", 3), 3);
                _exit(0);
        }
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
        CHECK_EQ(number("/proc/self/io", "wchar: "), before + 3);
}

/* As pam_loginuid(8) does it. */
TEST_ALONE(a_login_is_written_once_and_inherited)
{
        int fd = open("/proc/self/loginuid", O_RDWR);
        pid_t pid;

        if (fd < 0 || strcmp(get("/proc/self/loginuid"), "4294967295") != 0)
                SKIP("no login can be noted here");
        CHECK_STR(get("/proc/self/sessionid"), "4294967295");
        CHECK_ERR(pwrite(fd, "x", 1, 0), EINVAL);
        CHECK_OK(ftruncate(fd, 0));
        CHECK_EQ(pwrite(fd, "1000", 4, 0), 4);
        CHECK_STR(get("/proc/self/loginuid"), "1000");
        CHECK(strcmp(get("/proc/self/sessionid"), "4294967295") != 0);
        pid = t_fork();
        if (pid == 0) {
                int own = MUST(open("/proc/self/loginuid", O_RDWR));

                CHECK_STR(get("/proc/self/loginuid"), "1000");
                /* The parent's is not the child's to write; its own only with CAP_AUDIT_CONTROL. */
                CHECK_ERR(pwrite(fd, "1001", 4, 0), EPERM);
                if (pwrite(own, "1001", 4, 0) < 0)
                        CHECK_EQ(errno, EPERM);
                else
                        CHECK_STR(get("/proc/self/loginuid"), "1001");
                _exit(0);
        }
        CHECK_EQ(t_wait(pid), 0);
        CHECK_STR(get("/proc/self/loginuid"), "1000");
}

TEST(the_system_files_parse)
{
        double up, idle_time, load;
        unsigned long long user;
        int maxpid;

        CHECK_EQ(sscanf(get("/proc/uptime"), "%lf %lf", &up, &idle_time), 2);
        CHECK_EQ(sscanf(get("/proc/loadavg"), "%lf", &load), 1);
        CHECK_EQ(sscanf(get("/proc/stat"), "cpu %llu", &user), 1);
        CHECK(strstr(text, "\nbtime ") != NULL);
        CHECK_EQ(sscanf(get("/proc/sys/kernel/pid_max"), "%d", &maxpid), 1);
        CHECK(strncmp(get("/proc/version"), "Linux version ", 14) == 0);
        CHECK(strstr(get("/proc/filesystems"), "nodev\tproc\n") != NULL);
        CHECK(strstr(get("/proc/cpuinfo"), "processor\t: 0\n") != NULL);
        CHECK_EQ(strlen(get("/proc/sys/kernel/random/uuid")), 37);
        CHECK_EQ(strlen(get("/proc/sys/kernel/random/boot_id")), 37);
}

TEST(a_file_read_again_from_the_start_is_new)
{
        int fd = MUST(open("/proc/self/status", O_RDONLY));
        char a[64] = "", b[64] = "";

        CHECK_GE(read(fd, a, sizeof a - 1), 10);
        t_put("/proc/self/comm", "other");
        CHECK_GE(pread(fd, b, sizeof b - 1, 0), 10);
        CHECK(strncmp(b, "Name:\tother\n", 12) == 0);
        CHECK(strcmp(a, b) != 0);
}

TEST(small_reads_give_the_whole_text)
{
        int fd = MUST(open("/proc/self/limits", O_RDONLY));
        static char whole[8192], pieces[8192];
        size_t n = t_get("/proc/self/limits", whole, sizeof whole), at = 0;

        for (;;) {
                ssize_t r = MUST(read(fd, pieces + at, 7));

                if (r == 0)
                        break;
                at += (size_t)r;
        }
        CHECK_EQ(at, n);
        CHECK_STR(pieces, whole);
}

TEST(names_that_are_not_there)
{
        CHECK_ERR(open("/proc/0", O_RDONLY), ENOENT);
        CHECK_ERR(open("/proc/01", O_RDONLY), ENOENT);
        CHECK_ERR(open("/proc/-1", O_RDONLY), ENOENT);
        CHECK_ERR(open("/proc/99999999999999999999", O_RDONLY), ENOENT);
        CHECK_ERR(open("/proc/self/fd/12345", O_RDONLY), ENOENT);
        CHECK_ERR(open("/proc/self/fd/x", O_RDONLY), ENOENT);
        CHECK_ERR(mkdir("/proc/x", 0700), ENOENT);
        CHECK_ERR(open("/proc/x", O_CREAT | O_WRONLY, 0600), ENOENT);
        CHECK_ERR(unlink("/proc/self/stat"), EPERM);
}

TEST(devices)
{
        int null = MUST(open("/dev/null", O_RDWR)), zero = MUST(open("/dev/zero", O_RDWR));
        int full = MUST(open("/dev/full", O_RDWR)), fd = MUST(open("/dev/urandom", O_RDONLY));
        char c[64], z[64] = {0}, *p;

        CHECK_EQ(read(null, c, sizeof c), 0);
        CHECK_EQ(write(null, c, sizeof c), sizeof c);
        memset(c, 1, sizeof c);
        CHECK_EQ(read(zero, c, sizeof c), sizeof c);
        CHECK_MEM(c, z, sizeof c);
        CHECK_ERR(write(full, c, 1), ENOSPC);
        CHECK_EQ(read(full, c, sizeof c), sizeof c);
        CHECK_EQ(read(fd, c, sizeof c), sizeof c);
        CHECK(memcmp(c, z, sizeof c) != 0);
        CHECK_ERR(read(zero, t_bad, 10), EFAULT);
        p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
        CHECK(p != MAP_FAILED);
        CHECK_EQ(p[5000], 0);
        p[5000] = 1;
        p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
        CHECK(p != MAP_FAILED);
        IN_CHILD() {
                p[1] = 77;
        }
        CHECK_EQ(p[1], 77);
        CHECK_EQ(lseek(null, 100, SEEK_SET), 0);
}
