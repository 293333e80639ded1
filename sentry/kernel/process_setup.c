/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Setting up a process that nobody in the sandbox made: see process_setup.h. The configuration was checked by
 * config_check() or config_check_process(); the operator wrote it, not the guest.
 */
#include "sentry/kernel/process_setup.h"

#include "runtime/config.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/memfs.h"
#include "sentry/host/host.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

#include <string.h>

int process_open_host_fd(struct task *task, int host_fd, int fd, struct tty **tty)
{
	int mode = host_fcntl(host_fd, 3 /* F_GETFL */, 0), got;
	struct file *file;

	*tty = NULL;
	if (mode < 0)
		return 0; /* closed by the caller: closed for the guest */
	file = hostfile_new(task, host_fd, 0);
	if (file == NULL)
		return -LINUX_ENOMEM;
	*tty = file_host_tty(file);
	got = fd_install_at(task, file, fd, false);
	return got < 0 ? got : 0;
}

static bool ids_mapped(const struct config *cfg)
{
	bool all = uid_mapped(cfg->uid) && gid_mapped(cfg->gid);

	for (uint32_t i = 0; i < cfg->ngroups; i++)
		all &= gid_mapped(cfg->groups[i]);
	return all;
}

int process_become_user(struct task *task, const struct config *cfg)
{
	struct cred *c;

	if (!ids_mapped(cfg))
		return -LINUX_EINVAL;
	c = cred_dup(task->cred);
	if (c == NULL)
		return -LINUX_ENOMEM;
	c->all_ids = false;
	c->uid = c->euid = c->suid = c->fsuid = cfg->uid;
	c->gid = c->egid = c->sgid = c->fsgid = cfg->gid;
	c->cap_effective = cfg->cap_effective;
	c->cap_permitted = cfg->cap_permitted;
	c->cap_inheritable = cfg->cap_inheritable;
	c->cap_bounding = cfg->cap_bounding;
	c->cap_ambient = cfg->cap_ambient;
	if (cred_set_groups(c, cfg->groups, cfg->ngroups) < 0) {
		cred_put(c);
		return -LINUX_ENOMEM;
	}
	cred_put(task->cred);
	task->cred = c;
	task->no_new_privs = cfg->no_new_privs;
	task->fs->umask = cfg->umask;
	task->group->oom_score_adj = task->group->oom_score_adj_min = cfg->oom_score_adj;
	for (unsigned i = 0; i < LINUX_RLIM_NLIMITS; i++)
		if (cfg->rlimits[i].set)
			task->group->rlimits[i] = (struct linux_rlimit){cfg->rlimits[i].cur, cfg->rlimits[i].max};
	return 0;
}

/* A bundle's filter: believed no more than a guest's, and from the program's first call on. */
int process_install_seccomp(struct task *task, const struct config *cfg)
{
	struct linux_sock_filter *insns;

	if (cfg->nseccomp == 0)
		return 0;
	_Static_assert(sizeof(*insns) == sizeof(cfg->seccomp[0]), "one layout");
	insns = kmalloc(cfg->nseccomp * sizeof(*insns));
	if (insns == NULL)
		return -LINUX_ENOMEM;
	memcpy(insns, cfg->seccomp, cfg->nseccomp * sizeof(*insns));
	return (int)seccomp_add_filter(task, SECCOMP_OF_BUNDLE, insns, cfg->nseccomp);
}

int process_enter_cwd(struct task *task, const struct config *cfg)
{
	const char *cwd = config_str(cfg, cfg->cwd);
	struct path path;
	int err;

	err = cfg->cwd_create ? memfs_make_path(task, cwd, false, &path) :
				vfs_lookup(task, LINUX_AT_FDCWD, cwd, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);
	if (err < 0)
		return err;
	fs_set_cwd(task->fs, &path); /* takes it */
	return 0;
}

static char **string_array(const struct config *cfg, cfg_str first, uint32_t n)
{
	char **v = kcalloc((size_t)n + 1, sizeof(*v));
	const char *s = config_str(cfg, first);

	for (uint32_t i = 0; v != NULL && i < n; i++, s += strlen(s) + 1)
		v[i] = (char *)(uintptr_t)s;
	return v;
}

static const char *path_of(const struct config *cfg)
{
	const char *s = config_str(cfg, cfg->envv);

	for (uint32_t i = 0; i < cfg->envc; i++, s += strlen(s) + 1)
		if (strncmp(s, "PATH=", 5) == 0)
			return s + 5;
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static const char *name_of(const struct config *cfg)
{
	return config_str(cfg, cfg->program != 0 ? cfg->program : cfg->argv);
}

int process_find_program(struct task *task, const struct config *cfg)
{
	struct file *file;
	char *path;
	int err = exec_find_in_path(task, name_of(cfg), path_of(cfg), &file, &path);

	if (err)
		return err;
	file_put(file);
	kfree(path);
	return 0;
}

int process_exec(struct task *task, const struct config *cfg)
{
	char **argv = string_array(cfg, cfg->argv, cfg->argc), **envp = string_array(cfg, cfg->envv, cfg->envc);
	int err = -LINUX_ENOMEM;

	if (argv != NULL && envp != NULL)
		err = kernel_exec_first(task, name_of(cfg), path_of(cfg), argv, envp);
	kfree(argv);
	kfree(envp);
	return err;
}
