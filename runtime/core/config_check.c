/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation of struct config, linked into the command (which refuses to start what it built wrongly) and into the core
 * (which believes nothing it was handed until this says so). Everything is checked once, so that the readers need no
 * checks: each string ends in the pool, each count is within its array, each descriptor is one the command may hand
 * over.
 *
 * Nothing here is the guest's: the structure is written by the operator's command. The check is for a command and a
 * core that disagree, and for a core that somebody else starts.
 */
#include "runtime/config.h"

#include <string.h>

#define LINUX_CAP_MASK ((1ULL << 41) - 1)
#define INHERITED_FD_MIN 10
#define INHERITED_FD_MAX 4096

static bool str_ok(const struct config *c, cfg_str off)
{
	return off < c->pool_len;
}

static bool absolute(const struct config *c, cfg_str off)
{
	return str_ok(c, off) && c->pool[off] == '/';
}

/* n strings in a row, each with its NUL inside the pool. */
static bool strings_ok(const struct config *c, cfg_str first, uint32_t n)
{
	uint32_t off = first;

	for (uint32_t i = 0; i < n; i++) {
		if (off >= c->pool_len)
			return false;
		off += (uint32_t)strnlen(c->pool + off, c->pool_len - off) + 1;
	}
	return off <= c->pool_len;
}

static bool fd_optional(int32_t fd)
{
	return fd == -1 || (fd >= INHERITED_FD_MIN && fd < INHERITED_FD_MAX);
}

static bool fd_given(int32_t fd)
{
	return fd != -1 && fd_optional(fd);
}

const char *config_nth(const struct config *c, cfg_str first, uint32_t i)
{
	const char *s = c->pool + first;

	while (i-- > 0)
		s += strlen(s) + 1;
	return s;
}

/* A byte that is neither 0 nor 1 is no bool: reading it as one may do anything. */
static bool bools_ok(const struct config *c)
{
	const bool *const fields[] = {&c->cwd_create, &c->no_new_privs, &c->container_init, &c->wait_start, &c->terminal, &c->root_readonly, &c->root_keep,
				      &c->root_is_host, &c->gate, &c->stats, &c->json, &c->drop_ids, &c->engine_init, &c->net_new};
	uint8_t seen = 0, byte;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		memcpy(&byte, fields[i], 1);
		seen |= byte;
	}
	for (size_t i = 0; i < sizeof(c->rlimits) / sizeof(c->rlimits[0]); i++) {
		memcpy(&byte, &c->rlimits[i].set, 1);
		seen |= byte;
	}
	for (size_t i = 0; i < CONFIG_MAX_MOUNTS; i++) {
		memcpy(&byte, &c->mounts[i].source_is_file, 1);
		seen |= byte;
	}
	return seen <= 1;
}

static const char *check_program(const struct config *c)
{
	if (c->argc == 0 || !strings_ok(c, c->argv, c->argc))
		return "the program's arguments are missing or not in the pool";
	if (!strings_ok(c, c->envv, c->envc))
		return "the environment is not in the pool";
	if (c->program != 0 && !absolute(c, c->program))
		return "the program's file is not an absolute path";
	if (!absolute(c, c->cwd))
		return "the working directory is not an absolute path";
	if (c->ngroups > CONFIG_MAX_GROUPS)
		return "too many supplementary groups";
	if (c->uid == UINT32_MAX || c->gid == UINT32_MAX)
		return "4294967295 is not a user or group id";
	if ((c->cap_effective | c->cap_permitted | c->cap_inheritable | c->cap_bounding | c->cap_ambient) &
	    ~LINUX_CAP_MASK)
		return "a capability that doesn't exist";
	if (c->cap_effective & ~c->cap_permitted)
		return "an effective capability is not permitted";
	if (c->cap_ambient & ~(c->cap_permitted & c->cap_inheritable))
		return "an ambient capability is not both permitted and inheritable";
	if (c->umask & ~0777U)
		return "the umask is not an octal number up to 0777";
	for (size_t i = 0; i < sizeof(c->rlimits) / sizeof(c->rlimits[0]); i++) {
		if (c->rlimits[i].set && c->rlimits[i].cur > c->rlimits[i].max)
			return "a resource limit's soft value is above its hard value";
	}
	if (c->oom_score_adj < -1000 || c->oom_score_adj > 1000)
		return "oom_score_adj is not within -1000 and 1000";
	return NULL;
}

