#include "daemon/calls.h"

#include <string.h>

#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/infer.h"
#include "daemon/reply.h"
#include "daemon/requests.h"

/* --- cancel ----------------------------------------------------------------------------------- */

void calls_abandon(struct client *c)
{
    struct daemon *d = c->daemon;

    d->counters[ABANDONED] += c->in_flight;
    requests_abandon(c);
    gauge_forget(&d->gauge, c);
    reload_forget(&d->reload, c);
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

/* Answers it, or says why not. */
static int describe(struct client *c, uint64_t id, const Virtualnet__DescribeRequest *call,
                    struct refusal *r)
{
    const struct model *m = stores_model(&c->daemon->stores, call->store, call->task, r);
    int task;

    if (!m)
        return 1;
    task = call->task[0] ? vn_network_find_task(m->network, call->task) : -1;
    if (call->task[0] && task < 0)
        return refuse_task(r, m->network, call->task);
    reply_describe(c, id, m, task);
    return 0;
}

/* The memory's numbers take a moment; the rest is as it is now. */
static int begin_status(struct client *c, uint64_t id, const Virtualnet__StatusRequest *call,
                        struct refusal *r)
{
    struct status_report report;
    int error;

    if (!c->daemon->stopping && requests_may_begin(c, r))
        return 1;
    status_report(c->daemon, &report);
    if (call->store[0]) {
        report.store = stores_named(&c->daemon->stores, call->store, r);
        if (!report.store)
            return 1;
    }
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
        if (!describe(c, message->id, message->describe, &r))
            return;
        break;
    case VIRTUALNET__REQUEST__CALL_CANCEL:
        cancel(c, message->id, message->cancel);
        return;
    case VIRTUALNET__REQUEST__CALL_STATUS:
        if (!begin_status(c, message->id, message->status, &r))
            return;
        break;
    case VIRTUALNET__REQUEST__CALL_RELOAD:
        if (!reload_for(c, message->id, message->reload, &r))
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
