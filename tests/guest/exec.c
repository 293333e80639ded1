/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting programs: arguments, environment, scripts, what is kept and what is not, and all the ways to fail.
 * covers: execve execveat
 */
#include "t.h"

#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>

extern char **environ;

/* Roles of this program, when it is started again. */
int t_role(int argc, char **argv)
{
	if (strcmp(argv[0], "args") == 0) { /* prints its arguments and environment, one a line */
		for (int i = 1; i < argc; i++)
			printf("[%s]\n", argv[i]);
		for (char **e = environ; *e; e++)
			printf("{%s}\n", *e);
		return 0;
	}
	if (strcmp(argv[0], "total") == 0) { /* the length of all arguments, modulo 251 */
		size_t total = 0;

		for (int i = 1; i < argc; i++)
			total += strlen(argv[i]);
		return total % 251;
	}
	if (strcmp(argv[0], "fd-open") == 0)
		return fcntl(atoi(argv[1]), F_GETFD) < 0;
	if (strcmp(argv[0], "pid-is") == 0)
		return getpid() != atoi(argv[1]) || gettid() != getpid();
	if (strcmp(argv[0], "signals") == 0) { /* USR1 ignored, USR2 default, TERM blocked and pending */
		struct sigaction usr1, usr2;
		sigset_t mask, pending;
		stack_t stack;

		sigaction(SIGUSR1, NULL, &usr1);
		sigaction(SIGUSR2, NULL, &usr2);
		sigprocmask(SIG_BLOCK, NULL, &mask);
		sigpending(&pending);
		sigaltstack(NULL, &stack);
		return usr1.sa_handler != SIG_IGN || usr2.sa_handler != SIG_DFL || !sigismember(&mask, SIGTERM) ||
		       !sigismember(&pending, SIGTERM) || stack.ss_flags != SS_DISABLE;
	}
	if (strcmp(argv[0], "aux") == 0) {
		if (getauxval(AT_PAGESZ) != 4096 || getauxval(AT_UID) != getuid() || getauxval(AT_EGID) != getegid())
			return 1;
		if (!getauxval(AT_RANDOM) || !getauxval(AT_PHDR) || getauxval(AT_PHNUM) == 0 || getauxval(AT_SECURE))
			return 2;
		if (strcmp((char *)getauxval(AT_EXECFN), argv[1]) != 0)
			return 3;
		return getauxval(AT_CLKTCK) != 100 || getauxval(AT_PHENT) != sizeof(Elf64_Phdr);
	}
	if (strcmp(argv[0], "name") == 0) { /* the thread's name is the file's, cut to 15 */
		char name[16];

		prctl(PR_GET_NAME, name);
		return strncmp(name, argv[1], 15) != 0;
	}
	if (strcmp(argv[0], "kept") == 0) {
		struct rlimit limit;
		mode_t mask = umask(0);
		char cwd[PATH_MAX];

		getrlimit(RLIMIT_NOFILE, &limit);
		return mask != 0123 || limit.rlim_cur != 77 || !getcwd(cwd, sizeof cwd) || strcmp(cwd, argv[1]) != 0;
	}
	if (strcmp(argv[0], "exit") == 0)
		return atoi(argv[1]);
	return 99;
}

/* Runs the program and collects its standard output. Returns its wait status. */
static int run(const char *path, char *const argv[], char *const envp[], char *output, size_t size)
{
	int fds[2], status;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	CHECK_OK(pipe(fds));
	pid = t_fork();
	if (pid == 0) {
		MUST(dup2(fds[1], 1));
		close(fds[0]);
		close(fds[1]);
		execve(path, argv, envp);
		FAIL("execve %s: %s", path, t_errno(errno));
	}
	close(fds[1]);
	while (length < size - 1 && (n = MUST(read(fds[0], output + length, size - 1 - length))) > 0)
		length += n;
	output[length] = 0;
	close(fds[0]);
	status = t_wait(pid);
	return status;
}

