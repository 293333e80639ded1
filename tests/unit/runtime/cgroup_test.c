/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a container's cgroups would lie, from made-up mounts; and which files limits go to, in directories that only look like
 * cgroups. What a kernel makes of them is tests/e2e/cgroup's to see.
 */
#include "runtime/cgroup.h"
#include "runtime/cleanup.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define V1_MOUNTS                                                                                          \
	"30 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"                              \
	"32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"                      \
	"33 30 0:32 / /sys/fs/cgroup/mem\\040ory rw shared:9 master:1 - cgroup cgroup rw,memory\n"         \
	"34 30 0:33 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"                          \
	"35 30 0:34 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"                         \
	"36 30 0:35 / /elsewhere rw - cgroup cgroup rw,memory\n"
#define V1_SELF "9:name=systemd:/x\n4:memory:/me/here\n3:pids:/docker/abc/own\n1:cpu,cpuacct:/\n0::/\n"

static bool plan(struct cgroup *cg, const char *mounts, const char *self, const char *path)
{
	cleanup_error struct error *err = NULL;

	bool ok = cgroup_plan(cg, mounts, self, path, "c1", &err);

	cr_expect_eq(ok, err == NULL);
	return ok;
}

Test(cgroup, absolute_paths_of_version_1)
{
	struct cgroup cg;

	cr_assert(plan(&cg, V1_MOUNTS, V1_SELF, "/a/b/"));
	cr_expect_str_eq(cg.v1[CG_CPU], "/sys/fs/cgroup/cpu,cpuacct/a/b");
	cr_expect_str_eq(cg.v1[CG_CPUACCT], "/sys/fs/cgroup/cpu,cpuacct/a/b");
	cr_expect_str_eq(cg.v1[CG_MEMORY], "/sys/fs/cgroup/mem ory/a/b", "a blank is decoded, and the first mount taken");
	cr_expect_str_eq(cg.v1[CG_PIDS], "/sys/fs/cgroup/pids/a/b");
	cr_expect_null(cg.v1[CG_FREEZER]);
	cr_expect_null(cg.v2);
	cgroup_free(&cg);
}

Test(cgroup, relative_paths_begin_at_our_own)
{
	struct cgroup cg;

	cr_assert(plan(&cg, V1_MOUNTS, V1_SELF, "a"));
	cr_expect_str_eq(cg.v1[CG_CPU], "/sys/fs/cgroup/cpu,cpuacct/a");
	cr_expect_str_eq(cg.v1[CG_MEMORY], "/sys/fs/cgroup/mem ory/me/here/a");
	cr_expect_str_eq(cg.v1[CG_PIDS], "/sys/fs/cgroup/pids/own/a", "what the mount doesn't show is taken off");
	cgroup_free(&cg);
	cr_assert(plan(&cg, V1_MOUNTS, V1_SELF, NULL));
	cr_expect_str_eq(cg.v1[CG_MEMORY], "/sys/fs/cgroup/mem ory/me/here/sentrybox-c1");
	cgroup_free(&cg);
}

Test(cgroup, paths_refused)
{
	static const char *const bad[] = {"/", "//", ".", "/a/../..", "..", "a/..", "/./"};
	struct cgroup cg;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(plan(&cg, V1_MOUNTS, V1_SELF, bad[i]), "\"%s\" was taken", bad[i]);
}

Test(cgroup, systemd_paths)
{
	static const struct {
		const char *path, *dir;
	} good[] = {
		{"system.slice:docker:abc", "/system.slice/docker-abc.scope"},
		{"kubepods-burstable-pod1.slice:cri-containerd:x",
		 "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-x.scope"},
		{"-.slice::x", "/x.scope"},
		{":p:x", "/system.slice/p-x.scope"},
		{"a.slice:p:b.slice", "/a.slice/b.slice"},
		{NULL, "/system.slice/sentrybox-c1.scope"},
	};
	static const char *const bad[] = {"/a/b", "a:b", "a.slice:b:", "a:b:c", "../x.slice:b:c", "a.slice:b:c/d", "a.slice:../b:c"};
	struct cgroup cg;

	cgroup_use_systemd_paths();
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cleanup_free char *dir = xasprintf("/sys/fs/cgroup/mem ory%s", good[i].dir);

		cr_assert(plan(&cg, V1_MOUNTS, V1_SELF, good[i].path), "\"%s\" was refused", good[i].path);
		cr_expect_str_eq(cg.v1[CG_MEMORY], dir);
		cgroup_free(&cg);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(plan(&cg, V1_MOUNTS, V1_SELF, bad[i]), "\"%s\" was taken", bad[i]);
}

