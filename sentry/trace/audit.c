/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Denials, told so that a person or a program can act on them. One JSON line each:
 *
 *	{"time":1234567890.123,"pid":2,"tid":2,"comm":"curl","call":"connect","object":"198.51.100.1:80",
 *	 "rule":"egress","reason":"no --egress-allow rule matches","allowed":"127.0.0.1:8080","count":1}
 *
 * The guest controls comm and object, and how often a thing is denied. Repeats are folded: within a window of recent
 * denials, one that equals another but for its time is counted and not written again until its count reaches a power of
 * ten. After AUDIT_LINES_MAX lines one last line says so, and only counting goes on: the log can't fill a disk.
 *
 * With --backtrace a line waits until its call returns, and the inspector says where in the program it was made:
 *	"backtrace":["0x7f12... connect+0x14 (/lib/libc.so.6+0xff4a4)", ...],"instruction":"syscall"
 *
 * A limit that was hit is an event too: {"time":...,"limit":"memory"}.
 */
#include "sentry/trace/trace.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/list.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/trace/format.h"
#include "sentry/trace/inspect.h"
#include "sentry/trace/names.h"
#include "syscalls/dispatch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define AUDIT_LINES_MAX 10000
#define LINE_MAX (64 * KiB)
#define WAITING_MAX 64 /* of all tasks together; beyond that lines go without a backtrace */
#define RECENT 64

static int audit_fd = -1;
static uint64_t denials, lines;
static uint32_t limits;
static struct {
	uint64_t hash;
	uint64_t count;
} seen[RECENT];

/* A line that waits for its task's call to return. */
struct waiting_line {
	struct list link;
	const struct task *task; /* only compared */
	size_t len;
	char text[];
};
static struct list waiting = LIST_INIT(waiting);
static unsigned nwaiting;
static bool with_backtrace;
bool audit_waiting;

void audit_init(int fd, bool backtrace)
{
	audit_fd = fd;
	with_backtrace = backtrace;
}

uint64_t audit_denials(void)
{
	return denials;
}

void (*audit_on_limit)(uint32_t bit);

uint32_t audit_limits(void)
{
	return limits;
}

/* JSON strings: everything that isn't plain ASCII goes as \u00XX, whatever encoding the guest meant. */
static void add_json(struct text *t, const char *key, const char *value)
{
	text_add(t, ",\"%s\":\"", key);
	for (const unsigned char *p = (const unsigned char *)value;
	     *p != '\0' && p - (const unsigned char *)value < 512; p++) {
		if (*p == '"' || *p == '\\')
			text_add(t, "\\%c", *p);
		else if (*p >= 0x20 && *p < 0x7f)
			text_add(t, "%c", *p);
		else
			text_add(t, "\\u%04x", *p);
	}
	text_add(t, "\"");
}

static void begin_line(struct text *t)
{
	uint64_t now = host_clock_ns(CLOCK_REALTIME);

	t->len = 0;
	text_add(t, "{\"time\":%llu.%03llu", (unsigned long long)(now / NSEC_PER_SEC),
		 (unsigned long long)(now / NSEC_PER_MSEC % 1000));
}

static void write_line(struct text *t)
{
	if (audit_fd < 0 || lines > AUDIT_LINES_MAX)
		return;
	if (lines++ == AUDIT_LINES_MAX) {
		begin_line(t);
		add_json(t, "reason", "the audit log is full: denials are only counted from here on");
	}
	text_add(t, "}\n");
	/* One write a line: the log may be shared by several sandboxes. */
	host_write(audit_fd, t->buf, t->len);
}

/* ---- lines with a backtrace ---- */

/* True if the line was put by until the task's call returns. */
static bool put_by(const struct task *task, const struct text *t)
{
	struct waiting_line *w;

	if (!with_backtrace || audit_fd < 0 || lines >= AUDIT_LINES_MAX || task != task_current() || task->syscall_nr < 0 ||
	    nwaiting >= WAITING_MAX)
		return false;
	w = kmalloc(sizeof(*w) + t->len);
	if (w == NULL)
		return false;
	w->task = task;
	w->len = t->len;
	memcpy(w->text, t->buf, t->len);
	list_add_tail(&waiting, &w->link);
	nwaiting++;
	audit_waiting = true;
	return true;
}

/* One string of printable characters, quoted. */
static size_t quote(char *to, size_t size, const char *s)
{
	size_t n = 0;

	to[n++] = '"';
	for (; *s != '\0' && n + 4 < size; s++) {
		if (*s == '"' || *s == '\\')
			to[n++] = '\\';
		to[n++] = *s;
	}
	to[n++] = '"';
	return n;
}

