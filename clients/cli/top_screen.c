/* virtualnet top as a screen. */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "clients/cli/top.h"

#define BAR 24    /* columns of a bar that lies */
#define NAME 16   /* columns of a task's name, at least */
#define INDENT 11 /* of what has no title */

struct screen {
    FILE *to;
    const struct top_view *v;
    unsigned columns;
    bool utf8;
    const char *end;
    int name; /* columns of a task's name */
};

/* Names come from elsewhere. */
static void text(const struct screen *s, const char *t, int width)
{
    int n = vn_cli_width(t);

    for (; *t; t++)
        fputc((unsigned char)*t < 0x20 || *t == 0x7f ? '?' : *t, s->to);
    fprintf(s->to, "%*s", n < width ? width - n : 0, "");
}

static void title(const struct screen *s, const char *name)
{
    fprintf(s->to, "%-*s", INDENT, name);
}

static void end(const struct screen *s)
{
    fputs(s->end, s->to);
}

/* "0.42 ms"; a run of no time at all is none. */
static const char *duration(double seconds, char out[static 16])
{
    if (!(seconds >= 0))
        strcpy(out, "-");
    else if (seconds < 1)
        snprintf(out, 16, "%.*f ms", seconds < 0.01 ? 2 : seconds < 0.1 ? 1 : 0, seconds * 1e3);
    else
        snprintf(out, 16, "%.1f s", seconds);
    return out;
}

/* ---- bars ------------------------------------------------------------------------------------ */

/* A bar that lies: eighths of a column, or whole ones. */
static void bar(const struct screen *s, double share)
{
    static const char *const parts[] = {"",       "\u258f", "\u258e", "\u258d",
                                        "\u258c", "\u258b", "\u258a", "\u2589"};
    int eighths = (int)lround((share < 0 ? 0 : share > 1 ? 1 : share) * BAR * 8), used;

    fputc('[', s->to);
    for (used = 0; used < eighths / 8; used++)
        fputs(s->utf8 ? "\u2588" : "#", s->to);
    if (eighths % 8) {
        fputs(s->utf8 ? parts[eighths % 8] : eighths % 8 >= 4 ? "#" : "-", s->to);
        used++;
    }
    fprintf(s->to, "%*s]", BAR - used, "");
}

/* A bar that stands, one column: level 0 is the lowest, so that there is one. */
static void level_bar(const struct screen *s, double level, uint32_t groups)
{
    static const char *const bars[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                       "\u2585", "\u2586", "\u2587", "\u2588"};
    double share = groups ? level / groups : 0;

    share = share > 1 ? 1 : share;
    if (level < 0)
        fputc('.', s->to);
    else if (s->utf8)
        fputs(bars[lround(share * 7)], s->to);
    else
        fputc((int)('0' + lround(share * 9)), s->to);
}

/* ---- sections -------------------------------------------------------------------------------- */

static void show_head(const struct screen *s)
{
    const struct vn_client_status *now = s->v->now;
    uint64_t up = now->uptime_ns / VN_NS_PER_S;

    fputs("virtualnetd ", s->to);
    text(s, now->version, 0);
    fputs(", ", s->to);
    text(s, now->store, 0);
    fprintf(s->to, ", up %llu:%02llu:%02llu", (unsigned long long)(up / 3600),
            (unsigned long long)(up / 60 % 60), (unsigned long long)(up % 60));
    if (now->parts_damaged)
        fprintf(s->to, ", %u parts of the store are DAMAGED", now->parts_damaged);
    for (size_t i = 0; i < now->n_stores; i++) {
        if (now->stores[i].loaded)
            continue;
        fputs(", NOT LOADED: store ", s->to);
        text(s, now->stores[i].name, 0);
    }
    end(s);
    if (s->v->trouble) {
        fputs("NO NEW READING: ", s->to);
        text(s, s->v->trouble, 0);
        end(s);
    }
}

static bool is_outcome(const char *name)
{
    return strcmp(name, "requests_received") && !strstr(name, "connections") &&
           strncmp(name, "slow_", 5) != 0;
}

/* Those that happened since the last reading; the first line has those that ever did. */
static void show_outcomes(const struct screen *s)
{
    const struct vn_client_status *now = s->v->now;
    unsigned used = INDENT;

    title(s, "outcomes");
    for (size_t i = 0; i < now->n_counters; i++) {
        const char *name = now->counters[i].name;
        double rate = (double)top_counter(s->v, name) / top_seconds(s->v);
        char number[48];
        unsigned width;

        if (!now->counters[i].value || !is_outcome(name))
            continue;
        snprintf(number, sizeof number, " %.1f/s (%llu)  ", rate,
                 (unsigned long long)now->counters[i].value);
        width = (unsigned)(strlen(number) + (size_t)vn_cli_width(name));
        if (used + width > s->columns && used > INDENT) {
            end(s);
            title(s, "");
            used = INDENT;
        }
        text(s, name, 0);
        fputs(number, s->to);
        used += width;
    }
    end(s);
}

