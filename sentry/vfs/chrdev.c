/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of character devices; see chrdev.h. A few dozen drivers at most, registered at start. */
#include "sentry/vfs/chrdev.h"

#include "sentry/abi/errno.h"

#define CHRDEVS_MAX 64

struct chrdev {
	uint32_t major, minor;
	const struct file_ops *ops;
	int (*open)(struct task *task, struct inode *inode, struct file *file);
};

static struct chrdev table[CHRDEVS_MAX];
static unsigned ndevs;

static const struct chrdev *chrdev_find(uint32_t major, uint32_t minor)
{
	for (unsigned i = 0; i < ndevs; i++)
		if (table[i].major == major && table[i].minor == minor)
			return &table[i];
	return NULL;
}

int chrdev_register(uint32_t major, uint32_t minor, const struct file_ops *ops,
		    int (*open)(struct task *task, struct inode *inode, struct file *file))
{
	if (chrdev_find(major, minor) != NULL)
		return -LINUX_EBUSY;
	if (ndevs == CHRDEVS_MAX)
		return -LINUX_ENOMEM;
	table[ndevs++] = (struct chrdev){.major = major, .minor = minor, .ops = ops, .open = open};
	return 0;
}

int chrdev_open(struct task *task, struct inode *inode, struct file *file)
{
	const struct chrdev *dev = chrdev_find(LINUX_MAJOR(inode->rdev), LINUX_MINOR(inode->rdev));

	if (dev == NULL)
		dev = chrdev_find(LINUX_MAJOR(inode->rdev), CHRDEV_ANY_MINOR);
	if (dev == NULL)
		return -LINUX_ENXIO;
	file->ops = dev->ops;
	return dev->open != NULL ? dev->open(task, inode, file) : 0;
}
