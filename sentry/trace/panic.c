/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash report. It is written with host_write alone and reads nothing but our own memory: registers if a fault
 * brought us here, the words on our stack that point into our code (the binary is static and lies where it was linked,
 * so `addr2line -fe build/sentrybox-core ADDRESS...` tells the rest), and what panic_more adds.
 *
 * Guest bytes come into it only escaped. A second failure while reporting ends at once.
 */
#include "sentry/base/panic.h"

#include "sentry/host/host.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#define SCAN_WORDS 2048
#define SCAN_SHOWN 40

void (*panic_more)(void), (*panic_last)(void);
const char *(*panic_explain)(int sig, const void *address);
static int report_fd = 2;
static bool reporting;

/* Of the static, non-PIE link. */
extern const char __executable_start[], etext[];

void panic_line(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	n = MIN(n, (int)sizeof(line) - 2);
	line[n++] = '\n';
	host_write(report_fd, line, (size_t)n);
}

/* Return addresses, and now and then a stale one: every word from sp up that points into our code. Copied by the host,
 * since the pages above may be no stack any more, and sp itself may be what went wrong. */
static void print_stack(uintptr_t sp)
{
	uintptr_t words[64];
	char line[512];
	int n = 0, shown = 0;

	for (unsigned i = 0; i < SCAN_WORDS / ARRAY_LEN(words) && shown < SCAN_SHOWN; i++) {
		struct iovec to = {words, sizeof(words)},
			     from = {(void *)((sp & ~7UL) + i * sizeof(words)), sizeof(words)};
		int64_t got = host_process_vm_readv(getpid(), &to, 1, &from, 1);

		for (int64_t k = 0; k < got / 8 && shown < SCAN_SHOWN; k++) {
			if (words[k] < (uintptr_t)__executable_start || words[k] >= (uintptr_t)etext)
				continue;
			n += snprintf(line + n, sizeof(line) - (size_t)n, " %#lx", words[k]);
			if (++shown % 8 == 0) {
				panic_line("  stack:%s", line);
				n = 0;
			}
		}
		if (got < (int64_t)sizeof(words))
			break;
	}
	if (n != 0)
		panic_line("  stack:%s", line);
}

static void begin_report(void)
{
	if (reporting)
		host_exit(125);
	reporting = true;
}

static _Noreturn void end_report(uintptr_t sp)
{
	if (panic_more != NULL)
		panic_more();
	print_stack(sp); /* late: a stack pointer may be what went wrong */
	if (panic_last != NULL)
		panic_last();
	panic_line("sentrybox: the sandbox has been ended");
	host_exit(125);
}

_Noreturn void panic(const char *file, int line, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	begin_report();
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	panic_line("sentrybox: the sandbox's kernel failed: %s (%s:%d)", what, file, line);
	end_report((uintptr_t)__builtin_frame_address(0));
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	const greg_t *g = uc->uc_mcontext.gregs;
	const char *why = panic_explain != NULL ? panic_explain(sig, info->si_addr) : NULL;

	begin_report();
	if (why != NULL) {
		panic_line("sentrybox: %s", why);
		panic_line("sentrybox: the sandbox has been ended");
		host_exit(125);
	}
	panic_line("sentrybox: the sandbox's kernel failed: signal %d, code %d, address %p at %#llx", sig,
		   info->si_code, info->si_addr, (unsigned long long)g[REG_RIP]);
	panic_line("  rax %016llx rbx %016llx rcx %016llx rdx %016llx", (unsigned long long)g[REG_RAX],
		   (unsigned long long)g[REG_RBX], (unsigned long long)g[REG_RCX], (unsigned long long)g[REG_RDX]);
	panic_line("  rsi %016llx rdi %016llx rbp %016llx rsp %016llx", (unsigned long long)g[REG_RSI],
		   (unsigned long long)g[REG_RDI], (unsigned long long)g[REG_RBP], (unsigned long long)g[REG_RSP]);
	panic_line("  r8  %016llx r9  %016llx r10 %016llx r11 %016llx", (unsigned long long)g[REG_R8],
		   (unsigned long long)g[REG_R9], (unsigned long long)g[REG_R10], (unsigned long long)g[REG_R11]);
	panic_line("  r12 %016llx r13 %016llx r14 %016llx r15 %016llx", (unsigned long long)g[REG_R12],
		   (unsigned long long)g[REG_R13], (unsigned long long)g[REG_R14], (unsigned long long)g[REG_R15]);
	end_report((uintptr_t)g[REG_RSP]);
}

void panic_init(int fd)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	static char stack[16384] __attribute__((aligned(16)));
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	report_fd = fd;
	sigaltstack(&ss, NULL);
	sigfillset(&sa.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &sa, NULL);
}
