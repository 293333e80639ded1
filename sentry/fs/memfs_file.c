/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of memfs files.
 *
 * A file is in one of two states, and moves from the first to the second at its first mapping:
 *
 *	chunks   64 KiB pieces of private memory, found by a radix tree (memfs_tree.c), each growing by powers of two and with a
 *	         bit for each page that is there. A page that isn't is a hole, or, below lower_len, the lower file's.
 *	memfd    a memfd of its own, so that sharing, truncation and SIGBUS are the host kernel's work. Reads and writes
 *	         go to it by pread and pwrite. When nobody has the file open and descriptors are short, it moves back.
 *
 * Bytes of a present page behind the end of the file are zero: truncation clears them, writes extend over them. A clean
 * lower file has no pages, only lower_len; a write fills the pages it touches partly from below, so copying up is by
 * page. Pages are charged to the mount (size=) and to the sandbox's disk limit; their memory is the allocator's business.
 *
 * No function sleeps between looking at the tree and using what it found: the lower file is opened first, pieces end
 * where the op yields. The guest controls offsets, lengths and their order; the tree's height is bounded by the file
 * offset's 63 bits, the memory by the allocator.
 *
 * Left out: collapse and insert range (EOPNOTSUPP, as tmpfs), huge pages. A mapping of a lower file that nobody has open
 * for writing shows the lower file even if it is written later (Linux would show the new bytes).
 */
#include "sentry/fs/memfs_internal.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/image.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/shared_watch.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/platform.h"
#include "sentry/trace/trace.h"

#include <string.h>

#define PIECE (2 * MiB) /* a longer transfer lets others run in between, and looks at the limit on memory */

#define HOST_MFD_CLOEXEC 1U
#define HOST_MFD_ALLOW_SEALING 2U
#define HOST_MFD_EXEC 0x10U

/* Bytes on their way between host descriptors and guests. Used only between two points that don't sleep. */
static uint8_t bounce[CHUNK_SIZE];

#define SAMPLE_MIN_NS (20 * NSEC_PER_MSEC)
#define SAMPLE_MAX_NS (2 * NSEC_PER_SEC)
#define SAMPLE_CLOSED_NS (60 * NSEC_PER_SEC) /* while only files that nobody has open have holes */

static struct ktimer sampler;
static uint64_t sample_ns;
static bool only_closed; /* since sample_soon() it was found so: looks may be far apart */

static struct list memfds = LIST_INIT(memfds); /* mem_data.memfd_link, least recently used first */
static unsigned nmemfds;
static unsigned fd_budget = 800; /* half for memfds, half for lower files */

/* ---- what lies below ---- */

/* What d's file lies in, if that is an image. */
static struct lower_image *image_below(struct mem_data *d)
{
	struct lower_tree *tree = mem_sb(container_of(d, struct mem_node, data)->inode)->lower;

	return tree != NULL ? tree->image : NULL;
}

/* Bytes of the lower file at pos that are in memory anyway, at most *len, or NULL. */
static const uint8_t *kept_below(struct mem_data *d, uint64_t pos, uint64_t *len)
{
	struct lower_image *image = image_below(d);
	const uint8_t *data;
	uint32_t size;

	if (image != NULL)
		return image_run(image, container_of(d, struct mem_node, data)->lower_ino, pos, &data, len) == 0 ? data : NULL;
	data = mem_content(container_of(d, struct mem_node, data), &size);
	if (data == NULL || pos >= size)
		return NULL;
	*len = MIN(*len, size - pos);
	return data + pos;
}

static int read_image(struct mem_data *d, struct lower_image *image, uint8_t *dst, uint64_t pos, size_t want, size_t len)
{
	size_t got = 0;

	while (got < want) {
		uint64_t run = want - got;
		const uint8_t *data;
		int err = image_run(image, container_of(d, struct mem_node, data)->lower_ino, pos + got, &data, &run);

		if (err != 0)
			return err;
		if (data != NULL)
			memcpy(dst + got, data, run);
		else
			memset(dst + got, 0, run);
		got += run;
	}
	memset(dst + got, 0, len - got);
	return 0;
}

