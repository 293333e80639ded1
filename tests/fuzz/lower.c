/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's view of files, served by a hostile gofer: the merged root over a lower tree, and a writable bind. Each
 * run works in directories of its own, whose records are honest; every answer about what lies in them comes from the
 * input: records in order with hostile fields, raw bytes, errors, descriptors of the wrong kind, the end of the
 * connection. Contents are also asked for past the filesystem, such that may lie in memory shared with the gofer, which is honest
 * where it gives that.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/core/gofer_protocol.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/bindfs.h"
#include "sentry/fs/lower.h"
#include "sentry/fs/memfs.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/modify.h"
#include "sentry/vfs/vfs.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define boot vfs_boot_task()
#define DIRS 512U /* names of runs' directories, used again */

static struct fuzz_input input;
static struct {
	struct gofer_request req;
	char path[8192];
	bool pending;
} asked;
static uint8_t body[GOFER_MESSAGE_MAX] __attribute__((aligned(8)));
static struct lower_tree *tree;
static int some_file, some_dir, shared_file;

static const char *const words[] = {"a",      "b", "c",   "d/e", "d", "..", ".",     "d/e/f",
				    "a/../b", "l", "l/x", "x/y", "",  "a/", "b/c/a", "long-name-that-is-one"};

/* ---- the gofer ---- */

static int64_t on_send(int fd, const struct msghdr *msg, int flags)
{
	size_t n = 0;

	(void)fd;
	(void)flags;
	memcpy(&asked.req, msg->msg_iov[0].iov_base, sizeof(asked.req));
	for (size_t i = 1; i < msg->msg_iovlen; i++) {
		size_t len = MIN(msg->msg_iov[i].iov_len, sizeof(asked.path) - 1 - n);

		if (len != 0)
			memcpy(asked.path + n, msg->msg_iov[i].iov_base, len);
		n += len;
		if (i == 1 && asked.req.op != GOFER_WALK)
			break;
		if (i == 1 && n != 0)
			asked.path[n++] = '/';
	}
	asked.path[n] = '\0';
	asked.pending = true;
	return (int64_t)sizeof(asked.req);
}

static size_t put_record(size_t at, const char *name, uint32_t mode, const char *target)
{
	struct gofer_record r = {.dev = 1, .ino = 100 + at, .mode = mode, .nlink = 1, .size = 4096, .blocks = 8};
	size_t name_len = strlen(name), target_len = strlen(target);

	r.name_len = (uint16_t)name_len;
	r.target_len = (uint16_t)target_len;
	if (at + GOFER_RECORD_SIZE(name_len, target_len) > sizeof(body))
		return at;
	memset(body + at, 0, GOFER_RECORD_SIZE(name_len, target_len));
	memcpy(body + at, &r, sizeof(r));
	memcpy(body + at + sizeof(r), name, name_len);
	memcpy(body + at + sizeof(r) + name_len, target, target_len);
	return at + GOFER_RECORD_SIZE(name_len, target_len);
}

/* A record of the right form with some fields from the input. */
static size_t hostile_record(size_t at)
{
	static const uint32_t types[] = {LINUX_S_IFREG, LINUX_S_IFDIR, LINUX_S_IFLNK,  LINUX_S_IFREG,
					 LINUX_S_IFDIR, LINUX_S_IFIFO, LINUX_S_IFSOCK, 0};
	uint8_t b = fuzz_u8(&input), name = fuzz_u8(&input);
	size_t end = put_record(at, words[name & 15], types[b & 7] | 0755, (b & 7) == 2 ? words[name >> 4] : "");
	struct gofer_record r;

	if (end == at || !(b & 8))
		return end;
	memcpy(&r, body + at, sizeof(r));
	r.size = fuzz_u64(&input);
	r.blocks = r.size >> 3;
	if (b & 16)
		r.nlink = fuzz_u32(&input);
	if (b & 32)
		r.ino = fuzz_u8(&input);
	if (b & 64) {
		r.atime_nsec = r.mtime_nsec = fuzz_u32(&input);
		r.mtime_sec = r.btime_sec = (int64_t)fuzz_u64(&input);
		r.mode = fuzz_u32(&input);
	}
	if (b & 128) {
		r.name_len = fuzz_u16(&input);
		r.target_len = fuzz_u16(&input);
		r.flags = fuzz_u32(&input);
	}
	memcpy(body + at, &r, sizeof(r));
	return end;
}

