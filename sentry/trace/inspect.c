/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's end of the inspector (runtime/inspect): it parses nothing. It gives registers, answers questions about the
 * guest's memory with the guest's bytes, and takes lines of text.
 *
 *	inspect_task --CONTROL_INSPECT--> monitor --spawn--> inspector
 *	     |   <------ CONTROL_INSPECTOR + socket ------
 *	     \--START--> <--READ, MAP-- --DATA, MAPPING--> <--FRAME, INSN, NOTE, DONE--
 *
 * One inspector is kept for the next backtrace; one backtrace is made at a time, the others wait for their turn. The guest
 * controls what the inspector reads, and so, if that goes badly for the inspector, what it says here: messages are taken by
 * their exact size, counted, and shown as printable characters. When it breaks the protocol, dies, or takes too long, its
 * socket is closed, and the backtrace ends with a note. A guest gains nothing by that but its own slower denials.
 *
 * A crash report does the same without the loop and without allocating. Where the crash came in a plain call the registers
 * aren't known: the monitor then tells instruction and stack pointer from the host's /proc, which is enough for the frames
 * that don't need a frame pointer.
 */
#include "sentry/trace/inspect.h"

#include "runtime/core/control_protocol.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/panic.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/usercopy.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"
#include "sentry/vfs/vfs.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <time.h>

/* For an inspector that was started on a busy machine; one that is fooled into a loop has its own, shorter bounds. */
#define PATIENCE (30 * NSEC_PER_SEC)
#define CRASH_PATIENCE (10 * NSEC_PER_SEC)
#define BASE_STEPS 64

static int inspector = -1;
static struct host_watch watch;
static struct waitq changed = {LIST_INIT(changed.waiters)}; /* data, an inspector, or its turn */
static bool busy, asked, refused;

/* One backtrace in the making. */
struct inspection {
	struct task *task;
	struct inspect_result *out;
	unsigned requests, lines;
	bool crash; /* no allocation */
	bool done;
};

static void note(struct inspect_result *out, const char *text)
{
	snprintf(out->note, sizeof(out->note), "%s", text);
}

/* ---- answers ---- */

static int send_bytes(int fd, const void *msg, size_t len)
{
	struct iovec iov = {(void *)(uintptr_t)msg, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int64_t n = host_sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

	/* It asks one thing at a time: a full socket is no inspector's. */
	return n == (int64_t)len ? 0 : n < 0 ? (int)n : -LINUX_EIO;
}

static int answer_read(struct inspection *in, int fd, const struct inspect_ask *ask)
{
	static struct inspect_data data; /* nothing here sleeps */

	data.type = INSPECT_DATA;
	data.addr = ask->addr;
	data.len = (uint32_t)mm_read_guest(in->task->mm, data.bytes, GVA(ask->addr), MIN(ask->len, INSPECT_PAGE));
	return send_bytes(fd, &data, sizeof(data));
}

/* Where the file that v shows begins: its mappings lie together, the first one lowest. */
static uint64_t image_base(struct mm *mm, const struct vma *v)
{
	const struct inode *inode = v->file != NULL ? v->file->inode : NULL;

	if (inode == NULL)
		return v->start; /* the vDSO, if anything */
	for (unsigned i = 0; v != NULL && i < BASE_STEPS; i++) {
		if (v->file != NULL && v->file->inode == inode && v->file_off == 0)
			return v->start;
		v = mm_find_prev(mm, v->start);
	}
	return 0;
}

static void name_of(struct inspection *in, const struct vma *v, char *buf, size_t size)
{
	char *path = NULL;

	if (v->name != NULL)
		snprintf(buf, size, "%s", v->name);
	else if (v->file == NULL)
		buf[0] = '\0';
	else if (!in->crash && vfs_file_name(in->task, v->file, &path) == 0)
		snprintf(buf, size, "%s", path);
	else if (v->file->path.dentry != NULL)
		snprintf(buf, size, "%s", v->file->path.dentry->name);
	kfree(path);
}

static int answer_map(struct inspection *in, int fd, const struct inspect_ask *ask)
{
	struct inspect_mapping m = {.type = INSPECT_MAPPING, .addr = ask->addr};
	struct mm *mm = in->task->mm;
	const struct vma *v = mm_find(mm, ask->addr);

	if (v != NULL) {
		m.start = v->start;
		m.end = v->end;
		m.base = image_base(mm, v);
		name_of(in, v, m.name, sizeof(m.name));
	}
	return send_bytes(fd, &m, sizeof(m));
}

static int take_line(struct inspection *in, const struct inspect_line *line)
{
	struct inspect_result *out = in->out;
	char *to = line->type == INSPECT_INSN ? out->instruction : out->note;

	if (in->lines++ >= INSPECT_MAX_LINES)
		return -LINUX_EIO;
	if (line->type == INSPECT_FRAME) {
		if (out->nframes == INSPECT_MAX_FRAMES)
			return -LINUX_EIO;
		to = out->frames[out->nframes++];
	}
	for (size_t i = 0; i < INSPECT_LINE_LEN; i++) {
		to[i] = line->text[i];
		if (to[i] == '\0')
			break;
		if (to[i] < 0x20 || to[i] > 0x7e)
			to[i] = '?';
	}
	to[INSPECT_LINE_LEN - 1] = '\0';
	return 0;
}

/* Takes one message, if there is one. 0, -LINUX_EAGAIN, or an error: the inspector is not to be used any more. */
static int serve(struct inspection *in, int fd)
{
	static union inspect_message msg;
	struct iovec iov = {&msg, sizeof(msg)};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int64_t n = host_recvmsg(fd, &m, MSG_DONTWAIT);

	if (n == -LINUX_EAGAIN || n == -LINUX_EINTR)
		return -LINUX_EAGAIN;
	if (n < (int64_t)sizeof(msg.type))
		return n < 0 ? (int)n : -LINUX_EPIPE;
	switch (msg.type) {
	case INSPECT_READ:
	case INSPECT_MAP:
		if (n != sizeof(msg.ask) || in->requests++ >= INSPECT_MAX_REQUESTS || in->task->mm == NULL)
			return -LINUX_EIO;
		return msg.type == INSPECT_READ ? answer_read(in, fd, &msg.ask) : answer_map(in, fd, &msg.ask);
	case INSPECT_FRAME:
	case INSPECT_INSN:
	case INSPECT_NOTE:
		return n == sizeof(msg.line) ? take_line(in, &msg.line) : -LINUX_EIO;
	case INSPECT_DONE:
		in->done = true;
		return n == sizeof(msg.ask) ? 0 : -LINUX_EIO;
	default:
		return -LINUX_EIO;
	}
}

static void fill_start(struct inspect_start *s, const struct regs *r)
{
	const uint64_t regs[INSPECT_NREGS] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
					      r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip};

	*s = (struct inspect_start){.type = INSPECT_START, .version = INSPECT_VERSION, .known = (1U << INSPECT_NREGS) - 1};
	memcpy(s->regs, regs, sizeof(regs));
}

