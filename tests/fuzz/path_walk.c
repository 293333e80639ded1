/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path walks and changes of a memfs tree: lookups through links and "..", open, rename (exchange too), link, unlink,
 * mkdir, chroot, working directories that are gone, held files, as root or as an ordinary user. Checked: names and link
 * counts agree after each run, a held file can still be asked for its name, everything can be removed, and then no
 * block is left.
 *
 * Input: operations; each names one or two paths as sequences of small words.
 */
#include "tests/fuzz/fuzz.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/memfs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/modify.h"
#include "sentry/vfs/vfs.h"

#define HELD 4U

static struct fuzz_input input;
static struct file *held[HELD];
static struct task user; /* in the boot task's tables of nothing */

static void init(void)
{
	world_init(true);
	user = *vfs_boot_task();
	user.fs = fs_context_new();
	FUZZ_CHECK(user.fs != NULL);
}

/* Words joined by slashes; a byte below 0x20 ends the path. */
static const char *path_of(char out[512])
{
	static const char *const words[] = {"a", "b",         "c",       "d",   "..", ".", "",      "a/b",
					    "l", "proc/self", "dev/shm", "tmp", "e",  "f", "x\xff", "..."};
	size_t n = 0;
	uint8_t b = fuzz_u8(&input);

	if (b & 1)
		out[n++] = '/';
	for (; b >= 0x20 && n < 400; b = fuzz_u8(&input)) {
		const char *w = words[b >> 1 & 15];

		n += (size_t)snprintf(out + n, 64, "%s%s", w, (b & 0x40) ? "/" : "");
		if (b >= 0xfc) { /* a name of about the longest size */
			memset(out + n, 'n', 64);
			n += 64;
		}
	}
	out[n] = '\0';
	return out;
}

static uint32_t open_flags(uint8_t b)
{
	static const uint32_t flags[] = {LINUX_O_CREAT, LINUX_O_EXCL, LINUX_O_DIRECTORY, LINUX_O_NOFOLLOW,
					 LINUX_O_TRUNC, LINUX_O_PATH, LINUX_O_TMPFILE};
	uint32_t out = LINUX_O_NONBLOCK | (b & 1 ? LINUX_O_RDWR : LINUX_O_RDONLY);

	for (unsigned i = 0; i < ARRAY_LEN(flags); i++)
		if (b >> (i + 1) & 1)
			out |= flags[i];
	return out;
}

static int dirfd_of(uint8_t b)
{
	(void)b;
	return LINUX_AT_FDCWD;
}

static void hold(struct task *task, const char *path, uint8_t b)
{
	struct file **slot = &held[b & (HELD - 1)], *file;
	char *name;

	if (vfs_open(task, dirfd_of(b), path, open_flags(fuzz_u8(&input)), 0750, 0, &file) != 0)
		return;
	if (*slot != NULL) {
		if (vfs_file_name(task, *slot, &name) == 0) {
			FUZZ_CHECK(name[0] != '\0');
			kfree(name);
		}
		file_put(*slot);
	}
	*slot = file;
}

static void write_held(struct task *task, uint8_t b)
{
	struct file *file = held[b & (HELD - 1)];
	char text[100];
	struct iobuf io;

	if (file == NULL || (file->mode & FMODE_WRITE) == 0)
		return;
	memset(text, b, sizeof(text));
	iobuf_init_mem(&io, text, sizeof(text));
	(void)vfs_write(task, file, &io, NULL);
	if (b & 4)
		(void)!vfs_ftruncate(task, file, b * 1000);
}

static void look(struct task *task, const char *name, uint8_t b)
{
	static const unsigned flags[] = {0, LOOKUP_FOLLOW, LOOKUP_DIRECTORY, LOOKUP_FOLLOW | LOOKUP_DIRECTORY};
	struct kstat st;
	struct path path;
	char *text;

	if (vfs_lookup(task, LINUX_AT_FDCWD, name, flags[b & 3], &path) != 0)
		return;
	(void)!vfs_getattr(task, path.dentry->inode, &path, &st);
	if (vfs_path_name(task, &path, true, &text) == 0) {
		FUZZ_CHECK(text[0] != '\0');
		kfree(text);
	}
	if (b & 4) {
		if (inode_is_dir(path.dentry->inode)) {
			fs_set_cwd(task->fs, &path);
			return;
		}
	} else if (b & 8) {
		if (inode_is_dir(path.dentry->inode)) {
			fs_set_root(task->fs, &path);
			return;
		}
	} else if (b & 16) {
		struct iattr attr = {.valid = ATTR_MODE, .mode = fuzz_u8(&input) * 8U};

		(void)!vfs_setattr(task, &path, path.dentry->inode, &attr);
	}
	path_put(&path);
}

