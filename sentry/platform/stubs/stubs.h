/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the platforms that run guests in stubs: the objects shared by events.c (what arrives), thread.c (life), native.c
 * (commands), boot.c (the zygote), and by the transports notify and ptrace.
 */
#ifndef SENTRY_PLATFORM_STUBS_STUBS_H
#define SENTRY_PLATFORM_STUBS_STUBS_H

#include "sentry/base/list.h"
#include "sentry/base/ref.h"
#include "sentry/kernel/loop.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/platform.h"
#include "sentry/platform/stub/abi.h"
#include "sentry/platform/stubs/gate.h"

/* A call that stands waiting in the host: made by tid, from ip. */
struct stub_call {
	uint64_t id; /* what the transport knows it by */
	int tid;
	int64_t nr;
	uint64_t ip;
	uint64_t args[6];
};

/* How calls come to the sentry and answers go back. */
struct stub_transport {
	/* The call returns value; it is not made. */
	void (*answer)(uint64_t id, int64_t value);
	/* The call is made by the host after all. */
	void (*proceed)(uint64_t id);
	/* Puts a copy of our descriptor into the caller's table: its number there, or -errno if it died. With `answer` the call
	 * returns that number. at: the number to use, whatever was there; -1: the lowest that is free. */
	int (*pass_fd)(uint64_t id, int fd, int at, bool answer);
	/* The loop is going to sleep. */
	void (*before_sleep)(void);
	/* How many calls may wait before waiting gets dear for all; 0: any number. */
	int cheap_waiters;
	/* pass_fd can choose the number: a new process's mailbox comes to STUB_ATTACH_FD. */
	bool chooses_number;
};
extern const struct stub_transport *transport;

/* Contents of a file, mapped for one thread to copy from: see windows.c. */
struct window;

/* A host address space. It lives as long as someone holds it; its memory is reachable while a host process has it. */
struct platform_mm {
	struct ref ref;
	struct list procs;          /* host_proc.mm_link: processes that share it (vfork) */
	uint64_t areas[AREA_MAX / 64]; /* bit n: area n is taken */
	unsigned areas_made;        /* areas from here on were never mapped: still reserved */
	struct list dying;          /* threads whose host thread may still run on their area */
	struct list spares;         /* areas that are mapped and that nobody runs on: see thread.c */
	unsigned nspares;
	uint64_t futex_salt;        /* see gate_futex_place */
	struct list windows;        /* window.mm_link */
	uint64_t window_slots;      /* bit n: slot n is taken */
	unsigned windows_made;      /* slots from here on were never mapped */
	uint64_t windows_mapped;    /* so many were begun, ever */
	unsigned windows_ended;     /* of the windows: to be unmapped */
	bool apart_paid;            /* two of its threads were put apart the last time, and did without us: see placement.c */
};

/* A host process (thread group) of stubs. Our child; its pid can't be reused before we have reaped it. */
struct host_proc {
	int pid;
	struct platform_mm *mm;     /* counted */
	struct list mm_link, all_link;
	struct list threads;        /* platform_thread.proc_link */
	unsigned nidle;             /* of them idle */
	bool several;               /* it has had more than one */
	unsigned calls;             /* that woke us, counted up to YOUNG_CALLS: gate_poll.c */
	bool cloned;                /* it was told to clone: a thread, or another process */
	uint64_t resident;          /* bytes, as last sampled */
	uint64_t cpu_ns;            /* used, as far as it is in stubs_cpu_ns(); once it has ended: all */
	uint64_t saved_ns, saved_user_ns; /* of its time, what tasks took along when they left it */
	bool killed;
	bool ending;                /* its threads are being freed: it goes last */
};

