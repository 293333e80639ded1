/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration that was damaged anywhere is refused, and looking at it never reads outside it. */
#include "runtime/config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct config *c;

static void setup(void)
{
	c = calloc(1, sizeof(*c));
	c->magic = CONFIG_MAGIC;
	c->version = CONFIG_VERSION;
	c->size = sizeof(*c);
	memcpy(c->pool, "\0/bin/true\0/\0", 13);
	c->pool_len = 13;
	c->argc = 1;
	c->argv = 1;
	c->cwd = 11;
	c->root_fd = 10;
	c->image_fd = -1;
	c->message_fd = c->strace_fd = c->debug_fd = c->audit_fd = c->result_fd = c->copy_out_fd = c->control_fd = -1;
	c->gate_cache_fd = c->gate_cache_dir = c->sync_fd = c->state_fd = c->net_fd = c->keep_program = c->pod_fd = -1;
	c->cg_leave_fd[0] = c->cg_leave_fd[1] = c->cg_freeze_fd = c->cg_frozen_fd = -1;
	c->cg_oom_fd = c->cg_memory_max_fd = c->cg_memory_fd = -1;
}

static void teardown(void)
{
	free(c);
}

TestSuite(config_check, .init = setup, .fini = teardown);

Test(config_check, good)
{
	cr_expect_null(config_check(c), "%s", config_check(c));
	cr_expect_str_eq(config_nth(c, c->argv, 0), "/bin/true");
}

#define REFUSED(change)                                                                                                \
	do {                                                                                                           \
		struct config *saved = malloc(sizeof(*c));                                                             \
		memcpy(saved, c, sizeof(*c));                                                                          \
		change;                                                                                                \
		cr_expect_not_null(config_check(c), "%s was taken", #change);                                          \
		memcpy(c, saved, sizeof(*c));                                                                          \
		free(saved);                                                                                           \
	} while (0)

Test(config_check, damaged)
{
	REFUSED(c->magic++);
	REFUSED(c->size--);
	REFUSED(c->pool_len = 0);
	REFUSED(c->pool_len = CONFIG_POOL + 1);
	REFUSED(c->pool[12] = 'x');
	REFUSED(c->root_keep = true);
	REFUSED((c->root_keep = true, c->keep_program = 11, c->root_readonly = true));
	REFUSED((c->root_keep = true, c->keep_program = 11, c->root_is_host = true));
	REFUSED((c->root_keep = true, c->keep_program = 11, c->root_fd = -1, c->image_fd = 10));
	REFUSED(c->keep_program = 2);
	REFUSED(c->argc = 0);
	REFUSED(c->argc = 4);
	REFUSED(c->argc = UINT32_MAX);
	REFUSED(c->argv = 13);
	REFUSED(c->argv = UINT32_MAX);
	REFUSED(c->envc = 100);
	REFUSED(c->cwd = 2);
	REFUSED(c->cwd = 1000);
	REFUSED(c->ngroups = CONFIG_MAX_GROUPS + 1);
	REFUSED(c->uid = UINT32_MAX);
	REFUSED(c->cap_effective = 1);
	REFUSED(c->cap_bounding = 1ULL << 63);
	REFUSED(c->umask = 01000);
	REFUSED(*(char *)&c->json = 2);
	REFUSED(*(char *)&c->rlimits[3].set = 'x');
	REFUSED(c->root_fd = -1);
	REFUSED(c->root_fd = 5);
	REFUSED(c->image_fd = 11);
	REFUSED((c->root_fd = -1, c->image_fd = 5));
	REFUSED(c->strace_fd = 2);
	REFUSED(c->strace_fd = -2);
	REFUSED(c->nmounts = CONFIG_MAX_MOUNTS + 1);
	REFUSED((c->nmounts = 1, c->mounts[0].kind = MOUNT_BIND, c->mounts[0].target = 11, c->mounts[0].dir_fd = -1));
	REFUSED((c->nmounts = 1, c->mounts[0].kind = 77, c->mounts[0].target = 11, c->mounts[0].dir_fd = -1));
	REFUSED((c->npaths = 1, c->paths[0].path = 0));
	REFUSED((c->negress = 1, c->egress[0].family = 5));
	REFUSED((c->negress = 1, c->egress[0].family = 4, c->egress[0].prefix = 33, c->egress[0].port_lo = 1));
	REFUSED((c->negress = 1, c->egress[0].family = 4, c->egress[0].port_lo = 2, c->egress[0].port_hi = 1));
	REFUSED(c->ningress = CONFIG_MAX_INGRESS + 1);
	REFUSED((c->ningress = 1, c->ingress[0].family = 5, c->ingress[0].port_lo = c->ingress[0].port_hi = 1));
	REFUSED((c->ningress = 1, c->ingress[0].port_hi = 1));
	REFUSED((c->ningress = 1, c->ingress[0].port_lo = c->ingress[0].port_hi = 1, c->ingress[0].text = 11, c->ingress[0].udp = 2));
	REFUSED((c->ningress = 1, c->ingress[0].port_lo = 2, c->ingress[0].port_hi = 1));
	REFUSED((c->ncopy_out = 1, c->copy_out[0] = 1));
	REFUSED(c->platform = 9);
	REFUSED((c->drop_ids = true, c->sandbox_uid = 0));
}

/* ---- maps of ids ---- */

static void maps(void)
{
	c->nidranges = 3;
	c->idranges[0] = (struct idmap_range){0, 100000, 1000};
	c->idranges[1] = (struct idmap_range){0, 200000, 1000};
	c->idranges[2] = (struct idmap_range){500, 200999, 2};
	c->idmaps = (struct config_idmaps){0, 1, 1, 1};
	c->nmounts = 1;
	c->mounts[0] = (struct config_mount){.kind = MOUNT_BIND, .dir_fd = 11, .target = 11, .idmaps = c->idmaps};
}

Test(config_check, maps_of_ids)
{
	maps();
	cr_assert_null(config_check(c), "%s", config_check(c));
	REFUSED(c->nidranges = CONFIG_MAX_IDRANGES + 1);
	REFUSED(c->idmaps.uid_first = 4);
	REFUSED(c->idmaps.uid_first = UINT32_MAX);
	REFUSED(c->idmaps.uid_n = 4);
	REFUSED(c->idmaps.uid_n = UINT32_MAX);
	REFUSED(c->idmaps.uid_n = 0);
	REFUSED(c->idmaps.gid_n = 0);
	REFUSED(c->idmaps.gid_n = 2); /* they overlap */
	REFUSED(c->idranges[0].count = 0);
	REFUSED(c->idranges[0].host = UINT32_MAX - 5);
	REFUSED(c->mounts[0].idmaps = (struct config_idmaps){0}); /* it would show, and take, the host's own numbers */
	REFUSED(c->mounts[0].idmaps.gid_first = 3);
	c->nidranges = CONFIG_MAX_IDRANGES;
	for (uint32_t i = 0; i < CONFIG_MAX_IDRANGES; i++)
		c->idranges[i] = (struct idmap_range){i, i, 1};
	c->idmaps = c->mounts[0].idmaps = (struct config_idmaps){0, IDMAP_RANGES_MAX, 0, IDMAP_RANGES_MAX};
	cr_expect_null(config_check(c));
	REFUSED(c->idmaps.uid_n = IDMAP_RANGES_MAX + 1);
}
