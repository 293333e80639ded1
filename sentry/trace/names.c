/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of numbers in the guest's ABI. The sets are named like the argument kinds of syscalls/table.def; in a set of
 * flags a value of several bits stands before those it contains (O_SYNC before O_DSYNC).
 */
#include "sentry/trace/names.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/signal.h"

#include <stdio.h>
#include <string.h>

static const struct name oflags_names[] = {
	{1, "O_WRONLY"},         {2, "O_RDWR"},
	{0x40, "O_CREAT"},       {0x80, "O_EXCL"},
	{0x100, "O_NOCTTY"},     {0x200, "O_TRUNC"},
	{0x400, "O_APPEND"},     {0x800, "O_NONBLOCK"},
	{0x101000, "O_SYNC"},    {0x1000, "O_DSYNC"},
	{0x2000, "FASYNC"},      {0x4000, "O_DIRECT"},
	{0x410000, "O_TMPFILE"}, {0x10000, "O_DIRECTORY"},
	{0x20000, "O_NOFOLLOW"}, {0x40000, "O_NOATIME"},
	{0x80000, "O_CLOEXEC"},  {0x200000, "O_PATH"},
};
static const struct name fdflags_names[] = {
	{0x800, "O_NONBLOCK"},
	{0x80000, "O_CLOEXEC"},
	{0x4000, "O_DIRECT"},
};
static const struct name prot_names[] = {
	{1, "PROT_READ"},
	{2, "PROT_WRITE"},
	{4, "PROT_EXEC"},
	{0x1000000, "PROT_GROWSDOWN"},
	{0x2000000, "PROT_GROWSUP"},
};
static const struct name mapflags_names[] = {
	{1, "MAP_SHARED"},      {2, "MAP_PRIVATE"},        {0x10, "MAP_FIXED"},      {0x20, "MAP_ANONYMOUS"},
	{0x40, "MAP_32BIT"},    {0x100, "MAP_GROWSDOWN"},  {0x800, "MAP_DENYWRITE"}, {0x1000, "MAP_EXECUTABLE"},
	{0x2000, "MAP_LOCKED"}, {0x4000, "MAP_NORESERVE"}, {0x8000, "MAP_POPULATE"}, {0x10000, "MAP_NONBLOCK"},
	{0x20000, "MAP_STACK"}, {0x40000, "MAP_HUGETLB"},  {0x80000, "MAP_SYNC"},    {0x100000, "MAP_FIXED_NOREPLACE"},
};
static const struct name mremapflags_names[] = {
	{1, "MREMAP_MAYMOVE"},
	{2, "MREMAP_FIXED"},
	{4, "MREMAP_DONTUNMAP"},
};
static const struct name msyncflags_names[] = {
	{1, "MS_ASYNC"},
	{2, "MS_INVALIDATE"},
	{4, "MS_SYNC"},
};
static const struct name mlockflags_names[] = {
	{1, "MCL_CURRENT"},
	{2, "MCL_FUTURE"},
	{4, "MCL_ONFAULT"},
};
static const struct name memfdflags_names[] = {
	{1, "MFD_CLOEXEC"},
	{2, "MFD_ALLOW_SEALING"},
	{4, "MFD_HUGETLB"},
};
static const struct name madvice_names[] = {
	{0, "MADV_NORMAL"},        {1, "MADV_RANDOM"},           {2, "MADV_SEQUENTIAL"},
	{3, "MADV_WILLNEED"},      {4, "MADV_DONTNEED"},         {8, "MADV_FREE"},
	{9, "MADV_REMOVE"},        {0xa, "MADV_DONTFORK"},       {0xb, "MADV_DOFORK"},
	{0xc, "MADV_MERGEABLE"},   {0xd, "MADV_UNMERGEABLE"},    {0xe, "MADV_HUGEPAGE"},
	{0xf, "MADV_NOHUGEPAGE"},  {0x10, "MADV_DONTDUMP"},      {0x11, "MADV_DODUMP"},
	{0x12, "MADV_WIPEONFORK"}, {0x13, "MADV_KEEPONFORK"},    {0x14, "MADV_COLD"},
	{0x15, "MADV_PAGEOUT"},    {0x16, "MADV_POPULATE_READ"}, {0x17, "MADV_POPULATE_WRITE"},
};
static const struct name atflags_names[] = {
	{0x100, "AT_SYMLINK_NOFOLLOW"},
	{0x400, "AT_SYMLINK_FOLLOW"},
	{0x800, "AT_NO_AUTOMOUNT"},
	{0x1000, "AT_EMPTY_PATH"},
};
static const struct name unlinkflags_names[] = {
	{0x200, "AT_REMOVEDIR"},
};
static const struct name accessflags_names[] = {
	{0x100, "AT_SYMLINK_NOFOLLOW"},
	{0x200, "AT_EACCESS"},
	{0x1000, "AT_EMPTY_PATH"},
};
static const struct name accessmode_names[] = {
	{4, "R_OK"},
	{2, "W_OK"},
	{1, "X_OK"},
};
static const struct name statxmask_names[] = {
	{1, "STATX_TYPE"},        {2, "STATX_MODE"},     {4, "STATX_NLINK"},      {8, "STATX_UID"},
	{0x10, "STATX_GID"},      {0x20, "STATX_ATIME"}, {0x40, "STATX_MTIME"},   {0x80, "STATX_CTIME"},
	{0x100, "STATX_INO"},     {0x200, "STATX_SIZE"}, {0x400, "STATX_BLOCKS"}, {0x800, "STATX_BTIME"},
	{0x1000, "STATX_MNT_ID"},
};
static const struct name renameflags_names[] = {
	{1, "RENAME_NOREPLACE"},
	{2, "RENAME_EXCHANGE"},
	{4, "RENAME_WHITEOUT"},
};
static const struct name fallocmode_names[] = {
	{1, "FALLOC_FL_KEEP_SIZE"},     {2, "FALLOC_FL_PUNCH_HOLE"},      {8, "FALLOC_FL_COLLAPSE_RANGE"},
	{0x10, "FALLOC_FL_ZERO_RANGE"}, {0x20, "FALLOC_FL_INSERT_RANGE"}, {0x40, "FALLOC_FL_UNSHARE_RANGE"},
};
static const struct name xattrflags_names[] = {
	{1, "XATTR_CREATE"},
	{2, "XATTR_REPLACE"},
};
static const struct name flockop_names[] = {
	{1, "LOCK_SH"},
	{2, "LOCK_EX"},
	{4, "LOCK_NB"},
	{8, "LOCK_UN"},
};
static const struct name whence_names[] = {
	{0, "SEEK_SET"}, {1, "SEEK_CUR"}, {2, "SEEK_END"}, {3, "SEEK_DATA"}, {4, "SEEK_HOLE"},
};
static const struct name fadvice_names[] = {
	{0, "POSIX_FADV_NORMAL"},   {1, "POSIX_FADV_RANDOM"},   {2, "POSIX_FADV_SEQUENTIAL"},
	{3, "POSIX_FADV_WILLNEED"}, {4, "POSIX_FADV_DONTNEED"}, {5, "POSIX_FADV_NOREUSE"},
};
static const struct name resolve_names[] = {
	{1, "RESOLVE_NO_XDEV"}, {2, "RESOLVE_NO_MAGICLINKS"}, {4, "RESOLVE_NO_SYMLINKS"},
	{8, "RESOLVE_BENEATH"}, {0x10, "RESOLVE_IN_ROOT"},    {0x20, "RESOLVE_CACHED"},
};
static const struct name closerange_names[] = {
	{2, "CLOSE_RANGE_UNSHARE"},
	{4, "CLOSE_RANGE_CLOEXEC"},
};
static const struct name rwflags_names[] = {
	{1, "RWF_HIPRI"}, {2, "RWF_DSYNC"}, {4, "RWF_SYNC"}, {8, "RWF_NOWAIT"}, {0x10, "RWF_APPEND"},
};
static const struct name spliceflags_names[] = {
	{1, "SPLICE_F_MOVE"},
	{2, "SPLICE_F_NONBLOCK"},
	{4, "SPLICE_F_MORE"},
	{8, "SPLICE_F_GIFT"},
};
static const struct name pollbits_names[] = {
	{1, "POLLIN"},         {2, "POLLPRI"},        {4, "POLLOUT"},       {8, "POLLERR"},
	{0x10, "POLLHUP"},     {0x20, "POLLNVAL"},    {0x40, "POLLRDNORM"}, {0x80, "POLLRDBAND"},
	{0x100, "POLLWRNORM"}, {0x200, "POLLWRBAND"}, {0x400, "POLLMSG"},   {0x2000, "POLLRDHUP"},
};
static const struct name epollbits_names[] = {
	{1, "EPOLLIN"},
	{2, "EPOLLPRI"},
	{4, "EPOLLOUT"},
	{8, "EPOLLERR"},
	{0x10, "EPOLLHUP"},
	{0x40, "EPOLLRDNORM"},
	{0x80, "EPOLLRDBAND"},
	{0x100, "EPOLLWRNORM"},
	{0x200, "EPOLLWRBAND"},
	{0x400, "EPOLLMSG"},
	{0x2000, "EPOLLRDHUP"},
	{0x10000000, "EPOLLEXCLUSIVE"},
	{0x20000000, "EPOLLWAKEUP"},
	{0x40000000, "EPOLLONESHOT"},
	{0x80000000U, "EPOLLET"},
};
static const struct name epollop_names[] = {
	{1, "EPOLL_CTL_ADD"},
	{2, "EPOLL_CTL_DEL"},
	{3, "EPOLL_CTL_MOD"},
};
static const struct name epollflags_names[] = {
	{0x80000, "EPOLL_CLOEXEC"},
};
static const struct name eventfdflags_names[] = {
	{1, "EFD_SEMAPHORE"},
	{0x80000, "EFD_CLOEXEC"},
	{0x800, "EFD_NONBLOCK"},
};
static const struct name sfdflags_names[] = {
	{0x80000, "SFD_CLOEXEC"},
	{0x800, "SFD_NONBLOCK"},
};
static const struct name tfdflags_names[] = {
	{0x80000, "TFD_CLOEXEC"},
	{0x800, "TFD_NONBLOCK"},
};
static const struct name tfdset_names[] = {
	{1, "TFD_TIMER_ABSTIME"},
	{2, "TFD_TIMER_CANCEL_ON_SET"},
};
static const struct name inotifyflags_names[] = {
	{0x80000, "IN_CLOEXEC"},
	{0x800, "IN_NONBLOCK"},
};
static const struct name inotifymask_names[] = {
	{1, "IN_ACCESS"},
	{2, "IN_MODIFY"},
	{4, "IN_ATTRIB"},
	{8, "IN_CLOSE_WRITE"},
	{0x10, "IN_CLOSE_NOWRITE"},
	{0x20, "IN_OPEN"},
	{0x40, "IN_MOVED_FROM"},
	{0x80, "IN_MOVED_TO"},
	{0x100, "IN_CREATE"},
	{0x200, "IN_DELETE"},
	{0x400, "IN_DELETE_SELF"},
	{0x800, "IN_MOVE_SELF"},
	{0x1000000, "IN_ONLYDIR"},
	{0x2000000, "IN_DONT_FOLLOW"},
	{0x4000000, "IN_EXCL_UNLINK"},
	{0x10000000, "IN_MASK_CREATE"},
	{0x20000000, "IN_MASK_ADD"},
	{0x80000000U, "IN_ONESHOT"},
};
static const struct name cloneflags_names[] = {
	{0x100, "CLONE_VM"},
	{0x200, "CLONE_FS"},
	{0x400, "CLONE_FILES"},
	{0x800, "CLONE_SIGHAND"},
	{0x1000, "CLONE_PIDFD"},
	{0x2000, "CLONE_PTRACE"},
	{0x4000, "CLONE_VFORK"},
	{0x8000, "CLONE_PARENT"},
	{0x10000, "CLONE_THREAD"},
	{0x20000, "CLONE_NEWNS"},
	{0x40000, "CLONE_SYSVSEM"},
	{0x80000, "CLONE_SETTLS"},
	{0x100000, "CLONE_PARENT_SETTID"},
	{0x200000, "CLONE_CHILD_CLEARTID"},
	{0x400000, "CLONE_DETACHED"},
	{0x800000, "CLONE_UNTRACED"},
	{0x1000000, "CLONE_CHILD_SETTID"},
	{0x2000000, "CLONE_NEWCGROUP"},
	{0x4000000, "CLONE_NEWUTS"},
	{0x8000000, "CLONE_NEWIPC"},
	{0x10000000, "CLONE_NEWUSER"},
	{0x20000000, "CLONE_NEWPID"},
	{0x40000000, "CLONE_NEWNET"},
	{0x80000000U, "CLONE_IO"},
};
static const struct name waitoptions_names[] = {
	{1, "WNOHANG"},         {2, "WUNTRACED"},          {8, "WCONTINUED"},
	{4, "WEXITED"},         {0x1000000, "WNOWAIT"},    {0x20000000, "__WNOTHREAD"},
	{0x40000000, "__WALL"}, {0x80000000U, "__WCLONE"},
};
static const struct name idtype_names[] = {
	{0, "P_ALL"},
	{1, "P_PID"},
	{2, "P_PGID"},
	{3, "P_PIDFD"},
};
static const struct name sighow_names[] = {
	{0, "SIG_BLOCK"},
	{1, "SIG_UNBLOCK"},
	{2, "SIG_SETMASK"},
};
static const struct name saflags_names[] = {
	{0x4000000, "SA_RESTORER"}, {1, "SA_NOCLDSTOP"},           {2, "SA_NOCLDWAIT"},
	{4, "SA_SIGINFO"},          {0x8000000, "SA_ONSTACK"},     {0x10000000, "SA_RESTART"},
	{0x40000000, "SA_NODEFER"}, {0x80000000U, "SA_RESETHAND"},
};
static const struct name ssflags_names[] = {
	{1, "SS_ONSTACK"},
	{2, "SS_DISABLE"},
	{0x80000000U, "SS_AUTODISARM"},
};
static const struct name futexcmd_names[] = {
	{0, "FUTEX_WAIT"},
	{1, "FUTEX_WAKE"},
	{2, "FUTEX_FD"},
	{3, "FUTEX_REQUEUE"},
	{4, "FUTEX_CMP_REQUEUE"},
	{5, "FUTEX_WAKE_OP"},
	{6, "FUTEX_LOCK_PI"},
	{7, "FUTEX_UNLOCK_PI"},
	{8, "FUTEX_TRYLOCK_PI"},
	{9, "FUTEX_WAIT_BITSET"},
	{0xa, "FUTEX_WAKE_BITSET"},
	{0xb, "FUTEX_WAIT_REQUEUE_PI"},
	{0xc, "FUTEX_CMP_REQUEUE_PI"},
};
static const struct name clockid_names[] = {
	{0, "CLOCK_REALTIME"},          {1, "CLOCK_MONOTONIC"},     {2, "CLOCK_PROCESS_CPUTIME_ID"},
	{3, "CLOCK_THREAD_CPUTIME_ID"}, {4, "CLOCK_MONOTONIC_RAW"}, {5, "CLOCK_REALTIME_COARSE"},
	{6, "CLOCK_MONOTONIC_COARSE"},  {7, "CLOCK_BOOTTIME"},      {8, "CLOCK_REALTIME_ALARM"},
	{9, "CLOCK_BOOTTIME_ALARM"},    {0xb, "CLOCK_TAI"},
};
static const struct name timerflags_names[] = {
	{1, "TIMER_ABSTIME"},
};
static const struct name itimer_names[] = {
	{0, "ITIMER_REAL"},
	{1, "ITIMER_VIRTUAL"},
	{2, "ITIMER_PROF"},
};
static const struct name rusagewho_names[] = {
	{0, "RUSAGE_SELF"},
	{(uint64_t)-1, "RUSAGE_CHILDREN"},
	{1, "RUSAGE_THREAD"},
};
static const struct name resource_names[] = {
	{0, "RLIMIT_CPU"},        {1, "RLIMIT_FSIZE"},  {2, "RLIMIT_DATA"},     {3, "RLIMIT_STACK"},
	{4, "RLIMIT_CORE"},       {5, "RLIMIT_RSS"},    {6, "RLIMIT_NPROC"},    {7, "RLIMIT_NOFILE"},
	{8, "RLIMIT_MEMLOCK"},    {9, "RLIMIT_AS"},     {0xa, "RLIMIT_LOCKS"},  {0xb, "RLIMIT_SIGPENDING"},
	{0xc, "RLIMIT_MSGQUEUE"}, {0xd, "RLIMIT_NICE"}, {0xe, "RLIMIT_RTPRIO"}, {0xf, "RLIMIT_RTTIME"},
};
static const struct name priowho_names[] = {
	{0, "PRIO_PROCESS"},
	{1, "PRIO_PGRP"},
	{2, "PRIO_USER"},
};
static const struct name policy_names[] = {
	{0, "SCHED_OTHER"}, {1, "SCHED_FIFO"}, {2, "SCHED_RR"},
	{3, "SCHED_BATCH"}, {5, "SCHED_IDLE"}, {6, "SCHED_DEADLINE"},
};
static const struct name prctlop_names[] = {
	{1, "PR_SET_PDEATHSIG"},
	{2, "PR_GET_PDEATHSIG"},
	{3, "PR_GET_DUMPABLE"},
	{4, "PR_SET_DUMPABLE"},
	{7, "PR_GET_KEEPCAPS"},
	{8, "PR_SET_KEEPCAPS"},
	{0xf, "PR_SET_NAME"},
	{0x10, "PR_GET_NAME"},
	{0x15, "PR_GET_SECCOMP"},
	{0x16, "PR_SET_SECCOMP"},
	{0x17, "PR_CAPBSET_READ"},
	{0x18, "PR_CAPBSET_DROP"},
	{0x19, "PR_GET_TSC"},
	{0x1a, "PR_SET_TSC"},
	{0x1b, "PR_GET_SECUREBITS"},
	{0x1c, "PR_SET_SECUREBITS"},
	{0x1d, "PR_SET_TIMERSLACK"},
	{0x1e, "PR_GET_TIMERSLACK"},
	{0x23, "PR_SET_MM"},
	{0x59616d61, "PR_SET_PTRACER"},
	{0x24, "PR_SET_CHILD_SUBREAPER"},
	{0x25, "PR_GET_CHILD_SUBREAPER"},
	{0x26, "PR_SET_NO_NEW_PRIVS"},
	{0x27, "PR_GET_NO_NEW_PRIVS"},
	{0x28, "PR_GET_TID_ADDRESS"},
	{0x29, "PR_SET_THP_DISABLE"},
	{0x2a, "PR_GET_THP_DISABLE"},
	{0x2f, "PR_CAP_AMBIENT"},
	{0x34, "PR_GET_SPECULATION_CTRL"},
	{0x35, "PR_SET_SPECULATION_CTRL"},
	{0x39, "PR_SET_IO_FLUSHER"},
	{0x3a, "PR_GET_IO_FLUSHER"},
	{0x3b, "PR_SET_SYSCALL_USER_DISPATCH"},
	{0x53564d41, "PR_SET_VMA"},
	{0x41555856, "PR_GET_AUXV"},
};
static const struct name archprctl_names[] = {
	{0x1001, "ARCH_SET_GS"}, {0x1002, "ARCH_SET_FS"},    {0x1003, "ARCH_GET_FS"},
	{0x1004, "ARCH_GET_GS"}, {0x1011, "ARCH_GET_CPUID"}, {0x1012, "ARCH_SET_CPUID"},
};
static const struct name domain_names[] = {
	{0, "AF_UNSPEC"},    {1, "AF_UNIX"},   {2, "AF_INET"},     {0xa, "AF_INET6"},      {0x10, "AF_NETLINK"},
	{0x11, "AF_PACKET"}, {0x26, "AF_ALG"}, {0x28, "AF_VSOCK"}, {0x1f, "AF_BLUETOOTH"}, {0x1d, "AF_CAN"},
};
static const struct name socktypebits_names[] = {
	{1, "SOCK_STREAM"}, {2, "SOCK_DGRAM"},     {3, "SOCK_RAW"},
	{4, "SOCK_RDM"},    {5, "SOCK_SEQPACKET"}, {0xa, "SOCK_PACKET"},
};
static const struct name sockflags_names[] = {
	{0x80000, "SOCK_CLOEXEC"},
	{0x800, "SOCK_NONBLOCK"},
};
static const struct name ipproto_names[] = {
	{0, "IPPROTO_IP"},      {1, "IPPROTO_ICMP"},      {6, "IPPROTO_TCP"},    {0x11, "IPPROTO_UDP"},
	{0x29, "IPPROTO_IPV6"}, {0x3a, "IPPROTO_ICMPV6"}, {0xff, "IPPROTO_RAW"},
};
static const struct name msgflags_names[] = {
	{1, "MSG_OOB"},
	{2, "MSG_PEEK"},
	{4, "MSG_DONTROUTE"},
	{8, "MSG_CTRUNC"},
	{0x20, "MSG_TRUNC"},
	{0x40, "MSG_DONTWAIT"},
	{0x80, "MSG_EOR"},
	{0x100, "MSG_WAITALL"},
	{0x800, "MSG_CONFIRM"},
	{0x2000, "MSG_ERRQUEUE"},
	{0x4000, "MSG_NOSIGNAL"},
	{0x8000, "MSG_MORE"},
	{0x10000, "MSG_WAITFORONE"},
	{0x40000, "MSG_BATCH"},
	{0x4000000, "MSG_ZEROCOPY"},
	{0x20000000, "MSG_FASTOPEN"},
	{0x40000000, "MSG_CMSG_CLOEXEC"},
};
static const struct name shuthow_names[] = {
	{0, "SHUT_RD"},
	{1, "SHUT_WR"},
	{2, "SHUT_RDWR"},
};
static const struct name sollevel_names[] = {
	{1, "SOL_SOCKET"},  {0, "SOL_IP"},     {6, "SOL_TCP"},         {0x11, "SOL_UDP"},
	{0x29, "SOL_IPV6"}, {0xff, "SOL_RAW"}, {0x10e, "SOL_NETLINK"},
};
static const struct name sockopt_names[] = {
	{1, "SO_DEBUG"},           {2, "SO_REUSEADDR"},        {3, "SO_TYPE"},
	{4, "SO_ERROR"},           {5, "SO_DONTROUTE"},        {6, "SO_BROADCAST"},
	{7, "SO_SNDBUF"},          {8, "SO_RCVBUF"},           {9, "SO_KEEPALIVE"},
	{0xa, "SO_OOBINLINE"},     {0xb, "SO_NO_CHECK"},       {0xc, "SO_PRIORITY"},
	{0xd, "SO_LINGER"},        {0xe, "SO_BSDCOMPAT"},      {0xf, "SO_REUSEPORT"},
	{0x10, "SO_PASSCRED"},     {0x11, "SO_PEERCRED"},      {0x12, "SO_RCVLOWAT"},
	{0x13, "SO_SNDLOWAT"},     {0x14, "SO_RCVTIMEO"},      {0x15, "SO_SNDTIMEO"},
	{0x19, "SO_BINDTODEVICE"}, {0x1a, "SO_ATTACH_FILTER"}, {0x1b, "SO_DETACH_FILTER"},
	{0x1c, "SO_PEERNAME"},     {0x1d, "SO_TIMESTAMP"},     {0x1e, "SO_ACCEPTCONN"},
	{0x1f, "SO_PEERSEC"},      {0x20, "SO_SNDBUFFORCE"},   {0x21, "SO_RCVBUFFORCE"},
	{0x22, "SO_PASSSEC"},      {0x23, "SO_TIMESTAMPNS"},   {0x24, "SO_MARK"},
	{0x26, "SO_PROTOCOL"},     {0x27, "SO_DOMAIN"},        {0x28, "SO_RXQ_OVFL"},
	{0x2a, "SO_PEEK_OFF"},     {0x2b, "SO_NOFCS"},         {0x31, "SO_INCOMING_CPU"},
	{0x39, "SO_COOKIE"},       {0x3b, "SO_PEERGROUPS"},    {0x3c, "SO_ZEROCOPY"},
	{0x4d, "SO_PEERPIDFD"},
};
static const struct name fcntlcmd_names[] = {
	{0, "F_DUPFD"},          {1, "F_GETFD"},          {2, "F_SETFD"},
	{3, "F_GETFL"},          {4, "F_SETFL"},          {5, "F_GETLK"},
	{6, "F_SETLK"},          {7, "F_SETLKW"},         {8, "F_SETOWN"},
	{9, "F_GETOWN"},         {0xa, "F_SETSIG"},       {0xb, "F_GETSIG"},
	{0xf, "F_SETOWN_EX"},    {0x10, "F_GETOWN_EX"},   {0x24, "F_OFD_GETLK"},
	{0x25, "F_OFD_SETLK"},   {0x26, "F_OFD_SETLKW"},  {0x400, "F_SETLEASE"},
	{0x401, "F_GETLEASE"},   {0x402, "F_NOTIFY"},     {0x406, "F_DUPFD_CLOEXEC"},
	{0x407, "F_SETPIPE_SZ"}, {0x408, "F_GETPIPE_SZ"}, {0x409, "F_ADD_SEALS"},
	{0x40a, "F_GET_SEALS"},
};
static const struct name locktype_names[] = {
	{0, "F_RDLCK"},
	{1, "F_WRLCK"},
	{2, "F_UNLCK"},
};
static const struct name seals_names[] = {
	{1, "F_SEAL_SEAL"},  {2, "F_SEAL_SHRINK"},          {4, "F_SEAL_GROW"},
	{8, "F_SEAL_WRITE"}, {0x10, "F_SEAL_FUTURE_WRITE"},
};
static const struct name ioctlcmd_names[] = {
	{0x5401, "TCGETS"},
	{0x5402, "TCSETS"},
	{0x5403, "TCSETSW"},
	{0x5404, "TCSETSF"},
	{0x5409, "TCSBRK"},
	{0x540a, "TCXONC"},
	{0x540b, "TCFLSH"},
	{0x540e, "TIOCSCTTY"},
	{0x540f, "TIOCGPGRP"},
	{0x5410, "TIOCSPGRP"},
	{0x5411, "TIOCOUTQ"},
	{0x5412, "TIOCSTI"},
	{0x5413, "TIOCGWINSZ"},
	{0x5414, "TIOCSWINSZ"},
	{0x541b, "FIONREAD"},
	{0x5421, "FIONBIO"},
	{0x5422, "TIOCNOTTY"},
	{0x5429, "TIOCGSID"},
	{0x80045430U, "TIOCGPTN"},
	{0x40045431, "TIOCSPTLCK"},
	{0x5441, "TIOCGPTPEER"},
	{0x5450, "FIONCLEX"},
	{0x5451, "FIOCLEX"},
	{0x5452, "FIOASYNC"},
	{0x5460, "FIOQSIZE"},
	{0x8910, "SIOCGIFNAME"},
	{0x8912, "SIOCGIFCONF"},
	{0x8913, "SIOCGIFFLAGS"},
	{0x8915, "SIOCGIFADDR"},
	{0x891b, "SIOCGIFNETMASK"},
	{0x8921, "SIOCGIFMTU"},
	{0x8927, "SIOCGIFHWADDR"},
	{0x8933, "SIOCGIFINDEX"},
	{0x40049409, "FICLONE"},
	{0x80086601U, "FS_IOC_GETFLAGS"},
	{0x40086602, "FS_IOC_SETFLAGS"},
	{0x80081272U, "BLKGETSIZE64"},
};
static const struct name ipcflags_names[] = {
	{0x200, "IPC_CREAT"},
	{0x400, "IPC_EXCL"},
	{0x800, "IPC_NOWAIT"},
};
static const struct name shmflags_names[] = {
	{0x1000, "SHM_RDONLY"},
	{0x2000, "SHM_RND"},
	{0x4000, "SHM_REMAP"},
	{0x8000, "SHM_EXEC"},
};
static const struct name ipccmd_names[] = {
	{0, "IPC_RMID"},
	{1, "IPC_SET"},
	{2, "IPC_STAT"},
	{3, "IPC_INFO"},
};
static const struct name semcmd_names[] = {
	{0, "IPC_RMID"}, {1, "IPC_SET"},   {2, "IPC_STAT"},  {3, "IPC_INFO"},  {0xb, "GETPID"},  {0xc, "GETVAL"},
	{0xd, "GETALL"}, {0xe, "GETNCNT"}, {0xf, "GETZCNT"}, {0x10, "SETVAL"}, {0x11, "SETALL"},
};
static const struct name ptracereq_names[] = {
	{0, "PTRACE_TRACEME"},
	{1, "PTRACE_PEEKTEXT"},
	{2, "PTRACE_PEEKDATA"},
	{3, "PTRACE_PEEKUSER"},
	{4, "PTRACE_POKETEXT"},
	{5, "PTRACE_POKEDATA"},
	{6, "PTRACE_POKEUSER"},
	{7, "PTRACE_CONT"},
	{8, "PTRACE_KILL"},
	{9, "PTRACE_SINGLESTEP"},
	{0xc, "PTRACE_GETREGS"},
	{0xd, "PTRACE_SETREGS"},
	{0x10, "PTRACE_ATTACH"},
	{0x11, "PTRACE_DETACH"},
	{0x18, "PTRACE_SYSCALL"},
	{0x4200, "PTRACE_SETOPTIONS"},
	{0x4201, "PTRACE_GETEVENTMSG"},
	{0x4202, "PTRACE_GETSIGINFO"},
	{0x4204, "PTRACE_GETREGSET"},
	{0x4206, "PTRACE_SEIZE"},
	{0x4207, "PTRACE_INTERRUPT"},
};
static const struct name grndflags_names[] = {
	{1, "GRND_NONBLOCK"},
	{2, "GRND_RANDOM"},
	{4, "GRND_INSECURE"},
};
static const struct name seccompop_names[] = {
	{0, "SECCOMP_SET_MODE_STRICT"},
	{1, "SECCOMP_SET_MODE_FILTER"},
	{2, "SECCOMP_GET_ACTION_AVAIL"},
	{3, "SECCOMP_GET_NOTIF_SIZES"},
};
static const struct name pidfdflags_names[] = {
	{0x800, "PIDFD_NONBLOCK"},
};
static const struct name mountflags_names[] = {
	{1, "MS_RDONLY"},        {2, "MS_NOSUID"},      {4, "MS_NODEV"},         {8, "MS_NOEXEC"},
	{0x20, "MS_REMOUNT"},    {0x1000, "MS_BIND"},   {0x2000, "MS_MOVE"},     {0x4000, "MS_REC"},
	{0x40000, "MS_PRIVATE"}, {0x80000, "MS_SLAVE"}, {0x100000, "MS_SHARED"},
};
static const struct name nsflags_names[] = {
	{0x400, "CLONE_FILES"},       {0x200, "CLONE_FS"},          {0x20000, "CLONE_NEWNS"},
	{0x4000000, "CLONE_NEWUTS"},  {0x8000000, "CLONE_NEWIPC"},  {0x10000000, "CLONE_NEWUSER"},
	{0x20000000, "CLONE_NEWPID"}, {0x40000000, "CLONE_NEWNET"}, {0x2000000, "CLONE_NEWCGROUP"},
	{0x40000, "CLONE_SYSVSEM"},   {0x80, "CLONE_NEWTIME"},
};

