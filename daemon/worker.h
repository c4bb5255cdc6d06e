/* The pool of workers: threads that take jobs from one list and put them, done, into another. The
 * loop hands over as many jobs as there are workers, and as many again, so that a worker that is
 * done goes on without waiting for the loop; queueing and admission stay with the loop, which can
 * take back what no worker has begun.
 *
 * thread    owns
 * loop      struct pool but for the lists, jobs outside of it
 * worker n  the job that it runs, session n of that job's model
 * shared    the lists and what each worker runs (under the pool's lock), progress and cancel flags
 *           (atomic), models (const) */
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
    struct job *running;         /* under the pool's lock */
    atomic_ulong progress;       /* a new job, and what the run counts */
    unsigned long seen_progress; /* loop only: at the last pool_moved */
    bool seen_busy;              /* loop only */
};

/* First in, first out; linked by job.next_in_pool. */
struct job_list {
    struct job *first, *last;
};

struct pool {
    uint32_t n_workers, n_started;
    struct worker *workers; /* owned */
    pthread_mutex_t lock;
    struct job_list todo; /* under lock */
    struct job_list done; /* under lock */
    uint32_t n_idle;      /* under lock: workers that wait and were not told to wake up */
    bool stop;            /* under lock */
    int done_fds[2];      /* a pipe: `done` is not empty any more */
    int idle_fds[2];      /* a pipe: a byte for each worker that is to wake up */
    uv_poll_t woken;
    bool open;     /* lock, pipes and handle are there */
    uint32_t held; /* jobs that were given and are neither done nor taken back */
    void (*finished)(void *context, struct job *j); /* loop thread; the job is the callee's now */
    void *context;
    const char *hang_task; /* test hook: a job of this task never ends */
};

/* Starts the threads. 0 or a negative errno; pool_stop takes back what was done either way. */
int pool_start(struct pool *p, uv_loop_t *loop, uint32_t n_workers,
               void (*finished)(void *context, struct job *j), void *context);

/* Whether a job may be given. They are begun in the order in which they were given, control before
 * bulk, as many at once as there are workers. */
static inline bool pool_has_room(const struct pool *p)
{
    return p->held < 2 * p->n_workers;
}

void pool_give(struct pool *p, struct job *j);

/* True: no worker has begun the job, and it is the caller's again. */
bool pool_take_back(struct pool *p, struct job *j);

/* Sets the cancel flag of everything that runs. */
void pool_cancel(struct pool *p);

/* Whether every busy worker has moved on since the last call: a new job, or another branch. */
bool pool_moved(struct pool *p);

/* Ends and joins the threads, none of which may be running a job, and closes the handle. Takes a
 * pool that was never started, too. */
void pool_stop(struct pool *p);
