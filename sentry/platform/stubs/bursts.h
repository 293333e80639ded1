/* SPDX-License-Identifier: Apache-2.0 */
/* How soon polling begins: see bursts.c. */
#ifndef SENTRY_PLATFORM_STUBS_BURSTS_H
#define SENTRY_PLATFORM_STUBS_BURSTS_H

#include "sentry/base/types.h"

#define BURST_LONG 32U   /* so many calls pay for a beginning and an end */
#define BURSTS_KNOWN 4U  /* so many of the last bursts decide about the next */
#define BURSTS_AT_FIRST 5U /* every other one of those that nobody has seen was long */

struct bursts {
	uint64_t last;    /* ns: when the last call that had to wake us was answered */
	unsigned row;     /* so many calls before that one followed one another closely */
	unsigned refused; /* the row when polling could not be begun */
	unsigned past;    /* a bit each, the youngest lowest: it was long */
};

/* So many calls that follow one another closely begin polling, after the first. */
unsigned bursts_need(const struct bursts *b) must_check;
/* A call that had to wake us is answered at now (ns), after having been served for so long. turn: it slept until another thread's
 * call has ended that. True: polling should begin. */
bool bursts_call(struct bursts *b, uint64_t now, uint64_t served, bool turn) must_check;
/* Polling should have begun, and can't. */
void bursts_refused(struct bursts *b);
/* Polling has ended, having served so many calls. wrong: it should not have begun. */
void bursts_polled(struct bursts *b, unsigned calls, bool wrong);
/* ... in favour of something better: that says nothing. */
void bursts_left(struct bursts *b);

/* How long one may look for the next call; ticks of any clock. */
struct patience {
	uint64_t left, most, call;
};

/* Polling has begun. ticks_us: a microsecond. */
void patience_begin(struct patience *p, uint64_t ticks_us);
/* A call has come. */
static inline void patience_earned(struct patience *p)
{
	p->left = p->left + p->call < p->most ? p->left + p->call : p->most;
}
/* It was looked in vain for so long. */
static inline void patience_spent(struct patience *p, uint64_t ticks)
{
	p->left -= ticks < p->left ? ticks : p->left;
}
static inline bool patience_lost(const struct patience *p)
{
	return p->left == 0;
}

#endif
