/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks of the kind startContainer: programs of the container's own root, run in it before its program starts.
 *
 *	start --LC_EXEC, the process as the container's own has it, but for program, words and environment--> monitor --> sentry
 *	state ──sealed memfd──▶ its stdin     its stdout and stderr ──pipe──▶ the first bytes, for an error's text
 *	LC_ENDED <-- its end         timeout, or our own end: the connection is cut, and the monitor ends all that came of it
 *
 * By the specification they run in the container's namespaces, and their paths are looked up there. Here that is a process
 * of the sandbox: it has the container's user, capabilities, limits, directory and seccomp profile, and nothing of the host. The
 * environment is the hook's own, or the container's if it names none; so have it runc and crun.
 *
 * What runs is the image's: all that comes back is hostile. We read a bounded part of what it writes and drop the rest, show
 * no byte that a terminal could take for a command, and hand it nothing that it could change under us.
 */
#include "runtime/hooks.h"

#include "runtime/build.h"
#include "runtime/cleanup.h"
#include "runtime/json_get.h"
#include "runtime/launch.h"
#include "runtime/resources.h"
#include "runtime/spec.h"
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SHOWN 300

static void cleanup_jsonp(json_object **o)
{
	json_object_put(*o);
}
#define cleanup_json __attribute__((cleanup(cleanup_jsonp)))

struct inside {
	const struct hook *hook;
	const char *where;
	int conn, out; /* out: the pipe's end that we read; -1: closed */
	char text[SHOWN + 1];
	size_t len;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static json_object *words(const char *const *list, size_t n)
{
	json_object *o = json_object_new_array();

	for (size_t i = 0; i < n; i++)
		json_object_array_add(o, json_object_new_string(list[i]));
	return o;
}

/* The container's process with the hook's words in place of its own. */
static bool describe(struct build *b, json_object *spec, const struct hook *h, struct error **err)
{
	cleanup_json json_object *process = NULL;
	json_object *own;

	if (!json_get(spec, "", "process", json_type_object, &own, err))
		return false;
	if (own == NULL || json_object_deep_copy(own, &process, NULL) != 0)
		return error_set(err, "the container has no process to run it as");
	json_object_object_add(process, "args", h->nargs != 0 ? words(h->args, h->nargs) : words(&h->path, 1));
	if (h->env != NULL)
		json_object_object_add(process, "env", words(h->env, h->nenv));
	json_object_object_del(process, "terminal");
	json_object_object_del(process, "consoleSize");
	if (!spec_process(b, process, spec, err))
		return false;
	b->c->program = build_str(b, h->path);
	b->c->pool_len = b->pool_used;
	if (b->full)
		return error_set(err, "its words are longer than %u KiB together", CONFIG_POOL >> 10);
	return config_check_process(b->c) == NULL || error_set(err, "%s", config_check_process(b->c));
}

/* What it reads: neither it nor anybody can write to it. */
static int state_file(const char *text)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	cleanup_close int fd = memfd_create("state", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET) != 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
		return -1;
	return steal_fd(&fd);
}

/* Takes what there is; what is more than we show is dropped, so that it need not wait. */
static void take_output(struct inside *in)
{
	char buf[4096];
	ssize_t n = read(in->out, buf, sizeof(buf));
	size_t take;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(in->out);
		in->out = -1;
		return;
	}
	take = (size_t)n < SHOWN - in->len ? (size_t)n : SHOWN - in->len;
	for (size_t i = 0; i < take; i++)
		in->text[in->len++] = buf[i] == '\n' ? ' ' : buf[i] >= ' ' && buf[i] < 0x7f ? buf[i] : '?';
}

