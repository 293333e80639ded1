// SPDX-License-Identifier: Apache-2.0
/*
 * execve: a process becomes another program.
 *
 *	sys_execve --> task_exec --> scripts: the file becomes its interpreter, argv grows (loader/script.c)
 *	                         --> elf_open: headers are read and checked
 *	                         --> platform->spawn: a clean stub; everything is mapped into it and the stack written
 *	   point of no return    --> other threads die, descriptors are unshared, credentials change, handlers are reset
 *	                         --> platform->exec_commit: the task goes on in the new stub, the old one ends
 *
 * The new address space is complete before anything of the old process is touched, so nearly every failure is an errno
 *in the old program. Where Linux fails behind its point of no return (a segment that can't be mapped), the process is
 * killed with SIGSEGV as there, unless it is the first of the sandbox.
 *
 * The executed inode's exec_count is raised from the start (nobody may open it for writing: ETXTBSY) and is taken over
 *by mm->exe.
 *
 * The guest controls the file's bytes, the strings (bounded by the stack's limit), and may run other threads until they
 *are killed: what was checked of the file is our copy, descriptors are looked at after the threads are gone.
 *
 * Left out: binfmt_misc, core dumps of the failed program, binaries of other architectures.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/event.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/usercopy.h"
#include "sentry/mm/vma.h"
#include "sentry/platform/platform.h"
#include "sentry/vfs/inotify.h"

#include <string.h>

#define ARGS_MAX (6 * MiB)
#define SCRIPT_DEPTH 5
#define PERSONALITY_ADDR_NO_RANDOMIZE 0x0040000U
#define PERSONALITY_READ_IMPLIES_EXEC 0x0400000U
/* What a setuid program must not inherit. */
#define PERSONALITY_CLEAR_ON_SETID                                                                                     \
	(PERSONALITY_READ_IMPLIES_EXEC | PERSONALITY_ADDR_NO_RANDOMIZE | 0x0200000U /* COMPAT_LAYOUT */ |              \
	 0x0100000U /* MMAP_PAGE_ZERO */)
#define HEAP_GAP (32 * MiB) /* room behind the program for trampolines of rewritten call sites */
#define HEAP_RANDOM_LOW (32 * MiB)
#define HEAP_RANDOM (1 * GiB)

/* ---- arguments ---- */

int exec_args_add(struct exec_args *a, const char *s, size_t len)
{
	size_t limit = a->limit != 0 ? a->limit : ARGS_MAX;

	if (len >= limit || a->strings_len > limit - len - 1)
		return -LINUX_E2BIG;
	if (a->strings_cap - a->strings_len < len + 1) {
		size_t cap = MAX(a->strings_cap * 2, (size_t)4096);
		char *bigger;

		while (cap - a->strings_len < len + 1)
			cap *= 2;
		bigger = krealloc(a->strings, cap);
		if (bigger == NULL)
			return -LINUX_ENOMEM;
		a->strings = bigger;
		a->strings_cap = cap;
	}
	memcpy(a->strings + a->strings_len, s, len);
	a->strings_len += len;
	a->strings[a->strings_len++] = '\0';
	return 0;
}

void exec_args_free(struct exec_args *a)
{
	kfree(a->strings);
	kfree(a->execfn);
	memset(a, 0, sizeof(*a));
}

/* ---- files ---- */

int exec_open(struct task *task, int dirfd, const char *name, unsigned lookup, struct file **out)
{
	uint32_t flags = LINUX_O_RDONLY | O_EXEC_INTERNAL | ((lookup & LOOKUP_FOLLOW) ? 0 : LINUX_O_NOFOLLOW);
	int err = vfs_open(task, dirfd, name, flags, 0, lookup, out);

	if (err)
		return err;
	fsnotify_file(*out, LINUX_IN_OPEN);
	return 0;
}

/* The file that will really run, after all `#!` lines. */
struct exec_file {
	struct file *file; /* counted; its inode's exec_count is raised */
	char head[BINPRM_BUF_SIZE];
};

static void exec_file_set(struct exec_file *f, struct file *file)
{
	if (f->file != NULL) {
		f->file->inode->exec_count--;
		file_put(f->file);
	}
	f->file = file;
	if (file != NULL)
		file->inode->exec_count++;
}

