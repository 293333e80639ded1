/* SPDX-License-Identifier: Apache-2.0 */
/* The sandbox's maps of ids: see ids.h. */
#include "sentry/kernel/ids.h"

#include "runtime/config.h"

struct idmaps id_maps;

void ids_init(const struct config *c)
{
	id_maps = config_idmaps(c, &c->idmaps);
}
