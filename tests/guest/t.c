/* SPDX-License-Identifier: Apache-2.0 */
/* The harness behind t.h. Uses as few kinds of system call as it can, since any of them may be what is broken. */
#include "t.h"

#include <dirent.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>

enum { EXIT_REPORTED = 101, EXIT_SKIPPED = 102 };

static struct t_test *first, **last = &first;
static const struct t_test *current;
static pid_t test_pid;   /* the process that runs the test's body */
static bool one_process; /* -s */
static sigjmp_buf back;  /* with -s: to the runner */
static char scratch[PATH_MAX];

static void print_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

void *volatile t_bad = (void *)0x10;
void *volatile t_kernel = (void *)0xffff888000000000;
void *volatile t_null = NULL;
volatile sig_atomic_t t_ticks;

char t_self[PATH_MAX];

__attribute__((weak)) int t_role(int argc, char **argv)
{
	(void)argc;
	print_line("%s: no such role", argv[0]);
	return 2;
}

void t_register(struct t_test *test)
{
	*last = test;
	last = &test->next;
}

const char *t_errno(int number)
{
	static char text[32];
	const char *name;

	if (number == 0)
		return "0";
	name = strerrorname_np(number);
	if (name)
		return name;
	snprintf(text, sizeof text, "errno %d", number);
	return text;
}

/* One line, by one write: children and threads share the output. */
static void print_line(const char *format, ...)
{
	char line[2048];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	if (length > (int)sizeof line - 2)
		length = sizeof line - 2;
	line[length++] = '\n';
	if (write(STDOUT_FILENO, line, length) < 0)
		_exit(2);
}

static bool in_main_thread(void)
{
	return syscall(SYS_gettid) == test_pid;
}

void t_fail(const char *file, int line, const char *format, ...)
{
	char why[1536];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	if (getpid() != test_pid) {
		print_line("# %s: in a child: %s:%d: %s", current ? current->name : "?", file, line, why);
		/* The test may wait for something that this child will no longer do. */
		if (test_pid > 0)
			kill(test_pid, SIGKILL);
		_exit(EXIT_REPORTED);
	}
	print_line("not ok %s: %s:%d: %s", current ? current->name : "?", file, line, why);
	if (one_process && in_main_thread())
		siglongjmp(back, EXIT_REPORTED);
	_exit(EXIT_REPORTED);
}

void t_skip(const char *why)
{
	print_line("skip %s: %s", current->name, why);
	if (one_process)
		siglongjmp(back, EXIT_SKIPPED);
	_exit(EXIT_SKIPPED);
}

