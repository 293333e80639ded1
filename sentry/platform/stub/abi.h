/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stub and the sentry share: the layout of the stub region, the mailbox, the doorbell. The stub is built
 * freestanding from this header and stub.c alone; the sentry includes it too, so that both agree.
 *
 * The stub region lies at the top of every guest address space, above everything of the guest:
 *
 *	STUB_BASE               text: the trap door, the zygote (read, execute; from a sealed memfd)
 *	STUB_RO                 what the sentry tells every stub (struct gate_ro): shared, read-only
 *	STUB_MM                 what the threads of one address space tell one another (struct gate_mm): private memory, empty in
 *	                        a fork's child (MADV_WIPEONFORK); the sentry never looks
 *	STUB_VDSO               the host's vvar and vDSO pages, moved here
 *	STUB_AREAS + n * AREA   area n, one a host thread:
 *	                          +0           mailbox: shared memory of that thread alone (MADV_DONTFORK)
 *	                          +AREA_LOCAL  private memory: struct gate_local (the guest's %gs points here while the gate is
 *	                                       on), and below it the shim's stack, which begins in the same page: each page that a
 *	                                       call writes is copied twice after a fork, for parent and child
 *	                          +AREA_STACK  alternate signal stack, private memory
 *	STUB_WINDOWS + n * WINDOW_SIZE
 *	                        contents of a file that a thread reads again and again (read, private; MADV_DONTFORK): stubs/windows.c
 *	... STUB_TOP            reserved with PROT_NONE, so that nothing can be placed there
 *
 * Everything the stub writes into a mailbox can be forged by the guest. The sentry copies a field once and believes it no
 * more than it believes a register of the guest.
 */
#ifndef SENTRY_PLATFORM_STUB_ABI_H
#define SENTRY_PLATFORM_STUB_ABI_H

#include <stdint.h>

#define STUB_BASE 0x7ffe00000000UL
#define STUB_TEXT_MAX 0x10000UL
#define STUB_RO (STUB_BASE + 0x10000UL)
#define STUB_RO_SIZE 0x8000UL
#define STUB_MM (STUB_BASE + 0x18000UL)
#define STUB_MM_SIZE 0x1000UL
#define STUB_VDSO (STUB_BASE + 0x20000UL)
#define STUB_VDSO_MAX 0x20000UL
#define STUB_AREAS (STUB_BASE + 0x100000UL)
#define STUB_TOP 0x7ffffffff000UL

#define AREA_SIZE 0x80000UL
#define AREA_LOCAL 0x5ff00UL
#define AREA_STACK 0x60000UL /* the alternate stack is [AREA_STACK, AREA_SIZE) */
#define AREA_MAX 11904U
#define STUB_WINDOWS (STUB_AREAS + AREA_MAX * AREA_SIZE)
#define WINDOW_SIZE 0x2000000UL
#define WINDOW_MAX 64U
#define MAILBOX_SIZE 0x42000UL
#define GATE_BOX 0x200UL   /* struct gate_box, in the mailbox, in the page where that begins: most calls need no other */
#define MAILBOX_CMDS 0x1000UL /* mailbox.cmds, behind the box */
#define GATE_DATA 0x2000UL /* bytes of segments, to the mailbox's end */
#define GATE_DATA_SIZE (MAILBOX_SIZE - GATE_DATA)
/* Behind GATE_DATA: an XSAVE image, of a thread that makes another, or that is to begin. Its calls bring less than lies below. */
#define GATE_FP 0x400UL
#define GATE_FP_MAX 0x4000UL

/*
 * Every clone of a guest's thread is made at one place, where nothing lies between it and the child's first call, which says who it
 * is: no stack, no memory. The sentry lets no other be made; so whoever is born is known, whatever its parent, or a thread that shares
 * its memory, does meanwhile. %r10 says STUB_BIRTH and %r8 the opposite until then, by which the trap door, whose stack may be the
 * guest's, knows who may have been stopped on the way (the guest may have begun to step), before it looks at any memory. A secret
 * there would be none: the guest reads whatever the trap door compares with. So who has them is no proof, and STUB_BORN asks the
 * sentry, which knows the host's number of each thread that has told who it is: any other ends.
 */
