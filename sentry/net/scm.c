/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ancillary data of unix sockets: descriptors and credentials on their way.
 *
 *   sendmsg -> scm_from_msg -> packet->scm ("in flight") -> queue -> scm_deliver -> descriptors of the receiver
 *
 * A file in flight is held by a reference. A socket may be in flight in its own queue, or several in each other's, with
 * no descriptor left anywhere: such cycles are found by marking from all sockets that somebody can still reach, each time
 * a unix socket, or a descriptor of one in flight, closes (at the next turn of the loop). What is not marked loses what its
 * queues carry, which closes it.
 *
 * Invariants: unix_socket.inflight counts the references that packets in queues hold, no others; so a socket whose file
 * has just as many references is reachable by queues only. A message being sent or received is not in flight.
 *
 * The guest controls how many files it sends: 253 a message, and per user not more in flight than RLIMIT_NOFILE
 * (ETOOMANYREFS), unless it holds CAP_SYS_RESOURCE or CAP_SYS_ADMIN. Dropping a chain of sockets in each other's queues
 * doesn't recurse: drops are queued.
 *
 * Left out: SCM_SECURITY, SCM_PIDFD (newer than the kernels most programs expect).
 */
#include "sentry/abi/capability.h"
#include "sentry/base/alloc.h"
#include "sentry/kernel/ids.h"
#include "sentry/kernel/loop.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"
#include "sentry/net/unix_internal.h"

#include <string.h>

struct list unix_all = LIST_INIT(unix_all);
uint64_t unix_total_inflight;

/* Files in flight, by the uid that sent them. */
struct inflight_user {
	struct list link;
	kuid_t uid;
	uint64_t count;
};
static struct list inflight_users = LIST_INIT(inflight_users);

static struct inflight_user *inflight_find(kuid_t uid)
{
	struct inflight_user *u;

	list_for_each(u, &inflight_users, link)
		if (u->uid == uid)
			return u;
	return NULL;
}

/* Takes n files of task's user into the account. */
static int inflight_charge(struct task *task, uint32_t n)
{
	struct inflight_user *u = inflight_find(task->cred->uid);

	if (u == NULL) {
		u = kzalloc(sizeof *u);
		if (u == NULL)
			return -LINUX_ENOMEM;
		u->uid = task->cred->uid;
		list_add(&inflight_users, &u->link);
	}
	if (u->count > group_rlimit(task->group, LINUX_RLIMIT_NOFILE) && !task_capable(task, LINUX_CAP_SYS_RESOURCE) &&
	    !task_capable(task, LINUX_CAP_SYS_ADMIN))
		return -LINUX_ETOOMANYREFS;
	u->count += n;
	return 0;
}

static void inflight_uncharge(kuid_t uid, uint32_t n)
{
	struct inflight_user *u = inflight_find(uid);

	invariant(u != NULL && u->count >= n);
	u->count -= n;
	if (u->count == 0) {
		list_del(&u->link);
		kfree(u);
	}
}

/* ---- flying ---- */

static struct unix_socket *unix_from_file(struct file *file)
{
	struct socket *s = socket_from_file(file);

	return s != NULL && s->family == LINUX_AF_UNIX ? unix_of(s) : NULL;
}

void scm_takeoff(struct scm *scm)
{
	if (scm == NULL || scm->nfiles == 0 || scm->flying)
		return;
	scm->flying = true;
	for (uint32_t i = 0; i < scm->nfiles; i++) {
		struct unix_socket *u = unix_from_file(scm->files[i]);

		if (u != NULL) {
			u->inflight++;
			unix_total_inflight++;
		}
	}
}

void scm_land(struct scm *scm)
{
	if (scm == NULL || !scm->flying)
		return;
	scm->flying = false;
	for (uint32_t i = 0; i < scm->nfiles; i++) {
		struct unix_socket *u = unix_from_file(scm->files[i]);

		if (u != NULL) {
			invariant(u->inflight > 0 && unix_total_inflight > 0);
			u->inflight--;
			unix_total_inflight--;
		}
	}
}

static struct list drops = LIST_INIT(drops);
static bool dropping;

void scm_free(struct scm *scm)
{
	if (scm == NULL)
		return;
	scm_land(scm);
	list_add_tail(&drops, &scm->link);
	/* Closing a file may free a queue with more of these: they wait for the loop below instead of recursing. */
	if (dropping)
		return;
	dropping = true;
	while (!list_empty(&drops)) {
		scm = list_first(&drops, struct scm, link);
		list_del(&scm->link);
		for (uint32_t i = 0; i < scm->nfiles; i++)
			file_put(scm->files[i]);
		if (scm->payer != NULL) {
			inflight_uncharge(scm->payer->uid, scm->nfiles);
			cred_put(scm->payer);
		}
		kfree(scm->files);
		kfree(scm);
	}
	dropping = false;
}

static struct scm *scm_new(void)
{
	struct scm *scm = kzalloc(sizeof *scm);

	if (scm != NULL) {
		list_init(&scm->link);
		scm->pids = pid_space_of(task_current());
	}
	return scm;
}

