/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bells: who wakes threads whose calls sleep while the sentry polls.
 *
 *	shim: nap() on gate_ro.bells[n]  <-- futex wake --  the waker's shim: run_errand(), told by its box; or bell_wake(), ours
 *
 * Threads that sleep in calls while we poll do so on a word each of the read-only page, which we change and somebody has to wake.
 * Best the thread whose call it was that ended the sleep: it runs on the CPU where the sleeper shall run, or is about to leave it
 * free, and we go on with its next call. It is told with that call's answer, or the last one's if that is still to come; if it
 * doesn't come for it within ERRAND_US, we do it ourselves; also if it has come and lost its CPU before it did it (TOLD_US).
 * Whoever is told and doesn't do it keeps nobody waiting for longer than a nap, and nobody but those whom its own calls wake.
 *
 * The guest controls what its shims do: it can sleep on any bell and wake any, in every process of the sandbox. A thread that
 * doesn't hear its bell loses it (bell_give_up) and sleeps on a word of its own mailbox for a while, longer each time. On a busy
 * machine that happens to honest ones too, which then are woken by us, at twice the cost: so not for good.
 */
#include "sentry/platform/stubs/bell.h"

#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/gate.h"

#include <sys/syscall.h>

static struct platform_thread *bells[GATE_BELLS];
static unsigned nbells, last_bell;
struct errand errand;
/* Who was told last, and when: it may have lost its CPU. One that another was told after has been heard of since, mostly. */
static struct platform_thread *told;
static uint64_t told_at; /* ticks */

bool bell_new(struct platform_thread *pt)
{
	/* One that sleeps already does so on its own word. */
	if (nbells >= GATE_BELLS - 1 || pt->slept)
		return false;
	if (pt->bell_skip != 0) {
		pt->bell_skip--;
		return false;
	}
	nbells++;
	do
		last_bell = last_bell % (GATE_BELLS - 1) + 1;
	while (bells[last_bell] != NULL);
	bells[last_bell] = pt;
	pt->bell = (uint16_t)last_bell;
	box_of(pt)->bell = pt->bell;
	return true;
}

void bell_wake(struct platform_thread *sleeper)
{
	host_futex_wake(sleeper->bell != 0 ? &gate_ro->bells[sleeper->bell] : &box_of(sleeper)->state);
}

static void errand_forget(void)
{
	errand.sleeper = errand.waker = NULL;
}

void errand_do(void)
{
	if (errand.sleeper == NULL)
		return;
	bell_wake(errand.sleeper);
	errand_forget();
}

void errand_tell(struct platform_thread *pt)
{
	if (errand.waker != pt || pt->gate_waits || pt->slept)
		return;
	__atomic_store_n(&box_of(pt)->errand, errand.sleeper->bell, __ATOMIC_RELAXED);
	told = pt;
	told_at = __builtin_ia32_rdtsc();
	errand_forget();
}

void errand_back(struct platform_thread *pt)
{
	uint32_t bell = __atomic_exchange_n(&box_of(pt)->errand, 0, __ATOMIC_SEQ_CST);

	if (bell != 0)
		host_futex_wake(&gate_ro->bells[bell % GATE_BELLS]);
}

void errand_late(uint64_t now, uint64_t ticks_us)
{
	if (errand.sleeper != NULL && now - errand.since > ERRAND_US * ticks_us)
		errand_do();
	if (told != NULL && now - told_at > TOLD_US * ticks_us) {
		errand_back(told);
		told = NULL;
	}
}

bool errand_give(struct platform_thread *sleeper)
{
	struct platform_thread *waker = bells[sleeper->woken_by];

	if (!gate_polls() || waker == NULL || waker == sleeper || waker->gate_waits || waker->slept || sleeper->bell == 0 ||
	    (waker->state != THREAD_GUEST && waker->state != THREAD_GATE && !(waker->state == THREAD_FULL && waker->by_box)))
		return false;
	errand_do();
	errand.sleeper = sleeper;
	errand.waker = waker;
	errand.since = __builtin_ia32_rdtsc();
	return true;
}

/* Whoever ends a program by its call, and wakes its parent so, is nobody's partner. */
static bool in_turns(const struct platform_thread *waker)
{
	int nr = waker->event.nr;

	return (waker->state == THREAD_GATE || waker->state == THREAD_FULL) && nr != SYS_exit_group && nr != SYS_execve &&
	       nr != SYS_execveat;
}

void gate_woken_by(struct platform_thread *sleeper, struct platform_thread *waker)
{
	sleeper->in_turn = waker != NULL && in_turns(waker);
	sleeper->woken_by = waker != NULL && gate_polling() && (waker->bell != 0 || bell_new(waker)) ? waker->bell : 0;
}

void gate_wakes(struct task *sleeper, const struct task *waker)
{
	if (sleeper->pt != NULL)
		gate_woken_by(sleeper->pt, waker != NULL ? waker->pt : NULL);
}

void bell_free(struct platform_thread *pt)
{
	if (errand.waker == pt)
		errand_do();
	if (errand.sleeper == pt)
		errand_forget();
	if (told == pt)
		told = NULL;
	if (pt->bell == 0)
		return;
	errand_back(pt);
	bells[pt->bell] = NULL;
	nbells--;
	pt->bell = 0;
}

#define SKIP_FIRST 16U
#define SKIP_STEPS 8U
#define HEARD_OFTEN 64U

void bell_heard(struct platform_thread *pt)
{
	pt->bell_rung = false;
	if (pt->bell_losses != 0 && ++pt->bell_hearings % HEARD_OFTEN == 0)
		pt->bell_losses--;
}

/*
 * It has slept through its bell, whatever the reason: its CPU was taken, the one who should have woken it didn't, or somebody
 * else sleeps on the same word and took the wake. Its next sleeps are on its own, which nobody else maps: twice as many each
 * time, and half as many when it has heard its bell often enough since.
 */
void bell_give_up(struct platform_thread *pt)
{
	bell_free(pt);
	pt->bell_rung = false;
	pt->bell_skip = SKIP_FIRST << pt->bell_losses;
	pt->bell_losses += pt->bell_losses < SKIP_STEPS;
	box_of(pt)->bell = 0;
}
