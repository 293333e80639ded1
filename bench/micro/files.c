/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: null calls, names, descriptors, bytes. Each thread has files of its own. */
#include "micro.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NO_CALL 1000 /* of Linux, and far from where it may ever be */

ROW(do_getpid, getpid())
ROW(do_getppid, getppid())
ROW(do_gettid, gettid())
ROW(do_getuid, getuid())
ROW(do_umask, umask(022))
ROW(do_priority_max, TRY(sched_get_priority_max(SCHED_OTHER)))
ROW(do_enosys, syscall(NO_CALL))
ROW(do_uname, struct utsname u; TRY(uname(&u)))
ROW(do_getrusage, struct rusage u; TRY(getrusage(RUSAGE_SELF, &u)))
ROW(do_sched_yield, TRY(sched_yield()))
ROW(do_clock, struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t))

ROW(do_stat, struct stat st; TRY(stat(r->path, &st)))
ROW(do_stat_absent, struct stat st; stat(r->fresh, &st))
ROW(do_access, TRY(access(r->path, R_OK)))
ROW(do_open, close(TRY(open(r->path, O_RDONLY))))
ROW(do_create, close(TRY(open(r->fresh, O_CREAT | O_EXCL | O_WRONLY, 0600))); TRY(unlink(r->fresh)))
ROW(do_rename, TRY(rename(r->path, r->fresh)); TRY(rename(r->fresh, r->path)))
ROW(do_mkdir, TRY(mkdir(r->fresh, 0700)); TRY(rmdir(r->fresh)))
ROW(do_readlink, TRY(readlink(r->link, r->block, 256)))
ROW(do_getcwd, if (getcwd(r->block, 4096) == NULL) fail("getcwd"))

static void list(const char *dir, char *block)
{
	int fd = TRY(open(dir, O_RDONLY | O_DIRECTORY));

	while (TRY(getdents64(fd, block, 32768)) > 0)
		;
	close(fd);
}
ROW(do_getdents, list("many", r->block))
ROW(do_getdents_root, list("/", r->block))

ROW(do_fstat, struct stat st; TRY(fstat(r->file, &st)))
ROW(do_lseek, TRY(lseek(r->file, i_ & 4095, SEEK_SET)))
ROW(do_dup, close(TRY(dup(r->file))))
ROW(do_fcntl, TRY(fcntl(r->file, F_GETFL)))
ROW(do_null, TRY(write(r->null, r->block, 1)))
/* At the file's end once more from its beginning: once in 256 steps, or in a million. */
ROW(do_read_1, if (TRY(read(r->file, r->block, 1)) == 0) TRY(lseek(r->file, 0, SEEK_SET)))
ROW(do_read_4k, if (TRY(read(r->file, r->block, 4096)) == 0) TRY(lseek(r->file, 0, SEEK_SET)))
ROW(do_pread_1, TRY(pread(r->file, r->block, 1, 0)))
ROW(do_pread_4k, TRY(pread(r->file, r->block, 4096, 0)))
ROW(do_pread_64k, TRY(pread(r->file, r->block, 65536, 0)))
ROW(do_pread_1m, TRY(pread(r->file, r->block, MIB, 0)))
ROW(do_pwrite_1, TRY(pwrite(r->file, r->block, 1, 0)))
ROW(do_pwrite_4k, TRY(pwrite(r->file, r->block, 4096, 0)))
ROW(do_pwrite_1m, TRY(pwrite(r->file, r->block, MIB, 0)))
ROW(do_ftruncate, TRY(ftruncate(r->file, 0)); TRY(ftruncate(r->file, 4096)))

int64_t do_readv(struct run *r, long n)
{
	struct iovec v[4];

	for (int i = 0; i < 4; i++)
		v[i] = (struct iovec){r->block + i * 4096, 1024};
	return TIMED(r, n, TRY(preadv(r->file, v, 4, 0)));
}
