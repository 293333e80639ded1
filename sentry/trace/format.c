/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments of system calls as text, in strace's manner: the formats here, what each kind prints in kinds.c.
 *
 * The trace column of syscalls/table.def names a kind for each argument, separated by blanks:
 *
 *	[out:]KIND[:N]      out: the call fills it in; shown when it has returned, as an address if it failed
 *	                    N: the argument that holds the length or count
 *	=hex =oct =none     last: how the result is shown, if not as a decimal number
 *
 * Kinds:
 *	int uint long size id hex ptr mode modetype      numbers
 *	fd dirfd whence sig ...                          numbers with names; every set in names.c is a kind (oflags,
 *prot) path str buf:N argv envp optval:N                bytes; out:buf is as long as the result says fds intp u32p u64p
 *small arrays and numbers behind a pointer iov:N msghdr sockaddr:N                          (out:sockaddr's length is
 *behind the pointer N) timespec timeval itimerspec itimerval times2 futextime stat statx rusage rlimit wstatus utsname
 *siginfo sigset:N sigaction stack pollfds:N fdset:N epoll_event epoll_events dirents cloneargs openhow fcntlarg
 *ioctlarg prctlarg socktype futexop      read by the command in another argument, or number and flags
 *
 * All bytes come from the guest by usercopy, at the time of printing: a program that changes them meanwhile confuses
 *only its reader. They are escaped, cut (32 bytes of data, 255 of a path), and never trusted for a length: each loop
 *has a bound of its own. Copies don't sleep, so one static buffer in strace.c serves all tasks.
 */
#include "sentry/trace/kinds.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/trace/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- text ---- */

void text_add(struct text *t, const char *fmt, ...)
{
	size_t room = sizeof(t->buf) - t->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->len += MIN((size_t)n, room - 1);
}

void text_quote(struct text *t, const void *src, size_t len, size_t max)
{
	static const char letters[] = "abtnvfr";
	const unsigned char *p = src;
	size_t n = MIN(len, max);

	text_add(t, "\"");
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '"' || p[i] == '\\')
			text_add(t, "\\%c", p[i]);
		else if (p[i] >= 7 && p[i] <= 13)
			text_add(t, "\\%c", letters[p[i] - 7]);
		else if (p[i] >= 0x20 && p[i] < 0x7f)
			text_add(t, "%c", p[i]);
		else if (i + 1 < n && p[i + 1] >= '0' && p[i + 1] <= '7')
			text_add(t, "\\%03o", p[i]);
		else
			text_add(t, "\\%o", p[i]);
	}
	text_add(t, len > max ? "\"..." : "\"");
}

/* Arguments that strace leaves away, since the call doesn't look at them. */
static bool absent(const struct traced_call *c, const char *kind, size_t len, unsigned i)
{
	if (len == 4 && memcmp(kind, "mode", 4) == 0 && i >= 2) {
		uint64_t flags = arg(c, i - 1);
		bool after_oflags = strstr(c->spec, "oflags mode") != NULL;

		return after_oflags && (flags & (LINUX_O_CREAT | 020000000)) == 0;
	}
	if (len == 8 && memcmp(kind, "fcntlarg", 8) == 0) {
		switch ((int)arg(c, 1)) {
		case 1: /* F_GETFD, GETFL, GETOWN, GETSIG, GETLEASE, GETPIPE_SZ, GET_SEALS */
		case 3:
		case 9:
		case 11:
		case 1025:
		case 1032:
		case 1034:
			return true;
		}
	}
	return len == 8 && memcmp(kind, "prctlarg", 8) == 0 && (arg(c, 0) == 39 || arg(c, 0) == 3);
}

unsigned format_args(struct text *t, const struct traced_call *c, unsigned from)
{
	const char *p = c->spec;
	unsigned i = 0;

	for (; *p != '\0' && *p != '='; i++) {
		size_t len = strcspn(p, " ");
		bool out = len > 4 && memcmp(p, "out:", 4) == 0;

		if (i >= from) {
			if (out && !c->done) {
				text_add(t, i == 0 ? "" : ", ");
				return i;
			}
			if (!absent(c, p, len, i)) {
				text_add(t, i == 0 || (c->done && i == from) ? "" : ", ");
				if (out && c->ret < 0)
					kind_add_ptr(t, arg(c, i));
				else if (out)
					kind_print(t, c, p + 4, len - 4, i);
				else
					kind_print(t, c, p, len, i);
			}
		}
		p += len;
		p += *p == ' ';
	}
	return i;
}

static void add_more(struct text *t, const struct traced_call *c)
{
	if (c->ret > 0 && strncmp(c->spec, "pollfds", 7) == 0) {
		text_add(t, " (");
		kind_add_pollfds(t, c, arg(c, 0), (uint32_t)arg(c, 1), true);
		text_add(t, ")");
	} else if (c->ret > 0 && strncmp(c->spec, "int fdset", 9) == 0) {
		static const char *const names[] = {"in ", "out ", "except "};
		const char *sep = "";

		text_add(t, " (");
		for (unsigned i = 0; i < 3; i++) {
			if (arg(c, i + 1) == 0)
				continue;
			text_add(t, "%s%s", sep, names[i]);
			kind_print(t, c, "fdset:0", 7, i + 1);
			sep = ", ";
		}
		text_add(t, ")");
	} else if (c->ret == 0 && (strncmp(c->spec, "pollfds", 7) == 0 || strncmp(c->spec, "int fdset", 9) == 0)) {
		text_add(t, " (Timeout)");
	}
}

void format_return(struct text *t, const struct traced_call *c)
{
	const char *style = strchr(c->spec, '=');

	if (c->ret < 0 && c->ret > -4096) {
		const char *name = errno_name((int)-c->ret);

		if (c->ret <= -LINUX_ERESTARTSYS)
			text_add(t, " = ? %s (To be restarted)", name != NULL ? name : "?");
		else
			text_add(t, " = -1 %s (%s)", name != NULL ? name : "?", errno_words((int)-c->ret));
		return;
	}
	if (style != NULL && strcmp(style, "=hex") == 0)
		text_add(t, " = %#llx", (unsigned long long)c->ret);
	else if (style != NULL && strcmp(style, "=oct") == 0)
		text_add(t, " = %#llo", (unsigned long long)c->ret);
	else
		text_add(t, " = %lld", (long long)c->ret);
	add_more(t, c);
}
