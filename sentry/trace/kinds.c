/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of arguments that format.c names: each reads what it needs from the guest and prints it as strace would.
 *
 * Lengths and counts that come from the guest only choose how much is printed, up to a bound of ours: ITEMS_MAX of a
 * list, DATA_MAX bytes of data. What can't be read is shown as the address it was to be at.
 */
#include "sentry/trace/kinds.h"

#include "sentry/abi/fs.h"
#include "sentry/abi/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/trace/names.h"

#include <stdio.h>
#include <string.h>

#define DATA_MAX 32
#define PATH_SHOWN 255
#define ITEMS_MAX 16

/* ---- numbers ---- */

typedef void (*print_fn)(struct text *t, const struct traced_call *c, unsigned i, unsigned n);

void kind_add_ptr(struct text *t, uint64_t v)
{
	if (v == 0)
		text_add(t, "NULL");
	else
		text_add(t, "%#llx", (unsigned long long)v);
}

static void print_int(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	text_add(t, "%d", (int)arg(c, i));
}

static void print_uint(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	text_add(t, "%u", (unsigned)arg(c, i));
}

/* Ids: -1 means "leave it". */
static void print_id(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	if ((uint32_t)arg(c, i) == UINT32_MAX)
		text_add(t, "-1");
	else
		text_add(t, "%u", (unsigned)arg(c, i));
}

static void print_long(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	text_add(t, "%lld", (long long)arg(c, i));
}

static void print_size(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	text_add(t, "%llu", (unsigned long long)arg(c, i));
}

static void print_hex(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	text_add(t, arg(c, i) == 0 ? "0" : "%#llx", (unsigned long long)arg(c, i));
}

static void print_ptr(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	kind_add_ptr(t, arg(c, i));
}

static void print_dirfd(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	if ((int)arg(c, i) == LINUX_AT_FDCWD)
		text_add(t, "AT_FDCWD");
	else
		text_add(t, "%d", (int)arg(c, i));
}

static void add_mode(struct text *t, uint32_t mode)
{
	static const struct name types[] = {
		{LINUX_S_IFREG, "S_IFREG"},   {LINUX_S_IFDIR, "S_IFDIR"}, {LINUX_S_IFCHR, "S_IFCHR"},
		{LINUX_S_IFBLK, "S_IFBLK"},   {LINUX_S_IFIFO, "S_IFIFO"}, {LINUX_S_IFLNK, "S_IFLNK"},
		{LINUX_S_IFSOCK, "S_IFSOCK"},
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (types[i].value == (mode & LINUX_S_IFMT))
			text_add(t, "%s|", types[i].name);
	}
	text_add(t, mode & 07777 ? "0%o" : "0%03o", mode & 07777);
}

static void print_mode(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	text_add(t, (arg(c, i) & 0777777) != 0 ? "0%o" : "%o", (unsigned)arg(c, i) & 0777777);
}

static void print_modetype(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_mode(t, (uint32_t)arg(c, i));
}

static void print_sig(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	char buf[16];

	text_add(t, "%s", signal_name((int)arg(c, i), buf));
}

static void add_set(struct text *t, const struct name_set *set, uint64_t v)
{
	const char *sep = "", *name;

	if (set->kind == NAMES_ENUM) {
		name = name_set_lookup(set, v);
		if (name == NULL)
			name = name_set_lookup(set, (uint32_t)v);
		if (name != NULL)
			text_add(t, "%s", name);
		else
			text_add(t, v > 0xffff ? "%#llx" : "%llu", (unsigned long long)v);
		return;
	}
	if (v == 0 || (uint32_t)v == 0) {
		text_add(t, "%s", set->zero != NULL ? set->zero : "0");
		return;
	}
	v = (uint32_t)v;
	for (size_t i = 0; i < set->n; i++) {
		if (set->names[i].value == 0 || (v & set->names[i].value) != set->names[i].value)
			continue;
		text_add(t, "%s%s", sep, set->names[i].name);
		sep = "|";
		v &= ~set->names[i].value;
	}
	if (v != 0)
		text_add(t, "%s%#llx", sep, (unsigned long long)v);
}

