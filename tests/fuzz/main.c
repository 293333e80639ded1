/* SPDX-License-Identifier: Apache-2.0 */
/* Which target this program is: the last part of its name. */
#include "tests/fuzz/fuzz.h"

#include "sentry/base/log.h"

#define TARGETS(X)                                                                                                     \
	X(config_check) X(config_json) X(control) X(dial) X(elf) X(erofs) X(files_read) X(files_write) X(gate_cache) X(gofer)    \
	X(lower) X(mailbox) X(path_walk) X(syscalls) X(text_reloc) X(text_site) X(udp)
#define DECLARE(name) extern const struct fuzz_target fuzz_##name;
TARGETS(DECLARE)

#define ENTRY(name) &fuzz_##name,
static const struct fuzz_target *const targets[] = {TARGETS(ENTRY)};
static const struct fuzz_target *target;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);

/* A short quarantine and short stacks of allocations: they are most of what a run costs. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=8:malloc_context_size=3:detect_leaks=0:handle_abort=2:"
	       "allocator_may_return_null=1:detect_stack_use_after_return=0";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *slash = strrchr((*argv)[0], '/'), *name = slash != NULL ? slash + 1 : (*argv)[0];

	(void)argc;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++)
		if (strcmp(targets[i]->name, name) == 0)
			target = targets[i];
	if (target == NULL) {
		fprintf(stderr, "%s: no such target\n", name);
		exit(2);
	}
	log_fd = -1;
	if (target->init != NULL)
		target->init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	target->run(data, size);
	return 0;
}
