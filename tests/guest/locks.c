/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on files: flock, of the process (POSIX), of the open file description (OFD).
 * covers: flock fcntl
 */
#include "t.h"

#include <sys/file.h>
#include <sys/mman.h>

static int lock(int fd, int command, int type, off_t start, off_t length)
{
	struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};

	return fcntl(fd, command, &l);
}

/* What hinders a lock: F_UNLCK for nothing. The pid of its owner goes to *pid. */
static int hindrance(int fd, int command, int type, off_t start, off_t length, struct flock *l)
{
	*l = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
	CHECK_OK(fcntl(fd, command, l));
	return l->l_type;
}

static int new_file(void)
{
	t_scratch();
	return MUST(open("f", O_RDWR | O_CREAT, 0600));
}

TEST(flock_excludes_other_descriptions_not_copies)
{
	int a = new_file(), b = MUST(open("f", O_RDONLY)), copy = MUST(dup(a));

	CHECK_OK(syscall(SYS_flock, a, LOCK_EX));
	CHECK_ERR(syscall(SYS_flock, b, LOCK_EX | LOCK_NB), EAGAIN);
	CHECK_ERR(syscall(SYS_flock, b, LOCK_SH | LOCK_NB), EAGAIN);
	CHECK_OK(syscall(SYS_flock, copy, LOCK_EX | LOCK_NB));
	CHECK_OK(syscall(SYS_flock, copy, LOCK_SH));
	CHECK_OK(syscall(SYS_flock, b, LOCK_SH | LOCK_NB));
	CHECK_ERR(syscall(SYS_flock, a, LOCK_EX | LOCK_NB), EAGAIN);
	CHECK_OK(syscall(SYS_flock, b, LOCK_UN));
	close(a);
	CHECK_OK(syscall(SYS_flock, b, LOCK_SH));
	close(copy);
	CHECK_OK(syscall(SYS_flock, b, LOCK_EX | LOCK_NB));
	close(b);
}

TEST(errors_of_flock)
{
	int a = new_file();

	CHECK_ERR(syscall(SYS_flock, -1, LOCK_EX), EBADF);
	CHECK_ERR(syscall(SYS_flock, a, 0), EINVAL);
	CHECK_ERR(syscall(SYS_flock, a, LOCK_SH | LOCK_EX), EINVAL);
	CHECK_ERR(syscall(SYS_flock, -1, 0x0f), EINVAL);
	close(a);
	a = MUST(open("f", O_PATH));
	CHECK_ERR(syscall(SYS_flock, a, LOCK_EX), EBADF);
	close(a);
}

TEST_ALONE(flock_is_inherited_by_fork_and_dropped_with_the_last_copy)
{
	int a = new_file(), b = MUST(open("f", O_RDONLY)), fds[2];
	char c;
	pid_t pid;

	CHECK_OK(flock(a, LOCK_EX));
	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		close(fds[1]);
		CHECK_EQ(read(fds[0], &c, 1), 0);
		_exit(0);
	}
	close(a);
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EAGAIN);
	close(fds[1]);
	t_reap(pid);
	CHECK_OK(flock(b, LOCK_EX | LOCK_NB));
}

TEST_ALONE(flock_waits_until_the_lock_is_free)
{
	int a = new_file(), fds[2];
	pid_t pid;
	char c;

	CHECK_OK(flock(a, LOCK_EX));
	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		int b = MUST(open("f", O_RDONLY));

		close(a);
		CHECK_OK(flock(b, LOCK_EX));
		CHECK_EQ(write(fds[1], "g", 1), 1);
		_exit(0);
	}
	t_until_asleep(pid);
	CHECK_OK(flock(a, LOCK_UN));
	CHECK_EQ(read(fds[0], &c, 1), 1);
	t_reap(pid);
}

TEST_ALONE(flock_is_interrupted_by_a_signal)
{
	int a = new_file(), b = MUST(open("f", O_RDONLY));

	CHECK_OK(flock(a, LOCK_EX));
	t_tick(0, NULL);
	CHECK_ERR(flock(b, LOCK_EX), EINTR);
	t_tick_stop();
}

