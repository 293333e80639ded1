/* SPDX-License-Identifier: Apache-2.0 */
/* Reading EROFS images: a sound one, and ones that lie. tests/e2e/image compares those of mkfs.erofs with their directories. */
#include "runtime/erofs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/image.h"
#include "tests/lib/erofs_image.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uint8_t *img;
static struct erofs_image e;

static void setup(void)
{
	img = malloc(EI_SIZE); /* exactly: the sanitizers see what is read behind it */
	ei_make(img);
	cr_assert_null(erofs_open(&e, img, EI_SIZE));
}

static void teardown(void)
{
	free(img);
}

static struct erofs_inode inode(const char *path)
{
	struct erofs_inode i = {0};
	uint64_t nid;

	cr_assert_eq(erofs_resolve(&e, path, false, &nid), 0, "%s", path);
	cr_assert_eq(erofs_inode(&e, nid, &i), 0, "%s", path);
	return i;
}

TestSuite(erofs, .init = setup, .fini = teardown);

Test(erofs, attributes_and_contents)
{
	struct erofs_inode i = inode("/a");
	uint8_t buf[3 * 4096];

	cr_expect(i.mode == 0100644 && i.uid == 1000 && i.gid == 100 && i.nlink == 1 && i.size == 5000);
	cr_expect(i.mtime_sec == 1600000000 && i.mtime_nsec == 7);
	cr_assert_eq(erofs_read(&e, &i, 4990, buf, 20), 0);
	cr_expect(memcmp(buf, "aaaaaaaaaa\0\0\0\0\0\0\0\0\0\0", 20) == 0);
	i = inode("b");
	cr_assert_eq(erofs_read(&e, &i, 0, buf, 5), 0);
	cr_expect(memcmp(buf, "hello", 5) == 0 && i.nlink == 2);
	i = inode("/c");
	cr_assert_eq(erofs_read(&e, &i, 0, buf, sizeof(buf)), 0);
	cr_expect(buf[4095] == 'c' && buf[4096] == 0 && buf[8191] == 0 && buf[8192] == 'd' && buf[12286] == 'd' && buf[12287] == 0);
	cr_expect_eq(inode("/dev").rdev, 0x0103);
	cr_expect_eq(inode("/fifo").mode, 010644);
}

Test(erofs, paths)
{
	uint64_t nid;

	cr_expect(erofs_resolve(&e, "/link", true, &nid) == 0 && nid == EI_B);
	cr_expect(erofs_resolve(&e, "/link", false, &nid) == 0 && nid == EI_LINK);
	cr_expect(erofs_resolve(&e, "d/../../..//d/./hard", false, &nid) == 0 && nid == EI_B);
	cr_expect(erofs_resolve(&e, "/", false, &nid) == 0 && nid == EI_ROOT);
	cr_expect_eq(erofs_resolve(&e, "/nothing", false, &nid), -LINUX_ENOENT);
	cr_expect_eq(erofs_resolve(&e, "/a/x", false, &nid), -LINUX_ENOTDIR);
	cr_expect_eq(erofs_resolve(&e, "/a/", false, &nid), -LINUX_ENOTDIR);
	memcpy(img + EI_AT(EI_LINK) + 64, "/link\0", 6);
	ei_put(img, EI_AT(EI_LINK) + 8, 5, 8);
	cr_expect_eq(erofs_resolve(&e, "/link", true, &nid), -LINUX_ELOOP);
	memcpy(img + EI_AT(EI_LINK) + 64, "/../b", 5); /* out of the root is the root */
	cr_expect(erofs_resolve(&e, "/link", true, &nid) == 0 && nid == EI_B);
}

static int count_name(void *arg, const char *name, size_t len, uint64_t nid)
{
	(void)nid;
	cr_expect(len != 0 && memchr(name, '/', len) == NULL);
	++*(int *)arg;
	return 0;
}

Test(erofs, directories_with_several_blocks)
{
	/* 3 blocks of names n0000.. behind each other, over what /a, /c had */
	uint32_t per = 200, nr = 0;
	struct ei_name names[200];
	char text[600][8];
	struct erofs_inode dir;
	uint64_t nid;
	int n = 0;

	for (unsigned block = 0; block < 3; block++) {
		for (unsigned i = 0; i < per; i++, nr++) {
			sprintf(text[nr], "n%04u", nr);
			names[i] = (struct ei_name){text[nr], EI_B};
		}
		memset(img + (4 + block) * 4096, 0, 4096);
		ei_entries(img, (4 + block) * 4096, names, per);
	}
	ei_inode(img, EI_D, 0, 040700, 3 * 4096, 4, 2, 0);
	dir = inode("/d");
	cr_expect_eq(erofs_list(&e, &dir, count_name, &n), 0);
	cr_expect_eq(n, 600);
	for (unsigned i = 0; i < 600; i++)
		cr_expect_eq(erofs_lookup(&e, &dir, text[i], 5, &nid), 0, "%s", text[i]);
	cr_expect_eq(erofs_lookup(&e, &dir, "a", 1, &nid), -LINUX_ENOENT);
	cr_expect_eq(erofs_lookup(&e, &dir, "n0199x", 6, &nid), -LINUX_ENOENT);
	cr_expect_eq(erofs_lookup(&e, &dir, "z", 1, &nid), -LINUX_ENOENT);
}

