/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `do` hides of the host's root without being asked: places where programs keep credentials. The list is printed
 * by `sentrybox help do` and stands in docs/policy.md; it is a courtesy, not a boundary: what must not be read goes
 * behind
 * --hide, or better, is not in the root at all (--root-image).
 *
 * The caller's and root's home get a rule for each name whether or not it is there; every other home only for what is.
 */
#include "runtime/build.h"
#include "runtime/cleanup.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

/* Of each person's home. The first CORE_NAMES are looked for in the homes of services too. */
#define CORE_NAMES 6
static const char *const home_names[] = {
	".ssh",
	".aws",
	".gnupg",
	".netrc",
	".docker",
	".kube",
	".azure",
	".config/gcloud",
	".config/gh",
	".config/op",
	".config/containers/auth.json",
	".config/rclone",
	".git-credentials",
	".config/git/credentials",
	".npmrc",
	".pypirc",
	".cargo/credentials",
	".cargo/credentials.toml",
	".gem/credentials",
	".m2/settings.xml",
	".terraform.d",
	".vault-token",
	".claude",
	".claude.json",
	".codex",
	".gemini",
	".password-store",
	".local/share/keyrings",
	".mozilla",
	".config/google-chrome",
	".config/chromium",
	".pgpass",
	".my.cnf",
	".bash_history",
	".zsh_history",
	".python_history",
};

static const char *const system_paths[] = {
	"/etc/shadow",
	"/etc/shadow-",
	"/etc/gshadow",
	"/etc/gshadow-",
	"/etc/sudoers",
	"/etc/sudoers.d",
	"/etc/ssl/private",
	"/etc/kubernetes",
	"/etc/NetworkManager/system-connections",
	"/etc/wireguard",
	"/etc/krb5.keytab",
	"/run/secrets",
	"/var/run/secrets",
	"/var/lib/kubelet",
	"/var/lib/docker",
	"/var/lib/containers",
	"/run/user",
	"/etc/ssh/ssh_host_rsa_key",
	"/etc/ssh/ssh_host_ecdsa_key",
	"/etc/ssh/ssh_host_ed25519_key",
};

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

void print_default_hides(FILE *out)
{
	int width = 2;

	fputs("  ", out);
	for (size_t i = 0; i < LEN(home_names) + LEN(system_paths); i++) {
		const char *name = i < LEN(home_names) ? home_names[i] : system_paths[i - LEN(home_names)];
		int n = (int)strlen(name) + (i < LEN(home_names) ? 3 : 1);

		if (width + n > 100) {
			fputs("\n  ", out);
			width = 2;
		}
		fprintf(out, "%s%s ", i < LEN(home_names) ? "~/" : "", name);
		width += n;
	}
	fputc('\n', out);
}

/* Homes that have been looked at: passwd has several users of one, and the caller's and root's besides. */
static struct home {
	dev_t dev;
	ino_t ino;
	size_t names; /* so many of home_names have their rules, or aren't there */
} seen[64];
static size_t nseen;

/* How many of the names have been looked for in this directory; from now on that is names, or more. */
static size_t seen_before(const struct stat *st, size_t names)
{
	for (size_t i = 0; i < nseen; i++) {
		if (seen[i].dev == st->st_dev && seen[i].ino == st->st_ino) {
			size_t before = seen[i].names;

			seen[i].names = before > names ? before : names;
			return before;
		}
	}
	if (nseen < LEN(seen))
		seen[nseen++] = (struct home){st->st_dev, st->st_ino, names};
	return 0;
}

/*
 * Which of home_names could be there, a bit for each: their first components are looked for among the directory's entries,
 * which takes fewer calls than asking for each. All, if the directory can't be read or is a large one.
 */
static uint64_t names_there(const char *home)
{
	cleanup_closedir DIR *dir = opendir(home);
	unsigned left = 500;
	uint64_t there = 0;
	struct dirent *d;

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		size_t len = strlen(d->d_name);

		if (left-- == 0)
			return UINT64_MAX;
		if (d->d_name[0] != '.')
			continue;
		for (size_t i = 0; i < LEN(home_names); i++)
			if (strncmp(home_names[i], d->d_name, len) == 0 &&
			    (home_names[i][len] == '/' || home_names[i][len] == '\0'))
				there |= 1ULL << i;
	}
	return dir != NULL ? there : UINT64_MAX;
}
_Static_assert(LEN(home_names) <= 64, "names_there has a bit for each");

static bool hide_in_home(struct build *b, const char *home, size_t names, bool always, struct error **err)
{
	cleanup_close int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t there = UINT64_MAX;
	struct stat st;
	size_t i = 0;

	if (home[0] != '/' || strcmp(home, "/") == 0 || (dir < 0 && !always))
		return true;
	if (dir >= 0 && fstat(dir, &st) == 0)
		i = seen_before(&st, names);
	if (!always && i < names && names > CORE_NAMES)
		there = names_there(home);
	for (; i < names; i++) {
		cleanup_free char *path = NULL;

		if (!always && ((there >> i & 1) == 0 || fstatat(dir, home_names[i], &st, AT_SYMLINK_NOFOLLOW) < 0))
			continue;
		path = xasprintf("%s/%s", home, home_names[i]);
		if (!build_path_rule(b, PATH_HIDE, path, err))
			return false;
	}
	return true;
}

static bool service_home(const char *dir)
{
	static const char *const not_homes[] = {"/bin",  "/sbin", "/usr/",        "/dev",
						"/proc", "/run",  "/nonexistent", "/var/run/"};

	for (size_t i = 0; i < LEN(not_homes); i++) {
		if (strncmp(dir, not_homes[i], strlen(not_homes[i])) == 0)
			return false;
	}
	return true;
}

/* Every home that /etc/passwd knows: people's (and root's) in full, services' for the worst. */
static bool hide_passwd_homes(struct build *b, struct error **err)
{
	cleanup_fclose FILE *f = fopen("/etc/passwd", "re");
	cleanup_free char *line = NULL;
	size_t cap = 0;

	while (f != NULL && getline(&line, &cap, f) > 0) {
		char *save = line, *field[7] = {0};
		unsigned long uid;

		for (int i = 0; i < 7; i++)
			field[i] = strsep(&save, ":\n");
		if (field[5] == NULL || field[2] == NULL)
			continue;
		uid = strtoul(field[2], NULL, 10);
		if (uid != 0 && uid < 1000 && !service_home(field[5]))
			continue;
		if (!hide_in_home(b, field[5], uid == 0 || uid >= 1000 ? LEN(home_names) : CORE_NAMES, false, err))
			return false;
	}
	return true;
}

bool build_default_hides(struct build *b, const char *home, struct error **err)
{
	cleanup_closedir DIR *homes = NULL;
	struct dirent *d;

	for (size_t i = 0; i < LEN(system_paths); i++) {
		if (!build_path_rule(b, PATH_HIDE, system_paths[i], err))
			return false;
	}
	if (!hide_in_home(b, "/root", LEN(home_names), true, err))
		return false;
	if (home != NULL && home[0] == '/' && !hide_in_home(b, home, LEN(home_names), true, err))
		return false;
	if (!hide_passwd_homes(b, err))
		return false;
	homes = opendir("/home");
	while (homes != NULL && (d = readdir(homes)) != NULL) {
		cleanup_free char *path = NULL;

		if (d->d_name[0] == '.')
			continue;
		path = xasprintf("/home/%s", d->d_name);
		if (!hide_in_home(b, path, LEN(home_names), false, err))
			return false;
	}
	return true;
}
