/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sentry's side of the memory that it shares with the gofer, against gofers that were taken over: the descriptor is another one than
 * was asked for, can't be sealed, is shrunk afterwards; contents lie behind its end, or in no memory at all.
 */
#include "fs_fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>

/* What the gofer gives when it is asked for the memory. */
enum gives { GOOD, NOTHING, SMALL, UNSEALABLE, A_FILE, GONE };

static int child;

static int given(enum gives what)
{
	int fd = memfd_create("shared", what == UNSEALABLE ? 0 : MFD_ALLOW_SEALING);

	if (what == A_FILE)
		return open("/etc/passwd", O_RDONLY);
	if (fd < 0 || ftruncate(fd, what == SMALL ? GOFER_SHARE_SIZE - 1 : GOFER_SHARE_SIZE) < 0)
		_exit(10);
	return fd;
}

static void reply(int sock, const struct gofer_request *q, int err, uint32_t flags, const void *body, size_t len, int fd)
{
	struct gofer_reply r = {.id = q->id, .err = err, .flags = flags};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov[2] = {{&r, sizeof(r)}, {(void *)(uintptr_t)body, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	if (fd >= 0) {
		struct cmsghdr *cm;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.bytes);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	if (sendmsg(sock, &msg, 0) < 0)
		_exit(11);
}

/*
 * Answers READs with three contents of four bytes: in the shared memory's beginning, at its end, and beyond it (or, of a request that
 * doesn't want them there, such that claim to be). Ends with 0, or with what was wrong.
 */
static int serve(int sock, enum gives what)
{
	static uint8_t message[GOFER_MESSAGE_MAX];
	struct gofer_content c[3] = {{.rec = {.mode = 0100644, .flags = GOFER_SHARED}, .len = 4}};
	struct gofer_request q;
	int fd = -1;

	while (recv(sock, message, sizeof(message), 0) >= (ssize_t)sizeof(q)) {
		memcpy(&q, message, sizeof(q));
		if (q.op == GOFER_SHARE) {
			if (fd >= 0)
				return 12; /* asked for twice */
			fd = given(what);
			if (what == GONE)
				return 0;
			reply(sock, &q, what == NOTHING ? -38 : 0, 0, NULL, 0, what == NOTHING ? -1 : fd);
			continue;
		}
		if (q.op != GOFER_READ || ((q.flags & GOFER_READ_SHARED) != 0) != (what == GOOD))
			return 13;
		if (what == GOOD && (pwrite(fd, "abcd", 4, 0) != 4 || pwrite(fd, "mnopwxyz", 8, GOFER_SHARE_SIZE - 8) != 8 || ftruncate(fd, 4096) == 0 ||
				     ftruncate(fd, 2 * GOFER_SHARE_SIZE) == 0))
			return 14; /* it was to be sealed */
		c[1] = c[2] = c[0];
		c[1].at = GOFER_SHARE_SIZE - 4;
		c[2].at = q.size != 0 ? (uint32_t)q.size : GOFER_SHARE_SIZE - 3;
		reply(sock, &q, 0, GOFER_REPLY_CONTENT | GOFER_REPLY_MORE, c, sizeof(c[0]), -1);
		reply(sock, &q, 0, GOFER_REPLY_CONTENT, c + 1, 2 * sizeof(c[0]), -1);
	}
	return 0;
}

static void start_gofer(enum gives what)
{
	int pair[2], parent = getpid();

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		close(pair[0]);
		_exit(serve(pair[1], what));
	}
	close(pair[1]);
	cr_assert_eq(gofer_client_start(pair[0]), 0);
}

static char got[64];

static void take(void *arg, const uint8_t *data, size_t len, const uint8_t *shared, int *fd)
{
	const struct gofer_content *c;
	const uint8_t *bytes;
	size_t pos = 0;

	(void)arg;
	(void)fd;
	while ((c = gofer_content_next(data, len, shared, &pos, &bytes)) != NULL)
		strncat(got, (const char *)bytes, c->len);
	strcat(got, ".");
}

static int read_at(struct lower_tree *tree, uint32_t at)
{
	struct gofer_request req = {.op = GOFER_READ, .flags = GOFER_READ_SHARED, .size = at};
	struct gofer_answer a;
	int err = gofer_call_take(NULL, tree, &req, "", "x", 1, take, NULL, &a);

	if (err == 0)
		gofer_answer_done(&a);
	return err;
}

static int ended(void)
{
	int status = -1;

	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(lower_share, contents_are_taken_from_within_the_memory)
{
	struct lower_tree *tree = lower_tree_new(0);

	cr_assert_not_null(tree);
	start_gofer(GOOD);
	cr_assert_eq(read_at(tree, 0), 0);
	cr_assert_str_eq(got, "abcd.wxyz.");
	got[0] = '\0';
	cr_assert_eq(read_at(tree, UINT32_MAX), 0, "it is free for the next call");
	cr_assert_str_eq(got, "abcd.wxyz.");
	got[0] = '\0';
	cr_assert_eq(read_at(tree, UINT32_MAX - 3), 0);
	cr_assert_str_eq(got, "abcd.wxyz.");
	got[0] = '\0';
	cr_assert_eq(read_at(tree, GOFER_SHARE_SIZE), 0);
	cr_assert_str_eq(got, "abcd.wxyz.");
	got[0] = '\0';
	cr_assert_eq(read_at(tree, GOFER_SHARE_SIZE - 8), 0);
	cr_assert_str_eq(got, "abcd.wxyzmnop.", "this one lies within it");
	gofer_client_stop(tree->gofer);
	cr_assert_eq(ended(), 0);
}

/* No memory that can't be sealed, or isn't as large: then the gofer isn't asked to put anything there, and what it says lies there
 * isn't looked at. */
Test(lower_share, memory_that_may_shrink_is_not_used)
{
	static const enum gives bad[] = {NOTHING, SMALL, UNSEALABLE, A_FILE};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int pid = fork(), status;

		if (pid == 0) {
			struct lower_tree *tree = lower_tree_new(0);

			start_gofer(bad[i]);
			for (int n = 0; n < 2; n++)
				if (read_at(tree, 0) != 0)
					_exit(1);
			if (strcmp(got, "....") != 0)
				_exit(2);
			gofer_client_stop(tree->gofer);
			_exit(ended());
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0, "the %zu.: %x", i, status);
	}
}

Test(lower_share, a_gofer_that_goes_when_asked_for_it_fails_the_call)
{
	struct lower_tree *tree = lower_tree_new(0);

	start_gofer(GONE);
	cr_assert_eq(read_at(tree, 0), -LINUX_EIO);
	cr_assert_eq(read_at(tree, 0), -LINUX_EIO);
	cr_assert_eq(ended(), 0);
}
