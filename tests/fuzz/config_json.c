/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json of a bundle: spec_parse() of any bytes. What is taken passes config_check() in the end (build_finish), or
 * is refused with a sentence; a filter of seccomp that comes out of it is one the sentry takes. The host's files are not opened, but for O_PATH descriptors of what a mount names.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/error.h"
#include "runtime/spec.h"
#include "sentry/kernel/bpf.h"

/* The 2 MiB of struct config are not allocated anew for each run: that took longer than everything else. */
static struct config config;
static uint32_t used = CONFIG_POOL;

void *__real_xcalloc(size_t n, size_t size);
void *__wrap_xcalloc(size_t n, size_t size);
void *__wrap_xcalloc(size_t n, size_t size)
{
	if (size != sizeof(config))
		return __real_xcalloc(n, size);
	memset(&config, 0, offsetof(struct config, pool) + used);
	return &config;
}

static void run(const uint8_t *data, size_t size)
{
	struct settings s;
	struct build b;
	struct error *err = NULL;

	fuzz_host.descriptors_only = true;
	settings_init(&s);
	build_init(&b);
	if (!spec_parse(&b, &s, "/", (const char *)data, size, &err) || !build_finish(&b, &err)) {
		FUZZ_CHECK(err != NULL && err->text != NULL && err->text[0] != '\0');
		error_free(err);
	} else if (config.nseccomp != 0) {
		FUZZ_CHECK(bpf_check((const struct linux_sock_filter *)config.seccomp, config.nseccomp,
				     sizeof(struct linux_seccomp_data)));
	}
	FUZZ_CHECK(b.c == &config);
	used = b.pool_used;
	b.c = NULL;
	build_free(&b);
	settings_free(&s);
	fuzz_host.descriptors_only = false;
}

const struct fuzz_target fuzz_config_json = {.name = "config_json", .run = run};
