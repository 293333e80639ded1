/* SPDX-License-Identifier: Apache-2.0 */
/* The sentry's copies must not be led to the stub: a call that reads or writes there gives EFAULT. */
#include "payload.h"

PAYLOAD("have the kernel write into the stub", "", "errno EFAULT");

#include <sys/uio.h>
int main(void)
{
	int p[2];

	setup(pipe(p));
	for (uint64_t at = STUB_BASE; at < STUB_BASE + 0x20000; at += 4096) {
		char buf[8];
		struct iovec local = {buf, 8}, remote = {(void *)at, 8};

		setup(write(p[1], "12345678", 8));
		if (read(p[0], (void *)at, 8) >= 0)
			escaped("read() wrote at %#lx", (unsigned long)at);
		if (errno != EFAULT)
			refused(errno);
		setup(read(p[0], buf, 8));
		if (write(p[1], (void *)at, 8) >= 0)
			escaped("write() read at %#lx", (unsigned long)at);
		if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) > 0)
			escaped("process_vm_readv read at %#lx", (unsigned long)at);
	}
	refused(EFAULT);
}
