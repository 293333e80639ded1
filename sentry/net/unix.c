/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unix(7) sockets: stream, datagram and seqpacket; connecting, accepting, ending.
 *
 *   connect -> a new socket for the server's side (the embryo), peers of each other -> listener's embryos -> accept
 *
 * A connected pair holds counted references to each other, dropped by each side when it closes; what is left of the other
 * is then marked dead. An embryo has no file until accept gives it one; the listener's list holds its reference.
 *
 * Invariants: a stream-like socket's peer is set exactly while state is UNIX_CONNECTED; a datagram socket's peer means
 * "connected to", and it is then on that one's dgram_peers; a dead socket is in no table and its queue is empty.
 *
 * The guest controls names (unix_name.c), messages (unix_msg.c), the number of connections waiting (backlog + 1).
 *
 * Left out: SO_PEERSEC, SO_PEERPIDFD, SO_PASSPIDFD, MSG_OOB.
 */
#include "sentry/net/unix_internal.h"

#include "sentry/base/alloc.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"

#include <string.h>

static const struct socket_ops unix_ops;

static struct unix_socket *unix_new(int type)
{
	struct unix_socket *u = kzalloc(sizeof *u);

	if (u == NULL)
		return NULL;
	socket_init(&u->sock, &unix_ops, LINUX_AF_UNIX, type, 0);
	packet_queue_init(&u->rx);
	waitq_init(&u->peer_wait);
	list_init(&u->name_link);
	list_init(&u->dgram_peers);
	list_init(&u->dgram_link);
	list_init(&u->embryos);
	list_init(&u->embryo_link);
	list_init(&u->mark_link);
	list_add_tail(&unix_all, &u->all_link);
	u->peer_cred = (struct linux_ucred){.pid = 0, .uid = UINT32_MAX, .gid = UINT32_MAX};
	return u;
}

int unix_create(struct task *task, int type, int protocol, struct socket **out)
{
	struct unix_socket *u;

	(void)task;
	if (protocol != 0 && protocol != LINUX_AF_UNIX)
		return -LINUX_EPROTONOSUPPORT;
	if (type == LINUX_SOCK_RAW)
		type = LINUX_SOCK_DGRAM;
	if (type != LINUX_SOCK_STREAM && type != LINUX_SOCK_DGRAM && type != LINUX_SOCK_SEQPACKET)
		return -LINUX_ESOCKTNOSUPPORT;
	u = unix_new(type);
	if (u == NULL)
		return -LINUX_ENOMEM;
	*out = &u->sock;
	return 0;
}

static void unix_destroy(struct socket *s)
{
	struct unix_socket *u = unix_of(s);

	invariant(u->dead && u->peer == NULL && list_empty(&u->embryos) && u->rx.count == 0);
	list_del(&u->all_link);
	unix_name_put(u->name);
	if (u->peer_groups != NULL)
		cred_put(u->peer_groups);
	kfree(u);
}

static void close_embryos(struct unix_socket *u)
{
	while (!list_empty(&u->embryos)) {
		struct unix_socket *embryo = list_first(&u->embryos, struct unix_socket, embryo_link);

		list_del(&embryo->embryo_link);
		u->nembryos--;
		/* Its client sees a reset: nobody ever took the connection. */
		unix_ops.close(&embryo->sock);
		socket_put(&embryo->sock);
	}
}

