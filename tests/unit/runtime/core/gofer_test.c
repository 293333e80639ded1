/* SPDX-License-Identifier: Apache-2.0 */
/* What a sentry that was taken over may try on the gofer: requests made by hand, each with the one answer it may get. */
#include "runtime/core/gofer.h"
#include "runtime/core/gofer_protocol.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char dir[64];
static int sock;
static pid_t child;
static const char *also_hidden; /* besides "/hidden" */

static void clean(void)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (dir[0] != '\0' && system(cmd) != 0)
		fprintf(stderr, "%s was left behind\n", dir);
}

/* A gofer for the directories as they are. */
static void serve(void)
{
	static const struct idmap_range uids[] = {{0, 50000, 10}}, gids[] = {{0, 60000, 10}};
	static struct gofer_root roots[4];
	char path[96];
	int pair[2];

	snprintf(path, sizeof(path), "%s/ro", dir);
	gofer_root_init(&roots[0], open(path, O_PATH | O_CLOEXEC), false);
	cr_assert_eq(gofer_root_hide(&roots[0], "/hidden"), 0);
	if (also_hidden != NULL)
		cr_assert_eq(gofer_root_hide(&roots[0], also_hidden), 0);
	snprintf(path, sizeof(path), "%s/rw", dir);
	gofer_root_init(&roots[1], open(path, O_PATH | O_CLOEXEC), true);
	roots[2].fd = -1;
	snprintf(path, sizeof(path), "%s/mapped", dir);
	gofer_root_init(&roots[3], open(path, O_PATH | O_CLOEXEC), true);
	roots[3].ids = (struct idmaps){{uids, 1}, {gids, 1}};
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	gofer_share_init();
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		_exit(gofer_serve(pair[1], roots, 4) == 0 ? 0 : 1);
	}
	close(pair[1]);
	close(roots[0].fd);
	close(roots[1].fd);
	close(roots[3].fd);
	sock = pair[0];
}

