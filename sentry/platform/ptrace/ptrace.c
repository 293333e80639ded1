/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ptrace platform's transport: for hosts where no listener can be had, and to measure what it costs.
 *
 * The same stubs under the same filter, with SECCOMP_RET_TRACE where notify has USER_NOTIF: a call stops its thread, the
 * sentry (tracer of the zygote, and by inheritance of every stub) reads the registers, and answers by writing RAX with the
 * call number gone, or lets the call be made. Signals pass through. The trap door works as it is.
 *
 *	SIGCHLD --> wait4 --> seccomp stop? stubs_call()   signal stop? pass it on   new child? let it go   end? reap
 *
 * There is no ADDFD: a descriptor is sent over a socket whose other end every stub holds at STUB_SOCKET_FD, and the stopped
 * call is turned into a recvmsg and then made again. The guest can't use that socket (its calls come here); it can close
 * it by jumping into the stub, and then dies at the next mapping of a file.
 *
 * A call's id is the thread's id.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/signal.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/loop.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stubs/stubs.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS                                                                                                        \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |                    \
	 PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL)
#define SYSCALL_STOP (SIGTRAP | 0x80)

static int our_socket = -1;

static int64_t trace(int request, int tid, uint64_t addr, void *data)
{
	int64_t ret = syscall(SYS_ptrace, request, tid, addr, data);

	return ret < 0 ? -errno : ret;
}

static int get_regs(int tid, struct user_regs_struct *regs)
{
	return (int)trace(PTRACE_GETREGS, tid, 0, regs);
}

static void go_on(int tid, int sig)
{
	trace(PTRACE_CONT, tid, 0, (void *)(uint64_t)sig);
}

static void answer(uint64_t id, int64_t value)
{
	struct user_regs_struct regs;
	int tid = (int)id;

	if (get_regs(tid, &regs) < 0)
		return; /* it was killed; its end will be seen */
	regs.orig_rax = UINT64_MAX;
	regs.rax = (uint64_t)value;
	trace(PTRACE_SETREGS, tid, 0, &regs);
	go_on(tid, 0);
}

static void proceed(uint64_t id)
{
	go_on((int)id, 0);
}

/* Waits for the thread's next stop; the signals that come first are handed back after it. */
static int wait_stop(int tid, int *pending)
{
	for (;;) {
		int status;
		int64_t got = syscall(SYS_wait4, tid, &status, __WALL, NULL);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || !WIFSTOPPED(status))
			return -LINUX_ESRCH;
		if (WSTOPSIG(status) == SYSCALL_STOP)
			return 0;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
			trace(PTRACE_SYSCALL, tid, 0, NULL);
			continue;
		}
		if (status >> 16 == 0)
			*pending = WSTOPSIG(status);
		trace(PTRACE_SYSCALL, tid, 0, NULL);
	}
}

/* What the injected recvmsg needs, in the stub's memory below its stack pointer's page: the caller stands in the stub. */
struct receive_frame {
	struct {
		uint64_t name, name_len, iov, iov_len, control, control_len, flags;
	} msg;
	struct {
		uint64_t base, len;
	} iov;
	uint64_t byte;
	uint8_t control[32];
};

