/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program whose connects are denied, for tests/e2e/inspector: from a known place, and with everything an unwinder believes
 * forged. Prints where its functions lie, then does what its argument says.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <elf.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static int sock;
static struct sockaddr_in to = {.sin_family = AF_INET};

/* Each denial is another address: the audit log folds those that are alike. */
static void next_address(void)
{
	static unsigned n;

	to.sin_port = htons(80);
	to.sin_addr.s_addr = htonl(0xc6336400 + n / 250 * 256 + n % 250 + 1); /* 198.51.100.1 and on */
	n++;
}

NOINLINE int reach_out(void)
{
	volatile char pad[300];
	int r;

	next_address();
	pad[5] = 1;
	r = connect(sock, (struct sockaddr *)&to, sizeof(to));
	return r + pad[5];
}

NOINLINE int middle(int n)
{
	volatile int x = reach_out();

	return x + n;
}

NOINLINE void on_signal(int sig)
{
	(void)sig;
	middle(1);
}

/* connect(2) with any stack and frame pointer. */
static long connect_with(void *sp, void *bp)
{
	struct sockaddr_in *name = &to;
	long fd = sock;

	next_address();
	register long nr __asm__("rax") = SYS_connect;
	register long a __asm__("rdi") = fd;
	register void *b __asm__("rsi") = name;
	register long c __asm__("rdx") = sizeof(to);
	register void *s __asm__("r12") = sp;
	register void *f __asm__("r13") = bp;

	__asm__ volatile("mov %%rsp, %%r14\n\tmov %%rbp, %%r15\n\tmov %4, %%rsp\n\tmov %5, %%rbp\n\tsyscall\n\t"
			 "mov %%r14, %%rsp\n\tmov %%r15, %%rbp"
			 : "+r"(nr)
			 : "r"(a), "r"(b), "r"(c), "r"(s), "r"(f)
			 : "rcx", "r11", "r14", "r15", "memory");
	return nr;
}

static void forge_stacks(void)
{
	static uint64_t cycle[4096];
	uint64_t *top = &cycle[4000];

	connect_with((void *)8, (void *)16);                                  /* nothing is there */
	connect_with((void *)0x7fffffffeff8, (void *)0xffffffffff600000);     /* nor there */
	connect_with((void *)0xffffffffffffff00, (void *)0x8000000000000000); /* nor can be */
	/* Frames that lead back to themselves, with return addresses into this program. */
	for (unsigned i = 0; i < 4096; i += 2) {
		cycle[i] = (uint64_t)top;
		cycle[i + 1] = (uint64_t)middle + 4;
	}
	connect_with(top, top);
	/* Ever deeper. */
	for (unsigned i = 0; i + 2 < 4096; i += 2)
		cycle[i] = (uint64_t)&cycle[i + 2];
	connect_with(cycle, cycle);
}

struct tables {
	uint8_t *hdr;
	size_t len; /* to the end of the segment it lies in */
};

static int find_tables(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct tables *t = arg;
	uint8_t *at = NULL;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
			at = (uint8_t *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
	for (int i = 0; at != NULL && i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint8_t *start = (uint8_t *)info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && start <= at && at < start + p->p_filesz) {
			t->hdr = at;
			t->len = (size_t)(start + p->p_filesz - at);
		}
	}
	return 1; /* the program itself comes first */
}

/* A table with one function, whose frame is an expression that jumps back to its own beginning. */
static void forge_loop(uint8_t *hdr)
{
	static const uint8_t cie[] = {0x14, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 0x10, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0};
	volatile uintptr_t here = (uintptr_t)reach_out;
	uint8_t *c = hdr + 32, *f = c + sizeof(cie), *code = (uint8_t *)(here & ~4095UL);
	int32_t words[] = {1, (int32_t)(code - hdr), (int32_t)(f - hdr)};
	uint32_t fde[] = {28, (uint32_t)(f + 4 - c), (uint32_t)(int32_t)(code - (f + 8)), 16384};
	static const uint8_t loop[] = {0, 0x0f, 3, 0x2f, 0xfd, 0xff}; /* DW_CFA_def_cfa_expression {DW_OP_skip -3} */

	memcpy(hdr, "\x01\x1b\x03\x3b", 4);
	memcpy(hdr + 8, words, sizeof(words));
	memcpy(c, cie, sizeof(cie));
	memcpy(f, fde, sizeof(fde));
	memcpy(f + sizeof(fde), loop, sizeof(loop));
}

static void forge_tables(unsigned rounds)
{
	struct tables t = {0};
	uint8_t *page, *saved;
	unsigned seed = 1;

	dl_iterate_phdr(find_tables, &t);
	if (t.hdr == NULL)
		exit(3);
	page = (uint8_t *)((uintptr_t)t.hdr & ~4095UL);
	if (mprotect(page, (size_t)(t.hdr + t.len - page), PROT_READ | PROT_WRITE) != 0)
		exit(4);
	saved = malloc(t.len);
	memcpy(saved, t.hdr, t.len);
	forge_loop(t.hdr);
	connect_with(__builtin_frame_address(0), __builtin_frame_address(0));
	memcpy(t.hdr, saved, t.len);
	for (unsigned i = 0; i < rounds; i++) {
		unsigned n = i % 4 == 3 ? (unsigned)t.len : 1 + i % 40;

		for (unsigned k = 0; k < n; k++)
			t.hdr[(n < t.len ? (unsigned)rand_r(&seed) : k) % t.len] = (uint8_t)rand_r(&seed);
		if (i % 2 != 0)
			memcpy(t.hdr, saved, 12 + 8); /* so that what lies behind is looked at */
		middle(1);
		memcpy(t.hdr, saved, t.len);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "plain";

	sock = socket(AF_INET, SOCK_STREAM, 0);
	printf("%p %p %p %p\n", (void *)reach_out, (void *)middle, (void *)main, (void *)on_signal);
	fflush(stdout);
	if (strcmp(what, "signal") == 0) {
		stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536};
		struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};

		sigaltstack(&ss, NULL);
		sigaction(SIGUSR1, &sa, NULL);
		raise(SIGUSR1);
	} else if (strcmp(what, "stacks") == 0) {
		forge_stacks();
	} else if (strcmp(what, "tables") == 0) {
		forge_tables(argc > 2 ? (unsigned)atoi(argv[2]) : 100);
	} else {
		return middle(3) & 1;
	}
	puts("done");
	return 0;
}