static bool ended(struct inside *in, const struct lifecycle_reply *r, struct error **err)
{
	bool by_signal = (r->status & 0x7f) != 0;

	if (r->type == LC_ENDED && (r->status & 0xffff) == 0)
		return true;
	if (r->type == LC_ERROR && r->start_errno != 0)
		return error_set(err, "%s (%s): it can't be executed in the container: %s", in->where, in->hook->path, strerror(r->start_errno));
	if (r->type != LC_ENDED)
		return error_set(err, "%s (%s): %s", in->where, in->hook->path, r->text);
	/* What it wrote before its end is in the pipe. */
	for (int i = 0; i < 16 && in->out >= 0 && in->len < SHOWN; i++) {
		struct pollfd p = {in->out, POLLIN, 0};

		if (poll(&p, 1, 0) <= 0)
			break;
		take_output(in);
	}
	while (in->len != 0 && in->text[in->len - 1] == ' ')
		in->text[--in->len] = '\0';
	return error_set(err, "%s (%s): %s %d%s%s", in->where, in->hook->path, by_signal ? "signal" : "exit status",
			 by_signal ? r->status & 0x7f : r->status >> 8 & 0xff, in->len != 0 ? ": " : "", in->text);
}

static bool wait_for(struct inside *in, struct error **err)
{
	int64_t end = in->hook->timeout != 0 ? now_ms() + in->hook->timeout * 1000 : 0;

	for (;;) {
		struct pollfd p[2] = {{in->conn, POLLIN, 0}, {in->out, POLLIN, 0}};
		int64_t left = end != 0 ? end - now_ms() : -1;
		struct lifecycle_reply r;

		if (end != 0 && left <= 0)
			return error_set(err, "%s (%s): not done after %lld s", in->where, in->hook->path, (long long)in->hook->timeout);
		if (poll(p, 2, left > INT32_MAX ? INT32_MAX : (int)left) <= 0)
			continue;
		if (p[1].revents != 0)
			take_output(in);
		if (p[0].revents == 0)
			continue;
		if (recv(in->conn, &r, sizeof(r), 0) != (ssize_t)sizeof(r))
			return error_set(err, "%s (%s): the container ended meanwhile", in->where, in->hook->path);
		r.text[sizeof(r.text) - 1] = '\0';
		if (r.type != LC_STARTED)
			return ended(in, &r, err);
	}
}

static bool run(struct container *c, json_object *spec, struct inside *in, const char *state, struct error **err)
{
	struct lifecycle_request rq = {.magic = LIFECYCLE_MAGIC, .type = LC_EXEC};
	cleanup_close int config = -1, input = state_file(state), output = -1;
	struct build b;
	int out[2];
	bool ok;

	build_init(&b);
	ok = describe(&b, spec, in->hook, err);
	if (ok)
		config = launch_config(b.c, err);
	build_free(&b);
	if (!ok || config < 0)
		return error_wrap(err, "%s (%s)", in->where, in->hook->path);
	if (input < 0 || pipe2(out, O_CLOEXEC) < 0)
		return error_errno(err, errno, "%s: memfd, pipe", in->where);
	in->out = out[0];
	output = out[1];
	fcntl(in->out, F_SETFL, O_NONBLOCK);
	in->conn = container_connect(c, ANSWER_MS, err);
	if (in->conn < 0 || !monitor_send(c, in->conn, &rq, (int[]){config, input, output, output}, 4, err))
		return false;
	close(steal_fd(&output)); /* else the pipe had no end */
	return wait_for(in, err);
}

static bool run_one(struct container *c, json_object *spec, json_object *o, size_t i, const char *state, struct error **err)
{
	cleanup_free char *where = xasprintf("hooks.startContainer[%zu]", i);
	struct hook h;
	struct inside in = {.hook = &h, .where = where, .conn = -1, .out = -1};
	bool ok = hook_parse(o, where, &h, err) && run(c, spec, &in, state, err);

	if (in.conn >= 0)
		close(in.conn);
	if (in.out >= 0)
		close(in.out);
	hook_free(&h);
	return ok;
}

bool hooks_inside(struct container *c, json_object *spec, struct error **err)
{
	cleanup_json json_object *state = NULL;
	json_object *list;
	const char *text;
	int64_t pid;

	if (spec == NULL || !hooks_any(spec, "startContainer"))
		return true;
	if (!hooks_of(spec, "startContainer", &list, err) || !container_first_pid(c, &pid, err))
		return false;
	/* As it is seen from where the hook runs. */
	state = container_state_json(c, STATE_CREATED, false);
	json_object_object_add(state, "pid", json_object_new_int64(pid));
	text = json_object_to_json_string_ext(state, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!run_one(c, spec, json_object_array_get_idx(list, i), i, text, err))
			return false;
	return true;
}
