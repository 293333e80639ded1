/* SPDX-License-Identifier: Apache-2.0 */
/* Egress rules against addresses in all their dresses, and how addresses print. */
#include "sentry/net/inet_addr.h"

#include "runtime/config.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

static struct inet_ep ep(const char *text, uint16_t port)
{
	struct inet_ep e = {.port = port};
	uint8_t v4[4];

	if (inet_pton(AF_INET, text, v4) == 1)
		e.addr = inet_addr_v4(v4);
	else
		cr_assert_eq(inet_pton(AF_INET6, text, e.addr.b), 1, "%s", text);
	return e;
}

static struct config_egress rule(const char *net, unsigned prefix, uint16_t lo, uint16_t hi)
{
	struct config_egress r = {.prefix = (uint8_t)prefix, .port_lo = lo, .port_hi = hi, .family = 4};

	if (inet_pton(AF_INET, net, r.addr) != 1) {
		r.family = 6;
		cr_assert_eq(inet_pton(AF_INET6, net, r.addr), 1);
	}
	return r;
}

static bool allowed(struct config_egress r, const char *text, uint16_t port)
{
	struct inet_ep e = ep(text, port);

	return egress_allowed(&r, 1, &e);
}

Test(egress, prefix_and_ports_are_inclusive)
{
	cr_expect(allowed(rule("10.1.0.0", 16, 80, 90), "10.1.255.255", 80));
	cr_expect(allowed(rule("10.1.0.0", 16, 80, 90), "10.1.0.0", 90));
	cr_expect_not(allowed(rule("10.1.0.0", 16, 80, 90), "10.2.0.0", 80));
	cr_expect_not(allowed(rule("10.1.0.0", 16, 80, 90), "10.1.0.1", 79));
	cr_expect_not(allowed(rule("10.1.0.0", 16, 80, 90), "10.1.0.1", 91));
	cr_expect(allowed(rule("10.1.2.128", 25, 1, 65535), "10.1.2.129", 1));
	cr_expect_not(allowed(rule("10.1.2.128", 25, 1, 65535), "10.1.2.127", 1));
	cr_expect(allowed(rule("192.0.2.7", 32, 1, 65535), "192.0.2.7", 443));
	cr_expect_not(allowed(rule("192.0.2.7", 32, 1, 65535), "192.0.2.6", 443));
}

Test(egress, loopback_is_an_address_like_any_other)
{
	cr_expect(allowed(rule("127.0.0.1", 32, 8080, 8080), "127.0.0.1", 8080));
	cr_expect_not(allowed(rule("127.0.0.1", 32, 8080, 8080), "127.0.0.2", 8080));
	cr_expect(allowed(rule("::1", 128, 8080, 8080), "::1", 8080));
	cr_expect_not(allowed(rule("127.0.0.1", 32, 8080, 8080), "::1", 8080));
}

Test(egress, a_mapped_address_obeys_the_rules_of_ipv4)
{
	cr_expect(allowed(rule("10.0.0.0", 8, 1, 65535), "::ffff:10.1.2.3", 80));
	cr_expect_not(allowed(rule("::", 0, 1, 65535), "::ffff:10.1.2.3", 80));
	cr_expect_not(allowed(rule("::ffff:0:0", 96, 1, 65535), "10.1.2.3", 80));
	cr_expect_not(allowed(rule("0.0.0.0", 0, 1, 65535), "2001:db8::1", 80));
}

Test(egress, some_addresses_are_never_dialed)
{
	static const char *const v4[] = {"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.255", "255.255.255.255"};
	static const char *const v6[] = {"::", "::127.0.0.1", "ff02::1", "fe80::1", "febf::1"};

	for (size_t i = 0; i < ARRAY_LEN(v4); i++)
		cr_expect_not(allowed(rule("0.0.0.0", 0, 1, 65535), v4[i], 80), "%s", v4[i]);
	for (size_t i = 0; i < ARRAY_LEN(v6); i++)
		cr_expect_not(allowed(rule("::", 0, 1, 65535), v6[i], 80), "%s", v6[i]);
	cr_expect_not(allowed(rule("0.0.0.0", 0, 0, 65535), "10.0.0.1", 0));
}

Test(egress, a_broken_rule_matches_nothing)
{
	struct config_egress r = rule("10.0.0.0", 8, 1, 65535);

	r.prefix = 200;
	cr_expect_not(allowed(r, "10.0.0.1", 80));
	r.prefix = 0;
	r.family = 5;
	cr_expect_not(allowed(r, "10.0.0.1", 80));
	cr_expect_not(egress_allowed(NULL, 0, &(struct inet_ep){.addr = inet_loopback4, .port = 80}));
}

Test(inet_addr, wildcard_means_loopback)
{
	struct inet_addr a = inet_addr_target(&inet_any4);

	cr_expect(inet_addr_equal(&a, &inet_loopback4));
	a = inet_addr_target(&inet_any6);
	cr_expect(inet_addr_equal(&a, &inet_loopback6));
}

Test(inet_addr, prints_as_inet_ntop)
{
	static const char *const texts[] = {"::",	 "::1",	     "1::",		 "2001:db8::1:0:0:1", "2001:db8:0:1:1:1:1:1",
					    "fe80::1:2", "127.0.0.1", "1:2:3:4:5:6:7:8", "0:1::",	      "::1:2:3:4:5:6:7"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct inet_ep e = ep(texts[i], 7);
		char got[INET_EP_TEXT], want[INET6_ADDRSTRLEN];

		if (inet_addr_is_v4(&e.addr))
			inet_ntop(AF_INET, e.addr.b + 12, want, sizeof want);
		else
			inet_ntop(AF_INET6, e.addr.b, want, sizeof want);
		cr_expect_str_eq(inet_addr_format(got, &e.addr), want);
	}
}
