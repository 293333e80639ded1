/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stub may do without asking, as a seccomp program.
 *
 *	another architecture, x32 numbers   ENOSYS by the filter itself
 *	call from the stub's text           a short list of calls that are harmless whoever makes them, else notify
 *	call from anywhere else             by the verdict in syscalls/table.def: TRAP enters the trap door, else notify
 *
 * An instruction pointer inside the stub is no proof that the stub asks (a guest can jump there), so the short list holds
 * only what a guest may do to itself: private memory below the stub region (anonymous, or of a descriptor: the table is
 * empty but while a file that this very process may read is passed for a mapping; a private view of it gives nothing more. A
 * file of which it may not read everything has a number of its own kind: a mapping of it is asked for), its own end, sleeping on a
 * word of a mailbox or a bell (which the kernel goes on with by restart_syscall) and waking who sleeps there, and the return from a signal frame. Not close: another thread's commanded mapping could then find a different
 * file behind the number it was told. But of a number that no such mapping is ever told: what is mapped by those is private, of a file
 * that the process may read, whichever it is. Not PR_SET_PDEATHSIG: the sentry wants to see it.
 *
 * The numbers of the guest's verdicts become a balanced tree of comparisons, not a list: a filter of a hundred linear
 * tests costs every call, and its installation costs every start.
 *
 * stub_filter_free() states the same rules in C: the sentry uses it to know which of the calls it commands will be
 * notified. The two must agree; tests/unit/platform/stub_filter_test.c runs one against the other.
 */
#include "sentry/platform/stub_filter.h"

#include "sentry/abi/mman.h"
#include "sentry/base/types.h"
#include "sentry/platform/stub/abi.h"
#include "syscalls/dispatch.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#define ARG_LO(n) (offsetof(struct seccomp_data, args) + 8 * (n))
#define ARG_HI(n) (ARG_LO(n) + 4)
#define NR_OFF offsetof(struct seccomp_data, nr)
#define ARCH_OFF offsetof(struct seccomp_data, arch)
#define IP_LO offsetof(struct seccomp_data, instruction_pointer)
#define IP_HI (IP_LO + 4)

#define FREE_MAP_FLAGS                                                                                                 \
	(LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED | LINUX_MAP_FIXED_NOREPLACE | LINUX_MAP_NORESERVE | \
	 LINUX_MAP_STACK)
#define RWX (LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC)
/* Ranges that end below this high word need no sum: the 4 GiB above it absorb any length below 4 GiB. */
#define FREE_HI ((uint32_t)(STUB_BASE >> 32) - 1)

struct assembler {
	struct sock_filter *out;
	unsigned n;
};

static unsigned emit(struct assembler *a, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	invariant(a->n < STUB_FILTER_MAX);
	a->out[a->n] = (struct sock_filter){code, jt, jf, k};
	return a->n++;
}

static void load(struct assembler *a, uint32_t off)
{
	emit(a, BPF_LD | BPF_W | BPF_ABS, off, 0, 0);
}

static void ret(struct assembler *a, uint32_t action)
{
	emit(a, BPF_RET | BPF_K, action, 0, 0);
}

/* Emits a test whose failure returns `fail` and whose success falls through. */
static void require(struct assembler *a, uint16_t op, uint32_t k, bool want, uint32_t fail)
{
	emit(a, (uint16_t)(BPF_JMP | op | BPF_K), k, want ? 1 : 0, want ? 0 : 1);
	ret(a, fail);
}

/* If the number (in A) is nr, runs the block emitted until block_end(). */
static unsigned block_begin(struct assembler *a, uint32_t nr)
{
	return emit(a, BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 0);
}

static void block_end(struct assembler *a, unsigned begin)
{
	invariant(a->n - begin - 1 < 256);
	a->out[begin].jf = (uint8_t)(a->n - begin - 1);
}

/* [args 0, +args 1) lies below the stub region: length under 4 GiB, start's high word at most FREE_HI - 1. */
static void require_low_range(struct assembler *a, uint32_t notify)
{
	load(a, ARG_HI(0));
	require(a, BPF_JGE, FREE_HI, false, notify);
	load(a, ARG_HI(1));
	require(a, BPF_JEQ, 0, true, notify);
}

static const uint8_t free_advice[] = {
	LINUX_MADV_NORMAL, LINUX_MADV_RANDOM,   LINUX_MADV_SEQUENTIAL, LINUX_MADV_WILLNEED,   LINUX_MADV_DONTNEED,
	LINUX_MADV_FREE,   LINUX_MADV_HUGEPAGE, LINUX_MADV_NOHUGEPAGE, LINUX_MADV_WIPEONFORK, LINUX_MADV_KEEPONFORK,
};

