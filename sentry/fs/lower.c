/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of the gofers; see lower.h. The sandbox's first container has one, each further one its own: a gofer serves the
 * directories of its container and no others, and what becomes of its connection is nothing to the rest.
 *
 *	task: gofer_call --> socket ... sleeps on its call's queue
 *	loop: socket readable --> take_message --> the call with that id --> its data grows, or it is done: wake
 *
 * Invariants: a call is on `calls` from before its request is sent until it is done or abandoned (the task was killed);
 * answers to calls that aren't there any more are dropped, descriptors with them. A message that breaks the protocol ends
 * the connection: all calls fail with EIO, now and later.
 *
 * Contents of many small files lie in memory that gofer and sentry share: messages tell where. It serves one call at a time, from its
 * request to the last message of its answer, even if nobody waits for that any more; others have theirs by messages meanwhile. The
 * gofer can write there at any time, so who takes the bytes copies them once. It can't make the memory smaller under us: we seal it.
 *
 * What the guest controls: paths (bounded here), and how much is listed: answers are counted memory.
 */
#include "sentry/fs/lower.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/fs/image.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MESSAGES_PER_TURN 64

struct call {
	struct list link;
	uint32_t id;
	bool done;
	int err;
	struct waitq waitq;
	struct gofer_answer answer;
	size_t cap;
	gofer_take_fn *take;
	void *take_arg;
};

struct gofer_client {
	int sock;
	bool alive;
	struct host_watch watch;
	bool watching;
	struct list calls;
	struct waitq send_waitq;
	const uint8_t *share; /* NULL: none, or not asked for yet */
	bool share_asked;
	uint32_t share_id;    /* of the call that it serves; 0: none */
};

static struct gofer_client first = {.sock = -1, .watch = {.fd = -1}, .calls = LIST_INIT(first.calls)};
static uint32_t next_id, next_key;
static uint8_t message[GOFER_MESSAGE_MAX] __attribute__((aligned(8)));

struct lower_tree *lower_tree_of(struct gofer_client *gofer, uint16_t root)
{
	struct lower_tree *t = kzalloc(sizeof(*t));

	if (t == NULL)
		return NULL;
	t->gofer = gofer;
	t->root = root;
	t->key = next_key++;
	return t;
}

struct lower_tree *lower_tree_new(uint16_t root)
{
	return lower_tree_of(&first, root);
}

uint64_t lower_ino(struct lower_tree *tree, uint64_t dev, uint64_t ino)
{
	uint32_t i;

	for (i = 0; i < tree->ndevs; i++)
		if (tree->devs[i] == dev)
			break;
	if (i == tree->ndevs && i < ARRAY_LEN(tree->devs))
		tree->devs[tree->ndevs++] = dev;
	return ino ^ ((uint64_t)i << 55);
}

/* ---- answers ---- */

static void finish(struct call *c, int err)
{
	list_del(&c->link);
	c->done = true;
	c->err = err;
	waitq_wake(&c->waitq, 0);
}

static void break_off(struct gofer_client *g, const char *why)
{
	log_debug("gofer: %s", why);
	g->alive = false;
	if (g->watching)
		host_watch_del(&g->watch);
	g->watching = false;
	while (!list_empty(&g->calls))
		finish(list_first(&g->calls, struct call, link), -LINUX_EIO);
	waitq_wake(&g->send_waitq, 0);
}

static struct call *find_call(const struct gofer_client *g, uint32_t id)
{
	struct call *c;

	list_for_each(c, &g->calls, link)
		if (c->id == id)
			return c;
	return NULL;
}

static int append(struct call *c, const uint8_t *data, size_t len)
{
	struct gofer_answer *a = &c->answer;

	if (len > c->cap - a->len) {
		/* One message is the rule: then the block is as large as what is in it. */
		size_t cap = a->len == 0 ? len : MAX(c->cap * 2, a->len + len);
		uint8_t *bigger = krealloc(a->data, cap);

		if (bigger == NULL)
			return -LINUX_ENOMEM;
		a->data = bigger;
		c->cap = cap;
	}
	memcpy(a->data + a->len, data, len);
	a->len += len;
	return 0;
}

