/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp filter of stubs: see stub_filter.c. */
#ifndef SENTRY_PLATFORM_STUB_FILTER_H
#define SENTRY_PLATFORM_STUB_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#define STUB_FILTER_MAX 512
/*
 * Descriptors with the first numbers are mapped only when asked for: see native.c. Those with the second are closed unasked: they
 * are for mappings that need not be asked for, and for no other. The host chooses the lowest that are free, which hardly come so
 * far. Above both a stub's table would have to grow, for which the host waits until all CPUs have noticed if threads share it.
 */
#define STUB_GUARDED_LO 32U
#define STUB_GUARDED_HI 48U
#define STUB_OWN_LO 48U
#define STUB_OWN_HI 64U

/*
 * Writes the program into out; the number of instructions. sigreturn_ip is the address behind the stub's sigreturn
 * instruction, text_end the end of the stub's text. notify is the action for calls that come to the sentry
 * (SECCOMP_RET_USER_NOTIF or SECCOMP_RET_TRACE). outer: we are under somebody's filter already.
 */
unsigned stub_filter_build(struct sock_filter out[STUB_FILTER_MAX], uint64_t sigreturn_ip, uint64_t text_end,
			   uint32_t notify, bool outer);

/* True if the filter lets the stub make this call unasked: it is not notified. */
bool stub_filter_free(int64_t nr, const uint64_t args[6]);

#endif
