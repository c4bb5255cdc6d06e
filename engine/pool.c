/* Threads: the caller describes the work, opens `door` and raises `turn`; a helper that sees a new
 * turn goes in if the door is still open, takes items until there are none, and leaves. The caller
 * takes items too, then closes the door and waits until nobody is inside. Whoever finds nothing new
 * after a short look sleeps on the number it waits for, and says so in `sleeping` before its last
 * look. */
#include "engine/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

struct helper {
    struct vn_pool *pool;
    pthread_t thread;
    uint32_t number;
};

#define OPEN (UINT32_C(1) << 31)

struct vn_pool {
    void (*work)(void *context, uint32_t item, uint32_t thread);
    void *context;
    uint32_t first, items; /* of this turn */
    _Atomic uint8_t taken[VN_POOL_ITEMS_MAX];
    _Atomic uint32_t turn;
    _Atomic uint32_t door;     /* OPEN and the number of helpers inside */
    _Atomic uint32_t sleeping; /* of anybody */
    atomic_bool rest;          /* no more work for a while */
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

/* Returns when the number is no longer `old`. */
static void wait_change(struct vn_pool *p, _Atomic uint32_t *number, uint32_t old)
{
    const uint64_t until = vn_now_ns() + VN_POOL_SPIN_NS;

    while (atomic_load(number) == old) {
        for (int i = 0; i < 4; i++) /* looks are cheap beside the clock */
            look_again();
        if (atomic_load_explicit(&p->rest, memory_order_relaxed) || vn_now_ns() >= until)
            sleep_on(p, number, old);
    }
}

static void take_items(struct vn_pool *p, uint32_t thread)
{
    uint32_t item, unused;

    vn_pool_share(p->items, thread, p->n_helpers + 1, &item, &unused);
    for (uint32_t i = 0; i < p->items; i++, item = item + 1 < p->items ? item + 1 : 0)
        if (!atomic_load_explicit(&p->taken[item], memory_order_relaxed) &&
            !atomic_exchange(&p->taken[item], 1))
            p->work(p->context, p->first + item, thread);
}

static bool go_in(struct vn_pool *p)
{
    uint32_t door = atomic_load(&p->door);

    while (door & OPEN)
        if (atomic_compare_exchange_weak(&p->door, &door, door + 1))
            return true;
    return false;
}

static void *help(void *argument)
{
    struct helper *h = argument;
    struct vn_pool *p = h->pool;

    for (uint32_t turn = 0; !atomic_load(&p->stop);) {
        wait_change(p, &p->turn, turn);
        turn = atomic_load(&p->turn);
        if (!go_in(p))
            continue;
        take_items(p, h->number);
        if (atomic_fetch_sub(&p->door, 1) == 1) /* closed, and the last one left */
            wake(p, &p->door);
    }
    return NULL;
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

static void run_turn(struct vn_pool *p)
{
    uint32_t inside;

    memset((void *)p->taken, 0, p->items);
    atomic_store(&p->door, OPEN);
    atomic_fetch_add(&p->turn, 1);
    wake(p, &p->turn);
    take_items(p, 0);
    for (inside = atomic_fetch_and(&p->door, ~OPEN) & ~OPEN; inside; inside = atomic_load(&p->door))
        wait_change(p, &p->door, inside);
}

void vn_pool_run(struct vn_pool *p, uint32_t items,
                 void (*work)(void *context, uint32_t item, uint32_t thread), void *context)
{
    if (!p || !p->n_helpers || items < 2) {
        for (uint32_t i = 0; i < items; i++)
            work(context, i, 0);
        return;
    }
    p->work = work;
    p->context = context;
    atomic_store_explicit(&p->rest, false, memory_order_relaxed);
    for (p->first = 0; p->first < items; p->first += p->items) {
        p->items = items - p->first < VN_POOL_ITEMS_MAX ? items - p->first : VN_POOL_ITEMS_MAX;
        run_turn(p);
    }
}

void vn_pool_rest(struct vn_pool *p)
{
    if (p)
        atomic_store_explicit(&p->rest, true, memory_order_relaxed);
}
