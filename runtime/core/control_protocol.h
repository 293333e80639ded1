/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sentry tells the monitor over their socket (SOCK_SEQPACKET, one structure a message). The monitor takes it as a
 * guest's word: a sentry that was taken over can lie about its guest, and gains nothing by it.
 */
#ifndef RUNTIME_CORE_CONTROL_PROTOCOL_H
#define RUNTIME_CORE_CONTROL_PROTOCOL_H

#include "runtime/config.h"

#include <stddef.h>
#include <stdint.h>

enum control_type {
	CONTROL_STARTED = 1, /* the first program is about to run */
	CONTROL_ENDED,       /* the guest's init has ended: status */
	CONTROL_FAILED,      /* no start: start_errno of the program (0: our own failure), text */
	CONTROL_ACTIVITY,    /* the guest has made a call or run since the last one (idle time-out only) */
	CONTROL_INSPECT,     /* an inspector is wanted; status, start_errno: a stub's host pid and tid whose place the answer
			      * is to tell, or 0 */
	CONTROL_LIMIT,         /* one was hit: limits. The end may come without a word of ours */
	CONTROL_WANT_RESIDENT, /* answered by a control_resident */
	CONTROL_GATE,          /* a control_gate; before the end, one for each image */
	CONTROL_SITES,         /* a control_sites: before the end, what was learned of call sites, in parts */
	CONTROL_CREATED,       /* all is there; the first program starts when CONTROL_START comes (config.wait_start) */
	CONTROL_EXEC_STARTED,  /* a process from outside runs: id, status: its pid in the sandbox */
	CONTROL_EXEC_FAILED,   /* it could not be started: id, start_errno, text */
	CONTROL_EXEC_ENDED,    /* its end: id, status */
	CONTROL_PROCESSES,     /* a control_processes: the answer to CONTROL_LIST, in parts; the last has no entry */
	CONTROL_KEEP,          /* init has ended with status, what was changed can be kept: answered by a CONTROL_FILES, with the
				* keeper's socket or without */
	CONTROL_CONTAINER_CREATED, /* a further container's CONTROL_CREATED: id. Then it is told of as of a process from outside */
	CONTROL_CONTAINER_EMPTY,   /* no process of it is left; CONTROL_EXEC_ENDED comes when its files have gone, too: id */
	CONTROL_CONTAINER_OOM,     /* container: one of its processes ended for its limit on memory */
	CONTROL_USAGE,             /* a control_usage: the answer to CONTROL_WANT_USAGE */
	CONTROL_WANT_HELD,         /* the limit on memory may be near: look now. Answered by a control_held, behind the CONTROL_OOM if it
				    * is passed */
	CONTROL_SHARED,            /* a control_held: bytes in files and segments that are memfds, whether they are mapped or not */
	/* From the monitor: a signal to pass on to the guest's init (its number, below 64), or */
	CONTROL_OOM = 0x100, /* the memory limit is passed: end the guest process whose host pid is `status` */
	CONTROL_FINISH = 0x103, /* a limit ends the sandbox: end the guest, and copy out what was asked for */
	CONTROL_START = 0x104,
	CONTROL_EXEC = 0x105,      /* id of a process to bring in; its struct config and descriptors come along */
	CONTROL_SIGNAL = 0x106,    /* status: which; id: to whom, 0: the first program, CONTROL_EVERYBODY */
	CONTROL_EXEC_KILL = 0x107, /* id, and all that came of it, ends */
	CONTROL_LIST = 0x108,
	CONTROL_UPDATE = 0x109,    /* a control_update */
	CONTROL_FILES = 0x10a,     /* a command's socket comes along: runtime/core/files_protocol.h. id CONTROL_KEEPER: the answer to
				    * CONTROL_KEEP */
	CONTROL_CONTAINER = 0x10b, /* id: a further container's; its struct config, status: what its root is (CONTAINER_ROOT_*), stdio and
				    * preserved descriptors come along; container: the one whose process numbers it shares, or
				    * CONTAINER_OWN_PIDS */
	CONTROL_FREEZE = 0x10c,    /* container: nothing of it runs (status 1), or it goes on (0) */
	CONTROL_WANT_USAGE = 0x10d, /* container */
	CONTROL_INSPECTOR = 0x102, /* the answer: its socket comes along, or nothing; ip, sp: of that thread, 0 if not known */
};

