/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes through TCP sockets: send, receive, readiness.
 *
 *   send -> pieces appended to the other end's rx (or outbound_send) ... -> recv takes them from its own rx
 *
 * A connection holds at most window() bytes on their way in each direction. A writer sleeps until a third of it is free,
 * so that both ends don't take turns byte by byte; small writes share a piece, so that they don't cost one each.
 *
 * Urgent data (MSG_OOB) is one byte: a piece of its own in rx with `urgent` set, and a copy for MSG_OOB reads. Reads stop
 * before it and, unless SO_OOBINLINE, skip it.
 *
 * The guest controls sizes and flags; nothing allocated is larger than PACKET_MAX.
 */
#include "sentry/base/alloc.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/tcp.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

#define BUFFER_MOST (256U * 1024U) /* of each end's buffer that counts */
#define SMALL 1024U                /* pieces have at least this capacity, for more to come */

static uint64_t window(const struct tcp_socket *from, const struct tcp_socket *to)
{
	return (uint64_t)MIN(from->inet.sock.sndbuf, BUFFER_MOST) + MIN(to->inet.sock.rcvbuf, BUFFER_MOST);
}

static uint64_t room(const struct tcp_socket *t)
{
	uint64_t most, used;

	if (t->peer == NULL || t->peer->dead)
		return UINT64_MAX; /* goes nowhere at once */
	most = window(t, t->peer);
	used = t->peer->rx.charged;
	return used < most ? most - used : 0;
}

static bool writable(const struct tcp_socket *t)
{
	if (t->out != NULL)
		return outbound_writable(t);
	if (t->peer == NULL || t->peer->dead)
		return true;
	return room(t) * 3 >= window(t, t->peer);
}

static bool readable(const struct tcp_socket *t)
{
	uint64_t least = MIN(t->inet.sock.rcvlowat, BUFFER_MOST / 2);

	return t->rx.bytes >= least;
}

/* ---- sending ---- */

static bool may_send_in(const struct tcp_socket *t)
{
	return t->state == LINUX_TCP_ESTABLISHED || t->state == LINUX_TCP_CLOSE_WAIT;
}

/* The other end's process is told of urgent data if it asked (F_SETOWN). */
static void send_sigurg(struct tcp_socket *to)
{
	struct file *file = TCP_SOCK(to)->file;
	struct linux_siginfo info = {.signo = LINUX_SIGURG, .code = LINUX_SI_KERNEL};

	if (file == NULL || file->owner_pid == 0)
		return;
	if (file->owner_pid > 0) {
		struct thread_group *g = group_find_in(file->owner_pids, file->owner_pid);

		if (g != NULL)
			signal_send_group(g, LINUX_SIGURG, &info);
	} else {
		struct process_group *p = pgrp_find_in(file->owner_pids, -file->owner_pid);

		if (p != NULL)
			signal_send_pgrp(p, LINUX_SIGURG, &info);
	}
}

static void append_urgent(struct tcp_socket *to, struct packet *p)
{
	struct packet *old;

	list_for_each(old, &to->rx.packets, link)
		old->urgent = false; /* only the latest counts; earlier ones are ordinary data now */
	p->urgent = true;
	to->urg_valid = true;
	to->urg_taken = false;
	to->urg_byte = p->data[0];
	packet_append(&to->rx, p);
	send_sigurg(to);
	sock_wake(TCP_SOCK(to), SOCK_IN | LINUX_POLLPRI);
}

/* Adds to the last piece if it has space behind its bytes. Bytes taken, 0 or -LINUX_EFAULT. */
static int64_t append_to_tail(struct tcp_socket *to, struct iobuf *buf, uint32_t len)
{
	struct packet *p;
	size_t n, got;

	if (to->rx.count == 0)
		return 0;
	p = list_last(&to->rx.packets, struct packet, link);
	if (p->urgent || p->off + p->len >= p->cap)
		return 0;
	n = MIN(len, p->cap - p->off - p->len);
	got = iobuf_get(buf, packet_bytes(p) + p->len, n);
	if (got < n) {
		iobuf_revert(buf, got);
		return -LINUX_EFAULT;
	}
	p->len += (uint32_t)n;
	to->rx.bytes += n;
	return (int64_t)n;
}

