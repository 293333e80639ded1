/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle's linux.seccomp into classic BPF: what runc and crun have libseccomp do. The program goes to the sentry in the
 * flat configuration, is checked there like any that a guest hands in, and is the first filter of the sandbox's init.
 *
 *	profile --> for each number: an action, or a list of conditional rules --> ranges of equal answers
 *	        --> a tree of comparisons, at most a dozen a call --> struct config
 *
 * Which rule counts, as there: a rule whose action is the default's adds nothing and is left out; of a call's rules
 * without conditions the first decides, whatever conditional ones there are; else the first conditional one that holds;
 * else the default. If an argument is named twice in a rule, each of its conditions is a rule of its own. Names of calls
 * that amd64 doesn't have are no error (profiles list those of all architectures), and neither are architectures beside
 * ours: a guest makes no calls of another.
 *
 * Absent on purpose: SCMP_ACT_NOTIFY and listenerPath (an agent outside would answer the guest's calls), refused by an
 * error. SCMP_ACT_TRACE answers ENOSYS, as without a tracer; SCMP_ACT_LOG allows.
 */
#include "runtime/seccomp_profile.h"
#include "runtime/cleanup.h"
#include "runtime/json_get.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>

#define NARGS 6
#define NCALLS 1024 /* numbers from here on have the default action */
#define CONDITIONS_MAX 4096

static const struct {
	int nr;
	const char *name;
} call_names[] = {
#define ROW(nr, name, verdict, state, trace, note) {nr, #name},
#include "syscalls/table.def"
#undef ROW
};

enum op { OP_NE, OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT, OP_MASKED_EQ };
static const char *const op_names[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",	   "SCMP_CMP_EQ",
				       "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ", NULL};

struct condition {
	unsigned index;
	enum op op;
	uint64_t mask, value; /* mask: all ones but for OP_MASKED_EQ */
};

/* All of its conditions hold: the action. */
struct rule {
	struct rule *next;
	uint32_t action;
	unsigned n;
	struct condition conditions[NARGS];
};

struct profile {
	uint32_t fallback;
	struct {
		bool decided;
		uint32_t action; /* if decided */
		struct rule *rules;
	} calls[NCALLS];
	unsigned nrules;
	struct config *c; /* the program grows in c->seccomp */
	bool full;
};

/* ---- the profile ---- */

static const struct {
	const char *name;
	uint32_t ret;
	bool has_errno; /* errnoRet is its data */
} actions[] = {
	{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false},
	{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false},
	{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false},
	{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false},
	{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true},
	{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
	{"SCMP_ACT_LOG", SECCOMP_RET_LOG, false},
	{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false},
};

/* The members `key` and `errno_key` of o; *there is false if there is no action. */
static bool parse_action(json_object *o, const char *where, const char *key, const char *errno_key, uint32_t *action,
			 bool *there, struct error **err)
{
	int64_t data = EPERM;
	const char *name;

	if (!json_get_string(o, where, key, &name, err) ||
	    !json_get_int(o, where, errno_key, 0, 4095, &data, NULL, err))
		return false;
	*there = name != NULL;
	if (name == NULL)
		return true;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(name, actions[i].name) == 0) {
			*action = actions[i].ret | (actions[i].has_errno ? (uint32_t)data : 0);
			return true;
		}
	}
	if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
		return error_set(err, "%s.%s: SCMP_ACT_NOTIFY can't be had: nobody outside answers a sandbox's calls",
				 where, key);
	return error_set(err, "%s.%s: there is no action \"%s\"", where, key, name);
}

static bool parse_u64(json_object *o, const char *where, const char *key, uint64_t *out, struct error **err)
{
	json_object *v;

	*out = 0;
	if (!json_get(o, where, key, json_type_int, &v, err))
		return false;
	if (v == NULL)
		return true;
	/* Above 2^63 the number is only to be had as an unsigned one. */
	if (json_object_get_int64(v) < 0)
		return error_set(err, "%s.%s is negative", where, key);
	*out = json_object_get_uint64(v);
	return true;
}

