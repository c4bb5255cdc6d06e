#include "train/data.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "train/data_read.h"

const char *vn_data_folder(const char *option)
{
    const char *variable = getenv("VIRTUALNET_DATA");

    if (option)
        return option;
    return variable && *variable ? variable : VN_DATA_FOLDER;
}

struct vn_data_set *vn_data_free(struct vn_data_set *s)
{
    if (!s)
        return NULL;
    free(s->images);
    free(s->storage);
    free(s->examples);
    free(s);
    return NULL;
}

/* --- picking the records of a split ----------------------------------------------------------- */

/* Keeps the records that are marked, in order. */
static void keep_marked(struct vn_listing *l, const bool *marked)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->n; i++) {
        if (!marked[i]) {
            if (l->paths)
                free(l->paths[i]);
            continue;
        }
        if (l->paths)
            l->paths[n] = l->paths[i];
        l->examples[n++] = l->examples[i];
    }
    l->n = n;
}

static void count_classes(const struct vn_listing *l, uint32_t counts[VN_CLASSES_MAX])
{
    memset(counts, 0, VN_CLASSES_MAX * sizeof *counts);
    for (uint32_t i = 0; i < l->n; i++)
        counts[l->examples[i].label]++;
}

/* Marks the last floor(share * count) records of each class, or all the others. A share of 0.29 of
 * 100 is 29, though the product of the doubles is a little less: hence the small addition. */
static void mark_validation(const struct vn_listing *l, double share, bool want_validation,
                            bool *marked)
{
    uint32_t counts[VN_CLASSES_MAX], seen[VN_CLASSES_MAX] = {0};

    count_classes(l, counts);
    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t c = l->examples[i].label;
        uint32_t last = (uint32_t)floor(share * counts[c] + 1e-9);

        marked[i] = (seen[c]++ >= counts[c] - last) == want_validation;
    }
}

/* Marks `limit` records: the first of every class, then the second of every class ... */
static int mark_first(const struct vn_listing *l, uint32_t limit, bool *marked)
{
    _cleanup_(vn_freep) uint32_t *rank = calloc(l->n, sizeof *rank);
    _cleanup_(vn_freep) uint32_t *with_rank = calloc((size_t)l->n + 1, sizeof *with_rank);
    uint32_t seen[VN_CLASSES_MAX] = {0}, full = 0, left = limit;

    if (!rank || !with_rank)
        return -ENOMEM;
    for (uint32_t i = 0; i < l->n; i++) {
        rank[i] = seen[l->examples[i].label]++;
        with_rank[rank[i]]++;
    }
    while (left && with_rank[full] && with_rank[full] <= left)
        left -= with_rank[full++];
    for (uint32_t i = 0; i < l->n; i++) {
        marked[i] = rank[i] < full || (rank[i] == full && left);
        left -= rank[i] == full && marked[i];
    }
    return 0;
}

static int pick(struct vn_listing *l, enum vn_split split, double share, uint32_t limit_images,
                const char *name, struct vn_why *why)
{
    _cleanup_(vn_freep) bool *marked = malloc(l->n ? l->n : 1);

    if (!marked)
        return vn_because(why, -ENOMEM, "out of memory");
    if (split != VN_SPLIT_TEST) {
        mark_validation(l, share, split == VN_SPLIT_VALIDATION, marked);
        keep_marked(l, marked);
    }
    if (!l->n)
        return vn_because(why, VN_DATA_E_INVALID,
                          "%s: the %s split is empty; validation_share is %g of each class", name,
                          split == VN_SPLIT_VALIDATION ? "validation" : "training", share);
    if (limit_images && limit_images < l->n) {
        if (mark_first(l, limit_images, marked))
            return vn_because(why, -ENOMEM, "out of memory");
        keep_marked(l, marked);
    }
    return 0;
}

/* --- loading ---------------------------------------------------------------------------------- */

static const struct vn_format *const formats[] = {
    [VN_DATA_IDX] = &vn_format_idx,         [VN_DATA_CIFAR10] = &vn_format_cifar,
    [VN_DATA_CIFAR100] = &vn_format_cifar,  [VN_DATA_STL10] = &vn_format_stl10,
    [VN_DATA_FOLDERS] = &vn_format_folders,
};

int vn_data_load(const struct vn_data_description *d, const char *folder, enum vn_split split,
                 double validation_share, uint32_t limit_images, struct vn_why *why,
                 struct vn_data_set **ret_set)
{
    _cleanup_(vn_data_freep) struct vn_data_set *s = calloc(1, sizeof *s);
    _cleanup_(vn_listing_deinit) struct vn_listing l = {0};
    struct vn_reading r = {d, split == VN_SPLIT_TEST ? &d->test : &d->train, folder, why};
    int e;

    if (!s)
        return vn_because(why, -ENOMEM, "out of memory");
    if (!r.files->n)
        return vn_because(why, VN_DATA_E_INVALID,
                          "the data set \"%s\" has no test files in the configuration", d->name);
    e = formats[d->format]->list(&r, &l);
    if (!e)
        e = pick(&l, split, validation_share, limit_images, d->name, why);
    if (!e)
        e = formats[d->format]->load(&r, &l, s);
    if (e)
        return e;
    s->n_classes = l.n_classes;
    s->n_coarse = l.n_coarse;
    s->n_examples = l.n;
    s->examples = l.examples;
    l.examples = NULL;
    for (uint32_t i = 0; i < s->n_examples; i++)
        s->examples[i].image = i;
    *ret_set = s;
    s = NULL;
    return 0;
}
