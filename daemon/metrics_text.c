#include "daemon/metrics_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/daemon.h"

#define LINE_MAX_BYTES 512 /* names of 64 bytes, all of them escaped, and room */

/* --- lines ------------------------------------------------------------------------------------ */

/* The first failure stays; what comes after it is not written. */
struct out {
    struct vn_buffer *buffer;
    int result;
};

static void line(struct out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct out *o, const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list ap;
    int n;

    if (o->result)
        return;
    va_start(ap, format);
    n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof text)
        o->result = -EOVERFLOW;
    else
        o->result = vn_buffer_append(o->buffer, text, (size_t)n);
}

static void head(struct out *o, const char *name, const char *type, const char *help)
{
    line(o, "# HELP virtualnetd_%s %s\n# TYPE virtualnetd_%s %s\n", name, help, name, type);
}

#define ESCAPED (2 * VN_NAME_MAX + 1)

/* As a label's value is written; names hold no control characters. */
static const char *escape(const char *name, char text[static ESCAPED])
{
    char *to = text;

    for (; *name && to < text + ESCAPED - 2; *to++ = *name++)
        if (*name == '\\' || *name == '"')
            *to++ = '\\';
    *to = 0;
    return text;
}

/* --- single numbers --------------------------------------------------------------------------- */

struct number {
    const char *name, *type;
    uint64_t value;
    const char *help;
};

static void write_numbers(struct out *o, const struct number *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        head(o, numbers[i].name, numbers[i].type, numbers[i].help);
        line(o, "virtualnetd_%s %" PRIu64 "\n", numbers[i].name, numbers[i].value);
    }
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void write_queue(struct out *o, const struct metrics_snapshot *s)
{
    const struct number numbers[] = {
        {"requests_waiting", "gauge", s->report.queue_length,
         "Requests that wait for a worker, those included that workers take next."},
        {"requests_waiting_limit", "gauge", s->waiting_limit,
         "Requests that may wait; one more is refused with BUSY (queue_limit)."},
        {"requests_waiting_bytes", "gauge", s->waiting_bytes,
         "Memory that waiting requests hold, mostly their pixels."},
        {"requests_running", "gauge", s->report.running, "Requests that workers run now."},
        {"workers", "gauge", s->workers, "Threads that take requests."},
        {"connections", "gauge", s->report.connections, "Open connections of clients."},
    };

    write_numbers(o, numbers, COUNT(numbers));
}

static void write_memory(struct out *o, const struct metrics_snapshot *s)
{
    const struct status_memory *m = &s->report.memory;
    const struct memory_report *b = &s->report.books;
    const struct number numbers[] = {
        {"memory_limit_bytes", "gauge", b->limit,
         "What the process may hold: memory_limit_bytes, or by the control group; 0 is no limit."},
        {"memory_accounted_bytes", "gauge", b->accounted,
         "What the process holds at most: fixed, scratch, buffers, resident slices and the images "
         "and results of runs."},
        {"memory_fixed_bytes", "gauge", b->fixed,
         "Proportional set size of the process, loaded and before the first request."},
        {"memory_scratch_bytes", "gauge", b->scratch,
         "Activations of all workers and stores, as large as they can become."},
        {"memory_buffer_bytes", "gauge", b->buffers, "Requests that arrive or wait."},
        {"memory_resident_bytes", "gauge", b->resident,
         "Slices of all stores that are in memory, in use or kept."},
        {"memory_promised_bytes", "gauge", b->promised,
         "The most that running requests, and those that workers take next, may need together "
         "beside the scratch."},
        {"memory_pressure_events_total", "counter", b->events,
         "Events of memory pressure that the service manager passed on."},
        {"memory_pss_bytes", "gauge", m->pss,
         "Proportional set size of the process: a page shared by n processes counts as 1/n."},
        {"memory_pss_anonymous_bytes", "gauge", m->pss_anon,
         "Its part of heap, stacks and activations."},
        {"memory_pss_file_bytes", "gauge", m->pss_file,
         "Its part of store, program and libraries, which the kernel can drop."},
        {"memory_rss_bytes", "gauge", m->rss,
         "Resident set size of the process: shared pages count in full."},
        {"memory_cgroup_bytes", "gauge", m->cgroup.charged,
         "What the memory control group is charged, page cache included; 0 without one."},
        {"memory_cgroup_reclaimable_bytes", "gauge", m->cgroup.reclaimable,
         "Of it, pages of files, which the kernel can drop."},
    };

    write_numbers(o, numbers, COUNT(numbers));
    head(o, "memory_pressure_share", "gauge",
         "Part of the default budgets that is in force, 0 to 1: pressure lowers it.");
    line(o, "virtualnetd_memory_pressure_share %.4f\n", b->share);
}

