/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The toolkit of sentry/fs/pseudo.h: how tables become directories, and generated text becomes files.
 *
 * A text is made when a file is read at offset 0 (or first), and kept in the open file for the reads that follow, as
 * Linux's sequence files do: a program that reads on sees one consistent text, one that seeks back sees a new one.
 * The guest controls names, offsets, the number of open files; a text is at most TEXT_MAX bytes.
 *
 * Left out: chmod and chown of entries (EPERM, as for most of them in Linux).
 */
#include "sentry/fs/pseudo.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX (64 * MiB)

/* ---- text ---- */

void text_init(struct text_buf *b)
{
	memset(b, 0, sizeof(*b));
}

void text_free(struct text_buf *b)
{
	kfree(b->data);
	text_init(b);
}

static bool text_reserve(struct text_buf *b, size_t more)
{
	size_t cap = b->cap;
	char *data;

	if (b->err != 0)
		return false;
	if (more <= b->cap - b->len)
		return true;
	if (more > TEXT_MAX - b->len) {
		b->err = -LINUX_ENOMEM;
		return false;
	}
	if (cap == 0)
		cap = 512;
	while (cap - b->len < more)
		cap *= 2;
	data = krealloc(b->data, cap);
	if (data == NULL) {
		b->err = -LINUX_ENOMEM;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void text_write(struct text_buf *b, const void *data, size_t len)
{
	if (len == 0 || !text_reserve(b, len))
		return;
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void text_puts(struct text_buf *b, const char *s)
{
	text_write(b, s, strlen(s));
}

void text_printf(struct text_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!text_reserve(b, 128))
		return;
	va_start(ap, fmt);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->err = -LINUX_ENOMEM;
		return;
	}
	if ((size_t)n >= b->cap - b->len) {
		if (!text_reserve(b, (size_t)n + 1))
			return;
		va_start(ap, fmt);
		vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)n;
}

void text_escape(struct text_buf *b, const char *s, const char *escape)
{
	for (; *s != '\0'; s++) {
		if (*s == '\\' || strchr(escape, *s) != NULL)
			text_printf(b, "\\%03o", (unsigned char)*s);
		else
			text_write(b, s, 1);
	}
}

void text_pad(struct text_buf *b, size_t line, size_t col)
{
	while (b->err == 0 && b->len - line < col)
		text_write(b, " ", 1);
}

/* ---- generators and parsers ---- */

int pseudo_show_text(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_puts(b, node->entry->text);
	return 0;
}

int pseudo_show_number(unused_arg struct task *task, struct pseudo_node *node, struct text_buf *b)
{
	text_printf(b, "%llu\n", (unsigned long long)node->entry->arg);
	return 0;
}

int pseudo_readlink_text(unused_arg struct task *task, struct pseudo_node *node, char **target)
{
	*target = kstrdup(node->entry->text);
	return *target == NULL ? -LINUX_ENOMEM : 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

int pseudo_parse_u64(const char *s, uint64_t *out)
{
	uint64_t v = 0;

	while (is_blank(*s))
		s++;
	if (*s < '0' || *s > '9')
		return -LINUX_EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s - '0', &v))
			return -LINUX_EINVAL;
	while (is_blank(*s))
		s++;
	if (*s != '\0')
		return -LINUX_EINVAL;
	*out = v;
	return 0;
}

int pseudo_parse_s64(const char *s, int64_t *out)
{
	uint64_t v;
	bool negative;
	int err;

	while (is_blank(*s))
		s++;
	negative = *s == '-';
	err = pseudo_parse_u64(negative ? s + 1 : s, &v);
	if (err != 0 || v > (uint64_t)INT64_MAX)
		return -LINUX_EINVAL;
	*out = negative ? -(int64_t)v : (int64_t)v;
	return 0;
}

uint32_t pseudo_parse_name(const char *name)
{
	uint64_t v = 0;

	if (*name == '\0' || (*name == '0' && name[1] != '\0'))
		return UINT32_MAX;
	for (; *name != '\0'; name++) {
		if (*name < '0' || *name > '9')
			return UINT32_MAX;
		v = v * 10 + (uint64_t)(*name - '0');
		if (v >= INT32_MAX)
			return UINT32_MAX;
	}
	return (uint32_t)v;
}

/* ---- inodes ---- */

static const struct inode_ops dir_iops, file_iops, link_iops, magic_iops;
static const struct file_ops dir_fops, text_fops;

static struct pseudo_fs *node_fs(const struct inode *inode)
{
	return container_of(inode->sb, struct pseudo_fs, sb);
}

