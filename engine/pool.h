/* A small pool of threads that share one piece of work: the caller and threads - 1 helpers.
 *
 * Work comes in items. Each thread begins with its own share of them, the same one for the same
 * number of items, so that it finds in its cache what it wrote in the turn before, and goes on
 * with what others have left. A helper that is late finds less to do or nothing, and nobody waits
 * for it: the caller never does worse than alone. One caller at a time.
 *
 * Between two pieces of work whoever waits looks for VN_POOL_SPIN_NS, about what it may cost to be
 * woken, and then sleeps; after vn_pool_rest nobody looks. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"

#define VN_POOL_THREADS_MAX 64
#define VN_POOL_ITEMS_MAX 1024 /* at once; more are done in several turns */
#define VN_POOL_SPIN_NS 50000

struct vn_pool;

/* threads: 1 .. VN_POOL_THREADS_MAX, the caller included. 0 or a negative errno. */
int vn_pool_new(uint32_t threads, struct vn_pool **ret_pool);
struct vn_pool *vn_pool_free(struct vn_pool *p);
VN_DEFINE_CLEANUP(struct vn_pool *, vn_pool_free);

/* NULL is the caller alone. */
uint32_t vn_pool_threads(const struct vn_pool *p);

/* Calls work(context, item, thread) once for each item 0 .. items - 1 and returns when all have
 * returned. thread: the number of the one that runs it, the caller's being 0. */
void vn_pool_run(struct vn_pool *p, uint32_t items,
                 void (*work)(void *context, uint32_t item, uint32_t thread), void *context);

/* There is no more work for a while: helpers sleep until the next vn_pool_run. NULL: nothing. */
void vn_pool_rest(struct vn_pool *p);

/* The share [*ret_first, *ret_end) of `n` things that is item number `item` of `items`. */
static inline void vn_pool_share(uint32_t n, uint32_t item, uint32_t items, uint32_t *ret_first,
                                 uint32_t *ret_end)
{
    *ret_first = (uint32_t)((uint64_t)n * item / items);
    *ret_end = (uint32_t)((uint64_t)n * (item + 1) / items);
}