enum thread_state {
	THREAD_NEW,      /* commanded, not heard of yet */
	THREAD_ATTACHED, /* has told its token, and is to come to the trap door */
	THREAD_GUEST,    /* runs guest code, or is about to */
	THREAD_PLAIN,    /* a plain call waits for its answer */
	THREAD_FULL,     /* in the trap door, waits for an action */
	THREAD_PARKED,   /* in the trap door, asleep in the host: see stubs_park */
	THREAD_RUNNING,  /* carries out commands; STUB_DONE will come */
	THREAD_CLONING,  /* STUB_CLONED or STUB_FORKED will come */
	THREAD_GATE,     /* a call that came by the gate waits for its answer */
	THREAD_GATE_RUNNING, /* carries out commands in the shim, and will ring */
	THREAD_GATE_WAITING, /* was told to wait in a doorbell call */
	THREAD_EXITING,  /* was told to end itself */
	THREAD_DEAD,
};

/* A call that the stub was told to make and that the filter notifies: compared word by word. */
struct expected_call {
	int64_t nr;
	uint64_t args[6];
	unsigned nargs;
};

struct native_call {
	struct stub_cmd cmd;
	int host_fd; /* to be passed as args[4]; -1: none */
	bool joined; /* an mprotect of a part of the mmap before it: see native.c */
};

struct platform_thread {
	struct task *task;          /* who runs on it, or waits for it; NULL: nobody */
	struct host_proc *proc;     /* NULL until known */
	struct list proc_link, tid_link, new_link;
	int tid;                    /* host's; 0 until known */
	uint64_t token;             /* presented by the new thread; 0 once used */
	uint64_t salt;              /* random as well: for its address space, if it is its first thread */
	enum thread_state state;
	uint64_t resumed_at;        /* ticks: when it last became THREAD_GUEST, or its box was answered */
	uint64_t beside_at, beside_ns; /* ticks: when placement.c read its process's clock; what that said the first time since resumed_at */
	bool pooled;                /* a clean stub in stock: see thread.c */
	bool idle;                  /* its task has ended; waits in its trap door for the next: see thread.c */
	struct platform_loan *loan; /* it is to be given back: see loan.c */
	bool area_mapped;           /* its area was mapped for it by a thread of the address space */
	bool gone;                  /* the host has said that the thread has ended */
	bool pinned;                /* the host was told on which CPUs it may run */
	bool spawned;               /* the zygote makes it */
	bool makes_process;         /* with memory of its own: it maps its mailbox itself */
	unsigned area;
	struct mailbox *mailbox;    /* shared with the guest: hostile */
	int mailbox_fd;
	uint64_t call_id;           /* of the call that waits for an answer */
	bool held;                  /* ... and is no doorbell: the host is to make it, the action goes by the box */
	bool held_clone;            /* ... which would make a process: see STUB_INSTEAD */
	uint64_t fork_token;        /* of the process that the thread makes next, as its mailbox has it; 0: that has none */
	struct birth {              /* THREAD_CLONING: the clone that it was told to make */
		uint64_t flags, token;
		uint64_t area;      /* where the child's stack lies; 0: its parent's */
		unsigned tries;     /* so often */
	} birth;
	bool softly;                /* its request was rung by nothing but the box, on which it may sleep */
	bool report_by_close;       /* THREAD_RUNNING: the last expected call is its report */
	bool event_ready;
	struct platform_event event;
	bool resuming, kick_wanted; /* it is being answered, which may sleep; it shall be kicked when it has been */
	bool kicked;                /* a kick is on its way */
	struct ktimer kick_timer;   /* it must arrive; for a new thread: it must appear */
	int claimed_pid;            /* a new process's pid as its parent tells it: only to notice its early death */
	int64_t result;             /* of STUB_DONE, STUB_CLONED and STUB_FORKED */
	struct regs regs;
	uint64_t fpstate, fpstate_size; /* as reported: hostile */
	uint64_t fp_from;           /* THREAD_FULL: the state in the frame is to be replaced by this image of the guest's */
	bool clean_fp;              /* ... by the initial one */
	struct expected_call *expected;
	unsigned nexpected, expected_next, expected_cap;
	struct native_call *queue;
	unsigned nqueue, queue_cap;
	/* the gate: gate.c */
	struct list gate_link;      /* gate_ringers: while it may ring */
	struct list narrow_link;    /* placement.c: while `cpus` says something */
	uint64_t cpus;              /* where we have told the host to run it; 0: anywhere */
	bool by_box;                /* the event in hand came by the box; changes only outside THREAD_FULL */
	bool gate_waits;            /* call_id is a doorbell call that the answer to the request ends */
	struct gate_seg segs[GATE_MAX_SEGS], outs[GATE_MAX_SEGS];
	uint64_t taken_at, service; /* ticks: when its request was taken; how long the last one took to serve */
	uint16_t bell;              /* its place in `bells`; 0: none yet */
	uint16_t woken_by;          /* the bell of the thread that has woken its task last; 0: nobody's */
	bool bell_rung;             /* its last call slept and its bell was rung: it has not called since */
	uint16_t bell_skip;         /* it didn't hear it: so many sleeps without one */
	uint8_t bell_losses, bell_hearings;
	bool slept;                 /* its call has been asleep in the sentry */
	bool in_turn;               /* ... until a call of another thread's has ended that */
	bool salted;                /* the box has its address space's salt */
	bool mask_out;              /* the box has the mask of blocked signals */
	uint64_t sigmask, attention, plain_actions, restorer, alt_sp, alt_size, alt_flags; /* what the box has of it, as far as we know */
	struct platform_words words; /* the same */
	struct platform_told told;
	bool dealt;                 /* the box was given its random bytes */
	bool jumps;                 /* THREAD_GATE: not to return but to go where regs says (GATE_JUMP) */
	uint64_t xsave_at;          /* ... having saved its vector state there */
	bool begins;                /* ... as a new thread, with the vector state at GATE_FP (GATE_BEGIN) */
	uint32_t futex_seq;
	uint32_t nsegs, nouts, data_used;
	uint32_t stream_next;       /* number of the next piece: gate_stream.c */
	bool stream_off;            /* no stream any more for the call in hand */
	struct window *window;      /* what its shim copies from, or NULL */
	uint64_t want_id, want_bytes; /* the file that it reads most beside that, and how much of it */
	bool plain; /* bytes of the call in hand went through the caches, which its answer waits for: gate_copy.c */
};