/* Fills dst with the lower file's bytes at pos; zeros behind its end (or behind lower_len). open_below was called. */
int mem_read_below(struct mem_data *d, uint8_t *dst, uint64_t pos, size_t len)
{
	size_t want = pos < d->lower_len ? (size_t)MIN((uint64_t)len, d->lower_len - pos) : 0, got = 0;
	uint64_t kept = want;
	struct lower_image *image = want != 0 ? image_below(d) : NULL;
	const uint8_t *data;

	if (image != NULL)
		return read_image(d, image, dst, pos, want, len);
	data = want != 0 ? kept_below(d, pos, &kept) : NULL;
	if (data != NULL) {
		memcpy(dst, data, kept);
		got = kept;
	}
	while (got < want && d->lower_fd >= 0) {
		int64_t n = host_pread(d->lower_fd, dst + got, want - got, (int64_t)(pos + got));

		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	memset(dst + got, 0, len - got);
	return 0;
}

static int open_below(struct task *task, struct mem_node *n)
{
	return n->data.lower_len != 0 ? mem_lower_ready(task, n) : 0;
}

/* ---- chunks: reading and writing ---- */

/* A run of bytes at pos that are all present, or all not. */
struct run {
	bool present;
	const uint8_t *data; /* NULL: zeros (or the lower file's, if not present) */
	uint64_t len;
};

static struct run run_at(struct mem_data *d, uint64_t pos, uint64_t len)
{
	uint32_t off = pos & (CHUNK_SIZE - 1), page = off >> MEM_PAGE_SHIFT, end;
	struct chunk *c = mem_chunk_find(d, pos >> CHUNK_SHIFT);
	struct run r = {0};
	uint16_t bits;

	if (c == NULL || c->present == 0) {
		r.len = MIN(len, CHUNK_SIZE - off);
		return r;
	}
	r.present = (c->present >> page) & 1;
	bits = (uint16_t)((r.present ? ~c->present : c->present) >> page);
	end = bits == 0 ? CHUNK_SIZE : (page + (uint32_t)__builtin_ctz(bits)) << MEM_PAGE_SHIFT;
	r.len = MIN(len, (uint64_t)(end - off));
	if (r.present) {
		if (off < c->cap) {
			r.data = c->data + off;
			r.len = MIN(r.len, (uint64_t)(c->cap - off));
		}
	}
	return r;
}

/* Moves up to len bytes from pos into buf. Bytes, or an error if none could be moved. */
static int64_t chunks_read(struct mem_data *d, struct iobuf *buf, uint64_t pos, uint64_t len)
{
	uint64_t done = 0;

	while (done < len) {
		struct run r = run_at(d, pos + done, len - done);
		size_t moved;

		if (r.data != NULL) {
			struct platform_bytes runs[MEM_GATHERED];
			unsigned n = 0;
			uint64_t all = 0;

			/* Those that follow go along. */
			do {
				runs[n++] = (struct platform_bytes){(void *)(uintptr_t)r.data, r.len};
				all += r.len;
				if (n == MEM_GATHERED || done + all == len)
					break;
				r = run_at(d, pos + done + all, len - done - all);
			} while (r.data != NULL);
			r.len = all;
			moved = iobuf_put_from(buf, runs, n, all);
		} else if (!r.present && pos + done < d->lower_len) {
			const uint8_t *kept;
			int err = 0;

			r.len = MIN(r.len, d->lower_len - (pos + done));
			kept = kept_below(d, pos + done, &r.len);
			if (kept == NULL)
				err = mem_read_below(d, bounce, pos + done, r.len);
			if (err != 0)
				return done != 0 ? (int64_t)done : err;
			moved = iobuf_put(buf, kept != NULL ? kept : bounce, r.len);
		} else {
			moved = iobuf_put_zeros(buf, r.len);
		}
		done += moved;
		if (moved < r.len)
			return done != 0 ? (int64_t)done : -LINUX_EFAULT;
	}
	return (int64_t)done;
}

static void grow_size(struct inode *inode, uint64_t end)
{
	if (end > inode->size)
		inode->size = end;
}

/* ---- the memfd ---- */

static int64_t memfd_blocks(const struct mem_data *d)
{
	int64_t size, blocks;

	if (host_fstat_blocks(d->memfd, &size, &blocks) < 0)
		return (int64_t)d->npages;
	return (blocks * 512 + (int64_t)PAGE_SIZE - 1) / (int64_t)PAGE_SIZE;
}

/* There may be: pages beyond the end look as if they were within. */
static bool has_holes(const struct mem_data *d)
{
	return d->kept_size || d->npages * PAGE_SIZE < container_of(d, struct mem_node, data)->inode->size;
}

/* Brings the accounts in line with the blocks that the memfd has. What guests stored can't be refused any more: it is
 * counted as far as the limits go, and the limits' owner looks at the sum. */
static void memfd_count(struct mem_node *n)
{
	struct mem_data *d = &n->data;
	uint64_t now = (uint64_t)memfd_blocks(d), bytes = now * PAGE_SIZE;
	struct mem_sb *sb = mem_sb(n->inode);

	if (now > d->npages) {
		mem_use_pages(sb, now - d->npages);
	} else {
		mem_uncharge(sb, d->npages - now);
	}
	mem_set_pages(n, now);
	if (bytes < d->memfd_bytes) {
		alloc_uncharge(d->memfd_bytes - bytes);
		d->memfd_bytes = bytes;
	} else if (bytes > d->memfd_bytes && alloc_charge(bytes - d->memfd_bytes)) {
		d->memfd_bytes = bytes;
	}
}

/* Counts, and ends the sandbox if that is more memory than it may have: what is there can't be refused any more, and belongs
 * to no process. */
static void memfd_look(struct mem_node *n)
{
	struct mem_data *d = &n->data;

	memfd_count(n);
	if (d->memfd_bytes < d->npages * PAGE_SIZE && kernel.init != NULL) {
		audit_limit("memory");
		group_exit(kernel.init, LINUX_SIGKILL);
	}
}

/*
 * While guests have files mapped whose holes they can fill (a page that is only read becomes one of the memfd too), the blocks
 * are counted every now and then: soon after they grew, less and less often while they don't. With a limit on memory
 * shared_watch.c calls for it more often. Files that nobody has open (who maps one has it open) can be filled only by a guest that
 * kept one against our word: for them alone an idle sandbox isn't woken but once a minute in the end.
 */
static void sample(struct ktimer *t)
{
	bool grew = false, any = false, open = false;
	struct mem_data *d;

	list_for_each(d, &memfds, memfd_link) {
		uint64_t before = d->npages;

		if (!d->filled)
			continue;
		any = true;
		open |= d->opens != 0;
		memfd_look(container_of(d, struct mem_node, data));
		grew |= d->npages != before;
		if (d->opens == 0)
			d->filled = has_holes(d);
	}
	only_closed |= !open;
	sample_ns = grew ? SAMPLE_MIN_NS : MIN(sample_ns * 2, open ? SAMPLE_MAX_NS : SAMPLE_CLOSED_NS);
	if (any)
		ktimer_set(t, loop_now() + sample_ns);
}

uint64_t memfs_memfd_bytes(bool *any, bool *open)
{
	struct mem_data *d;
	uint64_t pages = 0;
	bool in_use = false;

	list_for_each(d, &memfds, memfd_link) {
		if (d->filled) {
			memfd_look(container_of(d, struct mem_node, data));
			*any = true;
			in_use |= d->opens != 0;
		}
		pages += d->npages;
	}
	only_closed |= !in_use;
	*open |= in_use;
	return pages * PAGE_SIZE;
}

static void sample_soon(void)
{
	if (sampler.fn == NULL)
		ktimer_init(&sampler, sample);
	only_closed = false;
	sample_ns = SAMPLE_MIN_NS;
	ktimer_set(&sampler, loop_now() + sample_ns);
	shared_watch_soon();
}

/* Mappings of it may have come, or holes within those there are. */
void mem_memfd_mapped(struct mem_data *d, bool writer)
{
	d->shown = true;
	if (d->filled ? !only_closed : !(writer || has_holes(d)))
		return;
	d->filled = true;
	sample_soon();
}

/* The file may have got holes while it is mapped: what reads them fills them. So may what a guest has kept against our word, when
 * nobody has the file open. */
static void memfd_holes(struct mem_node *n)
{
	if (n->data.shown)
		mem_memfd_mapped(&n->data, false);
}

/* May so much be added to memfds? */
static bool memory_room(uint64_t bytes)
{
	if (!alloc_charge(bytes))
		return false;
	alloc_uncharge(bytes);
	return true;
}

void memfs_sample(void)
{
	struct mem_data *d;

	list_for_each(d, &memfds, memfd_link)
		memfd_count(container_of(d, struct mem_node, data));
}

static int64_t memfd_read(struct mem_data *d, struct iobuf *buf, uint64_t pos, uint64_t len)
{
	uint64_t done = 0;

	while (done < len) {
		int64_t n = host_pread(d->memfd, bounce, MIN(len - done, (uint64_t)sizeof(bounce)), (int64_t)(pos + done));
		size_t moved;

		if (n <= 0)
			return done != 0 || n == 0 ? (int64_t)done : n;
		moved = iobuf_put(buf, bounce, (size_t)n);
		done += moved;
		if (moved < (size_t)n)
			return done != 0 ? (int64_t)done : -LINUX_EFAULT;
	}
	return (int64_t)done;
}

/* Bytes that may be written at pos without going over a limit. What lies in the file already may be a hole, but counts
 * as paid for. */
static uint64_t memfd_room(struct mem_node *n, uint64_t pos, uint64_t len)
{
	uint64_t paid = PAGE_ALIGN(n->inode->size), start = MAX(paid, PAGE_DOWN(pos)), pages, end;

	if (pos + len <= paid)
		return len;
	pages = MIN((PAGE_ALIGN(pos + len) - start) / PAGE_SIZE, mem_room(mem_sb(n->inode)));
	if (!memory_room(pages * PAGE_SIZE))
		pages = 0;
	end = start + pages * PAGE_SIZE;
	return end > pos ? MIN(len, end - pos) : 0;
}

static int64_t memfd_write(struct mem_node *n, struct iobuf *buf, uint64_t pos, uint64_t len)
{
	uint64_t done = 0;
	int64_t err = 0;

	len = memfd_room(n, pos, len);
	if (len == 0)
		return -LINUX_ENOSPC;
	while (done < len && err == 0) {
		size_t want = (size_t)MIN(len - done, (uint64_t)sizeof(bounce));
		size_t got = iobuf_get(buf, bounce, want);
		int64_t put;

		if (got < want)
			err = -LINUX_EFAULT;
		if (got == 0)
			break;
		put = host_pwrite(n->data.memfd, bounce, got, (int64_t)(pos + done));
		if (put < 0) {
			iobuf_revert(buf, got);
			err = put;
			break;
		}
		done += (uint64_t)put;
		if ((size_t)put < got) {
			iobuf_revert(buf, got - (size_t)put);
			err = -LINUX_ENOSPC;
		}
	}
	/* Over pages that are there nothing is new. */
	if (pos + done > n->inode->size || n->data.kept_size || n->data.npages * PAGE_SIZE < n->inode->size) {
		grow_size(n->inode, pos + done);
		memfd_look(n);
		memfd_holes(n);
	}
	return done != 0 ? (int64_t)done : err;
}

static int memfd_put_all(int fd, const uint8_t *data, size_t len, uint64_t pos)
{
	while (len != 0) {
		int64_t n = host_pwrite(fd, data, len, (int64_t)pos);

		if (n <= 0)
			return n < 0 ? (int)n : -LINUX_ENOSPC;
		data += n;
		len -= (size_t)n;
		pos += (uint64_t)n;
	}
	return 0;
}

/* All that the file shows goes into fd. */
static int memfd_fill(struct mem_node *n, int fd)
{
	struct mem_data *d = &n->data;
	uint64_t size = n->inode->size, idx, pos = 0;
	int err = 0;

	while (err == 0 && pos < size) {
		struct run r;

		if (pos >= d->lower_len) {
			/* jump over holes */
			if (mem_chunk_next(d, pos >> CHUNK_SHIFT, &idx) == NULL)
				break;
			pos = MAX(pos, idx << CHUNK_SHIFT);
		}
		if (pos >= size)
			break;
		r = run_at(d, pos, size - pos);
		if (r.data != NULL) {
			err = memfd_put_all(fd, r.data, r.len, pos);
		} else if (!r.present && pos < d->lower_len) {
			r.len = MIN(r.len, d->lower_len - pos);
			err = mem_read_below(d, bounce, pos, r.len);
			if (err == 0)
				err = memfd_put_all(fd, bounce, r.len, pos);
		}
		pos += r.len;
	}
	return err;
}

static int new_memfd(const char *name)
{
	int fd = host_memfd_create(name, HOST_MFD_CLOEXEC | HOST_MFD_ALLOW_SEALING | HOST_MFD_EXEC);

	if (fd == -LINUX_EINVAL) /* kernels that don't know MFD_EXEC */
		fd = host_memfd_create(name, HOST_MFD_CLOEXEC | HOST_MFD_ALLOW_SEALING);
	return fd;
}

/* Moves an idle file's contents back from its memfd. false if memory doesn't allow it. */
bool mem_memfd_retire(struct mem_node *n)
{
	struct mem_data *d = &n->data, fresh, old = *d;
	uint64_t size = n->inode->size, charged = d->npages;
	struct mem_sb *sb = mem_sb(n->inode);
	bool holes = d->npages * PAGE_SIZE < size;
	int fd = d->memfd;

	mem_data_init(&fresh);
	fresh.opens = d->opens;
	fresh.retired = d->retired;
	list_del(&d->memfd_link);
	alloc_uncharge(d->memfd_bytes);
	mem_uncharge(sb, charged);
	*d = fresh;
	list_init(&d->memfd_link);
	list_init(&d->lower_link);
	mem_set_pages(n, 0);
	for (uint64_t pos = 0; pos < size; pos += CHUNK_SIZE) {
		size_t len = (size_t)MIN(size - pos, (uint64_t)CHUNK_SIZE);
		int64_t got = host_pread(fd, bounce, len, (int64_t)pos);
		struct iobuf buf;

		if (got <= 0)
			goto undo;
		if (holes && bounce[0] == 0 && memcmp(bounce, bounce + 1, (size_t)got - 1) == 0)
			continue; /* a hole, or as good as one; zeros that were allocated stay */
		iobuf_init_mem(&buf, bounce, (size_t)got);
		if (mem_chunks_write(n, &buf, pos, (uint64_t)got) != got)
			goto undo;
	}
	(void)host_ftruncate(fd, 0); /* whatever a guest has kept of it */
	host_close(fd);
	nmemfds--;
	return true;

undo:
	mem_tree_cut(n, 0);
	d->memfd = fd;
	list_add_tail(&memfds, &d->memfd_link);
	d->memfd_bytes = 0;
	mem_set_pages(n, 0);
	/* A guest may have kept it, and it is still there. */
	d->shown = old.shown;
	d->kept_size = old.kept_size;
	d->unwritten = old.unwritten;
	d->filled = old.filled;
	memfd_count(n);
	memfd_holes(n);
	return false;
}

/* A descriptor is wanted: the longest idle memfds and lower files give theirs. */
static void descriptors_trim(unsigned max)
{
	unsigned left = nmemfds; /* one that can't retire goes back to the end of the list */
	struct mem_data *d, *tmp;

	mem_lower_trim(MAX(max, 1U)); /* the newest may be the file this is for */
	list_for_each_safe(d, tmp, &memfds, memfd_link) {
		struct mem_node *n = container_of(d, struct mem_node, data);

		if (nmemfds <= max || left-- == 0)
			return;

		/* A file that is sealed as a memfd may have been passed on as one: it stays what it is. */
		if (d->opens == 0 && !n->is_memfd && n->inode->size <= 64 * MiB)
			(void)mem_memfd_retire(n);
	}
}

void memfs_set_fd_budget(unsigned n)
{
	fd_budget = MAX(n, 16U);
}

bool mem_memfds_free(void)
{
	return nmemfds < fd_budget / 8;
}

unsigned mem_lower_budget(void)
{
	return fd_budget / 2;
}

/* The contents are in a memfd of the file's own from now on. Sleeps to open the lower file. */
int mem_to_memfd(struct task *task, struct mem_node *n)
{
	struct mem_data *d = &n->data;
	int fd, err;

	if (d->memfd >= 0)
		return 0;
	err = open_below(task, n);
	if (err != 0 || d->memfd >= 0)
		return err;
	/* A file of an image can be large without being there: what can't be counted in the end isn't begun. */
	if (image_below(d) != NULL) {
		if (!mem_charge(mem_sb(n->inode), d->lower_len / PAGE_SIZE))
			return -LINUX_ENOSPC;
		mem_uncharge(mem_sb(n->inode), d->lower_len / PAGE_SIZE);
	}
	if (nmemfds >= fd_budget / 2)
		descriptors_trim(fd_budget / 2 - 1);
	fd = new_memfd("file");
	if (fd == -LINUX_EMFILE) {
		descriptors_trim(0);
		fd = new_memfd("file");
	}
	if (fd < 0)
		return fd == -LINUX_EMFILE ? -LINUX_ENFILE : fd;
	err = host_ftruncate(fd, (int64_t)n->inode->size);
	if (err == 0)
		err = memfd_fill(n, fd);
	if (err != 0) {
		host_close(fd);
		return err;
	}
	if (d->lower_len != 0 && !n->dirty) {
		mem_dirty(n);
		n->copied = true;
	}
	mem_tree_cut(n, 0);
	d->lower_len = 0;
	mem_lower_close(n);
	d->memfd = fd;
	list_add_tail(&memfds, &d->memfd_link);
	nmemfds++;
	memfd_count(n);
	return 0;
}

void mem_data_free(struct mem_node *n)
{
	struct mem_data *d = &n->data;

	if (d->memfd >= 0) {
		/* No mapping that we know of shows it any more. What a guest may have kept against our word (a munmap or a close that
		 * its stub was made to leave out) isn't to hold memory that nobody counts. */
		(void)host_ftruncate(d->memfd, 0);
		host_close(d->memfd);
		list_del(&d->memfd_link);
		nmemfds--;
		alloc_uncharge(d->memfd_bytes);
		mem_uncharge(mem_sb(n->inode), d->npages);
		d->memfd = -1;
	} else {
		mem_tree_cut(n, 0);
	}
}

/* ---- truncation and allocation ---- */

/* Pages [first, last) go; those of the lower file aren't there (lower_len is 0 or lies before them). */
static void drop_pages(struct mem_node *n, uint64_t first, uint64_t last)
{
	struct mem_data *d = &n->data;
	uint64_t idx = first / CHUNK_PAGES;
	struct chunk *c;

	while ((c = mem_chunk_next(d, idx, &idx)) != NULL && idx * CHUNK_PAGES < last) {
		uint64_t base = idx * CHUNK_PAGES;
		uint32_t a = first > base ? (uint32_t)(first - base) : 0;
		uint32_t b = last - base < CHUNK_PAGES ? (uint32_t)(last - base) : CHUNK_PAGES;
		uint16_t gone;

		if (a < b) {
			gone = c->present & mem_page_mask(a, b - 1);
			c->present &= ~gone;
			mem_pages_gone(n, (uint64_t)__builtin_popcount(gone));
			if (c->present == 0)
				mem_chunk_free(c);
		}
		idx++;
	}
}

/* Bytes [from, to), within one page, become zeros if the page is present. */
static void zero_part(struct mem_data *d, uint64_t from, uint64_t to)
{
	uint32_t off = from & (CHUNK_SIZE - 1), end = off + (uint32_t)(to - from);
	struct chunk *c = mem_chunk_find(d, from >> CHUNK_SHIFT);

	if (c == NULL || !((c->present >> (off >> MEM_PAGE_SHIFT)) & 1))
		return;
	end = MIN(end, c->cap);
	if (off < end)
		memset(c->data + off, 0, end - off);
}

/* The page that holds pos is in memory (copied up), so that a part of it can change. */
static int page_up(struct mem_node *n, uint64_t pos)
{
	struct run r = run_at(&n->data, pos, 1);
	struct iobuf buf;
	uint8_t byte;
	int err;

	if (r.present || pos >= n->data.lower_len)
		return 0;
	err = mem_read_below(&n->data, &byte, pos, 1);
	if (err != 0)
		return err;
	iobuf_init_mem(&buf, &byte, 1);
	err = (int)mem_chunks_write(n, &buf, pos, 1);
	return err < 0 ? err : 0;
}

int mem_truncate(struct task *task, struct inode *inode, uint64_t size)
{
	struct mem_node *n = mem_node(inode);
	struct mem_data *d = &n->data;
	int err;

	if (size > (uint64_t)INT64_MAX)
		return -LINUX_EINVAL;
	if (size < d->lower_len && (size & (PAGE_SIZE - 1)) != 0) {
		err = open_below(task, n);
		if (err != 0)
			return err;
	}
	if ((size < inode->size && (inode->seals & LINUX_F_SEAL_SHRINK)) ||
	    (size > inode->size && (inode->seals & LINUX_F_SEAL_GROW)))
		return -LINUX_EPERM;
	if (d->memfd >= 0) {
		if (size < inode->size)
			mem_windows_end(d);
		err = host_ftruncate(d->memfd, (int64_t)size);
		if (err != 0)
			return err;
		inode->size = size;
		memfd_count(n);
		memfd_holes(n);
		return 0;
	}
	if (size < inode->size) {
		if (size < d->lower_len) {
			/* the rest of the last page must be ours, or growing again would show the lower file's bytes */
			if ((size & (PAGE_SIZE - 1)) != 0) {
				err = page_up(n, size);
				if (err != 0)
					return err;
			}
			d->lower_len = size;
		}
		drop_pages(n, PAGE_ALIGN(size) / PAGE_SIZE, UINT64_MAX / PAGE_SIZE);
		mem_tree_cut(n, (size + CHUNK_SIZE - 1) >> CHUNK_SHIFT);
		if ((size & (PAGE_SIZE - 1)) != 0)
			zero_part(d, size, PAGE_ALIGN(size));
		if (d->lower_len == 0)
			mem_lower_close(n);
	}
	inode->size = size;
	mem_dirty(n);
	mem_count_blocks(n);
	return 0;
}

/* Everything below is copied up: holes can be made. */
static int all_up(struct task *task, struct mem_node *n)
{
	struct mem_data *d = &n->data;
	uint64_t pos = 0;
	int err = open_below(task, n);

	while (err == 0 && d->memfd < 0 && pos < d->lower_len) {
		struct run r = run_at(d, pos, d->lower_len - pos);
		struct iobuf buf;

		if (!r.present) {
			err = mem_read_below(d, bounce, pos, r.len);
			iobuf_init_mem(&buf, bounce, r.len);
			if (err == 0 && mem_chunks_write(n, &buf, pos, r.len) != (int64_t)r.len)
				err = -LINUX_ENOSPC;
		}
		pos += r.len;
		if (err == 0 && pos % MiB == 0) {
			task_yield(task);
			err = open_below(task, n);
		}
	}
	if (err == 0) {
		d->lower_len = 0;
		mem_lower_close(n);
		mem_dirty(n);
		mem_count_blocks(n);
	}
	return err;
}

static int punch(struct task *task, struct mem_node *n, uint64_t off, uint64_t len)
{
	struct mem_data *d = &n->data;
	uint64_t end = off + len, first = PAGE_ALIGN(off), last = PAGE_DOWN(end);
	int err;

	if (d->lower_len > off) {
		err = all_up(task, n);
		if (err != 0)
			return err;
	}
	if (d->memfd >= 0) {
		mem_windows_end(d);
		err = host_fallocate(d->memfd, LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_KEEP_SIZE, (int64_t)off,
				     (int64_t)len);
		if (err == 0) {
			memfd_count(n);
			memfd_holes(n);
		}
		return err;
	}
	if (first > last) { /* inside one page */
		zero_part(d, off, end);
		return 0;
	}
	if (off < first)
		zero_part(d, off, first);
	if (last < end)
		zero_part(d, last, end);
	if (first < last)
		drop_pages(n, first / PAGE_SIZE, last / PAGE_SIZE);
	return 0;
}

/* Pages of [off, end) that are holes become zeros that are there. */
static int allocate(struct task *task, struct mem_node *n, uint64_t off, uint64_t end)
{
	struct mem_data *d = &n->data;
	uint64_t pos = PAGE_DOWN(off);
	int err = open_below(task, n);

	if (err == 0 && d->memfd >= 0) {
		uint64_t pages = (PAGE_ALIGN(end) - pos) / PAGE_SIZE;

		if (!mem_charge(mem_sb(n->inode), pages))
			return -LINUX_ENOSPC;
		mem_uncharge(mem_sb(n->inode), pages);
		if (!memory_room(pages * PAGE_SIZE))
			return -LINUX_ENOSPC;
		err = host_fallocate(d->memfd, LINUX_FALLOC_FL_KEEP_SIZE, (int64_t)off, (int64_t)(end - off));
		memfd_look(n);
		return err;
	}
	end = PAGE_ALIGN(end);
	while (err == 0 && pos < end) {
		struct run r = run_at(d, pos, MIN(end - pos, (uint64_t)sizeof(bounce)));
		struct iobuf buf;

		r.len = PAGE_ALIGN(r.len);
		if (!r.present) {
			err = mem_read_below(d, bounce, pos, r.len);
			iobuf_init_mem(&buf, bounce, r.len);
			if (err == 0 && mem_chunks_write(n, &buf, pos, r.len) != (int64_t)r.len)
				err = -LINUX_ENOSPC;
		}
		pos += r.len;
		if (err == 0 && pos % (4 * MiB) == 0 && pos < end) {
			task_yield(task);
			if (task_dying(task))
				return -LINUX_EINTR;
			if (d->memfd >= 0)
				return allocate(task, n, pos, end);
			err = open_below(task, n);
		}
	}
	return err;
}

static int mem_fallocate(struct task *task, struct file *file, int mode, int64_t off, int64_t len)
{
	const int known = LINUX_FALLOC_FL_KEEP_SIZE | LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_ZERO_RANGE |
			  LINUX_FALLOC_FL_UNSHARE_RANGE;
	struct inode *inode = file->inode;
	struct mem_node *n = mem_node(inode);
	uint64_t end = (uint64_t)(off + len);
	int err = 0;

	if (mode & ~known)
		return -LINUX_EOPNOTSUPP;
	if ((mode & (LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_ZERO_RANGE)) &&
	    (inode->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE)))
		return -LINUX_EPERM;
	/* As Linux has it: even if the size is to stay. */
	if (!(mode & LINUX_FALLOC_FL_PUNCH_HOLE) && end > inode->size && (inode->seals & LINUX_F_SEAL_GROW))
		return -LINUX_EPERM;
	mem_dirty(n);
	if (mode & (LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_ZERO_RANGE))
		err = punch(task, n, (uint64_t)off, (uint64_t)len);
	if (err == 0 && !(mode & LINUX_FALLOC_FL_PUNCH_HOLE))
		err = allocate(task, n, (uint64_t)off, end);
	if (err != 0)
		return err;
	if ((mode & LINUX_FALLOC_FL_KEEP_SIZE) && !(mode & LINUX_FALLOC_FL_PUNCH_HOLE) && end > inode->size)
		n->data.kept_size = true;
	if (!(mode & (LINUX_FALLOC_FL_KEEP_SIZE | LINUX_FALLOC_FL_PUNCH_HOLE)) && end > inode->size) {
		if (n->data.memfd >= 0)
			err = host_ftruncate(n->data.memfd, (int64_t)end);
		if (err == 0) {
			inode->size = end;
			if (n->data.memfd >= 0)
				memfd_holes(n);
		}
	}
	inode_touch(inode, ATTR_CTIME | ATTR_MTIME);
	return err;
}

