/* SPDX-License-Identifier: Apache-2.0 */
/* Records from a sandbox that was taken over: whatever they say, nothing outside the destination changes. */
#include "runtime/copy_out.h"
#include "runtime/cleanup.h"
#include "runtime/error.h"
#include "runtime/parse.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64], dest[128];
static struct copy_out *out;
static struct copy_out_arg arg;

static void setup(void)
{
	struct error *err = NULL;

	strcpy(dir, "/tmp/copy-out-test-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(dest, sizeof(dest), "%s/dest", dir);
	arg = (struct copy_out_arg){(char *)"/guest/tree", dest};
	out = copy_out_open(&arg, 1, &err);
	cr_assert_not_null(out);
}

static void teardown(void)
{
	cleanup_free char *rm = xasprintf("rm -rf %s", dir);

	cr_assert_eq(system(rm), 0);
}

static void feed(enum copy_out_kind kind, const char *name, const char *data, uint64_t offset)
{
	struct copy_out_record r = {.magic = COPY_OUT_MAGIC,
				    .kind = (uint16_t)kind,
				    .mode = 04755,
				    .name_len = (uint32_t)strlen(name),
				    .len = (uint32_t)strlen(data),
				    .offset = offset};

	/* A byte at a time: pieces may end anywhere. */
	for (size_t i = 0; i < sizeof(r); i++)
		copy_out_feed(out, (const char *)&r + i, 1);
	copy_out_feed(out, name, strlen(name));
	copy_out_feed(out, data, strlen(data));
}

static bool exists(const char *rel)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, rel);
	struct stat st;

	return lstat(path, &st) == 0;
}

TestSuite(copy_out, .init = setup, .fini = teardown);

Test(copy_out, tree)
{
	cleanup_free char *path = xasprintf("%s/a/file", dest);
	struct stat st;
	char *error;

	feed(COPY_OUT_DIR, "", "", 0);
	feed(COPY_OUT_DIR, "a", "", 0);
	feed(COPY_OUT_FILE, "a/file", "", 0);
	feed(COPY_OUT_DATA, "", "hello", 4096);
	feed(COPY_OUT_SIZE, "", "", 10000);
	feed(COPY_OUT_SYMLINK, "link", "/etc/passwd", 0);
	feed(COPY_OUT_END, "", "", 0);
	error = copy_out_close(out, true);
	cr_assert_null(error, "%s", error);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_size, 10000);
	cr_expect_eq(st.st_mode & 07777, 0755, "set-id bits stay behind");
	cr_expect(exists("dest/link"));
}

Test(copy_out, names_that_lead_out)
{
	static const char *const names[] = {"../evil", "a/../../evil", "/evil",   "a//evil", "./evil", "..",
					    ".",       "a/",           "a/./evil"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *error;
		struct error *err = NULL;

		feed(COPY_OUT_DIR, "", "", 0);
		feed(COPY_OUT_DIR, "a", "", 0);
		feed(COPY_OUT_FILE, names[i], "", 0);
		error = copy_out_close(out, true);
		cr_expect_not_null(error, "%s was taken", names[i]);
		free(error);
		cr_expect_not(exists("evil"));
		cr_expect_not(exists("dest/evil"));
		cr_expect_not(exists("dest/a/evil"));
		out = copy_out_open(&arg, 1, &err);
	}
	free(copy_out_close(out, false));
}

Test(copy_out, through_a_link_of_its_own)
{
	char *error;

	feed(COPY_OUT_DIR, "", "", 0);
	feed(COPY_OUT_SYMLINK, "out", "..", 0);
	feed(COPY_OUT_FILE, "out/evil", "", 0);
	error = copy_out_close(out, true);
	cr_expect_not_null(error);
	free(error);
	cr_expect_not(exists("evil"));
}

/* A link in the place of the item, or of a directory: neither is followed when the name comes again. */
Test(copy_out, links_in_the_place_of_directories)
{
	cleanup_free char *outside = xasprintf("%s/outside", dir);
	struct error *err = NULL;
	struct stat st;
	char *error;

	mkdir(outside, 0700);
	feed(COPY_OUT_SYMLINK, "", outside, 0);
	feed(COPY_OUT_DIR, "", "", 0);
	feed(COPY_OUT_FILE, "evil", "", 0);
	error = copy_out_close(out, true);
	cr_expect_not_null(error);
	free(error);
	cr_expect_not(exists("outside/evil"));
	unlink(dest);

	out = copy_out_open(&arg, 1, &err);
	feed(COPY_OUT_SYMLINK, "", outside, 0);
	feed(COPY_OUT_FILE, "", "", 0);
	error = copy_out_close(out, true);
	cr_expect_not_null(error);
	free(error);
	cr_expect_not(exists("outside/tree"));
	unlink(dest);

	out = copy_out_open(&arg, 1, &err);
	feed(COPY_OUT_DIR, "", "", 0);
	feed(COPY_OUT_SYMLINK, "d", outside, 0);
	feed(COPY_OUT_DIR, "d", "", 0);
	error = copy_out_close(out, true);
	cr_expect_not_null(error);
	free(error);
	cr_assert_eq(stat(outside, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700, "the mode of what the link leads to");
}

Test(copy_out, never_written_through)
{
	cleanup_free char *victim = xasprintf("%s/victim", dir);
	cleanup_free char *link = xasprintf("%s/f", dest);
	struct stat st;
	char *error;

	close(open(victim, O_CREAT | O_WRONLY, 0600));
	mkdir(dest, 0755);
	cr_assert_eq(symlink(victim, link), 0);
	feed(COPY_OUT_DIR, "", "", 0);
	feed(COPY_OUT_FILE, "f", "", 0);
	feed(COPY_OUT_DATA, "", "data", 0);
	feed(COPY_OUT_END, "", "", 0);
	error = copy_out_close(out, true);
	cr_expect_null(error);
	cr_assert_eq(stat(victim, &st), 0);
	cr_expect_eq(st.st_size, 0);
}

Test(copy_out, nonsense)
{
	char junk[8192];
	char *error;

	memset(junk, 0x41, sizeof(junk));
	copy_out_feed(out, junk, sizeof(junk));
	feed(COPY_OUT_FILE, "", "", 0);
	error = copy_out_close(out, true);
	cr_expect_not_null(error);
	free(error);
	cr_expect_not(exists("dest"));
}

Test(copy_out, data_without_a_file)
{
	char *error;

	feed(COPY_OUT_DATA, "", "x", 0);
	error = copy_out_close(out, true);
	cr_expect_not_null(error);
	free(error);
}
