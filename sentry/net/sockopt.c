/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getsockopt(2) and setsockopt(2): SOL_SOCKET here, other levels and what only one family has in the family's own ops.
 *
 * Values are remembered and shown as Linux shows them (buffer sizes doubled, within rmem_max and wmem_max); those that
 * change what the sandbox's sockets do: buffers, timeouts, lingering, address reuse, credentials, timestamps, low-water
 * mark. The rest (priority, mark, keepalive, pacing) has nothing to act upon here.
 */
#include "sentry/abi/capability.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/socket.h"

#include <string.h>

#define MEM_MAX 212992U /* net.core.{r,w}mem_max */
#define MIN_SNDBUF 4608U
#define MIN_RCVBUF 2304U

static int set_timeout(uint64_t *timeo, const void *val, unsigned len)
{
	struct linux_timeval tv;

	if (len < sizeof tv)
		return -LINUX_EINVAL;
	memcpy(&tv, val, sizeof tv);
	if (tv.usec < 0 || tv.usec >= 1000000)
		return -LINUX_EDOM;
	if (tv.sec < 0) {
		*timeo = 1; /* Linux: "don't wait at all" */
		return 0;
	}
	if (tv.sec > INT64_MAX / (int64_t)NSEC_PER_SEC - 1)
		*timeo = 0;
	else
		*timeo = (uint64_t)tv.sec * NSEC_PER_SEC + (uint64_t)tv.usec * NSEC_PER_USEC;
	return 0;
}

static int set_linger(struct socket *s, const void *val, unsigned len)
{
	struct linux_linger l;

	if (len < sizeof l)
		return -LINUX_EINVAL;
	memcpy(&l, val, sizeof l);
	s->linger_on = l.onoff != 0;
	if (s->linger_on)
		s->linger = (uint32_t)l.linger;
	return 0;
}

static int set_device(struct socket *s, const void *val, unsigned len)
{
	char name[LINUX_IFNAMSIZ] = "";

	memcpy(name, val, MIN(len, (unsigned)sizeof name - 1));
	if (name[0] != '\0' && strcmp(name, "lo") != 0)
		return -LINUX_ENODEV;
	s->bound_dev = name[0] != '\0';
	return 0;
}

static uint32_t buffer_size(int val, uint32_t max, uint32_t least)
{
	uint32_t v = MIN((uint32_t)val, max);

	if (val < 0)
		v = max; /* Linux compares as unsigned */
	return MAX(v * 2, least);
}

