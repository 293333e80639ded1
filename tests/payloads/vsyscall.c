/* SPDX-License-Identifier: Apache-2.0 */
/* The fixed page: emulated by the host's kernel, which asks our filter, or by the sentry where the host has none. The three
 * calls tell the time and the CPU, as they should; what else lies there is no way to anything. */
#include "payload.h"

PAYLOAD("calls through the vsyscall page", "", "exit 0");

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
int main(void)
{
	time_t (*vtime)(time_t *) = (time_t(*)(time_t *))0xffffffffff600400UL;
	int (*vgettimeofday)(struct timeval *, void *) = (int (*)(struct timeval *, void *))0xffffffffff600000UL;
	int (*vgetcpu)(unsigned *, unsigned *, void *) = (int (*)(unsigned *, unsigned *, void *))0xffffffffff600800UL;
	void (*other)(void) = (void (*)(void))0xffffffffff600c00UL;
	struct timeval tv = {0, -1};
	unsigned cpu = ~0U, node = ~0U;
	time_t t = 0;
	int status;

	if (vtime(&t) != t || t < 1000000000 || vgettimeofday(&tv, NULL) != 0 || tv.tv_sec < t || tv.tv_usec < 0)
		return 1;
	if (vgetcpu(&cpu, &node, NULL) != 0 || cpu == ~0U || node == ~0U)
		return 2;
	if (fork() == 0) {
		other();
		_exit(0);
	}
	return wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : 3;
}