static int resolve_scripts(struct task *task, struct exec_file *f, struct exec_args *args)
{
	for (int depth = 0;; depth++) {
		char *interp, *arg;
		struct file *next;
		int64_t n;
		int err;

		memset(f->head, 0, sizeof(f->head));
		n = vfs_read_mem(task, f->file, f->head, sizeof(f->head), 0);
		if (n < 0)
			return (int)n;
		err = script_parse(f->head, &interp, &arg);
		if (err == 1)
			return 0;
		if (err)
			return err;
		/* Its interpreter could not open it by that name. */
		if (args->path_inaccessible)
			return -LINUX_ENOENT;
		/* A script's interpreter may be a script: its name is the argv[0] that it was given. */
		err = script_rewrite_args(args, depth == 0 ? args->execfn : args->strings, interp, arg);
		if (err)
			return err;
		err = exec_open(task, LINUX_AT_FDCWD, interp, LOOKUP_FOLLOW, &next);
		if (err)
			return err;
		exec_file_set(f, next);
		if (depth + 1 > SCRIPT_DEPTH)
			return -LINUX_ELOOP;
	}
}

/* ---- the new address space ---- */

struct exec_image {
	struct platform_thread *pt;
	struct mm *mm;
	struct elf_layout layout;
	uint64_t sp;
};

static void image_drop(struct exec_image *img)
{
	if (img->mm != NULL)
		mm_put(img->mm);
	if (img->pt != NULL)
		platform->thread_kill(img->pt);
	img->mm = NULL;
	img->pt = NULL;
}

static void place_heap(struct mm *mm, const struct elf_program *p, const struct elf_layout *l, bool randomize)
{
	uint64_t brk = PAGE_ALIGN(l->brk);

	/* A loader or static PIE lies in the mmap area, where a heap would soon meet something. */
	if (p->exe.eh.type == LINUX_ET_DYN && p->interp.file == NULL)
		brk = LAYOUT_PIE_BASE;
	brk += HEAP_GAP + layout_random(brk < 4 * GiB ? HEAP_RANDOM_LOW : HEAP_RANDOM, randomize);
	mm->brk_start = mm->brk = MIN(brk, GUEST_END);
	mm->code_start = l->code_start;
	mm->code_end = l->code_end;
	mm->data_start = l->data_start;
	mm->data_end = l->data_end;
}

/* Builds it all. *fatal: Linux would be past its point of no return. */
static int image_build(struct task *task, struct exec_image *img, struct elf_program *p, const struct exec_args *args,
		       const struct cred *cred, bool secure, bool *fatal)
{
	bool randomize = (task->personality & PERSONALITY_ADDR_NO_RANDOMIZE) == 0;
	uint64_t stack = group_rlimit(task->group, LINUX_RLIMIT_STACK);
	int err = 0;

	*fatal = false;
	img->pt = platform->spawn(task, &err);
	if (img->pt == NULL)
		return err;
	img->mm = mm_new(img->pt);
	if (img->mm == NULL)
		return -LINUX_ENOMEM;
	layout_choose(img->mm, stack, randomize);
	err = mm_stack_map(img->mm, img->pt, img->mm->stack_top, stack, p->exec_stack);
	if (err)
		return err;
	/* While programs are mapped the stack's vma is as small as it will be, so that RLIMIT_AS sees the truth. */
	mm_stack_trim(img->mm, img->mm->stack_top - args->strings_len - 33 * PAGE_SIZE);
	err = elf_map(task, p, img->mm, img->pt, &img->layout);
	if (err) {
		*fatal = true;
		return err;
	}
	place_heap(img->mm, p, &img->layout, randomize);
	err = layout_stack(task, img->mm, args, p, &img->layout, cred, secure, randomize, &img->sp);
	if (err) {
		*fatal = true;
		return err;
	}
	mm_stack_grow(img->mm, img->sp - 32 * PAGE_SIZE);
	return 0;
}

/* ---- the change ---- */

static void set_comm(struct task *task, const char *execfn)
{
	const char *base = strrchr(execfn, '/');

	base = base != NULL ? base + 1 : execfn;
	memset(task->comm, 0, sizeof(task->comm));
	memcpy(task->comm, base, strnlen(base, sizeof(task->comm) - 1));
}

static bool file_is_readable(struct task *task, struct file *file)
{
	return inode_permission(task, file->inode, MAY_READ) == 0;
}

/* No failure is possible any more, and nothing sleeps until the task stands in its new address space. */
static void commit(struct task *task, struct exec_image *img, struct exec_file *f, const struct exec_args *args)
{
	struct regs regs = {.rip = img->layout.entry, .rsp = img->sp, .eflags = 0x202, .orig_rax = UINT64_MAX};

	/* mm->exe takes the reference and the raised count over. */
	img->mm->exe = f->file;
	f->file = NULL;
	img->mm->dumpable = task->group->dumpable && file_is_readable(task, img->mm->exe);
	task->group->dumpable = img->mm->dumpable;
	task_save_times(task);
	platform->exec_commit(task, img->pt, &regs);
	mm_release(task);
	task->mm = img->mm;
	img->pt = NULL;
	img->mm = NULL;
	task->personality &= ~PERSONALITY_READ_IMPLIES_EXEC;
	set_comm(task, args->execfn);
}

