/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminals and sessions: who controls whom, and the ioctls that every terminal has.
 *
 *	session <--controlling--> tty        one to one, or none
 *	session->foreground                  the process group that may read and gets ^C
 *
 * A process of another group of the session that reads is stopped by SIGTTIN, one that changes settings (or writes, with
 * TOSTOP) by SIGTTOU; where a stop could never be ended (orphaned group) or is ignored, there is an error instead.
 *
 * After a hangup the session keeps the dead terminal until its leader ends, so that its foreground group gets SIGHUP then,
 * as in Linux; for everybody else it has none.
 *
 * The guest controls arguments and the order of calls. One difference to Linux: the controlling terminal is the
 * session's, not each process's, so TIOCNOTTY by another than the leader changes nothing.
 */
#include "sentry/kernel/tty.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/abi/termios.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

/* ---- life ---- */

void tty_init(struct tty *tty, const struct tty_ops *ops, const char *name, uint64_t dev)
{
	static const uint8_t cc[19] = {
		[LINUX_VINTR] = 3,    [LINUX_VQUIT] = 28,   [LINUX_VERASE] = 127,  [LINUX_VKILL] = 21,
		[LINUX_VEOF] = 4,     [LINUX_VMIN] = 1,	    [LINUX_VSTART] = 17,   [LINUX_VSTOP] = 19,
		[LINUX_VSUSP] = 26,   [LINUX_VREPRINT] = 18, [LINUX_VDISCARD] = 15, [LINUX_VWERASE] = 23,
		[LINUX_VLNEXT] = 22,
	};

	memset(tty, 0, sizeof(*tty));
	ref_init(&tty->ref);
	tty->ops = ops;
	tty->dev = dev;
	strncpy(tty->name, name, sizeof(tty->name) - 1);
	waitq_init(&tty->waitq);
	tty->termios.iflag = LINUX_ICRNL | LINUX_IXON;
	tty->termios.oflag = LINUX_OPOST | LINUX_ONLCR;
	tty->termios.cflag = LINUX_B38400 | LINUX_CS8 | LINUX_CREAD;
	tty->termios.lflag = LINUX_ISIG | LINUX_ICANON | LINUX_ECHO | LINUX_ECHOE | LINUX_ECHOK | LINUX_ECHOCTL |
			     LINUX_ECHOKE | LINUX_IEXTEN;
	memcpy(tty->termios.cc, cc, sizeof(cc));
	tty->termios.ispeed = tty->termios.ospeed = 38400;
}

void tty_put(struct tty *tty)
{
	if (!ref_put(&tty->ref))
		return;
	invariant(tty->session == NULL);
	tty->ops->free(tty);
}

/* ---- sessions ---- */

static struct session *task_session(const struct task *task)
{
	return task->group->pgrp->session;
}

struct tty *task_tty(const struct task *task)
{
	struct session *s = task->group->pgrp != NULL ? task_session(task) : NULL;

	return s != NULL && s->tty != NULL && !s->tty->hung_up ? s->tty : NULL;
}

/* Gives up s's terminal. */
static void session_drop_tty(struct session *s)
{
	struct tty *tty = s->tty;

	s->tty = NULL;
	s->foreground = NULL;
	if (tty == NULL)
		return;
	if (tty->session == s)
		tty->session = NULL;
	tty_put(tty);
}

void tty_session_leader_exit(struct session *session)
{
	session_drop_tty(session);
}

static void session_take_tty(struct session *s, struct tty *tty, struct process_group *foreground)
{
	session_drop_tty(s);
	s->tty = tty_get(tty);
	s->foreground = foreground;
	tty->session = s;
}

void tty_set_controlling(struct task *task, struct tty *tty)
{
	if (tty->session != NULL)
		session_drop_tty(tty->session);
	session_take_tty(task_session(task), tty, task->group->pgrp);
}

void tty_opened(struct task *task, struct tty *tty, struct file *file)
{
	struct session *s = task_session(task);

	if ((file->flags & LINUX_O_NOCTTY) || !(file->mode & FMODE_READ))
		return;
	if (s->leader == task->group && task_tty(task) == NULL && tty->session == NULL && !tty->hung_up)
		session_take_tty(s, tty, task->group->pgrp);
}

