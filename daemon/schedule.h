/* Who runs next: jobs on their way from the queue to the pool, and back. Loop thread only.
 *
 * The pool is handed as many jobs as it has room for, so that a worker that is done goes on without
 * the loop. What it has beyond the number of its workers stays in the queue and counts as waiting
 * (`ahead`), until a worker has begun it: up to then it can be taken back, because its client has
 * left or cancelled it, its deadline has passed, a newer one of its stream or a request of the
 * control class comes first. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct client;
struct daemon;
struct job;

struct schedule {
    uint32_t ahead;       /* jobs in the queue that the pool has, too: they are next */
    uint64_t mean_run_ns; /* of recent runs; 0: there was none */
    uv_timer_t expiry;    /* rings when a deadline in the queue may have passed */
    uint64_t expiry_ns;   /* then; 0: never */
    bool open;            /* the handle is */
};

/* The daemon's queue and schedule, empty. */
void schedule_init(struct daemon *d);

/* Closes the handle. */
void schedule_deinit(struct daemon *d);

/* Puts the client's job into the queue, in the place of `old` when that is not NULL: then it
 * waited, was recalled, and is the caller's now. 0 or as queue_push: then nothing has changed. */
int schedule_enter(struct daemon *d, struct client *c, struct job *j, struct job *old);

/* Hands waiting jobs to the pool, as far as deadlines and the ledger allow. */
void schedule_feed(struct daemon *d);

/* True: the waiting job is in the queue only. False: a worker has begun it just now. */
bool schedule_recall(struct daemon *d, struct job *j);

/* Takes a waiting job out of queue, pool and ledger. True: it is the caller's. False: a worker has
 * begun it just now, so that it runs; it will come back as done. */
bool schedule_take_back(struct daemon *d, struct job *j);

/* A worker is done with the job. */
void schedule_done(struct daemon *d, struct job *j);

/* Jobs that workers have. The ledger's number also counts those that are next. */
uint32_t schedule_running(const struct daemon *d);

/* Milliseconds until so many of the jobs that run and wait will be done, as recent runs have it: a
 * hint for who is refused. Never 0. */
uint32_t schedule_retry_ms(const struct daemon *d, uint64_t jobs);