/* ---- file operations ---- */

void mem_data_release(struct mem_node *n)
{
	struct mem_data *d = &n->data;

	invariant(d->opens > 0);
	if (--d->opens != 0)
		return;
	d->handed_out = false;
	d->stored_to = false;
	if (d->filled) {
		memfd_look(n);
		d->filled = has_holes(d);
	}
}

static void mem_release(struct file *file)
{
	mem_data_release(mem_node(file->inode));
}

static int64_t mem_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct inode *inode = file->inode;
	struct mem_node *n = mem_node(inode);
	bool windows = buf->task != NULL && buf->task == task && platform->window_read != NULL, asked = false;
	uint64_t done = 0;

	for (;;) {
		uint64_t at, len;
		int64_t got;
		int err = open_below(task, n);

		if (err != 0)
			return done != 0 ? (int64_t)done : err;
		at = (uint64_t)*pos;
		if (at >= inode->size || buf->left == 0)
			return (int64_t)done;
		if (windows) {
			got = (int64_t)mem_window_read(task, &n->data, buf, at, inode->size - at);
			if (got != 0) {
				*pos += got;
				done += (uint64_t)got;
				continue;
			}
			if (n->data.by_window)
				mem_window_back(n);
			if (!asked && (buf->left >= MEM_WINDOW_READ_MIN || n->data.memfd >= 0)) {
				asked = true;
				if (mem_window_want(task, n, buf->left))
					continue; /* it has slept */
			}
		}
		len = MIN(MIN(buf->left, inode->size - at), (uint64_t)PIECE);
		got = n->data.memfd >= 0 ? memfd_read(&n->data, buf, at, len) : chunks_read(&n->data, buf, at, len);
		if (got <= 0)
			return done != 0 ? (int64_t)done : got;
		*pos += got;
		done += (uint64_t)got;
		if ((uint64_t)got < len || got < (int64_t)PIECE)
			return (int64_t)done;
		task_yield(task);
		if (task_dying(task))
			return (int64_t)done;
	}
}

