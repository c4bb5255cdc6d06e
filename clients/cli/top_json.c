/* virtualnet top as JSON. */
#include <math.h>

#include "base/clock.h"
#include "clients/cli/top.h"

static json_t *milliseconds(double seconds)
{
    return vn_cli_json_number(seconds * 1e3); /* null without runs */
}

static json_t *json_of_phases(const struct top_task *t)
{
    json_t *phases = json_object();

    for (size_t i = 0; i < t->now->n_times; i++)
        json_object_set_new(phases, t->now->times[i].phase,
                            milliseconds(top_mean(t, t->now->times[i].phase)));
    return phases;
}

static json_t *json_of_levels(const struct top_task *t)
{
    json_t *levels = json_array();

    for (size_t b = 0; b < t->now->n_blocks; b++) {
        double level = top_level(t, b);

        json_array_append_new(levels, vn_cli_json_number(level < 0 ? NAN : level));
    }
    return levels;
}

static json_t *json_of_task(const struct top_view *v, size_t index)
{
    struct top_task t = top_task(v, index);

    return json_pack("{s:o, s:o, s:I, s:f, s:I, s:o, s:o, s:o, s:o, s:o}", "name",
                     vn_cli_json_text(t.now->name), "store", vn_cli_json_text(t.now->store), "runs",
                     (json_int_t)t.now->runs, "runs_per_second", (double)t.runs / top_seconds(v),
                     "default_budget_bytes", (json_int_t)t.now->default_budget_bytes, "p50_ms",
                     milliseconds(top_quantile(v, &t, "total", 0.5)), "p90_ms",
                     milliseconds(top_quantile(v, &t, "total", 0.9)), "p99_ms",
                     milliseconds(top_quantile(v, &t, "total", 0.99)), "mean_ms",
                     json_of_phases(&t), "mean_level", json_of_levels(&t));
}

static json_t *json_of_rates(const struct top_view *v)
{
    json_t *rates = json_object();

    for (size_t i = 0; i < v->now->n_counters; i++)
        json_object_set_new(
            rates, v->now->counters[i].name,
            vn_cli_json_number((double)top_counter(v, v->now->counters[i].name) / top_seconds(v)));
    return rates;
}

json_t *top_json(const struct top_view *v)
{
    const struct vn_client_status *s = v->now;
    json_t *tasks = json_array();

    for (size_t i = 0; i < s->n_tasks; i++)
        if (top_shows(v, i))
            json_array_append_new(tasks, json_of_task(v, i));
    return json_pack(
        "{s:o, s:o, s:I, s:f, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:o}",
        "version", vn_cli_json_text(s->version), "store", vn_cli_json_text(s->store), "uptime_ns",
        (json_int_t)s->uptime_ns, "seconds", top_seconds(v), "per_second", json_of_rates(v),
        "running", (json_int_t)s->running, "workers", (json_int_t)s->workers, "queue_length",
        (json_int_t)s->queue_length, "queue_limit", (json_int_t)s->queue_limit, "connections",
        (json_int_t)s->connections, "promised_bytes", (json_int_t)s->promised_bytes,
        "memory_limit_bytes", (json_int_t)s->memory_limit_bytes, "pss_bytes",
        (json_int_t)s->pss_bytes, "pss_anon_bytes", (json_int_t)s->pss_anon_bytes, "pss_file_bytes",
        (json_int_t)s->pss_file_bytes, "rss_bytes", (json_int_t)s->rss_bytes, "cgroup_bytes",
        (json_int_t)s->cgroup_bytes, "groups", (json_int_t)s->groups, "task", tasks);
}
