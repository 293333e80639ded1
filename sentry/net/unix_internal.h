/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of unix(7) sockets, shared by unix.c (connections, dispatch), unix_msg.c (bytes), unix_name.c (addresses)
 * and scm.c (descriptors in flight).
 */
#ifndef SENTRY_NET_UNIX_INTERNAL_H
#define SENTRY_NET_UNIX_INTERNAL_H

#include "sentry/kernel/cred.h"
#include "sentry/net/packet.h"
#include "sentry/net/socket.h"
#include "sentry/net/unix.h"

struct inode;
struct thread_group;

/* An address that is bound: what getsockname shows. Shared by a listener and its connections. */
struct unix_name {
	struct ref ref;
	unsigned len;        /* of the sockaddr_un, family included */
	struct linux_sockaddr_un addr;
};

enum unix_state { UNIX_IDLE, UNIX_LISTENING, UNIX_CONNECTED };

struct unix_socket {
	struct socket sock;
	enum unix_state state;         /* streams and seqpackets; datagram sockets stay UNIX_IDLE */
	struct unix_name *name;        /* counted; NULL: unbound */
	bool abstract;                 /* name is in the table of abstract names, for us */
	struct list name_link;         /* there */
	struct inode *inode;           /* counted: the socket file bound to us; NULL */
	struct unix_socket *peer;      /* counted; NULL */
	bool dead;                     /* closed: only references from packets and peers remain */
	uint32_t wmem;                 /* bytes of ours in others' queues */
	uint32_t max_backlog;
	struct packet_queue rx;
	struct waitq peer_wait;        /* sleeps on our queues: senders of datagrams, connecting clients */
	struct list dgram_peers;       /* datagram sockets connected to us (unix_socket.dgram_link) */
	struct list dgram_link;
	struct list embryos;           /* listener: connections not yet accepted, counted (embryo_link) */
	uint32_t nembryos;
	struct list embryo_link;
	struct unix_socket *listener;  /* while on its list; borrowed */
	struct linux_ucred peer_cred;  /* SO_PEERCRED */
	struct pid_space *peer_pids;   /* whose number is in it; NULL with none */
	struct cred *peer_groups;      /* counted; NULL */
	struct list all_link;          /* every unix socket */
	/* scm.c */
	uint32_t inflight;             /* references to our file in packets */
	bool marked;                   /* reached in this collection */
	struct list mark_link;
};

/* What a message carries beside bytes. */
struct scm {
	struct file **files;           /* counted each; in flight */
	uint32_t nfiles;
	bool flying;                   /* in a queue: counted in unix_socket.inflight */
	struct cred *payer;            /* counted: whose in-flight count pays; NULL with no files */
	bool has_cred;
	struct linux_ucred cred;
	struct pid_space *pids;        /* the sender's, whose number is in cred */
	struct list link;              /* on the list of those being dropped */
};

static inline struct unix_socket *unix_of(struct socket *s)
{
	return container_of(s, struct unix_socket, sock);
}
static inline bool unix_is_stream_like(const struct unix_socket *u)
{
	return u->sock.type != LINUX_SOCK_DGRAM;
}

extern struct list unix_all;
extern uint64_t unix_total_inflight;

/* ---- unix_name.c ---- */
/* Checks a name from the guest: 0, or -LINUX_EINVAL. */
int unix_name_check(const struct sockname *name) must_check;
int unix_bind(struct task *task, struct socket *s, const struct sockname *name);
/* Gives an unbound socket a name of the kernel's choice. */
int unix_autobind(struct task *task, struct unix_socket *u) must_check;
/* Finds who is bound to name: a reference in *out. type must match: -LINUX_EPROTOTYPE. */
int unix_find(struct task *task, const struct sockname *name, int type, struct unix_socket **out) must_check;
/* Leaves the tables; the name itself stays for getsockname. */
void unix_unbind(struct unix_socket *u);
struct unix_name *unix_name_get(struct unix_name *n);
void unix_name_show(const struct unix_name *n, struct sockname *out); /* n may be NULL: unnamed */

/* ---- unix_msg.c ---- */
int64_t unix_sendmsg(struct task *task, struct socket *s, struct sock_msg *msg);
int64_t unix_recvmsg(struct task *task, struct socket *s, struct sock_msg *msg);
/* A receiver took something: lets senders on. */
void unix_sent_room(struct unix_socket *u);
bool unix_writable(const struct unix_socket *u);
/* A datagram for other must wait: its queue is full and it isn't connected back to us. */
bool unix_queue_full(const struct unix_socket *u, const struct unix_socket *other);

/* ---- scm.c ---- */
/* Reads SCM_RIGHTS and SCM_CREDENTIALS of a message into a new *out (NULL if it carries neither). */
int scm_from_msg(struct task *task, const struct sock_msg *msg, struct scm **out) must_check;
/* Adds the sender's credentials if scm has none; makes one if *scm is NULL. */
int scm_add_cred(struct task *task, struct scm **scm) must_check;
/* A second reference to everything, for MSG_PEEK; NULL: no memory. */
struct scm *scm_dup(const struct scm *scm) must_check;
/* Its credentials alone; NULL: it has none, or no memory. */
struct scm *scm_dup_cred(const struct scm *scm) must_check;
/* Installs descriptors and writes control messages for what was received. Doesn't free scm. NULL: an ordinary message. */
void scm_deliver(struct task *task, struct socket *s, struct sock_msg *msg, struct scm *scm);
/* The message goes into a queue, or comes out of it. NULL is allowed. */
void scm_takeoff(struct scm *scm);
void scm_land(struct scm *scm);
/* A unix socket closed: cycles of descriptors in flight may now be unreachable. */
void scm_collect_later(void);

void unix_task_cred(const struct task *task, struct linux_ucred *out);

#endif
