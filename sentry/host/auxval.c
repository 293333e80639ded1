// SPDX-License-Identifier: Apache-2.0
/* The sentry's own auxiliary vector: what the host kernel says of CPU and machine, passed on to guests. */
#include "sentry/host/host.h"

#include <sys/auxv.h>

uint64_t host_auxval(uint64_t type)
{
	return getauxval(type);
}
