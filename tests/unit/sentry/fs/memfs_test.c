/* SPDX-License-Identifier: Apache-2.0 */
/* memfs against a model: contents by random operations beside an array of bytes, names beside a directory of the host. */
#include "fs_fixture.h"

#include "sentry/abi/mman.h"

#include <dirent.h>
#include <errno.h>
#include <sys/xattr.h>

#define SPAN (300 * 1024)

static uint32_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525U + 1013904223U;
	return (seed >> 8) % below;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rnd(255) + 1;
}

/* ---- contents ---- */

static uint8_t model[SPAN], data[SPAN];
static size_t model_size;

static void check_whole(struct file *file, const char *what, int step)
{
	struct iobuf buf;
	int64_t pos = 0, n;

	cr_assert_eq(file->inode->size, model_size, "%s at step %d: size %llu, not %zu", what, step,
		     (unsigned long long)file->inode->size, model_size);
	memset(data, 0xee, sizeof(data));
	iobuf_init_mem(&buf, data, sizeof(data));
	n = vfs_read(boot, file, &buf, &pos);
	cr_assert_eq(n, (int64_t)model_size, "%s at step %d: read %lld", what, step, (long long)n);
	for (size_t i = 0; i < model_size; i++)
		cr_assert_eq(data[i], model[i], "%s at step %d: byte %zu is %02x, not %02x", what, step, i, data[i], model[i]);
}

static void random_step(struct file *file, int step, bool may_map)
{
	uint32_t off = rnd(SPAN), len = 1 + rnd(rnd(4) == 0 ? 100000 : 5000), end;
	struct map_backing map;
	struct iobuf buf;
	int64_t pos = off;

	if (off + len > SPAN)
		len = SPAN - off;
	end = off + len;
	switch (rnd(may_map ? 9 : 8)) {
	case 0:
	case 1:
	case 2:
		fill(data, len);
		iobuf_init_mem(&buf, data, len);
		cr_assert_eq(vfs_write(boot, file, &buf, &pos), len);
		memcpy(model + off, data, len);
		model_size = end > model_size ? end : model_size;
		check_whole(file, "write", step);
		break;
	case 3:
		cr_assert_eq(vfs_ftruncate(boot, file, off), 0);
		if (off < model_size)
			memset(model + off, 0, model_size - off);
		model_size = off;
		check_whole(file, "truncate", step);
		break;
	case 4:
		cr_assert_eq(vfs_fallocate(boot, file, LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_KEEP_SIZE, off, len), 0);
		memset(model + off, 0, len);
		check_whole(file, "punch", step);
		break;
	case 5:
		cr_assert_eq(vfs_fallocate(boot, file, LINUX_FALLOC_FL_ZERO_RANGE, off, len), 0);
		memset(model + off, 0, len);
		model_size = end > model_size ? end : model_size;
		check_whole(file, "zero", step);
		break;
	case 6:
		cr_assert_eq(vfs_fallocate(boot, file, (int)rnd(2), off, len), 0);
		if (file->inode->size > model_size)
			model_size = end;
		check_whole(file, "allocate", step);
		break;
	case 7: {
		int64_t at = vfs_llseek(boot, file, off, LINUX_SEEK_DATA);

		for (size_t i = off; i < (at < 0 ? model_size : (size_t)at); i++)
			cr_assert_eq(model[i], 0, "SEEK_DATA at step %d from %u says %lld, but byte %zu is data", step, off,
				     (long long)at, i);
		at = vfs_llseek(boot, file, off, LINUX_SEEK_HOLE);
		if (off < model_size)
			cr_assert(at >= off && at <= (int64_t)model_size);
		break;
	}
	default:
		cr_assert_eq(file->ops->map(boot, file, 0, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE, true, &map), 0);
		cr_assert(!map.force_private);
		check_whole(file, "map", step);
		break;
	}
}

static void random_file(const char *path, int steps, int map_one_in)
{
	int err;
	struct file *file = fx_open(path, LINUX_O_RDWR | LINUX_O_CREAT, 0644, &err);

	cr_assert_not_null(file, "%d", err);
	for (int i = 0; i < steps; i++)
		random_step(file, i, map_one_in != 0 && rnd((uint32_t)map_one_in) == 0);
	file_put(file);
}

Test(memfs, contents_of_new_files_match_a_model)
{
	fixture_root(false);
	for (uint32_t i = 1; i < 60; i++) {
		char name[32];

		seed = i;
		snprintf(name, sizeof(name), "/f%u", i);
		memset(model, 0, sizeof(model));
		model_size = 0;
		random_file(name, 40, i % 3 == 0 ? 8 : 0);
		cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, name), 0);
	}
	dentry_trim();
	cr_assert_eq(memfs_disk_used(), 0, "%llu bytes are still charged", (unsigned long long)memfs_disk_used());
}

