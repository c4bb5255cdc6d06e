#include "daemon/worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/thread.h"

static void append(struct job_list *list, struct job *j)
{
    j->next_in_pool = NULL;
    if (list->last)
        list->last->next_in_pool = j;
    else
        list->first = j;
    list->last = j;
}

/* Behind its like: control before bulk. */
static void insert(struct job_list *list, struct job *j)
{
    struct job *before = NULL;

    if (j->item.class == QUEUE_BULK) {
        append(list, j);
        return;
    }
    for (struct job *i = list->first; i && i->item.class == QUEUE_CONTROL; i = i->next_in_pool)
        before = i;
    j->next_in_pool = before ? before->next_in_pool : list->first;
    *(before ? &before->next_in_pool : &list->first) = j;
    if (!j->next_in_pool)
        list->last = j;
}

static struct job *take_first(struct job_list *list)
{
    struct job *j = list->first;

    if (!j)
        return NULL;
    list->first = j->next_in_pool;
    if (!list->first)
        list->last = NULL;
    return j;
}

/* --- the worker's thread ---------------------------------------------------------------------- */

static void wake_loop(const struct pool *p)
{
    /* It cannot fail but for a full pipe, which wakes the loop just as well. */
    if (write(p->done_fds[1], "", 1) < 0)
        return;
}

/* Under the lock: what this worker does next, NULL when there is nothing or the end has come. */
static struct job *begin_next(struct worker *w)
{
    struct job *j = w->pool->stop ? NULL : take_first(&w->pool->todo);

    if (j)
        atomic_store(&j->begun, true);
    w->running = j;
    return j;
}

/* Puts back what is done, NULL at first, for what is next, NULL if there is nothing. The loop is
 * woken without the lock, or it would wake only to wait for it. */
static struct job *exchange(struct worker *w, struct job *done)
{
    struct pool *p = w->pool;
    bool wake = false;
    struct job *next;

    pthread_mutex_lock(&p->lock);
    if (done) {
        wake = !p->done.first; /* else it is woken and was not there yet */
        append(&p->done, done);
    }
    next = begin_next(w);
    pthread_mutex_unlock(&p->lock);
    if (wake)
        wake_loop(p);
    return next;
}

/* Under the lock: whether there is something to do; else this worker counts as idle. */
static bool look(struct pool *p)
{
    bool any = p->todo.first || p->stop;

    p->n_idle += !any;
    return any;
}

/* NULL: the end. */
static struct job *wait_for_job(struct worker *w)
{
    struct pool *p = w->pool;
    struct job *j;
    char token;

    pthread_mutex_lock(&p->lock);
    while (!look(p)) {
        pthread_mutex_unlock(&p->lock);
        (void)!read(p->idle_fds[0], &token, 1); /* signals are not for threads: no EINTR */
        pthread_mutex_lock(&p->lock);
    }
    j = begin_next(w);
    pthread_mutex_unlock(&p->lock);
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
    struct job *j = NULL;

    while ((j = exchange(w, j)) || (j = wait_for_job(w))) {
        atomic_fetch_add(&w->progress, 1);
        hang_when_told(w, j);
        job_run(j, w->index, &w->progress);
    }
    return NULL;
}

/* --- the loop's side -------------------------------------------------------------------------- */

static void collect(uv_poll_t *handle, int status, int events)
{
    struct pool *p = handle->data;
    struct job_list done;
    struct job *j;
    char tokens[64];

    if (read(p->done_fds[0], tokens, sizeof tokens) < 0)
        return; /* EAGAIN: a false alarm */
    pthread_mutex_lock(&p->lock);
    done = p->done;
    p->done = (struct job_list){0};
    pthread_mutex_unlock(&p->lock);
    while ((j = take_first(&done))) {
        p->held--;
        p->finished(p->context, j);
    }
}

static void close_pipes(struct pool *p)
{
    int *fds[] = {&p->done_fds[0], &p->done_fds[1], &p->idle_fds[0], &p->idle_fds[1]};

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (*fds[i] >= 0)
            close(*fds[i]);
}

