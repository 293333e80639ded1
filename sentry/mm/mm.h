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
#include "sentry/base/ref.h"
#include "sentry/base/tree.h"
#include "sentry/base/types.h"

struct file;
struct platform_mm;
struct platform_thread;
struct task;

struct vma {
	RB_ENTRY(vma) node;
	uint64_t start, end;     /* page aligned, start < end <= GUEST_END */
	int prot;                /* LINUX_PROT_* */
	int max_prot;            /* what mprotect may give: a shared map of a read-only file never becomes writable */
	int flags;               /* LINUX_MAP_SHARED or MAP_PRIVATE, GROWSDOWN, NORESERVE, LOCKED, STACK */
	struct file *file;       /* counted; NULL for anonymous */
	uint64_t file_off;
	const char *name;        /* "[heap]", "[stack]", "[vdso]" or NULL; static */
	uint64_t shared_id;      /* anonymous shared memory: identity for futexes; 0 otherwise */
};

RB_HEAD(vma_tree, vma);

struct mm {
	struct ref ref;
	struct platform_mm *pmm; /* counted */
	struct vma_tree vmas;
	uint32_t nvmas;
	uint64_t total_pages, locked_pages, data_pages;
	uint64_t mmap_top;       /* search for free ranges goes downwards from here */
	uint64_t brk_start, brk;
	uint64_t stack_top;      /* highest address of the main stack */
	uint64_t arg_start, arg_end, env_start, env_end; /* /proc/PID/cmdline, environ */
	uint64_t code_start, code_end, data_start, data_end;
	struct file *exe;        /* counted; /proc/PID/exe */
	uint8_t auxv[512];
	uint32_t auxv_len;
	bool dumpable;
};

static inline struct mm *mm_get(struct mm *mm)
{
	ref_get(&mm->ref);
	return mm;
}
void mm_put(struct mm *mm);
/* A new, empty one for pt's address space (takes no reference on pt; counts its platform_mm). */
struct mm *mm_new(struct platform_thread *pt) must_check;
/* A copy of the tree for fork; the platform copies the pages. pmm is set by the caller after platform->clone. */
struct mm *mm_dup(struct mm *mm) must_check;

/* The vma that holds addr, or NULL. */
struct vma *mm_find(struct mm *mm, uint64_t addr);
/* The first vma that ends above addr, or NULL: for iteration. */
struct vma *mm_find_next(struct mm *mm, uint64_t addr);

/* mmap(2): all checks, address choice, native call queued. Full event only. Returns the address or -errno. */
int64_t mm_mmap(struct task *task, uint64_t addr, uint64_t len, int prot, int flags, struct file *file, uint64_t off);
/* A shared-futex key or a page's identity: the file's inode and offset, or the anonymous shared id. false: private. */
bool mm_shared_key(struct mm *mm, uint64_t addr, uint64_t *object, uint64_t *offset);

/*
 * execve: loads file (borrowed) and its interpreter into a clean address space and makes it the task's. On success the
 * registers are set for the first instruction; never fails after the point of no return (then it kills the task).
 * argv, envp: NUL-terminated strings, packed, counts given. execfn: the path as given.
 */
struct exec_args {
	char *strings;      /* argv strings, then envp strings, each NUL-terminated; grows up to 1/4 of the stack limit */
	size_t strings_len, strings_cap;
	uint32_t argc, envc;
	char *execfn;       /* AT_EXECFN; the interpreter handling rewrites argv */
};
int exec_args_add(struct exec_args *a, const char *s, size_t len) must_check;
void exec_args_free(struct exec_args *a);
/* The whole of execve for a task with a full event, or the first program of the sandbox (no old address space). Replaces
 * mm, resets signals, closes close-on-exec descriptors, applies setuid bits, kills other threads. 0 or -errno. */
int task_exec(struct task *task, struct file *file, struct exec_args *args) must_check;

#endif
