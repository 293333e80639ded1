/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest address spaces: the sentry's view of what is mapped where.
 *
 * The tree of vmas decides addresses (commanded MAP_FIXED), answers /proc/PID/maps, and says which file a page belongs
 * to. Safety never rests on it: a guest can change protections or unmap by jumping into the stub, and then only
 * confuses itself. Native calls are queued with platform->mm_queue and carried out when the call returns.
 */
#ifndef SENTRY_MM_MM_H
#define SENTRY_MM_MM_H

#include "sentry/abi/mman.h"
#include "sentry/base/list.h"
#include "sentry/base/ref.h"
#include "sentry/base/tree.h"
#include "sentry/base/types.h"

struct file;
struct inode;
struct platform_mm;
struct platform_thread;
struct task;
struct text_file;

/*
 * Memory that several mappings show and that no file of the guest's stands behind: MAP_SHARED | MAP_ANONYMOUS, System V
 * segments. A memfd of its own, so that sharing over fork is the host kernel's.
 */
struct shared_mem {
	struct ref ref;
	struct list link; /* all of them, for accounting */
	int host_fd;
	uint64_t size;            /* page aligned; pages behind it raise SIGBUS, as in Linux */
	uint64_t id;              /* never used twice: identity for futexes, inode number in /proc/PID/maps */
	char name[32];            /* as /proc/PID/maps shows it: "/dev/zero (deleted)", "/SYSV00000000 (deleted)" */
	struct shm_segment *sysv; /* mm/shm.c; NULL otherwise */
};

/* What madvise(2) and mlock2(2) left on a mapping. */
#define VMA_DONTFORK 0x1U
#define VMA_WIPEONFORK 0x2U
#define VMA_DONTDUMP 0x4U
#define VMA_HUGEPAGE 0x8U
#define VMA_NOHUGEPAGE 0x10U
#define VMA_MERGEABLE 0x20U
#define VMA_LOCKONFAULT 0x40U
#define VMA_SEQUENTIAL 0x80U
#define VMA_RANDOM 0x100U
#define VMA_SYSV_ATTACH 0x200U /* made by shmat: counts as an attachment */
#define VMA_WRITTEN 0x400U     /* private, of a file, and is or was writable: its pages may be the guest's own */

struct vma {
	RB_ENTRY(vma) node;
	uint64_t start, end;    /* page aligned, start < end <= GUEST_END */
	int prot;               /* LINUX_PROT_* */
	int max_prot;           /* what mprotect may give: a shared map of a read-only file never becomes writable */
	int flags;              /* LINUX_MAP_SHARED or MAP_PRIVATE, GROWSDOWN, NORESERVE, LOCKED, STACK */
	uint32_t advice;        /* VMA_* */
	struct file *file;      /* counted; NULL for anonymous */
	struct shared_mem *shm; /* counted; anonymous shared memory and System V segments; then file may be /dev/zero */
	uint64_t file_off;      /* of start, in file or shm */
	int backing;            /* private, never writable, so still the file's own pages: 1 + the host descriptor they were
				 * mapped from, to compare with another mapping of `file`; else 0 */
	const char *name;       /* "[heap]", "[stack]", or NULL; static */
};

RB_HEAD(vma_tree, vma);

struct mm {
	struct ref ref;
	struct platform_mm *pmm; /* counted */
	struct vma_tree vmas;
	uint32_t nvmas;
	uint64_t total_pages, locked_pages, data_pages, stack_pages, exec_pages;
	bool locks;                  /* the platform was told that some are, or were, locked */
	uint64_t peak_pages;         /* highest total_pages: VmPeak */
	uint64_t mmap_top;           /* search for free ranges goes downwards from here */
	uint64_t hole_top, hole_max; /* no hole above hole_top is larger than hole_max (see mm/vma.c) */
	uint64_t brk_start, brk;
	uint64_t stack_top;   /* highest address of the main stack */
	uint64_t stack_floor; /* the main stack is mapped in the host down to here (see mm/stack.c); 0: none */
	uint64_t start_stack; /* sp at the first instruction: /proc/PID/stat */
	uint64_t arg_start, arg_end, env_start, env_end; /* /proc/PID/cmdline, environ */
	uint64_t code_start, code_end, data_start, data_end;
	struct file *exe; /* counted; /proc/PID/exe. Its inode's exec_count is raised while we hold it */
	uint8_t auxv[512];
	uint32_t auxv_len;
	bool dumpable;
	bool lock_future, lock_future_onfault; /* mlockall(MCL_FUTURE) */
	struct list inflight;                  /* mm_inflight.link */
	uint64_t vma_gen;                      /* changes with every change of what is mapped where */

	/* rewritten call sites (mm/text_map.c) */
	struct mm_text *text;         /* NULL: nothing known */
	bool text_proven_only;        /* no rewritten text before a call has come from it here: text_adopt */
	bool text_pending;            /* the next call that returns has work to do: text_return */
	bool text_gone;               /* some trampolines went a moment ago */
	uint64_t text_low, text_high; /* rewritten text and trampolines lie within */
};

/*
 * A task's native memory call on its way: the tree already shows its result, the host does not yet. Until the task's
 * next call proves that it is done, the unmapped range is given to nobody and what was mapped stays open.
 */
struct mm_inflight {
	struct list link;       /* mm->inflight */
	uint64_t start, end;    /* being unmapped; 0, 0: none */
	struct file *file;      /* being mapped; counted */
	struct shared_mem *shm; /* the same */
	struct text_file *text; /* the same */
};