/* ---- within the loop ---- */

static int ask_monitor(int pid, int tid)
{
	struct control_message msg = {.type = CONTROL_INSPECT, .status = pid, .start_errno = tid};

	return send_bytes(SENTRY_CONTROL_FD, &msg, sizeof(msg));
}

static void something_came(struct host_watch *w, uint32_t events)
{
	(void)events;
	host_watch_set(w, 0);
	waitq_wake(&changed, 0);
}

static void detach(void)
{
	if (inspector < 0)
		return;
	host_watch_del(&watch);
	host_close(inspector);
	inspector = -1;
}

void inspect_attach(int fd)
{
	if (fd >= 0 && (!asked || inspector >= 0)) {
		host_close(fd);
		return;
	}
	asked = false;
	if (fd >= 0 && host_watch_add(&watch, fd, 0, something_came) < 0) {
		host_close(fd);
		fd = -1;
	}
	inspector = fd;
	refused = fd < 0;
	waitq_wake(&changed, 0);
}

static int sleep_for_change(struct task *task, uint64_t deadline)
{
	return task_wait_until(task, &changed, 0, WAIT_KILLABLE, deadline);
}

/* Our turn, and an inspector. False: out->note says why not. */
static bool begin(struct task *task, struct inspect_result *out, uint64_t deadline)
{
	while (busy) {
		if (sleep_for_change(task, deadline) < 0) {
			note(out, "too many backtraces are wanted at once");
			return false;
		}
	}
	busy = true;
	if (inspector < 0) {
		refused = false;
		if (!asked && ask_monitor(0, 0) < 0)
			refused = true;
		else
			asked = true;
	}
	while (inspector < 0 && !refused)
		if (sleep_for_change(task, deadline) < 0)
			break;
	if (inspector >= 0)
		return true;
	note(out, "the inspector can't be started");
	busy = false;
	waitq_wake(&changed, 0);
	return false;
}

static int converse(struct inspection *in, const struct regs *regs, uint64_t deadline)
{
	struct inspect_start s;
	int err;

	fill_start(&s, regs);
	err = send_bytes(inspector, &s, sizeof(s));
	while (err == 0 && !in->done) {
		err = serve(in, inspector);
		if (err != -LINUX_EAGAIN)
			continue;
		err = host_watch_set(&watch, POLLIN);
		if (err == 0)
			err = sleep_for_change(in->task, deadline);
		if (inspector < 0)
			err = -LINUX_EPIPE;
	}
	return err;
}

