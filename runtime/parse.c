/* SPDX-License-Identifier: Apache-2.0 */
/* The small languages of flags and annotations: see parse.h. Pure functions, tested in tests/unit/runtime/parse_test.c.
 */
#include "runtime/parse.h"
#include "runtime/cleanup.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

/*
 * A decimal number with up to 9 places behind the point, as an integer in units of 1/scale_out. Locale-free, exact, and
 * false for anything else ("", "-1", "1e3", "0x10"). *rest is what follows.
 */
static bool decimal(const char *text, uint64_t *whole, uint32_t *nano, const char **rest)
{
	const char *p = text;
	uint32_t scale = 100000000;

	*whole = 0;
	*nano = 0;
	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(*whole, 10, whole) ||
		    __builtin_add_overflow(*whole, (uint64_t)(*p - '0'), whole))
			return false;
	}
	if (*p == '.') {
		p++;
		if (!isdigit((unsigned char)*p))
			return false;
		for (; isdigit((unsigned char)*p); p++, scale /= 10)
			*nano += (uint32_t)(*p - '0') * scale;
	}
	*rest = p;
	return true;
}

/* whole.nano * unit, false on overflow. */
static bool scaled(uint64_t whole, uint32_t nano, uint64_t unit, uint64_t *out)
{
	uint64_t part = (uint64_t)((__extension__(unsigned __int128) nano * unit) / 1000000000U);

	return !__builtin_mul_overflow(whole, unit, out) && !__builtin_add_overflow(*out, part, out);
}

bool parse_size(const char *text, uint64_t *bytes, struct error **err)
{
	static const char units[] = "kmgt";
	uint64_t whole, unit = 1;
	uint32_t nano;
	const char *rest, *u;

	if (!decimal(text, &whole, &nano, &rest))
		return error_set(err, "\"%s\" is not a size: write a number with k, m, g or t, as in 256m", text);
	if (*rest != '\0' && (u = strchr(units, tolower((unsigned char)*rest))) != NULL) {
		unit = 1ULL << (10 * (u - units + 1));
		rest++;
		if (strcasecmp(rest, "ib") == 0)
			rest += 2;
	}
	if (strcasecmp(rest, "b") == 0)
		rest++;
	if (*rest != '\0')
		return error_set(err, "\"%s\" is not a unit: write a number with k, m, g or t, as in 256m", rest);
	if (!scaled(whole, nano, unit, bytes) || *bytes > INT64_MAX)
		return error_set(err, "%s is more bytes than can be counted", text);
	if (*bytes == 0)
		return error_set(err, "%s is no limit at all: leave the flag away for none", text);
	return true;
}

bool parse_duration(const char *text, uint64_t *ms, struct error **err)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
	uint64_t whole;
	uint32_t nano;
	const char *rest;

	if (!decimal(text, &whole, &nano, &rest))
		return error_set(err, "\"%s\" is not a duration: write a number with ms, s, m or h, as in 30s", text);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(rest, units[i].name) != 0)
			continue;
		if (!scaled(whole, nano, units[i].ms, ms) || *ms > INT64_MAX / 1000000)
			return error_set(err, "%s is too long: a day is 24h", text);
		if (*ms == 0)
			return error_set(err, "%s is too short: at least 1ms, or leave the flag away for no limit",
					 text);
		return true;
	}
	return error_set(err, "\"%s\" is not a unit of time: write ms, s, m or h, as in 30s", rest);
}

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *n, struct error **err)
{
	const char *rest;
	uint32_t nano;

	if (!decimal(text, n, &nano, &rest) || *rest != '\0' || strchr(text, '.') != NULL || *n < min || *n > max)
		return error_set(err, "\"%s\" is not a whole number from %llu to %llu", text, (unsigned long long)min,
				 (unsigned long long)max);
	return true;
}

bool parse_cpus(const char *text, uint32_t *permille, struct error **err)
{
	uint64_t whole, n;
	uint32_t nano;
	const char *rest;

	if (!decimal(text, &whole, &nano, &rest) || *rest != '\0' || whole > 4096)
		return error_set(err, "\"%s\" is not a number of CPUs: write one as in 0.5 or 2", text);
	if (!scaled(whole, nano, 1000, &n) || n == 0)
		return error_set(err, "%s CPUs are too few: at least 0.001", text);
	*permille = (uint32_t)n;
	return true;
}

