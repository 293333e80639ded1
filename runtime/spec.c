/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OCI bundle's config.json into struct config.
 *
 * Every field of the specification falls in one of three classes, and docs/oci.md lists them:
 *
 *	honoured   process (args, env, cwd, user, capabilities, rlimits, noNewPrivileges, oomScoreAdj, terminal), root,
 *	           hostname, domainname, mounts, annotations dev.sentrybox.*, linux.maskedPaths, linux.readonlyPaths,
 *	           linux.resources (memory.limit, cpu.quota/period, pids.limit here; all of it and linux.cgroupsPath in
 *	           cgroup.c), linux.seccomp (seccomp_profile.c)
 *	moot       what configures the host's kernel for a process of its own, where the program never meets that
 *	           kernel: namespaces without a path, apparmorProfile, selinuxLabel, devices' cgroup rules, rootfsPropagation...
 *	refused    what would change what the program may do or see, and can't be had: the error names the field
 *
 * A field we have never heard of is moot if it stands beside known ones (the specification says so), but a value of the
 * wrong type is always an error. The bundle's author is trusted with the root's contents, not with the parser: depth
 *and size are bounded, and nothing is believed to have a type before it was looked at.
 */
#include "runtime/spec.h"
#include "runtime/cleanup.h"
#include "runtime/hooks.h"
#include "runtime/idmap_spec.h"
#include "runtime/json_get.h"
#include "runtime/seccomp_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define JSON_SIZE_MAX (16 << 20)
#define JSON_DEPTH_MAX 32

static inline void cleanup_jsonp(json_object **o)
{
	json_object_put(*o);
}
#define cleanup_json __attribute__((cleanup(cleanup_jsonp)))

/* Fields that must not be there with anything in them. */
static bool refuse(json_object *o, const char *where, const char *const *keys, struct error **err)
{
	for (; *keys != NULL; keys++) {
		json_object *v;

		if (o == NULL || !json_object_object_get_ex(o, *keys, &v) || v == NULL)
			continue;
		if (json_object_is_type(v, json_type_array) && json_object_array_length(v) == 0)
			continue;
		if (json_object_is_type(v, json_type_object) && json_object_object_length(v) == 0)
			continue;
		if (json_object_is_type(v, json_type_string) && json_object_get_string_len(v) == 0)
			continue;
		return error_set(err, "%s%s%s can't be honoured in a sandbox: take it out of config.json", where,
				 *where != '\0' ? "." : "", *keys);
	}
	return true;
}

/* ---- process ---- */

static const char *const cap_names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

const char *spec_capability(size_t n)
{
	return n < sizeof(cap_names) / sizeof(cap_names[0]) ? cap_names[n] : NULL;
}

static bool cap_set(json_object *caps, const char *key, uint64_t *set, struct error **err)
{
	cleanup_free const char **names = NULL;
	size_t n;

	*set = 0;
	if (!json_get_strings(caps, "process.capabilities", key, &names, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *name = strncasecmp(names[i], "CAP_", 4) == 0 ? names[i] + 4 : names[i];
		size_t c = 0;

		while (c < sizeof(cap_names) / sizeof(cap_names[0]) && strcasecmp(name, cap_names[c]) != 0)
			c++;
		if (c == sizeof(cap_names) / sizeof(cap_names[0]))
			return error_set(err, "process.capabilities.%s: there is no capability \"%s\"", key, names[i]);
		*set |= 1ULL << c;
	}
	return true;
}

static bool parse_caps(struct config *c, json_object *process, struct error **err)
{
	json_object *caps;

	if (!json_get(process, "process", "capabilities", json_type_object, &caps, err))
		return false;
	if (!cap_set(caps, "bounding", &c->cap_bounding, err) || !cap_set(caps, "effective", &c->cap_effective, err) ||
	    !cap_set(caps, "permitted", &c->cap_permitted, err) ||
	    !cap_set(caps, "inheritable", &c->cap_inheritable, err) || !cap_set(caps, "ambient", &c->cap_ambient, err))
		return false;
	/* As runc: what can't be had is silently not had. */
	c->cap_effective &= c->cap_permitted;
	c->cap_ambient &= c->cap_permitted & c->cap_inheritable;
	return true;
}

static bool parse_rlimits(struct config *c, json_object *process, struct error **err)
{
	static const char *const names[] = {"RLIMIT_CPU",      "RLIMIT_FSIZE", "RLIMIT_DATA",   "RLIMIT_STACK",
					    "RLIMIT_CORE",     "RLIMIT_RSS",   "RLIMIT_NPROC",  "RLIMIT_NOFILE",
					    "RLIMIT_MEMLOCK",  "RLIMIT_AS",    "RLIMIT_LOCKS",  "RLIMIT_SIGPENDING",
					    "RLIMIT_MSGQUEUE", "RLIMIT_NICE",  "RLIMIT_RTPRIO", "RLIMIT_RTTIME"};
	json_object *list;

	if (!json_get(process, "process", "rlimits", json_type_array, &list, err))
		return false;
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		json_object *r = json_object_array_get_idx(list, i), *soft, *hard;
		cleanup_free char *where = xasprintf("process.rlimits[%zu]", i);
		const char *type;
		size_t k = 0;

		if (!json_object_is_type(r, json_type_object))
			return error_set(err, "%s is not an object", where);
		if (!json_get_string(r, where, "type", &type, err) ||
		    !json_get(r, where, "soft", json_type_int, &soft, err) ||
		    !json_get(r, where, "hard", json_type_int, &hard, err))
			return false;
		while (k < 16 && (type == NULL || strcmp(type, names[k]) != 0))
			k++;
		if (k == 16)
			return error_set(err, "%s.type: there is no limit \"%s\"", where, type != NULL ? type : "");
		if (c->rlimits[k].set)
			return error_set(err, "%s: %s is there twice", where, type);
		c->rlimits[k].set = true;
		c->rlimits[k].cur = soft != NULL ? json_object_get_uint64(soft) : 0;
		c->rlimits[k].max = hard != NULL ? json_object_get_uint64(hard) : 0;
		/* Numbers above 2^63 come as negative ones from some engines: -1 is "no limit". */
		if (soft != NULL && json_object_get_int64(soft) < 0)
			c->rlimits[k].cur = UINT64_MAX;
		if (hard != NULL && json_object_get_int64(hard) < 0)
			c->rlimits[k].max = UINT64_MAX;
		if (c->rlimits[k].cur > c->rlimits[k].max)
			return error_set(err, "%s: soft is above hard", where);
	}
	return true;
}

