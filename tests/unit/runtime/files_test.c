/* SPDX-License-Identifier: Apache-2.0 */
/* Records from a sentry that was taken over: whatever they say, nothing outside the destination changes. */
#include "runtime/files.h"
#include "runtime/cleanup.h"
#include "runtime/error.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], dest[128], outside[128];
static char *stream;
static size_t have, at;

static void rec(enum files_kind kind, unsigned flags, mode_t mode, const char *name, const char *data, uint64_t offset)
{
	struct files_record r = {.magic = FILES_MAGIC,
				 .kind = (uint16_t)kind,
				 .flags = (uint16_t)flags,
				 .mode = mode,
				 .name_len = (uint32_t)strlen(name),
				 .len = (uint32_t)strlen(data),
				 .offset = offset};

	stream = xrealloc(stream, have + sizeof(r) + r.name_len + r.len, 1);
	memcpy(stream + have, &r, sizeof(r));
	memcpy(stream + have + sizeof(r), name, r.name_len);
	memcpy(stream + have + sizeof(r) + r.name_len, data, r.len);
	have += sizeof(r) + r.name_len + r.len;
}
#define DIR_(name) rec(FILES_ENTRY, 0, S_IFDIR | 0755, name, "", 0)
#define FILE_(name, size) rec(FILES_ENTRY, FILES_LINKED, S_IFREG | 06755, name, "", size)
#define LINK_(name, target) rec(FILES_ENTRY, 0, S_IFLNK | 0777, name, target, 0)
#define HARD(name, old) rec(FILES_ENTRY, FILES_HARD_LINK, S_IFREG | 0644, name, old, 0)
#define DATA(text, where) rec(FILES_DATA, 0, 0, "", text, where)
#define END() rec(FILES_END, 0, 0, "", "", 0)

static ssize_t in_pieces(struct files_stream *s, void *p, size_t len)
{
	size_t n = len < 7 ? len : 7;

	(void)s;
	n = n < have - at ? n : have - at;
	memcpy(p, stream + at, n);
	at += n;
	return (ssize_t)n;
}

static ssize_t in_whole(struct files_stream *s, void *p, size_t len)
{
	size_t n = len < have - at ? len : have - at;

	(void)s;
	memcpy(p, stream + at, n);
	at += n;
	return (ssize_t)n;
}

/* The stream as it was built is received; true: without an error. A new one begins. */
static bool receive(void)
{
	struct files_stream s = {.fd = -1, .read = in_pieces, .notes = 1000};
	cleanup_error struct error *err = NULL;
	struct files_sink *sink = files_host_sink(dest, "base", false, &err);
	bool ok = files_receive(&s, sink, &err);

	cr_expect_eq(ok, err == NULL);
	files_host_free(sink);
	files_stream_close(&s);
	have = at = 0;
	return ok;
}

static bool exists(const char *rel)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, rel);
	struct stat st;

	return lstat(path, &st) == 0;
}