#define RUN_ROLE(...)                                                                                                  \
	do {                                                                                                           \
		pid_t pid_ = t_fork();                                                                                 \
		if (pid_ == 0) {                                                                                       \
			execv(t_self, (char *[]){t_self, __VA_ARGS__, NULL});                                          \
			FAIL("execv: %s", t_errno(errno));                                                             \
		}                                                                                                      \
		t_reap(pid_);                                                                                          \
	} while (0)

static void make_script(const char *name, const char *text)
{
	t_put(name, text);
	CHECK_OK(chmod(name, 0755));
}

TEST_ALONE(arguments_and_environment_arrive)
{
	char output[4096];
	char *argv[] = {"zero", "@args", "one", "", "two words", NULL};
	char *envp[] = {"A=1", "B=", "odd", NULL};

	CHECK_EQ(run(t_self, argv, envp, output, sizeof output), 0);
	CHECK_STR(output, "[one]\n[]\n[two words]\n{A=1}\n{B=}\n{odd}\n");
	CHECK_EQ(run(t_self, (char *[]){"z", "@args", NULL}, NULL, output, sizeof output), 0);
	CHECK_STR(output, "");
}

TEST_ALONE(the_exit_status_comes_back)
{
	pid_t pid = t_fork();

	if (pid == 0)
		execv(t_self, (char *[]){t_self, "@exit", "37", NULL});
	CHECK_EQ(t_wait(pid), 37 << 8);
}

TEST_ALONE(the_pid_stays)
{
	char text[16];
	pid_t pid = t_fork();

	if (pid == 0) {
		snprintf(text, sizeof text, "%d", getpid());
		execv(t_self, (char *[]){t_self, "@pid-is", text, NULL});
		_exit(9);
	}
	t_reap(pid);
}

TEST(missing_files_give_enoent_and_directories_eacces)
{
	char *argv[] = {"x", NULL};

	t_scratch();
	CHECK_ERR(execve("missing", argv, NULL), ENOENT);
	CHECK_ERR(execve("", argv, NULL), ENOENT);
	CHECK_ERR(execve(".", argv, NULL), EACCES);
	t_put("plain", "#!/bin/sh\n");
	CHECK_ERR(execve("plain", argv, NULL), EACCES);
	CHECK_ERR(execve("plain/x", argv, NULL), ENOTDIR);
	CHECK_OK(symlink("loop", "loop"));
	CHECK_ERR(execve("loop", argv, NULL), ELOOP);
	CHECK_ERR(execve("/dev/null", argv, NULL), EACCES);
}

TEST(bad_pointers_give_efault)
{
	char *argv[] = {"x", NULL}, *bad[] = {"x", NULL, NULL};

	bad[1] = t_bad;
	CHECK_ERR(syscall(SYS_execve, t_bad, argv, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_execve, t_self, t_bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_execve, t_self, argv, t_bad), EFAULT);
	CHECK_ERR(syscall(SYS_execve, t_self, bad, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_execve, t_self, argv, bad), EFAULT);
	CHECK_ERR(syscall(SYS_execve, t_kernel, argv, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_execve, t_cut_string(t_self), argv, NULL), EFAULT);
}

TEST(unknown_formats_give_enoexec)
{
	char *argv[] = {"x", NULL};

	t_scratch();
	make_script("empty", "");
	CHECK_ERR(execve("empty", argv, NULL), ENOEXEC);
	make_script("text", "echo hello\n");
	CHECK_ERR(execve("text", argv, NULL), ENOEXEC);
	make_script("short-elf", "\177ELF\002\001\001");
	CHECK_ERR(execve("short-elf", argv, NULL), ENOEXEC);
}

