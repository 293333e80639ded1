/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel stacks and the switch between them.
 *
 * A coroutine lives on its own stack: its control block sits at the top, a PROT_NONE page below the bottom turns an
 * overflow into a crash of the sentry (which ends the sandbox). Stacks of ended coroutines are kept, up to a few, because
 * mapping one costs more than a fork's other bookkeeping.
 */
#include "sentry/kernel/coroutine.h"

#include "sentry/base/alloc.h"
#include "sentry/host/host.h"

#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#define STACK_SIZE (512 * KiB) /* its frames are several times as large */
#else
#define STACK_SIZE (64 * KiB)
#endif
#define POOL_MAX 32

struct coroutine {
	void *sp;
	void (*fn)(void *);
	void *arg;
	struct coroutine *next_free;
};

void coroutine_switch(void **save_sp, void *load_sp);

/* AddressSanitizer must be told which stack we are on. */
#ifdef __SANITIZE_ADDRESS__
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size);
void __asan_unpoison_memory_region(const volatile void *addr, size_t size);
static const void *loop_bottom;
static size_t loop_size;
#define LEAVE_TO(save, bottom, size) __sanitizer_start_switch_fiber(save, bottom, size)
#define ARRIVED(save, bottom, size) __sanitizer_finish_switch_fiber(save, bottom, size)
/* A coroutine that ended left the marks of its last frames behind. */
#define FORGET(base) __asan_unpoison_memory_region((base) + PAGE_SIZE, STACK_SIZE)
#else
#define FORGET(base) ((void)(base))
#define LEAVE_TO(save, bottom, size) ((void)(save))
#define ARRIVED(save, bottom, size) ((void)(save))
#endif

static struct coroutine *current;
static void *loop_sp;
static struct coroutine *pool;
static unsigned pool_count;
static struct coroutine *ended; /* its stack is still in use until the loop runs again */

static char *stack_base(struct coroutine *co)
{
	return (char *)(co + 1) - STACK_SIZE - PAGE_SIZE;
}

static struct coroutine *stack_get(void)
{
	struct coroutine *co = pool;
	char *base;
	int err;

	if (co != NULL) {
		pool = co->next_free;
		pool_count--;
		return co;
	}
	if (!alloc_charge(STACK_SIZE))
		return NULL;
	base = host_mmap(STACK_SIZE + PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0,
			 &err);
	if (base == NULL) {
		alloc_uncharge(STACK_SIZE);
		return NULL;
	}
	host_mprotect(base, PAGE_SIZE, PROT_NONE);
	return (struct coroutine *)(base + PAGE_SIZE + STACK_SIZE) - 1;
}

static void stack_put(struct coroutine *co)
{
	FORGET(stack_base(co));
	if (pool_count < POOL_MAX) {
		co->next_free = pool;
		pool = co;
		pool_count++;
		return;
	}
	host_munmap(stack_base(co), STACK_SIZE + PAGE_SIZE);
	alloc_uncharge(STACK_SIZE);
}

static _Noreturn void entry(void)
{
	ARRIVED(NULL, &loop_bottom, &loop_size);
	current->fn(current->arg);
	PANIC("a coroutine returned");
}

struct coroutine *coroutine_new(void (*fn)(void *), void *arg)
{
	struct coroutine *co = stack_get();
	uint64_t *sp;

	if (co == NULL)
		return NULL;
	co->fn = fn;
	co->arg = arg;
	/* As if entry() had been called from nowhere: six registers, the address, alignment as after a call. */
	sp = (uint64_t *)((uintptr_t)co & ~15UL);
	*--sp = 0;
	*--sp = (uint64_t)entry;
	for (int i = 0; i < 6; i++)
		*--sp = 0;
	co->sp = sp;
	return co;
}

void coroutine_resume(struct coroutine *co)
{
	void *fake = NULL;

	invariant(current == NULL);
	current = co;
	LEAVE_TO(&fake, stack_base(co) + PAGE_SIZE, STACK_SIZE);
	coroutine_switch(&loop_sp, co->sp);
	ARRIVED(fake, NULL, NULL);
	current = NULL;
	if (ended != NULL) {
		stack_put(ended);
		ended = NULL;
	}
}

void coroutine_suspend(void)
{
	struct coroutine *co = current;
	void *fake = NULL;

	invariant(co != NULL);
	LEAVE_TO(&fake, loop_bottom, loop_size);
	coroutine_switch(&co->sp, loop_sp);
	ARRIVED(fake, &loop_bottom, &loop_size);
}

void coroutine_exit(void)
{
	invariant(current != NULL && ended == NULL);
	ended = current;
	LEAVE_TO(NULL, loop_bottom, loop_size);
	coroutine_switch(&current->sp, loop_sp);
	__builtin_unreachable();
}

struct coroutine *coroutine_current(void)
{
	return current;
}
