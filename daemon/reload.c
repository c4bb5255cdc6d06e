#include "daemon/reload.h"

#include <malloc.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/reply.h"
#include "daemon/requests.h"
#include "daemon/thread.h"

#define RELOAD_RETRY_MS 1000 /* how long a reload takes is not known before its end */

static void *load(void *argument)
{
    struct reload *r = argument;

    /* nobody waits: all that default requests need is looked at */
    r->result = model_load(r->daemon->config, r->store->settings, r->daemon->memory.residency,
                           UINT64_MAX, &r->why, &r->model);
    uv_async_send(&r->woken);
    return NULL;
}

/* 0 or a negative errno. */
static int start(struct reload *r, struct store *s)
{
    int error;

    r->store = s;
    r->model = NULL;
    error = thread_start(&r->thread, load, r);
    r->running = !error;
    return error;
}

/* --- the end ---------------------------------------------------------------------------------- */

static const char *what_now(const struct store *s)
{
    return s->model ? "the running store stays" : "the store is still not served";
}

static void note_failure(struct reload *r, const char *why)
{
    struct store *s = r->store;

    vn_log_error("reload of store %s: %s; %s", s->settings->name, why, what_now(s));
    s->failed_loads++;
    if (!r->failed++)
        vn_because(&r->failure, 0, "%s; %s", why, what_now(s));
}

static void note_success(struct reload *r)
{
    const struct store *s = r->store;
    char size[VN_BYTES_TEXT];

    store_switch(r->store, r->model, &r->daemon->memory);
    r->model = NULL;
    malloc_trim(0);
    vn_log_notice("reloaded %s (store %s): %s, %s", s->settings->path, s->settings->name,
                  s->model->network->name, vn_bytes_format(s->model->store->file_bytes, size));
}

static bool any_due(const struct daemon *d)
{
    for (uint32_t i = 0; i < d->stores.n; i++)
        if (d->stores.list[i].reload_due)
            return true;
    return false;
}

static void answer(struct daemon *d)
{
    struct reload *r = &d->reload;
    struct client *c = r->client;
    struct refusal refusal = {0};

    r->client = NULL;
    if (!c)
        return;
    client_end(c);
    if (r->all && any_due(d))
        refuse(&refusal, VIRTUALNET__CODE__SHUTTING_DOWN, "the daemon stops");
    else if (r->all && r->failed)
        refuse(&refusal, VIRTUALNET__CODE__RELOAD_FAILED, "%u of %u stores: %s", r->failed,
               d->stores.n, r->failure.text);
    else if (r->failed)
        refuse(&refusal, VIRTUALNET__CODE__RELOAD_FAILED, "%s", r->failure.text);
    if (refusal.code)
        reply_refusal(c, r->client_id, &refusal);
    else
        reply_reloaded(c, r->client_id, (r->all ? &d->stores.list[0] : r->store)->model);
    client_drop_if_done(c);
}

/* Starts the next of those that are due. */
static void start_next(struct daemon *d)
{
    struct reload *r = &d->reload;

    for (uint32_t i = 0; i < d->stores.n && !r->running && !d->stopping; i++) {
        struct store *s = &d->stores.list[i];
        int error = s->reload_due ? start(r, s) : 0;

        s->reload_due = false;
        if (error)
            note_failure(r, strerror(-error));
    }
}

/* After the last of them, whoever waits is told. */
static void go_on(struct daemon *d)
{
    struct reload *r = &d->reload;
    char names[256];

    start_next(d);
    if (r->running)
        return;
    answer(d); /* who waits for all, or whose reload could not be started */
    if (d->stopping)
        return;
    service_notify(&d->service, "%sSTATUS=serving %s", r->announced ? "READY=1\n" : "",
                   stores_text(&d->stores, names, sizeof names));
    r->announced = false;
}

static void on_loaded(uv_async_t *async)
{
    struct reload *r = async->data;

    if (!r->running)
        return;
    pthread_join(r->thread, NULL);
    r->running = false;
    if (r->result)
        note_failure(r, r->why.text);
    else
        note_success(r);
    if (!r->all)
        answer(r->daemon);
    go_on(r->daemon);
    daemon_maybe_finish(r->daemon);
}

/* --- the beginning ---------------------------------------------------------------------------- */

static void make_all_due(struct daemon *d)
{
    for (uint32_t i = 0; i < d->stores.n; i++)
        d->stores.list[i].reload_due = true;
}

static int refuse_second(struct refusal *refusal)
{
    refusal->limit_name = "reloads";
    refusal->limit = refusal->current = 1;
    refusal->retry_after_ms = RELOAD_RETRY_MS;
    return refuse(refusal, VIRTUALNET__CODE__BUSY,
                  "a reload is running; try again when it is done");
}

int reload_for(struct client *c, uint64_t id, const Virtualnet__ReloadRequest *call,
               struct refusal *refusal)
{
    struct reload *r = &c->daemon->reload;
    struct store *s = stores_named(&c->daemon->stores, call->store, refusal);

    if (!s || requests_may_begin(c, refusal))
        return 1;
    if (call->all && call->store[0])
        return refuse(refusal, VIRTUALNET__CODE__BAD_REQUEST,
                      "store and all exclude each other; state one");
    if (r->running)
        return refuse_second(refusal);
    r->client = c;
    r->client_id = id;
    r->all = call->all;
    r->failed = 0;
    client_begin(c);
    if (call->all)
        make_all_due(c->daemon);
    else
        s->reload_due = true;
    go_on(c->daemon);
    return 0;
}

/* What is loaded just now is due again: its file may have changed since. */
void reload_all(struct daemon *d)
{
    if (d->stopping)
        return;
    make_all_due(d);
    service_notify_reloading(&d->service);
    d->reload.announced = true;
    if (!d->reload.running)
        go_on(d);
}

void reload_forget(struct reload *r, const struct client *c)
{
    if (r->client == c)
        r->client = NULL;
}

int reload_init(struct reload *r, struct daemon *d)
{
    int error;

    *r = (struct reload){.daemon = d};
    error = uv_async_init(&d->loop, &r->woken, on_loaded);
    r->woken.data = r;
    r->open = !error;
    return error;
}

void reload_deinit(struct reload *r)
{
    if (r->open)
        uv_close((uv_handle_t *)&r->woken, NULL);
    r->open = false;
}
