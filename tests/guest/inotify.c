/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching files and directories.
 * covers: inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
 */
#include "t.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

static int in;
static char buffer[4096];
static size_t length, at;

static void setup(void)
{
	t_scratch();
	CHECK_OK(mkdir("d", 0755));
	in = MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	length = at = 0;
}

/* The next event, or NULL. */
static struct inotify_event *next(void)
{
	struct inotify_event *event;
	ssize_t n;

	if (at == length) {
		n = read(in, buffer, sizeof buffer);
		if (n < 0) {
			CHECK_EQ(errno, EAGAIN);
			return NULL;
		}
		length = n;
		at = 0;
	}
	event = (void *)(buffer + at);
	at += sizeof *event + event->len;
	return event;
}

static void expect(int wd, uint32_t mask, const char *name)
{
	struct inotify_event *event = next();

	if (!event)
		FAIL("no event, should be %#x for %s", mask, name);
	if (event->wd != wd || event->mask != mask || strcmp(event->len ? event->name : "", name) != 0)
		FAIL("event wd %d mask %#x name \"%s\", should be %d %#x \"%s\"", event->wd, event->mask,
		     event->len ? event->name : "", wd, mask, name);
}

TEST(a_directory_tells_of_its_entries)
{
	int wd;

	setup();
	wd = MUST(inotify_add_watch(in, "d", IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_OPEN | IN_ATTRIB));
	CHECK_EQ(wd, 1);
	t_put("d/f", "x");
	expect(wd, IN_CREATE, "f");
	expect(wd, IN_OPEN, "f");
	expect(wd, IN_MODIFY, "f");
	expect(wd, IN_CLOSE_WRITE, "f");
	CHECK_OK(chmod("d/f", 0600));
	expect(wd, IN_ATTRIB, "f");
	CHECK_OK(mkdir("d/sub", 0755));
	expect(wd, IN_CREATE | IN_ISDIR, "sub");
	CHECK_OK(unlink("d/f"));
	expect(wd, IN_DELETE, "f");
	CHECK_OK(rmdir("d/sub"));
	expect(wd, IN_DELETE | IN_ISDIR, "sub");
	CHECK(next() == NULL);
	close(in);
}

TEST(moves_are_told_as_pairs_with_a_cookie)
{
	int wd;
	struct inotify_event *event;
	uint32_t cookie;

	setup();
	t_put("d/a", "x");
	wd = MUST(inotify_add_watch(in, "d", IN_MOVE));
	CHECK_OK(rename("d/a", "d/b"));
	event = next();
	CHECK(event && event->wd == wd);
	CHECK_EQ(event->mask, IN_MOVED_FROM);
	CHECK_STR(event->name, "a");
	cookie = event->cookie;
	CHECK(cookie != 0);
	event = next();
	CHECK(event != NULL);
	CHECK_EQ(event->mask, IN_MOVED_TO);
	CHECK_EQ(event->cookie, cookie);
	CHECK_STR(event->name, "b");
	CHECK_OK(rename("d/b", "out"));
	expect(wd, IN_MOVED_FROM, "b");
	CHECK_OK(rename("out", "d/c"));
	expect(wd, IN_MOVED_TO, "c");
	close(in);
}

TEST(a_file_tells_of_itself_and_of_its_end)
{
	int wd;
	char c;

	setup();
	t_put("f", "x");
	wd = MUST(inotify_add_watch(in, "f", IN_ACCESS | IN_CLOSE_NOWRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB));
	int fd = MUST(open("f", O_RDONLY));
	CHECK_EQ(read(fd, &c, 1), 1);
	expect(wd, IN_ACCESS, "");
	close(fd);
	expect(wd, IN_CLOSE_NOWRITE, "");
	CHECK_OK(rename("f", "g"));
	expect(wd, IN_MOVE_SELF, "");
	CHECK_OK(unlink("g"));
	expect(wd, IN_ATTRIB, "");
	expect(wd, IN_DELETE_SELF, "");
	expect(wd, IN_IGNORED, "");
	CHECK(next() == NULL);
	CHECK_ERR(inotify_rm_watch(in, wd), EINVAL);
	close(in);
}

