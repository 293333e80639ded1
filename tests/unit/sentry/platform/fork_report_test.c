/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fork's clone that is the trap's report, and the parent that says nothing aloud: the clone is made only if a fork is what is
 * commanded, at the stub's one place for it, with the token; whatever else is comes back instead of it; what the parent has to say is found in its box when the child is there.
 * The transport is a stub that notes what became of the call.
 */
#include "sentry/abi/signal.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/stubs.h"
#include "noting_transport.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOKEN 0x1234567

static struct platform_thread pt;
static uint64_t token = TOKEN, birth = STUB_BIRTH, child_stack, spoilt;
static struct platform_mm mm;

static struct stub_transport model = {.answer = answer, .proceed = proceed, .chooses_number = true};

static struct gate_box *box(void)
{
	return (struct gate_box *)((char *)pt.mailbox + GATE_BOX);
}

/* A thread in guest code, known by our own number. */
static void begin(void)
{
	int err;

	cr_assert_eq(loop_init(), 0);
	transport = &model;
	ref_init(&mm.ref);
	list_init(&mm.procs);
	list_init(&mm.dying);
	list_init(&mm.spares);
	list_init(&pt.proc_link);
	list_init(&pt.tid_link);
	list_init(&pt.new_link);
	list_init(&pt.gate_link);
	list_init(&pt.narrow_link);
	stubs_thread_timer_init(&pt);
	pt.fork_token = TOKEN;
	pt.mailbox = host_mmap(MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &err);
	cr_assert_not_null(pt.mailbox);
	pt.proc = proc_new(getpid(), &mm);
	cr_assert_not_null(pt.proc);
	pt.proc->killed = true; /* who breaks the protocol here isn't ended */
	cr_assert_eq(thread_bind(&pt, (int)syscall(SYS_gettid)), 0);
	thread_set_state(&pt, THREAD_GUEST);
}

static void stub_clones(uint64_t flags, uint64_t ip)
{
	const struct stub_call c = {.id = NOTED_ID, .tid = pt.tid, .nr = SYS_clone, .ip = ip, .args = {flags, child_stack, token, birth, ~birth ^ spoilt}};

	pt.mailbox->reason = LINUX_SIGSYS;
	pt.mailbox->regs[13] = SYS_fork;
	stubs_call(&c);
}

Test(fork_report, clone_is_the_trap)
{
	begin();
	stub_clones(0x8011, STUB_CLONE_IP);
	cr_assert(pt.event_ready && pt.state == THREAD_FULL && stubs_has_call(&pt));
	cr_assert_eq(pt.event.kind, PLATFORM_SYSCALL);
	cr_assert_eq(pt.event.nr, SYS_fork);
	cr_assert(proceeded == 0 && answered == 0);
	stubs_action(&pt, STUB_FORK, THREAD_CLONING);
	cr_assert(proceeded == 1 && answered == 0);
}

Test(fork_report, nothing_else_makes_the_clone)
{
	static const enum stub_action actions[] = {STUB_RESUME, STUB_RUN, STUB_RUN_RESUME, STUB_CLONE, STUB_EXIT,
						   STUB_PARK,   STUB_CALL, STUB_RUN_CLOSE};

	begin();
	for (unsigned i = 0; i < ARRAY_LEN(actions); i++) {
		stub_clones(0x8011, STUB_CLONE_IP);
		cr_assert(pt.event_ready && pt.state == THREAD_FULL);
		stubs_action(&pt, actions[i], THREAD_GUEST);
		cr_assert(proceeded == 0 && answered == i + 1);
		cr_assert_eq(value, STUB_INSTEAD(actions[i]));
		cr_assert(value < -4095 && STUB_INSTEAD(0) - value == (int64_t)actions[i]);
	}
}