/* Contents whose bytes, where they are said to be shared, may be claimed to lie anywhere. */
static size_t hostile_contents(void)
{
	size_t len = 0;

	for (unsigned n = fuzz_u8(&input) & 7; n > 0; n--) {
		uint8_t b = fuzz_u8(&input);
		struct gofer_content c = {.rec = {.dev = 1, .ino = fuzz_u8(&input), .mode = LINUX_S_IFREG | 0644, .size = 4096}};
		size_t behind;

		c.rec.flags = (b & 1 ? GOFER_SHARED : 0) | (b & 2 ? GOFER_NO_CONTENT | GOFER_WITH_FD : 0);
		c.index = b >> 6;
		c.len = b & 4 ? fuzz_u32(&input) : fuzz_u8(&input);
		c.at = b & 8 ? fuzz_u32(&input) : b & 16 ? GOFER_SHARE_SIZE - c.len : fuzz_u16(&input);
		if (b & 32)
			c.rec.mode = fuzz_u32(&input);
		behind = (b & 1) ? 0 : c.len & 0xfff;
		memset(body + len, 'c', GOFER_CONTENT_SIZE(behind));
		memcpy(body + len, &c, sizeof(c));
		len += GOFER_CONTENT_SIZE(behind);
	}
	return len;
}

static bool is_own_directory(void)
{
	return strchr(asked.path, '/') == NULL && (asked.req.op == GOFER_LOOKUP || asked.req.op == GOFER_WALK);
}

static size_t make_body(struct gofer_reply *r, uint8_t kind)
{
	size_t len = 0;

	if (is_own_directory()) {
		r->count = 1;
		return put_record(0, asked.path, LINUX_S_IFDIR | 0755, "");
	}
	if (asked.req.op == GOFER_WALK && (kind & 3) != 1) {
		char *first = asked.path[0] == 'n' ? asked.path : NULL,
		     *slash = first != NULL ? strchr(first, '/') : NULL;

		if (slash != NULL) {
			*slash = '\0';
			len = put_record(0, first, LINUX_S_IFDIR | 0755, "");
			r->count = 1;
		}
	}
	if (asked.req.op == GOFER_SHARE)
		return 0;
	if (asked.req.op == GOFER_READ && (kind & 3) == 3) {
		r->flags = GOFER_REPLY_CONTENT | (kind & 4 ? GOFER_REPLY_MORE : 0);
		return hostile_contents();
	}
	switch (kind & 3) {
	case 1:
		len = fuzz_u16(&input) % sizeof(body);
		fuzz_bytes(&input, body, len);
		r->count = fuzz_u8(&input);
		break;
	case 2:
		r->err = -(int32_t)(fuzz_u8(&input) & 127);
		if (kind & 4)
			r->err = (int32_t)fuzz_u32(&input);
		break;
	default:
		for (unsigned n = fuzz_u8(&input) & 7; n > 0; n--, r->count++)
			len = hostile_record(len);
		break;
	}
	if (kind & 8)
		r->count = fuzz_u32(&input);
	if ((kind & 0x30) == 0x30)
		r->flags = fuzz_u8(&input);
	return len;
}

static void attach(struct msghdr *msg, int fd)
{
	struct cmsghdr *cm = msg->msg_control;

	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FUZZ_CHECK(fd >= 0 && msg->msg_controllen >= CMSG_LEN(sizeof(int)));
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cm), &fd, sizeof(fd));
	msg->msg_controllen = CMSG_SPACE(sizeof(int));
}