static void signal_pgrp(struct process_group *pgrp, int sig)
{
	if (pgrp == NULL)
		return;
	pgrp_get(pgrp);
	(void)signal_send_pgrp(pgrp, sig, NULL);
	pgrp_put(pgrp);
}

void tty_signal(struct tty *tty, int sig)
{
	if (tty->session != NULL)
		signal_pgrp(tty->session->foreground, sig);
}

void tty_hangup(struct tty *tty)
{
	struct session *s = tty->session;

	if (tty->hung_up)
		return;
	tty->hung_up = true;
	tty->session = NULL;
	tty->echo_len = 0;
	if (s != NULL && s->leader != NULL) {
		(void)signal_send_group(s->leader, LINUX_SIGHUP, NULL);
		(void)signal_send_group(s->leader, LINUX_SIGCONT, NULL);
	}
	waitq_wake(&tty->waitq, 0);
}

/* ---- job control ---- */

static int check_background(struct task *task, struct tty *tty, int sig)
{
	struct process_group *pgrp = task->group->pgrp;
	struct session *s = pgrp->session;

	if (s->tty != tty || s->foreground == NULL || s->foreground == pgrp)
		return 0;
	if ((task->sigmask & LINUX_SIGMASK(sig)) || task->sighand->action[sig - 1].handler == LINUX_SIG_IGN)
		return sig == LINUX_SIGTTIN ? -LINUX_EIO : 0;
	if (pgrp_is_orphaned(pgrp))
		return -LINUX_EIO;
	signal_pgrp(pgrp, sig);
	return -LINUX_ERESTARTSYS;
}

int tty_check_read(struct task *task, struct tty *tty)
{
	return check_background(task, tty, LINUX_SIGTTIN);
}

int tty_check_change(struct task *task, struct tty *tty)
{
	return check_background(task, tty, LINUX_SIGTTOU);
}

/* ---- ioctls about sessions ---- */

bool tty_is_session_ioctl(unsigned cmd)
{
	switch (cmd) {
	case LINUX_TIOCSCTTY:
	case LINUX_TIOCNOTTY:
	case LINUX_TIOCGPGRP:
	case LINUX_TIOCSPGRP:
	case LINUX_TIOCGSID:
	case LINUX_TIOCEXCL:
	case LINUX_TIOCNXCL:
	case LINUX_TIOCGEXCL:
		return true;
	default:
		return false;
	}
}

static int set_controlling(struct task *task, struct tty *tty, struct file *file, uint64_t steal)
{
	struct session *s = task_session(task);

	if (s->leader == task->group && tty->session == s)
		return 0;
	if (s->leader != task->group || task_tty(task) != NULL)
		return -LINUX_EPERM;
	if (tty->session != NULL) {
		if (steal != 1 || !task_capable(task, LINUX_CAP_SYS_ADMIN))
			return -LINUX_EPERM;
		session_drop_tty(tty->session);
	}
	if (!(file->mode & FMODE_READ) && !task_capable(task, LINUX_CAP_SYS_ADMIN))
		return -LINUX_EPERM;
	session_take_tty(s, tty, task->group->pgrp);
	return 0;
}

static int give_up_controlling(struct task *task, struct tty *tty)
{
	struct session *s = task_session(task);
	struct process_group *fg;

	if (task_tty(task) != tty)
		return -LINUX_ENOTTY;
	if (s->leader != task->group)
		return 0;
	fg = s->foreground;
	if (fg != NULL) {
		pgrp_get(fg);
		signal_pgrp(fg, LINUX_SIGHUP);
		signal_pgrp(fg, LINUX_SIGCONT);
		pgrp_put(fg);
	}
	session_drop_tty(s);
	return 0;
}

static int set_foreground(struct task *task, struct tty *tty, gva_t arg)
{
	struct session *s = task_session(task);
	struct process_group *pgrp;
	int32_t pgid;
	int err = tty_check_change(task, tty);

	if (err != 0)
		return err == -LINUX_EIO ? -LINUX_ENOTTY : err;
	if (task_tty(task) != tty || tty->session != s)
		return -LINUX_ENOTTY;
	if (get_guest(task, &pgid, arg) != 0)
		return -LINUX_EFAULT;
	if (pgid < 0)
		return -LINUX_EINVAL;
	pgrp = pgrp_find(pgid);
	if (pgrp == NULL)
		return -LINUX_ESRCH;
	if (pgrp->session != s)
		return -LINUX_EPERM;
	s->foreground = pgrp;
	return 0;
}