TEST(a_path_too_long_gives_enametoolong)
{
	static char path[PATH_MAX + 10];
	char *argv[] = {"x", NULL};

	memset(path, 'a', PATH_MAX + 5);
	CHECK_ERR(execve(path, argv, NULL), ENAMETOOLONG);
	path[300] = 0;
	CHECK_ERR(execve(path, argv, NULL), ENAMETOOLONG);
}

TEST_ALONE(a_file_open_for_writing_gives_etxtbsy)
{
	int fd;

	t_scratch();
	make_script("program", "#!/bin/true\n");
	fd = MUST(open("program", O_WRONLY));
	CHECK_ERR(execve("program", (char *[]){"x", NULL}, NULL), ETXTBSY);
	close(fd);
}

TEST_ALONE(the_last_argument_fits_up_to_128_kib)
{
	size_t limit = 131072;
	char *big = malloc(limit + 1);
	char *argv[] = {t_self, "@total", big, NULL}, *empty[] = {NULL};
	pid_t pid;

	memset(big, 'x', limit + 1);
	big[limit] = 0;
	CHECK_ERR(execve(t_self, argv, empty), E2BIG);
	big[limit - 1] = 0;
	pid = t_fork();
	if (pid == 0) {
		execve(t_self, argv, empty);
		_exit(250);
	}
	CHECK_EQ(t_wait(pid), (int)((limit - 1) % 251) << 8);
}

TEST_ALONE(all_arguments_together_are_limited_by_the_stack)
{
	enum { COUNT = 60 };
	static char big[100001], *argv[COUNT + 3];
	struct rlimit limit;
	pid_t pid;

	memset(big, 'y', sizeof big - 1);
	argv[0] = t_self;
	argv[1] = "@total";
	for (int i = 0; i < COUNT; i++)
		argv[2 + i] = big;
	CHECK_OK(getrlimit(RLIMIT_STACK, &limit));
	limit.rlim_cur = 8 << 20;
	CHECK_OK(setrlimit(RLIMIT_STACK, &limit));
	CHECK_ERR(execv(t_self, argv), E2BIG); /* 6 MB; a quarter of 8 MiB is allowed */
	argv[2 + 15] = NULL;
	pid = t_fork();
	if (pid == 0) {
		execv(t_self, argv);
		_exit(250);
	}
	CHECK_EQ(t_wait(pid), 15 * 100000 % 251 << 8);
}

TEST_ALONE(scripts_get_interpreter_argument_path_and_arguments)
{
	char output[4096], script[PATH_MAX + 64];
	char *argv[] = {"ignored", "a b", "c", NULL}, *envp[] = {NULL};

	t_scratch();
	if (strlen(t_self) > 200)
		SKIP("this program's path is too long for a #! line");
	snprintf(script, sizeof script, "#! %s   @args  \nanything", t_self);
	make_script("script", script);
	CHECK_EQ(run("./script", argv, envp, output, sizeof output), 0);
	CHECK_STR(output, "[./script]\n[a b]\n[c]\n");
	snprintf(script, sizeof script, "#!%s @args extra words", t_self);
	make_script("script", script);
	pid_t pid = t_fork();
	if (pid == 0) {
		/* The whole rest of the line is one argument, so this is no known role. */
		close(1);
		execve("script", argv, envp);
		_exit(77);
	}
	CHECK_EQ(t_wait(pid), 99 << 8);
}

TEST_ALONE(scripts_may_call_scripts_but_not_endlessly)
{
	char output[4096], script[PATH_MAX + 64], cwd[PATH_MAX], line[2 * PATH_MAX + 64];
	char *envp[] = {NULL};

	t_scratch();
	CHECK(getcwd(cwd, sizeof cwd) != NULL);
	snprintf(script, sizeof script, "#!%s @args\n", t_self);
	make_script("s0", script);
	for (int i = 1; i <= 5; i++) {
		char name[8];

		if (snprintf(line, sizeof line, "#!%s/s%d\n", cwd, i - 1) > 250)
			SKIP("the scratch directory's path is too long for a #! line");
		snprintf(name, sizeof name, "s%d", i);
		make_script(name, line);
	}
	CHECK_EQ(run("s2", (char *[]){"z", "q", NULL}, envp, output, sizeof output), 0);
	snprintf(line, sizeof line, "[%s/s0]\n[%s/s1]\n[s2]\n[q]\n", cwd, cwd);
	CHECK_STR(output, line);
	CHECK_ERR(execve("s5", (char *[]){"z", NULL}, envp), ELOOP);
}

