/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of memfs share: memfs.c (names), memfs_file.c (contents), memfs_tree.c (their chunks), memfs_lower.c (what lies
 * below).
 */
#ifndef SENTRY_FS_MEMFS_INTERNAL_H
#define SENTRY_FS_MEMFS_INTERNAL_H

#include "sentry/base/tree.h"
#include "sentry/fs/lower.h"
#include "sentry/fs/memfs.h"

#define MEM_PAGE_SHIFT 12
#define CHUNK_SHIFT 16
#define CHUNK_SIZE (1UL << CHUNK_SHIFT)
#define CHUNK_PAGES (CHUNK_SIZE / PAGE_SIZE)

struct mem_sb {
	struct superblock sb;
	uint64_t limit_pages, used_pages; /* used <= limit, but for what guests stored through mappings */
	uint64_t max_inodes, ninodes;
	struct lower_tree *lower;         /* NULL: none */
	uint64_t lower_pages, lower_inodes; /* the host's use of the lower tree's filesystem, if lower_known */
	bool lower_known;
	bool is_memory;                   /* memfds, shared memory: nobody's disk */
};

/* Up to 64 KiB of a file. A page that isn't present is a hole, or the lower file's. Bytes behind cap are zeros. */
struct chunk {
	uint8_t *data;
	uint32_t cap;     /* bytes allocated: 0 or a power of two up to CHUNK_SIZE */
	uint16_t present; /* a bit for each page */
	uint16_t owner;   /* of a block of CHUNK_SIZE: see memfs_block.c */
};

struct mem_data {
	struct chunk only;    /* chunk 0, while height is 0 */
	void *root;           /* height 1: a leaf of 64 chunks; more: a node of 64 roots */
	unsigned height;
	uint64_t npages;      /* present, or blocks of the memfd; charged to the superblock */
	int memfd;            /* -1, or all contents are there and the tree is empty */
	uint64_t window_id;   /* for the platform's windows: never another file's; 0: none yet */
	uint64_t unwritten;   /* bytes that were read since something was written last */
	uint32_t nwindows;    /* windows that may show the memfd */
	bool windows_live;    /* some of them may not have ended */
	bool by_window;       /* there is a memfd for windows alone */
	uint8_t retired;      /* so often it was moved back from there */
	uint64_t memfd_bytes; /* charged to the allocator's account */
	struct list memfd_link;
	uint64_t lower_len;   /* what isn't present below this offset is the lower file's */
	int lower_fd;         /* -1: not open */
	bool stored_to;       /* a mapping may write to the memfd: the file may have changed */
	bool filled;          /* a mapping may fill holes of the memfd, by storing or by reading: its blocks are counted now and
			       * then */
	bool shown;           /* a guest has had the memfd mapped, and may have kept it: its holes are counted as long as there are any */
	bool kept_size;       /* pages may lie beyond the end of the file */
	bool handed_out;      /* a mapping may show memfd or lower_fd: they stay while `opens` isn't 0 */
	struct list lower_link; /* open lower files, least recently used first */
	uint32_t opens;       /* descriptions */
};

struct mem_entry {
	RB_ENTRY(mem_entry) node;
	int64_t cookie;
	struct dentry *dentry; /* pinned */
};
RB_HEAD(mem_entry_tree, mem_entry);

struct mem_dir {
	struct mem_entry_tree entries; /* names that aren't the lower directory's */
	int64_t next_cookie;
	uint32_t nentries;
	struct lower_dir *lower;       /* what is known of the lower directory; NULL: nothing yet */
};

struct mem_xattr {
	struct list link;
	size_t size;
	char *name;
	uint8_t value[];
};

/* What an inode of memfs has besides its fields. Allocated up to and with the member its type needs. */
struct mem_node {
	struct inode *inode;     /* borrowed */
	struct list xattrs;
	/* the lower layer; lower_path is NULL for what was made here */
	char *lower_path;        /* from the tree's root, "" for the root itself; set once */
	uint64_t lower_dev, lower_ino;
	uint64_t lower_ctime;    /* mem_ctime_key of the lower file's: it tells contents that are kept from a later file's */
	struct list id_link;     /* table of nodes with a lower_path */
	bool dirty;              /* differs from the lower file: holds a reference on its inode until nlink is 0 */
	bool copied;             /* dirty only because its contents had to be copied for a mapping: it is as the lower file */
	bool lower_xattrs;       /* the lower file has some that were not read yet */
	bool is_memfd;
	bool lower_linked;       /* a lower file with more names than one */
	bool plain_nlink;        /* a lower directory whose link count doesn't count its subdirectories */
	union {
		struct mem_data data;
		struct mem_dir dir;
		char *target;
	};
};

static inline struct mem_node *mem_node(const struct inode *inode)
{
	return inode->private_data;
}
static inline struct mem_sb *mem_sb(const struct inode *inode)
{
	return container_of(inode->sb, struct mem_sb, sb);
}

