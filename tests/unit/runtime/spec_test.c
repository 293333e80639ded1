/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: what is honoured comes out in the configuration, what can't be is an error that names the field. */
#include "runtime/spec.h"
#include "runtime/cleanup.h"
#include "runtime/default_spec.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mount.h>

#define HEAD "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"/usr\",\"readonly\":true},"
#define PROCESS                                                                                                        \
	"\"process\":{\"args\":[\"sh\",\"-c\",\"true\"],\"env\":[\"A=1\"],\"cwd\":\"/"                                 \
	"\",\"user\":{\"uid\":5,\"gid\":6}}"

static struct build b;
static struct settings s;

/* NULL if it was taken, else the message (leaked: a test's). */
static const char *parse(const char *json)
{
	struct error *err = NULL;

	settings_init(&s);
	build_init(&b);
	if (spec_parse(&b, &s, "/", json, strlen(json), &err) && build_settings(&b, &s, &err)) {
		build_host_ids(&b, &s, &err);
		if (build_finish(&b, &err))
			return NULL;
	}
	return err->text;
}

Test(spec, honoured)
{
	const char *bad =
		parse(HEAD PROCESS
		      ",\"hostname\":\"box\",\"annotations\":{\"dev.sentrybox.memory\":\"64m\","
		      "\"dev.sentrybox.egress-allow\":\"10.0.0.0/8:443 127.0.0.1\",\"other\":\"x\"},"
		      "\"linux\":{\"resources\":{\"pids\":{\"limit\":7},\"cpu\":{\"quota\":50000,\"period\":100000}},"
		      "\"maskedPaths\":[\"/proc/kcore\"],\"namespaces\":[{\"type\":\"pid\"}]}}");

	cr_assert_null(bad, "%s", bad);
	cr_expect(b.c->argc == 3 && b.c->envc == 1 && b.c->uid == 5 && b.c->gid == 6 && b.c->root_readonly);
	cr_expect_str_eq(config_nth(b.c, b.c->argv, 1), "-c");
	cr_expect_str_eq(config_str(b.c, b.c->hostname), "box");
	cr_expect(b.c->memory_bytes == 64 << 20 && b.c->max_tasks == 7 && b.c->cpu_permille == 500 &&
		  b.c->negress == 2);
	cr_expect(b.c->npaths == 1 && b.c->paths[0].kind == PATH_MASK);
	cr_expect(b.c->nmounts == 1 && b.c->mounts[0].kind == MOUNT_DEV);
}

Test(spec, capabilities_and_limits)
{
	const char *bad =
		parse(HEAD "\"process\":{\"args\":[\"x\"],\"cwd\":\"/\",\"capabilities\":{\"permitted\":[\"CAP_KILL\"],"
			   "\"effective\":[\"CAP_KILL\",\"CAP_SYS_ADMIN\"],\"bounding\":[\"CAP_KILL\"]},"
			   "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":10,\"hard\":20}]}}");

	cr_assert_null(bad, "%s", bad);
	cr_expect_eq(b.c->cap_effective, 1 << 5);
	cr_expect(b.c->rlimits[7].set && b.c->rlimits[7].cur == 10 && b.c->rlimits[7].max == 20);
}

Test(spec, mounts)
{
	const char *bad = parse(
		HEAD PROCESS
		",\"mounts\":[{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"options\":[\"nosuid\",\"size=64k\"]},"
		"{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/etc\",\"options\":[\"rbind\",\"ro\"]}]}");

	cr_assert_null(bad, "%s", bad);
	cr_expect(b.c->nmounts == 2 && b.c->mounts[0].kind == MOUNT_DEV && b.c->mounts[0].size == 65536);
	cr_expect(b.c->mounts[1].kind == MOUNT_BIND && b.c->mounts[1].dir_fd >= 10 && (b.c->mounts[1].flags & 1) != 0);
}

Test(spec, recursive_options_and_owners)
{
	const char *bad = parse(
		HEAD PROCESS
		",\"mounts\":[{\"destination\":\"/dev\",\"type\":\"tmpfs\"},"
		"{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/etc\",\"options\":[\"rbind\",\"rro\",\"rnosuid\",\"rnodev\",\"rnoexec\"]},"
		"{\"destination\":\"/e\",\"type\":\"bind\",\"source\":\"/etc\",\"options\":[\"rbind\",\"ro\",\"rrw\"]},"
		"{\"destination\":\"/t\",\"type\":\"tmpfs\",\"options\":[\"uid=12\",\"gid=34\",\"mode=700\"]}],"
		"\"linux\":{\"namespaces\":[{\"type\":\"time\"}]}}");

	cr_assert_null(bad, "%s", bad);
	cr_assert(b.c->nmounts == 4);
	cr_expect(b.c->mounts[1].flags == (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC));
	cr_expect(b.c->mounts[2].flags == 0);
	cr_expect(b.c->mounts[3].uid == 12 && b.c->mounts[3].gid == 34 && b.c->mounts[3].mode == 0700);
}