static int join_xattr(void *arg, const char *prefix, const uint8_t *name, uint32_t name_len, const uint8_t *value, uint32_t value_len)
{
	sprintf((char *)arg + strlen(arg), "%s%.*s=%.*s ", prefix, (int)name_len, (const char *)name, (int)value_len, (const char *)value);
	return 0;
}

Test(erofs, extended_attributes)
{
	struct erofs_inode i = inode("/x");
	char all[100] = "";

	cr_assert_eq(erofs_xattrs(&e, &i, join_xattr, all), 0);
	cr_expect_str_eq(all, "user.s=S user.t=TT ");
	img[i.xattrs + 4] = 200; /* more shared ones than there is room */
	cr_expect_eq(erofs_xattrs(&e, &i, join_xattr, all), -LINUX_EIO);
	img[i.xattrs + 4] = 1;
	ei_put(img, (uint32_t)i.xattrs + 12, 0xffffffff, 4);
	cr_expect_eq(erofs_xattrs(&e, &i, join_xattr, all), -LINUX_EIO);
	ei_put(img, (uint32_t)i.xattrs + 12, 512, 4);
	ei_put(img, (uint32_t)i.xattrs + 18, 0xffff, 2);
	all[0] = '\0';
	cr_expect_eq(erofs_xattrs(&e, &i, join_xattr, all), -LINUX_EIO);
}

Test(erofs, pages)
{
	struct erofs_inode i = inode("/a");
	uint64_t off;

	cr_expect(erofs_in_pages(&e, &i, 0, 5000, &off) && off == 4 * 4096);
	cr_expect(erofs_in_pages(&e, &i, 4096, 4096, &off) && off == 5 * 4096);
	cr_expect_not(erofs_in_pages(&e, &i, 0, 8193, &off), "it goes beyond the file");
	cr_expect_not(erofs_in_pages(&e, &i, 8192, 1, &off));
	cr_expect_not(erofs_in_pages(&e, &i, 12288, 1, &off));
	cr_expect_not(erofs_in_pages(&e, &i, 1, 4096, &off));
	cr_expect_not(erofs_in_pages(&e, &i, 0, UINT64_MAX, &off));
	i = inode("/b");
	cr_expect_not(erofs_in_pages(&e, &i, 0, 5, &off), "it shares a page with inodes");
	i = inode("/c");
	cr_expect(erofs_in_pages(&e, &i, 0, 4096, &off) && off == 6 * 4096);
	cr_expect_not(erofs_in_pages(&e, &i, 0, 8192, &off), "a hole");
	ei_put(img, EI_AT(EI_C) + 64 + 12, 7, 4);
	cr_expect(erofs_in_pages(&e, &i, 0, 8192, &off) && off == 6 * 4096);
	cr_expect_not(erofs_in_pages(&e, &i, 0, 12288, &off), "out of order");
	e.block_bits = 10;
	cr_expect_not(erofs_in_pages(&e, &i, 0, 4096, &off), "blocks smaller than pages");
}

