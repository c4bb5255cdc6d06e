/* What is counted of the runs of one store, by task: how long each phase took, as histograms with
 * fixed buckets, and the levels that were chosen. Loop thread only; counting takes no lock, no
 * memory and no system call, whatever is done with the numbers (exporter.h, status.c).
 *
 * The table follows the store's model: a task that a new file still has goes on counting, one that
 * is gone takes its numbers with it. */
#pragma once

#include <stdint.h>

#include "engine/network.h"
#include "engine/plan.h"

/* Of a run that was answered; they follow each other without a gap, and together are the whole. */
enum metrics_phase {
    METRICS_QUEUE,   /* from its arrival until a worker takes it */
    METRICS_AGENT,   /* preprocessing for the agent, and deciding */
    METRICS_PAGE_IN, /* waiting for slices that were not in memory */
    METRICS_COMPUTE, /* the run */
    METRICS_SEND,    /* until the socket has the last byte of the reply */
    METRICS_PHASES,
    METRICS_TOTAL = METRICS_PHASES, /* from arrival to that byte */
    METRICS_TIMES,
};

extern const char *const metrics_phase_names[METRICS_PHASES];

#define METRICS_BUCKETS 17

/* Upper bounds, inclusive; the last bucket has none. */
extern const uint64_t metrics_bounds_ns[METRICS_BUCKETS - 1];

struct metrics_histogram {
    uint64_t count[METRICS_BUCKETS]; /* of this bucket alone */
    uint64_t sum_ns;
};

struct metrics_task {
    char name[VN_NAME_MAX + 1];
    uint32_t n_blocks;
    uint64_t runs;
    uint64_t levels[VN_BLOCKS_MAX]; /* sum over runs */
    struct metrics_histogram times[METRICS_TIMES];
};

struct metrics {
    uint32_t n_tasks;
    uint32_t generation;        /* of the table */
    struct metrics_task *tasks; /* owned; in the network's order */
};

/* A run that was counted, for the rest of its times; it may outlive the table. */
struct metrics_run {
    struct metrics *metrics; /* NULL: it was not counted */
    uint32_t generation, index;
    uint64_t arrived_ns, ended_ns;
};

/* From now on this network's tasks are counted. 0, or -ENOMEM: the table is as it was. */
int metrics_serve(struct metrics *m, const struct vn_network *n);

/* A run that has ended and is about to be answered: its path and its times up to METRICS_COMPUTE.
 * index: of the task in the network that the run was made by. A task that is not served any more is
 * not counted. ended_ns: when the worker was done with it. */
struct metrics_run metrics_count(struct metrics *m, const char *task, uint32_t index,
                                 const struct vn_plan *plan, const uint64_t time_ns[METRICS_SEND],
                                 uint64_t arrived_ns, uint64_t ended_ns);

/* Its reply left at this moment. */
void metrics_sent(const struct metrics_run *run, uint64_t now_ns);

void metrics_deinit(struct metrics *m);
