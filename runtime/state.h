/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers as directories below --root: see state.c.
 */
#ifndef RUNTIME_STATE_H
#define RUNTIME_STATE_H

#include "runtime/core/lifecycle_protocol.h"
#include "runtime/error.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <sys/types.h>

struct container {
	char *id;
	int root_fd, dir_fd; /* -1: not open */
	bool locked;
	bool gone;           /* somebody deleted it while we waited for the lock */
	json_object *state;  /* state.json; NULL: there is none (its create was killed) */
};

/* --root; NULL: the default. */
void state_set_root(const char *dir);
bool container_id_ok(const char *id);

void container_init(struct container *c);
void container_close(struct container *c);
/* A new one, locked, with a state.json that says it is being created. */
bool container_create(struct container *c, const char *id, struct error **err);
bool container_open(struct container *c, const char *id, struct error **err);
/* *missing: there is no such container, which is said in err too. */
bool container_open_missing(struct container *c, const char *id, bool *missing, struct error **err);
/* Waits for whoever creates or deletes it; its state is read anew. */
bool container_lock(struct container *c, struct error **err);
/* Writes c->state. */
bool container_save(struct container *c, struct error **err);
/* The directory with all in it. Needs the lock. */
bool container_remove(struct container *c, struct error **err);
/* The names of all, sorted; NULL at the end. */
char **container_names(struct error **err);

/* The sandbox that it has joined, by name (borrowed), or NULL; and its number there, 0 for the sandbox itself. */
const char *container_pod(const struct container *c);
uint32_t container_number(const struct container *c);

/* The monitor's pid, or 0 if it is not there any more (or its number is another process's). */
pid_t container_pid(const struct container *c);
enum container_state container_status(const struct container *c);
const char *container_state_name(enum container_state state);
/* What runtime-spec calls state, as a new object; more: with what `list` and runc show besides. */
json_object *container_state_json(const struct container *c, enum container_state state, bool more);
/* A file of its directory, as JSON; NULL if there is none. */
json_object *container_file_json(const struct container *c, const char *name);

/* Start time of a process, field 22 of its stat; 0: it isn't there, or a zombie. */
uint64_t process_start_time(pid_t pid);

/* ---- its monitor ---- */

/* How long the monitor has for what it does by itself. */
#define ANSWER_MS 10000
/* A connection to it, or to the monitor of the pod it is in; negative with an error: not running, or -EAGAIN: it is there, and
 * has not taken those before us within ms. */
int container_connect(const struct container *c, uint64_t ms, struct error **err);
/* One question, one answer of type LC_OK, STARTED or ENDED. */
bool container_ask(const struct container *c, const struct lifecycle_request *rq, struct lifecycle_reply *r, struct error **err);
/* c: whom it is about; NULL where that is known already. */
bool monitor_send(const struct container *c, int fd, const struct lifecycle_request *rq, const int *fds, unsigned nfds, struct error **err);
/* Is something to be read within ms, if only its end? A stopped caller's time counts, a signal ends nothing. */
bool monitor_heard(int fd, uint64_t ms);
/* Within ms (-1: however long). The text of LC_ERROR becomes the error. */
bool monitor_receive(int fd, struct lifecycle_reply *r, int ms, struct error **err);
/* The listening end, made in its directory. */
int container_listen(const struct container *c, struct error **err);

#endif
