/* SPDX-License-Identifier: Apache-2.0 */
/* The host kernel's crypto API. */
#include "payload.h"

PAYLOAD("open an AF_ALG socket", "", "errno EAFNOSUPPORT");

int main(void)
{
	must_fail(socket(38, SOCK_SEQPACKET, 0));
}