static bool parse_condition(json_object *o, const char *where, struct condition *c, struct error **err)
{
	int64_t index = -1;
	uint64_t value, second;
	const char *name;
	unsigned op = 0;

	if (!json_object_is_type(o, json_type_object))
		return error_set(err, "%s is not an object", where);
	if (!json_get_int(o, where, "index", 0, NARGS - 1, &index, NULL, err) ||
	    !json_get_string(o, where, "op", &name, err) || !parse_u64(o, where, "value", &value, err) ||
	    !parse_u64(o, where, "valueTwo", &second, err))
		return false;
	if (index < 0)
		return error_set(err, "%s.index is missing", where);
	while (op_names[op] != NULL && (name == NULL || strcmp(name, op_names[op]) != 0))
		op++;
	if (op_names[op] == NULL)
		return error_set(err, "%s.op: there is no comparison \"%s\"", where, name != NULL ? name : "");
	c->index = (unsigned)index;
	c->op = (enum op)op;
	c->mask = op == OP_MASKED_EQ ? value : UINT64_MAX;
	c->value = op == OP_MASKED_EQ ? second & value : value;
	return true;
}

static int call_number(const char *name)
{
	for (size_t i = 0; i < sizeof(call_names) / sizeof(call_names[0]); i++) {
		if (call_names[i].nr < NCALLS && strcmp(name, call_names[i].name) == 0)
			return call_names[i].nr;
	}
	return -1;
}

/* False if there are too many. */
static bool add_rule(struct profile *p, int nr, uint32_t action, const struct condition *conditions, unsigned n)
{
	struct rule **end = &p->calls[nr].rules;
	struct rule *r;

	if (n == 0) {
		if (!p->calls[nr].decided)
			p->calls[nr].action = action;
		p->calls[nr].decided = true;
		return true;
	}
	if (p->nrules++ == CONDITIONS_MAX)
		return false;
	r = xcalloc(1, sizeof(*r));
	r->action = action;
	r->n = n;
	memcpy(r->conditions, conditions, n * sizeof(conditions[0]));
	while (*end != NULL)
		end = &(*end)->next;
	*end = r;
	return true;
}

static bool parse_call(struct profile *p, json_object *o, const char *where, struct error **err)
{
	struct condition conditions[NARGS];
	cleanup_free const char **names = NULL;
	json_object *args;
	unsigned seen = 0;
	bool there, twice = false, fits = true;
	uint32_t action;
	size_t nnames, n;

	if (!json_object_is_type(o, json_type_object))
		return error_set(err, "%s is not an object", where);
	if (!json_get_strings(o, where, "names", &names, &nnames, err) ||
	    !parse_action(o, where, "action", "errnoRet", &action, &there, err) ||
	    !json_get(o, where, "args", json_type_array, &args, err))
		return false;
	if (nnames == 0)
		return error_set(err, "%s.names is missing or empty", where);
	if (!there)
		return error_set(err, "%s.action is missing", where);
	n = args != NULL ? json_object_array_length(args) : 0;
	if (n > NARGS)
		return error_set(err, "%s.args has more than %d conditions", where, NARGS);
	for (size_t i = 0; i < n; i++) {
		cleanup_free char *which = xasprintf("%s.args[%zu]", where, i);

		if (!parse_condition(json_object_array_get_idx(args, i), which, &conditions[i], err))
			return false;
		twice = twice || (seen & 1U << conditions[i].index) != 0;
		seen |= 1U << conditions[i].index;
	}
	if (action == p->fallback)
		return true;
	for (size_t i = 0; i < nnames; i++) {
		int nr = call_number(names[i]);

		if (nr < 0)
			continue;
		if (twice) {
			for (size_t k = 0; k < n; k++)
				fits = fits && add_rule(p, nr, action, &conditions[k], 1);
		} else {
			fits = fits && add_rule(p, nr, action, conditions, (unsigned)n);
		}
	}
	return fits || error_set(err, "%s: the profile has more than %d conditional rules", where, CONDITIONS_MAX);
}

