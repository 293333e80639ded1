/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing plain files at offsets, in one piece and scattered.
 * covers: read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 lseek open creat close
 */
#include "t.h"

#include <sys/resource.h>
#include <sys/uio.h>

static int new_file(const char *text)
{
	int fd;

	t_scratch();
	fd = MUST(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
	CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

TEST(write_then_read_moves_one_offset)
{
	int fd = new_file("hello world");
	char text[32] = "";

	CHECK_EQ(read(fd, text, 5), 5);
	CHECK_MEM(text, "hello", 5);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
	CHECK_EQ(write(fd, "_", 1), 1);
	CHECK_EQ(read(fd, text, sizeof text), 5);
	CHECK_MEM(text, "world", 5);
	CHECK_EQ(read(fd, text, sizeof text), 0);
	CHECK_EQ(pread(fd, text, sizeof text, 0), 11);
	CHECK_MEM(text, "hello_world", 11);
	close(fd);
}

TEST(read_and_write_of_a_wrong_descriptor_give_ebadf)
{
	int fd = new_file("x"), reader = MUST(open("file", O_RDONLY)), writer = MUST(open("file", O_WRONLY));
	char c = 0;

	CHECK_ERR(read(-1, &c, 1), EBADF);
	CHECK_ERR(read(100000, &c, 1), EBADF);
	CHECK_ERR(write(-1, &c, 1), EBADF);
	CHECK_ERR(read(writer, &c, 1), EBADF);
	CHECK_ERR(write(reader, &c, 1), EBADF);
	CHECK_ERR(read(writer, &c, 0), EBADF);
	CHECK_ERR(write(reader, &c, 0), EBADF);
	CHECK_ERR(read(-1, t_bad, 1), EBADF);
	CHECK_OK(read(reader, &c, 0));
	CHECK_OK(write(writer, &c, 0));
	close(fd);
	close(reader);
	close(writer);
}

TEST(read_into_bad_memory_gives_efault_and_keeps_the_offset)
{
	int fd = new_file("hello");
	char c = 0;

	CHECK_ERR(syscall(SYS_read, fd, t_bad, 5), EFAULT);
	CHECK_ERR(syscall(SYS_read, fd, t_kernel, 5), EFAULT);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 'h');
	CHECK_ERR(syscall(SYS_write, fd, t_bad, 5), EFAULT);
	CHECK_ERR(syscall(SYS_write, fd, t_kernel, 5), EFAULT);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 1);
	close(fd);
}

TEST(read_at_end_of_file_does_not_touch_the_buffer)
{
	int fd = new_file("");

	CHECK_EQ(syscall(SYS_read, fd, t_bad, 5), 0);
	close(fd);
}

TEST(read_over_a_page_edge_fits_or_is_cut)
{
	int fd = new_file("0123456789");
	char *edge = t_edge(4);
	ssize_t got;

	CHECK_EQ(read(fd, edge, 4), 4);
	CHECK_MEM(edge, "0123", 4);
	got = syscall(SYS_pread64, fd, edge, 10, 0);
	CHECK(got == 4 || (got == -1 && errno == EFAULT));
	close(fd);
}

TEST(write_from_a_page_edge_writes_no_more_than_it_could_read)
{
	int fd = new_file("");
	char *edge = t_edge(4), text[16] = "";
	struct stat st;
	ssize_t got;

	memcpy(edge, "abcd", 4);
	got = syscall(SYS_write, fd, edge, 10);
	CHECK(got == 4 || (got == -1 && errno == EFAULT));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, got == 4 ? 4 : 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), st.st_size);
	CHECK_EQ(pread(fd, text, sizeof text, 0), st.st_size);
	CHECK_MEM(text, "abcd", st.st_size);
	close(fd);
}

TEST(directories_can_be_opened_but_not_read)
{
	int fd;
	char c;

	t_scratch();
	fd = MUST(open(".", O_RDONLY));
	CHECK_ERR(read(fd, &c, 1), EISDIR);
	CHECK_ERR(write(fd, &c, 1), EBADF);
	CHECK_ERR(open(".", O_WRONLY), EISDIR);
	CHECK_ERR(open(".", O_RDWR), EISDIR);
	close(fd);
}

TEST(lseek_knows_all_origins)
{
	int fd = new_file("0123456789");

	CHECK_EQ(lseek(fd, 4, SEEK_SET), 4);
	CHECK_EQ(lseek(fd, 3, SEEK_CUR), 7);
	CHECK_EQ(lseek(fd, -2, SEEK_END), 8);
	CHECK_EQ(lseek(fd, 5, SEEK_END), 15);
	CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(fd, -100, SEEK_END), EINVAL);
	CHECK_ERR(lseek(fd, -100, SEEK_CUR), EINVAL);
	CHECK_ERR(lseek(fd, 0, 17), EINVAL);
	CHECK_ERR(lseek(fd, 0, -1), EINVAL);
	CHECK_ERR(lseek(-1, 0, SEEK_SET), EBADF);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 15);
	close(fd);
}

