/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Platforms: how guest code runs natively and how its system calls, faults and interruptions come to the sentry.
 *
 * A platform_mm is a host address space with at least one host thread in it; a platform_thread is a host thread that
 * runs one task's guest code. Backends fill one ops table (platform_ops); callers use the inline wrappers and never
 * name a backend. Handlers don't know how a call arrived:
 *
 *   plain event    number and arguments are known; only a value can go back (USER_NOTIF)
 *   full event     the thread stands in the trap door: its whole context is known and can be changed, and native calls
 *                  can be commanded in its address space (SECCOMP_RET_TRAP, faults, kicks)
 *
 * syscalls/table.def says which calls are TRAP, so that their handlers find a full event. Everything a thread reports is
 * guest-controlled: registers, addresses, even the results of commanded calls.
 */
#ifndef SENTRY_PLATFORM_PLATFORM_H
#define SENTRY_PLATFORM_PLATFORM_H

#include "sentry/base/types.h"

struct task;
struct platform_mm;
struct platform_thread;
struct platform_loan;

/* The stub region: nothing of the guest lies at or above STUB_BASE. See sentry/platform/stub/abi.h. */
#define GUEST_MIN 0x10000UL
#define GUEST_END 0x7ffe00000000UL /* first address that is not the guest's */

/* A thread's general registers; amd64 sigcontext order where it matters is the platform's business. */
struct regs {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint64_t fs_base, gs_base;
	uint64_t orig_rax; /* the call number for a syscall event, else -1 */
};

enum platform_event_kind {
	PLATFORM_SYSCALL,     /* nr, args */
	PLATFORM_FAULT,       /* sig, code, addr, trapno, error_code: a full event */
	PLATFORM_INTERRUPTED, /* platform_kick arrived: a full event */
	PLATFORM_DEAD,        /* the host thread is gone (killed from outside, or it broke the protocol) */
};

struct platform_event {
	enum platform_event_kind kind;
	bool full;
	bool gate; /* it came over shared memory: ip is the guest's word */
	int nr;
	uint64_t args[6];
	uint64_t ip;
	int sig, code;
	uint64_t addr, trapno, error_code;
};

enum platform_clone_kind {
	PLATFORM_CLONE_THREAD, /* same mm, same process */
	PLATFORM_CLONE_VM,     /* same mm, other process */
	PLATFORM_CLONE_VFORK,  /* ... and the parent sleeps until the child has left it: see reclaim */
	PLATFORM_CLONE_FORK,   /* copy of the mm */
};

/* A commanded native memory call. Host descriptors are passed to the stub for the call only. */
enum platform_mm_op {
	PLATFORM_MMAP,
	PLATFORM_MUNMAP,
	PLATFORM_MPROTECT,
	PLATFORM_MADVISE,
	PLATFORM_MREMAP,
	PLATFORM_MINCORE, /* a byte for each page goes to the guest's memory at new_addr */
};
struct platform_mm_cmd {
	enum platform_mm_op op;
	uint64_t addr, len;
	int prot, flags;   /* MMAP: LINUX_MAP_* (FIXED is added); MADVISE: advice in flags */
	int host_fd;       /* MMAP: -1 or a descriptor of ours, borrowed until the queue is flushed */
	uint64_t off;
	uint64_t new_addr; /* MREMAP: a move of len bytes to new_addr; MINCORE: the result's place */
};

/* Bytes of the sentry's, one of several places. */
struct platform_bytes {
	void *data; /* only read where bytes go to the guest */
	size_t len;
};

/* What set_robust_list, set_tid_address and umask have set. */
struct platform_words {
	uint64_t robust, clear_tid;
	uint32_t umask; /* PLATFORM_ASK: the stub is to ask: others share it, or the call is to be seen */
};
#define PLATFORM_ASK UINT32_MAX

/* Answers to brk(0) and to prlimit64 about the stack's size. */
struct platform_told {
	uint64_t brk; /* 0: the stub is to ask, for others can change it */
	uint64_t stack_cur, stack_max;
};

/* Answers to getpid and the like; tid is set_tid_address's, too. */
struct platform_ids {
	int pid, ppid, tid;
	uint32_t uid, euid, gid, egid;
};

