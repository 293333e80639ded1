/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of ids in a bundle: what is taken, what changes nothing, what is refused and with which words; those of mounts. */
#include "runtime/idmap_spec.h"
#include "runtime/cleanup.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mount.h>

static struct idmap_pair got;

/* NULL if it was taken, else why not (leaked: a test's). map: lines of the caller's own, for users and groups. */
static const char *check_as(uid_t uid, const char *json, const char *map)
{
	char path[] = "/tmp/idmap-test-XXXXXX";
	int fd = mkstemp(path);
	const struct idmap_caller caller = {path, path, uid, uid};
	json_object *o = json_tokener_parse(json);
	struct error *err = NULL;
	bool ok;

	cr_assert(fd >= 0 && o != NULL, "%s", json);
	cr_assert_eq(write(fd, map, strlen(map)), (ssize_t)strlen(map));
	close(fd);
	memset(&got, 0xff, sizeof(got));
	ok = idmap_read(o, "linux", &caller, &got, &err);
	unlink(path);
	json_object_put(o);
	cr_assert_eq(ok, err == NULL);
	return ok ? NULL : err->text;
}

static const char *check(const char *json, const char *map)
{
	return check_as(0, json, map);
}

#define M(list) "{\"uidMappings\":[" list "],\"gidMappings\":[" list "]}"
#define M2(users, groups) "{\"uidMappings\":[" users "],\"gidMappings\":[" groups "]}"
#define R(inside, outside, size) "{\"containerID\":" #inside ",\"hostID\":" #outside ",\"size\":" #size "}"
#define HOST "         0          0 4294967295\n"
#define ROOTLESS "0 1000 1\n1 300000 65536\n"

Test(idmap_spec, what_changes_nothing_is_none)
{
	static const struct {
		const char *json, *map;
	} same[] = {
		{"{}", HOST},
		{M(""), HOST},
		{M(R(0, 0, 4294967295)), HOST},
		{M(R(0, 0, 65537)), ROOTLESS},
		{M(R(1, 1, 65536) "," R(0, 0, 1)), ROOTLESS},
		{M(R(0, 0, 100000)), ROOTLESS},
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		cr_expect_null(check(same[i].json, same[i].map), "%s", same[i].json);
		cr_expect(got.nuids == 0 && got.ngids == 0, "%s", same[i].json);
	}
}

Test(idmap_spec, taken)
{
	cr_assert_null(check(M2(R(0, 100000, 65536), R(0, 200000, 5)), HOST));
	cr_expect(got.nuids == 1 && got.uids[0].inside == 0 && got.uids[0].host == 100000 && got.uids[0].count == 65536);
	cr_expect(got.ngids == 1 && got.gids[0].host == 200000 && got.gids[0].count == 5);
	cr_assert_null(check(M(R(0, 1, 1000) "," R(1000, 0, 1) "," R(1001, 1001, 64536)), ROOTLESS), "keep-id");
	cr_expect_eq(got.nuids, 3);
	cr_assert_null(check(M(R(0, 0, 1000)), HOST), "to themselves, and not all");
	cr_expect_eq(got.nuids, 1);
	cr_assert_null(check(M2(R(0, 0, 4294967295), R(0, 100, 5)), HOST), "the groups change something");
	cr_expect(got.nuids == 1 && got.ngids == 1);
	cr_assert_null(check(M(R(0, 0, 2)), "0 1000 1\n1 300000 1\n"), "two lines side by side");
	cr_expect_null(check_as(1000, M(R(0, 1000, 1)), HOST), "a user's own");
}