static void start(void)
{
	char cmd[512];

	clean();
	snprintf(dir, sizeof(dir), "/tmp/sbx-gofer-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	atexit(clean);
	snprintf(cmd, sizeof(cmd),
		 "cd %s && mkdir -p ro/d rw/d secret && echo inside >ro/d/f && echo inside >rw/d/f && echo secret >secret/f && "
		 "ln -s ../secret ro/out && ln -s ../secret rw/out && ln -s /etc/passwd rw/abs && mkfifo ro/fifo && "
		 "ln -s ../../secret/f rw/d/file-link && mkdir ro/hidden && echo h >ro/hidden/f && ln ro/hidden/f ro/other && mkdir mapped",
		 dir);
	cr_assert_eq(system(cmd), 0);
	serve();
}

/* Sends a request; the reply's err, 1 if the gofer ended, and the number of records in *count. A descriptor is put into *fd. */
static int ask_raw(struct gofer_request *q, const void *path, size_t path_len, const void *arg, size_t arg_len, int *fd)
{
	static uint8_t message[200000];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct gofer_reply reply;
	struct iovec iov = {message, sizeof(message)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *cm;
	ssize_t n;

	memcpy(message, q, sizeof(*q));
	memcpy(message + sizeof(*q), path, path_len);
	if (arg_len != 0)
		memcpy(message + sizeof(*q) + path_len, arg, arg_len);
	if (send(sock, message, sizeof(*q) + path_len + arg_len, MSG_NOSIGNAL) < 0)
		return 1;
	do {
		msg.msg_controllen = sizeof(control);
		n = recvmsg(sock, &msg, 0);
		if (n <= 0)
			return 1;
		memcpy(&reply, message, sizeof(reply));
		for (cm = CMSG_FIRSTHDR(&msg); cm != NULL; cm = CMSG_NXTHDR(&msg, cm)) {
			int got;

			memcpy(&got, CMSG_DATA(cm), sizeof(got));
			if (fd != NULL)
				*fd = got;
			else
				close(got);
		}
	} while (reply.flags & GOFER_REPLY_MORE);
	return reply.err;
}

static int ask(int op, int root, const char *path, const char *arg)
{
	struct gofer_request q = {.op = (uint16_t)op, .root = (uint16_t)root, .mode = S_IFIFO | 0644, .valid = GOFER_ATTR_MODE};

	q.path_len = (uint32_t)strlen(path);
	q.arg_len = (uint32_t)strlen(arg);
	return ask_raw(&q, path, strlen(path), arg, strlen(arg), NULL);
}

TestSuite(gofer, .init = start);

Test(gofer, links_are_not_followed)
{
	cr_assert_eq(ask(GOFER_LOOKUP, 0, "out", ""), 0); /* the link itself may be seen */
	cr_assert_eq(ask(GOFER_LOOKUP, 0, "out/f", ""), -ENOTDIR);
	cr_assert_eq(ask(GOFER_LIST, 0, "out", ""), -ENOTDIR);
	cr_assert_eq(ask(GOFER_OPEN, 0, "out/f", ""), -ENOTDIR);
	cr_assert_eq(ask(GOFER_OPEN, 1, "abs", ""), -EINVAL);
	cr_assert_eq(ask(GOFER_OPEN, 1, "d/file-link", ""), -EINVAL);
	cr_assert_eq(ask(GOFER_XATTRS, 1, "out/f", ""), -ENOTDIR);
	cr_assert_eq(ask(GOFER_WALK, 0, "", "out/f"), 0); /* one record, the link's */
	cr_assert_eq(ask(GOFER_WALK, 0, "out", "f"), -ENOTDIR);
	cr_assert_eq(ask(GOFER_MKDIR, 1, "out/new", ""), -ENOTDIR);
	cr_assert_eq(ask(GOFER_UNLINK, 1, "out/f", ""), -ENOTDIR);
	cr_assert_eq(ask(GOFER_RENAME, 1, "out/f", "d/mine"), -ENOTDIR);
	cr_assert_eq(ask(GOFER_RENAME, 1, "d/f", "out/f"), -ENOTDIR);
	cr_assert_eq(ask(GOFER_LINK, 1, "out/f", "d/mine"), -ENOTDIR);
	cr_assert_eq(ask(GOFER_SETATTR, 1, "out/f", ""), -ENOTDIR);
	cr_assert_eq(ask(GOFER_SETATTR, 1, "out", ""), -EOPNOTSUPP);
	cr_assert_eq(ask(GOFER_CREATE, 1, "abs", ""), -EEXIST);
	/* a hard link of a link is a link: nothing is reached by it */
	cr_assert_eq(ask(GOFER_LINK, 1, "abs", "d/abs2"), 0);
	cr_assert_eq(ask(GOFER_OPEN, 1, "d/abs2", ""), -EINVAL);
}

Test(gofer, read_only_roots_are_read_only)
{
	struct gofer_request q = {.op = GOFER_OPEN, .flags = GOFER_OPEN_WRITE, .path_len = 3};
	int fd = -1;

	for (int op = GOFER_WRITING; op < GOFER_OPS; op++)
		cr_assert_eq(ask(op, 0, "d/f", "x"), -EROFS, "operation %d", op);
	cr_assert_eq(ask_raw(&q, "d/f", 3, NULL, 0, NULL), -EROFS);
	q.flags = 0;
	cr_assert_eq(ask_raw(&q, "d/f", 3, NULL, 0, &fd), 0);
	cr_assert_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
}

Test(gofer, only_regular_files_are_opened)
{
	cr_assert_eq(ask(GOFER_OPEN, 0, "fifo", ""), -EINVAL);
	cr_assert_eq(ask(GOFER_OPEN, 0, "d", ""), -EINVAL);
	cr_assert_eq(ask(GOFER_OPEN, 0, "", ""), -EISDIR);
	cr_assert_eq(ask(GOFER_MKNOD, 1, "p", ""), 0);
	cr_assert_eq(ask(GOFER_OPEN, 1, "p", ""), -EINVAL);
}

Test(gofer, hidden_files_are_not_there)
{
	cr_assert_eq(ask(GOFER_LOOKUP, 0, "hidden", ""), -ENOENT);
	cr_assert_eq(ask(GOFER_LOOKUP, 0, "hidden/f", ""), -ENOENT);
	cr_assert_eq(ask(GOFER_OPEN, 0, "hidden/f", ""), -ENOENT);
	cr_assert_eq(ask(GOFER_LIST, 0, "hidden", ""), -ENOENT);
	cr_assert_eq(ask(GOFER_WALK, 0, "hidden", "f"), -ENOENT);
	cr_assert_eq(ask(GOFER_WALK, 0, "", "hidden/f"), 0); /* absent: no record */
	cr_assert_eq(ask(GOFER_XATTRS, 0, "hidden", ""), -ENOENT);
}

static const char *shared; /* what contents may lie in, once the gofer was asked for it */
static unsigned in_shared;  /* how many of the last did */

/* Contents that a READ of these paths gives: each file's, one behind the other; of those behind the first at most size bytes. */
static const char *contents_of(const char *paths, uint64_t size)
{
	static uint8_t message[GOFER_MESSAGE_MAX];
	static char text[2 * GOFER_SHARE_SIZE];
	struct gofer_request q = {.op = GOFER_READ, .flags = shared != NULL ? GOFER_READ_SHARED : 0, .arg_len = (uint32_t)strlen(paths),
				  .size = size};
	struct gofer_reply reply = {.flags = GOFER_REPLY_MORE};
	size_t used = 0;

	in_shared = 0;
	memcpy(message, &q, sizeof(q));
	memcpy(message + sizeof(q), paths, q.arg_len);
	cr_assert_eq(send(sock, message, sizeof(q) + q.arg_len, 0), (ssize_t)(sizeof(q) + q.arg_len));
	while (reply.flags & GOFER_REPLY_MORE) {
		ssize_t n = recv(sock, message, sizeof(message), 0);

		cr_assert_geq(n, (ssize_t)sizeof(reply));
		memcpy(&reply, message, sizeof(reply));
		cr_assert_eq(reply.err, 0);
		for (size_t pos = sizeof(reply); pos < (size_t)n;) {
			struct gofer_content c;

			memcpy(&c, message + pos, sizeof(c));
			cr_assert_lt(used + c.len, sizeof(text));
			if (c.rec.flags & GOFER_SHARED) {
				cr_assert(shared != NULL && c.len != 0 && (uint64_t)c.at + c.len <= GOFER_SHARE_SIZE);
				memcpy(text + used, shared + c.at, c.len);
				used += c.len;
				pos += GOFER_CONTENT_SIZE(0);
				in_shared++;
				continue;
			}
			cr_assert_leq(pos + GOFER_CONTENT_SIZE(c.len), (size_t)n);
			memcpy(text + used, message + pos + sizeof(c), c.len);
			used += c.len;
			pos += GOFER_CONTENT_SIZE(c.len);
		}
	}
	text[used] = '\0';
	return text;
}

static const char *contents(const char *paths)
{
	return contents_of(paths, 1000);
}

Test(gofer, contents_are_those_of_files_that_may_be_opened)
{
	cr_assert_str_eq(contents_of("d/f//d/f//d/f", 7), "inside\ninside\n");
	cr_assert_str_eq(contents_of("d/f//d/f//d/f", 6), "inside\n");

	cr_assert_str_eq(contents("d/f"), "inside\n");
	cr_assert_str_eq(contents("d/f//d/f"), "inside\ninside\n");
	cr_assert_str_eq(contents("nothing//d//fifo//out/f//out//hidden/f//d/f"), "inside\n");
	cr_assert_eq(ask(GOFER_READ, 0, "", "d/f//../secret/f"), -EINVAL);
	cr_assert_eq(ask(GOFER_READ, 0, "", "/etc/passwd"), -EINVAL);
	cr_assert_eq(ask(GOFER_READ, 0, "", "d/./f"), -EINVAL);
	cr_assert_eq(ask(GOFER_READ, 0, "", "d/f//"), -EINVAL);
	cr_assert_eq(ask(GOFER_READ, 0, "", ""), -EINVAL);
}

Test(gofer, contents_lie_in_shared_memory_if_that_was_asked_for)
{
	struct gofer_request q = {.op = GOFER_SHARE};
	static char paths[8192];
	const char *text;
	char cmd[256];
	struct stat st;
	int fd = -1;

	cr_assert_eq(ask_raw(&q, "", 0, NULL, 0, &fd), 0);
	cr_assert_eq(ask_raw(&q, "", 0, NULL, 0, NULL), -ENOSYS, "it is given once");
	cr_assert(fstat(fd, &st) == 0 && st.st_size == GOFER_SHARE_SIZE);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	cr_assert_lt(ftruncate(fd, 4096), 0);
	cr_assert_str_eq(contents("d/f//d/f"), "inside\ninside\n");
	cr_assert_eq(in_shared, 0, "not asked for");
	shared = mmap(NULL, GOFER_SHARE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	cr_assert_neq(shared, MAP_FAILED);

	cr_assert_str_eq(contents("d/f//d/f"), "inside\ninside\n");
	cr_assert_eq(in_shared, 2);
	cr_assert_str_eq(contents("nothing//d//fifo//out/f//out//hidden/f//d/f"), "inside\n");
	cr_assert_eq(in_shared, 1);
	cr_assert_str_eq(contents_of("d/f//d/f//d/f", 6), "inside\n");
	cr_assert_eq(ask(GOFER_READ, 0, "", "d/f//../secret/f"), -EINVAL);

	/* More than fits: the rest comes behind the structures. */
	snprintf(cmd, sizeof(cmd), "cd %s/ro/d && for i in 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29; do "
		 "head -c 60000 /dev/zero | tr '\\0' \"$(printf '\\\\%%o' $((i + 38)))\" >big$i; done", dir);
	cr_assert_eq(system(cmd), 0);
	for (int i = 10; i < 30; i++)
		sprintf(paths + strlen(paths), "%sd/big%d", i > 10 ? "//" : "", i);
	text = contents_of(paths, 4 * GOFER_SHARE_SIZE);
	cr_assert_eq(strlen(text), 20 * 60000UL);
	cr_assert_eq(in_shared, GOFER_SHARE_SIZE / 60000);
	for (size_t i = 0; i < 20 * 60000UL; i++)
		cr_assert_eq(text[i], (char)(48 + i / 60000), "byte %zu", i);
}

/* For each message that a READ of these paths gives: "index:size", "d" behind it if the descriptor is said to be its, and "=" behind that
 * if it is, of the file with this size; then "+" if the message has a descriptor. */
static const char *descriptors(const char *paths, uint32_t flags)
{
	static uint8_t message[GOFER_MESSAGE_MAX];
	static char text[4096];
	struct gofer_request q = {.op = GOFER_READ, .flags = flags, .arg_len = (uint32_t)strlen(paths), .size = 1000};
	struct gofer_reply reply = {.flags = GOFER_REPLY_MORE};
	size_t used = 0;

	memcpy(message, &q, sizeof(q));
	memcpy(message + sizeof(q), paths, q.arg_len);
	cr_assert_gt(send(sock, message, sizeof(q) + q.arg_len, 0), 0);
	while (reply.flags & GOFER_REPLY_MORE) {
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(4 * sizeof(int))];
		} control;
		struct iovec iov = {message, sizeof(message)};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(sock, &msg, 0);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
		struct stat st = {0};
		int fd = -1;

		cr_assert_geq(n, (ssize_t)sizeof(reply));
		memcpy(&reply, message, sizeof(reply));
		cr_assert_eq(reply.err, 0);
		if (cm != NULL) {
			cr_assert_eq(cm->cmsg_len, CMSG_LEN(sizeof(int)), "one in a message");
			memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
			cr_assert_eq(fstat(fd, &st), 0);
			cr_assert_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
			close(fd);
		}
		for (size_t pos = sizeof(reply); pos < (size_t)n;) {
			struct gofer_content c;

			memcpy(&c, message + pos, sizeof(c));
			used += (size_t)sprintf(text + used, "%u:%u%s%s ", c.index, (unsigned)c.rec.size, (c.rec.flags & GOFER_WITH_FD) ? "d" : "",
						(c.rec.flags & GOFER_WITH_FD) && st.st_ino == c.rec.ino && st.st_size == (off_t)c.rec.size ? "=" : "");
			pos += GOFER_CONTENT_SIZE(c.len);
		}
		if (fd >= 0)
			used += (size_t)sprintf(text + used, "+ ");
	}
	text[used] = '\0';
	return text;
}

Test(gofer, descriptors_of_large_files_come_ahead_if_that_was_asked_for)
{
	char cmd[256], many[128] = "d/f";

	snprintf(cmd, sizeof(cmd), "cd %s/ro/d && truncate -s 100001 l1 && truncate -s 100002 l2 && truncate -s 100003 ../hidden/l && ln -s l1 s", dir);
	cr_assert_eq(system(cmd), 0);
	cr_assert_str_eq(descriptors("d/f//d/l1//d/l2", 0), "0:7 1:100001 2:100002 ");
	cr_assert_str_eq(descriptors("d/f//d/l1//d/l2", GOFER_READ_FDS), "0:7 1:100001d= + 2:100002d= + ");
	cr_assert_str_eq(descriptors("d/l1//d/f//d/l2", GOFER_READ_FDS), "0:100001 1:7 + 2:100002d= + ");
	cr_assert_str_eq(descriptors("d/l1//d/l2//d/f", GOFER_READ_FDS), "0:100001 + 1:100002d= + 2:7 ");
	cr_assert_str_eq(descriptors("d/f//hidden/l//d/s//fifo//d//out/f//d/l1", GOFER_READ_FDS), "0:7 6:100001d= + ");
	for (int i = 0; i < 10; i++)
		strcat(many, "//d/l1");
	cr_assert_str_eq(descriptors(many, GOFER_READ_FDS),
			 "0:7 1:100001d= + 2:100001d= + 3:100001d= + 4:100001d= + 5:100001d= + 6:100001d= + 7:100001d= + 8:100001d= + 9:100001 10:100001 ");
}

/* The records that a request gives, as "name:type:flags:size " each, in the answer's order. */
static int records_root;

static const char *records(int op, const char *path, const char *arg, uint32_t flags)
{
	static uint8_t message[GOFER_MESSAGE_MAX];
	static char text[4096];
	struct gofer_request q = {.op = (uint16_t)op, .root = (uint16_t)records_root, .flags = flags, .path_len = (uint32_t)strlen(path),
				  .arg_len = (uint32_t)strlen(arg)};
	struct gofer_reply reply;
	size_t used = 0;
	ssize_t n;

	memcpy(message, &q, sizeof(q));
	memcpy(message + sizeof(q), path, q.path_len);
	memcpy(message + sizeof(q) + q.path_len, arg, q.arg_len);
	cr_assert_gt(send(sock, message, sizeof(q) + q.path_len + q.arg_len, 0), 0);
	n = recv(sock, message, sizeof(message), 0);
	cr_assert_geq(n, (ssize_t)sizeof(reply));
	memcpy(&reply, message, sizeof(reply));
	cr_assert_eq(reply.err, 0);
	cr_assert_eq(reply.flags & GOFER_REPLY_MORE, 0);
	text[0] = '\0';
	for (size_t pos = sizeof(reply); pos < (size_t)n;) {
		struct gofer_record r;

		memcpy(&r, message + pos, sizeof(r));
		cr_assert_leq(pos + GOFER_RECORD_SIZE(r.name_len, r.target_len), (size_t)n);
		used += (size_t)sprintf(text + used, "%.*s:%c:%u:%u ", (int)r.name_len, (char *)message + pos + sizeof(r),
					S_ISREG(r.mode) ? 'f' : S_ISDIR(r.mode) ? 'd' : 'o', r.flags, S_ISREG(r.mode) ? (unsigned)r.size : 0);
		pos += GOFER_RECORD_SIZE(r.name_len, r.target_len);
	}
	return text;
}

/* The listings that come with a walk, as "path> records" each, then "= records" of its answer, and whether it has contents and a
 * descriptor. */
static const char *walked(const char *path, const char *arg, uint32_t flags)
{
	static uint8_t message[GOFER_MESSAGE_MAX] __attribute__((aligned(8)));
	static char text[16384];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct gofer_request q = {.op = GOFER_WALK, .root = (uint16_t)records_root, .flags = flags, .path_len = (uint32_t)strlen(path),
				  .arg_len = (uint32_t)strlen(arg)};
	struct gofer_reply reply;
	size_t used = 0, end;
	bool with_fd;

	memcpy(message, &q, sizeof(q));
	memcpy(message + sizeof(q), path, q.path_len);
	memcpy(message + sizeof(q) + q.path_len, arg, q.arg_len);
	cr_assert_gt(send(sock, message, sizeof(q) + q.path_len + q.arg_len, 0), 0);
	do {
		struct iovec iov = {message, sizeof(message)};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(sock, &msg, 0);
		size_t pos = sizeof(reply);
		struct gofer_dir d;

		cr_assert_geq(n, (ssize_t)sizeof(reply));
		memcpy(&reply, message, sizeof(reply));
		cr_assert_eq(reply.err, 0);
		end = (size_t)n;
		with_fd = CMSG_FIRSTHDR(&msg) != NULL;
		if (with_fd) {
			int got;

			memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
			close(got);
		}
		if (reply.flags & GOFER_REPLY_DIRS) {
			cr_assert(reply.flags & GOFER_REPLY_MORE);
			memcpy(&d, message + pos, sizeof(d));
			used += (size_t)sprintf(text + used, "%.*s> ", (int)d.path_len, (char *)message + pos + sizeof(d));
			pos += GOFER_DIR_SIZE(d.path_len);
			cr_assert_eq(pos + d.len, end, "one directory");
		} else {
			used += (size_t)sprintf(text + used, "= ");
		}
		for (uint32_t i = 0; pos < end && ((reply.flags & GOFER_REPLY_DIRS) || i < reply.count); i++) {
			struct gofer_record r;

			memcpy(&r, message + pos, sizeof(r));
			used += (size_t)sprintf(text + used, "%.*s:%u ", (int)r.name_len, (char *)message + pos + sizeof(r), r.flags);
			cr_assert_lt(used, sizeof(text) - 300);
			pos += GOFER_RECORD_SIZE(r.name_len, r.target_len);
		}
	} while (reply.flags & GOFER_REPLY_MORE);
	sprintf(text + used, "%s%s", (reply.flags & GOFER_REPLY_CONTENT) ? "content " : "", with_fd ? "descriptor" : "");
	return text;
}

Test(gofer, a_small_directory_comes_with_a_name_that_is_missing)
{
	const char *got;
	char cmd[256];

	cr_assert_str_eq(walked("", "d/nothing", 0), "= d:0 ");
	cr_assert_str_eq(walked("", "d/nothing", GOFER_WALK_LIST), "d> f:4 = d:0 ");
	cr_assert_str_eq(walked("", "d/f", GOFER_WALK_LIST), "= d:0 f:0 ");
	cr_assert_str_eq(walked("d", "f", GOFER_WALK_HERE), "d> f:4 = f:0 ");
	got = walked("", "hidden/f", GOFER_WALK_LIST);
	cr_assert_eq(strncmp(got, "> ", 2), 0);
	cr_assert_not_null(strstr(got, "d:0 "), "a directory, where some are hidden, is looked at: %s", got);
	cr_assert_not_null(strstr(got, "out:4 "), "a link, without a look at it");
	cr_assert_null(strstr(got, "hidden"));
	snprintf(cmd, sizeof(cmd), "cd %s/ro/d && for i in $(seq 1 600); do : >name-$i; done", dir);
	cr_assert_eq(system(cmd), 0);
	cr_assert_str_eq(walked("", "d/nothing", GOFER_WALK_LIST), "= d:0 ", "too large by now");
	cr_assert_str_eq(walked("d", "f", GOFER_WALK_HERE), "= f:0 ");
}

Test(gofer, a_link_comes_with_what_it_leads_to_beside_it)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "cd %s/ro/d && ln -s f l1 && ln -s l1 l2 && ln -s l2 l3 && ln -s l3 l4 && ln -s nothing n && "
		 "ln -s ../d/f up && ln -s .. parent && ln -s me me && ln -s %s/secret/f abs && ln -s ../hidden h && cd .. && ln -s hidden h && "
		 "ln -s other o", dir, dir);
	cr_assert_eq(system(cmd), 0);
	cr_assert_str_eq(walked("d", "l1", 0), "= l1:0 ");
	cr_assert_str_eq(walked("d", "l2", GOFER_WALK_LINK), "= l2:0 l1:0 f:0 ");
	cr_assert_str_eq(walked("", "d/l2", GOFER_WALK_LINK | GOFER_WALK_OPEN), "= d:0 l2:0 l1:0 f:0 content ");
	cr_assert_str_eq(walked("", "d/l4", GOFER_WALK_LINK | GOFER_WALK_OPEN), "= d:0 l4:0 l3:0 l2:0 l1:0 ");
	cr_assert_str_eq(walked("d", "n", GOFER_WALK_LINK | GOFER_WALK_LIST), "= n:0 ", "a link that leads nowhere is there");
	cr_assert_str_eq(walked("d", "up", GOFER_WALK_LINK | GOFER_WALK_OPEN), "= up:0 ");
	cr_assert_str_eq(walked("d", "parent", GOFER_WALK_LINK), "= parent:0 ");
	cr_assert_str_eq(walked("d", "abs", GOFER_WALK_LINK | GOFER_WALK_OPEN), "= abs:0 ");
	cr_assert_str_eq(walked("d", "me", GOFER_WALK_LINK), "= me:0 me:0 me:0 me:0 ");
	cr_assert_str_eq(walked("", "h", GOFER_WALK_LINK), "= h:0 ", "hidden by its path");
	/* Hidden by what it is. */
	also_hidden = "/hidden/f";
	close(sock);
	waitpid(child, NULL, 0);
	serve();
	cr_assert_str_eq(walked("", "o", GOFER_WALK_LINK | GOFER_WALK_OPEN), "= o:0 ");
}

