/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command tells the core: one flat, bounded structure in a memfd, written once by `sentrybox`, read-only for
 * the roles, validated by config_check() before anything in it is believed. Strings live in one pool and are named by
 * their offset; offset 0 is the empty string. No pointer, no parsing.
 *
 * Descriptors that go with it are inherited at the numbers given here (-1: none).
 */
#ifndef RUNTIME_CONFIG_H
#define RUNTIME_CONFIG_H

#include "runtime/core/idmap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_MAGIC 0x53627830u /* "Sbx0" */
#define CONFIG_VERSION 1
#define CONFIG_FD 3 /* the memfd itself, in every role */

#define CONFIG_MAX_MOUNTS 128
#define CONFIG_MAX_EGRESS 64
#define CONFIG_MAX_INGRESS 64
#define CONFIG_MAX_PATHS 1024
#define CONFIG_MAX_GROUPS 64
#define CONFIG_MAX_PRESERVED 64
#define CONFIG_MAX_COPY_OUT 16
#define CONFIG_MAX_SECCOMP 4096 /* instructions, as in Linux */
#define CONFIG_MAX_IDRANGES 2048 /* of all maps of ids together */
#define CONFIG_POOL (2u << 20)

typedef uint32_t cfg_str; /* offset in pool */

enum config_platform { CONFIG_NOTIFY, CONFIG_PTRACE };

enum config_mount_kind {
	MOUNT_BIND, /* source: a host directory or file behind gofer descriptor `dir_fd` */
	MOUNT_TMPFS,
	MOUNT_PROC,
	MOUNT_SYSFS,
	MOUNT_DEV,
	MOUNT_DEVPTS,
	MOUNT_MQUEUE,
	MOUNT_CGROUP,
	MOUNT_SHM,
};

/* Maps of ids, in config.idranges: n ranges from first on; 0: each id is itself. Both or neither. */
struct config_idmaps {
	uint32_t uid_first, uid_n, gid_first, gid_n;
};

struct config_mount {
	enum config_mount_kind kind;
	cfg_str source, target, options; /* options as /proc/mounts shows them */
	uint64_t flags;                  /* MS_RDONLY ... */
	uint64_t size;                   /* tmpfs limit in bytes, 0: none */
	uint32_t mode;                   /* tmpfs root's mode, 0: default */
	uint32_t uid, gid;               /* tmpfs root's owner inside */
	int32_t dir_fd;                  /* MOUNT_BIND: inherited descriptor (O_PATH) for the gofer */
	bool source_is_file;
	struct config_idmaps idmaps;     /* MOUNT_BIND: from the ids of its files on the host to those inside */
};

struct config_egress {
	uint8_t family; /* 4 or 6 */
	uint8_t prefix;
	uint8_t addr[16];          /* network order; IPv4 in the first 4 */
	uint16_t port_lo, port_hi; /* host order, inclusive */
	cfg_str text;              /* as the user wrote it */
};

/* A port that may be reached from outside. */
struct config_ingress {
	uint8_t family;            /* of addr, 4 or 6; 0: none was named, both families' wildcards */
	uint8_t udp;               /* 1: UDP, 0: TCP */
	uint8_t addr[16];          /* where the monitor listens or binds; network order, IPv4 in the first 4 */
	uint16_t port_lo, port_hi; /* host order, inclusive */
	cfg_str text;              /* as the user wrote it */
};

/* An instruction of classic BPF, as Linux lays it out. */
struct config_bpf {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};

/* Rules on a path: hidden (as if it did not exist), masked (an empty file or directory), read-only; programs in it are
 * never rewritten. */
enum config_path_kind { PATH_HIDE, PATH_MASK, PATH_READONLY, PATH_NO_GATE };
struct config_path {
	enum config_path_kind kind;
	cfg_str path;
};

/* Limits where none was given. A fork bomb must not reach the host's. */
#define CONFIG_DEFAULT_DISK (4ULL << 30)
#define CONFIG_DEFAULT_TASKS 8192

struct config {
	uint32_t magic, version;
	uint32_t size; /* sizeof(struct config): the memfd always has this length, holes cost nothing */