static void take_reply(struct gofer_client *g, const struct gofer_reply *r, const uint8_t *data, size_t len, int fd)
{
	struct call *c = find_call(g, r->id);
	const uint8_t *shared = g->share_id != 0 && r->id == g->share_id ? g->share : NULL;
	int err = r->err;

	if (r->err != 0 || !(r->flags & GOFER_REPLY_MORE))
		g->share_id = shared != NULL ? 0 : g->share_id; /* the gofer writes there no more */
	if (c == NULL) {
		if (fd >= 0)
			host_close(fd);
		return;
	}
	if (err > 0 || err < -4095)
		err = -LINUX_EIO;
	/* Contents behind records are a walk's: they belong to its answer. */
	if (err == 0 && c->take != NULL && ((r->flags & GOFER_REPLY_DIRS) || ((r->flags & GOFER_REPLY_CONTENT) && r->count == 0)))
		c->take(c->take_arg, data, len, shared, &fd);
	else if (err == 0 && len != 0)
		err = append(c, data, len);
	c->answer.count += r->count;
	c->answer.flags = r->flags;
	if (fd >= 0) {
		if (c->answer.fd >= 0)
			host_close(c->answer.fd);
		c->answer.fd = fd;
	}
	if (err != 0 || !(r->flags & GOFER_REPLY_MORE))
		finish(c, err);
}

/* Receives one message. False if there is none. */
static bool take_message(struct gofer_client *g)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = message, .iov_len = sizeof(message)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))}; /* no room for two */
	struct gofer_reply reply;
	struct cmsghdr *cm;
	int64_t n;
	int fd = -1;

	n = host_recvmsg(g->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -LINUX_EAGAIN || n == -LINUX_EINTR)
		return false;
	for (cm = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL; cm != NULL; cm = CMSG_NXTHDR(&msg, cm))
		if (cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS && cm->cmsg_len == CMSG_LEN(sizeof(int)))
			memcpy(&fd, CMSG_DATA(cm), sizeof(fd));
	if (n < (int64_t)sizeof(reply) || (msg.msg_flags & MSG_TRUNC)) {
		if (fd >= 0)
			host_close(fd);
		break_off(g, n == 0 ? "it has gone" : "a bad message");
		return false;
	}
	memcpy(&reply, message, sizeof(reply));
	take_reply(g, &reply, message + sizeof(reply), (size_t)n - sizeof(reply), fd);
	return true;
}

static void on_ready(struct host_watch *w, uint32_t events)
{
	struct gofer_client *g = container_of(w, struct gofer_client, watch);

	if (events & POLLOUT) {
		(void)host_watch_set(&g->watch, POLLIN);
		waitq_wake(&g->send_waitq, 0);
	}
	/* Behind the answer to the last call there is nothing: no need to look. */
	for (int i = 0; g->alive && i < MESSAGES_PER_TURN && take_message(g) && !list_empty(&g->calls); i++)
		;
}

static void client_begin(struct gofer_client *g, int fd)
{
	g->sock = fd;
	g->alive = true;
	g->share_id = 0;
	waitq_init(&g->send_waitq);
}

int gofer_client_start(int fd)
{
	client_begin(&first, fd);
	return 0;
}

struct gofer_client *gofer_client_new(int fd)
{
	struct gofer_client *g = kzalloc(sizeof(*g));

	if (g == NULL)
		return NULL;
	list_init(&g->calls);
	g->watch.fd = -1;
	client_begin(g, fd);
	return g;
}

void gofer_client_stop(struct gofer_client *g)
{
	if (g->sock < 0)
		return;
	break_off(g, "its container has ended");
	host_close(g->sock);
	g->sock = -1;
	if (g->share == NULL)
		return;
	host_munmap((void *)(uintptr_t)g->share, GOFER_SHARE_SIZE);
	alloc_uncharge(GOFER_SHARE_SIZE);
	g->share = NULL;
}

/* The loop's watch is set up at the first call that sleeps. */
static int start_watching(struct gofer_client *g)
{
	int err;

	if (g->watching)
		return 0;
	err = host_watch_add(&g->watch, g->sock, POLLIN, on_ready);
	g->watching = err == 0;
	return err;
}

/* ---- calls ---- */

