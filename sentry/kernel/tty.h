/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals: settings, the line discipline, sessions and foreground groups (termios(3), tty_ioctl(4), credentials(7)).
 *
 *	keys --tty_receive()--> line discipline --> read buffer --tty_read()--> program
 *	program --tty_write()--> output processing --ops->output()--> screen
 *
 * A struct tty is what programs open as their terminal: a pty's slave (fs/devpts.c; its "screen and keys" are the
 * master), or the host's terminal (fs/hostfile.c), which uses the parts about sessions and may use the rest.
 *
 * A session has at most one terminal (session->tty, counted) and a terminal belongs to at most one session (tty->session,
 * borrowed); session->foreground is its foreground process group.
 */
#ifndef SENTRY_KERNEL_TTY_H
#define SENTRY_KERNEL_TTY_H

#include "sentry/abi/ioctl.h"
#include "sentry/base/ref.h"
#include "sentry/kernel/waitq.h"

struct file;
struct iobuf;
struct process_group;
struct session;
struct task;
struct tty;

#define TTY_READ_SIZE 4096U /* MAX_CANON + 1; a power of two */
#define TTY_ECHO_SIZE 1024U

struct tty_ops {
	/* Takes up to len bytes for the screen; returns how many. Required. */
	size_t (*output)(struct tty *tty, const uint8_t *data, size_t len);
	/* Bytes that output() would take now. Required. */
	size_t (*room)(struct tty *tty);
	/* A new description of the terminal (open of /dev/tty, /dev/console): sets file->ops and private_data. Required. */
	int (*open)(struct task *task, struct tty *tty, struct file *file);
	/* The last reference is gone. Required. */
	void (*free)(struct tty *tty);
	/* The read buffer has room again. Optional. */
	void (*unthrottle)(struct tty *tty);
	/* What was written and not yet seen is thrown away (TCOFLUSH). Optional. */
	void (*flush_output)(struct tty *tty);
	/* Output was stopped or goes on; input was flushed... as TIOCPKT_* bits, for packet mode. Optional. */
	void (*packet)(struct tty *tty, uint8_t bits);
	/* Bytes written and not yet seen. Optional: 0. */
	size_t (*pending)(struct tty *tty);
};

struct tty {
	struct ref ref;
	const struct tty_ops *ops;
	uint64_t dev;               /* its device number, as /proc/PID/stat shows it */
	char name[24];              /* "pts/3" */
	struct linux_termios2 termios;
	struct linux_termios locked; /* TIOCSLCKTRMIOS: bits that are set, and characters that aren't 0, can't be changed */
	struct linux_winsize winsize;
	struct session *session;    /* borrowed; whose controlling terminal it is, or NULL */
	struct waitq waitq;         /* readers (LINUX_POLLIN), writers (LINUX_POLLOUT) */
	bool hung_up;               /* for good: reads give 0, all else EIO */
	bool exclusive;             /* TIOCEXCL */
	bool is_pty;

	/* output */
	bool flow_stopped;          /* ^S or TCOOFF */
	uint32_t column;
	uint32_t canon_column;      /* where the line being edited began */
	uint8_t echo[TTY_ECHO_SIZE]; /* echoes that wait for room */
	uint32_t echo_len;

	/* input: a ring; tail <= line_start <= head, head - tail <= TTY_READ_SIZE */
	uint8_t buf[TTY_READ_SIZE];
	uint8_t mark[TTY_READ_SIZE / 8]; /* bit set: that byte ends a line */
	uint64_t head, tail;
	uint64_t line_start;        /* canonical: complete lines lie before it, the line being edited behind */
	bool lnext;                 /* the next character is taken as it is */
	bool erasing;               /* ECHOPRT: inside \.../ */
};

/* Fills in the defaults of a new terminal with one reference. */
void tty_init(struct tty *tty, const struct tty_ops *ops, const char *name, uint64_t dev);
static inline struct tty *tty_get(struct tty *tty)
{
	ref_get(&tty->ref);
	return tty;
}
void tty_put(struct tty *tty);

/* ---- the line discipline (tty_ldisc.c) ---- */

/* Typed bytes arrive. Returns how many were taken: fewer when the reader must catch up first. */
size_t tty_receive(struct tty *tty, const uint8_t *data, size_t len);
/* read(2) and write(2) by a program, job control included. Sleep unless nonblocking. */
int64_t tty_read(struct task *task, struct tty *tty, struct iobuf *buf, bool nonblock);
int64_t tty_write(struct task *task, struct tty *tty, struct iobuf *buf, bool nonblock);
uint32_t tty_poll(struct tty *tty, struct waiter *waiter);
/* Room for output again: waiting echoes and writers go on. */
void tty_output_ready(struct tty *tty);
/* New settings, with what changing modes does to bytes already there. */
void tty_set_termios(struct tty *tty, const struct linux_termios2 *t);
void tty_flush_input(struct tty *tty);
/* Would tty_receive take a byte now? */
bool tty_can_receive(const struct tty *tty);
/* Bytes that a read could give now. */
size_t tty_readable(const struct tty *tty);
/* ^S and ^Q, TCXONC. */
void tty_stop(struct tty *tty);
void tty_start(struct tty *tty);

/* ---- sessions and ioctls (tty.c) ---- */

/*
 * ioctls that every terminal has. master: asked through a pty's master, which isn't itself a controlling terminal.
 * -LINUX_ENOTTY for what isn't one of them. tty_ioctl_session: only those about sessions and groups, for a terminal that
 * has its own settings.
 */
int64_t tty_ioctl(struct task *task, struct tty *tty, struct file *file, bool master, unsigned cmd, uint64_t arg);
int64_t tty_ioctl_session(struct task *task, struct tty *tty, struct file *file, bool master, unsigned cmd, uint64_t arg);
bool tty_is_session_ioctl(unsigned cmd);

/* Job control. May task do this to tty now? 0, -LINUX_EIO, or -LINUX_ERESTARTSYS with SIGTTIN or SIGTTOU sent. */
int tty_check_read(struct task *task, struct tty *tty) must_check;
int tty_check_change(struct task *task, struct tty *tty) must_check;
/* A session leader without a terminal that opens one (and not by O_NOCTTY) gets it. */
void tty_opened(struct task *task, struct tty *tty, struct file *file);
/* Makes tty the controlling terminal of the task's session, its group in the foreground: for start. */
void tty_set_controlling(struct task *task, struct tty *tty);
/* The terminal of the task's session, or NULL. Borrowed. */
struct tty *task_tty(const struct task *task);
/* The new size; SIGWINCH to the foreground group if it differs. */
void tty_set_winsize(struct tty *tty, const struct linux_winsize *ws);
/* A signal to the foreground group (typed ^C; the host's terminal says so). */
void tty_signal(struct tty *tty, int sig);
/* The line is gone: the session's leader gets SIGHUP and SIGCONT, the session loses its terminal, all later use fails. */
void tty_hangup(struct tty *tty);
/* The session's leader ended (kernel/session.c has sent SIGHUP to the foreground group): the terminal is given up. */
void tty_session_leader_exit(struct session *session);

#endif