/* Pipes, because the scheduler takes a writer to them for one that is about to wait: it wakes the
 * reader on the writer's processor, which is at work, where a condition or an eventfd would have an
 * idle one woken up first. */
static int open_pipes(struct pool *p)
{
    if (pipe2(p->done_fds, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(p->idle_fds, O_CLOEXEC) < 0)
        return -errno;
    return 0;
}

static int open_handle(struct pool *p, uv_loop_t *loop)
{
    int r = open_pipes(p);

    if (!r)
        r = uv_poll_init(loop, &p->woken, p->done_fds[0]);
    if (r) {
        close_pipes(p);
        return r;
    }
    pthread_mutex_init(&p->lock, NULL);
    p->woken.data = p;
    p->open = true;
    return uv_poll_start(&p->woken, UV_READABLE, collect);
}

int pool_start(struct pool *p, uv_loop_t *loop, uint32_t n_workers,
               void (*finished)(void *context, struct job *j), void *context)
{
    int r;

    *p = (struct pool){
        .n_workers = n_workers,
        .done_fds = {-1, -1},
        .idle_fds = {-1, -1},
        .finished = finished,
        .context = context,
    };
    p->hang_task = getenv("VIRTUALNETD_TEST_HANG_TASK");
    r = open_handle(p, loop);
    if (r)
        return r;
    p->workers = calloc(n_workers, sizeof *p->workers);
    if (!p->workers)
        r = -ENOMEM;
    for (; !r && p->n_started < n_workers; p->n_started += !r) {
        struct worker *w = &p->workers[p->n_started];

        w->pool = p;
        w->index = p->n_started;
        r = thread_start(&w->thread, work, w);
    }
    return r;
}

/* Workers that are no longer counted as idle. */
static void wake_workers(const struct pool *p, uint32_t n)
{
    /* a pipe holds more than there are workers, so that it cannot fail */
    for (; n && write(p->idle_fds[1], "", 1) == 1; n--)
        ;
}

void pool_give(struct pool *p, struct job *j)
{
    uint32_t wake;

    assert(pool_has_room(p));
    p->held++;
    pthread_mutex_lock(&p->lock);
    insert(&p->todo, j);
    wake = p->n_idle > 0;
    p->n_idle -= wake;
    pthread_mutex_unlock(&p->lock);
    wake_workers(p, wake); /* without the lock, see above */
}

bool pool_take_back(struct pool *p, struct job *j)
{
    struct job_list before, after = {0};
    struct job *i;
    bool found = false;

    pthread_mutex_lock(&p->lock);
    before = p->todo;
    while ((i = take_first(&before))) {
        if (i == j)
            found = true;
        else
            append(&after, i);
    }
    p->todo = after;
    pthread_mutex_unlock(&p->lock);
    p->held -= found;
    return found;
}

void pool_cancel(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < p->n_started; i++)
        if (p->workers[i].running)
            atomic_store(&p->workers[i].running->cancel, true);
    for (struct job *j = p->todo.first; j; j = j->next_in_pool)
        atomic_store(&j->cancel, true);
    pthread_mutex_unlock(&p->lock);
}

bool pool_moved(struct pool *p)
{
    bool moved = true;

    pthread_mutex_lock(&p->lock);
    for (uint32_t i = 0; i < p->n_started; i++) {
        struct worker *w = &p->workers[i];
        unsigned long progress = atomic_load(&w->progress);

        if (w->running && w->seen_busy && progress == w->seen_progress)
            moved = false;
        w->seen_busy = w->running != NULL;
        w->seen_progress = progress;
    }
    pthread_mutex_unlock(&p->lock);
    return moved;
}

void pool_stop(struct pool *p)
{
    if (!p->open)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    wake_workers(p, p->n_idle);
    p->n_idle = 0;
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    free(p->workers);
    p->workers = NULL;
    p->n_started = 0;
    uv_close((uv_handle_t *)&p->woken, NULL);
    close_pipes(p);
    pthread_mutex_destroy(&p->lock);
    p->open = false;
}