Test(memfs, contents_of_lower_files_match_a_model)
{
	const char *dir = fixture_dir();

	fixture_gofer(dir, NULL, NULL);
	for (uint32_t i = 1; i < 60; i++) {
		char host[128];
		FILE *f;

		seed = i;
		memset(model, 0, sizeof(model));
		model_size = rnd(SPAN);
		fill(model, model_size);
		snprintf(host, sizeof(host), "%s/f%u", dir, i);
		f = fopen(host, "w");
		cr_assert_eq(fwrite(model, 1, model_size, f), model_size);
		fclose(f);
	}
	fixture_root(true);
	for (uint32_t i = 1; i < 60; i++) {
		char name[32];

		seed = i;
		memset(model, 0, sizeof(model));
		model_size = rnd(SPAN);
		fill(model, model_size);
		snprintf(name, sizeof(name), "/f%u", i);
		random_file(name, 40, i % 3 == 0 ? 8 : 0);
	}
}

Test(memfs, a_short_budget_of_descriptors_moves_files_back)
{
	struct map_backing map;
	char name[32], text[32], *back;
	struct file *file;
	int err;

	fixture_root(false);
	memfs_set_fd_budget(16);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "/m%d", i);
		snprintf(text, sizeof(text), "contents %d", i);
		cr_assert_eq(fx_write_file(name, text), 0);
		file = fx_open(name, LINUX_O_RDONLY, 0, &err);
		cr_assert_eq(file->ops->map(boot, file, 0, PAGE_SIZE, LINUX_PROT_READ, false, &map), 0);
		cr_assert(map.force_private);
		file_put(file);
	}
	cr_assert_lt(map.host_fd, 100);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "/m%d", i);
		snprintf(text, sizeof(text), "contents %d", i);
		back = fx_read_file(name);
		cr_assert_str_eq(back, text);
		free(back);
	}
}

Test(memfs, many_large_files_come_and_go)
{
	uint64_t before;
	bool there[64] = {false};
	char name[32];

	fixture_root(false);
	seed = 5;
	dentry_trim();
	before = alloc_total();
	for (int step = 0; step < 600; step++) {
		uint32_t i = rnd(64);
		struct file *file;
		struct iobuf buf;
		int64_t pos = 0;
		int err;

		snprintf(name, sizeof(name), "/big%u", i);
		if (there[i]) {
			uint32_t stamp = i * 2654435761U, found;

			file = fx_open(name, LINUX_O_RDONLY, 0, &err);
			for (uint32_t at = 0; at < SPAN - 4; at += 60000) {
				cr_assert_eq(vfs_read_mem(boot, file, &found, 4, at), 4);
				cr_assert_eq(found, stamp, "%s at %u", name, at);
			}
			file_put(file);
			cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, name), 0);
		} else {
			uint32_t stamp = i * 2654435761U;

			for (uint32_t at = 0; at < SPAN - 4; at += 60000)
				memcpy(data + at, &stamp, 4);
			file = fx_open(name, LINUX_O_WRONLY | LINUX_O_CREAT, 0644, &err);
			iobuf_init_mem(&buf, data, SPAN);
			cr_assert_eq(vfs_write(boot, file, &buf, &pos), SPAN);
			file_put(file);
		}
		there[i] = !there[i];
	}
	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "/big%d", i);
		if (there[i])
			cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, name), 0);
	}
	dentry_trim();
	cr_assert_lt(alloc_total() - before, 65536); /* the table of arenas stays */
	cr_assert_eq(memfs_disk_used(), 0);
}

Test(memfs, size_limit_gives_enospc_after_what_fits)
{
	struct memfs_options o = {.size = 10 * PAGE_SIZE};
	struct superblock *sb;
	struct path where;
	struct iobuf buf;
	struct file *file;
	int64_t pos = 100;
	int err;

	fixture_root(false);
	sb = memfs_new_superblock(&o, &err);
	cr_assert_not_null(sb);
	cr_assert_eq(memfs_make_path(boot, "/small", false, &where), 0);
	cr_assert_eq(vfs_mount(sb, NULL, &where, 0, "none", ""), 0);
	path_put(&where);
	file = fx_open("/small/f", LINUX_O_RDWR | LINUX_O_CREAT, 0644, &err);
	iobuf_init_mem(&buf, data, SPAN);
	cr_assert_eq(vfs_write(boot, file, &buf, &pos), 10 * (int64_t)PAGE_SIZE - 100);
	cr_assert_eq(file->inode->size, 10 * PAGE_SIZE);
	pos = 11 * (int64_t)PAGE_SIZE;
	iobuf_init_mem(&buf, data, 1);
	cr_assert_eq(vfs_write(boot, file, &buf, &pos), -LINUX_ENOSPC);
	cr_assert_eq(vfs_ftruncate(boot, file, 0), 0);
	pos = 11 * (int64_t)PAGE_SIZE;
	cr_assert_eq(vfs_write(boot, file, &buf, &pos), 1);
	file_put(file);
}