TEST_ALONE(process_locks_exclude_other_processes_by_range)
{
	int fd = new_file();
	struct flock l;
	pid_t parent = getpid();

	CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	CHECK_OK(lock(fd, F_SETLK, F_RDLCK, 100, 0));
	CHECK_EQ(hindrance(fd, F_GETLK, F_WRLCK, 0, 0, &l), F_UNLCK);
	IN_CHILD() {
		CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 15, 1), EAGAIN);
		CHECK_ERR(lock(fd, F_SETLK, F_RDLCK, 19, 5), EAGAIN);
		CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 20, 10));
		CHECK_OK(lock(fd, F_SETLK, F_RDLCK, 150, 10));
		CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 1000000, 10), EAGAIN);
		CHECK_EQ(hindrance(fd, F_GETLK, F_RDLCK, 0, 50, &l), F_WRLCK);
		CHECK_EQ(l.l_start, 10);
		CHECK_EQ(l.l_len, 10);
		CHECK_EQ(l.l_pid, parent);
		CHECK_EQ(hindrance(fd, F_GETLK, F_WRLCK, 200, 1, &l), F_RDLCK);
		CHECK_EQ(l.l_start, 100);
		CHECK_EQ(l.l_len, 0);
	}
}

TEST_ALONE(process_locks_split_and_join)
{
	int fd = new_file();
	struct flock l;

	CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	CHECK_OK(lock(fd, F_SETLK, F_UNLCK, 40, 20));
	CHECK_OK(lock(fd, F_SETLK, F_RDLCK, 80, 10));
	IN_CHILD() {
		CHECK_EQ(hindrance(fd, F_GETLK, F_WRLCK, 0, 0, &l), F_WRLCK);
		CHECK_EQ(l.l_start, 0);
		CHECK_EQ(l.l_len, 40);
		CHECK_EQ(hindrance(fd, F_GETLK, F_WRLCK, 40, 20, &l), F_UNLCK);
		CHECK_EQ(hindrance(fd, F_GETLK, F_RDLCK, 50, 0, &l), F_WRLCK);
		CHECK_EQ(l.l_start, 60);
		CHECK_EQ(l.l_len, 20);
		CHECK_EQ(hindrance(fd, F_GETLK, F_WRLCK, 80, 1, &l), F_RDLCK);
		CHECK_EQ(l.l_len, 10);
		CHECK_EQ(hindrance(fd, F_GETLK, F_WRLCK, 90, 1, &l), F_WRLCK);
		CHECK_EQ(l.l_len, 10);
	}
	CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	IN_CHILD() {
		CHECK_EQ(hindrance(fd, F_GETLK, F_WRLCK, 50, 1, &l), F_WRLCK);
		CHECK_EQ(l.l_start, 0);
		CHECK_EQ(l.l_len, 100);
	}
}