static void show_requests(const struct screen *s)
{
    const struct vn_client_status *now = s->v->now;

    title(s, "requests");
    fprintf(s->to, "%.1f/s   running %u of %u   waiting %u of %u   connections %u",
            (double)top_counter(s->v, "requests_received") / top_seconds(s->v), now->running,
            now->workers, now->queue_length, now->queue_limit, now->connections);
    end(s);
    show_outcomes(s);
}

static void show_memory(const struct screen *s)
{
    const struct vn_client_status *now = s->v->now;
    char a[VN_BYTES_TEXT], b[VN_BYTES_TEXT], c[VN_BYTES_TEXT];

    title(s, "memory");
    if (now->memory_limit_bytes) {
        bar(s, (double)now->accounted_bytes / (double)now->memory_limit_bytes);
        fprintf(s->to, " %s of %s", vn_bytes_format(now->accounted_bytes, a),
                vn_bytes_format(now->memory_limit_bytes, b));
    } else {
        fprintf(s->to, "%s, no limit", vn_bytes_format(now->accounted_bytes, a));
    }
    end(s);
    title(s, "used");
    fprintf(s->to, "PSS %s (anonymous %s, file %s)", vn_bytes_format(now->pss_bytes, a),
            vn_bytes_format(now->pss_anon_bytes, b), vn_bytes_format(now->pss_file_bytes, c));
    fprintf(s->to, "   RSS %s   cgroup %s", vn_bytes_format(now->rss_bytes, a),
            now->cgroup_bytes ? vn_bytes_format(now->cgroup_bytes, b) : "-");
    end(s);
}

/* Where the time of a run goes, in hundredths. */
static void show_phases(const struct screen *s, const struct top_task *t)
{
    double whole = top_mean(t, "total");

    for (size_t i = 0; whole > 0 && i < t->now->n_times; i++) {
        const char *phase = t->now->times[i].phase;

        if (!strcmp(phase, "total"))
            continue;
        fputs("  ", s->to);
        text(s, phase, 0);
        fprintf(s->to, " %.0f%%", 100 * top_mean(t, phase) / whole);
    }
}

/* From a daemon that knows of one store only, the task does not say it. */
static uint32_t groups_of(const struct screen *s, const struct top_task *t)
{
    return t->now->groups ? t->now->groups : s->v->now->groups;
}

static void show_levels(const struct screen *s, const struct top_task *t)
{
    double sum = 0;

    fprintf(s->to, "  %-*s ", s->name, "");
    for (size_t b = 0; b < t->now->n_blocks; b++) {
        level_bar(s, top_level(t, b), groups_of(s, t));
        sum += top_level(t, b);
    }
    if (t->now->runs && t->now->n_blocks)
        fprintf(s->to, " level %.1f of %u", sum / (double)t->now->n_blocks, groups_of(s, t));
    show_phases(s, t);
    end(s);
}

/* "store/task" where there are several stores. */
static int task_width(const struct vn_client_status *now, size_t index)
{
    const struct vn_client_task_status *t = &now->tasks[index];

    return vn_cli_width(t->name) + (now->n_stores > 1 ? vn_cli_width(t->store) + 1 : 0);
}

static void show_name(const struct screen *s, size_t index)
{
    const struct vn_client_status *now = s->v->now;
    int n = task_width(now, index);

    if (now->n_stores > 1) {
        text(s, now->tasks[index].store, 0);
        fputc('/', s->to);
    }
    text(s, now->tasks[index].name, 0);
    fprintf(s->to, "%*s", n < s->name ? s->name - n : 0, "");
}

static void show_task(const struct screen *s, size_t index)
{
    struct top_task t = top_task(s->v, index);
    char p50[16], p90[16], p99[16], budget[VN_BYTES_TEXT];

    fputs("  ", s->to);
    show_name(s, index);
    fprintf(s->to, " %10.1f %10s %10s %10s %12s", (double)t.runs / top_seconds(s->v),
            duration(top_quantile(s->v, &t, "total", 0.5), p50),
            duration(top_quantile(s->v, &t, "total", 0.9), p90),
            duration(top_quantile(s->v, &t, "total", 0.99), p99),
            t.now->default_budget_bytes ? vn_bytes_format(t.now->default_budget_bytes, budget)
                                        : "none");
    end(s);
    show_levels(s, &t);
}

void top_screen(FILE *to, const struct top_view *v, unsigned columns, bool utf8, const char *line)
{
    struct screen s = {to, v, columns, utf8, line, NAME};

    for (size_t i = 0; i < v->now->n_tasks; i++)
        if (top_shows(v, i) && task_width(v->now, i) > s.name)
            s.name = task_width(v->now, i);
    show_head(&s);
    show_requests(&s);
    show_memory(&s);
    end(&s);
    fprintf(to, "  %-*s %10s %10s %10s %10s %12s", s.name,
            v->now->n_stores > 1 ? "store/task" : "task", "runs/s", "median", "90 %", "99 %",
            "budget");
    end(&s);
    for (size_t i = 0; i < v->now->n_tasks; i++)
        if (top_shows(v, i))
            show_task(&s, i);
}
