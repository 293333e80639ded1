/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What commands ask of a running container's monitor, over the socket `control` in its state directory (SOCK_SEQPACKET, one
 * structure a message). A connection is one question, but for `exec`, which lives as long as its process: signals go one
 * way, the end comes the other, and closing it ends the process and all that came of it. So does that of a further container.
 *
 * Who may ask: the monitor's own user and root (SO_PEERCRED), for whom alone the directory is open besides. What arrives is
 * checked all the same.
 */
#ifndef RUNTIME_CORE_LIFECYCLE_PROTOCOL_H
#define RUNTIME_CORE_LIFECYCLE_PROTOCOL_H

#include "runtime/core/control_protocol.h"

#define LIFECYCLE_MAGIC 0x5362786cu
#define LIFECYCLE_SOCKET "control" /* in the state directory */
#define LIFECYCLE_EXIT "exit.json"

enum lifecycle_type {
	LC_STATE = 1,
	LC_START,
	LC_KILL,     /* signal; flags: LC_ALL */
	LC_EXEC,     /* a sealed memfd with a struct config, then the descriptors 0, 1, 2 ... come along */
	LC_EXEC_PID, /* signal: the process on the host that stands for it, for `ps` */
	LC_EXEC_SIGNAL,
	LC_WAIT,     /* answered at the end */
	LC_PS,
	LC_PAUSE,
	LC_RESUME,
	LC_STATS,
	LC_UPDATE,
	LC_FILES,    /* a stream socket for files_protocol.h, which the sentry gets */
	LC_EVENTS, /* an LC_OOM for each; until the end */
	LC_CONTAINER, /* one more container in this pod: a sealed memfd with a struct config, what its root is (flags: CONTAINER_ROOT_*), then
		       * the descriptors 0, 1, 2 ... come along; container: whose process numbers it shares, or CONTAINER_OWN_PIDS; signal:
		       * the process on the host that stands for it. Answered by LC_OK (status: its number) or LC_ERROR when it is there,
		       * and by LC_ENDED at its end. The connection is its life line, as an exec's */
	/* answers */
	LC_OK = 0x100, /* state: a container_state, and what was asked for */
	LC_ERROR,      /* start_errno, text */
	LC_STARTED,    /* exec: status is the pid inside */
	LC_ENDED,      /* exec, wait: status as from wait(2) */
	LC_OOM,        /* ooms */
	LC_PROCESSES,  /* a lifecycle_processes; the last has no entry */
};

#define LC_ALL 1u

enum container_state { STATE_CREATING, STATE_CREATED, STATE_RUNNING, STATE_PAUSED, STATE_STOPPED };

struct lifecycle_request {
	uint32_t magic, type;
	int32_t signal;
	uint32_t flags;
	uint32_t max_tasks, cpu_permille;
	uint64_t memory_bytes;
	uint32_t container, pad; /* which of the pod's; 0: the sandbox's own */
};

struct lifecycle_reply {
	uint32_t type, state;
	int32_t status, start_errno;
	uint64_t memory_bytes, memory_peak, memory_limit; /* LC_STATS */
	uint64_t cpu_user_ns, cpu_sys_ns;
	uint64_t cpu_periods, cpu_throttled_periods, cpu_throttled_ns; /* LC_STATS, of a further container */
	uint32_t ooms, pad; /* LC_STATS, LC_OOM: so far */
	char text[480];
};

struct lifecycle_processes {
	uint32_t type, count;
	int32_t host_pid[CONTROL_PROCESSES_MAX]; /* the process on the host that stands for entry's, 0: none */
	struct control_process entry[CONTROL_PROCESSES_MAX];
};

#endif
