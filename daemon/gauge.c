#include "daemon/gauge.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/thread.h"

static void *read_memory(void *argument)
{
    struct gauge *g = argument;

    g->memory = status_memory();
    uv_async_send(&g->woken);
    return NULL;
}

static int begin(struct gauge *g)
{
    int r;

    g->number++;
    r = thread_start(&g->thread, read_memory, g);
    g->running = !r;
    return r;
}

/* The first waiter, out of the list; NULL: none is waiting for a reading up to this number. */
static struct gauge_waiter *take_first(struct gauge *g, uint64_t number)
{
    struct gauge_waiter *w = g->first;

    if (!w || w->number > number)
        return NULL;
    g->first = w->next;
    if (!g->first)
        g->last = &g->first;
    return w;
}

/* An answer may end its client, which forgets others that wait. */
static void answer_all(struct gauge *g)
{
    const struct status_memory m = g->memory;
    uint64_t number = g->number;
    struct gauge_waiter *w;

    while ((w = take_first(g, number))) {
        w->report.memory = m;
        g->answer(w->client, w->id, &w->report);
        free(w);
    }
}

static void on_read(uv_async_t *async)
{
    struct gauge *g = async->data;

    if (!g->running)
        return;
    pthread_join(g->thread, NULL);
    g->running = false;
    answer_all(g);
    /* Without a thread the others have the last reading rather than none. */
    if (!g->running && g->first && begin(g))
        answer_all(g);
    if (!g->running)
        g->idle(g->context);
}

int gauge_init(struct gauge *g, uv_loop_t *loop,
               void (*answer)(struct client *c, uint64_t id, const struct status_report *r),
               void (*idle)(void *context), void *context)
{
    int r;

    *g = (struct gauge){.answer = answer, .idle = idle, .context = context};
    g->last = &g->first;
    r = uv_async_init(loop, &g->woken, on_read);
    g->woken.data = g;
    g->open = !r;
    return r;
}

int gauge_ask(struct gauge *g, struct client *c, uint64_t id, const struct status_report *report)
{
    struct gauge_waiter *w = malloc(sizeof *w);
    int r = 0;

    if (!w)
        return -ENOMEM;
    *w = (struct gauge_waiter){.client = c, .id = id, .number = g->number + 1, .report = *report};
    if (!g->running)
        r = begin(g);
    if (r) {
        free(w);
        return r;
    }
    *g->last = w;
    g->last = &w->next;
    return 0;
}

void gauge_forget(struct gauge *g, const struct client *c)
{
    struct gauge_waiter **at = &g->first;

    while (*at) {
        struct gauge_waiter *w = *at;

        if (w->client == c) {
            *at = w->next;
            free(w);
        } else {
            at = &w->next;
        }
    }
    g->last = at;
}

void gauge_deinit(struct gauge *g)
{
    if (g->open)
        uv_close((uv_handle_t *)&g->woken, NULL);
    g->open = false;
}
