/* Text that strangers wrote, made fit for a reply or a log line. */
#pragma once

#include <stddef.h>

#include "engine/network.h"

#define TEXT_NAME 72 /* a name of VN_NAME_MAX bytes, cut with "..." when longer */

/* A name that came from a client, in printable ASCII. Returns `text`. */
const char *text_name(const char *name, char text[static TEXT_NAME]);

/* Makes text valid UTF-8 in place: a bad byte becomes '?', a sequence cut at the end is dropped. */
void text_utf8(char *text);

/* "digit, parity and 3 more": the network's tasks, as many as fit. Returns `text`. */
const char *text_tasks(const struct vn_network *n, char *text, size_t size);
