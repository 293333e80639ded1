/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp: the program that comes out gives each call what the profile says, and passes the sentry's check. */
#include "runtime/seccomp_profile.h"
#include "runtime/cleanup.h"
#include "sentry/kernel/bpf.h"

#include <criterion/criterion.h>
#include <string.h>

#define ALLOW LINUX_SECCOMP_RET_ALLOW
#define ERRNO(e) (LINUX_SECCOMP_RET_ERRNO | (e))

static struct config *c;

/* NULL if it was taken, else the message (leaked: a test's). */
static const char *parse(const char *json)
{
	json_object *os = json_tokener_parse(json);
	struct error *err = NULL;

	cr_assert_not_null(os, "%s", json);
	free(c);
	c = xcalloc(1, sizeof(*c));
	if (!seccomp_profile(c, os, &err))
		return err->text;
	json_object_put(os);
	cr_assert(c->nseccomp == 0 || bpf_check((const struct linux_sock_filter *)c->seccomp, c->nseccomp,
						sizeof(struct linux_seccomp_data)));
	return NULL;
}

static uint32_t ask6(int nr, const uint64_t args[6])
{
	struct linux_seccomp_data data = {.nr = nr, .arch = LINUX_AUDIT_ARCH_X86_64};

	memcpy(data.args, args, sizeof(data.args));
	return bpf_run((const struct linux_sock_filter *)c->seccomp, &data, sizeof(data));
}

static uint32_t ask(int nr, uint64_t a0, uint64_t a1)
{
	return ask6(nr, (const uint64_t[6]){a0, a1});
}

Test(seccomp_profile, actions)
{
	static const struct {
		const char *text;
		uint32_t ret;
	} actions[] = {
		{"\"SCMP_ACT_KILL\"", LINUX_SECCOMP_RET_KILL_THREAD},
		{"\"SCMP_ACT_KILL_THREAD\"", LINUX_SECCOMP_RET_KILL_THREAD},
		{"\"SCMP_ACT_KILL_PROCESS\"", LINUX_SECCOMP_RET_KILL_PROCESS},
		{"\"SCMP_ACT_TRAP\"", LINUX_SECCOMP_RET_TRAP},
		{"\"SCMP_ACT_ERRNO\"", ERRNO(1)},
		{"\"SCMP_ACT_ERRNO\",\"errnoRet\":38", ERRNO(38)},
		{"\"SCMP_ACT_ERRNO\",\"errnoRet\":0", ERRNO(0)},
		{"\"SCMP_ACT_TRACE\"", LINUX_SECCOMP_RET_TRACE | 1},
		{"\"SCMP_ACT_LOG\"", LINUX_SECCOMP_RET_LOG},
	};
	char json[512];

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		snprintf(json, sizeof(json),
			 "{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],"
			 "\"action\":%s}]}}",
			 actions[i].text);
		cr_assert_null(parse(json));
		cr_expect_eq(ask(83, 0, 0), actions[i].ret, "%s", json);
		cr_expect(ask(82, 0, 0) == ALLOW && ask(84, 0, 0) == ALLOW && ask(5000, 0, 0) == ALLOW && ask(-1, 0, 0) == ALLOW);
	}
}

Test(seccomp_profile, none)
{
	cr_expect_null(parse("{}"));
	cr_expect_null(parse("{\"seccomp\":null}"));
	cr_expect_null(parse("{\"seccomp\":{}}"));
	cr_expect_eq(c->nseccomp, 0);
	cr_expect_null(parse("{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":5}}"));
	cr_expect(ask(0, 0, 0) == ERRNO(5) && ask(1023, 0, 0) == ERRNO(5) && ask(1024, 0, 0) == ERRNO(5));
}

