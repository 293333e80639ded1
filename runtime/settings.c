/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of settings: see settings.h.
 *
 *	settings_table --> getopt_long's options --> settings_parse      sentrybox do --memory 64m
 *	      |       \--> annotations of a bundle                       "dev.sentrybox.memory": "64m"
 *	      \----------> the help page
 *
 * Values are checked here, when they are read, so that a message can name the flag; what they do is launch.c's.
 */
#include "runtime/settings.h"
#include "runtime/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>

extern char **environ;

/* Default host ids of sandboxes that root starts: far from people's, services' and user namespaces' ranges. */
#define UID_RANGE_LO 2000000000U
#define UID_RANGE_HI 2099999999U

static void append(char ***list, size_t *n, char *item)
{
	*list = xrealloc(*list, *n + 1, sizeof(**list));
	(*list)[(*n)++] = item;
}

static bool replace(char **slot, const char *value)
{
	free(*slot);
	*slot = xstrdup(value);
	return true;
}

/* ---- one function a setting, in the order of the table ---- */

static bool set_root_image(struct settings *s, const char *value, struct error **err)
{
	if (*value == '\0')
		return error_set(err, "names no directory or image");
	return replace(&s->root_image, value);
}

static bool absolute_path(const char *value, struct error **err)
{
	if (value[0] != '/')
		return error_set(err, "\"%s\" is not absolute: it is a path in the sandbox", value);
	return true;
}

static bool set_cwd(struct settings *s, const char *value, struct error **err)
{
	return absolute_path(value, err) && replace(&s->cwd, value);
}

static bool set_readonly_root(struct settings *s, const char *value, struct error **err)
{
	if (value == NULL || strcmp(value, "true") == 0)
		s->readonly_root = true;
	else if (strcmp(value, "false") == 0)
		s->readonly_root = false;
	else
		return error_set(err, "\"%s\" is neither true nor false", value);
	return true;
}

static bool set_root_writes(struct settings *s, const char *value, struct error **err)
{
	s->root_writes = strcmp(value, "keep") == 0;
	return s->root_writes || strcmp(value, "discard") == 0 || error_set(err, "\"%s\" is neither keep nor discard", value);
}

static bool set_mount(struct settings *s, const char *value, struct error **err)
{
	struct mount_arg m = {0};

	if (!parse_mount(value, &m, err)) {
		free(m.source);
		free(m.target);
		return false;
	}
	s->mounts = xrealloc(s->mounts, s->nmounts + 1, sizeof(*s->mounts));
	s->mounts[s->nmounts++] = m;
	return true;
}

static bool set_hide(struct settings *s, const char *value, struct error **err)
{
	if (!absolute_path(value, err))
		return false;
	append(&s->hide, &s->nhide, xstrdup(value));
	return true;
}

static bool set_copy_out(struct settings *s, const char *value, struct error **err)
{
	struct copy_out_arg c = {0};

	if (s->ncopy_out == CONFIG_MAX_COPY_OUT)
		return error_set(err, "at most %d paths can be copied out: name a directory that holds them",
				 CONFIG_MAX_COPY_OUT);
	if (!parse_copy_out(value, &c, err))
		return false;
	s->copy_out = xrealloc(s->copy_out, s->ncopy_out + 1, sizeof(*s->copy_out));
	s->copy_out[s->ncopy_out++] = c;
	return true;
}

static bool set_env(struct settings *s, const char *value, struct error **err)
{
	const char *eq = strchr(value, '=');
	cleanup_free char *passed = NULL;

	if (*value == '\0' || eq == value)
		return error_set(err, "\"%s\" names no variable: write K=V, or K to pass the caller's", value);
	if (eq == NULL) {
		const char *have = getenv(value);

		if (have == NULL)
			return error_set(err, "the caller has no variable %s: write %s=VALUE", value, value);
		passed = xasprintf("%s=%s", value, have);
		value = passed;
	}
	settings_setenv(s, value);
	return true;
}

