/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gofer, asked by a sentry that was taken over: every byte of its requests. Its roots are a read-only and a
 * writable directory in a fresh directory of this machine's, beside which lies what it must never reach. Checked in
 * each reply: its records are in order, none is of the file outside or of the hidden one, and no descriptor leads
 * there.
 *
 * Input: requests, each 8 bytes (operation, root, flags, mode, what names are taken) and two names out of a small
 * grammar, or (operation 0) raw bytes with their length in front.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/core/gofer.h"
#include "runtime/core/gofer_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct gofer_root roots[3];
static struct fuzz_input input;
static struct stat outside, hidden;
static char dir[64];
static unsigned asked;

static void sh(const char *cmd)
{
	FUZZ_CHECK(system(cmd) == 0);
}

static void remove_dir(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	sh(cmd);
}

/* The writable root grows with every run: made anew from time to time. */
static void fill(void)
{
	char cmd[640];

	snprintf(
		cmd, sizeof(cmd),
		"chmod -R u+rwx %s/rw 2>/dev/null; rm -rf %s/rw; mkdir -p %s/rw/d/e && cd %s/rw && echo inside >d/f && "
		"ln -s ../../secret l && ln -s /etc abs && ln -s d to-d && mkfifo fifo",
		dir, dir, dir, dir);
	sh(cmd);
	if (roots[1].fd > 0)
		close(roots[1].fd);
	snprintf(cmd, sizeof(cmd), "%s/rw", dir);
	gofer_root_init(&roots[1], open(cmd, O_PATH | O_CLOEXEC), true);
}

