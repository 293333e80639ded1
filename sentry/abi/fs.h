/* SPDX-License-Identifier: Apache-2.0 */
/* Constants and structures of file calls, as amd64 Linux has them (open(2), stat(2), poll(2), fcntl(2), mount(2)). */
#ifndef SENTRY_ABI_FS_H
#define SENTRY_ABI_FS_H

#include <stdint.h>

#define LINUX_PATH_MAX 4096
#define LINUX_NAME_MAX 255
#define LINUX_MAXSYMLINKS 40
#define LINUX_PIPE_BUF 4096

#define LINUX_O_ACCMODE 03
#define LINUX_O_RDONLY 00
#define LINUX_O_WRONLY 01
#define LINUX_O_RDWR 02
#define LINUX_O_CREAT 0100
#define LINUX_O_EXCL 0200
#define LINUX_O_NOCTTY 0400
#define LINUX_O_TRUNC 01000
#define LINUX_O_APPEND 02000
#define LINUX_O_NONBLOCK 04000
#define LINUX_O_DSYNC 010000
#define LINUX_FASYNC 020000
#define LINUX_O_DIRECT 040000
#define LINUX_O_LARGEFILE 0100000
#define LINUX_O_DIRECTORY 0200000
#define LINUX_O_NOFOLLOW 0400000
#define LINUX_O_NOATIME 01000000
#define LINUX_O_CLOEXEC 02000000
#define LINUX_O_SYNC 04010000
#define LINUX_O_PATH 010000000
#define LINUX_O_TMPFILE 020200000

#define LINUX_S_IFMT 0170000
#define LINUX_S_IFSOCK 0140000
#define LINUX_S_IFLNK 0120000
#define LINUX_S_IFREG 0100000
#define LINUX_S_IFBLK 060000
#define LINUX_S_IFDIR 040000
#define LINUX_S_IFCHR 020000
#define LINUX_S_IFIFO 010000
#define LINUX_S_ISUID 04000
#define LINUX_S_ISGID 02000
#define LINUX_S_ISVTX 01000

#define LINUX_AT_FDCWD -100
#define LINUX_AT_SYMLINK_NOFOLLOW 0x100U
#define LINUX_AT_REMOVEDIR 0x200U
#define LINUX_AT_SYMLINK_FOLLOW 0x400U
#define LINUX_AT_NO_AUTOMOUNT 0x800U
#define LINUX_AT_EMPTY_PATH 0x1000U
#define LINUX_AT_EACCESS 0x200U
#define LINUX_AT_STATX_SYNC_TYPE 0x6000U

#define LINUX_RESOLVE_NO_XDEV 0x1U
#define LINUX_RESOLVE_NO_MAGICLINKS 0x2U
#define LINUX_RESOLVE_NO_SYMLINKS 0x4U
#define LINUX_RESOLVE_BENEATH 0x8U
#define LINUX_RESOLVE_IN_ROOT 0x10U
#define LINUX_RESOLVE_CACHED 0x20U

#define LINUX_DT_UNKNOWN 0
#define LINUX_DT_FIFO 1
#define LINUX_DT_CHR 2
#define LINUX_DT_DIR 4
#define LINUX_DT_BLK 6
#define LINUX_DT_REG 8
#define LINUX_DT_LNK 10
#define LINUX_DT_SOCK 12

#define LINUX_POLLIN 0x1U
#define LINUX_POLLPRI 0x2U
#define LINUX_POLLOUT 0x4U
#define LINUX_POLLERR 0x8U
#define LINUX_POLLHUP 0x10U
#define LINUX_POLLNVAL 0x20U
#define LINUX_POLLRDNORM 0x40U
#define LINUX_POLLRDBAND 0x80U
#define LINUX_POLLWRNORM 0x100U
#define LINUX_POLLWRBAND 0x200U
#define LINUX_POLLMSG 0x400U
#define LINUX_POLLRDHUP 0x2000U

#define LINUX_SEEK_SET 0
#define LINUX_SEEK_CUR 1
#define LINUX_SEEK_END 2
#define LINUX_SEEK_DATA 3
#define LINUX_SEEK_HOLE 4

#define LINUX_F_DUPFD 0
#define LINUX_F_GETFD 1
#define LINUX_F_SETFD 2
#define LINUX_F_GETFL 3
#define LINUX_F_SETFL 4
#define LINUX_F_GETLK 5
#define LINUX_F_SETLK 6
#define LINUX_F_SETLKW 7
#define LINUX_F_SETOWN 8
#define LINUX_F_GETOWN 9
#define LINUX_F_SETSIG 10
#define LINUX_F_GETSIG 11
#define LINUX_F_SETOWN_EX 15
#define LINUX_F_GETOWN_EX 16
#define LINUX_F_OFD_GETLK 36
#define LINUX_F_OFD_SETLK 37
#define LINUX_F_OFD_SETLKW 38
#define LINUX_F_SETLEASE 1024
#define LINUX_F_GETLEASE 1025
#define LINUX_F_NOTIFY 1026
#define LINUX_F_DUPFD_CLOEXEC 1030
#define LINUX_F_SETPIPE_SZ 1031
#define LINUX_F_GETPIPE_SZ 1032
#define LINUX_F_ADD_SEALS 1033
#define LINUX_F_GET_SEALS 1034
#define LINUX_F_GET_RW_HINT 1035
#define LINUX_F_SET_RW_HINT 1036
#define LINUX_FD_CLOEXEC 1
#define LINUX_F_RDLCK 0
#define LINUX_F_WRLCK 1
#define LINUX_F_UNLCK 2
#define LINUX_LOCK_SH 1
#define LINUX_LOCK_EX 2
#define LINUX_LOCK_NB 4
#define LINUX_LOCK_UN 8
#define LINUX_F_SEAL_SEAL 0x1U
#define LINUX_F_SEAL_SHRINK 0x2U
#define LINUX_F_SEAL_GROW 0x4U
#define LINUX_F_SEAL_WRITE 0x8U
#define LINUX_F_SEAL_FUTURE_WRITE 0x10U
#define LINUX_F_SEAL_EXEC 0x20U

