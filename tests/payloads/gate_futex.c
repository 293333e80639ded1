/* SPDX-License-Identifier: Apache-2.0 */
/* What the shim believes of private futexes lies in the guest's own memory: counts of who waits, who spins, who has woken last, the
 * salt. In a child each they are scribbled over while threads wait for each other: those may lose wakes or make calls for
 * nothing, and nobody else notices. */
#include "gate.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

PAYLOAD("scribble over what tells the gate who waits on a futex", "--timeout 110s", "exit 0");

static volatile uint32_t words[64];

static long futex(volatile uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

static void *waits(void *arg)
{
	volatile uint32_t *word = arg;

	for (uint32_t i = 0; i < 3000; i++) {
		(void)futex(word, FUTEX_WAIT_PRIVATE, 0);
		*word = 0;
		word[1] = 1;
		(void)futex(word + 1, FUTEX_WAKE_PRIVATE, 1);
	}
	return NULL;
}

static void attack(unsigned what, uint64_t area)
{
	volatile struct gate_mm *mm = (volatile struct gate_mm *)STUB_MM;
	volatile struct gate_box *box = BOX(area);
	pthread_t t[2];

	end_soon();
	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, waits, (void *)&words[i * 8]) != 0)
			_exit(0);
	for (uint32_t i = 0;; i++) {
		switch (what % 6) {
		case 0:
			memset((void *)STUB_MM, (int)i, STUB_MM_SIZE);
			break;
		case 1:
			memset((void *)STUB_MM, 0, STUB_MM_SIZE);
			break;
		case 2:
			mm->spinners = what & 1 ? 0x80000000 : i;
			break;
		case 3:
			for (unsigned k = 0; k < GATE_MM_PLACES; k++)
				mm->places[k].waker = i * 0x10001;
			break;
		case 4:
			box->futex_salt = i * 0x9e3779b97f4a7c15UL;
			break;
		default:
			/* Everybody's, not only ours. */
			for (uint64_t a = STUB_AREAS; a < STUB_AREAS + 3 * AREA_SIZE; a += AREA_SIZE) {
				BOX(a)->futex_salt += i;
				BOX(a)->spin_skip = 0;
				BOX(a)->spin_level = i;
				BOX(a)->spin_trial = i;
				BOX(a)->local = ~0UL;
				BOX(a)->futexes += 0x100000;
			}
			break;
		}
		words[i % 16] = i & 1;
		(void)futex(&words[i % 16], i & 2 ? FUTEX_WAKE_PRIVATE : FUTEX_WAIT_PRIVATE, (~i & 1) + 2);
	}
}

int main(void)
{
	warm_up();
	if (own_area() == 0)
		return 0;
	honest_begin();
	attack_each(120, attack);
	honest_end();
	return 0;
}
