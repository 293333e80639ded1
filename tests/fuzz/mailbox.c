/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stubs report: the doorbell, calls out of the stub's text, mailboxes, deaths, in any order and with any content,
 *while the kernel above serves whole processes that fork, make threads, exec and die. The transport and the host's
 *processes are this file's; the input decides whose turn it is, and whether it does what an honest stub does next or
 *something else.
 *
 *	sim (a host thread) --> stubs_call() --> events.c, thread.c, native.c --> coroutines of tasks
 *	    ^---------------- transport: answer, proceed, pass_fd <-------------------------'
 *
 * Threads also call by the gate, or say so: their boxes hold any kind, segments, answers and states, and are written while
 * calls are served, by themselves or by others; the sentry polls or sleeps. Streams' pieces are carried, said to be, or not.
 *
 * Only what the guest controls is forged: not the zygote, nor a thread before its first guest instruction, nor the
 *host's word who is calling and who has died. Checked: only processes of this sandbox are signalled or looked into, a
 * call is answered once and while it waits, and at the end everything is gone and counted down.
 */
#include "tests/fuzz/fuzz.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stub_filter.h"
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/stubs.h"
#include "syscalls/dispatch.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIMS 64U
#define ZYGOTE 2
#define FIRST_TID 100
#define STEPS 256U

enum life { UNUSED, HELLO, PARKED, MAPPING, ARRIVING, GUEST, COMMANDED, CLONES, CLONED, LEAVING, IN_GATE, IN_BELL };

static struct sim {
	enum life life;
	int tid, pid;
	uint64_t token, call_id; /* call_id 0: it runs */
	int64_t answer;          /* of the last call */
	bool kicked, honest;     /* honest: no guest instruction yet */
	bool told;               /* its first call, which tells its token, has been made */
	bool spawned;            /* by the zygote: no guest's instruction was near it */
	bool closes;             /* COMMANDED: the last call is the report */
	bool reports;            /* the call in hand is a report that the host is to make */
	uint64_t forks;          /* ... a clone that is, of a process with this token; 0: it isn't */
	bool made;               /* CLONED: its clone was let through */
	int forked;              /* the process that it has made and has not told of yet, or -EAGAIN; 0: none */
	bool softly;             /* IN_BELL: it sleeps on its box for a while */
	unsigned passed;         /* descriptors */
} sims[SIMS];
static int dead[SIMS], ndead; /* host processes that have ended, to be reaped */
static struct fuzz_input input;
static uint64_t next_call_id = 1;
static int next_tid = FIRST_TID;
static uint64_t first_call_id = 1; /* of this run */
static uint8_t answered[1024];     /* bit n: call first_call_id + n */
static int free_tid;               /* of a thread that has ended: the host gives it out again */
static unsigned steps;
static bool over;

static struct sim *sim_new(enum life life, int pid, uint64_t token)
{
	for (unsigned i = 0; i < SIMS; i++) {
		if (sims[i].life != UNUSED)
			continue;
		if (next_tid > 30000)
			next_tid = FIRST_TID;
		sims[i] = (struct sim){.life = life, .token = token, .honest = true};
		sims[i].tid = free_tid != 0 ? free_tid : next_tid++;
		free_tid = 0;
		sims[i].pid = pid != 0 ? pid : sims[i].tid;
		return &sims[i];
	}
	return NULL;
}

static bool pid_alive(int pid)
{
	for (unsigned i = 0; i < SIMS; i++)
		if (sims[i].life != UNUSED && sims[i].pid == pid)
			return true;
	return false;
}

static void process_ends(int pid)
{
	if (!pid_alive(pid))
		return;
	for (unsigned i = 0; i < SIMS; i++)
		if (sims[i].pid == pid)
			sims[i].life = UNUSED;
	FUZZ_CHECK(ndead < (int)SIMS);
	dead[ndead++] = pid;
}

/* ---- the transport ---- */

static struct sim *caller(uint64_t id)
{
	for (unsigned i = 0; i < SIMS; i++)
		if (sims[i].life != UNUSED && sims[i].call_id == id)
			return &sims[i];
	return NULL;
}

static uint64_t zygote_call, zygote_token;