static void unix_close(struct socket *s)
{
	struct unix_socket *u = unix_of(s), *peer = u->peer;
	bool embryo = u->listener != NULL, unread = u->rx.count > 0;

	u->dead = true;
	u->listener = NULL;
	s->shut = SOCK_SHUT_RCV | SOCK_SHUT_SEND;
	unix_unbind(u);
	close_embryos(u);
	u->peer = NULL;
	if (peer != NULL && unix_is_stream_like(u)) {
		peer->sock.shut = SOCK_SHUT_RCV | SOCK_SHUT_SEND;
		if ((unread || embryo) && !peer->dead)
			peer->sock.error = LINUX_ECONNRESET;
		sock_wake(&peer->sock, 0);
	}
	list_del(&u->dgram_link);
	while (!list_empty(&u->dgram_peers)) {
		struct unix_socket *from = list_first(&u->dgram_peers, struct unix_socket, dgram_link);

		/* They keep their reference and find us dead at their next send. */
		list_del(&from->dgram_link);
		sock_wake(&from->sock, SOCK_OUT);
	}
	packet_queue_flush(&u->rx);
	waitq_wake(&u->peer_wait, 0);
	sock_wake(s, 0);
	if (peer != NULL)
		socket_put(&peer->sock);
	scm_collect_later();
}

/* ---- connections ---- */

static void set_peer_cred(struct unix_socket *u, struct task *task)
{
	unix_task_cred(task, &u->peer_cred);
	u->peer_pids = pid_space_of(task);
	if (u->peer_groups != NULL)
		cred_put(u->peer_groups);
	u->peer_groups = cred_get(task->cred);
}

static void copy_peer_cred(struct unix_socket *to, const struct unix_socket *from)
{
	to->peer_cred = from->peer_cred;
	to->peer_pids = from->peer_pids;
	if (to->peer_groups != NULL)
		cred_put(to->peer_groups);
	to->peer_groups = from->peer_groups != NULL ? cred_get(from->peer_groups) : NULL;
}

static int unix_listen(struct task *task, struct socket *s, int backlog)
{
	struct unix_socket *u = unix_of(s);

	if (!unix_is_stream_like(u))
		return -LINUX_EOPNOTSUPP;
	if (u->name == NULL || u->state == UNIX_CONNECTED)
		return -LINUX_EINVAL;
	if ((uint32_t)backlog > u->max_backlog)
		waitq_wake(&u->peer_wait, 0);
	u->max_backlog = (uint32_t)backlog;
	u->state = UNIX_LISTENING;
	set_peer_cred(u, task);
	return 0;
}

/* May u connect to other now? 1: yes, 0: its queue is full. */
static int may_connect(const struct unix_socket *u, const struct unix_socket *other)
{
	if (other->dead || other->state != UNIX_LISTENING || (other->sock.shut & SOCK_SHUT_RCV) != 0)
		return -LINUX_ECONNREFUSED;
	if (other->nembryos > other->max_backlog)
		return 0;
	if (u->state == UNIX_CONNECTED)
		return -LINUX_EISCONN;
	return u->state == UNIX_IDLE ? 1 : -LINUX_EINVAL;
}

static int connect_stream(struct task *task, struct unix_socket *u, struct unix_socket *other, uint64_t deadline)
{
	struct unix_socket *embryo;
	int ret;

	while ((ret = may_connect(u, other)) == 0) {
		ret = sock_wait(task, &other->peer_wait, 0, deadline);
		if (ret != 0)
			return ret;
	}
	if (ret < 0)
		return ret;
	embryo = unix_new(u->sock.type);
	if (embryo == NULL)
		return -LINUX_ENOMEM;
	embryo->state = u->state = UNIX_CONNECTED;
	embryo->peer = u;
	socket_get(&u->sock);
	u->peer = embryo;
	socket_get(&embryo->sock);
	embryo->sock.sndbuf = other->sock.sndbuf;
	embryo->sock.passcred = other->sock.passcred;
	if (other->name != NULL)
		embryo->name = unix_name_get(other->name);
	set_peer_cred(embryo, task);
	copy_peer_cred(u, other);
	embryo->listener = other;
	list_add_tail(&other->embryos, &embryo->embryo_link);
	other->nembryos++;
	sock_wake(&other->sock, SOCK_IN);
	sock_wake(&u->sock, SOCK_OUT);
	return 0;
}

static void dgram_disconnect(struct unix_socket *u)
{
	struct unix_socket *old = u->peer;

	if (old == NULL)
		return;
	u->peer = NULL;
	list_del(&u->dgram_link);
	socket_put(&old->sock);
}

