/* What one user holds in the daemon, over all connections of its user id, and how much of it the
 * configuration allows: what one user does to the daemon stays that user's. Loop thread only.
 *
 * A user is known from its first connection on. Those without any are kept for a while, so that
 * hanging up does not make the daemon forget how often they connected; their number is bounded. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/config.h"
#include "daemon/queue.h"

#define USERS_KEPT 64 /* without connections */

struct daemon;
struct refusal;

struct user {
    struct user *next;
    uid_t uid;
    const struct config_limits *limits; /* the configuration's for it */
    uint64_t used[N_CONFIG_LIMITS];     /* but for CONFIG_LIMIT_RATE */
    uint32_t waiting[N_QUEUE_CLASSES];  /* requests in the queue */
    uint64_t rate_ns;       /* when connections at the allowed rate would have come so far */
    uint64_t refusals;      /* since the last log line about them */
    uint64_t complained_ns; /* that line */
};

struct users {
    struct user *first;   /* owned; the last who connected comes first */
    uint32_t n_connected; /* those with connections */
    uint32_t n_kept;      /* those without */
};

/* The user with this id, known from now on. NULL: out of memory. */
struct user *users_find(struct daemon *d, uid_t uid);

/* Forgets everybody. */
void users_deinit(struct users *u);

/* Whether the user may connect once more. 0, or 1 with the refusal set. */
int user_may_connect(const struct daemon *d, struct user *u, struct refusal *r);

/* A connection of the user begins, or ends. */
void user_connect(struct daemon *d, struct user *u);
void user_disconnect(struct daemon *d, struct user *u);

/* Whether it may hold so much more of something. 0, or 1 with the refusal set, but for when to try
 * again. */
int user_may_have(const struct daemon *d, const struct user *u, enum config_limit limit,
                  uint64_t more, struct refusal *r);

/* Says that something was refused: one line for a burst. */
void user_log_refusal(struct user *u, const struct refusal *r);