static void ignore(int err)
{
	(void)err;
}

/* ---- memory running out: every allocation fails once, nothing breaks, nothing is lost ---- */

static int make_things(void)
{
	struct path p;
	char *s;
	int err = vfs_mkdir(boot, LINUX_AT_FDCWD, "/d", 0755);

	if (err == 0 || err == -LINUX_EEXIST)
		err = fx_write_file("/d/file-with-a-name-that-is-longer-than-the-inline-one", "some text");
	if (err == 0)
		err = vfs_symlink(boot, "/d/file-with-a-name-that-is-longer-than-the-inline-one", LINUX_AT_FDCWD, "/link");
	if (err == 0)
		err = vfs_rename(boot, LINUX_AT_FDCWD, "/link", LINUX_AT_FDCWD,
				 "/d/another-name-that-is-longer-than-forty-characters", 0);
	if (err == 0)
		err = vfs_lookup(boot, LINUX_AT_FDCWD, "/d/another-name-that-is-longer-than-forty-characters", LOOKUP_FOLLOW, &p);
	if (err != 0)
		return err;
	err = vfs_setxattr(boot, &p, "user.x", "y", 1, 0);
	if (err == 0)
		err = vfs_path_name(boot, &p, false, &s);
	if (err == 0)
		kfree(s);
	path_put(&p);
	return err;
}

Test(memfs, every_allocation_may_fail)
{
	int failures = 0;

	fixture_root(false);
	for (uint64_t n = 1; n < 200; n++) {
		uint64_t before;
		int err;

		dentry_trim();
		before = alloc_total();
		alloc_fail_nth(n);
		err = make_things();
		alloc_fail_nth(0);
		cr_assert(err == 0 || err == -LINUX_ENOMEM, "the %llu. allocation: %d", (unsigned long long)n, err);
		failures += err != 0;
		ignore(vfs_unlink(boot, LINUX_AT_FDCWD, "/link"));
		ignore(vfs_unlink(boot, LINUX_AT_FDCWD, "/d/another-name-that-is-longer-than-forty-characters"));
		ignore(vfs_unlink(boot, LINUX_AT_FDCWD, "/d/file-with-a-name-that-is-longer-than-the-inline-one"));
		ignore(vfs_rmdir(boot, LINUX_AT_FDCWD, "/d"));
		dentry_trim();
		cr_assert_eq(alloc_total(), before, "the %llu. allocation: %lld bytes leaked", (unsigned long long)n,
			     (long long)(alloc_total() - before));
		if (err == 0)
			break;
	}
	cr_assert_gt(failures, 10);
}

/* ---- names, beside the host's own ---- */

static char host_root[96];

static const char *some_path(char *buf, size_t size)
{
	static const char *const parts[] = {"a", "b", "c", "dir", "sub", "file", "x"};
	size_t len = 0;

	buf[0] = '\0';
	for (uint32_t n = 1 + rnd(3); n > 0; n--)
		len += (size_t)snprintf(buf + len, size - len, "/%s", parts[rnd(7)]);
	return buf;
}

static int host_result(int ret)
{
	return ret < 0 ? -errno : 0;
}

static int host_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0)
		return -errno;
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return 0;
}