static bool set_env_file(struct settings *s, const char *value, struct error **err)
{
	cleanup_fclose FILE *f = fopen(value, "re");
	cleanup_free char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	if (f == NULL)
		return error_errno(err, errno, "can't read %s", value);
	for (unsigned n = 1; (len = getline(&line, &cap, f)) >= 0; n++) {
		if (len > 0 && line[len - 1] == '\n')
			line[--len] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if ((size_t)len != strlen(line))
			return error_set(err, "%s line %u has a NUL byte in it", value, n);
		if (!set_env(s, line, err))
			return error_wrap(err, "%s line %u", value, n);
	}
	return true;
}

static bool set_user(struct settings *s, const char *value, struct error **err)
{
	const char *colon = strchr(value, ':');
	size_t len = colon != NULL ? (size_t)(colon - value) : strlen(value);

	if (len == 0 || (colon != NULL && colon[1] == '\0'))
		return error_set(err, "\"%s\" is not a user: write NAME, UID or UID:GID", value);
	return replace(&s->user, value);
}

static bool set_hostname(struct settings *s, const char *value, struct error **err)
{
	if (*value == '\0' || strlen(value) > 64)
		return error_set(err, "a host name has 1 to 64 bytes, not %zu", strlen(value));
	return replace(&s->hostname, value);
}

static bool set_memory(struct settings *s, const char *value, struct error **err)
{
	if (!parse_size(value, &s->memory, err))
		return false;
	if (s->memory < 4 << 20)
		return error_set(err, "%s is too little to start anything: at least 4m", value);
	return true;
}

static bool set_cpus(struct settings *s, const char *value, struct error **err)
{
	return parse_cpus(value, &s->cpu_permille, err);
}

static bool set_pids(struct settings *s, const char *value, struct error **err)
{
	return parse_number(value, 1, 4194304, &s->pids, err);
}

static bool set_disk(struct settings *s, const char *value, struct error **err)
{
	return parse_size(value, &s->disk, err);
}

static bool set_timeout(struct settings *s, const char *value, struct error **err)
{
	return parse_duration(value, &s->timeout_ms, err);
}

static bool set_idle_timeout(struct settings *s, const char *value, struct error **err)
{
	return parse_duration(value, &s->idle_timeout_ms, err);
}

static bool set_egress(struct settings *s, const char *value, struct error **err)
{
	struct config_egress e;

	if (!parse_egress(value, &e, err))
		return false;
	if (s->negress == CONFIG_MAX_EGRESS)
		return error_set(err, "at most %d rules: join networks by shorter prefixes", CONFIG_MAX_EGRESS);
	append(&s->egress, &s->negress, xstrdup(value));
	return true;
}

static bool set_ingress(struct settings *s, const char *value, struct error **err)
{
	struct config_ingress in;

	if (!parse_ingress(value, &in, err))
		return false;
	if (s->ningress == CONFIG_MAX_INGRESS)
		return error_set(err, "at most %d rules: join ports to ranges", CONFIG_MAX_INGRESS);
	append(&s->ingress, &s->ningress, xstrdup(value));
	return true;
}

static bool set_platform(struct settings *s, const char *value, struct error **err)
{
	if (strcmp(value, "notify") == 0)
		s->platform = CONFIG_NOTIFY;
	else if (strcmp(value, "ptrace") == 0)
		s->platform = CONFIG_PTRACE;
	else
		return error_set(err, "\"%s\" is not a platform: notify or ptrace", value);
	return true;
}

static bool set_gate(struct settings *s, const char *value, struct error **err)
{
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		return error_set(err, "\"%s\" is neither on nor off", value);
	s->no_gate = strcmp(value, "off") == 0;
	return true;
}

static bool set_gate_exclude(struct settings *s, const char *value, struct error **err)
{
	if (!absolute_path(value, err))
		return false;
	append(&s->gate_exclude, &s->ngate_exclude, xstrdup(value));
	return true;
}

static bool set_gate_cache(struct settings *s, const char *value, struct error **err)
{
	if (*value == '\0')
		return error_set(err, "names no directory");
	s->no_gate_cache = strcmp(value, "off") == 0;
	return replace(&s->gate_cache, value);
}

