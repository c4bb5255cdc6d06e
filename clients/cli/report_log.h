/* A training log as the report shows it. Every field is optional: logs of earlier versions, and of
 * runs without a validation split, have fewer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "clients/cli/report_agreement.h"

enum report_column {
    LOG_LOSS_FULL,
    LOG_LOSS_MIXED,
    LOG_LOSS_AUXILIARY,
    LOG_ACCURACY_FULL,
    LOG_VALIDATION_FULL,
    LOG_VALIDATION_HALF,
    LOG_REWARD,
    LOG_DENSITY,
    LOG_UCR,    /* mean over tasks and blocks */
    LOG_COSINE, /* mean over pairs of tasks */
    LOG_IMAGES_PER_S,
    LOG_GFLOP_PER_S,
    LOG_COLUMNS,
};

enum report_phase {
    LOG_BACKBONE,
    LOG_AGENT,
    LOG_TUNE,
    LOG_PHASES,
};

extern const char *const report_phase_names[]; /* NULL-terminated */

struct report_epoch {
    enum report_phase phase;
    uint32_t number;           /* of its phase, from 1 */
    double value[LOG_COLUMNS]; /* NAN: not logged */
};

struct report_log {
    size_t n;
    struct report_epoch *epochs;       /* owned, in the order of the file */
    struct report_agreement agreement; /* owned */
};

enum {
    REPORT_LOG_E_INVALID = 1, /* why says which line, and what is wrong with it */
};

/* The log of a run that made the network. 0, REPORT_LOG_E_INVALID or a negative errno; why is
 * set. */
int report_log_read(const char *file, const struct vn_network *n, struct vn_why *why,
                    struct report_log *ret);
void report_log_deinit(struct report_log *l);
