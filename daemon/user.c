#include "daemon/user.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/reply.h"

#define SHARE 3         /* one user may have so many times what is left for another */
#define BACKLOG_PARTS 8 /* connections of a user whose replies may all wait */

/* --- who is known ----------------------------------------------------------------------------- */

/* The link that leads to the user; to NULL when it is not known. */
static struct user **link_to(struct users *all, uid_t uid)
{
    struct user **at = &all->first;

    while (*at && (*at)->uid != uid)
        at = &(*at)->next;
    return at;
}

/* Of those without connections, the one that connected least recently. */
static void forget_one(struct users *all)
{
    struct user **last = NULL, *u;

    for (struct user **at = &all->first; *at; at = &(*at)->next)
        if (!(*at)->used[CONFIG_LIMIT_CONNECTIONS])
            last = at;
    if (!last)
        return;
    u = *last;
    *last = u->next;
    free(u);
    all->n_kept--;
}

struct user *users_find(struct daemon *d, uid_t uid)
{
    struct users *all = &d->users;
    struct user **at = link_to(all, uid), *u = *at;

    if (u) {
        *at = u->next;
    } else {
        if (all->n_kept >= USERS_KEPT)
            forget_one(all);
        u = calloc(1, sizeof *u);
        if (!u)
            return NULL;
        u->uid = uid;
        u->limits = config_limits(d->config, uid);
        all->n_kept++;
    }
    u->next = all->first;
    all->first = u;
    return u;
}

void users_deinit(struct users *all)
{
    while (all->first) {
        struct user *u = all->first;

        all->first = u->next;
        free(u);
    }
    *all = (struct users){0};
}

void user_connect(struct daemon *d, struct user *u)
{
    uint64_t now = vn_now_ns();

    if (!u->used[CONFIG_LIMIT_CONNECTIONS]++) {
        d->users.n_connected++;
        d->users.n_kept--;
    }
    if (u->rate_ns < now)
        u->rate_ns = now;
    u->rate_ns += VN_NS_PER_S / u->limits->of[CONFIG_LIMIT_RATE];
}

void user_disconnect(struct daemon *d, struct user *u)
{
    if (--u->used[CONFIG_LIMIT_CONNECTIONS])
        return;
    d->users.n_connected--;
    d->users.n_kept++;
    if (d->users.n_kept > USERS_KEPT)
        forget_one(&d->users);
}

/* --- limits ----------------------------------------------------------------------------------- */

/* So many times what is free: however many users take what they can, there is room for another. */
static uint64_t share_of_free(uint64_t limit, uint64_t in_use)
{
    uint64_t free = in_use < limit ? limit - in_use : 0;

    return free < UINT64_MAX / SHARE ? SHARE * free : UINT64_MAX;
}

static uint64_t limit_of(const struct daemon *d, const struct user *u, enum config_limit limit)
{
    const struct config *c = d->config;

    if (u->limits->of[limit])
        return u->limits->of[limit];
    switch (limit) {
    case CONFIG_LIMIT_CONNECTIONS:
        return share_of_free(c->connections_limit, d->n_clients);
    case CONFIG_LIMIT_INPUT_BYTES: /* a user alone may have all */
        return d->users.n_connected <= 1
                   ? UINT64_MAX
                   : share_of_free(c->input_limit_bytes, d->input_bytes - u->used[limit]);
    case CONFIG_LIMIT_BACKLOG_BYTES:
        return BACKLOG_PARTS * c->reply_backlog_bytes;
    default: /* of the queue, where who has less displaces who has more */
        return UINT64_MAX;
    }
}

static int refuse_user(struct refusal *r, const struct user *u, enum config_limit limit,
                       uint64_t current, uint64_t allowed)
{
    static const char *const what[N_CONFIG_LIMITS] = {
        [CONFIG_LIMIT_CONNECTIONS] = "connections open",
        [CONFIG_LIMIT_RATE] = "connections within a second",
        [CONFIG_LIMIT_INFLIGHT] = "requests in flight",
        [CONFIG_LIMIT_QUEUE_BYTES] = "bytes of requests that wait",
        [CONFIG_LIMIT_INPUT_BYTES] = "bytes of requests that have not arrived whole",
        [CONFIG_LIMIT_BACKLOG_BYTES] = "bytes of replies that were not read",
    };

    r->limit_name = config_limit_names[limit];
    r->limit = allowed;
    r->current = current;
    return refuse(r, VIRTUALNET__CODE__BUSY, "user %u has %llu %s and %s is %llu; try again later",
                  u->uid, (unsigned long long)current, what[limit], r->limit_name,
                  (unsigned long long)allowed);
}

int user_may_have(const struct daemon *d, const struct user *u, enum config_limit limit,
                  uint64_t more, struct refusal *r)
{
    uint64_t allowed = limit_of(d, u, limit), used = u->used[limit];

    if (more <= allowed && used <= allowed - more)
        return 0;
    return refuse_user(r, u, limit, used, allowed);
}

/* A second's worth of connections may come at once; then each has to wait for its time. */
static int check_rate(const struct user *u, struct refusal *r)
{
    uint64_t now = vn_now_ns(), each_ns = VN_NS_PER_S / u->limits->of[CONFIG_LIMIT_RATE];
    uint64_t ahead_ns = u->rate_ns > now ? u->rate_ns - now : 0;

    if (ahead_ns + each_ns <= VN_NS_PER_S)
        return 0;
    r->retry_after_ms = (uint32_t)((ahead_ns + each_ns - VN_NS_PER_S) / VN_NS_PER_MS + 1);
    return refuse_user(r, u, CONFIG_LIMIT_RATE, ahead_ns / each_ns,
                       u->limits->of[CONFIG_LIMIT_RATE]);
}

int user_may_connect(const struct daemon *d, struct user *u, struct refusal *r)
{
    return user_may_have(d, u, CONFIG_LIMIT_CONNECTIONS, 1, r) || check_rate(u, r);
}

void user_log_refusal(struct user *u, const struct refusal *r)
{
    u->refusals++;
    if (!daemon_may_complain(&u->complained_ns))
        return;
    vn_log_notice("refused user %u: %s is %llu and %llu are in use; %llu refusal%s since the last "
                  "line about this user",
                  u->uid, r->limit_name, (unsigned long long)r->limit,
                  (unsigned long long)r->current, (unsigned long long)u->refusals,
                  u->refusals == 1 ? "" : "s");
    u->refusals = 0;
}
