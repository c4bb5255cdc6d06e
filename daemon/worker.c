#include "daemon/worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/thread.h"

/* --- the worker's thread ---------------------------------------------------------------------- */

static struct job *wait_for_job(struct worker *w)
{
    struct job *j;

    pthread_mutex_lock(&w->lock);
    while (!w->todo && !w->stop)
        pthread_cond_wait(&w->wake, &w->lock);
    j = w->todo;
    w->todo = NULL;
    pthread_mutex_unlock(&w->lock);
    return j;
}

/* For the boot test: shows that a worker that is stuck for good stops the watchdog's pings. */
static void hang_when_told(const struct worker *w, const struct job *j)
{
#ifdef VN_TEST_HOOKS
    const char *task = j->model->network->tasks[j->request.task].name;

    while (w->pool->hang_task && !strcmp(w->pool->hang_task, task))
        pause();
#endif
}

static void *work(void *argument)
{
    struct worker *w = argument;
    struct job *j;

    while ((j = wait_for_job(w))) {
        hang_when_told(w, j);
        job_run(j, w->index, &w->progress);
        pthread_mutex_lock(&w->lock);
        w->done = j;
        pthread_mutex_unlock(&w->lock);
        uv_async_send(&w->pool->woken);
    }
    return NULL;
}

/* --- the loop's side -------------------------------------------------------------------------- */

static void collect(uv_async_t *async)
{
    struct pool *p = async->data;

    for (uint32_t i = 0; i < p->n_started; i++) {
        struct worker *w = &p->workers[i];
        struct job *j;

        pthread_mutex_lock(&w->lock);
        j = w->done;
        w->done = NULL;
        pthread_mutex_unlock(&w->lock);
        if (!j)
            continue;
        w->running = NULL;
        p->done(p->context, j);
    }
}

static int start_worker(struct pool *p, uint32_t index)
{
    struct worker *w = &p->workers[index];
    int r;

    w->pool = p;
    w->index = index;
    atomic_init(&w->progress, 0);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    r = thread_start(&w->thread, work, w);
    if (r) {
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
    }
    return r;
}

int pool_start(struct pool *p, uv_loop_t *loop, uint32_t n_workers,
               void (*done)(void *context, struct job *j), void *context)
{
    int r;

    *p = (struct pool){.n_workers = n_workers, .done = done, .context = context};
    p->hang_task = getenv("VIRTUALNETD_TEST_HANG_TASK");
    r = uv_async_init(loop, &p->woken, collect);
    if (r)
        return r;
    p->woken.data = p;
    p->open = true;
    p->workers = calloc(n_workers, sizeof *p->workers);
    if (!p->workers)
        r = -ENOMEM;
    for (; !r && p->n_started < n_workers; p->n_started += !r)
        r = start_worker(p, p->n_started);
    return r;
}

struct worker *pool_idle(struct pool *p)
{
    for (uint32_t i = 0; i < p->n_started; i++)
        if (!p->workers[i].running)
            return &p->workers[i];
    return NULL;
}

void worker_give(struct worker *w, struct job *j)
{
    assert(!w->running);
    w->running = j;
    w->seen_busy = false; /* a new job is movement by itself */
    pthread_mutex_lock(&w->lock);
    w->todo = j;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void pool_cancel(struct pool *p)
{
    for (uint32_t i = 0; i < p->n_started; i++)
        if (p->workers[i].running)
            atomic_store(&p->workers[i].running->cancel, true);
}

bool pool_moved(struct pool *p)
{
    bool moved = true;

    for (uint32_t i = 0; i < p->n_started; i++) {
        struct worker *w = &p->workers[i];
        unsigned long progress = atomic_load(&w->progress);

        if (w->running && w->seen_busy && progress == w->seen_progress)
            moved = false;
        w->seen_busy = w->running != NULL;
        w->seen_progress = progress;
    }
    return moved;
}

void pool_stop(struct pool *p)
{
    for (uint32_t i = 0; i < p->n_started; i++) {
        struct worker *w = &p->workers[i];

        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
    }
    free(p->workers);
    p->workers = NULL;
    p->n_started = 0;
    if (p->open)
        uv_close((uv_handle_t *)&p->woken, NULL);
    p->open = false;
}