static bool parse_user(struct config *c, json_object *process, struct error **err)
{
	json_object *user, *more;
	int64_t uid = 0, gid = 0, mask = 022;

	if (!json_get(process, "process", "user", json_type_object, &user, err) ||
	    !json_get_int(user, "process.user", "uid", 0, UINT32_MAX - 1, &uid, NULL, err) ||
	    !json_get_int(user, "process.user", "gid", 0, UINT32_MAX - 1, &gid, NULL, err) ||
	    !json_get_int(user, "process.user", "umask", 0, 0777, &mask, NULL, err) ||
	    !json_get(user, "process.user", "additionalGids", json_type_array, &more, err))
		return false;
	c->uid = (uint32_t)uid;
	c->gid = (uint32_t)gid;
	c->umask = (uint32_t)mask;
	for (size_t i = 0; more != NULL && i < json_object_array_length(more); i++) {
		json_object *g = json_object_array_get_idx(more, i);

		if (!json_object_is_type(g, json_type_int) || json_object_get_int64(g) < 0 ||
		    json_object_get_int64(g) >= UINT32_MAX)
			return error_set(err, "process.user.additionalGids[%zu] is not a group id", i);
		if (c->ngroups == CONFIG_MAX_GROUPS)
			return error_set(err, "process.user.additionalGids: more than %d groups", CONFIG_MAX_GROUPS);
		c->groups[c->ngroups++] = (uint32_t)json_object_get_int64(g);
	}
	return true;
}

static bool one_of(const char *value, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(value, *names) == 0)
			return true;
	return false;
}

