/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that belong to no family.
 * covers: personality ioctl sync fsync fdatasync syncfs sync_file_range readahead fadvise64 membarrier kcmp
 * covers: name_to_handle_at adjtimex clock_adjtime restart_syscall getcpu
 */
#include "t.h"

#include <linux/kcmp.h>
#include <sys/sem.h>
#include <linux/membarrier.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/timex.h>

static int new_file(void)
{
	int fd;

	t_scratch();
	fd = MUST(open("f", O_RDWR | O_CREAT | O_TRUNC, 0600));
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	return fd;
}

TEST_ALONE(the_personality_can_be_asked_and_set)
{
	CHECK_EQ(syscall(SYS_personality, 0xffffffff), 0);
	CHECK_EQ(syscall(SYS_personality, 0x20008), 0);
	CHECK_EQ(syscall(SYS_personality, 0xffffffff), 0x20008);
	IN_CHILD() {
		CHECK_EQ(personality(0xffffffff), 0x20008);
	}
	CHECK_EQ(syscall(SYS_personality, 0), 0x20008);
	CHECK_EQ(syscall(SYS_personality, 0xffffffff), 0);
}

TEST(fionbio_and_fioclex_set_flags)
{
	int fds[2], on = 1, off = 0;

	CHECK_OK(pipe(fds));
	CHECK_OK(ioctl(fds[0], FIONBIO, &on));
	CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	CHECK_OK(ioctl(fds[0], FIONBIO, &off));
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	CHECK_ERR(ioctl(fds[0], FIONBIO, t_bad), EFAULT);
	CHECK_OK(ioctl(fds[0], FIOCLEX));
	CHECK_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	CHECK_OK(ioctl(fds[0], FIONCLEX));
	CHECK_EQ(fcntl(fds[0], F_GETFD), 0);
	CHECK_ERR(ioctl(-1, FIOCLEX), EBADF);
	CHECK_ERR(ioctl(fds[0], 0x7777), ENOTTY);
	close(fds[0]);
	close(fds[1]);
}

TEST(fionread_of_a_file_is_what_is_left)
{
	int fd = new_file(), n;

	CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
	CHECK_OK(ioctl(fd, FIONREAD, &n));
	CHECK_EQ(n, 7);
	close(fd);
}

TEST(fsync_and_its_kin)
{
	int fd = new_file(), fds[2], null = MUST(open("/dev/null", O_RDWR)), path = MUST(open("f", O_PATH));

	CHECK_OK(syscall(SYS_fsync, fd));
	CHECK_OK(syscall(SYS_fdatasync, fd));
	CHECK_OK(syscall(SYS_syncfs, fd));
	CHECK_OK(syscall(SYS_sync_file_range, fd, 0L, 0L, SYNC_FILE_RANGE_WRITE));
	CHECK_OK(syscall(SYS_sync));
	CHECK_OK(pipe(fds));
	CHECK_ERR(syscall(SYS_fsync, fds[0]), EINVAL);
	CHECK_ERR(syscall(SYS_fdatasync, fds[0]), EINVAL);
	CHECK_ERR(syscall(SYS_fsync, null), EINVAL);
	CHECK_ERR(syscall(SYS_fsync, -1), EBADF);
	CHECK_ERR(syscall(SYS_fdatasync, -1), EBADF);
	CHECK_ERR(syscall(SYS_fsync, path), EBADF);
	CHECK_ERR(syscall(SYS_syncfs, -1), EBADF);
	CHECK_ERR(syscall(SYS_sync_file_range, -1, 0L, 0L, 0), EBADF);
	CHECK_ERR(syscall(SYS_sync_file_range, fd, 0L, 0L, 0x100), EINVAL);
	CHECK_ERR(syscall(SYS_sync_file_range, fd, -1L, 1L, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sync_file_range, fds[0], 0L, 0L, 0), ESPIPE);
	CHECK_OK(close(MUST(open(".", O_RDONLY))));
	int dir = MUST(open(".", O_RDONLY));
	CHECK_OK(syscall(SYS_fsync, dir));
	close(dir);
	close(fds[0]);
	close(fds[1]);
	close(fd);
	close(null);
	close(path);
}

TEST(readahead_and_fadvise_are_advice)
{
	int fd = new_file(), writer = MUST(open("f", O_WRONLY)), fds[2];

	CHECK_OK(pipe(fds));
	CHECK_OK(syscall(SYS_readahead, fd, 0L, 4096L));
	CHECK_ERR(syscall(SYS_readahead, -1, 0L, 4096L), EBADF);
	CHECK_ERR(syscall(SYS_readahead, writer, 0L, 4096L), EBADF);
	CHECK_ERR(syscall(SYS_readahead, fds[0], 0L, 4096L), EINVAL);
	for (int advice = 0; advice <= 5; advice++)
		CHECK_OK(syscall(SYS_fadvise64, fd, 0L, 0L, advice));
	CHECK_ERR(syscall(SYS_fadvise64, fd, 0L, 0L, 77), EINVAL);
	CHECK_ERR(syscall(SYS_fadvise64, fd, 0L, -1L, 0), EINVAL);
	CHECK_ERR(syscall(SYS_fadvise64, -1, 0L, 0L, 0), EBADF);
	CHECK_ERR(syscall(SYS_fadvise64, fds[0], 0L, 0L, 0), ESPIPE);
	close(fds[0]);
	close(fds[1]);
	close(fd);
	close(writer);
}

