/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small EROFS image with everything in it that is read, made without mkfs.erofs: for the unit tests and the fuzz target.
 *
 *	block 0  superblock, shared attribute          /          nid 36
 *	block 1  inodes (nid = byte offset / 32)       /a         plain, 5000 bytes of 'a'
 *	block 2  more inodes                           /b         inline, "hello"; also /d/hard
 *	block 3  the root's entries                    /c         chunks: 'c', a hole, 'd'
 *	block 4,5  of /a   6, 7 chunks of /c           /d         a directory, inline; /d/hard
 *	                                               /dev, /fifo, /link -> d/hard, /x (a user.t attribute)
 */
#ifndef TESTS_LIB_EROFS_IMAGE_H
#define TESTS_LIB_EROFS_IMAGE_H

#include <stdint.h>
#include <string.h>

#define EI_SIZE (8 * 4096U)
#define EI_SUPER 1024U
#define EI_ROOT 36U
#define EI_AT(nid) ((nid) * 32U)
#define EI_A 128U
#define EI_B 132U
#define EI_C 140U
#define EI_D 150U
#define EI_DEV 160U
#define EI_FIFO 162U
#define EI_LINK 164U
#define EI_X 170U

static inline void ei_put(uint8_t *img, uint32_t off, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		img[off + i] = (uint8_t)(value >> (8 * i));
}

/* An extended inode: 64 bytes. xattr_bytes: 0 or 12 + entries. */
static inline void ei_inode(uint8_t *img, uint32_t nid, unsigned layout, uint32_t mode, uint64_t size, uint32_t where,
			    uint32_t nlink, uint32_t xattr_bytes)
{
	uint32_t at = EI_AT(nid);

	ei_put(img, at, 1 | layout << 1, 2);
	ei_put(img, at + 2, xattr_bytes != 0 ? (xattr_bytes - 12) / 4 + 1 : 0, 2);
	ei_put(img, at + 4, mode, 2);
	ei_put(img, at + 8, size, 8);
	ei_put(img, at + 16, where, 4);
	ei_put(img, at + 24, 1000, 4);
	ei_put(img, at + 28, 100, 4);
	ei_put(img, at + 32, 1600000000, 8);
	ei_put(img, at + 40, 7, 4);
	ei_put(img, at + 44, nlink, 4);
}

struct ei_name {
	const char *name;
	uint32_t nid;
};

/* A block of entries at off; the bytes it takes up. */
static inline uint32_t ei_entries(uint8_t *img, uint32_t off, const struct ei_name *names, unsigned n)
{
	uint32_t at = n * 12;

	for (unsigned i = 0; i < n; i++) {
		ei_put(img, off + i * 12, names[i].nid, 8);
		ei_put(img, off + i * 12 + 8, at, 2);
		memcpy(img + off + at, names[i].name, strlen(names[i].name));
		at += (uint32_t)strlen(names[i].name);
	}
	return at;
}

static inline void ei_make(uint8_t *img)
{
	static const struct ei_name root[] = {{".", EI_ROOT},  {"..", EI_ROOT},   {"a", EI_A},	     {"b", EI_B}, {"c", EI_C}, {"d", EI_D},
					      {"dev", EI_DEV}, {"fifo", EI_FIFO}, {"link", EI_LINK}, {"x", EI_X}};
	static const struct ei_name d[] = {{".", EI_D}, {"..", EI_ROOT}, {"hard", EI_B}};
	uint32_t at;

	memset(img, 0, EI_SIZE);
	ei_put(img, EI_SUPER, 0xe0f5e1e2U, 4);
	img[EI_SUPER + 12] = 12;
	ei_put(img, EI_SUPER + 14, EI_ROOT, 2);
	ei_put(img, EI_SUPER + 16, 9, 8);
	ei_put(img, EI_SUPER + 36, EI_SIZE / 4096, 4);
	ei_put(img, EI_SUPER + 80, 4, 4); /* chunks */
	/* a shared attribute, user.s = "S", at 2048: its number counts 4 bytes from xattr_block 0 */
	img[2048] = 1;
	img[2049] = 1;
	ei_put(img, 2050, 1, 2);
	memcpy(img + 2052, "sS", 2);

	at = ei_entries(img, 3 * 4096, root, sizeof(root) / sizeof(root[0]));
	ei_inode(img, EI_ROOT, 0, 040755, at, 3, 3, 0);
	ei_inode(img, EI_A, 0, 0100644, 5000, 4, 1, 0);
	memset(img + 4 * 4096, 'a', 5000);
	ei_inode(img, EI_B, 2, 0100600, 5, 0xffffffff, 2, 0);
	memcpy(img + EI_AT(EI_B) + 64, "hello", 5);
	ei_inode(img, EI_C, 4, 0100644, 3 * 4096 - 1, 32 /* indexes, chunks of a block */, 1, 0);
	ei_put(img, EI_AT(EI_C) + 64 + 4, 6, 4);
	ei_put(img, EI_AT(EI_C) + 64 + 12, 0xffffffff, 4);
	ei_put(img, EI_AT(EI_C) + 64 + 20, 7, 4);
	memset(img + 6 * 4096, 'c', 4096);
	memset(img + 7 * 4096, 'd', 4096);
	at = ei_entries(img, EI_AT(EI_D) + 64, d, 3);
	ei_inode(img, EI_D, 2, 040700, at, 0, 2, 0);
	ei_inode(img, EI_DEV, 0, 020600, 0, 0x0103, 1, 0);
	ei_inode(img, EI_FIFO, 0, 010644, 0, 0, 1, 0);
	ei_inode(img, EI_LINK, 2, 0120777, 6, 0, 1, 0);
	memcpy(img + EI_AT(EI_LINK) + 64, "d/hard", 6);
	/* one shared attribute, one inline: user.t = "TT" */
	ei_inode(img, EI_X, 2, 0100644, 1, 0, 1, 12 + 4 + 8);
	at = EI_AT(EI_X) + 64;
	img[at + 4] = 1;
	ei_put(img, at + 12, 2048 / 4, 4);
	img[at + 16] = 1;
	img[at + 17] = 1;
	ei_put(img, at + 18, 2, 2);
	memcpy(img + at + 20, "tTT", 3);
	img[at + 24] = 'X';
}

#endif