/* How the host's kernel would treat the process: checked, and without a meaning for one that it doesn't schedule as a whole. */
static bool check_scheduling(json_object *process, struct error **err)
{
	static const char *const policies[] = {"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE",
					       "SCHED_DEADLINE", NULL};
	static const char *const classes[] = {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE", NULL};
	static const char *const times[] = {"runtime", "deadline", "period"};
	json_object *scheduler, *io;
	const char *policy = NULL, *class = NULL;
	cleanup_free const char **flags = NULL;
	size_t nflags;
	int64_t n;

	if (!json_get(process, "process", "scheduler", json_type_object, &scheduler, err) ||
	    !json_get_string(scheduler, "process.scheduler", "policy", &policy, err) ||
	    !json_get_int(scheduler, "process.scheduler", "nice", -20, 19, &n, NULL, err) ||
	    !json_get_int(scheduler, "process.scheduler", "priority", 0, 99, &n, NULL, err) ||
	    !json_get_strings(scheduler, "process.scheduler", "flags", &flags, &nflags, err) ||
	    !json_get(process, "process", "ioPriority", json_type_object, &io, err) ||
	    !json_get_string(io, "process.ioPriority", "class", &class, err) ||
	    !json_get_int(io, "process.ioPriority", "priority", 0, 7, &n, NULL, err))
		return false;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (!json_get_int(scheduler, "process.scheduler", times[i], 0, INT64_MAX, &n, NULL, err))
			return false;
	if (scheduler != NULL && (policy == NULL || !one_of(policy, policies)))
		return error_set(err, "process.scheduler.policy is no policy: %s", policy != NULL ? policy : "it is missing");
	if (io != NULL && (class == NULL || !one_of(class, classes)))
		return error_set(err, "process.ioPriority.class is no class: %s", class != NULL ? class : "it is missing");
	return true;
}

static bool parse_process(struct build *b, json_object *spec, struct error **err)
{
	static const char *const refused[] = {"commandLine", "execCPUAffinity", NULL};
	cleanup_free const char **args = NULL;
	cleanup_free const char **env = NULL;
	struct config *c = b->c;
	json_object *process, *size;
	const char *cwd;
	size_t nargs, nenv;
	int64_t adj = 0, rows = 0, cols = 0;

	if (!json_get(spec, "", "process", json_type_object, &process, err))
		return false;
	if (process == NULL)
		return error_set(err, "process is missing");
	if (!refuse(process, "process", refused, err) || !check_scheduling(process, err) ||
	    !json_get_strings(process, "process", "args", &args, &nargs, err) ||
	    !json_get_strings(process, "process", "env", &env, &nenv, err) ||
	    !json_get_string(process, "process", "cwd", &cwd, err) ||
	    !json_get_bool(process, "process", "terminal", &c->terminal, err) ||
	    !json_get_bool(process, "process", "noNewPrivileges", &c->no_new_privs, err) ||
	    !json_get_int(process, "process", "oomScoreAdj", -1000, 1000, &adj, NULL, err) ||
	    !json_get(process, "process", "consoleSize", json_type_object, &size, err) ||
	    !json_get_int(size, "process.consoleSize", "height", 0, UINT16_MAX, &rows, NULL, err) ||
	    !json_get_int(size, "process.consoleSize", "width", 0, UINT16_MAX, &cols, NULL, err))
		return false;
	if (nargs == 0)
		return error_set(err, "process.args is missing or empty");
	if (cwd == NULL || cwd[0] != '/')
		return error_set(err, "process.cwd is not an absolute path");
	for (size_t i = 0; i < nenv; i++) {
		if (strchr(env[i], '=') == NULL)
			return error_set(err, "process.env[%zu]: \"%s\" is not NAME=VALUE", i, env[i]);
	}
	c->argc = (uint32_t)nargs;
	c->argv = build_strings(b, (char *const *)args, nargs);
	c->envc = (uint32_t)nenv;
	c->envv = build_strings(b, (char *const *)env, nenv);
	c->cwd = build_str(b, cwd);
	c->cwd_create = true;
	c->container_init = true;
	c->oom_score_adj = (int32_t)adj;
	c->tty_rows = (uint16_t)rows;
	c->tty_cols = (uint16_t)cols;
	return parse_user(c, process, err) && parse_caps(c, process, err) && parse_rlimits(c, process, err);
}

/* ---- mounts ---- */

struct mount_options {
	bool idmap;
	uint64_t flags, size;
	uint64_t rset, rclear; /* of recursive forms: what is said so stands, whatever plain ones say before or after */
	uint32_t mode, uid, gid;
	bool bind;
	char shown[512]; /* as /proc/mounts has them */
};

static const struct {
	const char *name;
	uint64_t set, clear;
	bool recursive;
} flag_options[] = {
	{"ro", MS_RDONLY, 0, false},
	{"rw", 0, MS_RDONLY, false},
	{"nosuid", MS_NOSUID, 0, false},
	{"suid", 0, MS_NOSUID, false},
	{"nodev", MS_NODEV, 0, false},
	{"dev", 0, MS_NODEV, false},
	{"noexec", MS_NOEXEC, 0, false},
	{"exec", 0, MS_NOEXEC, false},
	{"noatime", MS_NOATIME, 0, false},
	{"atime", 0, MS_NOATIME, false},
	{"relatime", MS_RELATIME, 0, false},
	{"norelatime", 0, MS_RELATIME, false},
	{"strictatime", MS_STRICTATIME, 0, false},
	{"nostrictatime", 0, MS_STRICTATIME, false},
	{"nodiratime", MS_NODIRATIME, 0, false},
	{"diratime", 0, MS_NODIRATIME, false},
	/* What lies beneath a bind is of the same mount here, so that these are about no more than those above. */
	{"rro", MS_RDONLY, 0, true},
	{"rrw", 0, MS_RDONLY, true},
	{"rnosuid", MS_NOSUID, 0, true},
	{"rsuid", 0, MS_NOSUID, true},
	{"rnodev", MS_NODEV, 0, true},
	{"rdev", 0, MS_NODEV, true},
	{"rnoexec", MS_NOEXEC, 0, true},
	{"rexec", 0, MS_NOEXEC, true},
	{"rnoatime", MS_NOATIME, 0, true},
	{"ratime", 0, MS_NOATIME, true},
	{"rrelatime", MS_RELATIME, 0, true},
	{"rnorelatime", 0, MS_RELATIME, true},
	{"rstrictatime", MS_STRICTATIME, 0, true},
	{"rnostrictatime", 0, MS_STRICTATIME, true},
	{"rnodiratime", MS_NODIRATIME, 0, true},
	{"rdiratime", 0, MS_NODIRATIME, true},
};

const char *spec_mount_flag(size_t n)
{
	return n < sizeof(flag_options) / sizeof(flag_options[0]) ? flag_options[n].name : NULL;
}

/* Options that say how mounts of the host are made, or what a fresh in-memory one would do anyway. */
static const char *const moot_options[] = {
	"defaults",
	"private",
	"rprivate",
	"slave",
	"rslave",
	"shared",
	"rshared",
	"unbindable",
	"runbindable",
	"sync",
	"async",
	"dirsync",
	"mand",
	"nomand",
	"iversion",
	"noiversion",
	"silent",
	"loud",
	"lazytime",
	"nolazytime",
	"tmpcopyup",
	"notmpcopyup",
	"copy-symlink",
	"newinstance",
	"ptmxmode=0666",
	"nsdelegate",
	"memory_recursiveprot",
	"symfollow",
	"rsymfollow",
	"z",
	"Z",
	"U",
	"O",
};

static bool starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool one_option(struct mount_options *o, const char *opt, const char *where, struct error **err)
{
	uint64_t id;

	for (size_t i = 0; i < sizeof(flag_options) / sizeof(flag_options[0]); i++) {
		if (strcmp(opt, flag_options[i].name) == 0) {
			uint64_t set = flag_options[i].set, clear = flag_options[i].clear;

			if (flag_options[i].recursive) {
				o->rset = (o->rset & ~clear) | set;
				o->rclear = (o->rclear & ~set) | clear;
			} else {
				o->flags = (o->flags & ~clear) | set;
			}
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(moot_options) / sizeof(moot_options[0]); i++) {
		if (strcmp(opt, moot_options[i]) == 0)
			return true;
	}
	if (strcmp(opt, "bind") == 0 || strcmp(opt, "rbind") == 0) {
		o->bind = true;
		return true;
	}
	if (strcmp(opt, "idmap") == 0 || strcmp(opt, "ridmap") == 0) {
		o->idmap = true;
		return true;
	}
	if (starts(opt, "mode=")) {
		char *end;
		unsigned long mode = strtoul(opt + 5, &end, 8);

		if (*end != '\0' || end == opt + 5 || mode > 07777)
			return error_set(err, "%s.options: \"%s\" is not an octal mode", where, opt);
		o->mode = (uint32_t)mode;
		return true;
	}
	if (starts(opt, "size=")) {
		if (strchr(opt, '%') != NULL) /* a share of the host's memory: the sandbox's own limit holds */
			return true;
		if (!parse_size(opt + 5, &o->size, err))
			return error_wrap(err, "%s.options: %s", where, opt);
		return true;
	}
	if (starts(opt, "uid=") || starts(opt, "gid=")) {
		if (!parse_number(opt + 4, 0, UINT32_MAX - 1, &id, err))
			return error_wrap(err, "%s.options: %s", where, opt);
		*(opt[0] == 'u' ? &o->uid : &o->gid) = (uint32_t)id;
		return true;
	}
	if (starts(opt, "ptmxmode=") || starts(opt, "nr_inodes=") ||
	    starts(opt, "max=") || starts(opt, "huge=") || starts(opt, "inode64"))
		return true;
	return error_set(err, "%s.options: \"%s\" can't be honoured", where, opt);
}

static void show_options(struct mount_options *o)
{
	snprintf(o->shown, sizeof(o->shown), "%s%s%s%s%s", (o->flags & MS_RDONLY) != 0 ? "ro" : "rw",
		 (o->flags & MS_NOSUID) != 0 ? ",nosuid" : "", (o->flags & MS_NODEV) != 0 ? ",nodev" : "",
		 (o->flags & MS_NOEXEC) != 0 ? ",noexec" : "", (o->flags & MS_NOATIME) != 0 ? ",noatime" : ",relatime");
	if (o->size != 0)
		snprintf(o->shown + strlen(o->shown), sizeof(o->shown) - strlen(o->shown), ",size=%lluk",
			 (unsigned long long)o->size >> 10);
}

static bool mount_kind(const char *type, const char *target, enum config_mount_kind *kind)
{
	static const struct {
		const char *type;
		enum config_mount_kind kind;
	} kinds[] = {{"proc", MOUNT_PROC},      {"sysfs", MOUNT_SYSFS},   {"devpts", MOUNT_DEVPTS},
		     {"tmpfs", MOUNT_TMPFS},    {"mqueue", MOUNT_MQUEUE}, {"cgroup", MOUNT_CGROUP},
		     {"cgroup2", MOUNT_CGROUP}, {"devtmpfs", MOUNT_DEV}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(type, kinds[i].type) == 0) {
			*kind = kinds[i].kind;
			/* The specification's devices are the runtime's to make: a tmpfs there is where they lie. */
			if (*kind == MOUNT_TMPFS && strcmp(target, "/dev") == 0)
				*kind = MOUNT_DEV;
			return true;
		}
	}
	return false;
}

static bool parse_mount_entry(struct build *b, json_object *m, const char *where, const char *bundle,
			      struct error **err)
{
	cleanup_free const char **options = NULL;
	const char *target, *type, *source;
	enum config_mount_kind kind;
	struct mount_options o = {0};
	struct config_mount *cm;
	size_t n;

	if (!json_object_is_type(m, json_type_object))
		return error_set(err, "%s is not an object", where);
	if (!json_get_string(m, where, "destination", &target, err) ||
	    !json_get_string(m, where, "type", &type, err) || !json_get_string(m, where, "source", &source, err) ||
	    !json_get_strings(m, where, "options", &options, &n, err))
		return false;
	if (target == NULL || target[0] != '/' || strcmp(target, "/") == 0)
		return error_set(err, "%s.destination is not an absolute path below /", where);
	for (size_t i = 0; i < n; i++) {
		if (!one_option(&o, options[i], where, err))
			return false;
	}
	o.flags = (o.flags & ~o.rclear) | o.rset;
	if (o.bind || (type != NULL && strcmp(type, "bind") == 0)) {
		cleanup_free char *full = NULL;

		if (source == NULL || *source == '\0')
			return error_set(err, "%s.source is missing", where);
		full = source[0] == '/' ? xstrdup(source) : xasprintf("%s/%s", bundle, source);
		if (!build_bind(b, full, target, o.flags, err))
			return error_wrap(err, "%s", where);
		show_options(&o);
		cm = &b->c->mounts[b->c->nmounts - 1];
		cm->options = build_str(b, o.shown);
		return idmap_read_mount(b, m, where, cm, o.idmap, err);
	}
	if (type == NULL || !mount_kind(type, target, &kind))
		return error_set(err, "%s.type: a mount of type \"%s\" can't be had in a sandbox", where,
				 type != NULL ? type : "");
	show_options(&o);
	cm = build_mount(b, kind, source != NULL ? source : type, target, o.shown, o.flags, err);
	if (cm == NULL)
		return false;
	cm->size = o.size;
	cm->mode = o.mode;
	if (kind == MOUNT_TMPFS || kind == MOUNT_SHM) { /* devpts' gid= is what its terminals have anyway */
		cm->uid = o.uid;
		cm->gid = o.gid;
	}
	return idmap_read_mount(b, m, where, cm, o.idmap, err);
}

static bool parse_mounts(struct build *b, json_object *spec, const char *bundle, struct error **err)
{
	json_object *list;

	if (!json_get(spec, "", "mounts", json_type_array, &list, err))
		return false;
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		cleanup_free char *where = xasprintf("mounts[%zu]", i);

		if (!parse_mount_entry(b, json_object_array_get_idx(list, i), where, bundle, err))
			return false;
	}
	/* /dev is always there: the specification's devices don't depend on a mount. */
	for (uint32_t i = 0; i < b->c->nmounts; i++) {
		if (strcmp(config_str(b->c, b->c->mounts[i].target), "/dev") == 0)
			return true;
	}
	return build_mount(b, MOUNT_DEV, "tmpfs", "/dev", "rw,nosuid,size=65536k,mode=755", MS_NOSUID, err) != NULL;
}

