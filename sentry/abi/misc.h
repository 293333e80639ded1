/* SPDX-License-Identifier: Apache-2.0 */
/* Structures of uname(2), sysinfo(2), getrandom(2), ustat(2), io_submit(2). */
#ifndef SENTRY_ABI_MISC_H
#define SENTRY_ABI_MISC_H

#include <stdint.h>

struct linux_utsname {
	char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65];
};

struct linux_sysinfo {
	int64_t uptime;
	uint64_t loads[3]; /* 16 bits of fraction */
	uint64_t totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	uint16_t procs, pad;
	uint64_t totalhigh, freehigh;
	uint32_t mem_unit;
};
_Static_assert(sizeof(struct linux_sysinfo) == 112, "struct sysinfo");

#define LINUX_GRND_NONBLOCK 1U
#define LINUX_GRND_RANDOM 2U
#define LINUX_GRND_INSECURE 4U

struct linux_ustat {
	int32_t tfree;
	uint64_t tinode;
	char fname[6], fpack[6];
};
_Static_assert(sizeof(struct linux_ustat) == 32, "struct ustat");

enum {
	LINUX_IOCB_CMD_PREAD = 0,
	LINUX_IOCB_CMD_PWRITE = 1,
	LINUX_IOCB_CMD_FSYNC = 2,
	LINUX_IOCB_CMD_FDSYNC = 3,
	LINUX_IOCB_CMD_POLL = 5,
	LINUX_IOCB_CMD_NOOP = 6,
	LINUX_IOCB_CMD_PREADV = 7,
	LINUX_IOCB_CMD_PWRITEV = 8,
};
#define LINUX_IOCB_FLAG_RESFD 1U
#define LINUX_IOCB_FLAG_IOPRIO 2U

struct linux_iocb {
	uint64_t data;
	uint32_t key, rw_flags;
	uint16_t opcode;
	int16_t reqprio;
	uint32_t fd;
	uint64_t buf, nbytes;
	int64_t offset;
	uint64_t reserved2;
	uint32_t flags, resfd;
};
_Static_assert(sizeof(struct linux_iocb) == 64, "struct iocb");

struct linux_io_event {
	uint64_t data, obj;
	int64_t res, res2;
};

#endif
