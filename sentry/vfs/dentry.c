/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dentries: names in directories, and the cache that finds them.
 *
 *	dentry_new (negative, unhashed) --dentry_add--> in the cache --dentry_drop--> unhashed, freed with its last user
 *	                                                   |    ^
 *	                                    last reference v    | dentry_find
 *	                                              list of unused dentries --trimmed--> freed
 *
 * A dentry in the cache is positive. It is found by (parent, name) in one hash table, keyed by a random number so that a
 * guest can't choose names that collide. When its last reference goes it stays for a while on the list of unused
 * dentries (count 0), unless its superblock looks names up at every walk. Filesystems whose dentries are the only record
 * of a name pin them (a reference of the dentry's own), so these never get there. A dentry holds its parent, so the way
 * up to the root always exists and a directory is never freed before what is in it.
 *
 * The guest controls names and how many there are: a dentry is counted memory, unused ones are at most UNUSED_MAX.
 */
#include "sentry/vfs/vfs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/vfs/inotify.h"

#include <string.h>

#define UNUSED_MAX 2048
#define FIRST_BUCKETS 1024U

static struct list first_buckets[FIRST_BUCKETS];
static struct list *buckets;
static uint32_t nbuckets; /* a power of two; 0 before the first use */
static uint32_t nhashed;
static uint64_t hash_key;

static struct list unused = LIST_INIT(unused);
static uint32_t nunused;

/* ---- the hash table ---- */

static void table_start(void)
{
	if (host_getrandom(&hash_key, sizeof(hash_key)) < 0)
		hash_key = host_clock_ns(1) * 0x9e3779b97f4a7c15ULL;
	for (uint32_t i = 0; i < FIRST_BUCKETS; i++)
		list_init(&first_buckets[i]);
	buckets = first_buckets;
	nbuckets = FIRST_BUCKETS;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	__uint128_t m = (__uint128_t)(h ^ v) * 0x9fb21c651e98df25ULL;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint32_t name_hash(const struct dentry *parent, const char *name, size_t len)
{
	uint64_t h = mix(hash_key, (uintptr_t)parent), v;

	h = mix(h + hash_key, len);
	for (; len >= sizeof(v); len -= sizeof(v), name += sizeof(v)) {
		memcpy(&v, name, sizeof(v));
		h = mix(h + hash_key, v);
	}
	v = 0;
	memcpy(&v, name, len);
	return (uint32_t)mix(h + hash_key, v);
}

/* Twice as many buckets. Memory being out only makes lookups slower. */
static void table_grow(void)
{
	uint32_t n = nbuckets * 2;
	struct list *table = kmalloc(n * sizeof(*table));

	if (table == NULL)
		return;
	for (uint32_t i = 0; i < n; i++)
		list_init(&table[i]);
	for (uint32_t i = 0; i < nbuckets; i++) {
		while (!list_empty(&buckets[i])) {
			struct dentry *d = list_first(&buckets[i], struct dentry, hash_link);

			list_del(&d->hash_link);
			list_add(&table[d->hash & (n - 1)], &d->hash_link);
		}
	}
	if (buckets != first_buckets)
		kfree(buckets);
	buckets = table;
	nbuckets = n;
}

static void hash_insert(struct dentry *d)
{
	if (nhashed >= nbuckets && nbuckets < (1U << 22))
		table_grow();
	d->hash = name_hash(d->parent, d->name, d->name_len);
	list_add(&buckets[d->hash & (nbuckets - 1)], &d->hash_link);
	nhashed++;
}

static void hash_remove(struct dentry *d)
{
	if (list_empty(&d->hash_link))
		return;
	list_del(&d->hash_link);
	nhashed--;
}

static struct dentry *hash_find(struct dentry *parent, const char *name, size_t len)
{
	struct dentry *d;
	uint32_t h;

	if (nbuckets == 0)
		table_start();
	h = name_hash(parent, name, len);
	list_for_each(d, &buckets[h & (nbuckets - 1)], hash_link)
		if (d->hash == h && d->parent == parent && d->name_len == len && memcmp(d->name, name, len) == 0)
			return d;
	return NULL;
}

/* ---- life ---- */

static void trim_unused(uint32_t max);

/* Gives d a name of len bytes in its own memory. */
static bool set_name(struct dentry *d, const char *name, size_t len)
{
	d->name = d->inline_name;
	if (len >= DENTRY_INLINE_NAME) {
		d->name = kmalloc(len + 1);
		if (d->name == NULL)
			return false;
	}
	memcpy(d->name, name, len);
	d->name[len] = '\0';
	d->name_len = (uint16_t)len;
	return true;
}

struct dentry *dentry_new(struct dentry *parent, const char *name, size_t len)
{
	struct dentry *d = kmalloc(sizeof(*d));

	if (d == NULL && nunused != 0) { /* what is only remembered gives way to what is wanted */
		trim_unused(0);
		d = kmalloc(sizeof(*d));
	}
	if (d == NULL)
		return NULL;
	invariant(len <= LINUX_PATH_MAX);
	memset(d, 0, offsetof(struct dentry, inline_name));
	if (!set_name(d, name, len)) {
		kfree(d);
		return NULL;
	}
	ref_init(&d->ref);
	list_init(&d->children);
	list_init(&d->sibling);
	list_init(&d->hash_link);
	list_init(&d->lru);
	d->parent = parent != NULL ? dentry_get(parent) : d;
	d->sb = parent != NULL ? parent->sb : NULL;
	d->unhashed = true;
	return d;
}

static void dentry_free(struct dentry *d)
{
	struct inode *inode = d->inode;

	invariant(list_empty(&d->children) && d->mounted == 0);
	hash_remove(d);
	list_del(&d->sibling);
	if (inode != NULL) {
		if (inode->alias == d)
			inode->alias = NULL;
		if (inode->nlink == 0)
			fsnotify_inode_removed(inode);
		inode_put(inode);
	}
	if (d->name != d->inline_name)
		kfree(d->name);
	kfree(d);
}

/* Drops one reference of d, and of its ancestors as far as they go with it. Cached ones join the unused. */
static void put_chain(struct dentry *d)
{
	while (ref_put(&d->ref)) {
		struct dentry *parent = d->parent;

		if (!d->unhashed && !d->sb->nocache && parent != d) {
			list_add_tail(&unused, &d->lru);
			nunused++;
			return;
		}
		dentry_free(d);
		if (parent == d)
			return;
		d = parent;
	}
}

static void trim_unused(uint32_t max)
{
	while (nunused > max) {
		struct dentry *d = list_first(&unused, struct dentry, lru);
		struct dentry *parent = d->parent;

		list_del(&d->lru);
		nunused--;
		dentry_free(d);
		put_chain(parent);
	}
}

struct dentry *dentry_get(struct dentry *d)
{
	if (d->ref.count == 0) {
		invariant(!list_empty(&d->lru));
		list_del(&d->lru);
		nunused--;
		ref_init(&d->ref);
	} else {
		ref_get(&d->ref);
	}
	return d;
}

void dentry_put(struct dentry *d)
{
	if (d == NULL)
		return;
	put_chain(d);
	if (nunused > UNUSED_MAX)
		trim_unused(UNUSED_MAX);
}

void dentry_trim_of(const struct superblock *sb)
{
	struct dentry *d, *tmp;
	bool any;

	/* What is dropped may leave its parent unused, at the list's end: the same pass comes to it, or the next one. */
	do {
		any = false;
		list_for_each_safe(d, tmp, &unused, lru) {
			struct dentry *parent = d->parent;

			if (d->sb != sb)
				continue;
			list_del(&d->lru);
			nunused--;
			dentry_free(d);
			put_chain(parent);
			any = true;
			break;
		}
	} while (any);
}

void dentry_trim(void)
{
	trim_unused(0);
}

struct dentry *dentry_find(struct dentry *parent, const char *name, size_t len)
{
	struct dentry *d = hash_find(parent, name, len);

	return d != NULL ? dentry_get(d) : NULL;
}

/* ---- names come, go and change ---- */

static void link_in(struct dentry *d)
{
	d->unhashed = false;
	list_add_tail(&d->parent->children, &d->sibling);
	hash_insert(d);
}

static void link_out(struct dentry *d)
{
	hash_remove(d);
	list_del(&d->sibling);
	d->unhashed = true;
}

/* Whatever was found under this name while the filesystem slept gives way. */
static void make_room(struct dentry *parent, const char *name, size_t len)
{
	struct dentry *other = hash_find(parent, name, len);

	if (other == NULL)
		return;
	dentry_get(other);
	dentry_drop(other);
	dentry_put(other);
}

void dentry_add(struct dentry *d, struct inode *inode)
{
	invariant(d->unhashed && d->inode == NULL);
	make_room(d->parent, d->name, d->name_len);
	d->inode = inode;
	inode->alias = d;
	link_in(d);
}

void dentry_drop(struct dentry *d)
{
	if (d->unhashed)
		return;
	link_out(d);
	if (d->inode != NULL && d->inode->alias == d)
		d->inode->alias = NULL;
	if (d->pinned) {
		d->pinned = false;
		dentry_put(d);
	}
}

bool dentry_is_ancestor(const struct dentry *ancestor, const struct dentry *d)
{
	for (;;) {
		if (d == ancestor)
			return true;
		if (d->parent == d)
			return false;
		d = d->parent;
	}
}

int dentry_move_prepare(struct dentry_move *m, const struct dentry *d, const struct dentry *target)
{
	m->name = NULL;
	m->other_name = NULL;
	if (target->name_len >= DENTRY_INLINE_NAME) {
		m->name = kmalloc(target->name_len + 1UL);
		if (m->name == NULL)
			return -LINUX_ENOMEM;
	}
	if (d->name_len >= DENTRY_INLINE_NAME) {
		m->other_name = kmalloc(d->name_len + 1UL);
		if (m->other_name == NULL) {
			kfree(m->name);
			m->name = NULL;
			return -LINUX_ENOMEM;
		}
	}
	return 0;
}

void dentry_move_abort(struct dentry_move *m)
{
	kfree(m->name);
	kfree(m->other_name);
	m->name = m->other_name = NULL;
}

/* Names are at most LINUX_NAME_MAX bytes where dentries move. */
static void take_name(struct dentry *d, char **storage, const char *name, size_t len)
{
	if (d->name != d->inline_name)
		kfree(d->name);
	d->name = d->inline_name;
	if (len >= DENTRY_INLINE_NAME) {
		d->name = *storage;
		*storage = NULL;
	}
	memcpy(d->name, name, len);
	d->name[len] = '\0';
	d->name_len = (uint16_t)len;
}

void dentry_move_commit(struct dentry_move *m, struct dentry *d, struct dentry *target, bool exchange)
{
	struct dentry *d_parent = d->parent, *t_parent = target->parent;
	char old_name[LINUX_NAME_MAX + 1];
	size_t old_len = d->name_len;

	invariant(old_len <= LINUX_NAME_MAX && target->name_len <= LINUX_NAME_MAX);
	/* Only filesystems that sleep in rename and look names up again each time can lose one of them meanwhile. */
	if (d->unhashed || (exchange && target->unhashed)) {
		dentry_drop(d);
		dentry_drop(target);
		dentry_move_abort(m);
		return;
	}
	memcpy(old_name, d->name, old_len);
	link_out(d);
	if (exchange) {
		link_out(target);
	} else {
		dentry_drop(target);
		make_room(t_parent, target->name, target->name_len);
	}
	take_name(d, &m->name, target->name, target->name_len);
	d->parent = t_parent;
	if (exchange) {
		take_name(target, &m->other_name, old_name, old_len);
		target->parent = d_parent; /* the two parent references change places */
		link_in(target);
	} else {
		dentry_get(t_parent);
	}
	link_in(d);
	if (!exchange)
		dentry_put(d_parent);
	dentry_move_abort(m);
}