/* As runc has it: they are done on the mount that the others have made, so their place in the list says nothing. */
Test(spec, recursive_options_stand)
{
	static const struct {
		const char *options;
		uint64_t flags;
	} cases[] = {
		{"\"rro\",\"rw\"", MS_RDONLY},
		{"\"rw\",\"rro\"", MS_RDONLY},
		{"\"rro\",\"rrw\"", 0},
		{"\"rrw\",\"rro\",\"rw\"", MS_RDONLY},
		{"\"rrw\",\"ro\"", 0},
		{"\"rnosuid\",\"rnodev\",\"rnoexec\",\"suid\",\"dev\",\"exec\",\"rw\"", MS_NOSUID | MS_NODEV | MS_NOEXEC},
		{"\"rsuid\",\"nosuid\",\"rdev\",\"nodev\",\"rexec\",\"noexec\",\"ro\"", MS_RDONLY},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cleanup_free char *json = xasprintf(HEAD PROCESS ",\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\","
							 "\"source\":\"/etc\",\"options\":[\"rbind\",%s]}]}",
						    cases[i].options);
		const char *bad = parse(json);

		cr_assert_null(bad, "%s", bad);
		cr_expect_eq(b.c->mounts[0].flags, cases[i].flags, "%s: %llx", cases[i].options,
			     (unsigned long long)b.c->mounts[0].flags);
	}
}

static bool listed(json_object *list, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(list, i)), name) == 0)
			return true;
	return false;
}

/* All that is a flag here is in `features`, with what takes a value; what is there is taken, and stands there once. */
Test(spec, features_are_what_is_taken)
{
	static const char *const values[][2] = {{"mode", "=755"}, {"size", "=64k"}, {"uid", "=1"}, {"gid", "=1"}};
	static const char *const some[] = {"ro", "rro", "rrw", "rnosuid", "rnodev", "rnoexec", "rexec", "rdiratime", "atime", "bind", "rbind",
					   "idmap", "ridmap", "mode", "size", "uid", "gid"};
	json_object *o = features_json(), *list, *os, *namespaces;

	cr_assert(json_object_object_get_ex(o, "mountOptions", &list) && json_object_object_get_ex(o, "linux", &os) &&
		  json_object_object_get_ex(os, "namespaces", &namespaces));
	cr_expect(listed(namespaces, "time"));
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		cr_expect(listed(list, some[i]), "%s", some[i]);
	for (size_t i = 0; spec_mount_flag(i) != NULL; i++)
		cr_expect(listed(list, spec_mount_flag(i)), "%s", spec_mount_flag(i));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(list, i)), *value = "", *bad;
		cleanup_free char *json = NULL;

		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++)
			if (strcmp(name, values[k][0]) == 0)
				value = values[k][1];
		json = xasprintf(HEAD PROCESS ",\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/etc\","
					      "\"options\":[\"%s%s\"]}]}",
				 name, value);
		bad = parse(json);
		/* An id map wants mappings besides. */
		cr_expect(bad == NULL || (strstr(name, "idmap") != NULL && strstr(bad, "honoured") == NULL), "%s: %s", name, bad);
		for (size_t k = 0; k < i; k++)
			cr_expect_str_neq(json_object_get_string(json_object_array_get_idx(list, k)), name);
	}
	json_object_put(o);
}

