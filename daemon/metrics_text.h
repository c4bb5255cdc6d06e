/* All numbers in the text format of Prometheus (version 0.0.4): what the exporter hands out, and
 * the sentence that defines each. */
#pragma once

#include "base/buffer.h"
#include "daemon/metrics.h"
#include "daemon/status.h"

/* 256 tasks of 64 blocks take 2.6 MB. */
#define METRICS_TEXT_MAX (UINT32_C(8) << 20)

/* A copy of what the loop owns, for another thread to write out. */
struct metrics_snapshot {
    char store[VN_NAME_MAX + 1];
    struct status_report report; /* memory included */
    uint64_t uptime_ns, fixed_bytes, memory_limit_bytes;
    uint64_t store_bytes, waiting_bytes;
    uint32_t waiting_limit, workers;
    uint32_t parts, parts_verified, parts_damaged;
    uint32_t n_tasks;
    struct metrics_task *tasks; /* owned, (n_tasks) */
    uint64_t *default_budgets;  /* owned, (n_tasks) bytes; 0: none */
};

struct daemon;

/* All but the memory's numbers. 0 or -ENOMEM. */
int metrics_snapshot_take(const struct daemon *d, struct metrics_snapshot *ret_snapshot);
void metrics_snapshot_deinit(struct metrics_snapshot *s);

/* Appends the text; any thread. 0, VN_BUFFER_E_FULL or -ENOMEM. */
int metrics_text(const struct metrics_snapshot *s, struct vn_buffer *b);
