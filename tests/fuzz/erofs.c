/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile root image: all of it is listed, looked up and read, as memfs would ask for it. The input is a sound image with
 * bytes of it changed, or (first byte odd) an image as it is, but for the superblock's first fields. The image lies in a
 * block of just its size, so that the sanitizer sees every byte that is read beside it.
 *
 * Checked: what is answered passes the checks for the gofer's answers to its last byte; what is handed out as contents lies in
 * the image; the work is bounded by what the image holds.
 */
#include "tests/fuzz/fuzz.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "runtime/erofs.h"
#include "sentry/fs/image.h"
#include "tests/lib/erofs_image.h"

#define ASKED_MAX 64U
#define DEPTH_MAX 4U

static uint8_t *img;
static uint64_t img_size;
static unsigned asked;

static int ask(enum gofer_op op, const char *path, const char *arg, struct gofer_answer *a)
{
	struct gofer_request req = {.op = (uint16_t)op};

	*a = (struct gofer_answer){.fd = -1};
	return image_answer(image_root(), &req, path, arg, arg != NULL ? strlen(arg) : 0, a);
}

static void read_file(uint64_t ino, uint64_t size)
{
	static volatile uint8_t sum;
	const uint64_t at[] = {0, 1, 4095, 4096, size / 2, size - 1};

	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		uint64_t len = 65536;
		const uint8_t *data;

		if (at[i] >= size || image_run(image_root(), ino, at[i], &data, &len) != 0)
			continue;
		FUZZ_CHECK(len != 0 && len <= size - at[i]);
		if (data == NULL)
			continue;
		FUZZ_CHECK(data >= img && data < img + img_size && len <= (uint64_t)(img + img_size - data));
		sum = (uint8_t)(sum + data[0] + data[len - 1]);
	}
}

static void pages_of(uint64_t ino, uint64_t size)
{
	struct erofs_image e;
	struct erofs_inode i;
	uint64_t off;

	if (erofs_open(&e, img, img_size) != NULL || erofs_inode(&e, ino, &i) != 0)
		return;
	for (uint64_t pos = 0; pos < 3 * PAGE_SIZE; pos += PAGE_SIZE)
		for (uint64_t len = 1; len != 0 && len <= size; len *= 8)
			if (erofs_in_pages(&e, &i, pos, len, &off))
				FUZZ_CHECK(off % PAGE_SIZE == 0 && pos + len <= PAGE_ALIGN(size) && off <= img_size &&
					   PAGE_ALIGN(len) <= img_size - off);
}

static void attributes(const char *path)
{
	struct gofer_answer a;
	struct gofer_xattr x;

	if (ask(GOFER_XATTRS, path, NULL, &a) != 0)
		return;
	for (size_t pos = 0; pos < a.len; pos += GOFER_XATTR_SIZE(x.name_len, x.value_len)) {
		FUZZ_CHECK(a.len - pos >= sizeof(x));
		memcpy(&x, a.data + pos, sizeof(x));
		FUZZ_CHECK(x.name_len != 0 && x.name_len <= LINUX_XATTR_NAME_MAX &&
			   GOFER_XATTR_SIZE(x.name_len, x.value_len) <= a.len - pos);
	}
	gofer_answer_done(&a);
}

static void go_through(const char *path, unsigned depth)
{
	struct gofer_answer a, b;
	const struct gofer_record *r;
	char below[2048];
	size_t pos = 0;

	if (asked++ >= ASKED_MAX || ask(GOFER_LIST, path, NULL, &a) != 0)
		return;
	while ((r = gofer_record_next(&a, &pos)) != NULL) {
		char name[256];

		FUZZ_CHECK(r->name_len != 0);
		memcpy(name, gofer_record_name(r), r->name_len);
		name[r->name_len] = '\0';
		snprintf(below, sizeof(below), "%s%s%s", path, *path != '\0' ? "/" : "", name);
		if (ask(GOFER_WALK, path, name, &b) == 0)
			gofer_answer_done(&b);
		if (r->flags & GOFER_HAS_XATTRS)
			attributes(below);
		if ((r->mode & LINUX_S_IFMT) == LINUX_S_IFREG) {
			read_file(r->ino, r->size);
			pages_of(r->ino, r->size);
		}
		if ((r->mode & LINUX_S_IFMT) == LINUX_S_IFDIR && depth < DEPTH_MAX)
			go_through(below, depth + 1);
	}
	FUZZ_CHECK(pos == a.len);
	gofer_answer_done(&a);
}

static void run(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {"/etc/passwd", "/link", "d/../link/x", "/d/hard", "//c/"};
	struct fuzz_input in = {data, data + size};
	struct gofer_answer a;

	if (fuzz_u8(&in) & 1) {
		img_size = (uint64_t)(in.end - in.at);
		img = malloc(img_size + !img_size);
		fuzz_bytes(&in, img, img_size);
		if (img_size >= EI_SUPER + 16) {
			ei_put(img, EI_SUPER, 0xe0f5e1e2U, 4);
			img[EI_SUPER + 12] = 9 + (img[EI_SUPER + 12] & 3);
		}
	} else {
		img_size = EI_SIZE - (fuzz_u16(&in) & 0x8fff) % EI_SIZE;
		img = malloc(EI_SIZE);
		ei_make(img);
		img = realloc(img, img_size);
		while (fuzz_more(&in)) {
			/* mostly where structures are */
			uint32_t at = fuzz_u16(&in), len = 1 + (fuzz_u8(&in) & 15);
			uint8_t bytes[16];

			at %= (at & 0x8000) ? EI_SIZE : 4 * 4096;
			fuzz_bytes(&in, bytes, len);
			if (at + len <= img_size)
				memcpy(img + at, bytes, len);
		}
		if (img_size >= EI_SUPER + 128) {
			/* as few blocks as it may say: otherwise most would end here */
			ei_put(img, EI_SUPER, 0xe0f5e1e2U, 4);
			ei_put(img, EI_SUPER + 36, MIN(img_size / 4096, (uint64_t)img[EI_SUPER + 36]), 4);
		}
	}
	asked = 0;
	if (image_open(img, img_size, -1) == NULL) {
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			struct erofs_image e;
			uint64_t nid;

			if (erofs_open(&e, img, img_size) == NULL)
				(void)!erofs_resolve(&e, paths[i], i & 1, &nid);
		}
		go_through("", 0);
		if (ask(GOFER_STATFS, "", NULL, &a) == 0)
			gofer_answer_done(&a);
		(void)!image_hide(image_root(), "/link");
		go_through("", 0);
	}
	free(img);
	img = NULL;
}

const struct fuzz_target fuzz_erofs = {.name = "erofs", .run = run};