/* A file's contents, in a descriptor of ours, for window_map. id: never another file's, not 0. */
struct platform_window {
	uint64_t id, size;
	int host_fd;
	/* The descriptor, and the object, are to stay until release, which follows later, at any time. */
	void (*hold)(void *object);
	void (*release)(void *object);
	void *object;
};

struct platform_ops {
	const char *name;

	/* Waits (the coroutine sleeps) for the task's next event. */
	void (*next_event)(struct task *task, struct platform_event *ev);
	/* Answers the pending event and lets the guest go on. Plain: value into RAX. Full: the context as it is in
	 * context(); value is ignored. Queued memory commands are carried out on the way; the first that fails ends
	 * them, and its error goes into RAX. */
	void (*resume)(struct task *task, int64_t value);
	/*
	 * The thread's registers, to read and to change. After a plain event this first turns it into a full one, with
	 * RAX = value (sleeps). NULL if the thread died meanwhile.
	 */
	struct regs *(*context)(struct task *task, int64_t value);
	/*
	 * The task is going to sleep for long with its event unanswered: a chance to let its host thread sleep in a way that
	 * costs the others nothing. May sleep. Optional.
	 */
	void (*park)(struct task *task);
	/* sleeper is being woken, by a call of waker's, or by something else (NULL). Optional. */
	void (*wakes)(struct task *sleeper, const struct task *waker);
	/* True if the pending event is a full one. */
	bool (*is_full)(const struct task *task);

	/* Queues a native memory call in pt's address space; full events only. -LINUX_ENOMEM if the queue can't grow. */
	int (*mm_queue)(struct platform_thread *pt, const struct platform_mm_cmd *cmd);
	/*
	 * From now on (on) this descriptor of ours is mapped only as it was commanded, byte for byte: no stub can map another
	 * part of its file while it has it. One such descriptor for all mappings of an address space. False: there are too many.
	 * Off: it is about to be closed, and no stub has it. Optional: where it is NULL, a stub may map all of what it is handed.
	 */
	bool (*guard_fd)(int fd, bool on);
	/* Carries out what is queued, now (sleeps). 0, the first error, or -LINUX_ESRCH if the thread died. */
	int (*mm_flush)(struct task *task, struct platform_thread *pt);

	/* A clean address space with one idle thread in a full event, for exec (sleeps). Returns a reference that belongs to the
	 * caller until exec_commit or thread_kill. */
	struct platform_thread *(*spawn)(struct task *task, int *err);
	/* Makes pt the task's thread, with these registers at its next resume; the old thread ends. */
	void (*exec_commit)(struct task *task, struct platform_thread *pt, const struct regs *regs);
	/* A host thread for child, whose pending event is full with these registers, or its first resume will load them; parent
	 * has a full event, or clone_waits (sleeps). 0, -LINUX_EAGAIN or -LINUX_ENOMEM. */
	int (*clone)(struct task *parent, struct task *child, enum platform_clone_kind kind, const struct regs *regs);
	/*
	 * A vfork's child may run on its parent's host thread, as it runs on its memory (task->loan of the parent is set, its pt is
	 * NULL). It comes back with thread_exit or exec_commit of the child; the parent is woken, and says this before it does
	 * anything else with its thread (sleeps): its registers are what they were. Optional.
	 */
	void (*reclaim)(struct task *parent);
	/* The parent's call came over shared memory, with all that a thread needs (call_regs), and there is a host thread that can be
	 * used for it, until the next sleep. Optional, only with call_regs. */
	bool (*clone_waits)(const struct task *parent);
	/* Ends the task's host thread for good (the whole host process with its last one), or gives it back to whom it belongs.
	 * task->pt and task->loan are NULL then. */
	void (*thread_exit)(struct task *task);
	void (*thread_kill)(struct platform_thread *pt); /* one that belongs to no task yet */
	/* Makes a thread that runs guest code come in with PLATFORM_INTERRUPTED soon. Nothing if it's in the sentry. */
	void (*kick)(struct task *task);

