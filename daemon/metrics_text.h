/* All numbers in the text format of Prometheus (version 0.0.4): what the exporter hands out, and
 * the sentence that defines each. */
#pragma once

#include "base/buffer.h"
#include "daemon/metrics.h"
#include "daemon/status.h"

/* 256 tasks of 64 blocks, in a store with a long name, take 6 MB. */
#define METRICS_TEXT_MAX (UINT32_C(64) << 20)

/* Of one store; the first three also of one that is not loaded. */
enum metrics_store {
    METRICS_STORE_LOADED,
    METRICS_STORE_LOADS,
    METRICS_STORE_FAILED_LOADS,
    METRICS_STORE_BYTES,
    METRICS_STORE_PARTS,
    METRICS_STORE_PARTS_VERIFIED,
    METRICS_STORE_PARTS_DAMAGED,
    METRICS_STORE_RESIDENT,
    N_METRICS_STORE,
};

struct metrics_snapshot_store {
    char name[VN_NAME_MAX + 1], network[VN_NAME_MAX + 1];
    uint64_t number[N_METRICS_STORE];
};

struct metrics_snapshot_task {
    uint32_t store;                /* its index */
    uint64_t default_budget_bytes; /* 0: none */
    struct metrics_task counts;
};

/* A copy of what the loop owns, for another thread to write out. */
struct metrics_snapshot {
    struct status_report report; /* memory included */
    uint64_t uptime_ns;
    uint64_t waiting_bytes;
    uint32_t waiting_limit, workers;
    uint32_t n_stores;
    struct metrics_snapshot_store stores[CONFIG_STORES_MAX];
    uint32_t n_tasks;
    struct metrics_snapshot_task *tasks; /* owned, (n_tasks) */
};

struct daemon;

/* All but the memory's numbers. 0 or -ENOMEM. */
int metrics_snapshot_take(const struct daemon *d, struct metrics_snapshot *ret_snapshot);
void metrics_snapshot_deinit(struct metrics_snapshot *s);

/* Appends the text; any thread. 0, VN_BUFFER_E_FULL or -ENOMEM. */
int metrics_text(const struct metrics_snapshot *s, struct vn_buffer *b);
