/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/core/children.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 1500 /* more than two pages of numbers */

static pid_t pids[MANY];
static unsigned found;

static void look(pid_t child, void *arg)
{
	unsigned *calls = arg;

	(*calls)++;
	for (unsigned i = 0; i < MANY; i++)
		found += pids[i] == child;
}

/* Ends at once; who isn't waited for is a child still. */
static __attribute__((noinline)) pid_t one_more(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	return pid;
}

Test(children, all_of_them)
{
	unsigned calls = 0;

	for (unsigned i = 0; i < MANY; i++) {
		pids[i] = one_more();
		cr_assert(pids[i] > 0);
	}
	each_child(getpid(), look, &calls);
	cr_expect_eq(found, MANY);
	cr_expect_eq(calls, MANY);
	while (wait(NULL) > 0)
		;
	cr_expect_eq(errno, ECHILD);
	each_child(getpid(), look, &calls);
	cr_expect_eq(calls, MANY, "none is left");
}

Test(children, of_nobody)
{
	unsigned calls = 0;

	each_child(-1, look, &calls);
	cr_expect_eq(calls, 0);
}