static int send_fd(int fd)
{
	char byte = 0;
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memset(&control, 0, sizeof(control));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return (int)host_sendmsg(our_socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int pass_fd(uint64_t id, int fd, unused_arg int number_wanted, bool and_answer)
{
	struct user_regs_struct regs, call;
	struct receive_frame f;
	struct iovec local = {&f, sizeof(f)}, remote;
	int tid = (int)id, number = -LINUX_ESRCH, pending = 0;
	uint64_t at;

	if (get_regs(tid, &regs) < 0 || send_fd(fd) < 0)
		return -LINUX_ESRCH;
	at = (regs.rsp - 1024) & ~15UL;
	memset(&f, 0, sizeof(f));
	f.msg.iov = at + offsetof(struct receive_frame, iov);
	f.msg.iov_len = 1;
	f.msg.control = at + offsetof(struct receive_frame, control);
	f.msg.control_len = sizeof(f.control);
	f.iov.base = at + offsetof(struct receive_frame, byte);
	f.iov.len = 1;
	remote.iov_base = (void *)at; // NOLINT
	remote.iov_len = sizeof(f);
	if (host_process_vm_writev(tid, &local, 1, &remote, 1) != (int64_t)sizeof(f))
		return -LINUX_ESRCH;
	call = regs;
	call.orig_rax = SYS_recvmsg;
	call.rdi = STUB_SOCKET_FD;
	call.rsi = at;
	call.rdx = 0;
	trace(PTRACE_SETREGS, tid, 0, &call);
	trace(PTRACE_SYSCALL, tid, 0, NULL);
	if (wait_stop(tid, &pending) < 0)
		return -LINUX_ESRCH;
	if (host_process_vm_readv(tid, &local, 1, &remote, 1) == (int64_t)sizeof(f)) {
		struct cmsghdr head;

		memcpy(&head, f.control, sizeof(head));
		if (head.cmsg_level == SOL_SOCKET && head.cmsg_type == SCM_RIGHTS)
			memcpy(&number, f.control + CMSG_LEN(0), sizeof(number));
	}
	if (and_answer) {
		regs.orig_rax = UINT64_MAX;
		regs.rax = (uint64_t)(int64_t)number;
		trace(PTRACE_SETREGS, tid, 0, &regs);
		go_on(tid, pending);
		return number;
	}
	/* Make the stopped call again: back over the instruction, and stop at its filter once more. */
	regs.rip -= 2;
	regs.rax = regs.orig_rax;
	regs.orig_rax = UINT64_MAX;
	trace(PTRACE_SETREGS, tid, 0, &regs);
	for (;;) {
		int status;

		go_on(tid, 0);
		if (syscall(SYS_wait4, tid, &status, __WALL, NULL) < 0 || !WIFSTOPPED(status))
			return -LINUX_ESRCH;
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8))
			break;
	}
	if (pending != 0)
		host_tgkill(tid, tid, pending);
	return number;
}

static void before_sleep(void)
{
}

static const struct stub_transport ptrace_transport = {
	.answer = answer,
	.proceed = proceed,
	.pass_fd = pass_fd,
	.before_sleep = before_sleep,
};

static void call_stop(int tid)
{
	struct user_regs_struct regs;
	struct stub_call c;

	if (get_regs(tid, &regs) < 0)
		return;
	c.id = (uint64_t)tid;
	c.tid = tid;
	c.nr = (int64_t)(int32_t)regs.orig_rax;
	c.ip = regs.rip;
	c.args[0] = regs.rdi;
	c.args[1] = regs.rsi;
	c.args[2] = regs.rdx;
	c.args[3] = regs.r10;
	c.args[4] = regs.r8;
	c.args[5] = regs.r9;
	stubs_call(&c);
}

/* One waitpid result. */
static void stop_or_end(int tid, int status, uint64_t cpu_ns)
{
	int event = status >> 16, sig;

	if (!WIFSTOPPED(status)) {
		stubs_account_end(tid, cpu_ns);
		stubs_child_ended(tid, status);
		return;
	}
	sig = WSTOPSIG(status);
	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		call_stop(tid);
		return;
	case PTRACE_EVENT_CLONE:
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_STOP: /* a new child, or a group stop that is none of the guest's */
		go_on(tid, 0);
		return;
	default:
		go_on(tid, sig == SYSCALL_STOP ? 0 : sig);
		return;
	}
}

static bool reap_turn(void)
{
	struct rusage ru = {0};
	int status;
	int64_t tid = syscall(SYS_wait4, -1, &status, __WALL | WNOHANG, &ru);

	if (tid <= 0)
		return false;
	stop_or_end((int)tid, status, (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * NSEC_PER_SEC +
				      (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000);
	return true;
}

void ptrace_boot_turn(void)
{
	while (reap_turn())
		;
}

/* SIGCHLD, by the sentry's signalfd: the loop calls stubs_reap, which comes here. */
void ptrace_reap(void)
{
	while (reap_turn())
		;
}

static int seize(void)
{
	return (int)trace(PTRACE_SEIZE, zygote_tid, 0, (void *)(uint64_t)OPTIONS);
}

static void dispatch(uint32_t revents)
{
	(void)revents;
}

int ptrace_boot(const char **step)
{
	int pair[2], err;

	*step = "a socket pair for descriptors";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	our_socket = pair[0];
	if (dup2(pair[1], STUB_SOCKET_FD) < 0)
		return -errno;
	transport = &ptrace_transport;
	platform = &ptrace_platform;
	platform_dispatch = dispatch;
	err = zygote_boot(SECCOMP_RET_TRACE, 0, STUB_SOCKET_FD, seize, step);
	/* Until it has its own table, closing here closes there. */
	while (err >= 0 && !zygote_waits()) {
		ptrace_boot_turn();
		host_sched_yield();
	}
	close(pair[1]);
	close(STUB_SOCKET_FD);
	return err < 0 ? err : 0;
}
