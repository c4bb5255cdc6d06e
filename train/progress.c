#include "train/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define TERMINAL_EVERY_NS (VN_NS_PER_S / 5)
#define PLAIN_EVERY_NS (30 * VN_NS_PER_S)
#define BAR 24

void vn_progress_start(struct vn_progress *p, const char *unit, uint64_t first, bool quiet)
{
    *p = (struct vn_progress){.unit = unit,
                              .terminal = isatty(STDERR_FILENO),
                              .quiet = quiet,
                              .start_ns = vn_now_ns(),
                              .first = first};
}

static void format_left(double seconds, char text[32])
{
    unsigned s = seconds < 1e8 ? (unsigned)seconds : 100000000;

    if (s >= 3600)
        snprintf(text, 32, "%u h %02u min", s / 3600, s / 60 % 60);
    else
        snprintf(text, 32, "%u min %02u s", s / 60, s % 60);
}

void vn_progress_show(struct vn_progress *p, const char *label, uint64_t done, uint64_t all,
                      const char *note)
{
    uint64_t now = vn_now_ns();
    double seconds = (double)(now - p->start_ns) / VN_NS_PER_S, rate;
    char bar[BAR + 1], left[32];

    if (p->quiet ||
        (now - p->last_ns < (p->terminal ? TERMINAL_EVERY_NS : PLAIN_EVERY_NS) && done < all))
        return;
    p->last_ns = now;
    rate = seconds > 0 ? (double)(done - p->first) / seconds : 0;
    format_left(rate > 0 ? (double)(all - done) / rate : 0, left);
    for (uint64_t i = 0; i < BAR; i++)
        bar[i] = all && i * all < done * BAR ? '#' : '.';
    bar[BAR] = 0;
    fprintf(stderr, "%s%s [%s] %3.0f %% %s  %.0f %s, %s left%s", p->terminal ? "\r\033[K" : "",
            label, bar, all ? 100.0 * (double)done / (double)all : 100, note, rate, p->unit, left,
            p->terminal ? "" : "\n");
    fflush(stderr);
}

void vn_progress_end(struct vn_progress *p)
{
    if (p->terminal && !p->quiet && p->last_ns)
        fputc('\n', stderr);
    p->last_ns = 0;
}