#define STUB_CLONE_AT 0x5a /* behind the clone */
#define STUB_CLONE_IP (STUB_BASE + STUB_CLONE_AT)
#define STUB_BIRTH 0xb19e5cade0b7a1c5

/* The doorbell: getppid(STUB_MAGIC, op, arg). Every outer filter allows getppid, so ours alone decides. */
#define STUB_MAGIC 0x5e17c0deUL
/* ptrace: the descriptor by which stubs are handed others (there is no ADDFD). */
#define STUB_SOCKET_FD 1000
/* A new process's mailbox, where the number can be chosen: whatever a fork has left there is gone. */
#define STUB_ATTACH_FD 0
enum stub_op {
	STUB_HELLO = 2, /* a new host process, which is known; the answer is the descriptor of its mailbox. See gate_ro.attach_fd */
	STUB_TRAP,      /* the trap door: mailbox is filled */
	STUB_DONE,      /* commands are carried out; arg: how many succeeded */
	STUB_CLONED,    /* arg: clone's result in the parent */
	STUB_GATE_WAIT, /* a request in the gate's box waits for its answer */
	STUB_FORKED,    /* as STUB_CLONED, of a process; the box alone says it: see mailbox.aloud */
	STUB_BORN,      /* not of the trap door's protocol: 0 if the thread has been born, see STUB_BIRTH */
};

/*
 * A call that the host carries out can be a report as well, where it is the last of what a thread was told to do: a new
 * process's close of its mailbox's descriptor is its arrival in the trap door, the last close of STUB_RUN_CLOSE is its
 * STUB_DONE. The sentry lets such a call be made when it has an action, which lies in gate_box.result then.
 *
 * The clone of a process is the STUB_TRAP of the call that asks for it, where mailbox.fork_token says so: what STUB_FORK would be
 * answered to is done at once. If it isn't to be, the clone isn't made and returns what is to be done instead.
 */
#define STUB_INSTEAD(action) (-0x10000L - (int64_t)(action)) /* no error of the host's is as low */

/* The sentry's answers to STUB_TRAP, STUB_DONE and STUB_CLONED. */
enum stub_action {
	STUB_RESUME = 1,   /* load the registers of the mailbox and return to the guest */
	STUB_RUN,          /* carry out commands, then STUB_DONE */
	STUB_RUN_RESUME,   /* carry out commands; an error goes into rax; resume */
	STUB_FORK,         /* clone a process; the child's first call tells mailbox->token */
	STUB_CLONE,        /* clone a thread or vfork child in the area mailbox->clone_area */
	STUB_EXIT,         /* end this host thread */
	STUB_PARK,         /* sleep in the host until mailbox->unpark is set, then STUB_DONE */
	STUB_CALL,         /* STUB_DONE by a doorbell call, not by the box: descriptors will be passed */
	STUB_RUN_CLOSE,    /* carry out commands, the last of which closes and is the report */
};

/* Why a thread stands in the trap door. */
#define STUB_REASON_START 0x1000 /* a new thread or process, before its first guest instruction */

struct stub_cmd {
	int64_t nr;
	uint64_t args[6];
};

/* Not a call: compares and exchanges the 32-bit word at args[0], old args[1], new args[2]; -EFAULT if it can't. */
#define STUB_CMD_CMPXCHG (-2)

#define STUB_MAX_CMDS 64

/* Registers in the order of the signal frame's gregs: r8..r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags. */
#define STUB_NREGS 18