/* Of unconditional rules the first counts; they count more than conditional ones; rules of the default's action are none. */
Test(seccomp_profile, which_rule)
{
	cr_assert_null(parse("{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
			     "{\"names\":[\"read\",\"no_such_call\",\"dup\"],\"action\":\"SCMP_ACT_ALLOW\"},"
			     "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\"},"
			     "{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":9,\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]},"
			     "{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[]},"
			     "{\"names\":[\"close\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]},"
			     "{\"names\":[\"close\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2,\"op\":\"SCMP_CMP_LT\"}]},"
			     "{\"names\":[\"close\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":7,\"args\":[{\"index\":0,\"value\":3,\"op\":\"SCMP_CMP_LT\"}]}]}}"));
	cr_expect(ask(0, 0, 0) == ALLOW && ask(32, 0, 0) == ALLOW && ask(1, 1, 0) == ALLOW && ask(2, 0, 0) == ERRNO(1));
	cr_expect(ask(3, 1, 0) == ALLOW && ask(3, 2, 0) == ERRNO(7) && ask(3, 3, 0) == ERRNO(1));
}

static bool holds(const char *op, uint64_t a, uint64_t v, uint64_t w)
{
	return strcmp(op, "EQ") == 0   ? a == v
	       : strcmp(op, "NE") == 0 ? a != v
	       : strcmp(op, "LT") == 0 ? a < v
	       : strcmp(op, "LE") == 0 ? a <= v
	       : strcmp(op, "GT") == 0 ? a > v
	       : strcmp(op, "GE") == 0 ? a >= v
				       : (a & v) == (w & v);
}

/* Every comparison at the edges of both halves of 64 bits; alone, and as the second of two conditions. */
Test(seccomp_profile, comparisons)
{
	static const char *const ops[] = {"EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"};
	static const uint64_t v[] = {0,		 1,	      2,	    0x7fffffff,	 0x80000000, 0xffffffff,	  0x100000000,
				     0x100000001, 0x1ffffffff, 0x200000000, 0x7e020000, 1ULL << 63, UINT64_MAX - 1, UINT64_MAX};
	const size_t n = sizeof(v) / sizeof(v[0]);
	char json[1024];

	for (size_t o = 0; o < sizeof(ops) / sizeof(ops[0]); o++) {
		for (size_t i = 0; i < n; i++) {
			snprintf(json, sizeof(json),
				 "{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
				 "{\"names\":[\"open\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":1,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"SCMP_CMP_%s\"}]},"
				 "{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,\"value\":%llu,\"valueTwo\":1,\"op\":\"SCMP_CMP_%s\"},"
				 "{\"index\":1,\"value\":7,\"op\":\"SCMP_CMP_EQ\"}]}]}}",
				 (unsigned long long)v[i], (unsigned long long)v[n - 1 - i], ops[o], (unsigned long long)v[i], ops[o]);
			cr_assert_null(parse(json));
			for (size_t k = 0; k < n; k++) {
				bool one = holds(ops[o], v[k], v[i], v[n - 1 - i]), two = holds(ops[o], v[k], v[i], 1);

				cr_expect_eq(ask(2, 5, v[k]), one ? ERRNO(1) : ALLOW, "%s: %llx", json, (unsigned long long)v[k]);
				cr_expect_eq(ask(83, v[k], 7), two ? ERRNO(1) : ALLOW, "%s: %llx", json, (unsigned long long)v[k]);
				cr_expect_eq(ask(83, v[k], 7ULL << 32), ALLOW);
			}
		}
	}
}

Test(seccomp_profile, many_conditions)
{
	uint64_t args[6] = {1, 2, 3, 4, 5, 6};

	/* All six at once. */
	cr_assert_null(parse("{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mmap\"],\"action\":\"SCMP_ACT_ERRNO\","
			     "\"args\":[{\"index\":0,\"value\":255,\"valueTwo\":1,\"op\":\"SCMP_CMP_MASKED_EQ\"},{\"index\":1,\"value\":2,\"op\":\"SCMP_CMP_EQ\"},"
			     "{\"index\":2,\"value\":4,\"op\":\"SCMP_CMP_LT\"},{\"index\":3,\"value\":4,\"op\":\"SCMP_CMP_GE\"},"
			     "{\"index\":4,\"value\":6,\"op\":\"SCMP_CMP_NE\"},{\"index\":5,\"value\":6,\"op\":\"SCMP_CMP_LE\"}]}]}}"));
	cr_expect_eq(ask6(9, args), ERRNO(1));
	for (int i = 0; i < 6; i++) {
		static const uint64_t bad[6] = {2, 1, 4, 3, 6, 7};
		uint64_t keep = args[i];

		args[i] = bad[i];
		cr_expect_eq(ask6(9, args), ALLOW, "%d", i);
		args[i] = keep;
	}
	/* One argument twice: either will do. */
	cr_assert_null(parse("{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\","
			     "\"args\":[{\"index\":0,\"value\":16,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":17,\"op\":\"SCMP_CMP_EQ\"}]}]}}"));
	cr_expect(ask(41, 16, 0) == ERRNO(1) && ask(41, 17, 0) == ERRNO(1) && ask(41, 18, 0) == ALLOW);
}

