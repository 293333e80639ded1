/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch of commands may end with a close that the host makes only when the thread has its next action, so after the next
 * batch's descriptors were passed. The transport here is a stub that keeps a table of descriptors: no mapping may find its number
 * closed, however numbers come round, and no new process may begin with a number that was its parent's.
 */
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/loop_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stub_filter.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define GUARDED_FD 700
#define OTHER_FD 701
#define NUMBERS 1100

/* A thread in its trap door, alone in its host process at first. */
static struct stub {
	struct platform_thread *pt;
	bool *open; /* the table of its process */
	uint64_t held_lo, held_hi; /* the close that waits */
	unsigned mapped, reports;
	struct passed {
		int fd, number;
	} passed[8];
	unsigned npassed;
} stubs[3];
static bool tables[3][NUMBERS];
static struct platform_thread threads[2];
static struct platform_mm mm;

static struct stub *stub_of(uint64_t id)
{
	cr_assert(id >= 1 && id <= 3);
	return &stubs[id - 1];
}

static bool closes(const struct stub_cmd *c)
{
	return c->nr == SYS_close || c->nr == SYS_close_range;
}

static void host_closes(struct stub *s, uint64_t lo, uint64_t hi)
{
	for (uint64_t n = lo; n <= hi && n < NUMBERS; n++)
		s->open[n] = false;
}

/* A thread clones: the new one is there, in its trap door, when the result is. */
static void clones(struct stub *s)
{
	bool thread = (s->pt->mailbox->clone_flags & 0x10000) != 0; /* CLONE_THREAD */
	struct host_proc *proc = thread ? s->pt->proc : list_last(&mm.procs, struct host_proc, mm_link);
	struct platform_thread *child = list_last(&proc->threads, struct platform_thread, proc_link);
	unsigned i = thread ? 1 : 2;

	memcpy(tables[2], s->open, sizeof(tables[2]));
	stubs[i] = (struct stub){.pt = child, .open = thread ? s->open : tables[2]};
	child->call_id = i + 1;
	thread_set_state(child, THREAD_FULL);
	child->event_ready = true;
	thread_set_state(s->pt, THREAD_FULL);
	s->pt->result = 12345;
	s->pt->event_ready = true;
}

/* What stub.c does. */
static void run(struct stub *s, enum stub_action action)
{
	struct mailbox *m = s->pt->mailbox;
	uint64_t n = m->ncmds;

	if (action == STUB_CLONE) {
		clones(s);
		return;
	}
	cr_assert(action == STUB_RUN || action == STUB_RUN_CLOSE);
	m->result = 0;
	for (uint64_t i = 0; i < n; i++) {
		const struct stub_cmd *c = &m->cmds[i];
		uint64_t hi = c->nr == SYS_close_range ? c->args[1] : c->args[0];

		if (c->nr == SYS_mmap && m->result == 0 && !(c->args[3] & MAP_ANONYMOUS)) {
			if (c->args[4] >= NUMBERS || !s->open[c->args[4]])
				m->result = (uint64_t)-EBADF;
			else
				s->mapped++;
		} else if (closes(c) && i + 1 == n && action == STUB_RUN_CLOSE) {
			s->held_lo = c->args[0];
			s->held_hi = hi;
			s->pt->held = true;
			s->reports++;
		} else if (closes(c)) {
			host_closes(s, c->args[0], hi);
		}
	}
	/* What op_done does. */
	cr_assert_eq(s->pt->report_by_close, s->pt->held);
	s->pt->report_by_close = false;
	thread_set_state(s->pt, THREAD_FULL);
	s->pt->result = (int64_t)m->result;
	s->pt->event_ready = true;
}

static void answer(uint64_t id, int64_t value)
{
	run(stub_of(id), (enum stub_action)value);
}

static void proceed(uint64_t id)
{
	struct stub *s = stub_of(id);

	host_closes(s, s->held_lo, s->held_hi);
	run(s, ((struct gate_box *)((char *)s->pt->mailbox + GATE_BOX))->result);
}

static bool model_chooses;

static int pass_fd(uint64_t id, int fd, int at, bool with_answer)
{
	struct stub *s = stub_of(id);
	int number = at >= 0 ? at : 0;

	bool own = at >= (int)STUB_OWN_LO && at < (int)STUB_OWN_HI;

	cr_assert(!with_answer && (fd == GUARDED_FD) == (at >= 0 && !own));
	cr_assert(!own || model_chooses);
	while (at < 0 && s->open[number])
		number++;
	s->passed[s->npassed++ % 8] = (struct passed){fd, number};
	s->open[number] = true;
	return number;
}

static const struct stub_transport model = {.answer = answer, .proceed = proceed, .pass_fd = pass_fd};

