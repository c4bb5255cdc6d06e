/* Evaluation of a store through the engine, exactly as the daemon runs it: every sample of a split
 * under every setting, per task. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/session.h"
#include "train/data.h"
#include "train/setting.h"

enum {
    VN_EVALUATE_E_MISMATCH = 1, /* store and configuration name different tasks; why says which */
};

/* Sums over the samples of one task under one setting. */
struct vn_score {
    uint64_t n, correct;
    uint64_t too_small; /* samples whose limit was below the smallest path: not in n */
    double params, bytes, agent_params; /* of all that the run touched, agent and probe included */
    double work;                        /* multiply-adds of all that was run (engine/work.h) */
    uint64_t params_max, bytes_max;
    double level[VN_BLOCKS_MAX];
};

struct vn_evaluation {
    uint32_t n_tasks, n_settings;
    struct vn_setting *settings; /* owned copy */
    struct vn_score *scores;     /* owned, (n_tasks, n_settings) */
    uint32_t n_samples;          /* of `images` */
    size_t image_bytes;          /* of a sample's record */
    uint8_t *images;             /* owned, (n_samples, image_bytes); NULL unless asked for */
};

/* A sample's record, packed, numbers little-endian:
 *     u32 image (its number in the split's set), u16 task (of the store), u16 label,
 *     for each setting: u16 answer (VN_NO_ANSWER: nothing fitted), f32 largest probability,
 *     u32 parameters, u64 multiply-adds, u8 level of each block
 * A cascade's levels are those of the last path. */
#define VN_NO_ANSWER 0xffff
#define VN_IMAGE_HEAD 8
#define VN_IMAGE_ANSWER 18 /* and a byte for each block */

struct vn_meter;

/* corpus: the split to measure; its configuration's tasks are matched to the store's by name.
 * 0, VN_EVALUATE_E_MISMATCH or a negative errno; why is set. */
int vn_evaluate(struct vn_store *s, const struct vn_corpus *corpus,
                const struct vn_setting *settings, uint32_t n_settings, uint32_t threads,
                struct vn_meter *progress, struct vn_why *why,
                struct vn_evaluation **ret_evaluation);

/* The same, keeping every answer in ret_evaluation->images. */
int vn_evaluate_images(struct vn_store *s, const struct vn_corpus *corpus,
                       const struct vn_setting *settings, uint32_t n_settings, uint32_t threads,
                       struct vn_meter *progress, struct vn_why *why,
                       struct vn_evaluation **ret_evaluation);
struct vn_evaluation *vn_evaluation_free(struct vn_evaluation *e);
VN_DEFINE_CLEANUP(struct vn_evaluation *, vn_evaluation_free);

static inline const struct vn_score *vn_evaluation_at(const struct vn_evaluation *e, uint32_t task,
                                                      uint32_t setting)
{
    return &e->scores[(size_t)task * e->n_settings + setting];
}

/* The mean over tasks of accuracy, parameters and so on, as one row: accuracy is the mean of the
 * tasks' accuracies. */
struct vn_row_mean {
    double accuracy, spread; /* spread: standard deviation over tasks */
    double params, bytes, work, agent_share;
    uint64_t params_max, bytes_max, too_small;
};
struct vn_row_mean vn_evaluation_mean(const struct vn_evaluation *e, uint32_t setting);