static void answer(uint64_t id, int64_t value)
{
	uint64_t n = id - first_call_id;
	struct sim *s;

	FUZZ_CHECK(id != 0 && id < next_call_id);
	if (id >= first_call_id && n / 8 < sizeof(answered)) {
		FUZZ_CHECK((answered[n / 8] >> (n % 8) & 1) == 0);
		answered[n / 8] |= (uint8_t)(1U << (n % 8));
	}

	if (id == zygote_call) {
		/* A new process with the token that was written; the zygote is ready for the next one at the next turn. */
		zygote_call = 0;
		s = sim_new(HELLO, 0, zygote_token);
		FUZZ_CHECK(value == 0 && zygote_token != 0 && s != NULL);
		s->spawned = true;
		zygote_token = 0;
		return;
	}
	s = caller(id);
	if (s == NULL)
		return; /* it has died meanwhile */
	s->call_id = 0;
	s->answer = value;
	if (s->forks != 0) { /* not made */
		FUZZ_CHECK(value < STUB_INSTEAD(0) && value != STUB_INSTEAD(STUB_FORK));
		s->answer = STUB_INSTEAD(0) - value;
		s->forks = 0;
	}
}

static struct gate_box *box_of(const struct sim *s);

/* The host makes the call. One that was a report brings an action. */
static void proceed(uint64_t id)
{
	struct sim *s = caller(id);
	struct gate_box *box = s != NULL && s->reports ? box_of(s) : NULL;

	if (s != NULL && s->forks != 0) {
		struct sim *child = sim_new(HELLO, 0, s->forks);

		s->forked = child != NULL ? child->tid : -LINUX_EAGAIN;
		s->forks = 0;
	}
	if (s != NULL && s->life == CLONED)
		s->made = true;
	answer(id, 0);
	if (box == NULL)
		return;
	s->reports = false;
	s->answer = box->result;
}

static int pass_fd(uint64_t id, int fd, int at, bool with_answer)
{
	struct sim *s = caller(id);

	FUZZ_CHECK(fd >= 0 && !with_answer &&
		   (at == -1 || at == STUB_ATTACH_FD || (at >= (int)STUB_OWN_LO && at < (int)STUB_OWN_HI)));
	if (s == NULL)
		return -LINUX_ESRCH;
	/* A number after the other, as the host gives them. */
	return at >= 0 ? at : 5 + (int)(s->passed++ % 4);
}

static void before_sleep(void)
{
}

static const struct stub_transport sim_transport = {
	.answer = answer, .proceed = proceed, .pass_fd = pass_fd, .before_sleep = before_sleep, .cheap_waiters = 1,
	.chooses_number = true};

static int on_kill(int pid, int tid, int sig)
{
	/* Whether a process lives may be asked of any: a parent says which one its child is. */
	FUZZ_CHECK(sig == 0 ? pid > 1 : pid >= FIRST_TID);
	/* A thread's number stands for its process. */
	for (unsigned i = 0; tid == 0 && i < SIMS; i++) {
		if (sims[i].life != UNUSED && sims[i].tid == pid) {
			pid = sims[i].pid;
			break;
		}
	}
	if (!pid_alive(pid))
		return -LINUX_ESRCH;
	if (tid != 0) {
		bool found = false;

		for (unsigned i = 0; i < SIMS; i++)
			found |= sims[i].life != UNUSED && sims[i].tid == tid && sims[i].pid == pid;
		if (!found)
			return -LINUX_ESRCH;
	}
	if (sig == 9)
		process_ends(pid);
	for (unsigned i = 0; tid != 0 && sig != 0 && i < SIMS; i++)
		if (sims[i].life != UNUSED && sims[i].tid == tid)
			sims[i].kicked = true;
	return 0;
}

static int64_t on_copy(int pid, bool write, const struct iovec *local, const struct iovec *remote)
{
	uint64_t addr = (uint64_t)remote->iov_base;
	size_t len = MIN(local->iov_len, remote->iov_len);

	if (pid == ZYGOTE) {
		FUZZ_CHECK(write && len == sizeof(zygote_token) && zygote_call != 0 &&
			   addr == STUB_AREAS + AREA_LOCAL + offsetof(struct gate_local, token));
		memcpy(&zygote_token, local->iov_base, len);
		return (int64_t)len;
	}
	FUZZ_CHECK(pid >= FIRST_TID);
	if (addr >= 0x500000000000UL) {
		if (!write)
			memset(local->iov_base, 0, len);
		return (int64_t)len;
	}
	if (addr < WINDOW || addr >= WINDOW + GUEST_WINDOW_SIZE)
		return -LINUX_EFAULT;
	len = MIN(len, WINDOW + GUEST_WINDOW_SIZE - addr);
	if (write)
		memcpy(window + (addr - WINDOW), local->iov_base, len);
	else
		memcpy(local->iov_base, window + (addr - WINDOW), len);
	return (int64_t)len;
}