/* ---- memfs.c ---- */
extern const struct inode_ops mem_dir_iops, mem_file_iops, mem_link_iops, mem_special_iops;
/* An inode with its node; nothing is linked. NULL if memory is out. */
struct inode *mem_inode_new(struct mem_sb *sb, uint64_t ino, uint32_t mode) must_check;
void mem_xattrs_free(struct mem_node *n);
/* The node now differs from what lies below: it stays in memory. */
void mem_dirty(struct mem_node *n);

/* ---- memfs_file.c ---- */
extern const struct file_ops mem_file_fops;
void mem_data_free(struct mem_node *n);
int mem_truncate(struct task *task, struct inode *inode, uint64_t size) must_check;
int mem_file_open(struct task *task, struct inode *inode, struct file *file);
/* How many lower files may be open. */
unsigned mem_lower_budget(void);
/* One of the data's `opens` less. */
void mem_data_release(struct mem_node *n);
/* The contents are in a memfd of the file's own from now on. Sleeps to open the lower file. 0 or -errno. */
int mem_to_memfd(struct task *task, struct mem_node *n) must_check;
/* They are in private memory again. Only while nobody has the memfd mapped. False if memory doesn't allow it. */
bool mem_memfd_retire(struct mem_node *n);
/* Mappings of it may have come, or holes within those there are: it is counted now and then. */
void mem_memfd_mapped(struct mem_data *d, bool writer);
/* There are memfds enough left for those that aren't needed. */
bool mem_memfds_free(void);

/* ---- memfs_window.c ---- */
struct iobuf;
#define MEM_WINDOW_READ_MIN 1024U
/* So many bytes are about to be read in another way: it may pay to have a window. True if it has slept. */
bool mem_window_want(struct task *task, struct mem_node *n, uint64_t bytes);
/* How many of len bytes the thread will copy itself to where buf, of the task's memory, stands, which goes on; 0: it won't. */
uint64_t mem_window_read(struct task *task, const struct mem_data *d, struct iobuf *buf, uint64_t at, uint64_t len);
/* The file is in a memfd for windows alone: if there are none any more it moves back. */
void mem_window_back(struct mem_node *n);
/* The file is about to be written. */
void mem_window_written(struct mem_node *n);
/* Pages of the memfd are about to go: no read is answered by a window any more. */
void mem_windows_end(struct mem_data *d);
/* file_ops.flush: one of the caller's descriptors is closed. */
int mem_window_flush(struct task *task, struct file *file);

/* ---- memfs_tree.c ---- */
void mem_data_init(struct mem_data *d);
/* The pages may be used: ENOSPC if sb's or the sandbox's limit is reached. */
bool mem_charge(struct mem_sb *sb, uint64_t pages) must_check;
void mem_uncharge(struct mem_sb *sb, uint64_t pages);
/* Pages that may still be charged; and charging what is used already, whatever the limit says. */
uint64_t mem_room(const struct mem_sb *sb);
void mem_use_pages(struct mem_sb *sb, uint64_t pages);
/* A node's own count: set, its blocks told anew, pages that were charged before added, pages gone and given back. */
void mem_set_pages(struct mem_node *n, uint64_t pages);
void mem_count_blocks(struct mem_node *n);
void mem_pages_added(struct mem_node *n, uint64_t pages);
void mem_pages_gone(struct mem_node *n, uint64_t pages);
/* Chunk idx, or NULL if it has no place. Borrowed until the tree changes. */
struct chunk *mem_chunk_find(struct mem_data *d, uint64_t idx);
/* The chunk's place, made if it isn't there. NULL if memory is out. */
struct chunk *mem_chunk_get(struct mem_data *d, uint64_t idx);
/* The first chunk with a page at or behind index from, or NULL. */
struct chunk *mem_chunk_next(struct mem_data *d, uint64_t from, uint64_t *idx);
/* Its bytes, not its accounts. */
void mem_chunk_free(struct chunk *c);
/* Room for bytes in the chunk; false if memory is out. */
bool mem_chunk_reserve(struct chunk *c, uint32_t bytes);
/* No chunk at or behind index from is left. */
void mem_tree_cut(struct mem_node *n, uint64_t from);

/* ---- memfs_write.c ---- */
#define MEM_GATHERED 32U /* chunks that are read or written in one */
/* Pages first to last of a chunk. */
static inline uint16_t mem_page_mask(uint32_t first, uint32_t last)
{
	return (uint16_t)((0xffffU << first) & (0xffffU >> (CHUNK_PAGES - 1 - last)));
}
/* Moves len bytes from buf into the file at pos; its size stays. Bytes, or an error if none. open_below was called. */
int64_t mem_chunks_write(struct mem_node *n, struct iobuf *buf, uint64_t pos, uint64_t len) must_check;
/* memfs_file.c: fills dst with the lower file's bytes at pos; zeros behind its end (or behind lower_len). */
int mem_read_below(struct mem_data *d, uint8_t *dst, uint64_t pos, size_t len) must_check;

