/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mailboxes: the memory that a stub's thread shares with us. Each is a memfd of its own, sealed, mapped here and in one process.
 *
 * To make, fault in, unmap and free one is a tenth of what a fork costs, so a few are kept for the next process:
 *
 *	thread_free --> mailbox_drop: its process has been reaped, and never cloned  --> wiped, in stock
 *	                              else                                          --> unmapped, closed
 *	thread_new  --> mailbox_make: from the stock, or new
 *
 * Nobody else may be able to read or write what the next process has in it. Who could: threads, children and processes that share
 * the memory of the one that had it (it can leave out MADV_DONTFORK, and while the descriptor is in its table it can make itself a
 * private view: see docs/threat-model.md), or who got the descriptor's copy with the table. All of these are clones, and a clone is
 * made only when it is commanded (host_proc.cloned). So a process that has never cloned and has been reaped has left no mapping and
 * no descriptor behind, if it had memory of its own. Who can read a fork's token (it lies in its maker's mailbox) could give it to a
 * process that shares memory with another and hasn't said its own token yet. So from the first such process on, which are rare
 * (PLATFORM_CLONE_VM), only mailboxes of processes that the zygote makes are kept: no guest ever sees their tokens.
 *
 * All pages that hold data are wiped here; if there are many, the mailbox is let go instead.
 *
 * By ptrace descriptors go through a socket, so nothing is kept there.
 */
#include "sentry/host/host.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/stubs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STOCK_MAX 4U
#define WIPE_MAX (64 * 1024)  /* bytes */
#define EXTENTS_MAX 4U

static struct {
	struct mailbox *mailbox;
	int fd;
} stock[STOCK_MAX];
static unsigned nstock;

static bool vm_children; /* there have been processes that share others' memory */

void mailbox_vm_child(void)
{
	vm_children = true;
}

static int make(struct mailbox **mailbox)
{
	int fd = host_memfd_create("mailbox", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return fd;
	/* Nobody can take its pages from under us. */
	if (host_ftruncate(fd, MAILBOX_SIZE) == 0 &&
	    host_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) >= 0) {
		*mailbox = host_mmap(MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, &err);
		if (*mailbox != NULL)
			return fd;
	}
	host_close(fd);
	return -1;
}

int mailbox_make(struct mailbox **mailbox)
{
	if (nstock == 0)
		return make(mailbox);
	nstock--;
	*mailbox = stock[nstock].mailbox;
	return stock[nstock].fd;
}

/* All data is zeroed. False: there is too much of it. */
static bool wipe(struct mailbox *mailbox, int fd)
{
	int64_t at = 0, end;
	size_t sum = 0;

	for (unsigned i = 0; i < EXTENTS_MAX; i++) {
		at = host_lseek(fd, at, SEEK_DATA);
		if (at == -ENXIO)
			return true; /* no more */
		if (at < 0)
			return false;
		end = host_lseek(fd, at, SEEK_HOLE);
		if (end <= at || end > (int64_t)MAILBOX_SIZE)
			return false;
		sum += (size_t)(end - at);
		if (sum > WIPE_MAX)
			return false;
		memset((char *)mailbox + at, 0, (size_t)(end - at));
		at = end;
		if (at == (int64_t)MAILBOX_SIZE)
			return true;
	}
	return false;
}

/* Nobody but us has it, or can get it. */
static bool ours_alone(const struct platform_thread *pt)
{
	const struct host_proc *proc = pt->proc;

	return platform == &notify_platform && proc != NULL && pt->makes_process && (pt->spawned || !vm_children) && !pt->area_mapped && pt->tid != 0 && pt->gone &&
	       proc->pid == 0 && !proc->several && !proc->cloned;
}

void mailbox_drop(struct platform_thread *pt)
{
	if (nstock < STOCK_MAX && ours_alone(pt) && wipe(pt->mailbox, pt->mailbox_fd)) {
		stock[nstock].mailbox = pt->mailbox;
		stock[nstock++].fd = pt->mailbox_fd;
		return;
	}
	host_munmap(pt->mailbox, MAILBOX_SIZE);
	host_close(pt->mailbox_fd);
}

uint64_t mailbox_stock_bytes(uint64_t (*bytes_in)(int fd))
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < nstock; i++)
		sum += bytes_in(stock[i].fd);
	return sum;
}
