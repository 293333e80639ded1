/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sentrybox-inspect: reads hostile bytes so that nobody else has to. The monitor starts it when the sentry wants to know where
 * in its program a guest stands: a denial with --backtrace, or a crash of the sentry.
 *
 *	monitor --spawn--> sentrybox-inspect <--socket: registers, pages / questions, text--> sentry
 *
 * It has one descriptor, no capability, the sandbox's uid, bounded memory and CPU time, and after its start a filter of a
 * dozen calls (rows INSPECT of filters.def). What it says is text, bounded by the protocol and printed as such.
 */
#include "runtime/core/inspect_protocol.h"
#include "runtime/core/seal.h"
#include "runtime/inspect/backtrace.h"
#include "runtime/inspect/image.h"
#include "runtime/inspect/memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define ADDRESS_SPACE_MAX (256UL << 20)
#define CPU_SECONDS_MAX 20
#define BACKTRACES_MAX 256 /* then a fresh process: libunwind keeps what it has allocated */

static void inspect(const struct inspect_start *from)
{
	struct inspect_ask done = {.type = INSPECT_DONE};

	memory_begin();
	image_begin();
	instruction(from);
	backtrace(from);
	send_message(&done, sizeof(done));
}

int main(int argc, char **argv)
{
	static union inspect_message msg;
	struct rlimit cpu = {CPU_SECONDS_MAX, CPU_SECONDS_MAX};
	struct inspect_start from;

	if (argc != 2 || strcmp(argv[1], "inspect") != 0) {
		fprintf(stderr, "sentrybox-inspect is started by sentrybox; see `sentrybox --help`\n");
		return 125;
	}
	prctl(PR_SET_NAME, "sbx-inspect", 0, 0, 0);
#ifndef __SANITIZE_ADDRESS__
	setrlimit(RLIMIT_AS, &(struct rlimit){ADDRESS_SPACE_MAX, ADDRESS_SPACE_MAX});
#endif
	setrlimit(RLIMIT_CPU, &cpu);
	backtrace_init();
	instruction_init();
	/* stdio, and what libunwind keeps to look at its own process. */
	close_range(0, INSPECT_FD - 1, 0);
	close_range(INSPECT_FD + 1, ~0U, 0);
	seal_landlock_sentry();
	seal_inspector();
	for (unsigned i = 0; i < BACKTRACES_MAX; i++) {
		size_t n = receive_message(&msg);

		if (msg.type != INSPECT_START || n != sizeof(msg.start) || msg.start.version != INSPECT_VERSION)
			return 1;
		from = msg.start;
		inspect(&from);
	}
	return 0;
}