TEST(lseek_of_a_pipe_gives_espipe)
{
	int fds[2];

	CHECK_OK(pipe(fds));
	CHECK_ERR(lseek(fds[0], 0, SEEK_SET), ESPIPE);
	CHECK_ERR(lseek(fds[1], 0, SEEK_CUR), ESPIPE);
	CHECK_ERR(pread(fds[0], fds, 1, 0), ESPIPE);
	CHECK_ERR(pwrite(fds[1], fds, 1, 0), ESPIPE);
	close(fds[0]);
	close(fds[1]);
}

TEST(lseek_finds_data_and_holes)
{
	int fd = new_file("");

	CHECK_ERR(lseek(fd, 0, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(fd, 0, SEEK_HOLE), ENXIO);
	CHECK_EQ(pwrite(fd, "x", 1, 1 << 20), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
	CHECK_GE(lseek(fd, 0, SEEK_DATA), 0);
	CHECK_EQ(lseek(fd, 1 << 20, SEEK_DATA), 1 << 20);
	CHECK_EQ(lseek(fd, 1 << 20, SEEK_HOLE), (1 << 20) + 1);
	CHECK_ERR(lseek(fd, (1 << 20) + 1, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(fd, (1 << 20) + 1, SEEK_HOLE), ENXIO);
	CHECK_ERR(lseek(fd, -1, SEEK_DATA), ENXIO);
	close(fd);
}

TEST(writing_past_the_end_leaves_a_hole_of_zeros)
{
	int fd = new_file("ab");
	char text[8200];
	struct stat st;

	CHECK_EQ(lseek(fd, 8192, SEEK_SET), 8192);
	CHECK_EQ(write(fd, "cd", 2), 2);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 8194);
	CHECK_EQ(pread(fd, text, sizeof text, 0), 8194);
	for (int i = 2; i < 8192; i++)
		CHECK_EQ(text[i], 0);
	CHECK_MEM(text + 8192, "cd", 2);
	close(fd);
}

TEST(pread_and_pwrite_leave_the_offset_alone)
{
	int fd = new_file("0123456789");
	char text[4];

	CHECK_EQ(lseek(fd, 2, SEEK_SET), 2);
	CHECK_EQ(pread(fd, text, 4, 6), 4);
	CHECK_MEM(text, "6789", 4);
	CHECK_EQ(pwrite(fd, "xy", 2, 8), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 2);
	CHECK_EQ(pread(fd, text, 4, 8), 2);
	CHECK_EQ(pread(fd, text, 4, 10), 0);
	CHECK_EQ(pread(fd, text, 4, 1LL << 40), 0);
	CHECK_ERR(pread(fd, text, 4, -1), EINVAL);
	CHECK_ERR(pwrite(fd, text, 4, -1), EINVAL);
	CHECK_ERR(pread(-1, text, 4, -1), EINVAL);
	CHECK_ERR(pread(-1, text, 4, 0), EBADF);
	CHECK_ERR(pwrite(-1, text, 4, 0), EBADF);
	CHECK_ERR(syscall(SYS_pread64, fd, t_bad, 4, 0), EFAULT);
	CHECK_ERR(syscall(SYS_pwrite64, fd, t_bad, 4, 0), EFAULT);
	close(fd);
}

TEST(o_append_writes_at_the_end_even_by_pwrite)
{
	int fd, other = new_file("start");
	char text[32] = "";

	fd = MUST(open("file", O_RDWR | O_APPEND));
	CHECK_EQ(write(fd, "-a", 2), 2);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
	CHECK_EQ(pwrite(other, "!", 1, 9), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(write(fd, "-b", 2), 2);
	CHECK_EQ(pwrite(fd, "-c", 2, 0), 2);
	CHECK_EQ(pread(fd, text, sizeof text, 0), 14);
	CHECK_MEM(text, "start-a\0\0!-b-c", 14);
	close(fd);
	close(other);
}

TEST(readv_and_writev_join_pieces_in_order)
{
	int fd = new_file("");
	char a[3], b[5], c[8];
	struct iovec out[] = {{"one", 3}, {NULL, 0}, {"three", 5}, {"four", 4}};
	struct iovec in[] = {{a, 3}, {b, 5}, {c, 8}};

	CHECK_EQ(writev(fd, out, 4), 12);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(readv(fd, in, 3), 12);
	CHECK_MEM(a, "one", 3);
	CHECK_MEM(b, "three", 5);
	CHECK_MEM(c, "four", 4);
	CHECK_EQ(readv(fd, in, 3), 0);
	CHECK_EQ(readv(fd, in, 0), 0);
	CHECK_EQ(writev(fd, out, 0), 0);
	close(fd);
}

TEST(iovec_counts_and_lengths_are_checked)
{
	int fd = new_file("0123456789");
	char c;
	static struct iovec many[1025];
	struct iovec negative[] = {{&c, 1}, {&c, (size_t)-1}};

	for (int i = 0; i < 1025; i++)
		many[i] = (struct iovec){&c, i < 10};
	CHECK_EQ(readv(fd, many, 1024), 10);
	CHECK_ERR(readv(fd, many, 1025), EINVAL);
	CHECK_ERR(writev(fd, many, 1025), EINVAL);
	CHECK_ERR(syscall(SYS_readv, fd, many, -1), EINVAL);
	CHECK_ERR(readv(fd, negative, 2), EINVAL);
	CHECK_ERR(writev(fd, negative, 2), EINVAL);
	CHECK_ERR(readv(-1, many, 1), EBADF);
	CHECK_ERR(writev(-1, many, 1), EBADF);
	CHECK_ERR(syscall(SYS_readv, fd, t_bad, 1), EFAULT);
	CHECK_ERR(syscall(SYS_writev, fd, t_bad, 1), EFAULT);
	CHECK_ERR(syscall(SYS_readv, fd, t_edge(sizeof(struct iovec) - 1), 1), EFAULT);
	CHECK_EQ(readv(fd, t_edge(sizeof(struct iovec)), 1), 0);
	close(fd);
}

TEST(readv_that_hits_bad_memory_returns_what_it_had)
{
	int fd = new_file("0123456789");
	char a[4];
	struct iovec in[] = {{a, 4}, {t_bad, 4}};
	struct iovec bad_first[] = {{t_bad, 4}, {a, 4}};

	CHECK_EQ(readv(fd, in, 2), 4);
	CHECK_MEM(a, "0123", 4);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	CHECK_ERR(readv(fd, bad_first, 2), EFAULT);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	close(fd);
}

TEST(preadv_and_pwritev_take_an_offset)
{
	int fd = new_file("0123456789");
	char a[2], b[3];
	struct iovec in[] = {{a, 2}, {b, 3}}, out[] = {{"AB", 2}, {"CDE", 3}};

	CHECK_EQ(preadv(fd, in, 2, 5), 5);
	CHECK_MEM(a, "56", 2);
	CHECK_MEM(b, "789", 3);
	CHECK_EQ(pwritev(fd, out, 2, 3), 5);
	CHECK_EQ(preadv(fd, in, 2, 3), 5);
	CHECK_MEM(b, "CDE", 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_ERR(preadv(fd, in, 2, -1), EINVAL);
	CHECK_ERR(pwritev(fd, out, 2, -1), EINVAL);
	CHECK_ERR(preadv(-1, in, 2, 0), EBADF);
	CHECK_ERR(pwritev(-1, out, 2, 0), EBADF);
	CHECK_ERR(syscall(SYS_preadv, fd, t_bad, 1, 0, 0), EFAULT);
	CHECK_ERR(syscall(SYS_pwritev, fd, t_bad, 1, 0, 0), EFAULT);
	close(fd);
}

TEST(preadv2_with_offset_minus_1_uses_the_file_offset)
{
	int fd = new_file("0123456789");
	char a[4];
	struct iovec in = {a, 4}, out = {"wxyz", 4};

	CHECK_EQ(preadv2(fd, &in, 1, -1, 0), 4);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	CHECK_EQ(preadv2(fd, &in, 1, 1, 0), 4);
	CHECK_MEM(a, "1234", 4);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
	CHECK_EQ(pwritev2(fd, &out, 1, -1, 0), 4);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8);
	CHECK_EQ(pwritev2(fd, &out, 1, 0, RWF_APPEND), 4);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 14);
	CHECK_EQ(pwritev2(fd, &out, 1, 0, RWF_DSYNC | RWF_SYNC), 4);
	CHECK_ERR(preadv2(fd, &in, 1, 0, 0x8000), EOPNOTSUPP);
	CHECK_ERR(pwritev2(fd, &out, 1, 0, 0x8000), EOPNOTSUPP);
	CHECK_ERR(preadv2(fd, &in, 1, -2, 0), EINVAL);
	CHECK_ERR(preadv2(-1, &in, 1, 0, 0), EBADF);
	CHECK_ERR(pwritev2(-1, &out, 1, 0, 0), EBADF);
	CHECK_ERR(syscall(SYS_preadv2, fd, t_bad, 1, 0, 0, 0), EFAULT);
	CHECK_ERR(syscall(SYS_pwritev2, fd, t_bad, 1, 0, 0, 0), EFAULT);
	close(fd);
}

TEST(close_of_a_closed_descriptor_gives_ebadf)
{
	int fd = MUST(open("/dev/null", O_RDONLY));

	CHECK_OK(close(fd));
	CHECK_ERR(close(fd), EBADF);
	CHECK_ERR(close(-1), EBADF);
	CHECK_ERR(close(1 << 30), EBADF);
}

TEST(open_takes_the_lowest_free_descriptor)
{
	int a = MUST(open("/dev/null", O_RDONLY)), b = MUST(open("/dev/null", O_RDONLY));

	CHECK_EQ(b, a + 1);
	close(a);
	CHECK_EQ(open("/dev/null", O_WRONLY), a);
	close(a);
	close(b);
}

TEST_ALONE(descriptors_end_at_the_limit_with_emfile)
{
	struct rlimit limit = {64, 64};
	int fd, last = -1;

	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last = fd;
	CHECK_EQ(errno, EMFILE);
	CHECK_EQ(last, 63);
	CHECK_ERR(dup(0), EMFILE);
	close(10);
	CHECK_EQ(open("/dev/null", O_RDONLY), 10);
}

TEST(an_unlinked_file_lives_until_its_last_close)
{
	int fd = new_file("still here");
	char text[16];
	struct stat st;

	CHECK_OK(unlink("file"));
	CHECK_ERR(open("file", O_RDONLY), ENOENT);
	CHECK_EQ(read(fd, text, sizeof text), 10);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(write(fd, "!", 1), 1);
	close(fd);
}

TEST(creat_opens_for_writing_only_and_truncates)
{
	int fd = new_file("old text"), made;
	char c;
	struct stat st;

	made = MUST(syscall(SYS_creat, "file", 0600));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_mode & 0777, 0644);
	CHECK_ERR(read(made, &c, 1), EBADF);
	CHECK_EQ(write(made, "x", 1), 1);
	CHECK_ERR(syscall(SYS_creat, "missing/file", 0600), ENOENT);
	CHECK_ERR(syscall(SYS_creat, t_bad, 0600), EFAULT);
	CHECK_ERR(syscall(SYS_creat, ".", 0600), EISDIR);
	close(made);
	close(fd);
}

TEST_ALONE(fork_shares_the_offset_and_open_does_not)
{
	int fd = new_file("0123456789"), other = MUST(open("file", O_RDONLY));
	char c;

	IN_CHILD() {
		CHECK_EQ(read(fd, &c, 1), 1);
		CHECK_EQ(lseek(fd, 5, SEEK_SET), 5);
	}
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 5);
	CHECK_EQ(lseek(other, 0, SEEK_CUR), 0);
}

