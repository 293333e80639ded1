/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zygote's birth, before the sentry is sealed and before any guest code.
 *
 * A child of ours that shares the descriptor table (CLONE_FILES) turns itself into the zygote without an exec: it moves
 * the vDSO, reserves the stub region, maps the stub's text (from a sealed memfd) and area 0, sets the signal handlers,
 * and jumps into the stub, which unmaps everything else and installs the filter. The listener's number appears in the
 * shared table; nothing can wake us then, so we yield on a shared word while the child lives. Under ptrace the child waits
 * until it is traced, and keeps one socket.
 *
 * Nothing of the sentry's memory, descriptors or signal handlers is left in the zygote when it serves. A host whose own filter
 * answers close_range would leave it our table: we look before we begin, the zygote ends if its call fails, and the sentry
 * takes no clone from it before it has seen that call.
 */
#include "sentry/platform/stubs/stubs.h"

#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/host/host.h"
#include "sentry/kernel/task.h"
#include "sentry/platform/internal.h"
#include "sentry/platform/stub/stub.h"
#include "sentry/platform/stub_filter.h"
#include "sentry/platform/stubs/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>


/* The stub's image, made by the build (stub_image.S). Offsets of its fixed entries: see stub.c's head. */
extern const char stub_image[], stub_image_end[];
#define ENTRY_ZYGOTE 0x00
#define ENTRY_HANDLER 0x10
#define ENTRY_RESTORER 0x20
#define SIGRETURN_IP (STUB_BASE + 0x27) /* behind the restorer's syscall */

#define HWCAP2_FSGSBASE 2UL

const struct platform_ops *platform;
int platform_event_fd = -1;
void (*platform_dispatch)(uint32_t revents);
uint64_t stubs_vdso;

struct host_range {
	uint64_t start, end;
};

static struct {
	struct sock_filter filter[STUB_FILTER_MAX];
	unsigned nfilter;
	struct host_range vdso[3]; /* vvar, vvar_vclock, vdso, ascending */
	unsigned nvdso;
	int image_fd, mailbox_fd, ro_fd;
	uint64_t filter_flags, keep_fd;
	volatile struct zygote_boot *shared;
	bool wait_for_go;
	int parent;
} boot;

/* Where the kernel put the vDSO and its data pages. None of it is needed to run; without it clocks are calls. */
void stubs_find_vdso(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[256];

	if (maps == NULL)
		return;
	while (fgets(line, sizeof(line), maps) != NULL && boot.nvdso < 3) {
		struct host_range r;
		const char *name = strchr(line, '[');

		if (name == NULL || (strncmp(name, "[vvar", 5) != 0 && strncmp(name, "[vdso]", 6) != 0))
			continue;
		if (sscanf(line, "%lx-%lx", &r.start, &r.end) == 2)
			boot.vdso[boot.nvdso++] = r;
	}
	fclose(maps);
	if (boot.nvdso != 0 && boot.vdso[boot.nvdso - 1].end - boot.vdso[0].start > STUB_VDSO_MAX)
		boot.nvdso = 0;
}

#define STAGING 0x100000000UL /* free in the child: below every mapping the kernel chooses for us */

/* Moves the pages to `to`, keeping their distances. */
static int64_t move_vdso(struct host_range *r, unsigned n, uint64_t to)
{
	uint64_t base = r[0].start;

	for (unsigned i = 0; i < n; i++) {
		uint64_t len = r[i].end - r[i].start, dst = to + (r[i].start - base);
		int64_t got = call6(SYS_mremap, r[i].start, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, dst, 0);

		if (got != (int64_t)dst)
			return got < 0 ? got : -1;
		r[i].start = dst;
		r[i].end = dst + len;
	}
	return 0;
}

struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

static char child_stack[16384] __attribute__((aligned(16)));

