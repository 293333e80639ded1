/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving bytes between descriptors without passing them through the program.
 * covers: copy_file_range sendfile splice tee vmsplice
 */
#include "t.h"

#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int in, out, fds[2];

static void setup(void)
{
	t_scratch();
	t_put("in", "0123456789abcdef");
	in = MUST(open("in", O_RDONLY));
	out = MUST(open("out", O_RDWR | O_CREAT, 0600));
	CHECK_OK(pipe2(fds, O_NONBLOCK));
}

static void done(void)
{
	close(in);
	close(out);
	close(fds[0]);
	close(fds[1]);
}

static void out_is(const char *want)
{
	char text[64] = "";

	CHECK_EQ(pread(out, text, sizeof text - 1, 0), strlen(want));
	CHECK_STR(text, want);
}

TEST(copy_file_range_with_and_without_offsets)
{
	off_t from = 10, to = 2;

	setup();
	CHECK_EQ(copy_file_range(in, NULL, out, NULL, 4, 0), 4);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 4);
	CHECK_EQ(lseek(out, 0, SEEK_CUR), 4);
	out_is("0123");
	CHECK_EQ(copy_file_range(in, &from, out, &to, 3, 0), 3);
	CHECK_EQ(from, 13);
	CHECK_EQ(to, 5);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 4);
	out_is("01abc");
	from = 14;
	CHECK_EQ(copy_file_range(in, &from, out, &to, 100, 0), 2);
	CHECK_EQ(copy_file_range(in, &from, out, &to, 100, 0), 0);
	CHECK_EQ(copy_file_range(in, NULL, out, NULL, 0, 0), 0);
	done();
}

TEST(errors_of_copy_file_range)
{
	off_t zero = 0, four = 4, negative = -1;
	int writer, dir, append;

	setup();
	writer = MUST(open("out", O_WRONLY));
	append = MUST(open("out", O_WRONLY | O_APPEND));
	dir = MUST(open(".", O_RDONLY));
	CHECK_ERR(copy_file_range(-1, NULL, out, NULL, 4, 0), EBADF);
	CHECK_ERR(copy_file_range(in, NULL, -1, NULL, 4, 0), EBADF);
	CHECK_ERR(copy_file_range(writer, NULL, out, NULL, 4, 0), EBADF);
	CHECK_ERR(copy_file_range(out, NULL, in, NULL, 4, 0), EBADF);
	CHECK_ERR(copy_file_range(in, NULL, append, NULL, 4, 0), EBADF);
	CHECK_ERR(copy_file_range(in, NULL, out, NULL, 4, 1), EINVAL);
	CHECK_ERR(copy_file_range(dir, NULL, out, NULL, 4, 0), EISDIR);
	CHECK_ERR(copy_file_range(fds[0], NULL, out, NULL, 4, 0), EINVAL);
	CHECK_ERR(copy_file_range(in, NULL, fds[1], NULL, 4, 0), EINVAL);
	CHECK_ERR(syscall(SYS_copy_file_range, in, t_bad, out, NULL, 4, 0), EFAULT);
	CHECK_ERR(copy_file_range(in, &negative, out, NULL, 4, 0), EOVERFLOW);
	CHECK_EQ(write(out, "0123456789", 10), 10);
	CHECK_ERR(copy_file_range(out, &zero, out, &four, 6, 0), EINVAL);
	CHECK_EQ(copy_file_range(out, &zero, out, &four, 4, 0), 4);
	out_is("0123012389");
	close(writer);
	close(append);
	close(dir);
	done();
}

TEST(sendfile_to_file_pipe_and_socket)
{
	off_t offset = 8;
	int pair[2];
	char text[32];

	setup();
	CHECK_EQ(syscall(SYS_sendfile, out, in, NULL, 4), 4);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 4);
	CHECK_EQ(syscall(SYS_sendfile, fds[1], in, &offset, 100), 8);
	CHECK_EQ(offset, 16);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 4);
	CHECK_EQ(read(fds[0], text, sizeof text), 8);
	CHECK_MEM(text, "89abcdef", 8);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_EQ(sendfile(pair[0], in, NULL, 100), 12);
	CHECK_EQ(read(pair[1], text, sizeof text), 12);
	CHECK_EQ(sendfile(pair[0], in, NULL, 100), 0);
	out_is("0123");
	close(pair[0]);
	close(pair[1]);
	done();
}

TEST(errors_of_sendfile)
{
	off_t negative = -5;
	int append;

	setup();
	append = MUST(open("out", O_WRONLY | O_APPEND));
	CHECK_ERR(syscall(SYS_sendfile, -1, in, NULL, 4), EBADF);
	CHECK_ERR(syscall(SYS_sendfile, out, -1, NULL, 4), EBADF);
	CHECK_ERR(syscall(SYS_sendfile, in, in, NULL, 4), EBADF);
	CHECK_ERR(syscall(SYS_sendfile, out, append, NULL, 4), EBADF);
	CHECK_ERR(syscall(SYS_sendfile, append, in, NULL, 4), EINVAL);
	CHECK_ERR(syscall(SYS_sendfile, out, in, t_bad, 4), EFAULT);
	CHECK_ERR(syscall(SYS_sendfile, out, in, &negative, 4), EINVAL);
	close(append);
	done();
}