static int set_int(struct task *task, struct socket *s, int name, int v)
{
	switch (name) {
	case LINUX_SO_DEBUG:
		if (v != 0 && !task_capable(task, LINUX_CAP_NET_ADMIN))
			return -LINUX_EACCES;
		s->debug = v != 0;
		return 0;
	case LINUX_SO_REUSEADDR:
		s->reuseaddr = v != 0;
		return 0;
	case LINUX_SO_REUSEPORT:
		if (s->family != LINUX_AF_INET && s->family != LINUX_AF_INET6 && v != 0)
			return -LINUX_EOPNOTSUPP;
		s->reuseport = v != 0;
		return 0;
	case LINUX_SO_TYPE:
	case LINUX_SO_PROTOCOL:
	case LINUX_SO_DOMAIN:
	case LINUX_SO_ERROR:
		return -LINUX_ENOPROTOOPT;
	case LINUX_SO_DONTROUTE:
		s->dontroute = v != 0;
		return 0;
	case LINUX_SO_BROADCAST:
		s->broadcast = v != 0;
		return 0;
	case LINUX_SO_SNDBUFFORCE:
	case LINUX_SO_RCVBUFFORCE:
		if (!task_capable(task, LINUX_CAP_NET_ADMIN))
			return -LINUX_EPERM;
		v = v < 0 ? 0 : v;
		__attribute__((fallthrough)); /* the maximum stays: the sandbox's memory is limited */
	case LINUX_SO_SNDBUF:
	case LINUX_SO_RCVBUF:
		if (name == LINUX_SO_SNDBUF || name == LINUX_SO_SNDBUFFORCE) {
			s->sndbuf = buffer_size(v, MEM_MAX, MIN_SNDBUF);
			s->sndbuf_set = true;
			sock_wake(s, SOCK_OUT);
		} else {
			s->rcvbuf = buffer_size(v, MEM_MAX, MIN_RCVBUF);
			s->rcvbuf_set = true;
		}
		return 0;
	case LINUX_SO_KEEPALIVE:
		s->keepalive = v != 0;
		return 0;
	case LINUX_SO_OOBINLINE:
		s->oobinline = v != 0;
		return 0;
	case LINUX_SO_NO_CHECK:
		s->no_check = v != 0;
		return 0;
	case LINUX_SO_PRIORITY:
		if ((v < 0 || v > 6) && !task_capable(task, LINUX_CAP_NET_ADMIN))
			return -LINUX_EPERM;
		s->priority = (uint32_t)v;
		return 0;
	case LINUX_SO_PASSCRED:
		if (s->family != LINUX_AF_UNIX && s->family != LINUX_AF_NETLINK)
			return -LINUX_EOPNOTSUPP;
		s->passcred = v != 0;
		return 0;
	case LINUX_SO_PASSSEC:
		return v == 0 ? 0 : -LINUX_EOPNOTSUPP;
	case LINUX_SO_TIMESTAMP:
	case LINUX_SO_TIMESTAMP_NEW: /* the same layout on amd64, but the type in messages stays the old one */
		s->timestamp = v != 0;
		s->timestampns = false;
		return 0;
	case LINUX_SO_TIMESTAMPNS:
	case LINUX_SO_TIMESTAMPNS_NEW:
		s->timestampns = v != 0;
		s->timestamp = false;
		return 0;
	case LINUX_SO_RCVLOWAT:
		if (v < 0)
			v = INT32_MAX;
		s->rcvlowat = v == 0 ? 1 : (uint32_t)v;
		return 0;
	case LINUX_SO_MARK:
		if (!task_capable(task, LINUX_CAP_NET_ADMIN) && !task_capable(task, LINUX_CAP_NET_RAW))
			return -LINUX_EPERM;
		s->mark = (uint32_t)v;
		return 0;
	case LINUX_SO_RXQ_OVFL:
		s->rxq_ovfl = v != 0;
		return 0;
	case LINUX_SO_PEEK_OFF:
		if (s->family != LINUX_AF_UNIX)
			return -LINUX_EOPNOTSUPP;
		s->peek_off = v < 0 ? UINT32_MAX : (uint32_t)v;
		return 0;
	case LINUX_SO_LOCK_FILTER:
		if (s->lock_filter && v == 0)
			return -LINUX_EPERM;
		s->lock_filter = v != 0;
		return 0;
	case LINUX_SO_DETACH_FILTER:
		return -LINUX_ENOENT;
	case LINUX_SO_BUSY_POLL:
	case LINUX_SO_PREFER_BUSY_POLL:
	case LINUX_SO_BUSY_POLL_BUDGET:
		return v > 0 && !task_capable(task, LINUX_CAP_NET_ADMIN) ? -LINUX_EPERM : 0;
	case LINUX_SO_MAX_PACING_RATE:
	case LINUX_SO_INCOMING_CPU:
	case LINUX_SO_SELECT_ERR_QUEUE:
		return 0;
	case LINUX_SO_BINDTOIFINDEX:
		if (v < 0 || v > 1)
			return v < 0 ? -LINUX_EINVAL : -LINUX_ENODEV;
		s->bound_dev = v == 1;
		return 0;
	default:
		return -LINUX_ENOPROTOOPT;
	}
}

static int set_socket_level(struct task *task, struct socket *s, int name, const void *val, unsigned len)
{
	int v;

	if (name == LINUX_SO_BINDTODEVICE)
		return set_device(s, val, len);
	if (len < sizeof v)
		return -LINUX_EINVAL;
	memcpy(&v, val, sizeof v);
	switch (name) {
	case LINUX_SO_LINGER:
		return set_linger(s, val, len);
	case LINUX_SO_RCVTIMEO:
	case LINUX_SO_RCVTIMEO_NEW:
		return set_timeout(&s->rcvtimeo, val, len);
	case LINUX_SO_SNDTIMEO:
	case LINUX_SO_SNDTIMEO_NEW:
		return set_timeout(&s->sndtimeo, val, len);
	default:
		return set_int(task, s, name, v);
	}
}