static int64_t mem_write(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct inode *inode = file->inode;
	struct mem_node *n = mem_node(inode);
	bool append = (file->flags & LINUX_O_APPEND) || buf->append;
	uint64_t done = 0;

	for (;;) {
		uint64_t at, len;
		int64_t got;
		int err = open_below(task, n);

		if (err != 0)
			return done != 0 ? (int64_t)done : err;
		if (append)
			*pos = (int64_t)inode->size;
		at = (uint64_t)*pos;
		len = append ? buf->left : MIN(buf->left, (uint64_t)PIECE);
		if (inode->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE))
			return done != 0 ? (int64_t)done : -LINUX_EPERM;
		if ((inode->seals & LINUX_F_SEAL_GROW) && at + len > inode->size) {
			if (at >= inode->size)
				return done != 0 ? (int64_t)done : -LINUX_EPERM;
			len = inode->size - at;
		}
		mem_dirty(n);
		mem_window_written(n);
		got = n->data.memfd >= 0 ? memfd_write(n, buf, at, len) : mem_chunks_write(n, buf, at, len);
		if (got <= 0)
			return done != 0 ? (int64_t)done : got;
		grow_size(inode, at + (uint64_t)got);
		*pos += got;
		done += (uint64_t)got;
		if ((uint64_t)got < len || buf->left == 0 || append)
			return (int64_t)done;
		task_yield(task);
		if (task_dying(task))
			return (int64_t)done;
	}
}

