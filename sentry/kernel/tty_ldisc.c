/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line discipline: what a terminal does between the keys and the program, and between the program and the screen
 * (termios(3)).
 *
 *	tty_receive --> signals, flow control --> erase, kill, newline (canonical) --> ring --> tty_read
 *	                     \-> echo --> output processing --> ops->output
 *
 * The ring holds bytes from tail to head. In canonical mode complete lines lie before line_start, each ended by a marked
 * byte (a marked NUL is an end of file), and the line being edited behind it; in the other mode all of it may be read.
 * One cell is kept back for the end of a line, so a line of 4095 bytes can be finished; what is typed beyond that is lost.
 *
 * Echoes go out at once when there is room, else they wait in tty->echo; what doesn't fit there either is lost, never the
 * input. The guest controls all settings and both ends of a pty: sizes are bounded by the ring and by ops->room().
 *
 * Left out: what depends on a real line (parity, breaks, baud rates, XON sent by IXOFF), DISCARD, delays (NLDLY...).
 */
#include "sentry/kernel/tty.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fs.h"
#include "sentry/abi/signal.h"
#include "sentry/abi/termios.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/iobuf.h"

#include <string.h>

#define RING_MASK (TTY_READ_SIZE - 1)
#define EXPAND_MAX 8U /* bytes that one character may become on output */
#define EOF_BYTE 0    /* stands in the ring, marked, where VEOF was typed */

static bool iflag(const struct tty *tty, uint32_t bit)
{
	return (tty->termios.iflag & bit) != 0;
}

static bool lflag(const struct tty *tty, uint32_t bit)
{
	return (tty->termios.lflag & bit) != 0;
}

static bool oflag(const struct tty *tty, uint32_t bit)
{
	return (tty->termios.oflag & bit) != 0;
}

/* Is c the control character `which`? A NUL there turns it off. */
static bool is_cc(const struct tty *tty, uint8_t c, int which)
{
	return c != 0 && c == tty->termios.cc[which];
}

static bool is_control(uint8_t c)
{
	return c < 32 || c == 127;
}

/* A byte inside a UTF-8 character, if the terminal knows of them. */
static bool is_continuation(const struct tty *tty, uint8_t c)
{
	return iflag(tty, LINUX_IUTF8) && (c & 0xc0) == 0x80;
}

static bool is_word(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (c >= 0xc0 && c != 0xd7 && c != 0xf7);
}

/* ---- the ring ---- */

static uint64_t used(const struct tty *tty)
{
	return tty->head - tty->tail;
}

static uint8_t *cell(struct tty *tty, uint64_t at)
{
	return &tty->buf[at & RING_MASK];
}

static bool marked(const struct tty *tty, uint64_t at)
{
	uint64_t i = at & RING_MASK;

	return tty->mark[i / 8] >> (i % 8) & 1;
}

static void put_cell(struct tty *tty, uint8_t c, bool mark)
{
	uint64_t i = tty->head & RING_MASK;

	tty->buf[i] = c;
	if (mark)
		tty->mark[i / 8] |= (uint8_t)(1U << (i % 8));
	else
		tty->mark[i / 8] &= (uint8_t)~(1U << (i % 8));
	tty->head++;
}

/* What a read could take now, a marked end of file included. */
static uint64_t available(const struct tty *tty)
{
	return (lflag(tty, LINUX_ICANON) ? tty->line_start : tty->head) - tty->tail;
}

size_t tty_readable(const struct tty *tty)
{
	uint64_t n = available(tty), at;

	if (lflag(tty, LINUX_ICANON))
		for (at = tty->tail; at != tty->line_start; at++)
			if (marked(tty, at) && tty->buf[at & RING_MASK] == EOF_BYTE)
				n--;
	return n;
}

/* Enough for poll(2) to say so: without a timer, VMIN bytes. */
static bool input_ready(const struct tty *tty)
{
	uint64_t min = 1;

	if (!lflag(tty, LINUX_ICANON) && tty->termios.cc[LINUX_VTIME] == 0 && tty->termios.cc[LINUX_VMIN] != 0)
		min = tty->termios.cc[LINUX_VMIN];
	return available(tty) >= min;
}

static void wake_readers(struct tty *tty)
{
	if (available(tty) != 0)
		waitq_wake(&tty->waitq, LINUX_POLLIN | LINUX_POLLRDNORM);
}