static void name_step(int step)
{
	char a[64], b[64], ha[192], hb[192], text[64];
	int ours = 0, theirs = 0;
	const char *what;
	unsigned flags;

	some_path(a, sizeof(a));
	some_path(b, sizeof(b));
	snprintf(ha, sizeof(ha), "%s%s", host_root, a);
	snprintf(hb, sizeof(hb), "%s%s", host_root, b);
	switch (rnd(10)) {
	case 0:
	case 1:
		what = "mkdir";
		ours = vfs_mkdir(boot, LINUX_AT_FDCWD, a, 0755);
		theirs = host_result(mkdir(ha, 0755));
		break;
	case 2:
		what = "rmdir";
		ours = vfs_rmdir(boot, LINUX_AT_FDCWD, a);
		theirs = host_result(rmdir(ha));
		break;
	case 3:
		what = "unlink";
		ours = vfs_unlink(boot, LINUX_AT_FDCWD, a);
		theirs = host_result(unlink(ha));
		break;
	case 4:
		what = "write";
		snprintf(text, sizeof(text), "step %d", step);
		ours = fx_write_file(a, text);
		theirs = host_write(ha, text);
		break;
	case 5:
		what = "link";
		ours = fx_link(a, b);
		theirs = host_result(linkat(AT_FDCWD, ha, AT_FDCWD, hb, 0));
		break;
	case 6:
		what = "symlink";
		ours = vfs_symlink(boot, b + 1, LINUX_AT_FDCWD, a);
		theirs = host_result(symlink(b + 1, ha));
		break;
	case 7:
		what = "chmod";
		ours = fx_chmod(a, 0700);
		theirs = host_result(fchmodat(AT_FDCWD, ha, 0700, 0));
		break;
	default:
		what = "rename";
		flags = rnd(4);
		if (flags == 3)
			flags = 0;
		ours = vfs_rename(boot, LINUX_AT_FDCWD, a, LINUX_AT_FDCWD, b, flags);
		theirs = host_result(renameat2(AT_FDCWD, ha, AT_FDCWD, hb, flags));
		break;
	}
	cr_assert_eq(ours, theirs, "step %d: %s %s %s gives %d, on the host %d", step, what, a, b, ours, theirs);
}

/* chmod of a link, through which the two trees differ, is the one thing kept out: links are made of relative names that
 * lead within the tree in both. */
static void names_beside_host(bool lower)
{
	char *ours, *theirs;
	size_t n;
	FILE *f;

	for (int step = 0; step < 3000; step++) {
		name_step(step);
		if (step % 100 == 99)
			dentry_trim();
	}
	f = open_memstream(&ours, &n);
	fx_tree("/", f);
	fclose(f);
	(void)lower;
	/* the host's tree by the same printer: memfs over it, clean */
	{
		struct memfs_options o = {.lower = lower_tree_new(1)};
		struct superblock *sb;
		struct path where;
		char *line, *save = NULL, *stripped;
		int err;

		sb = memfs_new_superblock(&o, &err);
		cr_assert_not_null(sb);
		cr_assert_eq(memfs_make_path(boot, "/.host", false, &where), 0);
		cr_assert_eq(vfs_mount(sb, NULL, &where, 0, "none", ""), 0);
		path_put(&where);
		f = open_memstream(&theirs, &n);
		fx_tree("/.host", f);
		fclose(f);
		stripped = calloc(1, n + 1);
		for (line = strtok_r(theirs, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
			strcat(stripped, line + strlen("/.host"));
			strcat(stripped, "\n");
		}
		cr_assert_str_eq(ours, stripped, "ours:\n%s\nthe host's:\n%s", ours, stripped);
	}
}

Test(memfs, names_in_memory_match_the_host)
{
	const char *dir = fixture_dir();

	cr_assert_eq(sh("mkdir %s/low %s/host", dir, dir), 0);
	snprintf(host_root, sizeof(host_root), "%s/host", dir);
	seed = 7;
	fixture_gofer(host_root, host_root, NULL);
	fixture_root(false);
	names_beside_host(false);
}

Test(memfs, names_over_a_lower_tree_match_the_host)
{
	const char *dir = fixture_dir();

	cr_assert_eq(sh("mkdir %s/low && cd %s/low && mkdir -p a/b/c dir/sub b/x/file && echo 1 >a/file && echo 2 >a/b/x && "
			"ln a/file dir/a && ln a/file x && ln -s a/b c && ln -s dir b/sub && echo 3 >b/x/a && mkdir -p dir/b/sub && "
			"cp -a . ../host",
			dir, dir),
		     0);
	snprintf(host_root, sizeof(host_root), "%s/host", dir);
	seed = 11;
	{
		char low[96];

		snprintf(low, sizeof(low), "%s/low", dir);
		fixture_gofer(low, host_root, NULL);
	}
	fixture_root(true);
	names_beside_host(true);
}

/* ---- reading directories ---- */

Test(memfs, readdir_is_not_disturbed_by_changes)
{
	struct fx_names s = {.emit = {.add = fx_add}, .max = 10};
	char name[32];
	struct file *dir;
	int err, seen_old = 0;

	fixture_root(false);
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, "/d", 0755), 0);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "/d/old%d", i);
		cr_assert_eq(fx_write_file(name, ""), 0);
	}
	dir = fx_open("/d", LINUX_O_RDONLY, 0, &err);
	s.text = calloc(1, 1);
	s.cap = 1;
	for (int round = 0; round < 40; round++) {
		s.n = 0;
		cr_assert_eq(vfs_iterate(boot, dir, &s.emit), 0);
		snprintf(name, sizeof(name), "/d/new%d", round);
		cr_assert_eq(fx_write_file(name, ""), 0);
		snprintf(name, sizeof(name), "/d/old%d", round / 10);
		ignore(vfs_unlink(boot, LINUX_AT_FDCWD, name));
	}
	for (int i = 5; i < 100; i++) {
		char *at;

		snprintf(name, sizeof(name), "old%d\n", i);
		at = strstr(s.text, name);
		cr_assert_not_null(at, "%s is missing", name);
		cr_assert_null(strstr(at + 1, name), "%s came twice", name);
		seen_old++;
	}
	cr_assert_eq(seen_old, 95);
	file_put(dir);
}