Test(gofer, a_file_that_will_be_mapped_comes_with_contents_and_descriptor)
{
	cr_assert_str_eq(walked("d", "f", GOFER_WALK_OPEN), "= f:0 content ");
	cr_assert_str_eq(walked("d", "f", GOFER_WALK_OPEN | GOFER_WALK_FD), "= f:0 content descriptor");
	cr_assert_str_eq(walked("d", "f", GOFER_WALK_FD), "= f:0 ");
	cr_assert_str_eq(walked("", "fifo", GOFER_WALK_OPEN | GOFER_WALK_FD), "= fifo:0 ");
	cr_assert_str_eq(walked("", "out", GOFER_WALK_OPEN | GOFER_WALK_FD), "= out:0 ");
}

Test(gofer, a_bare_listing_looks_at_no_file)
{
	cr_assert_str_eq(records(GOFER_LIST, "d", "", 0), "f:f:0:7 ");
	cr_assert_str_eq(records(GOFER_LIST, "d", "", GOFER_LIST_BARE), "f:f:4:0 ");
	cr_assert_not_null(strstr(records(GOFER_LIST, "", "", GOFER_LIST_BARE), "out:o:4:0"));
	cr_assert_null(strstr(records(GOFER_LIST, "", "", GOFER_LIST_BARE), "hidden:"));
	cr_assert_not_null(strstr(records(GOFER_LIST, "", "", GOFER_LIST_BARE), "other:f:4:0"));
	/* Hidden by what it is, it isn't there under its other name either. */
	also_hidden = "/hidden/f";
	close(sock);
	waitpid(child, NULL, 0);
	serve();
	cr_assert_null(strstr(records(GOFER_LIST, "", "", GOFER_LIST_BARE), "other"));
}

