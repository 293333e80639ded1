// SPDX-License-Identifier: Apache-2.0
/*
 * Memory shared between processes without a file: a memfd each, so that copies over fork, holes and SIGBUS behind its
 * end are the host kernel's work, and no page of one is ever seen through another.
 *
 * What such memory holds is written by guests natively, so it can't be charged when it is used: mm_shared_bytes() asks
 * the host what is there, for whoever watches the sandbox's memory limit.
 *
 * The guest controls: the number (each costs the sentry a host descriptor; the host's limit gives ENFILE) and the size.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/shared_watch.h"
#include "sentry/mm/vma.h"

#include <stdio.h>
#include <sys/mman.h>

static struct list all_shared = LIST_INIT(all_shared);
static uint64_t next_id = 1;

int shared_mem_new(uint64_t size, const char *name, struct shared_mem **out)
{
	struct shared_mem *s = kzalloc(sizeof(*s));
	int err;

	*out = NULL;
	if (s == NULL)
		return -LINUX_ENOMEM;
	s->host_fd = host_memfd_create("shared", MFD_CLOEXEC);
	if (s->host_fd < 0) {
		err = s->host_fd == -LINUX_EMFILE || s->host_fd == -LINUX_ENFILE ? -LINUX_ENFILE : -LINUX_ENOMEM;
		goto free;
	}
	if (size > INT64_MAX || host_ftruncate(s->host_fd, (int64_t)size) < 0) {
		err = -LINUX_ENOMEM;
		goto close;
	}
	ref_init(&s->ref);
	s->size = size;
	/* Odd: never the address of an inode, which is the other kind of futex key. */
	s->id = next_id;
	next_id += 2;
	snprintf(s->name, sizeof(s->name), "%s", name);
	list_init(&s->link);
	list_add_tail(&all_shared, &s->link);
	shared_watch_soon();
	*out = s;
	return 0;

close:
	host_close(s->host_fd);
free:
	kfree(s);
	return err;
}

void shared_mem_put(struct shared_mem *s)
{
	if (!ref_put(&s->ref))
		return;
	list_del(&s->link);
	(void)host_ftruncate(s->host_fd, 0); /* as in mem_data_free: whatever a guest has kept of it */
	host_close(s->host_fd);
	kfree(s);
}

bool mm_any_shared(void)
{
	return !list_empty(&all_shared);
}

uint64_t mm_shared_bytes(void)
{
	struct shared_mem *s;
	uint64_t sum = 0;

	list_for_each(s, &all_shared, link)
	{
		int64_t size, blocks;

		if (host_fstat_blocks(s->host_fd, &size, &blocks) == 0)
			sum += (uint64_t)blocks * 512;
	}
	return sum;
}
