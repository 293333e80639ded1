/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev: the memory devices (null, zero, full, random, urandom), the way to terminals (tty, console), and the directory.
 *
 * The drivers are registered by number, so any node of that number works, wherever mknod made it. The directory is an
 * ordinary tmpfs that is filled at start, as container engines make it: programs may add to it and remove from it.
 *
 *	open("/dev/null") -> inode 1:3 -> chrdev_open() -> null_ops
 *	open("/dev/tty")  -> inode 5:0 -> the session's terminal's own open
 *
 * The guest controls sizes of reads and writes only: they move in pieces and yield.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/memfs.h"
#include "sentry/fs/pseudo_mounts.h"
#include "sentry/fs/devpts.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/tty.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/chrdev.h"

#include <string.h>

/* ---- null, zero, full ---- */

static int64_t null_read(unused_arg struct task *task, unused_arg struct file *file, unused_arg struct iobuf *buf,
			 unused_arg int64_t *pos)
{
	return 0;
}

/* All of it is gone, unread. */
static int64_t sink_write(unused_arg struct task *task, unused_arg struct file *file, struct iobuf *buf,
			  unused_arg int64_t *pos)
{
	int64_t len = (int64_t)buf->left;

	buf->left = 0;
	return len;
}

static int64_t full_write(unused_arg struct task *task, unused_arg struct file *file, struct iobuf *buf,
			  unused_arg int64_t *pos)
{
	return buf->left != 0 ? -LINUX_ENOSPC : 0;
}

static int64_t zero_read(struct task *task, unused_arg struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	int64_t done = 0;

	while (buf->left != 0) {
		size_t want = MIN(buf->left, (uint64_t)(64 * KiB));
		size_t n = iobuf_put_zeros(buf, want);

		done += (int64_t)n;
		if (n < want)
			return done != 0 ? done : -LINUX_EFAULT;
		if ((done & (int64_t)(MiB - 1)) == 0 && task != NULL) {
			task_yield(task);
			if (signal_pending(task))
				break;
		}
	}
	return done;
}

static int64_t random_read(struct task *task, unused_arg struct file *file, struct iobuf *buf, unused_arg int64_t *pos)
{
	uint8_t chunk[256];
	int64_t done = 0;

	while (buf->left != 0) {
		size_t want = MIN(buf->left, sizeof(chunk)), n;

		if (host_getrandom(chunk, want) < 0)
			return done != 0 ? done : -LINUX_EIO;
		n = iobuf_put(buf, chunk, want);
		done += (int64_t)n;
		if (n < want)
			return done != 0 ? done : -LINUX_EFAULT;
		if ((done & 0xffff) == 0 && task != NULL) {
			task_yield(task);
			if (signal_pending(task))
				break;
		}
	}
	return done;
}

#define RNDGETENTCNT 0x80045200U

static int64_t random_ioctl(struct task *task, unused_arg struct file *file, unsigned cmd, uint64_t arg)
{
	int32_t bits = 256;

	if (cmd == RNDGETENTCNT)
		return put_guest(task, GVA(arg), &bits);
	return cmd >> 8 == 0x52 || (cmd >> 8 & 0xff) == 0x52 ? -LINUX_EPERM : -LINUX_EINVAL;
}

/* Seeking is allowed and means nothing. */
static int64_t mem_llseek(unused_arg struct task *task, struct file *file, unused_arg int64_t off, unused_arg int whence)
{
	file->pos = 0;
	return 0;
}

static int zero_map(unused_arg struct task *task, unused_arg struct file *file, unused_arg uint64_t off,
		    unused_arg uint64_t len, unused_arg int prot, unused_arg bool shared, struct map_backing *out)
{
	memset(out, 0, sizeof(*out));
	out->host_fd = -1;
	return 0;
}

static const struct file_ops null_ops = {.read = null_read, .write = sink_write, .llseek = mem_llseek};
static const struct file_ops zero_ops = {
	.read = zero_read,
	.write = sink_write,
	.llseek = mem_llseek,
	.map = zero_map,
};
static const struct file_ops full_ops = {.read = zero_read, .write = full_write, .llseek = mem_llseek};
static const struct file_ops random_ops = {
	.read = random_read,
	.write = sink_write,
	.llseek = mem_llseek,
	.ioctl = random_ioctl,
};

