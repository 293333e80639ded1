/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EROFS images, as the kernel's Documentation/filesystems/erofs.rst describes them, read where they lie in memory.
 *
 *	superblock at 1024 --> root_nid --> inode at meta + nid * 32 --> directory blocks: {nid, where its name is}... names
 *	                                         |        \-> plain: blocks one after the other
 *	                                         |         -> inline: the same, but the last part behind the inode
 *	                                         |         -> chunks: a table of blocks behind the inode, holes in it
 *	                                         \-> extended attributes: behind the inode, or shared
 *
 * Whoever made the image controls every byte of it, and may change them while they are looked at. So:
 *
 *	- Every structure is copied out by get(), which checks that it lies in the image, and only the copy is looked at.
 *	- Every offset is made by sums that can't overflow: block numbers have 32 bits, sizes are below 2^63.
 *	- Nothing is followed in circles: a listing goes through a directory's bytes once, names are looked up by halves, links
 *	  are counted. Directories that contain themselves are as deep as the path that was asked for.
 *	- A directory that isn't in order, or has a name twice, is one in which a name may not be found, or the first is.
 *
 * Pointers into the image go out only as contents (erofs_run, erofs_xattrs). A file that is cut off under the map makes the
 * access fault: see sentry/fs/image.c for what becomes of that.
 *
 * Left out: compression (said so when the image is opened), further devices, the superblock's checksum (it shields from rot,
 * not from malice, and costs a page), long attribute prefixes, what came after Linux 6.6. Features that aren't known are refused
 * by number.
 */
#include "runtime/erofs.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/types.h"

#include <stdio.h>
#include <string.h>

#define SUPER_AT 1024U
#define MAGIC 0xe0f5e1e2U
#define NID_BITS 5U
#define NO_BLOCK 0xffffffffU
#define BLOCK_MAX 4096U
#define DIR_BYTES_MAX (64 * MiB) /* more than a million names */
#define LINKS_MAX 40U
#define DEPTH_MAX 512U
#define PATH_LEN_MAX 4096U

#define FEATURE_CHUNKS 0x4U
#define FEATURE_DEVICES 0x8U
/* What mkfs.erofs -z sets: padded clusters, configurations, tails packed, fragments and duplicates joined. */
#define FEATURE_COMPRESSED (0x1U | 0x2U | 0x10U | 0x20U)

#define CHUNK_BITS 31U
#define CHUNK_INDEXES 32U

struct super {
	uint32_t magic, checksum, compat;
	uint8_t block_bits, extra_slots;
	uint16_t root_nid;
	uint64_t inodes, built_sec;
	uint32_t built_nsec, blocks, meta_block, xattr_block;
	uint8_t uuid[16], name[16];
	uint32_t incompat;
	uint16_t algorithms, extra_devices, devices_slot;
	uint8_t dir_block_bits, pad[37];
} __attribute__((packed));
_Static_assert(sizeof(struct super) == 128, "as on disk");

struct compact {
	uint16_t format, xattr_count, mode, nlink;
	uint32_t size, reserved, where, ino;
	uint16_t uid, gid;
	uint32_t reserved2;
} __attribute__((packed));
_Static_assert(sizeof(struct compact) == 32, "as on disk");

struct extended {
	uint16_t format, xattr_count, mode, reserved;
	uint64_t size;
	uint32_t where, ino, uid, gid;
	uint64_t mtime;
	uint32_t mtime_nsec, nlink;
	uint8_t reserved2[16];
} __attribute__((packed));
_Static_assert(sizeof(struct extended) == 64, "as on disk");

struct dirent_on_disk {
	uint64_t nid;
	uint16_t name_at;
	uint8_t type, reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct dirent_on_disk) == 12, "as on disk");

struct xattr_head {
	uint32_t filter;
	uint8_t shared, reserved[7];
} __attribute__((packed));
_Static_assert(sizeof(struct xattr_head) == 12, "as on disk");

struct xattr_entry {
	uint8_t name_len, prefix;
	uint16_t value_len;
} __attribute__((packed));

