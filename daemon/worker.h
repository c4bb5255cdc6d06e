/* The pool of workers: each is one thread with a mailbox for one job. The loop puts a job into an
 * idle worker's mailbox and is woken when it is done; queueing and admission stay with the loop.
 *
 * thread    owns
 * loop      struct pool, which worker is idle, jobs outside a mailbox
 * worker n  the job in its mailbox, session n of that job's model
 * shared    the mailbox (under its lock), progress and cancel flags (atomic), models (const) */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "daemon/job.h"

struct pool;

struct worker {
    struct pool *pool;
    pthread_t thread;
    uint32_t index;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job *todo; /* under lock: loop to worker */
    struct job *done; /* under lock: worker to loop */
    bool stop;        /* under lock */
    atomic_ulong progress;
    /* loop only */
    struct job *running;
    unsigned long seen_progress; /* at the last pool_moved */
    bool seen_busy;
};

struct pool {
    uint32_t n_workers, n_started;
    struct worker *workers; /* owned */
    uv_async_t woken;
    bool open;                                  /* the handle is */
    void (*done)(void *context, struct job *j); /* loop thread; the job is the callee's now */
    void *context;
    const char *hang_task; /* test hook: a job of this task never ends */
};

/* Starts the threads. 0 or a negative errno; pool_stop takes back what was done either way. */
int pool_start(struct pool *p, uv_loop_t *loop, uint32_t n_workers,
               void (*done)(void *context, struct job *j), void *context);

/* An idle worker or NULL. */
struct worker *pool_idle(struct pool *p);

void worker_give(struct worker *w, struct job *j);

/* Sets the cancel flag of everything that runs. */
void pool_cancel(struct pool *p);

/* Whether every busy worker has moved on since the last call: a new job, or another layer. */
bool pool_moved(struct pool *p);

/* Ends and joins the threads, none of which may be running a job, and closes the handle. Takes a
 * pool that was never started, too. */
void pool_stop(struct pool *p);