static bool parse_lists(json_object *o, const char *where, struct error **err)
{
	static const char *const known[] = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
					    "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
					    NULL};
	cleanup_free const char **flags = NULL;
	cleanup_free const char **arches = NULL;
	const char *listener;
	size_t n;

	if (!json_get_strings(o, where, "flags", &flags, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (known[k] != NULL && strcmp(flags[i], known[k]) != 0)
			k++;
		if (known[k] == NULL)
			return error_set(err, "%s.flags[%zu]: there is no flag \"%s\"", where, i, flags[i]);
	}
	if (!json_get_strings(o, where, "architectures", &arches, &n, err))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(arches[i], "SCMP_ARCH_", 10) != 0)
			return error_set(err, "%s.architectures[%zu]: there is no architecture \"%s\"", where, i,
					 arches[i]);
	}
	if (!json_get_string(o, where, "listenerPath", &listener, err))
		return false;
	if (listener != NULL && *listener != '\0')
		return error_set(err, "%s.listenerPath can't be honoured in a sandbox: take it out of config.json",
				 where);
	return true;
}

/* ---- the program ---- */

static unsigned emit(struct profile *p, uint16_t code, uint32_t k, unsigned jt, unsigned jf)
{
	struct config *c = p->c;

	if (c->nseccomp == CONFIG_MAX_SECCOMP) {
		p->full = true;
		return 0;
	}
	c->seccomp[c->nseccomp] = (struct config_bpf){code, (uint8_t)jt, (uint8_t)jf, k};
	return c->nseccomp++;
}

static void load(struct profile *p, unsigned index, bool high)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS,
	     (uint32_t)offsetof(struct seccomp_data, args) + 8 * index + (high ? 4 : 0), 0, 0);
}

/*
 * Falls through if the condition holds. If not, jumps to the instruction `rest` behind the last one written here (the rest
 * of the rule, at most 5 * 6 + 1). 64 bits are compared as two halves, the upper one first.
 */
static void emit_condition(struct profile *p, const struct condition *c, unsigned rest)
{
	const uint16_t eq = BPF_JMP | BPF_JEQ | BPF_K, gt = BPF_JMP | BPF_JGT | BPF_K, ge = BPF_JMP | BPF_JGE | BPF_K;
	uint32_t high = (uint32_t)(c->value >> 32), low = (uint32_t)c->value;

	load(p, c->index, true);
	switch (c->op) {
	case OP_EQ:
		emit(p, eq, high, 0, rest + 2);
		load(p, c->index, false);
		emit(p, eq, low, 0, rest);
		break;
	case OP_MASKED_EQ:
		emit(p, BPF_ALU | BPF_AND | BPF_K, (uint32_t)(c->mask >> 32), 0, 0);
		emit(p, eq, high, 0, rest + 3);
		load(p, c->index, false);
		emit(p, BPF_ALU | BPF_AND | BPF_K, (uint32_t)c->mask, 0, 0);
		emit(p, eq, low, 0, rest);
		break;
	case OP_NE:
		emit(p, eq, high, 0, 2);
		load(p, c->index, false);
		emit(p, eq, low, rest, 0);
		break;
	case OP_GT:
	case OP_GE:
		emit(p, gt, high, 3, 0);
		emit(p, eq, high, 0, rest + 2);
		load(p, c->index, false);
		emit(p, c->op == OP_GT ? gt : ge, low, 0, rest);
		break;
	case OP_LE:
	case OP_LT:
		emit(p, gt, high, rest + 3, 0);
		emit(p, eq, high, 0, 2);
		load(p, c->index, false);
		emit(p, c->op == OP_LE ? gt : ge, low, rest, 0);
		break;
	}
}

static unsigned condition_length(const struct condition *c)
{
	switch (c->op) {
	case OP_EQ:
	case OP_NE:
		return 4;
	case OP_MASKED_EQ:
		return 6;
	default:
		return 5;
	}
}