static int send_request(struct gofer_client *g, struct task *task, const struct msghdr *msg)
{
	for (;;) {
		int64_t n = host_sendmsg(g->sock, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		int err = 0;

		if (n >= 0)
			return 0;
		if (n != -LINUX_EAGAIN && n != -LINUX_EINTR) {
			break_off(g, "sending failed");
			return -LINUX_EIO;
		}
		if (task == NULL) {
			struct pollfd p = {.fd = g->sock, .events = POLLOUT};

			(void)host_poll(&p, 1, -1);
		} else {
			err = host_watch_set(&g->watch, POLLIN | POLLOUT);
			if (err == 0)
				err = task_wait(task, &g->send_waitq, WAIT_KILLABLE);
		}
		if (err != 0)
			return err;
		if (!g->alive)
			return -LINUX_EIO;
	}
}

static int wait_for(struct gofer_client *g, struct task *task, struct call *c)
{
	while (!c->done) {
		if (task == NULL) {
			struct pollfd p = {.fd = g->sock, .events = POLLIN};

			(void)host_poll(&p, 1, -1);
			while (g->alive && !c->done && take_message(g))
				;
		} else {
			int err = task_wait(task, &c->waitq, WAIT_KILLABLE);

			if (err != 0 && !c->done)
				return err;
		}
	}
	return c->err;
}

/*
 * Asks for the shared memory, once. Sealing it here says that it is a memfd and stays as large as it is, whatever the gofer did: reading
 * behind a file's end would be our death.
 */
static void share_begin(struct gofer_client *g, struct task *task, struct lower_tree *tree)
{
	struct gofer_request req = {.op = GOFER_SHARE};
	struct gofer_answer a;
	struct stat st;
	void *p = NULL;
	int err;

	g->share_asked = true;
	if (gofer_call(task, tree, &req, "", NULL, 0, &a) != 0)
		return;
	if (a.fd >= 0 && host_fcntl(a.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 && host_fstat(a.fd, &st) == 0 &&
	    st.st_size == GOFER_SHARE_SIZE && g->alive && alloc_charge(GOFER_SHARE_SIZE)) {
		p = host_mmap(GOFER_SHARE_SIZE, PROT_READ, MAP_SHARED, a.fd, 0, &err);
		if (p == NULL)
			alloc_uncharge(GOFER_SHARE_SIZE);
	}
	g->share = p;
	gofer_answer_done(&a);
}

/* Is the shared memory there, and free for another call? */
static bool may_share(struct gofer_client *g, struct task *task, struct lower_tree *tree)
{
	if (!g->share_asked)
		share_begin(g, task, tree);
	return g->share != NULL && g->share_id == 0;
}

int gofer_call(struct task *task, struct lower_tree *tree, struct gofer_request *req, const char *path, const void *arg,
	       size_t arg_len, struct gofer_answer *out)
{
	return gofer_call_take(task, tree, req, path, arg, arg_len, NULL, NULL, out);
}

int gofer_call_take(struct task *task, struct lower_tree *tree, struct gofer_request *req, const char *path, const void *arg,
		    size_t arg_len, gofer_take_fn *take, void *take_arg, struct gofer_answer *out)
{
	struct gofer_client *g = tree->gofer;
	size_t path_len = strlen(path);
	struct call c = {.answer = {.fd = -1}, .take = take, .take_arg = take_arg};
	struct iovec iov[3] = {
		{.iov_base = req, .iov_len = sizeof(*req)},
		{.iov_base = (void *)(uintptr_t)path, .iov_len = path_len},
		{.iov_base = (void *)(uintptr_t)arg, .iov_len = arg_len},
	};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
	int err;

	out->data = NULL;
	out->len = 0;
	out->count = 0;
	out->flags = 0;
	out->fd = -1;
	if (tree->image != NULL)
		return image_answer(tree->image, req, path, arg, arg_len, out);
	if (!g->alive)
		return -LINUX_EIO;
	if (path_len > GOFER_PATH_MAX || sizeof(*req) + path_len + arg_len > GOFER_MESSAGE_MAX)
		return -LINUX_ENAMETOOLONG;
	if (task != NULL && task != task_current())
		task = NULL; /* not on its coroutine: nobody could be switched to */
	if (task != NULL) {
		err = start_watching(g);
		if (err != 0)
			return err;
	}
	if (req->op == GOFER_READ && (req->flags & GOFER_READ_SHARED)) {
		if (!may_share(g, task, tree))
			req->flags &= ~GOFER_READ_SHARED;
		if (!g->alive)
			return -LINUX_EIO;
	}
	if (++next_id == 0)
		next_id = 1;
	req->id = c.id = next_id;
	req->root = tree->root;
	req->path_len = (uint32_t)path_len;
	req->arg_len = (uint32_t)arg_len;
	req->pad = 0;
	waitq_init(&c.waitq);
	list_add_tail(&g->calls, &c.link);
	if (req->op == GOFER_READ && (req->flags & GOFER_READ_SHARED))
		g->share_id = c.id;
	err = send_request(g, task, &msg);
	if (err != 0 && g->share_id == c.id)
		g->share_id = 0; /* it was never asked */
	if (err == 0)
		err = wait_for(g, task, &c);
	if (!c.done)
		list_del(&c.link);
	*out = c.answer;
	if (err != 0)
		gofer_answer_done(out);
	return err == -LINUX_ERESTARTSYS ? -LINUX_EINTR : err;
}

void gofer_answer_done(struct gofer_answer *a)
{
	kfree(a->data);
	if (a->fd >= 0)
		host_close(a->fd);
	a->data = NULL;
	a->len = 0;
	a->fd = -1;
}

static bool name_is_sound(const char *name, size_t len)
{
	if (len > GOFER_NAME_MAX || memchr(name, '/', len) != NULL || memchr(name, '\0', len) != NULL)
		return false;
	return !(len == 1 && name[0] == '.') && !(len == 2 && name[0] == '.' && name[1] == '.');
}

static bool type_is_sound(const struct gofer_record *r)
{
	switch (r->mode & LINUX_S_IFMT) {
	case LINUX_S_IFREG:
		return r->size <= (uint64_t)INT64_MAX;
	case LINUX_S_IFDIR:
	case LINUX_S_IFLNK:
	case LINUX_S_IFCHR:
	case LINUX_S_IFBLK:
	case LINUX_S_IFIFO:
	case LINUX_S_IFSOCK:
		return true;
	default:
		return false;
	}
}

const struct gofer_record *gofer_record_next(const struct gofer_answer *a, size_t *pos)
{
	const struct gofer_record *r;

	if (a->len - *pos < sizeof(*r))
		return NULL;
	r = (const struct gofer_record *)(a->data + *pos);
	if (a->len - *pos < GOFER_RECORD_SIZE(r->name_len, r->target_len) || r->target_len > GOFER_TARGET_MAX)
		return NULL;
	if (!name_is_sound(gofer_record_name(r), r->name_len) ||
	    memchr(gofer_record_target(r), '\0', r->target_len) != NULL)
		return NULL;
	if (!type_is_sound(r))
		return NULL;
	*pos += GOFER_RECORD_SIZE(r->name_len, r->target_len);
	return r;
}

const struct gofer_content *gofer_content_next(const uint8_t *data, size_t len, const uint8_t *shared, size_t *pos,
					       const uint8_t **bytes)
{
	const struct gofer_content *c = (const struct gofer_content *)(data + *pos);
	size_t behind;

	if (len - *pos < sizeof(*c) || c->len > GOFER_CONTENT_MAX)
		return NULL;
	if ((c->rec.flags & GOFER_SHARED) && (shared == NULL || c->at > GOFER_SHARE_SIZE - c->len))
		return NULL;
	behind = (c->rec.flags & GOFER_SHARED) ? 0 : c->len;
	if (len - *pos < GOFER_CONTENT_SIZE(behind))
		return NULL;
	if ((c->rec.mode & LINUX_S_IFMT) != LINUX_S_IFREG || !type_is_sound(&c->rec) || c->rec.name_len != 0 ||
	    c->rec.target_len != 0)
		return NULL;
	*bytes = (c->rec.flags & GOFER_SHARED) ? shared + c->at : (const uint8_t *)(c + 1);
	*pos += GOFER_CONTENT_SIZE(behind);
	return c;
}

const struct gofer_dir *gofer_dir_next(const uint8_t *data, size_t len, size_t *pos, const char **path,
				       const uint8_t **records)
{
	const struct gofer_dir *d = (const struct gofer_dir *)(data + *pos);

	if (len - *pos < sizeof(*d) || d->path_len > GOFER_PATH_MAX || len - *pos < GOFER_DIR_SIZE(d->path_len) ||
	    d->len > len - *pos - GOFER_DIR_SIZE(d->path_len) || d->len % 8 != 0)
		return NULL;
	*path = (const char *)(d + 1);
	*records = data + *pos + GOFER_DIR_SIZE(d->path_len);
	*pos += GOFER_DIR_SIZE(d->path_len) + d->len;
	return d;
}

int lower_open(struct task *task, struct lower_tree *tree, const char *path, bool write, uint64_t dev, uint64_t ino)
{
	struct gofer_request req = {.op = GOFER_OPEN, .flags = write ? GOFER_OPEN_WRITE : 0, .dev = dev, .ino = ino};
	struct gofer_answer a;
	int err = gofer_call(task, tree, &req, path, NULL, 0, &a), fd;

	if (err != 0)
		return err;
	fd = a.fd;
	a.fd = -1;
	gofer_answer_done(&a);
	return fd >= 0 ? fd : -LINUX_EIO;
}
