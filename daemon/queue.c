#include "daemon/queue.h"

#include <assert.h>
#include <stddef.h>

void queue_init(struct queue *q, uint32_t limit, uint64_t limit_bytes)
{
    *q = (struct queue){.limit = limit, .limit_bytes = limit_bytes};
}

int queue_push(struct queue *q, struct queue_item *item, uint64_t bytes)
{
    assert(!item->waiting);
    if (q->length >= q->limit)
        return QUEUE_E_FULL;
    if (q->length && (bytes > q->limit_bytes || q->bytes > q->limit_bytes - bytes))
        return QUEUE_E_BYTES;
    *item = (struct queue_item){.previous = q->last, .bytes = bytes, .waiting = true};
    if (q->last)
        q->last->next = item;
    else
        q->first = item;
    q->last = item;
    q->length++;
    q->bytes += bytes;
    return 0;
}

void queue_remove(struct queue *q, struct queue_item *item)
{
    assert(item->waiting && q->length);
    if (item->previous)
        item->previous->next = item->next;
    else
        q->first = item->next;
    if (item->next)
        item->next->previous = item->previous;
    else
        q->last = item->previous;
    q->length--;
    q->bytes -= item->bytes;
    item->previous = item->next = NULL;
    item->waiting = false;
}
