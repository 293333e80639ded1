/* SPDX-License-Identifier: Apache-2.0 */
/* The gofer's role: from exec to sealed, then gofer.c's loop. Root 0 is the sandbox's root, then the binds. */
#include "runtime/config.h"
#include "runtime/core/control_protocol.h"
#include "runtime/core/gofer.h"
#include "runtime/core/seal.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

int gofer_main(void)
{
	static struct gofer_root roots[CONFIG_MAX_MOUNTS + 1];
	const struct config *c = core_config();
	unsigned n = 1;
	bool writes = false;
	int err;

	prctl(PR_SET_NAME, "sbx-gofer", 0, 0, 0);
	/* Signals to the whole process group (a terminal's, timeout's) are the monitor's to pass on to the guest. */
	for (int sig = 1; sig < 32; sig++)
		if (sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGTERM || sig == SIGTSTP || sig == SIGTTIN ||
		    sig == SIGTTOU)
			signal(sig, SIG_IGN);
	umask(0);
	gofer_root_init(&roots[0], c->root_fd, false);
	roots[0].ids = config_idmaps(c, &c->idmaps);
	for (uint32_t i = 0; i < c->nmounts; i++) {
		const struct config_mount *m = &c->mounts[i];

		if (m->kind != MOUNT_BIND)
			continue;
		gofer_root_init(&roots[n], m->dir_fd, !(m->flags & 1 /* MS_RDONLY */));
		roots[n].ids = config_idmaps(c, &m->idmaps);
		writes |= roots[n++].writable;
	}
	for (uint32_t i = 0; i < c->npaths; i++) {
		if (c->paths[i].kind != PATH_HIDE || c->root_fd < 0)
			continue;
		if (gofer_root_hide(&roots[0], config_str(c, c->paths[i].path)) != 0) {
			fprintf(stderr, "sentrybox: gofer: out of memory\n");
			return 125;
		}
	}
	gofer_share_init();
	seal_landlock_gofer(roots, n, writes);
	seal_gofer(writes);
	err = gofer_serve(GOFER_SOCKET_FD, roots, n);
	if (err != 0)
		fprintf(stderr, "sentrybox: gofer: %s\n", strerror(-err));
	return err != 0 ? 125 : 0;
}
