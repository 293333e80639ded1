/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes below a directory descriptor (6.13).
 * covers: setxattrat getxattrat listxattrat removexattrat
 */
#include "t.h"

enum { SETXATTRAT = 463, GETXATTRAT, LISTXATTRAT, REMOVEXATTRAT };

struct args {
	uint64_t value __attribute__((aligned(8)));
	uint32_t size, flags;
};

static int dir;

static void setup(void)
{
	struct args args = {(uintptr_t) "v", 1, 0};

	t_scratch();
	t_put("f", "x");
	dir = MUST(open(".", O_RDONLY));
	if (syscall(SETXATTRAT, dir, "f", 0, "user.probe", &args, sizeof args) == 0) {
		CHECK_OK(syscall(REMOVEXATTRAT, dir, "f", 0, "user.probe"));
		return;
	}
	if (errno == ENOSYS && !t_kernel_since(6, 13))
		SKIP("this kernel has no setxattrat (6.13)");
	CHECK_EQ(errno, EOPNOTSUPP);
	SKIP("this filesystem has no user attributes");
}

TEST(attributes_are_set_read_listed_and_removed)
{
	char text[64] = "";
	struct args set = {(uintptr_t) "value", 5, 0}, get = {(uintptr_t)text, sizeof text, 0};

	setup();
	CHECK_OK(syscall(SETXATTRAT, dir, "f", 0, "user.a", &set, sizeof set));
	CHECK_EQ(syscall(GETXATTRAT, dir, "f", 0, "user.a", &get, sizeof get), 5);
	CHECK_STR(text, "value");
	CHECK_EQ(syscall(LISTXATTRAT, dir, "f", 0, text, sizeof text), 7);
	CHECK_STR(text, "user.a");
	CHECK_OK(syscall(REMOVEXATTRAT, dir, "f", 0, "user.a"));
	CHECK_ERR(syscall(REMOVEXATTRAT, dir, "f", 0, "user.a"), ENODATA);
	close(dir);
}

TEST(errors_of_the_at_calls)
{
	char text[64];
	struct args set = {(uintptr_t) "value", 5, 0}, get = {(uintptr_t)text, sizeof text, 0}, flags = {0, 0, 8};

	setup();
	CHECK_ERR(syscall(SETXATTRAT, dir, "missing", 0, "user.a", &set, sizeof set), ENOENT);
	CHECK_ERR(syscall(SETXATTRAT, 9999, "f", 0, "user.a", &set, sizeof set), EBADF);
	CHECK_ERR(syscall(SETXATTRAT, dir, "f", 0x10, "user.a", &set, sizeof set), EINVAL);
	CHECK_ERR(syscall(SETXATTRAT, dir, "f", 0, "user.a", &set, 4L), EINVAL);
	CHECK_ERR(syscall(SETXATTRAT, dir, "f", 0, "user.a", t_bad, sizeof set), EFAULT);
	CHECK_ERR(syscall(SETXATTRAT, dir, "f", 0, "user.a", &flags, sizeof flags), EINVAL);
	CHECK_ERR(syscall(GETXATTRAT, dir, "f", 0, "user.a", &get, sizeof get), ENODATA);
	CHECK_ERR(syscall(GETXATTRAT, dir, "missing", 0, "user.a", &get, sizeof get), ENOENT);
	CHECK_ERR(syscall(LISTXATTRAT, dir, "missing", 0, text, sizeof text), ENOENT);
	CHECK_ERR(syscall(LISTXATTRAT, dir, "f", 0x10, text, sizeof text), EINVAL);
	CHECK_ERR(syscall(REMOVEXATTRAT, dir, "missing", 0, "user.a"), ENOENT);
	close(dir);
}