/* A range of one call each, and rules enough for jumps longer than a byte. */
Test(seccomp_profile, large)
{
	char *json = xcalloc(1, 1 << 20), *p = json;

	p += sprintf(p, "{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[");
	for (int i = 0; i < 200; i++)
		p += sprintf(p, "{\"names\":[\"ioctl\",\"fcntl\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,\"value\":%d,\"op\":\"SCMP_CMP_EQ\"}]},", 3 * i);
	sprintf(p, "{\"names\":[\"write\",\"stat\",\"lstat\",\"poll\",\"mmap\",\"munmap\"],\"action\":\"SCMP_ACT_ALLOW\"}]}}");
	cr_assert_null(parse(json));
	for (uint64_t i = 0; i < 700; i++)
		cr_expect_eq(ask(i & 1 ? 16 : 72, 0, i), i % 3 == 0 && i < 600 ? ALLOW : ERRNO(1));
	for (int nr = 0; nr < 16; nr++)
		cr_expect_eq(ask(nr, 0, 0), nr == 1 || nr == 4 || nr == 6 || nr == 7 || nr == 9 || nr == 11 ? ALLOW : ERRNO(1), "%d", nr);
	cr_expect_eq(ask(73, 0, 0), ERRNO(1));
	p = json;
	p += sprintf(p, "{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[");
	for (int i = 0; i < 1000; i++)
		p += sprintf(p, "%s{\"names\":[\"ioctl\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":1,\"value\":%d,\"op\":\"SCMP_CMP_EQ\"}]}", i ? "," : "", i);
	strcpy(p, "]}}");
	cr_expect_not_null(strstr(parse(json), "4096 instructions"));
	free(json);
}

Test(seccomp_profile, errors_name_the_field)
{
	static const struct {
		const char *json, *names;
	} bad[] = {
		{"[]", "linux.seccomp is not an object"},
		{"{\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"}]}", "linux.seccomp.defaultAction is missing"},
		{"{\"defaultAction\":\"ALLOW\"}", "linux.seccomp.defaultAction: there is no action \"ALLOW\""},
		{"{\"defaultAction\":7}", "linux.seccomp.defaultAction"},
		{"{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "SCMP_ACT_NOTIFY"},
		{"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096}", "linux.seccomp.defaultErrnoRet"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"amd64\"]}", "linux.seccomp.architectures[0]"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\",\"x\"]}", "linux.seccomp.flags[1]"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/s\"}", "linux.seccomp.listenerPath"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}", "linux.seccomp.syscalls"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[3]}", "linux.seccomp.syscalls[0] is not an object"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_KILL\"}]}", "linux.seccomp.syscalls[0].names"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"]}]}", "linux.seccomp.syscalls[0].action"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":-1}]}",
		 "linux.seccomp.syscalls[0].errnoRet"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"op\":\"SCMP_CMP_EQ\"}]}]}",
		 "linux.seccomp.syscalls[0].args[0].index"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		 "linux.seccomp.syscalls[0].args[0].index"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":0,\"op\":\"==\"}]}]}",
		 "linux.seccomp.syscalls[0].args[0].op"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"args\":[{\"index\":0,\"value\":-1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		 "linux.seccomp.syscalls[0].args[0].value"},
		{"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\",\"args\":\"all\"}]}",
		 "linux.seccomp.syscalls[0].args"},
	};
	char json[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *text;

		snprintf(json, sizeof(json), "{\"seccomp\":%s}", bad[i].json);
		text = parse(json);
		cr_expect(text != NULL && strstr(text, bad[i].names) != NULL, "case %zu: %s", i, text != NULL ? text : "was taken");
	}
}
