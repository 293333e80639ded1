/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing another process's memory.
 * covers: process_vm_readv process_vm_writev
 */
#include "t.h"

#include <sys/uio.h>

static char *page;
static pid_t child;
static int gate[2];

/* A child that waits, with `text` in its memory at the same address as ours. */
static void start(const char *text)
{
	char c;

	page = MUST(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	strcpy(page, text);
	CHECK_OK(pipe(gate));
	child = t_fork();
	if (child == 0) {
		close(gate[1]);
		CHECK_EQ(read(gate[0], &c, 1), 0);
		_exit(strcmp(page, "changed by the parent") == 0);
	}
	memset(page, 0, 4096);
}

static int finish(void)
{
	close(gate[0]);
	close(gate[1]);
	return t_wait(child) >> 8;
}

static ssize_t copy(bool out, void *local, size_t local_length, void *remote, size_t remote_length)
{
	struct iovec l = {local, local_length}, r = {remote, remote_length};

	return syscall(out ? SYS_process_vm_writev : SYS_process_vm_readv, child, &l, 1, &r, 1, 0);
}

TEST_ALONE(a_childs_memory_is_read)
{
	char text[64] = "";
	struct iovec local[] = {{text, 4}, {text + 10, 20}}, remote[] = {{NULL, 6}, {NULL, 5}};

	start("the child's text");
	CHECK_EQ(copy(false, text, 16, page, 16), 16);
	CHECK_STR(text, "the child's text");
	remote[0].iov_base = page;
	remote[1].iov_base = page + 12;
	CHECK_EQ(syscall(SYS_process_vm_readv, child, local, 2, remote, 2, 0), 10 + 1);
	CHECK_MEM(text + 10, "chtext", 6);
	CHECK_EQ(copy(false, text, 5, page, 16), 5);
	CHECK_EQ(finish(), 0);
}

TEST_ALONE(a_childs_memory_is_written)
{
	char text[] = "changed by the parent";

	start("old");
	CHECK_EQ(copy(true, text, sizeof text, page, sizeof text), sizeof text);
	CHECK_EQ(page[0], 0);
	CHECK_EQ(finish(), 1);
}

TEST_ALONE(a_copy_into_the_unmapped_is_cut_or_fails)
{
	static char big[8192];
	char *edge;

	edge = t_edge(100);
	start("x");
	CHECK_EQ(copy(false, big, 8192, edge, 8192), 100);
	CHECK_ERR(copy(false, big, 10, t_bad, 10), EFAULT);
	CHECK_ERR(copy(false, t_bad, 10, page, 10), EFAULT);
	CHECK_ERR(copy(true, big, 10, t_bad, 10), EFAULT);
	finish();
}

TEST_ALONE(errors_of_process_vm)
{
	char c[8];
	struct iovec l = {c, 8}, r = {NULL, 8}, negative = {c, -1};

	start("x");
	r.iov_base = page;
	CHECK_ERR(syscall(SYS_process_vm_readv, child, &l, 1, &r, 1, 1), EINVAL);
	CHECK_ERR(syscall(SYS_process_vm_writev, child, &l, 1, &r, 1, 1), EINVAL);
	CHECK_ERR(syscall(SYS_process_vm_readv, child, &l, 1025, &r, 1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_process_vm_readv, child, &negative, 1, &r, 1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_process_vm_readv, child, t_bad, 1, &r, 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_process_vm_readv, child, &l, 1, t_bad, 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_process_vm_readv, 0x3ffffff, &l, 1, &r, 1, 0), ESRCH);
	CHECK_ERR(syscall(SYS_process_vm_writev, 0x3ffffff, &l, 1, &r, 1, 0), ESRCH);
	CHECK_EQ(syscall(SYS_process_vm_readv, child, &l, 0, &r, 1, 0), 0);
	CHECK_EQ(syscall(SYS_process_vm_readv, child, &l, 1, &r, 0, 0), 0);
	finish();
}

TEST_ALONE(another_users_memory_is_closed)
{
	char c[8];

	t_need_root();
	start("secret");
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(copy(false, c, 6, page, 6), EPERM);
		CHECK_ERR(copy(true, c, 6, page, 6), EPERM);
	}
	finish();
}