/* A number that stays the same for the same name, however often the inode is made anew. */
static uint64_t hash_ino(uint64_t parent, const char *name)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ (parent * 0x9e3779b97f4a7c15ULL);

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3ULL;
	h ^= h >> 32;
	return 0x100 + (h & 0x3fffffff);
}

/* Takes the reference on object, also on failure. */
static int node_inode(struct pseudo_fs *fs, const struct pseudo_entry *entry, void *object, uint64_t num, uint64_t ino,
		      struct inode **out)
{
	struct pseudo_node *node = kzalloc(sizeof(*node));
	const struct inode_ops *iops = &file_iops;
	const struct file_ops *fops = entry->fops != NULL ? entry->fops : &text_fops;
	struct inode *inode;

	if (node == NULL)
		goto put_object;
	switch (entry->mode & LINUX_S_IFMT) {
	case LINUX_S_IFDIR:
		iops = &dir_iops;
		fops = &dir_fops;
		break;
	case LINUX_S_IFLNK:
		iops = entry->follow != NULL ? &magic_iops : &link_iops;
		break;
	default:
		break;
	}
	inode = inode_new(&fs->sb, ino, entry->mode, iops, fops);
	if (inode == NULL)
		goto free_node;
	node->entry = entry;
	node->object = object;
	node->num = num;
	node->inode = inode;
	inode->private_data = node;
	inode->uid = 0;
	inode->gid = 0;
	if (inode_is_dir(inode)) {
		unsigned i;

		inode->nlink = 2;
		for (i = 0; i < entry->dir->nentries; i++)
			if ((entry->dir->entries[i].mode & LINUX_S_IFMT) == LINUX_S_IFDIR)
				inode->nlink++;
	}
	if (fs->own != NULL)
		fs->own(inode, node);
	*out = inode;
	return 0;

free_node:
	kfree(node);
put_object:
	if (object != NULL)
		fs->object_put(object);
	return -LINUX_ENOMEM;
}

static void node_evict(struct inode *inode)
{
	struct pseudo_node *node = inode_node(inode);

	if (node == NULL)
		return;
	if (node->object != NULL)
		node_fs(inode)->object_put(node->object);
	kfree(node);
	inode->private_data = NULL;
}

static int node_check(struct task *task, struct pseudo_node *node)
{
	struct pseudo_fs *fs = node_fs(node->inode);

	if (fs->object_check != NULL && node->object != NULL) {
		int err = fs->object_check(node->object);

		if (err != 0)
			return err;
	}
	return node->entry->check != NULL ? node->entry->check(task, node) : 0;
}

static int node_setattr(unused_arg struct task *task, unused_arg struct inode *inode, const struct iattr *attr)
{
	return attr->valid & (ATTR_MODE | ATTR_UID | ATTR_GID) ? -LINUX_EPERM : 0;
}

/* The same entry of the same object: who has it open or stands in it goes on with it, as its owner is now. */
static bool node_same(struct inode *old, const struct inode *now)
{
	const struct pseudo_fs *fs = node_fs(now);
	const struct pseudo_node *a = inode_node(old), *b = inode_node(now);

	if (a->entry != b->entry || a->num != b->num || (a->object == NULL) != (b->object == NULL))
		return false;
	if (a->object != NULL && !fs->object_same(a->object, b->object))
		return false;
	old->uid = now->uid;
	old->gid = now->gid;
	old->mode = now->mode;
	return true;
}

static const struct superblock_ops node_sops = {.same = node_same};

int pseudo_fs_init(struct pseudo_fs *fs, const char *fs_type, uint32_t magic, const struct pseudo_entry *root)
{
	struct inode *inode;
	int err;

	fs->sb.fs_type = fs_type;
	fs->sb.magic = magic;
	fs->sb.ops = &node_sops;
	fs->sb.nocache = fs->object_get != NULL; /* without objects the tree never changes */
	fs->sb.next_ino = 2;
	err = node_inode(fs, root, NULL, 0, 1, &inode);
	if (err != 0)
		return err;
	return superblock_set_root(&fs->sb, inode);
}

/* ---- directories ---- */

static bool entry_visible(struct task *task, struct pseudo_node *dir, const struct pseudo_entry *e)
{
	return e->visible == NULL || e->visible(task, dir);
}

