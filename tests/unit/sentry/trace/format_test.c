/* SPDX-License-Identifier: Apache-2.0 */
/* The trace column of every row can be read, and numbers come out as strace has them. */
#include "sentry/trace/format.h"
#include "sentry/trace/kinds.h"
#include "sentry/trace/names.h"
#include "syscalls/dispatch.h"

#include <criterion/criterion.h>
#include <string.h>

Test(format, every_row_is_known)
{
	for (int nr = 0; nr < SYSCALL_MAX; nr++) {
		const struct syscall_row *row = &syscall_table[nr];
		unsigned args = 0;

		if (row->name == NULL)
			continue;
		for (const char *p = row->trace; *p != '\0';) {
			size_t len = strcspn(p, " ");

			if (*p == '=') {
				cr_expect(strcmp(p, "=hex") == 0 || strcmp(p, "=oct") == 0 || strcmp(p, "=none") == 0,
					  "%s: %s", row->name, p);
			} else {
				const char *kind = strncmp(p, "out:", 4) == 0 ? p + 4 : p;

				cr_expect(kind_known(kind, len - (size_t)(kind - p)), "%s: %.*s", row->name, (int)len,
					  p);
				args++;
			}
			p += len;
			p += *p == ' ';
		}
		cr_expect_leq(args, 6, "%s", row->name);
	}
}

static const char *shown(const char *spec, uint64_t a, uint64_t b, uint64_t c, int64_t ret)
{
	static struct text t;
	const uint64_t args[6] = {a, b, c};
	struct traced_call call = {.spec = spec, .args = args, .done = true, .ret = ret};

	t.len = 0;
	format_args(&t, &call, 0);
	format_return(&t, &call);
	return t.buf;
}

Test(format, numbers)
{
	cr_expect_str_eq(shown("fd whence", 3, 2, 0, 5), "3, SEEK_END = 5");
	cr_expect_str_eq(shown("dirfd", (uint64_t)-100, 0, 0, 0), "AT_FDCWD = 0");
	cr_expect_str_eq(shown("dirfd", 0xffffff9cU, 0, 0, -2), "AT_FDCWD = -1 ENOENT (No such file or directory)");
	cr_expect_str_eq(shown("oflags", 0, 0, 0, 0), "O_RDONLY = 0");
	cr_expect_str_eq(shown("oflags", 02000000, 0, 0, 0), "O_RDONLY|O_CLOEXEC = 0");
	cr_expect_str_eq(shown("oflags", 0101 | 020000, 0, 0, 0), "O_WRONLY|O_CREAT|FASYNC = 0");
	cr_expect_str_eq(shown("prot", 0, 0, 0, 0), "PROT_NONE = 0");
	cr_expect_str_eq(shown("mode", 0644, 0, 0, 0), "0644 = 0");
	cr_expect_str_eq(shown("sig sig", 9, 34, 0, 0), "SIGKILL, SIGRT_2 = 0");
	cr_expect_str_eq(shown("ptr =hex", 0, 0, 0, 0x1000), "NULL = 0x1000");
	cr_expect_str_eq(shown("fd", 1, 0, 0, -512), "1 = ? ERESTARTSYS (To be restarted)");
	cr_expect_str_eq(shown("socktype", 02000001, 0, 0, 3), "SOCK_STREAM|SOCK_CLOEXEC = 3");
	cr_expect_str_eq(shown("futexop", 128, 0, 0, 0), "FUTEX_WAIT_PRIVATE = 0");
	cr_expect_str_eq(shown("madvice", 99, 0, 0, -22), "99 = -1 EINVAL (Invalid argument)");
}

Test(format, out_arguments_of_failed_calls_are_addresses)
{
	cr_expect_str_eq(shown("fd out:buf size", 3, 0x1234, 10, -9), "3, 0x1234, 10 = -1 EBADF (Bad file descriptor)");
}

Test(format, quoting)
{
	static struct text t;

	text_quote(&t, "a\"\\\n\0017\xff", 7, 32);
	cr_expect_str_eq(t.buf, "\"a\\\"\\\\\\n\\0017\\377\"");
	t.len = 0;
	text_quote(&t, "0123456789", 10, 4);
	cr_expect_str_eq(t.buf, "\"0123\"...");
}

Test(format, text_never_overflows)
{
	static struct text t;

	for (int i = 0; i < 10000; i++)
		text_add(&t, "%s", "0123456789");
	cr_expect_eq(t.len, sizeof(t.buf) - 1);
	cr_expect_eq(t.buf[t.len], '\0');
}
