/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host as the harness watches it. Around each payload it lays out what a way out would lead to:
 *
 *	files      a secret in a hidden directory, open on an inherited descriptor as well; a target file to overwrite
 *	listeners  TCP on 127.0.0.1 and ::1, UDP, unix sockets by path and abstract name; one more TCP that policies may
 *allow a victim   a process that must survive kill -9 -1 tables     the processes of the sandbox's host uid, our own
 *children, the mount table, the host's name
 *
 * and afterwards looks whether anything was touched. The checks don't ask the sandbox: they would hold if it lied.
 */
#include "runtime/harness.h"
#include "runtime/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define TARGET_TEXT "nobody has written here\n"

struct findings {
	char **list;
	size_t n;
};

static void found(struct findings *f, char *sentence)
{
	f->list = xrealloc(f->list, f->n + 2, sizeof(*f->list));
	f->list[f->n++] = sentence;
	f->list[f->n] = NULL;
}

static char *read_all(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = xcalloc(1, 1);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return text;
	do {
		text = xrealloc(text, len + 65537, 1);
		n = read(fd, text + len, 65536);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	text[len] = '\0';
	return text;
}

static bool write_file(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	return fd >= 0 && fchmod(fd, 0666) == 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static int listener(int family, int type, uint16_t *port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6;
	socklen_t len = family == AF_INET ? sizeof(a4) : sizeof(a6);
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, a, len) < 0 || (type == SOCK_STREAM && listen(fd, 4096) < 0) ||
	    getsockname(fd, a, &len) < 0) {
		if (fd >= 0)
			close(fd);
		*port = 0;
		return -1;
	}
	*port = ntohs(family == AF_INET ? a4.sin_port : a6.sin6_port);
	return fd;
}

static int unix_listener(const char *name, bool abstract)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(a.sun_path + abstract, name, n);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + n)) < 0 ||
	    listen(fd, 64) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* A process like any other of the host's; for an ordinary user, one of the sandbox's own uid. */
static pid_t start_victim(void)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "canary-victim");
	for (;;)
		pause();
}

bool watch_begin(struct watch *w, struct error **err)
{
	cleanup_free char *target = NULL;
	cleanup_free char *hidden = NULL;
	cleanup_free char *secret = NULL;
	cleanup_free char *sock = NULL;
	uint8_t random[16];

	memset(w, 0, sizeof(*w));
	strcpy(w->dir, "/tmp/sentrybox-canary-XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		return error_errno(err, errno, "can't make a directory for canaries in /tmp");
	chmod(w->dir, 0777);
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, errno, "getrandom");
	for (unsigned i = 0; i < sizeof(random); i++)
		snprintf(w->secret + 2 * i, 3, "%02x", random[i]);
	target = xasprintf("%s/target", w->dir);
	hidden = xasprintf("%s/hidden", w->dir);
	secret = xasprintf("%s/hidden/secret", w->dir);
	sock = xasprintf("%s/socket", w->dir);
	if (!write_file(target, TARGET_TEXT) || mkdir(hidden, 0777) < 0 || !write_file(secret, w->secret))
		return error_errno(err, errno, "can't write canaries in %s", w->dir);
	w->inherited_fd = open(secret, O_RDWR); /* not close-on-exec: that is the point */
	if (w->inherited_fd >= 0) {
		int high = fcntl(w->inherited_fd, F_DUPFD, 99);

		close(w->inherited_fd);
		w->inherited_fd = high;
	}
	w->tcp4 = listener(AF_INET, SOCK_STREAM, &w->tcp4_port);
	w->tcp6 = listener(AF_INET6, SOCK_STREAM, &w->tcp6_port);
	w->udp4 = listener(AF_INET, SOCK_DGRAM, &w->udp4_port);
	w->allowed = listener(AF_INET, SOCK_STREAM, &w->allowed_port);
	w->unix_path = unix_listener(sock, false);
	chmod(sock, 0777);
	snprintf(w->abstract_name, sizeof(w->abstract_name), "sentrybox-canary-%.8s", w->secret);
	w->unix_abstract = unix_listener(w->abstract_name, true);
	if (w->tcp4 < 0 || w->allowed < 0 || w->unix_path < 0)
		return error_errno(err, errno, "can't make canary listeners");
	w->victim = start_victim();
	if (geteuid() == 0) {
		memcpy(&w->uid, random, 4);
		w->uid = 1900000000U + w->uid % 100000000U;
	}
	w->mounts = read_all("/proc/self/mountinfo");
	gethostname(w->host_name, sizeof(w->host_name) - 1);
	return true;
}

