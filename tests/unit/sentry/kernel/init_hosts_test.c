/* SPDX-License-Identifier: Apache-2.0 */
/* Which names an /etc/hosts knows: any word behind a line's first, comments apart, in any case. */
#include "sentry/kernel/init.h"

#include <criterion/criterion.h>
#include <string.h>

static bool has(const char *text, const char *name)
{
	return hosts_has_name(text, strlen(text), name);
}

Test(init_hosts, names)
{
	cr_expect(has("127.0.0.1 localhost box\n", "box"));
	cr_expect(has("127.0.0.1\tlocalhost\n10.0.0.1\tBOX.example box", "BoX"));
	cr_expect(has("::1 a\r\n::2 box\r\n", "box"));
	cr_expect(has("::1 box# ours\n", "box"));
	cr_expect(!has("", "box"));
	cr_expect(!has("box\n", "box"), "an address");
	cr_expect(!has("127.0.0.1 boxes abox box.example\n", "box"));
	cr_expect(!has("# 127.0.0.1 box\n127.0.0.1 localhost # box\n", "box"));
	cr_expect(!has("127.0.0.1 bo\nx", "box"));
	cr_expect(!hosts_has_name("1 box", 4, "box"));
}
