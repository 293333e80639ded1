/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a run in numbers and words. The monitor and the command both come here, so that a person reads the same
 * sentence whether the command became the monitor (plain `do`) or waited for it (--json, --stats, --copy-out).
 */
#include "runtime/config.h"

#include "sentry/abi/errno.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

const char *const limit_names[] = {"memory", "pids", "disk", "cpu", "wall", "idle", NULL};

const char *const gate_reasons[6] = {"", "no_pattern", "flags", "rt_sigreturn", "no_room", "file"};

int result_exit_status(const struct sandbox_result *r)
{
	if (!r->started || r->start_errno != 0) {
		if (r->start_errno == LINUX_ENOENT || r->start_errno == LINUX_ENOTDIR)
			return 127;
		return r->start_errno != 0 ? 126 : 125;
	}
	if (r->error[0] != '\0')
		return 125;
	if ((r->status & 0x7f) != 0)
		return 128 + (r->status & 0x7f);
	return (r->status >> 8) & 0xff;
}

static const char *env_path(const struct config *c)
{
	for (uint32_t i = 0; i < c->envc; i++) {
		const char *e = config_nth(c, c->envv, i);

		if (strncmp(e, "PATH=", 5) == 0)
			return e + 5;
	}
	return "";
}

void result_explain(struct sandbox_result *r, const struct config *c)
{
	const char *prog = config_str(c, c->argv);
	const char *why;

	if (r->start_errno == 0 || r->error[0] != '\0')
		return;
	switch (r->start_errno) {
	case LINUX_ENOENT:
	case LINUX_ENOTDIR:
		if (strchr(prog, '/') == NULL) {
			snprintf(r->error, sizeof(r->error),
				 "cannot start \"%.200s\": executable file not found in $PATH (searched %.200s)", prog, env_path(c));
			return;
		}
		why = "no such file or directory in the sandbox (or the interpreter it names is missing)";
		break;
	case LINUX_EACCES:
	case LINUX_EPERM:
		why = "permission denied: not a regular file, or the user may not execute it";
		break;
	case LINUX_ENOEXEC:
		why = "not a program: neither an x86-64 ELF file nor a script that begins with #!";
		break;
	case LINUX_E2BIG:
		why = "its arguments and environment are too long together";
		break;
	case LINUX_ELOOP:
		why = "too many symbolic links in its path";
		break;
	case LINUX_ENOMEM:
		why = "it doesn't fit in the sandbox's memory (see --memory)";
		break;
	case LINUX_EISDIR:
		why = "it is a directory";
		break;
	case LINUX_EIO:
		why = "it can't be read: the root, or the image that it lies on, is damaged";
		break;
	default:
		snprintf(r->error, sizeof(r->error), "cannot start \"%.200s\": error %d", prog, r->start_errno);
		return;
	}
	snprintf(r->error, sizeof(r->error), "cannot start \"%.200s\": %s", prog, why);
}

static uint64_t disk_bytes(const struct config *c)
{
	uint64_t most = c->memory_bytes / 2 < CONFIG_DEFAULT_DISK ? c->memory_bytes / 2 : CONFIG_DEFAULT_DISK;

	return c->disk_bytes != 0 ? c->disk_bytes : most;
}

static void limit_words(char *buf, size_t size, unsigned bit, const struct config *c)
{
	switch (1U << bit) {
	case LIMIT_MEMORY:
		snprintf(buf, size, "memory (%.1f MiB)", (double)c->memory_bytes / (1 << 20));
		break;
	case LIMIT_PIDS:
		snprintf(buf, size, "processes and threads (%u)", c->max_tasks != 0 ? c->max_tasks : CONFIG_DEFAULT_TASKS);
		break;
	case LIMIT_DISK:
		if (c->disk_bytes == 0 && c->memory_bytes == 0) /* sentry/kernel/init.c: of this machine's */
			snprintf(buf, size, "file data (half of the memory, at most %llu GiB)", CONFIG_DEFAULT_DISK >> 30);
		else
			snprintf(buf, size, "file data (%.1f MiB)", (double)disk_bytes(c) / (1 << 20));
		break;
	case LIMIT_CPU:
		snprintf(buf, size, "CPU (%.2f)", c->cpu_permille / 1000.0);
		break;
	case LIMIT_WALL:
		snprintf(buf, size, "time (%.1f s)", (double)c->timeout_ms / 1000);
		break;
	case LIMIT_IDLE:
		snprintf(buf, size, "idle time (%.1f s)", (double)c->idle_timeout_ms / 1000);
		break;
	}
}

void result_say(const struct config *c, const char *text)
{
	struct pollfd ready = {c->message_fd >= 0 ? c->message_fd : 2, POLLOUT, 0};

	if (c->engine_init && (poll(&ready, 1, 0) != 1 || ready.revents != POLLOUT))
		return;
	dprintf(ready.fd, "sentrybox: %s\n", text);
}

const char *result_limits(const struct sandbox_result *r, const struct config *c, char *buf, size_t size)
{
	char word[64];
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned bit = 0; limit_names[bit] != NULL; bit++) {
		if ((r->limits & (1U << bit)) == 0)
			continue;
		word[0] = '\0';
		limit_words(word, sizeof(word), bit, c);
		len += (size_t)snprintf(buf + len, size - len, "%s%s", len == 0 ? "the limit on " : " and on ", word);
		if (len >= size)
			return buf;
	}
	if (len != 0)
		snprintf(buf + len, size - len, " was reached");
	return buf;
}