Test(memfs, lower_listing_keeps_the_hosts_order_and_hides_removed_names)
{
	const char *host = fixture_dir();
	char *all, *some, *expect = calloc(1, 65536), line[300];
	struct dirent *d;
	DIR *dir;

	cr_assert_eq(sh("cd %s && for i in $(seq 1 500); do echo $i >name-$i; done", host), 0);
	fixture_gofer(host, NULL, NULL);
	fixture_root(true);
	dir = opendir(host);
	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(line, sizeof(line), "%s\n", d->d_name);
		strcat(expect, line);
	}
	closedir(dir);
	all = fx_list_by("/", 7);
	cr_assert_str_eq(all, expect);
	cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, "/name-77"), 0);
	cr_assert_eq(vfs_rename(boot, LINUX_AT_FDCWD, "/name-78", LINUX_AT_FDCWD, "/moved", 0), 0);
	some = fx_list_by("/", 3);
	cr_assert_null(strstr(some, "name-77\n"));
	cr_assert_null(strstr(some, "name-78\n"));
	cr_assert_not_null(strstr(some, "moved\n"));
	cr_assert_eq(strlen(some), strlen(all) - 16 + 6);
	/* made again, it is a new file */
	cr_assert_eq(fx_write_file("/name-77", "new"), 0);
	free(some);
	some = fx_read_file("/name-77");
	cr_assert_str_eq(some, "new");
}

/* Goes through a directory as find and grep -r do. Gives how many files there were. */
static int walk_and_read(const char *path)
{
	char *names = fx_list(path), *at = names;
	int files = 0;

	for (char *name; (name = strsep(&at, "\n")) != NULL && name[0] != '\0';) {
		char *text, full[256];
		struct kstat st;

		snprintf(full, sizeof(full), "%s/%s", path, name);
		cr_assert_eq(fx_stat(full, &st), 0);
		if ((st.mode & LINUX_S_IFMT) == LINUX_S_IFDIR) {
			files += walk_and_read(full);
			continue;
		}
		text = fx_read_file(full);
		if (strncmp(name, "big", 3) == 0)
			cr_assert_eq(st.size, 100000);
		else
			cr_assert_str_eq(text, strcmp(full, "/t/3/1/4") == 0 ? "changed" : full, "%s is %s", full, text);
		free(text);
		files++;
	}
	free(names);
	return files;
}

Test(memfs, what_is_read_ahead_is_each_files_own)
{
	const char *host = fixture_dir();

	cr_assert_eq(sh("cd %s && for a in 1 2 3 4 5 6; do for b in 1 2 3 4 5 6; do mkdir -p t/$a/$b && for c in $(seq 1 20); do "
			"printf /t/$a/$b/$c >t/$a/$b/$c; done; printf '\\177ELF' >t/$a/$b/big; truncate -s 100000 t/$a/$b/big; done; done",
			host),
		     0);
	fixture_gofer(host, NULL, NULL);
	fixture_root(true);
	cr_assert_eq(walk_and_read("/t/1"), 126);
	cr_assert_eq(fx_write_file("/t/3/1/4", "changed"), 0);
	cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, "/t/3/2/5"), 0);
	cr_assert_eq(walk_and_read("/t"), 6 * 6 * 21 - 1);
	dentry_trim();
	cr_assert_eq(walk_and_read("/t"), 6 * 6 * 21 - 1);
}

/* Large files between small ones, in the order of a walk: their descriptors come ahead. What stands in each is its own name. */
Test(memfs, descriptors_that_come_ahead_are_each_files_own)
{
	const char *host = fixture_dir();

	cr_assert_eq(sh("cd %s && for d in 1 2 3 4; do mkdir -p t/$d && for i in $(seq 1 60); do printf /t/$d/$i >t/$d/$i; "
			"[ $((i %% 3)) -ne 0 ] || truncate -s 70000 t/$d/$i; done; done", host), 0);
	fixture_gofer(host, NULL, NULL);
	fixture_root(true);
	for (int turn = 0; turn < 3; turn++) {
		cr_assert_eq(walk_and_read("/t"), 240);
		dentry_trim();
	}
}