Test(gofer, attributes_are_those_of_names_that_are_there)
{
	cr_assert_str_eq(records(GOFER_ATTRS, "", "d/nothing/hidden/other/fifo", 0), "d:d:0:0 other:f:0:2 fifo:o:0:0 ");
	cr_assert_str_eq(records(GOFER_ATTRS, "d", "f", GOFER_ATTRS_XATTRS), "f:f:2:7 ");
	cr_assert_eq(ask(GOFER_ATTRS, 0, "hidden", "f"), -ENOENT);
	cr_assert_eq(ask(GOFER_ATTRS, 0, "out", "f"), -ENOTDIR);
	cr_assert_eq(ask(GOFER_ATTRS, 0, "d", "../secret"), -EINVAL);
	cr_assert_eq(ask(GOFER_ATTRS, 0, "d", "f//f"), -EINVAL);
	cr_assert_eq(ask(GOFER_ATTRS, 0, "d", ""), -EINVAL);
}

Test(gofer, names_that_are_no_names_end_the_connection)
{
	static const char *const bad[] = {"..", ".", "/", "/etc", "d/../..", "d//f", "d/", "d/.", "./d", "../secret/f"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int status;

		start();
		cr_assert_eq(ask(GOFER_LOOKUP, 0, bad[i], ""), 1, "%s", bad[i]);
		cr_assert_eq(waitpid(child, &status, 0), child);
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
		clean();
	}
	start();
	cr_assert_eq(ask(GOFER_RENAME, 1, "d/f", "../secret/mine"), -EINVAL);
	cr_assert_eq(ask(GOFER_LINK, 1, "d/f", "/tmp/x"), -EINVAL);
	cr_assert_eq(ask(GOFER_WALK, 0, "", "../secret/f"), -EINVAL);
	cr_assert_eq(ask(GOFER_WALK, 0, "", "d/../../secret/f"), -EINVAL);
}

