#include "daemon/schedule.h"

#include "base/clock.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/job.h"
#include "daemon/requests.h"

#define MEAN_OF 8 /* runs, about: each new one moves the mean by such a part */
#define RETRY_MS_MAX 60000
#define FIRST_RUN_NS (10 * VN_NS_PER_MS) /* assumed until there was one */

uint32_t schedule_running(const struct daemon *d)
{
    uint32_t n = d->pool.held - d->schedule.ahead;

    return n < d->pool.n_workers ? n
                                 : d->pool.n_workers; /* the others are done, and on their way */
}

/* The first that waits here and not in the pool. */
static struct job *first_waiting(const struct daemon *d)
{
    struct queue_item *i = queue_first(&d->queue);

    while (i && job_of_item(i)->handed)
        i = queue_next(&d->queue, i);
    return i ? job_of_item(i) : NULL;
}

/* Of those that are ahead, one that a worker has begun; if none has, the one that comes first. */
static struct job *next_to_run(const struct daemon *d)
{
    struct queue_item *i = queue_first(&d->queue);
    struct job *next = NULL;

    for (uint32_t left = d->schedule.ahead; left; i = queue_next(&d->queue, i)) {
        struct job *j = job_of_item(i);

        if (!j->handed)
            continue;
        if (atomic_load(&j->begun))
            return j;
        if (!next)
            next = j;
        left--;
    }
    return next;
}

/* What waits of the job's user, and of its client when that is still there, is less by it. */
static void count_out(struct job *j)
{
    j->user->used[CONFIG_LIMIT_QUEUE_BYTES] -= j->item.bytes;
    j->user->waiting[j->item.class]--;
    if (j->client)
        j->client->waiting[j->item.class]--;
}

static void leave_queue(struct daemon *d, struct job *j)
{
    queue_remove(&d->queue, &j->item);
    count_out(j);
}

static void begin(struct daemon *d, struct job *j)
{
    queue_serve(&d->queue, &j->item);
    count_out(j);
    d->schedule.ahead--;
}

/* As many as there are workers run; what the pool has beyond them counts as waiting. */
static void note_begun(struct daemon *d)
{
    while (d->schedule.ahead && schedule_running(d) < d->pool.n_workers) {
        begin(d, next_to_run(d));
    }
}