/* ---- linux ---- */

static const char *const joined[JOIN_KINDS] = {[JOIN_USER] = "user", [JOIN_NETWORK] = "network", [JOIN_IPC] = "ipc", [JOIN_UTS] = "uts", [JOIN_PID] = "pid"};

/* Kept for pod.c, which looks whose they are. */
static bool join(struct build *b, const char *where, const char *type, const char *path, struct error **err)
{
	for (size_t k = 0; k < JOIN_KINDS; k++) {
		if (strcmp(type, joined[k]) != 0)
			continue;
		if (b->join[k].path != NULL)
			return error_set(err, "%s: there is a second %s namespace with a path", where, type);
		b->join[k].path = xstrdup(path);
		b->join[k].where = xstrdup(where);
		return true;
	}
	return error_set(err, "%s.path: a sandbox can't join the %s namespace %s", where, type, path);
}

static bool parse_namespaces(struct build *b, json_object *spec, json_object *os, bool *user, struct error **err)
{
	static const char *const known[] = {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time", NULL};
	json_object *list;

	if (!json_get(os, "linux", "namespaces", json_type_array, &list, err))
		return false;
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		cleanup_free char *where = xasprintf("linux.namespaces[%zu]", i);
		json_object *ns = json_object_array_get_idx(list, i);
		const char *type, *path;
		size_t k = 0;

		if (!json_object_is_type(ns, json_type_object))
			return error_set(err, "%s is not an object", where);
		if (!json_get_string(ns, where, "type", &type, err) || !json_get_string(ns, where, "path", &path, err))
			return false;
		while (known[k] != NULL && (type == NULL || strcmp(type, known[k]) != 0))
			k++;
		if (known[k] == NULL)
			return error_set(err, "%s.type: there is no namespace \"%s\" for a sandbox", where,
					 type != NULL ? type : "");
		*user |= strcmp(type, "user") == 0;
		if (path != NULL && *path != '\0') {
			if (!join(b, where, type, path, err))
				return false;
		} else if (strcmp(type, "network") == 0) {
			/* Who has hooks run in between wants to set it up. */
			b->c->net_new = hooks_any(spec, "prestart") || hooks_any(spec, "createRuntime");
		}
	}
	return true;
}