static bool parse_ports(const char *text, uint16_t *first, uint16_t *last, struct error **err)
{
	const char *dash = strchr(text, '-');
	cleanup_free char *low = dash != NULL ? xstrndup(text, (size_t)(dash - text)) : xstrdup(text);
	uint64_t lo, hi;

	if (!parse_number(low, 1, 65535, &lo, err))
		return error_wrap(err, "port");
	hi = lo;
	if (dash != NULL && !parse_number(dash + 1, 1, 65535, &hi, err))
		return error_wrap(err, "last port");
	if (hi < lo)
		return error_set(err, "ports %s: the first is above the last: write %s-%s", text, dash + 1, low);
	*first = (uint16_t)lo;
	*last = (uint16_t)hi;
	return true;
}

/* ADDR[/PREFIX]. The bits behind the prefix must be zero: whoever wrote 10.1.2.3/8 may have meant either. */
static bool parse_cidr(const char *text, struct config_egress *e, struct error **err)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	const char *slash = strchr(text, '/');
	cleanup_free char *addr = slash != NULL ? xstrndup(text, (size_t)(slash - text)) : xstrdup(text);
	uint8_t net[16];
	char shown[INET6_ADDRSTRLEN];
	uint64_t prefix;
	unsigned bits;

	memset(e->addr, 0, sizeof(e->addr));
	if (inet_pton(AF_INET, addr, e->addr) == 1)
		e->family = 4;
	else if (inet_pton(AF_INET6, addr, e->addr) == 1)
		e->family = 6;
	else
		return error_set(
			err,
			"\"%s\" is not an address: write CIDR[:PORT[-PORT]], as in 10.0.0.0/8:443 or [fd00::/8]:443 "
			"(names are not looked up)",
			addr);
	bits = e->family == 4 ? 32 : 128;
	prefix = bits;
	if (slash != NULL && !parse_number(slash + 1, 0, bits, &prefix, err))
		return error_wrap(err, "prefix length of %s", addr);
	e->prefix = (uint8_t)prefix;
	if (e->family == 6 && prefix >= 96 && memcmp(e->addr, mapped, sizeof(mapped)) == 0)
		return error_set(err, "%s is an IPv4 address in IPv6's clothes: write it as IPv4", text);
	memcpy(net, e->addr, sizeof(net));
	for (unsigned i = (unsigned)prefix; i < bits; i++)
		net[i / 8] &= (uint8_t) ~(0x80 >> (i % 8));
	if (memcmp(net, e->addr, bits / 8) != 0) {
		inet_ntop(e->family == 4 ? AF_INET : AF_INET6, net, shown, sizeof(shown));
		return error_set(err,
				 "%s has bits behind its prefix: write %s/%u for the network or %s for the one address",
				 text, shown, (unsigned)prefix, addr);
	}
	return true;
}

bool parse_egress(const char *text, struct config_egress *e, struct error **err)
{
	cleanup_free char *cidr = NULL;
	const char *ports = NULL;

	memset(e, 0, sizeof(*e));
	if (text[0] == '[') {
		const char *end = strchr(text, ']');
		const char *after;

		if (end == NULL)
			return error_set(err, "\"%s\" lacks the closing bracket: write [fd00::/8]:443", text);
		after = end + 1;
		if (*after == '/') { /* [fd00::]/8:443, as others write it */
			size_t n = strcspn(after, ":");

			cidr = xasprintf("%.*s%.*s", (int)(end - text - 1), text + 1, (int)n, after);
			after += n;
		} else {
			cidr = xstrndup(text + 1, (size_t)(end - text - 1));
		}
		if (*after != '\0' && *after != ':')
			return error_set(err, "\"%s\" is behind the bracket: only a colon and ports may follow", after);
		ports = *after == ':' ? after + 1 : NULL;
		if (strchr(cidr, ':') == NULL)
			return error_set(err, "only IPv6 goes in brackets, not %s", cidr);
	} else {
		const char *colon = strchr(text, ':');

		if (colon != NULL && strchr(colon + 1, ':') == NULL) {
			cidr = xstrndup(text, (size_t)(colon - text));
			ports = colon + 1;
		} else {
			cidr = xstrdup(text); /* an IPv6 address without ports */
		}
	}
	e->port_lo = 1;
	e->port_hi = 65535;
	if (!parse_cidr(cidr, e, err))
		return false;
	return ports == NULL || parse_ports(ports, &e->port_lo, &e->port_hi, err);
}

