/* A trunk's memory. */
#include <errno.h>
#include <stdlib.h>

#include "engine/kernels.h"
#include "train/trunk_parts.h"

static int norm_new(struct vn_norm *n, uint32_t c)
{
    n->mean = vn_floats_new(4 * (size_t)c);
    if (!n->mean)
        return -ENOMEM;
    n->inv = n->mean + c;
    n->scale = n->inv + c;
    n->bias = n->scale + c;
    return 0;
}

static int branch_new(struct branch *r, const struct block *b, uint32_t rows)
{
    uint32_t ci = b->dims.ci, h = b->dims.h, co = b->dims.co;

    r->place = malloc(rows * sizeof *r->place);
    r->c1 = vn_floats_new(rows * b->pixels * h);
    r->c2 = vn_floats_new(rows * b->pixels * co);
    r->d1 = vn_floats_new(rows * b->pixels * h);
    r->back1 = vn_floats_new(3 * (size_t)h);
    r->back2 = vn_floats_new(3 * (size_t)co);
    r->wt1 = vn_floats_new(9 * (size_t)ci * h);
    r->wt2 = vn_floats_new(9 * (size_t)h * co);
    if (!r->place || !r->c1 || !r->c2 || !r->d1 || !r->back1 || !r->back2 || !r->wt1 || !r->wt2)
        return -ENOMEM;
    return norm_new(&r->norm1, h) ? -ENOMEM : norm_new(&r->norm2, co);
}

static void branch_free(struct branch *r)
{
    free(r->place);
    free(r->c1);
    free(r->c2);
    free(r->d1);
    free(r->back1);
    free(r->back2);
    free(r->wt1);
    free(r->wt2);
    free(r->norm1.mean);
    free(r->norm2.mean);
}

struct vn_trunk *vn_trunk_free(struct vn_trunk *t)
{
    if (!t)
        return NULL;
    for (uint32_t b = 0; b < t->m; b++) {
        for (uint32_t g = 0; g < t->g; g++)
            branch_free(&t->block[b].branch[g]);
        free(t->block[b].y);
        vn_conv_plan_deinit(&t->block[b].conv1);
        vn_conv_plan_deinit(&t->block[b].conv2);
    }
    free(t->stem.c);
    free(t->stem.y);
    free(t->stem.norm.mean);
    free(t->stem.back);
    vn_conv_plan_deinit(&t->stem.conv);
    free(t->dy[0]);
    free(t->dy[1]);
    for (uint32_t i = 0; t->lane && i < t->threads; i++) {
        free(t->lane[i].pad1);
        free(t->lane[i].pad2);
        free(t->lane[i].row);
        free(t->lane[i].dw);
        free(t->lane[i].sums);
    }
    free(t->lane);
    free(t);
    return NULL;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

struct sizes {
    size_t padded, activation, weights;
    uint32_t width;
};

static void sizes_add(struct sizes *s, const struct vn_conv_plan *c)
{
    s->padded = larger(s->padded, larger(c->padded_x, c->padded_y));
    s->activation = larger(s->activation, larger((size_t)c->shape.h * c->shape.w * c->shape.ci,
                                                 (size_t)c->ho * c->wo * c->shape.co));
    s->width = (uint32_t)larger(s->width, c->shape.co);
}

static int stem_new(struct vn_trunk *t, struct sizes *s)
{
    const struct vn_input *in = &t->network.inputs[t->input];
    struct vn_conv shape = {
        in->height,      in->width,      vn_color_channels(in->color), t->network.stem_width,
        in->stem_kernel, in->stem_stride};
    int r = vn_conv_plan_init(&t->stem.conv, &shape);

    if (r)
        return r;
    sizes_add(s, &t->stem.conv);
    s->weights = (size_t)shape.k * shape.k * shape.ci * shape.co;
    t->image_floats = (size_t)shape.h * shape.w * shape.ci;
    t->stem.pixels = (size_t)t->stem.conv.ho * t->stem.conv.wo;
    t->stem.c = vn_floats_new(t->max_rows * t->stem.pixels * shape.co);
    t->stem.y = vn_floats_new(t->max_rows * t->stem.pixels * shape.co);
    t->stem.back = vn_floats_new(3 * (size_t)shape.co);
    return !t->stem.c || !t->stem.y || !t->stem.back ? -ENOMEM : norm_new(&t->stem.norm, shape.co);
}

static int block_new(struct vn_trunk *t, uint32_t i, uint32_t h, uint32_t w, struct sizes *s)
{
    struct block *b = &t->block[i];
    int r;

    b->dims = vn_network_block(&t->network, i);
    r = vn_conv_plan_init(&b->conv1,
                          &(struct vn_conv){h, w, b->dims.ci, b->dims.h, 3, b->dims.stride});
    if (r)
        return r;
    r = vn_conv_plan_init(&b->conv2,
                          &(struct vn_conv){b->conv1.ho, b->conv1.wo, b->dims.h, b->dims.co, 3, 1});
    if (r)
        return r;
    sizes_add(s, &b->conv1);
    sizes_add(s, &b->conv2);
    s->weights = larger(s->weights, (size_t)t->g * 9 * b->dims.h * (b->dims.ci + b->dims.co));
    b->pixels = (size_t)b->conv1.ho * b->conv1.wo;
    b->y = vn_floats_new(t->max_rows * b->pixels * b->dims.co);
    for (uint32_t g = 0; g < t->g && !r; g++)
        r = branch_new(&b->branch[g], b, t->max_rows);
    return !b->y ? -ENOMEM : r;
}

static int lanes_new(struct vn_trunk *t, const struct sizes *s)
{
    t->sums_stride = 2 * (size_t)s->width;
    t->lane = calloc(t->threads, sizeof *t->lane);
    if (!t->lane)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->threads; i++) {
        struct lane *l = &t->lane[i];

        l->pad1 = vn_floats_new(s->padded);
        l->pad2 = vn_floats_new(s->padded);
        l->row = vn_floats_new(s->activation);
        l->dw = vn_floats_new(s->weights);
        l->sums = calloc(t->g * t->sums_stride, sizeof *l->sums);
        if (!l->pad1 || !l->pad2 || !l->row || !l->dw || !l->sums)
            return -ENOMEM;
    }
    return 0;
}

int vn_trunk_new(const struct vn_model *m, uint32_t input, bool agent, uint32_t max_rows,
                 uint32_t threads, struct vn_trunk **ret_trunk)
{
    _cleanup_(vn_trunk_freep) struct vn_trunk *t = calloc(1, sizeof *t);
    struct sizes s = {0};
    int r;

    if (!t)
        return -ENOMEM;
    t->network = *m->network;
    if (agent)
        vn_network_of_agent(m->network, &t->network);
    t->where = agent ? &m->layout->agent_trunk : &m->layout->trunk;
    t->input = input;
    t->g = t->network.groups;
    t->max_rows = max_rows;
    t->threads = threads;
    r = stem_new(t, &s);
    for (uint32_t i = 0; i < vn_network_blocks(&t->network) && !r; i++) {
        const struct vn_conv_plan *before = i ? &t->block[i - 1].conv1 : &t->stem.conv;

        t->m = i + 1;
        r = block_new(t, i, before->ho, before->wo, &s);
    }
    if (!r)
        r = lanes_new(t, &s);
    if (r)
        return r;
    t->dy[0] = vn_floats_new(max_rows * s.activation);
    t->dy[1] = vn_floats_new(max_rows * s.activation);
    if (!t->dy[0] || !t->dy[1])
        return -ENOMEM;
    *ret_trunk = t;
    t = NULL;
    return 0;
}