struct mailbox {
	/* stub to sentry */
	uint64_t reason;            /* signal number, or STUB_REASON_START */
	uint64_t si_code, si_addr, trapno, error_code, cr2;
	uint64_t fpstate, fpstate_size; /* where the frame's XSAVE image lies, in this address space */
	uint64_t result;            /* error of the command that failed, or 0 */
	uint64_t value;             /* what STUB_CMD_CMPXCHG saw */
	/* both ways */
	uint64_t regs[STUB_NREGS];
	uint64_t fs_base, gs_base;
	/* sentry to stub */
	uint64_t fp_from;           /* STUB_RESUME: the vector state comes from the signal frame's image there; 0: no */
	uint64_t token;
	uint64_t clone_flags, clone_area;
	uint32_t unpark;            /* a futex word */
	uint32_t clean_fp;          /* STUB_RESUME: the vector state becomes the initial one */
	uint64_t ncmds;
	uint64_t fork_token;        /* of the next process that the thread makes by a clone that is the report; 0: none is */
	uint64_t aloud;             /* the sentry waits for STUB_FORKED: it is to be rung */
	/* stub to itself: 1 + the descriptor that a new process has yet to close; that is its arrival */
	uint64_t to_close;
	uint8_t box[MAILBOX_CMDS - 39 * 8]; /* GATE_BOX is in here */
	struct stub_cmd cmds[STUB_MAX_CMDS];
};
_Static_assert(STUB_WINDOWS + WINDOW_MAX * WINDOW_SIZE <= STUB_TOP && AREA_MAX % 64 == 0 && STUB_AREAS % AREA_SIZE == 0, "all areas have room");
_Static_assert(__builtin_offsetof(struct mailbox, box) <= GATE_BOX && __builtin_offsetof(struct mailbox, cmds) == MAILBOX_CMDS &&
		       sizeof(struct mailbox) <= GATE_DATA,
	       "the box and the bytes of segments have places of their own");

/*
 * ---- the gate ----
 *
 * A rewritten syscall site jumps to a trampoline, that to the shim (shim.c) with RCX behind the site, by the word at
 * GATE_ENTRY_SLOT behind %gs. The shim puts number and arguments into the thread's gate_box, with the bytes the call will
 * read (in-segments) and the ranges it may write (probed: the shim has seen them writable), and rings `state`. Who polls
 * sees it; when nobody does (gate_ro.asleep), or the answer takes long, the shim waits by a doorbell call, which is a
 * notification. The answer is a value and out-segments, which the shim copies to the guest. The trap door rings the same
 * way, once its thread is known.
 *
 *	IDLE, DONE --shim--> REQUEST --sentry--> (STREAM, TAKEN, BLOCKED --shim--> ASLEEP) --> DONE
 *
 * All of it can be forged by the guest: it can ask for any call with any arguments anyway.
 */
#define GATE_ENTRY_SLOT 8

enum gate_state {
	GATE_IDLE,
	GATE_REQUEST,
	GATE_DONE,
	GATE_TAKEN,   /* it is being served and takes a while: worth spinning for longer */
	GATE_BLOCKED, /* the call sleeps: not worth spinning for */
	GATE_ASLEEP,  /* by the shim, if it was BLOCKED: its thread sleeps on this word for a while */
	GATE_STREAM,  /* it is being served, and the shim is to carry pieces meanwhile: see gate_piece */
};

enum gate_action {
	GATE_RETURN,     /* apply the out-segments, return result */
	GATE_RUN,        /* carry out the mailbox's commands, then ring again: kind GATE_KIND_DONE */
	GATE_RUN_RETURN, /* carry out the commands; return their error, or result */
	GATE_WAIT,       /* ring again (GATE_KIND_WAIT) by a doorbell call, so that descriptors can be passed */
	/*
	 * A signal's handler is to run instead of the return: apply the out-segments (its frame), write the vector state to
	 * xsave_at, begin with a clean one, load mailbox.regs. GATE_KIND_FAULT rings if that memory isn't there.
	 */
	GATE_JUMP,
	/*
	 * To a thread whose call was `exit`: it is a new one now. The vector state is loaded from GATE_FP, the base of %fs and
	 * mailbox.regs as for GATE_JUMP.
	 */
	GATE_BEGIN,
	GATE_EXIT, /* to such a one, too: end this host thread */
};

