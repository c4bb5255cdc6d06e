/* Images of a split, run through the store's agent and ordered by what their paths cost. */
#pragma once

#include "train/data.h"
#include "train/evaluate.h"

struct report_shot {
    const struct vn_image *image; /* of the gallery's corpus */
    uint32_t place;               /* among those that were run */
    uint32_t task;                /* of the store */
    uint32_t label, answer;
    float probability; /* of the answer */
    uint64_t params;   /* of the path */
    uint8_t level[VN_BLOCKS_MAX];
};

#define REPORT_ROWS 6

/* Images with paths of like cost. */
struct report_row {
    uint32_t first, n; /* into shots */
};

struct report_gallery {
    double thrift; /* under which the images were run, without a limit */
    uint32_t n;
    struct report_shot *shots; /* owned; cheapest path first */
    uint32_t n_rows;
    struct report_row rows[REPORT_ROWS];
};

/* Runs up to `images` images of the corpus, spread over it. thrift < 0: the one of a short list
 * under which the paths differ most. The corpus must outlive the gallery. 0 or a negative errno;
 * why is set. */
int report_gallery_run(struct vn_store *s, const struct vn_corpus *corpus, double thrift,
                       uint32_t images, struct vn_meter *progress, struct vn_why *why,
                       struct report_gallery *ret);
void report_gallery_deinit(struct report_gallery *g);