static bool parse_devices(json_object *os, struct error **err)
{
	static const char *const there[] = {"/dev/null", "/dev/zero",    "/dev/full", "/dev/random", "/dev/urandom",
					    "/dev/tty",  "/dev/console", "/dev/ptmx", NULL};
	json_object *list;

	if (!json_get(os, "linux", "devices", json_type_array, &list, err))
		return false;
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		cleanup_free char *where = xasprintf("linux.devices[%zu]", i);
		const char *path;
		size_t k = 0;

		if (!json_get_string(json_object_array_get_idx(list, i), where, "path", &path, err))
			return false;
		while (there[k] != NULL && (path == NULL || strcmp(path, there[k]) != 0))
			k++;
		if (there[k] == NULL)
			return error_set(err, "%s: the device %s can't be had in a sandbox", where,
					 path != NULL ? path : "(no path)");
	}
	return true;
}

/* A number or "max" (-1), and what stands behind it; *n stays if the file isn't named. */
static bool unified_number(json_object *unified, const char *file, int64_t *n, char **rest, struct error **err)
{
	const char *text;
	char *end;

	if (!json_get_string(unified, "linux.resources.unified", file, &text, err))
		return false;
	if (text == NULL)
		return true;
	if (starts(text, "max")) {
		*n = -1;
		*rest = (char *)(uintptr_t)text + 3;
		return true;
	}
	errno = 0;
	*n = strtoll(text, &end, 10);
	*rest = end;
	return (end != text && errno == 0 && *n >= 0) ||
	       error_set(err, "linux.resources.unified[\"%s\"]: \"%s\" is neither a number nor max", file, text);
}