enum gate_kind {
	GATE_KIND_CALL,
	GATE_KIND_DONE,
	GATE_KIND_WAIT,
	GATE_KIND_STUB, /* from the trap door: nr is the stub_op, args[0] its argument, result the stub_action */
	GATE_KIND_FAULT, /* no place for a signal's frame */
};

#define GATE_MAX_SEGS 12
#define GATE_SEG_STRING 1U /* in: ends with its NUL */
#define GATE_SEG_LATER 4U  /* in, no bytes: they can be had as a stream */
#define GATE_SEG_WINDOW 8U /* out: off is behind STUB_WINDOWS */
#define GATE_SEG_PROBED 2U /* no bytes: the guest could be written here a moment ago */

struct gate_seg {
	uint64_t addr;
	uint32_t len, off; /* off: behind GATE_DATA */
	uint32_t flags, pad;
};

/* A segment of so many bytes goes past the caches of the CPU that writes it, while the sentry polls on one that is far: gate_copy.c. */
#define GATE_AWAY_MIN 3072U

/*
 * A stream: bytes of a call too large to lie in the box at once, carried in pieces through a ring of places at the end of the
 * data, while the sentry polls. Piece number n (counted on from stream_first, over all streams) is in place and line n %
 * GATE_PIECES; it may be carried as soon as its line says n + 1. The shim says in `carried` how many it has; one that faults it
 * leaves, and says so.
 */
#define GATE_PIECES 4U
#define GATE_PIECE_MAX 16384U
#define GATE_STREAM_AT (MAILBOX_SIZE - GATE_PIECES * GATE_PIECE_MAX) /* in the mailbox */
#define GATE_STREAM_MIN 32768U /* what goes this way rather than as a segment */

struct gate_piece {
	uint64_t addr; /* in the guest */
	uint32_t len;
	uint32_t in;   /* from the guest; else to it */
	uint32_t number;
} __attribute__((aligned(64)));

/* What the shim answers by itself once it has been told. */
enum gate_id { GATE_PID, GATE_PPID, GATE_TID, GATE_UID, GATE_EUID, GATE_GID, GATE_EGID, GATE_IDS };

/* rt_sigprocmask's place among the bits of gate_box.known. */
#define GATE_KNOWN_MASK 31
#define GATE_RANDOM 16U
#define GATE_UMASK 0777U
#define ACTIONS_SHARED 1UL /* gate_box.restorer: others have the same actions */
/* Their order in gate_box.saved; written in shim.c's assembly. */
enum gate_saved { GATE_RBX, GATE_RBP, GATE_R12, GATE_R13, GATE_R14, GATE_R15, GATE_RSP, GATE_EFLAGS, GATE_FS, GATE_SAVED };

/*
 * A box's first line is all that a call with nothing but numbers needs, there and back: each further line that one CPU has
 * written and the other reads costs as much as a whole system call. In `state` the answer's action and number of out-segments
 * go along with GATE_DONE.
 */
#define GATE_IMPLIED 0xffU
#define GATE_NEAR_OUTS 2U
#define GATE_NEAR_BYTES 256U /* of an answer: both sides ask for their lines ahead */
#define GATE_LOOKS 32U
#define GATE_LONG_NR 0xffffU /* nr that is in long_nr */
#define GATE_IP_BITS 48      /* of `asked`; above it what the last answer was waited for, in units of 64 ticks */
#define GATE_AT_ONCE 64UL     /* of what was waited, its lowest unit: the shim has looked from the beginning, so it is how long that took */
#define GATE_DONE_WITH(action, nouts) (GATE_DONE | (uint32_t)(action) << 8 | (uint32_t)(nouts) << 16)
#define GATE_STATE(word) ((word) & 0xffU)
#define GATE_ACTION(word) ((word) >> 8 & 0xffU)
#define GATE_NOUTS(word) ((word) >> 16)

