#include "daemon/displace.h"

#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/reply.h"
#include "daemon/requests.h"

/* What the queue is full of: requests, or bytes. */
static uint64_t held(const struct user *u, int why)
{
    if (why == QUEUE_E_BYTES)
        return u->used[CONFIG_LIMIT_QUEUE_BYTES];
    return (uint64_t)u->waiting[QUEUE_CONTROL] + u->waiting[QUEUE_BULK];
}

static struct user *find_greediest(const struct daemon *d, int why)
{
    struct user *most = d->users.first;

    for (struct user *u = most; u; u = u->next)
        if (held(u, why) > held(most, why))
            most = u;
    return most;
}

/* The user's last that waits, and no worker has begun meanwhile. Bulk first: a request of the
 * control class is not put off for one of the bulk class. It is out of the queue, then. */
static struct job *take_last(struct daemon *d, const struct user *u, enum queue_class least)
{
    for (int list = QUEUE_BULK; list >= (int)least; list--) {
        struct queue_item *i = d->queue.lists[list].last;

        while (i) {
            struct job *j = job_of_item(i);

            i = i->previous;
            if (j->user == u && j->client && schedule_recall(d, j) && schedule_take_back(d, j))
                return j;
        }
    }
    return NULL;
}

static void refuse_last(struct daemon *d, struct job *j, uint64_t had, int why)
{
    const struct queue *q = &d->queue;
    bool full = why == QUEUE_E_FULL;
    struct refusal r = {
        .limit_name = full ? "queue_limit" : "queue_limit_bytes",
        .limit = full ? q->limit : q->limit_bytes,
        .current = had,
        .retry_after_ms = schedule_retry_ms(d, q->length + schedule_running(d)),
    };

    refuse(
        &r, VIRTUALNET__CODE__BUSY,
        full ? "user %u has %llu requests waiting, the most of all, and %s is %llu: this one made "
               "room for another user's; try again in %u ms, or send less"
             : "user %u has %llu bytes of requests waiting, the most of all, and %s is %llu: this "
               "one made room for another user's; try again in %u ms, or send smaller images",
        j->user->uid, (unsigned long long)had, r.limit_name, (unsigned long long)r.limit,
        r.retry_after_ms);
    user_log_refusal(j->user, &r);
    requests_refuse(j, &r);
}

bool displace_for(struct daemon *d, const struct job *j, int why)
{
    struct user *most = find_greediest(d, why);
    uint64_t more = why == QUEUE_E_BYTES ? job_bytes(j) : 1, had = held(most, why);
    struct job *last;

    if (most == j->user || had <= held(j->user, why) + more)
        return false;
    last = take_last(d, most, job_class(j));
    if (!last)
        return false;
    refuse_last(d, last, had, why);
    return true;
}
