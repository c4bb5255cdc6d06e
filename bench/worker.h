/* The C side of bench/run's protocol (bench/vnbench/worker.py describes it): lines on standard
 * input, answers "ok ..." or "error ..." in one line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORKER_WORDS_MAX = 8 };

/* A prepared image (h, w, c), as every runtime gets it. */
struct worker_image {
    uint32_t h, w, c;
    float *pixels;
};

/* What a worker wraps. Functions return NULL, or what was wrong, in words. */
struct worker {
    void *runtime;
    /* words: between "load" and the image's file; the image's pixels live until the next load */
    const char *(*load)(void *runtime, char *const *words, unsigned n,
                        const struct worker_image *image);
    const char *(*run)(void *runtime); /* what is timed */
    const float *(*logits)(void *runtime, uint32_t *ret_n);
    /* a command of this worker's own; answers it and returns true, or returns false; may be NULL */
    bool (*other)(void *runtime, char *const *words, unsigned n);
};

/* Answers until "quit" or the end of the input. The process dies with its parent. */
void worker_serve(const struct worker *w);
