/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process that comes from outside the sandbox is given before its program runs: descriptors, directory, ids,
 * limits, filter. Used for the first one (init.c) and for those that `exec` brings in (outside.c). Each returns 0 or
 * -errno and runs on the task's own coroutine, as root of the sandbox until process_become_user.
 */
#ifndef SENTRY_KERNEL_PROCESS_SETUP_H
#define SENTRY_KERNEL_PROCESS_SETUP_H

#include "sentry/base/types.h"

struct config;
struct task;
struct tty;

/* Host descriptor host_fd as the guest's fd. *tty: the terminal behind it, borrowed, or NULL. Takes host_fd. */
int process_open_host_fd(struct task *task, int host_fd, int fd, struct tty **tty) must_check;
int process_enter_cwd(struct task *task, const struct config *c) must_check;
int process_become_user(struct task *task, const struct config *c) must_check;
int process_install_seccomp(struct task *task, const struct config *c) must_check;
/* Is there such a program, executable for the task? As execve would say. */
int process_find_program(struct task *task, const struct config *c) must_check;
/* After this the task's context waits in a full event. */
int process_exec(struct task *task, const struct config *c) must_check;

#endif
