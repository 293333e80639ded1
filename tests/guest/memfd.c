/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files without a name, and seals.
 * covers: memfd_create fcntl
 */
#include "t.h"

#include <linux/memfd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#endif

TEST(a_memfd_is_a_file_without_a_name)
{
	int fd = MUST(syscall(SYS_memfd_create, "name", MFD_CLOEXEC));
	struct stat st;
	char text[64] = "", path[64];

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(write(fd, "hello", 5), 5);
	CHECK_EQ(pread(fd, text, sizeof text, 0), 5);
	CHECK_OK(fstat(fd, &st));
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_size, 5);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	memset(text, 0, sizeof text);
	MUST(readlink(path, text, sizeof text - 1));
	CHECK_STR(text, "/memfd:name (deleted)");
	close(fd);
}

TEST(errors_of_memfd_create)
{
	static char name[300];

	CHECK_ERR(syscall(SYS_memfd_create, "x", 0x1000), EINVAL);
	CHECK_ERR(syscall(SYS_memfd_create, t_bad, 0), EFAULT);
	memset(name, 'n', sizeof name - 1);
	CHECK_ERR(syscall(SYS_memfd_create, name, 0), EINVAL);
	name[249] = 0;
	close(MUST(syscall(SYS_memfd_create, name, 0)));
	CHECK_ERR(syscall(SYS_memfd_create, t_cut_string("name"), 0), EFAULT);
}

TEST(without_allow_sealing_there_is_only_the_seal_seal)
{
	int fd = MUST(memfd_create("x", 0)), null = MUST(open("/dev/null", O_RDWR));

	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	CHECK_ERR(fcntl(null, F_GET_SEALS), EINVAL);
	CHECK_ERR(fcntl(null, F_ADD_SEALS, F_SEAL_WRITE), EINVAL);
	close(fd);
	close(null);
}

TEST(grow_and_shrink_seals_fix_the_size)
{
	int fd = MUST(memfd_create("x", MFD_ALLOW_SEALING));

	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK_OK(ftruncate(fd, 100));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	CHECK_ERR(ftruncate(fd, 50), EPERM);
	CHECK_OK(ftruncate(fd, 200));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	CHECK_ERR(ftruncate(fd, 300), EPERM);
	CHECK_ERR(pwrite(fd, "x", 1, 5000), EPERM);
	CHECK_EQ(pwrite(fd, "x", 1, 0), 1);
	CHECK_ERR(fallocate(fd, 0, 0, 10000), EPERM);
	CHECK_ERR(fallocate(fd, 1 /* keep the size */, 0, 1 << 20), EPERM);
	CHECK_OK(fallocate(fd, 1, 0, 200));
	CHECK_EQ(lseek(fd, 0, SEEK_END), 200);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
	close(fd);
}

TEST(the_write_seal_stops_writing_and_wants_no_writable_mapping)
{
	int fd = MUST(memfd_create("x", MFD_ALLOW_SEALING));
	char *p, c;

	CHECK_OK(ftruncate(fd, 4096));
	p = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	CHECK_OK(munmap(p, 4096));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_ERR(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	CHECK_ERR(fallocate(fd, 3 /* punch a hole, keep the size */, 0, 4096), EPERM);
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	p = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	p[0] = 1;
	CHECK_OK(ftruncate(fd, 8192));
	close(fd);
}

TEST(the_future_write_seal_keeps_old_mappings)
{
	int fd = MUST(memfd_create("x", MFD_ALLOW_SEALING));
	char *p, c = 0;

	CHECK_OK(ftruncate(fd, 4096));
	p = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	p[0] = 'z';
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	CHECK_EQ(c, 'z');
	CHECK_ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK_ERR(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	close(fd);
}

TEST(the_seal_seal_ends_sealing_and_unknown_seals_are_refused)
{
	int fd = MUST(memfd_create("x", MFD_ALLOW_SEALING)), reader;
	char path[64];

	CHECK_ERR(fcntl(fd, F_ADD_SEALS, 0x1000), EINVAL);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	reader = MUST(open(path, O_RDONLY));
	CHECK_ERR(fcntl(reader, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, 0), EPERM);
	close(fd);
	close(reader);
}

TEST_ALONE(a_program_in_a_memfd_can_be_executed)
{
	static char block[65536];
	int fd = MUST(memfd_create("program", MFD_CLOEXEC)), in = MUST(open(t_self, O_RDONLY));
	ssize_t n;
	int status;
	pid_t pid;

	while ((n = MUST(read(in, block, sizeof block))) > 0)
		CHECK_EQ(write(fd, block, n), n);
	close(in);
	pid = t_fork();
	if (pid == 0) {
		char *argv[] = {"x", "@run", NULL}, *envp[] = {NULL}, path[64];

		/* Open for writing it is busy: a descriptor opened anew, the old one closed. */
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		in = MUST(open(path, O_RDONLY | O_CLOEXEC));
		close(fd);
		syscall(SYS_execveat, in, "", argv, envp, AT_EMPTY_PATH);
		FAIL("execveat: %s", t_errno(errno));
	}
	close(fd);
	status = t_wait(pid);
	CHECK_EQ(status, 61 << 8);
}

int t_role(int argc, char **argv)
{
	(void)argc, (void)argv;
	return 61;
}

TEST(noexec_seal_clears_the_execute_bits)
{
	int fd = syscall(SYS_memfd_create, "x", MFD_NOEXEC_SEAL);
	struct stat st;

	if (fd < 0) {
		CHECK_EQ(errno, EINVAL);
		SKIP("this kernel has no MFD_NOEXEC_SEAL (6.3)");
	}
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_mode & 0111, 0);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0x20 /* F_SEAL_EXEC */);
	CHECK_ERR(fchmod(fd, 0777), EPERM);
	CHECK_ERR(syscall(SYS_memfd_create, "x", MFD_NOEXEC_SEAL | MFD_EXEC), EINVAL);
	close(fd);
}
