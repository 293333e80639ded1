/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with 64 MiB of data behind its text that makes calls from its own text, so that a kernel which rewrites text may put what
 * belongs to that elsewhere: nothing of it is seen, and the program gets each place that it asks for.
 * covers: mmap munmap brk fork getppid execve
 */
#include "t.h"

#define TIMES 600
#define LARGE (64L << 20)
#define PAGE 4096L

static char large[LARGE];

/* By the number's mov, and by instructions that would have to move. */
long parent_by_mov(void), parent_moved(void);
__asm__(".text\n.balign 16\nparent_by_mov:\n\tmov $110,%eax\n\tsyscall\n\tret\n"
	".balign 16\nparent_moved:\n\tmov $110,%eax\n\txor %edx,%edx\n\tmov %rdx,%rsi\n\tsyscall\n\tret\n.balign 16\n");

static void heat(void)
{
	pid_t parent = getppid();

	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(parent_by_mov(), parent);
		CHECK_EQ(parent_moved(), parent);
	}
}

/* The place is nobody's in the list of mappings, or somebody's whom we leave alone. */
static bool listed(unsigned long low, unsigned long high)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512];
	bool found = false;

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		found |= sscanf(line, "%lx-%lx", &start, &end) == 2 && start < high && low < end;
	fclose(f);
	return found;
}

static const long places[] = {0x3d4000, 0x13d4000, 0x40000000, -0x10000000};

TEST(the_place_of_each_is_the_programs)
{
	unsigned long text = (unsigned long)parent_by_mov & ~(PAGE - 1UL), len = 512 * PAGE;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		unsigned long at = text + (unsigned long)places[i];
		char *p;

		heat();
		if (at > text + (1UL << 46) || at < 16 * PAGE || listed(at - len, at + len))
			continue;
		/* Beside it: it isn't in the way of a mapping that may not replace any. */
		p = mmap((void *)(at - len), 2 * len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		CHECK(p == (char *)(at - len));
		CHECK(p[0] == 0 && p[len] == 0 && p[2 * len - 1] == 0);
		memset(p, 0xcc, 2 * len);
		heat();
		CHECK_OK(munmap(p, 2 * len));
		CHECK(!listed(at - len, at + len));
	}
	heat();
}

TEST(data_and_heap_are_whole)
{
	char *heap;

	heat();
	for (long at = 0; at < LARGE; at += 16 * PAGE)
		large[at + 1] = (char)(at >> 16 | 1);
	heap = sbrk(0);
	for (int i = 0; i < 64; i++) {
		CHECK(sbrk(1 << 20) == heap + ((long)i << 20));
		memset(heap + ((long)i << 20), i, 1 << 20);
		heat();
	}
	for (long at = 0; at < LARGE; at += 16 * PAGE)
		CHECK(large[at + 1] == (char)(at >> 16 | 1) && large[at] == 0);
	for (long i = 0; i < 64; i++)
		CHECK(heap[i << 20] == i && heap[(i << 20) + (1 << 20) - 1] == i);
}

TEST(children_are_the_same)
{
	heat();
	for (int i = 0; i < 4; i++) {
		pid_t pid = MUST(fork());

		if (pid == 0) {
			char name[] = "/proc/self/exe", one[] = "=data_and_heap_are_whole", *args[] = {name, one, NULL};

			heat();
			if (i % 2 == 0)
				_exit(0);
			CHECK_EQ(dup2(MUST(open("/dev/null", O_WRONLY)), 1), 1);
			CHECK_OK(execv(name, args));
		}
		t_reap(pid);
		heat();
	}
}
