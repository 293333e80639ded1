/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of call sites: what is refused, what joining makes of two, and the file. */
#include "runtime/gate_cache.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct gate_cache_image image(uint8_t id, uint64_t text_off)
{
	struct gate_cache_image i = {.id_len = 20, .file_size = 1 << 20, .text_off = text_off, .text_len = 0x10000};

	memset(i.id, id, i.id_len);
	return i;
}

static void add(void *out, uint8_t id, uint32_t nsites, uint32_t first, uint32_t step, uint32_t nr)
{
	struct gate_cache_image key = image(id, 0x1000);
	struct gate_cache_site *s = gate_cache_add(out, GATE_CACHE_MAX, &key, nsites);

	cr_assert_not_null(s);
	for (uint32_t n = 0; n < nsites; n++)
		s[n] = (struct gate_cache_site){first + n * step, nr};
}

static uint32_t size_of(const void *data)
{
	return ((const struct gate_cache_head *)data)->size;
}

static void *one(void)
{
	void *data = calloc(1, GATE_CACHE_MAX);

	gate_cache_begin(data);
	add(data, 1, 10, 100, 16, 3);
	add(data, 2, 1, 0, 1, 0);
	return data;
}

#define REFUSED(what, ...)                                                                                             \
	do {                                                                                                           \
		uint8_t *data = one();                                                                                 \
		struct gate_cache_head *head = (struct gate_cache_head *)data;                                         \
		struct gate_cache_image *i = (struct gate_cache_image *)(head + 1);                                    \
		struct gate_cache_site *s = (struct gate_cache_site *)(i + 1);                                         \
		size_t size = head->size;                                                                              \
		(void)s;                                                                                               \
		__VA_ARGS__;                                                                                           \
		cr_expect_not(gate_cache_check(data, size), what);                                                     \
		free(data);                                                                                            \
	} while (0)

Test(gate_cache, check)
{
	void *fine = one();

	cr_assert(gate_cache_check(fine, size_of(fine)));
	free(fine);
	REFUSED("no head", size = 15);
	REFUSED("empty", size = 0);
	REFUSED("cut", size--; head->size--);
	REFUSED("longer", size++; head->size++);
	REFUSED("another size", head->size += 8);
	REFUSED("another magic", head->magic++);
	REFUSED("too large", size = GATE_CACHE_MAX + 8; head->size = (uint32_t)size);
	REFUSED("more images", head->nimages++);
	REFUSED("fewer images", head->nimages--);
	REFUSED("images without end", head->nimages = UINT32_MAX);
	REFUSED("a short id", i->id_len = 7);
	REFUSED("a long id", i->id_len = 33);
	REFUSED("an id without end", i->id_len = UINT32_MAX);
	REFUSED("something behind the id", i->id[20] = 1);
	REFUSED("no sites", i->nsites = 0);
	REFUSED("more sites", i->nsites++);
	REFUSED("fewer sites", i->nsites--);
	REFUSED("sites without end", i->nsites = UINT32_MAX);
	REFUSED("sites that wrap", i->nsites = 0x20000001);
	REFUSED("no text", i->text_len = 0);
	REFUSED("half a page", i->text_len += 100);
	REFUSED("a large text", i->text_len = GATE_CACHE_TEXT_MAX + 4096);
	REFUSED("half a page in front", i->text_off = 1);
	REFUSED("text behind the file", i->text_off = 2 << 20);
	REFUSED("text at the end of the world", i->text_off = -4096UL);
	REFUSED("a large file", i->file_size = UINT64_MAX);
	REFUSED("twice", s[3].off = s[2].off);
	REFUSED("not in order", s[3].off = s[1].off);
	REFUSED("behind the text", s[9].off = 0xffff);
	REFUSED("far behind the text", s[9].off = UINT32_MAX);
	REFUSED("rt_sigreturn", s[0].nr = 15);
	REFUSED("no number", s[0].nr = 512);
}

/* Nothing is read behind the end: every cut, with a page that can't be touched behind it. */
Test(gate_cache, cuts)
{
	uint8_t *page = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *data = one();
	uint32_t size = size_of(data);

	cr_assert_neq(page, MAP_FAILED);
	cr_assert_eq(mprotect(page + 4096, 4096, PROT_NONE), 0);
	for (uint32_t keep = 0; keep < size; keep += 8) {
		uint8_t *at = page + 4096 - keep;

		memcpy(at, data, keep);
		if (keep >= sizeof(struct gate_cache_head))
			((struct gate_cache_head *)at)->size = keep;
		cr_expect_not(gate_cache_check(at, keep));
	}
	munmap(page, 2 * 4096);
	free(data);
}

Test(gate_cache, find)
{
	struct gate_cache_image key = image(2, 0x1000);
	void *data = one();

	cr_assert_eq(gate_cache_find(data, &key)->nsites, 1);
	cr_assert_null(gate_cache_find(NULL, &key));
	key.text_off = 0x2000;
	cr_assert_null(gate_cache_find(data, &key));
	key = image(2, 0x1000);
	key.id_len = 21;
	cr_assert_null(gate_cache_find(data, &key));
	key = image(1, 0x1000);
	key.file_size++;
	cr_assert_null(gate_cache_find(data, &key));
	free(data);
}