static void stub_rules(struct assembler *a, uint64_t sigreturn_ip, uint32_t notify)
{
	unsigned b;

	load(a, NR_OFF);
	b = block_begin(a, SYS_rt_sigreturn);
	load(a, IP_LO);
	require(a, BPF_JEQ, (uint32_t)sigreturn_ip, true, notify);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	b = block_begin(a, SYS_exit_group);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	/* A nap that was interrupted by a stop or a freezer goes on by this number. */
	b = block_begin(a, SYS_restart_syscall);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	/* Sleeping on a word of a mailbox or a bell until somebody wakes it, and waking it. */
	b = block_begin(a, SYS_futex);
	load(a, ARG_HI(0));
	require(a, BPF_JGE, (uint32_t)(STUB_AREAS >> 32), true, notify);
	load(a, ARG_LO(1));
	require(a, BPF_JGT, 1 /* FUTEX_WAIT, FUTEX_WAKE */, false, notify);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	b = block_begin(a, SYS_mmap);
	require_low_range(a, notify);
	load(a, ARG_HI(3));
	require(a, BPF_JEQ, 0, true, notify);
	load(a, ARG_LO(3));
	require(a, BPF_JSET, ~(uint32_t)FREE_MAP_FLAGS, false, notify);
	require(a, BPF_JSET, LINUX_MAP_PRIVATE, true, notify);
	load(a, ARG_HI(2));
	require(a, BPF_JEQ, 0, true, notify);
	load(a, ARG_LO(2));
	require(a, BPF_JSET, ~(uint32_t)RWX, false, notify);
	load(a, ARG_LO(4));
	emit(a, BPF_JMP | BPF_JGE | BPF_K, STUB_GUARDED_HI, 2, 0);
	require(a, BPF_JGE, STUB_GUARDED_LO, false, notify);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	b = block_begin(a, SYS_close);
	load(a, ARG_LO(0));
	require(a, BPF_JGE, STUB_OWN_LO, true, notify);
	require(a, BPF_JGE, STUB_OWN_HI, false, notify);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	b = block_begin(a, SYS_munmap);
	require_low_range(a, notify);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	b = block_begin(a, SYS_mprotect);
	require_low_range(a, notify);
	load(a, ARG_HI(2));
	require(a, BPF_JEQ, 0, true, notify);
	load(a, ARG_LO(2));
	require(a, BPF_JSET, ~(uint32_t)RWX, false, notify);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	/* MADV_DONTFORK anywhere (the stub says it of its mailbox); the listed advice below the stub region. */
	b = block_begin(a, SYS_madvise);
	load(a, ARG_HI(2));
	require(a, BPF_JEQ, 0, true, notify);
	load(a, ARG_LO(2));
	require(a, BPF_JEQ, LINUX_MADV_DONTFORK, false, SECCOMP_RET_ALLOW);
	for (unsigned i = 0; i < ARRAY_LEN(free_advice); i++)
		emit(a, BPF_JMP | BPF_JEQ | BPF_K, free_advice[i], (uint8_t)(ARRAY_LEN(free_advice) - i), 0);
	ret(a, notify);
	require_low_range(a, notify);
	ret(a, SECCOMP_RET_ALLOW);
	block_end(a, b);

	ret(a, notify);
}

bool stub_filter_free(int64_t nr, const uint64_t args[6])
{
	bool low = args[0] >> 32 < FREE_HI && args[1] >> 32 == 0;

	switch (nr) {
	case SYS_exit_group:
	case SYS_restart_syscall:
		return true;
	case SYS_futex:
		return args[0] >> 32 >= STUB_AREAS >> 32 && (uint32_t)args[1] <= 1;
	case SYS_mmap:
		return low && (args[3] & ~(uint64_t)FREE_MAP_FLAGS) == 0 && (args[3] & LINUX_MAP_PRIVATE) &&
		       (args[2] & ~(uint64_t)RWX) == 0 &&
		       ((uint32_t)args[4] < STUB_GUARDED_LO || (uint32_t)args[4] >= STUB_GUARDED_HI);
	case SYS_close:
		return (uint32_t)args[0] >= STUB_OWN_LO && (uint32_t)args[0] < STUB_OWN_HI;
	case SYS_munmap:
		return low;
	case SYS_mprotect:
		return low && (args[2] & ~(uint64_t)RWX) == 0;
	case SYS_madvise:
		if (args[2] == LINUX_MADV_DONTFORK)
			return true;
		for (unsigned i = 0; i < ARRAY_LEN(free_advice); i++)
			if (args[2] == free_advice[i])
				return low;
		return false;
	default:
		return false;
	}
}