/* On child_stack, in the child: no libc from here on, its thread area may be anything. */
__attribute__((noreturn, used)) static void become_zygote(void)
{
	static const int handled[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGSTKFLT};
	struct kernel_sigaction sa = {
		.handler = STUB_BASE + ENTRY_HANDLER,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | 0x04000000,
		.restorer = STUB_BASE + ENTRY_RESTORER,
		.mask = ~(LINUX_SIGMASK(LINUX_SIGSEGV) | LINUX_SIGMASK(LINUX_SIGBUS)),
	};
	struct kernel_sigaction dfl = {0};
	struct {
		uint64_t sp;
		int32_t flags, pad;
		uint64_t size;
	} altstack = {STUB_AREAS + AREA_STACK, 0, 0, AREA_SIZE - AREA_STACK};
	uint64_t zero = 0, stack_top, image_len = PAGE_ALIGN((uint64_t)(stub_image_end - stub_image));
	uint64_t reserve = STUB_TOP - STUB_BASE;
	struct {
		uint16_t len;
		uint64_t filter;
	} prog = {(uint16_t)boot.nfilter, 0};
	struct host_range vdso[3];
	unsigned step = 1;
	int64_t r;

	memcpy(vdso, boot.vdso, sizeof(vdso));
	if (boot.nvdso != 0 && move_vdso(vdso, boot.nvdso, STAGING) < 0)
		goto fail;
	step++;
	if (call6(SYS_munmap, STUB_BASE, reserve, 0, 0, 0, 0) < 0)
		goto fail;
	step++;
	r = call6(SYS_mmap, STUB_BASE, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
		(uint64_t)-1, 0);
	if (r != (int64_t)STUB_BASE)
		goto fail;
	step++;
	r = call6(SYS_mmap, STUB_BASE, image_len, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, (uint64_t)boot.image_fd, 0);
	if (r != (int64_t)STUB_BASE)
		goto fail;
	step++;
	r = call6(SYS_mmap, STUB_AREAS + MAILBOX_SIZE, AREA_SIZE - MAILBOX_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, (uint64_t)-1, 0);
	if (r < 0)
		goto fail;
	step++;
	r = call6(SYS_mmap, STUB_AREAS, MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		(uint64_t)boot.mailbox_fd, 0);
	if (r < 0)
		goto fail;
	step++;
	r = call6(SYS_mmap, STUB_RO, STUB_RO_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, (uint64_t)boot.ro_fd, 0);
	if (r < 0)
		goto fail;
	step++;
	r = call6(SYS_mmap, STUB_MM, STUB_MM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, (uint64_t)-1, 0);
	if (r >= 0)
		r = call6(SYS_madvise, STUB_MM, STUB_MM_SIZE, MADV_WIPEONFORK, 0, 0, 0);
	if (r < 0)
		goto fail;
	step++;
	call6(SYS_madvise, STUB_AREAS, MAILBOX_SIZE, MADV_DONTFORK, 0, 0, 0);
	if (boot.nvdso != 0 && move_vdso(vdso, boot.nvdso, STUB_VDSO) < 0)
		goto fail;
	step++;
	for (int sig = 1; sig <= 64; sig++)
		call6(SYS_rt_sigaction, (uint64_t)sig, (uint64_t)&dfl, 0, 8, 0, 0);
	for (unsigned i = 0; i < ARRAY_LEN(handled); i++)
		call6(SYS_rt_sigaction, (uint64_t)handled[i], (uint64_t)&sa, 0, 8, 0, 0);
	if (call6(SYS_sigaltstack, (uint64_t)&altstack, 0, 0, 0, 0, 0) < 0)
		goto fail;
	call6(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)&zero, 0, 8, 0, 0);
	/* The stack of the stub's C code lies below the alternate stack, the program on top of it. */
	stack_top = STUB_AREAS + AREA_STACK - PAGE_ALIGN(sizeof(boot.filter));
	memcpy((void *)stack_top, boot.filter, boot.nfilter * sizeof(boot.filter[0]));
	prog.filter = stack_top;
	stack_top -= 256;
	memcpy((void *)stack_top, &prog, sizeof(prog));
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "push $0\n\t"
			 "jmp *%1"
			 :
			 : "r"(stack_top), "r"(STUB_BASE + ENTRY_ZYGOTE), "D"(stack_top),
			   "S"(boot.filter_flags), "d"(boot.keep_fd)
			 : "memory");
	__builtin_unreachable();
fail:
	call6(SYS_exit_group, 64 + step, 0, 0, 0, 0, 0);
	__builtin_unreachable();
}

