/* SPDX-License-Identifier: Apache-2.0 */
/* A run's changes, done to a root's directory: what honest records say, and that hostile ones change nothing outside. */
#include "runtime/cleanup.h"
#include "runtime/error.h"
#include "runtime/files.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <sys/xattr.h>

static char dir[64];
static const struct idmaps *maps;        /* of the container; NULL: none */
static uint32_t as = UINT32_MAX;         /* the owner in records; UINT32_MAX: ourselves */
static char *stream;
static size_t have, at;

static void rec(enum files_kind kind, unsigned flags, mode_t mode, const char *name, const char *data, uint64_t offset)
{
	struct files_record r = {.magic = FILES_MAGIC,
				 .kind = (uint16_t)kind,
				 .flags = (uint16_t)flags,
				 .mode = mode,
				 .uid = as != UINT32_MAX ? as : geteuid(),
				 .gid = as != UINT32_MAX ? as : getegid(),
				 .mtime_sec = 1000,
				 .name_len = (uint32_t)strlen(name),
				 .len = (uint32_t)strlen(data),
				 .offset = offset};

	stream = xrealloc(stream, have + sizeof(r) + r.name_len + r.len, 1);
	memcpy(stream + have, &r, sizeof(r));
	memcpy(stream + have + sizeof(r), name, r.name_len);
	memcpy(stream + have + sizeof(r) + r.name_len, data, r.len);
	have += sizeof(r) + r.name_len + r.len;
}
#define DIR_(name, flags) rec(FILES_ENTRY, flags, S_IFDIR | 0755, name, "", 0)
#define FILE_(name, mode, text)                                                                                        \
	(rec(FILES_ENTRY, FILES_LINKED, S_IFREG | (mode), name, "", strlen(text)), rec(FILES_DATA, 0, 0, "", text, 0))
#define LINK_(name, target) rec(FILES_ENTRY, 0, S_IFLNK | 0777, name, target, 0)
#define HARD(name, old) rec(FILES_ENTRY, FILES_HARD_LINK, S_IFREG | 0644, name, old, 0)
#define GONE(name) rec(FILES_GONE, 0, 0, name, "", 0)
#define END() rec(FILES_END, 0, 0, "", "", 0)

static ssize_t in_pieces(struct files_stream *s, void *p, size_t len)
{
	size_t n = len < 11 ? len : 11;

	(void)s;
	n = n < have - at ? n : have - at;
	memcpy(p, stream + at, n);
	at += n;
	return (ssize_t)n;
}

static bool receive(bool set_ids)
{
	struct files_stream s = {.fd = -1, .read = in_pieces, .notes = 1000};
	cleanup_free char *root = xasprintf("%s/root", dir);
	cleanup_close int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_error struct error *err = NULL;
	struct files_sink *sink = files_layer_sink(fd, geteuid() == 0, set_ids, maps);
	bool ok = files_receive(&s, sink, &err);

	cr_expect_eq(ok, err == NULL);
	files_host_free(sink);
	files_stream_close(&s);
	have = at = 0;
	return ok;
}

/*
 * Newer libcs make this, with flags, another system call than the keeper's filter knows, and it changes what is mounted on the
 * name: the sink has to do without. This program's other tests (each is a process of its own) have it.
 */
