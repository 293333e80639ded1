/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes through unix sockets.
 *
 *   sendmsg -> packet, charged to the sender (wmem) -> the receiver's rx queue -> recvmsg -> uncharged, sender woken
 *
 * Streams look through packet boundaries; a packet with descriptors ends the read that reaches it. Datagrams and
 * seqpackets keep boundaries; what doesn't fit the reader's buffer is lost, with MSG_TRUNC.
 *
 * Limits: a sender's bytes in all queues stay near its SO_SNDBUF; a datagram socket's queue holds MAX_DGRAMS messages,
 * but for those of the socket it is itself connected to (socketpair), as in Linux.
 *
 * Left out: MSG_OOB (EOPNOTSUPP, as in kernels without CONFIG_AF_UNIX_OOB).
 */
#include "sentry/kernel/task.h"
#include "sentry/net/unix_internal.h"

#include <string.h>

#define MAX_DGRAMS 10U /* net.unix.max_dgram_qlen */

bool unix_writable(const struct unix_socket *u)
{
	return u->state != UNIX_LISTENING && (uint64_t)u->wmem * 4 <= u->sock.sndbuf;
}

bool unix_queue_full(const struct unix_socket *u, const struct unix_socket *other)
{
	return other->peer != u && other->rx.count > MAX_DGRAMS;
}

void unix_sent_room(struct unix_socket *u)
{
	struct unix_socket *from;

	waitq_wake(&u->peer_wait, 0);
	list_for_each(from, &u->dgram_peers, dgram_link)
		sock_wake(&from->sock, SOCK_OUT);
}

static void uncharge(struct socket *s, uint32_t charge)
{
	struct unix_socket *u = unix_of(s);

	invariant(u->wmem >= charge);
	u->wmem -= charge;
	if (!u->dead && unix_writable(u))
		sock_wake(s, SOCK_OUT);
}

/* Waits until u may send more, then makes a packet of len bytes of the message, charged to u. */
static int make_packet(struct task *task, struct unix_socket *u, struct sock_msg *msg, uint32_t len, uint64_t deadline,
		       struct packet **out)
{
	struct packet *p;
	int err;

	for (;;) {
		err = sock_error(&u->sock);
		if (err != 0)
			return err;
		if ((u->sock.shut & SOCK_SHUT_SEND) != 0)
			return -LINUX_EPIPE;
		if (u->wmem < u->sock.sndbuf)
			break;
		err = sock_wait(task, &u->sock.wq, LINUX_POLLOUT | LINUX_POLLERR | LINUX_POLLHUP, deadline);
		if (err != 0)
			return err;
	}
	p = packet_new(len);
	if (p == NULL)
		return -LINUX_ENOBUFS;
	err = packet_fill(p, msg->buf, len);
	if (err != 0) {
		packet_free(p);
		return err;
	}
	p->sender = socket_get(&u->sock);
	p->uncharge = uncharge;
	u->wmem += p->charge;
	*out = p;
	return 0;
}

static void deliver(struct unix_socket *to, struct packet *p)
{
	scm_takeoff(p->scm);
	packet_append(&to->rx, p);
	sock_wake(&to->sock, SOCK_IN);
}

/* ---- streams ---- */

/* Credentials travel if anybody at either end asked, or nobody there could ask yet. */
static bool wants_cred(const struct unix_socket *u, const struct unix_socket *other)
{
	return u->sock.passcred || other->sock.passcred || other->sock.file == NULL;
}