/* Takes the reference to other. */
static void dgram_connect(struct unix_socket *u, struct unix_socket *other)
{
	dgram_disconnect(u);
	u->peer = other;
	list_add_tail(&other->dgram_peers, &u->dgram_link);
}

static int unix_connect(struct task *task, struct socket *s, const struct sockname *name, bool nonblock)
{
	struct unix_socket *u = unix_of(s), *other;
	int err;

	if (name->len < sizeof(uint16_t))
		return -LINUX_EINVAL;
	if (!unix_is_stream_like(u) && sockname_family(name) == LINUX_AF_UNSPEC) {
		dgram_disconnect(u);
		return 0;
	}
	err = unix_name_check(name);
	if (err == 0 && s->passcred)
		err = unix_autobind(task, u);
	if (err == 0)
		err = unix_find(task, name, s->type, &other);
	if (err != 0)
		return err;
	if (unix_is_stream_like(u)) {
		err = connect_stream(task, u, other, sock_deadline(s->sndtimeo, nonblock));
	} else if (other->peer != NULL && other->peer != u) {
		err = -LINUX_EPERM;
	} else if (other->dead) {
		err = -LINUX_ECONNREFUSED;
	} else {
		dgram_connect(u, other);
		return 0;
	}
	socket_put(&other->sock);
	return err;
}

static int unix_accept(struct task *task, struct socket *s, bool nonblock, struct socket **out)
{
	struct unix_socket *u = unix_of(s), *embryo;
	uint64_t deadline = sock_deadline(s->rcvtimeo, nonblock);
	int err;

	if (!unix_is_stream_like(u))
		return -LINUX_EOPNOTSUPP;
	if (u->state != UNIX_LISTENING)
		return -LINUX_EINVAL;
	while (list_empty(&u->embryos)) {
		if ((s->shut & SOCK_SHUT_RCV) != 0)
			return -LINUX_EINVAL;
		err = sock_wait(task, &s->wq, LINUX_POLLIN | LINUX_POLLHUP, deadline);
		if (err != 0)
			return err;
	}
	embryo = list_first(&u->embryos, struct unix_socket, embryo_link);
	list_del(&embryo->embryo_link);
	u->nembryos--;
	embryo->listener = NULL;
	waitq_wake(&u->peer_wait, 0);
	*out = &embryo->sock;
	return 0;
}

static int unix_pair(struct task *task, struct socket *sa, struct socket *sb)
{
	struct unix_socket *a = unix_of(sa), *b = unix_of(sb);

	set_peer_cred(a, task);
	set_peer_cred(b, task);
	socket_get(sa);
	socket_get(sb);
	if (unix_is_stream_like(a)) {
		a->peer = b;
		b->peer = a;
		a->state = b->state = UNIX_CONNECTED;
	} else {
		dgram_connect(a, b);
		dgram_connect(b, a);
	}
	return 0;
}

static int unix_getname(struct task *task, struct socket *s, bool peer, struct sockname *name)
{
	struct unix_socket *u = unix_of(s);

	(void)task;
	if (peer) {
		if (u->peer == NULL)
			return -LINUX_ENOTCONN;
		u = u->peer;
	}
	unix_name_show(u->name, name);
	return 0;
}

static int unix_shutdown(struct task *task, struct socket *s, int how)
{
	struct unix_socket *u = unix_of(s), *peer = u->peer;
	uint32_t mode = (uint32_t)how + 1;

	(void)task;
	s->shut |= mode;
	if (peer != NULL && unix_is_stream_like(u)) {
		if ((mode & SOCK_SHUT_RCV) != 0)
			peer->sock.shut |= SOCK_SHUT_SEND;
		if ((mode & SOCK_SHUT_SEND) != 0)
			peer->sock.shut |= SOCK_SHUT_RCV;
		sock_wake(&peer->sock, 0);
	}
	sock_wake(s, 0);
	waitq_wake(&u->peer_wait, 0);
	return 0;
}

/* ---- the rest ---- */

