/* SPDX-License-Identifier: Apache-2.0 */
/* Which mailboxes serve another process, and that nothing is left in them. */
#include "sentry/host/host.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static struct host_proc proc;
static struct platform_thread pt;

/* A thread whose process is gone, as the stock wants it. */
static void gone(void)
{
	platform = &notify_platform;
	proc = (struct host_proc){.pid = 0, .killed = true};
	pt = (struct platform_thread){.proc = &proc, .tid = 17, .gone = true, .makes_process = true};
	pt.mailbox_fd = mailbox_make(&pt.mailbox);
	cr_assert(ge(i32, pt.mailbox_fd, 0));
}

static uint64_t one(int fd)
{
	(void)fd;
	return 1;
}

static uint64_t kept(void)
{
	return mailbox_stock_bytes(one);
}

Test(mailbox_stock, it_is_kept_and_comes_back_wiped)
{
	static const char zeroes[MAILBOX_SIZE];
	struct mailbox *was;

	gone();
	was = pt.mailbox;
	memset(was, 0xa5, 8192);
	memset((char *)was + MAILBOX_SIZE - 4096, 0x5a, 4096);
	mailbox_drop(&pt);
	cr_assert(eq(u64, kept(), 1));
	gone();
	cr_assert(eq(ptr, pt.mailbox, was));
	cr_assert(eq(u64, kept(), 0));
	cr_assert(eq(int, memcmp(was, zeroes, MAILBOX_SIZE), 0));
}

Test(mailbox_stock, who_has_cloned_or_may_be_alive_leaves_none)
{
	for (unsigned why = 0; why < 7; why++) {
		gone();
		if (why == 0)
			proc.cloned = true;
		else if (why == 1)
			proc.several = true;
		else if (why == 2)
			proc.pid = 17;
		else if (why == 3)
			pt.gone = false;
		else if (why == 4)
			pt.makes_process = false;
		else if (why == 5)
			pt.area_mapped = true;
		else
			platform = &ptrace_platform;
		mailbox_drop(&pt);
		cr_assert(eq(u64, kept(), 0), "case %u", why);
	}
}

/* Their tokens may be in the wrong hands. */
Test(mailbox_stock, once_processes_share_memory_only_the_zygotes_are_kept)
{
	mailbox_vm_child();
	gone();
	mailbox_drop(&pt);
	cr_assert(eq(u64, kept(), 0));
	gone();
	pt.spawned = true;
	mailbox_drop(&pt);
	cr_assert(eq(u64, kept(), 1));
}

Test(mailbox_stock, one_full_of_data_or_of_holes_is_let_go)
{
	gone();
	memset(pt.mailbox, 1, MAILBOX_SIZE);
	mailbox_drop(&pt);
	cr_assert(eq(u64, kept(), 0));
	gone();
	for (unsigned page = 0; page < 12; page += 2)
		((char *)pt.mailbox)[page * 4096U] = 1;
	mailbox_drop(&pt);
	cr_assert(eq(u64, kept(), 0));
}

Test(mailbox_stock, it_is_bounded)
{
	struct platform_thread many[12];

	for (unsigned i = 0; i < 12; i++) {
		gone();
		many[i] = pt;
	}
	for (unsigned i = 0; i < 12; i++)
		mailbox_drop(&many[i]);
	cr_assert(le(u64, kept(), 4));
}
