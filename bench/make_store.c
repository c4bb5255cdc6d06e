/* Writes a store with random numbers, for benchmarks: time and memory do not depend on their values
 * as long as these stay ordinary numbers.
 *
 *     make_store NETWORK.json STORE SEED
 *
 * The same arguments give the same bytes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "engine/store.h"

struct numbers {
    uint64_t seed;
    float *values; /* room for the largest tensor */
};

static void fill(struct vn_rng *r, float *x, uint64_t n, double middle, double reach)
{
    for (uint64_t i = 0; i < n; i++)
        x[i] = (float)(middle + (2 * vn_rng_unit(r) - 1) * reach);
}

/* Weights with a variance of 2 / fan-in (He), uniform. Scales of the second convolution of a branch
 * are small, so that the trunk keeps its size through any number of blocks. */
static const float *random_tensor(void *context, const struct vn_layout *l, uint32_t tensor)
{
    struct numbers *numbers = context;
    const struct vn_tensor *t = &l->tensors[tensor];
    struct vn_rng r = vn_rng_stream(numbers->seed, tensor, 0);
    uint64_t n = t->bytes / sizeof(float), channels = t->shape[t->n_dims - 1];

    if (!strstr(t->name, ".bn")) {
        fill(&r, numbers->values, n, 0, sqrt(6.0 * (double)channels / (double)n));
        return numbers->values;
    }
    for (uint64_t i = 0; i < n; i += 2 * channels) { /* rows of (2, C): scale, then bias */
        fill(&r, numbers->values + i, channels, strstr(t->name, ".bn2") ? 0.3 : 1, 0.1);
        fill(&r, numbers->values + i + channels, channels, 0, 0.1);
    }
    return numbers->values;
}

static int make(const char *network_file, const char *file, uint64_t seed, struct vn_why *why)
{
    _cleanup_(vn_freep) char *text = NULL;
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(vn_network_freep) struct vn_network *n = NULL;
    _cleanup_(vn_layout_freep) struct vn_layout *l = NULL;
    _cleanup_(vn_freep) float *values = NULL;
    struct numbers numbers = {.seed = seed};
    struct vn_json_at at;
    uint64_t largest = 0;
    int r = vn_json_load(network_file, 1 << 24, why, &text, &json);

    if (r)
        return r;
    at = vn_json_root(json, text, why);
    if ((r = vn_network_read(&at, &n)) || (r = vn_layout_new(n, why, &l)))
        return r;
    for (uint32_t i = 0; i < l->n_tensors; i++)
        if (l->tensors[i].bytes > largest)
            largest = l->tensors[i].bytes;
    values = malloc(largest);
    if (!values)
        return vn_because(why, -1, "out of memory");
    numbers.values = values;
    return vn_store_write(file, n, random_tensor, &numbers, why);
}

int main(int argc, char **argv)
{
    struct vn_why why = {""};
    int r;

    if (argc != 4) {
        fputs("usage: make_store NETWORK.json STORE SEED\n", stderr);
        return 2;
    }
    r = make(argv[1], argv[2], strtoull(argv[3], NULL, 10), &why);
    if (r)
        fprintf(stderr, "make_store: %s\n", why.text);
    return r ? 1 : 0;
}