static const struct name_set name_sets[] = {
	{"oflags", NAMES_FLAGS, oflags_names, ARRAY_LEN(oflags_names), NULL},
	{"fdflags", NAMES_FLAGS, fdflags_names, ARRAY_LEN(fdflags_names), NULL},
	{"prot", NAMES_FLAGS, prot_names, ARRAY_LEN(prot_names), "PROT_NONE"},
	{"mapflags", NAMES_FLAGS, mapflags_names, ARRAY_LEN(mapflags_names), NULL},
	{"mremapflags", NAMES_FLAGS, mremapflags_names, ARRAY_LEN(mremapflags_names), NULL},
	{"msyncflags", NAMES_FLAGS, msyncflags_names, ARRAY_LEN(msyncflags_names), NULL},
	{"mlockflags", NAMES_FLAGS, mlockflags_names, ARRAY_LEN(mlockflags_names), NULL},
	{"memfdflags", NAMES_FLAGS, memfdflags_names, ARRAY_LEN(memfdflags_names), NULL},
	{"madvice", NAMES_ENUM, madvice_names, ARRAY_LEN(madvice_names), NULL},
	{"atflags", NAMES_FLAGS, atflags_names, ARRAY_LEN(atflags_names), NULL},
	{"unlinkflags", NAMES_FLAGS, unlinkflags_names, ARRAY_LEN(unlinkflags_names), NULL},
	{"accessflags", NAMES_FLAGS, accessflags_names, ARRAY_LEN(accessflags_names), NULL},
	{"accessmode", NAMES_FLAGS, accessmode_names, ARRAY_LEN(accessmode_names), "F_OK"},
	{"statxmask", NAMES_FLAGS, statxmask_names, ARRAY_LEN(statxmask_names), NULL},
	{"renameflags", NAMES_FLAGS, renameflags_names, ARRAY_LEN(renameflags_names), NULL},
	{"fallocmode", NAMES_FLAGS, fallocmode_names, ARRAY_LEN(fallocmode_names), NULL},
	{"xattrflags", NAMES_FLAGS, xattrflags_names, ARRAY_LEN(xattrflags_names), NULL},
	{"flockop", NAMES_FLAGS, flockop_names, ARRAY_LEN(flockop_names), NULL},
	{"whence", NAMES_ENUM, whence_names, ARRAY_LEN(whence_names), NULL},
	{"fadvice", NAMES_ENUM, fadvice_names, ARRAY_LEN(fadvice_names), NULL},
	{"resolve", NAMES_FLAGS, resolve_names, ARRAY_LEN(resolve_names), NULL},
	{"closerange", NAMES_FLAGS, closerange_names, ARRAY_LEN(closerange_names), NULL},
	{"rwflags", NAMES_FLAGS, rwflags_names, ARRAY_LEN(rwflags_names), NULL},
	{"spliceflags", NAMES_FLAGS, spliceflags_names, ARRAY_LEN(spliceflags_names), NULL},
	{"pollbits", NAMES_FLAGS, pollbits_names, ARRAY_LEN(pollbits_names), NULL},
	{"epollbits", NAMES_FLAGS, epollbits_names, ARRAY_LEN(epollbits_names), NULL},
	{"epollop", NAMES_ENUM, epollop_names, ARRAY_LEN(epollop_names), NULL},
	{"epollflags", NAMES_FLAGS, epollflags_names, ARRAY_LEN(epollflags_names), NULL},
	{"eventfdflags", NAMES_FLAGS, eventfdflags_names, ARRAY_LEN(eventfdflags_names), NULL},
	{"sfdflags", NAMES_FLAGS, sfdflags_names, ARRAY_LEN(sfdflags_names), NULL},
	{"tfdflags", NAMES_FLAGS, tfdflags_names, ARRAY_LEN(tfdflags_names), NULL},
	{"tfdset", NAMES_FLAGS, tfdset_names, ARRAY_LEN(tfdset_names), NULL},
	{"inotifyflags", NAMES_FLAGS, inotifyflags_names, ARRAY_LEN(inotifyflags_names), NULL},
	{"inotifymask", NAMES_FLAGS, inotifymask_names, ARRAY_LEN(inotifymask_names), NULL},
	{"cloneflags", NAMES_FLAGS, cloneflags_names, ARRAY_LEN(cloneflags_names), NULL},
	{"waitoptions", NAMES_FLAGS, waitoptions_names, ARRAY_LEN(waitoptions_names), NULL},
	{"idtype", NAMES_ENUM, idtype_names, ARRAY_LEN(idtype_names), NULL},
	{"sighow", NAMES_ENUM, sighow_names, ARRAY_LEN(sighow_names), NULL},
	{"saflags", NAMES_FLAGS, saflags_names, ARRAY_LEN(saflags_names), NULL},
	{"ssflags", NAMES_FLAGS, ssflags_names, ARRAY_LEN(ssflags_names), NULL},
	{"futexcmd", NAMES_ENUM, futexcmd_names, ARRAY_LEN(futexcmd_names), NULL},
	{"clockid", NAMES_ENUM, clockid_names, ARRAY_LEN(clockid_names), NULL},
	{"timerflags", NAMES_FLAGS, timerflags_names, ARRAY_LEN(timerflags_names), NULL},
	{"itimer", NAMES_ENUM, itimer_names, ARRAY_LEN(itimer_names), NULL},
	{"rusagewho", NAMES_ENUM, rusagewho_names, ARRAY_LEN(rusagewho_names), NULL},
	{"resource", NAMES_ENUM, resource_names, ARRAY_LEN(resource_names), NULL},
	{"priowho", NAMES_ENUM, priowho_names, ARRAY_LEN(priowho_names), NULL},
	{"policy", NAMES_ENUM, policy_names, ARRAY_LEN(policy_names), NULL},
	{"prctlop", NAMES_ENUM, prctlop_names, ARRAY_LEN(prctlop_names), NULL},
	{"archprctl", NAMES_ENUM, archprctl_names, ARRAY_LEN(archprctl_names), NULL},
	{"domain", NAMES_ENUM, domain_names, ARRAY_LEN(domain_names), NULL},
	{"socktypebits", NAMES_ENUM, socktypebits_names, ARRAY_LEN(socktypebits_names), NULL},
	{"sockflags", NAMES_FLAGS, sockflags_names, ARRAY_LEN(sockflags_names), NULL},
	{"ipproto", NAMES_ENUM, ipproto_names, ARRAY_LEN(ipproto_names), NULL},
	{"msgflags", NAMES_FLAGS, msgflags_names, ARRAY_LEN(msgflags_names), NULL},
	{"shuthow", NAMES_ENUM, shuthow_names, ARRAY_LEN(shuthow_names), NULL},
	{"sollevel", NAMES_ENUM, sollevel_names, ARRAY_LEN(sollevel_names), NULL},
	{"sockopt", NAMES_ENUM, sockopt_names, ARRAY_LEN(sockopt_names), NULL},
	{"fcntlcmd", NAMES_ENUM, fcntlcmd_names, ARRAY_LEN(fcntlcmd_names), NULL},
	{"locktype", NAMES_ENUM, locktype_names, ARRAY_LEN(locktype_names), NULL},
	{"seals", NAMES_FLAGS, seals_names, ARRAY_LEN(seals_names), NULL},
	{"ioctlcmd", NAMES_ENUM, ioctlcmd_names, ARRAY_LEN(ioctlcmd_names), NULL},
	{"ipcflags", NAMES_FLAGS, ipcflags_names, ARRAY_LEN(ipcflags_names), NULL},
	{"shmflags", NAMES_FLAGS, shmflags_names, ARRAY_LEN(shmflags_names), NULL},
	{"ipccmd", NAMES_ENUM, ipccmd_names, ARRAY_LEN(ipccmd_names), NULL},
	{"semcmd", NAMES_ENUM, semcmd_names, ARRAY_LEN(semcmd_names), NULL},
	{"ptracereq", NAMES_ENUM, ptracereq_names, ARRAY_LEN(ptracereq_names), NULL},
	{"grndflags", NAMES_FLAGS, grndflags_names, ARRAY_LEN(grndflags_names), NULL},
	{"seccompop", NAMES_ENUM, seccompop_names, ARRAY_LEN(seccompop_names), NULL},
	{"pidfdflags", NAMES_FLAGS, pidfdflags_names, ARRAY_LEN(pidfdflags_names), NULL},
	{"mountflags", NAMES_FLAGS, mountflags_names, ARRAY_LEN(mountflags_names), NULL},
	{"nsflags", NAMES_FLAGS, nsflags_names, ARRAY_LEN(nsflags_names), NULL},
	{NULL, NAMES_ENUM, NULL, 0, NULL},
};

