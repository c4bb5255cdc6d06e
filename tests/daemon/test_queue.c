/* The queue's order and its exact counts. */
#include <criterion/criterion.h>

#include "base/rng.h"
#include "daemon/queue.h"

Test(queue, first_in_first_out)
{
    struct queue_item items[3] = {0};
    struct queue q;

    queue_init(&q, 3, 1000);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(queue_push(&q, &items[i], QUEUE_BULK, 10, 0), 0);
    cr_assert_eq(q.length, 3);
    cr_assert_eq(q.bytes, 30);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(queue_first(&q), &items[i]);
        queue_remove(&q, &items[i]);
    }
    cr_assert_null(queue_first(&q));
    cr_assert_eq(q.length, 0);
    cr_assert_eq(q.bytes, 0);
}

Test(queue, control_before_bulk)
{
    static const enum queue_class classes[] = {QUEUE_BULK, QUEUE_CONTROL, QUEUE_BULK,
                                               QUEUE_CONTROL};
    static const int order[] = {1, 3, 0, 2};
    struct queue_item items[4] = {0}, *at;
    struct queue q;

    queue_init(&q, 4, 1000);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(queue_push(&q, &items[i], classes[i], 10, 0), 0);
    at = queue_first(&q);
    for (int i = 0; i < 4; i++, at = queue_next(&q, at))
        cr_assert_eq(at, &items[order[i]], "place %d", i);
    cr_assert_null(at);
}

Test(queue, in_the_order_of_turns)
{
    static const uint64_t turns[] = {1, 0, 2, 1, 0};
    static const int order[] = {1, 4, 0, 3, 2};
    struct queue_item items[5] = {0}, *at;
    struct queue q;

    queue_init(&q, 7, 1000);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(queue_push(&q, &items[i], QUEUE_BULK, 10, turns[i]), 0);
    at = queue_first(&q);
    for (int i = 0; i < 5; i++, at = queue_next(&q, at))
        cr_assert_eq(at, &items[order[i]], "place %d", i);
    queue_remove(&q, &items[2]);
    cr_assert_eq(q.lists[QUEUE_BULK].turn, 0); /* it was not served */
    queue_serve(&q, &items[3]);
    queue_serve(&q, &items[1]);
    cr_assert_eq(q.lists[QUEUE_BULK].turn, 1);
    cr_assert_eq(q.length, 2);
}

Test(queue, limits_are_exact)
{
    struct queue_item items[4] = {0};
    struct queue q;

    queue_init(&q, 3, 100);
    cr_assert_eq(queue_push(&q, &items[0], QUEUE_CONTROL, 60, 0), 0);
    cr_assert_eq(queue_push(&q, &items[1], QUEUE_CONTROL, 41, 0), QUEUE_E_BYTES); /* 101 of 100 */
    cr_assert_eq(queue_push(&q, &items[1], QUEUE_CONTROL, 40, 0), 0);
    cr_assert_eq(queue_push(&q, &items[2], QUEUE_CONTROL, 0, 0), 0);
    cr_assert_eq(queue_push(&q, &items[3], QUEUE_CONTROL, 0, 0), QUEUE_E_FULL); /* 4 of 3 */
    cr_assert_not(items[3].waiting);
    queue_remove(&q, &items[1]);
    cr_assert_eq(queue_push(&q, &items[3], QUEUE_CONTROL, 40, 0), 0);
    cr_assert_eq(q.length, 3);
    cr_assert_eq(q.bytes, 100);
}

Test(queue, bulk_leaves_an_eighth)
{
    struct queue_item items[17] = {0};
    struct queue q;

    queue_init(&q, 16, 1600);
    for (int i = 0; i < 14; i++) /* 16 - 16 / 8 */
        cr_assert_eq(queue_push(&q, &items[i], QUEUE_BULK, 0, 0), 0);
    cr_assert_eq(queue_push(&q, &items[14], QUEUE_BULK, 0, 0), QUEUE_E_FULL);
    cr_assert_eq(queue_push(&q, &items[14], QUEUE_CONTROL, 0, 0), 0);
    cr_assert_eq(queue_push(&q, &items[15], QUEUE_CONTROL, 0, 0), 0);
    cr_assert_eq(queue_push(&q, &items[16], QUEUE_CONTROL, 0, 0), QUEUE_E_FULL);
    queue_remove(&q, &items[0]);
    queue_remove(&q, &items[1]);
    cr_assert_eq(queue_push(&q, &items[0], QUEUE_BULK, 1401, 0), QUEUE_E_BYTES); /* 1600 - 200 */
    cr_assert_eq(queue_push(&q, &items[0], QUEUE_BULK, 1400, 0), 0);
    cr_assert_eq(queue_push(&q, &items[1], QUEUE_BULK, 1, 0), QUEUE_E_BYTES);
    cr_assert_eq(queue_push(&q, &items[1], QUEUE_CONTROL, 200, 0), 0);
}