/* The next offset >= off that is data (or a hole); the end of the file if there is none. */
static uint64_t seek_in_chunks(struct mem_node *n, uint64_t off, bool data)
{
	struct mem_data *d = &n->data;
	uint64_t size = n->inode->size, idx;

	while (off < size) {
		struct run r;

		if (data && off >= d->lower_len) {
			if (mem_chunk_next(d, off >> CHUNK_SHIFT, &idx) == NULL)
				return size;
			off = MAX(off, idx << CHUNK_SHIFT);
		}
		r = run_at(d, off, size - off);
		if ((r.present || off < d->lower_len) == data)
			return off;
		if (!r.present && off < d->lower_len)
			r.len = MIN(r.len, d->lower_len - off);
		if (r.len == 0)
			break;
		off += r.len;
	}
	return size;
}

/* In a memfd, holes are found page by page of zeros: the host's own SEEK_DATA isn't among the sentry's calls. */
static uint64_t seek_in_memfd(struct mem_node *n, uint64_t off, bool data)
{
	uint64_t size = n->inode->size;

	while (off < size) {
		uint64_t page = PAGE_DOWN(off);
		size_t len = (size_t)MIN(size - page, (uint64_t)sizeof(bounce));
		int64_t got = host_pread(n->data.memfd, bounce, len, (int64_t)page);

		if (got <= 0)
			return size;
		for (uint64_t at = 0; at < (uint64_t)got; at += PAGE_SIZE) {
			size_t part = (size_t)MIN((uint64_t)got - at, PAGE_SIZE);
			bool zero = bounce[at] == 0 && memcmp(bounce + at, bounce + at + 1, part - 1) == 0;

			if (zero != data)
				return MAX(off, page + at);
		}
		off = page + (uint64_t)got;
	}
	return size;
}

