/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that a kernel may have sped up by changing how their system calls are made: it must not show. Text reads as it
 * was linked, addresses around it are free, code that is written, moved, unmapped or mapped over does what it says.
 * covers: read write mmap mprotect munmap mremap brk process_vm_readv
 */
#include "t.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>

#define PAGE 4096ul
#define HOT 300 /* calls after which a site counts as busy, several times over */

/* A system call from a place of our own. */
extern const uint8_t hot_site[], hot_site_far[], hot_mov[], data_bytes[];
long hot_call(long nr, long a, long b, long c);
long hot_call_far(long nr, long a, long b, long c);
long hot_getppid(void);
__asm__(".text\n"
	"hot_call:\n"
	"	mov %rdi, %rax\n	mov %rsi, %rdi\n	mov %rdx, %rsi\n	mov %rcx, %rdx\n"
	"hot_site:\n"
	"	syscall\n"
	"	cmp $-4096, %rax\n"
	"	ret\n"
	"hot_call_far:\n"
	"	mov %rdi, %rax\n	mov %rsi, %rdi\n	mov %rdx, %rsi\n	mov %rcx, %rdx\n"
	"hot_site_far:\n"
	"	syscall\n"
	"	cmp $-4095, %rax\n"
	"	ret\n"
	"hot_getppid:\n"
	"	xor %edx, %edx\n"
	"hot_mov:\n"
	"	mov $110, %eax\n"
	"	syscall\n"
	"	ret\n"
	".section .rodata\n"
	"data_bytes:\n"
	"	.byte 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff\n"
	"	.byte 0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0xc3\n"
	".text\n");

static const uint8_t near_bytes[] = {0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff};
static const uint8_t far_bytes[] = {0x0f, 0x05, 0x48, 0x3d, 0x01, 0xf0, 0xff, 0xff};
static const uint8_t mov_bytes[] = {0xb8, 110, 0, 0, 0, 0x0f, 0x05, 0xc3};

static void heat(void)
{
	pid_t pid = getpid(), parent = getppid();

	for (int i = 0; i < HOT; i++) {
		CHECK_EQ(hot_call(SYS_getpid, 0, 0, 0), pid);
		CHECK_EQ(hot_call_far(SYS_getpid, 0, 0, 0), pid);
		CHECK_EQ(hot_getppid(), parent);
	}
}

static void check_text(const void *at, const uint8_t *want, size_t len)
{
	struct iovec here, there = {(void *)at, len};
	uint8_t bytes[64];
	int fd, pipes[2];

	memset(bytes, 0, sizeof(bytes));
	fd = MUST(open("/proc/self/mem", O_RDONLY));
	CHECK_EQ(pread(fd, bytes, len, (off_t)(uintptr_t)at), len);
	CHECK_MEM(bytes, want, len);
	CHECK_OK(close(fd));

	memset(bytes, 0, sizeof(bytes));
	CHECK_OK(pipe(pipes));
	CHECK_EQ(write(pipes[1], at, len), len);
	CHECK_EQ(read(pipes[0], bytes, len), len);
	CHECK_MEM(bytes, want, len);
	/* One byte at a time: no part of a site looks different from the whole. */
	for (size_t i = 0; i < len; i++) {
		CHECK_EQ(write(pipes[1], (const char *)at + i, 1), 1);
		CHECK_EQ(read(pipes[0], bytes, 1), 1);
		CHECK_EQ(bytes[0], want[i]);
	}
	CHECK_OK(close(pipes[0]));
	CHECK_OK(close(pipes[1]));

	memset(bytes, 0, sizeof(bytes));
	here = (struct iovec){bytes, len};
	CHECK_EQ(process_vm_readv(getpid(), &here, 1, &there, 1, 0), len);
	CHECK_MEM(bytes, want, len);
}

TEST(text_reads_as_it_was_linked)
{
	heat();
	check_text(hot_site, near_bytes, sizeof(near_bytes));
	check_text(hot_site_far, far_bytes, sizeof(far_bytes));
	check_text(hot_mov, mov_bytes, sizeof(mov_bytes));
}

TEST(the_file_reads_as_it_was_linked)
{
	uint8_t buffer[8192];
	int fd = MUST(open("/proc/self/exe", O_RDONLY)), seen = 0;
	ssize_t n;

	heat();
	while ((n = MUST(read(fd, buffer, sizeof(buffer)))) > (ssize_t)sizeof(near_bytes)) {
		for (ssize_t i = 0; i + (ssize_t)sizeof(near_bytes) <= n; i++)
			seen += memcmp(buffer + i, near_bytes, sizeof(near_bytes)) == 0;
		if (n == (ssize_t)sizeof(buffer))
			MUST(lseek(fd, -(off_t)sizeof(near_bytes), SEEK_CUR));
	}
	CHECK_GE(seen, 2); /* the call and the data, at least */
}

