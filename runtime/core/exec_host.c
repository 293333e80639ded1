/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on the host for a process that `exec` brought into a sandbox: an engine waits for it, signals it, kills it.
 *
 *	engine --signals--> us --LC_EXEC_SIGNAL--> monitor --> sentry --> the process
 *	engine <--exit----- us <--LC_ENDED-------- monitor <-- sentry <-- its end
 *
 * Descriptor 3 is the connection to the monitor on which the command had the process started. Our end, whatever its reason,
 * closes it, and the monitor ends what is left of the process and its descendants. The terminal, if there is one, is the
 * process's; its settings are put back at the end. What comes over the connection is the monitor's word: trusted.
 */
#include "runtime/core/exec_host.h"

#include "runtime/core/lifecycle_protocol.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CONNECTION 3

static const int own_signals[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE,	SIGTRAP,
				  SIGABRT, SIGPIPE, SIGCHLD, SIGTTIN, SIGTTOU, 32, 33, 34};

static int take_signals(void)
{
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(own_signals) / sizeof(own_signals[0]); i++)
		sigdelset(&set, own_signals[i]);
	sigprocmask(SIG_SETMASK, &set, NULL); /* the command had all of them wait for us */
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void pass_on(int signals)
{
	struct signalfd_siginfo si;

	while (read(signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		struct lifecycle_request rq = {
			.magic = LIFECYCLE_MAGIC, .type = LC_EXEC_SIGNAL, .signal = (int32_t)si.ssi_signo};

		send(CONNECTION, &rq, sizeof(rq), MSG_NOSIGNAL);
	}
}

/* False: not the end yet. */
static bool take_end(int *status)
{
	struct lifecycle_reply r;
	ssize_t n = recv(CONNECTION, &r, sizeof(r), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n == (ssize_t)sizeof(r) && r.type != LC_ENDED)
		return false;
	*status = n == (ssize_t)sizeof(r) ? r.status : SIGKILL; /* the monitor is gone, and all with it */
	return true;
}

int exec_host_main(bool by_signal)
{
	struct rlimit core = {1, 1};
	struct termios settings;
	bool terminal = tcgetattr(STDIN_FILENO, &settings) == 0;
	int signals = take_signals(), status = SIGKILL;

	prctl(PR_SET_NAME, "sbx-exec", 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	signal(SIGTTOU, SIG_IGN);
	setrlimit(RLIMIT_CORE, &core);
	for (;;) {
		struct pollfd p[2] = {{signals, POLLIN, 0}, {CONNECTION, POLLIN, 0}};

		poll(p, 2, -1);
		if (p[0].revents != 0)
			pass_on(signals);
		if (p[1].revents != 0 && take_end(&status))
			break;
	}
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &settings);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (by_signal) {
		sigset_t set;

		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
		sigemptyset(&set);
		sigaddset(&set, WTERMSIG(status));
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	return 128 + WTERMSIG(status);
}
