/* SPDX-License-Identifier: Apache-2.0 */
/* The small languages of flags. Each refusal must say something; each acceptance must mean exactly one thing. */
#include "runtime/parse.h"
#include "runtime/cleanup.h"

#include <criterion/criterion.h>
#include <string.h>

static uint64_t size_of(const char *text)
{
	cleanup_error struct error *err = NULL;
	uint64_t n;

	return parse_size(text, &n, &err) ? n : 0;
}

Test(parse, sizes)
{
	cr_expect_eq(size_of("1"), 1);
	cr_expect_eq(size_of("64k"), 65536);
	cr_expect_eq(size_of("64K"), 65536);
	cr_expect_eq(size_of("1.5g"), 3ULL << 29);
	cr_expect_eq(size_of("256MiB"), 256ULL << 20);
	cr_expect_eq(size_of("2mb"), 2ULL << 20);
	cr_expect_eq(size_of("1t"), 1ULL << 40);
}

Test(parse, sizes_refused)
{
	static const char *const bad[] = {"",
					  "k",
					  "-1",
					  "+1",
					  "0",
					  "0m",
					  "12q",
					  "1e3",
					  "0x10",
					  "1 m",
					  " 1",
					  "1.m",
					  "1kk",
					  "99999999999999999999",
					  "9999999999t",
					  "1.5.5m"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(size_of(bad[i]), 0, "\"%s\" was taken", bad[i]);
}

static uint64_t ms_of(const char *text)
{
	cleanup_error struct error *err = NULL;
	uint64_t n;

	return parse_duration(text, &n, &err) ? n : 0;
}

Test(parse, durations)
{
	cr_expect_eq(ms_of("30"), 30000);
	cr_expect_eq(ms_of("30s"), 30000);
	cr_expect_eq(ms_of("250ms"), 250);
	cr_expect_eq(ms_of("1.5h"), 5400000);
	cr_expect_eq(ms_of("2m"), 120000);
	cr_expect_eq(ms_of("0.001s"), 1);
	cr_expect_eq(ms_of("0s"), 0);
	cr_expect_eq(ms_of("0.5ms"), 0);
	cr_expect_eq(ms_of("5 s"), 0);
	cr_expect_eq(ms_of("99999999999999999h"), 0);
}

Test(parse, cpus)
{
	cleanup_error struct error *err = NULL;
	uint32_t n;

	cr_expect(parse_cpus("0.5", &n, &err) && n == 500);
	cr_expect(parse_cpus("2", &n, &err) && n == 2000);
	cr_expect_not(parse_cpus("0", &n, &err));
	cr_expect_not(parse_cpus("0.0001", &n, &err));
	cr_expect_not(parse_cpus("many", &n, &err));
}

static bool egress(const char *text, struct config_egress *e)
{
	cleanup_error struct error *err = NULL;

	return parse_egress(text, e, &err);
}

Test(parse, egress)
{
	struct config_egress e;

	cr_assert(egress("10.0.0.0/8:443", &e));
	cr_expect(e.family == 4 && e.prefix == 8 && e.addr[0] == 10 && e.port_lo == 443 && e.port_hi == 443);
	cr_assert(egress("127.0.0.1", &e));
	cr_expect(e.prefix == 32 && e.port_lo == 1 && e.port_hi == 65535);
	cr_assert(egress("0.0.0.0/0:80-90", &e));
	cr_expect(e.prefix == 0 && e.port_lo == 80 && e.port_hi == 90);
	cr_assert(egress("[::1]:8080", &e));
	cr_expect(e.family == 6 && e.prefix == 128 && e.addr[15] == 1 && e.port_lo == 8080);
	cr_assert(egress("[fd00::/8]:443", &e));
	cr_expect(e.prefix == 8 && e.addr[0] == 0xfd);
	cr_assert(egress("[fd00::]/8:443-444", &e));
	cr_expect(e.prefix == 8 && e.port_hi == 444);
	cr_assert(egress("fd00::/8", &e));
	cr_expect(e.prefix == 8 && e.port_hi == 65535);
}

Test(parse, ingress)
{
	static const char *const bad[] = {"",	      "0",	     "65536",	"80-79",      "80-",	      ":80",	    "[]:80",
					  "[::1]",    "::1:80",	     "1.2.3:80", "localhost:80", "[1.2.3.4]:80", "80x",
					  "[::ffff:1.2.3.4]:80", "[fe80::1]:80", "1.2.3.4:", "[::1:80", "10.0.0.0/8:80",
					  "53/sctp", "53/", "53/udp/udp", "/udp", "1.2.3.4/udp", "53/UDP", "[::1]/udp:53", "53-52/udp"};
	struct config_ingress in;
	struct error *err = NULL;

	cr_assert(parse_ingress("8080", &in, &err));
	cr_expect(in.family == 0 && in.port_lo == 8080 && in.port_hi == 8080);
	cr_assert(parse_ingress("127.0.0.1:80-90", &in, &err));
	cr_expect(in.family == 4 && in.addr[0] == 127 && in.addr[3] == 1 && in.port_lo == 80 && in.port_hi == 90);
	cr_assert(parse_ingress("[::1]:443", &in, &err));
	cr_expect(in.family == 6 && in.addr[0] == 0 && in.addr[15] == 1 && in.port_lo == 443);
	cr_assert(parse_ingress("[::]:443", &in, &err));
	cr_expect(in.family == 6 && in.addr[15] == 0 && in.udp == 0);
	cr_assert(parse_ingress("53/udp", &in, &err));
	cr_expect(in.family == 0 && in.port_lo == 53 && in.port_hi == 53 && in.udp == 1);
	cr_assert(parse_ingress("[::1]:53-54/udp", &in, &err));
	cr_expect(in.family == 6 && in.addr[15] == 1 && in.port_hi == 54 && in.udp == 1);
	cr_assert(parse_ingress("127.0.0.1:53/tcp", &in, &err));
	cr_expect(in.family == 4 && in.port_lo == 53 && in.udp == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = NULL;
		cr_expect_not(parse_ingress(bad[i], &in, &err), "\"%s\" was taken", bad[i]);
	}
}

Test(parse, egress_refused)
{
	static const char *const bad[] = {"",
					  "example.org",
					  "10.0.0.1/8",
					  "10.0.0.0/33",
					  "10.0.0.0/-1",
					  "10.0.0.0/8:0",
					  "10.0.0.0/8:65536",
					  "10.0.0.0/8:90-80",
					  "10.0.0.0/8:80-",
					  "10.0.0.0/8:",
					  "[::1",
					  "[::1]80",
					  "[10.0.0.1]:80",
					  "::ffff:127.0.0.1",
					  "[::ffff:0:0/96]:80",
					  "fe80::1%eth0",
					  "10.0.0",
					  "010.0.0.1/8",
					  "1.2.3.4/",
					  "*",
					  "0/0"};
	struct config_egress e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(egress(bad[i], &e), "\"%s\" was taken", bad[i]);
}

Test(parse, mounts)
{
	cleanup_error struct error *err = NULL;
	struct mount_arg m = {0};

	cr_assert(parse_mount("/src:/dst", &m, &err));
	cr_expect(strcmp(m.source, "/src") == 0 && strcmp(m.target, "/dst") == 0 && m.readonly);
	cr_assert(parse_mount("src:/dst:rw", &m, &err));
	cr_expect(strcmp(m.source, "src") == 0 && strcmp(m.target, "/dst") == 0 && !m.readonly);
	cr_expect_not(parse_mount("/src", &m, &err));
	cr_expect_not(parse_mount("/src:dst", &m, &err));
	cr_expect_not(parse_mount("/src:/dst:rx", &m, &err));
	cr_expect_not(parse_mount(":/dst", &m, &err));
	cr_expect_not(parse_mount("/src:/", &m, &err));
}

Test(parse, nearest)
{
	static const char *const names[] = {"memory", "mount", "timeout", NULL};

	cr_expect_str_eq(nearest_word("memroy", names), "memory");
	cr_expect_str_eq(nearest_word("timout", names), "timeout");
	cr_expect_null(nearest_word("zzz", names));
}
