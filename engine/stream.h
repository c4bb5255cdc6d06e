/* Streaming: a run that gives each piece of its path back right after its use, while the next one
 * comes in, so that what it needs is two pieces and not the path.
 *
 * A block is run in chunks of its groups: conv1 and conv2 of the first chunk, added up, then those
 * of the next. A chunk has as many groups as the plan allows a piece to have windows, and at least
 * one. A piece is what one of these convolutions reads, weights and the vectors behind them, or
 * several that follow each other, as many as fit. What is resident of the path at any moment is at
 * most two pieces, the one in use and the next. Fewer and larger pieces cost less time.
 *
 * A thread of its own brings pieces in and gives them back while the run computes; without one, the
 * run itself does. Pieces that other runs keep resident (engine/residency.h) are neither. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "engine/layout.h"
#include "engine/store.h"

#define VN_STREAM_SHARE 24 /* such a part of all parameters is a piece: two are a twelfth */

/* Windows of the largest piece when every chunk is one group. */
uint64_t vn_stream_least_piece(const struct vn_network *n, const struct vn_layout *l);

/* What is streamed: the backbone's path of one task. */
struct vn_stream_path {
    const struct vn_store *store;
    uint32_t blocks;
    const uint8_t *levels;  /* by block */
    const uint8_t *order;   /* of groups */
    uint64_t piece_windows; /* at least vn_stream_least_piece */
};

/* One session's; one run at a time. */
struct vn_stream;

/* 0 or -ENOMEM. */
int vn_stream_new(struct vn_stream **ret_stream);
struct vn_stream *vn_stream_free(struct vn_stream *s);
VN_DEFINE_CLEANUP(struct vn_stream *, vn_stream_free);

/* The path's arrays live until the end. */
void vn_stream_begin(struct vn_stream *s, const struct vn_stream_path *path);

/* Groups that make a chunk of block b of the path that is streamed. */
uint32_t vn_stream_chunk(const struct vn_stream *s, uint32_t b);

/* The next convolution of the path, in the order in which a run needs them: from now on the run may
 * touch what it reads, and nothing of an earlier one. */
void vn_stream_step(struct vn_stream *s);

/* Everything is given back. Also ends a run that stops early, or did not step at all. Returns the
 * nanoseconds that the run has waited for pieces. */
uint64_t vn_stream_end(struct vn_stream *s);
