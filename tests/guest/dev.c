/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices that every program expects.
 * covers: read write lseek mmap ioctl
 */
#include "t.h"

#include <dirent.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

static void is_device(const char *path, unsigned number)
{
	struct stat st;

	CHECK_OK(stat(path, &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(minor(st.st_rdev), number);
}

TEST(null_takes_everything_and_gives_nothing)
{
	int fd = MUST(open("/dev/null", O_RDWR | O_CREAT | O_TRUNC, 0666));
	char text[100000];
	struct pollfd p = {fd, POLLIN | POLLOUT, 0};

	is_device("/dev/null", 3);
	CHECK_EQ(write(fd, text, sizeof text), sizeof text);
	CHECK_EQ(read(fd, text, sizeof text), 0);
	CHECK_EQ(pread(fd, text, 5, 1000), 0);
	CHECK_EQ(lseek(fd, 500, SEEK_SET), 0);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT);
	CHECK_ERR(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV);
	close(fd);
}

TEST(zero_gives_zeros)
{
	int fd = MUST(open("/dev/zero", O_RDWR));
	unsigned char text[5000];

	is_device("/dev/zero", 5);
	memset(text, 1, sizeof text);
	CHECK_EQ(read(fd, text, sizeof text), sizeof text);
	for (size_t i = 0; i < sizeof text; i++)
		CHECK_EQ(text[i], 0);
	CHECK_EQ(write(fd, text, 77), 77);
	unsigned char *p = MUST(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK_EQ(p[8191], 0);
	p[0] = 1;
	CHECK_EQ(read(fd, text, 1), 1);
	CHECK_EQ(text[0], 0);
	close(fd);
}

TEST(full_has_no_room)
{
	int fd = MUST(open("/dev/full", O_RDWR));
	char c = 9;

	is_device("/dev/full", 7);
	CHECK_ERR(write(fd, &c, 1), ENOSPC);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 0);
	close(fd);
}

TEST(random_and_urandom_give_noise)
{
	static const char *const names[] = {"/dev/random", "/dev/urandom"};

	for (size_t i = 0; i < T_COUNT(names); i++) {
		int fd = MUST(open(names[i], O_RDWR));
		unsigned char a[256] = {0}, b[256] = {0};

		is_device(names[i], i ? 9 : 8);
		CHECK_EQ(read(fd, a, sizeof a), sizeof a);
		CHECK_EQ(read(fd, b, sizeof b), sizeof b);
		CHECK(memcmp(a, b, sizeof a) != 0);
		CHECK_EQ(write(fd, a, 16), 16);
		CHECK_ERR(syscall(SYS_read, fd, t_bad, 16), EFAULT);
		close(fd);
	}
}

TEST(descriptors_have_names_in_dev_fd)
{
	int fds[2], fd;
	char path[64], c;

	CHECK_OK(pipe(fds));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
	fd = MUST(open(path, O_RDONLY));
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_ERR(open("/dev/fd/9999", O_RDONLY), ENOENT);
	CHECK_OK(access("/dev/stdin", F_OK));
	CHECK_OK(access("/dev/stdout", F_OK));
	CHECK_OK(access("/dev/stderr", F_OK));
	close(fd);
	close(fds[0]);
	close(fds[1]);
}

TEST_ALONE(tty_without_a_terminal_gives_enxio)
{
	IN_CHILD() {
		MUST(setsid());
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
	}
	is_device("/dev/tty", 0);
}

TEST(ptmx_makes_terminals)
{
	int fd = MUST(open("/dev/ptmx", O_RDWR | O_NOCTTY)), n = -1;

	CHECK_OK(ioctl(fd, TIOCGPTN, &n));
	CHECK_GE(n, 0);
	close(fd);
}

TEST(shm_is_a_sticky_directory_for_all)
{
	struct stat st;
	char name[64];
	int fd;
	char *p;

	CHECK_OK(stat("/dev/shm", &st));
	CHECK(S_ISDIR(st.st_mode));
	CHECK_EQ(st.st_mode & 07777, 01777);
	snprintf(name, sizeof name, "/guest-dev-%d", getpid());
	fd = MUST(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	CHECK_OK(ftruncate(fd, 4096));
	p = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	p[0] = 'm';
	char c;
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	CHECK_EQ(c, 'm');
	CHECK_OK(shm_unlink(name));
	CHECK_ERR(shm_open(name, O_RDWR, 0), ENOENT);
	close(fd);
}

TEST(dev_can_be_listed)
{
	DIR *dir = opendir("/dev");
	struct dirent *d;
	int seen = 0;

	CHECK(dir != NULL);
	while ((d = readdir(dir)))
		seen += strcmp(d->d_name, "null") == 0 || strcmp(d->d_name, "zero") == 0 ||
			strcmp(d->d_name, "fd") == 0;
	closedir(dir);
	CHECK_EQ(seen, 3);
}

TEST(ioctls_of_devices_give_enotty)
{
	int fd = MUST(open("/dev/null", O_RDWR)), n;

	CHECK_ERR(ioctl(fd, TIOCGWINSZ, &n), ENOTTY);
	CHECK_ERR(ioctl(fd, 0x12345678, &n), ENOTTY);
	CHECK_ERR(ioctl(-1, FIONREAD, &n), EBADF);
	close(fd);
}