/* How long a thread may take to answer a kick, or a new one to appear: then it is taken for hostile. */
#define KICK_DEADLINE (10 * NSEC_PER_SEC)
/* How long it may take to carry out commands: the host's fork of a large process takes seconds. */
#define COMMAND_DEADLINE (60 * NSEC_PER_SEC)

extern int stubs_running; /* threads in THREAD_GUEST */
extern int stubs_waiting; /* calls that wait for an answer: THREAD_PLAIN, THREAD_FULL, and the gate's doorbell calls */
extern struct list gate_ringers; /* threads whose boxes are looked at while we poll */
extern unsigned gate_nringers;

static inline bool thread_may_ring(enum thread_state state)
{
	return state == THREAD_GUEST || state == THREAD_RUNNING || state == THREAD_CLONING || state == THREAD_GATE_RUNNING;
}

static inline void thread_set_state(struct platform_thread *pt, enum thread_state state)
{
	stubs_running += (state == THREAD_GUEST) - (pt->state == THREAD_GUEST);
	stubs_waiting += (state == THREAD_PLAIN || (state == THREAD_FULL && !pt->by_box)) -
			 (pt->state == THREAD_PLAIN || (pt->state == THREAD_FULL && !pt->by_box));
	stubs_exiting += (uint32_t)(state == THREAD_EXITING) - (uint32_t)(pt->state == THREAD_EXITING);
	if (state == THREAD_GUEST && pt->state != THREAD_GATE) /* gate.c's done() knows the time, when nobody waits for it any more */
		pt->resumed_at = __builtin_ia32_rdtsc();
	pt->state = state;
	if (thread_may_ring(state)) {
		if (list_empty(&pt->gate_link)) {
			list_add_tail(&gate_ringers, &pt->gate_link);
			gate_nringers++;
		}
	} else if (!list_empty(&pt->gate_link)) {
		list_del(&pt->gate_link);
		gate_nringers--;
	}
}