	/* The address space of a thread, counted by it and by whoever holds it. */
	struct platform_mm *(*thread_mm)(struct platform_thread *pt);
	void (*mm_get)(struct platform_mm *pmm);
	void (*mm_put)(struct platform_mm *pmm);
	/* Copies guest memory. Returns the bytes copied before the first that can't be, 0..len: addresses at or above
	 * GUEST_END can't. Obeys the guest's page protections. */
	size_t (*mm_read)(struct platform_mm *pmm, void *dst, uint64_t addr, size_t len);
	size_t (*mm_write)(struct platform_mm *pmm, uint64_t addr, const void *src, size_t len);
	/* The same of len bytes (not more than vec has) that go to or come from several places. Optional: one after the other, if
	 * NULL. */
	size_t (*mm_readv)(struct platform_mm *pmm, const struct platform_bytes *vec, uint64_t addr, size_t len);
	size_t (*mm_writev)(struct platform_mm *pmm, uint64_t addr, const struct platform_bytes *vec, size_t len);
	/*
	 * Bytes that came with the task's call, or go back with its answer, without touching the process. copy_in and
	 * copy_out are false, copy_string is negative (else the length), when the bytes aren't there or don't fit: then
	 * mm_read and mm_write do it. flush_out writes what was put aside to the process now, and forgets what came along.
	 * Optional, all or none.
	 */
	bool (*copy_in)(struct task *task, void *dst, uint64_t addr, size_t len);
	int64_t (*copy_string)(struct task *task, char *dst, uint64_t addr, size_t size);
	bool (*copy_out)(struct task *task, uint64_t addr, const void *src, size_t len);
	void (*flush_out)(struct task *task);
	/*
	 * Windows: contents of a file that one thread reads again and again, mapped for it alone. window_pays: it is about to read so many
	 * bytes of a file of this size in another way; true if it has done so often enough for window_map, which may map it (sleeps).
	 * window_read: how many of len bytes at pos will be at addr when the call in hand returns; the caller has them written in another
	 * way if it is 0. window_drop: the task closes a descriptor of id, or (0) changes its rights: its windows go with the answer to
	 * the call, or, where a thread of its memory may be copying, with that one's next. window_end: pages of id are about to be
	 * taken away, or written: no read is answered by a window on it any more; 0: nor on any other. Optional, all or none.
	 */
	bool (*window_pays)(struct task *task, uint64_t id, uint64_t size, uint64_t bytes);
	void (*window_map)(struct task *task, const struct platform_window *want);
	uint64_t (*window_read)(struct task *task, uint64_t id, uint64_t pos, uint64_t addr, uint64_t len);
	void (*window_drop)(struct task *task, uint64_t id);
	void (*window_end)(uint64_t id);
	/* The answer of call nr may be given by the stub from now on (getpid and the like); until forget. */
	void (*know)(struct task *task, int nr, int64_t value);
	void (*forget)(struct task *task);
	/*
	 * The mask of blocked signals, while the task's thread is in guest code: the stub may change it there. mask_out: it is about
	 * to go there with this one; attention: signals wait, so it must ask; alone: it may change it otherwise. mask_look: what it
	 * is now; false if the thread doesn't have it. mask_hold: as that, and from here on the stub must ask. mask_in: as that, and
	 * the thread has it no longer. words: the same of others that the thread alone sets.
	 */
	void (*mask_out)(struct task *task, uint64_t mask, const struct platform_words *words, bool attention, bool alone);
	bool (*mask_look)(const struct task *task, uint64_t *mask, struct platform_words *words);
	bool (*mask_hold)(struct task *task, uint64_t *mask, struct platform_words *words);
	bool (*mask_in)(struct task *task, uint64_t *mask, struct platform_words *words);
	/* Said behind mask_out with `alone`: what the stub may answer until the thread's next call, or forget. True: it wants the ids,
	 * too, which it then knows until forget. Optional, both or none. */
	bool (*tell)(struct task *task, const struct platform_told *told);
	void (*tell_ids)(struct task *task, const struct platform_ids *ids);
	/* Bit sig - 1: the action of sig is surely the default without flags, which the stub may answer rt_sigaction with. Said when
	 * the thread is about to go to guest code, and while it is there if one is no longer. If nobody shares the actions, the stub
	 * may also make of such an action the default with SA_RESTORER: actions_in says of which, and the restorer, when the
	 * thread has come from guest code; false if of none. Optional, both or none. */
	void (*plain_actions)(struct task *task, uint64_t set, bool shared);
	bool (*actions_in)(struct task *task, uint64_t *set, uint64_t *restorer);
	/* The alternate signal stack, said when the thread is about to go to guest code: the stub may return from a handler by itself
	 * if that doesn't change it. Optional. */
	void (*altstack)(struct task *task, uint64_t sp, uint64_t size, uint32_t flags);
	/* A futex wake or requeue is being served: words that came along with waits are old from now on. Optional. */
	void (*futex_woke)(void);
	/* An address space locks memory (MADV_DONTNEED of a locked mapping is refused: from now on each is to be asked for), or one
	 * of which that was said has no more that is locked. Optional. */
	void (*locked)(bool locks);
	/*
	 * The task begins to wait on its address space's private futex at addr: said before its word is read, for the stub leaves
	 * out wakes of words that nobody waits on. Where it was counted, for futex_waited, which says that it waits there no
	 * longer. Optional, both or none.
	 */
	uint16_t (*futex_waits)(struct task *task, uint64_t addr);
	void (*futex_waited)(uint16_t counted);
	/*
	 * The short way into a signal's handler, for a call that came over shared memory. call_regs copies the registers that
	 * go with the call, whose result is value; false if there is no such way now. jump: instead of returning, the thread
	 * will write len bytes of frame at `at` and its vector state at `fpstate` (fpstate_size() bytes, a multiple of 64, no
	 * part of the frame), begin with a clean one, and go on with regs; false if there is no room for that. Its resume, or
	 * context(), which then gives regs, makes it do so. The caller has seen that the memory can be written; if it is gone
	 * by then, a fault comes instead. Optional, both or none.
	 */
	bool (*call_regs)(const struct task *task, int64_t value, struct regs *regs);
	bool (*jump)(struct task *task, const struct regs *regs, uint64_t fpstate, uint64_t at, const void *frame, size_t len);
	/*
	 * One atomic compare-and-exchange on an aligned word of the task's memory, for futexes (process_vm_writev isn't
	 * atomic). *seen is the value found; the word was exchanged if *seen == old. 0 or -LINUX_EFAULT (unmapped or not
	 * writable). May sleep. Where no thread of the address space can be made to do it, falls back to read, compare and
	 * write: exact only while no other thread of it runs guest code.
	 */
	int (*cmpxchg32)(struct task *task, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *seen);

