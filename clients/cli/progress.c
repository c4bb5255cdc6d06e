#include <unistd.h>

#include "base/clock.h"
#include "clients/cli/cli.h"

#define BAR_WIDTH 40

void vn_progress_start(struct vn_progress *p, const char *what)
{
    *p = (struct vn_progress){
        .what = what,
        .terminal = isatty(STDERR_FILENO),
        .shown_percent = -1,
        .shown_ns = vn_now_ns(),
    };
}

static void draw(const struct vn_progress *p, int percent, const char *suffix)
{
    char bar[BAR_WIDTH + 1];

    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i * 100 < percent * BAR_WIDTH ? '#' : '.';
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r%s [%s] %3d %% %s\033[K", p->what, bar, percent, suffix ? suffix : "");
}

static bool is_due(const struct vn_progress *p, int percent, uint64_t now)
{
    if (p->terminal)
        return percent != p->shown_percent;
    return percent / 10 != p->shown_percent / 10 && now - p->shown_ns >= VN_NS_PER_S;
}

void vn_progress_show(struct vn_progress *p, uint64_t done, uint64_t all, const char *suffix)
{
    int percent = all ? (int)((double)done / (double)all * 100) : 100;
    uint64_t now = vn_now_ns();

    if (!is_due(p, percent, now))
        return;
    p->shown_percent = percent;
    p->shown_ns = now;
    if (p->terminal)
        draw(p, percent, suffix);
    else
        fprintf(stderr, "%s: %d %% %s\n", p->what, percent, suffix ? suffix : "");
}

void vn_progress_end(struct vn_progress *p)
{
    if (p->terminal && p->shown_percent >= 0)
        fputs("\r\033[K", stderr);
}
