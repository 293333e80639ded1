/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of unix sockets: paths, abstract names, and names of the kernel's choice (autobind).
 *
 * A path is bound by making a socket file; its inode points at the socket (inode->socket) as long as that lives, whatever
 * happens to the name. Abstract names are in a hash table of ours. The struct unix_name itself is shared by a listener
 * and the connections made through it, and lives on behind the binding: it is what getsockname shows.
 *
 * The guest controls the name's bytes and length; nothing in an abstract name ends it, a path ends at its first NUL.
 */
#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/net/unix_internal.h"
#include "sentry/vfs/modify.h"
#include "sentry/vfs/vfs.h"

#include <stdio.h>
#include <string.h>

#define PATH_OFFSET offsetof(struct linux_sockaddr_un, path)
#define BUCKETS 256

static struct list buckets[BUCKETS];

static struct list *bucket_of(const struct unix_name *name)
{
	uint32_t hash = 2166136261U;

	for (unsigned i = 0; i < name->len - PATH_OFFSET; i++)
		hash = (hash ^ (uint8_t)name->addr.path[i]) * 16777619U;
	return &buckets[(hash ^ hash >> 16) % BUCKETS];
}

/* Sockets of different types have names of their own. */
static struct unix_socket *abstract_find(const struct unix_name *name, int type)
{
	struct list *head = bucket_of(name);
	struct unix_socket *u;

	if (head->next == NULL)
		return NULL;
	list_for_each(u, head, name_link)
		if (u->sock.type == type && u->name->len == name->len && memcmp(&u->name->addr, &name->addr, name->len) == 0)
			return u;
	return NULL;
}

static void abstract_add(struct unix_socket *u)
{
	struct list *head = bucket_of(u->name);

	if (head->next == NULL)
		list_init(head);
	list_add(head, &u->name_link);
	u->abstract = true;
}

struct unix_name *unix_name_get(struct unix_name *n)
{
	ref_get(&n->ref);
	return n;
}

void unix_name_put(struct unix_name *n)
{
	if (n != NULL && ref_put(&n->ref))
		kfree(n);
}

void unix_name_show(const struct unix_name *n, struct sockname *out)
{
	static const uint16_t family = LINUX_AF_UNIX;

	if (n == NULL) {
		memcpy(out->bytes, &family, sizeof family);
		out->len = sizeof family;
		return;
	}
	memcpy(out->bytes, &n->addr, n->len);
	out->len = n->len;
}

int unix_name_check(const struct sockname *name)
{
	if (name->len <= PATH_OFFSET || name->len > sizeof(struct linux_sockaddr_un))
		return -LINUX_EINVAL;
	return sockname_family(name) == LINUX_AF_UNIX ? 0 : -LINUX_EINVAL;
}

/* Makes a name of a checked address. A path's length includes one NUL, however it was given; 108 bytes without a NUL
 * are a name too, as in Linux. */
static struct unix_name *name_new(const struct sockname *from)
{
	struct unix_name *n = kzalloc(sizeof *n + 1);
	bool abstract = from->bytes[PATH_OFFSET] == '\0';

	if (n == NULL)
		return NULL;
	ref_init(&n->ref);
	memcpy(&n->addr, from->bytes, from->len);
	n->len = from->len;
	if (!abstract)
		n->len = (unsigned)(PATH_OFFSET + strnlen(n->addr.path, sizeof n->addr.path) + 1);
	return n;
}

/* ---- bind ---- */

static int bind_path(struct task *task, struct unix_socket *u, struct unix_name *name)
{
	char path[LINUX_UNIX_PATH_MAX + 1];
	struct inode *inode;
	int err;

	memcpy(path, name->addr.path, LINUX_UNIX_PATH_MAX);
	path[LINUX_UNIX_PATH_MAX] = '\0';
	err = vfs_mksock(task, path, LINUX_S_IFSOCK | 0777, &inode);
	if (err != 0)
		return err == -LINUX_EEXIST ? -LINUX_EADDRINUSE : err;
	/* Making it may have slept: another thread may have bound the socket meanwhile. */
	if (u->name != NULL || u->dead) {
		inode_put(inode);
		return -LINUX_EINVAL;
	}
	inode->socket = u;
	u->inode = inode;
	u->name = name;
	return 0;
}