TEST(a_script_with_a_missing_interpreter_gives_enoent)
{
	char *argv[] = {"x", NULL};

	t_scratch();
	make_script("a", "#!/missing/interpreter\n");
	CHECK_ERR(execve("a", argv, NULL), ENOENT);
	make_script("b", "#!\n");
	CHECK_ERR(execve("b", argv, NULL), ENOEXEC);
	make_script("c", "#!   \n");
	CHECK_ERR(execve("c", argv, NULL), ENOEXEC);
}

TEST_ALONE(close_on_exec_closes_and_others_stay)
{
	int gone = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC)), kept = MUST(open("/dev/null", O_RDONLY));
	char text[16];

	snprintf(text, sizeof text, "%d", kept);
	RUN_ROLE("@fd-open", text);
	snprintf(text, sizeof text, "%d", gone);
	pid_t pid = t_fork();
	if (pid == 0)
		execv(t_self, (char *[]){t_self, "@fd-open", text, NULL});
	CHECK_EQ(t_wait(pid), 1 << 8);
}

TEST_ALONE(a_failed_exec_changes_nothing)
{
	int fd = MUST(open("/dev/null", O_RDONLY | O_CLOEXEC));

	CHECK_ERR(execve("/missing", (char *[]){"x", NULL}, NULL), ENOENT);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(execve("/dev/null", (char *[]){"x", NULL}, NULL), EACCES);
	CHECK_OK(close(fd));
}

static void nothing(int signal)
{
	(void)signal;
}

TEST_ALONE(ignored_and_blocked_signals_stay_and_handlers_go)
{
	pid_t pid = t_fork();

	if (pid == 0) {
		sigset_t set;
		stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};

		signal(SIGUSR1, SIG_IGN);
		signal(SIGUSR2, nothing);
		sigemptyset(&set);
		sigaddset(&set, SIGTERM);
		CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
		CHECK_OK(raise(SIGTERM));
		CHECK_OK(sigaltstack(&stack, NULL));
		execv(t_self, (char *[]){t_self, "@signals", NULL});
		_exit(9);
	}
	t_reap(pid);
}

TEST_ALONE(umask_limits_and_directory_stay)
{
	char cwd[PATH_MAX];
	struct rlimit limit = {77, 77};

	t_scratch();
	CHECK(getcwd(cwd, sizeof cwd) != NULL);
	umask(0123);
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	RUN_ROLE("@kept", cwd);
}

TEST_ALONE(the_auxiliary_vector_is_complete)
{
	RUN_ROLE("@aux", t_self);
}

TEST_ALONE(the_thread_name_becomes_the_file_name)
{
	const char *base = strrchr(t_self, '/') + 1;

	CHECK_OK(prctl(PR_SET_NAME, "something"));
	RUN_ROLE("@name", (char *)base);
}

