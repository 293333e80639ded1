/* SPDX-License-Identifier: Apache-2.0 */
/* io_submit(2) and relatives; see vfs/aio.c. */
#ifndef SENTRY_VFS_AIO_H
#define SENTRY_VFS_AIO_H

#include "sentry/base/types.h"

struct task;

struct linux_iocb {
	uint64_t data;
	uint32_t key, rw_flags;
	uint16_t opcode;
	int16_t reqprio;
	uint32_t fd;
	uint64_t buf, nbytes;
	int64_t offset;
	uint64_t reserved2;
	uint32_t flags, resfd;
};
_Static_assert(sizeof(struct linux_iocb) == 64, "struct iocb");

struct linux_io_event {
	uint64_t data, obj;
	int64_t res, res2;
};

/* Makes a context and maps its ring; the id is the ring's address. Full event. */
int aio_setup(struct task *task, uint32_t nr, uint64_t *id) must_check;
int aio_destroy(struct task *task, uint64_t id) must_check;
/* Does what one control block (at `obj` in the guest) says, and queues its completion. */
int aio_submit_one(struct task *task, uint64_t id, gva_t obj) must_check;
/* -LINUX_EINVAL if there is no such context. */
int aio_check(struct task *task, uint64_t id) must_check;
/* Takes at least min and at most max completions, sleeping until the deadline. Their number or -errno. */
int64_t aio_collect(struct task *task, uint64_t id, int64_t min, int64_t max, gva_t events, uint64_t deadline);

#endif
