/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: what every family shares. A socket is a file whose inode lives in sockfs; the struct socket outlives its file
 * while others refer to it (a peer, bytes on their way, an accept queue).
 *
 *   syscalls/net.c -> socket_ops of the family -> unix.c | tcp.c (outbound.c) | udp.c | netlink.c
 *   read(2), poll(2), ioctl(2) -> socket_file_ops -> the same
 *
 * One wait queue per socket announces everything; events are poll(2) bits.
 */
#ifndef SENTRY_NET_SOCKET_H
#define SENTRY_NET_SOCKET_H

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/abi/socket.h"
#include "sentry/base/list.h"
#include "sentry/base/ref.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/iobuf.h"

struct file;
struct scm;
struct socket;
struct task;

/* A socket address as it came from, or goes to, the guest. */
struct sockname {
	unsigned len; /* <= LINUX_SOCKADDR_MAX; 0: none */
	uint8_t bytes[LINUX_SOCKADDR_MAX];
};
static inline uint16_t sockname_family(const struct sockname *n)
{
	return (uint16_t)(n->bytes[0] | n->bytes[1] << 8);
}

/* Where ancillary data of a receive goes: the guest's control buffer. */
struct cmsg_sink {
	gva_t base;
	uint64_t size, used;
};

/* One message being sent or received. */
struct sock_msg {
	struct iobuf *buf;
	uint32_t flags;            /* MSG_* as given; MSG_DONTWAIT is added for O_NONBLOCK files */
	uint32_t out_flags;        /* receive: MSG_* to report */
	struct sockname *name;     /* send: where to, NULL: none. receive: filled; NULL: not asked for */
	const uint8_t *control;    /* send: ancillary data, copied from the guest; NULL: none */
	size_t control_len;
	struct cmsg_sink *sink;    /* receive: NULL: no control buffer */
};

struct socket_ops {
	/* Optional ones answer -LINUX_EOPNOTSUPP when NULL. */
	int (*bind)(struct task *task, struct socket *s, const struct sockname *name);
	int (*connect)(struct task *task, struct socket *s, const struct sockname *name, bool nonblock);
	int (*listen)(struct task *task, struct socket *s, int backlog);              /* optional */
	/* *out is a reference to the new connection's socket. */
	int (*accept)(struct task *task, struct socket *s, bool nonblock, struct socket **out); /* optional */
	int (*pair)(struct task *task, struct socket *a, struct socket *b);           /* optional */
	int (*getname)(struct task *task, struct socket *s, bool peer, struct sockname *name);
	int64_t (*sendmsg)(struct task *task, struct socket *s, struct sock_msg *msg);
	int64_t (*recvmsg)(struct task *task, struct socket *s, struct sock_msg *msg);
	int (*shutdown)(struct task *task, struct socket *s, int how);                /* optional */
	/* Options of other levels than SOL_SOCKET, and those of SOL_SOCKET that socket_setsockopt leaves to the family.
	 * val holds len bytes (at most SOCKOPT_MAX). Optional: -LINUX_ENOPROTOOPT. */
	int (*setsockopt)(struct task *task, struct socket *s, int level, int name, const void *val, unsigned len);
	/* *len: in: room in val (SOCKOPT_MAX at least); out: the value's full length. */
	int (*getsockopt)(struct task *task, struct socket *s, int level, int name, void *val, unsigned *len);
	uint32_t (*poll)(struct task *task, struct socket *s);
	int64_t (*ioctl)(struct task *task, struct socket *s, unsigned cmd, uint64_t arg); /* optional: -LINUX_ENOTTY */
	/* The file is gone: leave every table, tell the peer. The object stays until its last reference is put. */
	void (*close)(struct socket *s);
	/* The last reference is gone: frees the object. */
	void (*destroy)(struct socket *s);
};

#define SOCKOPT_MAX 1024U
#define SOCK_SHUT_RCV 1U
#define SOCK_SHUT_SEND 2U

struct socket {
	struct ref ref;
	const struct socket_ops *ops;
	uint16_t family;
	uint8_t type;
	uint16_t protocol;
	struct file *file;         /* borrowed; NULL before accept gives one and after the last close */
	struct waitq wq;
	uint32_t shut;             /* SOCK_SHUT_* */
	int error;                 /* positive errno for SO_ERROR and the next call; 0: none */
	uint64_t ino;              /* of the sockfs inode; 0 while there is none */