/* Version 2's names for what the sandbox limits itself; the others are cgroup_limits.c's. */
static bool parse_unified(json_object *res, int64_t *limit, int64_t *quota, int64_t *period, int64_t *tasks,
			  struct error **err)
{
	json_object *unified;
	char *rest = NULL;

	if (!json_get(res, "linux.resources", "unified", json_type_object, &unified, err) ||
	    !unified_number(unified, "memory.max", limit, &rest, err) ||
	    !unified_number(unified, "pids.max", tasks, &rest, err))
		return false;
	rest = NULL;
	if (!unified_number(unified, "cpu.max", quota, &rest, err))
		return false;
	if (rest != NULL && *rest != '\0')
		*period = strtoll(rest, NULL, 10);
	return *period > 0 || error_set(err, "linux.resources.unified[\"cpu.max\"]: the period is not a number above 0");
}

static bool parse_resources(struct config *c, json_object *os, struct error **err)
{
	json_object *res, *memory, *cpu, *pids;
	int64_t limit = 0, quota = 0, period = 100000, tasks = 0;

	if (!json_get(os, "linux", "resources", json_type_object, &res, err) ||
	    !json_get(res, "linux.resources", "memory", json_type_object, &memory, err) ||
	    !json_get(res, "linux.resources", "cpu", json_type_object, &cpu, err) ||
	    !json_get(res, "linux.resources", "pids", json_type_object, &pids, err) ||
	    !json_get_int(memory, "linux.resources.memory", "limit", -1, INT64_MAX, &limit, NULL, err) ||
	    !json_get_int(cpu, "linux.resources.cpu", "quota", -1, INT64_MAX / 1000, &quota, NULL, err) ||
	    !json_get_int(cpu, "linux.resources.cpu", "period", 0, INT64_MAX, &period, NULL, err) ||
	    !json_get_int(pids, "linux.resources.pids", "limit", -1, INT64_MAX, &tasks, NULL, err))
		return false;
	if (period == 0) /* docker's word for "not said" */
		period = 100000;
	if (!parse_unified(res, &limit, &quota, &period, &tasks, err))
		return false;
	if (limit != 0) /* -1: none */
		c->memory_bytes = limit > 0 ? (uint64_t)limit : 0;
	if (quota < 0)
		c->cpu_permille = 0;
	if (quota > 0)
		c->cpu_permille =
			(uint32_t)(quota * 1000 / period > 4096000 ? 4096000
								   : quota * 1000 / period + (quota * 1000 < period));
	if (tasks < 0)
		c->max_tasks = 0;
	if (tasks > 0)
		c->max_tasks = tasks > 4194304 ? 4194304 : (uint32_t)tasks;
	return true;
}

