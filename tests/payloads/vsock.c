/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's network knows no CIDR. */
#include "payload.h"

PAYLOAD("open a vsock", "", "errno EAFNOSUPPORT");

int main(void)
{
	must_fail(socket(40, SOCK_STREAM, 0));
}