static void remove_tree(const char *path)
{
	char child[PATH_MAX];
	struct stat st;
	struct dirent *entry;
	DIR *dir;

	if (lstat(path, &st) < 0)
		return;
	if (!S_ISDIR(st.st_mode)) {
		unlink(path);
		return;
	}
	chmod(path, 0700);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (snprintf(child, sizeof child, "%s/%s", path, entry->d_name) < (int)sizeof child)
			remove_tree(child);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* The runner knows the name too, so it can clean up after a child that died. */
static void scratch_name(char *path, size_t size, pid_t owner)
{
	const char *base = getenv("TMPDIR");

	snprintf(path, size, "%s/guest-%d-%.80s", base && *base ? base : "/tmp", (int)owner, current->name);
}

const char *t_scratch(void)
{
	scratch_name(scratch, sizeof scratch, one_process ? getpid() : getppid());
	if (mkdir(scratch, 0700) < 0 || chdir(scratch) < 0)
		FAIL("scratch directory %s: %s", scratch, t_errno(errno));
	return scratch;
}

pid_t t_fork(void)
{
	fflush(stdout);
	return MUST(fork());
}

int t_wait(pid_t pid)
{
	pid_t got;
	int status;

	do
		got = waitpid(pid, &status, 0);
	while (got < 0 && errno == EINTR);
	if (got != pid)
		FAIL("waitpid(%d) returned %d (%s)", (int)pid, (int)got, t_errno(got < 0 ? errno : 0));
	return status;
}

void t_reap_at(pid_t pid, const char *file, int line)
{
	int status = t_wait(pid);

	if (WIFSIGNALED(status))
		t_fail(file, line, "the child was killed by signal %d", WTERMSIG(status));
	if (status != 0)
		t_fail(file, line, "the child exited with %d", WEXITSTATUS(status));
}

int t_end_child(pid_t pid, const char *file, int line)
{
	if (pid == 0)
		_exit(0);
	t_reap_at(pid, file, line);
	return 0;
}

bool t_root(void)
{
	return geteuid() == 0;
}

void t_need_root(void)
{
	if (!t_root())
		SKIP("needs root");
}

bool t_kernel_since(int major, int minor)
{
	struct utsname name;
	int a = 0, b = 0;

	MUST(uname(&name));
	if (strstr(name.release, "sentrybox")) /* all that is tested must be there, whatever age it claims */
		return true;
	sscanf(name.release, "%d.%d", &a, &b);
	return a > major || (a == major && b >= minor);
}

void t_become_nobody(void)
{
	if (t_root())
		MUST(setgroups(0, NULL));
	MUST(setresgid(T_NOBODY, T_NOBODY, T_NOBODY));
	MUST(setresuid(T_NOBODY, T_NOBODY, T_NOBODY));
}

void *t_edge(size_t length)
{
	size_t page = 4096, room = (length + page - 1) / page * page;
	char *base;

	if (room == 0)
		room = page;
	base = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		FAIL("mmap: %s", t_errno(errno));
	/* Mapped without access, not unmapped: what the test maps next mustn't land here. */
	MUST(mprotect(base + room, page, PROT_NONE));
	return base + room - length;
}

char *t_edge_string(const char *s)
{
	return strcpy(t_edge(strlen(s) + 1), s);
}

char *t_cut_string(const char *s)
{
	return memcpy(t_edge(strlen(s)), s, strlen(s));
}

static void (*tick_action)(void);

static void tick_handler(int signal)
{
	int saved = errno;

	(void)signal;
	t_ticks++;
	if (tick_action)
		tick_action();
	errno = saved;
}

void t_tick(int flags, void (*on_tick)(void))
{
	struct itimerval every = {{0, 2000}, {0, 2000}};
	struct sigaction action = {.sa_handler = tick_handler, .sa_flags = flags};

	t_ticks = 0;
	tick_action = on_tick;
	MUST(sigaction(SIGALRM, &action, NULL));
	MUST(setitimer(ITIMER_REAL, &every, NULL));
}

void t_tick_stop(void)
{
	struct itimerval never = {0};

	MUST(setitimer(ITIMER_REAL, &never, NULL));
	signal(SIGALRM, SIG_IGN);
	signal(SIGALRM, SIG_DFL);
}

void t_until_asleep(pid_t tid)
{
	char path[64], text[512], *state;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
	for (;;) {
		t_get(path, text, sizeof text);
		state = strrchr(text, ')');
		if (state && strchr("StT", state[2]))
			return;
		if (state && strchr("ZX", state[2]))
			FAIL("process %d ended, it should sleep", (int)tid);
		usleep(500);
	}
}

int64_t t_now(int clock)
{
	struct timespec now;

	MUST(clock_gettime(clock, &now));
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void t_put(const char *path, const char *text)
{
	int fd = MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	size_t length = strlen(text);

	CHECK_EQ(write(fd, text, length), length);
	MUST(close(fd));
}

size_t t_get(const char *path, char *buffer, size_t size)
{
	int fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
	size_t length = 0;
	ssize_t got;

	while (length < size - 1 && (got = MUST(read(fd, buffer + length, size - 1 - length))) > 0)
		length += got;
	buffer[length] = 0;
	MUST(close(fd));
	return length;
}

static int run_here(const struct t_test *test)
{
	int how;

	if (test->alone) {
		print_line("skip %s: needs a process of its own, and -s was given", test->name);
		return EXIT_SKIPPED;
	}
	test_pid = getpid();
	how = sigsetjmp(back, 1);
	if (how == 0)
		test->run();
	return how;
}

static int run_in_child(const struct t_test *test)
{
	int status;
	pid_t pid = fork();

	if (pid < 0) {
		print_line("not ok %s: fork failed: %s", test->name, t_errno(errno));
		return EXIT_REPORTED;
	}
	if (pid == 0) {
		test_pid = getpid();
		test->run();
		_exit(0);
	}
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR) {
			print_line("not ok %s: waitpid failed: %s", test->name, t_errno(errno));
			return EXIT_REPORTED;
		}
	if (WIFSIGNALED(status)) {
		print_line("not ok %s: killed by signal %d%s", test->name, WTERMSIG(status),
			   WTERMSIG(status) == SIGKILL ? " (a child failed, or from outside)" : "");
		return EXIT_REPORTED;
	}
	if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != EXIT_REPORTED && WEXITSTATUS(status) != EXIT_SKIPPED) {
		print_line("not ok %s: exited with %d", test->name, WEXITSTATUS(status));
		return EXIT_REPORTED;
	}
	return WEXITSTATUS(status);
}

