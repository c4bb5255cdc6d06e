#include "daemon/requests.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/displace.h"
#include "daemon/infer.h"
#include "daemon/reply.h"
#include "daemon/text.h"
#include "daemon/trace.h"

static void link_to_client(struct job *j, struct client *c)
{
    j->client = c;
    j->next = c->jobs;
    if (j->next)
        j->next->previous = j;
    c->jobs = j;
    client_begin(c);
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
    client_end(c);
    j->client = NULL;
}

void requests_refuse(struct job *j, const struct refusal *r)
{
    struct client *c = j->client;

    unlink_from_client(j);
    reply_refusal(c, j->id, r);
    client_drop_if_done(c);
    job_free(j);
}

/* --- limits ----------------------------------------------------------------------------------- */

static int refuse_queue(struct refusal *r, const struct daemon *d, const struct job *j, int why)
{
    const struct queue *q = &d->queue;
    bool full = why == QUEUE_E_FULL;
    uint64_t limit = full ? q->limit : q->limit_bytes;
    uint64_t kept = limit - queue_share(limit, job_class(j));
    char note[80] = "";

    r->limit_name = full ? "queue_limit" : "queue_limit_bytes";
    r->limit = limit;
    r->current = full ? q->length : q->bytes;
    r->retry_after_ms = schedule_retry_ms(d, q->length + schedule_running(d));
    if (kept)
        snprintf(note, sizeof note, ", of which %llu are for the control class",
                 (unsigned long long)kept);
    return refuse(r, VIRTUALNET__CODE__BUSY,
                  full ? "%llu requests wait and %s is %llu%s; try again in %u ms, or send less"
                       : "the requests that wait hold %llu bytes and %s is %llu%s; try again in %u "
                         "ms, or send smaller images",
                  (unsigned long long)r->current, r->limit_name, (unsigned long long)limit, note,
                  r->retry_after_ms);
}

static int refuse_stopping(struct refusal *r)
{
    return refuse(r, VIRTUALNET__CODE__SHUTTING_DOWN,
                  "the daemon stops; connect again when it is back");
}

int requests_may_begin(const struct client *c, struct refusal *r)
{
    const struct daemon *d = c->daemon;

    if (d->stopping)
        return refuse_stopping(r);
    if (c->in_flight < d->config->connection_inflight_limit) {
        if (!user_may_have(d, c->user, CONFIG_LIMIT_INFLIGHT, 1, r))
            return 0;
        r->retry_after_ms = schedule_retry_ms(d, c->user->used[CONFIG_LIMIT_INFLIGHT]);
        return 1;
    }
    r->limit_name = "connection_inflight_limit";
    r->limit = d->config->connection_inflight_limit;
    r->current = c->in_flight;
    r->retry_after_ms = schedule_retry_ms(d, c->in_flight);
    return refuse(r, VIRTUALNET__CODE__BUSY,
                  "this connection has %u requests in flight and connection_inflight_limit is "
                  "%llu; wait for replies first",
                  c->in_flight, (unsigned long long)r->limit);
}

/* --- streams ---------------------------------------------------------------------------------- */

/* The request of the same stream that waits and could be taken back just now; NULL: there is none.
 * It is in the queue only, then. */
static struct job *recall_of_stream(struct client *c, const Virtualnet__InferRequest *call)
{
    for (struct job *j = c->jobs; call->stream[0] && j; j = j->next)
        if (j->item.waiting && !strcmp(job_call(j)->stream, call->stream) &&
            schedule_recall(c->daemon, j))
            return j;
    return NULL;
}

static int refuse_second(struct refusal *r, const struct daemon *d, const char *stream)
{
    char text[TEXT_NAME];

    r->limit_name = "stream_depth";
    r->limit = r->current = 1;
    r->retry_after_ms = schedule_retry_ms(d, d->queue.length + schedule_running(d));
    return refuse(r, VIRTUALNET__CODE__BUSY,
                  "a request of stream \"%s\" waits already; wait for its reply, or set replace",
                  text_name(stream, text));
}

static void supersede(struct job *old)
{
    struct refusal r = {0};
    char text[TEXT_NAME];

    refuse(&r, VIRTUALNET__CODE__SUPERSEDED,
           "a newer request of stream \"%s\" took its place in the queue",
           text_name(job_call(old)->stream, text));
    requests_refuse(old, &r);
}

/* --- in --------------------------------------------------------------------------------------- */

/* Whether its user may have so many bytes waiting, which it may when nothing else of it waits. */
static int check_user_bytes(const struct daemon *d, const struct job *j, const struct job *old,
                            struct refusal *r)
{
    uint64_t waiting = j->user->used[CONFIG_LIMIT_QUEUE_BYTES];
    uint64_t bytes = job_bytes(j), replaced = old ? old->item.bytes : 0;

    if (waiting == replaced || bytes <= replaced ||
        !user_may_have(d, j->user, CONFIG_LIMIT_QUEUE_BYTES, bytes - replaced, r))
        return 0;
    r->retry_after_ms = schedule_retry_ms(d, d->queue.length + schedule_running(d));
    return 1;
}