/* ---- with directories ---- */

static void put_file(const char *dir, const char *name, const char *text)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static char *tree(void)
{
	char name[] = "/tmp/cgroup-test-XXXXXX";

	cr_assert_not_null(mkdtemp(name));
	return xstrdup(name);
}

static void drop_tree(const char *dir)
{
	cleanup_free char *cmd = xasprintf("rm -rf '%s'", dir);

	cr_expect_eq(system(cmd), 0);
}

Test(cgroup, version_2_has_what_version_1_has_not)
{
	cleanup_free char *dir = tree();
	cleanup_free char *both = xasprintf("%s39 30 0:39 / /sys/fs/cgroup/f rw - cgroup cgroup rw,freezer\n40 30 0:40 / %s rw - cgroup2 cgroup2 rw\n", V1_MOUNTS, dir);
	cleanup_free char *only = xasprintf("40 30 0:40 / %s rw - cgroup2 cgroup2 rw\n", dir);
	cleanup_free char *own = xasprintf("%s/user/c", dir), *absolute = xasprintf("%s/c", dir);
	struct cgroup cg;

	put_file(dir, "cgroup.controllers", "hugetlb\n");
	cr_assert(plan(&cg, both, V1_SELF, "/c"));
	cr_expect_null(cg.v2, "it has nothing for us");
	cgroup_free(&cg);
	put_file(dir, "cgroup.controllers", "cpuset cpu io memory pids\n");
	cr_assert(plan(&cg, both, V1_SELF, "/c"));
	cr_expect_str_eq(cg.v2, absolute);
	cr_expect_eq(cgroup_dir(&cg, CG_CPUSET), cg.v2);
	cr_expect_eq(cgroup_dir(&cg, CG_MEMORY), cg.v1[CG_MEMORY]);
	cgroup_free(&cg);
	cr_assert(plan(&cg, only, "0::/user/session.scope\n", "c"));
	cr_expect_str_eq(cg.v2, own, "beside our own, which has processes in it");
	cr_expect_eq(cgroup_dir(&cg, CG_MEMORY), cg.v2);
	cr_expect_eq(cgroup_dir(&cg, CG_CPUACCT), cg.v2);
	cgroup_free(&cg);
	put_file(dir, "cgroup.controllers", "\n");
	cr_assert(plan(&cg, only, "0::/\n", "/c"));
	cr_expect_eq(cgroup_dir(&cg, CG_FREEZER), cg.v2, "this one comes without controllers");
	cr_expect_null(cgroup_dir(&cg, CG_MEMORY));
	cgroup_free(&cg);
	drop_tree(dir);
}

static void limits(const struct cgroup *cg, const char *json, const char *refused_for)
{
	cleanup_error struct error *err = NULL;
	json_object *o = json_tokener_parse(json);
	bool ok = cgroup_limits(cg, o, &err);

	cr_expect_eq(ok, refused_for == NULL, "%s: %s", json, err != NULL ? err->text : "was taken");
	if (refused_for != NULL && err != NULL)
		cr_expect_not_null(strstr(err->text, refused_for), "%s", err->text);
	json_object_put(o);
}

static void is(const char *dir, const char *file, const char *want)
{
	cleanup_free char *got = cgroup_read(dir, file);

	cr_expect_str_eq(got != NULL ? got : "(none)", want, "%s: %s, not %s", file, got, want);
}

