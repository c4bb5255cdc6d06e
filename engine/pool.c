/* Threads: the caller writes `work` and `context`, raises `running` and then `turn`; a helper that
 * sees a new turn does its share and lowers `running`. Whoever finds nothing new after a short look
 * sleeps on the number it waits for, and says so in `sleeping` before its last look. */
#include "engine/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

struct helper {
    struct vn_pool *pool;
    pthread_t thread;
    uint32_t number;
};

struct vn_pool {
    void (*work)(void *context, uint32_t thread);
    void *context;
    _Atomic uint32_t turn;     /* of work */
    _Atomic uint32_t running;  /* helpers that have not finished this turn */
    _Atomic uint32_t sleeping; /* of anybody */
    atomic_bool stop;
    uint32_t n_helpers;
    struct helper helpers[];
};

static void look_again(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void sleep_on(struct vn_pool *p, _Atomic uint32_t *number, uint32_t value)
{
    atomic_fetch_add(&p->sleeping, 1);
    (void)syscall(SYS_futex, number, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    atomic_fetch_sub(&p->sleeping, 1);
}

static void wake(struct vn_pool *p, _Atomic uint32_t *number)
{
    if (atomic_load(&p->sleeping))
        (void)syscall(SYS_futex, number, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* Returns the number's next value after `old`. */
static uint32_t wait_change(struct vn_pool *p, _Atomic uint32_t *number, uint32_t old)
{
    const uint64_t until = vn_now_ns() + VN_POOL_SPIN_NS;
    uint32_t now;

    while ((now = atomic_load_explicit(number, memory_order_acquire)) == old) {
        for (int i = 0; i < 4; i++) /* looks are cheap beside the clock */
            look_again();
        if (vn_now_ns() >= until)
            sleep_on(p, number, old);
    }
    return now;
}

static void *help(void *argument)
{
    struct helper *h = argument;
    struct vn_pool *p = h->pool;
    uint32_t turn = 0;

    for (;;) {
        turn = wait_change(p, &p->turn, turn);
        if (atomic_load(&p->stop))
            return NULL;
        p->work(p->context, h->number);
        if (atomic_fetch_sub(&p->running, 1) == 1)
            wake(p, &p->running);
    }
}

static int start(struct vn_pool *p, uint32_t number)
{
    struct helper *h = &p->helpers[p->n_helpers];
    sigset_t all, before;
    int r;

    *h = (struct helper){.pool = p, .number = number};
    sigfillset(&all); /* signals are not for us */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&h->thread, NULL, help, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    p->n_helpers += !r;
    return -r;
}

int vn_pool_new(uint32_t threads, struct vn_pool **ret_pool)
{
    _cleanup_(vn_pool_freep) struct vn_pool *p = NULL;

    if (!threads || threads > VN_POOL_THREADS_MAX)
        return -EINVAL;
    p = calloc(1, sizeof *p + threads * sizeof p->helpers[0]);
    if (!p)
        return -ENOMEM;
    for (uint32_t i = 1; i < threads; i++) {
        int r = start(p, i);

        if (r)
            return r;
    }
    *ret_pool = p;
    p = NULL;
    return 0;
}

struct vn_pool *vn_pool_free(struct vn_pool *p)
{
    if (!p)
        return NULL;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->turn, 1);
    (void)syscall(SYS_futex, &p->turn, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    for (uint32_t i = 0; i < p->n_helpers; i++)
        pthread_join(p->helpers[i].thread, NULL);
    free(p);
    return NULL;
}

uint32_t vn_pool_threads(const struct vn_pool *p)
{
    return p ? p->n_helpers + 1 : 1;
}

void vn_pool_run(struct vn_pool *p, void (*work)(void *context, uint32_t thread), void *context)
{
    uint32_t left;

    if (p && p->n_helpers) {
        p->work = work;
        p->context = context;
        atomic_store(&p->running, p->n_helpers);
        atomic_fetch_add(&p->turn, 1);
        wake(p, &p->turn);
    }
    work(context, 0);
    if (p && p->n_helpers)
        for (left = atomic_load(&p->running); left; left = atomic_load(&p->running))
            (void)wait_change(p, &p->running, left);
}
