/* Memory pressure, as the service manager passes it on (systemd's MEMORY_PRESSURE protocol):
 * $MEMORY_PRESSURE_WATCH names what to watch, $MEMORY_PRESSURE_WRITE what to write there first, in
 * base64. A pressure file of the kernel is watched for priority events, a FIFO or a socket for
 * bytes. Without the variable, or with /dev/null in it, nothing is watched.
 *
 * An event lowers the default budgets by one step and starts the hold time. At its end they go down
 * by another step if there was an event meanwhile, else up by one, and the next hold time begins,
 * until they are what they were. Requests that state a budget have it. Loop thread only. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define PRESSURE_STEPS 8 /* at most; a step of a quarter leaves a tenth */

struct pressure {
    uint32_t steps; /* that budgets are down now */
    uint64_t events;
    /* private */
    uv_loop_t *loop;
    uint32_t step_percent;
    uint64_t hold_ms;
    int fd;
    bool kernel; /* a pressure file, else a stream of bytes that mean nothing */
    bool fifo;
    bool again; /* an event came during the hold time */
    bool open;  /* the handles are */
    uv_poll_t poll;
    uv_timer_t hold;
    void (*relieve)(void *context);
    void *context;
    pthread_t thread; /* in `relieve` */
    bool started;     /* the thread, which is not joined yet */
    atomic_bool relieved;
};

/* Watches what the environment names; whatever is wrong with it is a warning in the log. `relieve`
 * is called by a thread of its own, because it takes time, at each step down. */
void pressure_open(struct pressure *p, uv_loop_t *loop, uint32_t step_percent, uint64_t hold_ms,
                   void (*relieve)(void *context), void *context);
void pressure_close(struct pressure *p); /* also one that was never opened */

/* The part of the default budgets that is in force, 0 .. 1. */
double pressure_share(const struct pressure *p);

/* Decodes base64 into at most `size` bytes; how many, or -EINVAL. */
int pressure_decode(const char *base64, uint8_t *bytes, uint32_t size);