int socket_setsockopt(struct task *task, struct socket *s, int level, int name, gva_t val, int len)
{
	union {
		uint8_t bytes[SOCKOPT_MAX];
		uint64_t align;
	} copy;
	unsigned n;

	if (len < 0)
		return -LINUX_EINVAL;
	n = MIN((unsigned)len, SOCKOPT_MAX);
	if (n > 0 && copy_from_guest(task, copy.bytes, val, n) != 0)
		return -LINUX_EFAULT;
	if (level == LINUX_SOL_SOCKET)
		return set_socket_level(task, s, name, copy.bytes, n);
	if (s->ops->setsockopt == NULL)
		return s->family == LINUX_AF_UNIX ? -LINUX_EOPNOTSUPP : -LINUX_ENOPROTOOPT;
	return s->ops->setsockopt(task, s, level, name, copy.bytes, n);
}

/* ---- getsockopt ---- */

static int get_int(struct socket *s, int name, int *v)
{
	switch (name) {
	case LINUX_SO_DEBUG:
		*v = s->debug;
		return 0;
	case LINUX_SO_REUSEADDR:
		*v = s->reuseaddr;
		return 0;
	case LINUX_SO_REUSEPORT:
		*v = s->reuseport;
		return 0;
	case LINUX_SO_TYPE:
		*v = s->type;
		return 0;
	case LINUX_SO_DOMAIN:
		*v = s->family;
		return 0;
	case LINUX_SO_PROTOCOL:
		*v = s->protocol;
		return 0;
	case LINUX_SO_ERROR:
		*v = -sock_error(s);
		return 0;
	case LINUX_SO_DONTROUTE:
		*v = s->dontroute;
		return 0;
	case LINUX_SO_BROADCAST:
		*v = s->broadcast;
		return 0;
	case LINUX_SO_SNDBUF:
		*v = (int)s->sndbuf;
		return 0;
	case LINUX_SO_RCVBUF:
		*v = (int)s->rcvbuf;
		return 0;
	case LINUX_SO_KEEPALIVE:
		*v = s->keepalive;
		return 0;
	case LINUX_SO_OOBINLINE:
		*v = s->oobinline;
		return 0;
	case LINUX_SO_NO_CHECK:
		*v = s->no_check;
		return 0;
	case LINUX_SO_PRIORITY:
		*v = (int)s->priority;
		return 0;
	case LINUX_SO_PASSCRED:
		*v = s->passcred;
		return 0;
	case LINUX_SO_TIMESTAMP:
		*v = s->timestamp;
		return 0;
	case LINUX_SO_TIMESTAMPNS:
		*v = s->timestampns;
		return 0;
	case LINUX_SO_RCVLOWAT:
		*v = (int)s->rcvlowat;
		return 0;
	case LINUX_SO_SNDLOWAT:
		*v = 1;
		return 0;
	case LINUX_SO_MARK:
		*v = (int)s->mark;
		return 0;
	case LINUX_SO_RXQ_OVFL:
		*v = s->rxq_ovfl;
		return 0;
	case LINUX_SO_PEEK_OFF:
		if (s->family != LINUX_AF_UNIX)
			return -LINUX_EOPNOTSUPP;
		*v = (int)s->peek_off;
		return 0;
	case LINUX_SO_LOCK_FILTER:
		*v = s->lock_filter;
		return 0;
	case LINUX_SO_BINDTOIFINDEX:
		*v = s->bound_dev;
		return 0;
	case LINUX_SO_BSDCOMPAT:
	case LINUX_SO_ACCEPTCONN:
	case LINUX_SO_PASSSEC:
	case LINUX_SO_TIMESTAMP_NEW:
	case LINUX_SO_TIMESTAMPNS_NEW:
	case LINUX_SO_TIMESTAMPING:
	case LINUX_SO_NOFCS:
	case LINUX_SO_SELECT_ERR_QUEUE:
	case LINUX_SO_BUSY_POLL:
	case LINUX_SO_INCOMING_NAPI_ID:
	case LINUX_SO_ZEROCOPY:
		*v = 0;
		return 0;
	case LINUX_SO_MAX_PACING_RATE:
		*v = -1;
		return 0;
	case LINUX_SO_INCOMING_CPU:
		*v = 0;
		return 0;
	default:
		return -LINUX_ENOPROTOOPT;
	}
}

