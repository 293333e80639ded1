/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command is given for cp, tar and diff: records of a sentry that was taken over, and archives of anybody's.
 *
 *	first byte 0: the input as a tar archive --> files_source_tar --> records
 *	else: the input as records (headers made sound, or not) --> files_receive --> a tar archive --> files_source_tar --> records
 *
 * Checked: every record that goes to a container has a sound name and belongs; whatever records were accepted make an archive
 * that is whole, read back with as many entries.
 */
#include "tests/fuzz/fuzz.h"

#include "runtime/files.h"

#include <sys/stat.h>

static struct fuzz_input input;
static unsigned sent_entries, made_entries;
static bool in_file;
static uint64_t file_size;
static uint8_t out[sizeof(struct files_record) + FILES_NAME_MAX + FILES_DATA_MAX];
static size_t out_len;

/* ---- records on their way to a container ---- */

static void check_record(void)
{
	struct files_record r;
	const char *name = (const char *)out + sizeof(r);

	memcpy(&r, out, sizeof(r));
	switch (r.kind) {
	case FILES_ENTRY:
		FUZZ_CHECK(files_name_ok(name, r.name_len) && r.name_len != 0);
		FUZZ_CHECK(!(r.flags & FILES_HARD_LINK) || (r.len != 0 && files_name_ok(name + r.name_len, r.len)));
		in_file = S_ISREG(r.mode) && !(r.flags & FILES_HARD_LINK);
		file_size = r.offset;
		sent_entries++;
		break;
	case FILES_DATA:
		FUZZ_CHECK(in_file && r.len <= file_size && r.offset <= file_size - r.len);
		break;
	case FILES_XATTR:
		FUZZ_CHECK(r.name_len > 5 && memcmp(name, "user.", 5) == 0);
		break;
	default:
		FUZZ_CHECK(!"a kind that is never sent");
	}
}

static ssize_t on_write(struct files_stream *s, const void *p, size_t n)
{
	struct files_record r;

	(void)s;
	FUZZ_CHECK(out_len + n <= sizeof(out));
	memcpy(out + out_len, p, n);
	out_len += n;
	if (out_len < sizeof(r))
		return (ssize_t)n;
	memcpy(&r, out, sizeof(r));
	FUZZ_CHECK(files_record_ok(&r));
	if (out_len == sizeof(r) + r.name_len + r.len) {
		check_record();
		out_len = 0;
	}
	return (ssize_t)n;
}

static bool read_archive(const void *data, size_t size, bool must)
{
	struct files_stream s = {.fd = -1, .write = on_write, .notes = 1000};
	struct error *err = NULL;
	FILE *in = fmemopen((void *)(uintptr_t)data, size != 0 ? size : 1, "r");
	bool ok;

	FUZZ_CHECK(in != NULL);
	out_len = 0;
	sent_entries = 0;
	ok = files_source_tar(&s, in, true, &err);
	fclose(in);
	FUZZ_CHECK(ok == (err == NULL));
	if (must && !ok)
		fprintf(stderr, "our own archive: %s\n", err->text);
	error_free(err);
	return ok;
}

/* ---- records from a sentry ---- */

static ssize_t on_read(struct files_stream *s, void *p, size_t n)
{
	(void)s;
	if (!fuzz_more(&input))
		return 0;
	fuzz_bytes(&input, p, n);
	if (n == sizeof(struct files_record)) { /* a header: mostly one that gets on */
		struct files_record *r = p;
		bool raw = r->magic % 16 == 15;

		if (!raw) {
			r->magic = FILES_MAGIC;
			r->kind = FILES_ENTRY + r->kind % 7;
			r->name_len %= r->kind == FILES_DATA ? 1 : 300;
			r->len %= 2000;
			r->offset %= 5000;
			r->mode = (r->mode & 07777) | (uint32_t[]){S_IFREG, S_IFDIR, S_IFLNK, S_IFREG, S_IFIFO, S_IFCHR, S_IFSOCK, S_IFREG}[r->mode >> 12 & 7];
		}
	}
	return (ssize_t)n;
}

static struct files_sink *tar;

static bool count_entry(struct files_sink *s, const struct files_entry *e, struct error **err)
{
	(void)s;
	FUZZ_CHECK(files_name_ok(e->name, strlen(e->name)));
	made_entries += !S_ISSOCK(e->r.mode) && *e->name != '\0';
	return tar->entry(tar, e, err);
}
static bool pass_data(struct files_sink *s, uint64_t offset, const char *bytes, size_t len, struct error **err)
{
	(void)s;
	return tar->data(tar, offset, bytes, len, err);
}
static bool pass_gone(struct files_sink *s, const char *name, struct error **err)
{
	(void)s;
	FUZZ_CHECK(files_name_ok(name, strlen(name)) && *name != '\0');
	made_entries++;
	return tar->gone(tar, name, err);
}
static bool pass_end(struct files_sink *s, struct error **err)
{
	(void)s;
	return tar->end(tar, err);
}

static void receive(bool layer)
{
	struct files_sink counting = {count_entry, pass_data, layer ? pass_gone : NULL, pass_end};
	struct files_stream s = {.fd = -1, .read = on_read, .notes = 1000};
	struct error *err = NULL;
	unsigned notes = 1000;
	char *archive = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&archive, &size);
	bool ok;

	made_entries = 0;
	tar = files_tar_sink(f, layer ? "" : "base", layer, &notes);
	ok = files_receive(&s, &counting, &err);
	fclose(f);
	files_tar_free(tar);
	files_stream_close(&s);
	FUZZ_CHECK(ok == (err == NULL));
	error_free(err);
	if (ok && made_entries != 0) {
		FUZZ_CHECK(read_archive(archive, size, true));
		FUZZ_CHECK(layer || sent_entries >= made_entries);
	}
	free(archive);
}

static void run(const uint8_t *data, size_t size)
{
	uint8_t how;

	input = (struct fuzz_input){data, data + size};
	how = fuzz_u8(&input);
	if (how == 0)
		(void)!read_archive(input.at, (size_t)(input.end - input.at), false);
	else
		receive(how & 1);
}

const struct fuzz_target fuzz_files_read = {.name = "files_read", .run = run};
