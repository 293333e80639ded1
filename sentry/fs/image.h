/* SPDX-License-Identifier: Apache-2.0 */
/* Root filesystems as image files in our own memory, the sandbox's and those of a pod's containers: see image.c. */
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
/* One of a further container's, at any time: takes the descriptor. NULL, and *why says what is wrong. */
struct lower_image *image_new(int fd, const char **why) must_check;
/* Its container has ended: the file is let go, and every question gives -LINUX_EIO from now on. What is left is never freed. */
void image_stop(struct lower_image *image);
/* From now on what lies at path (symbolic links followed, and the last one also not) doesn't exist. 0, or -LINUX_ENOMEM. */
int image_hide(struct lower_image *image, const char *path) must_check;

/* Answers a request as the gofer would; see gofer_call. */
int image_answer(struct lower_image *image, const struct gofer_request *req, const char *path, const char *arg,
		 size_t arg_len, struct gofer_answer *out) must_check;
/* A run of the contents of file ino (a record's) at pos: at most *len of them, borrowed for ever; NULL: zeros. */
int image_run(struct lower_image *image, uint64_t ino, uint64_t pos, const uint8_t **data, uint64_t *len) must_check;
/* May the running task map [pos, pos + len) of the file from the image itself? Then out says how. */
bool image_pages(struct lower_image *image, uint64_t ino, uint64_t pos, uint64_t len, struct map_backing *out);

#endif
