/* One connection. Loop thread only. It is always read, so that a peer that dies is seen to die;
 * what it may pile up is bounded: one frame of input (receive.c), so many requests in flight, so
 * many bytes of unread replies (a slower reader is cut off). When it ends, its waiting requests are
 * dropped and its running ones cancelled.
 *
 * Life: open -> (deaf: the peer sent its last byte and still reads) -> (closing: a last error is
 * on its way out) -> closed: off the daemon's list, memory kept until the loop lets go of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/buffer.h"
#include "daemon/descriptors.h"
#include "daemon/queue.h"
#include "daemon/user.h"
#include "proto/virtualnet.pb-c.h"

#define CLIENT_READ_BYTES 65536 /* at a time */
#define CLIENT_READS_AT_ONCE 16 /* then others have their turn */
#define CLIENT_FRAMES_AT_ONCE 2 /* as well: small requests are many in one read */
#define CLIENT_RETRY_MS 1000    /* a hint: when a connection may be free is not known */
#define CLIENT_LINGER_MS 1000   /* for the last error of a closing connection to be read */

struct daemon;
struct job;
struct refusal;

struct client {
    struct daemon *daemon;
    struct client *previous, *next; /* in the daemon's list */
    uv_poll_t poll;
    uv_timer_t timer;  /* until a frame must be whole; when closing, until the end */
    uv_timer_t unread; /* until some of the replies must be taken */
    uv_idle_t again;   /* while whole frames are left from the last turn: nothing is read then */
    uint32_t open_handles;
    int fd;
    uid_t uid;         /* of the peer, when it connected */
    struct user *user; /* with this uid; NULL once closed */
    bool may_infer, may_control, may_status, may_admin;
    uint64_t number; /* counted from 1 */
    struct vn_buffer in, out;
    struct descriptors descriptors;      /* that came with the frames in `in` */
    int memfd;                           /* of the request that is handled now, or -1 */
    uint64_t backlog_bytes;              /* unread replies, as the user's part of them is counted */
    uint64_t sent_bytes;                 /* that have left `out` */
    struct vn_buffer unsent;             /* marks: runs whose answers are in `out` */
    int events;                          /* what the loop looks for */
    uint64_t input_bytes;                /* this connection's part of the daemon's */
    uint64_t frames;                     /* that have arrived whole */
    uint64_t timed_frame;                /* the number of the one that the timer is for; 0: none */
    struct job *jobs;                    /* list: accepted and not yet answered */
    uint32_t waiting[N_QUEUE_CLASSES];   /* of the jobs, in the queue */
    uint64_t last_turn[N_QUEUE_CLASSES]; /* in the queue */
    uint32_t in_flight;                  /* jobs, and a reload that it waits for */
    bool deaf, closing, closed;
};

/* A request is in flight from now on, or not any more. */
static inline void client_begin(struct client *c)
{
    c->in_flight++;
    c->user->used[CONFIG_LIMIT_INFLIGHT]++;
}

static inline void client_end(struct client *c)
{
    c->in_flight--;
    c->user->used[CONFIG_LIMIT_INFLIGHT]--;
}

/* Takes the descriptor in any case: it is served, or refused and closed. */
void client_new(struct daemon *d, int fd);

/* The stream makes no sense from here on, or there is no room for it: one error, then the end. */
void client_refuse(struct client *c, const struct refusal *refusal);

/* Tells the loop what to look for, after deaf, closing or the backlog has changed. */
void client_listen(struct client *c);

/* Ends the connection now. */
void client_drop(struct client *c);

/* Ends it when nothing is left to do for it: its input has ended, or the daemon stops. */
void client_drop_if_done(struct client *c);
