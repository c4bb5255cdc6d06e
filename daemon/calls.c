#include "daemon/calls.h"

#include <malloc.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/infer.h"
#include "daemon/reply.h"
#include "daemon/requests.h"

#define RELOAD_RETRY_MS 1000 /* how long a reload takes is not known before its end */

/* --- cancel ----------------------------------------------------------------------------------- */

void calls_abandon(struct client *c)
{
    struct daemon *d = c->daemon;

    d->counters[ABANDONED] += c->in_flight;
    requests_abandon(c);
    gauge_forget(&d->gauge, c);
    if (d->reload.client == c)
        d->reload.client = NULL;
}

/* What it ends is answered before. */
static void cancel(struct client *c, uint64_t id, const Virtualnet__CancelRequest *call)
{
    struct daemon *d = c->daemon;
    uint32_t requests = requests_cancel(c, call->id);

    if (c->closed)
        d->counters[ABANDONED]++;
    else
        reply_cancelled(c, id, requests);
    schedule_feed(d);
}

/* --- describe and status ---------------------------------------------------------------------- */

static void describe(struct client *c, uint64_t id, const char *name)
{
    const struct model *m = c->daemon->model;
    struct refusal r = {0};
    int task = name[0] ? vn_network_find_task(m->network, name) : -1;

    if (!name[0] || task >= 0) {
        reply_describe(c, id, m, task);
        return;
    }
    refuse_task(&r, m->network, name);
    reply_refusal(c, id, &r);
}

/* The memory's numbers take a moment; the rest is as it is now. */
static int begin_status(struct client *c, uint64_t id, struct refusal *r)
{
    struct status_report report;
    int error;

    if (!c->daemon->stopping && requests_may_begin(c, r))
        return 1;
    status_report(c->daemon, &report);
    error = gauge_ask(&c->daemon->gauge, c, id, &report);
    if (error)
        return refuse(r, VIRTUALNET__CODE__INTERNAL, "reading the memory's numbers: %s",
                      strerror(-error));
    client_begin(c);
    return 0;
}

void calls_status_read(struct client *c, uint64_t id, const struct status_report *r)
{
    client_end(c);
    reply_status(c, id, r);
    client_drop_if_done(c);
}

/* --- reload ----------------------------------------------------------------------------------- */

/* Starts it for this client, or says why not. */
static int begin_reload(struct client *c, uint64_t id, struct refusal *r)
{
    struct daemon *d = c->daemon;
    int error;

    if (requests_may_begin(c, r))
        return 1;
    error = reload_start(&d->reload);
    if (error == RELOAD_E_RUNNING) {
        r->limit_name = "reloads";
        r->limit = r->current = 1;
        r->retry_after_ms = RELOAD_RETRY_MS;
        return refuse(r, VIRTUALNET__CODE__BUSY, "a reload is running; try again when it is done");
    }
    if (error)
        return refuse(r, VIRTUALNET__CODE__RELOAD_FAILED, "starting the reload: %s",
                      strerror(-error));
    service_notify_reloading(&d->service);
    d->reload.client = c;
    d->reload.client_id = id;
    client_begin(c);
    return 0;
}

void calls_reload(struct daemon *d)
{
    int r = d->stopping ? 0 : reload_start(&d->reload);

    if (r == RELOAD_E_RUNNING)
        d->reload.again = true;
    else if (r)
        vn_log_error("starting the reload: %s; the running store stays", strerror(-r));
    else if (!d->stopping)
        service_notify_reloading(&d->service);
}

static void switch_model(struct daemon *d)
{
    char size[VN_BYTES_TEXT];

    if (metrics_serve(&d->metrics, d->reload.model->network))
        vn_log_warning("no memory to count the new store's tasks");
    model_unref(d->model);
    d->model = d->reload.model;
    d->reload.model = NULL;
    malloc_trim(0);
    vn_log_notice("reloaded %s: %s, %s", d->config->store_path, d->model->network->name,
                  vn_bytes_format(d->model->store->file_bytes, size));
}