Test(gofer, lengths_are_checked)
{
	struct gofer_request q = {.op = GOFER_LOOKUP, .path_len = 1000};
	char big[70000];

	cr_assert_eq(ask_raw(&q, "d", 1, NULL, 0, NULL), 1);
	start();
	q.path_len = 1;
	q.arg_len = 0xffffffff;
	cr_assert_eq(ask_raw(&q, "d", 1, NULL, 0, NULL), 1);
	start();
	memset(big, 'a', sizeof(big));
	q.path_len = 40000;
	q.arg_len = 0;
	cr_assert_eq(ask_raw(&q, big, 40000, NULL, 0, NULL), 1);
	start();
	q.path_len = 1;
	q.arg_len = 69000;
	cr_assert_eq(ask_raw(&q, "d", 1, big, 69000, NULL), 1);
	start();
	q.arg_len = 0;
	q.op = GOFER_OPS;
	cr_assert_eq(ask_raw(&q, "d", 1, NULL, 0, NULL), 1);
	start();
	q.op = GOFER_LOOKUP;
	q.root = 2;
	cr_assert_eq(ask_raw(&q, "d", 1, NULL, 0, NULL), 1);
	start();
	q.root = 99;
	cr_assert_eq(ask_raw(&q, "d", 1, NULL, 0, NULL), 1);
	start();
	cr_assert_eq(send(sock, "x", 1, 0), 1);
	cr_assert_leq(recv(sock, big, sizeof(big), 0), 0);
}