static int64_t on_recv(int fd, struct msghdr *msg, int flags)
{
	struct gofer_reply r = {.id = asked.req.id};
	uint8_t kind;
	size_t len;

	(void)fd;
	(void)flags;
	msg->msg_flags = 0;
	if (!asked.pending || (!fuzz_more(&input) && !is_own_directory() && asked.req.op != GOFER_SHARE)) {
		msg->msg_controllen = 0;
		return 0; /* it is gone */
	}
	kind = is_own_directory() || asked.req.op == GOFER_SHARE ? 0 : fuzz_u8(&input);
	if (kind == 0xff)
		r.id = fuzz_u32(&input);
	len = make_body(&r, kind);
	if (asked.req.op == GOFER_SHARE)
		attach(msg, shared_file);
	else if ((kind & 0xc0) == 0x40 || asked.req.op == GOFER_OPEN || asked.req.op == GOFER_CREATE)
		attach(msg, (kind & 0xc0) == 0xc0 ? some_dir : some_file);
	else
		msg->msg_controllen = 0;
	if (kind == 0xfe)
		msg->msg_flags = MSG_TRUNC;
	if (!(r.flags & GOFER_REPLY_MORE) && kind != 0xff)
		asked.pending = false;
	len = MIN(len, msg->msg_iov[0].iov_len - sizeof(r));
	memcpy(msg->msg_iov[0].iov_base, &r, sizeof(r));
	memcpy((uint8_t *)msg->msg_iov[0].iov_base + sizeof(r), body, len);
	return (int64_t)(sizeof(r) + len);
}

static int on_poll(int64_t timeout)
{
	(void)timeout;
	return 1;
}

/* ---- what the guest does ---- */

static char *path_of(char *out, size_t size, const char *top)
{
	uint8_t b = fuzz_u8(&input);

	snprintf(out, size, "%s/%s%s%s", top, words[b & 15], (b & 0x80) ? "/" : "",
		 (b & 0x80) ? words[b >> 4 & 7] : "");
	return out;
}

static bool add_name(struct dir_emit *emit, const char *name, size_t len, uint64_t ino, uint32_t type, int64_t off)
{
	(void)emit;
	(void)ino;
	(void)type;
	(void)off;
	FUZZ_CHECK(len > 0 && len < 256 && memchr(name, '/', len) == NULL && strnlen(name, len) == len);
	return true;
}

static void open_and_use(const char *path, uint32_t flags, uint8_t how)
{
	struct dir_emit emit = {.add = add_name};
	struct file *file;
	char buf[256];
	struct iobuf io;

	if (vfs_open(boot, LINUX_AT_FDCWD, path, flags | LINUX_O_NONBLOCK, 0644, 0, &file) != 0)
		return;
	if (how & 1)
		(void)!vfs_iterate(boot, file, &emit);
	if (how & 2)
		(void)vfs_read_mem(boot, file, buf, sizeof(buf), how & 4 ? INT64_MAX - 100 : how);
	if ((how & 8) && (flags & LINUX_O_ACCMODE) != 0) {
		iobuf_init_mem(&io, buf, sizeof(buf));
		memset(buf, 'x', sizeof(buf));
		(void)vfs_write(boot, file, &io, NULL);
	}
	if (how & 16)
		(void)!vfs_ftruncate(boot, file, how * 100);
	if (how & 32)
		(void)vfs_llseek(boot, file, 0, 3 /* SEEK_DATA */);
	file_put(file);
}

static void with_path(const char *name, uint8_t op)
{
	struct path path;
	struct kstat st;
	char value[64], *target;

	if (vfs_lookup(boot, LINUX_AT_FDCWD, name, (op & 0x40) ? LOOKUP_FOLLOW : 0, &path) != 0)
		return;
	switch (op >> 4 & 3) {
	case 0:
		(void)!vfs_getattr(boot, path.dentry->inode, &path, &st);
		break;
	case 1:
		if (vfs_readlink(boot, &path, &target) == 0) {
			FUZZ_CHECK(strlen(target) <= GOFER_TARGET_MAX);
			kfree(target);
		}
		break;
	case 2:
		(void)vfs_getxattr(boot, &path, "user.x", value, sizeof(value));
		(void)vfs_listxattr(boot, &path, value, sizeof(value));
		break;
	default: {
		struct iattr attr = {.valid = ATTR_MODE, .mode = 0600};

		(void)!vfs_setattr(boot, &path, path.dentry->inode, &attr);
		(void)!vfs_setxattr(boot, &path, "user.x", "v", 1, 0);
		break;
	}
	}
	path_put(&path);
}

static uint8_t copied[GOFER_CONTENT_MAX];