static void answer_reload(struct daemon *d, int result)
{
    struct client *c = d->reload.client;
    struct refusal r = {0};

    d->reload.client = NULL;
    if (!c)
        return;
    client_end(c);
    if (result) {
        refuse(&r, VIRTUALNET__CODE__RELOAD_FAILED, "%s; the running store stays",
               d->reload.why.text);
        reply_refusal(c, d->reload.client_id, &r);
    } else {
        reply_reloaded(c, d->reload.client_id, d->model);
    }
    client_drop_if_done(c);
}

void calls_reload_finished(struct daemon *d)
{
    if (d->reload.result)
        vn_log_error("reload: %s; the running store stays", d->reload.why.text);
    else
        switch_model(d);
    if (!d->stopping)
        service_notify(&d->service, "READY=1\nSTATUS=serving %s", d->model->network->name);
    answer_reload(d, d->reload.result);
    if (d->reload.again) {
        d->reload.again = false;
        calls_reload(d);
    }
    daemon_maybe_finish(d);
}

/* --- all -------------------------------------------------------------------------------------- */

/* Whether the configuration lets the peer make this call. */
static int check_access(const struct client *c, const Virtualnet__Request *message,
                        struct refusal *r)
{
    const char *call = "infer", *list = "access_infer";
    bool allowed = c->may_infer;

    switch (message->call_case) {
    case VIRTUALNET__REQUEST__CALL_INFER:
    case VIRTUALNET__REQUEST__CALL_PLAN: /* the same member of the union */
        if (!allowed || message->infer->request_class != VIRTUALNET__REQUEST_CLASS__CONTROL)
            break;
        call = "the class CONTROL";
        list = "access_control";
        allowed = c->may_control;
        break;
    case VIRTUALNET__REQUEST__CALL_DESCRIBE:
        break;
    case VIRTUALNET__REQUEST__CALL_STATUS:
        call = "status";
        list = "access_status";
        allowed = c->may_status;
        break;
    case VIRTUALNET__REQUEST__CALL_RELOAD:
        call = "reload";
        list = "access_admin";
        allowed = c->may_admin;
        break;
    default:
        return 0;
    }
    if (allowed)
        return 0;
    return refuse(r, VIRTUALNET__CODE__NOT_ALLOWED,
                  "%s is not for uid %u; %s of the daemon's configuration says for whom it is",
                  call, c->uid, list);
}

/* Calls that are answered at once; the message is freed afterwards. */
static void answer_now(struct client *c, const Virtualnet__Request *message)
{
    struct refusal r = {0};

    switch (message->call_case) {
    case VIRTUALNET__REQUEST__CALL_DESCRIBE:
        describe(c, message->id, message->describe->task);
        return;
    case VIRTUALNET__REQUEST__CALL_CANCEL:
        cancel(c, message->id, message->cancel);
        return;
    case VIRTUALNET__REQUEST__CALL_STATUS:
        if (!begin_status(c, message->id, &r))
            return;
        break;
    case VIRTUALNET__REQUEST__CALL_RELOAD:
        if (!begin_reload(c, message->id, &r))
            return;
        break;
    default:
        refuse(&r, VIRTUALNET__CODE__BAD_REQUEST,
               "the request holds no call that is known here; it must be one of infer, plan, "
               "describe, status, reload and cancel");
    }
    reply_refusal(c, message->id, &r);
}

void calls_handle(struct client *c, Virtualnet__Request *message, uint64_t bytes)
{
    struct refusal r = {0};

    if (check_access(c, message, &r)) {
        reply_refusal(c, message->id, &r);
    } else if (message->call_case == VIRTUALNET__REQUEST__CALL_INFER ||
               message->call_case == VIRTUALNET__REQUEST__CALL_PLAN) {
        requests_run(c, message, bytes);
        return;
    } else {
        answer_now(c, message);
    }
    virtualnet__request__free_unpacked(message, NULL);
}