TEST_ALONE(execveat_takes_a_directory_or_a_file_descriptor)
{
	char directory[PATH_MAX], *base, *envp[] = {NULL};
	int dir, fd;
	pid_t pid;

	strcpy(directory, t_self);
	base = strrchr(directory, '/');
	*base++ = 0;
	dir = MUST(open(directory, O_PATH | O_CLOEXEC));
	fd = MUST(open(t_self, O_RDONLY | O_CLOEXEC));
	char *argv[] = {"x", "@exit", "12", NULL};
	pid = t_fork();
	if (pid == 0)
		syscall(SYS_execveat, dir, base, argv, envp, 0);
	CHECK_EQ(t_wait(pid), 12 << 8);
	pid = t_fork();
	if (pid == 0)
		syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	CHECK_EQ(t_wait(pid), 12 << 8);
	pid = t_fork();
	if (pid == 0)
		syscall(SYS_execveat, -1, t_self, argv, envp, 0);
	CHECK_EQ(t_wait(pid), 12 << 8);
	CHECK_ERR(syscall(SYS_execveat, fd, "", argv, envp, 0), ENOENT);
	CHECK_ERR(syscall(SYS_execveat, -1, "x", argv, envp, 0), EBADF);
	CHECK_ERR(syscall(SYS_execveat, fd, "x", argv, envp, 0), ENOTDIR);
	CHECK_ERR(syscall(SYS_execveat, dir, base, argv, envp, 0x4000), EINVAL);
	CHECK_ERR(syscall(SYS_execveat, dir, t_bad, argv, envp, 0), EFAULT);
	t_scratch();
	CHECK_OK(symlink(t_self, "link"));
	CHECK_ERR(syscall(SYS_execveat, AT_FDCWD, "link", argv, envp, AT_SYMLINK_NOFOLLOW), ELOOP);
	make_script("script", "#!/bin/sh\n");
	CHECK_ERR(syscall(SYS_execveat, MUST(open("script", O_RDONLY | O_CLOEXEC)), "", argv, envp, AT_EMPTY_PATH),
		  ENOENT);
}

static void *exec_from_thread(void *arg)
{
	execv(t_self, arg);
	FAIL("execv in a thread: %s", t_errno(errno));
}

static void *sleep_forever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

TEST_ALONE(exec_by_another_thread_takes_over_the_pid)
{
	for (int round = 0; round < 5; round++) {
		pid_t pid = t_fork();

		if (pid == 0) {
			char text[16];
			pthread_t thread;

			snprintf(text, sizeof text, "%d", getpid());
			for (int i = 0; i < 3; i++)
				CHECK_OK(pthread_create(&thread, NULL, sleep_forever, NULL));
			CHECK_OK(
			    pthread_create(&thread, NULL, exec_from_thread, (char *[]){t_self, "@pid-is", text, NULL}));
			for (;;)
				pause();
		}
		t_reap(pid);
	}
}

TEST_ALONE(exec_by_the_leader_ends_the_other_threads)
{
	char text[16];
	pthread_t thread;
	pid_t pid = t_fork();

	if (pid == 0) {
		for (int i = 0; i < 3; i++)
			CHECK_OK(pthread_create(&thread, NULL, sleep_forever, NULL));
		snprintf(text, sizeof text, "%d", getpid());
		execv(t_self, (char *[]){t_self, "@pid-is", text, NULL});
		_exit(9);
	}
	t_reap(pid);
}

TEST_ALONE(permission_to_execute_is_checked_for_the_user)
{
	t_need_root();
	t_scratch();
	CHECK_OK(chmod(".", 0755));
	make_script("mine", "#!/bin/sh\n");
	CHECK_OK(chmod("mine", 0700));
	CHECK_OK(mkdir("closed", 0700));
	make_script("closed/x", "#!/bin/sh\n");
	IN_CHILD() {
		t_become_nobody();
		CHECK_ERR(execve("mine", (char *[]){"x", NULL}, NULL), EACCES);
		CHECK_ERR(execve("closed/x", (char *[]){"x", NULL}, NULL), EACCES);
	}
	CHECK_OK(chmod("mine", 0600));
	CHECK_ERR(execve("mine", (char *[]){"x", NULL}, NULL), EACCES);
}

TEST_ALONE(many_execs_in_a_row_leave_nothing_behind)
{
	for (int i = 0; i < 30; i++)
		RUN_ROLE("@exit", "0");
}