TEST(data_that_looks_like_a_call_stays)
{
	heat();
	CHECK_MEM(data_bytes, near_bytes, sizeof(near_bytes));
	CHECK_MEM(data_bytes + sizeof(near_bytes), mov_bytes, sizeof(mov_bytes));
}

/* What a register holds across a call: all but RAX, RCX and R11, and the flags. */
TEST(registers_survive)
{
	for (int i = 0; i < HOT; i++) {
		unsigned long bx = 0x1111111111111111, bp_like = 0x2222222222222222, r12 = 3, r13 = 4, r14 = 5, r15 = 6, rcx, di = 7;
		unsigned long r8 = 8, r9 = 9, r10 = 10;
		register unsigned long a12 __asm__("r12") = r12, a13 __asm__("r13") = r13, a14 __asm__("r14") = r14,
				       a15 __asm__("r15") = r15, a8 __asm__("r8") = r8, a9 __asm__("r9") = r9,
				       a10 __asm__("r10") = r10;
		unsigned long rax = SYS_getpid;

		__asm__ volatile("syscall\n1:	cmp $-4096, %%rax\n	lea 1b(%%rip), %%rdx\n	sub %%rdx, %%rcx"
				 : "+a"(rax), "=&c"(rcx), "+b"(bx), "+D"(di), "+S"(bp_like), "+r"(a12), "+r"(a13), "+r"(a14),
				   "+r"(a15), "+r"(a8), "+r"(a9), "+r"(a10)
				 :
				 : "rdx", "r11", "memory", "cc");
		CHECK_EQ(rax, getpid());
		CHECK_EQ(rcx, 0); /* the address behind the call */
		CHECK(bx == 0x1111111111111111 && bp_like == 0x2222222222222222 && di == 7);
		CHECK(a12 == 3 && a13 == 4 && a14 == 5 && a15 == 6 && a8 == 8 && a9 == 9 && a10 == 10);
	}
}

/* ---- code that is made, changed, moved ---- */

static const uint8_t getpid_code[] = {0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0xc3};

TEST(code_made_at_run_time)
{
	uint8_t *p = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	long (*call)(void) = (long (*)(void))(uintptr_t)p;

	memcpy(p, getpid_code, sizeof(getpid_code));
	for (int i = 0; i < HOT; i++)
		CHECK_EQ(call(), getpid());
	CHECK_MEM(p, getpid_code, sizeof(getpid_code));
	p[1] = SYS_getppid;
	CHECK_EQ(call(), getppid());
}

/* A file of our own with the code in it, mapped to be executed. */
static uint8_t *map_code(int pages, void *where, int flags)
{
	uint8_t page[PAGE];
	uint8_t *p;
	int fd = MUST(open("code", O_RDWR | O_CREAT | O_TRUNC, 0755));

	memset(page, 0xcc, sizeof(page));
	memcpy(page + 64, getpid_code, sizeof(getpid_code));
	for (int i = 0; i < pages; i++)
		CHECK_EQ(write(fd, page, sizeof(page)), sizeof(page));
	CHECK_OK(close(fd));
	fd = MUST(open("code", O_RDONLY));
	p = MUST(mmap(where, (size_t)pages * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | flags, fd, 0));
	CHECK_OK(close(fd));
	return p;
}

static void run_code(uint8_t *p, int times)
{
	long (*call)(void) = (long (*)(void))(uintptr_t)(p + 64);

	for (int i = 0; i < times; i++)
		CHECK_EQ(call(), getpid());
}

TEST(text_made_writable)
{
	uint8_t *p;

	t_scratch();
	p = map_code(2, NULL, 0);
	run_code(p, HOT);
	CHECK_OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	CHECK_MEM(p + 64, getpid_code, sizeof(getpid_code));
	run_code(p, HOT);
	p[65] = SYS_getppid;
	CHECK_EQ(((long (*)(void))(uintptr_t)(p + 64))(), getppid());
	CHECK_OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	for (int i = 0; i < HOT; i++)
		CHECK_EQ(((long (*)(void))(uintptr_t)(p + 64))(), getppid());
	run_code(p + PAGE, HOT);
}

TEST(text_unmapped_and_mapped_again)
{
	uint8_t *p;

	t_scratch();
	for (int round = 0; round < 10; round++) {
		p = map_code(3, NULL, 0);
		run_code(p, HOT);
		CHECK_OK(munmap(p, PAGE));
		run_code(p + PAGE, HOT);
		CHECK_OK(munmap(p + PAGE, 2 * PAGE));
	}
}

