/* The reading half of a connection: bytes become frames, frames become calls. */
#pragma once

#include <stdbool.h>

struct client;

/* Reads what has arrived, a bounded part of it at a time, and handles every whole frame. May end
 * the connection. */
void receive(struct client *c);

/* The peer writes no more. If it is gone altogether so is the connection; one that has only shut
 * down its sending side still gets its answers. */
void receive_end(struct client *c);

/* Whether something has arrived whole and was not handled yet. */
bool receive_has_frame(const struct client *c);
