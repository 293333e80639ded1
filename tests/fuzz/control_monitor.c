/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/control.h"
#include "tests/fuzz/fuzz.h"

#include "runtime/core/lifecycle.c"
#include "runtime/core/monitor.c"

#define NOBODY 0x3ffffffe

/* Commands that wait for what the sentry says; what they are answered goes nowhere. */
static void have_connections(const struct config *c)
{
	static const uint32_t wait_for[] = {LC_EXEC, LC_PS, LC_START, LC_WAIT};

	free(connections);
	start_sent = overdue = false;
	lifecycle_init(c, 1000, NOBODY, NOBODY);
	for (unsigned i = 0; i < 4; i++)
		connections[i] = (struct connection){.fd = 1001 + (int)i, .waits = wait_for[i], .exec = i == 0};
	nconnections = 4;
}

bool fuzz_monitor_control(void)
{
	static const struct config cfg = {.timeout_ms = 1000, .message_fd = -1, .wait_start = true, .control_fd = 1010,
					  .sync_fd = -1, .state_fd = -1, .cg_leave_fd = {-1, -1}, .cg_freeze_fd = -1,
					  .cg_frozen_fd = -1, .cg_oom_fd = -1, .cg_memory_max_fd = -1, .cg_memory_fd = -1};
	static struct monitor m;
	struct sandbox_result r;
	char text[256];
	static unsigned used;

	if (used++ % 16 == 0) {
		m = (struct monitor){.cfg = &cfg, .control = 1000, .dial = -1};
		have_connections(&cfg);
	}
	control_ready(&m);
	FUZZ_CHECK(nconnections <= 4);
	FUZZ_CHECK(strnlen(m.result.error, sizeof(m.result.error)) < sizeof(m.result.error));
	r = m.result;
	(void)result_exit_status(&r);
	result_explain(&r, &cfg);
	FUZZ_CHECK(strnlen(r.error, sizeof(r.error)) < sizeof(r.error));
	FUZZ_CHECK(strlen(result_limits(&r, &cfg, text, sizeof(text))) < sizeof(text));
	return m.control >= 0;
}