const struct name_set *name_set_find(const char *name, size_t len)
{
	for (const struct name_set *s = name_sets; s->name != NULL; s++) {
		if (strlen(s->name) == len && memcmp(s->name, name, len) == 0)
			return s;
	}
	return NULL;
}

const char *name_set_lookup(const struct name_set *set, uint64_t value)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->names[i].value == value)
			return set->names[i].name;
	}
	return NULL;
}

static const struct {
	const char *name, *words;
} errnos[] = {
	[LINUX_EPERM] = {"EPERM", "Operation not permitted"},
	[LINUX_ENOENT] = {"ENOENT", "No such file or directory"},
	[LINUX_ESRCH] = {"ESRCH", "No such process"},
	[LINUX_EINTR] = {"EINTR", "Interrupted system call"},
	[LINUX_EIO] = {"EIO", "Input/output error"},
	[LINUX_ENXIO] = {"ENXIO", "No such device or address"},
	[LINUX_E2BIG] = {"E2BIG", "Argument list too long"},
	[LINUX_ENOEXEC] = {"ENOEXEC", "Exec format error"},
	[LINUX_EBADF] = {"EBADF", "Bad file descriptor"},
	[LINUX_ECHILD] = {"ECHILD", "No child processes"},
	[LINUX_EAGAIN] = {"EAGAIN", "Resource temporarily unavailable"},
	[LINUX_ENOMEM] = {"ENOMEM", "Cannot allocate memory"},
	[LINUX_EACCES] = {"EACCES", "Permission denied"},
	[LINUX_EFAULT] = {"EFAULT", "Bad address"},
	[LINUX_ENOTBLK] = {"ENOTBLK", "Block device required"},
	[LINUX_EBUSY] = {"EBUSY", "Device or resource busy"},
	[LINUX_EEXIST] = {"EEXIST", "File exists"},
	[LINUX_EXDEV] = {"EXDEV", "Invalid cross-device link"},
	[LINUX_ENODEV] = {"ENODEV", "No such device"},
	[LINUX_ENOTDIR] = {"ENOTDIR", "Not a directory"},
	[LINUX_EISDIR] = {"EISDIR", "Is a directory"},
	[LINUX_EINVAL] = {"EINVAL", "Invalid argument"},
	[LINUX_ENFILE] = {"ENFILE", "Too many open files in system"},
	[LINUX_EMFILE] = {"EMFILE", "Too many open files"},
	[LINUX_ENOTTY] = {"ENOTTY", "Inappropriate ioctl for device"},
	[LINUX_ETXTBSY] = {"ETXTBSY", "Text file busy"},
	[LINUX_EFBIG] = {"EFBIG", "File too large"},
	[LINUX_ENOSPC] = {"ENOSPC", "No space left on device"},
	[LINUX_ESPIPE] = {"ESPIPE", "Illegal seek"},
	[LINUX_EROFS] = {"EROFS", "Read-only file system"},
	[LINUX_EMLINK] = {"EMLINK", "Too many links"},
	[LINUX_EPIPE] = {"EPIPE", "Broken pipe"},
	[LINUX_EDOM] = {"EDOM", "Numerical argument out of domain"},
	[LINUX_ERANGE] = {"ERANGE", "Numerical result out of range"},
	[LINUX_EDEADLK] = {"EDEADLK", "Resource deadlock avoided"},
	[LINUX_ENAMETOOLONG] = {"ENAMETOOLONG", "File name too long"},
	[LINUX_ENOLCK] = {"ENOLCK", "No locks available"},
	[LINUX_ENOSYS] = {"ENOSYS", "Function not implemented"},
	[LINUX_ENOTEMPTY] = {"ENOTEMPTY", "Directory not empty"},
	[LINUX_ELOOP] = {"ELOOP", "Too many levels of symbolic links"},
	[LINUX_ENOMSG] = {"ENOMSG", "No message of desired type"},
	[LINUX_EIDRM] = {"EIDRM", "Identifier removed"},
	[LINUX_ECHRNG] = {"ECHRNG", "Channel number out of range"},
	[LINUX_EL2NSYNC] = {"EL2NSYNC", "Level 2 not synchronized"},
	[LINUX_EL3HLT] = {"EL3HLT", "Level 3 halted"},
	[LINUX_EL3RST] = {"EL3RST", "Level 3 reset"},
	[LINUX_ELNRNG] = {"ELNRNG", "Link number out of range"},
	[LINUX_EUNATCH] = {"EUNATCH", "Protocol driver not attached"},
	[LINUX_ENOCSI] = {"ENOCSI", "No CSI structure available"},
	[LINUX_EL2HLT] = {"EL2HLT", "Level 2 halted"},
	[LINUX_EBADE] = {"EBADE", "Invalid exchange"},
	[LINUX_EBADR] = {"EBADR", "Invalid request descriptor"},
	[LINUX_EXFULL] = {"EXFULL", "Exchange full"},
	[LINUX_ENOANO] = {"ENOANO", "No anode"},
	[LINUX_EBADRQC] = {"EBADRQC", "Invalid request code"},
	[LINUX_EBADSLT] = {"EBADSLT", "Invalid slot"},
	[LINUX_EBFONT] = {"EBFONT", "Bad font file format"},
	[LINUX_ENOSTR] = {"ENOSTR", "Device not a stream"},
	[LINUX_ENODATA] = {"ENODATA", "No data available"},
	[LINUX_ETIME] = {"ETIME", "Timer expired"},
	[LINUX_ENOSR] = {"ENOSR", "Out of streams resources"},
	[LINUX_ENONET] = {"ENONET", "Machine is not on the network"},
	[LINUX_ENOPKG] = {"ENOPKG", "Package not installed"},
	[LINUX_EREMOTE] = {"EREMOTE", "Object is remote"},
	[LINUX_ENOLINK] = {"ENOLINK", "Link has been severed"},
	[LINUX_EADV] = {"EADV", "Advertise error"},
	[LINUX_ESRMNT] = {"ESRMNT", "Srmount error"},
	[LINUX_ECOMM] = {"ECOMM", "Communication error on send"},
	[LINUX_EPROTO] = {"EPROTO", "Protocol error"},
	[LINUX_EMULTIHOP] = {"EMULTIHOP", "Multihop attempted"},
	[LINUX_EDOTDOT] = {"EDOTDOT", "RFS specific error"},
	[LINUX_EBADMSG] = {"EBADMSG", "Bad message"},
	[LINUX_EOVERFLOW] = {"EOVERFLOW", "Value too large for defined data type"},
	[LINUX_ENOTUNIQ] = {"ENOTUNIQ", "Name not unique on network"},
	[LINUX_EBADFD] = {"EBADFD", "File descriptor in bad state"},
	[LINUX_EREMCHG] = {"EREMCHG", "Remote address changed"},
	[LINUX_ELIBACC] = {"ELIBACC", "Can not access a needed shared library"},
	[LINUX_ELIBBAD] = {"ELIBBAD", "Accessing a corrupted shared library"},
	[LINUX_ELIBSCN] = {"ELIBSCN", ".lib section in a.out corrupted"},
	[LINUX_ELIBMAX] = {"ELIBMAX", "Attempting to link in too many shared libraries"},
	[LINUX_ELIBEXEC] = {"ELIBEXEC", "Cannot exec a shared library directly"},
	[LINUX_EILSEQ] = {"EILSEQ", "Invalid or incomplete multibyte or wide character"},
	[LINUX_ERESTART] = {"ERESTART", "Interrupted system call should be restarted"},
	[LINUX_ESTRPIPE] = {"ESTRPIPE", "Streams pipe error"},
	[LINUX_EUSERS] = {"EUSERS", "Too many users"},
	[LINUX_ENOTSOCK] = {"ENOTSOCK", "Socket operation on non-socket"},
	[LINUX_EDESTADDRREQ] = {"EDESTADDRREQ", "Destination address required"},
	[LINUX_EMSGSIZE] = {"EMSGSIZE", "Message too long"},
	[LINUX_EPROTOTYPE] = {"EPROTOTYPE", "Protocol wrong type for socket"},
	[LINUX_ENOPROTOOPT] = {"ENOPROTOOPT", "Protocol not available"},
	[LINUX_EPROTONOSUPPORT] = {"EPROTONOSUPPORT", "Protocol not supported"},
	[LINUX_ESOCKTNOSUPPORT] = {"ESOCKTNOSUPPORT", "Socket type not supported"},
	[LINUX_EOPNOTSUPP] = {"EOPNOTSUPP", "Operation not supported"},
	[LINUX_EPFNOSUPPORT] = {"EPFNOSUPPORT", "Protocol family not supported"},
	[LINUX_EAFNOSUPPORT] = {"EAFNOSUPPORT", "Address family not supported by protocol"},
	[LINUX_EADDRINUSE] = {"EADDRINUSE", "Address already in use"},
	[LINUX_EADDRNOTAVAIL] = {"EADDRNOTAVAIL", "Cannot assign requested address"},
	[LINUX_ENETDOWN] = {"ENETDOWN", "Network is down"},
	[LINUX_ENETUNREACH] = {"ENETUNREACH", "Network is unreachable"},
	[LINUX_ENETRESET] = {"ENETRESET", "Network dropped connection on reset"},
	[LINUX_ECONNABORTED] = {"ECONNABORTED", "Software caused connection abort"},
	[LINUX_ECONNRESET] = {"ECONNRESET", "Connection reset by peer"},
	[LINUX_ENOBUFS] = {"ENOBUFS", "No buffer space available"},
	[LINUX_EISCONN] = {"EISCONN", "Transport endpoint is already connected"},
	[LINUX_ENOTCONN] = {"ENOTCONN", "Transport endpoint is not connected"},
	[LINUX_ESHUTDOWN] = {"ESHUTDOWN", "Cannot send after transport endpoint shutdown"},
	[LINUX_ETOOMANYREFS] = {"ETOOMANYREFS", "Too many references: cannot splice"},
	[LINUX_ETIMEDOUT] = {"ETIMEDOUT", "Connection timed out"},
	[LINUX_ECONNREFUSED] = {"ECONNREFUSED", "Connection refused"},
	[LINUX_EHOSTDOWN] = {"EHOSTDOWN", "Host is down"},
	[LINUX_EHOSTUNREACH] = {"EHOSTUNREACH", "No route to host"},
	[LINUX_EALREADY] = {"EALREADY", "Operation already in progress"},
	[LINUX_EINPROGRESS] = {"EINPROGRESS", "Operation now in progress"},
	[LINUX_ESTALE] = {"ESTALE", "Stale file handle"},
	[LINUX_EUCLEAN] = {"EUCLEAN", "Structure needs cleaning"},
	[LINUX_ENOTNAM] = {"ENOTNAM", "Not a XENIX named type file"},
	[LINUX_ENAVAIL] = {"ENAVAIL", "No XENIX semaphores available"},
	[LINUX_EISNAM] = {"EISNAM", "Is a named type file"},
	[LINUX_EREMOTEIO] = {"EREMOTEIO", "Remote I/O error"},
	[LINUX_EDQUOT] = {"EDQUOT", "Disk quota exceeded"},
	[LINUX_ENOMEDIUM] = {"ENOMEDIUM", "No medium found"},
	[LINUX_EMEDIUMTYPE] = {"EMEDIUMTYPE", "Wrong medium type"},
	[LINUX_ECANCELED] = {"ECANCELED", "Operation canceled"},
	[LINUX_ENOKEY] = {"ENOKEY", "Required key not available"},
	[LINUX_EKEYEXPIRED] = {"EKEYEXPIRED", "Key has expired"},
	[LINUX_EKEYREVOKED] = {"EKEYREVOKED", "Key has been revoked"},
	[LINUX_EKEYREJECTED] = {"EKEYREJECTED", "Key was rejected by service"},
	[LINUX_EOWNERDEAD] = {"EOWNERDEAD", "Owner died"},
	[LINUX_ENOTRECOVERABLE] = {"ENOTRECOVERABLE", "State not recoverable"},
	[LINUX_ERFKILL] = {"ERFKILL", "Operation not possible due to RF-kill"},
	[LINUX_EHWPOISON] = {"EHWPOISON", "Memory page has hardware error"},
};

