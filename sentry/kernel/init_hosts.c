/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's own name in /etc/hosts, as container engines put it there: programs look up what gethostname() says, and
 * wait for a name server that isn't there if no file knows it.
 *
 *	the root's file knows the name       nothing changes
 *	it doesn't                           a line is appended, in memory: 127.0.0.1 NAME
 *	there is no file                     it is made: localhost and NAME
 *
 * Only on the sandbox's root: what is mounted at /etc or at /etc/hosts (an engine's own file) is not ours to change, and what
 * a rule hides stays hidden. The operator wrote the name, the image's author the file: neither is believed to be short or
 * well-formed. Whatever fails here is no reason not to start.
 */
#include "sentry/kernel/init.h"

#include "runtime/config.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/fs/memfs.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOSTS "/etc/hosts"
#define HOSTS_MAX (64 * KiB) /* a longer file is somebody's list of another kind: left alone */

/* A name that can stand in the file; others (uname takes any bytes) would be read as something else. */
static bool is_host_name(const char *s)
{
	return *s != '\0' &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._") == strlen(s);
}

bool hosts_has_name(const char *text, size_t len, const char *name)
{
	size_t n = strlen(name), word = 0, pos = 0;
	bool comment = false;

	while (pos < len) {
		size_t start = pos;

		if (text[pos] == '\n') {
			word = 0;
			comment = false;
			pos++;
			continue;
		}
		if (text[pos] == '#')
			comment = true;
		if (comment || text[pos] == ' ' || text[pos] == '\t' || text[pos] == '\r') {
			pos++;
			continue;
		}
		while (pos < len && memchr(" \t\r\n#", text[pos], 5) == NULL)
			pos++;
		/* The first word of a line is the address. */
		if (word++ > 0 && pos - start == n && strncasecmp(text + start, name, n) == 0)
			return true;
	}
	return false;
}

static bool is_hidden(const struct config *cfg)
{
	for (uint32_t i = 0; i < cfg->npaths; i++) {
		const char *p = config_str(cfg, cfg->paths[i].path);

		if (cfg->paths[i].kind == PATH_HIDE && (strcmp(p, "/etc") == 0 || strcmp(p, HOSTS) == 0))
			return true;
	}
	return false;
}

/* 0 if the path may be looked for on the root: it is there, or *missing. */
static int on_root(struct task *task, const char *name, bool *missing)
{
	struct path path;
	int err = vfs_lookup(task, LINUX_AT_FDCWD, name, LOOKUP_FOLLOW, &path);

	*missing = err == -LINUX_ENOENT;
	if (err < 0)
		return *missing ? 0 : err;
	err = path.mount == task->fs->root.mount ? 0 : -LINUX_EXDEV;
	path_put(&path);
	return err;
}

static int append(struct task *task, const char *line, size_t len)
{
	struct iobuf buf;
	struct file *file;
	int64_t n;
	int err = vfs_open(task, LINUX_AT_FDCWD, HOSTS, LINUX_O_WRONLY | LINUX_O_APPEND, 0, 0, &file);

	if (err < 0)
		return err;
	iobuf_init_mem(&buf, (void *)(uintptr_t)line, len);
	n = vfs_write(task, file, &buf, NULL);
	iobuf_done(&buf);
	file_put(file);
	return n < 0 ? (int)n : 0;
}

/* The file's contents (to free), a NUL behind them; NULL and *err if it is no file we'd change. */
static char *read_hosts(struct task *task, size_t *len, int *err)
{
	struct file *file;
	char *text = NULL;
	int64_t n;

	*err = vfs_open(task, LINUX_AT_FDCWD, HOSTS, LINUX_O_RDONLY | LINUX_O_NONBLOCK, 0, 0, &file);
	if (*err < 0)
		return NULL;
	*err = -LINUX_EFBIG;
	if ((file->inode->mode & LINUX_S_IFMT) != LINUX_S_IFREG || file->inode->size > HOSTS_MAX)
		goto put_file;
	*err = -LINUX_ENOMEM;
	text = kzalloc(file->inode->size + 1);
	if (text == NULL)
		goto put_file;
	n = vfs_read_mem(task, file, text, file->inode->size, 0);
	*err = n < 0 ? (int)n : 0;
	*len = n < 0 ? 0 : (size_t)n;
put_file:
	file_put(file);
	return text;
}

static int add_name(struct task *task, bool fresh)
{
	char line[3 * 65 + 64];
	char *text = NULL;
	size_t len = 0;
	struct path path;
	bool domain = strcmp(kernel.domainname, "(none)") != 0 && is_host_name(kernel.domainname);
	int err, n;

	if (fresh) {
		err = memfs_make_path(task, HOSTS, true, &path);
		if (err == 0)
			path_put(&path);
	} else {
		text = read_hosts(task, &len, &err);
	}
	if (err == 0 && !hosts_has_name(text, len, kernel.hostname)) {
		/* A last line without its end isn't joined to ours. */
		n = snprintf(line, sizeof(line), "%s127.0.0.1\t%s%s%s%s%s\n",
			     fresh                              ? "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
			     : len != 0 && text[len - 1] != '\n' ? "\n"
								 : "",
			     domain ? kernel.hostname : "", domain ? "." : "", domain ? kernel.domainname : "",
			     domain ? " " : "", kernel.hostname);
		err = append(task, line, (size_t)n);
	}
	kfree(text);
	return err;
}

void init_hosts(struct task *task, const struct config *cfg)
{
	bool no_etc, no_file;
	int err = -LINUX_EPERM;

	if (is_host_name(kernel.hostname) && !is_hidden(cfg)) {
		err = on_root(task, "/etc", &no_etc);
		if (err == 0)
			err = on_root(task, HOSTS, &no_file);
		if (err == 0)
			err = add_name(task, no_file);
	}
	if (err < 0)
		log_debug("start: the host name is not in %s (%d)", HOSTS, err);
}