/* An absolute name for this program, without /proc. */
static void find_self(const char *name)
{
	char here[PATH_MAX];

	if (name[0] == '/' || !getcwd(here, sizeof here))
		here[0] = 0;
	if (snprintf(t_self, sizeof t_self, "%s%s%s", here, here[0] ? "/" : "", name) >= (int)sizeof t_self)
		t_self[0] = 0;
}

static bool wanted(const struct t_test *test, char **parts)
{
	if (!*parts)
		return true;
	for (; *parts; parts++)
		if (**parts == '=' ? strcmp(test->name, *parts + 1) == 0 : strstr(test->name, *parts) != NULL)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0, skipped = 0;
	struct rlimit no_core = {0, RLIM_INFINITY};
	char path[PATH_MAX];
	bool list = false, stop_early = false;
	int option;

	find_self(argv[0]);
	if (argc > 1 && argv[1][0] == '@') {
		argv[1]++;
		test_pid = -1;
		return t_role(argc - 1, argv + 1);
	}
	while ((option = getopt(argc, argv, "slx")) != -1) {
		if (option == '?') {
			fprintf(stderr, "usage: %s [-s] [-x] [-l] [NAME-PART | =NAME...]\n", argv[0]);
			return 2;
		}
		*(option == 's' ? &one_process : option == 'x' ? &stop_early : &list) = true;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getrlimit(RLIMIT_CORE, &no_core) == 0) {
		no_core.rlim_cur = 0;
		setrlimit(RLIMIT_CORE, &no_core);
	}
	for (const struct t_test *test = first; test; test = test->next) {
		int how;

		if (!wanted(test, argv + optind))
			continue;
		if (list) {
			print_line("%s", test->name);
			continue;
		}
		current = test;
		scratch_name(path, sizeof path, getpid());
		how = one_process ? run_here(test) : run_in_child(test);
		if (one_process && scratch[0] && chdir("/") < 0)
			how = EXIT_REPORTED;
		if (!one_process || scratch[0])
			remove_tree(path);
		scratch[0] = 0;
		if (how == 0) {
			print_line("ok %s", test->name);
			passed++;
		} else if (how == EXIT_SKIPPED) {
			skipped++;
		} else {
			failed++;
			if (stop_early)
				break;
		}
	}
	if (list)
		return 0;
	if (skipped)
		print_line("%u passed, %u failed, %u skipped", passed, failed, skipped);
	else
		print_line("%u passed, %u failed", passed, failed);
	return failed ? 1 : 0;
}
