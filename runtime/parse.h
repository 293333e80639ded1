/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small languages of flags and annotations: sizes, durations, CIDRs, mounts, users. Each function reads the whole
 * text or fails with a sentence that says how to write it.
 */
#ifndef RUNTIME_PARSE_H
#define RUNTIME_PARSE_H

#include "runtime/config.h"
#include "runtime/error.h"

/* 4096, 64k, 1.5g: bytes, by powers of 1024. At least 1. */
bool parse_size(const char *text, uint64_t *bytes, struct error **err);
/* 500ms, 30s, 2m, 1.5h; a bare number is seconds. At least 1 ms. */
bool parse_duration(const char *text, uint64_t *ms, struct error **err);
/* A whole number within bounds. */
bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *n, struct error **err);
/* 0.5, 2: CPUs in thousandths. */
bool parse_cpus(const char *text, uint32_t *permille, struct error **err);
/* CIDR[:PORT[-PORT]]; an IPv6 address with a port in brackets: [::1]:80, [fd00::/8]:443. text is left to the caller. */
bool parse_egress(const char *text, struct config_egress *e, struct error **err);
/* [ADDR:]PORT[-PORT]; IPv6 in brackets: [::1]:80. */
bool parse_ingress(const char *text, struct config_ingress *in, struct error **err);

struct mount_arg {
	char *source, *target;
	bool readonly;
};
/* SRC:DST[:ro|rw]; read-only unless rw is asked for. */
bool parse_mount(const char *text, struct mount_arg *m, struct error **err);

struct copy_out_arg {
	char *guest, *host;
};
/* PATH:HOSTPATH, PATH absolute. */
bool parse_copy_out(const char *text, struct copy_out_arg *c, struct error **err);

/* The name that is nearest to `word` by typing mistakes, or NULL if none is near. names ends with NULL. */
const char *nearest_word(const char *word, const char *const *names);

#endif
