/* SPDX-License-Identifier: Apache-2.0 */
/* A box that has served another thread: nothing of that one may look like the next one's. */
#include "sentry/kernel/task.h"
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/stubs.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

Test(gate_fresh, a_dead_threads_bell_is_not_its_successors)
{
	struct mailbox *mailbox = calloc(1, MAILBOX_SIZE);
	struct gate_box *box = (struct gate_box *)((char *)mailbox + GATE_BOX);
	struct platform_thread to_come = {.mailbox = mailbox}, idle = {.mailbox = mailbox, .tid = 17};

	box->state = GATE_REQUEST;
	box->known = 3;
	box->pending = 1;
	/* An idle thread waits in its trap door: its bell is its own. */
	gate_fresh(&idle);
	cr_assert(eq(u32, box->state, GATE_REQUEST));
	cr_assert(eq(u32, box->known, 0));
	cr_assert(eq(u32, box->pending, 0));
	gate_fresh(&to_come);
	cr_assert(eq(u32, box->state, GATE_IDLE));
	free(mailbox);
}

/* A shim waits for the line of a place to say n + 1: what the last thread's streams left there never does. */
Test(gate_fresh, a_dead_threads_pieces_are_not_its_successors)
{
	struct mailbox *mailbox = calloc(1, MAILBOX_SIZE);
	struct gate_box *box = (struct gate_box *)((char *)mailbox + GATE_BOX);
	struct platform_thread to_come = {.mailbox = mailbox}, idle = {.mailbox = mailbox, .tid = 17, .stream_next = 4};
	struct platform_thread *both[] = {&to_come, &idle};

	for (unsigned i = 0; i < 2; i++) {
		uint32_t next = both[i]->stream_next;

		for (uint32_t n = next; n < next + GATE_PIECES; n++)
			box->pieces[n % GATE_PIECES].number = n + 1;
		gate_fresh(both[i]);
		for (uint32_t n = next; n < next + GATE_PIECES; n++)
			cr_assert(ne(u32, box->pieces[n % GATE_PIECES].number, n + 1));
	}
	free(mailbox);
}

/* What a box says of its thread's umask is nine bits, and nothing where others share it. */
Test(gate_fresh, a_shared_umask_is_not_in_the_box)
{
	struct mailbox *mailbox = calloc(1, MAILBOX_SIZE);
	struct gate_box *box = (struct gate_box *)((char *)mailbox + GATE_BOX);
	struct platform_thread pt = {.mailbox = mailbox};
	struct task task = {.pt = &pt};
	struct platform_words words = {.umask = 022};
	uint64_t mask;

	gate_on = true;
	gate_fresh(&pt);
	cr_assert(ne(u32, box->umask & ~GATE_UMASK, 0));
	cr_assert(not(gate_mask_look(&task, &mask, &words)));
	gate_mask_out(&task, 0, &words, false, true);
	cr_assert(eq(u32, box->umask, 022));
	box->umask = 0xffff0000 | 027;
	cr_assert(gate_mask_in(&task, &mask, &words));
	cr_assert(eq(u32, words.umask, 027));
	words.umask = PLATFORM_ASK;
	gate_mask_out(&task, 0, &words, false, true);
	cr_assert(ne(u32, box->umask & ~GATE_UMASK, 0));
	box->umask = 0;
	cr_assert(gate_mask_in(&task, &mask, &words));
	cr_assert(eq(u32, words.umask, PLATFORM_ASK));
	/* It is said again, whatever is there. */
	words.umask = 077;
	gate_mask_out(&task, 0, &words, false, true);
	cr_assert(eq(u32, box->umask, 077));
	free(mailbox);
}