int task_exec(struct task *task, struct file *file, struct exec_args *args)
{
	struct exec_file *f = kzalloc(sizeof(*f));
	struct elf_program program;
	struct exec_image img = {0};
	struct cred *cred = NULL;
	uint32_t personality = task->personality;
	bool secure = false, fatal = false, first = task->mm == NULL;
	int err;

	if (f == NULL)
		return -LINUX_ENOMEM;
	exec_file_set(f, file_get(file));
	err = resolve_scripts(task, f, args);
	if (err)
		goto put_file;
	err = elf_open(task, f->file, f->head, &program);
	if (err)
		goto put_file;
	err = cred_for_exec(task, f->file, &cred, &secure);
	if (err)
		goto close_elf;
	if (secure)
		task->personality &= ~PERSONALITY_CLEAR_ON_SETID;
	err = image_build(task, &img, &program, args, cred, secure, &fatal);
	if (!err)
		err = group_kill_other_threads(task);
	if (err)
		goto drop_image;

	/* The point of no return. */
	fatal = true;
	err = files_unshare(task);
	if (err)
		goto drop_image;
	task_leave_memory(task);
	task_set_cred(task, cred);
	cred = NULL;
	err = signals_on_exec(task);
	if (err)
		goto drop_image;
	commit(task, &img, f, args);
	files_close_on_exec(task);
	elf_close(&program);
	kfree(f);
	return 0;

drop_image:
	image_drop(&img);
	task->personality = personality;
	if (cred != NULL)
		cred_put(cred);
	if (fatal && !first)
		group_exit(task->group, LINUX_SIGSEGV);
close_elf:
	elf_close(&program);
put_file:
	exec_file_set(f, NULL);
	kfree(f);
	return err;
}

/* ---- programs that come from outside ---- */

/* dir + "/" + name; an empty dir is the working directory. A string to kfree, NULL if memory is out. */
static char *join_path(const char *dir, size_t dir_len, const char *name)
{
	size_t name_len = strlen(name);
	char *path = kmalloc(dir_len + name_len + 3);

	if (path == NULL)
		return NULL;
	if (dir_len == 0) {
		memcpy(path, "./", 2);
		dir_len = 1;
	} else {
		memcpy(path, dir, dir_len);
		path[dir_len] = '/';
	}
	memcpy(path + dir_len + 1, name, name_len + 1);
	return path;
}

int exec_find_in_path(struct task *task, const char *name, const char *path_env, struct file **out, char **path)
{
	int found = -LINUX_ENOENT;
	const char *dir = path_env;

	*out = NULL;
	*path = NULL;
	if (name[0] == '\0')
		return -LINUX_ENOENT;
	if (strchr(name, '/') != NULL) {
		*path = kstrdup(name);
		if (*path == NULL)
			return -LINUX_ENOMEM;
		found = exec_open(task, LINUX_AT_FDCWD, name, LOOKUP_FOLLOW, out);
		if (found)
			goto free_path;
		return 0;
	}
	while (dir != NULL) {
		const char *end = strchrnul(dir, ':');
		int err;

		*path = join_path(dir, (size_t)(end - dir), name);
		if (*path == NULL)
			return -LINUX_ENOMEM;
		err = exec_open(task, LINUX_AT_FDCWD, *path, LOOKUP_FOLLOW, out);
		if (err == 0)
			return 0;
		kfree(*path);
		*path = NULL;
		switch (err) {
		case -LINUX_EACCES:
			found = err;
			break;
		case -LINUX_ENOENT:
		case -LINUX_ENOTDIR:
		case -LINUX_ESTALE:
		case -LINUX_ENODEV:
		case -LINUX_ETIMEDOUT:
			break;
		default:
			return err;
		}
		dir = *end == ':' ? end + 1 : NULL;
	}
	return found;

free_path:
	kfree(*path);
	*path = NULL;
	return found;
}

int kernel_exec_first(struct task *task, const char *name, const char *path_env, char *const *argv, char *const *envp)
{
	struct exec_args args = {0};
	struct file *file;
	int err;

	err = exec_find_in_path(task, name, path_env, &file, &args.execfn);
	if (err)
		return err;
	for (; !err && argv[args.argc] != NULL; args.argc++)
		err = exec_args_add(&args, argv[args.argc], strlen(argv[args.argc]));
	if (!err && args.argc == 0) {
		err = exec_args_add(&args, "", 0);
		args.argc = 1;
	}
	for (; !err && envp[args.envc] != NULL; args.envc++)
		err = exec_args_add(&args, envp[args.envc], strlen(envp[args.envc]));
	if (!err)
		err = task_exec(task, file, &args);
	file_put(file);
	exec_args_free(&args);
	return err;
}