static const char *check_map(const struct config *c, uint32_t first, uint32_t n)
{
	struct idmap m;
	uint32_t which, other;

	if (n > IDMAP_RANGES_MAX || first > c->nidranges || n > c->nidranges - first)
		return "a map of ids is not in the table of ranges";
	m = (struct idmap){c->idranges + first, n};
	return idmap_bad(&m, &which, &other) != NULL ? "a map of ids has an empty or endless range, or ids that two ranges have" : NULL;
}

static const char *check_maps(const struct config *c, const struct config_idmaps *m)
{
	const char *bad = check_map(c, m->uid_first, m->uid_n);

	if (bad == NULL)
		bad = check_map(c, m->gid_first, m->gid_n);
	if (bad == NULL && (m->uid_n == 0) != (m->gid_n == 0))
		bad = "there is a map of users without one of groups, or the other way round";
	return bad;
}

/* Of a container with maps, every bind has some: a gofer that hands out the host's own numbers would do it for a mistake of ours. */
static const char *check_ids(const struct config *c)
{
	const char *bad = c->nidranges > CONFIG_MAX_IDRANGES ? "too many ranges of ids" : check_maps(c, &c->idmaps);

	for (uint32_t i = 0; bad == NULL && i < c->nmounts; i++) {
		bad = check_maps(c, &c->mounts[i].idmaps);
		if (bad == NULL && c->mounts[i].kind == MOUNT_BIND && c->idmaps.uid_n != 0 && c->mounts[i].idmaps.uid_n == 0)
			bad = "the container has maps of ids, and one of its mounts has none";
	}
	return bad;
}

static const char *check_files(const struct config *c)
{
	if (c->image_fd == -1 ? !fd_given(c->root_fd) : !fd_given(c->image_fd) || c->root_fd != -1)
		return "no descriptor for the root directory or image, or one for each";
	if (!str_ok(c, c->hostname) || !str_ok(c, c->domainname))
		return "the host name is not in the pool";
	if (strlen(config_str(c, c->hostname)) > 64 || strlen(config_str(c, c->domainname)) > 64)
		return "the host name or domain name is longer than 64 bytes";
	if (c->nmounts > CONFIG_MAX_MOUNTS)
		return "too many mounts";
	for (uint32_t i = 0; i < c->nmounts; i++) {
		const struct config_mount *m = &c->mounts[i];

		if (m->kind < MOUNT_BIND || m->kind > MOUNT_SHM)
			return "a mount of an unknown kind";
		if (!str_ok(c, m->source) || !str_ok(c, m->options) || !absolute(c, m->target))
			return "a mount's strings are not in the pool, or its target is not absolute";
		if ((m->kind == MOUNT_BIND) ? !fd_given(m->dir_fd) : m->dir_fd != -1)
			return "a mount's descriptor is missing, or one too many";
		if (m->mode & ~07777U)
			return "a mount's mode is not an octal number up to 07777";
		if (m->uid == UINT32_MAX || m->gid == UINT32_MAX)
			return "a mount's owner is no id";
	}
	if (c->npaths > CONFIG_MAX_PATHS)
		return "too many path rules";
	for (uint32_t i = 0; i < c->npaths; i++) {
		if (c->paths[i].kind < PATH_HIDE || c->paths[i].kind > PATH_NO_GATE || !absolute(c, c->paths[i].path))
			return "a path rule is of an unknown kind or not absolute";
	}
	return NULL;
}