extern uint64_t stubs_vdso;

/* clock_gettime on a process's CPU clock, clock_getcpuclockid(3)'s encoding. which: 0 both, 1 user, 2 exact. */
#define PROCESS_CPUCLOCK(pid, which) ((int)((~(unsigned)(pid) << 3) | (which)))

/* ---- events.c ---- */
void stubs_call(const struct stub_call *c);
/* Brings a parked thread back into the trap door; false if it died. */
bool stubs_unpark(struct platform_thread *pt);
/* The thread's event is ready for its task. */
void stubs_deliver(struct platform_thread *pt);
bool stubs_owes_close(const struct platform_thread *pt); /* a close is commanded and hasn't come yet */
/* What a batch of commands left over is forgotten. False if a close was left out: the process must end. */
bool stubs_forget_expected(struct platform_thread *pt) must_check;
/* Sleeps the current coroutine until *flag or the thread's death; false if it died. */
bool stubs_wait(struct platform_thread *pt, const bool *flag);
void stubs_expect(struct platform_thread *pt, int64_t nr, unsigned nargs, const uint64_t *args);
/* A doorbell of a known thread. False: it broke the protocol. */
bool stubs_doorbell(struct platform_thread *pt, const struct stub_call *c) must_check;
/* True if a call of the thread waits in the host now, so that descriptors can be passed. */
static inline bool stubs_has_call(const struct platform_thread *pt)
{
	return pt->gate_waits || (pt->state == THREAD_FULL && !pt->by_box);
}
/* Makes it so (sleeps). False if it died. */
bool stubs_to_call(struct platform_thread *pt) must_check;
/* Answers a thread that is in the trap door. */
void stubs_action(struct platform_thread *pt, enum stub_action action, enum thread_state state);

/* ---- boot.c ---- */
int zygote_boot(uint32_t action, uint64_t filter_flags, int keep_fd, int (*before_go)(void), const char **step);
/* ptrace/ptrace.c: serves what the zygote does while it boots. */
void ptrace_boot_turn(void);
void ptrace_reap(void);
/* A process has ended, and used so much in all: to be said before stubs_child_ended. */
void stubs_account_end(int pid, uint64_t cpu_ns);

/* ---- thread.c ---- */
struct platform_thread *thread_find(int tid);
struct platform_thread *thread_new(struct task *task, struct platform_mm *mm) must_check;
/* The new thread that holds this token, or NULL; the token is used up. */
struct platform_thread *thread_claim(uint64_t token);
/* Some new thread holds it. */
bool thread_awaited(uint64_t token);
int thread_bind(struct platform_thread *pt, int tid) must_check;
void thread_died(struct platform_thread *pt);
/* A clean stub without a task has arrived. */
void pool_add(struct platform_thread *pt);
void thread_free(struct platform_thread *pt);
/* One that was told to end (THREAD_EXITING) has done so: frees it. */
void thread_ended(struct platform_thread *pt);
struct host_proc *proc_new(int pid, struct platform_mm *mm) must_check;
void proc_kill(struct host_proc *proc);
void stubs_child_ended(int pid, int status);
void zygote_ready(uint64_t call_id);
extern int zygote_tid;
bool zygote_waits(void);
_Noreturn void zygote_gone(int status); /* -1: not known */

void stubs_thread_timer_init(struct platform_thread *pt);
struct platform_thread *stubs_spawn(struct task *task, int *err);
void stubs_exec_commit(struct task *task, struct platform_thread *pt, const struct regs *regs);
int stubs_clone(struct task *parent, struct task *child, enum platform_clone_kind kind, const struct regs *regs);
bool stubs_clone_waits(const struct task *parent);

/* ---- mailbox.c ---- */
/* A process that shares another's memory is about to be made. */
void mailbox_vm_child(void);
/* A mailbox of zeroes, mapped. Its descriptor, or negative: memory or descriptors are out. */
int mailbox_make(struct mailbox **mailbox) must_check;
/* The thread's, which is about to be freed, is let go or kept for another's. */
void mailbox_drop(struct platform_thread *pt);
/* What those hold that are kept; bytes_in says it of one. */
uint64_t mailbox_stock_bytes(uint64_t (*bytes_in)(int fd));

