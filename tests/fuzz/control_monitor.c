/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/control.h"
#include "tests/fuzz/fuzz.h"

#include "runtime/core/monitor.c"

bool fuzz_monitor_control(void)
{
	static const struct config cfg = {.timeout_ms = 1000, .message_fd = -1};
	static struct monitor m;
	struct sandbox_result r;
	char text[256];
	static unsigned used;

	if (used++ % 16 == 0)
		m = (struct monitor){.cfg = &cfg, .control = 1000, .dial = -1};
	control_ready(&m);
	FUZZ_CHECK(strnlen(m.result.error, sizeof(m.result.error)) < sizeof(m.result.error));
	r = m.result;
	(void)result_exit_status(&r);
	result_explain(&r, &cfg);
	FUZZ_CHECK(strnlen(r.error, sizeof(r.error)) < sizeof(r.error));
	FUZZ_CHECK(strlen(result_limits(&r, &cfg, text, sizeof(text))) < sizeof(text));
	return m.control >= 0;
}