Test(idmap_spec, refused)
{
	static const struct {
		const char *json, *map, *word;
	} bad[] = {
		{M(R(0, 1, 1000) "," R(999, 5000, 1)), HOST, "linux.uidMappings[1] has ids of the container that another has too (uidMappings[0])"},
		{M(R(0, 1, 1000) "," R(1000, 1000, 1)), HOST, "linux.uidMappings[1] has ids of the host that another has too"},
		{M2(R(0, 1, 1), R(0, 1, 2) "," R(1, 7, 1)), HOST, "linux.gidMappings[1]"},
		{M(R(0, 100000, 65536)), ROOTLESS, "linux.uidMappings[0]: ids 100000 to 165535 of the host are not all in the user namespace"},
		{M(R(0, 1, 65537)), ROOTLESS, "linux.uidMappings[0]: ids 1 to 65537"},
		{M(R(0, 4294967294, 2)), HOST, "goes beyond the last id"},
		{M(R(0, 0, 0)), HOST, "size"},
		{M(R(0, -1, 1)), HOST, "hostID"},
		{M(R(4294967296, 4294967296, 1)), HOST, "containerID"},
		{M("7"), HOST, "is not an object"},
		{"{\"uidMappings\":{}}", HOST, "uidMappings"},
		{"{\"uidMappings\":[" R(0, 1, 1) "]}", HOST, "linux.gidMappings is missing"},
		{"{\"gidMappings\":[" R(0, 1, 1) "]}", HOST, "linux.uidMappings is missing"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why = check(bad[i].json, bad[i].map);

		cr_assert_not_null(why, "%s was taken", bad[i].json);
		cr_expect_not_null(strstr(why, bad[i].word), "%s: %s", bad[i].json, why);
	}
	cr_expect_not_null(strstr(check_as(1000, M(R(0, 1000, 1) "," R(1, 100000, 10)), HOST), "his own id 1000"));
	cr_expect_not_null(strstr(check_as(1000, M(R(0, 0, 1)), HOST), "an ordinary user"));
}

Test(idmap_spec, too_many)
{
	char *text = malloc(400 * 80), *at = text;

	at += sprintf(at, "{\"uidMappings\":[");
	for (int i = 0; i < 341; i++)
		at += sprintf(at, "%s{\"containerID\":%d,\"hostID\":%d,\"size\":1}", i != 0 ? "," : "", i, i + 1000);
	strcpy(at, "]}");
	cr_expect_not_null(strstr(check(text, HOST), "more than 340"));
	free(text);
}

/* ---- mounts ---- */

static struct build b;

static const char *finish(const char *container, const char *mount, bool idmap)
{
	struct error *err = NULL;
	json_object *o = json_tokener_parse(mount);
	bool ok;

	cr_assert_null(check(container, HOST));
	build_init(&b);
	ok = idmap_store(&b, &got, &err) && build_bind(&b, "/tmp", "/m", 0, &err) &&
	     idmap_read_mount(&b, o, "mounts[0]", &b.c->mounts[0], idmap, &err) && idmap_finish(&b, &err);
	json_object_put(o);
	return ok ? NULL : err->text;
}

static uint32_t on_disk(uint32_t uid)
{
	const struct idmaps m = config_idmaps(b.c, &b.c->mounts[0].idmaps);

	return idmap_inside(&m.uids, uid);
}

Test(idmap_spec, mounts)
{
	cr_assert_null(finish(M(R(0, 100000, 1000)), "{}", false));
	cr_expect(on_disk(100007) == 7 && on_disk(7) == ID_NONE, "as the container's");
	build_free(&b);
	cr_assert_null(finish(M(R(0, 100000, 1000)), "{}", true));
	cr_expect(on_disk(7) == 7 && on_disk(100007) == ID_NONE && on_disk(1000) == ID_NONE, "idmap alone: the container's own numbers");
	build_free(&b);
	cr_assert_null(finish(M(R(0, 100000, 1000)), M(R(500, 100000, 10)), true));
	cr_expect(on_disk(507) == 7 && on_disk(510) == ID_NONE && on_disk(0) == ID_NONE);
	build_free(&b);
	cr_assert_null(finish("{}", M(R(500, 0, 10)), true), "in a container without");
	cr_expect(on_disk(507) == 7 && on_disk(0) == ID_NONE);
	build_free(&b);
	cr_assert_null(finish("{}", "{}", true));
	cr_expect_eq(on_disk(507), 507);
	build_free(&b);
	cr_expect_not_null(strstr(finish(M(R(0, 100000, 1000)), M(R(0, 5, 10)), true), "lead to no id that the container has"));
	build_free(&b);
	cr_expect_not_null(strstr(finish(M(R(0, 100000, 1000)), "{\"uidMappings\":[" R(0, 100000, 10) "]}", true), "mounts[0].gidMappings"));
	build_free(&b);
}

Test(idmap_spec, only_binds_have_maps)
{
	struct error *err = NULL;
	json_object *o = json_tokener_parse("{}");
	struct config_mount *m;

	build_init(&b);
	m = build_mount(&b, MOUNT_TMPFS, "tmpfs", "/t", "", 0, &err);
	cr_assert_not_null(m);
	cr_expect(!idmap_read_mount(&b, o, "mounts[0]", m, true, &err));
	cr_expect_not_null(strstr(err->text, "only a bind mount"));
	json_object_put(o);
	build_free(&b);
}

Test(idmap_spec, the_process_is_in_them)
{
	struct error *err = NULL;
	const char *why;

	build_init(&b);
	cr_assert_null(check(M(R(0, 100000, 1000)), HOST));
	cr_assert(idmap_store(&b, &got, &err));
	b.c->uid = 999;
	b.c->gid = 999;
	b.c->ngroups = 1;
	b.c->groups[0] = 5;
	cr_expect(idmap_finish(&b, &err));
	b.c->groups[0] = 1000;
	cr_expect(!idmap_finish(&b, &err));
	cr_expect_not_null(strstr(err->text, "process.user.additionalGids[0]: 1000"));
	err = NULL;
	b.c->uid = 1000;
	cr_expect(!idmap_finish(&b, &err));
	why = err->text;
	cr_expect_not_null(strstr(why, "process.user.uid: 1000 is not among the ids of linux.uidMappings"), "%s", why);
	build_free(&b);
}

Test(idmap_spec, the_same_in_any_order)
{
	static struct idmap_pair one, other;

	cr_assert_null(check(M(R(0, 1, 1000) "," R(1000, 0, 1)), HOST));
	one = got;
	cr_assert_null(check(M(R(1000, 0, 1) "," R(0, 1, 1000)), HOST));
	other = got;
	cr_expect(idmap_pair_same(&one, &other));
	cr_assert_null(check(M2(R(1000, 0, 1) "," R(0, 1, 1000), R(1000, 0, 1)), HOST));
	cr_expect(!idmap_pair_same(&one, &got));
}