TEST_ALONE(process_locks_go_with_any_close_of_the_file)
{
	int fd = new_file(), other = MUST(open("f", O_RDONLY));

	CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	IN_CHILD() {
		CHECK_ERR(lock(fd, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
	}
	close(other);
	IN_CHILD() {
		CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	}
}

TEST_ALONE(setlkw_waits_for_the_holder_to_end)
{
	int fd = new_file(), fds[2];
	char c;
	pid_t pid;

	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
		CHECK_EQ(write(fds[1], "l", 1), 1);
		usleep(5000);
		_exit(0);
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_OK(lock(fd, F_SETLKW, F_WRLCK, 0, 0));
	t_reap(pid);
}

TEST_ALONE(two_processes_waiting_for_each_other_get_edeadlk)
{
	int fd = new_file(), fds[2];
	char c;
	pid_t pid;

	CHECK_OK(pipe(fds));
	CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	pid = t_fork();
	if (pid == 0) {
		CHECK_OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
		CHECK_EQ(write(fds[1], "l", 1), 1);
		CHECK_OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
		_exit(0);
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	t_until_asleep(pid);
	CHECK_ERR(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	CHECK_OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	t_reap(pid);
}

TEST(errors_of_process_locks)
{
	int fd = new_file(), reader = MUST(open("f", O_RDONLY)), writer = MUST(open("f", O_WRONLY));
	struct flock l = {.l_type = 77, .l_whence = SEEK_SET}, whence = {.l_type = F_RDLCK, .l_whence = 77};

	CHECK_ERR(lock(reader, F_SETLK, F_WRLCK, 0, 0), EBADF);
	CHECK_ERR(lock(writer, F_SETLK, F_RDLCK, 0, 0), EBADF);
	CHECK_ERR(lock(-1, F_SETLK, F_RDLCK, 0, 0), EBADF);
	CHECK_ERR(lock(fd, F_SETLK, F_RDLCK, -10, 0), EINVAL);
	CHECK_ERR(lock(fd, F_SETLK, F_RDLCK, 5, -10), EINVAL);
	CHECK_OK(lock(fd, F_SETLK, F_RDLCK, 10, -10));
	CHECK_ERR(fcntl(fd, F_SETLK, &l), EINVAL);
	CHECK_ERR(fcntl(fd, F_SETLK, &whence), EINVAL);
	CHECK_ERR(fcntl(fd, F_SETLK, t_bad), EFAULT);
	CHECK_ERR(fcntl(fd, F_GETLK, t_bad), EFAULT);
	close(fd);
	close(reader);
	close(writer);
}

TEST_ALONE(ofd_locks_exclude_descriptions_in_one_process)
{
	int a = new_file(), b = MUST(open("f", O_RDWR));
	struct flock l;

	CHECK_OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	CHECK_ERR(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	CHECK_ERR(lock(b, F_SETLK, F_WRLCK, 5, 1), EAGAIN);
	CHECK_EQ(hindrance(b, F_OFD_GETLK, F_RDLCK, 0, 0, &l), F_WRLCK);
	CHECK_EQ(l.l_pid, -1);
	CHECK_OK(lock(b, F_OFD_SETLK, F_WRLCK, 10, 1));
	close(MUST(open("f", O_RDONLY)));
	CHECK_ERR(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	IN_CHILD() {
		CHECK_OK(lock(a, F_OFD_SETLK, F_UNLCK, 0, 10));
	}
	CHECK_OK(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
	close(b);
	CHECK_OK(lock(a, F_OFD_SETLKW, F_WRLCK, 0, 0));
	l = (struct flock){.l_type = F_RDLCK, .l_pid = 1};
	CHECK_ERR(fcntl(a, F_OFD_SETLK, &l), EINVAL);
}

TEST(flock_and_process_locks_do_not_see_each_other)
{
	int a = new_file(), b = MUST(open("f", O_RDWR));

	CHECK_OK(flock(a, LOCK_EX));
	CHECK_OK(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0));
	close(a);
	close(b);
}

/* Often enough from one place that the lock comes along with the call: other commands' arguments are no addresses. */
TEST_ALONE(locks_by_calls_that_come_often)
{
	int a = new_file(), b = MUST(open("f", O_RDWR));
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct flock *last = (struct flock *)(edge + 4096 - sizeof(*last)), l;

	CHECK(edge != MAP_FAILED);
	CHECK_OK(mprotect(edge + 4096, 4096, PROT_NONE));
	for (int i = 0; i < 300; i++) {
		CHECK_OK(lock(a, F_OFD_SETLK, F_WRLCK, i, 10));
		CHECK_ERR(lock(b, F_OFD_SETLK, F_RDLCK, i + 9, 5), EAGAIN);
		CHECK_EQ(hindrance(b, F_OFD_GETLK, F_WRLCK, 0, 0, &l), F_WRLCK);
		CHECK_EQ(l.l_start, i);
		CHECK_EQ(l.l_len, 10);
		CHECK_EQ(hindrance(b, F_OFD_GETLK, F_WRLCK, i + 10, 0, &l), F_UNLCK);
		*last = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = i + 10};
		CHECK_OK(fcntl(b, F_OFD_SETLK, last));
		CHECK_ERR(fcntl(b, F_OFD_SETLK, (char *)last + 1), EFAULT);
		CHECK_ERR(fcntl(b, F_OFD_GETLK, (char *)last + 8), EFAULT);
		CHECK_ERR(fcntl(b, F_SETLK, t_bad), EFAULT);
		CHECK_ERR(fcntl(b, F_GETLK, t_null), EFAULT);
		/* What was asked can't be told. */
		CHECK_OK(mprotect(edge, 4096, PROT_READ));
		CHECK_ERR(fcntl(a, F_OFD_GETLK, last), EFAULT);
		CHECK_OK(mprotect(edge, 4096, PROT_READ | PROT_WRITE));
		CHECK_EQ(fcntl(a, F_GETFD, edge), 0);
		CHECK_ERR(fcntl(a, F_DUPFD, 0x7fffffff), EINVAL);
		CHECK_OK(lock(b, F_OFD_SETLK, F_UNLCK, 0, 0));
		CHECK_OK(lock(a, F_OFD_SETLK, F_UNLCK, 0, 0));
	}
	close(a);
	close(b);
}

TEST_ALONE(leases_can_be_read_back)
{
	int fd = new_file();

	close(fd);
	fd = MUST(open("f", O_RDONLY));
	CHECK_EQ(fcntl(fd, F_GETLEASE), F_UNLCK);
	CHECK_ERR(fcntl(fd, F_SETLEASE, 77), EINVAL);
}
