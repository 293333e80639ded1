/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files into and out of a container that lives (runtime/core/files_protocol.h): the job and its socket.
 *
 *	monitor --CONTROL_FILES, socket--> files_start --> a task of the kernel's own --> request --> files_read | files_diff |
 *	files_write --> records <--> the command
 *
 * The task has root's credentials in the container and its view of the mounts, but no program, no memory, and no signal
 * reaches it; what the guest does meanwhile is as harmless as what another process would do. It sleeps where the command is
 * slow (the socket's flags aren't ours to set: MSG_DONTWAIT and a watch in the loop), and ends when the command is gone: the
 * socket is its life line, so a killed command leaves nothing.
 *
 * The command's records are the operator's, and still checked: lengths before anything is read, names part by part. What a
 * job holds (two buffers, a list of directories to visit) is the sandbox's memory like any other, and jobs are counted.
 */
#include "runtime/core/files.h"

#include "sentry/abi/capability.h"
#include "sentry/abi/errno.h"
#include "sentry/base/alloc.h"
#include "sentry/base/log.h"
#include "sentry/host/host.h"
#include "sentry/kernel/container.h"
#include "sentry/kernel/coroutine.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define JOBS_MAX 32

static struct {
	struct task *task; /* NULL: free */
	int fd;
} jobs[JOBS_MAX];

/* ---- the socket ---- */

static void ready(struct host_watch *w, unused_arg uint32_t events)
{
	struct files_job *j = container_of(w, struct files_job, watch);

	host_watch_del(w);
	waitq_wake(&j->waitq, 0);
}

static bool wait_for(struct files_job *j, uint32_t events)
{
	int err = host_watch_add(&j->watch, j->fd, events, ready);

	if (err == 0) {
		err = task_wait(j->task, &j->waitq, WAIT_KILLABLE);
		host_watch_del(&j->watch);
	}
	if (err != 0 || task_dying(j->task))
		j->broken = true;
	return !j->broken;
}

/* Bytes moved, or 0 after a sleep. */
static size_t transfer(struct files_job *j, void *p, size_t len, bool out)
{
	struct iovec iov = {p, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	int64_t n = out ? host_sendmsg(j->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) : host_recvmsg(j->fd, &m, MSG_DONTWAIT);

	if (n > 0)
		return (size_t)n;
	if (n != -LINUX_EAGAIN && n != -LINUX_EINTR)
		j->broken = true; /* the command is gone, or it was no socket */
	else
		wait_for(j, out ? POLLOUT : POLLIN);
	return 0;
}

void job_flush(struct files_job *j)
{
	size_t done = 0;

	while (done < j->out_len && !j->broken)
		done += transfer(j, j->out + done, j->out_len - done, true);
	j->out_len = 0;
}

static void put_bytes(struct files_job *j, const void *p, size_t len)
{
	while (len != 0 && !j->broken) {
		size_t n = MIN(len, FILES_OUT - j->out_len);

		memcpy(j->out + j->out_len, p, n);
		j->out_len += n;
		p = (const char *)p + n;
		len -= n;
		if (j->out_len == FILES_OUT)
			job_flush(j);
	}
}

void job_put(struct files_job *j, struct files_record *r, enum files_kind kind, const char *name, const void *data, size_t len)
{
	r->magic = FILES_MAGIC;
	r->kind = (uint16_t)kind;
	r->name_len = (uint32_t)strlen(name);
	r->len = (uint32_t)len;
	put_bytes(j, r, sizeof(*r));
	put_bytes(j, name, r->name_len);
	put_bytes(j, data, len);
}

void job_note(struct files_job *j, const char *name, const char *why)
{
	struct files_record r = {0};

	job_put(j, &r, FILES_NOTE, name, why, strlen(why));
}

static const char *words_for(int err)
{
	switch (-err) {
	case LINUX_ENOENT:
		return "no such file or directory in the container";
	case LINUX_ENOSPC:
		return "no space left: a disk limit of the sandbox is reached";
	case LINUX_ENOMEM:
		return "the sandbox's memory is used up";
	default:
		return strerror(-err);
	}
}

void job_failure(struct files_job *j, const char *name, const char *what, int err)
{
	struct files_record r = {0};
	char text[256];

	snprintf(text, sizeof(text), "%s%s%s", what != NULL ? what : "", what != NULL && err != 0 ? ": " : "",
		 err != 0 ? words_for(err) : "");
	job_put(j, &r, FILES_FAILED, name != NULL ? name : "", text, strlen(text));
	job_flush(j);
}

static bool get_bytes(struct files_job *j, void *p, size_t len)
{
	size_t done = 0;

	while (done < len && !j->broken)
		done += transfer(j, (char *)p + done, len - done, false);
	return !j->broken;
}

bool job_get(struct files_job *j)
{
	job_flush(j);
	if (!get_bytes(j, &j->rec, sizeof(j->rec)))
		return false;
	if (!files_record_ok(&j->rec)) {
		j->broken = true;
		return false;
	}
	if (!get_bytes(j, j->name, j->rec.name_len) || !get_bytes(j, j->data, j->rec.len))
		return false;
	j->name[j->rec.name_len] = '\0';
	j->data[j->rec.len] = '\0';
	return true;
}

/* ---- what both directions need ---- */

void job_go(struct files_job *j, const struct path *path)
{
	struct path copy = *path;

	path_get(&copy);
	fs_set_cwd(j->task->fs, &copy);
}

bool files_walkable(const struct path *path)
{
	static const char *const not_files[] = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "devtmpfs"};
	const struct mount *m = path->mount, *top = task_current() != NULL ? task_current()->fs->root.mount : mount_root;

	for (unsigned i = 0; i < ARRAY_LEN(not_files); i++)
		if (strcmp(path->dentry->sb->fs_type, not_files[i]) == 0)
			return false;
	return m->parent == NULL || m->parent != top || m->mountpoint->parent != top->root ||
	       strcmp(m->mountpoint->name, "dev") != 0;
}