const char *errno_name(int err)
{
	if (err >= 0 && (size_t)err < ARRAY_LEN(errnos))
		return errnos[err].name;
	switch (err) {
	case LINUX_ERESTARTSYS:
		return "ERESTARTSYS";
	case LINUX_ERESTARTNOINTR:
		return "ERESTARTNOINTR";
	case LINUX_ERESTARTNOHAND:
		return "ERESTARTNOHAND";
	case LINUX_ERESTART_RESTARTBLOCK:
		return "ERESTART_RESTARTBLOCK";
	}
	return NULL;
}

const char *errno_words(int err)
{
	if (err >= 0 && (size_t)err < ARRAY_LEN(errnos) && errnos[err].words != NULL)
		return errnos[err].words;
	return "Unknown error";
}

const char *signal_name(int sig, char buf[16])
{
	static const char *const names[] = {
		"0",         "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
		"SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
		"SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
		"SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS",
	};

	if (sig >= 0 && (size_t)sig < ARRAY_LEN(names))
		return names[sig];
	if (sig >= LINUX_SIGRTMIN && sig <= LINUX_NSIG)
		snprintf(buf, 16, "SIGRT_%d", sig - LINUX_SIGRTMIN);
	else
		snprintf(buf, 16, "%d", sig);
	return buf;
}