static void begin(void)
{
	int err;

	cr_assert_eq(loop_init(), 0);
	transport = &model;
	cr_assert(native_guard_fd(GUARDED_FD, true));
	for (unsigned i = 0; i < 2; i++) {
		struct platform_thread *pt = &threads[i];

		stubs[i] = (struct stub){.pt = pt, .open = tables[i]};
		list_init(&pt->gate_link);
		list_init(&pt->narrow_link);
		stubs_thread_timer_init(pt);
		pt->mailbox = host_mmap(MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &err);
		cr_assert_not_null(pt->mailbox);
		pt->call_id = i + 1;
		thread_set_state(pt, THREAD_FULL);
	}
}

static int map(struct stub *s, int fd)
{
	struct platform_mm_cmd cmd = {
		.op = PLATFORM_MMAP, .addr = 0x10000, .len = 0x1000, .prot = PROT_READ, .flags = MAP_PRIVATE, .host_fd = fd};

	cr_assert_eq(native_queue(s->pt, &cmd), 0);
	return native_flush(NULL, s->pt);
}

/* While one process's close waits the others use all other numbers: its next batch gets the same one again. */
Test(held_close, is_not_of_a_number_that_comes_round)
{
	begin();
	for (unsigned turn = 0; turn < 3; turn++) {
		cr_assert_eq(map(&stubs[0], GUARDED_FD), 0);
		for (unsigned i = STUB_GUARDED_LO + 1; i < STUB_GUARDED_HI; i++)
			cr_assert_eq(map(&stubs[1], GUARDED_FD), 0);
	}
	cr_assert_eq(map(&stubs[0], GUARDED_FD), 0);
	cr_assert_eq(stubs[0].mapped, 4);
	for (unsigned i = STUB_GUARDED_LO; i < STUB_GUARDED_HI; i++)
		cr_assert(!stubs[0].open[i] && !stubs[1].open[i]);
}

/* Of any other it is the report, and the table has one such file at most. */
Test(held_close, reports_otherwise)
{
	unsigned n = 0;

	begin();
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(map(&stubs[0], OTHER_FD), 0);
	cr_assert_eq(stubs[0].reports, 5);
	for (unsigned i = 0; i < NUMBERS; i++)
		n += stubs[0].open[i];
	cr_assert_eq(n, 1);
	/* It is closed when something else is commanded. */
	cr_assert_eq(map(&stubs[0], GUARDED_FD), 0);
	for (unsigned i = 0; i < NUMBERS; i++)
		cr_assert(!stubs[0].open[i]);
}

/* What another thread of the parent was handed is in a child's table until the child goes on, and not after that. */
Test(held_close, is_made_in_a_child_that_copies_the_table)
{
	struct task parent = {.pt = &threads[0]}, thread = {0}, child = {0};
	struct regs regs = {0};
	unsigned n = 0;

	begin();
	ref_init(&mm.ref);
	list_init(&mm.procs);
	list_init(&mm.dying);
	list_init(&mm.spares);
	list_init(&mm.windows);
	mm.areas[0] = mm.areas_made = 1;
	threads[0].proc = proc_new(12344, &mm);
	cr_assert_not_null(threads[0].proc);
	list_init(&threads[0].proc_link);
	list_add_tail(&threads[0].proc->threads, &threads[0].proc_link);
	cr_assert_eq(stubs_clone(&parent, &thread, PLATFORM_CLONE_THREAD, &regs), 0);
	cr_assert_eq(thread.pt, stubs[1].pt);
	cr_assert_eq(map(&stubs[0], GUARDED_FD), 0); /* nothing of the first's is open */

	cr_assert_eq(map(&stubs[1], OTHER_FD), 0);
	cr_assert_eq(stubs[1].reports, 1);
	cr_assert_eq(stubs_clone(&parent, &child, PLATFORM_CLONE_VFORK, &regs), 0);
	cr_assert_eq(child.pt, stubs[2].pt);
	for (unsigned i = 0; i < NUMBERS; i++)
		n += tables[2][i];
	cr_assert_gt(n, 0);
	cr_assert_eq(native_flush(NULL, child.pt), 0);
	for (unsigned i = 0; i < NUMBERS; i++)
		cr_assert(!tables[2][i]);
}

/* ---- numbers that are closed unasked ---- */

static const struct stub_transport chooses = {.answer = answer, .proceed = proceed, .pass_fd = pass_fd, .chooses_number = true};

static void queue(struct stub *s, int fd, int flags, uint64_t at)
{
	struct platform_mm_cmd cmd = {
		.op = PLATFORM_MMAP, .addr = at, .len = 0x1000, .prot = PROT_READ, .flags = flags, .host_fd = fd, .off = at};

	cr_assert_eq(native_queue(s->pt, &cmd), 0);
}

static bool is_own(uint64_t number)
{
	return number >= STUB_OWN_LO && number < STUB_OWN_HI;
}