static bool sealed;
int fchmodat(int at_dir, const char *name, mode_t mode, int flags)
{
	char path[64];
	int fd, ret;

	if (flags == 0)
		return (int)syscall(SYS_fchmodat, at_dir, name, mode);
	errno = EOPNOTSUPP;
	fd = sealed ? -1 : openat(at_dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = chmod(path, mode);
	close(fd);
	return ret;
}

static void shell(const char *script)
{
	cleanup_free char *line = xasprintf("cd %s && %s", dir, script);

	cr_assert_eq(system(line), 0, "%s", script);
}

static struct stat look(const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	struct stat st;

	if (lstat(path, &st) < 0)
		st.st_mode = 0;
	return st;
}

static void setup(void)
{
	sealed = true;
	strcpy(dir, "/tmp/layer-test-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	shell("mkdir -p root/old/deep/er root/keep outside && echo o > root/old/deep/er/f && echo k > root/keep/f && echo s > outside/secret"
	      " && chmod 640 outside/secret && ln -s ../../outside root/keep/out && ln outside/secret root/hard && find outside -printf '%p %m %U %T@ %n\\n' > before");
}

static void teardown(void)
{
	shell("find outside -printf '%p %m %U %T@ %n\\n' | sed 's/ 1$/ 2/' > after; sed 's/ 1$/ 2/' before | cmp - after && test \"$(cat outside/secret)\" = s");
	shell("chmod -R u+rwX . && rm -rf root outside before after");
	cr_expect_eq(rmdir(dir), 0);
	free(stream);
	stream = NULL;
}

TestSuite(files_layer, .init = setup, .fini = teardown);

Test(files_layer, all_kinds_of_change)
{
	DIR_("new", FILES_ADDED);
	FILE_("new/f", 0640, "text");
	HARD("new/g", "new/f");
	LINK_("new/l", "/etc/passwd");
	rec(FILES_ENTRY, 0, S_IFIFO | 0600, "new/p", "", 0);
	DIR_("keep", 0);
	FILE_("keep/f", 0600, "changed");
	GONE("old");
	END();
	cr_assert(receive(false));
	shell("test \"$(cat root/new/f)\" = text && test root/new/f -ef root/new/g && test \"$(readlink root/new/l)\" = /etc/passwd"
	      " && test -p root/new/p && test \"$(cat root/keep/f)\" = changed && test -h root/keep/out && ! test -e root/old");
	cr_expect_eq(look("root/new/f").st_mode & 07777, 0640);
	cr_expect_eq(look("root/new/f").st_mtime, 1000);
	cr_expect_eq(look("root/new").st_mtime, 1000, "also of a directory in which something was made");
}

Test(files_layer, types_change)
{
	FILE_("old", 0644, "a file now");                  /* was a tree */
	DIR_("hard", 0);                                   /* was a file */
	FILE_("hard/in", 0644, "x");
	DIR_("keep", FILES_OPAQUE);                        /* another one, with nothing of the old */
	FILE_("keep/only", 0644, "y");
	END();
	cr_assert(receive(false));
	shell("test \"$(cat root/old)\" = 'a file now' && test \"$(cat root/hard/in)\" = x && test \"$(ls root/keep)\" = only");
}

Test(files_layer, a_file_is_never_written_through)
{
	FILE_("hard", 0600, "new text"); /* shares its inode with outside/secret, as layers share files */
	END();
	cr_assert(receive(false));
	shell("test \"$(cat root/hard)\" = 'new text'"); /* teardown looks at the other one */
}

Test(files_layer, set_id_bits_only_where_told)
{
	FILE_("a", 06755, "x");
	DIR_("d", FILES_ADDED);
	END();
	cr_assert(receive(false));
	cr_expect_eq(look("root/a").st_mode & 07777, 0755);
	FILE_("a", 06755, "x");
	rec(FILES_ENTRY, 0, S_IFDIR | 03777, "d", "", 0);
	END();
	cr_assert(receive(true));
	cr_expect_eq(look("root/a").st_mode & 07777, 06755);
	cr_expect_eq(look("root/d").st_mode & 07777, 03777);
}

Test(files_layer, links_lead_nowhere)
{
	static const char *const names[] = {"keep/out/evil", "keep/out/secret", "l/evil", "l/secret"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		LINK_("l", "../outside");
		FILE_(names[i], 0666, "evil");
		END();
		cr_expect(receive(true)); /* told, and left out */
		LINK_("l", "../outside");
		GONE(names[i]);
		END();
		cr_expect(receive(true));
		LINK_("l", "../outside");
		FILE_("mine", 0644, "x");
		HARD(names[i], "mine");
		HARD("stolen", names[i]);
		END();
		cr_expect(receive(true));
		cr_expect_eq(look("root/stolen").st_mode, 0);
		LINK_("l", "../outside");
		DIR_("l", 0); /* in place of the link, not its target */
		END();
		cr_expect(receive(true));
		cr_expect(S_ISDIR(look("root/l").st_mode));
	}
	cr_expect_eq(look("outside/evil").st_mode, 0);
}

Test(files_layer, names_that_lead_out)
{
	static const char *const names[] = {"../outside/evil", "keep/../../outside/evil", "/evil", "", ".", "..", "keep/..", "keep//x"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		FILE_(names[i], 0644, "x");
		END();
		cr_expect_not(receive(true), "%s was taken", names[i]);
		GONE(names[i]);
		END();
		cr_expect_not(receive(true), "%s was taken", names[i]);
		DIR_(names[i], FILES_OPAQUE);
		END();
		cr_expect_not(receive(true), "%s was taken", names[i]);
	}
	cr_expect(S_ISDIR(look("root/keep").st_mode));
}

Test(files_layer, no_devices_and_no_sockets)
{
	rec(FILES_ENTRY, 0, S_IFCHR | 0666, "null", "", 0);
	rec(FILES_ENTRY, 0, S_IFBLK | 0666, "disk", "", 0);
	rec(FILES_ENTRY, 0, S_IFSOCK | 0666, "hard", "", 0); /* takes a file's place: that is gone */
	END();
	cr_assert(receive(true));
	shell("! test -e root/null && ! test -e root/disk && ! test -e root/hard");
}

Test(files_layer, attributes_that_speak_to_storage_stay_behind)
{
	cleanup_free char *f = xasprintf("%s/root/f", dir), *d = xasprintf("%s/root/keep", dir), *probe = xasprintf("%s/root/hard", dir);
	char v[8];

	if (setxattr(probe, "user.probe", "x", 1, 0) < 0)
		return; /* this filesystem has none */
	removexattr(probe, "user.probe");
	rec(FILES_XATTR, 0, 0, "user.overlay.opaque", "y", 0);
	rec(FILES_XATTR, 0, 0, "user.mine", "m", 0);
	DIR_("keep", 0);
	rec(FILES_XATTR, 0, 0, "user.containers.override_stat", "0:0:0777:block-1-1", 0);
	rec(FILES_XATTR, 0, 0, "user.fuseoverlayfs.origin", "x", 0);
	rec(FILES_XATTR, 0, 0, "user.mine", "m", 0);
	FILE_("f", 0644, "x");
	END();
	cr_assert(receive(true));
	cr_expect_eq(getxattr(f, "user.mine", v, sizeof(v)), 1);
	cr_expect_eq(getxattr(d, "user.mine", v, sizeof(v)), 1);
	cr_expect_lt(getxattr(d, "user.overlay.opaque", NULL, 0), 0);
	cr_expect_lt(getxattr(f, "user.containers.override_stat", NULL, 0), 0);
	cr_expect_lt(getxattr(f, "user.fuseoverlayfs.origin", NULL, 0), 0);
}

Test(files_layer, cut_short)
{
	FILE_("whole", 0644, "whole");
	rec(FILES_ENTRY, 0, S_IFREG | 0644, "keep/f", "", 100);
	cr_expect_not(receive(true));
	shell("test \"$(cat root/whole)\" = whole && test \"$(cat root/keep/f)\" = k && test -z \"$(find root -name '.*')\"");
}

/* A keeper that is killed in the middle: no directory is left shut. */
Test(files_layer, modes_on_the_way)
{
	shell("chmod 0555 root/keep && mkdir root/mine && chmod 0755 root/mine");
	rec(FILES_ENTRY, 0, S_IFDIR | 0555, "keep", "", 0);
	rec(FILES_ENTRY, 0, S_IFDIR | 01777, "mine", "", 0);
	rec(FILES_ENTRY, FILES_ADDED, S_IFDIR | 0711, "new", "", 0);
	FILE_("keep/f", 0644, "x");
	cr_assert_not(receive(false)); /* the end is missing */
	cr_expect_eq(look("root/keep").st_mode & 07777, 0755);
	cr_expect_eq(look("root/mine").st_mode & 07777, 01777);
	cr_expect_eq(look("root/new").st_mode & 07777, 0711);
	rec(FILES_ENTRY, 0, S_IFDIR | 0555, "keep", "", 0);
	END();
	cr_assert(receive(false));
	cr_expect_eq(look("root/keep").st_mode & 07777, 0555);
}

/* What the host has mounted beneath the root is none of the container's. */
Test(files_layer, a_mount_keeps_its_mode)
{
	cleanup_free char *where = xasprintf("%s/root/keep", dir);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", where, "tmpfs", 0, "mode=0751") < 0)
		cr_skip("no mounts can be made here");
	rec(FILES_ENTRY, 0, S_IFDIR | 0700, "keep", "", 0);
	GONE("keep");
	END();
	cr_expect(receive(false), "told, and left out");
	cr_expect_eq(look("root/keep").st_mode & 07777, 0751);
	cr_assert_eq(umount(where), 0);
}

Test(files_layer, a_deep_tree_goes)
{
	shell("cd root/old && for i in $(seq 300); do mkdir d && echo x > d/f && cd d; done");
	GONE("old");
	END();
	cr_assert(receive(false));
	cr_expect_eq(look("root/old").st_mode, 0);
}

/* Whatever comes, in whatever order: names from a few parts, so that they meet; teardown looks at what is outside. */
Test(files_layer, random_records)
{
	static const char *const parts[] = {"a", "b", "keep", "out", "hard", "f", "old", ".."};
	static const char *const targets[] = {"..", "../outside", "../../outside", "/tmp", "a", "keep/out", "/proc/self/cwd", "outside/secret"};
	unsigned taken = 0;

	srand(1);
	for (int round = 0; round < 1500; round++) {
		for (int n = rand() % 12; n >= 0; n--) {
			char name[64] = "", other[64] = "";
			unsigned bound = rand() % 20 == 0 ? 8 : 7; /* ".." ends the stream */

			for (int depth = rand() % 3; depth >= 0; depth--) {
				snprintf(name + strlen(name), sizeof(name) - strlen(name), "%s%s", *name != 0 ? "/" : "", parts[(unsigned)rand() % bound]);
				snprintf(other + strlen(other), sizeof(other) - strlen(other), "%s%s", *other != 0 ? "/" : "", parts[(unsigned)rand() % 7]);
			}
			switch (rand() % 8) {
			case 0:
			case 1:
				DIR_(name, rand() % 3 == 0 ? FILES_OPAQUE : 0);
				break;
			case 2:
			case 3:
				FILE_(name, 04777, "evil");
				break;
			case 4:
				HARD(name, other);
				break;
			case 5:
				LINK_(name, targets[(unsigned)rand() % 8]);
				break;
			case 6:
				GONE(name);
				break;
			default:
				rec(FILES_ENTRY, 0, (rand() % 2 ? S_IFIFO : S_IFSOCK) | 0666, name, "", 0);
			}
		}
		END();
		taken += receive(round % 2);
	}
	cr_expect_gt(taken, 500, "only %u were taken", taken);
}

/* ---- a container with maps of ids, whose kernel was taken over: 0 to 9 inside are 50000 and 60000 on the host ---- */

static bool with_maps(void)
{
	static const struct idmap_range uids[] = {{0, 50000, 10}}, gids[] = {{0, 60000, 10}};
	static const struct idmaps both = {{uids, 1}, {gids, 1}};

	if (geteuid() != 0)
		cr_skip_test("only root makes files of others");
	maps = &both;
	as = 3;
	shell("cd root && chown 50000:60000 . && mkdir -p open/dir open/empty open/mine sticky/dir shut/open && touch open/dir/f open/file open/mine/f sticky/f sticky/mine shut/open/f && "
	      "chmod 755 open/dir open/empty && chown 50001:60001 open/mine sticky/mine && chmod 1777 sticky && chmod 777 open shut/open && chmod 711 open/mine && chmod 700 shut");
	return true;
}

Test(files_layer, what_nobody_in_the_maps_could_remove_stays)
{
	with_maps();
	GONE("open/dir");
	GONE("sticky/f");
	GONE("sticky/dir");
	GONE("shut/open/f");
	FILE_("sticky/f", 0644, "evil");
	FILE_("shut/open/new", 0644, "evil");
	LINK_("open/dir", "evil");
	DIR_("open/dir", FILES_OPAQUE);
	END();
	cr_expect(receive(true)); /* told, and left out */
	shell("cd root && test -e open/dir/f && test -f sticky/f && ! test -s sticky/f && test -d sticky/dir && test -e shut/open/f && ! test -e shut/open/new");
	cr_expect_eq(look("root/open/dir").st_mode & 07777, 0755);
	cr_expect_eq(look("root/open/dir").st_uid, 0);
	cr_expect_eq(look("root/shut").st_mode & 07777, 0700);
}

Test(files_layer, what_they_could_remove_goes)
{
	with_maps();
	GONE("open/empty");
	GONE("open/file");
	GONE("open/mine");
	GONE("sticky/mine");
	FILE_("sticky/new", 0644, "text");
	END();
	cr_expect(receive(true));
	shell("cd root && test \"$(ls open)\" = dir && test \"$(echo sticky/*)\" = 'sticky/dir sticky/f sticky/new'");
	cr_expect_eq(look("root/sticky/new").st_uid, 50003);
}

Test(files_layer, set_id_bits_are_of_the_owner_that_was_meant)
{
	with_maps();
	FILE_("a", 06755, "x");
	as = 10; /* isn't one of the container's */
	FILE_("b", 06755, "x");
	END();
	cr_expect(receive(true));
	cr_expect_eq(look("root/a").st_mode & 07777, 06755);
	cr_expect_eq(look("root/a").st_uid, 50003);
	cr_expect_eq(look("root/b").st_mode & 07777, 0755);
	cr_expect_eq(look("root/b").st_uid, 50000);
}