static int dir_lookup(struct task *task, struct inode *inode, struct dentry *dentry, struct inode **out)
{
	struct pseudo_fs *fs = node_fs(inode);
	struct pseudo_node *dir = inode_node(inode);
	const struct pseudo_dir *d = dir->entry->dir;
	struct pseudo_found found = {0};
	unsigned i;
	int err = node_check(task, dir);

	if (err != 0)
		return err == -LINUX_ESRCH ? -LINUX_ENOENT : err;
	for (i = 0; i < d->nentries; i++) {
		if (strcmp(d->entries[i].name, dentry->name) == 0 && entry_visible(task, dir, &d->entries[i])) {
			found.entry = &d->entries[i];
			break;
		}
	}
	if (found.entry == NULL) {
		if (d->lookup == NULL)
			return -LINUX_ENOENT;
		err = d->lookup(task, dir, dentry->name, &found);
		if (err != 0)
			return err;
	}
	if (found.object == NULL && dir->object != NULL) {
		fs->object_get(dir->object);
		found.object = dir->object;
	}
	return node_inode(fs, found.entry, found.object, found.num, hash_ino(inode->ino, dentry->name), out);
}

struct pseudo_list {
	struct dir_emit *emit;
	struct file *file;
};

/* Cookies: 1 and 2 follow the dots, table entries come next, the others from DYNAMIC on. */
#define DYNAMIC 0x10000

static uint32_t dirent_type(uint32_t mode)
{
	return (mode & LINUX_S_IFMT) >> 12;
}

static bool list_add_name(struct pseudo_list *list, const char *name, uint64_t ino, uint32_t mode, int64_t off)
{
	if (!list->emit->add(list->emit, name, strlen(name), ino, dirent_type(mode), off))
		return false;
	list->file->pos = off;
	return true;
}

bool pseudo_emit(struct pseudo_list *list, const char *name, uint32_t mode, uint64_t index)
{
	return list_add_name(list, name, hash_ino(list->file->inode->ino, name), mode, (int64_t)(DYNAMIC + index + 1));
}

static int dir_iterate(struct task *task, struct file *file, struct dir_emit *emit)
{
	struct pseudo_list list = {.emit = emit, .file = file};
	struct pseudo_node *dir = file_node(file);
	const struct pseudo_dir *d = dir->entry->dir;
	int err = node_check(task, dir);

	if (err != 0)
		return err == -LINUX_ESRCH ? -LINUX_ENOENT : err;
	if (file->pos < 0)
		return 0;
	if (file->pos == 0 && !list_add_name(&list, ".", file->inode->ino, LINUX_S_IFDIR, 1))
		return 0;
	if (file->pos == 1) {
		struct dentry *self = file->path.dentry;
		uint64_t ino = self != NULL && self->parent->inode != NULL ? self->parent->inode->ino : file->inode->ino;

		if (!list_add_name(&list, "..", ino, LINUX_S_IFDIR, 2))
			return 0;
	}
	while (file->pos < DYNAMIC && file->pos - 2 < (int64_t)d->nentries) {
		const struct pseudo_entry *e = &d->entries[file->pos - 2];

		if (!entry_visible(task, dir, e)) {
			file->pos++;
			continue;
		}
		if (!list_add_name(&list, e->name, hash_ino(file->inode->ino, e->name), e->mode, file->pos + 1))
			return 0;
	}
	if (d->iterate == NULL)
		return 0;
	if (file->pos < DYNAMIC)
		file->pos = DYNAMIC;
	return d->iterate(task, dir, (uint64_t)(file->pos - DYNAMIC), &list);
}

static int dir_permission(struct task *task, struct inode *inode, int mask);

/* open(2) of a missing name to create it; mkdir(2) and others without an op give EPERM. */
static int dir_create(unused_arg struct task *task, unused_arg struct inode *dir, unused_arg struct dentry *dentry,
		      unused_arg uint32_t mode, unused_arg struct inode **out)
{
	return -LINUX_EACCES;
}

static int dir_getattr(unused_arg struct task *task, struct inode *inode, struct kstat *st)
{
	struct pseudo_node *node = inode_node(inode);
	const struct pseudo_fs *fs = node_fs(inode);

	if (node->entry->dir->getattr == NULL)
		return 0;
	if (node->object != NULL && fs->object_check != NULL && fs->object_check(node->object) != 0)
		return 0;
	node->entry->dir->getattr(node, st);
	return 0;
}

static const struct inode_ops dir_iops = {
	.lookup = dir_lookup,
	.create = dir_create,
	.getattr = dir_getattr,
	.setattr = node_setattr,
	.permission = dir_permission,
	.evict = node_evict,
};

static const struct file_ops dir_fops = {
	.iterate = dir_iterate,
};

