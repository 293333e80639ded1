/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed when a run has ended: the object of --json, the lines of --stats, the sentence for a failure. */
#ifndef RUNTIME_REPORT_H
#define RUNTIME_REPORT_H

#include "runtime/launch.h"

/* audit_fd: the audit log, readable, or -1. */
void report_json(const struct outcome *o, const struct config *c, int audit_fd);
void report_stats(const struct outcome *o, enum stats_mode mode);
/* One line each on stderr for our own failure, a limit, a copy that went wrong. */
void report_lines(const struct outcome *o, const struct config *c);

#endif