char **watch_environment(const struct watch *w)
{
	char **env = xcalloc(12, sizeof(*env));
	size_t n = 0;

	env[n++] = xasprintf("CANARY_TARGET=%s/target", w->dir);
	env[n++] = xasprintf("CANARY_SECRET=%s/hidden/secret", w->dir);
	env[n++] = xasprintf("CANARY_SOCKET=%s/socket", w->dir);
	env[n++] = xasprintf("CANARY_ABSTRACT=%s", w->abstract_name);
	env[n++] = xasprintf("CANARY_FD=%d", w->inherited_fd);
	env[n++] = xasprintf("CANARY_PID=%d", w->victim);
	env[n++] = xasprintf("CANARY_TCP=%u", w->tcp4_port);
	env[n++] = xasprintf("CANARY_TCP6=%u", w->tcp6_port);
	env[n++] = xasprintf("CANARY_UDP=%u", w->udp4_port);
	env[n++] = xasprintf("ALLOWED_TCP=%u", w->allowed_port);
	return env;
}

static void check_listener(struct findings *f, int fd, const char *what)
{
	struct pollfd p = {fd, POLLIN, 0};

	if (fd >= 0 && poll(&p, 1, 0) > 0)
		found(f, xasprintf("something reached the listener on %s", what));
	if (fd >= 0)
		close(fd);
}

static void check_files(struct findings *f, const struct watch *w)
{
	static const char *const expected[] = {"target", "hidden", "socket", "secret"};
	const char *const dirs[] = {"", "/hidden"};
	cleanup_free char *target = xasprintf("%s/target", w->dir);
	cleanup_free char *text = read_all(target);

	if (strcmp(text, TARGET_TEXT) != 0)
		found(f, xstrdup("the target file on the host was changed"));
	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *path = xasprintf("%s%s", w->dir, dirs[i]);
		cleanup_closedir DIR *d = opendir(path);
		struct dirent *e;
		size_t seen = 0;

		while (d != NULL && (e = readdir(d)) != NULL) {
			bool known = e->d_name[0] == '.';

			for (size_t k = 0; k < 4; k++) {
				if (strcmp(e->d_name, expected[k]) == 0) {
					known = true;
					seen++;
				}
			}
			if (!known)
				found(f, xasprintf("%s/%s appeared on the host", path, e->d_name));
		}
		if (seen != (i == 0 ? 3 : 1))
			found(f, xasprintf("something in %s is gone from the host", path));
	}
}

/* Processes of the sandbox's own uid, and children that were left to us (we are their subreaper). */
static void check_processes(struct findings *f, const struct watch *w)
{
	cleanup_closedir DIR *proc = opendir("/proc");
	struct dirent *e;
	struct stat st;
	pid_t pid;

	if (w->victim > 0 && waitpid(w->victim, NULL, WNOHANG) != 0)
		found(f, xstrdup("the process outside was killed"));
	while (w->uid != 0 && proc != NULL && (e = readdir(proc)) != NULL) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9' || fstatat(dirfd(proc), e->d_name, &st, 0) < 0 ||
		    st.st_uid != w->uid)
			continue;
		found(f, xasprintf("process %s was left behind", e->d_name));
		kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
	}
	if (w->victim > 0) {
		kill(w->victim, SIGKILL);
		waitpid(w->victim, NULL, 0);
	}
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (pid == 0) {
			found(f, xstrdup("a process of the sandbox still runs"));
			break;
		}
	}
}

static void remove_canaries(const struct watch *w)
{
	static const char *const names[] = {"/hidden/secret", "/hidden", "/target", "/socket", ""};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		cleanup_free char *path = xasprintf("%s%s", w->dir, names[i]);

		remove(path);
	}
}

char **watch_end(struct watch *w, const char *output, size_t len)
{
	struct findings f = {xcalloc(1, sizeof(*f.list)), 0};
	cleanup_free char *mounts = read_all("/proc/self/mountinfo");
	char name[65] = "";

	if (len != 0 && memmem(output, len, w->secret, strlen(w->secret)) != NULL)
		found(&f, xstrdup("the hidden secret was read"));
	check_files(&f, w);
	check_listener(&f, w->tcp4, "127.0.0.1");
	check_listener(&f, w->tcp6, "::1");
	check_listener(&f, w->udp4, "UDP");
	check_listener(&f, w->unix_path, "a unix socket");
	check_listener(&f, w->unix_abstract, "an abstract unix socket");
	check_processes(&f, w);
	if (strcmp(mounts, w->mounts) != 0)
		found(&f, xstrdup("the host's mount table has changed"));
	gethostname(name, sizeof(name) - 1);
	if (strcmp(name, w->host_name) != 0)
		found(&f, xstrdup("the host's name has changed"));
	close(w->allowed);
	if (w->inherited_fd >= 0)
		close(w->inherited_fd);
	free(w->mounts);
	remove_canaries(w);
	return f.list;
}