static const char *scratch(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static void init(void)
{
	char cmd[640];

	snprintf(dir, sizeof(dir), "%s/sbx-fuzz-XXXXXX", scratch());
	FUZZ_CHECK(mkdtemp(dir) != NULL);
	atexit(remove_dir);
	snprintf(cmd, sizeof(cmd),
		 "cd %s && mkdir -p ro/d/e secret && echo inside >ro/d/f && echo secret >secret/f && ln -s ../secret "
		 "ro/l && "
		 "ln -s d ro/to-d && mkdir ro/hidden && echo h >ro/hidden/f",
		 dir);
	sh(cmd);
	snprintf(cmd, sizeof(cmd), "%s/secret/f", dir);
	FUZZ_CHECK(stat(cmd, &outside) == 0);
	snprintf(cmd, sizeof(cmd), "%s/ro/hidden/f", dir);
	FUZZ_CHECK(stat(cmd, &hidden) == 0);
	snprintf(cmd, sizeof(cmd), "%s/ro", dir);
	gofer_root_init(&roots[0], open(cmd, O_PATH | O_CLOEXEC), false);
	FUZZ_CHECK(gofer_root_hide(&roots[0], "/hidden") == 0);
	fill();
	gofer_share_init();
	roots[2].fd = -1;
	umask(0);
}

static size_t name_of(struct fuzz_input *in, char *out, size_t max)
{
	static const char *const words[] = {"d",  "e", "f", "l", "abs", "to-d",   "fifo",   "hidden",
					    "..", ".", "",  "/", "n",   "user.x", "secret", "a/b"};
	size_t n = 0;
	uint8_t b;

	for (b = fuzz_u8(in); (b & 0xf0) == 0x10 && n + 8 < max; b = fuzz_u8(in)) {
		const char *w = words[b & 15];

		if (n != 0)
			out[n++] = '/';
		memcpy(out + n, w, strlen(w));
		n += strlen(w);
	}
	if (b >= 0xf0 && n + 300 < max) { /* long or odd names */
		memset(out + n, b == 0xf0 ? 0 : b, (b & 15) * 20U);
		n += (b & 15) * 20U;
	}
	return n;
}

static ssize_t make_request(int fd, void *buf, size_t len, int flags)
{
	struct gofer_request *q = buf;
	char *names = (char *)(q + 1);
	uint8_t op;

	(void)fd;
	(void)flags;
	if (!fuzz_more(&input) || asked++ == 32)
		return 0;
	op = fuzz_u8(&input);
	if (op == 0) {
		uint16_t n = (uint16_t)MIN(fuzz_u16(&input), len);

		fuzz_bytes(&input, buf, n);
		return n != 0 ? n : 1;
	}
	memset(q, 0, sizeof(*q));
	q->op = op % (GOFER_OPS + 1);
	q->root = fuzz_u8(&input) & 3;
	q->flags = fuzz_u8(&input);
	q->mode = fuzz_u16(&input);
	q->valid = fuzz_u8(&input) & 0x79; /* no chown: not everybody may */
	q->size = fuzz_u8(&input) * 97U;
	q->path_len = (uint32_t)name_of(&input, names, 2048);
	q->arg_len = (uint32_t)name_of(&input, names + q->path_len, 2048);
	return (ssize_t)(sizeof(*q) + q->path_len + q->arg_len);
}

static bool is_file(const struct stat *st, uint64_t dev, uint64_t ino)
{
	return st->st_ino == ino && st->st_dev == dev;
}

static void check_records(const struct gofer_reply *r, const uint8_t *body, size_t len)
{
	size_t pos = 0;

	/* Xattrs and statfs have another form, by their size not to be told here; only what parses as records counts.
	 */
	for (uint32_t i = 0; i < r->count && len - pos >= sizeof(struct gofer_record); i++) {
		struct gofer_record rec;

		memcpy(&rec, body + pos, sizeof(rec));
		FUZZ_CHECK(!is_file(&outside, rec.dev, rec.ino) && !is_file(&hidden, rec.dev, rec.ino));
		pos += GOFER_RECORD_SIZE(rec.name_len, rec.target_len);
		if (pos > len)
			return;
	}
	while ((r->flags & GOFER_REPLY_CONTENT) && len - pos >= sizeof(struct gofer_content)) {
		struct gofer_content c;

		memcpy(&c, body + pos, sizeof(c));
		FUZZ_CHECK(!is_file(&outside, c.rec.dev, c.rec.ino) && !is_file(&hidden, c.rec.dev, c.rec.ino));
		FUZZ_CHECK(S_ISREG(c.rec.mode) && c.rec.name_len == 0 && c.rec.target_len == 0 && c.len <= GOFER_CONTENT_MAX);
		if (c.rec.flags & GOFER_SHARED) {
			FUZZ_CHECK(c.len != 0 && c.at <= GOFER_SHARE_SIZE - c.len);
			c.len = 0;
		}
		FUZZ_CHECK(GOFER_CONTENT_SIZE(c.len) <= len - pos);
		pos += GOFER_CONTENT_SIZE(c.len);
	}
}

static ssize_t take_reply(int fd, const struct msghdr *msg, int flags)
{
	const struct gofer_reply *r = msg->msg_iov[0].iov_base;
	const struct cmsghdr *cm = msg->msg_controllen != 0 ? CMSG_FIRSTHDR(msg) : NULL;
	struct stat st;
	int got;

	(void)fd;
	(void)flags;
	FUZZ_CHECK(msg->msg_iov[0].iov_len == sizeof(*r) && r->err <= 0 && r->err > -4096);
	FUZZ_CHECK(sizeof(*r) + msg->msg_iov[1].iov_len <= GOFER_MESSAGE_MAX);
	if (r->err == 0)
		check_records(r, msg->msg_iov[1].iov_base, msg->msg_iov[1].iov_len);
	if (cm != NULL) {
		memcpy(&got, CMSG_DATA(cm), sizeof(got));
		FUZZ_CHECK(fstat(got, &st) == 0 && S_ISREG(st.st_mode));
		FUZZ_CHECK(!is_file(&outside, st.st_dev, st.st_ino) && !is_file(&hidden, st.st_dev, st.st_ino));
	}
	return (ssize_t)(msg->msg_iov[0].iov_len + msg->msg_iov[1].iov_len);
}

static void run(const uint8_t *data, size_t size)
{
	static unsigned runs;

	input = (struct fuzz_input){data, data + size};
	asked = 0;
	fuzz_host.libc_recv = make_request;
	fuzz_host.libc_sendmsg = take_reply;
	(void)!gofer_serve(-1, roots, ARRAY_LEN(roots));
	if (++runs % 8192 == 0) {
		struct stat now;
		char path[96];

		snprintf(path, sizeof(path), "%s/secret/f", dir);
		FUZZ_CHECK(stat(path, &now) == 0 && now.st_ino == outside.st_ino && now.st_nlink == 1 &&
			   now.st_size == outside.st_size && now.st_mode == outside.st_mode);
		fill();
	}
}

const struct fuzz_target fuzz_gofer = {.name = "gofer", .init = init, .run = run};
