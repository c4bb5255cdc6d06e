#include "daemon/queue.h"

#include <assert.h>
#include <stddef.h>

#define CONTROL_PART 8 /* one of so many is kept for the control class */

void queue_init(struct queue *q, uint32_t limit, uint64_t limit_bytes)
{
    *q = (struct queue){.limit = limit, .limit_bytes = limit_bytes};
}

uint64_t queue_share(uint64_t limit, enum queue_class class)
{
    return class == QUEUE_CONTROL ? limit : limit - limit / CONTROL_PART;
}

/* Whether `used` and these bytes more stay within the limit. */
static bool fits(uint64_t used, uint64_t bytes, uint64_t limit)
{
    return bytes <= limit && used <= limit - bytes;
}

/* Puts the item before `next` of its class, at the end when that is NULL. */
static void link_before(struct queue *q, struct queue_item *item, struct queue_item *next)
{
    struct queue_list *l = &q->lists[item->class];

    item->next = next;
    item->previous = next ? next->previous : l->last;
    *(item->previous ? &item->previous->next : &l->first) = item;
    *(next ? &next->previous : &l->last) = item;
    l->length++;
    l->bytes += item->bytes;
    q->length++;
    q->bytes += item->bytes;
}

static int may_enter(const struct queue *q, enum queue_class class, uint64_t bytes)
{
    const struct queue_list *l = &q->lists[class];

    if (q->length >= q->limit || l->length >= queue_share(q->limit, class))
        return QUEUE_E_FULL;
    if (q->length && (!fits(q->bytes, bytes, q->limit_bytes) ||
                      !fits(l->bytes, bytes, queue_share(q->limit_bytes, class))))
        return QUEUE_E_BYTES;
    return 0;
}

/* Behind all with the same turn or an earlier one. Few come before others that wait: it looks from
 * the end. */
static void link_at_turn(struct queue *q, struct queue_item *item)
{
    struct queue_item *next = NULL, *before = q->lists[item->class].last;

    for (; before && before->turn > item->turn; before = before->previous)
        next = before;
    link_before(q, item, next);
}

int queue_push(struct queue *q, struct queue_item *item, enum queue_class class, uint64_t bytes,
               uint64_t turn)
{
    int r = may_enter(q, class, bytes);

    assert(!item->waiting);
    if (r)
        return r;
    *item = (struct queue_item){.bytes = bytes, .turn = turn, .class = class, .waiting = true};
    link_at_turn(q, item);
    return 0;
}

int queue_replace(struct queue *q, struct queue_item *old, struct queue_item *item,
                  enum queue_class class, uint64_t bytes, uint64_t turn)
{
    struct queue_item *next = old->next;
    int r;

    queue_remove(q, old);
    r = may_enter(q, class, bytes);
    if (r) {
        old->waiting = true;
        link_before(q, old, next);
        return r;
    }
    *item = (struct queue_item){.bytes = bytes, .turn = turn, .class = class, .waiting = true};
    if (class == old->class) {
        item->turn = old->turn;
        link_before(q, item, next);
    } else {
        link_at_turn(q, item);
    }
    return 0;
}

void queue_serve(struct queue *q, struct queue_item *item)
{
    struct queue_list *l = &q->lists[item->class];

    if (item->turn > l->turn)
        l->turn = item->turn;
    queue_remove(q, item);
}

void queue_remove(struct queue *q, struct queue_item *item)
{
    struct queue_list *l = &q->lists[item->class];

    assert(item->waiting && q->length && l->length);
    *(item->previous ? &item->previous->next : &l->first) = item->next;
    *(item->next ? &item->next->previous : &l->last) = item->previous;
    l->length--;
    l->bytes -= item->bytes;
    q->length--;
    q->bytes -= item->bytes;
    item->previous = item->next = NULL;
    item->waiting = false;
}

struct queue_item *queue_first(const struct queue *q)
{
    struct queue_item *control = q->lists[QUEUE_CONTROL].first;

    return control ? control : q->lists[QUEUE_BULK].first;
}

struct queue_item *queue_next(const struct queue *q, const struct queue_item *item)
{
    if (item->next || item->class == QUEUE_BULK)
        return item->next;
    return q->lists[QUEUE_BULK].first;
}
