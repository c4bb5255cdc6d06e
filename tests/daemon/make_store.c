/* Writes a store with random weights, for tests that need one and do not care what it answers:
 *
 *     make_store FILE KIND [NAME [AGENT]]
 *
 * KIND  tiny   task "t" (2 labels) on 4x4 gray; 1 block of 2 groups; a few KiB, for fuzzing
 *       small  tasks "garment" (10 labels) and "warm" (2) on 28x28 gray, and "digit" (3) on 32x32
 *              RGB; "garment" has an accuracy table of invented numbers; 4 blocks of 4 groups; some
 *              hundred KiB; runs in a millisecond
 *       large  task "big" (100 labels) on 64x64 RGB; 6 blocks of 8 groups, 113 MiB in slices of
 *              2.25 MiB; the full path runs in a tenth of a second or more
 * NAME  of the network; default KIND.
 * AGENT uniform, task, conv or shared; default uniform for large, else shared.
 * The same arguments give the same bytes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "engine/store.h"

static const char *const tiny =
    "{\"name\": \"%s\", \"stem_width\": 2, \"groups\": 2,"
    " \"inputs\": [{\"name\": \"i\", \"width\": 4, \"height\": 4, \"color\": \"gray\","
    "   \"crop\": \"none\", \"resize\": \"bilinear\", \"mean\": [0.5], \"std\": [0.5],"
    "   \"stem_kernel\": 3, \"stem_stride\": 1}],"
    " \"stages\": [{\"blocks\": 1, \"width\": 2, \"stride\": 1, \"group_width\": 1}],"
    " \"tasks\": [{\"name\": \"t\", \"input\": \"i\", \"labels\": [\"a\", \"b\"]}],"
    " \"agent\": {\"kind\": \"%s\"}}";

static const char *const small =
    "{\"name\": \"%s\", \"stem_width\": 16, \"groups\": 4,"
    " \"inputs\": ["
    "  {\"name\": \"gray28\", \"width\": 28, \"height\": 28, \"color\": \"gray\","
    "   \"crop\": \"none\", \"resize\": \"bilinear\", \"mean\": [0.3], \"std\": [0.35],"
    "   \"stem_kernel\": 3, \"stem_stride\": 1},"
    "  {\"name\": \"rgb32\", \"width\": 32, \"height\": 32, \"color\": \"rgb\","
    "   \"crop\": \"center\", \"resize\": \"bilinear\", \"mean\": [0.5, 0.5, 0.5],"
    "   \"std\": [0.25, 0.25, 0.25], \"stem_kernel\": 5, \"stem_stride\": 2}],"
    " \"stages\": ["
    "  {\"blocks\": 2, \"width\": 16, \"stride\": 1, \"group_width\": 8},"
    "  {\"blocks\": 2, \"width\": 32, \"stride\": 2, \"group_width\": 16}],"
    " \"tasks\": ["
    "  {\"name\": \"garment\", \"input\": \"gray28\", \"labels\": [\"t-shirt\", \"trouser\","
    "   \"pullover\", \"dress\", \"coat\", \"sandal\", \"shirt\", \"sneaker\", \"bag\","
    "   \"boot\"], \"measured\": ["
    "   {\"by\": \"uniform\", \"setting\": 0, \"accuracy\": 0.25, \"params\": 900, \"bytes\": "
    "65536},"
    "   {\"by\": \"uniform\", \"setting\": 1, \"accuracy\": 0.5, \"params\": 9e3, \"bytes\": "
    "131072},"
    "   {\"by\": \"uniform\", \"setting\": 4, \"accuracy\": 0.75, \"params\": 4e4, \"bytes\": 3e5},"
    "   {\"by\": \"shared\", \"setting\": 0.8, \"accuracy\": 0.7, \"params\": 1e4, \"bytes\": 2e5},"
    "   {\"by\": \"shared\", \"setting\": 1, \"accuracy\": 0.8, \"params\": 2e4, \"bytes\": "
    "2.5e5}]},"
    "  {\"name\": \"warm\", \"input\": \"gray28\", \"labels\": [\"no\", \"yes\"]},"
    "  {\"name\": \"digit\", \"input\": \"rgb32\", \"labels\": [\"null\", \"eins\","
    "   \"fünf\"]}],"
    " \"agent\": {\"kind\": \"%s\"}}";

static const char *const large =
    "{\"name\": \"%s\", \"stem_width\": 512, \"groups\": 8,"
    " \"inputs\": ["
    "  {\"name\": \"rgb64\", \"width\": 64, \"height\": 64, \"color\": \"rgb\","
    "   \"crop\": \"none\", \"resize\": \"bilinear\", \"mean\": [0.5, 0.5, 0.5],"
    "   \"std\": [0.25, 0.25, 0.25], \"stem_kernel\": 7, \"stem_stride\": 8}],"
    " \"stages\": [{\"blocks\": 6, \"width\": 512, \"stride\": 1, \"group_width\": 64}],"
    " \"tasks\": [{\"name\": \"big\", \"input\": \"rgb64\", \"labels\": [%s]}],"
    " \"agent\": {\"kind\": \"%s\"}}";

struct numbers {
    float *values; /* room for the largest tensor */
};

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && !strcmp(name + n - m, end);
}

