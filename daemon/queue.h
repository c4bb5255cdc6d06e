/* The queue: requests that wait for a worker, first in, first out. Loop thread only. One counter
 * each for requests and for the bytes they hold; both are exact, because pushing, popping and
 * removing are the only ways they change. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    QUEUE_E_FULL = 1, /* as many requests wait as may */
    QUEUE_E_BYTES,    /* they would hold more memory than may be held by waiting requests */
};

/* Embedded in what waits. */
struct queue_item {
    struct queue_item *previous, *next;
    uint64_t bytes; /* heap that the item holds while it waits */
    bool waiting;   /* it is in a queue */
};

struct queue {
    struct queue_item *first, *last;
    uint32_t length, limit;
    uint64_t bytes, limit_bytes;
};

void queue_init(struct queue *q, uint32_t limit, uint64_t limit_bytes);

/* 0, QUEUE_E_FULL or QUEUE_E_BYTES. An empty queue takes an item of any size. */
int queue_push(struct queue *q, struct queue_item *item, uint64_t bytes);

/* Takes the item out, wherever it stands. It must be in this queue. */
void queue_remove(struct queue *q, struct queue_item *item);
