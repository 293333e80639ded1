// SPDX-License-Identifier: Apache-2.0
/*
 * `#!` scripts: the first line names an interpreter and at most one argument (everything behind the path, blanks inside
 * it kept). The line is looked for in the first 256 bytes only; a path that these bytes may have cut is ENOEXEC, a cut
 * argument is passed as it is. All as Linux does it since 5.1.
 *
 * The guest controls the bytes; the caller's copy of them is parsed in place.
 */
#include "sentry/loader/loader.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/mm/mm.h"

#include <string.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *skip_blanks(char *p, const char *end)
{
	while (p < end && blank(*p))
		p++;
	return p;
}

/* The first blank or NUL in [p, end), or NULL. */
static char *word_end(char *p, const char *end)
{
	for (; p < end; p++)
		if (blank(*p) || *p == '\0')
			return p;
	return NULL;
}

int script_parse(char head[BINPRM_BUF_SIZE], char **interp, char **arg)
{
	char *end, *name, *sep;

	if (head[0] != '#' || head[1] != '!')
		return 1;
	end = memchr(head, '\n', BINPRM_BUF_SIZE);
	if (end == NULL) {
		end = head + BINPRM_BUF_SIZE - 1;
		name = skip_blanks(head + 2, end);
		/* No end of the path in sight: it may be longer than what we have. */
		if (name == end || word_end(name, end) == NULL)
			return -LINUX_ENOEXEC;
	}
	while (end > head + 2 && blank(end[-1]))
		end--;
	*end = '\0';
	name = skip_blanks(head + 2, end);
	if (*name == '\0')
		return -LINUX_ENOEXEC;
	*interp = name;
	*arg = NULL;
	sep = word_end(name, end);
	if (sep != NULL && *sep != '\0') {
		*sep = '\0';
		sep = skip_blanks(sep + 1, end);
		if (sep < end && *sep != '\0')
			*arg = sep;
	}
	return 0;
}

int script_rewrite_args(struct exec_args *args, const char *script, const char *interp, const char *arg)
{
	struct exec_args new = {.execfn = args->execfn, .envc = args->envc, .limit = args->limit};
	size_t first = args->argc > 0 ? strlen(args->strings) + 1 : 0;
	uint32_t rest = args->argc > 0 ? args->argc - 1 : 0;
	int err;

	err = exec_args_add(&new, interp, strlen(interp));
	if (!err && arg != NULL)
		err = exec_args_add(&new, arg, strlen(arg));
	if (!err)
		err = exec_args_add(&new, script, strlen(script));
	/* What follows is already a row of strings; its last NUL is added again. */
	if (!err && args->strings_len > first)
		err = exec_args_add(&new, args->strings + first, args->strings_len - first - 1);
	if (err) {
		kfree(new.strings);
		return err;
	}
	new.argc = rest + 2 + (arg != NULL);
	kfree(args->strings);
	args->strings = new.strings;
	args->strings_len = new.strings_len;
	args->strings_cap = new.strings_cap;
	args->argc = new.argc;
	return 0;
}
