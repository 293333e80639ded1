/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TCP and UDP share: addresses of sockets, the tables of ports, options that are only remembered. Internal to
 * sentry/net.
 */
#ifndef SENTRY_NET_INET_H
#define SENTRY_NET_INET_H

#include "sentry/kernel/cred.h"
#include "sentry/net/inet_addr.h"
#include "sentry/net/socket.h"

#define INET_OPTS 80

struct inet_socket {
	struct socket sock;
	struct inet_ep local;      /* what getsockname shows; port 0: unbound */
	struct inet_ep remote;     /* port 0: not connected */
	bool bound;                /* on the port table */
	bool port_chosen;          /* by bind(2), so that disconnecting keeps it */
	bool addr_chosen;
	bool listening;            /* TCP */
	bool v6only;
	kuid_t uid;                /* creator: for SO_REUSEPORT and /proc/net */
	struct list port_link;
	int32_t opts[INET_OPTS];   /* inet_opt.c's slots */
};

static inline struct inet_socket *inet_of(struct socket *s)
{
	return container_of(s, struct inet_socket, sock);
}
static inline bool inet_is_v6(const struct inet_socket *i)
{
	return i->sock.family == LINUX_AF_INET6;
}

#define PORT_BUCKETS 512U
struct port_table {
	struct list buckets[PORT_BUCKETS];
	bool ready;
};
extern struct port_table tcp_ports, udp_ports, udplite_ports;
/* The table of i's protocol. */
struct port_table *inet_table(const struct inet_socket *i);
struct list *port_bucket(struct port_table *t, uint16_t port);

/* Sets up the shared part behind socket_init. task NULL: its owner is said later. */
void inet_init(struct inet_socket *i, struct task *task);
/* An address of the guest for connect and sendto. v6 sockets take AF_INET too if `any_family`. Checks length and family. */
int inet_parse(const struct inet_socket *i, const struct sockname *name, bool any_family, struct inet_ep *out) must_check;
void inet_show(const struct inet_socket *i, const struct inet_ep *ep, struct sockname *out);
/* bind(2) of both. */
int inet_bind(struct task *task, struct socket *s, const struct sockname *name);
/* Gives an unbound socket a free port. 0, -LINUX_EADDRNOTAVAIL (connect) or -LINUX_EAGAIN (the others). */
int inet_autobind(struct inet_socket *i) must_check;
/* Would i at its address conflict with another socket of the table? */
bool inet_conflicts(const struct inet_socket *i, const struct inet_ep *ep);
void inet_table_add(struct inet_socket *i);
void inet_table_remove(struct inet_socket *i);
void inet_table_set_listening(struct inet_socket *i, bool listening);
/* How well i, bound somewhere, fits a destination: 0 not at all, more is better. */
int inet_match(const struct inet_socket *i, const struct inet_addr *dst);
/* The address that packets to dst come from. */
struct inet_addr inet_source(const struct inet_addr *dst);
/* What a connect or send to ep is: 0: stays inside; -errno: refused (and recorded). TCP also: 1: goes out. */
int inet_route(struct task *task, struct inet_socket *i, struct inet_ep *ep, const char *what);

/* Options of the levels IP, IPV6, TCP and UDP that are remembered. */
int inet_setsockopt(struct task *task, struct socket *s, int level, int name, const void *val, unsigned len);
int inet_getsockopt(struct task *task, struct socket *s, int level, int name, void *val, unsigned *len);
/* The value of a remembered option; 0 for an unknown one. */
int32_t inet_opt(const struct inet_socket *i, int level, int name);
void inet_opts_init(struct inet_socket *i);
int64_t inet_ioctl(struct task *task, uint64_t pending, uint64_t unsent, unsigned cmd, uint64_t arg);

struct tcp_socket;
int tcp_create(struct task *task, int family, struct socket **out) must_check;
int udp_create(struct task *task, int family, int protocol, struct socket **out) must_check;
/* Does a socket of the sandbox listen on exactly this address and port? */
bool tcp_listens_exactly(const struct inet_ep *ep);

#endif
