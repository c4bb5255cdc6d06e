/* A small pool of threads that share one piece of work: the caller and threads - 1 others.
 *
 * Between two pieces of work a thread looks for the next one for VN_POOL_SPIN_NS and then sleeps;
 * the caller waits for the others in the same manner. One caller at a time. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"

#define VN_POOL_THREADS_MAX 64
#define VN_POOL_SPIN_NS 5000 /* about what it costs to wake a sleeping thread */

struct vn_pool;

/* threads: 1 .. VN_POOL_THREADS_MAX, the caller included. 0 or a negative errno. */
int vn_pool_new(uint32_t threads, struct vn_pool **ret_pool);
struct vn_pool *vn_pool_free(struct vn_pool *p);
VN_DEFINE_CLEANUP(struct vn_pool *, vn_pool_free);

/* NULL is the caller alone. */
uint32_t vn_pool_threads(const struct vn_pool *p);

/* Calls work(context, thread) once for each thread number 0 .. threads - 1, number 0 on the
 * caller's thread, and returns when all have returned. */
void vn_pool_run(struct vn_pool *p, void (*work)(void *context, uint32_t thread), void *context);

/* The share [*ret_first, *ret_end) of `n` things that is thread number `thread`'s of `threads`. */
static inline void vn_pool_share(uint32_t n, uint32_t thread, uint32_t threads, uint32_t *ret_first,
                                 uint32_t *ret_end)
{
    *ret_first = (uint32_t)((uint64_t)n * thread / threads);
    *ret_end = (uint32_t)((uint64_t)n * (thread + 1) / threads);
}