struct gate_box {
	/* shim to sentry, but for state, which goes both ways */
	uint32_t state;
	uint16_t nr;
	uint8_t kind, nsegs; /* GATE_IMPLIED: as the call's gate_spec says */
	union {
		uint64_t args[6];
		struct gate_seg near_outs[GATE_NEAR_OUTS]; /* with an answer: out-segments, if they are no more */
	};
	union {
		uint64_t asked; /* with a request: address behind the site; see GATE_IP_BITS */
		int64_t result; /* with an answer */
	};
	uint32_t long_nr __attribute__((aligned(64)));
	uint32_t futex_seq; /* gate_ro.futex_seq before the segments were read */
	struct gate_seg segs[GATE_MAX_SEGS];
	/* sentry to shim */
	struct gate_seg outs[GATE_MAX_SEGS] __attribute__((aligned(64)));
	/* the same, seldom */
	uint32_t pending __attribute__((aligned(64))); /* both: enter the trap door instead of returning to the guest */
	uint32_t known;   /* bit n: ids[n] is right */
	int64_t ids[GATE_IDS];
	uint64_t xsave_at;
	uint32_t bell;   /* which of gate_ro.bells the thread sleeps on if its call is BLOCKED; 0: on `state` */
	uint32_t errand; /* another thread's bell that the answer, or BLOCKED, is to wake on its way; 0: none */
	uint32_t idlers; /* sentry to shim: the thread's last clone found a host thread that waited for it: the next may come by the gate */
	uint32_t umask; /* both: what modes of new files lose, as sigmask; more than its nine bits: ask */
	uint64_t clear_tid; /* both: set_tid_address's word, as sigmask */
	/* Sentry to shim, good while GATE_KNOWN_MASK is: where the heap ends (0: ask), the limits of the stack. */
	uint64_t brk, stack_cur, stack_max;
	/*
	 * Both, in a line of its own, which nobody writes for nothing: the signals that the thread blocks, while it is in guest code.
	 * If GATE_KNOWN_MASK is known, the shim changes them by itself; unless `attention` says that signals wait for a change: then
	 * it asks. The sentry sets that before it looks.
	 */
	uint64_t sigmask __attribute__((aligned(64)));
	uint64_t attention;
	uint64_t alt_sp, alt_size, alt_flags; /* sentry to stub: the alternate signal stack; by the same right */
	/*
	 * Both, by the same right. Bit sig - 1: rt_sigaction's answer is zeros. Where the shim takes one away the action has become
	 * the default with SA_RESTORER and the restorer below, as libcs set it; ACTIONS_SHARED there: it may not.
	 */
	uint64_t plain_actions;
	uint64_t robust; /* both: set_robust_list's word; by the same right */
	uint64_t restorer;
	/* shim to sentry: the caller's registers that aren't arguments */
	uint64_t saved[GATE_SAVED] __attribute__((aligned(64)));
	uint64_t local;  /* calls answered in the shim, for statistics */
	uint64_t waited; /* the shim's: how long for the last answer, in ticks, and GATE_AT_ONCE */
	/* a stream. Sentry to shim: */
	struct gate_piece pieces[GATE_PIECES];
	/* shim to sentry, but when a stream begins */
	uint32_t carried __attribute__((aligned(64)));
	uint32_t broken; /* the piece that `carried` stands at couldn't be */
	uint32_t stream_first; /* sentry to shim */
	uint64_t futex_salt; /* sentry to shim: see gate_futex_place */
	uint32_t spin_skip, spin_level, spin_trial; /* the shim's: futex waits to come that don't spin, how often it was in vain */
	uint64_t futexes; /* of local: futex calls */
	uint16_t look[GATE_LOOKS]; /* the shim's, by the call's number: ticks until it looks for the answer first */
	/* Sentry to shim: bytes for one small getrandom, which the shim wipes; how many there are. */
	uint8_t random[GATE_RANDOM];
	uint32_t nrandom;
};
_Static_assert(__builtin_offsetof(struct gate_box, long_nr) == 64, "a plain call is one line");
_Static_assert(GATE_BOX % 64 == 0 && GATE_BOX + sizeof(struct gate_box) <= MAILBOX_CMDS, "the box fits its place");
_Static_assert(GATE_STREAM_AT % 4096 == 0, "pieces lie in pages of their own");

