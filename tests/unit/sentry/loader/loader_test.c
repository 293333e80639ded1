/* SPDX-License-Identifier: Apache-2.0 */
/* `#!` lines and hostile ELF headers. */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/platform.h"

#include <criterion/criterion.h>
#include <string.h>

static char head[BINPRM_BUF_SIZE];
static char *interp, *arg;

static int parse(const char *line)
{
	memset(head, 0, sizeof(head));
	memcpy(head, line, MIN(strlen(line), sizeof(head)));
	return script_parse(head, &interp, &arg);
}

Test(script, lines)
{
	cr_assert_eq(parse("\177ELF"), 1);
	cr_assert_eq(parse(""), 1);
	cr_assert_eq(parse("#!/bin/sh\necho"), 0);
	cr_assert_str_eq(interp, "/bin/sh");
	cr_assert_null(arg);
	cr_assert_eq(parse("#! \t/bin/sh  -a  -b c \t\nx"), 0);
	cr_assert_str_eq(interp, "/bin/sh");
	cr_assert_str_eq(arg, "-a  -b c");
	cr_assert_eq(parse("#!/bin/sh"), 0); /* the file ends: its NULs end the path */
	cr_assert_str_eq(interp, "/bin/sh");
	cr_assert_eq(parse("#!\n"), -LINUX_ENOEXEC);
	cr_assert_eq(parse("#!   \t \n"), -LINUX_ENOEXEC);
	cr_assert_eq(parse("#!"), -LINUX_ENOEXEC);
	cr_assert_eq(parse("#!/bin/cat \n"), 0);
	cr_assert_null(arg);
}

Test(script, long_lines)
{
	char line[400];

	memset(line, 'x', sizeof(line));
	memcpy(line, "#!/", 3);
	line[399] = '\0';
	cr_assert_eq(parse(line), -LINUX_ENOEXEC); /* the path may be cut */
	line[100] = ' ';
	cr_assert_eq(parse(line), 0); /* the argument is cut, which Linux allows */
	cr_assert_eq(strlen(interp), 98);
	cr_assert_eq(strlen(arg), 255 - 101);
}

Test(script, argv_is_rewritten)
{
	struct exec_args a = {0};
	static const char want[] = "/bin/sh\0-x\0./script\0one\0two\0E=1";

	a.execfn = kstrdup("./script");
	cr_assert_eq(exec_args_add(&a, "name", 4), 0);
	cr_assert_eq(exec_args_add(&a, "one", 3), 0);
	cr_assert_eq(exec_args_add(&a, "two", 3), 0);
	cr_assert_eq(exec_args_add(&a, "E=1", 3), 0);
	a.argc = 3;
	a.envc = 1;
	cr_assert_eq(script_rewrite_args(&a, a.execfn, "/bin/sh", "-x"), 0);
	cr_assert_eq(a.argc, 5);
	cr_assert_eq(a.strings_len, sizeof(want));
	cr_assert_eq(memcmp(a.strings, want, sizeof(want)), 0);
	a.limit = 20;
	cr_assert_eq(script_rewrite_args(&a, a.execfn, "/bin/sh", NULL), -LINUX_E2BIG);
	exec_args_free(&a);
	cr_assert_eq(alloc_total(), 0);
}

static struct linux_ehdr good(void)
{
	struct linux_ehdr e = {
	    .type = LINUX_ET_DYN, .machine = LINUX_EM_X86_64, .phentsize = 56, .phnum = 2, .phoff = 64};

	memcpy(e.ident, "\177ELF\2\1\1", 7);
	return e;
}

Test(elf, headers)
{
	struct linux_ehdr e = good();

	cr_assert_eq(elf_check_header(&e), 0);
	e.type = 1;
	cr_assert_eq(elf_check_header(&e), -LINUX_ENOEXEC);
	e = good();
	e.machine = 3;
	cr_assert_eq(elf_check_header(&e), -LINUX_ENOEXEC);
	e = good();
	e.phentsize = 32;
	cr_assert_eq(elf_check_header(&e), -LINUX_ENOEXEC);
	e = good();
	e.phnum = 0;
	cr_assert_eq(elf_check_header(&e), -LINUX_ENOEXEC);
	e.phnum = 65535;
	cr_assert_eq(elf_check_header(&e), -LINUX_ENOEXEC);
	e = good();
	e.ident[0] = 0;
	cr_assert_eq(elf_check_header(&e), -LINUX_ENOEXEC);
}

Test(elf, segments)
{
	struct linux_phdr p = {
	    .type = LINUX_PT_LOAD, .vaddr = 0x1000, .memsz = 0x3000, .filesz = 0x1800, .align = 0x1000};
	uint64_t low, high, align;

	p.offset = 0x1000;
	cr_assert_eq(elf_check_segment(&p, 0x555555554000), 0);
	p.filesz = 0x4000;
	cr_assert_eq(elf_check_segment(&p, 0), -LINUX_EINVAL); /* more in the file than in memory */
	p.filesz = 0x1800;
	p.offset = 0x1001;
	cr_assert_eq(elf_check_segment(&p, 0), -LINUX_EINVAL);
	p.offset = 0x1000;
	p.memsz = UINT64_MAX;
	cr_assert_eq(elf_check_segment(&p, 0), -LINUX_EINVAL);
	cr_assert_eq(elf_span(&p, 1, &low, &high, &align), -LINUX_EINVAL);
	p.memsz = 0x3000;
	p.vaddr = GUEST_END - 0x1000;
	cr_assert_eq(elf_check_segment(&p, 0), -LINUX_EINVAL);
	p.vaddr = UINT64_MAX & ~0xfffUL;
	cr_assert_eq(elf_check_segment(&p, 0x2000), -LINUX_EINVAL);
	p.vaddr = 0x1234;
	cr_assert_eq(elf_span(&p, 1, &low, &high, &align), 0);
	cr_assert_eq(low, 0x1000);
	cr_assert_eq(high, 0x5000);
	p.type = 0;
	cr_assert_eq(elf_span(&p, 1, &low, &high, &align), -LINUX_EINVAL);
}
