/* SPDX-License-Identifier: Apache-2.0 */
/* The translation of ids: edges, what overlaps, what is in no range; two maps put together; who reaches what. */
#include "runtime/core/idmap.h"

#include <criterion/criterion.h>
#include <string.h>

#define MAP(name, ...)                                                                                                 \
	static const struct idmap_range name##_ranges[] = {__VA_ARGS__};                                               \
	static const struct idmap name = {name##_ranges, sizeof(name##_ranges) / sizeof(name##_ranges[0])}
#define R(inside, host, count)                                                                                         \
	{                                                                                                              \
		inside, host, count                                                                                    \
	}

MAP(keep_id, R(0, 1, 1000), R(1000, 0, 1), R(1001, 1001, 64536));
static const struct idmap none = {NULL, 0};

Test(idmap, there_and_back)
{
	cr_expect_eq(idmap_inside(&keep_id, 0), 1000);
	cr_expect_eq(idmap_host(&keep_id, 1000), 0);
	cr_expect_eq(idmap_inside(&keep_id, 1), 0);
	cr_expect_eq(idmap_host(&keep_id, 0), 1);
	cr_expect_eq(idmap_inside(&keep_id, 1000), 999);
	cr_expect_eq(idmap_inside(&keep_id, 1001), 1001);
	for (uint32_t id = 0; id < 65537; id++)
		cr_assert_eq(idmap_host(&keep_id, idmap_inside(&keep_id, id)), id);
}

Test(idmap, edges)
{
	MAP(m, R(10, 100, 5), R(4294967290U, 200, 5));

	cr_expect_eq(idmap_inside(&m, 99), ID_NONE);
	cr_expect_eq(idmap_inside(&m, 100), 10);
	cr_expect_eq(idmap_inside(&m, 104), 14);
	cr_expect_eq(idmap_inside(&m, 105), ID_NONE);
	cr_expect_eq(idmap_host(&m, 9), ID_NONE);
	cr_expect_eq(idmap_host(&m, 15), ID_NONE);
	cr_expect_eq(idmap_host(&m, 4294967294U), 204);
	cr_expect_eq(idmap_host(&m, ID_NONE), ID_NONE);
	cr_expect_eq(idmap_inside(&m, ID_NONE), ID_NONE);
	cr_expect_eq(idmap_inside(&m, 0), ID_NONE);
}

Test(idmap, no_map_is_each_id_itself)
{
	cr_expect_eq(idmap_inside(&none, 12345), 12345);
	cr_expect_eq(idmap_host(&none, 4294967294U), 4294967294U);
	cr_expect_eq(idmap_host(&none, ID_NONE), ID_NONE);
	cr_expect_eq(idmap_host_or_nearest(&none, 7), 7);
}

Test(idmap, the_nearest)
{
	MAP(has_nobody, R(0, 100000, 65536));
	MAP(small, R(0, 100000, 1000));
	MAP(without_root, R(1000, 500, 1));

	cr_expect_eq(idmap_host_or_nearest(&has_nobody, 70000), 165534, "nobody");
	cr_expect_eq(idmap_host_or_nearest(&has_nobody, 7), 100007);
	cr_expect_eq(idmap_host_or_nearest(&small, 70000), 100000, "root");
	cr_expect_eq(idmap_host_or_nearest(&without_root, 0), 500, "whoever there is");
}

static const char *bad(const struct idmap *m)
{
	uint32_t a, b;

	return idmap_bad(m, &a, &b);
}

Test(idmap, unsound_maps)
{
	MAP(empty_range, R(0, 0, 0));
	MAP(beyond_inside, R(4294967290U, 0, 6));
	MAP(up_to_the_last, R(4294967290U, 0, 5));
	MAP(beyond_host, R(0, 4294967295U, 1));
	MAP(wraps, R(1, 1, 4294967295U));
	MAP(all, R(0, 0, 4294967295U));
	MAP(same_inside, R(0, 100, 10), R(9, 200, 1));
	MAP(same_host, R(0, 100, 10), R(10, 109, 5));
	MAP(around, R(5, 500, 1), R(0, 100, 10));
	MAP(touching, R(0, 100, 10), R(10, 110, 5), R(15, 50, 50));
	uint32_t which, other;

	cr_expect_null(bad(&keep_id));
	cr_expect_null(bad(&none));
	cr_expect_null(bad(&up_to_the_last));
	cr_expect_null(bad(&all));
	cr_expect_null(bad(&touching));
	cr_expect_not_null(bad(&empty_range));
	cr_expect_not_null(bad(&beyond_inside));
	cr_expect_not_null(bad(&beyond_host));
	cr_expect_not_null(bad(&wraps));
	cr_expect_not_null(strstr(bad(&same_inside), "container"));
	cr_expect_not_null(strstr(bad(&same_host), "host"));
	cr_expect_not_null(bad(&around));
	cr_expect_not_null(idmap_bad(&same_host, &which, &other));
	cr_expect(which == 1 && other == 0);
}

Test(idmap, put_together)
{
	struct idmap_range out[4];
	MAP(container, R(0, 100000, 1000), R(5000, 300000, 10));
	MAP(mount, R(100000, 0, 500), R(300005, 1000, 100), R(7, 7, 1));
	MAP(nowhere, R(0, 0, 100));
	struct idmap got = {out, 0};
	int n = idmap_compose(&mount, &container, out, 4);

	cr_assert_eq(n, 2);
	got.n = 2;
	cr_expect_eq(idmap_inside(&got, 0), 0);
	cr_expect_eq(idmap_inside(&got, 499), 499);
	cr_expect_eq(idmap_inside(&got, 500), ID_NONE);
	cr_expect_eq(idmap_inside(&got, 1000), 5005);
	cr_expect_eq(idmap_inside(&got, 1004), 5009);
	cr_expect_eq(idmap_inside(&got, 1005), ID_NONE, "the mount leads it to 300010, which the container doesn't have");
	cr_expect_eq(idmap_inside(&got, 7), 7, "in the first range");
	cr_expect_eq(idmap_host(&got, 5005), 1000);
	cr_expect_eq(idmap_compose(&mount, &container, out, 1), -1);
	cr_expect_eq(idmap_compose(&nowhere, &container, out, 4), 0);
	cr_assert_eq(idmap_compose(&none, &container, out, 4), 2);
	cr_expect(memcmp(out, container_ranges, sizeof(container_ranges)) == 0);
	cr_assert_eq(idmap_compose(&mount, &none, out, 4), 3);
	cr_expect(memcmp(out, mount_ranges, sizeof(mount_ranges)) == 0);
}

Test(idmap, the_same)
{
	MAP(one, R(0, 100000, 1000));
	MAP(other, R(0, 100000, 1001));

	cr_expect(idmap_same(&one, &one) && idmap_same(&none, &none));
	cr_expect(!idmap_same(&one, &other) && !idmap_same(&one, &none) && !idmap_same(&one, &keep_id));
}

Test(idmap, who_reaches_what)
{
	MAP(m, R(0, 100, 10));
	const struct idmaps maps = {m, m}, no_maps = {none, none};

	cr_expect(idmaps_reach(&maps, 100, 109, 0, MAY_R | MAY_W | MAY_X), "root's capabilities count");
	cr_expect(!idmaps_reach(&maps, 0, 0, 0770, MAY_R));
	cr_expect(idmaps_reach(&maps, 0, 0, 0774, MAY_R));
	cr_expect(!idmaps_reach(&maps, 0, 0, 0774, MAY_R | MAY_W));
	cr_expect(idmaps_reach(&maps, 100, 0, 0300, MAY_W | MAY_X), "its owner");
	cr_expect(!idmaps_reach(&maps, 100, 0, 0300, MAY_R), "root's capabilities don't, without its group");
	cr_expect(idmaps_reach(&maps, 0, 100, 0040, MAY_R), "by its group");
	cr_expect(!idmaps_reach(&maps, 0, 100, 0700, MAY_R));
	cr_expect(idmaps_reach(&no_maps, 5, 5, 0, MAY_R | MAY_W | MAY_X));
}