static bool set_output(struct output *o, const char *value, struct error **err)
{
	if (value != NULL && *value == '\0')
		return error_set(err, "names no file");
	o->to = value != NULL && strcmp(value, "-") != 0 ? OUTPUT_FILE : OUTPUT_STDERR;
	return o->to == OUTPUT_FILE ? replace(&o->file, value) : true;
}

static bool set_strace(struct settings *s, const char *value, struct error **err)
{
	return set_output(&s->strace, value, err);
}

static bool set_debug_log(struct settings *s, const char *value, struct error **err)
{
	return set_output(&s->debug, value, err);
}

static bool set_audit(struct settings *s, const char *value, struct error **err)
{
	return set_output(&s->audit, value, err);
}

static bool set_backtrace(struct settings *s, const char *value, struct error **err)
{
	(void)value;
	(void)err;
	s->backtrace = true;
	return true;
}

static bool set_stats(struct settings *s, const char *value, struct error **err)
{
	if (value != NULL && strcmp(value, "json") != 0 && strcmp(value, "text") != 0)
		return error_set(err, "\"%s\" is not a format: json, or nothing for text", value);
	s->stats = value != NULL && strcmp(value, "json") == 0 ? STATS_JSON : STATS_TEXT;
	return true;
}

static bool set_json(struct settings *s, const char *value, struct error **err)
{
	(void)value;
	(void)err;
	s->json = true;
	return true;
}

static bool set_uid_range(struct settings *s, const char *value, struct error **err)
{
	const char *dash = strchr(value, '-');
	cleanup_free char *low = dash != NULL ? xstrndup(value, (size_t)(dash - value)) : NULL;
	uint64_t lo, hi;

	if (low == NULL)
		return error_set(err, "\"%s\" is not a range: write FIRST-LAST", value);
	if (!parse_number(low, 1, UINT32_MAX - 1, &lo, err) || !parse_number(dash + 1, lo, UINT32_MAX - 1, &hi, err))
		return false;
	s->uid_lo = (uint32_t)lo;
	s->uid_hi = (uint32_t)hi;
	return true;
}

static const struct {
	int nr;
	const char *name;
} call_names[] = {
#define ROW(nr, name, verdict, state, trace, note) {nr, #name},
#include "syscalls/table.def"
#undef ROW
};

static bool set_fail_call(struct settings *s, const char *value, struct error **err)
{
	for (size_t i = 0; i < sizeof(call_names) / sizeof(call_names[0]); i++) {
		if (strcmp(value, call_names[i].name) == 0) {
			s->fail_call = call_names[i].nr;
			return true;
		}
	}
	return error_set(err, "\"%s\" is not the name of a system call", value);
}

static bool set_fail_alloc(struct settings *s, const char *value, struct error **err)
{
	return parse_number(value, 1, INT64_MAX, &s->fail_alloc, err);
}

#define FILES "Files"
#define PROGRAM "The program"
#define LIMITS "Limits"
#define NETWORK "Network"
#define RESULTS "Results"
#define INSIDE "Looking inside"