static void setup(void)
{
	cleanup_free char *key = NULL;

	strcpy(dir, "/tmp/files-test-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(dest, sizeof(dest), "%s/dest", dir);
	snprintf(outside, sizeof(outside), "%s/outside", dir);
	cr_assert_eq(mkdir(outside, 0700), 0);
	key = xasprintf("%s/key", outside);
	close(open(key, O_CREAT | O_WRONLY, 0600));
}

static void teardown(void)
{
	cleanup_free char *rm = xasprintf("rm -rf %s", dir), *key = xasprintf("%s/key", outside);
	struct stat st;

	cr_assert_eq(stat(outside, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700, "the mode of what is outside");
	cr_expect_eq(st.st_nlink, 2);
	cr_assert_eq(stat(key, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600);
	cr_expect_eq(st.st_nlink, 1);
	cr_expect_eq(st.st_size, 0);
	cr_expect_not(exists("outside/evil"));
	cr_expect_not(exists("evil"));
	cr_assert_eq(system(rm), 0);
	free(stream);
	stream = NULL;
}

TestSuite(files_in_out, .init = setup, .fini = teardown);

Test(files_in_out, tree)
{
	cleanup_free char *path = xasprintf("%s/a/file", dest);
	struct stat st;

	DIR_("");
	DIR_("a");
	FILE_("a/file", 10000);
	DATA("hello", 4096);
	HARD("a/again", "a/file");
	LINK_("link", "/etc/passwd");
	END();
	cr_assert(receive());
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 10000);
	cr_expect_eq(st.st_mode & 07777, 0755, "set-id bits stay behind");
	cr_expect_eq(st.st_nlink, 2);
	cr_expect(exists("dest/link"));
}

Test(files_in_out, names_that_lead_out)
{
	static const char *const names[] = {"../evil", "a/../../evil", "/evil", "a//evil", "./evil", "..", ".", "a/", "a/./evil"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		DIR_("");
		DIR_("a");
		FILE_(names[i], 0);
		END();
		cr_expect_not(receive(), "%s was taken", names[i]);
		DIR_("");
		FILE_("f", 0);
		HARD("evil", names[i]);
		END();
		cr_expect_not(receive(), "%s was taken", names[i]);
		cr_expect_not(exists("dest/evil"));
	}
}

Test(files_in_out, through_links_of_its_own)
{
	DIR_("");
	LINK_("l", outside);
	FILE_("l/evil", 0);
	END();
	cr_expect_not(receive());
	DIR_("");
	LINK_("d", outside);
	DIR_("d"); /* neither its mode nor anything in it */
	END();
	cr_expect_not(receive());
	DIR_("");
	LINK_("l", outside);
	FILE_("f", 0);
	HARD("l/evil", "f");
	END();
	cr_expect_not(receive());
	DIR_("");
	DIR_("l2");
	LINK_("l2", outside); /* in place of the directory, whose mode is set at the end */
	END();
	cr_expect_not(receive());
}

Test(files_in_out, the_item_itself)
{
	LINK_("", outside);
	DIR_("");
	FILE_("evil", 0);
	END();
	cr_expect_not(receive());
	unlink(dest);
	LINK_("", outside);
	FILE_("", 0);
	END();
	cr_expect_not(receive());
	unlink(dest);
	FILE_("evil", 0); /* before there is a directory */
	END();
	cr_expect_not(receive());
	FILE_("", 0);
	FILE_("evil", 0);
	END();
	cr_expect_not(receive());
	END();
	cr_expect(receive(), "nothing at all");
}

Test(files_in_out, hard_links_to_what_was_there)
{
	cleanup_free char *theirs = xasprintf("%s/base/theirs", dest), *base = xasprintf("%s/base", dest), *link = xasprintf("%s/base/link", dest),
			  *key = xasprintf("%s/key", outside);
	struct stat st;

	mkdir(dest, 0755);
	mkdir(base, 0755);
	close(open(theirs, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(symlink(key, link), 0);
	DIR_("");
	HARD("evil", "theirs");
	END();
	cr_expect_not(receive());
	DIR_("");
	HARD("evil", "link");
	END();
	cr_expect_not(receive());
	cr_assert_eq(stat(theirs, &st), 0);
	cr_expect_eq(st.st_nlink, 1);
	/* A link that lies where a file is to be is replaced, not followed. */
	DIR_("");
	FILE_("link", 4);
	DATA("data", 0);
	END();
	cr_expect(receive());
	cr_assert_eq(lstat(link, &st), 0);
	cr_expect(S_ISREG(st.st_mode));
}

/* As many and as big as an entry may have: the archive that is made of it is one that is taken. */
Test(files_in_out, attributes_through_an_archive)
{
	cleanup_free char *big = xcalloc(1, FILES_XATTR_MAX + 1), *long_name = xcalloc(1, 8000);
	struct files_stream s = {.fd = -1, .read = in_whole};
	cleanup_error struct error *err = NULL;
	FILE *tar = tmpfile();
	unsigned notes = 0;
	struct files_sink *sink = files_tar_sink(tar, "item", false, &notes);
	int sv[2], status;
	pid_t pid;

	memset(big, 'x', FILES_XATTR_MAX);
	for (int i = 0; i < 30; i++)
		memset(long_name + i * 201, i % 2 ? 'a' : 'b', 200), long_name[i * 201 + 200] = i < 28 ? '/' : 0;
	DIR_("");
	for (int i = 0; i < FILES_XATTRS_MAX; i++) {
		cleanup_free char *name = xasprintf("user.%0250d", i);

		rec(FILES_XATTR, 0, 0, name, big, 0);
	}
	FILE_(long_name, 0);
	END();
	cr_assert(files_receive(&s, sink, &err));
	files_tar_free(sink);
	files_stream_close(&s);
	have = at = 0;
	rewind(tar);
	cr_assert_eq(fflush(tar), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	pid = fork();
	if (pid == 0) {
		static char buf[65536];
		size_t total = 0;
		ssize_t n;

		close(sv[0]);
		while ((n = read(sv[1], buf, sizeof(buf))) > 0)
			total += (size_t)n;
		_exit(total > (size_t)FILES_XATTRS_MAX * FILES_XATTR_MAX ? 0 : 1);
	}
	close(sv[1]);
	s = (struct files_stream){.fd = sv[0]};
	cr_expect(files_source_tar(&s, tar, false, &err));
	files_stream_close(&s);
	fclose(tar);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
}

Test(files_in_out, bytes_that_belong_nowhere)
{
	DIR_("");
	DATA("x", 0);
	END();
	cr_expect_not(receive(), "of a directory");
	FILE_("", 4);
	DATA("12345", 0);
	END();
	cr_expect_not(receive(), "behind the end");
	FILE_("", 4);
	DATA("1", UINT64_MAX);
	END();
	cr_expect_not(receive());
	FILE_("", 4);
	DATA("34", 2);
	DATA("12", 0);
	END();
	cr_expect_not(receive(), "backwards");
	FILE_("", UINT64_MAX);
	END();
	cr_expect_not(receive());
	FILE_("", 4);
	DATA("half", 0);
	cr_expect_not(receive(), "cut short");
	cr_expect_not(exists("dest/base"), "what isn't whole has no name");
	DIR_("");
	rec(FILES_GONE, 0, 0, "a", "", 0);
	END();
	cr_expect_not(receive(), "for a diff only");
}

/* A layer has an entry of its own for it, which would come between a file's header and its bytes. */
Test(files_in_out, opaque_is_of_directories)
{
	static const mode_t modes[] = {S_IFREG | 0644, S_IFLNK | 0777, S_IFIFO | 0644, S_IFDIR | 0755};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		DIR_("");
		rec(FILES_ENTRY, FILES_OPAQUE, modes[i], "x", S_ISLNK(modes[i]) ? "y" : "", 0);
		END();
		cr_expect_eq(receive(), S_ISDIR(modes[i]), "mode %o", (unsigned)modes[i]);
	}
}
