#include "train/batch.h"

#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static size_t image_floats(const struct vn_input *in)
{
    return (size_t)in->width * in->height * vn_color_channels(in->color);
}

int vn_batch_init(struct vn_batch *b, const struct vn_network *n, uint32_t max_rows,
                  uint32_t threads)
{
    size_t largest = 0, width = vn_network_width(n);

    *b = (struct vn_batch){.max_rows = max_rows, .threads = threads};
    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (image_floats(&n->inputs[i]) > largest)
            largest = image_floats(&n->inputs[i]);
    for (uint32_t t = 0; t < n->n_tasks; t++)
        if (n->tasks[t].n_labels > b->labels_stride)
            b->labels_stride = n->tasks[t].n_labels;
    b->sample = calloc(max_rows, sizeof *b->sample);
    b->images = vn_floats_new(max_rows * largest);
    b->work = vn_floats_new(threads * largest);
    b->task = calloc(max_rows, sizeof *b->task);
    b->label = calloc(max_rows, sizeof *b->label);
    b->row = calloc(max_rows, sizeof *b->row);
    b->level = calloc(max_rows, sizeof *b->level);
    b->pooled = vn_floats_new(max_rows * width);
    b->dpooled = vn_floats_new(max_rows * width);
    b->logits = vn_floats_new((size_t)max_rows * b->labels_stride);
    b->dlogits = vn_floats_new((size_t)max_rows * b->labels_stride);
    b->probabilities = vn_floats_new((size_t)max_rows * b->labels_stride);
    if (b->sample && b->images && b->work && b->task && b->label && b->row && b->level &&
        b->pooled && b->dpooled && b->logits && b->dlogits && b->probabilities)
        return 0;
    vn_batch_deinit(b);
    return -ENOMEM;
}

void vn_batch_deinit(struct vn_batch *b)
{
    free(b->sample);
    free(b->images);
    free(b->work);
    free(b->task);
    free(b->label);
    free(b->row);
    free(b->level);
    free(b->pooled);
    free(b->dpooled);
    free(b->logits);
    free(b->dlogits);
    free(b->probabilities);
    *b = (struct vn_batch){0};
}

static void augment(const struct vn_augmentation *a, const struct vn_input *in, uint32_t place,
                    float *image, float *work)
{
    struct vn_rng rng = vn_rng_stream(a->seed, a->epoch, a->position + place);
    int dx = (int)vn_rng_below(&rng, 2 * a->pad + 1) - (int)a->pad;
    int dy = (int)vn_rng_below(&rng, 2 * a->pad + 1) - (int)a->pad;
    bool flip = vn_rng_below(&rng, 2) && a->flip;

    if (dx || dy || flip)
        vn_augment(image, in->height, in->width, vn_color_channels(in->color), dx, dy, flip, work);
}

void vn_batch_fill(struct vn_batch *b, const struct vn_corpus *c, uint32_t input,
                   const struct vn_sample *const *samples, uint32_t n,
                   const struct vn_augmentation *a)
{
    const struct vn_network *net = c->config->network;
    const struct vn_input *in = &net->inputs[input];

    b->n = b->rows = n;
    b->image_floats = image_floats(in);
#pragma omp parallel for num_threads((int)b->threads) schedule(static)
    for (uint32_t s = 0; s < n; s++) {
        float *image = b->images + s * b->image_floats;

        vn_image_preprocess(in, vn_corpus_image(c, samples[s]), image);
        augment(a, in, s, image, b->work + (size_t)omp_get_thread_num() * b->image_floats);
        b->task[s] = samples[s]->task;
        b->label[s] = samples[s]->label;
        b->row[s] = (struct vn_row){net->tasks[b->task[s]].order, b->level[s]};
    }
}

void vn_batch_repeat(struct vn_batch *b, const struct vn_network *n, uint32_t paths)
{
    for (uint32_t r = b->n; r < b->n * paths; r++) {
        uint32_t s = r % b->n;

        memcpy(b->images + r * b->image_floats, b->images + s * b->image_floats,
               b->image_floats * sizeof(float));
        b->task[r] = b->task[s];
        b->label[r] = b->label[s];
        b->row[r] = (struct vn_row){n->tasks[b->task[r]].order, b->level[r]};
    }
    b->rows = b->n * paths;
}

void vn_row_uniform(struct vn_batch *b, uint32_t r, uint32_t blocks, uint32_t level)
{
    memset(b->level[r], (int)level, blocks);
}

void vn_row_random(struct vn_batch *b, uint32_t r, uint32_t blocks, uint32_t groups,
                   struct vn_rng *rng)
{
    for (uint32_t i = 0; i < blocks; i++)
        b->level[r][i] = (uint8_t)vn_rng_below(rng, groups + 1);
}
