/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May a further container join this sandbox? The monitor asks before it tells the sentry.
 *
 * What comes is a command's: a sealed configuration, which can't change while it is looked at, and descriptors. It is checked as
 * the sandbox's own was, and against it: a pod has one network and one map of ids.
 */
#include "runtime/core/join.h"

#include "runtime/core/lifecycle_protocol.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool same_egress(const struct config_egress *a, const struct config_egress *b)
{
	return a->family == b->family && a->prefix == b->prefix && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0 &&
	       a->port_lo == b->port_lo && a->port_hi == b->port_hi;
}

static bool same_ingress(const struct config_ingress *a, const struct config_ingress *b)
{
	return a->family == b->family && a->udp == b->udp && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0 &&
	       a->port_lo == b->port_lo && a->port_hi == b->port_hi;
}

/* The network is the pod's: a container that asks for more than that has, must not seem to have got it. */
static const char *check_network(const struct config *cfg, const struct config *c)
{
	for (uint32_t i = 0, k; i < c->negress; i++) {
		for (k = 0; k < cfg->negress && !same_egress(&c->egress[i], &cfg->egress[k]); k++)
			;
		if (k == cfg->negress)
			return "egress-allow: the pod's sandbox does not allow this: a pod's network is set by its sandbox's annotations";
	}
	for (uint32_t i = 0, k; i < c->ningress; i++) {
		for (k = 0; k < cfg->ningress && !same_ingress(&c->ingress[i], &cfg->ingress[k]); k++)
			;
		if (k == cfg->ningress)
			return "ingress-allow: the pod's sandbox does not allow this: a pod's network is set by its sandbox's annotations";
	}
	return NULL;
}

/* Its ids too: inside they are one kernel's. */
static const char *check_ids(const struct config *cfg, const struct config *c)
{
	const struct idmaps theirs = config_idmaps(c, &c->idmaps), ours = config_idmaps(cfg, &cfg->idmaps);

	return idmap_same(&theirs.uids, &ours.uids) && idmap_same(&theirs.gids, &ours.gids) ?
		       NULL :
		       "linux.uidMappings, gidMappings: they are not those of the pod's sandbox: the containers of a pod have one map of ids";
}

const struct config *join_map(int fd, const char **bad)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const struct config *c;
	struct stat st;

	*bad = "the configuration is not a sealed memfd of the right size";
	if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(*c) || (fcntl(fd, F_GET_SEALS) & seals) != seals)
		return NULL;
	*bad = "the configuration can't be mapped";
	c = mmap(NULL, sizeof(*c), PROT_READ, MAP_PRIVATE, fd, 0);
	return c != MAP_FAILED ? c : NULL;
}

const char *join_check(const struct config *cfg, uint32_t root, const int *fds, unsigned nfds)
{
	const unsigned roots = ((root & CONTAINER_ROOT_GOFER) != 0) + ((root & CONTAINER_ROOT_IMAGE) != 0);
	const char *bad = "descriptors are missing";
	const struct config *c;

	if (roots == 0 || (root & ~(CONTAINER_ROOT_GOFER | CONTAINER_ROOT_IMAGE)))
		return "there is no such kind of root";
	c = nfds >= 1 + roots + 3 ? join_map(fds[0], &bad) : NULL;
	if (c == NULL)
		return bad;
	bad = config_check(c);
	if (bad == NULL)
		bad = check_network(cfg, c);
	if (bad == NULL)
		bad = check_ids(cfg, c);
	munmap((void *)(uintptr_t)c, sizeof(*c));
	return bad;
}
