/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP sockets, shared by tcp.c (states), tcp_io.c (bytes) and outbound.c (connections with the world). Internal to
 * sentry/net.
 */
#ifndef SENTRY_NET_TCP_H
#define SENTRY_NET_TCP_H

#include "sentry/kernel/loop.h"
#include "sentry/net/inet.h"
#include "sentry/net/packet.h"

struct outbound;

/* What connect(2) has been told, apart from the connection's state: Linux's socket->state. */
enum tcp_told { TCP_UNCONNECTED, TCP_CONNECTING, TCP_CONNECTED };

struct tcp_socket {
	struct inet_socket inet;
	uint8_t state;               /* LINUX_TCP_* */
	enum tcp_told told;
	bool fin_received;           /* the peer's end of data follows what is in rx */
	bool dead;                   /* closed by the guest */
	struct tcp_socket *peer;     /* counted: the other end inside; NULL for outbound and unconnected ones */
	struct outbound *out;        /* the connection through the host; NULL */
	struct packet_queue rx;

	/* urgent data: one byte, read by MSG_OOB. It also marks its place in rx unless SO_OOBINLINE. */
	bool urg_valid, urg_taken;
	uint8_t urg_byte;

	/* listener */
	uint32_t backlog, nready;
	struct list ready;           /* connections to accept, counted (accept_link) */
	struct list waiting;         /* clients in SYN_SENT for whom there was no room (accept_link), borrowed */
	struct list accept_link;
	uint32_t door;               /* came from outside by this one (ingress.c), and isn't accepted yet; 0 */
	struct tcp_socket *listener; /* whose list accept_link is on; borrowed */
	struct ktimer syn_timer;     /* runs in SYN_SENT */
	char congestion[16];
	uint64_t bytes_sent, bytes_received;
	struct list all_link;        /* for /proc/net/tcp */
};

static inline struct tcp_socket *tcp_of(struct socket *s)
{
	return container_of(s, struct tcp_socket, inet.sock);
}
#define TCP_SOCK(t) (&(t)->inet.sock)

extern struct list tcp_all;

/* ---- tcp.c ---- */
/* The peer closed its sending side; the peer is gone and refuses more (RST). */
void tcp_receive_fin(struct tcp_socket *t);
void tcp_receive_reset(struct tcp_socket *t);
/* A connect that waited has succeeded; has failed with a positive errno. */
void tcp_connect_done(struct tcp_socket *t);
void tcp_connect_failed(struct tcp_socket *t, int error);
void tcp_set_closed(struct tcp_socket *t);
int tcp_getsockopt(struct task *task, struct socket *s, int level, int name, void *val, unsigned *len);
int tcp_setsockopt(struct task *task, struct socket *s, int level, int name, const void *val, unsigned len);

/* Does a socket listen at port that connections from outside, IPv6 or IPv4, would reach? Only the wildcard address does:
 * who binds to loopback means to be reached from inside. */
bool tcp_listens_outside(uint16_t port, bool v6, uint32_t *backlog);
/* A connection from peer has arrived. Takes fd. 0, or -errno: nobody listens, or memory is out. */
int tcp_arrived(uint16_t port, bool v6, const struct inet_ep *peer, int fd, uint32_t door) must_check;

/* ---- tcp_io.c ---- */
int64_t tcp_sendmsg(struct task *task, struct socket *s, struct sock_msg *msg);
int64_t tcp_recvmsg(struct task *task, struct socket *s, struct sock_msg *msg);
uint32_t tcp_poll(struct task *task, struct socket *s);
int64_t tcp_ioctl(struct task *task, struct socket *s, unsigned cmd, uint64_t arg);

/* ---- outbound.c ---- */
/* Starts to connect; ends in tcp_connect_done or tcp_connect_failed. */
int outbound_start(struct tcp_socket *t, const struct inet_ep *ep) must_check;
/* Puts an established host socket behind t; takes fd. */
int outbound_adopt(struct tcp_socket *t, int fd) must_check;
/* The local address that a connection to dst, or from it, shows. */
struct inet_addr outbound_source(const struct inet_addr *dst);
/* Sends up to len bytes of buf. Bytes, -LINUX_EAGAIN (the queue is announced when there is room), or an error. */
int64_t outbound_send(struct tcp_socket *t, struct iobuf *buf, uint32_t flags);
/* Brings what has arrived into rx, if rx is empty. */
void outbound_pull(struct tcp_socket *t);
bool outbound_writable(const struct tcp_socket *t);
void outbound_shutdown(struct tcp_socket *t);
void outbound_close(struct tcp_socket *t);

#endif