/* ---- tty, console ---- */

static const struct file_ops no_ops; /* until open puts the terminal's there */

static struct tty *console;

void dev_set_console(struct tty *tty)
{
	if (console != NULL)
		tty_put(console);
	console = tty != NULL ? tty_get(tty) : NULL;
}

struct tty *dev_console(void)
{
	return console;
}

static int tty_open(struct task *task, unused_arg struct inode *inode, struct file *file)
{
	struct tty *tty = task_tty(task);

	return tty == NULL ? -LINUX_ENXIO : tty->ops->open(task, tty, file);
}

static int console_open(struct task *task, unused_arg struct inode *inode, struct file *file)
{
	const struct container *c = container_here();
	struct tty *tty = c == &container_first ? console : c->console;

	if (tty == NULL)
		return -LINUX_ENXIO;
	return tty->ops->open(task, tty, file);
}

/* ---- the directory ---- */

struct superblock *dev_new_superblock(void)
{
	static const struct {
		const char *name;
		uint32_t mode;
		uint64_t rdev;
		const char *target;
	} nodes[] = {
		{"null", LINUX_S_IFCHR | 0666, LINUX_MKDEV(1, 3), NULL},
		{"zero", LINUX_S_IFCHR | 0666, LINUX_MKDEV(1, 5), NULL},
		{"full", LINUX_S_IFCHR | 0666, LINUX_MKDEV(1, 7), NULL},
		{"random", LINUX_S_IFCHR | 0666, LINUX_MKDEV(1, 8), NULL},
		{"urandom", LINUX_S_IFCHR | 0666, LINUX_MKDEV(1, 9), NULL},
		{"tty", LINUX_S_IFCHR | 0666, LINUX_MKDEV(5, 0), NULL},
		{"console", LINUX_S_IFCHR | 0620, LINUX_MKDEV(5, 1), NULL}, /* ENXIO without a terminal */
		{"ptmx", LINUX_S_IFLNK | 0777, 0, "pts/ptmx"},
		{"fd", LINUX_S_IFLNK | 0777, 0, "/proc/self/fd"},
		{"stdin", LINUX_S_IFLNK | 0777, 0, "/proc/self/fd/0"},
		{"stdout", LINUX_S_IFLNK | 0777, 0, "/proc/self/fd/1"},
		{"stderr", LINUX_S_IFLNK | 0777, 0, "/proc/self/fd/2"},
		{"pts", LINUX_S_IFDIR | 0755, 0, NULL},
		{"shm", LINUX_S_IFDIR | 01777, 0, NULL},
		{"mqueue", LINUX_S_IFDIR | 01777, 0, NULL},
	};
	struct memfs_options options = {.fs_type = "tmpfs", .mode = 0755, .size = 64 * MiB};
	struct superblock *sb;
	unsigned i;
	int err;

	sb = memfs_new_superblock(&options, &err);
	if (sb == NULL)
		return NULL;
	/* A superblock that is only half filled is never mounted: it stays, as the start fails. */
	for (i = 0; i < ARRAY_LEN(nodes); i++) {
		err = memfs_make(NULL, sb->root, nodes[i].name, nodes[i].mode, nodes[i].rdev, nodes[i].target, 0, 0, NULL);
		if (err != 0)
			return NULL;
	}
	return sb;
}

void dev_init(void)
{
	static bool done;
	int err = 0;

	if (done)
		return;
	done = true;
	err |= chrdev_register(1, 3, &null_ops, NULL);
	err |= chrdev_register(1, 5, &zero_ops, NULL);
	err |= chrdev_register(1, 7, &full_ops, NULL);
	err |= chrdev_register(1, 8, &random_ops, NULL);
	err |= chrdev_register(1, 9, &random_ops, NULL);
	err |= chrdev_register(5, 0, &no_ops, tty_open);
	err |= chrdev_register(5, 1, &no_ops, console_open);
	err |= devpts_init();
	invariant(err == 0);
}
