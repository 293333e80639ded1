/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records from a command that a hostile archive was given to (or that is hostile itself), into the container: the sentry's
 * parser and what it makes of them. The input chooses names out of few, kinds, modes, lengths, and now and then raw bytes.
 *
 * Checked: what lies outside the destination is as it was, whatever links the records made; all memory comes back
 * (world_clean), and no directory's link count is wrong.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/core/files.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/fs/memfs.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/modify.h"

#include <sys/socket.h>
#include <sys/uio.h>

#define boot vfs_boot_task()

static struct fuzz_input input;
static uint8_t record[FILES_RECORD_MAX];
static size_t len, at;
static unsigned sent;

static const char *const names[] = {"", "a", "b", "a/b", "a/b/c", "l", "l/x", "l/y/z", "..", "a/..", "/o/x", "a//b", ".", "a/", "d/o/x", "keep"};
static const char *const targets[] = {"/o", "..", "../o", "/", "a", "l", "/o/keep", "nowhere", ""};
static const char *const places[] = {"/d", "/d/", "/d/a", "/d/l", "/d/x/y", "/o/../d", "d", "/", "/d/keep", "", "/d/l/"};

static void put(const void *p, size_t n)
{
	n = MIN(n, sizeof(record) - len);
	memcpy(record + len, p, n);
	len += n;
}

static void next_record(void)
{
	struct files_record r = {.magic = FILES_MAGIC};
	uint8_t how = fuzz_u8(&input);
	const char *name, *data = "";
	size_t data_len = 0;

	len = at = 0;
	if (how == 255) { /* anything */
		len = fuzz_u16(&input) % 512;
		fuzz_bytes(&input, record, len);
		return;
	}
	name = sent == 0 ? places[fuzz_u8(&input) % ARRAY_LEN(places)] : names[fuzz_u8(&input) % ARRAY_LEN(names)];
	static const uint8_t kinds[] = {FILES_ENTRY, FILES_ENTRY, FILES_DATA, FILES_XATTR, FILES_ENTRY, FILES_DATA, FILES_ENTRY, FILES_END};
	static const uint32_t types[] = {LINUX_S_IFDIR, LINUX_S_IFREG, LINUX_S_IFLNK, LINUX_S_IFREG, LINUX_S_IFIFO, LINUX_S_IFCHR, LINUX_S_IFSOCK, LINUX_S_IFBLK};

	r.kind = sent == 0 ? (how == 254 ? FILES_READ : how == 253 ? FILES_DIFF : FILES_WRITE) : kinds[how % 8];
	if (how == 252)
		r.kind = fuzz_u8(&input) % 16;
	r.flags = fuzz_u8(&input) & 7;
	r.mode = types[fuzz_u8(&input) % 8] | (fuzz_u16(&input) & 07777);
	r.uid = fuzz_u8(&input);
	r.offset = r.kind == FILES_DATA ? fuzz_u16(&input) : fuzz_u16(&input) * 16UL;
	if (how == 251)
		r.offset = fuzz_u64(&input);
	r.mtime_nsec = fuzz_u32(&input);
	r.mtime_sec = (int64_t)fuzz_u32(&input);
	if (r.kind == FILES_XATTR) {
		name = how & 1 ? "user.x" : "trusted.y";
		data = "value";
		data_len = 5;
	} else if (r.kind == FILES_DATA) {
		data_len = fuzz_u16(&input);
	} else if (r.kind == FILES_ENTRY && (r.flags & FILES_HARD_LINK)) {
		data = names[fuzz_u8(&input) % ARRAY_LEN(names)];
		data_len = strlen(data);
	} else if (r.kind == FILES_ENTRY && (r.mode & LINUX_S_IFMT) == LINUX_S_IFLNK) {
		data = targets[fuzz_u8(&input) % ARRAY_LEN(targets)];
		data_len = strlen(data);
	}
	r.name_len = (uint32_t)strlen(name);
	r.len = (uint32_t)data_len;
	if (how == 250)
		r.len = r.name_len = UINT32_MAX;
	put(&r, sizeof(r));
	put(name, strlen(name));
	if (r.kind == FILES_DATA) {
		memset(record + len, 'x', MIN(data_len, sizeof(record) - len));
		len += MIN(data_len, sizeof(record) - len);
	} else {
		put(data, data_len);
	}
	sent++;
}

static int64_t on_receive(int fd, struct msghdr *msg, int flags)
{
	size_t n;

	(void)fd;
	(void)flags;
	if (at == len) {
		if (!fuzz_more(&input) || sent > 64)
			return 0; /* the command is gone */
		next_record();
		if (len == 0)
			return 0;
	}
	n = MIN(msg->msg_iov[0].iov_len, len - at);
	memcpy(msg->msg_iov[0].iov_base, record + at, n);
	at += n;
	return (int64_t)n;
}

struct count {
	struct dir_emit emit;
	unsigned n;
};

static bool count_name(struct dir_emit *emit, const char *name, size_t n, uint64_t ino, uint32_t type, int64_t off)
{
	(void)name;
	(void)n;
	(void)ino;
	(void)type;
	(void)off;
	((struct count *)emit)->n++;
	return true;
}

static void check_outside(void)
{
	struct count c = {.emit = {.add = count_name}};
	char text[8] = "";
	struct file *file;
	struct kstat st;

	FUZZ_CHECK(vfs_open(boot, LINUX_AT_FDCWD, "/o", LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0, 0, &file) == 0);
	FUZZ_CHECK(vfs_iterate(boot, file, &c.emit) == 0 && c.n == 3);
	file_put(file);
	FUZZ_CHECK(vfs_open(boot, LINUX_AT_FDCWD, "/o/keep", LINUX_O_RDONLY | LINUX_O_NOFOLLOW, 0, 0, &file) == 0);
	FUZZ_CHECK(vfs_read_mem(boot, file, text, sizeof(text), 0) == 4 && memcmp(text, "mine", 4) == 0);
	FUZZ_CHECK(vfs_getattr(boot, file->inode, &file->path, &st) == 0 && st.mode == (LINUX_S_IFREG | 0640) && st.nlink == 1 && st.uid == 0);
	file_put(file);
}

static void serve(struct task *task)
{
	files_serve(task, -1);
	task_exit_thread(task, 0);
}

static void init(void)
{
	world_init(false);
}

static void run(const uint8_t *data, size_t size)
{
	bool top;

	input = (struct fuzz_input){data, data + size};
	sent = 0;
	at = len = 0;
	FUZZ_CHECK(vfs_mkdir(boot, LINUX_AT_FDCWD, "/o", 0755) == 0 && vfs_mkdir(boot, LINUX_AT_FDCWD, "/d", 0755) == 0);
	world_write_file("/o/keep", "mine", 4, 0640);
	FUZZ_CHECK(vfs_symlink(boot, "/o", LINUX_AT_FDCWD, "/d/l") == 0);
	fuzz_host.recvmsg = on_receive;
	world_run_from(serve, true);
	fuzz_host.recvmsg = NULL;
	/* Where the operator's own path is "/" or leads along a link, "outside" is inside. */
	top = size > 1 && (data[1] % ARRAY_LEN(places) == 7 || data[1] % ARRAY_LEN(places) == 9 || data[1] % ARRAY_LEN(places) == 3 ||
			   data[1] % ARRAY_LEN(places) == 10 || data[0] == 255);
	if (!top)
		check_outside();
	world_clean();
	FUZZ_CHECK(memfs_disk_used() == 0);
}

const struct fuzz_target fuzz_files_write = {.name = "files_write", .init = init, .run = run};
