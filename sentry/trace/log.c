/* SPDX-License-Identifier: Apache-2.0 */
/* The debug log: a line with the time since the first one, in one write. See log.h. */
#include "sentry/base/log.h"

#include "sentry/host/host.h"

#include <stdio.h>
#include <time.h>

#define LINE_MAX_ 1024

int log_fd = -1;

void log_write(const char *fmt, ...)
{
	static uint64_t first;
	char line[LINE_MAX_];
	uint64_t now;
	va_list ap;
	int n, m;

	if (log_fd < 0)
		return;
	now = host_clock_ns(CLOCK_MONOTONIC);
	if (first == 0)
		first = now;
	n = snprintf(line, sizeof(line), "%5llu.%06llu ", (unsigned long long)((now - first) / NSEC_PER_SEC),
		     (unsigned long long)((now - first) / NSEC_PER_USEC % 1000000));
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n += MIN(m, (int)sizeof(line) - n - 2);
	line[n++] = '\n';
	host_write(log_fd, line, (size_t)n); /* what can't be written is lost: a log must not stop the sandbox */
}

const char *log_quote(char *dst, size_t size, const void *src, size_t len)
{
	const unsigned char *p = src;
	size_t n = 0;

	if (size == 0)
		return dst;
	for (size_t i = 0; i < len; i++) {
		bool plain = p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\' && p[i] != '"';

		if (n + (plain ? 1 : 4) >= size) {
			if (size > 4) { /* the last places say that more came */
				n = MIN(n, size - 4);
				dst[n++] = '.';
				dst[n++] = '.';
				dst[n++] = '.';
			}
			break;
		}
		if (plain)
			dst[n++] = (char)p[i];
		else
			n += (size_t)snprintf(dst + n, size - n, "\\x%02x", p[i]);
	}
	dst[n] = '\0';
	return dst;
}
