/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container's root may do in a user namespace with the ids 0 to 999 (tests/e2e/ids makes it, and the files): a line for each
 * thing tried, "what: errno's name or the result". A runtime of the host's kernel prints the same.
 *
 *	ids        all of it, in the current directory
 *	ids who    effective ids, as a program with set-id bits has them
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static void tell(const char *what, long r)
{
	printf("%s: %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}
#define TRY(call) tell(#call, (call))

static void owner(const char *name)
{
	struct stat st;

	if (lstat(name, &st) < 0)
		printf("%s: %s\n", name, strerrorname_np(errno));
	else
		printf("%s: %u:%u %o\n", name, st.st_uid, st.st_gid, st.st_mode & 07777);
	fflush(stdout);
}

static int touch(const char *name, mode_t mode)
{
	int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, mode);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int write_to(const char *name)
{
	int fd = open(name, O_WRONLY | O_APPEND);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int read_of(const char *name)
{
	int fd = open(name, O_RDONLY);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int list_of(const char *name)
{
	int fd = open(name, O_RDONLY | O_DIRECTORY);

	if (fd >= 0)
		close(fd);
	return fd;
}

static int send_as(uid_t uid, gid_t gid)
{
	struct ucred who = {getpid(), uid, gid};
	char byte = 0, control[CMSG_SPACE(sizeof(who))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		return -1;
	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(who)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
	memcpy(CMSG_DATA(c), &who, sizeof(who));
	r = (int)sendmsg(pair[0], &m, 0);
	close(pair[0]);
	close(pair[1]);
	return r;
}

static int give_shm(uid_t uid)
{
	int id = shmget(IPC_PRIVATE, 4096, 0600), r, saved;
	struct shmid_ds ds;

	if (id < 0 || shmctl(id, IPC_STAT, &ds) < 0)
		return -1;
	ds.shm_perm.uid = uid;
	r = shmctl(id, IPC_SET, &ds);
	saved = errno;
	shmctl(id, IPC_RMID, NULL);
	errno = saved;
	return r;
}

static int give_msg(uid_t uid)
{
	int id = msgget(IPC_PRIVATE, 0600), r, saved;
	struct msqid_ds ds;

	if (id < 0 || msgctl(id, IPC_STAT, &ds) < 0)
		return -1;
	ds.msg_perm.uid = uid;
	r = msgctl(id, IPC_SET, &ds);
	saved = errno;
	msgctl(id, IPC_RMID, NULL);
	errno = saved;
	return r;
}

static int give_sem(gid_t gid)
{
	int id = semget(IPC_PRIVATE, 1, 0600), r, saved;
	struct semid_ds ds;
	union {
		struct semid_ds *buf;
	} arg = {&ds};

	if (id < 0 || semctl(id, 0, IPC_STAT, arg) < 0)
		return -1;
	ds.sem_perm.gid = gid;
	r = semctl(id, 0, IPC_SET, arg);
	saved = errno;
	semctl(id, 0, IPC_RMID);
	errno = saved;
	return r;
}

/* In a child, which may throw its rights away. */
static void as(uid_t uid, gid_t gid, void (*what)(void))
{
	fflush(stdout);
	if (fork() == 0) {
		gid_t groups[] = {gid};

		if (setgroups(1, groups) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
			printf("as %u: %s\n", uid, strerrorname_np(errno));
		else
			what();
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void run(const char *program)
{
	fflush(stdout);
	if (fork() == 0) {
		execl(program, program, "who", NULL);
		printf("%s: %s\n", program, strerrorname_np(errno));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void change_ids(void)
{
	gid_t bad[] = {5, 1000};

	TRY(setuid(1000));
	TRY(setgid(1000));
	TRY(setreuid(-1, 1000));
	TRY(setregid(1000, -1));
	TRY(setresuid(5, 1000, 5));
	TRY(setresgid(5, 5, 4294967294U));
	TRY(setgroups(2, bad));
	TRY(setgroups(1, bad));
	printf("setfsuid: %ld then %ld\n", syscall(SYS_setfsuid, 1000), syscall(SYS_setfsuid, -1));
	TRY(setresuid(999, 999, 999));
	TRY(setuid(1000));
}

static void as_seven(void)
{
	run("suid-theirs");
	run("suid-half");
	run("suid-ours");
	TRY(read_of("ours"));
	TRY(write_to("ours"));
	TRY(read_of("half"));
	TRY(read_of("secret"));
	TRY(touch("open/by-7", 0644));
	owner("open/by-7");
	TRY(chown("ours", -1, 5));
	TRY(chown("ours", 1000, -1));
	TRY(chmod("theirs", 0600));
	TRY(unlink("sticky/theirs"));
}

int main(int argc, char **argv)
{
	static const char *const names[] = {".", "ours", "theirs", "secret", "half", "all", "shut", "open", "sticky", "sgid-theirs", "sgid-ours", "link"};

	if (argc > 1 && strcmp(argv[1], "who") == 0) {
		printf("%s: %u:%u\n", argv[0], geteuid(), getegid());
		return 0;
	}
	umask(022);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		owner(names[i]);
	TRY(read_of("theirs"));
	TRY(write_to("theirs"));
	TRY(read_of("secret"));
	TRY(read_of("half"));
	TRY(write_to("all"));
	TRY(write_to("ours"));
	TRY(chown("ours", 7, 1000));
	TRY(chown("ours", 1000, 7));
	TRY(chown("ours", 4294967294U, -1));
	TRY(chown("ours", -1, -1));
	TRY(chown("ours", 999, 999));
	owner("ours");
	TRY(chown("ours", 7, 8));
	TRY(chown("theirs", 0, 0));
	TRY(chown("theirs", 65534, -1));
	TRY(chown("all", 0, -1));
	TRY(chmod("theirs", 0666));
	TRY(chmod("half", 0400));
	TRY(chown("half", -1, 5));
	TRY(lchown("link", 3, 4));
	owner("link");
	TRY(utimensat(AT_FDCWD, "theirs", NULL, 0));
	TRY(utimensat(AT_FDCWD, "all", NULL, 0));
	TRY(utimensat(AT_FDCWD, "all", (struct timespec[2]){{1, 0}, {1, 0}}, 0));
	TRY(truncate("theirs", 0));
	TRY(truncate("all", 0));
	TRY(setxattr("theirs", "user.x", "1", 1, 0));
	TRY(setxattr("all", "user.x", "1", 1, 0));
	TRY(setxattr("ours", "user.x", "1", 1, 0));
	TRY(getxattr("ours", "user.x", NULL, 0));
	TRY(removexattr("ours", "user.x"));
	TRY(link("theirs", "linked-theirs"));
	TRY(link("all", "linked-all"));
	TRY(list_of("shut"));
	TRY(read_of("shut/f"));
	TRY(touch("shut/g", 0644));
	TRY(unlink("shut/f"));
	TRY(access("shut", R_OK));
	TRY(access("ours", W_OK));
	TRY(access("secret", R_OK));
	TRY(touch("new", 0644));
	owner("new");
	TRY(mkdir("newdir", 0755));
	owner("newdir");
	TRY(symlink("x", "newlink"));
	owner("newlink");
	TRY(mkfifo("fifo", 0600));
	owner("fifo");
	TRY(touch("open/f", 0600));
	owner("open/f");
	TRY(touch("sgid-theirs/f", 0644));
	owner("sgid-theirs/f");
	TRY(mkdir("sgid-theirs/d", 0755));
	owner("sgid-theirs/d");
	TRY(touch("sgid-ours/f", 0644));
	owner("sgid-ours/f");
	TRY(unlink("sticky/theirs"));
	TRY(rename("sticky/theirs", "sticky/moved"));
	TRY(rename("sticky/mine", "sticky/moved"));
	TRY(rename("theirs", "open/theirs"));
	owner("open/theirs");
	TRY(rename("open/theirs", "theirs"));
	TRY(unlink("sticky/moved"));
	TRY(send_as(7, 7));
	TRY(send_as(1000, 7));
	TRY(send_as(7, 1000));
	TRY(give_shm(7));
	TRY(give_shm(1000));
	TRY(give_msg(7));
	TRY(give_msg(1000));
	TRY(give_sem(7));
	TRY(give_sem(1000));
	as(0, 0, change_ids);
	as(7, 8, as_seven);
	as(1000, 5, as_seven);
	as(5, 1000, as_seven);
	return 0;
}