/* Of a small directory in which a name was missing all is known; what is made below afterwards isn't there. */
Test(memfs, a_missing_name_tells_of_a_small_directory)
{
	const char *host = fixture_dir();
	struct kstat st;
	char *text;

	cr_assert_eq(sh("cd %s && mkdir -p s/sub/deep s/sub/gone large && echo 1 >s/f && echo deep >s/sub/deep/f && ln -s f s/l && ln -s sub s/ld && "
			"for i in $(seq 1 600); do : >large/$i; done", host), 0);
	fixture_gofer(host, NULL, NULL);
	fixture_root(true);
	cr_assert_eq(fx_stat("/s/nothing", &st), -LINUX_ENOENT);
	cr_assert_eq(fx_stat("/large/nothing", &st), -LINUX_ENOENT);
	cr_assert_eq(sh("cd %s && : >s/later && : >large/later", host), 0);
	cr_assert_eq(fx_stat("/s/later", &st), -LINUX_ENOENT);
	cr_assert_eq(fx_stat("/large/later", &st), 0, "that one is asked name by name");
	/* What was told bare is what it is, whichever way one comes to it. */
	text = fx_read_file("/s/ld/deep/f");
	cr_assert_str_eq(text, "deep\n");
	free(text);
	text = fx_read_file("/s/l");
	cr_assert_str_eq(text, "1\n");
	free(text);
	cr_assert_eq(fx_stat("/s/sub", &st), 0);
	cr_assert_eq(st.mode & LINUX_S_IFMT, LINUX_S_IFDIR);
	cr_assert_geq(st.nlink, 2U);
	cr_assert_eq(fx_stat("/s/l", &st), 0);
	cr_assert_eq(st.size, 1);
	text = fx_list("/s");
	cr_assert_null(strstr(text, "later"));
	free(text);
	/* A directory that was told and has gone before anybody looked. */
	cr_assert_eq(fx_stat("/s/sub/nothing", &st), -LINUX_ENOENT);
	cr_assert_eq(sh("rm -r %s/s/sub/gone", host), 0);
	dentry_trim();
	cr_assert_eq(fx_stat("/s/sub/gone/f", &st), -LINUX_ENOENT);
}

/* What came with a link is what it leads to, and no more: what was removed or made here stands before it. */
Test(memfs, what_a_link_leads_to_comes_with_it)
{
	const char *host = fixture_dir();
	struct kstat st;
	char *text;

	cr_assert_eq(sh("cd %s && mkdir d e && for i in d e; do echo 1 >$i/f && ln -s f $i/l1 && ln -s l1 $i/l2; done && ln -s gone e/l3",
			host), 0);
	fixture_gofer(host, NULL, NULL);
	fixture_root(true);
	text = fx_read_file("/d/l2");
	cr_assert_str_eq(text, "1\n");
	free(text);
	cr_assert_eq(sh("rm %s/d/f", host), 0);
	cr_assert_eq(fx_stat("/d/f", &st), 0, "known since the link was asked for");
	cr_assert_eq(st.size, 2);
	/* In e the file is another one by the time the link is asked for. */
	cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, "/e/f"), 0);
	cr_assert_null(fx_read_file("/e/l2"));
	cr_assert_eq(fx_write_file("/e/f", "mine"), 0);
	text = fx_read_file("/e/l2");
	cr_assert_str_eq(text, "mine");
	free(text);
	cr_assert_null(fx_read_file("/e/l3"));
}

/* Whoever opens what he has looked at gets the contents of that moment; whoever doesn't, of the moment he opens it. */
Test(memfs, contents_come_with_a_look_where_that_is_the_habit)
{
	const char *host = fixture_dir();
	struct kstat st;
	char *text;

	cr_assert_eq(sh("cd %s && for i in a b c d e f; do mkdir $i && echo old >$i/f; done", host), 0);
	fixture_gofer(host, NULL, NULL);
	fixture_root(true);
	cr_assert_eq(fx_stat("/a/f", &st), 0);
	cr_assert_eq(sh("echo new >%s/a/f", host), 0);
	text = fx_read_file("/a/f");
	cr_assert_str_eq(text, "old\n");
	free(text);
	for (const char *p = "bcde"; *p != '\0'; p++) {
		char path[] = {'/', *p, '/', 'f', '\0'};

		cr_assert_eq(fx_stat(path, &st), 0);
	}
	cr_assert_eq(fx_stat("/f/f", &st), 0);
	cr_assert_eq(sh("echo new >%s/f/f", host), 0);
	text = fx_read_file("/f/f");
	cr_assert_str_eq(text, "new\n");
	free(text);
}