static uint32_t unix_poll(struct task *task, struct socket *s)
{
	struct unix_socket *u = unix_of(s);
	bool writable = unix_writable(u);
	uint32_t events = 0;

	(void)task;
	if (s->error != 0)
		events |= LINUX_POLLERR;
	if (s->shut == (SOCK_SHUT_RCV | SOCK_SHUT_SEND))
		events |= LINUX_POLLHUP;
	if ((s->shut & SOCK_SHUT_RCV) != 0)
		events |= LINUX_POLLRDHUP | SOCK_IN;
	if (u->rx.count > 0 || u->nembryos > 0)
		events |= SOCK_IN;
	if (unix_is_stream_like(u) && u->state == UNIX_IDLE)
		events |= LINUX_POLLHUP;
	if (!unix_is_stream_like(u) && u->peer != NULL && !u->peer->dead && unix_queue_full(u, u->peer))
		writable = false;
	if (writable)
		events |= SOCK_OUT | LINUX_POLLWRBAND;
	return events;
}

static int64_t unix_ioctl(struct task *task, struct socket *s, unsigned cmd, uint64_t arg)
{
	struct unix_socket *u = unix_of(s);
	int32_t v;

	switch (cmd) {
	case LINUX_TIOCOUTQ:
		v = (int32_t)u->wmem;
		return put_guest(task, GVA(arg), &v);
	case LINUX_FIONREAD:
		if (u->state == UNIX_LISTENING)
			return -LINUX_EINVAL;
		if (unix_is_stream_like(u))
			v = (int32_t)MIN(u->rx.bytes, (uint64_t)INT32_MAX);
		else
			v = u->rx.count > 0 ? (int32_t)packet_head(&u->rx)->len : 0;
		return put_guest(task, GVA(arg), &v);
	case LINUX_SIOCATMARK:
		v = 0;
		return put_guest(task, GVA(arg), &v);
	default:
		return -LINUX_ENOTTY;
	}
}

static int unix_getsockopt(struct task *task, struct socket *s, int level, int name, void *val, unsigned *len)
{
	struct unix_socket *u = unix_of(s);
	struct sockname peer;
	unsigned room = *len;
	int v, err;

	(void)level;
	switch (name) {
	case LINUX_SO_ACCEPTCONN:
		v = u->state == UNIX_LISTENING;
		memcpy(val, &v, sizeof v);
		*len = sizeof v;
		return 0;
	case LINUX_SO_PEERCRED:
		memcpy(val, &u->peer_cred, sizeof u->peer_cred);
		if (u->peer_pids != pid_space_of(task_current())) /* another container's number means nothing here */
			((struct linux_ucred *)val)->pid = 0;
		*len = sizeof u->peer_cred;
		return 0;
	case LINUX_SO_PEERGROUPS:
		if (u->peer_groups == NULL)
			return -LINUX_ENODATA;
		*len = u->peer_groups->ngroups * (unsigned)sizeof(kgid_t);
		if (*len > room || *len > SOCKOPT_MAX)
			return -LINUX_ERANGE;
		if (*len > 0)
			memcpy(val, u->peer_groups->groups, *len);
		return 0;
	case LINUX_SO_PEERNAME:
		err = unix_getname(task, s, true, &peer);
		if (err != 0)
			return err;
		if (room < peer.len)
			return -LINUX_EINVAL;
		memcpy(val, peer.bytes, peer.len);
		*len = peer.len;
		return 0;
	default:
		return -LINUX_ENOPROTOOPT;
	}
}

static const struct socket_ops unix_ops = {
	.bind = unix_bind,
	.connect = unix_connect,
	.listen = unix_listen,
	.accept = unix_accept,
	.pair = unix_pair,
	.getname = unix_getname,
	.sendmsg = unix_sendmsg,
	.recvmsg = unix_recvmsg,
	.shutdown = unix_shutdown,
	.getsockopt = unix_getsockopt,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
	.close = unix_close,
	.destroy = unix_destroy,
};