Test(spec, refused)
{
	static const struct {
		const char *json, *names;
	} bad[] = {
		{"", "JSON"},
		{"[]", "object"},
		{"{\"ociVersion\":\"2.0\"}", "ociVersion"},
		{"{\"ociVersion\":\"1.0\"}", "root.path"},
		{HEAD "\"x\":1}", "process is missing"},
		{HEAD "\"process\":{\"args\":[],\"cwd\":\"/\"}}", "process.args"},
		{HEAD "\"process\":{\"args\":[1],\"cwd\":\"/\"}}", "process.args[0]"},
		{HEAD "\"process\":{\"args\":[\"x\\u0000y\"],\"cwd\":\"/\"}}", "process.args[0]"},
		{HEAD "\"process\":{\"args\":[\"x\"],\"cwd\":\"tmp\"}}", "process.cwd"},
		{HEAD "\"process\":{\"args\":[\"x\"],\"cwd\":\"/\",\"env\":[\"NOEQUALS\"]}}", "process.env[0]"},
		{HEAD "\"process\":{\"args\":[\"x\"],\"cwd\":\"/\",\"user\":{\"uid\":-1}}}", "process.user.uid"},
		{HEAD "\"process\":{\"args\":[\"x\"],\"cwd\":\"/\",\"capabilities\":{\"bounding\":[\"CAP_FLY\"]}}}",
		 "CAP_FLY"},
		{HEAD "\"process\":{\"args\":[\"x\"],\"cwd\":\"/"
		      "\",\"rlimits\":[{\"type\":\"RLIMIT_X\",\"soft\":1,\"hard\":1}]}}",
		 "RLIMIT_X"},
		{HEAD PROCESS ",\"hooks\":{\"poststop\":[{\"path\":\"x\"}]}}", "hooks"},
		{HEAD PROCESS ",\"mounts\":[{\"destination\":\"/m\",\"type\":\"nfs\"}]}", "mounts[0].type"},
		{HEAD PROCESS ",\"mounts\":[{\"destination\":\"m\",\"type\":\"proc\"}]}", "mounts[0].destination"},
		{HEAD PROCESS
		 ",\"mounts\":[{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/etc\",\"options\":[\"nosymfollow\"]}]}",
		 "nosymfollow"},
		{HEAD PROCESS ",\"mounts\":[{\"destination\":\"/m\",\"type\":\"tmpfs\",\"options\":[\"uid=me\"]}]}", "uid=me"},
		{HEAD PROCESS
		 ",\"mounts\":[{\"destination\":\"/m\",\"type\":\"tmpfs\",\"options\":[\"upside-down\"]}]}",
		 "upside-down"},
		{HEAD PROCESS ",\"mounts\":[{\"destination\":\"/m\",\"type\":\"bind\",\"source\":\"/dev/null\"}]}",
		 "mounts[0]"},
		{HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\",\"path\":\"/proc/1/ns/mnt\"}]}}",
		 "namespaces[0].path"},
		{HEAD PROCESS ",\"linux\":{\"sysctl\":{\"kernel.shmmax\":\"1\"}}}", "kernel.shmmax"},
		{HEAD PROCESS ",\"linux\":{\"devices\":[{\"path\":\"/dev/fuse\",\"type\":\"c\"}]}}", "/dev/fuse"},
		{HEAD PROCESS ",\"linux\":{\"uidMappings\":[{\"hostID\":1}]}}", "linux.uidMappings"},
		{HEAD PROCESS ",\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":7}],\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":7}]}}",
		 "no user namespace in linux.namespaces"},
		{HEAD PROCESS ",\"mounts\":[{\"destination\":\"/m\",\"type\":\"tmpfs\",\"options\":[\"idmap\"]}]}", "only a bind mount"},
		{HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"user\",\"path\":\"/a\"},{\"type\":\"user\",\"path\":\"/b\"}]}}", "a second user namespace"},
		{HEAD PROCESS ",\"linux\":{\"resources\":{\"unified\":{\"memory.max\":\"x\"}}}}", "unified"},
		{HEAD PROCESS ",\"linux\":{\"personality\":{\"domain\":\"LINUX32\"}}}", "personality"},
		{HEAD PROCESS ",\"linux\":{\"maskedPaths\":[\"proc\"]}}", "maskedPaths[0]"},
		{HEAD PROCESS ",\"linux\":7}", "linux is not an object"},
		{HEAD PROCESS ",\"annotations\":{\"dev.sentrybox.memory\":\"lots\"}}", "dev.sentrybox.memory"},
		{HEAD PROCESS ",\"annotations\":{\"dev.sentrybox.strace\":\"x\"}}", "dev.sentrybox.strace"},
		{HEAD PROCESS ",\"annotations\":{\"dev.sentrybox.egress-allow\":\"10.0.0.0/8 nowhere\"}}", "nowhere"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *text = parse(bad[i].json);

		cr_expect(text != NULL && strstr(text, bad[i].names) != NULL, "case %zu: %s", i,
			  text != NULL ? text : "was taken");
		build_free(&b);
	}
}