TEST(text_moved)
{
	uint8_t *p, *q, *place;

	t_scratch();
	p = map_code(2, NULL, 0);
	run_code(p, HOT);
	place = MUST(mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	q = MUST(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place));
	CHECK_MEM(q + 64, getpid_code, sizeof(getpid_code));
	run_code(q, HOT);
	run_code(q + PAGE, HOT);
}

TEST(file_written_behind_its_mapping)
{
	uint8_t *p, nr = SYS_getppid;
	int fd;

	t_scratch();
	p = map_code(1, NULL, 0);
	run_code(p, HOT);
	CHECK_OK(munmap(p, PAGE));
	fd = MUST(open("code", O_WRONLY));
	CHECK_EQ(pwrite(fd, &nr, 1, 65), 1);
	CHECK_OK(close(fd));
	fd = MUST(open("code", O_RDONLY));
	p = MUST(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
	for (int i = 0; i < HOT; i++)
		CHECK_EQ(((long (*)(void))(uintptr_t)(p + 64))(), getppid());
}

/* ---- addresses near text ---- */

static void map_over(uint8_t *text, unsigned long distance)
{
	uint8_t *at = (uint8_t *)(((uintptr_t)text & ~(PAGE - 1)) + distance), *p;
	unsigned char vec;

	/* Not where the program itself lies. */
	if (mincore(at, PAGE, &vec) == 0)
		return;
	CHECK_EQ(errno, ENOMEM);
	p = MUST(mmap(at, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	CHECK(p == at);
	for (unsigned i = 0; i < 2 * PAGE; i++) {
		CHECK_EQ(p[i], 0);
		p[i] = 0x55;
	}
	heat();
	for (unsigned i = 0; i < 2 * PAGE; i++)
		CHECK_EQ(p[i], 0x55);
	CHECK_OK(munmap(p, 2 * PAGE));
	CHECK_EQ(mincore(at, PAGE, &vec), -1);
	heat();
}

TEST(mappings_at_any_address_near_text)
{
	static const unsigned long distances[] = {0x3d4000, 0x13d4000, 0x3d5000, 0x13d5000, 0x3d3000, 0x500000};

	heat();
	for (size_t i = 0; i < T_COUNT(distances); i++) {
		IN_CHILD()
		{
			map_over((uint8_t *)(uintptr_t)hot_site, distances[i]);
			map_over((uint8_t *)(uintptr_t)getpid, distances[i]);
			map_over((uint8_t *)(uintptr_t)hot_site_far, distances[T_COUNT(distances) - 1 - i]);
		}
	}
}

TEST(noreplace_near_text)
{
	uint8_t *p, *q;

	t_scratch();
	p = map_code(2, NULL, 0);
	run_code(p, HOT);
	q = mmap(p + 0x3d4000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (q != MAP_FAILED) {
		CHECK(q == p + 0x3d4000);
		CHECK_EQ(*q, 0);
	}
	run_code(p, HOT);
}

TEST(heap_grows)
{
	char *start = MUST(sbrk(0));

	heat();
	for (int i = 0; i < 48; i++) {
		char *p = MUST(sbrk(1 << 20));

		CHECK(p == start + ((size_t)i << 20));
		CHECK_EQ(p[(1 << 20) - 1], 0);
		p[0] = p[(1 << 20) - 1] = 1;
	}
	heat();
	CHECK_OK(brk(start));
}

/* The permissions of text, and nothing that wasn't mapped, in /proc/self/maps. */
TEST(maps_show_what_was_mapped)
{
	static char before[65536], after[65536];

	t_get("/proc/self/maps", before, sizeof(before));
	heat();
	t_get("/proc/self/maps", after, sizeof(after));
	CHECK_STR(after, before);
	CHECK(strstr(after, "r-xp") != NULL);
	CHECK(strstr(after, "rwxp") == NULL);
	CHECK(strstr(after, "memfd") == NULL);
}

static sigjmp_buf escape;

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(escape, 1);
}

TEST(null_stays_unmapped)
{
	volatile int faults = 0;

	heat();
	CHECK(signal(SIGSEGV, on_fault) != SIG_ERR);
	if (sigsetjmp(escape, 1) == 0)
		(void)*(volatile char *)t_null;
	else
		faults++;
	CHECK_EQ(faults, 1);
}

/* ---- threads, signals, processes ---- */

static void *call_often(void *arg)
{
	pid_t pid = getpid();

	(void)arg;
	for (int i = 0; i < 2000; i++) {
		if (hot_call(SYS_getpid, 0, 0, 0) != pid || hot_call_far(SYS_getpid, 0, 0, 0) != pid)
			return "wrong";
		if (i % 16 == 0 && hot_getppid() != getppid())
			return "wrong";
	}
	return NULL;
}

TEST(many_threads_at_one_site)
{
	pthread_t thread[8];
	void *result;

	for (size_t i = 0; i < T_COUNT(thread); i++)
		CHECK_OK(pthread_create(&thread[i], NULL, call_often, NULL));
	for (size_t i = 0; i < T_COUNT(thread); i++) {
		CHECK_OK(pthread_join(thread[i], &result));
		CHECK(result == NULL);
	}
}

static volatile sig_atomic_t inside;

static void on_tick(void)
{
	/* Calls from a handler that interrupted a call of the same site. */
	if (hot_call(SYS_getpid, 0, 0, 0) == getpid())
		inside++;
}

TEST(handlers_call_from_the_interrupted_site)
{
	pid_t pid = getpid();
	int wanted = t_ticks + 50;

	t_tick(SA_RESTART, on_tick);
	while (t_ticks < wanted) {
		CHECK_EQ(hot_call(SYS_getpid, 0, 0, 0), pid);
		CHECK_EQ(hot_getppid(), getppid());
	}
	t_tick_stop();
	CHECK_GE(inside, 50);
}

static volatile uintptr_t lowest = UINTPTR_MAX, highest;

static void on_alarm(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	uintptr_t ip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

	(void)signal;
	(void)info;
	lowest = ip < lowest ? ip : lowest;
	highest = ip > highest ? ip : highest;
	t_ticks++;
}

/* A handler sees the program's own addresses only. */
TEST(interrupted_addresses_are_the_programs)
{
	struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct itimerval timer = {{0, 1000}, {0, 1000}}, off = {0};
	static char maps[65536];
	int wanted = t_ticks + 100;

	CHECK_OK(sigaction(SIGALRM, &action, NULL));
	CHECK_OK(setitimer(ITIMER_REAL, &timer, NULL));
	while (t_ticks < wanted)
		hot_call(SYS_getpid, 0, 0, 0);
	CHECK_OK(setitimer(ITIMER_REAL, &off, NULL));
	t_get("/proc/self/maps", maps, sizeof(maps));
	for (int i = 0; i < 2; i++) {
		uintptr_t ip = i == 0 ? lowest : highest;
		bool found = false;

		for (char *line = strtok(i == 0 ? strdup(maps) : maps, "\n"); line != NULL; line = strtok(NULL, "\n")) {
			unsigned long start, end;
			char x;

			CHECK_EQ(sscanf(line, "%lx-%lx %*c%*c%c", &start, &end, &x), 3);
			found |= x == 'x' && ip >= start && ip < end;
		}
		if (!found)
			FAIL("a handler saw %#lx", (unsigned long)ip);
	}
}

TEST(calls_are_restarted)
{
	int pipes[2];
	char c = 0;

	heat();
	CHECK_OK(pipe(pipes));
	t_tick(SA_RESTART, NULL);
	pid_t child = t_fork();
	if (child == 0) {
		t_until_asleep(getppid());
		CHECK_EQ(write(pipes[1], "x", 1), 1);
		_exit(0);
	}
	CHECK_EQ(hot_call(SYS_read, pipes[0], (long)&c, 1), 1);
	CHECK_EQ(c, 'x');
	t_tick_stop();
	t_reap(child);
	t_tick(0, NULL);
	CHECK_EQ(hot_call(SYS_read, pipes[0], (long)&c, 1), -EINTR);
	t_tick_stop();
}

int t_role(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (int i = 0; i < 100; i++)
		if (hot_call(SYS_getpid, 0, 0, 0) != getpid() || hot_getppid() != getppid())
			return 1;
	return 0;
}

TEST(fork_and_exec)
{
	heat();
	for (int i = 0; i < 20; i++) {
		pid_t pid = t_fork();

		if (pid == 0) {
			if (hot_call(SYS_getpid, 0, 0, 0) != getpid() || hot_getppid() != getppid())
				_exit(2);
			if (i % 2 == 0)
				execl(t_self, t_self, "@role", NULL);
			_exit(0);
		}
		t_reap(pid);
	}
}

/* Children that change their text don't change their parent's. */
TEST(children_have_their_own_text)
{
	uint8_t *p;

	t_scratch();
	p = map_code(2, NULL, 0);
	run_code(p, HOT);
	IN_CHILD()
	{
		run_code(p, 10);
		CHECK_OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		memset(p, 0xcc, PAGE);
	}
	run_code(p, HOT);
	IN_CHILD()
	{
		CHECK_OK(munmap(p, 2 * PAGE));
		CHECK(MUST(mmap(p, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)) == p);
		CHECK_EQ(p[64], 0);
	}
	run_code(p, HOT);
}