struct control_message {
	uint32_t type;
	int32_t status;
	int32_t start_errno;
	uint32_t limits;
	uint32_t id;        /* of a process from outside, or of a container's first; given by the monitor, never 0 */
	uint32_t container; /* 0: the sandbox's first one */
	uint64_t syscalls, denials;
	uint64_t ip, sp;
	char text[480];
};

#define CONTROL_EVERYBODY UINT32_MAX /* in the container */
#define CONTROL_KEEPER 1
#define CONTAINER_OWN_PIDS UINT32_MAX
/* What a container's root and binds are served from; one or both, in this order behind the configuration. */
#define CONTAINER_ROOT_GOFER 1U /* a socket to a gofer, for a root that is a directory, and for binds */
#define CONTAINER_ROOT_IMAGE 2U /* an image, open for reading, for the root */
#define CONTROL_MAX_FDS 20 /* with one message: a configuration, stdio, preserved descriptors */

/* Told by its type, as all that follow. */
struct control_gate {
	uint32_t type, pad;
	struct gate_calls calls;
	struct gate_image image; /* path empty: none */
};
/* Parts of what runtime/gate_cache.h describes, in order. As long as len says. */
struct control_sites {
	uint32_t type, len;
	uint8_t data[4096];
};
struct control_process {
	int32_t pid, ppid; /* in the sandbox */
	uint32_t uid, threads;
	uint32_t id; /* of the process from outside that it comes from; 0: init's own */
	uint32_t container, pad;
	uint32_t cpu_ms;
	uint64_t age_ms;
	char state, name[23];
};
#define CONTROL_PROCESSES_MAX 32
struct control_processes {
	uint32_t type, count;
	struct control_process entry[CONTROL_PROCESSES_MAX];
};
/* Limits as they are from now on; 0: none. */
struct control_update {
	uint32_t type, max_tasks;
	uint32_t cpu_permille, container;
	uint64_t memory_bytes;
};
/* What a container's processes use. */
struct control_usage {
	uint32_t type, container;
	uint64_t memory_bytes, memory_peak, memory_limit, cpu_user_ns, cpu_sys_ns;
	uint64_t cpu_periods, cpu_throttled_periods, cpu_throttled_ns; /* of its limit on CPU time; 0: it has had none */
	uint32_t tasks, ooms;
};
/* From the monitor: what the sandbox holds, and may; bytes, limit 0: none. */
#define CONTROL_HELD 0x10e
struct control_held {
	uint32_t type, pad;
	uint64_t bytes, limit;
};
union control_any {
	struct control_usage usage;
	struct control_message msg;
	struct control_processes processes;
	struct control_gate gate;
	struct control_sites sites;
	struct control_held held;
};

/* From the monitor: what each stub holds, for /proc and containers' limits. As many entries as the message is long; more follow
 * a part. */
#define CONTROL_RESIDENT 0x101
#define CONTROL_RESIDENT_PART 0x110
#define CONTROL_RESIDENT_MAX 512
struct control_resident {
	uint32_t type;
	uint32_t count;
	struct {
		int32_t pid; /* the host's */
		uint32_t pages;
	} entry[CONTROL_RESIDENT_MAX];
};

/* Descriptors of the roles besides 0-2 and the configuration at 3. Those named in the configuration keep their numbers,
 * which are 10 or more. */
#define SENTRY_CONTROL_FD 4
#define SENTRY_GOFER_FD 5
#define SENTRY_DIAL_FD 6
#define SENTRY_UDP_FD 7 /* only if a rule lets UDP in */
#define GOFER_SOCKET_FD 4

/* The roles, by argv[1] of sentrybox-core. */
int monitor_main(void);
int container_host_main(void);
int sentry_main(void);
int gofer_main(void);

/* The sentry: one message from the monitor, without waiting, and the descriptor that came along or -1. Bytes or -errno. */
int64_t control_take(void *msg, size_t size, int *fd);
/* The same with up to CONTROL_MAX_FDS descriptors. */
int64_t control_take_many(void *msg, size_t size, int *fds, unsigned *nfds);

struct config;
/* Maps descriptor 3 and checks it; prints one line and ends with 125 if it is not to be believed. */
const struct config *core_config(void);

#endif
