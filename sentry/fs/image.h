/* SPDX-License-Identifier: Apache-2.0 */
/* The sandbox's root as an image file in our own memory: see image.c. */
#ifndef SENTRY_FS_IMAGE_H
#define SENTRY_FS_IMAGE_H

#include "sentry/fs/lower.h"

struct lower_image;
struct map_backing;

/* Before sealing: takes the descriptor and maps the file whole. NULL, or a sentence that says what is wrong with it. */
const char *image_mount(int fd) must_check;
/* The same for an image that is in memory already. The descriptor, or -1, is what guests' mappings are made of. */
const char *image_open(const void *base, uint64_t size, int fd) must_check;
/* What was mounted, or NULL. */
struct lower_image *image_root(void);
/* From now on what lies at path (symbolic links followed, and the last one also not) doesn't exist. 0, or -LINUX_ENOMEM. */
int image_hide(struct lower_image *image, const char *path) must_check;

/* Answers a request as the gofer would; see gofer_call. */
int image_answer(struct lower_image *image, const struct gofer_request *req, const char *path, const char *arg,
		 size_t arg_len, struct gofer_answer *out) must_check;
/* A run of the contents of file ino (a record's) at pos: at most *len of them, borrowed for ever; NULL: zeros. */
int image_run(struct lower_image *image, uint64_t ino, uint64_t pos, const uint8_t **data, uint64_t *len) must_check;
/* May [pos, pos + len) of the file be mapped from the image itself? Then out says how. */
bool image_pages(struct lower_image *image, uint64_t ino, uint64_t pos, uint64_t len, struct map_backing *out);

#endif