void inspect_task(struct task *task, int64_t ret, struct inspect_result *out)
{
	struct inspection in = {.task = task, .out = out};
	uint64_t deadline = loop_now() + PATIENCE;
	struct regs *regs;

	out->nframes = 0;
	out->instruction[0] = out->note[0] = '\0';
	if (!begin(task, out, deadline))
		return;
	/* An inspector that was kept may have died since: then once more, with a fresh one. */
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		int err;

		regs = platform->context(task, ret);
		if (regs == NULL || task->mm == NULL) {
			note(out, "the thread has ended");
			break;
		}
		err = converse(&in, regs, deadline);
		if (err == 0)
			break;
		detach();
		note(out, err == -LINUX_ETIMEDOUT ? "the inspector took too long" : "the inspector has ended");
		if (in.requests != 0 || in.lines != 0 || attempt != 0 || err == -LINUX_ETIMEDOUT || task_dying(task))
			break;
		out->note[0] = '\0';
		busy = false;
		if (!begin(task, out, deadline))
			return;
	}
	busy = false;
	waitq_wake(&changed, 0);
}

/* ---- in a crash ---- */

static bool readable_by(int fd, uint64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t now = host_clock_ns(CLOCK_MONOTONIC);

	return now < deadline && host_poll(&p, 1, (int64_t)(deadline - now)) > 0;
}

/* Waits for the monitor's answer; other messages are dropped. The socket, or -1. */
static int crash_inspector(struct control_message *msg, uint64_t deadline)
{
	while (readable_by(SENTRY_CONTROL_FD, deadline)) {
		int fd = -1;
		int64_t n = control_take(msg, sizeof(*msg), &fd);

		if (n == -LINUX_EAGAIN || n == -LINUX_EINTR)
			continue;
		if (n <= 0)
			return -1;
		if (msg->type == CONTROL_INSPECTOR && n == (int64_t)sizeof(*msg))
			return fd;
		if (fd >= 0)
			host_close(fd);
	}
	return -1;
}

static void print(const struct inspect_result *out)
{
	if (out->instruction[0] != '\0')
		panic_line("  guest at: %s", out->instruction);
	for (unsigned i = 0; i < out->nframes; i++)
		panic_line("  guest %2u: %s", i, out->frames[i]);
	if (out->note[0] != '\0')
		panic_line("  guest: %s", out->note);
}

void inspect_crash(void)
{
	static struct inspect_result out;
	static struct control_message msg;
	static struct inspect_start s;
	uint64_t deadline = host_clock_ns(CLOCK_MONOTONIC) + CRASH_PATIENCE;
	const struct trace_recent *last = trace_recall(0);
	struct inspection in = {.task = task_current(), .out = &out, .crash = true};
	int pid = 0, tid = 0, fd, err;

	if (in.task == NULL && last != NULL)
		in.task = task_find(last->tid);
	if (in.task == NULL || in.task->mm == NULL || !stubs_where(in.task, &pid, &tid)) {
		panic_line("  guest: no backtrace, no thread of it is known");
		return;
	}
	if (ask_monitor(pid, tid) < 0 || (fd = crash_inspector(&msg, deadline)) < 0) {
		panic_line("  guest: no backtrace, the inspector can't be started");
		return;
	}
	if (platform->is_full(in.task)) {
		fill_start(&s, platform->context(in.task, 0));
	} else {
		s = (struct inspect_start){.type = INSPECT_START, .version = INSPECT_VERSION};
		s.known = msg.ip != 0 ? 1U << INSPECT_REG_RIP | 1U << INSPECT_REG_RSP : 0;
		s.regs[INSPECT_REG_RIP] = msg.ip;
		s.regs[INSPECT_REG_RSP] = msg.sp;
		if (stubs_gate_place(in.task, &s.regs[INSPECT_REG_RIP], &s.regs[INSPECT_REG_RSP]))
			s.known = 1U << INSPECT_REG_RIP | 1U << INSPECT_REG_RSP;
	}
	if (s.known == 0) {
		panic_line("  guest: no backtrace, its registers are not known");
		return;
	}
	err = send_bytes(fd, &s, sizeof(s));
	while (err == 0 && !in.done) {
		err = serve(&in, fd);
		if (err == -LINUX_EAGAIN)
			err = readable_by(fd, deadline) ? 0 : -LINUX_ETIMEDOUT;
	}
	if (err < 0)
		note(&out, err == -LINUX_ETIMEDOUT ? "the inspector took too long" : "the inspector has ended");
	print(&out);
}