static void emit_return(struct profile *p, uint32_t action)
{
	emit(p, BPF_RET | BPF_K, action, 0, 0);
}

/* What one call gets: its number is in the accumulator, and isn't needed any more. */
static void emit_answer(struct profile *p, int nr)
{
	if (nr < NCALLS && p->calls[nr].decided) {
		emit_return(p, p->calls[nr].action);
		return;
	}
	for (const struct rule *r = nr < NCALLS ? p->calls[nr].rules : NULL; r != NULL; r = r->next) {
		unsigned rest = 1; /* the return */

		for (unsigned i = 0; i < r->n; i++)
			rest += condition_length(&r->conditions[i]);
		for (unsigned i = 0; i < r->n; i++) {
			rest -= condition_length(&r->conditions[i]);
			emit_condition(p, &r->conditions[i], rest);
		}
		emit_return(p, r->action);
	}
	emit_return(p, p->fallback);
}

static bool same_answer(const struct profile *p, int a, int b)
{
	uint32_t x = p->calls[a].decided ? p->calls[a].action : p->fallback;
	uint32_t y = p->calls[b].decided ? p->calls[b].action : p->fallback;

	return x == y && (p->calls[a].decided || p->calls[a].rules == NULL) &&
	       (p->calls[b].decided || p->calls[b].rules == NULL);
}

/* The n ranges that begin at first[0], first[1]...: halves, quarters. Conditional jumps reach 255 instructions, so the way
 * to the upper half is a long one. */
static void emit_tree(struct profile *p, const int *first, unsigned n)
{
	unsigned half = n / 2, jump;

	if (n == 1) {
		emit_answer(p, first[0]);
		return;
	}
	emit(p, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)first[half], 0, 1);
	jump = emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	emit_tree(p, first, half);
	p->c->seccomp[jump].k = p->c->nseccomp - jump - 1;
	emit_tree(p, first + half, n - half);
}

static void emit_program(struct profile *p)
{
	int first[NCALLS + 1];
	unsigned n = 0;

	for (int nr = 0; nr < NCALLS; nr++) {
		if (nr == 0 || !same_answer(p, nr - 1, nr))
			first[n++] = nr;
	}
	first[n++] = NCALLS;
	emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	emit_return(p, SECCOMP_RET_KILL_PROCESS);
	emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	emit_tree(p, first, n);
}

static bool parse_profile(struct profile *p, json_object *o, struct error **err)
{
	static const char where[] = "linux.seccomp";
	json_object *calls;
	bool there;

	if (!parse_action(o, where, "defaultAction", "defaultErrnoRet", &p->fallback, &there, err) ||
	    !json_get(o, where, "syscalls", json_type_array, &calls, err) || !parse_lists(o, where, err))
		return false;
	if (!there && (calls == NULL || json_object_array_length(calls) == 0))
		return true; /* an empty profile is none */
	if (!there)
		return error_set(err, "%s.defaultAction is missing", where);
	for (size_t i = 0; calls != NULL && i < json_object_array_length(calls); i++) {
		cleanup_free char *which = xasprintf("%s.syscalls[%zu]", where, i);

		if (!parse_call(p, json_object_array_get_idx(calls, i), which, err))
			return false;
	}
	emit_program(p);
	return !p->full || error_set(err, "%s: the profile needs more than %d instructions", where, CONFIG_MAX_SECCOMP);
}

bool seccomp_profile(struct config *c, json_object *os, struct error **err)
{
	cleanup_free struct profile *p = NULL;
	json_object *o;
	bool ok;

	if (!json_get(os, "linux", "seccomp", json_type_object, &o, err))
		return false;
	if (o == NULL)
		return true;
	p = xcalloc(1, sizeof(*p));
	p->c = c;
	ok = parse_profile(p, o, err);
	for (int nr = 0; nr < NCALLS; nr++) {
		struct rule *next;

		for (struct rule *r = p->calls[nr].rules; r != NULL; r = next) {
			next = r->next;
			free(r);
		}
	}
	return ok;
}
