/* SPDX-License-Identifier: Apache-2.0 */
/* Classic BPF programs over a block of 32-bit words: what seccomp filters are. */
#ifndef SENTRY_KERNEL_BPF_H
#define SENTRY_KERNEL_BPF_H

#include "sentry/abi/seccomp.h"
#include "sentry/base/types.h"

/* Every jump stays inside and forward, every path ends in a return, no scratch word is read before it is written, loads
 * are words within size bytes. Only what passed may be run. */
bool bpf_check(const struct linux_sock_filter *prog, unsigned len, unsigned size) must_check;
/* The program's result. Ends: all jumps go forward. */
uint32_t bpf_run(const struct linux_sock_filter *prog, const void *data, unsigned size);

#endif
