/* From data sets to the samples that a network trains on. */
#include <errno.h>

#include "train/data.h"

struct vn_corpus *vn_corpus_free(struct vn_corpus *c)
{
    if (!c)
        return NULL;
    for (size_t i = 0; i < VN_DATA_SETS_MAX; i++)
        vn_data_free(c->sets[i]);
    for (size_t i = 0; i < VN_INPUTS_MAX; i++)
        free(c->samples[i].samples);
    free(c);
    return NULL;
}

static int16_t label_of(const struct vn_task_data *t, const struct vn_example *e)
{
    return e->label < VN_CLASSES_MAX ? t->map[e->label] : -1;
}

static uint32_t count_samples(const struct vn_corpus *c, uint32_t task)
{
    const struct vn_task_data *t = &c->config->task_data[task];
    const struct vn_data_set *s = c->sets[t->set];
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n_examples; i++)
        n += label_of(t, &s->examples[i]) >= 0;
    return n;
}

static void append_samples(struct vn_corpus *c, uint32_t task, struct vn_samples *list)
{
    const struct vn_task_data *t = &c->config->task_data[task];
    const struct vn_data_set *s = c->sets[t->set];

    for (uint32_t i = 0; i < s->n_examples; i++) {
        int16_t label = label_of(t, &s->examples[i]);

        if (label >= 0)
            list->samples[list->n++] =
                (struct vn_sample){s->examples[i].image, (uint16_t)task, (uint16_t)label};
    }
}

static int list_input(struct vn_corpus *c, uint32_t input, struct vn_why *why)
{
    const struct vn_network *n = c->config->network;
    struct vn_samples *list = &c->samples[input];
    uint64_t total = 0;

    for (uint32_t t = 0; t < n->n_tasks; t++)
        total += n->tasks[t].input == input ? count_samples(c, t) : 0;
    if (!total)
        return vn_because(why, VN_DATA_E_INVALID,
                          "input \"%s\": no image of the split belongs to one of its tasks",
                          n->inputs[input].name);
    if (total > UINT32_MAX)
        return vn_because(why, VN_DATA_E_INVALID, "input \"%s\": more than 2^32 samples",
                          n->inputs[input].name);
    list->samples = malloc(total * sizeof *list->samples);
    if (!list->samples)
        return vn_because(why, -ENOMEM, "no memory for %llu samples", (unsigned long long)total);
    for (uint32_t t = 0; t < n->n_tasks; t++)
        if (n->tasks[t].input == input)
            append_samples(c, t, list);
    return 0;
}

struct vn_samples vn_samples_of(const struct vn_samples *all, int task)
{
    struct vn_samples some = {0, all->samples};

    if (task < 0)
        return *all;
    for (uint32_t i = 0; i < all->n; i++)
        if (all->samples[i].task == task) {
            some.samples = some.n ? some.samples : &all->samples[i];
            some.n++;
        }
    return some;
}

static bool is_used(const struct vn_train_config *c, uint32_t set)
{
    for (uint32_t t = 0; t < c->network->n_tasks; t++)
        if (c->task_data[t].set == set)
            return true;
    return false;
}

int vn_corpus_load(const struct vn_train_config *config, const char *folder, enum vn_split split,
                   uint32_t limit_images, struct vn_why *why, struct vn_corpus **ret_corpus)
{
    _cleanup_(vn_corpus_freep) struct vn_corpus *c = calloc(1, sizeof *c);
    int r = 0;

    if (!c)
        return vn_because(why, -ENOMEM, "out of memory");
    c->config = config;
    for (uint32_t i = 0; i < config->n_data && !r; i++)
        if (is_used(config, i))
            r = vn_data_load(&config->data[i], folder, split, config->validation_share,
                             limit_images, why, &c->sets[i]);
    for (uint32_t i = 0; i < config->network->n_inputs && !r; i++)
        r = list_input(c, i, why);
    if (r)
        return r;
    *ret_corpus = c;
    c = NULL;
    return 0;
}
