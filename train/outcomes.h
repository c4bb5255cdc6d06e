/* What the backbone answers to an image on a path. While the agent learns the backbone does not
 * change, and neither do the images: each answer is computed once and remembered.
 *
 * A table of at most some 16 million answers; when it cannot grow it forgets all. Keys are 64-bit
 * hashes: among a million answers, the chance that any two are taken for each other is one in ten
 * million. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "train/data.h"

struct vn_outcome {
    float loss; /* cross-entropy */
    bool right;
};

struct vn_outcomes;

/* For paths of so many blocks. 0 or -ENOMEM. */
int vn_outcomes_new(uint32_t blocks, struct vn_outcomes **ret_outcomes);
struct vn_outcomes *vn_outcomes_free(struct vn_outcomes *o);
void vn_outcomes_forget(struct vn_outcomes *o);

/* False: not known. level: (blocks). */
bool vn_outcomes_find(const struct vn_outcomes *o, const struct vn_sample *sample,
                      const uint8_t *level, struct vn_outcome *ret_outcome);
void vn_outcomes_put(struct vn_outcomes *o, const struct vn_sample *sample, const uint8_t *level,
                     struct vn_outcome outcome);