Test(cgroup, limits_of_version_2)
{
	static const char *const files[] = {"memory.max", "memory.swap.max", "memory.low", "memory.high", "cpu.weight",
					    "pids.max",   "cpuset.cpus",     "io.max",     "io.weight"};
	cleanup_free char *dir = tree();
	struct cgroup cg = {.v2 = dir, .v2_controllers = ~0u};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		put_file(dir, files[i], "");
	put_file(dir, "cpu.max", "max 50000\n");
	limits(&cg,
	       "{\"memory\":{\"limit\":1073741824,\"swap\":1610612736,\"reservation\":4096},\"cpu\":{\"quota\":20000,\"shares\":1024,"
	       "\"cpus\":\"0-1\"},\"pids\":{\"limit\":100},\"blockIO\":{\"weight\":500,\"throttleReadBpsDevice\":[{\"major\":8,"
	       "\"minor\":0,\"rate\":1000}]},\"unified\":{\"memory.high\":\"777\"}}",
	       NULL);
	is(dir, "memory.max", "1207959552");
	is(dir, "memory.swap.max", "536870912");
	is(dir, "memory.low", "4096");
	is(dir, "memory.high", "777");
	is(dir, "cpu.max", "20000 50000");
	is(dir, "cpu.weight", "39");
	is(dir, "cpuset.cpus", "0-1");
	is(dir, "pids.max", "164");
	is(dir, "io.max", "8:0 rbps=1000");
	is(dir, "io.weight", "4950");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		put_file(dir, files[i], "");
	put_file(dir, "cpu.max", "");
	limits(&cg, "{\"memory\":{\"limit\":-1},\"pids\":{\"limit\":-1},\"cpu\":{\"quota\":-1,\"period\":7}}", NULL);
	is(dir, "memory.max", "max");
	is(dir, "pids.max", "max");
	is(dir, "cpu.max", "max 7");
	drop_tree(dir);
}

Test(cgroup, limits_refused)
{
	struct cgroup none = {0};

	limits(&none, "{\"memory\":{\"limit\":1000},\"cpu\":{\"shares\":2,\"cpus\":\"0\"},\"pids\":{\"limit\":1}}", NULL);
	limits(&none, "{\"unified\":{\"memory.max\":\"5\"}}", NULL);
	limits(&none, "{\"unified\":{\"memory.high\":\"5\"}}", "memory.high");
	limits(&none, "{\"unified\":{\"../x.y\":\"5\"}}", "../x.y");
	limits(&none, "{\"unified\":{\"cgroup.procs\":\"5\"}}", "cgroup.procs");
	limits(&none, "{\"memory\":{\"limit\":1000,\"swap\":999}}", "memory.swap");
	limits(&none, "{\"memory\":{\"limit\":\"1\"}}", "memory.limit");
	limits(&none, "{\"cpu\":{\"cpus\":\"0-\"}}", "cpu.cpus");
	limits(&none, "{\"cpu\":{\"cpus\":\"3-2\"}}", "cpu.cpus");
	limits(&none, "{\"cpu\":{\"cpus\":\"0,99999999\"}}", "cpu.cpus");
	limits(&none, "{\"blockIO\":{\"throttleReadBpsDevice\":[1]}}", "throttleReadBpsDevice");
}

Test(cgroup, use_as_version_2_tells_it)
{
	cleanup_free char *dir = tree();
	struct cgroup cg = {.v2 = dir, .v2_controllers = ~0u};
	struct cgroup_usage u;

	put_file(dir, "cpu.stat", "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\n");
	put_file(dir, "memory.current", "4096\n");
	put_file(dir, "memory.peak", "8192\n");
	put_file(dir, "memory.stat", "anon 1\nfile 2\n");
	put_file(dir, "memory.events", "low 0\nmax 3\noom_kill 1\n");
	put_file(dir, "pids.current", "9\n");
	put_file(dir, "pids.max", "max\n");
	cgroup_usage(&cg, &u);
	cr_expect(u.cpu && u.memory && u.pids);
	cr_expect_eq(u.cpu_ns, 30000);
	cr_expect_eq(u.cpu_sys_ns, 20000);
	cr_expect_eq(u.throttled_ns, 7000);
	cr_expect_eq(u.memory_bytes, 4096);
	cr_expect_eq(u.memory_peak, 8192);
	cr_expect_eq(u.memory_failcnt, 3);
	cr_expect_eq(u.cache_bytes, 2);
	cr_expect_eq(u.pids_current, 9);
	cr_expect_eq(u.pids_limit, UINT64_MAX);
	json_object_put(u.memory_raw);
	drop_tree(dir);
}