	/* SOL_SOCKET options */
	uint32_t sndbuf, rcvbuf;   /* as Linux reports them: doubled */
	bool sndbuf_set, rcvbuf_set;
	uint64_t rcvtimeo, sndtimeo; /* ns; 0: forever */
	uint32_t rcvlowat, priority, mark, peek_off;
	bool reuseaddr, reuseport, keepalive, broadcast, oobinline, dontroute, no_check, passcred, debug;
	bool timestamp, timestampns, rxq_ovfl, linger_on, lock_filter;
	uint32_t linger;           /* seconds */
	bool bound_dev;            /* SO_BINDTODEVICE "lo" */
	uint64_t last_stamp_sec, last_stamp_nsec; /* of the last datagram read: SIOCGSTAMP */
};

/* Initialises the common part; count 1. */
void socket_init(struct socket *s, const struct socket_ops *ops, int family, int type, int protocol);
static inline struct socket *socket_get(struct socket *s)
{
	ref_get(&s->ref);
	return s;
}
void socket_put(struct socket *s);

/* socket(2) without the descriptor. *out is a reference. */
int socket_create(struct task *task, int family, int type, int protocol, struct socket **out) must_check;
/* Takes the socket's reference, also on failure (then the socket is closed). flags: LINUX_O_NONBLOCK or 0. NULL: no memory. */
struct file *socket_new_file(struct task *task, struct socket *s, uint32_t flags) must_check;
/* The socket behind a file, borrowed; NULL if it is none. */
struct socket *socket_from_file(struct file *file);

/* sendmsg and recvmsg with what they all share: MSG_DONTWAIT from the file, SIGPIPE. */
int64_t socket_sendmsg(struct task *task, struct file *file, struct sock_msg *msg);
int64_t socket_recvmsg(struct task *task, struct file *file, struct sock_msg *msg);
int socket_setsockopt(struct task *task, struct socket *s, int level, int name, gva_t val, int len);
int socket_getsockopt(struct task *task, struct socket *s, int level, int name, gva_t val, gva_t len);

/* Appends one control message to the guest's buffer; sets MSG_CTRUNC in *out_flags if it doesn't fit. */
void cmsg_put(struct task *task, struct sock_msg *msg, int level, int type, const void *data, size_t len);
/* Bytes of payload that a control message of this moment could carry. */
size_t cmsg_room(const struct sock_msg *msg);
/* SO_TIMESTAMP and SO_TIMESTAMPNS for a datagram that arrived at sec, nsec. */
void cmsg_put_stamp(struct task *task, struct socket *s, struct sock_msg *msg, int64_t sec, int64_t nsec);
/* Iterates over sent control data: *off starts at 0. Returns 1 with a header and its payload, 0 at the end, -LINUX_EINVAL. */
int cmsg_next(const struct sock_msg *msg, size_t *off, struct linux_cmsghdr *hdr, const uint8_t **data, size_t *len);

/* The end of a wait that starts now. WAIT_FOREVER for timeo 0; 0 ("don't") if nonblock. */
uint64_t sock_deadline(uint64_t timeo, bool nonblock);
/* Sleeps on the socket's queue until one of the events is announced. 0: check again. -LINUX_EAGAIN: the deadline came
 * (at once if it is 0). -LINUX_ERESTARTSYS, or -LINUX_EINTR if a timeout was set, as Linux has it. */
int sock_wait(struct task *task, struct waitq *wq, uint32_t events, uint64_t deadline) must_check;
/* Takes the pending error: -errno or 0. */
int sock_error(struct socket *s);
/* Wakes with the usual companions of each event. */
void sock_wake(struct socket *s, uint32_t events);
#define SOCK_IN (LINUX_POLLIN | LINUX_POLLRDNORM)
#define SOCK_OUT (LINUX_POLLOUT | LINUX_POLLWRNORM)

/* The families. */
int unix_create(struct task *task, int type, int protocol, struct socket **out) must_check;
int inet_create(struct task *task, int family, int type, int protocol, struct socket **out) must_check;
int netlink_create(struct task *task, int type, int protocol, struct socket **out) must_check;

#endif