/* ---- the guest's calls: ranges of numbers with one action, as a tree ---- */

struct number_range {
	uint32_t first;
	uint32_t action;
};

static void emit_tree(struct assembler *a, const struct number_range *r, unsigned n)
{
	unsigned half = n / 2, jump;

	if (n == 1) {
		ret(a, r[0].action);
		return;
	}
	jump = emit(a, BPF_JMP | BPF_JGE | BPF_K, r[half].first, 0, 0);
	emit_tree(a, r, half);
	invariant(a->n - jump - 1 < 256);
	a->out[jump].jt = (uint8_t)(a->n - jump - 1);
	emit_tree(a, r + half, n - half);
}

/*
 * Calls that containers' own filters refuse (docker's and podman's defaults, and what older versions of them refused). Under
 * such a filter its ERRNO would beat our notification unseen; our TRAP beats its ERRNO.
 */
static bool often_refused(uint32_t nr)
{
	switch (nr) {
	case SYS_personality:
	case SYS_ptrace:
	case SYS_process_vm_readv:
	case SYS_process_vm_writev:
	case SYS_kcmp:
	case SYS_mbind:
	case SYS_set_mempolicy:
	case SYS_get_mempolicy:
	case SYS_migrate_pages:
	case SYS_move_pages:
	case SYS_ustat:
	case SYS_sysfs:
	case SYS_mount:
	case SYS_umount2:
	case SYS_pivot_root:
	case SYS_chroot:
	case SYS_unshare:
	case SYS_setns:
	case SYS_sethostname:
	case SYS_setdomainname:
	case SYS_settimeofday:
	case SYS_clock_settime:
	case SYS_clock_adjtime:
	case SYS_adjtimex:
	case SYS_syslog:
	case SYS_acct:
	case SYS_quotactl:
	case SYS_name_to_handle_at:
	case SYS_open_by_handle_at:
	case SYS_fanotify_init:
	case SYS_userfaultfd:
	case SYS_perf_event_open:
	case SYS_bpf:
	case SYS_keyctl:
	case SYS_add_key:
	case SYS_request_key:
	case SYS_modify_ldt:
	case SYS_vhangup:
	case SYS_iopl:
	case SYS_ioperm:
	case SYS_socket: /* AF_ALG, AF_VSOCK by argument */
	case SYS_pidfd_getfd:
	case SYS_process_madvise:
	case SYS_mq_open:
		return true;
	default:
		/* Numbers newer than the filter's author knew. */
		return nr >= SYS_pidfd_send_signal && nr < SYSCALL_MAX;
	}
}

static bool traps(uint32_t nr, bool outer)
{
	return nr < SYSCALL_MAX && (syscall_table[nr].verdict == SYSCALL_TRAP || (outer && often_refused(nr)));
}

static void guest_rules(struct assembler *a, uint32_t notify, bool outer)
{
	struct number_range ranges[128];
	unsigned n = 0;

	for (uint32_t nr = 0; nr <= SYSCALL_MAX; nr++) {
		uint32_t action = traps(nr, outer) ? SECCOMP_RET_TRAP : notify;

		if (n != 0 && ranges[n - 1].action == action)
			continue;
		invariant(n < ARRAY_LEN(ranges));
		ranges[n++] = (struct number_range){nr, action};
	}
	load(a, NR_OFF);
	emit_tree(a, ranges, n);
}

unsigned stub_filter_build(struct sock_filter out[STUB_FILTER_MAX], uint64_t sigreturn_ip, uint64_t text_end,
			   uint32_t notify, bool outer)
{
	struct assembler a = {out, 0};
	unsigned hi, lo, end;

	load(&a, ARCH_OFF);
	require(&a, BPF_JEQ, AUDIT_ARCH_X86_64, true, SECCOMP_RET_ERRNO | LINUX_ENOSYS);
	load(&a, NR_OFF);
	require(&a, BPF_JGE, 0x40000000, false, SECCOMP_RET_ERRNO | LINUX_ENOSYS);

	/* The long jump over the stub's rules is a BPF_JA: conditional jumps reach only 255 instructions. */
	load(&a, IP_HI);
	hi = emit(&a, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(STUB_BASE >> 32), 0, 2);
	load(&a, IP_LO);
	lo = emit(&a, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)text_end, 0, 1);
	end = emit(&a, BPF_JMP | BPF_JA, 0, 0, 0);
	(void)hi;
	(void)lo;
	stub_rules(&a, sigreturn_ip, notify);
	out[end].k = a.n - end - 1;
	guest_rules(&a, notify, outer);
	return a.n;
}
