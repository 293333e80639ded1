/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host ids a sandbox's processes run under. Where root can give it, each sandbox has one of its own: processes of
 * one uid may signal and read each other, so two sandboxes under one uid would rest on the sentry's filter alone.
 *
 * The id is drawn at random from the range, and nothing is written down: there is no state to lose when a machine
 * stops. With the default hundred million ids, the odds that any two of a thousand sandboxes share one are one in two
 * hundred, and those two are then no worse off than the sandboxes of an ordinary user.
 */
#include "runtime/build.h"
#include "runtime/cleanup.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>

/* The part of [lo, hi] that the user namespace maps, widest piece: false if there is none. */
static bool mapped_range(const char *map, uint32_t *lo, uint32_t *hi)
{
	cleanup_fclose FILE *f = fopen(map, "re");
	unsigned long inside, outside, count, best = 0;
	uint32_t want_lo = *lo, want_hi = *hi;

	if (f == NULL)
		return true; /* no /proc: nothing known, so as it is */
	while (fscanf(f, "%lu %lu %lu", &inside, &outside, &count) == 3) {
		unsigned long a = inside > want_lo ? inside : want_lo;
		unsigned long z = inside + count - 1 < want_hi ? inside + count - 1 : want_hi;

		if (count != 0 && a <= z && z - a + 1 > best) {
			best = z - a + 1;
			*lo = (uint32_t)a;
			*hi = (uint32_t)z;
		}
	}
	return best != 0;
}

static bool may_change_ids(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (geteuid() != 0 || syscall(SYS_capget, &header, data) < 0)
		return false;
	return (data[0].effective & (1U << CAP_SETUID)) != 0 && (data[0].effective & (1U << CAP_SETGID)) != 0;
}

bool build_host_ids(struct build *b, const struct settings *s, struct error **err)
{
	uint32_t lo = s->uid_lo, hi = s->uid_hi, r;

	b->c->sandbox_uid = geteuid();
	b->c->sandbox_gid = getegid();
	b->c->drop_ids = false;
	if (!may_change_ids())
		return true;
	if (!mapped_range("/proc/self/uid_map", &lo, &hi) || !mapped_range("/proc/self/gid_map", &lo, &hi)) {
		/* Root of a small user namespace: the upper half of the usual 65536 ids, or none at all. */
		lo = 32768;
		hi = 65533;
		if (!mapped_range("/proc/self/uid_map", &lo, &hi) || !mapped_range("/proc/self/gid_map", &lo, &hi))
			return true;
	}
	if (getrandom(&r, sizeof(r), 0) != sizeof(r))
		return error_errno(err, errno, "getrandom");
	b->c->sandbox_uid = b->c->sandbox_gid = lo + (uint32_t)(((uint64_t)r * ((uint64_t)hi - lo + 1)) >> 32);
	b->c->drop_ids = true;
	return true;
}