static void add_named(struct text *t, const char *set, uint64_t v)
{
	add_set(t, name_set_find(set, strlen(set)), v);
}

static void print_oflags(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	uint64_t v = arg(c, i);

	if ((v & LINUX_O_ACCMODE) == LINUX_O_RDONLY)
		text_add(t, "O_RDONLY%s", (uint32_t)v != 0 ? "|" : "");
	if ((uint32_t)v != 0)
		add_named(t, "oflags", v);
}

static void print_socktype(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_named(t, "socktypebits", arg(c, i) & 0xf);
	if ((arg(c, i) & ~0xfULL) != 0) {
		text_add(t, "|");
		add_named(t, "sockflags", arg(c, i) & ~0xfULL);
	}
}

static void print_futexop(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_named(t, "futexcmd", arg(c, i) & 0x7f);
	if ((arg(c, i) & 0x80) != 0)
		text_add(t, "_PRIVATE");
	if ((arg(c, i) & 0x100) != 0)
		text_add(t, "|FUTEX_CLOCK_REALTIME");
}

static void print_cloneflags(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	char buf[16];

	if ((arg(c, i) & 0xffffff00) != 0) {
		add_named(t, "cloneflags", arg(c, i) & 0xffffff00);
		text_add(t, "|");
	}
	text_add(t, "%s", signal_name((int)(arg(c, i) & 0xff), buf));
}

/* ---- bytes of the guest ---- */

static bool fetch(const struct traced_call *c, uint64_t addr, void *dst, size_t len)
{
	return addr != 0 && copy_from_guest(c->task, dst, GVA(addr), len) == 0;
}

/* A C string of up to max bytes (shown), or the address. */
static void add_string(struct text *t, const struct traced_call *c, uint64_t addr, size_t max)
{
	char buf[PATH_SHOWN + 1];
	size_t n = 0, len;

	if (addr != 0)
		n = copy_from_guest_partial(c->task, buf, GVA(addr), MIN(max + 1, sizeof(buf)));
	len = strnlen(buf, n);
	if (n == 0 || (len == n && n <= max)) /* unreadable, or not terminated where readable memory ends */
		kind_add_ptr(t, addr);
	else
		text_quote(t, buf, len, max);
}

static void print_path(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_string(t, c, arg(c, i), PATH_SHOWN);
}

static void print_str(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_string(t, c, arg(c, i), DATA_MAX);
}

static void add_bytes(struct text *t, const struct traced_call *c, uint64_t addr, uint64_t len)
{
	char buf[DATA_MAX];

	if (addr == 0 || !fetch(c, addr, buf, MIN(len, sizeof(buf))))
		kind_add_ptr(t, addr);
	else
		text_quote(t, buf, MIN(len, (uint64_t)DATA_MAX + 1), DATA_MAX);
}

static void print_buf(struct text *t, const struct traced_call *c, unsigned i, unsigned n)
{
	add_bytes(t, c, arg(c, i), c->done ? (uint64_t)c->ret : arg(c, n));
}

static void print_optval(struct text *t, const struct traced_call *c, unsigned i, unsigned n)
{
	uint32_t v, len = (uint32_t)arg(c, n);

	if (c->done && !fetch(c, arg(c, n), &len, sizeof(len)))
		len = 0;
	if (len == sizeof(v) && fetch(c, arg(c, i), &v, sizeof(v)))
		text_add(t, "[%d]", (int)v);
	else
		add_bytes(t, c, arg(c, i), len);
}

static void print_strings(struct text *t, const struct traced_call *c, uint64_t addr, bool count_only)
{
	uint64_t p;
	unsigned i;

	if (addr == 0) {
		text_add(t, "NULL");
		return;
	}
	if (!count_only)
		text_add(t, "[");
	for (i = 0; i < (count_only ? 10000 : ITEMS_MAX); i++) {
		if (!fetch(c, addr + 8ULL * i, &p, sizeof(p)) || p == 0)
			break;
		if (count_only)
			continue;
		text_add(t, i == 0 ? "" : ", ");
		add_string(t, c, p, DATA_MAX);
	}
	if (count_only)
		text_add(t, "%#llx /* %u vars */", (unsigned long long)addr, i);
	else
		text_add(t, i == ITEMS_MAX ? ", ...]" : "]");
}