void tty_flush_input(struct tty *tty)
{
	tty->tail = tty->head;
	tty->line_start = tty->head;
	tty->lnext = false;
	tty->erasing = false;
	if (tty->ops->unthrottle != NULL)
		tty->ops->unthrottle(tty);
}

/* ---- output ---- */

/* What c becomes on the screen: 0 to EXPAND_MAX bytes. Keeps the column. */
static unsigned expand(struct tty *tty, uint8_t c, uint8_t out[EXPAND_MAX])
{
	unsigned n = 0;

	if (!oflag(tty, LINUX_OPOST)) {
		out[0] = c;
		return 1;
	}
	switch (c) {
	case '\n':
		if (oflag(tty, LINUX_ONLRET))
			tty->column = 0;
		if (oflag(tty, LINUX_ONLCR)) {
			out[n++] = '\r';
			tty->column = 0;
		}
		out[n++] = '\n';
		return n;
	case '\r':
		if (oflag(tty, LINUX_ONOCR) && tty->column == 0)
			return 0;
		if (oflag(tty, LINUX_OCRNL)) {
			out[0] = '\n';
			if (oflag(tty, LINUX_ONLRET))
				tty->column = 0;
			return 1;
		}
		tty->column = 0;
		out[0] = '\r';
		return 1;
	case '\t':
		n = 8 - (tty->column & 7);
		tty->column += n;
		if ((tty->termios.oflag & LINUX_TABDLY) == LINUX_XTABS) {
			memset(out, ' ', n);
			return n;
		}
		break;
	case '\b':
		if (tty->column > 0)
			tty->column--;
		break;
	default:
		if (is_control(c))
			break;
		if (oflag(tty, LINUX_OLCUC) && c >= 'a' && c <= 'z')
			c = (uint8_t)(c - 'a' + 'A');
		if (!is_continuation(tty, c))
			tty->column++;
		break;
	}
	out[0] = c;
	return 1;
}

/* Waiting echoes first. */
static void flush_echo(struct tty *tty)
{
	size_t n;

	if (tty->echo_len == 0 || tty->flow_stopped || tty->hung_up)
		return;
	n = tty->ops->output(tty, tty->echo, tty->echo_len);
	memmove(tty->echo, tty->echo + n, tty->echo_len - n);
	tty->echo_len -= (uint32_t)n;
}

static void echo_bytes(struct tty *tty, const uint8_t *bytes, size_t n)
{
	flush_echo(tty);
	if (tty->echo_len == 0 && !tty->flow_stopped && !tty->hung_up) {
		size_t done = tty->ops->output(tty, bytes, n);

		bytes += done;
		n -= done;
	}
	if (n > TTY_ECHO_SIZE - tty->echo_len)
		return;
	memcpy(tty->echo + tty->echo_len, bytes, n);
	tty->echo_len += (uint32_t)n;
}

/* As a program's output would appear. */
static void echo_raw(struct tty *tty, uint8_t c)
{
	uint8_t out[EXPAND_MAX];

	echo_bytes(tty, out, expand(tty, c, out));
}

static void echo_char(struct tty *tty, uint8_t c)
{
	if (lflag(tty, LINUX_ECHOCTL) && is_control(c) && c != '\t') {
		uint8_t out[2] = {'^', c ^ 0100};

		tty->column += 2;
		echo_bytes(tty, out, 2);
	} else {
		echo_raw(tty, c);
	}
}

static void echo_backspace(struct tty *tty)
{
	echo_raw(tty, '\b');
	echo_raw(tty, ' ');
	echo_raw(tty, '\b');
}

void tty_stop(struct tty *tty)
{
	if (tty->flow_stopped)
		return;
	tty->flow_stopped = true;
	if (tty->ops->packet != NULL)
		tty->ops->packet(tty, LINUX_TIOCPKT_STOP);
}

void tty_start(struct tty *tty)
{
	if (!tty->flow_stopped)
		return;
	tty->flow_stopped = false;
	if (tty->ops->packet != NULL)
		tty->ops->packet(tty, LINUX_TIOCPKT_START);
	tty_output_ready(tty);
}

void tty_output_ready(struct tty *tty)
{
	flush_echo(tty);
	if (!tty->flow_stopped)
		waitq_wake(&tty->waitq, LINUX_POLLOUT | LINUX_POLLWRNORM);
}

/* ---- erasing ---- */

static void finish_erasing(struct tty *tty)
{
	if (tty->erasing) {
		echo_raw(tty, '/');
		tty->erasing = false;
	}
}