/* A listing tells names and types; what else there is to know is asked for when somebody looks. */
Test(memfs, what_a_listing_left_out_is_told_when_asked)
{
	const char *host = fixture_dir();
	struct path p;
	struct kstat st;
	char host_file[96], name[32], value[8], *text;
	bool xattrs;

	cr_assert_eq(sh("cd %s && mkdir d d/sub && for i in $(seq 1 40); do echo $i >d/$i; done && chmod 640 d/7", host), 0);
	snprintf(host_file, sizeof(host_file), "%s/d/9", host);
	xattrs = setxattr(host_file, "user.x", "nine", 4, 0) == 0; /* not every filesystem has them */
	fixture_gofer(host, NULL, NULL);
	fixture_root(true);
	free(fx_list("/"));
	text = fx_list("/d");
	cr_assert_not_null(strstr(text, "sub"));
	free(text);
	/* The host's changes between listing and first look: gone is not there, changed is as it is now. */
	cr_assert_eq(sh("cd %s/d && rm 3 && rm 4 && ln -s 5 4 && echo longer >6", host), 0);
	cr_assert_eq(fx_stat("/d/3", &st), -LINUX_ENOENT);
	cr_assert_eq(fx_stat("/d/4", &st), 0);
	cr_assert_eq(st.mode & LINUX_S_IFMT, LINUX_S_IFLNK);
	cr_assert_eq(st.size, 1);
	cr_assert_eq(fx_stat("/d/6", &st), 0);
	cr_assert_eq(st.size, 7);
	cr_assert_eq(fx_stat("/d/7", &st), 0);
	cr_assert_eq(st.mode, LINUX_S_IFREG | 0640);
	/* From here on what was learned stays. */
	cr_assert_eq(sh("cd %s/d && echo again-longer >6", host), 0);
	cr_assert_eq(fx_stat("/d/6", &st), 0);
	cr_assert_eq(st.size, 7);
	for (int i = 10; i <= 40; i++) {
		snprintf(name, sizeof(name), "/d/%d", i);
		text = fx_read_file(name); /* opened before anybody looked at it */
		cr_assert_not_null(text);
		cr_assert_eq(atoi(text), i);
		free(text);
	}
	for (int i = 5; i <= 12; i++) {
		int64_t want = i == 9 && xattrs ? 4 : -LINUX_ENODATA;

		snprintf(name, sizeof(name), "/d/%d", i);
		cr_assert_eq(fx_lookup(name, &p), 0);
		cr_assert_eq(vfs_getxattr(boot, &p, "user.x", value, sizeof(value)), want, "%s", name);
		path_put(&p);
	}
}

Test(memfs, the_gofer_hides_what_it_is_told_to)
{
	const char *host = fixture_dir();
	struct kstat st;
	char *text;

	cr_assert_eq(sh("cd %s && mkdir -p home/u/.ssh home/u/src && echo key >home/u/.ssh/id && ln home/u/.ssh/id home/u/src/id && "
			"ln -s home/u u",
			host),
		     0);
	fixture_gofer(host, NULL, "/u/.ssh");
	fixture_root(true);
	cr_assert_eq(fx_stat("/home/u/.ssh", &st), -LINUX_ENOENT);
	cr_assert_eq(fx_stat("/home/u/.ssh/id", &st), -LINUX_ENOENT);
	cr_assert_eq(fx_stat("/u/.ssh", &st), -LINUX_ENOENT);
	text = fx_list("/home/u");
	cr_assert_str_eq(text, "src\n");
	cr_assert_eq(vfs_mkdir(boot, LINUX_AT_FDCWD, "/home/u/.ssh", 0700), 0);
	cr_assert_eq(fx_stat("/home/u/.ssh/id", &st), -LINUX_ENOENT);
}

Test(memfs, hard_links_below_are_one_file)
{
	const char *host = fixture_dir();
	struct kstat a, b;
	char *text;

	cr_assert_eq(sh("cd %s && mkdir d e && echo one >d/x && ln d/x e/y", host), 0);
	fixture_gofer(host, NULL, NULL);
	fixture_root(true);
	cr_assert_eq(fx_write_file("/d/x", "changed"), 0);
	cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, "/d/x"), 0);
	dentry_trim();
	text = fx_read_file("/e/y");
	cr_assert_str_eq(text, "changed");
	cr_assert_eq(fx_link("/e/y", "/z"), 0);
	cr_assert_eq(fx_stat("/e/y", &a), 0);
	cr_assert_eq(fx_stat("/z", &b), 0);
	cr_assert_eq(a.ino, b.ino);
	cr_assert_eq(b.nlink, 2);
}