int64_t tty_ioctl_session(struct task *task, struct tty *tty, struct file *file, bool master, unsigned cmd, uint64_t arg)
{
	int32_t n;

	switch (cmd) {
	case LINUX_TIOCSCTTY:
		return set_controlling(task, tty, file, arg);
	case LINUX_TIOCNOTTY:
		return give_up_controlling(task, tty);
	case LINUX_TIOCGPGRP:
		/* A master's holder may ask about its slave's session without being in it. */
		if (!master && task_tty(task) != tty)
			return -LINUX_ENOTTY;
		n = tty->session != NULL && tty->session->foreground != NULL ? tty->session->foreground->pgid : 0;
		return put_guest(task, GVA(arg), &n);
	case LINUX_TIOCSPGRP:
		return set_foreground(task, tty, GVA(arg));
	case LINUX_TIOCGSID:
		if ((!master && task_tty(task) != tty) || tty->session == NULL)
			return -LINUX_ENOTTY;
		n = tty->session->sid;
		return put_guest(task, GVA(arg), &n);
	case LINUX_TIOCEXCL:
		tty->exclusive = true;
		return 0;
	case LINUX_TIOCNXCL:
		tty->exclusive = false;
		return 0;
	case LINUX_TIOCGEXCL:
		n = tty->exclusive;
		return put_guest(task, GVA(arg), &n);
	default:
		return -LINUX_ENOTTY;
	}
}

/* ---- ioctls about settings ---- */

void tty_set_winsize(struct tty *tty, const struct linux_winsize *ws)
{
	if (memcmp(&tty->winsize, ws, sizeof(*ws)) == 0)
		return;
	tty->winsize = *ws;
	tty_signal(tty, LINUX_SIGWINCH);
}

/* Rates of the Bnnn codes, 0 to 15, and with CBAUDEX 1 to 15. */
static uint32_t baud(uint32_t cflag)
{
	static const uint32_t low[] = {0,   50,	 75,  110,  134,  150,	200,  300,
				       600, 1200, 1800, 2400, 4800, 9600, 19200, 38400};
	static const uint32_t high[] = {0,	57600,	115200,	 230400,  460800,  500000,  576000,  921600,
					1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000};

	return (cflag & 010000 ? high : low)[cflag & 017];
}

static int64_t get_termios(struct task *task, const struct tty *tty, unsigned cmd, gva_t arg)
{
	struct linux_termio old;

	if (cmd == LINUX_TCGETS2)
		return put_guest(task, arg, &tty->termios);
	if (cmd == LINUX_TCGETS)
		return copy_to_guest(task, arg, &tty->termios, sizeof(struct linux_termios));
	memset(&old, 0, sizeof(old));
	old.iflag = (uint16_t)tty->termios.iflag;
	old.oflag = (uint16_t)tty->termios.oflag;
	old.cflag = (uint16_t)tty->termios.cflag;
	old.lflag = (uint16_t)tty->termios.lflag;
	old.line = tty->termios.line;
	memcpy(old.cc, tty->termios.cc, sizeof(old.cc));
	return put_guest(task, arg, &old);
}

/* Bits and characters that TIOCSLCKTRMIOS has locked stay as they were. */
static void keep_locked(struct linux_termios2 *t, const struct linux_termios2 *old, const struct linux_termios *locked)
{
	t->iflag = (t->iflag & ~locked->iflag) | (old->iflag & locked->iflag);
	t->oflag = (t->oflag & ~locked->oflag) | (old->oflag & locked->oflag);
	t->cflag = (t->cflag & ~locked->cflag) | (old->cflag & locked->cflag);
	t->lflag = (t->lflag & ~locked->lflag) | (old->lflag & locked->lflag);
	for (size_t i = 0; i < sizeof(t->cc); i++)
		if (locked->cc[i] != 0)
			t->cc[i] = old->cc[i];
}

static int64_t set_locks(struct task *task, struct tty *tty, gva_t arg)
{
	struct linux_termios locked;

	if (!task_capable(task, LINUX_CAP_CHECKPOINT_RESTORE) && !task_capable(task, LINUX_CAP_SYS_ADMIN))
		return -LINUX_EPERM;
	if (get_guest(task, &locked, arg) != 0)
		return -LINUX_EFAULT;
	tty->locked = locked;
	return 0;
}