static int64_t send_stream(struct task *task, struct unix_socket *u, struct sock_msg *msg, struct scm **scm)
{
	uint64_t deadline = sock_deadline(u->sock.sndtimeo, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
	bool given = *scm != NULL && (*scm)->has_cred;
	struct linux_ucred cred;
	int64_t sent = 0;
	int err = 0;

	if (given)
		cred = (*scm)->cred;
	if (msg->name != NULL && msg->name->len != 0)
		return u->state == UNIX_CONNECTED ? -LINUX_EISCONN : -LINUX_EOPNOTSUPP;
	if (u->peer == NULL)
		return -LINUX_ENOTCONN;
	if ((u->sock.shut & SOCK_SHUT_SEND) != 0)
		return -LINUX_EPIPE;
	while (msg->buf->left > 0) {
		uint32_t most = MIN(PACKET_MAX, u->sock.sndbuf / 2);
		uint32_t len = (uint32_t)MIN(msg->buf->left, (uint64_t)most);
		struct unix_socket *other;
		struct packet *p;

		err = make_packet(task, u, msg, len, deadline, &p);
		if (err != 0)
			break;
		other = u->peer;
		if (other == NULL || other->dead || (other->sock.shut & SOCK_SHUT_RCV) != 0) {
			packet_free(p);
			err = -LINUX_EPIPE;
			break;
		}
		/* Descriptors go with the first piece, credentials with each. */
		if (given || wants_cred(u, other))
			err = scm_add_cred(task, scm);
		if (err != 0) {
			packet_free(p);
			break;
		}
		if (given)
			(*scm)->cred = cred;
		p->scm = *scm;
		*scm = NULL;
		sent += len;
		deliver(other, p);
	}
	return sent > 0 ? sent : err;
}

/* Bytes from writers with different credentials are not glued together where the reader is told them. */
static bool same_cred(const struct scm *a, const struct scm *b)
{
	bool has_a = a != NULL && a->has_cred, has_b = b != NULL && b->has_cred;

	if (!has_a || !has_b)
		return has_a == has_b;
	return memcmp(&a->cred, &b->cred, sizeof a->cred) == 0;
}

/* Takes what p carries: a copy when peeking. Frees what *scm held before. If only a part of p is read, the rest keeps its
 * credentials. */
static void take_scm(struct packet *p, bool peek, bool part, struct scm **scm)
{
	if (p->scm == NULL || (part && p->scm->nfiles == 0 && *scm != NULL))
		return;
	/* A later piece of the same writer: its credentials are known already. */
	if (*scm != NULL && p->scm->nfiles == 0)
		return;
	scm_free(*scm);
	if (peek) {
		*scm = scm_dup(p->scm); /* without memory a peek shows no descriptors */
		return;
	}
	scm_land(p->scm);
	*scm = p->scm;
	p->scm = part ? scm_dup_cred(*scm) : NULL;
}

/* The packet that byte `skip` behind the queue's head lies in; skip becomes the offset in it. */
static struct packet *packet_at(struct packet_queue *q, uint64_t *skip)
{
	struct packet *p;

	list_for_each(p, &q->packets, link) {
		if (*skip < p->len)
			return p;
		*skip -= p->len;
	}
	return NULL;
}

static int64_t recv_stream(struct task *task, struct unix_socket *u, struct sock_msg *msg, struct scm **scm)
{
	uint64_t deadline = sock_deadline(u->sock.rcvtimeo, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
	bool peek = (msg->flags & LINUX_MSG_PEEK) != 0;
	uint64_t want = msg->buf->left, target, skip = 0;
	bool peek_off = peek && u->sock.peek_off != UINT32_MAX;
	int64_t copied = 0;
	int err = 0;

	target = (msg->flags & LINUX_MSG_WAITALL) != 0 ? want : MIN((uint64_t)u->sock.rcvlowat, want);
	target = MAX(target, 1UL);
	if (peek_off)
		skip = u->sock.peek_off;
	do {
		uint64_t off = skip;
		struct packet *p = packet_at(&u->rx, &off);
		uint32_t n;
		size_t put;

		if (p == NULL) {
			if ((uint64_t)copied >= target)
				break;
			err = sock_error(&u->sock);
			if (err != 0 || (u->sock.shut & SOCK_SHUT_RCV) != 0)
				break;
			err = sock_wait(task, &u->sock.wq, LINUX_POLLIN | LINUX_POLLERR | LINUX_POLLHUP, deadline);
			if (err != 0)
				break;
			continue;
		}
		if (u->sock.passcred && copied > 0 && !same_cred(*scm, p->scm))
			break;
		n = (uint32_t)MIN((uint64_t)p->len - off, msg->buf->left);
		put = iobuf_put(msg->buf, packet_bytes(p) + off, n);
		if (put < n) {
			iobuf_revert(msg->buf, put);
			err = -LINUX_EFAULT;
			break;
		}
		copied += n;
		take_scm(p, peek, n < p->len, scm);
		if (peek) {
			skip += n;
			if (*scm != NULL && (*scm)->nfiles > 0)
				break;
			continue;
		}
		packet_consume(&u->rx, p, n);
		if (u->sock.peek_off != UINT32_MAX)
			u->sock.peek_off -= MIN(u->sock.peek_off, n);
		if (p->len > 0)
			break;
		packet_remove(&u->rx, p);
		packet_free(p);
		if (*scm != NULL && (*scm)->nfiles > 0)
			break;
	} while (msg->buf->left > 0);
	if (peek_off && copied > 0)
		u->sock.peek_off = (uint32_t)skip;
	return copied > 0 ? copied : err;
}

/* ---- datagrams and seqpackets ---- */

/* Who gets the message: a reference in *out. */
static int find_target(struct task *task, struct unix_socket *u, struct sock_msg *msg, struct unix_socket **out)
{
	if (u->sock.type == LINUX_SOCK_DGRAM && msg->name != NULL && msg->name->len != 0) {
		int err = unix_name_check(msg->name);

		return err != 0 ? err : unix_find(task, msg->name, LINUX_SOCK_DGRAM, out);
	}
	if (u->peer == NULL)
		return -LINUX_ENOTCONN;
	*out = u->peer;
	socket_get(&u->peer->sock);
	return 0;
}

/* Puts p into other's queue, waiting for room. Takes p on success. */
static int64_t send_to(struct task *task, struct unix_socket *u, struct unix_socket *other, struct packet *p,
		       uint64_t deadline)
{
	int err;

	for (;;) {
		if (other->peer != NULL && other->peer != u && u->sock.type == LINUX_SOCK_DGRAM)
			return -LINUX_EPERM;
		if (other->dead) {
			if (u->sock.type == LINUX_SOCK_SEQPACKET)
				return -LINUX_EPIPE;
			if (u->peer == other) {
				u->peer = NULL;
				list_del(&u->dgram_link);
				socket_put(&other->sock); /* the caller holds another one */
			}
			return -LINUX_ECONNREFUSED;
		}
		if ((other->sock.shut & SOCK_SHUT_RCV) != 0)
			return -LINUX_EPIPE;
		if (!unix_queue_full(u, other))
			break;
		err = sock_wait(task, &other->peer_wait, 0, deadline);
		if (err != 0)
			return err;
		if ((u->sock.shut & SOCK_SHUT_SEND) != 0)
			return -LINUX_EPIPE;
	}
	deliver(other, p);
	return 0;
}

static int64_t send_packet(struct task *task, struct unix_socket *u, struct sock_msg *msg, struct scm **scm)
{
	uint64_t deadline = sock_deadline(u->sock.sndtimeo, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
	uint64_t len = msg->buf->left;
	struct unix_socket *other;
	struct packet *p;
	int64_t err;

	if (u->sock.type == LINUX_SOCK_SEQPACKET) {
		err = sock_error(&u->sock);
		if (err != 0)
			return err;
		if (u->state != UNIX_CONNECTED)
			return -LINUX_ENOTCONN;
	} else if (msg->name != NULL && msg->name->len != 0) {
		err = unix_name_check(msg->name);
		if (err != 0)
			return err;
	} else if (u->peer == NULL) {
		return -LINUX_ENOTCONN;
	}
	if (u->sock.passcred) {
		err = unix_autobind(task, u);
		if (err != 0)
			return err;
	}
	if (len > u->sock.sndbuf - 32)
		return -LINUX_EMSGSIZE;
	err = make_packet(task, u, msg, (uint32_t)len, deadline, &p);
	if (err != 0)
		return err;
	err = find_target(task, u, msg, &other);
	if (err != 0) {
		packet_free(p);
		return err;
	}
	err = wants_cred(u, other) ? scm_add_cred(task, scm) : 0;
	if (err == 0) {
		p->scm = *scm;
		*scm = NULL;
		p->stamp = vfs_now();
		if (u->name != NULL)
			p->from_name = unix_name_get(u->name);
		err = send_to(task, u, other, p, deadline);
	}
	if (err != 0)
		packet_free(p);
	socket_put(&other->sock);
	return err != 0 ? err : (int64_t)len;
}

static int64_t recv_packet(struct task *task, struct unix_socket *u, struct sock_msg *msg, struct scm **scm)
{
	uint64_t deadline = sock_deadline(u->sock.rcvtimeo, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
	bool peek = (msg->flags & LINUX_MSG_PEEK) != 0;
	uint64_t skip = peek && u->sock.peek_off != UINT32_MAX ? u->sock.peek_off : 0;
	struct packet *p;
	uint32_t n, full;
	int err;

	if (u->sock.type == LINUX_SOCK_SEQPACKET && u->state != UNIX_CONNECTED)
		return -LINUX_ENOTCONN;
	while ((p = packet_head(&u->rx)) == NULL) {
		err = sock_error(&u->sock);
		if (err != 0)
			return err;
		if ((u->sock.shut & SOCK_SHUT_RCV) != 0)
			return u->sock.type == LINUX_SOCK_DGRAM && deadline == 0 ? -LINUX_EAGAIN : 0;
		err = sock_wait(task, &u->sock.wq, LINUX_POLLIN | LINUX_POLLERR | LINUX_POLLHUP, deadline);
		if (err != 0)
			return err;
	}
	skip = MIN(skip, (uint64_t)p->len);
	full = (uint32_t)(p->len - skip);
	n = (uint32_t)MIN((uint64_t)full, msg->buf->left);
	if (iobuf_put(msg->buf, packet_bytes(p) + skip, n) < n)
		return -LINUX_EFAULT;
	if (n < full)
		msg->out_flags |= LINUX_MSG_TRUNC;
	if (msg->name != NULL) {
		msg->name->len = 0;
		if (p->from_name != NULL)
			unix_name_show(p->from_name, msg->name);
	}
	take_scm(p, peek, false, scm);
	cmsg_put_stamp(task, &u->sock, msg, p->stamp.sec, p->stamp.nsec);
	if (peek) {
		if (u->sock.peek_off != UINT32_MAX)
			u->sock.peek_off += n;
	} else {
		if (u->sock.peek_off != UINT32_MAX)
			u->sock.peek_off -= MIN(u->sock.peek_off, p->len);
		packet_remove(&u->rx, p);
		packet_free(p);
		unix_sent_room(u);
	}
	return (msg->flags & LINUX_MSG_TRUNC) != 0 ? full : n;
}

/* ---- both ---- */

int64_t unix_sendmsg(struct task *task, struct socket *s, struct sock_msg *msg)
{
	struct unix_socket *u = unix_of(s);
	struct scm *scm;
	int64_t ret;

	ret = scm_from_msg(task, msg, &scm);
	if (ret != 0)
		return ret;
	if ((msg->flags & LINUX_MSG_OOB) != 0)
		ret = -LINUX_EOPNOTSUPP;
	else if (s->type == LINUX_SOCK_STREAM)
		ret = send_stream(task, u, msg, &scm);
	else
		ret = send_packet(task, u, msg, &scm);
	scm_free(scm);
	return ret;
}

int64_t unix_recvmsg(struct task *task, struct socket *s, struct sock_msg *msg)
{
	struct unix_socket *u = unix_of(s);
	struct scm *scm = NULL;
	int64_t ret;

	if (s->type == LINUX_SOCK_STREAM && u->state != UNIX_CONNECTED)
		return -LINUX_EINVAL;
	if ((msg->flags & LINUX_MSG_OOB) != 0)
		return s->type == LINUX_SOCK_STREAM ? -LINUX_EINVAL : -LINUX_EOPNOTSUPP;
	if (msg->name != NULL)
		msg->name->len = 0;
	if (s->type == LINUX_SOCK_STREAM) {
		ret = recv_stream(task, u, msg, &scm);
		if (ret >= 0 && msg->name != NULL && u->peer != NULL && u->peer->name != NULL)
			unix_name_show(u->peer->name, msg->name);
	} else {
		ret = recv_packet(task, u, msg, &scm);
	}
	if (ret > 0 || (ret == 0 && scm != NULL))
		scm_deliver(task, s, msg, scm);
	scm_free(scm);
	return ret;
}
