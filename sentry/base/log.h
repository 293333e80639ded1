/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug log (--debug-log) and formatted lines for people. Off by default; a log line never carries guest bytes
 * unescaped (use log_quote).
 */
#ifndef SENTRY_BASE_LOG_H
#define SENTRY_BASE_LOG_H

#include "sentry/base/types.h"

#include <stdarg.h>

/* -1: off. The descriptor is opened before the sentry is sealed. */
extern int log_fd;

void log_write(const char *fmt, ...) printf_like(1, 2);
#define log_debug(...)                                                                                                 \
	do {                                                                                                           \
		if (__builtin_expect(log_fd >= 0, 0))                                                                  \
			log_write(__VA_ARGS__);                                                                        \
	} while (0)

/* Writes src, C-escaped and cut to fit, as a string into dst. Returns dst. */
const char *log_quote(char *dst, size_t size, const void *src, size_t len);

#endif
