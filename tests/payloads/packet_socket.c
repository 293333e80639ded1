/* SPDX-License-Identifier: Apache-2.0 */
/* Link-level packets. */
#include "payload.h"

PAYLOAD("open a packet socket", "--user 65534:65534", "errno EPERM");

int main(void)
{
	must_fail(socket(AF_PACKET, SOCK_RAW, htons(3)));
}