static int64_t mem_llseek(struct task *task, struct file *file, int64_t off, int whence)
{
	struct inode *inode = file->inode;
	struct mem_node *n = mem_node(inode);
	uint64_t found;

	if (whence != LINUX_SEEK_DATA && whence != LINUX_SEEK_HOLE)
		return generic_llseek(task, file, off, whence);
	if (off < 0 || (uint64_t)off >= inode->size)
		return -LINUX_ENXIO;
	if (n->data.memfd >= 0)
		found = seek_in_memfd(n, (uint64_t)off, whence == LINUX_SEEK_DATA);
	else
		found = seek_in_chunks(n, (uint64_t)off, whence == LINUX_SEEK_DATA);
	if (whence == LINUX_SEEK_DATA && found >= inode->size)
		return -LINUX_ENXIO;
	file->pos = (int64_t)found;
	return file->pos;
}

/* What nobody can be about to write is mapped as it lies below. */
static bool is_clean(const struct mem_node *n)
{
	const struct mem_data *d = &n->data;

	return d->memfd < 0 && n->lower_path != NULL && d->npages == 0 && d->lower_len != 0 && d->lower_len == n->inode->size &&
	       n->inode->writers == 0;
}

static int mem_map(struct task *task, struct file *file, uint64_t off, uint64_t len, int prot, bool shared,
		   struct map_backing *out)
{
	struct inode *inode = file->inode;
	struct mem_node *n = mem_node(inode);
	struct mem_data *d = &n->data;
	bool writer = shared && (file->mode & FMODE_WRITE);
	int err;