/* ---- writable binds ---- */

Test(bindfs, names_match_the_host)
{
	const char *dir = fixture_dir();
	struct superblock *sb;
	struct path where;
	char rw[96];
	int err;

	cr_assert_eq(sh("cd %s && mkdir -p low rw/a/b && echo 1 >rw/a/file && cp -a rw host", dir), 0);
	snprintf(rw, sizeof(rw), "%s/rw", dir);
	snprintf(host_root, sizeof(host_root), "%s/host", dir);
	{
		char low[96];

		snprintf(low, sizeof(low), "%s/low", dir);
		fixture_gofer(low, rw, NULL);
	}
	fixture_root(true);
	sb = bindfs_new_superblock(boot, lower_tree_new(1), &err);
	cr_assert_not_null(sb, "%d", err);
	cr_assert_eq(memfs_make_path(boot, "/rw", false, &where), 0);
	cr_assert_eq(vfs_mount(sb, NULL, &where, 0, "none", ""), 0);
	path_put(&where);
	cr_assert_eq(fx_lookup("/rw", &where), 0);
	path_get(&where);
	fs_set_root(boot->fs, &where);
	fs_set_cwd(boot->fs, &where);
	seed = 3;
	for (int step = 0; step < 3000; step++)
		name_step(step);
	err = sh("cd %s && diff -r --no-dereference rw host", dir);
	cr_assert_eq(err, 0);
}

Test(memfs, a_file_that_is_gone_holds_nothing)
{
	struct map_backing map;
	struct stat st;
	struct file *f;
	int err, kept;

	fixture_root(false);
	cr_assert_eq(fx_write_file("/gone", "contents"), 0);
	f = fx_open("/gone", LINUX_O_RDWR, 0, &err);
	cr_assert_not_null(f);
	cr_assert_eq(f->ops->map(boot, f, 0, PAGE_SIZE, LINUX_PROT_READ, false, &map), 0);
	kept = dup(map.host_fd); /* as a guest's process may, or a mapping of its own */
	cr_assert_geq(kept, 0);
	cr_assert_eq(fstat(kept, &st), 0);
	cr_assert_gt(st.st_blocks, 0);
	file_put(f);
	cr_assert_eq(vfs_unlink(boot, LINUX_AT_FDCWD, "/gone"), 0);
	cr_assert_eq(fstat(kept, &st), 0);
	cr_assert_eq(st.st_blocks, 0);
	close(kept);
}

Test(bindfs, what_the_host_changes_is_seen)
{
	const char *dir = fixture_dir();
	struct map_backing map;
	struct superblock *sb;
	struct path where;
	struct kstat st;
	struct file *f;
	char rw[96], *text;
	int err;

	cr_assert_eq(sh("cd %s && mkdir low rw && echo old >rw/f", dir), 0);
	snprintf(rw, sizeof(rw), "%s/rw", dir);
	fixture_gofer(dir, rw, NULL);
	fixture_root(true);
	sb = bindfs_new_superblock(boot, lower_tree_new(1), &err);
	cr_assert_eq(memfs_make_path(boot, "/mnt", false, &where), 0);
	cr_assert_eq(vfs_mount(sb, NULL, &where, 0, "none", ""), 0);
	path_put(&where);
	f = fx_open("/mnt/f", LINUX_O_RDWR, 0, &err);
	cr_assert_not_null(f);
	cr_assert_eq(sh("cd %s/rw && echo longer text >f && echo new >g && mkdir d", dir), 0);
	text = fx_read_file("/mnt/f");
	cr_assert_str_eq(text, "longer text\n");
	text = fx_read_file("/mnt/g");
	cr_assert_str_eq(text, "new\n");
	cr_assert_eq(sh("cd %s/rw && mv g h", dir), 0);
	cr_assert_eq(fx_stat("/mnt/g", &st), -LINUX_ENOENT);
	cr_assert_eq(fx_stat("/mnt/h", &st), 0);
	cr_assert_eq(fx_write_file("/mnt/d/made", "inside"), 0);
	cr_assert_eq(sh("grep -q inside %s/rw/d/made", dir), 0);
	cr_assert_eq(fx_chmod("/mnt/d/made", 0751), 0);
	cr_assert_eq(sh("[ $(stat -c %%a %s/rw/d/made) = 751 ]", dir), 0);
	cr_assert_eq(f->ops->map(boot, f, 0, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE, true, &map), 0);
	cr_assert(!map.force_private);
	cr_assert_eq(pwrite(map.host_fd, "L", 1, 0), 1);
	text = fx_read_file("/mnt/f");
	cr_assert_str_eq(text, "Longer text\n");
	file_put(f);
}