/* Moves up to len bytes to the other end. Bytes or -errno. */
static int64_t send_piece(struct tcp_socket *t, struct iobuf *buf, uint32_t len, bool urgent)
{
	struct tcp_socket *to = t->peer;
	struct packet *p;
	int64_t n;
	int err;

	if (!urgent) {
		n = append_to_tail(to, buf, len);
		if (n != 0) {
			if (n > 0)
				sock_wake(TCP_SOCK(to), SOCK_IN);
			return n;
		}
	}
	p = packet_new(urgent ? 1 : MAX(len, SMALL));
	if (p == NULL)
		return -LINUX_ENOBUFS;
	err = packet_fill(p, buf, len);
	if (err != 0) {
		packet_free(p);
		return err;
	}
	if (urgent) {
		append_urgent(to, p);
		return len;
	}
	packet_append(&to->rx, p);
	sock_wake(TCP_SOCK(to), SOCK_IN);
	return len;
}

/* The other end is closed: as many bytes as the buffer holds are "sent", and the answer is a reset. */
static int64_t send_to_nobody(struct tcp_socket *t, struct iobuf *buf)
{
	uint64_t n = MIN(buf->left, (uint64_t)TCP_SOCK(t)->sndbuf);

	buf->left -= n;
	tcp_receive_reset(t);
	return (int64_t)n;
}

static int64_t send_some(struct tcp_socket *t, struct sock_msg *msg)
{
	bool urgent = (msg->flags & LINUX_MSG_OOB) != 0;
	uint64_t left = msg->buf->left, n;

	if (t->out != NULL)
		return outbound_send(t, msg->buf, msg->flags & LINUX_MSG_OOB);
	if (t->peer == NULL || t->peer->dead)
		return send_to_nobody(t, msg->buf);
	n = MIN(left, (uint64_t)PACKET_MAX);
	n = MIN(n, room(t));
	if (n == 0)
		return -LINUX_EAGAIN;
	if (urgent && n == left && n > 1)
		n--; /* the last byte goes alone */
	return send_piece(t, msg->buf, (uint32_t)n, urgent && left == 1);
}

static int wait_connected(struct task *task, struct tcp_socket *t, uint64_t deadline)
{
	struct socket *s = TCP_SOCK(t);

	while (!may_send_in(t)) {
		int err = sock_error(s);

		if (err != 0)
			return err;
		if (t->state != LINUX_TCP_SYN_SENT)
			return -LINUX_EPIPE;
		err = sock_wait(task, &s->wq, 0, deadline);
		if (err != 0)
			return err;
	}
	return 0;
}