static int get_socket_level(struct task *task, struct socket *s, int name, void *val, unsigned *len)
{
	struct linux_timeval tv;
	struct linux_linger l;
	uint64_t timeo, cookie;
	unsigned room = *len;
	int v, err;

	switch (name) {
	case LINUX_SO_LINGER:
		l = (struct linux_linger){.onoff = s->linger_on, .linger = (int32_t)s->linger};
		memcpy(val, &l, sizeof l);
		*len = sizeof l;
		return 0;
	case LINUX_SO_RCVTIMEO:
	case LINUX_SO_SNDTIMEO:
	case LINUX_SO_RCVTIMEO_NEW:
	case LINUX_SO_SNDTIMEO_NEW:
		timeo = name == LINUX_SO_RCVTIMEO || name == LINUX_SO_RCVTIMEO_NEW ? s->rcvtimeo : s->sndtimeo;
		tv.sec = (int64_t)(timeo / NSEC_PER_SEC);
		tv.usec = (int64_t)(timeo % NSEC_PER_SEC / NSEC_PER_USEC);
		memcpy(val, &tv, sizeof tv);
		*len = sizeof tv;
		return 0;
	case LINUX_SO_COOKIE:
		if (room < sizeof cookie)
			return -LINUX_EINVAL;
		cookie = s->ino;
		memcpy(val, &cookie, sizeof cookie);
		*len = sizeof cookie;
		return 0;
	case LINUX_SO_BINDTODEVICE:
		if (s->bound_dev && room < LINUX_IFNAMSIZ)
			return -LINUX_EINVAL;
		memcpy(val, "lo", 3);
		*len = s->bound_dev ? 3 : 0;
		return 0;
	case LINUX_SO_ACCEPTCONN:
	case LINUX_SO_PEERCRED:
	case LINUX_SO_PEERGROUPS:
	case LINUX_SO_PEERNAME:
		if (s->ops->getsockopt != NULL)
			return s->ops->getsockopt(task, s, LINUX_SOL_SOCKET, name, val, len);
		return -LINUX_ENOPROTOOPT;
	default:
		err = get_int(s, name, &v);
		if (err != 0)
			return err;
		memcpy(val, &v, sizeof v);
		*len = sizeof v;
		return 0;
	}
}

int socket_getsockopt(struct task *task, struct socket *s, int level, int name, gva_t val, gva_t lenp)
{
	union {
		uint8_t bytes[SOCKOPT_MAX];
		uint64_t align;
	} out;
	unsigned n;
	int len, err;

	if (get_guest(task, &len, lenp) != 0)
		return -LINUX_EFAULT;
	if (len < 0)
		return -LINUX_EINVAL;
	memset(&out, 0, sizeof out);
	n = (unsigned)len;
	if (level == LINUX_SOL_SOCKET)
		err = get_socket_level(task, s, name, out.bytes, &n);
	else if (s->ops->getsockopt == NULL || s->family == LINUX_AF_UNIX)
		err = s->family == LINUX_AF_UNIX ? -LINUX_EOPNOTSUPP : -LINUX_ENOPROTOOPT;
	else
		err = s->ops->getsockopt(task, s, level, name, out.bytes, &n);
	if (err != 0) {
		/* SO_PEERGROUPS tells how much room it wants. */
		if (err == -LINUX_ERANGE) {
			len = (int)n;
			if (put_guest(task, lenp, &len) != 0)
				return -LINUX_EFAULT;
		}
		return err;
	}
	len = (int)MIN(n, (unsigned)len);
	if (copy_to_guest(task, val, out.bytes, MIN((size_t)len, sizeof out)) != 0)
		return -LINUX_EFAULT;
	return put_guest(task, lenp, &len);
}