/* Control goes before bulk also where the pool has bulk next: the last of it is recalled. */
static bool make_room(struct daemon *d, const struct job *for_this)
{
    struct queue_item *i = d->queue.lists[QUEUE_BULK].first;
    struct job *last = NULL;

    if (for_this->item.class != QUEUE_CONTROL)
        return false;
    for (uint32_t left = d->schedule.ahead; i && left; i = i->next) {
        if (!job_of_item(i)->handed)
            continue;
        last = job_of_item(i);
        left--;
    }
    return last && schedule_recall(d, last);
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void on_expiry(uv_timer_t *timer);

static bool is_over(const struct job *j, uint64_t now)
{
    return j->deadline_ns && now >= j->deadline_ns;
}

static void end_late(struct daemon *d, struct job *j)
{
    j->outcome = JOB_DEADLINE;
    j->phase = "queue";
    requests_finish(d, j);
}

/* Sees to it that somebody looks when this deadline has passed. */
static void watch_deadline(struct daemon *d, uint64_t deadline_ns)
{
    struct schedule *s = &d->schedule;
    uint64_t now;

    if (!deadline_ns || (s->expiry_ns && s->expiry_ns <= deadline_ns))
        return;
    now = vn_now_ns();
    s->expiry_ns = deadline_ns;
    uv_timer_start(&s->expiry, on_expiry,
                   deadline_ns > now ? (deadline_ns - now) / VN_NS_PER_MS + 1 : 0, 0);
}

/* Answers those whose time is over. An answer may end its client, and others with it. */
static void expire(struct daemon *d)
{
    struct queue_item *i = queue_first(&d->queue);
    uint64_t now = vn_now_ns();

    while (i) {
        struct job *j = job_of_item(i);

        i = queue_next(&d->queue, i);
        if (!is_over(j, now) || !schedule_take_back(d, j))
            continue;
        end_late(d, j);
        i = queue_first(&d->queue);
    }
}

static void on_expiry(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    d->schedule.expiry_ns = 0;
    expire(d);
    for (struct queue_item *i = queue_first(&d->queue); i; i = queue_next(&d->queue, i))
        watch_deadline(d, job_of_item(i)->deadline_ns);
    schedule_feed(d);
    daemon_maybe_finish(d);
}

/* --- in and out ------------------------------------------------------------------------------- */

void schedule_init(struct daemon *d)
{
    queue_init(&d->queue, (uint32_t)d->config->queue_limit, d->config->queue_limit_bytes);
    uv_timer_init(&d->loop, &d->schedule.expiry);
    d->schedule.expiry.data = d;
    d->schedule.open = true;
}

void schedule_deinit(struct daemon *d)
{
    if (d->schedule.open)
        uv_close((uv_handle_t *)&d->schedule.expiry, NULL);
    d->schedule.open = false;
}

/* How many of the user's requests come before one more of this connection, when its connections
 * take turns among themselves. */
static uint64_t rank_within_user(const struct daemon *d, const struct client *c,
                                 enum queue_class class)
{
    uint64_t own = c->waiting[class], rank = own;

    for (const struct client *i = d->clients; i; i = i->next)
        if (i->user == c->user && i != c)
            rank += i->waiting[class] <= own ? i->waiting[class] : own + 1;
    return rank;
}

/* One turn later for each of the user's that comes before it, so that who asks for much waits for
 * it, and the others do not. Requests of one connection keep their order. */
static uint64_t turn_of(const struct daemon *d, const struct client *c, enum queue_class class)
{
    uint64_t turn = d->queue.lists[class].turn + rank_within_user(d, c, class);

    return turn > c->last_turn[class] ? turn : c->last_turn[class];
}

int schedule_enter(struct daemon *d, struct client *c, struct job *j, struct job *old)
{
    enum queue_class class = job_class(j);
    uint64_t turn = turn_of(d, c, class);
    int r = old ? queue_replace(&d->queue, &old->item, &j->item, class, job_bytes(j), turn)
                : queue_push(&d->queue, &j->item, class, job_bytes(j), turn);

    if (r)
        return r;
    if (old)
        count_out(old);
    j->user->used[CONFIG_LIMIT_QUEUE_BYTES] += j->item.bytes;
    j->user->waiting[class]++;
    c->waiting[class]++;
    if (!old || old->item.class != class)
        c->last_turn[class] = turn;
    watch_deadline(d, j->deadline_ns);
    return 0;
}

/* Enters the job, as it is or planned again with what is left. */
static bool take_memory(struct daemon *d, struct job *j)
{
    bool taken;

    memory_note(d);
    taken = !ledger_take(&d->memory.ledger, &j->promise) ||
            (promise_shrink(j, ledger_left(&d->memory.ledger)) &&
             !ledger_take(&d->memory.ledger, &j->promise));
    memory_note(d);
    return taken;
}

void schedule_feed(struct daemon *d)
{
    struct job *j;

    while ((j = first_waiting(d))) {
        if (is_over(j, j->deadline_ns ? vn_now_ns() : 0)) {
            leave_queue(d, j);
            end_late(d, j);
            continue;
        }
        if (!pool_has_room(&d->pool) && !make_room(d, j))
            return;
        if (!take_memory(d, j)) {
            if (j->when_full != MEMORY_FULL_REFUSE)
                return; /* the first waits for memory, and the others behind it */
            leave_queue(d, j);
            j->outcome = JOB_NO_ROOM;
            requests_finish(d, j);
            continue;
        }
        j->handed = true;
        d->schedule.ahead++;
        pool_give(&d->pool, j);
        note_begun(d);
    }
}

bool schedule_recall(struct daemon *d, struct job *j)
{
    if (!j->handed)
        return true;
    if (!pool_take_back(&d->pool, j))
        return false;
    j->handed = false;
    d->schedule.ahead--;
    ledger_give(&d->memory.ledger, &j->promise);
    memory_note(d);
    return true;
}

bool schedule_take_back(struct daemon *d, struct job *j)
{
    bool back = schedule_recall(d, j);

    leave_queue(d, j);
    if (!back)
        d->schedule.ahead--;
    return back;
}

void schedule_done(struct daemon *d, struct job *j)
{
    struct schedule *s = &d->schedule;
    uint64_t ran_ns;

    if (j->item.waiting) /* it came before one that counts as running */
        begin(d, j);
    note_begun(d);
    ledger_give(&d->memory.ledger, &j->promise);
    memory_note(d);
    if (j->outcome != JOB_DONE)
        return; /* how long it would have run is not known */
    ran_ns = j->ended_ns - j->started_ns;
    s->mean_run_ns =
        s->mean_run_ns ? s->mean_run_ns - s->mean_run_ns / MEAN_OF + ran_ns / MEAN_OF : ran_ns;
}

uint32_t schedule_retry_ms(const struct daemon *d, uint64_t jobs)
{
    uint64_t run_ns = d->schedule.mean_run_ns ? d->schedule.mean_run_ns : FIRST_RUN_NS;
    uint64_t each_us = run_ns / d->pool.n_workers / 1000 + 1, most = RETRY_MS_MAX * 1000;
    uint64_t us = jobs < most / each_us ? jobs * each_us : most;

    return (uint32_t)(us / 1000 + 1);
}
