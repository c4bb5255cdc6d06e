/* Evaluation of a store through the engine, exactly as the daemon runs it: every sample of a split
 * under every setting, per task. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/session.h"
#include "train/data.h"

enum {
    VN_EVALUATE_E_MISMATCH = 1, /* store and configuration name different tasks; why says which */
};

/* How paths are chosen: a uniform level, or the store's agent under a limit. */
struct vn_setting {
    bool agent;
    uint32_t level;  /* when not agent */
    double share;    /* limit as a share of the full path (agent, when the two below are 0) */
    uint64_t bytes;  /* limit in bytes */
    uint64_t params; /* limit in parameters */
    double thrift;
};

/* Sums over the samples of one task under one setting. */
struct vn_score {
    uint64_t n, correct;
    uint64_t too_small; /* samples whose limit was below the smallest path: not in n */
    double params, bytes, agent_params;
    uint64_t params_max, bytes_max;
    double level[VN_BLOCKS_MAX];
};

struct vn_evaluation {
    uint32_t n_tasks, n_settings;
    struct vn_setting *settings; /* owned copy */
    struct vn_score *scores;     /* owned, (n_tasks, n_settings) */
};

/* 0 .. g uniform, then (stores with an agent) hard limits from what a low path needs to the full
 * path, as shares of the latter, then thrift without a limit. Returns how many; room for
 * VN_SETTINGS_MAX. */
#define VN_SETTINGS_MAX 64
uint32_t vn_settings_default(const struct vn_planner *p, struct vn_setting *ret);

struct vn_meter;

/* corpus: the split to measure; its configuration's tasks are matched to the store's by name.
 * 0, VN_EVALUATE_E_MISMATCH or a negative errno; why is set. */
int vn_evaluate(struct vn_store *s, const struct vn_corpus *corpus,
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
    double params, bytes, agent_share;
    uint64_t params_max, bytes_max, too_small;
};
struct vn_row_mean vn_evaluation_mean(const struct vn_evaluation *e, uint32_t setting);