static void act(struct task *task)
{
	char a[512], b[512];
	uint8_t op = fuzz_u8(&input);
	struct path path;

	path_of(a);
	switch (op & 15) {
	case 0:
	case 1:
		(void)!vfs_mkdir(task, LINUX_AT_FDCWD, a, 0700 | op);
		break;
	case 2:
		(void)!vfs_symlink(task, path_of(b), LINUX_AT_FDCWD, a);
		break;
	case 3:
		if (vfs_lookup(task, LINUX_AT_FDCWD, a, 0, &path) != 0)
			break;
		(void)!vfs_link(task, &path, LINUX_AT_FDCWD, path_of(b));
		path_put(&path);
		break;
	case 4:
	case 5:
		(void)!vfs_rename(task, LINUX_AT_FDCWD, a, LINUX_AT_FDCWD, path_of(b), (op >> 4) % 3);
		break;
	case 6:
		(void)!vfs_unlink(task, LINUX_AT_FDCWD, a);
		break;
	case 7:
		(void)!vfs_rmdir(task, LINUX_AT_FDCWD, a);
		break;
	case 8:
		(void)!vfs_mknod(task, LINUX_AT_FDCWD, a, LINUX_S_IFIFO | 0600, 0);
		break;
	case 9:
		write_held(task, op >> 4);
		break;
	case 10:
	case 11:
		look(task, a, op >> 4 | fuzz_u8(&input));
		break;
	default:
		hold(task, a, op >> 4);
		break;
	}
}

/* The tree below a directory: each inode has as many names as it says (directories: one and their parent's rights). */
struct count {
	struct dir_emit emit;
	unsigned dirs;
};
static bool add(struct dir_emit *emit, const char *name, size_t len, uint64_t ino, uint32_t type, int64_t off)
{
	struct count *c = (struct count *)emit;

	(void)ino;
	(void)off;
	FUZZ_CHECK(len > 0 && len < 256 && memchr(name, '/', len) == NULL);
	c->dirs += type == 4 && !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
	return true;
}

static void check_dir(const char *name)
{
	struct count c = {.emit = {.add = add}};
	struct file *file;
	struct kstat st;

	if (vfs_open(vfs_boot_task(), LINUX_AT_FDCWD, name, LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0, 0, &file) != 0)
		return;
	FUZZ_CHECK(vfs_iterate(vfs_boot_task(), file, &c.emit) == 0);
	FUZZ_CHECK(vfs_getattr(vfs_boot_task(), file->inode, &file->path, &st) == 0);
	if (st.nlink != c.dirs + 2) {
		fprintf(stderr, "%s has %u links and %u directories\n", name, st.nlink, c.dirs);
		abort();
	}
	file_put(file);
}

static void run(const uint8_t *data, size_t size)
{
	static struct cred *creds[2];
	struct task *task = &user;
	struct path top;

	if (creds[0] == NULL) {
		creds[0] = vfs_boot_task()->cred;
		creds[1] = cred_new(1000, 1000);
	}
	input = (struct fuzz_input){data, data + size};
	task->cred = creds[fuzz_u8(&input) & 1];
	for (unsigned i = 0; fuzz_more(&input) && i < 64; i++)
		act(task);
	check_dir("/a");
	check_dir("/a/b");
	check_dir("/b");
	for (unsigned i = 0; i < HELD; i++) {
		if (held[i] != NULL)
			file_put(held[i]);
		held[i] = NULL;
	}
	FUZZ_CHECK(vfs_lookup(vfs_boot_task(), LINUX_AT_FDCWD, "/", 0, &top) == 0);
	path_get(&top);
	fs_set_cwd(task->fs, &top);
	fs_set_root(task->fs, &top);
	world_clean();
	FUZZ_CHECK(memfs_disk_used() == 0);
}

const struct fuzz_target fuzz_path_walk = {.name = "path_walk", .init = init, .run = run};
