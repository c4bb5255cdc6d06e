#include "daemon/calls.h"

#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/infer.h"
#include "daemon/reply.h"
#include "daemon/text.h"
#include "daemon/trace.h"

/* --- infer and plan --------------------------------------------------------------------------- */

static void link_to_client(struct job *j, struct client *c)
{
    j->client = c;
    j->next = c->jobs;
    if (j->next)
        j->next->previous = j;
    c->jobs = j;
    c->in_flight++;
}

static void unlink_from_client(struct job *j)
{
    struct client *c = j->client;

    if (j->previous)
        j->previous->next = j->next;
    else
        c->jobs = j->next;
    if (j->next)
        j->next->previous = j->previous;
    c->in_flight--;
    j->client = NULL;
}

static int refuse_queue(struct refusal *r, const struct daemon *d, int why)
{
    const struct queue *q = &d->queue;

    if (why == QUEUE_E_FULL) {
        r->limit_name = "queue_limit";
        r->limit = q->limit;
        r->current = q->length;
        return refuse(r, VIRTUALNET__CODE__BUSY,
                      "%u requests wait and queue_limit is %u; try again later, or send less",
                      q->length, q->limit);
    }
    r->limit_name = "queue_limit_bytes";
    r->limit = q->limit_bytes;
    r->current = q->bytes;
    return refuse(r, VIRTUALNET__CODE__BUSY,
                  "the requests that wait hold %llu bytes and queue_limit_bytes is %llu; try again "
                  "later, or send smaller images",
                  (unsigned long long)q->bytes, (unsigned long long)q->limit_bytes);
}

static int refuse_in_flight(struct refusal *r, const struct client *c)
{
    r->limit_name = "connection_inflight_limit";
    r->limit = c->daemon->config->connection_inflight_limit;
    r->current = c->in_flight;
    return refuse(r, VIRTUALNET__CODE__BUSY,
                  "this connection has %u requests in flight and connection_inflight_limit is "
                  "%llu; wait for replies first",
                  c->in_flight, (unsigned long long)r->limit);
}

static int refuse_stopping(struct refusal *r)
{
    return refuse(r, VIRTUALNET__CODE__SHUTTING_DOWN,
                  "the daemon stops; connect again when it is back");
}

/* Whether this connection may have one more request in flight. */
static int may_begin(const struct client *c, struct refusal *r)
{
    if (c->daemon->stopping)
        return refuse_stopping(r);
    if (c->in_flight >= c->daemon->config->connection_inflight_limit)
        return refuse_in_flight(r, c);
    return 0;
}

/* Takes the job. */
static void submit(struct client *c, struct job *j)
{
    struct daemon *d = c->daemon;
    struct refusal r = {0};
    int failed = infer_prepare(j, d->config, &d->ledger, &r);

    if (!failed) {
        failed = queue_push(&d->queue, &j->item, job_bytes(j));
        if (failed)
            refuse_queue(&r, d, failed);
    }
    if (failed) {
        uint64_t id = j->id;

        job_free(j);
        reply_refusal(c, id, &r);
        return;
    }
    link_to_client(j, c);
    daemon_feed(d);
}

static void run(struct client *c, Virtualnet__Request *message, uint64_t bytes)
{
    uint64_t id = message->id;
    struct refusal r = {0};
    struct job *j;

    if (may_begin(c, &r)) {
        virtualnet__request__free_unpacked(message, NULL);
        reply_refusal(c, id, &r);
        return;
    }
    j = job_new(message, bytes, c->daemon->model);
    if (!j) {
        refuse(&r, VIRTUALNET__CODE__INTERNAL, "out of memory");
        reply_refusal(c, id, &r);
        return;
    }
    submit(c, j);
}

/* Says it once for each part, also when the client that met it is gone. */
static void report_damage(struct daemon *d, const struct job *j)
{
    uint32_t part = j->result.damaged_part;
    char name[VN_PART_NAME];

    if (j->model->reported[part])
        return;
    j->model->reported[part] = true;
    vn_store_part_name(j->model->store, part, name);
    vn_log_error("%s: %s does not agree with its checksum; requests that need it are refused. Put "
                 "a good file in its place and reload; 'virtualnet verify' compares all of it",
                 d->config->store_path, name);
    if (j->model == d->model)
        service_notify(&d->service, "STATUS=the store is damaged: %s; serving the rest of %s", name,
                       d->model->network->name);
}