/* A tab is undone by as many steps back as it made. */
static void echo_erase_tab(struct tty *tty)
{
	uint32_t col = 0, n;
	bool after_tab = false;
	uint64_t at = tty->head;

	while (at != tty->line_start) {
		uint8_t c = *cell(tty, --at);

		if (c == '\t') {
			after_tab = true;
			break;
		}
		if (is_control(c))
			col += lflag(tty, LINUX_ECHOCTL) ? 2 : 0;
		else if (!is_continuation(tty, c))
			col++;
	}
	if (!after_tab)
		col += tty->canon_column;
	for (n = 8 - (col & 7); n > 0; n--)
		echo_raw(tty, '\b');
}

/* Shows that the character c (`len` bytes, at head) is gone. */
static void echo_erased(struct tty *tty, uint8_t c, uint64_t len, bool one)
{
	uint64_t i;

	if (lflag(tty, LINUX_ECHOPRT)) {
		if (!tty->erasing) {
			echo_raw(tty, '\\');
			tty->erasing = true;
		}
		echo_char(tty, c);
		for (i = 1; i < len; i++)
			echo_raw(tty, *cell(tty, tty->head + i));
	} else if (one && !lflag(tty, LINUX_ECHOE)) {
		echo_char(tty, tty->termios.cc[LINUX_VERASE]);
	} else if (c == '\t') {
		echo_erase_tab(tty);
	} else {
		if (is_control(c) && lflag(tty, LINUX_ECHOCTL))
			echo_backspace(tty);
		if (!is_control(c) || lflag(tty, LINUX_ECHOCTL))
			echo_backspace(tty);
	}
}

/* ERASE, WERASE or KILL was typed. */
static void erase(struct tty *tty, uint8_t key)
{
	bool word = is_cc(tty, key, LINUX_VWERASE), one = is_cc(tty, key, LINUX_VERASE), seen = false;

	if (tty->head == tty->line_start)
		return;
	if (!word && !one) {
		if (!lflag(tty, LINUX_ECHO)) {
			tty->head = tty->line_start;
			return;
		}
		if (!lflag(tty, LINUX_ECHOK) || !lflag(tty, LINUX_ECHOKE) || !lflag(tty, LINUX_ECHOE)) {
			tty->head = tty->line_start;
			finish_erasing(tty);
			echo_char(tty, tty->termios.cc[LINUX_VKILL]);
			if (lflag(tty, LINUX_ECHOK))
				echo_raw(tty, '\n');
			return;
		}
	}
	while (tty->head != tty->line_start) {
		uint64_t at = tty->head, len;
		uint8_t c;

		do {
			c = *cell(tty, --at);
		} while (is_continuation(tty, c) && at != tty->line_start);
		if (is_continuation(tty, c))
			break; /* half a character: leave it */
		if (word) {
			if (is_word(c))
				seen = true;
			else if (seen)
				break;
		}
		len = tty->head - at;
		tty->head = at;
		if (lflag(tty, LINUX_ECHO))
			echo_erased(tty, c, len, one);
		if (one)
			break;
	}
	if (tty->head == tty->line_start && lflag(tty, LINUX_ECHO))
		finish_erasing(tty);
}

/* ---- input ---- */

static void signal_char(struct tty *tty, int sig, uint8_t c)
{
	if (!lflag(tty, LINUX_NOFLSH)) {
		uint8_t flushed = LINUX_TIOCPKT_FLUSHREAD;

		tty->echo_len = 0;
		if (tty->ops->flush_output != NULL) {
			tty->ops->flush_output(tty);
			flushed |= LINUX_TIOCPKT_FLUSHWRITE;
		}
		tty_flush_input(tty);
		if (tty->ops->packet != NULL)
			tty->ops->packet(tty, flushed);
	}
	tty_signal(tty, sig);
	if (iflag(tty, LINUX_IXON))
		tty_start(tty);
	if (lflag(tty, LINUX_ECHO))
		echo_char(tty, c);
}

/* Signals and flow control. True if c was one of them and is gone. */
static bool receive_special(struct tty *tty, uint8_t c)
{
	if (iflag(tty, LINUX_IXON)) {
		if (is_cc(tty, c, LINUX_VSTART)) {
			tty_start(tty);
			return true;
		}
		if (is_cc(tty, c, LINUX_VSTOP)) {
			tty_stop(tty);
			return true;
		}
	}
	if (lflag(tty, LINUX_ISIG)) {
		if (is_cc(tty, c, LINUX_VINTR)) {
			signal_char(tty, LINUX_SIGINT, c);
			return true;
		}
		if (is_cc(tty, c, LINUX_VQUIT)) {
			signal_char(tty, LINUX_SIGQUIT, c);
			return true;
		}
		if (is_cc(tty, c, LINUX_VSUSP)) {
			signal_char(tty, LINUX_SIGTSTP, c);
			return true;
		}
	}
	return false;
}

