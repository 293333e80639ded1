/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying the guest's bytes between two CPUs.
 *
 *	sentry, polling, on one CPU --> a segment's lines in the mailbox --> the shim on the other, and back
 *
 * What costs is not the copying but how the lines cross. Written as ever, they stay in the writer's cache, and the reader fetches
 * each from there: cheap where both CPUs share a cache, dear where they don't. Written past the caches they lie in memory:
 * the writer need not ask for lines that the other one still has from the last time, and the reader finds them where prefetching works,
 * at the price of memory's latency. From some 3 KiB on that is faster between CPUs that are far from one another, and slower
 * between near ones. (Measured: docs/performance.md.) Which they are nobody says, and in a virtual machine it changes while it runs.
 *
 * So it is measured: a request says how long the last answer was waited for, if the shim looked for that at once, beyond the time that it took to serve it. That
 * is a few lines crossing there and back. The majority of the last answers decides (gate_ro.far tells the shims). Calls whose bytes
 * went through the caches wait for these as well and have no vote; where there are no others, some of them go past the caches now and then.
 *
 * In either case who reads asks for all lines at once, before it copies the first.
 *
 * The guest controls what it says of its waiting. It can have its own bytes, and those of others in the sandbox, go the slower
 * of two ways.
 */
#include "sentry/platform/stubs/gate.h"
#include "sentry/platform/stubs/bell.h"

#include "sentry/platform/stubs/stubs.h"

#include <emmintrin.h>
#include <string.h>

#define FAR_NS 230 /* a line there and back between CPUs that share no cache takes longer than this */
#define VOTES 8          /* so many more on one side decide */
#define TRY_CALLS 2048   /* after so many that have no vote ... */
#define TRIES 128        /* ... so many go past the caches, of which one in 64 looks at once, and votes */
#define OWN_AHEAD 512U   /* how far ahead of a copy is fetched: of what this CPU wrote, ... */
#define AHEAD 1024U      /* ... of what the other one did, in a loop, ... */
#define FIRST 4096U      /* ... and before it */

static struct {
	unsigned votes; /* of VOTES: that it is far */
	bool near;
	unsigned calls, tries;
} distance = {.votes = VOTES};

static void publish(void)
{
	gate_ro->far = !distance.near || distance.tries != 0;
}

void gate_distance(const struct platform_thread *pt, uint64_t ticks, uint64_t us)
{
	if (pt->plain || ticks == 0) /* 0: it has slept */
		return;
	if (ticks * 1000 > FAR_NS * us)
		distance.votes += distance.votes < VOTES;
	else
		distance.votes -= distance.votes > 0;
	if (distance.votes == 0 || distance.votes == VOTES)
		distance.near = distance.votes == 0;
	if (gate_ro->far != (!distance.near || distance.tries != 0))
		publish();
}

bool gate_far(struct platform_thread *pt)
{
	if (!distance.near)
		return true;
	if (distance.tries != 0) {
		if (--distance.tries == 0)
			publish();
		return true;
	}
	pt->plain = true;
	if (++distance.calls >= TRY_CALLS) {
		distance.calls = 0;
		distance.tries = TRIES;
		publish();
	}
	return false;
}

/*
 * Through the caches, but not by the string instruction that the C library's memcpy is: some processors carry that out byte by
 * byte where the low bits of both addresses are nearly the same, and both ends of ours begin pages, or nearly.
 */
static inline size_t copy(char *dst, const char *src, size_t len, size_t ahead, bool away)
{
	size_t done = 0;

	for (; len - done >= 64; done += 64) {
		const char *s = src + done;
		char *d = dst + done;
		__m128i a = _mm_loadu_si128((const __m128i_u *)s), b = _mm_loadu_si128((const __m128i_u *)(s + 16));
		__m128i c = _mm_loadu_si128((const __m128i_u *)(s + 32)), e = _mm_loadu_si128((const __m128i_u *)(s + 48));

		if (ahead != 0)
			__builtin_prefetch(s + ahead);
		if (away) {
			_mm_stream_si128((__m128i *)(void *)d, a);
			_mm_stream_si128((__m128i *)(void *)(d + 16), b);
			_mm_stream_si128((__m128i *)(void *)(d + 32), c);
			_mm_stream_si128((__m128i *)(void *)(d + 48), e);
		} else {
			_mm_storeu_si128((__m128i_u *)d, a);
			_mm_storeu_si128((__m128i_u *)(d + 16), b);
			_mm_storeu_si128((__m128i_u *)(d + 32), c);
			_mm_storeu_si128((__m128i_u *)(d + 48), e);
		}
	}
	return done;
}

void gate_copy(void *to, const void *from, size_t len)
{
	size_t done = copy(to, from, len, 0, false);

	memcpy((char *)to + done, (const char *)from + done, len - done);
}

void gate_copy_near(void *to, const void *from, size_t len)
{
	size_t done;

	for (size_t i = 0; i < len && i < FIRST; i += 64)
		__builtin_prefetch((const char *)from + i);
	done = copy(to, from, len, len > FIRST ? AHEAD : 0, false);
	memcpy((char *)to + done, (const char *)from + done, len - done);
}

void gate_copy_away(char *dst, const char *src, size_t len)
{
	size_t done = copy(dst, src, len, OWN_AHEAD, true);

	memcpy(dst + done, src + done, len - done);
	_mm_sfence();
}