static inline struct mm *mm_get(struct mm *mm)
{
	ref_get(&mm->ref);
	return mm;
}
void mm_put(struct mm *mm);
/* RLIMIT_STACK of the running program has become this: full events only. */
int mm_stack_limit(struct task *task, uint64_t rlimit) must_check;
/* A new, empty one for pt's address space (takes no reference on pt; counts its platform_mm). */
struct mm *mm_new(struct platform_thread *pt) must_check;
/* A copy of the tree for fork; the platform copies the pages. pmm is set by the caller after platform->clone. */
struct mm *mm_dup(struct mm *mm) must_check;
/* Makes the copy's address space the platform's: counts pmm. For fork, after platform->clone. */
void mm_set_platform(struct mm *mm, struct platform_mm *pmm);
/* The task's last native memory calls are done: task_syscall calls it at the task's next call. Cheap if there were
 * none. */
void mm_settle_slow(struct task *task);
/* The task leaves its address space (exit): drops task->mm and what it had on its way. */
void mm_release(struct task *task);

/* The vma that holds addr, or NULL. */
struct vma *mm_find(struct mm *mm, uint64_t addr);
/* The first vma that ends above addr, or NULL: for iteration. */
struct vma *mm_find_next(struct mm *mm, uint64_t addr);
/* The last vma that starts below addr, or NULL. */
struct vma *mm_find_prev(struct mm *mm, uint64_t addr);

/* mmap(2): all checks, address choice, native call queued. Full event only. Returns the address or -errno. */
int64_t mm_mmap(struct task *task, uint64_t addr, uint64_t len, int prot, int flags, struct file *file, uint64_t off);
int mm_munmap(struct task *task, uint64_t addr, uint64_t len) must_check;
/* The rest of the memory calls, each with all of its checks; those without "full event" make no native call. */
int64_t mm_brk(struct task *task, uint64_t brk);                                      /* full event */
int mm_mprotect(struct task *task, uint64_t addr, uint64_t len, int prot) must_check; /* full event */
int64_t mm_mremap(struct task *task, uint64_t old_addr, uint64_t old_len, uint64_t new_len, int flags,
		  uint64_t new_addr);                                                  /* full event; sleeps */
int mm_madvise(struct task *task, uint64_t addr, uint64_t len, int advice) must_check; /* full event */
int mm_remap_file_pages(struct task *task, uint64_t addr, uint64_t size, int prot, uint64_t pgoff,
			int flags) must_check;
int mm_msync(struct task *task, uint64_t addr, uint64_t len, int flags) must_check;   /* sleeps */
int mm_mincore(struct task *task, uint64_t addr, uint64_t len, gva_t vec) must_check; /* full event */
int mm_mlock(struct task *task, uint64_t addr, uint64_t len, bool lock, bool onfault) must_check;
int mm_mlockall(struct task *task, int flags) must_check; /* 0: munlockall */
/* Is it memory that nothing but an munmap can take from the thread that writes there: anonymous, private, writable, one vma?
 * mm may be NULL. */
bool mm_plain_memory(struct mm *mm, uint64_t start, uint64_t end);
/* A shared-futex key or a page's identity: the file's inode and offset, or the anonymous shared id. false: private. */
bool mm_shared_key(struct mm *mm, uint64_t addr, uint64_t *object, uint64_t *offset);
/* A fault at addr, in a full event: if it lies below a MAP_GROWSDOWN mapping that may grow, the growth is queued and
 * the guest may try again. */
bool mm_fault_grow(struct task *task, uint64_t addr) must_check;
/* Bytes of all shared_mem that the host really holds, for the memory limit. */
uint64_t mm_shared_bytes(void);
bool mm_any_shared(void);

/*
 * execve: loads file (borrowed) and its interpreter into a clean address space and makes it the task's. On success the
 * registers are set for the first instruction; never fails after the point of no return (then it kills the task).
 * argv, envp: NUL-terminated strings, packed, counts given. execfn: the path as given.
 */
struct exec_args {
	char *strings; /* argv strings, then envp strings, each NUL-terminated; grows up to 1/4 of the stack limit */
	size_t strings_len, strings_cap;
	uint32_t argc, envc;
	char *execfn;           /* AT_EXECFN; the interpreter handling rewrites argv */
	size_t limit;           /* bytes of strings and pointers to them; 0: the most there ever are, 6 MiB */
	bool path_inaccessible; /* execfn names a close-on-exec descriptor: scripts can't be run from it */
};
/* Appends one string. -LINUX_ENOMEM, -LINUX_E2BIG. The caller counts it in argc or envc. */
int exec_args_add(struct exec_args *a, const char *s, size_t len) must_check;
void exec_args_free(struct exec_args *a);
/* The whole of execve for a task with a full event, or the first program of the sandbox (no old address space).
 * Replaces mm, resets signals, closes close-on-exec descriptors, applies setuid bits, kills other threads. 0 or -errno.
 */
int task_exec(struct task *task, struct file *file, struct exec_args *args) must_check;
/*
 * The first program of a process that comes from outside: name is looked up as execvp(3) does (in path_env unless it
 * has a slash), opened as an executable and run with argv and envp (host strings, NULL-terminated). -LINUX_ENOENT: not
 * found (status 127); anything else: found but can't be run (126).
 */
int kernel_exec_first(struct task *task, const char *name, const char *path_env, char *const *argv,
		      char *const *envp) must_check;
/* The lookup alone. Returns a reference in *out and the path to kfree in *path. As execvp: -LINUX_ENOENT if no
 * directory has it, -LINUX_EACCES if one had it but it may not be executed. */
int exec_find_in_path(struct task *task, const char *name, const char *path_env, struct file **out,
		      char **path) must_check;
/* Opens name as execve does: regular, executable, not on a noexec mount (-LINUX_EACCES), not written (-LINUX_ETXTBSY).
 */
int exec_open(struct task *task, int dirfd, const char *name, unsigned lookup, struct file **out) must_check;

#endif