Test(erofs, superblocks_that_are_refused)
{
	struct {
		uint32_t off, bytes;
		uint64_t value;
		const char *word;
	} bad[] = {
		{0, 4, 0, "not an EROFS"},	    {12, 1, 13, "blocks"},	     {12, 1, 0, "blocks"},     {12, 1, 255, "blocks"},
		{36, 4, 9, "cut off"},		    {36, 4, 0xffffffff, "cut off"}, {80, 4, 1, "compressed"}, {80, 4, 3, "compressed"},
		{80, 4, 0x10, "compressed"},	    {80, 4, 8, "blobdev"},	     {86, 2, 1, "blobdev"},    {80, 4, 0x400, "0x400"},
		{14, 2, EI_B, "root"},		    {40, 4, 0xffffffff, "root"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why;

		ei_make(img);
		ei_put(img, EI_SUPER + bad[i].off, bad[i].value, bad[i].bytes);
		why = erofs_open(&e, img, EI_SIZE);
		cr_assert_not_null(why, "row %zu", i);
		cr_expect_not_null(strstr(why, bad[i].word), "row %zu: %s", i, why);
	}
	for (uint64_t size = 0; size < EI_SIZE; size += size < 2048 ? 1 : 512)
		cr_expect_not_null(erofs_open(&e, img, size));
}

static int inode_error(uint32_t nid, uint32_t off, uint64_t value, unsigned bytes)
{
	struct erofs_inode i;

	ei_make(img);
	ei_put(img, EI_AT(nid) + off, value, bytes);
	return erofs_inode(&e, nid, &i);
}

Test(erofs, inodes_that_lie)
{
	struct erofs_inode i;

	cr_expect_eq(inode_error(EI_A, 8, UINT64_MAX, 8), -LINUX_EIO);
	cr_expect_eq(inode_error(EI_A, 8, 5 * 4096, 8), -LINUX_EIO, "more than the image has");
	cr_expect_eq(inode_error(EI_A, 16, 0xffffffff, 4), -LINUX_EIO);
	cr_expect_eq(inode_error(EI_A, 0, 3, 2), -LINUX_EOPNOTSUPP, "compressed");
	cr_expect_eq(inode_error(EI_A, 0, 7, 2), -LINUX_EOPNOTSUPP, "compressed");
	cr_expect_eq(inode_error(EI_A, 0, 11, 2), -LINUX_EIO, "no such layout");
	cr_expect_eq(inode_error(EI_A, 0, 0xff01, 2), -LINUX_EIO);
	cr_expect_eq(inode_error(EI_A, 4, 0644, 2), -LINUX_EIO, "no type");
	cr_expect_eq(inode_error(EI_B, 8, 8 * 4096, 8), -LINUX_EIO);
	cr_expect_eq(inode_error(EI_C, 8, INT64_MAX, 8), -LINUX_EIO, "a table longer than the image");
	cr_expect_eq(inode_error(EI_C, 16, 0x8000, 4), -LINUX_EIO);
	cr_expect_eq(inode_error(EI_X, 2, 0xffff, 2), -LINUX_EIO);
	cr_expect_eq(inode_error(EI_C, 4, 040755, 2), -LINUX_EIO, "a directory of chunks");
	ei_make(img);
	for (uint64_t nid = EI_SIZE / 32 - 2; nid < EI_SIZE / 32 + 4; nid++)
		(void)!erofs_inode(&e, nid, &i);
	cr_expect_eq(erofs_inode(&e, UINT64_MAX, &i), -LINUX_EIO);
	cr_expect_eq(erofs_inode(&e, 1ULL << 59, &i), -LINUX_EIO);
}

static int list_error(uint32_t off, uint64_t value, unsigned bytes)
{
	struct erofs_inode root;
	int n = 0;

	ei_make(img);
	ei_put(img, 3 * 4096 + off, value, bytes);
	root = inode("/");
	return erofs_list(&e, &root, count_name, &n);
}

Test(erofs, directories_that_lie)
{
	struct erofs_inode root;
	uint64_t nid;

	cr_expect_eq(list_error(8, 0, 2), -LINUX_EIO);
	cr_expect_eq(list_error(8, 13, 2), -LINUX_EIO);
	cr_expect_eq(list_error(8, 0xfffc, 2), -LINUX_EIO);
	cr_expect_eq(list_error(12 + 8, 0xffff, 2), -LINUX_EIO);
	cr_expect_eq(list_error(24 + 8, 1, 2), -LINUX_EIO);
	cr_expect_eq(list_error(120 + 3, '/', 1), -LINUX_EIO);
	cr_expect_eq(list_error(120 + 3, 0, 1), -LINUX_EIO);
	/* the root is everywhere: as deep as one asks, no deeper */
	ei_make(img);
	ei_put(img, 3 * 4096 + 5 * 12, EI_ROOT, 8);
	cr_expect(erofs_resolve(&e, "d/d/d/d/d/d/a", true, &nid) == 0 && nid == EI_A);
	root = inode("/");
	root.size = 1ULL << 40;
	cr_expect_eq(erofs_lookup(&e, &root, "zzz", 3, &nid), -LINUX_EIO);
}

/* ---- as the gofer would answer ---- */

Test(erofs, answers)
{
	struct gofer_request req = {.op = GOFER_LIST};
	struct gofer_answer a = {.fd = -1};
	const struct gofer_record *r;
	size_t pos = 0;
	unsigned n = 0;

	cr_assert_null(image_open(img, EI_SIZE, -1));
	cr_assert_eq(image_hide(image_root(), "/link"), 0); /* and with it what it leads to, by any name */
	cr_assert_eq(image_answer(image_root(), &req, "", NULL, 0, &a), 0);
	while ((r = gofer_record_next(&a, &pos)) != NULL) {
		cr_expect(r->ino != EI_LINK && r->ino != EI_B);
		n++;
	}
	cr_expect(n == 6 && pos == a.len);
	gofer_answer_done(&a);
	req.op = GOFER_WALK;
	pos = 0;
	cr_assert_eq(image_answer(image_root(), &req, "", "d/hard", 6, &a), 0);
	r = gofer_record_next(&a, &pos);
	cr_expect(r != NULL && r->ino == EI_D && (a.flags & GOFER_REPLY_ABSENT) && pos == a.len);
	gofer_answer_done(&a);
	req.op = GOFER_LOOKUP;
	cr_expect_eq(image_answer(image_root(), &req, "d/hard", NULL, 0, &a), -LINUX_ENOENT);
	cr_assert_eq(image_answer(image_root(), &req, "x", NULL, 0, &a), 0);
	pos = 0;
	r = gofer_record_next(&a, &pos);
	cr_expect(r != NULL && r->ino == EI_X && (r->flags & GOFER_HAS_XATTRS));
	gofer_answer_done(&a);
	/* A directory in itself can be seen, not entered. */
	req.op = GOFER_LIST;
	cr_assert_eq(image_answer(image_root(), &req, "d", NULL, 0, &a), 0);
	gofer_answer_done(&a);
	ei_put(img, 3 * 4096 + 6 * 12, EI_ROOT, 8); /* dev */
	ei_put(img, EI_AT(EI_D) + 64 + 24, EI_D, 8); /* d/hard */
	cr_assert_eq(image_answer(image_root(), &req, "", NULL, 0, &a), 0);
	gofer_answer_done(&a);
	cr_expect_eq(image_answer(image_root(), &req, "dev", NULL, 0, &a), -LINUX_ELOOP);
	cr_expect_eq(image_answer(image_root(), &req, "d/hard", NULL, 0, &a), -LINUX_ELOOP);
	cr_expect_eq(image_answer(image_root(), &req, "dev/d", NULL, 0, &a), -LINUX_ELOOP);
	req.op = GOFER_WALK;
	pos = 0;
	cr_assert_eq(image_answer(image_root(), &req, "d", "hard/hard/hard", 14, &a), 0);
	cr_expect(gofer_record_next(&a, &pos) != NULL && pos == a.len);
	gofer_answer_done(&a);
	req.op = GOFER_OPEN;
	cr_expect_eq(image_answer(image_root(), &req, "x", NULL, 0, &a), -LINUX_EROFS);
}

/* A further container's: apart from the sandbox's own, and gone with its container while a reader still has a pointer into it. */
Test(erofs, images_of_containers)
{
	struct gofer_request req = {.op = GOFER_LOOKUP};
	int fd = memfd_create("image", MFD_CLOEXEC), bad = memfd_create("bad", MFD_CLOEXEC);
	struct gofer_answer a = {.fd = -1};
	struct lower_image *im;
	const uint8_t *data;
	uint64_t len = 16;
	const char *why;

	ei_make(img);
	cr_assert_null(image_open(img, EI_SIZE, -1));
	cr_assert(fd >= 0 && write(fd, img, EI_SIZE) == EI_SIZE);
	im = image_new(fd, &why);
	cr_assert(im != NULL && im != image_root(), "%s", why);
	cr_assert_eq(image_hide(im, "/x"), 0);
	cr_expect_eq(image_answer(im, &req, "x", NULL, 0, &a), -LINUX_ENOENT);
	cr_assert_eq(image_answer(image_root(), &req, "x", NULL, 0, &a), 0);
	gofer_answer_done(&a);
	cr_assert(image_run(im, EI_A, 0, &data, &len) == 0 && data != NULL);
	image_stop(im);
	image_stop(im);
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
	cr_expect_eq(*(const volatile uint8_t *)data, 0, "covered, not unmapped");
	cr_expect_eq(image_answer(im, &req, "x", NULL, 0, &a), -LINUX_EIO);
	cr_expect_eq(image_run(im, EI_A, 0, &data, &len), -LINUX_EIO);
	cr_assert_eq(image_answer(image_root(), &req, "x", NULL, 0, &a), 0);
	gofer_answer_done(&a);
	cr_assert(write(bad, "nothing", 7) == 7);
	cr_expect(image_new(bad, &why) == NULL && why != NULL);
	cr_expect_eq(fcntl(bad, F_GETFD), -1);
}
