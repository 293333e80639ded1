/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a handler is written:
 *
 *	SYSCALL_DEFINE3(read, int, fd, gva_t, buf, uint64_t, count)
 *	{
 *		...
 *	}
 *
 * makes int64_t sys_read(struct task *, const uint64_t args[6]), which casts each register as the kernel does (an int
 * takes the low half) and calls the body with typed arguments and `task`. A handler checks arguments, moves bytes
 * between guest and sentry, and calls the object; it returns a value or -LINUX_E*.
 */
#ifndef SYSCALLS_DEFINE_H
#define SYSCALLS_DEFINE_H

#include "sentry/abi/errno.h"
#include "sentry/base/types.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/usercopy.h"

typedef int64_t (*syscall_fn)(struct task *task, const uint64_t args[6]);

/* A register as a typed argument: gva_t is a structure, all else converts. */
static inline gva_t syscall_arg_gva(uint64_t v)
{
	return GVA(v);
}
static inline uint64_t syscall_arg_int(uint64_t v)
{
	return v;
}
#define SYSCALL_DEFINE0(name)                                                                                          \
	int64_t sys_##name(struct task *task, const uint64_t args[6]);                                                 \
	int64_t sys_##name(struct task *task, unused_arg const uint64_t args[6])

#define SYSCALL_PROTO_(name)                                                                                           \
	int64_t sys_##name(struct task *task, const uint64_t args[6]);                                                 \
	int64_t sys_##name(struct task *task, const uint64_t args[6])

#define SYSCALL_LOCAL_(T, v, i) T v = _Generic(*(T *)0, gva_t: syscall_arg_gva, default: syscall_arg_int)(args[i])

#define SYSCALL_DEFINE1(name, T0, a0)                                                                                  \
	static inline int64_t do_##name(struct task *task, T0 a0);                                                     \
	SYSCALL_PROTO_(name)                                                                                           \
	{                                                                                                              \
		SYSCALL_LOCAL_(T0, a0, 0);                                                                             \
		return do_##name(task, a0);                                                                            \
	}                                                                                                              \
	static inline int64_t do_##name(unused_arg struct task *task, T0 a0)
#define SYSCALL_DEFINE2(name, T0, a0, T1, a1)                                                                          \
	static inline int64_t do_##name(struct task *task, T0 a0, T1 a1);                                              \
	SYSCALL_PROTO_(name)                                                                                           \
	{                                                                                                              \
		SYSCALL_LOCAL_(T0, a0, 0);                                                                             \
		SYSCALL_LOCAL_(T1, a1, 1);                                                                             \
		return do_##name(task, a0, a1);                                                                        \
	}                                                                                                              \
	static inline int64_t do_##name(unused_arg struct task *task, T0 a0, T1 a1)
#define SYSCALL_DEFINE3(name, T0, a0, T1, a1, T2, a2)                                                                  \
	static inline int64_t do_##name(struct task *task, T0 a0, T1 a1, T2 a2);                                       \
	SYSCALL_PROTO_(name)                                                                                           \
	{                                                                                                              \
		SYSCALL_LOCAL_(T0, a0, 0);                                                                             \
		SYSCALL_LOCAL_(T1, a1, 1);                                                                             \
		SYSCALL_LOCAL_(T2, a2, 2);                                                                             \
		return do_##name(task, a0, a1, a2);                                                                    \
	}                                                                                                              \
	static inline int64_t do_##name(unused_arg struct task *task, T0 a0, T1 a1, T2 a2)
#define SYSCALL_DEFINE4(name, T0, a0, T1, a1, T2, a2, T3, a3)                                                          \
	static inline int64_t do_##name(struct task *task, T0 a0, T1 a1, T2 a2, T3 a3);                                \
	SYSCALL_PROTO_(name)                                                                                           \
	{                                                                                                              \
		SYSCALL_LOCAL_(T0, a0, 0);                                                                             \
		SYSCALL_LOCAL_(T1, a1, 1);                                                                             \
		SYSCALL_LOCAL_(T2, a2, 2);                                                                             \
		SYSCALL_LOCAL_(T3, a3, 3);                                                                             \
		return do_##name(task, a0, a1, a2, a3);                                                                \
	}                                                                                                              \
	static inline int64_t do_##name(unused_arg struct task *task, T0 a0, T1 a1, T2 a2, T3 a3)
#define SYSCALL_DEFINE5(name, T0, a0, T1, a1, T2, a2, T3, a3, T4, a4)                                                  \
	static inline int64_t do_##name(struct task *task, T0 a0, T1 a1, T2 a2, T3 a3, T4 a4);                         \
	SYSCALL_PROTO_(name)                                                                                           \
	{                                                                                                              \
		SYSCALL_LOCAL_(T0, a0, 0);                                                                             \
		SYSCALL_LOCAL_(T1, a1, 1);                                                                             \
		SYSCALL_LOCAL_(T2, a2, 2);                                                                             \
		SYSCALL_LOCAL_(T3, a3, 3);                                                                             \
		SYSCALL_LOCAL_(T4, a4, 4);                                                                             \
		return do_##name(task, a0, a1, a2, a3, a4);                                                            \
	}                                                                                                              \
	static inline int64_t do_##name(unused_arg struct task *task, T0 a0, T1 a1, T2 a2, T3 a3, T4 a4)
#define SYSCALL_DEFINE6(name, T0, a0, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5)                                          \
	static inline int64_t do_##name(struct task *task, T0 a0, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5);                  \
	SYSCALL_PROTO_(name)                                                                                           \
	{                                                                                                              \
		SYSCALL_LOCAL_(T0, a0, 0);                                                                             \
		SYSCALL_LOCAL_(T1, a1, 1);                                                                             \
		SYSCALL_LOCAL_(T2, a2, 2);                                                                             \
		SYSCALL_LOCAL_(T3, a3, 3);                                                                             \
		SYSCALL_LOCAL_(T4, a4, 4);                                                                             \
		SYSCALL_LOCAL_(T5, a5, 5);                                                                             \
		return do_##name(task, a0, a1, a2, a3, a4, a5);                                                        \
	}                                                                                                              \
	static inline int64_t do_##name(unused_arg struct task *task, T0 a0, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5)

#endif