Test(queue, empty_takes_any_size)
{
    struct queue_item items[2] = {0};
    struct queue q;

    queue_init(&q, 3, 100);
    cr_assert_eq(queue_push(&q, &items[0], QUEUE_BULK, UINT64_MAX, 0), 0);
    cr_assert_eq(queue_push(&q, &items[1], QUEUE_BULK, 1, 0), QUEUE_E_BYTES);
    queue_remove(&q, &items[0]);
    cr_assert_eq(q.bytes, 0);
}

Test(queue, replacing_keeps_the_place)
{
    struct queue_item items[4] = {0};
    struct queue q;

    queue_init(&q, 3, 100);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(queue_push(&q, &items[i], QUEUE_BULK, 10, 0), 0);
    cr_assert_eq(queue_replace(&q, &items[1], &items[3], QUEUE_BULK, 69, 0), QUEUE_E_BYTES);
    cr_assert_eq(queue_next(&q, &items[0]), &items[1]);
    cr_assert(items[1].waiting && !items[3].waiting);
    cr_assert_eq(queue_replace(&q, &items[1], &items[3], QUEUE_BULK, 68, 0), 0); /* 88 of 88 */
    cr_assert_eq(queue_next(&q, &items[0]), &items[3]);
    cr_assert_eq(queue_next(&q, &items[3]), &items[2]);
    cr_assert(!items[1].waiting && q.length == 3 && q.bytes == 88);
    cr_assert_eq(queue_replace(&q, &items[3], &items[1], QUEUE_CONTROL, 1, 0), 0);
    cr_assert_eq(queue_first(&q), &items[1]);
    cr_assert_eq(queue_next(&q, &items[0]), &items[2]);
}

/* Links, order and every count, against a walk through the items. */
static void check_queue(const struct queue *q, int step)
{
    uint64_t bytes = 0, length = 0, bulk = 0;
    enum queue_class last = QUEUE_CONTROL;

    for (struct queue_item *i = queue_first(q); i; i = queue_next(q, i), length++) {
        bytes += i->bytes;
        bulk += i->class == QUEUE_BULK;
        cr_assert_eq(i->next ? i->next->previous : q->lists[i->class].last, i, "step=%d", step);
        cr_assert(i->waiting && i->class >= last, "step=%d", step);
        cr_assert(!i->next || i->next->turn >= i->turn, "step=%d", step);
        last = i->class;
    }
    cr_assert_eq(length, q->length, "step=%d", step);
    cr_assert_eq(bytes, q->bytes, "step=%d", step);
    cr_assert(length <= 20 && bytes <= 1000, "step=%d", step);
    cr_assert(bulk == q->lists[QUEUE_BULK].length && bulk <= 18, "step=%d", step);
}

/* Any interleaving of pushes, replacements and removals anywhere leaves counts and links right. */
Test(queue, random_walk)
{
    struct queue_item items[32] = {0};
    struct vn_rng rng = {42};
    struct queue q;

    queue_init(&q, 20, 1000);
    for (int step = 0; step < 20000; step++) {
        struct queue_item *item = &items[vn_rng_below(&rng, 32)];
        struct queue_item *other = &items[vn_rng_below(&rng, 32)];
        enum queue_class class = vn_rng_below(&rng, 3) ? QUEUE_BULK : QUEUE_CONTROL;

        if (item->waiting && !other->waiting && vn_rng_below(&rng, 2))
            queue_replace(&q, item, other, class, vn_rng_below(&rng, 100), 0);
        else if (item->waiting)
            queue_remove(&q, item);
        else
            queue_push(&q, item, class, vn_rng_below(&rng, 100), vn_rng_below(&rng, 5));
        check_queue(&q, step);
    }
}
