/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shim must know of each call: which arguments point to bytes it reads, which to places it writes. It is taken
 * from the trace formats of syscalls/table.def, which say it already ("fd buf:2 size"): one more table would drift.
 *
 * A kind that isn't listed here moves no bytes through the mailbox; the sentry then copies from and to the process, as it
 * does for calls that don't come by the gate. A wrong entry could only make a call slower, or show bytes the guest has
 * anyway: what a segment doesn't hold is read from the process.
 *
 * Calls whose handler needs registers are left to the trap door. Those whose handler only queues native memory calls come
 * by the gate although their verdict is TRAP: the shim carries the commands out itself. prlimit64 is trapped for what its setting
 * of the stack's size does; asking, which is what programs do, needs no context.
 */
#include "sentry/platform/stubs/gate.h"

#include "sentry/abi/fs.h"
#include "sentry/platform/stubs/stubs.h"
#include "syscalls/dispatch.h"

#include <string.h>
#include <sys/syscall.h>

_Static_assert(LINUX_F_GETLK == 5 && LINUX_F_SETLKW == 7 && LINUX_F_OFD_SETLKW == 38 && sizeof(struct linux_flock) == 32,
	       "gate_command_seg and the segment's size are right");

struct seg_word {
	const char *word;
	uint8_t len; /* of the word: all calls' formats are read at each start */
	uint8_t kind;
	uint16_t size;
	bool counted; /* times the argument behind the colon, or else the next one */
};

#define WORD(word, kind, size, counted) {word, sizeof(word) - 1, kind, size, counted}
static const struct seg_word words[] = {
	WORD("path", GATE_PATH, 0, false),
	WORD("str", GATE_PATH, 0, false),
	WORD("buf", GATE_IN, 1, true),
	WORD("iov", GATE_IOV_IN, 1, true),
	WORD("msghdr", GATE_MSG_IN, 56, false),
	WORD("fcntlarg", GATE_FCNTL, 32, false),
	WORD("ioctlarg", GATE_IOCTL, 4, false),
	WORD("prctlarg", GATE_PRCTL, 16, false),
	WORD("sockaddr", GATE_IN, 1, true),
	WORD("optval", GATE_IN, 1, true),
	WORD("timespec", GATE_IN, 16, false),
	WORD("timeval", GATE_IN, 16, false),
	WORD("itimerspec", GATE_IN, 32, false),
	WORD("itimerval", GATE_IN, 32, false),
	WORD("times2", GATE_IN, 32, false),
	WORD("sigset", GATE_IN, 8, false),
	WORD("sigaction", GATE_IN, 32, false),
	WORD("rlimit", GATE_IN, 16, false),
	WORD("pollfds", GATE_INOUT, 8, true),
	WORD("fdset", GATE_FDSET, 0, true),
	WORD("epoll_event", GATE_IN, 12, false),
	WORD("u64p", GATE_INOUT, 8, false),
	WORD("u32p", GATE_INOUT, 4, false),
	WORD("intp", GATE_IN, 4, false),
	WORD("out:buf", GATE_OUT, 1, true),
	WORD("out:path", GATE_OUT, 1, true),
	WORD("out:dirents", GATE_OUT, 1, true),
	WORD("out:iov", GATE_IOV_OUT, 1, true),
	WORD("out:msghdr", GATE_MSG_OUT, 56, false),
	WORD("out:optval", GATE_OUT, 4, false), /* most are a number */
	WORD("out:cpuset", GATE_OUT, 1, true),
	WORD("out:statfs", GATE_OUT, 120, false),
	WORD("out:sysinfo", GATE_OUT, 112, false),
	WORD("out:tms", GATE_OUT, 32, false),
	WORD("out:epoll_events", GATE_OUT, 12, true),
	WORD("out:stat", GATE_OUT, 144, false),
	WORD("out:statx", GATE_OUT, 256, false),
	WORD("out:timespec", GATE_OUT, 16, false),
	WORD("out:timeval", GATE_OUT, 16, false),
	WORD("out:itimerspec", GATE_OUT, 32, false),
	WORD("out:itimerval", GATE_OUT, 32, false),
	WORD("out:rusage", GATE_OUT, 144, false),
	WORD("out:wstatus", GATE_OUT, 4, false),
	WORD("out:rlimit", GATE_OUT, 16, false),
	WORD("out:fds", GATE_OUT, 8, false),
	WORD("out:intp", GATE_OUT, 4, false),
	WORD("out:sigset", GATE_OUT, 8, false),
	WORD("out:sigaction", GATE_OUT, 32, false),
	WORD("out:utsname", GATE_OUT, 390, false),
	WORD("out:sockaddr", GATE_OUT, 128, false),
	WORD("out:siginfo", GATE_OUT, 128, false),
};

static const struct seg_word *find_word(const char *s, size_t len)
{
	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].len == len && memcmp(words[i].word, s, len) == 0)
			return &words[i];
	return NULL;
}