Test(fork_report, other_clones_and_other_states_break_the_protocol)
{
	begin();
	stub_clones(0x11, STUB_CLONE_IP);
	stub_clones(0x8111, STUB_CLONE_IP);
	stub_clones(0x8011 | 0x10000000, STUB_CLONE_IP);
	stub_clones(0x8011, STUB_CLONE_IP + 2);
	stub_clones(0x8011, STUB_BASE + 0x100);
	token = TOKEN + 1;
	stub_clones(0x8011, STUB_CLONE_IP);
	token = TOKEN;
	birth = 0;
	stub_clones(0x8011, STUB_CLONE_IP);
	birth = STUB_BIRTH;
	spoilt = 1;
	stub_clones(0x8011, STUB_CLONE_IP);
	spoilt = 0;
	child_stack = 4096;
	stub_clones(0x8011, STUB_CLONE_IP);
	child_stack = 0;
	pt.fork_token = token = 0; /* it has none */
	stub_clones(0x8011, STUB_CLONE_IP);
	pt.fork_token = token = TOKEN;
	cr_assert(!pt.event_ready && pt.state == THREAD_GUEST);
	thread_set_state(&pt, THREAD_GATE);
	stub_clones(0x8011, STUB_CLONE_IP);
	cr_assert(!pt.event_ready && pt.state == THREAD_GATE);
	thread_set_state(&pt, THREAD_GUEST);
	model.chooses_number = false; /* ptrace */
	stub_clones(0x8011, STUB_CLONE_IP);
	cr_assert(!pt.event_ready && pt.state == THREAD_GUEST);
	cr_assert(proceeded == 0 && answered == 0);
}

Test(fork_report, is_found_in_the_box)
{
	begin();
	stub_clones(0x8011, STUB_CLONE_IP);
	stubs_action(&pt, STUB_FORK, THREAD_CLONING);
	/* It isn't back yet: it rings when it is. */
	gate_look(&pt);
	cr_assert(!pt.event_ready && pt.mailbox->aloud == 1);

	box()->kind = GATE_KIND_STUB;
	box()->nr = STUB_FORKED;
	box()->args[0] = 4711;
	box()->state = GATE_REQUEST;
	gate_look(&pt);
	cr_assert(pt.event_ready && pt.state == THREAD_FULL && pt.softly);
	cr_assert_eq(pt.result, 4711);
	stubs_action(&pt, STUB_RESUME, THREAD_GUEST);
	cr_assert_eq(GATE_STATE(box()->state), GATE_DONE);
	cr_assert_eq(box()->result, STUB_RESUME);
	cr_assert(!pt.softly && proceeded == 1 && answered == 0);
}

/* Somebody is waited for, whose clone was commanded. */
static struct platform_thread *commanded(uint64_t flags, uint64_t area)
{
	struct platform_thread *child = thread_new(NULL, NULL);

	cr_assert_not_null(child);
	token = child->token;
	pt.birth = (struct birth){flags, token, area, 3};
	thread_set_state(&pt, THREAD_CLONING);
	return child;
}

Test(fork_report, a_commanded_clone_is_made_at_its_place_until_somebody_is_there)
{
	const uint64_t area = STUB_AREAS + AREA_SIZE;
	struct platform_thread *child;

	begin();
	child = commanded(0x50f00, area);
	child_stack = area - 8;
	stub_clones(0x50f00, STUB_CLONE_IP);
	child_stack = area + AREA_SIZE;
	stub_clones(0x50f00, STUB_CLONE_IP);
	child_stack = area + AREA_STACK;
	stub_clones(0x50f00, STUB_CLONE_IP - 2);
	stub_clones(0x8111, STUB_CLONE_IP);
	birth = 0;
	stub_clones(0x50f00, STUB_CLONE_IP);
	birth = STUB_BIRTH;
	token++;
	stub_clones(0x50f00, STUB_CLONE_IP);
	token--;
	cr_assert_eq(proceeded, 0);
	stub_clones(0x50f00, STUB_CLONE_IP);
	cr_assert_eq(proceeded, 1);
	/* Begun anew by the host. */
	stub_clones(0x50f00, STUB_CLONE_IP);
	cr_assert_eq(proceeded, 2);
	cr_assert_eq(thread_claim(token), child);
	stub_clones(0x50f00, STUB_CLONE_IP);
	cr_assert_eq(proceeded, 2);
}

Test(fork_report, a_clone_is_not_begun_anew_for_ever)
{
	begin();
	(void)commanded(0x8011, 0);
	for (unsigned i = 0; i < 10; i++)
		stub_clones(0x8011, STUB_CLONE_IP);
	cr_assert_eq(proceeded, 3);
}