/* Docker lets programs bind all ports. */
static bool unprivileged_ports(struct config *c, json_object *value, struct error **err)
{
	uint64_t n;

	if (!json_object_is_type(value, json_type_string) || !parse_number(json_object_get_string(value), 0, UINT16_MAX, &n, err))
		return error_set(err, "linux.sysctl[\"net.ipv4.ip_unprivileged_port_start\"] is not a port");
	c->unprivileged_ports = (uint16_t)n;
	return true;
}

/* Without raw sockets this one has nothing to allow; every other would change what the program sees. */
static bool parse_sysctl(struct config *c, json_object *os, struct error **err)
{
	json_object *map;

	if (!json_get(os, "linux", "sysctl", json_type_object, &map, err))
		return false;
	if (map == NULL)
		return true;
	json_object_object_foreach(map, key, value)
	{
		if (strcmp(key, "net.ipv4.ip_unprivileged_port_start") == 0) {
			if (!unprivileged_ports(c, value, err))
				return false;
		} else if (strcmp(key, "net.ipv4.ping_group_range") != 0)
			return error_set(err, "linux.sysctl[\"%s\"] can't be honoured in a sandbox", key);
	}
	return true;
}

static bool parse_paths(struct build *b, json_object *os, const char *key, enum config_path_kind kind,
			struct error **err)
{
	cleanup_free const char **paths = NULL;
	size_t n;

	if (!json_get_strings(os, "linux", key, &paths, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (paths[i][0] != '/')
			return error_set(err, "linux.%s[%zu]: \"%s\" is not absolute", key, i, paths[i]);
		if (!build_path_rule(b, kind, paths[i], err))
			return error_wrap(err, "linux.%s[%zu]", key, i);
	}
	return true;
}

static bool parse_ids(struct build *b, json_object *os, bool user, struct error **err)
{
	struct idmap_pair p;

	if (!idmap_read(os, "linux", &idmap_caller, &p, err))
		return false;
	if (p.nuids != 0 && !user)
		return error_set(err, "linux.uidMappings: there is no user namespace in linux.namespaces that they could be of: say {\"type\": \"user\"} there");
	return idmap_store(b, &p, err);
}

static bool parse_linux(struct build *b, json_object *spec, struct error **err)
{
	static const char *const refused[] = {"timeOffsets", "intelRdt", "netDevices",  "memoryPolicy", NULL};
	json_object *os, *personality;
	const char *domain;
	bool user = false;

	if (!json_get(spec, "", "linux", json_type_object, &os, err) || !refuse(os, "linux", refused, err) ||
	    !json_get(os, "linux", "personality", json_type_object, &personality, err) ||
	    !json_get_string(personality, "linux.personality", "domain", &domain, err))
		return false;
	if (domain != NULL && strcmp(domain, "LINUX") != 0)
		return error_set(err, "linux.personality.domain: \"%s\" can't be had, only LINUX (64 bit)", domain);
	return parse_namespaces(b, spec, os, &user, err) && parse_ids(b, os, user, err) && parse_devices(os, err) && parse_sysctl(b->c, os, err) &&
	       parse_resources(b->c, os, err) && seccomp_profile(b->c, os, err) &&
	       parse_paths(b, os, "maskedPaths", PATH_MASK, err) &&
	       parse_paths(b, os, "readonlyPaths", PATH_READONLY, err);
}

/* ---- the rest ---- */

static bool parse_root(struct build *b, json_object *spec, const char *bundle, struct error **err)
{
	cleanup_free char *dir = NULL;
	json_object *root;
	const char *path;

	if (!json_get(spec, "", "root", json_type_object, &root, err) ||
	    !json_get_string(root, "root", "path", &path, err) ||
	    !json_get_bool(root, "root", "readonly", &b->c->root_readonly, err))
		return false;
	if (path == NULL || *path == '\0')
		return error_set(err, "root.path is missing");
	dir = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", bundle, path);
	if (!build_root(b, dir, err))
		return error_wrap(err, "root.path");
	return true;
}

static bool parse_annotations(struct settings *s, json_object *spec, struct error **err)
{
	static const char prefix[] = "dev.sentrybox.";
	json_object *map;

	if (!json_get(spec, "", "annotations", json_type_object, &map, err))
		return false;
	if (map == NULL)
		return true;
	json_object_object_foreach(map, key, value)
	{
		if (!starts(key, prefix))
			continue;
		if (!json_object_is_type(value, json_type_string))
			return error_set(err, "annotations[\"%s\"] is not a string", key);
		if (!settings_annotation(s, key + strlen(prefix), json_object_get_string(value), err))
			return false;
	}
	return true;
}

static bool parse_names(struct build *b, json_object *spec, struct error **err)
{
	const char *host, *domain;

	if (!json_get_string(spec, "", "hostname", &host, err) || !json_get_string(spec, "", "domainname", &domain, err))
		return false;
	if ((host != NULL && strlen(host) > 64) || (domain != NULL && strlen(domain) > 64))
		return error_set(err, "hostname and domainname may have 64 bytes at most");
	b->c->hostname = build_str(b, host != NULL ? host : "sandbox");
	b->c->domainname = build_str(b, domain != NULL ? domain : "");
	return true;
}

bool spec_parse(struct build *b, struct settings *s, const char *bundle, const char *json, size_t len,
		struct error **err)
{
	static const char *const refused[] = {"solaris", "windows", "vm", "zos", NULL};
	struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH_MAX);
	cleanup_json json_object *spec = NULL;
	enum json_tokener_error bad;
	const char *version;

