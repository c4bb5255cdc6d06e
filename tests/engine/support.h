/* Networks, numbers and stores for the engine's tests. Everything here ends the test on failure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "engine/network.h"
#include "engine/store.h"

/* A network in a few words; zeros take the defaults in brackets. */
struct net_spec {
    uint32_t groups;                   /* (4) */
    uint32_t stem_width;               /* (8) */
    const char *stages;                /* JSON (two stages of 2 blocks, widths 8 and 16) */
    const char *agent;                 /* JSON ({"kind": "uniform"}) */
    uint32_t inputs;                   /* (1) number i is rgb, gray, bgr in turns */
    uint32_t side;                     /* (12) width; the height is one less */
    uint32_t stem_kernel, stem_stride; /* (3, 1) */
    uint32_t tasks;                    /* (2) on the inputs in turns, 3 + t labels */
    bool random_orders;                /* from `seed`; else cyclic */
    uint64_t seed;
};

/* The description as JSON text; free it. */
char *spec_text(const struct net_spec *spec);
struct vn_network *spec_network(const struct net_spec *spec);

/* A source of reproducible numbers for vn_store_write: weights scaled by their fan-in, scales
 * around 1, small biases, so that activations keep their size through any number of blocks. */
struct numbers {
    uint64_t seed;
    float *buffer;
    uint64_t allocated;
};
const float *numbers_source(void *numbers, const struct vn_layout *l, uint32_t tensor);
void numbers_deinit(struct numbers *n);
/* Fills one tensor. */
void numbers_fill(uint64_t seed, const struct vn_layout *l, uint32_t tensor, float *ret);

/* Writes a store of such numbers. */
void write_numbers(const char *file, const struct vn_network *n, uint64_t seed);
struct vn_store *open_store(const char *file);

/* A path for this process in the build directory (the environment's VN_TEST_FOLDER, else ".");
 * the text lives until the next call. */
const char *scratch_file(const char *name);

/* n floats of a standard normal, times scale. */
void fill_normal(struct vn_rng *r, float *x, size_t n, float scale);

/* The kernel's books: the number behind `name` in a file of /proc/self, in bytes; and the Rss of
 * all maps that begin inside [start, start + bytes). One thread. The buffer that they read into is
 * resident from books_init on. */
void books_init(void);
uint64_t books_field(const char *file, const char *name);
uint64_t books_rss(const void *start, uint64_t bytes);

__attribute__((noreturn, format(printf, 1, 2))) void give_up(const char *format, ...);