/* What was loaded last: each command that is asked for is expected, none names a number that is closed unasked. */
static unsigned asked_for(const struct stub *s)
{
	const struct mailbox *m = s->pt->mailbox;
	unsigned n = 0;

	for (uint64_t i = 0; i < m->ncmds; i++) {
		const struct stub_cmd *c = &m->cmds[i];

		if (stub_filter_free(c->nr, c->args))
			continue;
		n++;
		cr_assert(!is_own(c->nr == SYS_mmap ? c->args[4] : c->args[0]));
		cr_assert(c->nr != SYS_close_range || c->args[1] < STUB_OWN_LO);
	}
	cr_assert_eq(s->pt->nexpected, n);
	s->pt->nexpected = s->pt->expected_next = 0;
	return n;
}

static uint64_t number_of(const struct stub *s, unsigned i)
{
	return s->pt->mailbox->cmds[i].args[4];
}

static void begin_choosing(void)
{
	begin();
	transport = &chooses;
	model_chooses = true;
	threads[0].area = 0;
	threads[1].area = 7;
}

Test(own_numbers, are_for_private_mappings_and_no_others)
{
	struct stub *s = &stubs[0];

	begin_choosing();
	queue(s, OTHER_FD, MAP_PRIVATE, 0x10000);
	cr_assert(native_load(s->pt));
	cr_assert_eq(asked_for(s), 0);
	cr_assert(is_own(number_of(s, 0)));

	queue(s, OTHER_FD, MAP_SHARED, 0x10000);
	cr_assert(native_load(s->pt));
	cr_assert_eq(asked_for(s), 2);

	queue(s, GUARDED_FD, MAP_PRIVATE, 0x10000);
	cr_assert(native_load(s->pt));
	cr_assert_eq(asked_for(s), 2);

	/* The same file in both ways is passed twice. */
	queue(s, OTHER_FD, MAP_PRIVATE, 0x10000);
	queue(s, OTHER_FD, MAP_SHARED, 0x30000);
	cr_assert(native_load(s->pt));
	cr_assert_eq(asked_for(s), 2);
	cr_assert(is_own(number_of(s, 0)) && !is_own(number_of(s, 1)));
}

Test(own_numbers, are_each_threads_own)
{
	uint64_t seen[4];

	begin_choosing();
	for (unsigned i = 0; i < 2; i++) {
		queue(&stubs[i], OTHER_FD, MAP_PRIVATE, 0x10000);
		queue(&stubs[i], OTHER_FD + 1, MAP_PRIVATE, 0x30000);
		queue(&stubs[i], OTHER_FD + 2, MAP_PRIVATE, 0x50000);
		cr_assert(native_load(stubs[i].pt));
		seen[2 * i] = number_of(&stubs[i], 0);
		seen[2 * i + 1] = number_of(&stubs[i], 1);
		cr_assert(is_own(seen[2 * i]) && is_own(seen[2 * i + 1]) && !is_own(number_of(&stubs[i], 2)));
		cr_assert_eq(asked_for(&stubs[i]), 1); /* the third's close */
	}
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < i; k++)
			cr_assert_neq(seen[i], seen[k]);
	/* There are no more numbers than that. */
	threads[1].area = 8;
	queue(&stubs[1], OTHER_FD, MAP_PRIVATE, 0x10000);
	cr_assert(native_load(stubs[1].pt));
	cr_assert_eq(asked_for(&stubs[1]), 1);
}

/* A file that the host would put there isn't mapped by that number, however it is to be mapped. */
Test(own_numbers, are_not_the_hosts_to_give)
{
	struct stub *s = &stubs[0];

	begin_choosing();
	for (unsigned i = 0; i < STUB_OWN_LO; i++)
		s->open[i] = true;
	queue(s, OTHER_FD, MAP_SHARED, 0x10000);
	cr_assert(native_load(s->pt));
	cr_assert(!is_own(number_of(s, 0)));
	cr_assert_geq(number_of(s, 0), STUB_OWN_HI);
	cr_assert_eq(asked_for(s), 1); /* the mapping, which fails; the close is free */
}

/* Where a report is wanted the close that is asked for is the report. */
Test(own_numbers, are_not_used_for_a_report)
{
	begin_choosing();
	cr_assert_eq(map(&stubs[0], OTHER_FD), 0);
	cr_assert_eq(stubs[0].reports, 1);
	cr_assert(!is_own((uint64_t)stubs[0].passed[0].number));
}

/* Who leaves one out is refused, as often as it tries. */
Test(held_close, stays_owed)
{
	struct platform_thread *pt = &threads[0];
	uint64_t args[6] = {5};

	begin();
	stubs_expect(pt, SYS_munmap, 1, args);
	cr_assert(stubs_forget_expected(pt));
	cr_assert_eq(pt->nexpected, 0);
	stubs_expect(pt, SYS_munmap, 1, args);
	stubs_expect(pt, SYS_close, 1, args);
	for (unsigned i = 0; i < 3; i++) {
		cr_assert(!stubs_forget_expected(pt));
		cr_assert(stubs_owes_close(pt));
	}
	pt->expected_next = pt->nexpected;
	cr_assert(stubs_forget_expected(pt));
}