/* flush: TCSETSF and the like throw away what was typed. */
static int64_t set_termios(struct task *task, struct tty *tty, unsigned cmd, gva_t arg, bool flush)
{
	struct linux_termios2 t = tty->termios;
	struct linux_termio old;
	int err = tty_check_change(task, tty);

	if (err != 0)
		return err;
	switch (cmd) {
	case LINUX_TCSETA:
		if (get_guest(task, &old, arg) != 0)
			return -LINUX_EFAULT;
		t.iflag = (t.iflag & 0xffff0000) | old.iflag;
		t.oflag = (t.oflag & 0xffff0000) | old.oflag;
		t.cflag = (t.cflag & 0xffff0000) | old.cflag;
		t.lflag = (t.lflag & 0xffff0000) | old.lflag;
		t.line = old.line;
		memcpy(t.cc, old.cc, sizeof(old.cc));
		break;
	case LINUX_TCSETS:
		if (copy_from_guest(task, &t, arg, sizeof(struct linux_termios)) != 0)
			return -LINUX_EFAULT;
		break;
	default:
		if (get_guest(task, &t, arg) != 0)
			return -LINUX_EFAULT;
	}
	if ((t.cflag & LINUX_CBAUD) != 010000 || cmd != LINUX_TCSETS2)
		t.ispeed = t.ospeed = (t.cflag & LINUX_CBAUD) == 010000 ? tty->termios.ospeed : baud(t.cflag & LINUX_CBAUD);
	/* A pty has 8 bits and no parity, whatever is asked. */
	t.cflag = (t.cflag & ~(LINUX_CSIZE | LINUX_PARENB)) | LINUX_CS8 | LINUX_CREAD;
	t.line = 0;
	keep_locked(&t, &tty->termios, &tty->locked);
	if (flush)
		tty_flush_input(tty);
	if (tty->ops->packet != NULL) {
		bool was = (tty->termios.iflag & LINUX_IXON) && tty->termios.cc[LINUX_VSTOP] == 19 &&
			   tty->termios.cc[LINUX_VSTART] == 17;
		bool is = (t.iflag & LINUX_IXON) && t.cc[LINUX_VSTOP] == 19 && t.cc[LINUX_VSTART] == 17;

		if (was != is)
			tty->ops->packet(tty, is ? LINUX_TIOCPKT_DOSTOP : LINUX_TIOCPKT_NOSTOP);
		if ((tty->termios.lflag | t.lflag) & LINUX_EXTPROC)
			tty->ops->packet(tty, LINUX_TIOCPKT_IOCTL);
	}
	tty_set_termios(tty, &t);
	return 0;
}

static int64_t flush_queues(struct task *task, struct tty *tty, uint64_t which)
{
	uint8_t bits = 0;
	int err = tty_check_change(task, tty);

	if (err != 0)
		return err;
	if (which > 2)
		return -LINUX_EINVAL;
	if (which != 1) { /* TCIFLUSH, TCIOFLUSH */
		tty_flush_input(tty);
		bits |= LINUX_TIOCPKT_FLUSHREAD;
	}
	if (which != 0) { /* TCOFLUSH, TCIOFLUSH */
		tty->echo_len = 0;
		if (tty->ops->flush_output != NULL)
			tty->ops->flush_output(tty);
		bits |= LINUX_TIOCPKT_FLUSHWRITE;
	}
	if (tty->ops->packet != NULL)
		tty->ops->packet(tty, bits);
	return 0;
}

static int64_t flow_control(struct task *task, struct tty *tty, uint64_t action)
{
	uint8_t c;
	int err = tty_check_change(task, tty);

	if (err != 0)
		return err;
	switch (action) {
	case 0: /* TCOOFF */
		tty_stop(tty);
		return 0;
	case 1: /* TCOON */
		tty_start(tty);
		return 0;
	case 2: /* TCIOFF */
	case 3: /* TCION */
		c = tty->termios.cc[action == 2 ? LINUX_VSTOP : LINUX_VSTART];
		if (c != 0 && tty->ops->room(tty) != 0)
			(void)tty->ops->output(tty, &c, 1);
		return 0;
	default:
		return -LINUX_EINVAL;
	}
}

