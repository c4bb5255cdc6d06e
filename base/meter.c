#include "base/meter.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define TERMINAL_EVERY_NS (VN_NS_PER_S / 5)
#define PLAIN_EVERY_NS (30 * VN_NS_PER_S)
#define PLAIN_FROM_NS (2 * VN_NS_PER_S) /* shorter work leaves no trace in a log */
#define BAR 24

void vn_meter_start(struct vn_meter *p, const char *unit, uint64_t first, bool quiet)
{
    uint64_t now = vn_now_ns();

    *p = (struct vn_meter){.unit = unit,
                           .terminal = isatty(STDERR_FILENO),
                           .quiet = quiet,
                           .start_ns = now,
                           .last_ns = now,
                           .first = first};
}

static bool is_due(const struct vn_meter *p, uint64_t now, bool last)
{
    if (p->quiet)
        return false;
    if (p->terminal)
        return last || now - p->last_ns >= TERMINAL_EVERY_NS;
    return now - p->last_ns >= PLAIN_EVERY_NS || (last && now - p->start_ns >= PLAIN_FROM_NS);
}

static void format_left(double seconds, char text[32])
{
    unsigned s = seconds < 1e8 ? (unsigned)seconds : 100000000;

    if (s >= 3600)
        snprintf(text, 32, "%u h %02u min", s / 3600, s / 60 % 60);
    else
        snprintf(text, 32, "%u min %02u s", s / 60, s % 60);
}

void vn_meter_show(struct vn_meter *p, const char *label, uint64_t done, uint64_t all,
                   const char *note)
{
    uint64_t now = vn_now_ns();
    double seconds = (double)(now - p->start_ns) / VN_NS_PER_S;
    double rate = seconds > 0 ? (double)(done - p->first) / seconds : 0;
    char bar[BAR + 1], left[32];

    if (!is_due(p, now, done >= all))
        return;
    p->last_ns = now;
    p->line_open = p->terminal;
    format_left(rate > 0 ? (double)(all - done) / rate : 0, left);
    for (uint64_t i = 0; i < BAR; i++)
        bar[i] = all && i * all < done * BAR ? '#' : '.';
    bar[BAR] = 0;
    fprintf(stderr, "%s%s [%s] %3.0f %% %s", p->terminal ? "\r\033[K" : "", label, bar,
            all ? 100.0 * (double)done / (double)all : 100, note);
    if (p->unit)
        fprintf(stderr, " %.0f %s", rate, p->unit);
    fprintf(stderr, ", %s left%s", left, p->terminal ? "" : "\n");
    fflush(stderr);
}

void vn_meter_end(struct vn_meter *p)
{
    if (p->line_open)
        fputc('\n', stderr);
    p->line_open = false;
}
