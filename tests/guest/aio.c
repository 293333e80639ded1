/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's old asynchronous input and output.
 * covers: io_setup io_destroy io_submit io_getevents io_pgetevents io_cancel
 */
#include "t.h"

#include <linux/aio_abi.h>
#include <sys/eventfd.h>

static aio_context_t context;
static int fd;

static void setup(void)
{
	t_scratch();
	fd = MUST(open("f", O_RDWR | O_CREAT, 0600));
	context = 0;
	CHECK_OK(syscall(SYS_io_setup, 8, &context));
	CHECK(context != 0);
}

static void done(void)
{
	CHECK_OK(syscall(SYS_io_destroy, context));
	close(fd);
}

static struct iocb request(int op, void *buffer, size_t length, off_t offset, uint64_t data)
{
	return (struct iocb){.aio_lio_opcode = op,
			     .aio_fildes = fd,
			     .aio_buf = (uintptr_t)buffer,
			     .aio_nbytes = length,
			     .aio_offset = offset,
			     .aio_data = data};
}

TEST(requests_complete_with_their_data)
{
	char text[16] = "";
	struct iocb w, r, *list[1];
	struct io_event event;

	setup();
	w = request(IOCB_CMD_PWRITE, "hello", 5, 0, 11);
	list[0] = &w;
	CHECK_EQ(syscall(SYS_io_submit, context, 1, list), 1);
	CHECK_EQ(syscall(SYS_io_getevents, context, 1L, 1L, &event, NULL), 1);
	CHECK_EQ(event.res, 5);
	CHECK_EQ(event.data, 11);
	CHECK_EQ(event.obj, (uintptr_t)&w);
	r = request(IOCB_CMD_PREAD, text, 16, 1, 12);
	list[0] = &r;
	CHECK_EQ(syscall(SYS_io_submit, context, 1, list), 1);
	CHECK_EQ(syscall(SYS_io_pgetevents, context, 1L, 1L, &event, NULL, NULL), 1);
	CHECK_EQ(event.res, 4);
	CHECK_STR(text, "ello");
	done();
}

TEST(completion_rings_an_eventfd)
{
	int bell = MUST(eventfd(0, 0));
	struct iocb w, *list[1] = {&w};
	uint64_t count;

	setup();
	w = request(IOCB_CMD_PWRITE, "x", 1, 0, 0);
	w.aio_flags = IOCB_FLAG_RESFD;
	w.aio_resfd = bell;
	CHECK_EQ(syscall(SYS_io_submit, context, 1, list), 1);
	CHECK_EQ(read(bell, &count, 8), 8);
	CHECK_EQ(count, 1);
	close(bell);
	done();
}

TEST(no_events_wait_or_time_out)
{
	struct io_event event;
	struct timespec brief = {0, 1000000};

	setup();
	CHECK_EQ(syscall(SYS_io_getevents, context, 0L, 1L, &event, NULL), 0);
	CHECK_EQ(syscall(SYS_io_getevents, context, 1L, 1L, &event, &brief), 0);
	done();
}

TEST(errors_of_aio)
{
	aio_context_t other = 0;
	struct iocb w, *list[1] = {&w};
	struct io_event event;

	setup();
	CHECK_ERR(syscall(SYS_io_setup, 0, &other), EINVAL);
	CHECK_ERR(syscall(SYS_io_setup, 8, &context), EINVAL);
	CHECK_ERR(syscall(SYS_io_setup, 8, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_io_destroy, 0x1000L), EINVAL);
	CHECK_ERR(syscall(SYS_io_submit, 0x1000L, 1L, list), EINVAL);
	CHECK_ERR(syscall(SYS_io_submit, context, -1L, list), EINVAL);
	CHECK_ERR(syscall(SYS_io_submit, context, 1L, t_bad), EFAULT);
	CHECK_EQ(syscall(SYS_io_submit, context, 0L, list), 0);
	w = request(99, "x", 1, 0, 0);
	CHECK_ERR(syscall(SYS_io_submit, context, 1L, list), EINVAL);
	w = request(IOCB_CMD_PWRITE, "x", 1, 0, 0);
	w.aio_fildes = -1;
	CHECK_ERR(syscall(SYS_io_submit, context, 1L, list), EBADF);
	w.aio_fildes = fd;
	w.aio_reserved2 = 1;
	CHECK_ERR(syscall(SYS_io_submit, context, 1L, list), EINVAL);
	CHECK_ERR(syscall(SYS_io_getevents, 0x1000L, 0L, 1L, &event, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_io_getevents, context, 2L, 1L, &event, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_io_pgetevents, 0x1000L, 0L, 1L, &event, NULL, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_io_cancel, 0x1000L, &w, &event), EINVAL);
	w = request(IOCB_CMD_PWRITE, "x", 1, 0, 0);
	CHECK_ERR(syscall(SYS_io_cancel, context, &w, &event), EINVAL);
	done();
}