TEST_ALONE(membarrier_wants_registration_for_expedited_commands)
{
	long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	CHECK_GE(commands, 1);
	CHECK(commands & MEMBARRIER_CMD_GLOBAL);
	CHECK_OK(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
	CHECK_ERR(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM);
	CHECK_OK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	CHECK_OK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	CHECK_ERR(syscall(SYS_membarrier, 1 << 20, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 7, 0), EINVAL);
}

TEST_ALONE(kcmp_compares_what_processes_share)
{
	int a = MUST(open("/dev/null", O_RDONLY)), b = MUST(dup(a)), c = MUST(open("/dev/null", O_RDONLY));
	pid_t self = getpid();

	CHECK_EQ(syscall(SYS_kcmp, self, self, KCMP_FILE, (long)a, (long)b), 0);
	CHECK_GE(syscall(SYS_kcmp, self, self, KCMP_FILE, (long)a, (long)c), 1);
	CHECK_EQ(syscall(SYS_kcmp, self, self, KCMP_VM, 0L, 0L), 0);
	pid_t pid = t_fork();
	while (pid == 0)
		pause();
	CHECK_GE(syscall(SYS_kcmp, self, pid, KCMP_VM, 0L, 0L), 1);
	CHECK_GE(syscall(SYS_kcmp, self, pid, KCMP_FILES, 0L, 0L), 1);
	CHECK_EQ(syscall(SYS_kcmp, self, pid, KCMP_FILE, (long)a, (long)a), 0);
	/* Neither has semaphores' adjustments; then this one has. */
	CHECK_EQ(syscall(SYS_kcmp, self, pid, KCMP_SYSVSEM, 0L, 0L), 0);
	int set = MUST(semget(IPC_PRIVATE, 1, 0600));
	CHECK_OK(semop(set, &(struct sembuf){0, 1, SEM_UNDO}, 1));
	CHECK_GE(syscall(SYS_kcmp, self, pid, KCMP_SYSVSEM, 0L, 0L), 1);
	CHECK_EQ(syscall(SYS_kcmp, self, self, KCMP_SYSVSEM, 0L, 0L), 0);
	CHECK_OK(semctl(set, 0, IPC_RMID));
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(t_wait(pid), SIGKILL);
	CHECK_ERR(syscall(SYS_kcmp, self, self, KCMP_FILE, (long)a, 9999L), EBADF);
	CHECK_ERR(syscall(SYS_kcmp, self, 0x3ffffff, KCMP_VM, 0L, 0L), ESRCH);
	CHECK_ERR(syscall(SYS_kcmp, self, self, 99, 0L, 0L), EINVAL);
}

TEST(name_to_handle_at_names_files)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + 128];
	} a = {.handle.handle_bytes = 0}, b;
	int mount, fd = new_file();

	if (name_to_handle_at(AT_FDCWD, "f", &a.handle, &mount, 0) == -1 && errno == EOPNOTSUPP)
		SKIP("this filesystem has no handles");
	CHECK_EQ(errno, EOVERFLOW);
	CHECK_GE(a.handle.handle_bytes, 4);
	CHECK_OK(name_to_handle_at(AT_FDCWD, "f", &a.handle, &mount, 0));
	b.handle.handle_bytes = 128;
	CHECK_OK(name_to_handle_at(fd, "", &b.handle, &mount, AT_EMPTY_PATH));
	CHECK_EQ(a.handle.handle_bytes, b.handle.handle_bytes);
	CHECK_MEM(a.handle.f_handle, b.handle.f_handle, a.handle.handle_bytes);
	CHECK_ERR(name_to_handle_at(AT_FDCWD, "missing", &a.handle, &mount, 0), ENOENT);
	CHECK_ERR(name_to_handle_at(AT_FDCWD, "f", &a.handle, &mount, 0x10000), EINVAL);
	CHECK_ERR(syscall(SYS_name_to_handle_at, AT_FDCWD, "f", t_bad, &mount, 0), EFAULT);
	CHECK_ERR(syscall(SYS_name_to_handle_at, AT_FDCWD, t_bad, &a, &mount, 0), EFAULT);
	b.handle.handle_bytes = 10000;
	CHECK_ERR(name_to_handle_at(AT_FDCWD, "f", &b.handle, &mount, 0), EINVAL);
	close(fd);
}

TEST_ALONE(the_clocks_adjustment_is_readable_by_all)
{
	struct timex t = {.modes = 0};

	CHECK_GE(syscall(SYS_adjtimex, &t), 0);
	CHECK(t.time.tv_sec > 1000000000);
	CHECK_GE(t.tick, 1);
	memset(&t, 0, sizeof t);
	if (syscall(SYS_clock_adjtime, CLOCK_REALTIME, &t) < 0) {
		CHECK_EQ(errno, EPERM); /* an outer filter, as docker's */
	} else {
		CHECK_ERR(syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &t), EOPNOTSUPP);
		CHECK_ERR(syscall(SYS_clock_adjtime, 99, &t), EINVAL);
		CHECK_ERR(syscall(SYS_clock_adjtime, CLOCK_REALTIME, t_bad), EFAULT);
	}
	CHECK_ERR(syscall(SYS_adjtimex, t_bad), EFAULT);
	IN_CHILD() {
		t_become_nobody();
		t.modes = ADJ_OFFSET;
		CHECK_ERR(syscall(SYS_adjtimex, &t), EPERM);
	}
}

TEST(restart_syscall_alone_is_just_interrupted)
{
	CHECK_ERR(syscall(SYS_restart_syscall), EINTR);
}