static void print_argv(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	print_strings(t, c, arg(c, i), false);
}

static void print_envp(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	print_strings(t, c, arg(c, i), true);
}

static void print_fds(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	int32_t v[2];

	if (fetch(c, arg(c, i), v, sizeof(v)))
		text_add(t, "[%d, %d]", v[0], v[1]);
	else
		kind_add_ptr(t, arg(c, i));
}

static void print_intp(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	int32_t v;

	if (fetch(c, arg(c, i), &v, sizeof(v)))
		text_add(t, "[%d]", v);
	else
		kind_add_ptr(t, arg(c, i));
}

static void print_u64p(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	uint64_t v;

	if (fetch(c, arg(c, i), &v, sizeof(v)))
		text_add(t, "[%llu]", (unsigned long long)v);
	else
		kind_add_ptr(t, arg(c, i));
}

static void add_iov(struct text *t, const struct traced_call *c, uint64_t addr, uint64_t count, uint64_t bytes)
{
	struct {
		uint64_t base, len;
	} v;
	uint64_t i;

	if (addr == 0) {
		text_add(t, "NULL");
		return;
	}
	text_add(t, "[");
	for (i = 0; i < count && i < ITEMS_MAX; i++) {
		if (!fetch(c, addr + i * sizeof(v), &v, sizeof(v)))
			break;
		text_add(t, "%s{iov_base=", i == 0 ? "" : ", ");
		add_bytes(t, c, v.base, MIN(v.len, bytes));
		text_add(t, ", iov_len=%llu}", (unsigned long long)v.len);
		bytes -= MIN(v.len, bytes);
	}
	text_add(t, i < count ? ", ...]" : "]");
}

static void print_iov(struct text *t, const struct traced_call *c, unsigned i, unsigned n)
{
	add_iov(t, c, arg(c, i), (uint32_t)arg(c, n), c->done ? (uint64_t)c->ret : UINT64_MAX);
}

/* ---- sockets ---- */

static void add_in6(struct text *t, const uint8_t a[16])
{
	for (unsigned i = 0; i < 16; i += 2)
		text_add(t, "%s%x", i == 0 ? "" : ":", a[i] << 8 | a[i + 1]);
}

static void add_sockaddr(struct text *t, const struct traced_call *c, uint64_t addr, uint32_t len)
{
	uint8_t b[128];
	uint16_t family;
	uint32_t u[2];

	len = MIN(len, (uint32_t)sizeof(b));
	if (len < 2 || !fetch(c, addr, b, len)) {
		kind_add_ptr(t, addr);
		return;
	}
	memcpy(&family, b, 2);
	text_add(t, "{sa_family=");
	add_named(t, "domain", family);
	if (family == 1 && len > 2) {
		text_add(t, ", sun_path=%s", b[2] == 0 && len > 3 ? "@" : "");
		if (b[2] == 0 && len > 3)
			text_quote(t, b + 3, len - 3, sizeof(b));
		else
			text_quote(t, b + 2, strnlen((char *)b + 2, len - 2), sizeof(b));
	} else if (family == 2 && len >= 8) {
		text_add(t, ", sin_port=htons(%u), sin_addr=inet_addr(\"%u.%u.%u.%u\")", b[2] << 8 | b[3], b[4], b[5],
			 b[6], b[7]);
	} else if (family == 10 && len >= 24) {
		text_add(t, ", sin6_port=htons(%u), sin6_addr=\"", b[2] << 8 | b[3]);
		add_in6(t, b + 8);
		text_add(t, "\"");
	} else if (family == 16 && len >= 12) {
		memcpy(u, b + 4, 8);
		text_add(t, ", nl_pid=%u, nl_groups=%08x", u[0], u[1]);
	}
	text_add(t, "}");
}