static void write_with(const struct waiting_line *w, const struct inspect_result *r)
{
	static char line[LINE_MAX]; /* nothing here sleeps */
	size_t n = MIN(w->len, sizeof(line) / 4);

	if (lines++ >= AUDIT_LINES_MAX)
		return;
	memcpy(line, w->text, n);
	n += (size_t)snprintf(line + n, 16, ",\"backtrace\":[");
	for (unsigned i = 0; i < r->nframes && n + 8 * INSPECT_LINE_LEN < sizeof(line); i++) {
		if (i != 0)
			line[n++] = ',';
		n += quote(line + n, 2 * INSPECT_LINE_LEN + 8, r->frames[i]);
	}
	line[n++] = ']';
	if (r->instruction[0] != '\0') {
		n += (size_t)snprintf(line + n, 20, ",\"instruction\":");
		n += quote(line + n, 2 * INSPECT_LINE_LEN + 8, r->instruction);
	}
	if (r->note[0] != '\0') {
		n += (size_t)snprintf(line + n, 24, ",\"backtrace_note\":");
		n += quote(line + n, 2 * INSPECT_LINE_LEN + 8, r->note);
	}
	line[n++] = '}';
	line[n++] = '\n';
	host_write(audit_fd, line, n);
}

void audit_return(struct task *task, int64_t ret)
{
	static const struct inspect_result none = {.note = "memory is out"};
	struct inspect_result *r;
	struct waiting_line *w, *next;
	bool ours = false;

	list_for_each (w, &waiting, link)
		ours = ours || w->task == task;
	if (!ours)
		return;
	r = kzalloc(sizeof(*r));
	if (r != NULL)
		inspect_task(task, ret, r);
	list_for_each_safe (w, next, &waiting, link) {
		if (w->task != task)
			continue;
		list_del(&w->link);
		nwaiting--;
		write_with(w, r != NULL ? r : &none);
		kfree(w);
	}
	audit_waiting = nwaiting != 0;
	kfree(r);
}

static uint64_t hash_add(uint64_t h, const void *p, size_t len)
{
	for (const uint8_t *b = p; len-- > 0; b++)
		h = (h ^ *b) * 0x100000001b3ULL;
	return h;
}

/* How often this very denial has come lately, this time included. */
static uint64_t count_repeat(uint64_t hash)
{
	unsigned slot = hash % RECENT;

	if (seen[slot].hash != hash) {
		seen[slot].hash = hash;
		seen[slot].count = 0;
	}
	return ++seen[slot].count;
}

static bool power_of_ten(uint64_t n)
{
	while (n >= 10 && n % 10 == 0)
		n /= 10;
	return n == 1;
}

#define HASH_BEGIN 0xcbf29ce484222325ULL

/* Counts a denial. Its number, if it is to be written; else 0. */
static uint64_t count_denial(uint64_t hash)
{
	uint64_t count = count_repeat(hash);

	denials++;
	return power_of_ten(count) ? count : 0;
}

static void write_denial(struct task *task, const char *what, const char *object, const char *rule, const char *reason,
			 const char *allowed, uint64_t count)
{
	static struct text t; /* nothing here sleeps */

	begin_line(&t);
	text_add(&t, ",\"pid\":%d,\"tid\":%d", task->group != NULL ? task->group->pid : task->tid, task->tid);
	add_json(&t, "comm", task->comm);
	add_json(&t, "call", what);
	if (object[0] != '\0')
		add_json(&t, "object", object);
	add_json(&t, "rule", rule);
	add_json(&t, "reason", reason);
	if (allowed != NULL && allowed[0] != '\0')
		add_json(&t, "allowed", allowed);
	text_add(&t, ",\"count\":%llu", (unsigned long long)count);
	if (!put_by(task, &t))
		write_line(&t);
}

void audit_deny(struct task *task, const char *what, const char *object, const char *rule, const char *reason,
		const char *allowed)
{
	uint64_t hash = hash_add(HASH_BEGIN, &task->tid, sizeof(task->tid)), count;

	hash = hash_add(hash, what, strlen(what) + 1);
	hash = hash_add(hash, object, strlen(object) + 1);
	hash = hash_add(hash, rule, strlen(rule));
	count = count_denial(hash);
	if (count != 0)
		write_denial(task, what, object, rule, reason, allowed, count);
}

/*
 * Calls that no sandbox serves. Those that every libc tries on its way (rseq, and numbers newer than this kernel) are
 * answered without a word: they are probes, not attempts.
 */
void trace_denied_call(struct task *task, int nr, int err)
{
	const struct syscall_row *row = nr >= 0 && nr < SYSCALL_MAX ? &syscall_table[nr] : NULL;
	char number[32], reason[64];
	const int what[] = {task->tid, nr, err};
	uint64_t count;
	const char *name;

	if (row != NULL && row->name != NULL && err == LINUX_ENOSYS)
		return;
	count = count_denial(hash_add(HASH_BEGIN, what, sizeof(what)));
	if (count == 0)
		return;
	name = errno_name(err);
	snprintf(number, sizeof(number), "%d", nr);
	snprintf(reason, sizeof(reason), "not served in a sandbox: %s", name != NULL ? name : "refused");
	write_denial(task, row != NULL && row->name != NULL ? row->name : number, "", "syscall", reason, NULL, count);
}

void audit_limit(const char *limit)
{
	static const char *const names[] = {"memory", "pids", "disk", "cpu", "wall", "idle"}; /* enum limit_hit */
	static struct text t;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(limit, names[i]) != 0 || (limits & (1U << i)) != 0)
			continue;
		limits |= 1U << i;
		if (audit_on_limit != NULL)
			audit_on_limit(1U << i);
		begin_line(&t);
		add_json(&t, "limit", limit);
		write_line(&t);
	}
}