static void end_line(struct tty *tty, uint8_t c)
{
	put_cell(tty, c, true);
	tty->line_start = tty->head;
	wake_readers(tty);
}

/* Editing of the line. True if c was for that or ended the line. */
static bool receive_canonical(struct tty *tty, uint8_t c)
{
	bool ext = lflag(tty, LINUX_IEXTEN);

	if (is_cc(tty, c, LINUX_VERASE) || is_cc(tty, c, LINUX_VKILL) || (ext && is_cc(tty, c, LINUX_VWERASE))) {
		erase(tty, c);
		return true;
	}
	if (ext && is_cc(tty, c, LINUX_VLNEXT)) {
		tty->lnext = true;
		if (lflag(tty, LINUX_ECHO)) {
			finish_erasing(tty);
			if (lflag(tty, LINUX_ECHOCTL)) {
				echo_raw(tty, '^');
				echo_raw(tty, '\b');
			}
		}
		return true;
	}
	if (ext && lflag(tty, LINUX_ECHO) && is_cc(tty, c, LINUX_VREPRINT)) {
		uint64_t at;

		finish_erasing(tty);
		echo_char(tty, c);
		echo_raw(tty, '\n');
		for (at = tty->line_start; at != tty->head; at++)
			echo_char(tty, *cell(tty, at));
		return true;
	}
	if (c == '\n') {
		if (lflag(tty, LINUX_ECHO) || lflag(tty, LINUX_ECHONL))
			echo_raw(tty, '\n');
		end_line(tty, c);
		return true;
	}
	if (is_cc(tty, c, LINUX_VEOF)) {
		end_line(tty, EOF_BYTE);
		return true;
	}
	if (is_cc(tty, c, LINUX_VEOL) || (ext && is_cc(tty, c, LINUX_VEOL2))) {
		if (lflag(tty, LINUX_ECHO)) {
			if (tty->line_start == tty->head)
				tty->canon_column = tty->column;
			echo_char(tty, c);
		}
		end_line(tty, c);
		return true;
	}
	return false;
}

static void receive_plain(struct tty *tty, uint8_t c)
{
	if (used(tty) >= TTY_READ_SIZE - 1) {
		if (iflag(tty, LINUX_IMAXBEL))
			echo_bytes(tty, (const uint8_t *)"\a", 1);
		return;
	}
	if (lflag(tty, LINUX_ECHO)) {
		finish_erasing(tty);
		if (c == '\n') {
			echo_raw(tty, '\n');
		} else {
			if (tty->line_start == tty->head)
				tty->canon_column = tty->column;
			echo_char(tty, c);
		}
	}
	if (c == 0xff && iflag(tty, LINUX_PARMRK) && used(tty) < TTY_READ_SIZE - 2)
		put_cell(tty, c, false);
	put_cell(tty, c, false);
}

static void receive_char(struct tty *tty, uint8_t c)
{
	if (tty->lnext) {
		tty->lnext = false;
		if (iflag(tty, LINUX_ISTRIP))
			c &= 0x7f;
		receive_plain(tty, c);
		return;
	}
	if (iflag(tty, LINUX_ISTRIP))
		c &= 0x7f;
	if (iflag(tty, LINUX_IUCLC) && lflag(tty, LINUX_IEXTEN) && c >= 'A' && c <= 'Z')
		c = (uint8_t)(c - 'A' + 'a');
	if (lflag(tty, LINUX_EXTPROC)) {
		if (used(tty) < TTY_READ_SIZE - 1)
			put_cell(tty, c, false);
		return;
	}
	if (receive_special(tty, c))
		return;
	if (tty->flow_stopped && iflag(tty, LINUX_IXON) && iflag(tty, LINUX_IXANY))
		tty_start(tty);
	if (c == '\r') {
		if (iflag(tty, LINUX_IGNCR))
			return;
		if (iflag(tty, LINUX_ICRNL))
			c = '\n';
	} else if (c == '\n' && iflag(tty, LINUX_INLCR)) {
		c = '\r';
	}
	if (lflag(tty, LINUX_ICANON) && receive_canonical(tty, c))
		return;
	receive_plain(tty, c);
}