	/* Vector and x87 state in the kernel's signal-frame layout (XSAVE): size, copy of the full event's state to
	 * guest memory, and back. 0 or -LINUX_EFAULT. */
	size_t (*fpstate_size)(void);
	int (*fpstate_save)(struct task *task, gva_t dst);
	int (*fpstate_load)(struct task *task, gva_t src); /* src null: initial state */

	/* Lets the thread run only on these of the host's CPUs, as far as the host allows. Optional. */
	void (*set_affinity)(struct platform_thread *pt, uint64_t mask);
	/* Resident bytes of an address space now, for limits and /proc; 0 if unknown. */
	uint64_t (*mm_resident)(struct platform_mm *pmm);
	/* The same as it was last known, without asking anybody. Optional. */
	uint64_t (*mm_resident_last)(struct platform_mm *pmm);
	/* CPU time in ns that is on this thread's account (user, system): one of a process's threads that have tasks has all that
	 * the process used, and the others 0. last: the thread goes, and what is said now nobody's account has any more. */
	void (*thread_times)(struct platform_thread *pt, bool last, uint64_t *utime, uint64_t *stime);
	/* Bytes in memory that the platform shares with guests for its own work, and that they can write. Optional. */
	uint64_t (*shared_bytes)(void);
	/* The vDSO's place in every guest address space. */
	uint64_t (*vdso_base)(void);
};

/* The one in use; set once at start. */
extern const struct platform_ops *platform;

#endif
