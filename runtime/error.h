/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of the command: a sentence for the person who typed it, that says what, where, and how to mend it. A function
 * that can fail takes `struct error **err` last and returns false, NULL or -1; whoever knows more puts its words in
 * front (error_wrap), and main prints one line:
 *
 *	sentrybox: do: --memory 12q: "q" is not a unit: write a number with k, m, g or t, as in 256m
 */
#ifndef RUNTIME_ERROR_H
#define RUNTIME_ERROR_H

#include <stdbool.h>

struct error {
	int status; /* exit status: 125 unless said otherwise */
	char *text;
};

/* Each returns false, so that `return error_set(err, ...)` reads well. err may hold no error yet. */
bool error_set(struct error **err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As error_set, with ": " and the words for errnum behind. */
bool error_errno(struct error **err, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts words and ": " in front of the error there is. */
bool error_wrap(struct error **err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void error_free(struct error *err);
/* --log, --log-format: where error_report writes besides, as runc does: a line of JSON, or of text. */
void error_log_to(const char *file, bool json);
/* From now on: what stderr doesn't take at once is lost, since its reader may be anybody, or nobody. */
void error_never_wait(void);
/* That has not been said, or stderr takes a line of less than 4 KiB. */
bool error_can_say(void);
/* Prints "sentrybox: ..." on stderr, guest and user bytes escaped, and returns the exit status. */
int error_report(const struct error *err);

static inline void cleanup_errorp(struct error **err)
{
	error_free(*err);
}
#define cleanup_error __attribute__((cleanup(cleanup_errorp)))

#endif