/* ---- what stubs do ---- */

static void call_from(struct sim *s, int64_t nr, uint64_t ip, const uint64_t args[6])
{
	struct stub_call c = {.id = next_call_id++, .tid = s->tid, .nr = nr, .ip = ip};

	memcpy(c.args, args, sizeof(c.args));
	s->call_id = c.id;
	stubs_call(&c);
}

static void ring(struct sim *s, enum stub_op op, uint64_t arg)
{
	uint64_t args[6] = {STUB_MAGIC, op, arg};

	call_from(s, SYS_getppid, STUB_BASE + 0x100, args);
}

static void set_reason(struct sim *s, uint64_t reason)
{
	struct platform_thread *pt = thread_find(s->tid);

	if (pt != NULL)
		pt->mailbox->reason = reason;
}

static bool does_expected(struct sim *s)
{
	struct platform_thread *pt = thread_find(s->tid);
	const struct expected_call *e;
	uint64_t args[6] = {0};

	if (pt == NULL || pt->expected_next >= pt->nexpected)
		return false;
	e = &pt->expected[pt->expected_next];
	memcpy(args, e->args, e->nargs * sizeof(args[0]));
	s->reports = pt->expected_next + 1 == pt->nexpected && (s->life == MAPPING || (s->life == COMMANDED && s->closes));
	if (s->reports)
		s->life = GUEST; /* an action follows, as after a doorbell */
	call_from(s, e->nr, STUB_BASE + 0x200, args);
	return true;
}

/* ---- the gate ---- */

static struct gate_box *box_at(const struct platform_thread *pt)
{
	return (struct gate_box *)((char *)pt->mailbox + GATE_BOX);
}

static struct gate_box *box_of(const struct sim *s)
{
	struct platform_thread *pt = thread_find(s->tid);

	return pt != NULL ? box_at(pt) : NULL;
}

static uint64_t some_addr(void)
{
	uint8_t b = fuzz_u8(&input);

	return b < 0xf0 ? WINDOW + (uint64_t)b * 128 + fuzz_u8(&input) : fuzz_u64(&input);
}

static void some_segs(struct gate_box *box)
{
	uint8_t n = fuzz_u8(&input);

	box->nsegs = (uint8_t)(n < 0x60 ? n % 5 : n < 0xf0 ? GATE_IMPLIED : fuzz_u8(&input));
	for (unsigned i = 0; n < 0xf8 && i < n % 5U && i < GATE_MAX_SEGS; i++) {
		struct gate_seg *s = &box->segs[i];
		uint8_t b = fuzz_u8(&input);

		s->addr = some_addr();
		s->len = b < 0xf0 ? (uint32_t)(b & 0x3f) * 16 : fuzz_u32(&input);
		s->off = b < 0xe0 ? i * 1024 : fuzz_u32(&input);
		s->flags = b & 3;
	}
}

