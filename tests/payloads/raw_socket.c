/* SPDX-License-Identifier: Apache-2.0 */
/* Forged packets. */
#include "payload.h"

PAYLOAD("open a raw socket", "--user 65534:65534", "errno EPERM");

int main(void)
{
	must_fail(socket(AF_INET, SOCK_RAW, 255));
}