	if (shared && (prot & LINUX_PROT_WRITE) && (inode->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE)))
		return -LINUX_EPERM;
	if (writer && (inode->seals & (LINUX_F_SEAL_WRITE | LINUX_F_SEAL_FUTURE_WRITE)))
		writer = false; /* it may never become writable: a private view is the same and can't be forged into more */
	out->host_off = off;
	out->force_private = !writer;
	if (is_clean(n) && image_below(d) != NULL) {
		if (image_pages(image_below(d), n->lower_ino, off, len, out)) /* that descriptor stays open as long as the container lives */
			return 0;
	} else if (is_clean(n)) {
		err = mem_lower_open(task, n);
		if (err != 0)
			return err;
		if (is_clean(n)) {
			out->host_fd = d->lower_fd;
			d->handed_out = true;
			return 0;
		}
	}
	if (writer)
		mem_dirty(n);
	err = mem_to_memfd(task, n);
	if (err != 0)
		return err;
	out->host_fd = d->memfd;
	d->handed_out = true;
	d->by_window = false;
	d->stored_to |= writer;
	mem_memfd_mapped(d, writer);
	list_move_tail(&memfds, &d->memfd_link);
	return 0;
}

int mem_file_open(unused_arg struct task *task, struct inode *inode, unused_arg struct file *file)
{
	mem_node(inode)->data.opens++;
	return 0;
}

const struct file_ops mem_file_fops = {
	.read = mem_read,
	.write = mem_write,
	.llseek = mem_llseek,
	.map = mem_map,
	.fallocate = mem_fallocate,
	.release = mem_release,
	.flush = mem_window_flush,
};
