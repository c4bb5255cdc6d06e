/* One log line for each request that ended, at debug level: the request's id as the client chose
 * it, whose it was, what became of it, and where its time went. */
#pragma once

#include <stdint.h>

#include "daemon/daemon.h"

struct client;
struct job;

/* job: of an Infer or Plan request that a worker had, else NULL. */
void trace_request(const struct client *c, uint64_t id, enum daemon_counter outcome,
                   const struct job *job);
