/* SPDX-License-Identifier: Apache-2.0 */
/* The word by which trampolines find the shim, and the area it works on, are the guest's to set: to memory of its own, to
 * nothing, into the middle of the shim, to another thread's area. It confuses itself; in a child each. */
#include "gate.h"

PAYLOAD("lead the gate's jumps and its area astray", "--timeout 110s", "exit 0");

static struct {
	struct gate_local local;
	char rest[4096];
} fake;

static void set_gs(const void *base)
{
	__asm__ volatile("wrgsbase %0" ::"r"(base) : "memory");
}

static void attack(unsigned what, uint64_t area)
{
	struct gate_local *own = (struct gate_local *)(area + AREA_LOCAL);
	char c;

	end_soon();
	fake.local = *own;
	switch (what % 8) {
	case 0:
		set_gs(NULL);
		break;
	case 1:
		fake.local.entry += what; /* somewhere in the shim */
		set_gs(&fake);
		break;
	case 2:
		fake.local.mailbox = (uint64_t)&fake;
		set_gs(&fake);
		break;
	case 3:
		fake.local.mailbox = STUB_RO;
		set_gs(&fake);
		break;
	case 4:
		fake.local.stack = area + MAILBOX_SIZE - 64; /* the shim's stack in its own mailbox */
		set_gs(&fake);
		break;
	case 5:
		own->mailbox += AREA_SIZE;
		break;
	case 6:
		memset((void *)(area + AREA_STACK - 65536), (int)what, 65536); /* with the shim's stack */
		break;
	default:
		own->entry = STUB_BASE + what * 16;
		break;
	}
	for (int i = 0; i < 50; i++) {
		getppid();
		(void)!read(-1, &c, 1);
		munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
	}
	_exit(0);
}

int main(void)
{
	warm_up();
	if (own_area() == 0)
		return 0;
	honest_begin();
	attack_each(320, attack);
	honest_end();
	return 0;
}
