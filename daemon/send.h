/* The writing half of a connection: replies become frames, frames leave as the socket takes them. A
 * peer that does not read is cut off, when more than its part is unread, or when nothing of it was
 * taken for too long. */
#pragma once

#include "proto/virtualnet.pb-c.h"

struct client;
struct metrics_run;

/* Queues a reply and writes what the socket takes. May end the connection. 0, or
 * VN_FRAME_E_TOO_LONG when the reply is longer than frame_limit_bytes: nothing was queued. */
int client_send(struct client *c, const Virtualnet__Response *response);

/* The run's answer is the last thing that was sent: counts its time when its last byte leaves. */
void client_count_sent(struct client *c, const struct metrics_run *run);

/* Writes what the socket takes now. May end the connection. */
void send_more(struct client *c);