int64_t tcp_sendmsg(struct task *task, struct socket *s, struct sock_msg *msg)
{
	struct tcp_socket *t = tcp_of(s);
	uint64_t deadline = sock_deadline(s->sndtimeo, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
	int64_t sent = 0, n;
	int err;

	if ((msg->flags & LINUX_MSG_FASTOPEN) != 0) {
		/* As without a cookie: an ordinary connect, by the same rules, and then the data. */
		if (msg->name == NULL)
			return t->told == TCP_CONNECTED ? -LINUX_EISCONN : -LINUX_EINVAL;
		err = s->ops->connect(task, s, msg->name, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
		if (err != 0)
			return err;
	}
	err = wait_connected(task, t, deadline);
	if (err != 0)
		return err;
	while (msg->buf->left > 0) {
		if (s->error != 0 || (s->shut & SOCK_SHUT_SEND) != 0 || !may_send_in(t)) {
			/* An error that comes after some bytes is told by the next call. */
			err = s->error != 0 && sent == 0 ? sock_error(s) : -LINUX_EPIPE;
			break;
		}
		n = send_some(t, msg);
		if (n > 0) {
			sent += n;
			t->bytes_sent += (uint64_t)n;
			if (sent % (int64_t)MiB < n)
				task_yield(task);
			continue;
		}
		err = (int)n;
		if (err == -LINUX_EAGAIN)
			err = sock_wait(task, &s->wq, LINUX_POLLOUT | LINUX_POLLERR | LINUX_POLLHUP, deadline);
		if (err != 0)
			break;
	}
	if (sent == 0 && err == 0 && (s->shut & SOCK_SHUT_SEND) != 0)
		err = s->error != 0 ? sock_error(s) : -LINUX_EPIPE;
	return sent > 0 ? sent : err;
}

/* ---- receiving ---- */

static int64_t recv_urgent(struct tcp_socket *t, struct sock_msg *msg)
{
	struct socket *s = TCP_SOCK(t);

	if (s->oobinline || !t->urg_valid || t->urg_taken)
		return -LINUX_EINVAL;
	if (t->state == LINUX_TCP_CLOSE && !t->fin_received)
		return -LINUX_ENOTCONN;
	if ((msg->flags & LINUX_MSG_PEEK) == 0)
		t->urg_taken = true;
	msg->out_flags |= LINUX_MSG_OOB;
	if (msg->buf->left == 0) {
		msg->out_flags |= LINUX_MSG_TRUNC;
		return 0;
	}
	return iobuf_put(msg->buf, &t->urg_byte, 1) == 1 ? 1 : -LINUX_EFAULT;
}

/* Room was made: the other end may go on once a good part is free. */
static void tell_writer(struct tcp_socket *t)
{
	if (t->peer != NULL && !t->peer->dead && writable(t->peer))
		sock_wake(TCP_SOCK(t->peer), SOCK_OUT);
}

/* Copies from rx what is there. *copied grows; returns false if reading must stop (urgent mark, fault in *err). */
static bool take_bytes(struct tcp_socket *t, struct sock_msg *msg, int64_t *copied, int *err)
{
	bool peek = (msg->flags & LINUX_MSG_PEEK) != 0, discard = (msg->flags & LINUX_MSG_TRUNC) != 0;
	struct packet *p, *next;

	list_for_each_safe(p, next, &t->rx.packets, link) {
		uint32_t n = (uint32_t)MIN((uint64_t)p->len, msg->buf->left);
		size_t put = n;

		if (p->urgent) {
			if (*copied > 0)
				return false;
			if (!TCP_SOCK(t)->oobinline) {
				if (!peek) {
					t->urg_valid = false;
					packet_remove(&t->rx, p);
					packet_free(p);
				}
				continue;
			}
		}
		if (n == 0)
			return false;
		if (discard) {
			msg->buf->left -= n;
		} else {
			put = iobuf_put(msg->buf, packet_bytes(p), n);
			if (put < n) {
				iobuf_revert(msg->buf, put);
				*err = -LINUX_EFAULT;
				return false;
			}
		}
		*copied += n;
		if (peek)
			continue;
		if (p->urgent)
			t->urg_valid = false;
		packet_consume(&t->rx, p, n);
		if (p->len == 0) {
			packet_remove(&t->rx, p);
			packet_free(p);
		}
	}
	return true;
}

/* Nothing is in rx: does the call end? 1: at the end of data, -errno, 0: wait. */
static int no_data(struct tcp_socket *t)
{
	struct socket *s = TCP_SOCK(t);

	if (t->fin_received)
		return 1;
	if (s->error != 0)
		return sock_error(s);
	if ((s->shut & SOCK_SHUT_RCV) != 0)
		return 1;
	return t->state == LINUX_TCP_CLOSE ? -LINUX_ENOTCONN : 0;
}

int64_t tcp_recvmsg(struct task *task, struct socket *s, struct sock_msg *msg)
{
	struct tcp_socket *t = tcp_of(s);
	uint64_t deadline = sock_deadline(s->rcvtimeo, (msg->flags & LINUX_MSG_DONTWAIT) != 0);
	uint64_t want = msg->buf->left, target;
	int64_t copied = 0;
	int err = 0, end;

	if (msg->name != NULL)
		msg->name->len = 0;
	if (t->state == LINUX_TCP_LISTEN)
		return -LINUX_ENOTCONN;
	if ((msg->flags & LINUX_MSG_OOB) != 0)
		return recv_urgent(t, msg);
	target = (msg->flags & LINUX_MSG_WAITALL) != 0 ? want : MIN((uint64_t)s->rcvlowat, want);
	target = MAX(target, 1UL);
	for (;;) {
		uint64_t limit = msg->buf->left;

		if (t->out != NULL)
			outbound_pull(t);
		if ((msg->flags & LINUX_MSG_PEEK) != 0 && copied > 0) {
			/* A peek that waited for more begins again. */
			if ((msg->flags & LINUX_MSG_TRUNC) != 0)
				msg->buf->left += (uint64_t)copied;
			else
				iobuf_revert(msg->buf, (size_t)copied);
			copied = 0;
		}
		if (!take_bytes(t, msg, &copied, &err))
			break;
		if (msg->buf->left < limit)
			tell_writer(t);
		if ((uint64_t)copied >= target || (want > 0 && msg->buf->left == 0))
			break;
		/* More may lie in the host's socket behind what was pulled. */
		if (t->out != NULL && (msg->flags & LINUX_MSG_PEEK) == 0 && t->rx.bytes == 0) {
			outbound_pull(t);
			if (t->rx.bytes > 0)
				continue;
		}
		end = no_data(t);
		if (end != 0) {
			if (end < 0 && copied > 0)
				s->error = -end; /* told by the next call */
			err = end < 0 ? end : 0;
			break;
		}
		err = sock_wait(task, &s->wq, LINUX_POLLIN | LINUX_POLLERR | LINUX_POLLHUP | LINUX_POLLRDHUP, deadline);
		if (err != 0)
			break;
	}
	tell_writer(t);
	if (copied > 0 && (msg->flags & LINUX_MSG_PEEK) == 0)
		t->bytes_received += (uint64_t)copied;
	return copied > 0 ? copied : err;
}

/* ---- readiness ---- */

uint32_t tcp_poll(struct task *task, struct socket *s)
{
	struct tcp_socket *t = tcp_of(s);
	uint32_t events = 0;

	(void)task;
	if (t->state == LINUX_TCP_LISTEN)
		return t->nready > 0 ? SOCK_IN : 0;
	if (t->out != NULL)
		outbound_pull(t);
	if (s->shut == (SOCK_SHUT_RCV | SOCK_SHUT_SEND) || t->state == LINUX_TCP_CLOSE)
		events |= LINUX_POLLHUP;
	if ((s->shut & SOCK_SHUT_RCV) != 0)
		events |= SOCK_IN | LINUX_POLLRDHUP;
	if (t->state != LINUX_TCP_SYN_SENT) {
		if (readable(t))
			events |= SOCK_IN;
		if ((s->shut & SOCK_SHUT_SEND) != 0 || writable(t))
			events |= SOCK_OUT;
		if (t->urg_valid && !t->urg_taken)
			events |= LINUX_POLLPRI;
	}
	if (s->error != 0)
		events |= LINUX_POLLERR;
	return events;
}

int64_t tcp_ioctl(struct task *task, struct socket *s, unsigned cmd, uint64_t arg)
{
	struct tcp_socket *t = tcp_of(s);
	struct packet *head;
	int32_t v;

	if (t->state == LINUX_TCP_LISTEN && (cmd == LINUX_FIONREAD || cmd == LINUX_TIOCOUTQ))
		return -LINUX_EINVAL;
	if (cmd == LINUX_SIOCATMARK) {
		head = packet_head(&t->rx);
		v = t->urg_valid && head != NULL && head->urgent;
		return put_guest(task, GVA(arg), &v);
	}
	if (cmd == LINUX_FIONREAD && t->out != NULL)
		outbound_pull(t);
	return inet_ioctl(task, t->rx.bytes, 0, cmd, arg);
}