Test(gofer, deep_paths_are_opened_in_pieces)
{
	char path[20000] = "", name[201];
	size_t len = 0;

	memset(name, 'n', 200);
	name[200] = '\0';
	for (int i = 0; i < 90; i++) {
		len += (size_t)snprintf(path + len, sizeof(path) - len, "%s%s", i != 0 ? "/" : "", name);
		cr_assert_eq(ask(GOFER_MKDIR, 1, path, ""), 0, "level %d", i);
	}
	cr_assert_eq(ask(GOFER_LIST, 1, path, ""), 0);
	for (int i = 90; i > 0; i--) {
		cr_assert_eq(ask(GOFER_RMDIR, 1, path, ""), 0);
		len = i > 1 ? len - 201 : 0;
		path[len] = '\0';
	}
}

static uint32_t rnd(uint32_t below)
{
	static uint32_t seed = 12345;

	seed = seed * 1664525U + 1013904223U;
	return (seed >> 8) % below;
}

/*
 * Random bytes and random fields around valid ones: it answers or ends the connection, and nothing outside changes. Another
 * gofer takes over then; the directories are made anew only now and then, which takes far longer.
 */
Test(gofer, random_requests)
{
	static const char *const names[] = {"d", "f", "out", "abs", "file-link", "new", "fifo", "x", "hidden", "other"};
	char cmd[160];

	for (int i = 0, ended = 0; i < 20000; i++) {
		char path[64], arg[64];
		struct gofer_request q;

		memset(&q, 0, sizeof(q));
		for (size_t j = 0; rnd(3) == 0 && j < sizeof(q); j++)
			((uint8_t *)&q)[j] = (uint8_t)rnd(256);
		q.op = (uint16_t)(1 + rnd(GOFER_OPS - 1));
		q.root = (uint16_t)rnd(2);
		if (q.op == GOFER_SETATTR)
			q.uid = q.gid = getuid(), q.valid &= ~(GOFER_ATTR_UID | GOFER_ATTR_GID), q.size %= 1000000;
		q.mode = rnd(07777) | S_IFIFO;
		snprintf(path, sizeof(path), "%s/%s", names[rnd(10)], names[rnd(10)]);
		snprintf(arg, sizeof(arg), "%s%s%s", names[rnd(10)], rnd(2) ? "/" : "", names[rnd(10)]);
		q.path_len = (uint32_t)strlen(path) - rnd(2);
		q.arg_len = (uint32_t)strlen(arg);
		if (ask_raw(&q, path, q.path_len, arg, q.arg_len, NULL) == 1) {
			close(sock);
			waitpid(child, NULL, 0);
			if (++ended % 100 == 0)
				start();
			else
				serve();
		}
	}
	snprintf(cmd, sizeof(cmd), "cd %s && [ $(cat secret/f) = secret ] && [ $(ls secret) = f ] && [ $(cat ro/d/f) = inside ]", dir);
	cr_assert_eq(system(cmd), 0);
}

/* ---- a root with maps of ids: 0 to 9 inside are 50000 and 60000 on the host. Only root can make such files. ---- */

static struct gofer_record record; /* the last one */

static void shell(const char *script)
{
	char cmd[1024];

	snprintf(cmd, sizeof(cmd), "cd %s/mapped && %s", dir, script);
	cr_assert_eq(system(cmd), 0, "%s", script);
}

static bool have_root(void)
{
	if (geteuid() != 0)
		cr_skip_test("only root makes files of others");
	shell("echo m >mine && chown 50003:60004 mine && chmod 600 mine && echo t >theirs && chmod 644 theirs && echo s >secret && "
	      "chmod 600 secret && mkdir shut open sticky && chmod 700 shut && echo x >shut/f && chmod 644 shut/f && chmod 777 open && chmod 1777 sticky && "
	      "echo x >sticky/f && mkdir group && chown 0:60000 group && chmod 2775 group && mkdir in && chown 50000:60000 in && echo w >in/all && "
	      "chmod 666 in/all && chown 50000:60000 . && echo h >half && chown 50001:0 half && chmod 400 half");
	return true;
}

static int ask_as(int op, const char *path, const char *arg, uint32_t valid, uint32_t uid, uint32_t gid)
{
	struct gofer_request q = {.op = (uint16_t)op, .root = 3, .mode = op == GOFER_MKNOD ? S_IFIFO | 0644 : 0644, .valid = valid, .uid = uid, .gid = gid};

	q.path_len = (uint32_t)strlen(path);
	q.arg_len = (uint32_t)strlen(arg);
	return ask_raw(&q, path, strlen(path), arg, strlen(arg), NULL);
}

/* uid:gid as it is on the host; 0: there is no such file. */
static uint64_t owner_of(const char *name)
{
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/mapped/%s", dir, name);
	return lstat(path, &st) == 0 ? ((uint64_t)st.st_uid << 32 | st.st_gid) : 1;
}

#define OWNER(uid, gid) ((uint64_t)(uid) << 32 | (gid))
#define BOTH (GOFER_ATTR_UID | GOFER_ATTR_GID)

static void look(const char *name)
{
	struct gofer_request q = {.op = GOFER_LOOKUP, .root = 3, .path_len = (uint32_t)strlen(name)};
	static uint8_t message[4096];
	ssize_t n;

	memcpy(message, &q, sizeof(q));
	memcpy(message + sizeof(q), name, strlen(name));
	cr_assert(send(sock, message, sizeof(q) + strlen(name), MSG_NOSIGNAL) > 0);
	n = recv(sock, message, sizeof(message), 0);
	cr_assert(n >= (ssize_t)(sizeof(struct gofer_reply) + sizeof(record)), "%s", name);
	memcpy(&record, message + sizeof(struct gofer_reply), sizeof(record));
}

/* How many attributes are told of it. */
static uint32_t xattrs_of(const char *name)
{
	struct gofer_request q = {.op = GOFER_XATTRS, .root = 3, .path_len = (uint32_t)strlen(name)};
	static uint8_t message[4096];
	struct gofer_reply reply = {0};

	memcpy(message, &q, sizeof(q));
	memcpy(message + sizeof(q), name, strlen(name));
	cr_assert(send(sock, message, sizeof(q) + strlen(name), MSG_NOSIGNAL) > 0);
	cr_assert(recv(sock, message, sizeof(message), 0) >= (ssize_t)sizeof(reply));
	memcpy(&reply, message, sizeof(reply));
	cr_expect_eq(reply.err, 0);
	return reply.count;
}

