/* SPDX-License-Identifier: Apache-2.0 */
/* The gofer's server; see gofer.c. */
#ifndef RUNTIME_CORE_GOFER_H
#define RUNTIME_CORE_GOFER_H

#include "runtime/core/idmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A path below a root that is answered as if it did not exist. */
struct gofer_hidden {
	const char *path;  /* as in requests: no leading slash */
	size_t len;
	uint64_t dev, ino; /* what it was at start, wherever else it may be found; ino 0: nothing */
};

struct gofer_root {
	int fd;            /* O_PATH: a directory, or a regular file; -1: no such root */
	bool is_file;
	bool writable;
	uint32_t self;     /* who owns what we make: our own user, asked before sealing */
	struct idmaps ids; /* of the host's files and those that the sentry speaks of; none: they are the same */
	int file_fd;       /* is_file: open for reading, and for writing if writable; -1: it couldn't be */
	uint64_t fs_type;  /* of the root itself: statfs */
	struct gofer_hidden *hidden;
	unsigned nhidden;
};

/* Looks at the root's descriptor and fills in the rest; for files, opens them (through /proc/self/fd, so before sealing). */
void gofer_root_init(struct gofer_root *root, int fd, bool writable);
/* Hides an absolute path of root's tree, symbolic links in it followed now. 0, or -errno if memory is out. */
int gofer_root_hide(struct gofer_root *root, const char *path);

/* Makes the memory that contents are shared in, before sealing. Without it they go by messages. */
void gofer_share_init(void);

/* Serves requests until the sentry's end of sock is closed (0) or breaks the protocol (-errno). */
int gofer_serve(int sock, struct gofer_root *roots, unsigned nroots);

#endif
