/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is proven of programs' call sites, kept from one sandbox to the next: the file `sites` of a directory of the caller's.
 *
 *	command   opens the directory and the file; the sentry copies it             runtime/gate_cache.c
 *	sentry    looks up what it maps, by build-id; checks each site's bytes     sentry/mm/text_known.c
 *	          tells the monitor what it learned, at the end
 *	monitor   checks that, joins it with what the file holds by then           runtime/core/gate_cache_store.c
 *
 * The format, in the host's byte order: a head, then images, each followed by its sites. The images used last come first;
 * what doesn't fit any more falls off the end.
 *
 * Nobody believes the file. A sentry that was taken over could have written it, for the next sandbox to read: it names
 * places to look at, no more, and each is rewritten only if the bytes there leave no doubt.
 */
#ifndef RUNTIME_GATE_CACHE_H
#define RUNTIME_GATE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATE_CACHE_FILE "sites"
#define GATE_CACHE_TEMP "sites.new"
#define GATE_CACHE_MAGIC 0x3130657461476253ULL /* "SbGate01": another format has another number */
#define GATE_CACHE_MAX (1U << 20)              /* bytes */
#define GATE_CACHE_ID_MAX 32U
#define GATE_CACHE_SITES_MAX 4096U
#define GATE_CACHE_TEXT_MAX (1ULL << 24)
#define GATE_CACHE_NR_MAX 512U

struct gate_cache_head {
	uint64_t magic;
	uint32_t size; /* all of it */
	uint32_t nimages;
};

/* An executable range of a file. All but nsites is its key. */
struct gate_cache_image {
	uint8_t id[GATE_CACHE_ID_MAX]; /* its build-id (GNU's, or Go's folded), zeros behind */
	uint32_t id_len;               /* 8 and more */
	uint32_t nsites;
	uint64_t file_size, text_off, text_len; /* the last two are whole pages */
};

/* Ascending by off. */
struct gate_cache_site {
	uint32_t off; /* of the syscall, from the range's start */
	uint32_t nr;  /* of the call that came from it */
};

static inline const struct gate_cache_site *gate_cache_sites(const struct gate_cache_image *image)
{
	return (const struct gate_cache_site *)(image + 1);
}
static inline const struct gate_cache_image *gate_cache_first(const void *data)
{
	return (const struct gate_cache_image *)((const struct gate_cache_head *)data + 1);
}
static inline const struct gate_cache_image *gate_cache_next(const struct gate_cache_image *image)
{
	return (const struct gate_cache_image *)(gate_cache_sites(image) + image->nsites);
}

/* ---- runtime/core/gate_cache.c; data is aligned to eight bytes ---- */

/* Are the size bytes what this header says, with every count, order and bound? Only then may the others see them. */
bool gate_cache_check(const void *data, size_t size);
/* The first image with key's key, or NULL. */
const struct gate_cache_image *gate_cache_find(const void *data, const struct gate_cache_image *key);
/*
 * Both in one, in out (max bytes, of which there are GATE_CACHE_MAX or fewer): fresh's images first, with old's sites added
 * to them, then those that only old has, as many as fit. NULL stands for an empty one. Bytes used.
 */
size_t gate_cache_merge(void *out, size_t max, const void *fresh, const void *old);
/* Building one: the head, and an image with room for its sites behind. NULL if that isn't there. */
void gate_cache_begin(void *out);
struct gate_cache_site *gate_cache_add(void *out, size_t max, const struct gate_cache_image *key, uint32_t nsites);

/* ---- runtime/core/gate_cache_store.c ---- */

/* Joins what a sentry said (checked first) with the directory's file. 0, or why not: nobody minds. */
int gate_cache_store(int dir, const void *fresh, size_t size);
/* The directory's file, if it is a regular file of ours; else -1. */
int gate_cache_open(int dir);
/* Its first bytes, at most max; not checked, and whoever may write to the file may do so meanwhile. Bytes. */
size_t gate_cache_read(int fd, void *buf, size_t max);

#endif
