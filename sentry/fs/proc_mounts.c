/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/mounts, mountinfo, mountstats: the mount table, in mount order, as far as it is reachable from the reader's
 * root. Blanks, newlines and backslashes in names are written as octal escapes, as in Linux.
 */
#include "sentry/base/alloc.h"
#include "sentry/fs/proc_internal.h"

#include <string.h>

/* Where a mount is, for the reader: a string to kfree, or NULL if it can't see it. */
static char *mount_where(struct task *task, struct mount *m)
{
	struct path path = {.mount = m, .dentry = m->root};
	char *name;

	return vfs_path_name(task, &path, false, &name) == 0 ? name : NULL;
}

/* The mount's root inside its filesystem: other than / for binds of a directory. */
static void text_root(struct text_buf *b, const struct mount *m)
{
	const struct dentry *chain[64];
	const struct dentry *d;
	unsigned n = 0;

	for (d = m->root; d->parent != d && n < ARRAY_LEN(chain); d = d->parent)
		chain[n++] = d;
	if (n == 0)
		text_puts(b, "/");
	while (n-- > 0) {
		text_puts(b, "/");
		text_escape(b, chain[n]->name, " \t\n#");
	}
}

static void text_flags(struct text_buf *b, uint64_t flags)
{
	static const struct {
		uint64_t bit;
		const char *text;
	} names[] = {
		{LINUX_MS_NOSUID, ",nosuid"},	{LINUX_MS_NODEV, ",nodev"},	      {LINUX_MS_NOEXEC, ",noexec"},
		{LINUX_MS_NOATIME, ",noatime"}, {LINUX_MS_NODIRATIME, ",nodiratime"},
	};
	unsigned i;

	text_puts(b, flags & LINUX_MS_RDONLY ? "ro" : "rw");
	for (i = 0; i < ARRAY_LEN(names); i++)
		if (flags & names[i].bit)
			text_puts(b, names[i].text);
	if (!(flags & LINUX_MS_NOATIME))
		text_puts(b, ",relatime");
}

/* The filesystem's own options, without the words that are flags of the mount. */
static void text_options(struct text_buf *b, const struct mount *m)
{
	static const char *const skip[] = {"ro", "rw", "nosuid", "nodev", "noexec", "noatime", "relatime", "nodiratime",
					   "suid", "dev", "exec", "strictatime", "bind", "rbind", "private", "rprivate"};
	const char *p = m->options;

	while (p != NULL && *p != '\0') {
		size_t len = strcspn(p, ","), i;

		for (i = 0; i < ARRAY_LEN(skip); i++)
			if (strlen(skip[i]) == len && memcmp(skip[i], p, len) == 0)
				break;
		if (i == ARRAY_LEN(skip) && len != 0) {
			size_t j;

			text_puts(b, ",");
			for (j = 0; j < len; j++) {
				char c[2] = {p[j], '\0'};

				text_escape(b, c, " \t\n");
			}
		}
		p += len;
		if (*p == ',')
			p++;
	}
}

static const char *mount_source(const struct mount *m)
{
	return m->source != NULL && m->source[0] != '\0' ? m->source : "none";
}

int proc_pid_mounts(struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct mount *m;

	list_for_each(m, &mount_list, link) {
		char *where = mount_where(task, m);

		if (where == NULL)
			continue;
		text_escape(b, mount_source(m), " \t\n#");
		text_puts(b, " ");
		text_escape(b, where, " \t\n#");
		text_printf(b, " %s ", m->sb->fs_type);
		text_flags(b, m->flags);
		text_options(b, m);
		text_puts(b, " 0 0\n");
		kfree(where);
	}
	return 0;
}

int proc_pid_mountinfo(struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct mount *m;

	list_for_each(m, &mount_list, link) {
		char *where = mount_where(task, m);

		if (where == NULL)
			continue;
		text_printf(b, "%u %u %u:%u ", m->id, m->parent != NULL ? m->parent->id : 1U, LINUX_MAJOR(m->sb->dev),
			    LINUX_MINOR(m->sb->dev));
		text_root(b, m);
		text_puts(b, " ");
		text_escape(b, where, " \t\n#");
		text_puts(b, " ");
		text_flags(b, m->flags);
		text_printf(b, " - %s ", m->sb->fs_type);
		text_escape(b, mount_source(m), " \t\n#");
		text_puts(b, m->flags & LINUX_MS_RDONLY ? " ro" : " rw");
		text_options(b, m);
		text_puts(b, "\n");
		kfree(where);
	}
	return 0;
}

int proc_pid_mountstats(struct task *task, unused_arg struct pseudo_node *node, struct text_buf *b)
{
	struct mount *m;

	list_for_each(m, &mount_list, link) {
		char *where = mount_where(task, m);

		if (where == NULL)
			continue;
		text_puts(b, "device ");
		text_escape(b, mount_source(m), " \t\n#");
		text_puts(b, " mounted on ");
		text_escape(b, where, " \t\n#");
		text_printf(b, " with fstype %s\n", m->sb->fs_type);
		kfree(where);
	}
	return 0;
}
