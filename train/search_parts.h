/* What the two halves of the agent's step share: search_look.c runs the backbone, to see an image
 * and to learn what a path answers; search.c chooses paths and learns from their rewards.
 *
 * A step is about n samples; row i n + k is sample k on its path i. Paths are decided before
 * anything but the agent's look is run, and only what is not remembered is run at all. */
#pragma once

#include "train/outcomes.h"
#include "train/trainer.h"

struct wish {
    enum vn_plan_unit unit;
    uint64_t limit;
    float budget, thrift; /* as the policy sees them */
    struct vn_rng rng;
};

struct vn_search {
    uint32_t features, work, outputs, min_level, max_rows;
    uint32_t n;
    const struct vn_sample *const *sample; /* (n); not there when the images are in the batch */
    uint16_t *task;                        /* (samples) */
    struct wish *wish;                     /* (samples) */
    float *feature;                        /* (samples, F) */
    float *policy;                         /* (samples, work): inputs and hidden layer */
    float *score;                          /* (samples, m (g + 1)) log probabilities */

    uint8_t (*path)[VN_BLOCKS_MAX]; /* (rows) */
    double *density;                /* (rows) */
    struct vn_outcome *outcome;     /* (rows) */
    uint32_t *unknown;              /* (rows) those that must be run */
    double *advantage;              /* (rows) of sampled paths */
    float *dlogits;                 /* (m (g + 1)) */

    /* what is remembered of a backbone that does not change */
    struct vn_outcomes *outcomes;
    const struct vn_sample **list;   /* (rows) those that are run now */
    float *seen[VN_INPUTS_MAX];      /* (samples of the corpus, F); the shared agent's */
    uint8_t *is_seen[VN_INPUTS_MAX]; /* (samples of the corpus) */

    /* of the conv agent's own trunk */
    float *images;      /* (samples, H, W, C) */
    float *dfeature;    /* (samples, F) */
    struct vn_row *row; /* (samples) */
    uint8_t full[VN_BLOCKS_MAX], order[VN_GROUPS_MAX];
};

/* Memory for what the halves need; 0 or -ENOMEM. */
int vn_search_look_init(struct vn_trainer *t, struct vn_search *s);
void vn_search_look_deinit(struct vn_search *s);

/* The backbone has changed. */
void vn_search_forget(struct vn_trainer *t);

/* Features of the step's samples, remembered where that is possible. */
void vn_search_look(struct vn_trainer *t, uint32_t input);

/* Features of the samples whose images are in the batch, as they are there. */
void vn_search_look_at_batch(struct vn_trainer *t, uint32_t input);

/* Outcomes of the first `rows` rows' paths. */
void vn_search_run(struct vn_trainer *t, uint32_t input, uint32_t rows);
