/* Readings of the process's memory by a thread of their own: the kernel walks all page tables for
 * one, which takes 2 ms when 120 MB are mapped and 35 ms for 1 GB, and the loop must not wait.
 *
 * thread  owns
 * loop    struct gauge, except `memory` while `running`
 * reader  `memory`, until it sends `woken` */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "daemon/status.h"

struct client;

/* Who waits for a reading that began after it asked. */
struct gauge_waiter {
    struct gauge_waiter *next;
    struct client *client;
    uint64_t id;
    uint64_t number; /* of that reading */
    struct status_report report;
};

struct gauge {
    pthread_t thread;
    uv_async_t woken;
    bool open;                          /* the handle is */
    bool running;                       /* a reading is */
    uint64_t number;                    /* of the last that was begun */
    struct gauge_waiter *first, **last; /* owned; first in, first out */
    struct status_memory memory;
    /* Loop thread; once for each waiter. May end the client. */
    void (*answer)(struct client *c, uint64_t id, const struct status_report *r);
    void (*idle)(void *context); /* no reading is on any more */
    void *context;
};

/* 0 or a negative errno. */
int gauge_init(struct gauge *g, uv_loop_t *loop,
               void (*answer)(struct client *c, uint64_t id, const struct status_report *r),
               void (*idle)(void *context), void *context);

/* The client is answered later: this report with the memory's numbers. 0 or a negative errno. */
int gauge_ask(struct gauge *g, struct client *c, uint64_t id, const struct status_report *report);

/* The client is gone. */
void gauge_forget(struct gauge *g, const struct client *c);

/* Closes the handle; nothing may be running, and nobody wait. */
void gauge_deinit(struct gauge *g);
