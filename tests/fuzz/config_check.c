/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flat configuration, damaged anywhere: config_check() never reads outside it, and what it took can be used without
 * looking again. Input: pairs of an offset and a word that is written there; offsets into the pool are folded so that
 * its beginning is hit as often as the fields.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/config.h"

static struct config *good, *c;

static void init(void)
{
	static const char pool[] = "\0/bin/true\0/\0A=1\0/mnt\0ro\0text";

	good = calloc(1, sizeof(*good));
	c = calloc(1, sizeof(*c));
	good->magic = CONFIG_MAGIC;
	good->version = CONFIG_VERSION;
	good->size = sizeof(*good);
	memcpy(good->pool, pool, sizeof(pool));
	good->pool_len = sizeof(pool);
	good->argc = 1;
	good->argv = 1;
	good->cwd = 11;
	good->envc = 1;
	good->envv = 13;
	good->root_fd = 10;
	good->image_fd = -1;
	good->nmounts = 1;
	good->mounts[0] = (struct config_mount){.kind = MOUNT_BIND, .target = 17, .options = 22, .dir_fd = 11};
	good->npaths = 1;
	good->paths[0] = (struct config_path){.kind = PATH_HIDE, .path = 17};
	good->negress = 1;
	good->egress[0] = (struct config_egress){.family = 4, .prefix = 8, .port_lo = 1, .port_hi = 2, .text = 25};
	good->ningress = 1;
	good->ingress[0] = (struct config_ingress){.port_lo = 1, .port_hi = 2, .text = 25};
	good->message_fd = good->strace_fd = good->debug_fd = good->audit_fd = good->result_fd = good->copy_out_fd =
		good->control_fd = good->gate_cache_fd = good->gate_cache_dir = -1;
		good->sync_fd = good->state_fd = good->net_fd = good->keep_program = good->pod_fd = -1;
		good->cg_leave_fd[0] = good->cg_leave_fd[1] = good->cg_freeze_fd = good->cg_frozen_fd = -1;
		good->cg_oom_fd = good->cg_memory_max_fd = good->cg_memory_fd = -1;
	good->fail_call = -1;
	FUZZ_CHECK(config_check(good) == NULL);
	memcpy(c, good, sizeof(*c));
}

static void use(void)
{
	size_t n = strlen(config_str(c, c->cwd)) + strlen(config_str(c, c->hostname));

	for (uint32_t i = 0; i < c->argc; i++)
		n += strlen(config_nth(c, c->argv, i));
	for (uint32_t i = 0; i < c->envc; i++)
		n += strlen(config_nth(c, c->envv, i));
	for (uint32_t i = 0; i < c->nmounts; i++)
		n += strlen(config_str(c, c->mounts[i].target)) + strlen(config_str(c, c->mounts[i].source)) +
		     strlen(config_str(c, c->mounts[i].options));
	for (uint32_t i = 0; i < c->npaths; i++)
		n += strlen(config_str(c, c->paths[i].path));
	for (uint32_t i = 0; i < c->negress; i++)
		n += strlen(config_str(c, c->egress[i].text));
	for (uint32_t i = 0; i < c->ningress; i++)
		n += strlen(config_str(c, c->ingress[i].text));
	for (uint32_t i = 0; i < c->ncopy_out; i++)
		n += strlen(config_str(c, c->copy_out[i]));
	for (uint32_t i = 0; i < c->nseccomp; i++)
		n += c->seccomp[i].k;
	for (uint32_t i = 0; i < c->ngroups; i++)
		n += c->groups[i];
	FUZZ_CHECK(n != 0 && c->pool[c->pool_len - 1] == '\0');
	FUZZ_CHECK(c->argc != 0 && config_str(c, c->cwd)[0] == '/');
}

static void run(const uint8_t *data, size_t size)
{
	const size_t pool = offsetof(struct config, pool);
	struct fuzz_input in = {data, data + size};
	size_t touched[64];
	unsigned n = 0;

	while (fuzz_more(&in) && n < ARRAY_LEN(touched)) {
		uint16_t where = fuzz_u16(&in);
		size_t at = where < 0x8000 ? (where * 4UL) % pool & ~3UL : pool + (where & 63);
		uint32_t word = fuzz_u8(&in);

		if (word >= 0xf0)
			word = word == 0xff ? fuzz_u32(&in) : 1U << (2 * (word & 15));
		memcpy((char *)c + at, &word, where < 0x8000 ? 4 : 1);
		touched[n++] = at;
	}
	if (config_check(c) == NULL)
		use();
	while (n-- > 0)
		memcpy((char *)c + touched[n], (char *)good + touched[n], 4);
}

const struct fuzz_target fuzz_config_check = {.name = "config_check", .init = init, .run = run};
