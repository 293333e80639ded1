/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locked [--deny SYSCALL]... CMD [ARGS...]: runs CMD as it would run in an unprivileged container.
 *
 * As root it becomes uid and gid 65534 without groups or capabilities; as anyone else it keeps the ids, and sets
 * no-new-privileges, since the kernel wants it for the filter. The filter answers as docker's default profile does for
 * a container without added capabilities: what needs one fails with EPERM before the kernel looks at it, new
 * namespaces too, and clone3 gives ENOSYS, since a filter can't see its flags. Docker lists what is allowed and this
 * list what is not, so a call newer than both is refused there and passes here.
 *
 * --deny refuses one more, to try what a stricter host would do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { NOBODY = 65534, NOT_STARTED = 125, NOT_FOUND = 127 };

/* By number where libseccomp 2.5.4 doesn't know the name. */
enum { NR_PIDFD_GETFD = 438, NR_MOUNT_SETATTR = 442, NR_QUOTACTL_FD = 443 };

static const int refused[] = {
        /* namespaces and mounts */
        SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
        SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount),
        SCMP_SYS(fspick), NR_MOUNT_SETATTR, SCMP_SYS(quotactl), NR_QUOTACTL_FD, SCMP_SYS(sethostname),
        SCMP_SYS(setdomainname),
        /* keys, which are not namespaced */
        SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
        /* the kernel's own insides */
        SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(kexec_load),
        SCMP_SYS(kexec_file_load), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
        SCMP_SYS(lookup_dcookie), SCMP_SYS(syslog), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff),
        SCMP_SYS(acct), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(vhangup), SCMP_SYS(fanotify_init),
        SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
        /* others' files and memory */
        SCMP_SYS(open_by_handle_at), NR_PIDFD_GETFD, SCMP_SYS(move_pages), SCMP_SYS(migrate_pages), SCMP_SYS(mbind),
        SCMP_SYS(set_mempolicy), SCMP_SYS(get_mempolicy),
        /* the clock */
        SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime),
        /* leftovers */
        SCMP_SYS(nfsservctl), SCMP_SYS(sysfs), SCMP_SYS(_sysctl), SCMP_SYS(uselib), SCMP_SYS(ustat),
};

#define NEW_NAMESPACES                                                                                              \
        (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        fputs("locked: ", stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
        va_end(args);
        exit(NOT_STARTED);
}

static void refuse(scmp_filter_ctx filter, int error, int number)
{
        int err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), number, 0);

        if (err)
                die("rule for system call %d: %s", number, strerror(-err));
}

/* EPERM for clone as soon as one of the namespace flags is set. */
static void refuse_namespaces(scmp_filter_ctx filter)
{
        for (unsigned bit = 0; bit < 32; bit++) {
                unsigned flag = 1u << bit;
                int err;

                if (!(flag & NEW_NAMESPACES))
                        continue;
                err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                       SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
                if (err)
                        die("rule for clone: %s", strerror(-err));
        }
}

/*
 * EPERM for personality but for the values docker allows: any mix of 8 and 0x20000, and the question 0xffffffff. A rule
 * can compare an argument only once, so it looks at two bits: the highest, which only the question may have, and one
 * that mustn't be set without it or clear with it.
 */
static void refuse_personalities(scmp_filter_ctx filter)
{
        const unsigned question = 1u << 31, allowed = 0x20008;

        for (unsigned bit = 0; bit < 31; bit++) {
                unsigned flag = 1u << bit;
                int err = 0;

                if (!(flag & allowed))
                        err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1,
                                               SCMP_A0(SCMP_CMP_MASKED_EQ, question | flag, flag));
                if (!err)
                        err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1,
                                               SCMP_A0(SCMP_CMP_MASKED_EQ, question | flag, question));
                if (err)
                        die("rule for personality: %s", strerror(-err));
        }
}

static void install(char **denied, int count)
{
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        int err;

        if (!filter)
                die("no memory for the filter");
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
                refuse(filter, EPERM, refused[i]);
        for (int i = 0; i < count; i++) {
                int number = seccomp_syscall_resolve_name(denied[i]);

                if (number == __NR_SCMP_ERROR)
                        number = atoi(denied[i]);
                if (number <= 0)
                        die("--deny: no system call %s", denied[i]);
                refuse(filter, EPERM, number);
        }
        refuse(filter, ENOSYS, SCMP_SYS(clone3));
        refuse_namespaces(filter);
        refuse_personalities(filter);
        /* With privilege we don't need no-new-privileges, and a container doesn't have it by default. */
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, geteuid() != 0);
        err = seccomp_load(filter);
        if (err)
                die("loading the filter: %s", strerror(-err));
        seccomp_release(filter);
}

int main(int argc, char **argv)
{
        char *denied[64];
        int count = 0, at = 1;
        bool root = geteuid() == 0;

        while (at + 1 < argc && strcmp(argv[at], "--deny") == 0) {
                if (count == (int)(sizeof denied / sizeof denied[0]))
                        die("too many --deny");
                denied[count++] = argv[at + 1];
                at += 2;
        }
        if (at >= argc) {
                fputs("usage: locked [--deny SYSCALL]... CMD [ARGS...]\n", stderr);
                return NOT_STARTED;
        }
        install(denied, count);
        if (root && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                     setresuid(NOBODY, NOBODY, NOBODY) < 0))
                die("becoming %d: %s", NOBODY, strerror(errno));
        execvp(argv[at], argv + at);
        fprintf(stderr, "locked: %s: %s\n", argv[at], strerror(errno));
        return NOT_FOUND;
}
