/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --strace: what `strace -f` would write, told by the one who serves the calls.
 *
 *	[pid 2] openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3
 *	[pid 2] wait4(-1,  <unfinished ...>
 *	[pid 3] exit_group(0)           = ?
 *	[pid 3] +++ exited with 0 +++
 *	[pid 2] <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = 3
 *
 * A line is begun when the call comes and ended when it returns. At most one line is open: open_tid's. Whoever writes
 * next ends it with "<unfinished ...>"; its owner then goes on with "<... resumed>". So no state per task is needed but
 * how many arguments were shown, which the format tells again.
 *
 * Also here: the ring of recent calls that the crash report prints, kept whether or not anybody traces.
 */
#include "sentry/trace/trace.h"

#include "sentry/abi/signal.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/trace/format.h"
#include "sentry/trace/names.h"
#include "syscalls/dispatch.h"

#include <stdio.h>
#include <string.h>

bool trace_on;
static int trace_fd = -1;
static int32_t open_tid;   /* whose line is open; 0: none */
static size_t open_column; /* its length so far, for the alignment of "=" */
static bool several;       /* more than one task has been seen: lines say which */
static struct text text;   /* nothing here sleeps */

void trace_init(int fd)
{
	trace_fd = fd;
	trace_on = fd >= 0;
}

static void put(void)
{
	size_t done = 0;

	while (done < text.len) {
		int64_t n = host_write(trace_fd, text.buf + done, text.len - done);

		if (n <= 0)
			break; /* a full pipe that nobody reads: the line is lost, the sandbox goes on */
		done += (size_t)n;
	}
	text.len = 0;
}

/* Begins a line of task's, after ending another's. */
static void begin(const struct task *task)
{
	text.len = 0;
	if (open_tid != 0)
		text_add(&text, " <unfinished ...>\n");
	open_tid = 0;
	put();
	if (task->tid != 1)
		several = true;
	if (several)
		text_add(&text, "[pid %d] ", task->tid);
}

static const struct syscall_row *row_of(int nr)
{
	static const struct syscall_row none = {.name = NULL, .trace = "hex hex hex hex hex hex"};

	return nr >= 0 && nr < SYSCALL_MAX && syscall_table[nr].name != NULL ? &syscall_table[nr] : &none;
}

static void add_name(int nr)
{
	const struct syscall_row *row = row_of(nr);

	if (row->name != NULL)
		text_add(&text, "%s", row->name);
	else
		text_add(&text, "syscall_%#x", (unsigned)nr);
}

void trace_enter(struct task *task, int nr, const uint64_t args[6])
{
	struct traced_call c = {.task = task, .spec = row_of(nr)->trace, .args = args};

	begin(task);
	add_name(nr);
	text_add(&text, "(");
	format_args(&text, &c, 0);
	open_column = text.len;
	put();
	open_tid = task->tid;
}

/* How many arguments trace_enter has shown. */
static unsigned shown_before(const char *spec)
{
	unsigned i = 0;

	for (const char *p = spec; *p != '\0' && *p != '='; i++) {
		if (strncmp(p, "out:", 4) == 0)
			return i;
		p += strcspn(p, " ");
		p += *p == ' ';
	}
	return i;
}

static void resume_line(const struct task *task, int nr)
{
	if (open_tid == task->tid) {
		text.len = 0;
		open_tid = 0;
		return;
	}
	begin(task);
	text_add(&text, "<... ");
	add_name(nr);
	text_add(&text, " resumed>");
	open_column = 0;
}

static void close_bracket(void)
{
	size_t column = open_column + text.len;

	text_add(&text, ")");
	for (column++; column < 40; column++)
		text_add(&text, " ");
}

void trace_exit(struct task *task, int nr, const uint64_t args[6], int64_t ret)
{
	struct traced_call c = {.task = task, .spec = row_of(nr)->trace, .args = args, .done = true, .ret = ret};

	resume_line(task, nr);
	format_args(&text, &c, shown_before(c.spec));
	close_bracket();
	put();
	format_return(&text, &c);
	text_add(&text, "\n");
	put();
}

void trace_signal(struct task *task, int sig, const struct linux_siginfo *info)
{
	char buf[16];

	if (!trace_on)
		return;
	begin(task);
	text_add(&text, "--- %s ", signal_name(sig, buf));
	if (info != NULL)
		format_siginfo(&text, sig, info);
	text_add(&text, " ---\n");
	put();
}

void trace_exited(struct task *task, int status)
{
	char buf[16];

	if (!trace_on)
		return;
	/* A call that doesn't come back (exit, or whatever a fatal signal ended). */
	if (open_tid == task->tid) {
		text.len = 0;
		close_bracket();
		text_add(&text, " = ?\n");
		put();
		open_tid = 0;
	}
	begin(task);
	if ((status & 0x7f) == 0)
		text_add(&text, "+++ exited with %d +++\n", status >> 8 & 0xff);
	else
		text_add(&text, "+++ killed by %s +++\n", signal_name(status & 0x7f, buf));
	put();
}

/* ---- the last calls, for the crash report ---- */

static struct trace_recent recent[TRACE_RECENT];
static uint32_t recent_next;

void trace_remember(const struct task *task, int nr, const uint64_t args[6])
{
	struct trace_recent *r = &recent[recent_next++ % TRACE_RECENT];

	r->tid = task->tid;
	r->nr = nr;
	memcpy(r->args, args, sizeof(r->args));
}

const struct trace_recent *trace_recall(unsigned i)
{
	if (i >= TRACE_RECENT || i >= recent_next)
		return NULL;
	return &recent[(recent_next - 1 - i) % TRACE_RECENT];
}
