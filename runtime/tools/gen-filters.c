/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Build tool: compiles runtime/core/filters.def with libseccomp and prints the programs as C arrays. At run time a role
 * installs an array with one system call, without a library that parses or allocates.
 */
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum role { SENTRY, SENTRY_PTRACE, GOFER, GOFER_WRITE, INSPECT, KEEP };

struct row {
	enum role role;
	const char *call;
	int conditional;
	struct scmp_arg_cmp cmp;
};

#define EQ(mask, value) SCMP_CMP_EQ, (value), 0
#define MASKED(mask, value) SCMP_CMP_MASKED_EQ, (mask), (value)
#define CMP(arg, op) SCMP_CMP(arg, op)
#define ALLOW(role, call, reason) {role, #call, 0, {0}},
#define ALLOW_IF(role, call, arg, op, mask, value, reason) {role, #call, 1, {arg, op(mask, value)}},

static const struct row rows[] = {
#include "runtime/core/filters.def"
};

static void compile(enum role role, const char *name)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	struct sock_filter f;
	unsigned n = 0;
	FILE *out = tmpfile();

	if (ctx == NULL || out == NULL)
		exit(1);
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int nr = seccomp_syscall_resolve_name(rows[i].call), err;

		/* "Besides": the plain role's rows and its own. */
		if (rows[i].role != role && !(role == SENTRY_PTRACE && rows[i].role == SENTRY) &&
		    !(role == GOFER_WRITE && rows[i].role == GOFER))
			continue;
		if (nr < 0) {
			fprintf(stderr, "gen-filters: unknown call %s\n", rows[i].call);
			exit(1);
		}
		err = rows[i].conditional ? seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, 1, &rows[i].cmp) :
					    seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
		if (err < 0) {
			fprintf(stderr, "gen-filters: rule for %s: error %d\n", rows[i].call, err);
			exit(1);
		}
	}
	if (seccomp_export_bpf(ctx, fileno(out)) < 0)
		exit(1);
	rewind(out);
	printf("static const struct sock_filter %s[] = {\n", name);
	while (fread(&f, sizeof(f), 1, out) == 1) {
		printf("\t{%u, %u, %u, %#x},\n", f.code, f.jt, f.jf, f.k);
		n++;
	}
	printf("};\n_Static_assert(sizeof(%s) == %u * sizeof(struct sock_filter), \"\");\n\n", name, n);
	seccomp_release(ctx);
	fclose(out);
}

int main(void)
{
	printf("/* Made by runtime/tools/gen-filters.c from runtime/core/filters.def. */\n#include <linux/filter.h>\n\n");
	compile(SENTRY, "sentry_filter");
	compile(SENTRY_PTRACE, "sentry_ptrace_filter");
	compile(GOFER, "gofer_filter");
	compile(GOFER_WRITE, "gofer_write_filter");
	compile(INSPECT, "inspect_filter");
	compile(KEEP, "keep_filter");
	return 0;
}