TEST(splice_between_file_and_pipe)
{
	off_t offset = 4;
	char text[32];

	setup();
	CHECK_EQ(splice(in, &offset, fds[1], NULL, 6, 0), 6);
	CHECK_EQ(offset, 10);
	CHECK_EQ(splice(fds[0], NULL, out, NULL, 4, 0), 4);
	out_is("4567");
	CHECK_EQ(read(fds[0], text, sizeof text), 2);
	CHECK_MEM(text, "89", 2);
	offset = 16;
	CHECK_EQ(splice(in, &offset, fds[1], NULL, 6, 0), 0);
	CHECK_ERR(splice(fds[0], NULL, out, NULL, 4, SPLICE_F_NONBLOCK), EAGAIN);
	close(fds[1]);
	CHECK_EQ(splice(fds[0], NULL, out, NULL, 4, 0), 0);
	done();
}

TEST(splice_between_pipes_and_its_errors)
{
	int more[2];
	off_t offset = 0;
	char text[8];

	setup();
	CHECK_OK(pipe(more));
	CHECK_EQ(write(fds[1], "hello", 5), 5);
	CHECK_EQ(splice(fds[0], NULL, more[1], NULL, 3, 0), 3);
	CHECK_EQ(read(more[0], text, sizeof text), 3);
	CHECK_MEM(text, "hel", 3);
	CHECK_ERR(splice(in, NULL, out, NULL, 4, 0), EINVAL);
	CHECK_ERR(splice(fds[0], NULL, fds[1], NULL, 4, 0), EINVAL);
	CHECK_ERR(splice(fds[0], &offset, out, NULL, 4, 0), ESPIPE);
	CHECK_ERR(splice(in, NULL, fds[1], &offset, 4, 0), ESPIPE);
	CHECK_ERR(splice(in, NULL, fds[1], NULL, 4, 0x100), EINVAL);
	CHECK_ERR(splice(-1, NULL, fds[1], NULL, 4, 0), EBADF);
	CHECK_ERR(splice(in, NULL, -1, NULL, 4, 0), EBADF);
	CHECK_ERR(syscall(SYS_splice, in, t_bad, fds[1], NULL, 4, 0), EFAULT);
	CHECK_EQ(splice(in, NULL, fds[1], NULL, 0, 0), 0);
	close(more[0]);
	close(more[1]);
	done();
}

TEST(tee_copies_without_consuming)
{
	int more[2];
	char text[16];

	setup();
	CHECK_OK(pipe2(more, O_NONBLOCK));
	CHECK_ERR(tee(fds[0], more[1], 10, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_EQ(write(fds[1], "hello", 5), 5);
	CHECK_EQ(tee(fds[0], more[1], 3, 0), 3);
	CHECK_EQ(read(more[0], text, sizeof text), 3);
	CHECK_EQ(read(fds[0], text, sizeof text), 5);
	CHECK_MEM(text, "hello", 5);
	CHECK_ERR(tee(in, more[1], 3, 0), EINVAL);
	CHECK_ERR(tee(fds[0], fds[1], 3, 0), EINVAL);
	CHECK_ERR(tee(-1, more[1], 3, 0), EBADF);
	CHECK_ERR(tee(fds[0], more[1], 3, 0x100), EINVAL);
	CHECK_EQ(tee(fds[0], more[1], 0, 0), 0);
	close(more[0]);
	close(more[1]);
	done();
}

TEST(vmsplice_moves_memory_into_and_out_of_a_pipe)
{
	char a[8] = "abc", b[8] = "defg", text[16] = "";
	struct iovec iov[] = {{a, 3}, {b, 4}}, into = {text, 16}, bad = {t_bad, 4};

	setup();
	CHECK_EQ(vmsplice(fds[1], iov, 2, 0), 7);
	CHECK_EQ(vmsplice(fds[0], &into, 1, 0), 7);
	CHECK_STR(text, "abcdefg");
	CHECK_ERR(vmsplice(fds[1], &bad, 1, 0), EFAULT);
	CHECK_ERR(vmsplice(-1, iov, 2, 0), EBADF);
	CHECK_ERR(vmsplice(in, iov, 2, 0), EBADF);
	CHECK_ERR(vmsplice(fds[1], iov, 2, 0x100), EINVAL);
	CHECK_ERR(syscall(SYS_vmsplice, fds[1], t_bad, 1, 0), EFAULT);
	CHECK_EQ(vmsplice(fds[1], iov, 0, 0), 0);
	done();
}

TEST_ALONE(sendfile_moves_a_large_file_through_a_slow_reader)
{
	int pair[2], fd;
	static char block[65536];
	size_t total = 0;
	ssize_t n;
	pid_t pid;

	t_scratch();
	fd = MUST(open("big", O_RDWR | O_CREAT, 0600));
	for (int i = 0; i < 16; i++) {
		memset(block, 'a' + i, sizeof block);
		CHECK_EQ(write(fd, block, sizeof block), sizeof block);
	}
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = t_fork();
	if (pid == 0) {
		off_t offset = 0;

		close(pair[1]);
		while (offset < 1 << 20)
			CHECK_GE(sendfile(pair[0], fd, &offset, 1 << 20), 1);
		_exit(0);
	}
	close(pair[0]);
	while ((n = MUST(read(pair[1], block, 5000))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			CHECK_EQ(block[i], 'a' + (char)((total + i) >> 16));
		total += n;
	}
	CHECK_EQ(total, 1 << 20);
	t_reap(pid);
}
