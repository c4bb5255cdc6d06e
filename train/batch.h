/* One batch of rows on its way through the model: images, tasks, paths, logits. A batch of n
 * samples with c paths each has n c rows; row i n + s is sample s on its path i. */
#pragma once

#include <stdint.h>

#include "base/rng.h"
#include "train/data.h"
#include "train/trunk.h"

struct vn_batch {
    uint32_t max_rows, n, rows, threads;
    uint32_t labels_stride;          /* labels of the task with most */
    size_t image_floats;             /* of the batch's input */
    const struct vn_sample **sample; /* (rows) for callers that gather samples */
    float *images;                   /* (rows, H, W, C) */
    float *work;                     /* (threads, H, W, C) */
    uint16_t *task;                  /* (rows) */
    uint16_t *label;                 /* (rows) */
    struct vn_row *row;              /* (rows) pointing into level and the tasks' orders */
    uint8_t (*level)[VN_BLOCKS_MAX];
    float *pooled, *dpooled;                 /* (rows, width) */
    float *logits, *dlogits, *probabilities; /* (rows, labels_stride) */
};

/* 0 or -ENOMEM. */
int vn_batch_init(struct vn_batch *b, const struct vn_network *n, uint32_t max_rows,
                  uint32_t threads);
void vn_batch_deinit(struct vn_batch *b);

/* How images are changed on the way: pad-crop and flip, drawn per sample from (seed, epoch,
 * position in the epoch). pad 0 and no flip: as they are. */
struct vn_augmentation {
    uint32_t pad;
    bool flip;
    uint64_t seed, epoch, position; /* of the batch's first sample */
};

/* Fills rows 0 .. n-1 from n samples of one input. */
void vn_batch_fill(struct vn_batch *b, const struct vn_corpus *c, uint32_t input,
                   const struct vn_sample *const *samples, uint32_t n,
                   const struct vn_augmentation *a);

/* Repeats rows 0 .. n-1 so that there are `paths` rows for each sample. */
void vn_batch_repeat(struct vn_batch *b, const struct vn_network *n, uint32_t paths);

/* Sets the levels of row r: all equal, or uniform random in 0 .. g. */
void vn_row_uniform(struct vn_batch *b, uint32_t r, uint32_t blocks, uint32_t level);
void vn_row_random(struct vn_batch *b, uint32_t r, uint32_t blocks, uint32_t groups,
                   struct vn_rng *rng);