/* Linux makes the file before it sees that the socket has a name already. */
static int bind_again(struct task *task, const struct unix_name *name)
{
	char file[LINUX_UNIX_PATH_MAX + 1];
	struct path path;

	if (name->addr.path[0] == '\0')
		return -LINUX_EINVAL;
	memcpy(file, name->addr.path, LINUX_UNIX_PATH_MAX);
	file[LINUX_UNIX_PATH_MAX] = '\0';
	if (vfs_lookup(task, LINUX_AT_FDCWD, file, 0, &path) != 0)
		return -LINUX_EINVAL;
	path_put(&path);
	return -LINUX_EADDRINUSE;
}

int unix_bind(struct task *task, struct socket *s, const struct sockname *addr)
{
	struct unix_socket *u = unix_of(s);
	struct unix_name *name;
	int err;

	if (addr->len == PATH_OFFSET && sockname_family(addr) == LINUX_AF_UNIX)
		return unix_autobind(task, u);
	err = unix_name_check(addr);
	if (err != 0)
		return err;
	name = name_new(addr);
	if (name == NULL)
		return -LINUX_ENOMEM;
	if (u->name != NULL)
		err = bind_again(task, name);
	else if (name->addr.path[0] != '\0') {
		err = bind_path(task, u, name);
	} else if (abstract_find(name, s->type) != NULL) {
		err = -LINUX_EADDRINUSE;
	} else {
		u->name = name;
		abstract_add(u);
	}
	if (err != 0)
		unix_name_put(name);
	return err;
}

int unix_autobind(struct task *task, struct unix_socket *u)
{
	static uint32_t next = 0x5a3c1;
	struct unix_name *name;

	(void)task;
	if (u->name != NULL)
		return 0;
	name = kzalloc(sizeof *name + 1);
	if (name == NULL)
		return -LINUX_ENOMEM;
	ref_init(&name->ref);
	name->addr.family = LINUX_AF_UNIX;
	for (uint32_t tries = 0; tries <= 0xfffff; tries++) {
		next = (next * 1664525U + 1013904223U) & 0xfffff;
		snprintf(name->addr.path + 1, 6, "%05x", next);
		name->len = PATH_OFFSET + 6;
		if (abstract_find(name, u->sock.type) == NULL) {
			u->name = name;
			abstract_add(u);
			return 0;
		}
	}
	unix_name_put(name);
	return -LINUX_ENOSPC;
}

void unix_unbind(struct unix_socket *u)
{
	if (u->abstract) {
		list_del(&u->name_link);
		u->abstract = false;
	}
	if (u->inode != NULL) {
		if (u->inode->socket == u)
			u->inode->socket = NULL;
		inode_put(u->inode);
		u->inode = NULL;
	}
}

/* ---- lookup ---- */

static int find_path(struct task *task, const struct unix_name *name, struct unix_socket **out)
{
	char file[LINUX_UNIX_PATH_MAX + 1];
	struct inode *inode;
	struct path path;
	int err;

	memcpy(file, name->addr.path, LINUX_UNIX_PATH_MAX);
	file[LINUX_UNIX_PATH_MAX] = '\0';
	err = vfs_lookup(task, LINUX_AT_FDCWD, file, LOOKUP_FOLLOW, &path);
	if (err != 0)
		return err;
	inode = path.dentry->inode;
	err = inode_permission(task, inode, MAY_WRITE);
	if (err == 0 && ((inode->mode & LINUX_S_IFMT) != LINUX_S_IFSOCK || inode->socket == NULL))
		err = -LINUX_ECONNREFUSED;
	if (err == 0) {
		*out = inode->socket;
		socket_get(&(*out)->sock);
	}
	path_put(&path);
	return err;
}

int unix_find(struct task *task, const struct sockname *addr, int type, struct unix_socket **out)
{
	struct unix_name *name;
	int err = 0;

	name = name_new(addr);
	if (name == NULL)
		return -LINUX_ENOMEM;
	if (name->addr.path[0] != '\0') {
		err = find_path(task, name, out);
	} else {
		*out = abstract_find(name, type);
		if (*out != NULL)
			socket_get(&(*out)->sock);
		else
			err = -LINUX_ECONNREFUSED;
	}
	unix_name_put(name);
	if (err == 0 && (*out)->sock.type != type) {
		socket_put(&(*out)->sock);
		err = -LINUX_EPROTOTYPE;
	}
	return err;
}