Test(gate_cache, merge)
{
	struct gate_cache_image key = image(1, 0x1000);
	void *old = one(), *fresh = calloc(1, GATE_CACHE_MAX), *out = calloc(1, GATE_CACHE_MAX);
	const struct gate_cache_image *i;

	gate_cache_begin(fresh);
	add(fresh, 3, 2, 0, 1, 1);
	add(fresh, 1, 10, 108, 8, 4); /* every second one is known already */
	cr_assert(gate_cache_check(out, gate_cache_merge(out, GATE_CACHE_MAX, fresh, old)));
	cr_assert_eq(((struct gate_cache_head *)out)->nimages, 3);
	i = gate_cache_first(out);
	cr_assert_eq(i->id[0], 3, "what is new comes first");
	i = gate_cache_find(out, &key);
	cr_assert_eq(i->nsites, 15);
	for (uint32_t n = 0; n < i->nsites; n++) {
		uint32_t off = gate_cache_sites(i)[n].off;

		cr_assert_eq(gate_cache_sites(i)[n].nr, off >= 108 && off < 188 ? 4 : 3, "%u", off);
	}
	cr_assert_eq(gate_cache_merge(out, GATE_CACHE_MAX, NULL, NULL), sizeof(struct gate_cache_head));
	cr_assert(gate_cache_check(out, sizeof(struct gate_cache_head)));
	cr_assert_eq(gate_cache_merge(out, GATE_CACHE_MAX, NULL, old), size_of(old));
	cr_assert_eq(gate_cache_merge(out, GATE_CACHE_MAX, old, old), size_of(old));
	free(old);
	free(fresh);
	free(out);
}

/* It never grows beyond its size: the oldest go; and an image never has more sites than it may. */
Test(gate_cache, bounds)
{
	void *old = calloc(1, GATE_CACHE_MAX), *fresh = calloc(1, GATE_CACHE_MAX), *out = calloc(1, GATE_CACHE_MAX);
	struct gate_cache_image key = image(200, 0x1000);

	gate_cache_begin(old);
	for (uint8_t id = 1; id <= 31; id++)
		add(old, id, GATE_CACHE_SITES_MAX, 0, 2, 1);
	cr_assert(gate_cache_check(old, size_of(old)));
	gate_cache_begin(fresh);
	add(fresh, 200, GATE_CACHE_SITES_MAX, 0, 2, 1);
	add(fresh, 201, GATE_CACHE_SITES_MAX, 0, 2, 1);
	add(fresh, 1, GATE_CACHE_SITES_MAX, 1, 2, 2);
	cr_assert(gate_cache_check(out, gate_cache_merge(out, GATE_CACHE_MAX, fresh, old)));
	cr_assert_leq(size_of(out), GATE_CACHE_MAX);
	cr_assert_not_null(gate_cache_find(out, &key));
	key = image(1, 0x1000);
	cr_assert_eq(gate_cache_find(out, &key)->nsites, GATE_CACHE_SITES_MAX);
	key = image(31, 0x1000);
	cr_assert_null(gate_cache_find(out, &key));
	free(old);
	free(fresh);
	free(out);
}

static size_t read_cache(int dir, void *buf)
{
	int fd = gate_cache_open(dir);
	size_t n = fd >= 0 ? gate_cache_read(fd, buf, GATE_CACHE_MAX) : 0;

	if (fd >= 0)
		close(fd);
	return n;
}

Test(gate_cache, store)
{
	char dir[] = "/tmp/gate_cache.XXXXXX";
	struct gate_cache_image key = image(3, 0x1000);
	void *fresh = one(), *buf = calloc(1, GATE_CACHE_MAX);
	size_t n;
	int fd;

	cr_assert_not_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(read_cache(fd, buf), 0);
	cr_assert_neq(gate_cache_store(fd, "nonsense nonsense", 17), 0);
	cr_assert_eq(read_cache(fd, buf), 0);
	cr_assert_eq(gate_cache_store(fd, fresh, size_of(fresh)), 0);
	n = read_cache(fd, buf);
	cr_assert_eq(n, size_of(fresh));
	gate_cache_begin(fresh);
	add(fresh, 3, 5, 0, 4, 7);
	cr_assert_eq(gate_cache_store(fd, fresh, size_of(fresh)), 0);
	n = read_cache(fd, buf);
	cr_assert(gate_cache_check(buf, n));
	cr_assert_eq(((struct gate_cache_head *)buf)->nimages, 3);
	cr_assert_eq(gate_cache_find(buf, &key)->nsites, 5);
	cr_assert_eq(fchmodat(fd, GATE_CACHE_FILE, 0622, 0), 0);
	cr_assert_eq(read_cache(fd, buf), 0, "others may write it");
	unlinkat(fd, GATE_CACHE_FILE, 0);
	cr_assert_eq(symlinkat("/etc/passwd", fd, GATE_CACHE_FILE), 0);
	cr_assert_eq(read_cache(fd, buf), 0, "a link");
	unlinkat(fd, GATE_CACHE_FILE, 0);
	close(fd);
	rmdir(dir);
	free(fresh);
	free(buf);
}