/* What a call reads and writes, for the shim. */
enum gate_seg_kind {
	GATE_NONE,
	GATE_IN,      /* size bytes at args[ptr], times args[len] if len isn't GATE_NO_LEN */
	GATE_OUT,     /* the same, written */
	GATE_INOUT,   /* both */
	GATE_FDSET,   /* as GATE_INOUT, a bit for each of args[len] descriptors */
	GATE_PATH,    /* a string at args[ptr] */
	GATE_IOV_IN,  /* args[len] iovecs at args[ptr], whose bytes are read */
	GATE_IOV_OUT, /* whose bytes are written */
	GATE_FUTEX_TIME, /* as GATE_IN, if the futex operation in args[1] takes a time */
	GATE_FUTEX_WORD, /* as GATE_IN, if it compares the word and sleeps; see futex_seq */
	GATE_MSG_IN,  /* a struct msghdr at args[ptr], and what it names, which is read */
	GATE_MSG_OUT, /* what it names is written, and so are parts of itself */
	GATE_FCNTL,   /* as args[1], fcntl's command, says */
	GATE_IOCTL,   /* the same, ioctl's */
	GATE_PRCTL,   /* as args[0], prctl's, says */
	GATE_SIGMASK, /* the address of a mask of signals and its size, and what is there */
};
#define GATE_NO_LEN 0xff
#define GATE_SPECS 5

enum gate_class {
	GATE_CLASS_CALL,
	GATE_CLASS_TRAP, /* needs the whole context: by the trap door */
	GATE_CLASS_ID,   /* answered in the shim if known; id */
	GATE_CLASS_ACTION, /* rt_sigaction: a question is answered in the shim, if it may */
	GATE_CLASS_MASK, /* rt_sigprocmask: carried out in the shim, if it may */
	GATE_CLASS_ROBUST, /* set_robust_list: the same */
	GATE_CLASS_DROP,   /* madvise: MADV_DONTNEED is the host's alone while nobody has locked memory */
	GATE_CLASS_TID,    /* set_tid_address: the same as set_robust_list */
	GATE_CLASS_UMASK,  /* umask: the same, if nobody shares it */
	GATE_CLASS_BRK,    /* brk: a question is answered in the shim, if it may */
	GATE_CLASS_RANDOM, /* getrandom: a few bytes are the shim's, once */
	GATE_CLASS_ABSENT, /* ENOSYS, if the shim may say so */
	GATE_CLASS_CLONE, /* GATE_CLASS_CALL with the vector state for a thread, if box.idlers; else GATE_CLASS_TRAP */
	GATE_CLASS_FUTEX, /* some waits and wakes end in the shim, if they may */
	GATE_CLASS_ASK,   /* prlimit64: GATE_CLASS_CALL if it sets nothing, or answered in the shim, if it may; else GATE_CLASS_TRAP */
};

struct gate_spec {
	uint8_t class, id;
	uint16_t pad;
	struct {
		uint8_t kind, ptr, len, pad;
		uint16_t size, pad2;
	} segs[GATE_SPECS];
};

#define GATE_LOWEST 0x10000UL /* nothing is mapped below: NULL and small numbers cost no fault */
#define GATE_STRING_MAX 4096U

/* What the third argument of fcntl and ioctl is: locks (sqlite takes and leaves several for each transaction), and what is asked of
 * and told to terminals, pipes and sockets most. And the second one of prctl: names of threads. */
