/* SPDX-License-Identifier: Apache-2.0 */
/* Errors in words, and allocation that doesn't fail: see error.h and cleanup.h. */
#include "runtime/error.h"
#include "runtime/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

static char *vformat(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0) {
		fputs("sentrybox: out of memory\n", stderr);
		_exit(125);
	}
	return s;
}

static void set_text(struct error **err, char *text)
{
	if (*err == NULL) {
		*err = xcalloc(1, sizeof(**err));
		(*err)->status = 125;
	}
	free((*err)->text);
	(*err)->text = text;
}

bool error_set(struct error **err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_text(err, vformat(fmt, ap));
	va_end(ap);
	return false;
}

bool error_errno(struct error **err, int errnum, const char *fmt, ...)
{
	cleanup_free char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = vformat(fmt, ap);
	va_end(ap);
	set_text(err, xasprintf("%s: %s", what, strerror(errnum)));
	return false;
}

bool error_wrap(struct error **err, const char *fmt, ...)
{
	cleanup_free char *what = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = vformat(fmt, ap);
	va_end(ap);
	set_text(err, xasprintf("%s: %s", what, *err != NULL ? (*err)->text : "unknown error"));
	return false;
}

void error_free(struct error *err)
{
	if (err == NULL)
		return;
	free(err->text);
	free(err);
}

static const char *log_file;
static bool log_json;

void error_log_to(const char *file, bool json)
{
	log_file = file;
	log_json = json;
}

/* An engine reads it back: {"level":"error","msg":"...","time":"2024-01-01T00:00:00Z"} */
static void log_line(const char *text)
{
	cleanup_free char *line = NULL;
	cleanup_close int fd = -1;
	char when[32] = "";
	time_t now = time(NULL);
	struct tm tm;
	size_t len = 0;

	if (log_file == NULL)
		return;
	fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	if (fd < 0)
		return;
	if (gmtime_r(&now, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	line = xcalloc(strlen(text), 6);
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			len += (size_t)sprintf(line + len, "\\u%04x", (unsigned char)*p);
		else if (*p == '"' || *p == '\\')
			len += (size_t)sprintf(line + len, "\\%c", *p);
		else
			line[len++] = *p;
	}
	if (log_json)
		dprintf(fd, "{\"level\":\"error\",\"msg\":\"%.*s\",\"time\":\"%s\"}\n", (int)len, line, when);
	else
		dprintf(fd, "time=\"%s\" level=error msg=\"%.*s\"\n", when, (int)len, line);
}

static bool never_wait;

void error_never_wait(void)
{
	never_wait = true;
}

bool error_can_say(void)
{
	struct pollfd ready = {STDERR_FILENO, POLLOUT, 0};

	return !never_wait || (poll(&ready, 1, 0) == 1 && ready.revents == POLLOUT);
}

#define LINE_AT_ONCE 4000 /* below PIPE_BUF: a pipe takes it whole, or isn't ready */

int error_report(const struct error *err)
{
	cleanup_free char *line = xcalloc(strlen(err->text) + 1, 4);
	size_t len = 0;

	log_line(err->text);
	for (const char *p = err->text; *p != '\0'; p++) {
		/* Names come from users, bundles and sandboxes: no control sequence of theirs reaches a terminal. */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			len += (size_t)sprintf(line + len, "\\x%02x", (unsigned char)*p);
		else
			line[len++] = *p;
	}
	if (never_wait && len > LINE_AT_ONCE)
		len = LINE_AT_ONCE;
	if (error_can_say())
		fprintf(stderr, "sentrybox: %.*s\n", (int)len, line);
	return err->status;
}

static void *nonnull(void *p)
{
	if (p == NULL) {
		fputs("sentrybox: out of memory\n", stderr);
		_exit(125);
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return nonnull(calloc(n == 0 ? 1 : n, size));
}

void *xrealloc(void *p, size_t n, size_t size)
{
	return nonnull(reallocarray(p, n == 0 ? 1 : n, size));
}

char *xstrdup(const char *s)
{
	return nonnull(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
	return nonnull(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = vformat(fmt, ap);
	va_end(ap);
	return s;
}