static _Noreturn void zygote_child(void)
{
	call6(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
	if (call6(SYS_getppid, 0, 0, 0, 0, 0, 0) != boot.parent)
		call6(SYS_exit_group, 1, 0, 0, 0, 0, 0);
	while (boot.wait_for_go && boot.shared->go == 0)
		call6(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	/* A session of its own: Ctrl-C at the terminal is the guest's business, not the stubs'. */
	call6(SYS_setsid, 0, 0, 0, 0, 0, 0);
	call6(SYS_prctl, PR_SET_NAME, (uint64_t) "sbx-stub", 0, 0, 0, 0);
#ifdef __GLIBC__
	{
		extern const ptrdiff_t __rseq_offset __attribute__((weak));
		extern const unsigned int __rseq_size __attribute__((weak));

		if (&__rseq_offset != NULL && __rseq_size != 0)
			call6(SYS_rseq, (uint64_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset, 32, 1, 0x53053053, 0, 0);
	}
#endif
	__asm__ volatile("mov %0, %%rsp\n\tcall become_zygote" ::"r"(child_stack + sizeof(child_stack)) : "memory");
	__builtin_unreachable();
}

/* The image in a file that nobody can change any more. */
static int image_file(void)
{
	int fd = memfd_create("stub", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t len = (size_t)(stub_image_end - stub_image);

	if (fd < 0)
		return -errno;
	if (write(fd, stub_image, len) != (ssize_t)len ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

/*
 * The hundred calls by which the child becomes the zygote are slept through: where many sandboxes start at once, turns taken
 * only to look would be what it waits for. It wakes us with its last free call; a child that is dead wakes nobody, so the wait
 * is a short one, and whoever calls us looks what became of it.
 */
static void sleep_until_nearly(volatile struct zygote_boot *zb)
{
	const struct timespec patience = {0, 20000000};

	if (zb->nearly == 0 && zb->listener == 0)
		syscall(SYS_futex, (const void *)(uintptr_t)&zb->nearly, FUTEX_WAIT, 0, &patience, NULL, 0);
}

/*
 * Makes the zygote with a filter that ends in `action`. before_go, if any, is called when the child exists and waits; it
 * must set boot->go. Returns the number of the listener (0 if none was asked for) or -errno.
 */
int zygote_boot(uint32_t action, uint64_t filter_flags, int keep_fd, int (*before_go)(void), const char **step)
{
	struct mailbox *m;
	volatile struct zygote_boot *zb;
	int err = 0, status;

	*step = "FSGSBASE instructions (Linux 5.9 and a CPU of 2012 or later)";
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
		return -ENOSYS;
	boot.nfilter = stub_filter_build(boot.filter, SIGRETURN_IP, STUB_BASE + PAGE_ALIGN((uint64_t)(stub_image_end - stub_image)),
					 action, prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0);
	boot.filter_flags = filter_flags;
	boot.keep_fd = keep_fd > 0 ? (uint64_t)keep_fd : 0;
	/* By it the zygote leaves our table, and stubs close what was passed to them. It closes nothing here. */
	*step = "close_range(2), refused by a seccomp filter of the host (of an outer container?) that must allow it";
	if (syscall(SYS_close_range, ~0U, ~0U, 0U) < 0)
		return -errno;
	*step = "memfd for the stub";
	boot.image_fd = image_file();
	if (boot.image_fd < 0)
		return boot.image_fd;
	boot.ro_fd = gate_boot();
	if (boot.ro_fd < 0)
		return boot.ro_fd;
	gate_ro->attach_fd = transport->chooses_number ? STUB_ATTACH_FD + 1 : 0;
	boot.mailbox_fd = memfd_create("mailbox", MFD_CLOEXEC);
	if (boot.mailbox_fd < 0 || ftruncate(boot.mailbox_fd, MAILBOX_SIZE) < 0)
		return -errno;
	m = mmap(NULL, MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, boot.mailbox_fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	zb = (volatile struct zygote_boot *)m;
	boot.parent = getpid();

	*step = "clone of the zygote";
	boot.shared = zb;
	boot.wait_for_go = before_go != NULL;
	zygote_tid = (int)call6(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0, 0);
	if (zygote_tid == 0)
		zygote_child();
	if (zygote_tid < 0)
		return zygote_tid;
	if (before_go != NULL) {
		*step = "tracing the zygote (is ptrace allowed here?)";
		err = before_go();
		zb->go = err < 0 ? -1 : 1;
		if (err < 0)
			return err;
	}

	*step = "the seccomp filter (Linux 5.19 or later; is a listener installed by an outer sandbox?)";
	if (before_go == NULL)
		sleep_until_nearly(zb);
	for (unsigned i = 0; zb->listener == 0; i++) {
		if (before_go != NULL)
			ptrace_boot_turn();
		else if (i % 64 == 63 && waitpid(zygote_tid, &status, WNOHANG) == zygote_tid) {
			*step = "start of the zygote";
			return WIFEXITED(status) ? -1000 - WEXITSTATUS(status) : -ECHILD;
		}
		sched_yield();
	}
	if (zb->listener < 0)
		return (int)zb->listener;
	err = (int)zb->listener - 1;
	if (boot.nvdso != 0)
		stubs_vdso = STUB_VDSO + (boot.vdso[boot.nvdso - 1].start - boot.vdso[0].start);
	munmap(m, MAILBOX_SIZE);
	close(boot.mailbox_fd);
	close(boot.image_fd);
	close(boot.ro_fd);
	return err;
}
