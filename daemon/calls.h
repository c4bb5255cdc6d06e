/* The calls: a decoded request becomes a validated job, or a reply, or a typed refusal. */
#pragma once

#include "proto/virtualnet.pb-c.h"

struct client;
struct daemon;
struct status_report;

/* Takes the message, which holds `bytes` of heap. Replies now or later; may end the connection. */
void calls_handle(struct client *c, Virtualnet__Request *message, uint64_t bytes);

/* The client is gone: nothing of it is answered any more. */
void calls_abandon(struct client *c);

/* The kernel's numbers for a Status that waits are there. */
void calls_status_read(struct client *c, uint64_t id, const struct status_report *r);