/* Full: the reader comes first, unless it waits for the end of this very line. */
bool tty_can_receive(const struct tty *tty)
{
	return used(tty) < TTY_READ_SIZE - 1 || (lflag(tty, LINUX_ICANON) && tty->line_start == tty->tail);
}

size_t tty_receive(struct tty *tty, const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len && !tty->hung_up; i++) {
		if (!tty_can_receive(tty))
			break;
		receive_char(tty, data[i]);
	}
	/* A reader that waits for VMIN bytes may have taken some already. */
	if (!lflag(tty, LINUX_ICANON))
		wake_readers(tty);
	return i;
}

/* ---- reading ---- */

/* One line, or as much of it as fits. True if the line (or file) ended here. */
static bool copy_line(struct tty *tty, struct iobuf *buf, size_t *moved, bool *fault)
{
	uint64_t lines = tty->line_start - tty->tail, limit = MIN(lines, buf->left + 1), n, i;
	bool eof = false, found = false;
	uint8_t chunk[256];

	for (i = 0; i < limit; i++) {
		if (marked(tty, tty->tail + i)) {
			found = true;
			eof = *cell(tty, tty->tail + i) == EOF_BYTE;
			break;
		}
	}
	n = found && eof ? i : found ? i + 1 : limit;
	if (n > buf->left) {
		n = buf->left;
		found = false;
	}
	while (n != 0) {
		size_t step = MIN(n, sizeof(chunk));

		for (i = 0; i < step; i++)
			chunk[i] = *cell(tty, tty->tail + i);
		tty->tail += step;
		n -= step;
		if (iobuf_put(buf, chunk, step) != step) {
			*fault = true;
			return true;
		}
		*moved += step;
	}
	if (found && eof)
		tty->tail++;
	return found;
}

static void copy_raw(struct tty *tty, struct iobuf *buf, size_t *moved, bool *fault)
{
	uint8_t chunk[256];

	while (buf->left != 0 && tty->tail != tty->head) {
		size_t step = MIN(MIN(buf->left, tty->head - tty->tail), sizeof(chunk)), i;

		for (i = 0; i < step; i++)
			chunk[i] = *cell(tty, tty->tail + i);
		tty->tail += step;
		if (tty->line_start < tty->tail)
			tty->line_start = tty->tail;
		if (iobuf_put(buf, chunk, step) != step) {
			*fault = true;
			return;
		}
		*moved += step;
	}
}

/* Sleeps until there is input. 1: there is; 0: end (hangup, timer); -errno. */
static int wait_input(struct task *task, struct tty *tty, bool nonblock, uint64_t deadline)
{
	while (available(tty) == 0) {
		int err;

		if (tty->hung_up)
			return 0;
		if (deadline != WAIT_FOREVER && loop_now() >= deadline)
			return 0;
		if (nonblock)
			return -LINUX_EAGAIN;
		err = task_wait_until(task, &tty->waitq, LINUX_POLLIN | LINUX_POLLHUP, WAIT_INTERRUPTIBLE, deadline);
		if (err == -LINUX_ETIMEDOUT)
			return available(tty) != 0;
		if (err != 0)
			return err;
	}
	return 1;
}

int64_t tty_read(struct task *task, struct tty *tty, struct iobuf *buf, bool nonblock)
{
	uint64_t minimum = 1, between = 0, deadline = WAIT_FOREVER;
	size_t moved = 0;
	bool fault = false;
	int ret = tty->hung_up ? 0 : tty_check_read(task, tty);

	if (ret != 0 || tty->hung_up)
		return ret;
	if (!lflag(tty, LINUX_ICANON)) {
		uint64_t tenths = tty->termios.cc[LINUX_VTIME] * (NSEC_PER_SEC / 10);

		minimum = tty->termios.cc[LINUX_VMIN];
		if (minimum != 0)
			between = tenths; /* starts with the first byte */
		else
			deadline = loop_now() + tenths;
		minimum = MAX(minimum, 1UL);
	}
	while (buf->left != 0) {
		ret = wait_input(task, tty, nonblock, deadline);
		if (ret <= 0)
			break;
		if (lflag(tty, LINUX_ICANON)) {
			copy_line(tty, buf, &moved, &fault);
			break;
		}
		copy_raw(tty, buf, &moved, &fault);
		if (fault || moved >= minimum)
			break;
		if (between != 0)
			deadline = loop_now() + between;
	}
	if (tty->ops->unthrottle != NULL && moved != 0)
		tty->ops->unthrottle(tty);
	/* Another reader may take the next line. */
	if (available(tty) != 0)
		wake_readers(tty);
	if (moved != 0)
		return (int64_t)moved;
	if (fault)
		return -LINUX_EFAULT;
	return ret < 0 ? ret : 0;
}