static void take(void *arg, const uint8_t *data, size_t len, const uint8_t *shared, int *fd)
{
	const struct gofer_content *c;
	const uint8_t *bytes;
	size_t pos = 0;

	(void)arg;
	(void)fd;
	while ((c = gofer_content_next(data, len, shared, &pos, &bytes)) != NULL) {
		FUZZ_CHECK(c->len <= sizeof(copied) && c->rec.name_len == 0);
		memcpy(copied, bytes, c->len);
	}
}

static void read_past_it(void)
{
	struct gofer_request req = {.op = GOFER_READ, .flags = GOFER_READ_SHARED};
	struct gofer_answer a;

	if (gofer_call_take(NULL, tree, &req, "", "x", 1, take, NULL, &a) == 0)
		gofer_answer_done(&a);
}

static void act(const char *top)
{
	uint8_t op = fuzz_u8(&input);
	char a[128], b[128];

	path_of(a, sizeof(a), top);
	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		open_and_use(a, LINUX_O_RDONLY, fuzz_u8(&input));
		break;
	case 3:
		open_and_use(a, LINUX_O_RDWR | LINUX_O_CREAT, fuzz_u8(&input));
		break;
	case 4:
		open_and_use(a, LINUX_O_WRONLY | LINUX_O_TRUNC, fuzz_u8(&input));
		break;
	case 5:
		(void)!vfs_unlink(boot, LINUX_AT_FDCWD, a);
		break;
	case 6:
		(void)!vfs_rmdir(boot, LINUX_AT_FDCWD, a);
		break;
	case 7:
		(void)!vfs_mkdir(boot, LINUX_AT_FDCWD, a, 0755);
		break;
	case 8:
		(void)!vfs_symlink(boot, words[op >> 4], LINUX_AT_FDCWD, a);
		break;
	case 9:
		(void)!vfs_rename(boot, LINUX_AT_FDCWD, a, LINUX_AT_FDCWD, path_of(b, sizeof(b), top), (op >> 4) & 3);
		break;
	case 10:
		read_past_it();
		break;
	default:
		with_path(a, op);
		break;
	}
}

static void init(void)
{
	struct memfs_options o = {.fs_type = "overlay", .mode = 0755};
	struct superblock *sb;
	struct path where;
	int err;

	kernel.disk_limit = 64 * MiB;
	some_file = memfd_create("lower", 0);
	some_dir = open("/", O_PATH | O_DIRECTORY);
	FUZZ_CHECK(some_file >= 0 && some_dir >= 0 && ftruncate(some_file, 5000) == 0);
	fuzz_host.sendmsg = on_send;
	fuzz_host.recvmsg = on_recv;
	fuzz_host.poll = on_poll;
	FUZZ_CHECK(gofer_client_start(-1) == 0);
	o.lower = tree = lower_tree_new(0);
	shared_file = memfd_create("shared", MFD_ALLOW_SEALING);
	FUZZ_CHECK(shared_file >= 0 && ftruncate(shared_file, GOFER_SHARE_SIZE) == 0);
	FUZZ_CHECK(memfs_mount_root(&o, 0, "none", "") == 0);
	FUZZ_CHECK(memfs_make_path(boot, "/bind", false, &where) == 0);
	sb = bindfs_new_superblock(boot, lower_tree_new(1), &err);
	FUZZ_CHECK(sb != NULL && vfs_mount(sb, sb->root, &where, 0, "none", "") == 0);
	path_put(&where);
}

static void run(const uint8_t *data, size_t size)
{
	static unsigned runs;
	static uint64_t least = UINT64_MAX;
	char top[32];
	uint8_t b;

	input = (struct fuzz_input){data, data + size};
	FUZZ_CHECK(gofer_client_start(-1) == 0);
	b = fuzz_u8(&input);
	snprintf(top, sizeof(top), "%s/n%u", (b & 1) ? "/bind" : "", ++runs % DIRS);
	for (unsigned i = 0; fuzz_more(&input) && i < 32; i++)
		act(top);
	asked.pending = false;
	if (runs % DIRS != 0)
		return;
	dentry_trim();
	least = MIN(least, alloc_total());
	if (runs > 64 * DIRS)
		FUZZ_CHECK(alloc_total() < least + 512 * MiB);
}

const struct fuzz_target fuzz_lower = {.name = "lower", .init = init, .run = run};