const struct setting settings_table[] = {
	{"root-image", ARG_REQUIRED, false, false, FILES, "DIR|FILE",
	 "use DIR, or an EROFS image (`sentrybox image build`), as the root\ninstead of the host's (read-only as well)", set_root_image},
	{"readonly-root", ARG_NONE, false, true, FILES, NULL, "let nothing be written to the root, not even in memory",
	 set_readonly_root},
	{"mount", ARG_REQUIRED, true, false, FILES, "SRC:DST[:ro|rw]",
	 "show the host's SRC at DST, read-only unless rw is said; what is\nwritten to an rw mount is written on the "
	 "host",
	 set_mount},
	{"hide", ARG_REQUIRED, true, true, FILES, "PATH",
	 "as if PATH did not exist; of the host's root, credentials are hidden\nanyway (see below)", set_hide},
	{"copy-out", ARG_REQUIRED, true, false, FILES, "PATH:HOSTPATH",
	 "when the run has ended, copy a file or tree out of the sandbox", set_copy_out},
	{"root-writes", ARG_REQUIRED, false, true, NULL, NULL, NULL, set_root_writes}, /* of bundles alone */
	{"cwd", ARG_REQUIRED, false, false, PROGRAM, "DIR",
	 "start in DIR (the caller's directory; / with --root-image)", set_cwd},
	{"user", ARG_REQUIRED, false, false, PROGRAM, "NAME|UID[:GID]",
	 "run as this user of the sandbox's /etc/passwd (the caller's ids)", set_user},
	{"env", ARG_REQUIRED, true, false, PROGRAM, "K=V|K", "set a variable, or pass the caller's by name", set_env},
	{"env-file", ARG_REQUIRED, true, false, PROGRAM, "FILE",
	 "set variables from lines K=V; # begins a comment line", set_env_file},
	{"hostname", ARG_REQUIRED, false, true, PROGRAM, "NAME", "what uname says (sandbox)", set_hostname},
	{"memory", ARG_REQUIRED, false, true, LIMITS, "SIZE", "all memory together, files included: 64m, 1.5g",
	 set_memory},
	{"cpus", ARG_REQUIRED, false, true, LIMITS, "N", "CPUs' worth of time: 0.5, 2", set_cpus},
	{"pids", ARG_REQUIRED, false, true, LIMITS, "N", "processes and threads at a time", set_pids},
	{"disk", ARG_REQUIRED, false, true, LIMITS, "SIZE", "data in files, of the memory: 100m", set_disk},
	{"timeout", ARG_REQUIRED, false, true, LIMITS, "TIME", "end the run after this time: 30s, 5m", set_timeout},
	{"idle-timeout", ARG_REQUIRED, false, true, LIMITS, "TIME", "end it when nothing has happened for this time",
	 set_idle_timeout},
	{"egress-allow", ARG_REQUIRED, true, true, NETWORK, "CIDR[:PORT[-PORT]]",
	 "let TCP connect to these addresses: 10.0.0.0/8:443, 127.0.0.1:8080,\n[fd00::/8]:80-90. Nothing else leaves "
	 "the "
	 "sandbox",
	 set_egress},
	{"ingress-allow", ARG_REQUIRED, true, true, NETWORK, "[ADDR:]PORT[-PORT][/udp]",
	 "let TCP from outside reach what the program listens on there, at the\nwildcard address: 8080, "
	 "127.0.0.1:8080, [::1]:80-90. ADDR is the\nhost's; without it all of the host's addresses. 53/udp: what it\n"
	 "binds for UDP; nothing but replies goes out",
	 set_ingress},
	{"json", ARG_NONE, false, false, RESULTS, NULL,
	 "print one object at the end: exit status or signal, limits reached,\ndenials, stdout, stderr, resources",
	 set_json},
	{"stats", ARG_OPTIONAL, false, false, RESULTS, "json", "print what the run used, on stderr", set_stats},
	{"audit", ARG_REQUIRED, false, false, RESULTS, "FILE",
	 "write each denial as a line of JSON: who, what, why, and what\nwould be allowed (- for stderr)", set_audit},
	{"backtrace", ARG_NONE, false, false, RESULTS, NULL,
	 "with --audit or --json: where in the program each denied call was\nmade", set_backtrace},
	{"strace", ARG_OPTIONAL, false, false, INSIDE, "FILE", "write every system call as strace does (stderr)",
	 set_strace},
	{"debug-log", ARG_OPTIONAL, false, false, INSIDE, "FILE", "write what the sandbox's kernel has to say (stderr)",
	 set_debug_log},
	{"platform", ARG_REQUIRED, false, true, INSIDE, "NAME",
	 "how system calls are caught: notify (default) or ptrace", set_platform},
	{"gate", ARG_REQUIRED, false, true, INSIDE, "on|off",
	 "rewrite busy system call sites so that they need no context switch\n(on)", set_gate},
	{"gate-exclude", ARG_REQUIRED, true, true, INSIDE, "PATH",
	 "never rewrite this program or library, or those in this directory", set_gate_exclude},
	{"gate-cache", ARG_REQUIRED, false, false, INSIDE, "DIR|off",
	 "where what is known of call sites is kept from one run to the next\n(/var/cache/sentrybox, ~/.cache/sentrybox)",
	 set_gate_cache},
	{"uid-range", ARG_REQUIRED, false, false, INSIDE, "FIRST-LAST",
	 "as root: host ids to run sandboxes under (2000000000-2099999999)", set_uid_range},
	{"fail-call", ARG_REQUIRED, false, false, NULL, NULL, NULL, set_fail_call},
	{"fail-alloc", ARG_REQUIRED, false, false, NULL, NULL, NULL, set_fail_alloc},
	{0},
};

