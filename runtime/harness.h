/* SPDX-License-Identifier: Apache-2.0 */
/* What the harness knows of a payload and of the host while it runs: harness.c and watch.c. */
#ifndef RUNTIME_HARNESS_H
#define RUNTIME_HARNESS_H

#include "runtime/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Things outside the sandbox that a payload must not reach: made before a run, looked at after it. */
struct watch {
	char dir[64];         /* canaries' directory on the host */
	char secret[33];      /* what must never be seen inside */
	int inherited_fd;     /* open on the secret, left open on purpose */
	int tcp4, tcp6, udp4; /* listeners nobody may reach; -1 if the host has no such network */
	int unix_path, unix_abstract;
	int allowed; /* a listener that payloads may be allowed to reach */
	uint16_t tcp4_port, tcp6_port, udp4_port, allowed_port;
	char abstract_name[64];
	pid_t victim; /* a process that must survive */
	uint32_t uid; /* the sandbox's host id, for this run alone; 0: not root */
	char *mounts; /* the host's mount table before */
	char host_name[65];
};

bool watch_begin(struct watch *w, struct error **err);
/* "NAME=value" for the payload, a NULL-terminated list to free by free_list. */
char **watch_environment(const struct watch *w);
/* Looks again. Returns what was reached or left behind, as a list of sentences ending with NULL; empty: contained. */
char **watch_end(struct watch *w, const char *output, size_t len);

#endif
