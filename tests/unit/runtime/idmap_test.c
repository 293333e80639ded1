/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings of ids: those that change nothing are taken, all others refused with a reason. */
#include "runtime/idmap.h"
#include "runtime/cleanup.h"

#include <criterion/criterion.h>
#include <string.h>

/* NULL if it was taken, else why not (leaked: a test's). map: lines of the caller's own. */
static const char *check(const char *json, const char *map)
{
	char path[] = "/tmp/idmap-test-XXXXXX";
	int fd = mkstemp(path);
	json_object *o = json_tokener_parse(json);
	struct error *err = NULL;
	bool ok;

	cr_assert(fd >= 0 && o != NULL, "%s", json);
	cr_assert_eq(write(fd, map, strlen(map)), (ssize_t)strlen(map));
	close(fd);
	ok = idmap_is_ours(o, "linux", "uidMappings", path, &err);
	unlink(path);
	json_object_put(o);
	cr_assert_eq(ok, err == NULL);
	return ok ? NULL : err->text;
}

#define M(list) "{\"uidMappings\":[" list "]}"
#define R(inside, outside, size) "{\"containerID\":" #inside ",\"hostID\":" #outside ",\"size\":" #size "}"

Test(idmap, taken)
{
	cr_expect_null(check("{}", "0 0 4294967295\n"));
	cr_expect_null(check(M(""), "0 0 4294967295\n"));
	cr_expect_null(check(M(R(0, 0, 4294967295)), "         0          0 4294967295\n"));
	cr_expect_null(check(M(R(0, 0, 65537)), "0 1000 1\n1 300000 65536\n"), "as a rootless engine's namespace has them");
	cr_expect_null(check(M(R(1, 1, 65536) "," R(0, 0, 1)), "0 1000 1\n1 300000 65536\n"), "in any order");
	cr_expect_null(check(M(R(0, 0, 100000)), "0 1000 1\n1 300000 65536\n"), "more than there are");
}

Test(idmap, refused)
{
	static const struct {
		const char *json, *map, *word;
	} bad[] = {
		{M(R(0, 100000, 65536)), "0 0 4294967295\n", "id 0 in the container is id 100000 on the host"},
		{M(R(0, 1, 1000) "," R(1000, 0, 1)), "0 1000 1\n1 300000 65536\n", "linux.uidMappings[0]"},
		{M(R(0, 0, 1000)), "0 0 4294967295\n", "not all ids from 0 to 4294967294"},
		{M(R(0, 0, 1) "," R(2, 2, 70000)), "0 1000 1\n1 300000 65536\n", "not all ids from 1 to 65536"},
		{M(R(0, 0, 0)), "0 0 1\n", "size"},
		{M(R(0, -1, 1)), "0 0 1\n", "hostID"},
		{M(R(4294967296, 4294967296, 1)), "0 0 1\n", "containerID"},
		{M("7"), "0 0 1\n", "is not an object"},
		{"{\"uidMappings\":{}}", "0 0 1\n", "uidMappings"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why = check(bad[i].json, bad[i].map);

		cr_assert_not_null(why, "%s was taken", bad[i].json);
		cr_expect_not_null(strstr(why, bad[i].word), "\"%s\" is not in: %s", bad[i].word, why);
	}
}