static inline unsigned gate_command_seg(unsigned kind, uint32_t command, uint64_t *size)
{
	if (kind == GATE_FCNTL) {
		*size = 32; /* struct flock */
		switch (command) {
		case 5: /* F_GETLK, F_OFD_GETLK */
		case 36:
			return GATE_INOUT;
		case 6: /* F_SETLK, F_SETLKW, the same for descriptions */
		case 7:
		case 37:
		case 38:
			return GATE_IN;
		default:
			return GATE_NONE;
		}
	}
	if (kind == GATE_PRCTL) {
		*size = 16;
		switch (command) {
		case 15: /* PR_SET_NAME: the sixteenth byte isn't read */
			*size = 15;
			return GATE_IN;
		case 16: /* PR_GET_NAME */
			return GATE_OUT;
		default:
			return GATE_NONE;
		}
	}
	*size = 4;
	switch (command) {
	case 0x5401: /* TCGETS */
		*size = 36;
		return GATE_OUT;
	case 0x5413: /* TIOCGWINSZ */
		*size = 8;
		return GATE_OUT;
	case 0x540f: /* TIOCGPGRP, FIONREAD */
	case 0x541b:
		return GATE_OUT;
	case 0x5421: /* FIONBIO */
		return GATE_IN;
	default:
		return GATE_NONE;
	}
}

/* The call's i-th segment, which begins at *addr and has *len bytes (a path: is to be looked for). Its kind; GATE_NONE: there is
 * none. The shim fills what this says, and the sentry knows from it what has been filled, without being told. */
static inline unsigned gate_spec_seg(const struct gate_spec *spec, unsigned i, const uint64_t *args, uint64_t *addr, uint64_t *len)
{
	unsigned kind = spec->segs[i].kind, ptr = spec->segs[i].ptr, lenarg = spec->segs[i].len;
	uint64_t count = 1, size = spec->segs[i].size;

	*addr = args[ptr < 6 ? ptr : 0];
	if (kind == GATE_FCNTL || kind == GATE_IOCTL)
		kind = gate_command_seg(kind, (uint32_t)args[1], &size);
	else if (kind == GATE_PRCTL)
		kind = gate_command_seg(kind, (uint32_t)args[0], &size);
	if (lenarg != GATE_NO_LEN)
		count = args[lenarg < 6 ? lenarg : 0];
	if (*addr < GATE_LOWEST || count > GATE_DATA_SIZE)
		return GATE_NONE;
	*len = kind == GATE_FDSET ? (count + 63) / 64 * 8 : size * count;
	if (kind == GATE_PATH)
		return kind;
	return *len != 0 && *len <= GATE_DATA_SIZE ? kind : GATE_NONE;
}

#define GATE_MAX_NR 512U
#define GATE_BELLS 1024U
#define GATE_FUTEX_PLACES 1024U
#define GATE_FUTEX_SPIN_US 50U /* the shim's patience with a private futex's word */

struct gate_ro {
	uint32_t asleep; /* nobody looks at doorbells: wait by a call */
	uint32_t cpu;    /* where the sentry runs: spinning for it there is in vain */
	uint32_t spin;   /* time stamp counter ticks to spin for an answer */
	uint32_t futex_spin; /* GATE_FUTEX_SPIN_US in ticks, to spin for a private futex's word to change; 0: there is no CPU for that */
	uint32_t futex_trial; /* changes when threads have been put apart: those who had given up spinning shall try again */
	uint32_t futex_spinners; /* so many threads of an address space at once */
	/*
	 * Counts the wakes that the sentry has served. A futex word that the shim read may be old when the call is served: a
	 * wake in between would be lost. Who stores a new value wakes after that; so as long as no wake was served since
	 * before the word was read, the wake that belongs to a newer value is still to come, and finds the sleeper.
	 */
	uint32_t futex_seq;
	uint32_t locked; /* so many address spaces have locked memory: MADV_DONTNEED must look at it */
	uint32_t far;       /* the CPUs of sentry and guest share no cache: GATE_AWAY_MIN */
	uint32_t attach_fd; /* 1 + the number at which a new process finds its mailbox's descriptor; 0: it asks by STUB_HELLO */
	uint8_t clean_fp[576] __attribute__((aligned(64))); /* an XSAVE image of nothing, what a signal's handler begins with */
	struct gate_spec spec[GATE_MAX_NR] __attribute__((aligned(64)));
	/*
	 * Words that threads of all processes sleep on: everybody can wake them and nobody but the sentry change them. A wake for
	 * nothing costs its thread a look at its box. [0] is nobody's.
	 */
	uint32_t bells[GATE_BELLS] __attribute__((aligned(64)));
	/* How many waiters the sentry has on private futexes of each place; [0] is nobody's. See gate_futex_place. */
	uint32_t futex_waiters[GATE_FUTEX_PLACES] __attribute__((aligned(64)));
};
_Static_assert(sizeof(struct gate_ro) <= STUB_RO_SIZE, "the read-only pages hold it");

