/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sentrybox image build SOURCE OUT.erofs`: a root image of a directory, a tar file, or an OCI layout.
 *
 *	directory ----------------------------------------------.
 *	tar file ------> bsdtar --> staging directory ----------+--> mkfs.erofs --> OUT.erofs.XXXXXX --> looked into --> OUT.erofs
 *	OCI layout ---> whiteouts, bsdtar, layer by layer --^
 *
 * The image is made of whole blocks (no tails behind inodes), so that programs can map its pages, and isn't compressed.
 * Owners, modes, times, extended attributes, hard links and devices are the source's. An ordinary user can't unpack another's
 * files: of tar files and layouts everything belongs to root then, without devices or extended attributes.
 *
 * Layers may be a stranger's. Unpacking is libarchive's work (bsdtar): it takes no "..", and doesn't write through a link that
 * is in the way, be it of an earlier layer. Whiteouts come first, since they speak of the layers below: each is looked for
 * component by component without following links. The staging directory is private, beside the image, and goes in any case, as
 * does an image that isn't whole; only SIGKILL leaves them.
 *
 * What a layer can do: fill the disk. Where that matters, build on a filesystem with a limit.
 */
#include "runtime/image_build.h"
#include "runtime/build.h"
#include "runtime/cleanup.h"
#include "runtime/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OUTPUT_MAX ((size_t)256 << 20)
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

void help_image(void)
{
	puts("sentrybox image build SOURCE OUT.erofs\n"
	     "\n"
	     "Makes a root image: one read-only file, for `sentrybox do --root-image OUT.erofs` and for a\n"
	     "bundle's root.path. Sandboxes of an image share its pages, and touch no other file.\n"
	     "\n"
	     "SOURCE is\n"
	     "  a directory     packed as it is: owners, modes, times, extended attributes, links, devices\n"
	     "  a tar file      compressed or not\n"
	     "  an OCI layout   a directory with oci-layout and index.json, as image tools copy them out; its\n"
	     "                  layers are applied in order\n"
	     "Of tar files and layouts an ordinary user's image has only root's files, and no devices.\n"
	     "\n"
	     "Needs mkfs.erofs (Debian: erofs-utils), and for tar files and layouts bsdtar (libarchive-tools).\n"
	     "Images made otherwise can be used if they are not compressed (mkfs.erofs without -z).");
}

/* ---- programs ---- */

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

struct text {
	char *data;
	size_t len;
};

/* Reads once; false at the end. Keeps up to max bytes. */
static bool pump(int fd, struct text *t, size_t max)
{
	char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n > 0 && t->len + (size_t)n <= max) {
		t->data = xrealloc(t->data, t->len + (size_t)n + 1, 1);
		memcpy(t->data + t->len, buf, (size_t)n);
		t->len += (size_t)n;
		t->data[t->len] = '\0';
	}
	return n > 0;
}

static void run_child(char *const args[], int out, int errors)
{
	static char *const env[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				    (char *)"LC_ALL=C.UTF-8", NULL};
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out >= 0 ? out : null, 1) < 0 || dup2(errors, 2) < 0)
		_exit(126);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	execvpe(args[0], args, env);
	_exit(errno == ENOENT ? 127 : 126);
}

/* The last line a program wrote before it gave up. */
static const char *last_line(struct text *t)
{
	char *nl;

	while (t->len != 0 && t->data[t->len - 1] == '\n')
		t->data[--t->len] = '\0';
	if (t->len == 0)
		return "";
	nl = strrchr(t->data, '\n');
	return nl != NULL ? nl + 1 : t->data;
}

bool run_program(const char *package, char *const args[], char **out, size_t *out_len, struct error **err)
{
	struct text text = {0}, errors = {0};
	int o[2] = {-1, -1}, e[2], status = 0;
	bool out_open = out != NULL, err_open = true;
	pid_t pid;

	if (stopped)
		return error_set(err, "stopped by signal %d", (int)stopped);
	if (pipe2(e, O_CLOEXEC) < 0 || (out_open && pipe2(o, O_CLOEXEC) < 0))
		return error_errno(err, errno, "can't make a pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_child(args, o[1], e[1]);
	close(e[1]);
	if (out_open)
		close(o[1]);
	while (pid > 0 && (out_open || err_open)) {
		struct pollfd p[2] = {{out_open ? o[0] : -1, POLLIN, 0}, {err_open ? e[0] : -1, POLLIN, 0}};

		if (poll(p, 2, -1) < 0) {
			if (stopped)
				kill(pid, SIGTERM);
			continue;
		}
		if (p[0].revents != 0)
			out_open = pump(o[0], &text, OUTPUT_MAX);
		if (p[1].revents != 0)
			err_open = pump(e[0], &errors, 1 << 20);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		if (stopped)
			kill(pid, SIGTERM);
	close(e[0]);
	if (o[0] >= 0)
		close(o[0]);
	if (pid < 0)
		error_errno(err, errno, "can't start %s", args[0]);
	else if (stopped)
		error_set(err, "stopped by signal %d", (int)stopped);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		error_set(err, "there is no %s: install it (Debian: apt-get install %s)", args[0], package);
	else if (WIFSIGNALED(status))
		error_set(err, "%s was ended by signal %d", args[0], WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		error_set(err, "%s failed with status %d: %s", args[0], WEXITSTATUS(status), last_line(&errors));
	free(errors.data);
	if (*err != NULL) {
		free(text.data);
		return false;
	}
	if (out != NULL) {
		*out = text.data != NULL ? text.data : xstrdup("");
		if (out_len != NULL)
			*out_len = text.len;
	} else {
		free(text.data);
	}
	return true;
}

/* ---- removing ---- */

/* Removes name below dir with all that is in it; links are removed, not followed. What isn't there is removed already. */
static bool remove_tree(int dir, const char *name)
{
	cleanup_closedir DIR *d = NULL;
	struct dirent *entry;
	int fd;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return true;
	if (errno != EISDIR && errno != EPERM)
		return false;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	fchmod(fd, 0700); /* an ordinary user's own directory may be closed to him */
	d = fdopendir(fd);
	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    !remove_tree(dirfd(d), entry->d_name))
			return false;
	}
	return unlinkat(dir, name, AT_REMOVEDIR) == 0;
}

/* ---- layers ---- */

/* bsdtar writes a byte that can't be shown as \ooo, and a backslash as two. */
static void unescape(char *s)
{
	char *to = s;

	while (*s != '\0') {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else if (s[0] == '\\' && s[1] != '\0') {
			static const char letters[] = "abfnrtv\\", bytes[] = "\a\b\f\n\r\t\v\\";
			const char *at = strchr(letters, s[1]);

			*to++ = at != NULL ? bytes[at - letters] : s[1];
			s += 2;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* The directory at path (its last slash's part cut off) below root, links on the way not followed. -1: there is none. */
static int open_parent(int root, char *path, char **name)
{
	int dir = fcntl(root, F_DUPFD_CLOEXEC, 3);
	char *part;

	*name = path;
	while (dir >= 0 && (part = strchr(*name, '/')) != NULL) {
		int next = dir;

		*part = '\0';
		if (strcmp(*name, "..") == 0) {
			close(dir);
			return -1;
		}
		if (**name != '\0' && strcmp(*name, ".") != 0) {
			next = openat(dir, *name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			close(dir);
		}
		dir = next;
		*name = part + 1;
	}
	return dir;
}

/* All that earlier layers have in this directory. */
static bool empty_directory(int dir)
{
	cleanup_closedir DIR *d = fdopendir(fcntl(dir, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !remove_tree(dir, entry->d_name))
			return false;
	}
	return d != NULL;
}

static bool whiteout(int root, char *path, struct error **err)
{
	cleanup_free char *shown = xstrdup(path);
	char *name;
	cleanup_close int dir = open_parent(root, path, &name);

	if (dir < 0)
		return true; /* nothing lies there */
	if (strcmp(name, OPAQUE) == 0) {
		if (!empty_directory(dir))
			return error_errno(err, errno, "the whiteout %s can't be applied", shown);
		return true;
	}
	name += strlen(WHITEOUT);
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return error_set(err, "the whiteout %s names nothing", shown);
	if (strncmp(name, WHITEOUT, strlen(WHITEOUT)) == 0)
		return true; /* hard links' and other marks of old builders */
	if (!remove_tree(dir, name))
		return error_errno(err, errno, "the whiteout %s can't be applied", shown);
	return true;
}

static bool apply_whiteouts(const char *names, const char *dir, struct error **err)
{
	cleanup_close int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_free char *copy = xstrdup(names);
	char *p = copy, *line;

	if (root < 0)
		return error_errno(err, errno, "can't open %s", dir);
	while ((line = strsep(&p, "\n")) != NULL) {
		char *slash;

		unescape(line);
		slash = strrchr(line, '/');
		if (strncmp(slash != NULL ? slash + 1 : line, WHITEOUT, strlen(WHITEOUT)) == 0 && !whiteout(root, line, err))
			return false;
	}
	return true;
}

bool layer_apply(const char *tar, const char *dir, struct error **err)
{
	char *const list[] = {(char *)"bsdtar", (char *)"-tf", (char *)(uintptr_t)tar, NULL};
	/* Numbers, not the names of this machine's users. */
	char *const as_root[] = {(char *)"bsdtar",     (char *)"-xpf",	     (char *)(uintptr_t)tar, (char *)"-C", (char *)(uintptr_t)dir,
				 (char *)"--numeric-owner", (char *)"--same-owner", (char *)"--exclude",    (char *)".wh.*", NULL};
	char *const as_user[] = {(char *)"bsdtar", (char *)"-xpf", (char *)(uintptr_t)tar, (char *)"-C", (char *)(uintptr_t)dir,
				 (char *)"--no-same-owner", (char *)"--no-acls", (char *)"--no-xattrs", (char *)"--no-fflags",
				 (char *)"--exclude", (char *)".wh.*", NULL};
	cleanup_free char *names = NULL;
	size_t len;

	if (!run_program("libarchive-tools", list, &names, &len, err))
		return false;
	return apply_whiteouts(names, dir, err) &&
	       run_program("libarchive-tools", geteuid() == 0 ? as_root : as_user, NULL, NULL, err);
}

/* ---- building ---- */

static bool make_image(const char *dir, const char *out, bool all_root, struct error **err)
{
	char *args[12];
	size_t n = 0;

	args[n++] = (char *)"mkfs.erofs";
	args[n++] = (char *)"--quiet";
	args[n++] = (char *)"-Enoinline_data";
	args[n++] = (char *)"--preserve-mtime";
	if (all_root)
		args[n++] = (char *)"--all-root";
	args[n++] = (char *)(uintptr_t)out;
	args[n++] = (char *)(uintptr_t)dir;
	args[n] = NULL;
	return run_program("erofs-utils", args, NULL, NULL, err);
}

/* What was made can be read by what will read it. */
static bool check_image(const char *path, struct error **err)
{
	struct build b;
	bool ok;

	build_init(&b);
	ok = build_image(&b, path, err);
	build_free(&b);
	return ok;
}

/* Layers, or one tar file, in a directory of our own beside the image. */
static bool stage(const char *source, bool layout, const char *dir, struct error **err)
{
	char *layers[OCI_MAX_LAYERS];
	size_t n = 0;
	bool ok;

	if (!layout)
		return layer_apply(source, dir, err);
	ok = oci_layers(source, layers, &n, err);
	for (size_t i = 0; i < n; i++) {
		if (ok && !layer_apply(layers[i], dir, err))
			ok = error_wrap(err, "layer %s", layers[i]);
		free(layers[i]);
	}
	return ok;
}

/* Packing a directory that the image would lie in: it would never end. */
static bool is_within(const char *dir, const char *path)
{
	cleanup_free char *d = realpath(dir, NULL);
	cleanup_free char *parent = xstrdup(path);
	char *slash = strrchr(parent, '/');
	cleanup_free char *p = NULL;
	size_t len = d != NULL ? strlen(d) : 0;

	if (slash != NULL)
		slash[slash == parent] = '\0';
	p = realpath(slash != NULL ? parent : ".", NULL);
	return d != NULL && p != NULL && strncmp(d, p, len) == 0 && (p[len] == '/' || p[len] == '\0' || len == 1);
}

static bool pack(const char *source, bool staged, bool layout, char *partial, char *staging, struct error **err)
{
	mode_t mask = umask(022);
	int fd = mkostemp(partial, O_CLOEXEC);

	umask(mask);
	if (fd < 0) {
		*partial = '\0';
		return error_errno(err, errno, "can't make the image");
	}
	close(fd);
	if (staged) {
		if (mkdtemp(staging) == NULL) {
			*staging = '\0';
			return error_errno(err, errno, "can't make a directory to unpack into");
		}
		/* The root's own mode, if no layer has one. */
		if (chmod(staging, 0755) < 0 || !stage(source, layout, staging, err))
			return *err != NULL ? false : error_errno(err, errno, "%s", staging);
	}
	if (!make_image(staged ? staging : source, partial, staged && geteuid() != 0, err))
		return false;
	/* Nobody but us may change it: see runtime/image.c. */
	if (chmod(partial, 0666 & ~mask & ~022U) < 0)
		return error_errno(err, errno, "can't set the image's mode");
	return check_image(partial, err);
}

static bool build(const char *source, const char *out, struct error **err)
{
	cleanup_free char *partial = xasprintf("%s.XXXXXX", out);
	cleanup_free char *parent = xasprintf("%s.dir.XXXXXX", out);
	cleanup_free char *staging = NULL;
	bool layout = false, staged, ok;
	struct stat st;

	if (stat(source, &st) < 0)
		return error_errno(err, errno, "can't read %s", source);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return error_set(err, "%s is neither a directory nor a tar file", source);
	if (S_ISDIR(st.st_mode))
		layout = oci_is_layout(source);
	staged = layout || S_ISREG(st.st_mode);
	if (!staged && is_within(source, out))
		return error_set(err, "%s lies in %s: an image can't hold itself", out, source);
	if (staged) {
		/* Nobody else may reach what is unpacked: set-user-ID programs of strangers, say. */
		if (mkdtemp(parent) == NULL)
			return error_errno(err, errno, "can't make a directory beside %s", out);
		staging = xasprintf("%s/XXXXXX", parent);
	} else {
		staging = xstrdup("");
	}
	ok = pack(source, staged, layout, partial, staging, err);
	if (ok && rename(partial, out) < 0)
		ok = error_errno(err, errno, "can't name the image %s", out);
	if (!ok && *partial != '\0')
		unlink(partial);
	if (staged && !remove_tree(AT_FDCWD, parent) && ok)
		ok = error_errno(err, errno, "can't remove %s", parent);
	return ok;
}

int verb_image(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};
	cleanup_error struct error *err = NULL;

	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		help_image();
		return 0;
	}
	if (argc != 4 || strcmp(argv[1], "build") != 0 || argv[2][0] == '-' || argv[3][0] == '-') {
		error_set(&err, "image: write sentrybox image build SOURCE OUT.erofs (`sentrybox help image` tells more)");
		return error_report(err);
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	if (!build(argv[2], argv[3], &err)) {
		error_wrap(&err, "image build");
		return error_report(err);
	}
	return 0;
}