static int set_xattr(const char *name)
{
	static const char arg[] = "user.k\0value";
	struct gofer_request q = {.op = GOFER_SETXATTR, .root = 3, .path_len = (uint32_t)strlen(name), .arg_len = sizeof(arg) - 1};

	return ask_raw(&q, name, strlen(name), arg, sizeof(arg) - 1, NULL);
}

Test(gofer, owners_are_told_as_ids_inside)
{
	have_root();
	look("mine");
	cr_expect(record.uid == 3 && record.gid == 4);
	look("theirs");
	cr_expect(record.uid == ID_NONE && record.gid == ID_NONE);
	look("half");
	cr_expect(record.uid == 1 && record.gid == ID_NONE);
	look("");
	cr_expect(record.uid == 0 && record.gid == 0);
}

Test(gofer, what_is_made_has_an_owner_in_the_maps)
{
	have_root();
	cr_expect_eq(ask_as(GOFER_CREATE, "new", "", BOTH, 9, 8), 0);
	cr_expect_eq(owner_of("new"), OWNER(50009, 60008));
	cr_expect_eq(ask_as(GOFER_MKDIR, "newdir", "", BOTH, 0, 0), 0);
	cr_expect_eq(owner_of("newdir"), OWNER(50000, 60000));
	cr_expect_eq(ask_as(GOFER_SYMLINK, "newlink", "x", BOTH, 1, 1), 0);
	cr_expect_eq(owner_of("newlink"), OWNER(50001, 60001));
	cr_expect_eq(ask_as(GOFER_MKNOD, "fifo", "", BOTH, 2, 2), 0);
	cr_expect_eq(owner_of("fifo"), OWNER(50002, 60002));
	for (int op = GOFER_CREATE; op <= GOFER_SYMLINK; op++) {
		cr_expect_eq(ask_as(op, "no", "x", BOTH, 10, 0), -EINVAL, "%d", op);
		cr_expect_eq(ask_as(op, "no", "x", BOTH, 0, 50000), -EINVAL, "%d: a number of the host's is none", op);
		cr_expect_eq(ask_as(op, "no", "x", BOTH, ID_NONE, 0), -EINVAL, "%d", op);
		cr_expect_eq(ask_as(op, "no", "x", 0, 0, 0), -EINVAL, "%d: it would be ours", op);
		cr_expect_eq(ask_as(op, "no", "x", GOFER_ATTR_UID, 0, 0), -EINVAL, "%d: its group would be ours", op);
		cr_expect_eq(owner_of("no"), 1, "%d", op);
	}
	cr_expect_eq(ask_as(GOFER_CREATE, "group/new", "", GOFER_ATTR_UID, 5, 0), 0, "the directory's");
	cr_expect_eq(owner_of("group/new"), OWNER(50005, 60000));
}

Test(gofer, owners_change_within_the_maps)
{
	have_root();
	cr_expect_eq(ask_as(GOFER_SETATTR, "mine", "", BOTH, 7, 7), 0);
	cr_expect_eq(owner_of("mine"), OWNER(50007, 60007));
	cr_expect_eq(ask_as(GOFER_SETATTR, "mine", "", GOFER_ATTR_UID, 10, 0), -EINVAL);
	cr_expect_eq(ask_as(GOFER_SETATTR, "mine", "", GOFER_ATTR_GID, 0, ID_NONE), -EINVAL);
	cr_expect_eq(ask_as(GOFER_SETATTR, "theirs", "", GOFER_ATTR_UID, 0, 0), -EPERM);
	cr_expect_eq(ask_as(GOFER_SETATTR, "theirs", "", GOFER_ATTR_MODE, 0, 0), -EPERM);
	cr_expect_eq(ask_as(GOFER_SETATTR, "theirs", "", GOFER_ATTR_MTIME, 0, 0), -EPERM);
	cr_expect_eq(ask_as(GOFER_SETATTR, "theirs", "", GOFER_ATTR_SIZE, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_SETATTR, "in/all", "", GOFER_ATTR_MTIME | GOFER_ATTR_SIZE, 0, 0), 0, "all may write to it");
	look("in/all");
	cr_expect_gt(record.mtime_sec, 1000000, "now, and not what was said: that is the owner's");
	cr_expect_eq(ask_as(GOFER_SETATTR, "half", "", GOFER_ATTR_MTIME, 0, 0), 0);
	look("half");
	cr_expect_eq(record.mtime_sec, 0, "its owner may");
	cr_expect_eq(ask_as(GOFER_SETATTR, "half", "", GOFER_ATTR_GID, 0, 3), 0, "its owner may");
	cr_expect_eq(owner_of("half"), OWNER(50001, 60003));
	cr_expect_eq(owner_of("theirs"), OWNER(0, 0));
	cr_expect_eq(owner_of("mine"), OWNER(50007, 60007));
}

Test(gofer, nobody_in_the_maps_gets_further_than_he_would)
{
	have_root();
	cr_expect_eq(ask_as(GOFER_OPEN, "mine", "", 0, 0, 0), 0);
	cr_expect_eq(ask_as(GOFER_OPEN, "theirs", "", 0, 0, 0), 0);
	cr_expect_eq(ask_as(GOFER_OPEN, "secret", "", 0, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_READ, "", "secret", 0, 0, 0), 0); /* what can't be opened is left out */
	cr_expect_eq(ask_as(GOFER_LOOKUP, "shut", "", 0, 0, 0), 0);
	cr_expect_eq(ask_as(GOFER_LOOKUP, "shut/f", "", 0, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_OPEN, "shut/f", "", 0, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_LIST, "shut", "", 0, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_WALK, "shut", "f", 0, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_UNLINK, "shut/f", "", 0, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_CREATE, "shut/g", "", BOTH, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_RENAME, "mine", "shut/mine", 0, 0, 0), -EACCES);
	cr_expect_eq(ask_as(GOFER_LINK, "theirs", "linked", 0, 0, 0), -EPERM);
	cr_expect_eq(ask_as(GOFER_LINK, "in/all", "linked", 0, 0, 0), 0);
	cr_expect_eq(ask_as(GOFER_UNLINK, "sticky/f", "", 0, 0, 0), -EPERM);
	cr_expect_eq(ask_as(GOFER_RENAME, "sticky/f", "open/f", 0, 0, 0), -EPERM);
	cr_expect_eq(ask_as(GOFER_CREATE, "sticky/mine", "", BOTH, 1, 1), 0);
	cr_expect_eq(ask_as(GOFER_UNLINK, "sticky/mine", "", 0, 0, 0), 0);
	cr_expect_eq(ask_as(GOFER_RENAME, "theirs", "open/theirs", 0, 0, 0), 0, "the directories may change");
	cr_expect_eq(ask_as(GOFER_UNLINK, "secret", "", 0, 0, 0), 0);
	cr_expect_eq(ask_as(GOFER_RENAME, "shut", "open/shut", 0, 0, 0), -EACCES, "its .. would change");
	cr_expect_eq(ask_as(GOFER_RENAME, "shut", "shut2", 0, 0, 0), 0, "in the same directory it doesn't");
}