struct scm *scm_dup(const struct scm *old)
{
	struct scm *scm = scm_new();

	if (scm == NULL)
		return NULL;
	scm->has_cred = old->has_cred;
	scm->cred = old->cred;
	scm->pids = old->pids;
	if (old->nfiles == 0)
		return scm;
	scm->files = kcalloc(old->nfiles, sizeof *scm->files);
	if (scm->files == NULL) {
		scm_free(scm);
		return NULL;
	}
	for (; scm->nfiles < old->nfiles; scm->nfiles++)
		scm->files[scm->nfiles] = file_get(old->files[scm->nfiles]);
	return scm;
}

struct scm *scm_dup_cred(const struct scm *old)
{
	struct scm *scm = old->has_cred ? scm_new() : NULL;

	if (scm != NULL) {
		scm->has_cred = true;
		scm->cred = old->cred;
		scm->pids = old->pids;
	}
	return scm;
}

/* ---- sending ---- */

void unix_task_cred(const struct task *task, struct linux_ucred *out)
{
	*out = (struct linux_ucred){.pid = task->group->pid, .uid = task->cred->euid, .gid = task->cred->egid};
}

static int scm_add_files(struct task *task, struct scm *scm, const uint8_t *data, size_t len)
{
	size_t n = len / sizeof(int32_t);
	struct file **files;

	if (n == 0)
		return 0;
	if (n > LINUX_SCM_MAX_FD || scm->nfiles + n > LINUX_SCM_MAX_FD)
		return -LINUX_EINVAL;
	files = krealloc(scm->files, (scm->nfiles + n) * sizeof *files);
	if (files == NULL)
		return -LINUX_ENOMEM;
	scm->files = files;
	for (size_t i = 0; i < n; i++) {
		struct file *file;
		int32_t fd;

		memcpy(&fd, data + i * sizeof fd, sizeof fd);
		file = fd < 0 ? NULL : fd_get_path(task, fd);
		if (file == NULL)
			return -LINUX_EBADF;
		files[scm->nfiles++] = file;
	}
	return 0;
}

/* May the task say that it is cred? */
static int scm_check_cred(const struct task *task, const struct linux_ucred *cred)
{
	const struct cred *c = task->cred;

	if (!uid_mapped(cred->uid) || !gid_mapped(cred->gid))
		return -LINUX_EINVAL;
	if (cred->pid != task->group->pid && !task_capable(task, LINUX_CAP_SYS_ADMIN))
		return -LINUX_EPERM;
	if (cred->uid != c->uid && cred->uid != c->euid && cred->uid != c->suid &&
	    !task_capable(task, LINUX_CAP_SETUID))
		return -LINUX_EPERM;
	if (cred->gid != c->gid && cred->gid != c->egid && cred->gid != c->sgid &&
	    !task_capable(task, LINUX_CAP_SETGID))
		return -LINUX_EPERM;
	return 0;
}

static int scm_read(struct task *task, struct scm *scm, const struct sock_msg *msg)
{
	struct linux_cmsghdr hdr;
	const uint8_t *data;
	size_t off = 0, len;
	int more, err;

	while ((more = cmsg_next(msg, &off, &hdr, &data, &len)) > 0) {
		if (hdr.level != LINUX_SOL_SOCKET)
			continue;
		if (hdr.type == LINUX_SCM_RIGHTS) {
			err = scm_add_files(task, scm, data, len);
		} else if (hdr.type == LINUX_SCM_CREDENTIALS && len == sizeof scm->cred) {
			memcpy(&scm->cred, data, sizeof scm->cred);
			scm->has_cred = true;
			err = scm_check_cred(task, &scm->cred);
		} else {
			err = -LINUX_EINVAL;
		}
		if (err != 0)
			return err;
	}
	return more;
}

int scm_from_msg(struct task *task, const struct sock_msg *msg, struct scm **out)
{
	struct scm *scm;
	int err;

	*out = NULL;
	if (msg->control_len == 0)
		return 0;
	scm = scm_new();
	if (scm == NULL)
		return -LINUX_ENOMEM;
	err = scm_read(task, scm, msg);
	if (err == 0 && scm->nfiles > 0) {
		err = inflight_charge(task, scm->nfiles);
		if (err == 0)
			scm->payer = cred_get(task->cred);
	}
	if (err != 0) {
		scm_free(scm);
		return err;
	}
	if (scm->nfiles == 0 && !scm->has_cred) {
		scm_free(scm);
		scm = NULL;
	}
	*out = scm;
	return 0;
}

int scm_add_cred(struct task *task, struct scm **scm)
{
	if (*scm == NULL)
		*scm = scm_new();
	if (*scm == NULL)
		return -LINUX_ENOMEM;
	if (!(*scm)->has_cred) {
		(*scm)->has_cred = true;
		(*scm)->cred = (struct linux_ucred){
			.pid = task->group->pid,
			.uid = task->cred->uid,
			.gid = task->cred->gid,
		};
	}
	return 0;
}

/* ---- receiving ---- */