/* ---- environment ---- */

void settings_setenv(struct settings *s, const char *assignment)
{
	size_t len = strcspn(assignment, "=") + 1;

	for (size_t i = 0; i < s->nenv; i++) {
		if (strncmp(s->env[i], assignment, len) == 0) {
			free(s->env[i]);
			s->env[i] = xstrdup(assignment);
			return;
		}
	}
	append(&s->env, &s->nenv, xstrdup(assignment));
}

const char *settings_getenv(const struct settings *s, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < s->nenv; i++) {
		if (strncmp(s->env[i], name, len) == 0 && s->env[i][len] == '=')
			return s->env[i] + len + 1;
	}
	return NULL;
}

/* ---- the table's users ---- */

void settings_init(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	s->uid_lo = UID_RANGE_LO;
	s->uid_hi = UID_RANGE_HI;
	s->fail_call = -1;
}

static void free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void settings_free(struct settings *s)
{
	free(s->root_image);
	free(s->cwd);
	free(s->user);
	free(s->hostname);
	free_list(s->env, s->nenv);
	free_list(s->hide, s->nhide);
	free(s->gate_cache);
	free_list(s->gate_exclude, s->ngate_exclude);
	free_list(s->egress, s->negress);
	free_list(s->ingress, s->ningress);
	for (size_t i = 0; i < s->nmounts; i++) {
		free(s->mounts[i].source);
		free(s->mounts[i].target);
	}
	free(s->mounts);
	for (size_t i = 0; i < s->ncopy_out; i++) {
		free(s->copy_out[i].guest);
		free(s->copy_out[i].host);
	}
	free(s->copy_out);
	free(s->strace.file);
	free(s->debug.file);
	free(s->audit.file);
}

#define NSETTINGS (sizeof(settings_table) / sizeof(settings_table[0]) - 1)

static bool unknown_flag(const char *verb, const char *word, struct error **err)
{
	const char *names[NSETTINGS + 2];
	cleanup_free char *name = xstrndup(word + strspn(word, "-"), strcspn(word + strspn(word, "-"), "="));
	const char *near;
	size_t n = 0;

	for (size_t i = 0; i < NSETTINGS; i++) {
		if (settings_table[i].group != NULL)
			names[n++] = settings_table[i].name;
	}
	names[n++] = "help";
	names[n] = NULL;
	near = nearest_word(name, names);
	if (near != NULL)
		return error_set(err, "%s: there is no flag %s: did you mean --%s?", verb, word, near);
	return error_set(err,
			 "%s: there is no flag %s: `sentrybox help %s` lists them (a program's own flags go behind --)",
			 verb, word, verb);
}

int settings_parse(struct settings *s, const char *verb, int argc, char **argv, bool *help, struct error **err)
{
	static const int has_arg[] = {
		[ARG_NONE] = no_argument, [ARG_REQUIRED] = required_argument, [ARG_OPTIONAL] = optional_argument};
	struct option options[NSETTINGS + 2] = {0};
	int c;

	for (size_t i = 0; i < NSETTINGS; i++)
		options[i] =
			(struct option){settings_table[i].name, has_arg[settings_table[i].arg], NULL, (int)(256 + i)};
	options[NSETTINGS] = (struct option){"help", no_argument, NULL, 'h'};
	*help = false;
	opterr = 0;
	optind = 1;
	for (;;) {
		int at = optind;
		const struct setting *set;

		c = getopt_long(argc, argv, "+:h", options, NULL);
		if (c == -1)
			return optind;
		if (c == 'h') {
			*help = true;
			return optind;
		}
		if (c == '?') {
			if (optopt >= 256) {
				error_set(err, "%s: --%s takes no value", verb, settings_table[optopt - 256].name);
				return -1;
			}
			unknown_flag(verb, argv[at], err);
			return -1;
		}
		set = &settings_table[c == ':' ? optopt - 256 : c - 256];
		if (c == ':') {
			error_set(err, "%s: --%s needs a value: --%s %s", verb, set->name, set->name,
				  set->arg_name != NULL ? set->arg_name : "VALUE");
			return -1;
		}
		if (!set->apply(s, optarg, err)) {
			error_wrap(err, "%s: --%s", verb, set->name);
			return -1;
		}
	}
}

