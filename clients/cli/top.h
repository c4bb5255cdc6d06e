/* What virtualnet top shows: the difference between two readings of Status, in numbers (top.c), as
 * a screen (top_screen.c) and as JSON (top_json.c). */
#pragma once

#include "clients/cli/cli.h"

/* Two readings; before is NULL at the first: then everything is since the daemon's start. A daemon
 * that was started anew, or a task that is new, begins at zero. */
struct top_view {
    const struct vn_client_status *before, *now;
    const char *trouble; /* why there is no newer reading, or NULL */
    const char *store;   /* whose tasks are shown; NULL: of all */
};

/* Seconds between the readings, never 0. */
double top_seconds(const struct top_view *v);

/* How much the counter has grown; 0 when there is none of this name. */
uint64_t top_counter(const struct top_view *v, const char *name);

/* Of one task, between the readings. */
struct top_task {
    const struct vn_client_task_status *now;
    const struct vn_client_task_status *before; /* NULL: begins at zero */
    uint64_t runs;
};

struct top_task top_task(const struct top_view *v, size_t index);

/* Whether the task is one of those that are shown. */
bool top_shows(const struct top_view *v, size_t index);

/* Mean level of a block; of all runs ever when there were none between the readings, and negative
 * when there were none at all. */
double top_level(const struct top_task *t, size_t block);

/* Seconds below which this share of the runs lies, interpolated in its bucket; the last bound when
 * it lies above all; NAN without runs. phase: "total" or one of its parts. */
double top_quantile(const struct top_view *v, const struct top_task *t, const char *phase,
                    double share);

/* Mean seconds; NAN without runs. */
double top_mean(const struct top_task *t, const char *phase);

/* top_screen.c: so many columns at most; utf8: bars are made of block elements. Lines end with
 * `end`, which may clear the rest of the line. */
void top_screen(FILE *to, const struct top_view *v, unsigned columns, bool utf8, const char *end);

/* top_json.c: a new reference, NULL when memory is out. */
json_t *top_json(const struct top_view *v);
