/* A whole training run: legs in order, checkpoints, log, export.
 *
 *   backbone, then for each round: agent, and (but after the last) tune
 *
 * Folder OUT: store.safetensors, log.jsonl (one object per epoch), checkpoint (removed never: the
 * last good state), config.json as it was read. */
#pragma once

#include <signal.h>

#include "train/trainer.h"

enum {
    VN_RUN_E_INTERRUPTED = 1, /* a checkpoint was written; run again with resume */
    VN_RUN_E_DIVERGED,        /* the loss is no number any more; the checkpoint is the last good */
};

struct vn_run_options {
    const char *out;         /* folder; made when missing */
    const char *data_folder; /* as vn_data_folder gave it */
    uint32_t threads;
    uint32_t limit_images; /* 0 = all */
    const char *backbone;  /* a store to begin with: only the agent's rounds; or NULL */
    bool resume;
    bool quiet;                        /* no progress on stderr */
    const volatile sig_atomic_t *stop; /* set by a signal handler: end after this step */
};

/* 0, an outcome above, or as the parts; why is set on failure. */
int vn_run(const struct vn_train_config *c, const struct vn_run_options *o, struct vn_why *why);
