/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with names: errors, signals, flags and commands, for --strace and messages. */
#ifndef SENTRY_TRACE_NAMES_H
#define SENTRY_TRACE_NAMES_H

#include "sentry/base/types.h"

struct name {
	uint64_t value;
	const char *name;
};

enum name_set_kind { NAMES_FLAGS, NAMES_ENUM };
struct name_set {
	const char *name; /* as a kind of argument in syscalls/table.def */
	enum name_set_kind kind;
	const struct name *names;
	size_t n;
	const char *zero; /* what 0 is called; NULL: "0" (flags) or by the list (enum) */
};

/* By the kind's name; NULL if there is none. */
const struct name_set *name_set_find(const char *name, size_t len);
/* The name of value in an enum set, or NULL. */
const char *name_set_lookup(const struct name_set *set, uint64_t value);

/* "ENOENT" for 2, "ERESTARTSYS" for the kernel's own; NULL if unknown. */
const char *errno_name(int err);
/* "No such file or directory": glibc's words, as strace prints them. */
const char *errno_words(int err);
/* "SIGTERM" for 15, "SIGRT_2" for 34; into buf if need be. */
const char *signal_name(int sig, char buf[16]);

#endif