/* ---- the job ---- */

static void serve_request(struct files_job *j)
{
	char *path;

	if (!job_get(j))
		return;
	if (strlen(j->name) != j->rec.name_len || j->rec.name_len >= LINUX_PATH_MAX) {
		job_failure(j, NULL, NULL, -LINUX_ENAMETOOLONG);
		return;
	}
	path = kstrdup(j->name);
	if (path == NULL) {
		job_failure(j, NULL, NULL, -LINUX_ENOMEM);
		return;
	}
	switch (j->rec.kind) {
	case FILES_READ:
		files_read(j, path, j->rec.flags);
		break;
	case FILES_DIFF:
		files_diff(j, j->rec.flags);
		break;
	case FILES_WRITE:
		files_write(j, path, j->rec.flags);
		break;
	default:
		job_failure(j, NULL, NULL, -LINUX_EINVAL);
	}
	kfree(path);
	job_flush(j);
}

void files_serve(struct task *task, int fd)
{
	struct files_job *j = kzalloc(sizeof(*j));

	if (j != NULL) {
		j->task = task;
		j->fd = fd;
		j->watch.fd = -1;
		waitq_init(&j->waitq);
		j->out = kmalloc(FILES_OUT);
		j->name = kmalloc(FILES_NAME_MAX + 1);
		j->data = kmalloc(FILES_DATA_MAX + 1);
		if (j->out != NULL && j->name != NULL && j->data != NULL)
			serve_request(j);
		else if (j->out != NULL)
			job_failure(j, NULL, NULL, -LINUX_ENOMEM);
		log_debug("files: job ended%s", j->broken ? ", broken off" : "");
		kfree(j->out);
		kfree(j->name);
		kfree(j->data);
		kfree(j);
	}
	host_close(fd);
}

static void boot(struct task *task)
{
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		if (jobs[i].task != task)
			continue;
		files_serve(task, jobs[i].fd);
		jobs[i].task = NULL;
	}
	task_exit_thread(task, 0);
}

static struct task *new_task(struct container *c)
{
	struct mount *top = c == &container_first ? mount_root : c->root;
	struct path root = {.mount = top, .dentry = top->root};
	struct cred *cred = cred_new(0, 0);
	struct files *files = files_new();
	struct fs_context *fs = fs_context_new();
	struct task *task;

	if (cred == NULL || files == NULL || fs == NULL)
		return NULL; /* memory is out: what is lost here is little */
	cred->cap_effective = cred->cap_permitted = cred->cap_bounding = LINUX_CAP_ALL;
	cred->all_ids = true;
	fs->umask = 0;
	path_get(&root);
	fs_set_root(fs, &root);
	path_get(&root);
	fs_set_cwd(fs, &root);
	task = task_new_process_in(c, c == &container_first ? pid_space_first() : c->pids, cred, files, fs);
	if (task != NULL) {
		strcpy(task->comm, "sentrybox-cp");
		task->group->unkillable = true; /* by those inside */
	}
	return task;
}

void files_start(uint32_t container, int fd)
{
	struct container *c = container_find(container);
	struct task *task = NULL;
	unsigned i = 0;

	while (i < JOBS_MAX && jobs[i].task != NULL)
		i++;
	if (i < JOBS_MAX && mount_root != NULL && kernel.init != NULL && !kernel.init->exiting && c != NULL && !c->ending &&
	    (c == &container_first || c->root != NULL))
		task = new_task(c);
	if (task == NULL) {
		host_close(fd); /* the command says that nothing came */
		return;
	}
	jobs[i].task = task;
	jobs[i].fd = fd;
	task_start_with(task, boot);
}

static int last_fd;
static void (*last_done)(void);

static void boot_last(struct task *task)
{
	files_serve(task, last_fd);
	last_done();
	for (;;)
		coroutine_suspend();
}

bool files_serve_last(int fd, void (*done)(void))
{
	struct task *task = new_task(&container_first);

	if (task == NULL) {
		host_close(fd);
		return false;
	}
	last_fd = fd;
	last_done = done;
	task_start_with(task, boot_last);
	return true;
}