TEST_ALONE(the_file_size_limit_gives_sigxfsz_or_efbig)
{
	int fd = new_file("");
	struct rlimit limit = {100, 100};
	char text[60] = "";

	signal(SIGXFSZ, SIG_IGN);
	CHECK_OK(setrlimit(RLIMIT_FSIZE, &limit));
	CHECK_EQ(write(fd, text, 60), 60);
	CHECK_EQ(write(fd, text, 60), 40);
	CHECK_ERR(write(fd, text, 60), EFBIG);
	CHECK_ERR(ftruncate(fd, 101), EFBIG);
	CHECK_OK(ftruncate(fd, 100));
	signal(SIGXFSZ, SIG_DFL);
	pid_t pid = t_fork();
	if (pid == 0) {
		if (write(fd, text, 60))
			_exit(1);
		_exit(0);
	}
	int status = t_wait(pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGXFSZ);
}

TEST(a_megabyte_reads_back_as_written)
{
	int fd = new_file("");
	size_t size = 1 << 20;
	unsigned char *a = malloc(size), *b = malloc(size);

	for (size_t i = 0; i < size; i++)
		a[i] = i * 31 + (i >> 12);
	CHECK_EQ(write(fd, a, size), size);
	CHECK_EQ(pread(fd, b, size, 0), size);
	CHECK_MEM(a, b, size);
	CHECK_EQ(pread(fd, b, 5000, 4095), 5000);
	CHECK_MEM(a + 4095, b, 5000);
	free(a);
	free(b);
	close(fd);
}

TEST(lengths_beyond_2_gigabytes_are_cut_not_refused)
{
	int fd = MUST(open("/dev/zero", O_RDONLY)), null = MUST(open("/dev/null", O_WRONLY));
	static char c; /* far below the end of the address space, where the sum would not fit */

	CHECK_ERR(syscall(SYS_read, fd, &c, (size_t)-1), EFAULT);
	CHECK_ERR(syscall(SYS_write, null, t_kernel, 1), EFAULT);
	CHECK_EQ(syscall(SYS_write, null, &c, 0x7fffffffUL), 0x7ffff000);
	close(fd);
	close(null);
}