static const struct {
    const char *name, *type, *help;
} store_numbers[N_METRICS_STORE] = {
    [METRICS_STORE_LOADED] = {"store_loaded", "gauge",
                              "Whether the store is served (1) or its file could not be used (0)."},
    [METRICS_STORE_LOADS] = {"store_loads_total", "counter",
                             "Times that the store's file was loaded, the start included."},
    [METRICS_STORE_FAILED_LOADS] = {"store_failed_loads_total", "counter",
                                    "Times that the store's file could not be loaded."},
    [METRICS_STORE_BYTES] = {"store_bytes", "gauge", "Size of the store file that is served."},
    [METRICS_STORE_PARTS] = {"store_parts", "gauge",
                             "Parts of the store that have a checksum: the always-needed part and "
                             "the slices."},
    [METRICS_STORE_PARTS_VERIFIED] = {"store_parts_verified", "gauge",
                                      "Parts that were compared with their checksum and are "
                                      "good."},
    [METRICS_STORE_PARTS_DAMAGED] = {"store_parts_damaged", "gauge",
                                     "Parts that do not agree with their checksum; requests that "
                                     "need one are refused."},
    [METRICS_STORE_RESIDENT] = {"store_resident_bytes", "gauge",
                                "Slices of the store that are in memory, in use or kept."},
};

static void write_stores(struct out *o, const struct metrics_snapshot *s)
{
    char name[ESCAPED];

    head(o, "info", "gauge", "Always 1; the label names the version.");
    line(o, "virtualnetd_info{version=\"%s\"} 1\n", VN_VERSION);
    head(o, "uptime_seconds", "gauge", "Time since the daemon was started.");
    line(o, "virtualnetd_uptime_seconds %.3f\n", (double)s->uptime_ns / (double)VN_NS_PER_S);
    head(o, "store_info", "gauge", "Always 1; the label names the network in the store.");
    for (uint32_t i = 0; i < s->n_stores; i++)
        line(o, "virtualnetd_store_info{store=\"%s\",network=\"%s\"} 1\n", s->stores[i].name,
             escape(s->stores[i].network, name));
    for (int n = 0; n < N_METRICS_STORE; n++) {
        head(o, store_numbers[n].name, store_numbers[n].type, store_numbers[n].help);
        for (uint32_t i = 0; i < s->n_stores; i++)
            line(o, "virtualnetd_%s{store=\"%s\"} %" PRIu64 "\n", store_numbers[n].name,
                 s->stores[i].name, s->stores[i].number[n]);
    }
}

/* --- counters --------------------------------------------------------------------------------- */

/* Of those that are no outcome of a request. */
static const char *const event_help[N_COUNTERS] = {
    [REQUESTS_RECEIVED] = "Requests that arrived, whatever became of them.",
    [CONNECTIONS_ACCEPTED] = "Connections that were accepted.",
    [CONNECTIONS_REFUSED] = "Connections that were turned away for a limit.",
    [SLOW_READERS_CUT] = "Connections that were cut because their replies were not read.",
    [SLOW_WRITERS_CUT] =
        "Connections that were cut because a request did not arrive whole in time.",
};

static void write_counters(struct out *o, const struct metrics_snapshot *s)
{
    const uint64_t *c = s->report.counters;
    uint64_t ended = 0;

    head(o, "requests_total", "counter",
         "Requests that ended, by outcome: answered calls, error codes, or gone with the client.");
    for (int i = 0; i < REQUESTS_RECEIVED; ended += c[i++])
        line(o, "virtualnetd_requests_total{outcome=\"%s\"} %" PRIu64 "\n", counter_names[i], c[i]);
    head(o, "requests_in_flight", "gauge", "Requests that arrived and have not ended.");
    line(o, "virtualnetd_requests_in_flight %" PRIu64 "\n", c[REQUESTS_RECEIVED] - ended);
    for (int i = REQUESTS_RECEIVED; i < N_COUNTERS; i++) {
        char name[64];

        snprintf(name, sizeof name, "%s_total", counter_names[i]);
        head(o, name, "counter", event_help[i] ? event_help[i] : "");
        line(o, "virtualnetd_%s %" PRIu64 "\n", name, c[i]);
    }
}