static void add_seg(struct gate_spec *spec, unsigned *n, unsigned kind, unsigned ptr, unsigned len, size_t size)
{
	if (*n == GATE_SPECS)
		return;
	spec->segs[*n].kind = (uint8_t)kind;
	spec->segs[*n].ptr = (uint8_t)ptr;
	spec->segs[*n].len = (uint8_t)len;
	spec->segs[*n].size = (uint16_t)size;
	(*n)++;
}

/* One word of a trace format: argument arg. */
static void add_word(struct gate_spec *spec, unsigned *n, const char *s, size_t len, unsigned arg)
{
	const struct seg_word *w = find_word(s, len);
	unsigned count = arg + 1;

	if (w == NULL && len > 2 && s[len - 2] == ':' && s[len - 1] >= '0' && s[len - 1] <= '5') {
		count = (unsigned)(s[len - 1] - '0');
		w = find_word(s, len - 2);
	}
	if (w == NULL || arg > 5 || (w->counted && count > 5))
		return;
	add_seg(spec, n, w->kind, arg, w->counted ? count : GATE_NO_LEN, w->size);
}

static int id_of(int nr)
{
	switch (nr) {
	case SYS_getpid:
		return GATE_PID;
	case SYS_getppid:
		return GATE_PPID;
	case SYS_gettid:
		return GATE_TID;
	case SYS_getuid:
		return GATE_UID;
	case SYS_geteuid:
		return GATE_EUID;
	case SYS_getgid:
		return GATE_GID;
	case SYS_getegid:
		return GATE_EGID;
	default:
		return -1;
	}
}

/* Verdict TRAP, yet no register is asked for. */
static bool only_memory(int nr)
{
	switch (nr) {
	case SYS_mmap:
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_madvise:
	case SYS_brk:
	case SYS_mremap:
	case SYS_mincore:
	case SYS_exit: /* its thread waits in the shim to be used again */
		return true;
	default:
		return false;
	}
}

void gate_spec_fill(struct gate_spec *out, int nr)
{
	const struct syscall_row *row = nr < SYSCALL_MAX ? &syscall_table[nr] : NULL;
	unsigned n = 0, arg = 0;
	const char *p;

	memset(out, 0, sizeof(*out));
	if (row == NULL || row->name == NULL)
		return;
	if (nr == SYS_clone || nr == SYS_clone3) {
		out->class = GATE_CLASS_CLONE;
		if (nr == SYS_clone3)
			add_word(out, &n, "buf", 3, 0);
		return;
	}
	if (row->verdict == SYSCALL_TRAP && !only_memory(nr) && nr != SYS_prlimit64) {
		out->class = GATE_CLASS_TRAP;
		return;
	}
	if (id_of(nr) >= 0) {
		out->class = GATE_CLASS_ID;
		out->id = (uint8_t)id_of(nr);
		return;
	}
	/* Its segments are for when the sentry does it. */
	if (nr == SYS_rt_sigprocmask)
		out->class = GATE_CLASS_MASK;
	if (nr == SYS_rt_sigaction)
		out->class = GATE_CLASS_ACTION;
	if (nr == SYS_set_robust_list)
		out->class = GATE_CLASS_ROBUST;
	if (nr == SYS_set_tid_address)
		out->class = GATE_CLASS_TID;
	if (nr == SYS_umask)
		out->class = GATE_CLASS_UMASK;
	if (nr == SYS_brk)
		out->class = GATE_CLASS_BRK;
	if (nr == SYS_getrandom)
		out->class = GATE_CLASS_RANDOM;
	if (nr == SYS_madvise)
		out->class = GATE_CLASS_DROP;
	if (nr == SYS_prlimit64)
		out->class = GATE_CLASS_ASK;
	if (nr == SYS_rseq) /* each new thread of the C library asks for it */
		out->class = GATE_CLASS_ABSENT;
	if (nr == SYS_futex) {
		out->class = GATE_CLASS_FUTEX;
		/* The word; and what may be a time, or a number that isn't an address (the shim passes over small ones). */
		out->segs[0].kind = GATE_FUTEX_WORD;
		out->segs[0].len = GATE_NO_LEN;
		out->segs[0].size = 4;
		out->segs[1].kind = GATE_FUTEX_TIME;
		out->segs[1].ptr = 3;
		out->segs[1].len = GATE_NO_LEN;
		out->segs[1].size = 16;
		return;
	}
	for (p = row->trace; *p != '\0' && *p != '='; arg++) {
		size_t len = strcspn(p, " ");

		add_word(out, &n, p, len, arg);
		p += len;
		p += *p == ' ';
	}
	if (nr == SYS_pselect6)
		add_seg(out, &n, GATE_SIGMASK, 5, GATE_NO_LEN, 16);
	/* These say in their last argument but one or two what was left of the time. */
	if (nr == SYS_select || nr == SYS_pselect6 || nr == SYS_ppoll) {
		for (unsigned i = 0; i < n; i++)
			if (out->segs[i].kind == GATE_IN && out->segs[i].size == 16)
				out->segs[i].kind = GATE_INOUT;
	}
}
