/* SPDX-License-Identifier: Apache-2.0 */
/* The gate, on the sentry's side: see gate.c. */
#ifndef SENTRY_PLATFORM_STUBS_GATE_H
#define SENTRY_PLATFORM_STUBS_GATE_H

#include "sentry/base/types.h"
#include "sentry/platform/platform.h"
#include "sentry/platform/stub/abi.h"

struct platform_thread;
struct stub_call;
struct task;

/* Before the zygote is made: the read-only page. The descriptor to map in stubs (close it then), or -errno. */
int gate_boot(void) must_check;
/* gate_spec.c: what the shim must know of call nr. */
void gate_spec_fill(struct gate_spec *out, int nr);

/* A doorbell call STUB_GATE_WAIT. False: nothing of ours waits there, the stub broke the protocol. */
bool gate_wait_call(struct platform_thread *pt, const struct stub_call *c) must_check;
/* Answers the request in hand: action and value. The thread's state becomes next. */
void gate_reply(struct platform_thread *pt, enum gate_action action, int64_t value, int next_state);
/* The event in hand takes a while, or its task goes to sleep: the shim need not guess. */
void gate_slow(struct platform_thread *pt);
void gate_blocked(struct platform_thread *pt);
/* A thread in the trap door whose task has ended waits for its next one. */
void gate_idle(struct platform_thread *pt);
/* The thread's clone has found an idle one, or none: its shim is told how the next may come. */
void gate_idlers(struct platform_thread *pt, bool any);
/* The sleeper is about to be woken by what waker does. */
void gate_woken_by(struct platform_thread *sleeper, struct platform_thread *waker);
/* Op: see platform.h. */
void gate_wakes(struct task *sleeper, const struct task *waker);
/* The thread's box served another one before: what was said there of that one is forgotten. */
void gate_fresh(struct platform_thread *pt);
/* The call writes to these bytes of its caller's memory: what came along from there is old. */
void gate_forget_overlapping(struct platform_thread *pt, uint64_t addr, size_t len);
/* Answers the trap door's bell. */
void gate_answer(struct platform_thread *pt, int64_t action);
/* Makes the waiting thread wait in a doorbell call, so that a descriptor can be passed (sleeps). False if it died. */
bool gate_to_call(struct platform_thread *pt) must_check;

/*
 * gate_stream.c: moves len bytes between the guest's memory at addr and vec, through the shim of the thread, which waits for the
 * call in hand. How many it moved, from the first on: the rest is to be moved in another way, and whether it can be only that tells.
 */
size_t gate_stream(struct platform_thread *pt, bool out, uint64_t addr, const struct platform_bytes *vec, size_t len)
	must_check;
/* True if the shim waits to carry something. */
bool gate_may_stream(const struct platform_thread *pt);
/*
 * A small copy from a buffer of which `there` bytes begin at addr: from what has been fetched of it, or is now. False: it is to be
 * copied in another way.
 */
bool gate_fetch(struct platform_thread *pt, void *dst, uint64_t addr, size_t len, uint64_t there);
/* The call writes, or was flushed. */
void gate_fetched_old(const struct platform_thread *pt);

/* gate_copy.c: memcpy for guests' bytes. */
void gate_copy(void *to, const void *from, size_t len);
/* The same of what the other CPU has written. */
void gate_copy_near(void *to, const void *from, size_t len);
/* The same past the caches, for the other CPU. dst is a multiple of 16. */
void gate_copy_away(char *dst, const char *src, size_t len);
/* The thread's last answer was on its way for so many ticks (us: of a microsecond), to the shim and back. */
void gate_distance(const struct platform_thread *pt, uint64_t ticks, uint64_t us);
/* Whether a segment of GATE_AWAY_MIN and more goes past the caches. Asked for each: what doesn't has no say in it. */
bool gate_far(struct platform_thread *pt);

/* A stream's shim didn't carry: its CPU is needed for something else. */
void gate_stalled(struct platform_thread *pt);
/* No line of the box's asks for a piece any more: neither a stream that stalled nor the last thread that had the mailbox. */
void gate_stream_forget(struct platform_thread *pt);
/* A moment's wait for the shim that has this box; what fuzzers act in. */
void gate_stream_pause(struct gate_box *box);
uint64_t gate_ticks_us(void);

/* The word by which the shim is made to enter the trap door. */
uint32_t *gate_pending(struct platform_thread *pt);

/* Ops: see platform.h. */
bool gate_copy_in(struct task *task, void *dst, uint64_t addr, size_t len);
int64_t gate_copy_string(struct task *task, char *dst, uint64_t addr, size_t size);
bool gate_copy_out(struct task *task, uint64_t addr, const void *src, size_t len);
void gate_flush(struct task *task);
void gate_know(struct task *task, int nr, int64_t value);
void gate_futex_woke(void);
void gate_locked(bool locks);
uint16_t gate_futex_waits(struct task *task, uint64_t addr);
void gate_futex_waited(uint16_t counted);
void gate_forget(struct task *task);
void gate_mask_out(struct task *task, uint64_t mask, const struct platform_words *words, bool attention, bool alone);
bool gate_mask_look(const struct task *task, uint64_t *mask, struct platform_words *words);
bool gate_mask_hold(struct task *task, uint64_t *mask, struct platform_words *words);
bool gate_mask_in(struct task *task, uint64_t *mask, struct platform_words *words);
bool gate_tell(struct task *task, const struct platform_told *told);
void gate_tell_ids(struct task *task, const struct platform_ids *ids);
void gate_plain_actions(struct task *task, uint64_t set, bool shared);
bool gate_actions_in(struct task *task, uint64_t *set, uint64_t *restorer);
void gate_altstack(struct task *task, uint64_t sp, uint64_t size, uint32_t flags);
bool gate_call_regs(const struct task *task, int64_t value, struct regs *regs);
bool gate_jump(struct task *task, const struct regs *regs, uint64_t fpstate, uint64_t at, const void *frame, size_t len);

#endif
