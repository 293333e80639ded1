/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: programs of the host that the bundle's author wants run at points of a container's life.
 *
 *	prestart, createRuntime, createContainer   at create, when the monitor is there and before the program may start
 *	startContainer                             at start, just before the program starts: in the sandbox (hooks_inside.c)
 *	poststart                                  when it runs
 *	poststop                                   at delete
 *
 * Each gets the container's state as JSON on its stdin, its own args and environment and nothing of ours, and as long as its
 * timeout says; what it leaves in its process group is killed with it then. All but startContainer run on the host with the
 * caller's rights: createContainer too, whose path is the host's by the specification, and for which a sandbox has no namespaces
 * that a program of the host could enter.
 *
 * A hook is trusted as much as whoever may call us with the bundle; but one that runs in the sandbox is the image's program,
 * and trusted no more than that.
 */
#include "runtime/hooks.h"
#include "runtime/cleanup.h"
#include "runtime/json_get.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define STDERR_SHOWN 300

static const char *const kinds[] = {"prestart",	      "createRuntime", "createContainer",
				    "startContainer", "poststart",     "poststop"};

bool hooks_of(json_object *spec, const char *kind, json_object **list, struct error **err)
{
	json_object *hooks;

	*list = NULL;
	return json_get(spec, "", "hooks", json_type_object, &hooks, err) &&
	       json_get(hooks, "hooks", kind, json_type_array, list, err);
}

bool hook_parse(json_object *o, const char *where, struct hook *h, struct error **err)
{
	memset(h, 0, sizeof(*h));
	if (!json_object_is_type(o, json_type_object))
		return error_set(err, "%s is not an object", where);
	if (!json_get_string(o, where, "path", &h->path, err) ||
	    !json_get_strings(o, where, "args", &h->args, &h->nargs, err) ||
	    !json_get_strings(o, where, "env", &h->env, &h->nenv, err) ||
	    !json_get_int(o, where, "timeout", 1, INT32_MAX / 1000, &h->timeout, NULL, err))
		return false;
	if (h->path == NULL || h->path[0] != '/')
		return error_set(err, "%s.path is not an absolute path", where);
	return true;
}

void hook_free(struct hook *h)
{
	free(h->args);
	free(h->env);
}

bool hooks_check(json_object *spec, struct error **err)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		json_object *list;

		if (!hooks_of(spec, kinds[k], &list, err))
			return false;
		for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
			cleanup_free char *where = xasprintf("hooks.%s[%zu]", kinds[k], i);
			struct hook h;
			bool ok = hook_parse(json_object_array_get_idx(list, i), where, &h, err);

			hook_free(&h);
			if (!ok)
				return false;
		}
	}
	return true;
}

bool hooks_any(json_object *spec, const char *kind)
{
	cleanup_error struct error *err = NULL;
	json_object *list;

	return hooks_of(spec, kind, &list, &err) && list != NULL && json_object_array_length(list) != 0;
}

/* What the hook reads: a file of memory, so that one that doesn't read can't hold us up. */
static int state_file(const char *text)
{
	cleanup_close int fd = memfd_create("state", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET) != 0)
		return -1;
	return steal_fd(&fd);
}

static pid_t start(const struct hook *h, int in, int out)
{
	const char **argv = xcalloc(h->nargs + 2, sizeof(*argv)), **envp = xcalloc(h->nenv + 1, sizeof(*envp));
	pid_t pid;

	argv[0] = h->path;
	for (size_t i = 0; i < h->nargs; i++)
		argv[i] = h->args[i];
	for (size_t i = 0; i < h->nenv; i++)
		envp[i] = h->env[i];
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setpgid(0, 0);
		if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
			_exit(126);
		if (syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */) < 0)
			for (int fd = 3; fd < 1024; fd++)
				close(fd);
		execve(h->path, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
		dprintf(2, "can't execute it: %s", strerror(errno));
		_exit(127);
	}
	free(argv);
	free(envp);
	return pid;
}

static bool run(const struct hook *h, const char *where, const char *state, struct error **err)
{
	cleanup_close int in = state_file(state), said = memfd_create("hook", MFD_CLOEXEC), pidfd = -1;
	char text[STDERR_SHOWN + 1];
	struct pollfd p;
	bool late;
	pid_t pid;
	int status;
	ssize_t n;

	if (in < 0 || said < 0)
		return error_errno(err, errno, "%s: memfd", where);
	pid = start(h, in, said);
	if (pid < 0)
		return error_errno(err, errno, "%s: fork", where);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	p = (struct pollfd){pidfd, POLLIN, 0};
	late = h->timeout != 0 && pidfd >= 0 && poll(&p, 1, (int)h->timeout * 1000) == 0;
	if (late) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (late)
		return error_set(err, "%s (%s): not done after %lld s", where, h->path, (long long)h->timeout);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	n = pread(said, text, STDERR_SHOWN, 0);
	text[n > 0 ? n : 0] = '\0';
	return error_set(err, "%s (%s): %s %d%s%s", where, h->path, WIFEXITED(status) ? "exit status" : "signal",
			 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), text[0] != '\0' ? ": " : "", text);
}

bool hooks_run(json_object *spec, const char *kind, json_object *state, struct error **err)
{
	const char *text = json_object_to_json_string_ext(state, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	json_object *list;

	if (spec == NULL)
		return true;
	if (!hooks_of(spec, kind, &list, err))
		return false;
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		cleanup_free char *where = xasprintf("hooks.%s[%zu]", kind, i);
		struct hook h;
		bool ok = hook_parse(json_object_array_get_idx(list, i), where, &h, err) && run(&h, where, text, err);

		hook_free(&h);
		if (!ok)
			return false;
	}
	return true;
}