/* --- by task ---------------------------------------------------------------------------------- */

/* labels: without braces, not empty. */
static void write_histogram(struct out *o, const char *name, const char *labels,
                            const struct metrics_histogram *h)
{
    uint64_t sum = 0;

    for (int i = 0; i < METRICS_BUCKETS - 1; i++) {
        sum += h->count[i];
        line(o, "virtualnetd_%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
             (double)metrics_bounds_ns[i] / (double)VN_NS_PER_S, sum);
    }
    sum += h->count[METRICS_BUCKETS - 1];
    line(o, "virtualnetd_%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, sum);
    line(o, "virtualnetd_%s_sum{%s} %.9f\n", name, labels, (double)h->sum_ns / (double)VN_NS_PER_S);
    line(o, "virtualnetd_%s_count{%s} %" PRIu64 "\n", name, labels, sum);
}

#define LABELS (sizeof "store=\"\",task=\"\"" + VN_NAME_MAX + ESCAPED)

/* store="a",task="b" */
static const char *labels_of(const struct metrics_snapshot *s, uint32_t t, char text[static LABELS])
{
    const struct metrics_snapshot_task *task = &s->tasks[t];
    char name[ESCAPED];

    snprintf(text, LABELS, "store=\"%s\",task=\"%s\"", s->stores[task->store].name,
             escape(task->counts.name, name));
    return text;
}

static void write_times(struct out *o, const struct metrics_snapshot *s)
{
    char labels[LABELS], with_phase[LABELS + 32];

    head(o, "run_seconds", "histogram",
         "Time from a request's arrival to the last byte of its answer, of runs that were "
         "answered.");
    for (uint32_t t = 0; t < s->n_tasks; t++)
        write_histogram(o, "run_seconds", labels_of(s, t, labels),
                        &s->tasks[t].counts.times[METRICS_TOTAL]);
    head(o, "run_phase_seconds", "histogram",
         "The same time by phase: waiting in the queue, deciding (agent), computing, sending.");
    for (uint32_t t = 0; t < s->n_tasks; t++)
        for (int p = 0; p < METRICS_PHASES; p++) {
            snprintf(with_phase, sizeof with_phase, "%s,phase=\"%s\"", labels_of(s, t, labels),
                     metrics_phase_names[p]);
            write_histogram(o, "run_phase_seconds", with_phase, &s->tasks[t].counts.times[p]);
        }
}

static void write_levels(struct out *o, const struct metrics_snapshot *s)
{
    char labels[LABELS];

    head(o, "runs_total", "counter", "Runs that were answered.");
    for (uint32_t t = 0; t < s->n_tasks; t++)
        line(o, "virtualnetd_runs_total{%s} %" PRIu64 "\n", labels_of(s, t, labels),
             s->tasks[t].counts.runs);
    head(o, "run_levels_total", "counter",
         "Sum of the levels at which a block was run; by runs_total, the mean level.");
    for (uint32_t t = 0; t < s->n_tasks; t++)
        for (uint32_t b = 0; b < s->tasks[t].counts.n_blocks; b++)
            line(o, "virtualnetd_run_levels_total{%s,block=\"%" PRIu32 "\"} %" PRIu64 "\n",
                 labels_of(s, t, labels), b, s->tasks[t].counts.levels[b]);
    head(o, "default_budget_bytes", "gauge",
         "Memory budget of a request that states none; 0 is no limit.");
    for (uint32_t t = 0; t < s->n_tasks; t++)
        line(o, "virtualnetd_default_budget_bytes{%s} %" PRIu64 "\n", labels_of(s, t, labels),
             s->tasks[t].default_budget_bytes);
}

int metrics_text(const struct metrics_snapshot *s, struct vn_buffer *b)
{
    struct out o = {.buffer = b};

    write_stores(&o, s);
    write_counters(&o, s);
    write_queue(&o, s);
    write_memory(&o, s);
    write_levels(&o, s);
    write_times(&o, s);
    return o.result;
}
