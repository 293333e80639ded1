/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root that is an image file: opening it, and looking into it before there is a sandbox.
 *
 *	build_image --> open read-only, whose is it? --> c->image_fd, for the sentry (sentry/fs/image.c)
 *	build_read_file --> a child that maps it and may do nothing but write to one pipe --> the file's bytes
 *
 * The image may be a stranger's, and the command is not sealed: so the little that it needs to know (which user has which
 * home) is looked up by a child under a filter of its own. What comes back is bytes of bounded length, or a sentence. The
 * parser is the sentry's (runtime/core/erofs.c).
 *
 * Images that others may write to are refused: whoever can write can cut the file off, and then reading it faults, in the
 * sandbox's kernel too. Its owner and root can do that still; it ends the sandbox, no more.
 */
#include "runtime/build.h"
#include "runtime/cleanup.h"

#include "runtime/erofs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct answer {
	char why[160];  /* what is wrong with the image; "" if nothing is */
	uint64_t size;  /* bytes that follow; 0 also if there is no such file */
};

/* Writing to that pipe, and the end. */
static bool seal(int pipe)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)pipe, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(f) / sizeof(f[0]), f};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static bool write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len != 0) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void write_file(int pipe, const struct erofs_image *img, const struct erofs_inode *file)
{
	static const char zeros[4096];
	uint64_t pos = 0;

	while (pos < file->size) {
		const uint8_t *data;
		uint64_t n;

		if (erofs_run(img, file, pos, &data, &n) != 0)
			return;
		if (data == NULL && n > sizeof(zeros))
			n = sizeof(zeros);
		if (!write_all(pipe, data != NULL ? (const void *)data : zeros, n))
			return;
		pos += n;
	}
}

/* The child. What it finds it can only write down. */
static void look(int fd, uint64_t size, int pipe, const char *path, size_t max)
{
	void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	struct erofs_image img;
	struct erofs_inode file = {0};
	struct answer a = {0};
	const char *why;
	uint64_t nid;

	if (base == MAP_FAILED || !seal(pipe)) {
		snprintf(a.why, sizeof(a.why), "it can't be looked into: %s", strerror(errno));
		write_all(pipe, &a, sizeof(a));
		_exit(1);
	}
	why = erofs_open(&img, base, size);
	if (why != NULL)
		strncpy(a.why, why, sizeof(a.why) - 1);
	else if (erofs_resolve(&img, path, true, &nid) == 0 && erofs_inode(&img, nid, &file) == 0 && S_ISREG(file.mode) &&
		 file.size <= max)
		a.size = file.size;
	if (write_all(pipe, &a, sizeof(a)) && a.size != 0)
		write_file(pipe, &img, &file);
	_exit(0);
}

static bool read_all(int fd, void *data, size_t len)
{
	char *p = data;

	while (len != 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* A file of the image as a string to free; NULL with no error set if there is none. */
static char *image_read(int fd, const char *path, size_t max, struct error **err)
{
	cleanup_free char *text = NULL;
	struct answer a;
	struct stat st;
	int p[2];
	pid_t pid;
	bool told;

	if (fstat(fd, &st) < 0 || st.st_size <= 0) {
		error_set(err, "it is empty");
		return NULL;
	}
	if (pipe2(p, O_CLOEXEC) < 0) {
		error_errno(err, errno, "can't make a pipe");
		return NULL;
	}
	pid = fork();
	if (pid == 0)
		look(fd, (uint64_t)st.st_size, p[1], path, max);
	close(p[1]);
	told = pid > 0 && read_all(p[0], &a, sizeof(a));
	if (told)
		a.why[sizeof(a.why) - 1] = '\0';
	if (told && a.why[0] == '\0' && a.size != 0 && a.size <= max) {
		text = xcalloc(1, a.size + 1);
		told = read_all(p[0], text, a.size);
	}
	close(p[0]);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (!told)
		error_set(err, "it is damaged, or changed while it was read");
	else if (a.why[0] != '\0')
		error_set(err, "%s", a.why);
	else
		return steal_pointer(&text);
	return NULL;
}

bool build_image(struct build *b, const char *name, struct error **err)
{
	cleanup_close int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct error *bad = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "can't open the root image %s", name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, "the root image %s is not a regular file", name);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(err,
				 "the root image %s may be written by others, who could cut it off while it is in use: "
				 "chmod go-w %s",
				 name, name);
	b->passwd = image_read(fd, "/etc/passwd", BUILD_FILE_MAX, &bad);
	if (bad != NULL) {
		*err = bad;
		return error_wrap(err, "the root image %s", name);
	}
	b->c->image_fd = build_fd(b, steal_fd(&fd));
	return true;
}

char *build_read_file(struct build *b, const char *path)
{
	cleanup_close int fd = -1;
	cleanup_free char *text = NULL;
	struct error *bad = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n;

	if (b->c->image_fd >= 0) {
		if (strcmp(path, "/etc/passwd") == 0)
			return b->passwd != NULL ? xstrdup(b->passwd) : NULL;
		text = image_read(b->c->image_fd, path, BUILD_FILE_MAX, &bad);
		error_free(bad);
		return steal_pointer(&text);
	}
	fd = open_in_root(b->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)BUILD_FILE_MAX)
		return NULL;
	text = xcalloc(1, (size_t)st.st_size + 1);
	while (len < (size_t)st.st_size && (n = read(fd, text + len, (size_t)st.st_size - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return steal_pointer(&text);
}