/* ---- loan.c ---- */
/* The child runs on its parent's thread, from regs on. False: it can't; nothing has changed. */
bool stubs_lend(struct task *parent, struct task *child, const struct regs *regs) must_check;
/* The task ends, or has another thread by now: pt, which it ran on, goes back to whom it belongs. False: to nobody. */
bool stubs_give_back(struct task *task, struct platform_thread *pt) must_check;
/* The task, which runs on a thread that it has to give back and stands in its trap door, gets one in a process of its own, and gives
 * it back (sleeps). 0 or -errno. */
int stubs_move_out(struct task *task) must_check;
/* The task won't want its thread back. */
void stubs_loan_end(struct task *task);
void stubs_reclaim(struct task *parent);
void stubs_thread_exit(struct task *task);
void stubs_thread_kill(struct platform_thread *pt);
struct platform_mm *stubs_thread_mm(struct platform_thread *pt);
void stubs_mm_get(struct platform_mm *pmm);
void stubs_mm_put(struct platform_mm *pmm);
void spares_free(struct platform_mm *mm);

/* ---- gate.c ---- */
void gate_other_event(void);
/* The thread has something to say and may have done so without ringing: it rings from now on, and what is there is taken. */
void gate_look(struct platform_thread *pt);
/* Calls of the thread that the shim answered, as it says itself. */
uint64_t gate_local_calls(const struct platform_thread *pt);
uint64_t gate_local_futexes(const struct platform_thread *pt);

/* Two threads are apart, with a CPU each, or no longer: see placement.c. */
void gate_apart(bool apart);
/* The thread is gone. */
void gate_gone(struct platform_thread *pt);
/* Polling now, not only until something comes. */
bool gate_polls(void);

/* ---- placement.c ---- */
/* The thread, whose state is its next one already, is about to be woken from a call. */
void place_wake(struct platform_thread *pt);
/* parent (NULL: the zygote) is about to be told to clone child. */
void place_birth(struct platform_thread *parent, struct platform_thread *child);
/* ... is told now: the host gives the child, a thread or process, its parent's CPUs. */
void place_inherit(const struct platform_thread *parent, struct platform_thread *child);
/* It is none of ours any more, or its guest has chosen its CPUs. */
void place_drop(struct platform_thread *pt);
/* The process is about to be killed: what is left to do for it can be done elsewhere. */
void place_end(struct host_proc *proc);
/* We begin to poll, or have ended. */
void place_polling(bool begin);
/* Threads were seen to run side by side: they may run anywhere for a while. */
void place_spread(void);
/* Two threads that wake each other by private futexes are put apart, if it is time to try that, they share their memory and their
 * guest hasn't chosen their CPUs. They are, for a while, as long as that keeps them from calling. What is found out is remembered of
 * their address space. */
bool place_apart(const struct platform_thread *const pair[2]);
bool place_is_apart(void);
/* Who is woken shall run on our CPU. */
bool place_packed(void);

/* ---- windows.c ---- */
/* Ops: see platform.h. */
bool windows_pay(struct task *task, uint64_t id, uint64_t size, uint64_t bytes);
void windows_map(struct task *task, const struct platform_window *want);
uint64_t windows_read(struct task *task, uint64_t id, uint64_t pos, uint64_t addr, uint64_t len);
void windows_drop(struct task *task, uint64_t id);
void windows_end(uint64_t id);
/* Does what the shim would have done with an out-segment of a window. Bytes. */
size_t windows_flush(const struct platform_thread *pt, const struct gate_seg *out);
/* The task's thread is about to be answered (with value, if its call is a plain one, which it may be no longer then): it unmaps what has
 * ended, if it can (sleeps). Only if mm.windows_ended. False if it died. */