	/* the program */
	uint32_t argc, envc;
	cfg_str argv, envv; /* first string; the others follow in the pool, each NUL-terminated */
	cfg_str program;    /* the file, absolute; 0: it is looked for by the first of argv */
	cfg_str cwd;        /* absolute */
	bool cwd_create;    /* make it if it is missing (bundles); else that is an error before start */
	uint32_t uid, gid, umask;          /* ids are the inside's */
	uint32_t ngroups, groups[CONFIG_MAX_GROUPS];
	uint64_t cap_effective, cap_permitted, cap_inheritable, cap_bounding, cap_ambient;
	bool no_new_privs;
	bool container_init; /* as pid 1 of a container, the program gets no signal of its own processes that it has no
			      * handler for, SIGKILL included (`run`). `do`: it can be killed as anywhere */
	bool wait_start;     /* `create`: set up everything, then wait for the word to start the program */
	bool terminal;       /* descriptors 0-2 are a terminal, to become the guest's controlling one */
	uint16_t tty_rows, tty_cols;
	struct {
		bool set;
		uint64_t cur, max;
	} rlimits[16];
	int32_t oom_score_adj;

	/* files */
	int32_t root_fd;  /* O_PATH directory for the gofer; -1 with an image */
	int32_t image_fd; /* the root as an EROFS image, open for reading, for the sentry; -1 with a directory */
	bool root_readonly;
	bool root_keep;       /* at the end, what was changed goes to root_fd's directory: runtime/root_keep.c */
	int32_t keep_program; /* with root_keep: the command's program, which does it; -1 */
	bool root_is_host; /* `do` on the host's own root: default list of hidden paths applies */
	cfg_str hostname, domainname;
	uint16_t unprivileged_ports; /* sysctl net.ipv4.ip_unprivileged_port_start */
	uint32_t nmounts, npaths;
	struct config_mount mounts[CONFIG_MAX_MOUNTS];
	struct config_path paths[CONFIG_MAX_PATHS];

	/* ids: the container's maps, which are the root's too (runtime/core/idmap.h); those of mounts are in them */
	struct config_idmaps idmaps;
	uint32_t nidranges;
	struct idmap_range idranges[CONFIG_MAX_IDRANGES];

	/* limits; 0: none, but for disk and tasks: CONFIG_DEFAULT_*, and for disk no more than half of the memory */
	uint64_t memory_bytes, disk_bytes;
	uint32_t max_tasks, cpu_permille;
	uint64_t timeout_ms, idle_timeout_ms;

	/* policy */
	uint32_t negress;
	struct config_egress egress[CONFIG_MAX_EGRESS];
	uint32_t ningress;
	struct config_ingress ingress[CONFIG_MAX_INGRESS];
	/* The filter on the program's own calls (a bundle's linux.seccomp); the sentry looks at it as at a guest's. */
	uint32_t nseccomp;
	struct config_bpf seccomp[CONFIG_MAX_SECCOMP];

	/* the host side */
	enum config_platform platform;
	bool gate;  /* rewritten system call sites */
	bool stats; /* the result is wanted: what is used is sampled */
	bool json;  /* stdout and stderr are captured by the command through pipes */
	/*
	 * Where the monitor writes its own lines for people (why the program could not be started, which limit ended
	 * it): a copy of stderr; -1 when the command waits for the result and says it itself. The words come from
	 * runtime/core/result.c.
	 */
	int32_t message_fd;
	bool backtrace; /* denials in the audit log tell where in the program they came from */
	int32_t strace_fd, debug_fd, audit_fd,
		result_fd;   /* result_fd: struct sandbox_result is written there by the monitor */
	int32_t gate_cache_fd;  /* to read: what earlier sandboxes learned of call sites (runtime/gate_cache.h), for the
				 * sentry; -1 */
	int32_t gate_cache_dir; /* where the monitor keeps what this one learns; -1 */
	int32_t copy_out_fd; /* a pipe the sentry streams --copy-out data to (runtime/copy_out.h), blocking; -1 */
	int32_t control_fd;  /* listening control socket, for `exec`, `kill`... (runtime/core/lifecycle_protocol.h); -1 */
	int32_t net_fd;      /* a network namespace that the monitor joins: its dials are made there; -1: the caller's */
	bool net_new;        /* ... or a new one, for hooks to set up */
	int32_t sync_fd;     /* a socket to the command that creates us, until it has said that all is well; -1 */
	int32_t state_fd;    /* the container's state directory, where the monitor writes how it ended; -1 */
	/* The container's cgroups (runtime/cgroup.c), as far as the monitor has to do with them; -1 where there are none. */
	int32_t cg_leave_fd[2];   /* cgroup.procs above the ones it begins its life in, where it goes when its roles are started */
	int32_t cg_freeze_fd;     /* version 1's freezer.state, or version 2's cgroup.freeze, of all but itself */
	int32_t cg_frozen_fd;     /* version 2: the cgroup.events that belongs to it */
	int32_t cg_oom_fd;        /* where the host counts its OOM kills: memory.oom_control, memory.events */
	int32_t cg_memory_max_fd; /* memory.limit_in_bytes, memory.max */
	int32_t cg_memory_fd;     /* memory.usage_in_bytes, memory.current */
	int32_t pod_fd;      /* a connection to the monitor of the pod that the container joins; -1: it is a sandbox of its own */
	uint32_t pod_pids;   /* ... the one whose process numbers it shares (0: the sandbox's own), or CONTAINER_OWN_PIDS */
	bool engine_init;    /* the monitor is what an engine waits for: it ends by the signal the program ended by */
	uint32_t npreserved;
	int32_t preserved[CONFIG_MAX_PRESERVED]; /* descriptors that the program has as 3, 4 ... */
	uint32_t ncopy_out;
	cfg_str copy_out[CONFIG_MAX_COPY_OUT]; /* paths in the sandbox */
	uint32_t sandbox_uid, sandbox_gid;     /* host ids of sentry, gofer, stubs */
	bool drop_ids;                         /* we are root: change to sandbox_uid/gid */
	int32_t fail_call;                     /* hidden: this call answers ENOSYS; -1: off */
	uint64_t fail_alloc;                   /* hidden: n-th allocation fails; 0: off */

