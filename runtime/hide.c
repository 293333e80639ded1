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

static bool hide_in_home(struct build *b, const char *home, size_t names, bool always, struct error **err)
{
	cleanup_close int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (home[0] != '/' || strcmp(home, "/") == 0 || (dir < 0 && !always))
		return true;
	for (size_t i = 0; i < names; i++) {
		cleanup_free char *path = NULL;

		if (!always && fstatat(dir, home_names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
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