	if (tok == NULL)
		return error_set(err, "out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_VALIDATE_UTF8);
	spec = json_tokener_parse_ex(tok, json, (int)len);
	bad = json_tokener_get_error(tok);
	if (bad != json_tokener_success || spec == NULL) {
		error_set(err, "is not JSON: %s near byte %zu",
			  bad == json_tokener_continue ? "it ends too early" : json_tokener_error_desc(bad),
			  json_tokener_get_parse_end(tok));
		json_tokener_free(tok);
		return false;
	}
	json_tokener_free(tok);
	if (!json_object_is_type(spec, json_type_object))
		return error_set(err, "is not an object");
	if (!json_get_string(spec, "", "ociVersion", &version, err))
		return false;
	if (version == NULL || !starts(version, "1."))
		return error_set(err, "ociVersion is %s: only 1.x is known", version != NULL ? version : "missing");
	return refuse(spec, "", refused, err) && hooks_check(spec, err) && parse_root(b, spec, bundle, err) && parse_process(b, spec, err) &&
	       parse_names(b, spec, err) && parse_mounts(b, spec, bundle, err) && parse_linux(b, spec, err) &&
	       parse_annotations(s, spec, err);
}

char *spec_read(const char *bundle, size_t *len, struct error **err)
{
	cleanup_free char *path = xasprintf("%s/config.json", bundle);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	char *text;
	ssize_t n;

	*len = 0;
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(err, errno, "can't read %s (--bundle names the directory it lies in)", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > JSON_SIZE_MAX) {
		error_set(err, "%s is not a file of at most %d MiB", path, JSON_SIZE_MAX >> 20);
		return NULL;
	}
	text = xcalloc(1, (size_t)st.st_size + 1);
	while (*len < (size_t)st.st_size && (n = read(fd, text + *len, (size_t)st.st_size - *len)) > 0)
		*len += (size_t)n;
	return text;
}

bool spec_process(struct build *b, json_object *process, json_object *container, struct error **err)
{
	cleanup_json json_object *spec = json_object_new_object();
	struct idmap_pair p;
	struct idmaps maps;
	json_object *os;

	json_object_object_add(spec, "process", json_object_get(process));
	if (!parse_process(b, spec, err) || !json_get(container, "", "linux", json_type_object, &os, err) ||
	    !seccomp_profile(b->c, os, err) || !idmap_read(os, "linux", NULL, &p, err))
		return false;
	maps = (struct idmaps){{p.uids, p.nuids}, {p.gids, p.ngids}};
	if (!idmap_check_process(b->c, &maps, err))
		return false;
	b->c->cwd_create = false;
	b->c->container_init = false;
	b->c->pool_len = b->pool_used;
	if (b->full)
		return error_set(err, "arguments and environment are longer than %u KiB together", CONFIG_POOL >> 10);
	return true;
}

bool spec_resources(struct config *c, json_object *resources, struct error **err)
{
	cleanup_json json_object *os = json_object_new_object();

	json_object_object_add(os, "resources", json_object_get(resources));
	return parse_resources(c, os, err);
}
