/* The queue: requests that wait for a worker; the control class before the bulk class, each in the
 * order of their turns, and of those with the same turn the first that came. Turns count up: an
 * asker who has more waiting than others is given later ones. Loop thread only. One counter each
 * for requests and for the bytes they hold; both are exact, because pushing, replacing and removing
 * are the only ways they change.
 *
 * An eighth of both limits is kept for the control class: bulk requests cannot fill the queue so
 * that what a robot acts upon is refused. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    QUEUE_E_FULL = 1, /* as many requests wait as may */
    QUEUE_E_BYTES,    /* they would hold more memory than may be held by waiting requests */
};

enum queue_class { QUEUE_CONTROL, QUEUE_BULK, N_QUEUE_CLASSES };

/* Embedded in what waits. */
struct queue_item {
    struct queue_item *previous, *next; /* of its class */
    uint64_t bytes;                     /* heap that the item holds while it waits */
    uint64_t turn;
    enum queue_class class;
    bool waiting; /* it is in a queue */
};

/* Those of one class. */
struct queue_list {
    struct queue_item *first, *last;
    uint32_t length;
    uint64_t bytes;
    uint64_t turn; /* the latest that was served */
};

struct queue {
    struct queue_list lists[N_QUEUE_CLASSES];
    uint32_t length, limit;
    uint64_t bytes, limit_bytes;
};

void queue_init(struct queue *q, uint32_t limit, uint64_t limit_bytes);

/* What the class may take of a limit when it is alone. */
uint64_t queue_share(uint64_t limit, enum queue_class class);

/* 0, QUEUE_E_FULL or QUEUE_E_BYTES. An empty queue takes an item of any size. */
int queue_push(struct queue *q, struct queue_item *item, enum queue_class class, uint64_t bytes,
               uint64_t turn);

/* Takes `old` out and puts the item in its place, or at its turn when it is of another class. As
 * queue_push; on failure nothing changes. */
int queue_replace(struct queue *q, struct queue_item *old, struct queue_item *item,
                  enum queue_class class, uint64_t bytes, uint64_t turn);

/* Takes the item out because it is served. */
void queue_serve(struct queue *q, struct queue_item *item);

/* Takes the item out, wherever it stands. It must be in this queue. */
void queue_remove(struct queue *q, struct queue_item *item);

/* In the order in which they are served; NULL at the end. */
struct queue_item *queue_first(const struct queue *q);
struct queue_item *queue_next(const struct queue *q, const struct queue_item *item);
