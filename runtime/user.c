/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the program is: names and ids from the sandbox root's own /etc/passwd and /etc/group. Those files may be a
 * stranger's: they are opened inside the root (image.c), must be regular, are read up to a size, line by line.
 *
 * A UID without an entry gets the group of the same number (never group 0 by accident), no further groups, and / as
 * home.
 */
#include "runtime/build.h"
#include "runtime/cleanup.h"

#include <string.h>
#include <sys/types.h>

static bool id_number(const char *s, uint32_t *id)
{
	struct error *err = NULL;
	uint64_t n;

	if (s == NULL || !parse_number(s, 0, UINT32_MAX - 1, &n, &err)) {
		error_free(err);
		return false;
	}
	*id = (uint32_t)n;
	return true;
}

/* Splits the next line of *text at its colons. false at the end. */
static bool next_line(char **text, char *field[], int n)
{
	char *line;

	if (*text == NULL || **text == '\0')
		return false;
	line = strsep(text, "\n");
	for (int i = 0; i < n; i++)
		field[i] = strsep(&line, ":");
	return true;
}

struct account {
	char *name; /* NULL: no entry */
	uint32_t uid, gid;
	char *home;
};

/* By name, or by uid if name is NULL. */
static bool find_account(struct build *b, const char *name, uint32_t uid, struct account *a)
{
	cleanup_free char *text = build_read_file(b, "/etc/passwd");
	char *p = text, *f[6];
	uint32_t u, g;

	while (next_line(&p, f, 6)) {
		if (!id_number(f[2], &u) || !id_number(f[3], &g) || (name != NULL ? strcmp(f[0], name) != 0 : u != uid))
			continue;
		a->name = xstrdup(f[0]);
		a->uid = u;
		a->gid = g;
		a->home = f[5] != NULL && f[5][0] == '/' ? xstrdup(f[5]) : NULL;
		return true;
	}
	return false;
}

static bool find_group(struct build *b, const char *name, uint32_t *gid)
{
	cleanup_free char *text = build_read_file(b, "/etc/group");
	char *p = text, *f[4];

	while (next_line(&p, f, 4)) {
		if (strcmp(f[0], name) == 0 && id_number(f[2], gid))
			return true;
	}
	return false;
}

static void add_group(struct config *c, uint32_t gid)
{
	for (uint32_t i = 0; i < c->ngroups; i++) {
		if (c->groups[i] == gid)
			return;
	}
	if (c->ngroups < CONFIG_MAX_GROUPS)
		c->groups[c->ngroups++] = gid;
}

static void add_groups_of(struct build *b, const char *user)
{
	cleanup_free char *text = build_read_file(b, "/etc/group");
	char *p = text, *f[4];
	uint32_t gid;

	while (next_line(&p, f, 4)) {
		char *member;

		if (!id_number(f[2], &gid))
			continue;
		while ((member = strsep(&f[3], ",")) != NULL) {
			if (strcmp(member, user) == 0)
				add_group(b->c, gid);
		}
	}
}

void build_caps(struct build *b)
{
	struct config *c = b->c;

	c->cap_bounding = DOCKER_CAPS;
	c->cap_permitted = c->cap_effective = c->uid == 0 ? DOCKER_CAPS : 0;
	c->cap_inheritable = c->cap_ambient = 0;
}

bool build_user(struct build *b, const char *user, char **home, struct error **err)
{
	cleanup_free char *name = xstrdup(user);
	char *group = strchr(name, ':');
	struct account a = {0};
	struct config *c = b->c;
	uint32_t uid;

	if (group != NULL)
		*group++ = '\0';
	if (id_number(name, &uid)) {
		if (!find_account(b, NULL, uid, &a))
			a.uid = a.gid = uid;
	} else if (!find_account(b, name, 0, &a)) {
		return error_set(err,
				 "--user: there is no user \"%s\" in the sandbox's /etc/passwd: write UID:GID, or a "
				 "name from it",
				 name);
	}
	c->uid = a.uid;
	c->gid = a.gid;
	if (group != NULL && !id_number(group, &c->gid) && !find_group(b, group, &c->gid)) {
		free(a.name);
		free(a.home);
		return error_set(err, "--user: there is no group \"%s\" in the sandbox's /etc/group: write its number",
				 group);
	}
	if (group == NULL && a.name != NULL)
		add_groups_of(b, a.name);
	add_group(c, c->gid);
	build_caps(b);
	*home = a.home;
	free(a.name);
	return true;
}

bool build_caller(struct build *b, char **home)
{
	struct config *c = b->c;
	struct account a = {0};
	gid_t groups[CONFIG_MAX_GROUPS];
	int n = getgroups(CONFIG_MAX_GROUPS, groups);

	c->uid = geteuid();
	c->gid = getegid();
	for (int i = 0; i < n; i++)
		add_group(c, groups[i]);
	if (n <= 0)
		add_group(c, c->gid);
	build_caps(b);
	find_account(b, NULL, c->uid, &a);
	*home = a.home;
	free(a.name);
	return true;
}
