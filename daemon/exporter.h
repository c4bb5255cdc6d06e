/* The exporter: hands out the metrics as text (metrics_text.h), in a file that is replaced now and
 * then, and to those who ask at a socket of its own (scrape.h): none, one or both, as configured.
 *
 * The loop copies its numbers; a thread for the occasion reads what the kernel says about memory,
 * writes the text out and replaces the file, so that nothing here keeps the loop waiting.
 *
 * thread  owns
 * loop    struct exporter, except what the writer has while `running`
 * writer  snapshot, text, text_result, file_result, until it sends `woken` */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/why.h"
#include "daemon/listener.h"
#include "daemon/metrics_text.h"

#define EXPORTER_SCRAPES_MAX 16 /* at once; one more is closed */

struct scrape;

struct exporter {
    struct daemon *daemon;
    struct listener listener;
    pthread_t thread;
    uv_async_t woken;
    uv_timer_t tick;
    bool open;              /* the handles are */
    bool running;           /* a writer is */
    bool file_due;          /* the next writer replaces the file */
    bool stopping;          /* nothing is begun any more */
    uint64_t number;        /* of the last writer that was begun */
    struct scrape *scrapes; /* list */
    uint32_t n_scrapes;
    uint64_t complained_ns;
    /* writer */
    bool write_file;
    struct metrics_snapshot snapshot;
    struct vn_buffer text;
    int text_result, file_result;
};

/* 0, or LISTENER_E_FAILED or a negative errno with why set. Does nothing when nothing is configured
 * but to make ready what exporter_deinit takes back. */
int exporter_init(struct exporter *e, struct daemon *d, struct vn_why *why);

/* Somebody asks: the text will be made with numbers of this moment or later. Returns the number of
 * the writer that does, or 0: there is no memory or no thread for it. */
uint64_t exporter_ask(struct exporter *e);

/* Begins nothing any more and lets go of those who ask. */
void exporter_stop(struct exporter *e);

/* Closes the handles and removes the file; nothing may be running. */
void exporter_deinit(struct exporter *e);
