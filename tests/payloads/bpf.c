/* SPDX-License-Identifier: Apache-2.0 */
/* Programs in the host's kernel. */
#include "payload.h"

PAYLOAD("load a BPF program", "", "errno EPERM");

int main(void)
{
	char attr[128] = {1};

	must_fail(syscall(SYS_bpf, 5, attr, sizeof(attr)));
}