static const struct setting *for_bundles(const char *name)
{
	for (const struct setting *set = settings_table; set->name != NULL; set++)
		if (strcmp(set->name, name) == 0 && set->annotation)
			return set;
	return NULL;
}

static bool apply_words(const struct setting *set, struct settings *s, const char *value, struct error **err)
{
	cleanup_free char *copy = xstrdup(value);
	char *save = NULL;

	if (!set->list)
		return set->apply(s, value, err);
	for (char *w = strtok_r(copy, " ,\n\t", &save); w != NULL; w = strtok_r(NULL, " ,\n\t", &save))
		if (!set->apply(s, w, err))
			return false;
	return true;
}

bool settings_annotation(struct settings *s, const char *key, const char *value, struct error **err)
{
	const struct setting *set = for_bundles(key);

	if (set == NULL)
		return error_set(err, "annotations[\"dev.sentrybox.%s\"]: there is no such setting for bundles", key);
	return apply_words(set, s, value, err) || error_wrap(err, "annotations[\"dev.sentrybox.%s\"]", key);
}

#define DEFAULTS_MAX 64
static const char *defaults[DEFAULTS_MAX];
static size_t ndefaults;

static bool apply_default(struct settings *s, const char *text, struct error **err)
{
	const char *eq = strchr(text, '=');
	cleanup_free char *name = xstrndup(text, eq != NULL ? (size_t)(eq - text) : 0);
	const struct setting *set = for_bundles(name);

	if (set == NULL)
		return error_set(err, "--default %s: write NAME=VALUE, with a name that `sentrybox help run` lists as an annotation", text);
	return apply_words(set, s, eq + 1, err) || error_wrap(err, "--default %s", name);
}

bool settings_add_default(const char *text, struct error **err)
{
	struct settings tried;
	bool ok;

	if (ndefaults == DEFAULTS_MAX)
		return error_set(err, "at most %d --default", DEFAULTS_MAX);
	settings_init(&tried);
	ok = apply_default(&tried, text, err); /* said at once, not when a container is made */
	settings_free(&tried);
	defaults[ndefaults++] = text;
	return ok;
}

bool settings_apply_defaults(struct settings *s, struct error **err)
{
	for (size_t i = 0; i < ndefaults; i++)
		if (!apply_default(s, defaults[i], err))
			return false;
	return true;
}

#define HELP_COLUMN 32
void settings_help(FILE *out)
{
	const char *group = NULL;

	for (const struct setting *set = settings_table; set->name != NULL; set++) {
		const char *line = set->help;
		int width;

		if (set->group == NULL)
			continue;
		if (group == NULL || strcmp(group, set->group) != 0) {
			group = set->group;
			fprintf(out, "\n%s\n", group);
		}
		width = fprintf(out, "  --%s%s%s%s", set->name,
				set->arg == ARG_OPTIONAL   ? "[="
				: set->arg == ARG_REQUIRED ? " "
							   : "",
				set->arg != ARG_NONE ? set->arg_name : "", set->arg == ARG_OPTIONAL ? "]" : "");
		if (width >= HELP_COLUMN - 1) {
			fputc('\n', out);
			width = 0;
		}
		for (;;) {
			size_t len = strcspn(line, "\n");

			fprintf(out, "%*s%.*s\n", HELP_COLUMN - width, "", (int)len, line);
			if (line[len] == '\0')
				break;
			line += len + 1;
			width = 0;
		}
	}
}