/* By mode bits; a directory that only its owner may enter is, for a thread of the same process, always its own. */
static int dir_permission(struct task *task, struct inode *inode, int mask)
{
	const struct cred *c = task->cred;
	uint32_t bits = inode->mode;

	/* A process's directories are immutable, also for root. */
	if ((mask & MAY_WRITE) && inode_is_dir(inode) && inode_node(inode)->object != NULL)
		return -LINUX_EPERM;
	if (c->fsuid == inode->uid)
		bits >>= 6;
	else if (cred_in_group(c, inode->gid))
		bits >>= 3;
	if ((bits & (uint32_t)mask & 7) == ((uint32_t)mask & 7))
		return 0;
	if (inode_is_dir(inode)) {
		if (cred_capable(c, LINUX_CAP_DAC_OVERRIDE))
			return 0;
		if (!(mask & MAY_WRITE) && cred_capable(c, LINUX_CAP_DAC_READ_SEARCH))
			return 0;
		if (inode_node(inode)->entry->check != NULL && node_check(task, inode_node(inode)) == 0)
			return 0;
	}
	return -LINUX_EACCES;
}

/* ---- links ---- */

static int link_readlink(struct task *task, struct inode *inode, char **target)
{
	struct pseudo_node *node = inode_node(inode);
	int err = node_check(task, node);

	return err != 0 ? err : node->entry->readlink(task, node, target);
}

static int link_follow(struct task *task, struct inode *inode, struct path *out)
{
	struct pseudo_node *node = inode_node(inode);
	int err = node_check(task, node);

	return err != 0 ? err : node->entry->follow(task, node, out);
}

static const struct inode_ops link_iops = {
	.readlink = link_readlink,
	.setattr = node_setattr,
	.evict = node_evict,
};

static const struct inode_ops magic_iops = {
	.readlink = link_readlink,
	.follow = link_follow,
	.setattr = node_setattr,
	.evict = node_evict,
};

/* ---- text files ---- */

static int text_open(struct task *task, struct inode *inode, struct file *file)
{
	int err = node_check(task, inode_node(inode));
	struct text_buf *b;

	if (err != 0 || inode_node(inode)->entry->fops != NULL)
		return err;
	b = kmalloc(sizeof(*b));
	if (b == NULL)
		return -LINUX_ENOMEM;
	text_init(b);
	file->private_data = b;
	return 0;
}

static void text_release(struct file *file)
{
	struct text_buf *b = file->private_data;

	if (b != NULL)
		text_free(b);
	kfree(b);
	file->private_data = NULL;
}

static int64_t text_read(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct pseudo_node *node = file_node(file);
	struct text_buf *b = file->private_data;
	size_t want, n;

	if (node->entry->show == NULL)
		return -LINUX_EINVAL;
	if (*pos == 0 || b->data == NULL) {
		struct text_buf fresh;
		/* Asked anew: what was opened may have executed a setuid program since. */
		int err = node_check(task, node);

		if (err != 0)
			return err;
		text_init(&fresh);
		/* May sleep: the file's own buffer stays valid for other readers until it is done. */
		err = node->entry->show(task, node, &fresh);
		if (err == 0)
			err = fresh.err;
		if (err != 0) {
			text_free(&fresh);
			return err;
		}
		text_free(b);
		*b = fresh;
	}
	if (*pos < 0 || (uint64_t)*pos >= b->len)
		return 0;
	want = MIN(b->len - (size_t)*pos, buf->left);
	n = iobuf_put(buf, b->data + *pos, want);
	if (n == 0 && want != 0)
		return -LINUX_EFAULT;
	*pos += (int64_t)n;
	return (int64_t)n;
}

static int64_t text_write_op(struct task *task, struct file *file, struct iobuf *buf, int64_t *pos)
{
	struct pseudo_node *node = file_node(file);
	size_t len = buf->left;
	char *data;
	int err;

	if (node->entry->store == NULL)
		return -LINUX_EIO;
	if (len > PSEUDO_STORE_MAX)
		return -LINUX_EINVAL;
	data = kmalloc(len + 1);
	if (data == NULL)
		return -LINUX_ENOMEM;
	if (iobuf_get(buf, data, len) != len) {
		kfree(data);
		return -LINUX_EFAULT;
	}
	data[len] = '\0';
	err = node_check(task, node);
	if (err == 0)
		err = node->entry->store(task, node, data, len);
	kfree(data);
	if (err != 0)
		return err;
	*pos += (int64_t)len;
	return (int64_t)len;
}

static int64_t text_llseek(unused_arg struct task *task, struct file *file, int64_t off, int whence)
{
	if (whence == LINUX_SEEK_CUR) {
		if (__builtin_add_overflow(off, file->pos, &off))
			return -LINUX_EINVAL;
	} else if (whence != LINUX_SEEK_SET) {
		return -LINUX_EINVAL;
	}
	if (off < 0)
		return -LINUX_EINVAL;
	file->pos = off;
	return off;
}

static const struct inode_ops file_iops = {
	.open = text_open,
	.setattr = node_setattr,
	.evict = node_evict,
};

static const struct file_ops text_fops = {
	.read = text_read,
	.write = text_write_op,
	.llseek = text_llseek,
	.release = text_release,
};