/* Where a private futex is counted. Each address space has a salt of its own, so that others learn nothing of its addresses. */
static inline uint32_t gate_futex_place(uint64_t salt, uint64_t addr)
{
	return 1U + (uint32_t)((((addr >> 2) ^ salt) * 0x9e3779b97f4a7c15UL) >> 40) % (GATE_FUTEX_PLACES - 1);
}

/*
 * Private futexes in the shim (futex_alone in shim.c). A wake that nobody can wait for is no call: its word was stored, then come
 * a barrier and a look at two counters. Each waiter counts itself in one of them, then a barrier, then the word is read:
 *
 *	asking          by the shim, as long as a wait that carries the word it has read is the sentry's
 *	futex_waiters   by the sentry, for all it lets wait, however they came, wherever they were requeued to
 *
 * So either the waiter sees the new word, or the waker the waiter. A thread that spins on the word counts nowhere: for everybody
 * else it has not made its call yet. One that dies while it asks leaves its count: wakes of that place are calls from then on. One that dies
 * while it spins (a vfork's child: others take their address space along) leaves its turn, until it was refused often.
 */
#define GATE_MM_PLACES 256U
struct gate_mm {
	uint32_t spinners; /* threads that spin on a word now */
	uint32_t refused;  /* so many weren't given a turn since one was */
	struct {
		uint32_t asking;
		uint32_t waker; /* who has woken last, and where: see shim.c */
	} places[GATE_MM_PLACES] __attribute__((aligned(64)));
};
_Static_assert(sizeof(struct gate_mm) <= STUB_MM_SIZE && STUB_MM >= STUB_RO + STUB_RO_SIZE && STUB_MM + STUB_MM_SIZE <= STUB_VDSO,
	       "the page holds it, and has a place of its own");

/* At AREA_LOCAL; the offsets are written in shim.c's assembly. */
struct gate_local {
	uint64_t mailbox;      /* 0x00 */
	uint64_t entry;        /* 0x08 GATE_ENTRY_SLOT */
	uint64_t stack;        /* 0x10 */
	uint64_t rsp, rcx, nr; /* 0x18, 0x20, 0x28 */
	uint64_t args[6];      /* 0x30: rdi rsi rdx r10 r8 r9 */
	uint64_t result;       /* 0x60 */
	uint64_t token;        /* 0x68 the zygote's: put there while its clone waits for us, for the clone */
};
_Static_assert(AREA_LOCAL % 64 == 0 && AREA_LOCAL + sizeof(struct gate_local) <= AREA_STACK, "it has room below the alternate stack");

/* What the sentry leaves in area 0 of the zygote before it enters the stub at zygote_entry. */
struct zygote_boot {
	volatile int64_t listener; /* 1 + what seccomp(2) gave (the listener's number), or -errno; 0 until known */
	volatile int64_t go;       /* ptrace: the zygote waits until it is traced */
	volatile uint32_t nearly;  /* 1, and woken, right before the filter is there: after that it can wake nobody */
};

#endif