static void print_sockaddr(struct text *t, const struct traced_call *c, unsigned i, unsigned n)
{
	uint32_t len = (uint32_t)arg(c, n);

	if (c->done && !fetch(c, arg(c, n), &len, sizeof(len)))
		len = 0;
	add_sockaddr(t, c, arg(c, i), len);
}

/* recvfrom's address length lies behind the argument after its own. */
static void print_msghdr(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	struct {
		uint64_t name;
		uint32_t namelen, pad;
		uint64_t iov, iovlen, control, controllen;
		uint32_t flags, pad2;
	} m;

	if (!fetch(c, arg(c, i), &m, sizeof(m))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{msg_name=");
	add_sockaddr(t, c, m.name, m.namelen);
	text_add(t, ", msg_namelen=%u, msg_iov=", m.namelen);
	add_iov(t, c, m.iov, m.iovlen, c->done ? (uint64_t)c->ret : UINT64_MAX);
	text_add(t, ", msg_iovlen=%llu, msg_controllen=%llu, msg_flags=", (unsigned long long)m.iovlen,
		 (unsigned long long)m.controllen);
	add_named(t, "msgflags", m.flags);
	text_add(t, "}");
}

/* ---- times ---- */

static void add_pair(struct text *t, const int64_t v[2], bool usec)
{
	text_add(t, usec ? "{tv_sec=%lld, tv_usec=%lld}" : "{tv_sec=%lld, tv_nsec=%lld}", (long long)v[0],
		 (long long)v[1]);
}

static void add_times(struct text *t, const struct traced_call *c, uint64_t addr, unsigned pairs, bool usec,
		      const char *head)
{
	int64_t v[4];

	if (!fetch(c, addr, v, pairs * 16)) {
		kind_add_ptr(t, addr);
		return;
	}
	if (pairs == 1) {
		add_pair(t, v, usec);
		return;
	}
	text_add(t, "%s", head);
	add_pair(t, v, usec);
	text_add(t, head[0] == '[' ? ", " : ", it_value=");
	add_pair(t, v + 2, usec);
	text_add(t, head[0] == '[' ? "]" : "}");
}

static void print_timespec(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_times(t, c, arg(c, i), 1, false, "");
}

static void print_timeval(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_times(t, c, arg(c, i), 1, true, "");
}

static void print_itimerspec(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_times(t, c, arg(c, i), 2, false, "{it_interval=");
}

static void print_itimerval(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_times(t, c, arg(c, i), 2, true, "{it_interval=");
}

static void print_times2(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_times(t, c, arg(c, i), 2, false, "[");
}

/* futex's fourth argument: a timeout for the waiting ones, a count for requeueing. */
static void print_futextime(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	unsigned cmd = arg(c, 1) & 0x7f;

	if (cmd == 0 || cmd == 6 || cmd == 9 || cmd == 11 || cmd == 13)
		add_times(t, c, arg(c, i), 1, false, "");
	else
		text_add(t, "%llu", (unsigned long long)arg(c, i));
}

/* ---- structures ---- */

static void print_stat(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	struct linux_stat_head {
		uint64_t dev, ino, nlink;
		uint32_t mode, uid, gid, pad;
		uint64_t rdev, size;
	} st;

	if (!fetch(c, arg(c, i), &st, sizeof(st))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{st_mode=");
	add_mode(t, st.mode);
	if ((st.mode & LINUX_S_IFMT) == LINUX_S_IFCHR || (st.mode & LINUX_S_IFMT) == LINUX_S_IFBLK)
		text_add(t, ", st_rdev=%#llx, ...}", (unsigned long long)st.rdev);
	else
		text_add(t, ", st_size=%llu, ...}", (unsigned long long)st.size);
}

static void print_statx(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	struct {
		uint32_t mask, blksize;
		uint64_t attributes;
		uint32_t nlink, uid, gid;
		uint16_t mode, pad;
		uint64_t ino, size;
	} st;

	if (!fetch(c, arg(c, i), &st, sizeof(st))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{stx_mask=%#x, stx_mode=", st.mask);
	add_mode(t, st.mode);
	text_add(t, ", stx_size=%llu, ...}", (unsigned long long)st.size);
}

static void print_rusage(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	int64_t v[4];

	if (!fetch(c, arg(c, i), v, sizeof(v))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{ru_utime=");
	add_pair(t, v, true);
	text_add(t, ", ru_stime=");
	add_pair(t, v + 2, true);
	text_add(t, ", ...}");
}

static void add_limit(struct text *t, uint64_t v)
{
	if (v == UINT64_MAX)
		text_add(t, "RLIM64_INFINITY");
	else if (v >= 1024 && v % 1024 == 0)
		text_add(t, "%llu*1024", (unsigned long long)v / 1024);
	else
		text_add(t, "%llu", (unsigned long long)v);
}

static void print_rlimit(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	uint64_t v[2];

	if (!fetch(c, arg(c, i), v, sizeof(v))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{rlim_cur=");
	add_limit(t, v[0]);
	text_add(t, ", rlim_max=");
	add_limit(t, v[1]);
	text_add(t, "}");
}

static void print_wstatus(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	int32_t s;
	char buf[16];

	if (c->ret == 0 || !fetch(c, arg(c, i), &s, sizeof(s)))
		kind_add_ptr(t, arg(c, i));
	else if ((s & 0x7f) == 0)
		text_add(t, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", s >> 8 & 0xff);
	else if ((s & 0xff) == 0x7f)
		text_add(t, "[{WIFSTOPPED(s) && WSTOPSIG(s) == %s}]", signal_name(s >> 8 & 0xff, buf));
	else if (s == 0xffff)
		text_add(t, "[{WIFCONTINUED(s)}]");
	else
		text_add(t, "[{WIFSIGNALED(s) && WTERMSIG(s) == %s%s}]", signal_name(s & 0x7f, buf),
			 s & 0x80 ? " && WCOREDUMP(s)" : "");
}

static void print_utsname(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	text_add(t, "{sysname=");
	add_string(t, c, arg(c, i), 64);
	text_add(t, ", nodename=");
	add_string(t, c, arg(c, i) + 65, 64);
	text_add(t, ", ...}");
}

static void print_openhow(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	uint64_t v[3];
	struct traced_call flags = {.args = v};

	if (!fetch(c, arg(c, i), v, sizeof(v))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{flags=");
	print_oflags(t, &flags, 0, 0);
	text_add(t, ", mode=%#llo, resolve=", (unsigned long long)v[1]);
	add_named(t, "resolve", v[2]);
	text_add(t, "}");
}

static void print_cloneargs(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	uint64_t v[8];
	char buf[16];

	if (!fetch(c, arg(c, i), v, sizeof(v))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{flags=");
	add_named(t, "cloneflags", v[0]);
	text_add(t, ", exit_signal=%s, stack=", signal_name((int)v[4], buf));
	kind_add_ptr(t, v[5]);
	text_add(t, ", stack_size=%#llx, tls=", (unsigned long long)v[6]);
	kind_add_ptr(t, v[7]);
	text_add(t, "}");
}

static void print_dirents(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	uint64_t off = 0;
	unsigned entries = 0;
	uint16_t reclen;

	/* linux_dirent and linux_dirent64 agree on where the record's length is. */
	while (off < (uint64_t)c->ret && entries < 100000 && fetch(c, arg(c, i) + off + 16, &reclen, 2) &&
	       reclen != 0) {
		off += reclen;
		entries++;
	}
	text_add(t, "%#llx /* %u entries */", (unsigned long long)arg(c, i), entries);
}

/* ---- signals ---- */

static void add_sigset(struct text *t, uint64_t set)
{
	bool inverted = __builtin_popcountll(set) > 32;
	const char *sep = "";
	char buf[16];

	if (inverted)
		set = ~set;
	text_add(t, inverted ? "~[" : "[");
	for (int sig = 1; sig <= LINUX_NSIG; sig++) {
		if ((set & LINUX_SIGMASK(sig)) == 0)
			continue;
		text_add(t, "%s%s", sep, signal_name(sig, buf) + 3);
		sep = " ";
	}
	text_add(t, "]");
}

static void print_sigset(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	uint64_t set;

	if (fetch(c, arg(c, i), &set, sizeof(set)))
		add_sigset(t, set);
	else
		kind_add_ptr(t, arg(c, i));
}

static void print_sigaction(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	struct linux_sigaction a;

	if (!fetch(c, arg(c, i), &a, sizeof(a))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{sa_handler=");
	if (a.handler == LINUX_SIG_DFL || a.handler == LINUX_SIG_IGN)
		text_add(t, a.handler == LINUX_SIG_DFL ? "SIG_DFL" : "SIG_IGN");
	else
		text_add(t, "%#llx", (unsigned long long)a.handler);
	text_add(t, ", sa_mask=");
	add_sigset(t, a.mask);
	text_add(t, ", sa_flags=");
	add_named(t, "saflags", a.flags);
	if ((a.flags & LINUX_SA_RESTORER) != 0)
		text_add(t, ", sa_restorer=%#llx", (unsigned long long)a.restorer);
	text_add(t, "}");
}

static void print_stack(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	struct linux_stack s;

	if (!fetch(c, arg(c, i), &s, sizeof(s))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{ss_sp=");
	kind_add_ptr(t, s.sp);
	text_add(t, ", ss_flags=");
	add_named(t, "ssflags", (uint32_t)s.flags);
	text_add(t, ", ss_size=%llu}", (unsigned long long)s.size);
}

void format_siginfo(struct text *t, int sig, const void *p)
{
	static const struct name segv[] = {{1, "SEGV_MAPERR"}, {2, "SEGV_ACCERR"}};
	static const struct name bus[] = {{1, "BUS_ADRALN"}, {2, "BUS_ADRERR"}};
	static const struct name chld[] = {{1, "CLD_EXITED"},  {2, "CLD_KILLED"},  {3, "CLD_DUMPED"},
					   {4, "CLD_TRAPPED"}, {5, "CLD_STOPPED"}, {6, "CLD_CONTINUED"}};
	const struct linux_siginfo *info = p;
	const struct name *names = sig == LINUX_SIGSEGV   ? segv
				   : sig == LINUX_SIGBUS  ? bus
				   : sig == LINUX_SIGCHLD ? chld
							  : NULL;
	int last = sig == LINUX_SIGCHLD ? 6 : 2;
	char buf[16];

	text_add(t, "{si_signo=%s, si_code=", signal_name(sig, buf));
	if (info->code == LINUX_SI_USER || info->code == LINUX_SI_TKILL || info->code == LINUX_SI_QUEUE)
		text_add(t, info->code == LINUX_SI_USER    ? "SI_USER"
			    : info->code == LINUX_SI_TKILL ? "SI_TKILL"
							   : "SI_QUEUE");
	else if (info->code == LINUX_SI_KERNEL || info->code == LINUX_SI_TIMER)
		text_add(t, info->code == LINUX_SI_KERNEL ? "SI_KERNEL" : "SI_TIMER");
	else if (names != NULL && info->code >= 1 && info->code <= last)
		text_add(t, "%s", names[info->code - 1].name);
	else
		text_add(t, "%d", info->code);
	if (sig == LINUX_SIGCHLD && info->code > 0)
		text_add(t, ", si_pid=%d, si_uid=%u, si_status=%d", info->child.pid, info->child.uid,
			 info->child.status);
	else if (info->code <= 0 && info->code != LINUX_SI_TIMER)
		text_add(t, ", si_pid=%d, si_uid=%u", info->kill.pid, info->kill.uid);
	else if (sig == LINUX_SIGSEGV || sig == LINUX_SIGBUS || sig == LINUX_SIGILL || sig == LINUX_SIGFPE ||
		 sig == LINUX_SIGTRAP)
		text_add(t, ", si_addr=%#llx", (unsigned long long)info->fault.addr);
	text_add(t, "}");
}

static void print_siginfo(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	struct linux_siginfo info;

	if (fetch(c, arg(c, i), &info, sizeof(info)))
		format_siginfo(t, info.signo, &info);
	else
		kind_add_ptr(t, arg(c, i));
}

/* ---- poll, select, epoll ---- */

struct guest_pollfd {
	int32_t fd;
	int16_t events, revents;
};

void kind_add_pollfds(struct text *t, const struct traced_call *c, uint64_t addr, uint32_t count, bool results)
{
	struct guest_pollfd p;
	const char *sep = "";
	uint32_t i, shown = 0;

	text_add(t, "[");
	for (i = 0; i < count && i < 4096 && shown < ITEMS_MAX; i++) {
		if (!fetch(c, addr + i * sizeof(p), &p, sizeof(p)))
			break;
		if (results && p.revents == 0)
			continue;
		text_add(t, "%s{fd=%d, %s=", sep, p.fd, results ? "revents" : "events");
		add_named(t, "pollbits", (uint16_t)(results ? p.revents : p.events));
		text_add(t, "}");
		sep = ", ";
		shown++;
	}
	text_add(t, i < count ? ", ...]" : "]");
}

static void print_pollfds(struct text *t, const struct traced_call *c, unsigned i, unsigned n)
{
	if (arg(c, i) == 0)
		text_add(t, "NULL");
	else
		kind_add_pollfds(t, c, arg(c, i), (uint32_t)arg(c, n), false);
}

static void print_fdset(struct text *t, const struct traced_call *c, unsigned i, unsigned n)
{
	uint64_t bits[16] = {0}; /* FD_SETSIZE */
	int nfds = (int)arg(c, n);
	const char *sep = "";

	nfds = nfds < 0 ? 0 : MIN(nfds, 1024);
	if (!fetch(c, arg(c, i), bits, ((size_t)nfds + 63) / 64 * 8)) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "[");
	for (int fd = 0; fd < nfds; fd++) {
		if ((bits[fd / 64] >> (fd % 64) & 1) == 0)
			continue;
		text_add(t, "%s%d", sep, fd);
		sep = " ";
	}
	text_add(t, "]");
}

static void add_epoll_event(struct text *t, const struct traced_call *c, uint64_t addr)
{
	struct __attribute__((packed)) {
		uint32_t events;
		uint64_t data;
	} e;

	if (!fetch(c, addr, &e, sizeof(e))) {
		kind_add_ptr(t, addr);
		return;
	}
	text_add(t, "{events=");
	add_named(t, "epollbits", e.events);
	text_add(t, ", data=%#llx}", (unsigned long long)e.data);
}

static void print_epoll_event(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	add_epoll_event(t, c, arg(c, i));
}

static void print_epoll_events(struct text *t, const struct traced_call *c, unsigned i, unused_arg unsigned n)
{
	int64_t k;

	text_add(t, "[");
	for (k = 0; k < c->ret && k < ITEMS_MAX; k++) {
		text_add(t, k == 0 ? "" : ", ");
		add_epoll_event(t, c, arg(c, i) + (uint64_t)k * 12);
	}
	text_add(t, k < c->ret ? ", ...]" : "]");
}

/* ---- arguments whose meaning another argument decides ---- */

static void print_flock(struct text *t, const struct traced_call *c, unsigned i)
{
	struct {
		int16_t type, whence;
		int32_t pad;
		int64_t start, len;
		int32_t pid, pad2;
	} l;

	if (!fetch(c, arg(c, i), &l, sizeof(l))) {
		kind_add_ptr(t, arg(c, i));
		return;
	}
	text_add(t, "{l_type=");
	add_named(t, "locktype", (uint64_t)l.type);
	text_add(t, ", l_whence=");
	add_named(t, "whence", (uint64_t)l.whence);
	text_add(t, ", l_start=%lld, l_len=%lld}", (long long)l.start, (long long)l.len);
}

static void print_fcntlarg(struct text *t, const struct traced_call *c, unsigned i, unsigned n)
{
	switch ((int)arg(c, 1)) {
	case 2: /* F_SETFD */
		text_add(t, arg(c, i) == 1 ? "FD_CLOEXEC" : "%llu", (unsigned long long)arg(c, i));
		break;
	case 4: /* F_SETFL */
		print_oflags(t, c, i, n);
		break;
	case 5: /* F_GETLK, F_SETLK, F_SETLKW, and for open file descriptions */
	case 6:
	case 7:
	case 36:
	case 37:
	case 38:
		print_flock(t, c, i);
		break;
	case 1033: /* F_ADD_SEALS */
		add_named(t, "seals", arg(c, i));
		break;
	default:
		text_add(t, "%lld", (long long)arg(c, i));
	}
}

static void print_prctlarg(struct text *t, const struct traced_call *c, unsigned i, unsigned n)
{
	if (arg(c, 0) == 15) /* PR_SET_NAME */
		print_str(t, c, i, n);
	else if (arg(c, 0) == 1) /* PR_SET_PDEATHSIG */
		print_sig(t, c, i, n);
	else
		print_hex(t, c, i, n);
}

static const struct kind {
	const char *name;
	print_fn print;
} kinds[] = {
	{"int", print_int},
	{"uint", print_uint},
	{"long", print_long},
	{"size", print_size},
	{"id", print_id},
	{"hex", print_hex},
	{"ptr", print_ptr},
	{"mode", print_mode},
	{"modetype", print_modetype},
	{"fd", print_int},
	{"dirfd", print_dirfd},
	{"sig", print_sig},
	{"oflags", print_oflags},
	{"socktype", print_socktype},
	{"futexop", print_futexop},
	{"cloneflags", print_cloneflags},
	{"path", print_path},
	{"str", print_str},
	{"buf", print_buf},
	{"optval", print_optval},
	{"argv", print_argv},
	{"envp", print_envp},
	{"fds", print_fds},
	{"intp", print_intp},
	{"u32p", print_intp},
	{"u64p", print_u64p},
	{"iov", print_iov},
	{"sockaddr", print_sockaddr},
	{"msghdr", print_msghdr},
	{"timespec", print_timespec},
	{"timeval", print_timeval},
	{"itimerspec", print_itimerspec},
	{"itimerval", print_itimerval},
	{"times2", print_times2},
	{"futextime", print_futextime},
	{"stat", print_stat},
	{"statx", print_statx},
	{"rusage", print_rusage},
	{"rlimit", print_rlimit},
	{"wstatus", print_wstatus},
	{"utsname", print_utsname},
	{"openhow", print_openhow},
	{"cloneargs", print_cloneargs},
	{"dirents", print_dirents},
	{"sigset", print_sigset},
	{"sigaction", print_sigaction},
	{"stack", print_stack},
	{"siginfo", print_siginfo},
	{"pollfds", print_pollfds},
	{"fdset", print_fdset},
	{"epoll_event", print_epoll_event},
	{"epoll_events", print_epoll_events},
	{"fcntlarg", print_fcntlarg},
	{"ioctlarg", print_hex},
	{"prctlarg", print_prctlarg},
	/* shown as addresses: */
	{"cpuset", print_ptr},
	{"statfs", print_ptr},
	{"sysinfo", print_ptr},
	{"tms", print_ptr},
};

static const struct kind *kind_find(const char *kind, size_t len)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		if (strlen(kinds[k].name) == len && memcmp(kinds[k].name, kind, len) == 0)
			return &kinds[k];
	}
	return NULL;
}

bool kind_known(const char *kind, size_t len)
{
	const char *colon = memchr(kind, ':', len);
	size_t name_len = colon != NULL ? (size_t)(colon - kind) : len;

	if (colon != NULL && (colon + 2 != kind + len || colon[1] < '0' || colon[1] > '5'))
		return false;
	return kind_find(kind, name_len) != NULL || name_set_find(kind, name_len) != NULL;
}

void kind_print(struct text *t, const struct traced_call *c, const char *kind, size_t len, unsigned i)
{
	const char *colon = memchr(kind, ':', len);
	size_t name_len = colon != NULL ? (size_t)(colon - kind) : len;
	const struct kind *k = kind_find(kind, name_len);
	const struct name_set *set;

	if (k != NULL) {
		k->print(t, c, i, colon != NULL ? (unsigned)(colon[1] - '0') : 6);
		return;
	}
	set = name_set_find(kind, name_len);
	if (set != NULL)
		add_set(t, set, arg(c, i));
	else
		print_hex(t, c, i, 0);
}