Test(gofer, a_directory_that_cannot_be_searched_tells_names)
{
	have_root();
	shell("mkdir names names/d && echo 1234 >names/f && chmod 744 names");
	records_root = 3;
	for (unsigned flags = 0; flags <= (GOFER_LIST_BARE | GOFER_LIST_XATTRS); flags++) {
		const char *got = records(GOFER_LIST, "names", "", flags);

		cr_expect_not_null(strstr(got, "f:f:4:0 "), "%u: %s", flags, got);
		cr_expect_not_null(strstr(got, "d:d:4:0 "), "%u: %s", flags, got);
	}
	cr_expect_eq(ask_as(GOFER_ATTRS, "names", "f", 0, 0, 0), -EACCES);
	shell("mkdir only-x && echo 1 >only-x/f && chmod 711 only-x");
	cr_expect_str_eq(walked("", "only-x/nothing", GOFER_WALK_LIST), "= only-x:0 ", "one that can't be read tells none");
}

/* Whether a file has any is told with its record, which ones by a request. */
Test(gofer, attributes_of_what_cannot_be_read_are_not_told)
{
	char path[160];

	have_root();
	snprintf(path, sizeof(path), "%s/mapped/secret", dir);
	if (setxattr(path, "user.key", "hush", 4, 0) < 0)
		cr_skip_test("no attributes here");
	snprintf(path, sizeof(path), "%s/mapped/theirs", dir);
	cr_assert_eq(setxattr(path, "user.key", "loud", 4, 0), 0);
	records_root = 3;
	cr_expect_str_eq(records(GOFER_ATTRS, "", "secret/theirs", GOFER_ATTRS_XATTRS), "secret:f:0:2 theirs:f:1:2 ");
	cr_expect_eq(xattrs_of("secret"), 0U);
	cr_expect_eq(xattrs_of("theirs"), 1U);
	cr_expect_eq(ask_as(GOFER_SETXATTR, "theirs", "user.key", 0, 0, 0), -EINVAL, "no value");
	cr_expect_eq(set_xattr("theirs"), -EACCES);
	cr_expect_eq(set_xattr("mine"), 0);
	cr_expect_eq(set_xattr("open"), 0);
	cr_expect_eq(set_xattr("in/all"), 0);
	cr_expect_eq(xattrs_of("mine"), 1U);
	cr_expect_eq(ask_as(GOFER_REMOVEXATTR, "mine", "user.k", 0, 0, 0), -EINVAL);
}

Test(gofer, modes_of_what_is_made)
{
	have_root();
	for (int op = GOFER_MKDIR; op <= GOFER_MKNOD; op++) {
		cr_expect_eq(ask_as(op, "new", "", BOTH, 1, 1), 0);
		look("new");
		cr_expect_eq(record.mode & 07777, 0644, "%o", record.mode);
		shell("rm -r new");
	}
	cr_expect_eq(ask_as(GOFER_MKDIR, "group/new", "", GOFER_ATTR_UID, 1, 1), 0);
	look("group/new");
	cr_expect_eq(record.mode & 07777, 02644, "%o", record.mode);
}

/* Exchanges two names until it is killed. */
static pid_t exchanger(const char *one, const char *two)
{
	pid_t pid = fork();
	char a[160], b[160];

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(a, sizeof(a), "%s/mapped/%s", dir, one);
	snprintf(b, sizeof(b), "%s/mapped/%s", dir, two);
	for (;;)
		renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

/* Somebody else who may write to the directory puts a file of root's under the name, between making and giving away. */
Test(gofer, what_is_given_away_is_what_was_made)
{
	static const int ops[] = {GOFER_MKDIR, GOFER_MKNOD, GOFER_SYMLINK};
	char keep[160], v[160], n[160];

	have_root();
	shell("mkdir keep && mkdir open/v && touch open/v/x && mkfifo -m 755 keep/6 && ln -s other keep/7");
	snprintf(v, sizeof(v), "%s/mapped/open/v", dir);
	snprintf(n, sizeof(n), "%s/mapped/open/n", dir);
	for (size_t k = 0; k < sizeof(ops) / sizeof(ops[0]); k++) {
		bool is_dir = ops[k] == GOFER_MKDIR;
		unsigned made = 0;
		struct stat st;
		pid_t pid;
		int fd;

		snprintf(keep, sizeof(keep), "%s/mapped/keep/%s", dir, ops[k] == GOFER_MKNOD ? "6" : "7");
		fd = open(is_dir ? v : keep, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		cr_assert_geq(fd, 0);
		pid = exchanger("open/v", "open/n");
		for (unsigned i = 0; i < 4000; i++) {
			if (!is_dir) {
				do { /* again, where they were exchanged in between */
					unlink(n);
					unlink(v);
				} while (linkat(AT_FDCWD, keep, AT_FDCWD, v, 0) < 0);
			}
			made += ask_as(ops[k], "open/n", "x", BOTH, 1, 1) == 0;
			if (is_dir)
				rmdir(n);
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		cr_expect_gt(made, 0U);
		cr_assert_eq(fstat(fd, &st), 0);
		cr_expect(st.st_uid == 0 && st.st_gid == 0, "operation %d gave a file of root's to %u:%u", ops[k], st.st_uid, st.st_gid);
		close(fd);
		shell("rm -rf open/v open/n");
	}
}

Test(gofer, a_path_in_the_argument_is_no_longer_than_others)
{
	static char big[40001];
	struct gofer_request q = {.op = GOFER_LIST, .size = 8, .path_len = 1, .arg_len = 40000};

	for (size_t i = 0; i < 40000; i++)
		big[i] = i % 100 == 99 ? '/' : 'a';
	big[39999] = 'a';
	cr_expect_eq(ask_raw(&q, "d", 1, big, 40000, NULL), -EINVAL);
}
