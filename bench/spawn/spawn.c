/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn COMMAND [ARGS...]: runs a command once and prints "NANOSECONDS KIB STATUS": from before it was started to its end, the most
 * memory it had (resident, by the host's count), its exit status or 128 and the signal.
 *
 * It stands between bench/lifecycle and what is measured because an interpreter spoils both figures: it needs as long to start
 * a process as some of the commands take, and the host counts the pages that a process had before execve() as its own. This
 * one is static and small. The command has /dev/null for stdin and stdout, and our stderr.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), status;
	struct rusage ru;
	int64_t start;
	pid_t pid;

	if (argc < 2 || null < 0)
		return 2;
	start = now_ns();
	pid = vfork(); /* fork would copy page tables, which are no part of the command */
	if (pid == 0) {
		if (dup2(null, 0) >= 0 && dup2(null, 1) >= 0)
			execv(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &ru) != pid)
		return 2;
	printf("%lld %ld %d\n", (long long)(now_ns() - start), ru.ru_maxrss,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