/* ---- memfs_block.c ---- */
/* CHUNK_SIZE bytes, not zeroed; *owner goes back to mem_block_free. NULL if memory is out. */
uint8_t *mem_block_alloc(uint16_t *owner) must_check;
void mem_block_free(uint8_t *p, uint16_t owner);

/* ---- memfs_lower.c ---- */
/* Finds name below dir. 0 and a reference, -LINUX_ENOENT, or an error. Sleeps. */
int mem_lower_lookup(struct task *task, struct mem_node *dir, const char *name, size_t len, struct inode **out) must_check;
/* The listing of dir is complete after this. Sleeps. */
int mem_lower_list(struct task *task, struct mem_node *dir) must_check;
/* The lower name, if there is one, is not seen any more. It was looked up before: that can't fail. */
void mem_lower_hide(struct mem_node *dir, const char *name, size_t len);
/* The i-th visible entry at or behind index *at, in the host's order, or false. name is borrowed until the next sleep. */
struct mem_lower_name {
	const char *name;
	size_t len;
	uint64_t ino;
	uint32_t mode;
};
bool mem_lower_next(struct mem_node *dir, uint32_t *at, struct mem_lower_name *out);
/* Visible entries of a complete listing. */
uint32_t mem_lower_count(const struct mem_node *dir);
/* Is this name known to be the lower directory's, and visible? */
bool mem_lower_visible(struct mem_node *dir, const char *name, size_t len);
/* The names that were hidden and are known; fn must not sleep, false ends it. */
void mem_lower_hidden(struct mem_node *dir, bool (*fn)(void *arg, const char *name, size_t len), void *arg);
/* Was there such a lower name, now hidden, and was it a directory? */
bool mem_lower_was(const struct mem_node *dir, const char *name, size_t len, bool *is_dir);
/* Calls fn for each live node with a lower_path until it gives something else than 0; that. fn must not sleep. */
int mem_lower_nodes(int (*fn)(void *arg, struct mem_node *n), void *arg);
/*
 * The same from *at on (0: all), which is left where fn ended it: a caller that changes the nodes calls again from there and is
 * given those of that part again, but not the earlier ones. Nothing is held in between: any node may go.
 */
int mem_lower_nodes_from(unsigned *at, int (*fn)(void *arg, struct mem_node *n), void *arg);
/* Opens the lower file if it isn't open. The descriptor stays until the caller sleeps. */
int mem_lower_open(struct task *task, struct mem_node *n) must_check;
/* The lower file's contents can be read until the caller sleeps: they are kept (mem_content), or lower_fd is open. */
int mem_lower_ready(struct task *task, struct mem_node *n) must_check;
void mem_lower_close(struct mem_node *n);
/* Reads the lower file's extended attributes into n->xattrs. Sleeps. */
int mem_lower_xattrs(struct task *task, struct mem_node *n) must_check;
/* n is being freed. */
void mem_lower_forget(struct mem_node *n);
/* The root inode of a lower tree. */
int mem_lower_root(struct mem_sb *sb, struct inode **out) must_check;
/* Lets go of inodes of sb, and of descriptors, that nobody has asked for yet. */
void mem_lower_drop_ahead(const struct superblock *sb);
/* Descriptors of large files that came before anybody asked: whether to have such sent; keeps one, taken, of the file with this
 * record; is there one? */
bool mem_lower_wants_fds(void);
void mem_lower_keep_fd(uint32_t tree, const struct gofer_record *r, int fd);
bool mem_lower_has_fd(uint32_t tree, const struct gofer_record *r);
/* Idle lower descriptors are closed until at most max are open. */
void mem_lower_trim(unsigned max);

/* ---- memfs_content.c ---- */
/* How far to look ahead, and how the last looks did: how many were sent, and how many of them used. */
struct mem_window {
	unsigned size, sent, used;
};
/* How many to ask for now, the one that is wanted included. */
unsigned mem_window_next(struct mem_window *w);
unsigned mem_content_window(void);
static inline uint64_t mem_ctime_key(int64_t sec, uint32_t nsec)
{
	return (uint64_t)sec * 1000000000ULL + nsec;
}
/* Keeps a file's contents: c->len bytes, read once. ahead: nobody has asked for them yet. */
void mem_content_put(uint32_t tree, const struct gofer_content *c, const uint8_t *bytes, bool ahead);
/* The most bytes that are kept. */
uint64_t mem_content_room(void);
bool mem_content_has(uint32_t tree, const struct gofer_record *r);
/* The lower file's contents as they are kept, or NULL. Borrowed until the caller sleeps. */
const uint8_t *mem_content(const struct mem_node *n, uint32_t *len);

#endif
