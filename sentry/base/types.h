/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words every file of the sentry uses: sizes, the guest pointer type, containers, and invariants.
 *
 * A guest address is never a C pointer: gva_t can't be dereferenced or passed where a host pointer belongs.
 * Only sentry/mm/usercopy.c and the platforms turn one into bytes.
 */
#ifndef SENTRY_BASE_TYPES_H
#define SENTRY_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An address in the guest's address space. Guest-chosen unless said otherwise: hostile. */
typedef struct {
	uint64_t v;
} gva_t;

#define GVA(x) ((gva_t){(uint64_t)(x)})
#define GVA_NULL GVA(0)
#define gva_add(g, n) GVA((g).v + (uint64_t)(n))

#define PAGE_SIZE 4096UL
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x) (((uint64_t)(x) + PAGE_SIZE - 1) & PAGE_MASK)
#define PAGE_DOWN(x) ((uint64_t)(x) & PAGE_MASK)

#define KiB 1024UL
#define MiB (1024UL * KiB)
#define GiB (1024UL * MiB)

#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_USEC 1000ULL

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                                      \
	({                                                                                                             \
		__auto_type _min_a = (a);                                                                              \
		__auto_type _min_b = (b);                                                                              \
		_min_a < _min_b ? _min_a : _min_b;                                                                     \
	})
#define MAX(a, b)                                                                                                      \
	({                                                                                                             \
		__auto_type _max_a = (a);                                                                              \
		__auto_type _max_b = (b);                                                                              \
		_max_a > _max_b ? _max_a : _max_b;                                                                     \
	})
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define must_check __attribute__((warn_unused_result))
#define unused_arg __attribute__((unused))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

/*
 * Sentry invariants stay on in release builds: a sentry that no longer knows its own state ends the sandbox. Guest
 * input must never reach one (return an errno instead), and the condition has no side effects.
 */
_Noreturn void panic(const char *file, int line, const char *fmt, ...) printf_like(3, 4);
#define invariant(cond)                                                                                                \
	do {                                                                                                           \
		if (__builtin_expect(!(cond), 0))                                                                      \
			panic(__FILE__, __LINE__, "%s", #cond);                                                        \
	} while (0)
#define PANIC(...) panic(__FILE__, __LINE__, __VA_ARGS__)

#endif
