#include "daemon/reload.h"

#include "daemon/thread.h"

static void *load(void *argument)
{
    struct reload *r = argument;

    /* nobody waits: all that default requests need is looked at */
    r->result = model_load(r->config, UINT64_MAX, &r->why, &r->model);
    uv_async_send(&r->woken);
    return NULL;
}

static void on_loaded(uv_async_t *async)
{
    struct reload *r = async->data;

    if (!r->running)
        return;
    pthread_join(r->thread, NULL);
    r->running = false;
    r->finished(r->context);
}

int reload_init(struct reload *r, uv_loop_t *loop, const struct config *c,
                void (*finished)(void *context), void *context)
{
    int error;

    *r = (struct reload){.config = c, .finished = finished, .context = context};
    error = uv_async_init(loop, &r->woken, on_loaded);
    r->woken.data = r;
    r->open = !error;
    return error;
}

int reload_start(struct reload *r)
{
    int error;

    if (r->running)
        return RELOAD_E_RUNNING;
    r->model = NULL;
    error = thread_start(&r->thread, load, r);
    r->running = !error;
    return error;
}

void reload_deinit(struct reload *r)
{
    if (r->open)
        uv_close((uv_handle_t *)&r->woken, NULL);
    r->open = false;
}