bool windows_settle(struct task *task, struct platform_thread *pt, int64_t value) must_check;
/* The thread's task has ended, or the thread. */
void windows_gone(struct platform_thread *pt);
/* The address space is gone. */
void windows_free(struct platform_mm *mm);
/* Before the host's fork: what windows_forked wants to know afterwards. */
uint64_t windows_before_fork(const struct platform_mm *parent);
/* A command for the child of a fork, if there may have been a window at that moment: its windows are holes, which nothing else may
 * fill. */
void windows_forked(const struct platform_mm *parent, struct platform_thread *child, uint64_t before);

/* ---- memory.c ---- */
/* Copies between us and any address of the thread's process, the stub region included. 0 or -LINUX_EFAULT. */
int stubs_transfer(struct platform_thread *pt, bool write, void *buf, uint64_t addr, size_t len) must_check;

/* ---- native.c ---- */
int native_queue_call(struct platform_thread *pt, const struct native_call *call);
int native_queue(struct platform_thread *pt, const struct platform_mm_cmd *cmd);
int native_cmpxchg32(struct task *task, uint64_t addr, uint32_t old, uint32_t new_value, uint32_t *seen);
int native_flush(struct task *task, struct platform_thread *pt);
/* True if all that is queued surely goes into one mailbox. */
bool native_fits(const struct platform_thread *pt);
/* True if something queued passes a descriptor: the thread must then stand in a call. */
bool native_needs_call(const struct platform_thread *pt);
/* Moves up to a mailbox full of queued calls into the mailbox, descriptors passed; true if any. */
bool native_load(struct platform_thread *pt);
/* The same; *close_reports: the last of them is a close that may be the report, and wait for the thread's next action. */
bool native_load_batch(struct platform_thread *pt, bool *close_reports);
bool native_guard_fd(int fd, bool on);

size_t stubs_mm_read(struct platform_mm *pmm, void *dst, uint64_t addr, size_t len);
size_t stubs_mm_write(struct platform_mm *pmm, uint64_t addr, const void *src, size_t len);
size_t stubs_mm_readv(struct platform_mm *pmm, const struct platform_bytes *vec, uint64_t addr, size_t len);
size_t stubs_mm_writev(struct platform_mm *pmm, uint64_t addr, const struct platform_bytes *vec, size_t len);
size_t stubs_fpstate_size(void);
int stubs_fpstate_save(struct task *task, gva_t dst);
/* What XSAVE leaves alone in a signal frame's image: the bytes at FPSTATE_RESERVED_AT, and, returned, its last word. */
#define FPSTATE_RESERVED_AT 464U
#define FPSTATE_RESERVED (576U - FPSTATE_RESERVED_AT)
uint32_t stubs_fpstate_reserved(uint8_t out[FPSTATE_RESERVED]);
/* The image of a state in which nothing has happened. */
void stubs_fpstate_clean(uint8_t out[576]);
/* The vector state of one thread in its trap door becomes that of another in the same process. 0 or -LINUX_EFAULT. */
int stubs_fpstate_copy(struct platform_thread *from, struct platform_thread *to);
/* ... of one whose clone came by the gate, or of one that waits in its `exit` there, or both. */
int stubs_fpstate_hand(struct platform_thread *from, struct platform_thread *to);
int stubs_fpstate_load(struct task *task, gva_t src);
/* The state of a thread in its trap door, into out (fpstate_size bytes), and back. 0 or -LINUX_EFAULT. */
int stubs_fpstate_keep(struct platform_thread *pt, void *out);
void stubs_fpstate_put_back(struct platform_thread *pt, const void *kept, size_t len);
void stubs_set_affinity(struct platform_thread *pt, uint64_t mask);
uint64_t stubs_mm_resident(struct platform_mm *pmm);
uint64_t stubs_mm_resident_last(struct platform_mm *pmm);
uint64_t stubs_shared_bytes(void);
void stubs_thread_times(struct platform_thread *pt, bool last, uint64_t *utime, uint64_t *stime);
uint64_t stubs_vdso_base(void);

#endif