static void scm_deliver_files(struct task *task, struct sock_msg *msg, struct scm *scm)
{
	bool cloexec = (msg->flags & LINUX_MSG_CMSG_CLOEXEC) != 0;
	uint32_t room = (uint32_t)MIN(cmsg_room(msg) / sizeof(int32_t), (size_t)LINUX_SCM_MAX_FD);
	struct linux_cmsghdr hdr = {.level = LINUX_SOL_SOCKET, .type = LINUX_SCM_RIGHTS};
	struct cmsg_sink *sink = msg->sink;
	uint32_t done = 0;

	for (; done < MIN(room, scm->nfiles); done++) {
		int fd = fd_install(task, file_get(scm->files[done]), 0, cloexec);
		int32_t number = fd;

		if (fd < 0)
			break;
		if (put_guest(task, gva_add(sink->base, sink->used + LINUX_CMSG_HDR + done * sizeof number), &number) != 0) {
			(void)fd_close(task, fd);
			break;
		}
	}
	if (done > 0) {
		hdr.len = LINUX_CMSG_HDR + done * sizeof(int32_t);
		if (put_guest(task, gva_add(sink->base, sink->used), &hdr) == 0)
			sink->used += MIN(LINUX_CMSG_ALIGN(hdr.len), sink->size - sink->used);
	}
	if (done < scm->nfiles)
		msg->out_flags |= LINUX_MSG_CTRUNC;
}

void scm_deliver(struct task *task, struct socket *s, struct sock_msg *msg, struct scm *scm)
{
	/* Who sent without credentials is nobody. */
	static const struct linux_ucred nobody = {.pid = 0, .uid = 65534, .gid = 65534};

	if (msg->sink == NULL) {
		if (s->passcred || (scm != NULL && scm->nfiles > 0))
			msg->out_flags |= LINUX_MSG_CTRUNC;
		return;
	}
	if (s->passcred) {
		struct linux_ucred cred = scm != NULL && scm->has_cred ? scm->cred : nobody;

		if (scm != NULL && scm->pids != pid_space_of(task))
			cred.pid = 0; /* a number of another container's means nothing here */
		cmsg_put(task, msg, LINUX_SOL_SOCKET, LINUX_SCM_CREDENTIALS, &cred, sizeof cred);
	}
	if (scm != NULL && scm->nfiles > 0)
		scm_deliver_files(task, msg, scm);
}

/* ---- cycles ---- */

static void mark(struct list *work, struct unix_socket *u)
{
	if (u->marked)
		return;
	u->marked = true;
	list_add_tail(work, &u->mark_link);
}

static bool only_in_flight(const struct unix_socket *u)
{
	return u->sock.file != NULL && u->inflight > 0 && u->sock.file->ref.count == u->inflight;
}

static void mark_reachable(struct list *work)
{
	struct unix_socket *u, *embryo;
	struct packet *p;

	while (!list_empty(work)) {
		u = list_first(work, struct unix_socket, mark_link);
		list_del(&u->mark_link);
		list_for_each(embryo, &u->embryos, embryo_link)
			mark(work, embryo);
		list_for_each(p, &u->rx.packets, link) {
			for (uint32_t i = 0; p->scm != NULL && i < p->scm->nfiles; i++) {
				struct unix_socket *v = unix_from_file(p->scm->files[i]);

				if (v != NULL)
					mark(work, v);
			}
		}
	}
}

static void scm_collect(struct deferred *unused);
static struct deferred collect_deferred;
static bool collect_pending;

/* Takes everything out of an unreachable socket's queue and, for a listener, its waiting connections' queues. */
static void take_scms(struct unix_socket *u, struct list *garbage)
{
	struct unix_socket *embryo;
	struct packet *p;

	list_for_each(p, &u->rx.packets, link) {
		if (p->scm != NULL) {
			scm_land(p->scm);
			list_add_tail(garbage, &p->scm->link);
			p->scm = NULL;
		}
	}
	list_for_each(embryo, &u->embryos, embryo_link)
		take_scms(embryo, garbage);
}

static void scm_collect(struct deferred *unused)
{
	struct list work, garbage;
	struct unix_socket *u;

	(void)unused;
	collect_pending = false;
	list_init(&work);
	list_init(&garbage);
	list_for_each(u, &unix_all, all_link)
		u->marked = false;
	list_for_each(u, &unix_all, all_link)
		if (u->sock.file != NULL && !only_in_flight(u))
			mark(&work, u);
	mark_reachable(&work);
	list_for_each(u, &unix_all, all_link)
		if (!u->marked && only_in_flight(u))
			take_scms(u, &garbage);
	while (!list_empty(&garbage)) {
		struct scm *scm = list_first(&garbage, struct scm, link);

		list_del(&scm->link);
		scm_free(scm);
	}
}

void scm_collect_later(void)
{
	if (unix_total_inflight == 0 || collect_pending)
		return;
	collect_pending = true;
	loop_defer(&collect_deferred, scm_collect);
}

void unix_descriptor_closed(struct socket *s)
{
	if (unix_of(s)->inflight > 0)
		scm_collect_later();
}