bool parse_ingress(const char *text, struct config_ingress *in, struct error **err)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	const char *colon = strrchr(text, ':'), *from = colon != NULL ? colon + 1 : text, *slash = strchr(from, '/');
	cleanup_free char *addr = colon != NULL ? xstrndup(text, (size_t)(colon - text)) : xstrdup("");
	cleanup_free char *ports = slash != NULL ? xstrndup(from, (size_t)(slash - from)) : xstrdup(from);
	size_t len = strlen(addr);

	memset(in, 0, sizeof(*in));
	if (slash != NULL && strcmp(slash, "/udp") != 0 && strcmp(slash, "/tcp") != 0)
		return error_set(err, "\"%s\" is neither /tcp nor /udp: write %s for TCP, %s/udp for UDP", slash, ports, ports);
	in->udp = slash != NULL && slash[1] == 'u';
	if (len > 1 && addr[0] == '[' && addr[len - 1] == ']') {
		addr[len - 1] = '\0';
		in->family = 6;
	} else if (colon != NULL) {
		in->family = 4;
	}
	if (in->family != 0 && inet_pton(in->family == 6 ? AF_INET6 : AF_INET, addr + (in->family == 6), in->addr) != 1)
		return error_set(err,
				 "\"%s\" is not [ADDR:]PORT[-PORT][/udp]: write 8080, 127.0.0.1:8080 or [::1]:8080-8090/udp "
				 "(names are not looked up)",
				 text);
	if (in->family == 6 && memcmp(in->addr, mapped, sizeof(mapped)) == 0)
		return error_set(err, "%s is an IPv4 address in IPv6's clothes: write it as IPv4", text);
	if (in->family == 6 && in->addr[0] == 0xfe && (in->addr[1] & 0xc0) == 0x80)
		return error_set(err, "%s is a link-local address: it can't be listened on", text);
	return parse_ports(ports, &in->port_lo, &in->port_hi, err);
}

bool parse_mount(const char *text, struct mount_arg *m, struct error **err)
{
	const char *first = strchr(text, ':');
	const char *second = first != NULL ? strchr(first + 1, ':') : NULL;
	const char *mode = second != NULL ? second + 1 : "ro";

	if (first == NULL || first == text)
		return error_set(err, "\"%s\" has no target: write SRC:DST or SRC:DST:rw", text);
	if (strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0)
		return error_set(err, "\"%s\" is neither ro nor rw (a path with a colon in it can't be written here)",
				 mode);
	if (first[1] != '/')
		return error_set(err, "target \"%s\" is not absolute: it is a path in the sandbox, as in %.*s:/data",
				 first + 1, (int)(first - text), text);
	m->source = xstrndup(text, (size_t)(first - text));
	m->target = second != NULL ? xstrndup(first + 1, (size_t)(second - first - 1)) : xstrdup(first + 1);
	m->readonly = strcmp(mode, "ro") == 0;
	if (strcmp(m->target, "/") == 0)
		return error_set(err, "the target may not be /: use --root-image for another root");
	return true;
}

bool parse_copy_out(const char *text, struct copy_out_arg *c, struct error **err)
{
	const char *colon = strchr(text, ':');

	if (colon == NULL || colon == text || colon[1] == '\0')
		return error_set(
			err, "\"%s\" names no place to copy to: write PATH:HOSTPATH, as in /tmp/result:./result", text);
	if (text[0] != '/')
		return error_set(err, "\"%.*s\" is not absolute: it is a path in the sandbox", (int)(colon - text),
				 text);
	c->guest = xstrndup(text, (size_t)(colon - text));
	c->host = xstrdup(colon + 1);
	return true;
}

static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[65];
	size_t n = strlen(b);

	if (n >= 64 || strlen(a) >= 64)
		return 64;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1] != '\0'; i++) {
		unsigned diag = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned best = diag + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diag = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

const char *nearest_word(const char *word, const char *const *names)
{
	const char *best = NULL;
	unsigned least = (unsigned)strlen(word) / 3 + 1;

	for (; *names != NULL; names++) {
		unsigned d = edit_distance(word, *names);

		if (d <= least) {
			least = d == 0 ? 0 : d - 1;
			best = *names;
		}
	}
	return best;
}