TEST(removing_a_watch_tells_ignored)
{
	int wd;

	setup();
	wd = MUST(inotify_add_watch(in, "d", IN_CREATE));
	CHECK_EQ(inotify_add_watch(in, "d", IN_DELETE), wd);
	t_put("d/f", "");
	CHECK(next() == NULL);
	CHECK_EQ(inotify_add_watch(in, "d", IN_CREATE | IN_MASK_ADD), wd);
	t_put("d/g", "");
	expect(wd, IN_CREATE, "g");
	CHECK_OK(inotify_rm_watch(in, wd));
	expect(wd, IN_IGNORED, "");
	t_put("d/h", "");
	CHECK(next() == NULL);
	CHECK_EQ(inotify_add_watch(in, "d", IN_CREATE), wd + 1);
	close(in);
}

TEST(flags_of_a_watch)
{
	int wd;

	setup();
	t_put("f", "");
	CHECK_OK(symlink("d", "l"));
	CHECK_ERR(inotify_add_watch(in, "f", IN_CREATE | IN_ONLYDIR), ENOTDIR);
	wd = MUST(inotify_add_watch(in, "d", IN_CREATE | IN_ONESHOT));
	t_put("d/a", "");
	expect(wd, IN_CREATE, "a");
	expect(wd, IN_IGNORED, "");
	t_put("d/b", "");
	CHECK(next() == NULL);
	wd = MUST(inotify_add_watch(in, "l", IN_DELETE_SELF | IN_DONT_FOLLOW));
	CHECK_OK(unlink("l"));
	expect(wd, IN_DELETE_SELF, "");
	close(in);
}

TEST(equal_events_in_a_row_are_one)
{
	int wd, fd;

	setup();
	fd = MUST(open("d/f", O_RDWR | O_CREAT, 0600));
	wd = MUST(inotify_add_watch(in, "d", IN_MODIFY));
	for (int i = 0; i < 5; i++)
		CHECK_EQ(write(fd, "x", 1), 1);
	expect(wd, IN_MODIFY, "f");
	CHECK(next() == NULL);
	close(fd);
	close(in);
}

TEST(poll_and_fionread_tell_of_waiting_events)
{
	struct pollfd p;
	int n, wd;

	setup();
	p = (struct pollfd){in, POLLIN, 0};
	wd = MUST(inotify_add_watch(in, "d", IN_CREATE));
	CHECK_EQ(poll(&p, 1, 0), 0);
	t_put("d/f", "");
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_OK(ioctl(in, FIONREAD, &n));
	CHECK_EQ(n, sizeof(struct inotify_event) + 16);
	CHECK_ERR(read(in, buffer, 10), EINVAL);
	expect(wd, IN_CREATE, "f");
	close(in);
}

TEST(errors_of_inotify)
{
	int null = MUST(open("/dev/null", O_RDONLY));

	setup();
	CHECK_ERR(inotify_init1(0x10), EINVAL);
	CHECK_ERR(inotify_add_watch(in, "missing", IN_CREATE), ENOENT);
	CHECK_ERR(inotify_add_watch(in, "d", 0), EINVAL);
	CHECK_ERR(inotify_add_watch(-1, "d", IN_CREATE), EBADF);
	CHECK_ERR(inotify_add_watch(null, "d", IN_CREATE), EINVAL);
	CHECK_ERR(syscall(SYS_inotify_add_watch, in, t_bad, IN_CREATE), EFAULT);
	CHECK_ERR(inotify_rm_watch(in, 77), EINVAL);
	CHECK_ERR(inotify_rm_watch(-1, 1), EBADF);
	CHECK_ERR(inotify_rm_watch(null, 1), EINVAL);
	close(MUST(syscall(SYS_inotify_init)));
	close(in);
	close(null);
}

TEST_ALONE(another_processes_changes_are_told)
{
	int wd;

	setup();
	CHECK_OK(fcntl(in, F_SETFL, 0));
	wd = MUST(inotify_add_watch(in, "d", IN_CREATE));
	pid_t pid = t_fork();
	if (pid == 0) {
		usleep(2000);
		t_put("d/child", "");
		_exit(0);
	}
	expect(wd, IN_CREATE, "child");
	t_reap(pid);
}
