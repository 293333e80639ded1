/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things that clean up after themselves, for the command (the sentry uses goto labels instead):
 *
 *	cleanup_free char *name = xstrdup(...);
 *	cleanup_close int fd = open(...);
 *	return steal_fd(&fd);
 *
 * And allocation that doesn't fail: the command is short-lived and has nothing to undo, so it says so and exits 125.
 */
#ifndef RUNTIME_CLEANUP_H
#define RUNTIME_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_freep(void *p)
{
	free(*(void **)p);
}
static inline void cleanup_closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline void cleanup_fclosep(FILE **f)
{
	if (*f != NULL)
		fclose(*f);
}
static inline void cleanup_closedirp(DIR **d)
{
	if (*d != NULL)
		closedir(*d);
}
#define cleanup_free __attribute__((cleanup(cleanup_freep)))
#define cleanup_close __attribute__((cleanup(cleanup_closep)))
#define cleanup_fclose __attribute__((cleanup(cleanup_fclosep)))
#define cleanup_closedir __attribute__((cleanup(cleanup_closedirp)))

static inline int steal_fd(int *fd)
{
	int f = *fd;

	*fd = -1;
	return f;
}
static inline void *steal_pointer_(void *pp)
{
	void *p = *(void **)pp;

	*(void **)pp = NULL;
	return p;
}
#define steal_pointer(pp) ((__typeof__(*(pp)))steal_pointer_(pp))

void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

#endif