/* ---- writing ---- */

/* Moves some of buf to the screen. Bytes taken from buf, 0 if there is no room, or -LINUX_EFAULT. */
static int64_t write_some(struct tty *tty, struct iobuf *buf)
{
	uint8_t in[256], out[256 + EXPAND_MAX];
	size_t room = tty->ops->room(tty), n = MIN(buf->left, sizeof(in)), i, len = 0, limit = MIN(room, sizeof(in));

	if (room < EXPAND_MAX)
		return 0;
	if (!oflag(tty, LINUX_OPOST))
		n = MIN(n, limit);
	i = iobuf_get(buf, in, n);
	if (i == 0 && n != 0)
		return -LINUX_EFAULT;
	n = i;
	for (i = 0; i < n && (!oflag(tty, LINUX_OPOST) || len + EXPAND_MAX <= limit); i++)
		len += expand(tty, in[i], out + len);
	iobuf_revert(buf, n - i);
	n = tty->ops->output(tty, out, len);
	invariant(n == len);
	return (int64_t)i;
}

int64_t tty_write(struct task *task, struct tty *tty, struct iobuf *buf, bool nonblock)
{
	int64_t done = 0, n;
	int err;

	if (tty->hung_up)
		return -LINUX_EIO;
	if (lflag(tty, LINUX_TOSTOP)) {
		err = tty_check_change(task, tty);
		if (err != 0)
			return err;
	}
	while (buf->left != 0) {
		if (tty->hung_up)
			return done != 0 ? done : -LINUX_EIO;
		flush_echo(tty);
		n = tty->flow_stopped || tty->echo_len != 0 ? 0 : write_some(tty, buf);
		if (n < 0)
			return done != 0 ? done : n;
		done += n;
		if (n != 0)
			continue;
		if (nonblock)
			return done != 0 ? done : -LINUX_EAGAIN;
		err = task_wait_until(task, &tty->waitq, LINUX_POLLOUT | LINUX_POLLHUP, WAIT_INTERRUPTIBLE, WAIT_FOREVER);
		if (err != 0)
			return done != 0 ? done : err;
	}
	return done;
}

uint32_t tty_poll(struct tty *tty, struct waiter *waiter)
{
	uint32_t mask = 0;

	if (waiter != NULL)
		waitq_add(&tty->waitq, waiter);
	if (tty->hung_up)
		return LINUX_POLLIN | LINUX_POLLOUT | LINUX_POLLERR | LINUX_POLLHUP | LINUX_POLLRDNORM | LINUX_POLLWRNORM;
	if (input_ready(tty))
		mask |= LINUX_POLLIN | LINUX_POLLRDNORM;
	if (!tty->flow_stopped && tty->echo_len == 0 && tty->ops->room(tty) >= EXPAND_MAX)
		mask |= LINUX_POLLOUT | LINUX_POLLWRNORM;
	return mask;
}

/* ---- settings ---- */

void tty_set_termios(struct tty *tty, const struct linux_termios2 *t)
{
	struct linux_termios2 old = tty->termios;

	tty->termios = *t;
	if ((old.lflag ^ t->lflag) & (LINUX_ICANON | LINUX_EXTPROC)) {
		uint64_t at;

		/* What is there was not typed as lines: to canonical mode it is one, already ended. */
		for (at = tty->tail; at != tty->head; at++)
			tty->mark[(at & RING_MASK) / 8] &= (uint8_t)~(1U << (at & 7));
		if (lflag(tty, LINUX_ICANON) && tty->tail != tty->head) {
			at = tty->head - 1;
			tty->mark[(at & RING_MASK) / 8] |= (uint8_t)(1U << (at & 7));
			tty->line_start = tty->head;
		} else {
			tty->line_start = tty->tail;
		}
		tty->lnext = false;
		tty->erasing = false;
		wake_readers(tty);
	}
	if (tty->flow_stopped && (old.iflag & LINUX_IXON) && !iflag(tty, LINUX_IXON))
		tty_start(tty);
}