void calls_finish(struct daemon *d, struct job *j)
{
    struct client *c = j->client;

    if (j->outcome == JOB_DAMAGED)
        report_damage(d, j);
    if (c) {
        unlink_from_client(j);
        reply_job(c, j);
        client_drop_if_done(c);
    }
    job_free(j);
}

void calls_refuse_waiting(struct daemon *d)
{
    while (d->queue.first) {
        struct job *j = job_of_item(d->queue.first);
        struct client *c = j->client;
        struct refusal r = {0};

        if (!daemon_take_back(d, j))
            continue;
        unlink_from_client(j);
        refuse_stopping(&r);
        reply_refusal(c, j->id, &r);
        client_drop_if_done(c);
        job_free(j);
    }
}

void calls_abandon(struct client *c)
{
    struct daemon *d = c->daemon;

    d->counters[ABANDONED] += c->in_flight;
    while (c->jobs) {
        struct job *j = c->jobs;

        trace_request(c, j->id, ABANDONED, NULL);
        unlink_from_client(j);
        if (j->item.waiting && daemon_take_back(d, j))
            job_free(j);
        else
            atomic_store(&j->cancel, true); /* the worker has it; it comes back soon */
    }
    gauge_forget(&d->gauge, c);
    if (d->reload.client == c)
        d->reload.client = NULL;
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

    if (c->in_flight >= c->daemon->config->connection_inflight_limit)
        return refuse_in_flight(r, c);
    status_report(c->daemon, &report);
    error = gauge_ask(&c->daemon->gauge, c, id, &report);
    if (error)
        return refuse(r, VIRTUALNET__CODE__INTERNAL, "reading the memory's numbers: %s",
                      strerror(-error));
    c->in_flight++;
    return 0;
}

void calls_status_read(struct client *c, uint64_t id, const struct status_report *r)
{
    c->in_flight--;
    reply_status(c, id, r);
    client_drop_if_done(c);
}

/* --- reload ----------------------------------------------------------------------------------- */

/* Starts it for this client, or says why not. */
static int begin_reload(struct client *c, uint64_t id, struct refusal *r)
{
    struct daemon *d = c->daemon;
    int error;

    if (c->uid && c->uid != geteuid())
        return refuse(r, VIRTUALNET__CODE__NOT_ALLOWED,
                      "reload is for root and for the daemon's own user (uid %u), not for uid %u",
                      geteuid(), c->uid);
    if (may_begin(c, r))
        return 1;
    error = reload_start(&d->reload);
    if (error == RELOAD_E_RUNNING) {
        r->limit_name = "reloads";
        r->limit = r->current = 1;
        return refuse(r, VIRTUALNET__CODE__BUSY, "a reload is running; try again when it is done");
    }
    if (error)
        return refuse(r, VIRTUALNET__CODE__RELOAD_FAILED, "starting the reload: %s",
                      strerror(-error));
    service_notify_reloading(&d->service);
    d->reload.client = c;
    d->reload.client_id = id;
    c->in_flight++;
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
    c->in_flight--;
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

/* Calls that are answered at once; the message is freed afterwards. */
static void answer_now(struct client *c, const Virtualnet__Request *message)
{
    struct refusal r = {0};

    switch (message->call_case) {
    case VIRTUALNET__REQUEST__CALL_DESCRIBE:
        describe(c, message->id, message->describe->task);
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
               "describe, status and reload");
    }
    reply_refusal(c, message->id, &r);
}

void calls_handle(struct client *c, Virtualnet__Request *message, uint64_t bytes)
{
    if (message->call_case == VIRTUALNET__REQUEST__CALL_INFER ||
        message->call_case == VIRTUALNET__REQUEST__CALL_PLAN) {
        run(c, message, bytes);
        return;
    }
    answer_now(c, message);
    virtualnet__request__free_unpacked(message, NULL);
}
