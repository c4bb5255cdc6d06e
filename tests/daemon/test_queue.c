/* The queue's order and its two exact counts. */
#include <criterion/criterion.h>

#include "base/rng.h"
#include "daemon/queue.h"

Test(queue, first_in_first_out)
{
    struct queue_item items[3] = {0};
    struct queue q;

    queue_init(&q, 3, 1000);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(queue_push(&q, &items[i], 10), 0);
    cr_assert_eq(q.length, 3);
    cr_assert_eq(q.bytes, 30);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(q.first, &items[i]);
        queue_remove(&q, q.first);
    }
    cr_assert_null(q.first);
    cr_assert_null(q.last);
    cr_assert_eq(q.length, 0);
    cr_assert_eq(q.bytes, 0);
}

Test(queue, limits_are_exact)
{
    struct queue_item items[4] = {0};
    struct queue q;

    queue_init(&q, 3, 100);
    cr_assert_eq(queue_push(&q, &items[0], 60), 0);
    cr_assert_eq(queue_push(&q, &items[1], 41), QUEUE_E_BYTES); /* 101 of 100 */
    cr_assert_eq(queue_push(&q, &items[1], 40), 0);
    cr_assert_eq(queue_push(&q, &items[2], 0), 0);
    cr_assert_eq(queue_push(&q, &items[3], 0), QUEUE_E_FULL); /* 4 of 3 */
    cr_assert_not(items[3].waiting);
    queue_remove(&q, &items[1]);
    cr_assert_eq(queue_push(&q, &items[3], 40), 0);
    cr_assert_eq(q.length, 3);
    cr_assert_eq(q.bytes, 100);
}

Test(queue, empty_takes_any_size)
{
    struct queue_item items[2] = {0};
    struct queue q;

    queue_init(&q, 3, 100);
    cr_assert_eq(queue_push(&q, &items[0], UINT64_MAX), 0);
    cr_assert_eq(queue_push(&q, &items[1], 1), QUEUE_E_BYTES);
    queue_remove(&q, &items[0]);
    cr_assert_eq(q.bytes, 0);
}

/* Any interleaving of pushes and removals anywhere leaves counts and links right. */
Test(queue, random_walk)
{
    struct queue_item items[32] = {0};
    struct vn_rng rng = {42};
    struct queue q;

    queue_init(&q, 20, 1000);
    for (int step = 0; step < 20000; step++) {
        struct queue_item *item = &items[vn_rng_below(&rng, 32)];
        uint64_t bytes = 0, length = 0;

        if (item->waiting)
            queue_remove(&q, item);
        else
            queue_push(&q, item, vn_rng_below(&rng, 100));
        for (struct queue_item *i = q.first; i; i = i->next, length++) {
            bytes += i->bytes;
            cr_assert_eq(i->next ? i->next->previous : q.last, i, "step=%d", step);
        }
        cr_assert_eq(length, q.length, "step=%d", step);
        cr_assert_eq(bytes, q.bytes, "step=%d", step);
        cr_assert(q.length <= 20 && q.bytes <= 1000, "step=%d", step);
    }
}
