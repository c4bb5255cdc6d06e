/* A trunk's memory. */
#include <errno.h>
#include <stdlib.h>

#include "engine/kernels.h"
#include "train/trunk_parts.h"

static int norm_new(struct norm *n, uint32_t c)
{
    float *numbers = vn_floats_new(7 * (size_t)c);

    if (!numbers)
        return -ENOMEM;
    n->n = (struct vn_norm){numbers, numbers + c, numbers + 2 * (size_t)c, numbers + 3 * (size_t)c};
    numbers += 4 * (size_t)c;
    n->back = (struct vn_norm_slope){numbers, numbers + c, numbers + 2 * (size_t)c};
    return 0;
}

static void block_free(struct block *b)
{
    for (uint32_t g = 0; g < VN_GROUPS_MAX; g++) {
        free(b->c2[g]);
        free(b->norm2[g].n.mean);
    }
    free(b->norm1.n.mean);
    free(b->c1);
    free(b->d1);
    free(b->y);
    free(b->active);
    vn_conv_plan_deinit(&b->conv1);
    vn_conv_plan_deinit(&b->conv2);
}

struct vn_trunk *vn_trunk_free(struct vn_trunk *t)
{
    if (!t)
        return NULL;
    for (uint32_t b = 0; b < t->m; b++)
        block_free(&t->block[b]);
    free(t->stem.c);
    free(t->stem.y);
    free(t->stem.norm.n.mean);
    vn_conv_plan_deinit(&t->stem.conv);
    free(t->dy[0]);
    free(t->dy[1]);
    free(t->packed);
    free(t->u);
    for (uint32_t i = 0; t->lane && i < t->threads; i++) {
        free(t->lane[i].pad1);
        free(t->lane[i].pad2);
        free(t->lane[i].row1);
        free(t->lane[i].row2);
        free(t->lane[i].v);
        free(t->lane[i].d);
        free(t->lane[i].m);
        free(t->lane[i].zeros);
        free(t->lane[i].dw);
        free(t->lane[i].sums);
        free(t->lane[i].sum);
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
    size_t padded, activation, weights, packed, u;
    size_t rows;    /* of a strip: their hidden activations */
    uint32_t width; /* channels of the widest operand */
    size_t sums;
};

static void sizes_add_conv(struct sizes *s, const struct vn_conv_plan *c)
{
    s->padded = larger(s->padded, larger(c->padded_x, c->padded_y));
    s->activation = larger(s->activation, larger((size_t)c->shape.h * c->shape.w * c->shape.ci,
                                                 (size_t)c->ho * c->wo * c->shape.co));
    s->width = (uint32_t)larger(s->width, larger(c->shape.ci, c->shape.co));
}

static void sizes_add_block(struct sizes *s, const struct vn_trunk *t, const struct block *b)
{
    sizes_add_conv(s, &b->conv1);
    sizes_add_conv(s, &b->conv2);
    s->weights = larger(s->weights, vn_dw_floats(t, b));
    s->packed = larger(s->packed, vn_weights_packed_floats(b));
    s->u = larger(s->u, vn_weights_u_floats(t, b));
    s->rows = larger(s->rows, b->grid.images * b->pixels * b->hidden);
    s->sums = larger(s->sums, 2 * larger(b->hidden, (size_t)t->g * b->dims.co));
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
    sizes_add_conv(s, &t->stem.conv);
    s->weights = (size_t)shape.k * shape.k * shape.ci * shape.co;
    s->sums = 2 * (size_t)shape.co;
    t->image_floats = (size_t)shape.h * shape.w * shape.ci;
    t->stem.pixels = (size_t)t->stem.conv.ho * t->stem.conv.wo;
    t->stem.c = vn_floats_new(t->max_rows * t->stem.pixels * shape.co);
    t->stem.y = vn_floats_new(t->max_rows * t->stem.pixels * shape.co);
    return !t->stem.c || !t->stem.y ? -ENOMEM : norm_new(&t->stem.norm, shape.co);
}

static int block_memory(const struct vn_trunk *t, struct block *b)
{
    const size_t pixels = t->max_rows * b->pixels;
    int r = norm_new(&b->norm1, b->hidden);

    b->c1 = vn_floats_new(pixels * b->hidden);
    b->d1 = vn_floats_new(pixels * b->hidden);
    b->y = vn_floats_new(pixels * b->dims.co);
    b->active = calloc(t->max_rows, sizeof *b->active);
    if (!b->c1 || !b->d1 || !b->y || !b->active)
        return -ENOMEM;
    for (uint32_t g = 0; g < t->g && !r; g++) {
        b->c2[g] = vn_floats_new(pixels * b->dims.co);
        r = b->c2[g] ? norm_new(&b->norm2[g], b->dims.co) : -ENOMEM;
    }
    return r;
}

static int block_new(struct vn_trunk *t, uint32_t i, uint32_t h, uint32_t w, struct sizes *s)
{
    struct block *b = &t->block[i];
    int r;

    b->dims = vn_network_block(&t->network, i);
    b->hidden = t->g * b->dims.h;
    r = vn_conv_plan_init(&b->conv1,
                          &(struct vn_conv){h, w, b->dims.ci, b->hidden, 3, b->dims.stride});
    if (r)
        return r;
    r = vn_conv_plan_init(&b->conv2,
                          &(struct vn_conv){b->conv1.ho, b->conv1.wo, b->dims.h, b->dims.co, 3, 1});
    if (r)
        return r;
    b->pixels = (size_t)b->conv1.ho * b->conv1.wo;
    b->grid = vn_grid_of(b->conv1.ho, b->conv1.wo,
                         (uint32_t)larger(larger(b->dims.ci, b->dims.co), b->hidden));
    b->fast1 = vn_grid_pays(&b->conv1.shape);
    b->fast2 = vn_grid_pays(&b->conv2.shape);
    sizes_add_block(s, t, b);
    return block_memory(t, b);
}

static int lane_init(struct lane *l, const struct vn_trunk *t, const struct sizes *s)
{
    l->pad1 = vn_floats_new(s->padded);
    l->pad2 = vn_floats_new(s->padded);
    l->row1 = vn_floats_new(larger(s->rows, s->activation));
    l->row2 = vn_floats_new(s->activation);
    l->v = vn_floats_new(vn_positions_floats(VN_STRIP_TILES, s->width));
    l->d = vn_floats_new(vn_positions_floats(VN_STRIP_TILES, s->width));
    l->m = vn_floats_new(vn_positions_floats(VN_STRIP_TILES, s->width));
    l->zeros = vn_floats_new(s->width);
    l->dw = vn_floats_new(s->weights);
    l->sums = calloc(t->n_sums, sizeof *l->sums);
    l->sum = calloc(s->width, sizeof *l->sum);
    return l->pad1 && l->pad2 && l->row1 && l->row2 && l->v && l->d && l->m && l->zeros && l->dw &&
                   l->sums && l->sum
               ? 0
               : -ENOMEM;
}

static int shared_new(struct vn_trunk *t, const struct sizes *s)
{
    int r = 0;

    t->n_sums = s->sums;
    t->packed = vn_floats_new(s->packed);
    t->u = vn_floats_new(s->u);
    t->dy[0] = vn_floats_new(t->max_rows * s->activation);
    t->dy[1] = vn_floats_new(t->max_rows * s->activation);
    t->lane = calloc(t->threads, sizeof *t->lane);
    if (!t->packed || !t->u || !t->dy[0] || !t->dy[1] || !t->lane)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->threads && !r; i++)
        r = lane_init(&t->lane[i], t, s);
    return r;
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
    t->steps = vn_steps_find(NULL);
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
        r = shared_new(t, &s);
    if (r)
        return r;
    *ret_trunk = t;
    t = NULL;
    return 0;
}

double vn_trunk_flops(const struct vn_trunk *t)
{
    return t->flops;
}
