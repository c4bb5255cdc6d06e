/* The smallest client of virtualnetd that benchmarks need: a request packed once, sent again and
 * again; answers are taken whole and looked into only where asked. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "proto/virtualnet.pb-c.h"

enum { TALK_SIDE = 32, TALK_PIXELS = TALK_SIDE * TALK_SIDE * 3, TALK_LEVELS_MAX = 64 };

/* The picture that every request shows. */
void talk_pixels(uint8_t ret_pixels[TALK_PIXELS]);

/* LEVEL,LEVEL,... to numbers; how many. Those that are too many are left out. */
uint32_t talk_levels(const char *text, uint32_t ret_levels[TALK_LEVELS_MAX]);

/* A connected stream socket, or a negative errno. */
int talk_connect(const char *path);

/* Appends the frame of one request for this path. 0 or a negative errno. */
int talk_request(struct vn_buffer *b, const uint32_t *levels, uint32_t n_levels);

/* Sends all of it. 0 or a negative errno. */
int talk_send(int fd, const uint8_t *data, size_t n);

/* Takes one frame, nothing after it, into `answer`, which is emptied before. 0 or a negative
 * errno. */
int talk_receive(int fd, struct vn_buffer *answer);

/* Unpacks an answer; NULL, with a line on standard error, when it is not a result of a run. The
 * caller frees it. */
Virtualnet__Response *talk_result(const struct vn_buffer *answer);