/* Puts the job, which is fit to run, into the queue, maybe in the place of one of its stream. */
static int admit(struct client *c, struct job *j, struct refusal *r)
{
    struct daemon *d = c->daemon;
    const Virtualnet__InferRequest *call = job_call(j);
    struct job *old = recall_of_stream(c, call);
    int failed;

    if (old && !call->replace)
        return refuse_second(r, d, call->stream);
    if (!old && requests_may_begin(c, r))
        return 1;
    j->user = c->user;
    if (check_user_bytes(d, j, old, r))
        return 1;
    while ((failed = schedule_enter(d, c, j, old)) && displace_for(d, j, failed))
        ;
    if (failed)
        return refuse_queue(r, d, j, failed);
    link_to_client(j, c);
    if (old)
        supersede(old);
    return 0;
}

/* Takes the job. */
static void submit(struct client *c, struct job *j)
{
    struct daemon *d = c->daemon;
    struct refusal r = {0};

    const struct promise_terms terms = {
        .ledger = &d->memory.ledger,
        .when_full = config_when_full(d->config),
        .default_share = pressure_share(&d->memory.pressure),
        .retry_ms = schedule_retry_ms(d, schedule_running(d)),
    };

    memory_note(d);
    if (infer_prepare(j, d->config, &terms, &r) || admit(c, j, &r)) {
        uint64_t id = j->id;

        job_free(j);
        reply_refusal(c, id, &r);
    }
    schedule_feed(d);
}

void requests_run(struct client *c, Virtualnet__Request *message, uint64_t bytes)
{
    uint64_t id = message->id;
    struct refusal r = {0};
    struct model *m;
    struct job *j;

    /* Before anything is done for it; one that replaces another may yet have that one's place. */
    if ((!message->infer->replace && requests_may_begin(c, &r)) ||
        !(m = stores_model(&c->daemon->stores, message->infer->store, message->infer->task, &r))) {
        virtualnet__request__free_unpacked(message, NULL);
        reply_refusal(c, id, &r);
        return;
    }
    j = job_new(message, bytes, m);
    if (!j) {
        refuse(&r, VIRTUALNET__CODE__INTERNAL, "out of memory");
        reply_refusal(c, id, &r);
        return;
    }
    j->memfd = c->memfd;
    c->memfd = -1;
    submit(c, j);
}

/* --- out -------------------------------------------------------------------------------------- */

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
                 j->model->settings->path, name);
    if (stores_serve(&d->stores, j->model))
        service_notify(&d->service, "STATUS=the store is damaged: %s; serving the rest of %s", name,
                       j->model->network->name);
}

/* What is in the file now may be good again: a reload finds out. Once for each model. */
static void report_overwritten(struct daemon *d, struct model *m)
{
    if (m->reported_written || !stores_serve(&d->stores, m))
        return;
    m->reported_written = true;
    vn_log_error("%s was written to while it is in use; requests for it are refused until it is "
                 "loaded again, which is tried now. Replace a store by rename, never in place",
                 m->settings->path);
    reload_all(d);
}

void requests_finish(struct daemon *d, struct job *j)
{
    struct client *c = j->client;

    if (j->outcome == JOB_DAMAGED)
        report_damage(d, j);
    if (j->outcome == JOB_OVERWRITTEN)
        report_overwritten(d, j->model);
    if (c) {
        unlink_from_client(j);
        reply_job(c, j);
        client_drop_if_done(c);
    }
    job_free(j);
}

/* The first of this id that nobody has told to end. */
static struct job *find_to_cancel(const struct client *c, uint64_t id)
{
    struct job *j = c->jobs;

    while (j && (j->id != id || atomic_load(&j->cancel)))
        j = j->next;
    return j;
}

uint32_t requests_cancel(struct client *c, uint64_t id)
{
    uint32_t n = 0;
    struct job *j;

    for (; !c->closed && (j = find_to_cancel(c, id)); n++) {
        atomic_store(&j->cancel, true);
        if (!j->item.waiting || !schedule_take_back(c->daemon, j))
            continue; /* a worker has it; it comes back soon */
        j->outcome = JOB_CANCELLED;
        requests_finish(c->daemon, j);
    }
    return n;
}

void requests_refuse_waiting(struct daemon *d)
{
    struct queue_item *i;

    while ((i = queue_first(&d->queue))) {
        struct refusal r = {0};

        if (!schedule_take_back(d, job_of_item(i)))
            continue;
        refuse_stopping(&r);
        requests_refuse(job_of_item(i), &r);
    }
}

void requests_abandon(struct client *c)
{
    while (c->jobs) {
        struct job *j = c->jobs;

        trace_request(c, j->id, ABANDONED, NULL);
        unlink_from_client(j);
        if (j->item.waiting && schedule_take_back(c->daemon, j))
            job_free(j);
        else
            atomic_store(&j->cancel, true); /* the worker has it; it comes back soon */
    }
}
