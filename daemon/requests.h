/* Infer and Plan requests of a connection: admitted, superseded, cancelled, answered. */
#pragma once

#include <stdint.h>

#include "proto/virtualnet.pb-c.h"

struct client;
struct daemon;
struct job;
struct refusal;

/* Takes the message, which holds `bytes` of heap. Queues it or refuses it; may end the
 * connection. */
void requests_run(struct client *c, Virtualnet__Request *message, uint64_t bytes);

/* A job that is out of queue and worker: answers it if its client is still there, and frees it. */
void requests_finish(struct daemon *d, struct job *j);

/* Answers a job that is out of queue and worker, and whose client is there, with a refusal, and
 * frees it. May end the client. */
void requests_refuse(struct job *j, const struct refusal *r);

/* Ends those with this id: what waits is answered now, what runs when its worker has stopped.
 * Returns how many there were. May end the connection. */
uint32_t requests_cancel(struct client *c, uint64_t id);

/* Refuses everything that waits, because the daemon stops. */
void requests_refuse_waiting(struct daemon *d);

/* The client is gone: drops what waits, cancels what runs. */
void requests_abandon(struct client *c);

/* Whether this connection may have one more request in flight. 0, or 1 with the refusal set. */
int requests_may_begin(const struct client *c, struct refusal *r);