static const char *check_policy(const struct config *c)
{
	if (c->negress > CONFIG_MAX_EGRESS)
		return "too many egress rules";
	for (uint32_t i = 0; i < c->negress; i++) {
		const struct config_egress *e = &c->egress[i];

		if ((e->family != 4 && e->family != 6) || e->prefix > (e->family == 4 ? 32 : 128))
			return "an egress rule's family or prefix is out of range";
		if (e->port_lo == 0 || e->port_lo > e->port_hi)
			return "an egress rule's ports are out of range";
		if (!str_ok(c, e->text))
			return "an egress rule's text is not in the pool";
	}
	if (c->ningress > CONFIG_MAX_INGRESS)
		return "too many ingress rules";
	for (uint32_t i = 0; i < c->ningress; i++) {
		const struct config_ingress *in = &c->ingress[i];

		if (in->family != 0 && in->family != 4 && in->family != 6)
			return "an ingress rule's family is out of range";
		if (in->udp > 1)
			return "an ingress rule's protocol is out of range";
		if (in->port_lo == 0 || in->port_lo > in->port_hi)
			return "an ingress rule's ports are out of range";
		if (!str_ok(c, in->text))
			return "an ingress rule's text is not in the pool";
	}
	if (c->nseccomp > CONFIG_MAX_SECCOMP)
		return "too many instructions of seccomp";
	if (c->platform != CONFIG_NOTIFY && c->platform != CONFIG_PTRACE)
		return "an unknown platform";
	return NULL;
}

static const char *check_host(const struct config *c)
{
	const int32_t fds[] = {c->message_fd, c->strace_fd,   c->debug_fd,  c->audit_fd,
			       c->result_fd,  c->copy_out_fd, c->control_fd,
			       c->gate_cache_fd, c->gate_cache_dir, c->sync_fd, c->state_fd,
			       c->cg_leave_fd[0], c->cg_leave_fd[1], c->cg_freeze_fd, c->cg_frozen_fd,
			       c->cg_oom_fd,  c->cg_memory_max_fd, c->cg_memory_fd, c->net_fd, c->keep_program, c->pod_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (!fd_optional(fds[i]))
			return "an inherited descriptor is out of range";
	}
	if (c->root_keep && (c->keep_program == -1 || c->root_fd == -1 || c->root_readonly || c->root_is_host))
		return "changes are to be kept, but there is no directory of the container's own to keep them in";
	if (c->npreserved > CONFIG_MAX_PRESERVED)
		return "too many preserved descriptors";
	for (uint32_t i = 0; i < c->npreserved; i++) {
		if (!fd_given(c->preserved[i]))
			return "a preserved descriptor is missing or out of range";
	}
	if (c->ncopy_out > CONFIG_MAX_COPY_OUT || (c->ncopy_out != 0 && c->copy_out_fd == -1))
		return "too many paths to copy out, or no descriptor to copy them to";
	for (uint32_t i = 0; i < c->ncopy_out; i++) {
		if (!absolute(c, c->copy_out[i]))
			return "a path to copy out is not absolute";
	}
	if (c->sandbox_uid == UINT32_MAX || c->sandbox_gid == UINT32_MAX)
		return "the sandbox's host ids are not valid";
	if (c->drop_ids && (c->sandbox_uid == 0 || c->sandbox_gid == 0))
		return "the sandbox's own host ids may not be root's";
	return NULL;
}

static const char *check_frame(const struct config *c)
{
	if (c->magic != CONFIG_MAGIC || c->version != CONFIG_VERSION || c->size != sizeof(*c))
		return "the configuration was written by another version of sentrybox";
	if (c->pool_len == 0 || c->pool_len > CONFIG_POOL || c->pool[0] != '\0' || c->pool[c->pool_len - 1] != '\0')
		return "the string pool is not terminated";
	if (!bools_ok(c))
		return "a flag is neither true nor false";
	return NULL;
}

const char *config_check_process(const struct config *c)
{
	const char *bad = check_frame(c);

	if (bad == NULL)
		bad = check_program(c);
	if (bad == NULL && c->nseccomp > CONFIG_MAX_SECCOMP)
		bad = "too many instructions of seccomp";
	return bad;
}

const char *config_check(const struct config *c)
{
	const char *bad = check_frame(c);

	if (bad == NULL)
		bad = check_program(c);
	if (bad == NULL)
		bad = check_files(c);
	if (bad == NULL)
		bad = check_ids(c); /* behind check_files: the number of mounts */
	if (bad == NULL)
		bad = check_policy(c);
	if (bad == NULL)
		bad = check_host(c);
	return bad;
}