/* Typing for somebody else: refused without privilege, as by kernels with legacy_tiocsti off. */
static int64_t fake_input(struct task *task, struct tty *tty, gva_t arg)
{
	uint8_t c;

	if (!task_capable(task, LINUX_CAP_SYS_ADMIN))
		return -LINUX_EIO;
	if (get_guest(task, &c, arg) != 0)
		return -LINUX_EFAULT;
	(void)tty_receive(tty, &c, 1);
	return 0;
}

/* TCSBRK, TCSBRKP: nothing to wait for, no line to break. */
static int64_t send_break(struct task *task, struct tty *tty)
{
	return tty_check_change(task, tty);
}

static int64_t put_int(struct task *task, uint64_t arg, int32_t v)
{
	return put_guest(task, GVA(arg), &v);
}

int64_t tty_ioctl(struct task *task, struct tty *tty, struct file *file, bool master, unsigned cmd, uint64_t arg)
{
	struct linux_winsize ws;
	int32_t n;

	if (tty_is_session_ioctl(cmd))
		return tty->hung_up ? -LINUX_EIO : tty_ioctl_session(task, tty, file, master, cmd, arg);
	if (tty->hung_up)
		return -LINUX_EIO;
	switch (cmd) {
	case LINUX_TCGETS:
	case LINUX_TCGETS2:
	case LINUX_TCGETA:
		return get_termios(task, tty, cmd, GVA(arg));
	case LINUX_TCSETS:
	case LINUX_TCSETSW:
		return set_termios(task, tty, LINUX_TCSETS, GVA(arg), false);
	case LINUX_TCSETSF:
		return set_termios(task, tty, LINUX_TCSETS, GVA(arg), true);
	case LINUX_TCSETS2:
	case LINUX_TCSETSW2:
		return set_termios(task, tty, LINUX_TCSETS2, GVA(arg), false);
	case LINUX_TCSETSF2:
		return set_termios(task, tty, LINUX_TCSETS2, GVA(arg), true);
	case LINUX_TCSETA:
	case LINUX_TCSETAW:
		return set_termios(task, tty, LINUX_TCSETA, GVA(arg), false);
	case LINUX_TCSETAF:
		return set_termios(task, tty, LINUX_TCSETA, GVA(arg), true);
	case LINUX_TIOCGWINSZ:
		return put_guest(task, GVA(arg), &tty->winsize);
	case LINUX_TIOCSWINSZ:
		if (get_guest(task, &ws, GVA(arg)) != 0)
			return -LINUX_EFAULT;
		tty_set_winsize(tty, &ws);
		return 0;
	case LINUX_TCFLSH:
		return flush_queues(task, tty, arg);
	case LINUX_TCXONC:
		return flow_control(task, tty, arg);
	case LINUX_TCSBRK:
	case LINUX_TCSBRKP:
	case LINUX_TIOCSBRK:
	case LINUX_TIOCCBRK:
		return send_break(task, tty);
	case LINUX_FIONREAD:
		return put_int(task, arg, (int32_t)tty_readable(tty));
	case LINUX_TIOCOUTQ:
		return put_int(task, arg, tty->ops->pending != NULL ? (int32_t)tty->ops->pending(tty) : 0);
	case LINUX_TIOCSTI:
		return fake_input(task, tty, GVA(arg));
	case LINUX_TIOCGETD:
		return put_int(task, arg, 0);
	case LINUX_TIOCSETD:
		if (get_guest(task, &n, GVA(arg)) != 0)
			return -LINUX_EFAULT;
		return n == 0 ? 0 : -LINUX_EINVAL;
	case LINUX_TIOCGDEV:
		return put_int(task, arg, (int32_t)tty->dev);
	case LINUX_TIOCGLCKTRMIOS:
		return put_guest(task, GVA(arg), &tty->locked);
	case LINUX_TIOCSLCKTRMIOS:
		return set_locks(task, tty, GVA(arg));
	case LINUX_TIOCGSOFTCAR:
		return put_int(task, arg, 0);
	case LINUX_TIOCSSOFTCAR:
		return 0;
	case LINUX_TIOCVHANGUP:
		if (!task_capable(task, LINUX_CAP_SYS_ADMIN))
			return -LINUX_EPERM;
		tty_hangup(tty);
		return 0;
	default:
		return -LINUX_ENOTTY;
	}
}