#define LINUX_RENAME_NOREPLACE 0x1U
#define LINUX_RENAME_EXCHANGE 0x2U
#define LINUX_RENAME_WHITEOUT 0x4U
#define LINUX_XATTR_CREATE 0x1U
#define LINUX_XATTR_REPLACE 0x2U
#define LINUX_XATTR_NAME_MAX 255
#define LINUX_XATTR_SIZE_MAX 65536
#define LINUX_XATTR_LIST_MAX 65536

#define LINUX_FALLOC_FL_KEEP_SIZE 0x1U
#define LINUX_FALLOC_FL_PUNCH_HOLE 0x2U
#define LINUX_FALLOC_FL_COLLAPSE_RANGE 0x8U
#define LINUX_FALLOC_FL_ZERO_RANGE 0x10U
#define LINUX_FALLOC_FL_INSERT_RANGE 0x20U
#define LINUX_FALLOC_FL_UNSHARE_RANGE 0x40U

#define LINUX_MS_RDONLY 0x1U
#define LINUX_MS_NOSUID 0x2U
#define LINUX_MS_NODEV 0x4U
#define LINUX_MS_NOEXEC 0x8U
#define LINUX_MS_SYNCHRONOUS 0x10U
#define LINUX_MS_REMOUNT 0x20U
#define LINUX_MS_NOATIME 0x400U
#define LINUX_MS_NODIRATIME 0x800U
#define LINUX_MS_BIND 0x1000U
#define LINUX_MS_MOVE 0x2000U
#define LINUX_MS_REC 0x4000U
#define LINUX_MS_RELATIME 0x200000U

#define LINUX_STATX_BASIC_STATS 0x7ffU
#define LINUX_STATX_BTIME 0x800U
#define LINUX_STATX_MNT_ID 0x1000U
#define LINUX_STATX_ATTR_APPEND 0x20U
#define LINUX_STATX_ATTR_IMMUTABLE 0x10U
#define LINUX_STATX_ATTR_MOUNT_ROOT 0x2000U

#define LINUX_RWF_HIPRI 0x1U
#define LINUX_RWF_DSYNC 0x2U
#define LINUX_RWF_SYNC 0x4U
#define LINUX_RWF_NOWAIT 0x8U
#define LINUX_RWF_APPEND 0x10U

#define LINUX_TMPFS_MAGIC 0x1021994U
#define LINUX_PROC_SUPER_MAGIC 0x9fa0U
#define LINUX_SYSFS_MAGIC 0x62656572U
#define LINUX_DEVPTS_SUPER_MAGIC 0x1cd1U
#define LINUX_PIPEFS_MAGIC 0x50495045U
#define LINUX_SOCKFS_MAGIC 0x534f434bU
#define LINUX_ANON_INODE_FS_MAGIC 0x9041934U
#define LINUX_OVERLAYFS_SUPER_MAGIC 0x794c7630U
#define LINUX_EXT4_SUPER_MAGIC 0xef53U
#define LINUX_CGROUP_SUPER_MAGIC 0x27e0ebU
#define LINUX_CGROUP2_SUPER_MAGIC 0x63677270U
#define LINUX_UTIME_NOW 0x3fffffffL
#define LINUX_UTIME_OMIT 0x3ffffffeL

struct linux_timespec {
	int64_t sec, nsec;
};
struct linux_timeval {
	int64_t sec, usec;
};

struct linux_stat {
	uint64_t dev, ino, nlink;
	uint32_t mode, uid, gid, pad0;
	uint64_t rdev;
	int64_t size, blksize, blocks;
	struct linux_timespec atime, mtime, ctime;
	int64_t unused[3];
};
_Static_assert(sizeof(struct linux_stat) == 144, "struct stat");

struct linux_statx_timestamp {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};
struct linux_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct linux_statx_timestamp atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id;
	uint32_t dio_mem_align, dio_offset_align;
	uint64_t spare3[12];
};
_Static_assert(sizeof(struct linux_statx) == 256, "struct statx");

struct linux_statfs {
	int64_t type, bsize;
	uint64_t blocks, bfree, bavail, files, ffree;
	int32_t fsid[2];
	int64_t namelen, frsize, flags, spare[4];
};
_Static_assert(sizeof(struct linux_statfs) == 120, "struct statfs");

struct linux_flock {
	int16_t type, whence;
	int32_t pad0;
	int64_t start, len;
	int32_t pid, pad1;
};
_Static_assert(sizeof(struct linux_flock) == 32, "struct flock");

struct linux_pollfd {
	int32_t fd;
	int16_t events, revents;
};

struct linux_open_how {
	uint64_t flags, mode, resolve;
};

/* getdents64(2): the name follows at once, NUL-terminated, padded to 8 bytes. */
struct linux_dirent64 {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* dev_t as stat(2) encodes it. */
#define LINUX_MKDEV(major, minor) (((uint64_t)(minor) & 0xff) | (((uint64_t)(major) & 0xfff) << 8) | (((uint64_t)(minor) & ~0xffULL) << 12))
#define LINUX_MAJOR(dev) ((uint32_t)(((dev) >> 8) & 0xfff))
#define LINUX_MINOR(dev) ((uint32_t)(((dev) & 0xff) | (((dev) >> 12) & 0xfff00)))

#endif