/* One block of a directory; nothing sleeps while it is used. */
static uint8_t block[BLOCK_MAX];

static bool inside(const struct erofs_image *img, uint64_t off, uint64_t len)
{
	return off <= img->size && len <= img->size - off;
}

/* Copies once. The barrier keeps the compiler from reading there again for what is checked in the copy. */
static bool get(const struct erofs_image *img, uint64_t off, void *dst, size_t len)
{
	if (!inside(img, off, len))
		return false;
	memcpy(dst, img->base + off, len);
	__asm__ volatile("" : : "r"(dst) : "memory");
	return true;
}

const char *erofs_open(struct erofs_image *img, const void *base, uint64_t size)
{
	static char unknown[96];
	struct super s;
	struct erofs_inode root;

	*img = (struct erofs_image){.base = base, .size = size};
	if (!get(img, SUPER_AT, &s, sizeof(s)) || s.magic != MAGIC)
		return "it is not an EROFS image";
	if (s.incompat & FEATURE_COMPRESSED)
		return "it is compressed, and such images can't be mapped: make it by mkfs.erofs without -z";
	if (s.incompat & FEATURE_DEVICES || s.extra_devices != 0)
		return "its data lies on further devices: make it by mkfs.erofs without --blobdev";
	if (s.incompat & ~FEATURE_CHUNKS) {
		snprintf(unknown, sizeof(unknown), "it uses features that are not known here (%#x): make it by mkfs.erofs without them",
			 s.incompat & ~FEATURE_CHUNKS);
		return unknown;
	}
	if (s.block_bits < 9 || s.block_bits > 12 || s.dir_block_bits != 0)
		return "its blocks are not of 512 to 4096 bytes: make it by mkfs.erofs with blocks of 4096";
	if ((uint64_t)s.blocks << s.block_bits > size)
		return "it has been cut off: its superblock speaks of more blocks than the file has";
	img->block_bits = s.block_bits;
	img->meta = (uint64_t)s.meta_block << s.block_bits;
	img->xattrs = (uint64_t)s.xattr_block << s.block_bits;
	img->root_nid = s.root_nid;
	img->inodes = s.inodes;
	img->built_sec = (int64_t)s.built_sec;
	img->built_nsec = s.built_nsec < NSEC_PER_SEC ? s.built_nsec : 0;
	if (erofs_inode(img, img->root_nid, &root) != 0 || (root.mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
		return "it is damaged: its root is no directory";
	return NULL;
}

/* ---- inodes ---- */

/* Where the data of a regular file, directory or link is, and whether all of it is there. */
static bool find_data(const struct erofs_image *img, struct erofs_inode *i, uint32_t where, uint64_t behind)
{
	uint64_t block_size = 1ULL << img->block_bits, chunks, unit;

	i->start = (uint64_t)where << img->block_bits;
	switch (i->layout) {
	case EROFS_PLAIN:
		return i->size == 0 || inside(img, i->start, i->size);
	case EROFS_INLINE:
		i->tail_from = i->size != 0 ? (i->size - 1) & ~(block_size - 1) : 0;
		i->tail = behind;
		return inside(img, i->tail, i->size - i->tail_from) && (i->tail_from == 0 || inside(img, i->start, i->tail_from));
	case EROFS_CHUNKS:
		/* No builder makes others; a directory of a million names could be one block, over and over. */
		if ((i->mode & LINUX_S_IFMT) != LINUX_S_IFREG || where & ~(CHUNK_BITS | CHUNK_INDEXES))
			return false;
		i->chunk_bits = img->block_bits + (where & CHUNK_BITS);
		i->indexes = (where & CHUNK_INDEXES) != 0;
		unit = i->indexes ? 8 : 4;
		i->table = (behind + unit - 1) & ~(unit - 1);
		chunks = (i->size >> i->chunk_bits) + ((i->size & ((1ULL << i->chunk_bits) - 1)) != 0);
		return chunks <= img->size && inside(img, i->table, chunks * unit);
	}
	return false;
}

int erofs_inode(const struct erofs_image *img, uint64_t nid, struct erofs_inode *i)
{
	uint64_t at = img->meta + (nid << NID_BITS), behind;
	union {
		uint16_t format;
		struct compact c;
		struct extended e;
	} u;
	uint32_t where, layout;
	uint16_t format, xattr_count;

	*i = (struct erofs_inode){.nid = nid};
	if (nid > img->size >> NID_BITS || !get(img, at, &u.c, sizeof(u.c)))
		return -LINUX_EIO;
	format = u.format;
	if (format & 1) {
		if (!get(img, at, &u.e, sizeof(u.e)))
			return -LINUX_EIO;
		xattr_count = u.e.xattr_count;
		i->mode = u.e.mode;
		i->size = u.e.size;
		where = u.e.where;
		i->uid = u.e.uid;
		i->gid = u.e.gid;
		i->nlink = u.e.nlink;
		i->mtime_sec = (int64_t)u.e.mtime;
		i->mtime_nsec = u.e.mtime_nsec;
		behind = at + sizeof(u.e);
	} else {
		xattr_count = u.c.xattr_count;
		i->mode = u.c.mode;
		i->size = u.c.size;
		where = u.c.where;
		i->uid = u.c.uid;
		i->gid = u.c.gid;
		i->nlink = u.c.nlink;
		i->mtime_sec = img->built_sec;
		i->mtime_nsec = img->built_nsec;
		behind = at + sizeof(u.c);
	}
	if (i->mtime_nsec >= NSEC_PER_SEC)
		i->mtime_nsec = 0;
	if (i->size > (uint64_t)INT64_MAX || format >> 4 != 0)
		return -LINUX_EIO;
	if (xattr_count != 0) {
		i->xattrs = behind;
		i->xattrs_len = (uint32_t)sizeof(struct xattr_head) + (xattr_count - 1U) * 4U;
		behind += i->xattrs_len;
		if (!inside(img, i->xattrs, i->xattrs_len))
			return -LINUX_EIO;
	}
	switch (i->mode & LINUX_S_IFMT) {
	case LINUX_S_IFCHR:
	case LINUX_S_IFBLK:
		i->rdev = where;
		i->size = 0;
		return 0;
	case LINUX_S_IFIFO:
	case LINUX_S_IFSOCK:
		i->size = 0;
		return 0;
	case LINUX_S_IFREG:
	case LINUX_S_IFDIR:
	case LINUX_S_IFLNK:
		break;
	default:
		return -LINUX_EIO;
	}
	layout = (format >> 1) & 7;
	if (layout == 1 || layout == 3)
		return -LINUX_EOPNOTSUPP;
	i->layout = (enum erofs_layout)layout;
	return find_data(img, i, where, behind) ? 0 : -LINUX_EIO;
}

/* ---- contents ---- */

/* The block a chunk begins with: its byte offset, or UINT64_MAX for a hole. */
static int chunk_at(const struct erofs_image *img, const struct erofs_inode *i, uint64_t nr, uint64_t *off)
{
	uint32_t entry[2] = {0};

	if (!get(img, i->table + nr * (i->indexes ? 8 : 4), entry, i->indexes ? 8 : 4))
		return -LINUX_EIO;
	if (i->indexes && entry[0] != 0)
		return -LINUX_EIO; /* another device, or more than 32 bits of block */
	*off = i->indexes ? entry[1] : entry[0];
	*off = *off == NO_BLOCK ? UINT64_MAX : *off << img->block_bits;
	return 0;
}

int erofs_run(const struct erofs_image *img, const struct erofs_inode *i, uint64_t pos, const uint8_t **data, uint64_t *len)
{
	uint64_t off, in;
	int err;

	*data = NULL;
	*len = 0;
	if (pos >= i->size)
		return -LINUX_EIO;
	*len = i->size - pos;
	switch (i->layout) {
	case EROFS_PLAIN:
		off = i->start + pos;
		break;
	case EROFS_INLINE:
		if (pos < i->tail_from)
			*len = i->tail_from - pos;
		off = pos < i->tail_from ? i->start + pos : i->tail + (pos - i->tail_from);
		break;
	case EROFS_CHUNKS:
		err = chunk_at(img, i, pos >> i->chunk_bits, &off);
		if (err != 0)
			return err;
		in = pos & ((1ULL << i->chunk_bits) - 1);
		*len = MIN(*len, (1ULL << i->chunk_bits) - in);
		if (off == UINT64_MAX)
			return 0;
		off += in;
		break;
	default:
		return -LINUX_EIO;
	}
	if (!inside(img, off, *len))
		return -LINUX_EIO;
	*data = img->base + off;
	return 0;
}

int erofs_read(const struct erofs_image *img, const struct erofs_inode *i, uint64_t pos, void *dst, size_t len)
{
	uint8_t *to = dst;

	while (len != 0 && pos < i->size) {
		const uint8_t *data;
		uint64_t n;
		int err = erofs_run(img, i, pos, &data, &n);

		if (err != 0)
			return err;
		n = MIN(n, (uint64_t)len);
		if (data != NULL)
			memcpy(to, data, n);
		else
			memset(to, 0, n);
		to += n;
		pos += n;
		len -= n;
	}
	memset(to, 0, len);
	return 0;
}

bool erofs_in_pages(const struct erofs_image *img, const struct erofs_inode *i, uint64_t pos, uint64_t len, uint64_t *off)
{
	uint64_t end, at, first;

	/* With smaller blocks a page may hold the end of one file and the beginning of another. */
	if (img->block_bits != 12 || pos % PAGE_SIZE != 0 || len == 0 || pos > i->size || len > PAGE_ALIGN(i->size) - pos)
		return false;
	end = PAGE_ALIGN(pos + len);
	switch (i->layout) {
	case EROFS_INLINE:
		if (end > i->tail_from)
			return false;
		first = i->start + pos;
		break;
	case EROFS_PLAIN:
		first = i->start + pos;
		break;
	case EROFS_CHUNKS:
		if (chunk_at(img, i, pos >> i->chunk_bits, &first) != 0 || first == UINT64_MAX)
			return false;
		first += pos & ((1ULL << i->chunk_bits) - 1);
		for (uint64_t nr = (pos >> i->chunk_bits) + 1; nr << i->chunk_bits < end; nr++)
			if (chunk_at(img, i, nr, &at) != 0 || at != first + ((nr << i->chunk_bits) - pos))
				return false;
		break;
	default:
		return false;
	}
	*off = first;
	return inside(img, first, end - pos);
}

/* ---- directories ---- */

/* A name of the block: *at its place in `block`. False if it isn't sound. */
static bool name_of(unsigned nr, unsigned count, size_t used, uint64_t *nid, const char **name, size_t *len)
{
	struct dirent_on_disk d, next = {0};
	size_t end = used;

	memcpy(&d, block + nr * sizeof(d), sizeof(d));
	if (nr + 1 < count) {
		memcpy(&next, block + (nr + 1) * sizeof(d), sizeof(d));
		end = next.name_at;
	}
	if (d.name_at < count * sizeof(d) || d.name_at >= end || end > used)
		return false;
	*name = (const char *)block + d.name_at;
	*len = end - d.name_at;
	if (nr + 1 == count) /* the last one ends with the block, or by NUL */
		*len = strnlen(*name, *len);
	*nid = d.nid;
	return *len != 0 && *len <= EROFS_NAME_MAX && memchr(*name, '/', *len) == NULL && memchr(*name, '\0', *len) == NULL;
}

/* Copies the directory's block nr; *count is how many entries it has. */
static int load_block(const struct erofs_image *img, const struct erofs_inode *dir, uint64_t nr, size_t *used, unsigned *count)
{
	uint64_t pos = nr << img->block_bits;
	struct dirent_on_disk first;
	int err;

	*used = (size_t)MIN(dir->size - pos, 1ULL << img->block_bits);
	err = erofs_read(img, dir, pos, block, *used);
	if (err != 0)
		return err;
	__asm__ volatile("" : : "r"(block) : "memory");
	if (*used < sizeof(first))
		return -LINUX_EIO;
	memcpy(&first, block, sizeof(first));
	if (first.name_at < sizeof(first) || first.name_at % sizeof(first) != 0 || first.name_at > *used)
		return -LINUX_EIO;
	*count = (unsigned)(first.name_at / sizeof(first));
	return 0;
}

static int check_dir(const struct erofs_inode *dir)
{
	if ((dir->mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
		return -LINUX_ENOTDIR;
	return dir->size <= DIR_BYTES_MAX ? 0 : -LINUX_EIO;
}

static bool is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

int erofs_list(const struct erofs_image *img, const struct erofs_inode *dir, erofs_name_fn *fn, void *arg)
{
	int err = check_dir(dir);

	for (uint64_t nr = 0; err == 0 && nr << img->block_bits < dir->size; nr++) {
		unsigned count;
		size_t used;

		err = load_block(img, dir, nr, &used, &count);
		for (unsigned k = 0; err == 0 && k < count; k++) {
			const char *name;
			uint64_t nid;
			size_t len;

			if (!name_of(k, count, used, &nid, &name, &len))
				err = -LINUX_EIO;
			else if (!is_dots(name, len))
				err = fn(arg, name, len, nid);
		}
	}
	return err;
}

static int compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int c = memcmp(a, b, MIN(a_len, b_len));

	return c != 0 ? c : a_len < b_len ? -1 : a_len > b_len;
}

int erofs_lookup(const struct erofs_image *img, const struct erofs_inode *dir, const char *name, size_t len, uint64_t *nid)
{
	uint64_t low = 0, high;
	unsigned count;
	size_t used;
	int err = check_dir(dir);

	if (err != 0)
		return err;
	high = (dir->size + (1ULL << img->block_bits) - 1) >> img->block_bits;
	if (high == 0)
		return -LINUX_ENOENT;
	/* The last block whose first name isn't behind ours; then its names one by one. */
	while (high - low > 1) {
		uint64_t middle = (low + high) / 2;
		const char *first;
		size_t first_len;

		err = load_block(img, dir, middle, &used, &count);
		if (err != 0)
			return err;
		if (!name_of(0, count, used, nid, &first, &first_len))
			return -LINUX_EIO;
		if (compare(first, first_len, name, len) > 0)
			high = middle;
		else
			low = middle;
	}
	err = load_block(img, dir, low, &used, &count);
	for (unsigned k = 0; err == 0 && k < count; k++) {
		const char *there;
		size_t there_len;

		if (!name_of(k, count, used, nid, &there, &there_len))
			return -LINUX_EIO;
		if (there_len == len && memcmp(there, name, len) == 0)
			return 0;
	}
	return err != 0 ? err : -LINUX_ENOENT;
}

/* ---- paths ---- */

static int read_link(const struct erofs_image *img, const struct erofs_inode *link, char *out)
{
	int err;

	if (link->size == 0 || link->size > EROFS_LINK_MAX)
		return -LINUX_EIO;
	err = erofs_read(img, link, 0, out, (size_t)link->size);
	out[link->size] = '\0';
	return err;
}

int erofs_resolve(const struct erofs_image *img, const char *path, bool follow, uint64_t *nid)
{
	static uint64_t above[DEPTH_MAX]; /* the directories on the way; above[depth] is where we are */
	static char rest[PATH_LEN_MAX], spliced[PATH_LEN_MAX + EROFS_LINK_MAX + 2];
	unsigned depth = 0, links = 0;
	struct erofs_inode here, found;
	char *p = rest;

	if (strlen(path) >= sizeof(rest))
		return -LINUX_ENAMETOOLONG;
	strcpy(rest, path);
	above[0] = *nid = img->root_nid;
	for (;;) {
		size_t len;
		int err;

		p += strspn(p, "/");
		len = strcspn(p, "/");
		*nid = above[depth];
		if (len == 0)
			return 0;
		if (len == 1 && p[0] == '.') {
			p += len;
			continue;
		}
		if (len == 2 && p[0] == '.' && p[1] == '.') {
			depth -= depth != 0;
			p += len;
			continue;
		}
		err = erofs_inode(img, above[depth], &here);
		if (err == 0)
			err = erofs_lookup(img, &here, p, len, nid);
		if (err == 0)
			err = erofs_inode(img, *nid, &found);
		if (err != 0)
			return err;
		p += len;
		if ((found.mode & LINUX_S_IFMT) == LINUX_S_IFLNK && (follow || p[strspn(p, "/")] != '\0')) {
			if (++links > LINKS_MAX)
				return -LINUX_ELOOP;
			err = read_link(img, &found, spliced);
			if (err != 0)
				return err;
			if (spliced[0] == '/')
				depth = 0;
			len = strlen(spliced);
			if (len + strlen(p) >= sizeof(rest))
				return -LINUX_ENAMETOOLONG;
			strcpy(spliced + len, p); /* p begins with a slash, or is at its end */
			p = strcpy(rest, spliced);
			continue;
		}
		if (p[strspn(p, "/")] == '\0')
			return *p != '\0' && (found.mode & LINUX_S_IFMT) != LINUX_S_IFDIR ? -LINUX_ENOTDIR : 0;
		if ((found.mode & LINUX_S_IFMT) != LINUX_S_IFDIR)
			return -LINUX_ENOTDIR;
		if (++depth == DEPTH_MAX)
			return -LINUX_ENAMETOOLONG;
		above[depth] = *nid;
	}
}

/* ---- extended attributes ---- */

static const char *prefix_of(unsigned index)
{
	static const char *const prefixes[] = {
		"", "user.", "system.posix_acl_access", "system.posix_acl_default", "trusted.", "lustre.", "security."};

	return index < ARRAY_LEN(prefixes) ? prefixes[index] : NULL;
}

/* The entry at off; *size is what it takes up. */
static int one_xattr(const struct erofs_image *img, uint64_t off, erofs_xattr_fn *fn, void *arg, uint64_t *size)
{
	struct xattr_entry e;
	const char *prefix;

	*size = 0;
	if (!get(img, off, &e, sizeof(e)))
		return -LINUX_EIO;
	*size = (sizeof(e) + e.name_len + e.value_len + 3UL) & ~3UL;
	prefix = prefix_of(e.prefix);
	if (prefix == NULL || !inside(img, off, sizeof(e) + e.name_len + e.value_len))
		return -LINUX_EIO;
	off += sizeof(e);
	return fn(arg, prefix, img->base + off, e.name_len, img->base + off + e.name_len, e.value_len);
}

int erofs_xattrs(const struct erofs_image *img, const struct erofs_inode *i, erofs_xattr_fn *fn, void *arg)
{
	uint64_t at = i->xattrs, end = at + i->xattrs_len, size;
	struct xattr_head head;
	int err = 0;

	if (i->xattrs_len == 0)
		return 0;
	if (i->xattrs_len < sizeof(head) || !get(img, at, &head, sizeof(head)))
		return -LINUX_EIO;
	at += sizeof(head);
	if (head.shared * 4ULL > end - at)
		return -LINUX_EIO;
	for (unsigned k = 0; err == 0 && k < head.shared; k++, at += 4) {
		uint32_t id;

		if (!get(img, at, &id, sizeof(id)))
			return -LINUX_EIO;
		err = one_xattr(img, img->xattrs + id * 4ULL, fn, arg, &size);
	}
	while (err == 0 && end - at >= sizeof(struct xattr_entry)) {
		err = one_xattr(img, at, fn, arg, &size);
		if (err == 0 && size > end - at)
			err = -LINUX_EIO;
		at += size;
	}
	return err;
}
