/* SPDX-License-Identifier: Apache-2.0 */
/* The fixed page: emulated by the host's kernel, outside any filter's sight on some. */
#include "payload.h"

PAYLOAD("call through the vsyscall page", "", "exit 0 or signal SIGSEGV or signal SIGSYS or signal SIGKILL");

#include <time.h>
int main(void)
{
	time_t (*vtime)(time_t *) = (time_t(*)(time_t *))0xffffffffff600400UL;
	time_t t = vtime(NULL);

	/* What it may tell is the time, no more. */
	return t < 1000000000 && t != -1 && t != -ENOSYS;
}