/* Weights of a size that keeps activations in range; scale and bias of branches small. */
static const float *random_tensor(void *context, const struct vn_layout *l, uint32_t tensor)
{
    const struct vn_tensor *t = &l->tensors[tensor];
    struct vn_rng rng = vn_rng_stream(20221, tensor, 0);
    float *values = ((struct numbers *)context)->values;
    uint64_t n = t->bytes / sizeof(float), fan = n / t->shape[t->n_dims - 1];
    bool vectors =
        ends_with(t->name, "bn") || ends_with(t->name, "bn1") || ends_with(t->name, "bn2");
    double size = vectors ? 0.3 : sqrt(6.0 / (double)(fan ? fan : 1));

    for (uint64_t i = 0; i < n; i++)
        values[i] = (float)((2 * vn_rng_unit(&rng) - 1) * size) + (vectors ? 0.3f : 0);
    return values;
}

static char *describe(const char *kind, const char *name, const char *agent)
{
    char labels[4096] = "", *text = NULL;
    size_t used = 0;
    int n;

    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(labels + used, sizeof labels - used,
                                 "%s\"thing number %d of one hundred\"", i ? ", " : "", i);
    if (!strcmp(kind, "tiny"))
        n = asprintf(&text, tiny, name, agent ? agent : "shared");
    else if (!strcmp(kind, "small"))
        n = asprintf(&text, small, name, agent ? agent : "shared");
    else if (!strcmp(kind, "large"))
        n = asprintf(&text, large, name, labels, agent ? agent : "uniform");
    else
        return NULL;
    return n < 0 ? NULL : text;
}

static int write_store(const char *file, const char *text, struct vn_why *why)
{
    _cleanup_(vn_network_freep) struct vn_network *n = NULL;
    _cleanup_(vn_layout_freep) struct vn_layout *l = NULL;
    struct numbers numbers;
    uint64_t largest = 0;
    int r = vn_network_parse(text, strlen(text), why, &n);

    if (r || (r = vn_layout_new(n, why, &l)))
        return r;
    for (uint32_t i = 0; i < l->n_tensors; i++)
        if (l->tensors[i].bytes > largest)
            largest = l->tensors[i].bytes;
    numbers.values = malloc(largest);
    if (!numbers.values)
        return vn_because(why, -1, "out of memory");
    r = vn_store_write(file, n, random_tensor, &numbers, why);
    free(numbers.values);
    return r;
}

int main(int argc, char **argv)
{
    struct vn_why why = {""};
    char *text;
    int r;

    if (argc < 3 || argc > 5) {
        fputs("usage: make_store FILE tiny|small|large [NAME [AGENT]]\n", stderr);
        return 2;
    }
    text = describe(argv[2], argc > 3 ? argv[3] : argv[2], argc > 4 ? argv[4] : NULL);
    if (!text) {
        fprintf(stderr, "make_store: \"%s\" is not tiny, small or large\n", argv[2]);
        return 2;
    }
    r = write_store(argv[1], text, &why);
    free(text);
    if (r)
        fprintf(stderr, "make_store: %s\n", why.text);
    return r ? 1 : 0;
}