/* Asks by the box; if nobody polls, a doorbell call follows at the thread's next turn. */
static void box_rings(struct sim *s, enum life life, uint32_t kind)
{
	struct gate_box *box = box_of(s);

	if (box == NULL)
		return;
	box->kind = (uint8_t)kind;
	__atomic_store_n(&box->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
	s->life = life;
}

static void gate_call(struct sim *s, int nr, const uint64_t args[6])
{
	struct gate_box *box = box_of(s);

	if (box == NULL)
		return;
	box->nr = (uint16_t)nr;
	box->asked = 0x401000;
	memcpy(box->args, args, sizeof(box->args));
	some_segs(box);
	box_rings(s, IN_GATE, GATE_KIND_CALL);
}

static void trap_by_box(struct sim *s, uint64_t reason)
{
	struct gate_box *box = box_of(s);

	if (box == NULL)
		return;
	set_reason(s, reason);
	box->pending = 0;
	box->nr = STUB_TRAP;
	box_rings(s, IN_BELL, GATE_KIND_STUB);
}

/* What the shim does next. */
static void shim_step(struct sim *s)
{
	struct gate_box *box = box_of(s);

	if (box == NULL)
		return;
	if (GATE_STATE(box->state) != GATE_DONE) {
		struct platform_thread *pt = thread_find(s->tid);

		if (s->softly && pt->mailbox->aloud == 0 && (fuzz_u8(&input) & 7) != 0)
			return;
		s->softly = false;
		ring(s, STUB_GATE_WAIT, 0);
		return;
	}
	if (s->life == IN_BELL) {
		s->answer = box->result;
		s->life = GUEST;
		return;
	}
	switch (GATE_ACTION(box->state)) {
	case GATE_RUN:
		if (!does_expected(s))
			box_rings(s, IN_GATE, GATE_KIND_DONE);
		break;
	case GATE_WAIT:
		box_rings(s, IN_GATE, GATE_KIND_WAIT);
		ring(s, STUB_GATE_WAIT, 0);
		break;
	case GATE_RUN_RETURN:
		if (does_expected(s))
			break;
		/* fall through */
	default:
		s->answer = 0;
		s->life = GUEST;
		if (box->pending) {
			s->kicked = false;
			trap_by_box(s, 16);
		}
		break;
	}
}

/* While a stream waits: pieces are carried, in order or as a guest may say so, or not at all. */
static unsigned stream_lies;

static void on_stream_pause(void *at)
{
	struct gate_box *box = at;
	uint32_t carried = box->carried;
	struct gate_piece *p = &box->pieces[carried % GATE_PIECES];
	uint8_t b = fuzz_u8(&input);

	if (b < 0xa0)
		stream_lies++;
	switch (b >> 5) {
	case 0:
		box->carried = box->stream_first;
		break;
	case 1:
		box->carried = carried - (b & 7);
		break;
	case 2:
		box->broken = b & 1;
		break;
	case 3:
		box->carried = b & 16 ? fuzz_u32(&input) : carried + (b & 15);
		break;
	case 4:
		box->pieces[b & 3].number = box->stream_first = carried + (b >> 2 & 7);
		break;
	default:
		/* The next piece, if there is one: every byte says where it lies. */
		if (!fuzz_more(&input) || p->number != carried + 1)
			break;
		for (uint32_t i = 0; p->in && i < MIN(p->len, GATE_PIECE_MAX); i++)
			((char *)box)[GATE_STREAM_AT - GATE_BOX + carried % GATE_PIECES * GATE_PIECE_MAX + i] =
				(char)((p->addr + i) % 251);
		box->carried = carried + 1;
	}
}

/* Streams alone, one after the other, of a thread whose call is served; the ones of whole processes need more luck. */
static void streams(void)
{
	static struct mailbox *mailbox;
	struct platform_thread pt = {.state = THREAD_GATE, .stream_next = fuzz_u32(&input)};
	struct task *task = calloc(1, sizeof(*task));

	if (mailbox == NULL)
		mailbox = aligned_alloc(PAGE_SIZE, MAILBOX_SIZE);
	FUZZ_CHECK(task != NULL && mailbox != NULL);
	memset(mailbox, 0, MAILBOX_SIZE);
	pt.mailbox = mailbox;
	pt.event.kind = PLATFORM_SYSCALL;
	pt.task = task;
	task->pt = &pt;
	fuzz_host.streaming = true;
	while (fuzz_more(&input)) {
		size_t len = GATE_STREAM_MIN + fuzz_u16(&input) * 3, cut = fuzz_u16(&input) % GATE_STREAM_MIN + 1, moved;
		bool out = fuzz_u8(&input) & 1;
		char *a = malloc(cut), *b = malloc(len - cut + 1);
		struct platform_bytes vec[2] = {{a, cut}, {b, len - cut}};

		FUZZ_CHECK(a != NULL && b != NULL);
		memset(a, 1, cut);
		memset(b, 1, len - cut + 1);
		stream_lies = 0;
		pt.stream_off = false;
		moved = gate_stream(&pt, out, WINDOW, vec, len);
		FUZZ_CHECK(moved <= len);
		for (size_t i = 0; !out && stream_lies == 0 && i < moved; i++)
			FUZZ_CHECK((uint8_t)(i < cut ? a[i] : b[i - cut]) == (WINDOW + i) % 251);
		/* No line is left that an honest shim would take before it is filled. */
		for (uint32_t i = 0; moved < len && i < GATE_PIECES; i++)
			FUZZ_CHECK(box_at(&pt)->pieces[i].number == pt.stream_next - GATE_PIECES);
		free(a);
		free(b);
	}
	fuzz_host.streaming = false;
	free(task);
}

/* Somebody writes into the box. */
static void forge_box(struct sim *s)
{
	static const uint16_t fields[] = {
		offsetof(struct gate_box, state),  offsetof(struct gate_box, nr),     offsetof(struct gate_box, asked),
		offsetof(struct gate_box, args),   offsetof(struct gate_box, long_nr), offsetof(struct gate_box, segs),
		offsetof(struct gate_box, result), offsetof(struct gate_box, pending),
		offsetof(struct gate_box, outs),   offsetof(struct gate_box, known),
		offsetof(struct gate_box, bell),   offsetof(struct gate_box, errand),
		offsetof(struct gate_box, carried), offsetof(struct gate_box, pieces)};
	struct gate_box *box = box_of(s);
	uint8_t b = fuzz_u8(&input);

	if (box == NULL)
		return;
	if (b < 0x80)
		*(uint32_t *)((char *)box + fields[b % ARRAY_LEN(fields)]) = fuzz_u8(&input) & 7;
	else if (b < 0xa0)
		some_segs(box);
	else
		fuzz_bytes(&input, (char *)box + fuzz_u16(&input) % (sizeof(*box) - 64), b & 63);
	if (b & 0x40)
		__atomic_store_n(&box->state, GATE_REQUEST, __ATOMIC_SEQ_CST);
}

/* A guest call: by the trap door, by the gate or plain, as the table says. */
static void guest_call(struct sim *s)
{
	static const uint16_t numbers[] = {
		SYS_clone,        SYS_fork,         SYS_vfork,          SYS_execve,     SYS_mmap,  SYS_munmap,
		SYS_brk,          SYS_getpid,       SYS_exit,           SYS_exit_group, SYS_kill,  SYS_tgkill,
		SYS_rt_sigaction, SYS_rt_sigreturn, SYS_wait4,          SYS_nanosleep,  SYS_futex, SYS_mprotect,
		SYS_sched_yield,  SYS_membarrier,   SYS_mremap,         SYS_alarm,      SYS_pipe,  SYS_read,
		SYS_write,        SYS_madvise,      SYS_rt_sigprocmask, SYS_clone,      SYS_prctl, SYS_sigaltstack,
		SYS_mincore,      SYS_pause};
	static const uint64_t words[] = {
		0,    1, 2,    17, 0x11,      0x50f00, 0x3d0f00, 0x4111, WINDOW, WINDOW + 0x1000, WINDOW + 0x4000,
		4096, 3, 0x22, 9,  UINT64_MAX};
	static const uint64_t large[] = {0x4000, 0x6001, 0x8000, 200000};
	uint8_t b = fuzz_u8(&input);
	int nr = b < 0xf0 ? numbers[b % ARRAY_LEN(numbers)] : fuzz_u16(&input) % 470;
	struct platform_thread *pt = thread_find(s->tid);
	uint64_t args[6];

	for (unsigned i = 0; i < 6; i++) {
		b = fuzz_u8(&input);
		args[i] = b < 0xe0 ? words[b & 15] : b < 0xf0 ? large[b & 3] : fuzz_u64(&input);
	}
	b = fuzz_u8(&input);
	if (nr >= SYSCALL_MAX || syscall_table[nr].verdict != SYSCALL_TRAP || (b & 15) == 15) {
		if (b & 1)
			gate_call(s, nr, args);
		else
			call_from(s, nr, 0x401000, args);
		return;
	}
	if (pt == NULL)
		return;
	pt->mailbox->regs[13] = (uint64_t)nr;
	pt->mailbox->regs[8] = args[0];
	pt->mailbox->regs[9] = args[1];
	pt->mailbox->regs[12] = args[2];
	pt->mailbox->regs[2] = args[3];
	pt->mailbox->regs[0] = args[4];
	pt->mailbox->regs[1] = args[5];
	if ((nr == SYS_fork || nr == SYS_clone) && (b & 6) != 0 && pt->mailbox->fork_token != 0) {
		const uint64_t clone[6] = {0x8000 | 17, 0, pt->mailbox->fork_token, STUB_BIRTH, ~STUB_BIRTH};

		set_reason(s, 31);
		s->forks = pt->mailbox->fork_token;
		call_from(s, SYS_clone, STUB_CLONE_IP, clone);
		return;
	}
	if (b & 1) {
		trap_by_box(s, 31);
		return;
	}
	set_reason(s, 31);
	ring(s, STUB_TRAP, 0);
}

/* What it says of its clone. pid: what is true. */
static int64_t clone_result(int64_t pid)
{
	uint8_t b = fuzz_u8(&input);

	return b < 0xc0 ? pid : b < 0xe0 ? -11 : (int64_t)sims[b & 7].tid;
}

/* The clone that it was told to make. */
static void clones(struct sim *s)
{
	struct platform_thread *pt = thread_find(s->tid);
	uint64_t args[6] = {0x8000 | 17, 0, 0, STUB_BIRTH, ~STUB_BIRTH};
	struct sim *child;

	if (pt == NULL)
		return;
	args[2] = pt->birth.token;
	if (s->answer == STUB_CLONE) {
		args[0] = pt->mailbox->clone_flags;
		args[1] = pt->mailbox->clone_area + AREA_STACK;
	}
	s->life = CLONED;
	s->made = false;
	call_from(s, SYS_clone, STUB_CLONE_IP, args);
	if (s->life == UNUSED || !s->made)
		return;
	if (args[0] == (0x8000 | 17))
		child = sim_new(HELLO, 0, args[2]);
	else
		child = sim_new(ARRIVING, args[0] & 0x10000 ? s->pid : 0, args[2]);
	s->forked = child != NULL ? child->tid : -LINUX_EAGAIN;
}

/* A process has been made by a clone that was a report. */
static void after_fork(struct sim *s)
{
	struct gate_box *box = box_of(s);
	int64_t pid = s->forked;

	s->forked = 0;
	s->answer = 0;
	if (box == NULL)
		return;
	pid = clone_result(pid);
	box->nr = pid < 0 ? STUB_CLONED : STUB_FORKED;
	box->args[0] = (uint64_t)pid;
	s->softly = pid > 0;
	box_rings(s, IN_BELL, GATE_KIND_STUB);
}

/* The first call of whoever was born. From then on it may be the guest that runs. */
static void tells(struct sim *s)
{
	const uint64_t args[6] = {1, 9, s->token};

	s->told = true;
	s->honest = s->spawned || (fuzz_u8(&input) & 7) != 0;
	call_from(s, SYS_prctl, STUB_BASE + 0x71, args);
}

/* The next thing an honest stub does. */
static void step(struct sim *s)
{
	if (s->call_id != 0)
		return;
	switch (s->life) {
	case UNUSED:
		break;
	case IN_GATE:
	case IN_BELL:
		shim_step(s);
		break;
	case HELLO:
		s->life = MAPPING;
		tells(s);
		break;
	case MAPPING:
		set_reason(s, STUB_REASON_START);
		(void)does_expected(s); /* the last of it is the arrival */
		break;
	case ARRIVING:
		if (!s->told) {
			tells(s);
			break;
		}
		s->life = GUEST;
		s->answer = 0;
		ring(s, STUB_TRAP, 0);
		break;
	case GUEST:
		if (s->forked != 0) {
			after_fork(s);
			break;
		}
		switch (s->answer) {
		case STUB_RUN:
		case STUB_RUN_CLOSE:
			s->closes = s->answer == STUB_RUN_CLOSE;
			s->life = COMMANDED;
			break;
		case STUB_FORK:
		case STUB_CLONE:
			s->life = CLONES;
			break;
		case STUB_EXIT:
			s->life = LEAVING;
			break;
		case STUB_PARK:
			s->life = PARKED;
			break;
		default:
			if (s->answer == STUB_RUN_RESUME && does_expected(s)) {
				/* answered by proceed: the action is remembered */
				if (s->life == GUEST)
					s->answer = STUB_RUN_RESUME;
				break;
			}
			s->honest = false;
			s->answer = 0;
			if (s->kicked) {
				s->kicked = false;
				set_reason(s, 16);
				ring(s, STUB_TRAP, 0);
			} else {
				guest_call(s);
			}
			break;
		}
		break;
	case PARKED: {
		struct platform_thread *pt = thread_find(s->tid);

		if (pt == NULL || pt->mailbox->unpark == 0)
			break;
		s->life = GUEST;
		s->answer = 0;
		ring(s, STUB_DONE, 0);
		break;
	}
	case COMMANDED:
		if (does_expected(s))
			break;
		s->life = GUEST;
		s->answer = 0;
		ring(s, STUB_DONE, 1);
		break;
	case CLONES:
		clones(s);
		break;
	case CLONED: {
		int64_t pid = s->forked;

		s->forked = 0;
		s->life = GUEST;
		s->answer = 0;
		ring(s, STUB_CLONED, (uint64_t)clone_result(pid));
		break;
	}
	case LEAVING:
		if (does_expected(s))
			break;
		if (s->tid != s->pid) {
			s->life = UNUSED; /* one thread of many */
			free_tid = s->tid;
		}
		break;
	}
}

static void forged_call(struct sim *s)
{
	static const int16_t numbers[] = {SYS_getppid, SYS_getppid, SYS_mmap,         SYS_close, SYS_clone, SYS_exit,
					  SYS_munmap,  SYS_getpid,  SYS_rt_sigreturn, SYS_prctl, -1};
	uint64_t args[6] = {STUB_MAGIC, fuzz_u8(&input) & 7};
	uint8_t b = fuzz_u8(&input);
	int64_t nr = numbers[b % ARRAY_LEN(numbers)];

	switch (b >> 4 & 3) {
	case 0:
		args[2] = 0;
		break;
	case 1:
		args[2] = fuzz_host.last_random >> 8;
		break;
	case 2:
		args[2] = (uint64_t)sims[fuzz_u8(&input) % 8].tid;
		break;
	default:
		args[2] = fuzz_u64(&input);
	}
	if (b & 0x40)
		fuzz_bytes(&input, args, sizeof(args));
	call_from(s, nr, (b & 0x80) ? fuzz_u64(&input) : STUB_BASE + (b & 0xf0), args);
}

static void scribble(struct sim *s)
{
	struct platform_thread *pt = thread_find(s->tid);
	uint16_t at = fuzz_u16(&input) % (sizeof(struct mailbox) - 32);

	if (pt != NULL)
		fuzz_bytes(&input, (uint8_t *)pt->mailbox + (at & ~7), (at & 7) * 4 + 1);
}

static void turn(void)
{
	uint8_t b = fuzz_u8(&input);
	struct sim *s = &sims[b % 8];

	if (s->life == UNUSED || s->honest)
		b = 0; /* nobody, or nobody who can lie */
	switch (b >> 4) {
	default:
		step(s);
		break;
	case 8:
	case 9:
		forge_box(s);
		break;
	case 10:
	case 11:
		scribble(s);
		break;
	case 12:
	case 13:
		if (s->call_id == 0)
			forged_call(s);
		break;
	case 14:
		if (s->call_id == 0)
			ring(s, (enum stub_op)(fuzz_u8(&input) & 7), 0);
		break;
	case 15:
		process_ends(s->pid);
		break;
	}
}

static void reap(void)
{
	while (ndead > 0)
		stubs_child_ended(dead[--ndead], 9);
}

static bool zygote_left;

static void zygote_turn(void)
{
	struct stub_call c = {.id = next_call_id++,
			      .tid = ZYGOTE,
			      .nr = SYS_clone,
			      .ip = STUB_BASE + 0x300,
			      .args = {0x8000 | 17}};

	if (zygote_call != 0)
		return;
	if (!zygote_left) { /* the sentry's table */
		struct stub_call leaves = {.id = next_call_id++, .tid = ZYGOTE, .nr = SYS_close_range, .ip = c.ip, .args = {0, ~0U, 2}};

		zygote_left = true;
		stubs_call(&leaves);
	}
	zygote_call = c.id;
	stubs_call(&c);
}

/* Whoever is in guest code and still has a descriptor to close may never be heard of again: it has a deadline. */
static void check_closes(void)
{
	for (unsigned i = 0; i < SIMS; i++) {
		const struct platform_thread *pt = sims[i].life != UNUSED ? thread_find(sims[i].tid) : NULL;

		FUZZ_CHECK(pt == NULL || pt->state != THREAD_GUEST || !stubs_owes_close(pt) || pt->kick_timer.armed);
	}
}

/* Whoever lives is known from its first call on, and may not be waited for for ever. */
static void check_births(void)
{
	for (unsigned i = 0; i < SIMS; i++) {
		const struct platform_thread *pt = sims[i].life != UNUSED ? thread_find(sims[i].tid) : NULL;

		FUZZ_CHECK(sims[i].life == UNUSED || !sims[i].told || pt != NULL);
		FUZZ_CHECK(pt == NULL || pt->state != THREAD_ATTACHED || sims[i].spawned || pt->kick_timer.armed);
	}
}

/* The loop would sleep: the host's side acts. */
static int on_poll(int64_t timeout)
{
	check_closes();
	check_births();
	reap();
	zygote_turn();
	if (fuzz_more(&input) && steps++ < STEPS) {
		turn();
	} else {
		/* The rest of what only the trusted can do, then the end of all. */
		bool any = false;

		for (unsigned i = 0; i < SIMS; i++) {
			if (sims[i].life != UNUSED && sims[i].honest) {
				enum life life = sims[i].life;
				uint64_t call = next_call_id;

				/* One that is stopped before its first instruction sleeps on its word for good. */
				step(&sims[i]);
				any |= sims[i].life != life || next_call_id != call;
			} else if (sims[i].life != UNUSED) {
				process_ends(sims[i].pid);
				any = true;
			}
		}
		if (!any && over)
			for (unsigned i = 0; i < SIMS; i++)
				if (sims[i].life != UNUSED)
					process_ends(sims[i].pid);
		over = true;
	}
	/* Time passes slowly while anybody can act, and never by what a guest's timer says: the clock goes on from run to run
	 * and no real one comes near its end. */
	if (timeout > 0)
		fuzz_host.now += MIN((uint64_t)timeout, over ? 60 * NSEC_PER_SEC : NSEC_PER_MSEC);
	return 0;
}

static void begin(struct task *task)
{
	struct regs regs = {.rip = 0x400000, .rsp = WINDOW + 0x4000, .orig_rax = UINT64_MAX};
	struct platform_thread *pt;
	int err;

	pt = platform->spawn(task, &err);
	task->mm = pt != NULL ? mm_new(pt) : NULL;
	if (task->mm == NULL) {
		if (pt != NULL)
			platform->thread_kill(pt);
		group_exit(task->group, 9);
		return;
	}
	platform->exec_commit(task, pt, &regs);
	task->mm->mmap_top = task->mm->hole_top = 0x7e0000000000UL;
	(void)mm_mmap(task, WINDOW, GUEST_WINDOW_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE,
		      LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED, NULL, 0);
}

static void init(void)
{
	world_init(false);
	platform = &notify_platform;
	transport = &sim_transport;
	zygote_tid = ZYGOTE;
	FUZZ_CHECK(gate_boot() >= 0);
	fuzz_host.poll = on_poll;
	fuzz_host.kill = on_kill;
	fuzz_host.stream_pause = on_stream_pause;
	fuzz_host.guest_copy = on_copy;
	FUZZ_CHECK(gate_boot() >= 0);
}

/* Each thread has a mailbox, of which we have a descriptor: when all are gone at most those of clean stubs in stock are left. */
static void check_mailboxes(void)
{
	static unsigned runs;
	char path[300], name[64];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	if (++runs % 64 != 0)
		return;
	d = opendir("/proc/self/fd");
	FUZZ_CHECK(d != NULL);
	while ((e = readdir(d)) != NULL) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		len = readlink(path, name, sizeof(name));
		n += len > 14 && memcmp(name, "/memfd:mailbox", 14) == 0;
	}
	closedir(d);
	FUZZ_CHECK(n <= 8);
}

static void run(const uint8_t *data, size_t size)
{
	unsigned cpus;

	input = (struct fuzz_input){data, data + size};
	memset(window, 0, sizeof(window));
	memset(answered, 0, sizeof(answered));
	first_call_id = next_call_id;
	steps = 0;
	free_tid = 0;
	over = false;
	cpus = fuzz_u8(&input);
	if (cpus >= 0xe0) {
		streams();
		return;
	}
	cpus = 1 + (cpus & 1); /* with two it polls, and says where threads run */
	gate_set_cpus(cpus);
	place_init(cpus, UINT64_MAX >> (64 - cpus));
	world_run_from(begin, true);
	for (unsigned i = 0; i < SIMS; i++)
		if (sims[i].life != UNUSED)
			process_ends(sims[i].pid);
	reap();
	gate_set_cpus(1);
	while (gate_polling())
		(void)gate_turn(true);
	FUZZ_CHECK(stubs_running == 0 && stubs_waiting == 0 && stubs_exiting == 0 && stubs_idle == 0 && list_empty(&gate_ringers));
	world_clean();
	check_mailboxes();
}

const struct fuzz_target fuzz_mailbox = {.name = "mailbox", .init = init, .run = run};
