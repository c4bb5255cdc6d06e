/* A training run: its parts and its position. One thread drives it (OpenMP inside); everything
 * random is drawn from (seed, purpose, epoch, position), so that a run can stop after any step and
 * go on from a checkpoint to the same numbers. */
#pragma once

#include <signal.h>
#include <stdint.h>

#include "train/agreement.h"
#include "train/batch.h"
#include "train/config.h"
#include "train/data.h"
#include "train/model.h"
#include "train/trunk.h"

/* Purposes of random streams: xor-ed into the seed. */
enum vn_purpose {
    VN_DRAW_ORDER = 1,   /* of samples in an epoch */
    VN_DRAW_AUGMENT = 2, /* pad-crop and flip */
    VN_DRAW_PATHS = 3,   /* mixed paths */
    VN_DRAW_WISHES = 4,  /* budgets, thrift, and the agent's samples */
    VN_DRAW_ESTIMATE = 5,
};

static inline uint64_t vn_purpose_seed(uint64_t seed, enum vn_purpose p)
{
    return seed ^ ((uint64_t)p << 56);
}

enum vn_phase {
    VN_PHASE_BACKBONE, /* random mixed paths */
    VN_PHASE_AGENT,    /* the backbone is fixed */
    VN_PHASE_TUNE,     /* backbone on the agent's choices */
};

extern const char *const vn_phase_names[];

/* The store whose backbone a run began with (train/origin.c). */
struct vn_origin {
    uint64_t sum;     /* of its numbers; 0: the run trained its own */
    json_t *training; /* owned: that store's record of how it was trained; or NULL */
};

/* Everything a step needs. */
struct vn_trainer {
    const struct vn_train_config *config;
    struct vn_corpus *corpus;
    struct vn_model *model;
    uint32_t threads;
    struct vn_trunk *trunk[VN_INPUTS_MAX];       /* backbone, by input */
    struct vn_trunk *agent_trunk[VN_INPUTS_MAX]; /* conv agent only */
    struct vn_batch batch;
    float *auxiliary;               /* vn_auxiliary_floats: scratch; NULL without that loss */
    struct vn_agreement *agreement; /* NULL: off */
    struct vn_search *search;       /* scratch of the agent; NULL for kind uniform */
    uint64_t agent_steps;           /* updates of the agent so far (Adam counts them) */
    uint64_t backbone_steps;        /* of the backbone, in this leg */
    int only_task;                  /* of this leg; -1: all */
    struct vn_origin origin;        /* where the backbone came from */
};

/* Sums over samples; divide by n. */
struct vn_step_result {
    double loss, mixed_loss; /* full path; mean over the mixed ones */
    double auxiliary;        /* mean over all paths; before its weight */
    double correct;          /* on the full path */
    double reward, density;  /* agent: of the sampled path */
    uint64_t n;
};

/* Takes the configuration, the training split and all memory. 0, or as vn_corpus_load. */
int vn_trainer_new(const struct vn_train_config *c, const char *data_folder, uint32_t threads,
                   uint32_t limit_images, struct vn_why *why, struct vn_trainer **ret_trainer);
struct vn_trainer *vn_trainer_free(struct vn_trainer *t);
VN_DEFINE_CLEANUP(struct vn_trainer *, vn_trainer_free);

/* Where in an epoch a batch stands. */
struct vn_place {
    uint64_t epoch;          /* of the run, all phases counted */
    uint64_t step;           /* in the epoch */
    double progress, epochs; /* epochs done in this leg, and its length: for the rate */
};

/* One update of the backbone on n samples of one input: sandwich of the full path and the
 * schedule's mixed paths with in-place distillation. tune: paths from the agent instead. */
void vn_backbone_step(struct vn_trainer *t, uint32_t input, const struct vn_sample *const *samples,
                      uint32_t n, const struct vn_place *at, bool tune,
                      struct vn_step_result *result);

/* One update of the agent by policy gradient, the backbone fixed. */
void vn_search_step(struct vn_trainer *t, uint32_t input, const struct vn_sample *const *samples,
                    uint32_t n, const struct vn_place *at, struct vn_step_result *result);

/* --- origin.c -------------------------------------------------------------------------------- */

/* Takes the backbone of a store, of which inputs, stages, groups, tasks and orders must be those of
 * the configuration. With tune legs to come, estimates anew what the store has folded away: the
 * batch-norm statistics. 0, VN_ORIGIN_E_OTHER, as vn_store_open, or -ENOMEM; why is set. */
enum {
    VN_ORIGIN_E_OTHER = 1,
};
int vn_origin_take(struct vn_trainer *t, const char *store, struct vn_why *why);

/* --- backbone.c ------------------------------------------------------------------------------ */

/* Ends a backbone phase: takes the averaged weights and re-estimates batch-norm statistics under
 * full and random mixed paths, on training images without augmentation. */
void vn_backbone_finish(struct vn_trainer *t);

/* One input's statistics of full and random mixed paths: TRAIN or MEASURE. */
void vn_backbone_estimate(struct vn_trainer *t, uint32_t input, enum vn_trunk_mode mode);

/* Of all trunks so far: vn_trunk_flops. */
double vn_trainer_flops(const struct vn_trainer *t);

/* The trainer's own evaluation: accuracy of n samples of one input at a uniform level, running
 * statistics; for tests and the log. Returns the number of correct answers. */
uint32_t vn_trainer_evaluate(struct vn_trainer *t, const struct vn_corpus *corpus, uint32_t input,
                             const struct vn_sample *const *samples, uint32_t n, uint32_t level);

/* --- search.c -------------------------------------------------------------------------------- */

struct vn_search;
int vn_search_new(struct vn_trainer *t, struct vn_search **ret_search);
struct vn_search *vn_search_free(struct vn_search *s);

/* Sets the levels of rows `first` .. first + n - 1 to the agent's sampled choices for the batch's
 * samples under random wishes. Uses the batch's rows 0 .. n - 1. */
void vn_search_sample(struct vn_trainer *t, uint32_t input, const struct vn_place *at,
                      uint32_t first);