	uint32_t pool_len;
	char pool[CONFIG_POOL];
};

/*
 * NULL, or a sentence that says what is wrong. Checks every offset, count, NUL, number and descriptor: what passed can
 * be used without looking again.
 */
const char *config_check(const struct config *c);
/* The same for one that describes a process to bring into a sandbox: of the rest nothing is looked at or used. */
const char *config_check_process(const struct config *c);
static inline const char *config_str(const struct config *c, cfg_str off)
{
	return c->pool + off;
}

static inline struct idmaps config_idmaps(const struct config *c, const struct config_idmaps *m)
{
	return (struct idmaps){{c->idranges + m->uid_first, m->uid_n}, {c->idranges + m->gid_first, m->gid_n}};
}

/* The i-th of the strings that follow each other from `first` on (argv, envv); i within the count. */
const char *config_nth(const struct config *c, cfg_str first, uint32_t i);

/* What the monitor reports when all is over, written to result_fd in one write. */
#define RESULT_MAGIC 0x53627872u
/* Rewritten call sites of a program or library. */
struct gate_image {
	char path[120];    /* NUL-terminated; its end, if it is longer */
	uint64_t arrivals; /* calls that were notified */
	uint32_t sites, near, far, mov, reloc, pending;
	uint32_t left[6]; /* sites left alone, by gate_reasons; the first isn't used */
	uint32_t maps;
};
#define RESULT_GATE_MAX 32
extern const char *const gate_reasons[6];
/* How calls came. */
struct gate_calls {
	uint64_t shim, polled, asleep, trapped, notified;
};

enum limit_hit { LIMIT_MEMORY = 1, LIMIT_PIDS = 2, LIMIT_DISK = 4, LIMIT_CPU = 8, LIMIT_WALL = 16, LIMIT_IDLE = 32 };
struct sandbox_result {
	uint32_t magic;
	int32_t started; /* the guest ran at least one instruction */
	int32_t status;  /* wait(2) encoding of the guest's init */
	uint32_t limits; /* LIMIT_* */
	uint64_t wall_ns, cpu_user_ns, cpu_sys_ns, max_memory_bytes;
	uint64_t syscalls, denials;
	int32_t start_errno; /* why the program could not be started (ENOENT, EACCES, ENOEXEC), 0 if it was */
	char error[512];     /* one line for our own failure; empty otherwise */
	struct gate_calls gate_calls;
	uint32_t ngate;
	struct gate_image gate[RESULT_GATE_MAX];
};

/*
 * runtime/core/result.c, shared by the monitor and the command. All the words a person reads at the end are made there.
 * The exit status of `sentrybox do`: the program's own, 128+signal, 125 our failure, 126 not executable, 127 not found.
 */
int result_exit_status(const struct sandbox_result *r);
/* If the program could not be started (start_errno) and no sentence is there yet, writes it into r->error. */
void result_explain(struct sandbox_result *r, const struct config *c);
/* "sentrybox: TEXT" to message_fd, or stderr. An engine's container may have a stderr that nobody reads: what it doesn't take at
 * once is lost there, and its end goes on. */
void result_say(const struct config *c, const char *text);
/* "the limit on memory (64.0 MiB) was reached", or "" if no limit was; returns buf. */
const char *result_limits(const struct sandbox_result *r, const struct config *c, char *buf, size_t size);
extern const char *const limit_names[]; /* by bit: "memory", "pids", "disk", "cpu", "wall", "idle"; NULL at the end */

#endif
