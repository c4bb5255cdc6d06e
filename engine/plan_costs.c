#include "engine/plan_costs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- ranges ----------------------------------------------------------------------------------- */

uint64_t vn_range_windows(struct vn_range r, uint64_t *next)
{
    uint64_t first = r.offset / VN_WINDOW_BYTES;
    uint64_t end = (r.offset + r.bytes + VN_WINDOW_BYTES - 1) / VN_WINDOW_BYTES;

    if (first < *next)
        first = *next;
    if (end <= first)
        return 0;
    *next = end;
    return end - first;
}

static struct vn_range whole(const struct vn_layout *l, uint32_t tensor)
{
    return (struct vn_range){l->tensors[tensor].offset, l->tensors[tensor].bytes};
}

/* Row `row` of the first dimension. */
static struct vn_range row_of(const struct vn_layout *l, uint32_t tensor, uint32_t row)
{
    uint64_t bytes = l->tensors[tensor].bytes / l->tensors[tensor].shape[0];

    return (struct vn_range){l->tensors[tensor].offset + row * bytes, bytes};
}

uint32_t vn_fixed_ranges(const struct vn_network *n, const struct vn_layout *l, uint32_t task,
                         struct vn_range ret[VN_FIXED_RANGES])
{
    uint32_t input = n->tasks[task].input, count = 0;

    ret[count++] = whole(l, l->trunk.stem_conv[input]);
    ret[count++] = whole(l, l->trunk.stem_bn[input]);
    if (n->agent.kind == VN_AGENT_CONV) {
        ret[count++] = whole(l, l->agent_trunk.stem_conv[input]);
        ret[count++] = whole(l, l->agent_trunk.stem_bn[input]);
        for (uint32_t b = 0; b < 3; b++)
            ret[count++] = vn_slice_range(&l->agent_trunk.slice[0][b]);
    }
    if (n->agent.kind != VN_AGENT_UNIFORM) {
        ret[count++] = row_of(l, l->agent_embedding, task);
        ret[count++] = whole(l, l->agent_fc1_weight);
        ret[count++] = whole(l, l->agent_fc1_bias);
        ret[count++] = whole(l, l->agent_fc2_weight);
        ret[count++] = whole(l, l->agent_fc2_bias);
    }
    ret[count++] = whole(l, l->head_weight[task]);
    ret[count++] = whole(l, l->head_bias[task]);
    return count;
}

/* --- windows at the edges of slices ----------------------------------------------------------- */

/* Only the first and the last window of a slice can hold bytes of another one. */
struct edge {
    uint64_t window;
    uint32_t block;
    uint32_t level; /* lowest level that touches it */
};

struct edges {
    uint32_t n;
    struct edge *edge; /* owned; ascending windows */
};

/* A window that slices of several blocks touch: consecutive edges. */
struct shared {
    uint32_t edge, n_edges;
    uint32_t first, last; /* blocks */
};

struct builder {
    struct vn_task_costs *c;
    const struct vn_layout *l;
    uint32_t n_fixed;
    struct vn_range fixed[VN_FIXED_RANGES];
    struct edges edges;
    uint32_t n_shared;
    struct shared *shared; /* owned */
};

static void builder_deinit(struct builder *b)
{
    free(b->edges.edge);
    free(b->shared);
}

static struct vn_choice *choice_at(struct builder *b, uint32_t block, uint32_t level)
{
    return &b->c->choice[block * b->c->levels + level];
}

static void add_private(struct builder *b, uint32_t block, uint32_t from_level, uint64_t windows)
{
    for (uint32_t level = from_level; level < b->c->levels; level++) {
        choice_at(b, block, level)->windows += windows;
        choice_at(b, block, level)->attributed += (double)windows;
    }
}

static void add_edge(struct builder *b, uint64_t window, uint32_t block, uint32_t level)
{
    b->edges.edge[b->edges.n++] = (struct edge){window, block, level};
}

/* Counts the windows of a slice that is used from `level` on: the inner ones at once, the first and
 * the last to be judged together with the neighbours. */
static void add_slice(struct builder *b, const struct vn_slice *s, uint32_t block, uint32_t level)
{
    uint64_t first = s->offset / VN_WINDOW_BYTES;
    uint64_t last = (s->offset + s->bytes - 1) / VN_WINDOW_BYTES;

    add_edge(b, first, block, level);
    if (last == first)
        return;
    add_edge(b, last, block, level);
    add_private(b, block, level, last - first - 1);
}

static bool is_paid(const struct builder *b, uint64_t window)
{
    for (uint32_t i = 0; i < b->n_fixed; i++)
        if (window >= b->fixed[i].offset / VN_WINDOW_BYTES &&
            window <= (b->fixed[i].offset + b->fixed[i].bytes - 1) / VN_WINDOW_BYTES)
            return true;
    return false;
}

/* Lowest level of each block that touches the window of these edges; VN_LEVELS_MAX: none does. */
static void lowest_levels(const struct builder *b, const struct shared *s,
                          uint8_t lowest[VN_BLOCKS_MAX])
{
    memset(lowest, VN_LEVELS_MAX, VN_BLOCKS_MAX);
    for (uint32_t i = s->edge; i < s->edge + s->n_edges; i++) {
        const struct edge *e = &b->edges.edge[i];

        if (e->level < lowest[e->block])
            lowest[e->block] = (uint8_t)e->level;
    }
}

/* Sorts one window's edges into paid, private and shared. */
static void judge_window(struct builder *b, struct shared s)
{
    uint8_t lowest[VN_BLOCKS_MAX];

    if (is_paid(b, b->edges.edge[s.edge].window))
        return;
    lowest_levels(b, &s, lowest);
    for (s.first = 0; lowest[s.first] == VN_LEVELS_MAX;)
        s.first++;
    for (s.last = b->c->m - 1; lowest[s.last] == VN_LEVELS_MAX;)
        s.last--;
    if (s.first == s.last)
        add_private(b, s.first, lowest[s.first], 1);
    else
        b->shared[b->n_shared++] = s;
}

static void judge_windows(struct builder *b)
{
    for (uint32_t i = 0, n; i < b->edges.n; i += n) {
        for (n = 1; i + n < b->edges.n; n++)
            if (b->edges.edge[i + n].window != b->edges.edge[i].window)
                break;
        judge_window(b, (struct shared){.edge = i, .n_edges = n});
    }
}

static int by_first_block(const void *a, const void *b)
{
    const struct shared *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->edge < y->edge ? -1 : x->edge > y->edge;
}

static void open_bit(struct builder *b, const struct shared *s, uint32_t bit)
{
    struct vn_task_costs *c = b->c;
    uint8_t lowest[VN_BLOCKS_MAX];
    uint32_t touching = 0, seen = 0;

    lowest_levels(b, s, lowest);
    for (uint32_t i = s->first; i <= s->last; i++)
        touching += lowest[i] < VN_LEVELS_MAX;
    for (uint32_t i = s->first; i <= s->last; i++) {
        seen += lowest[i] < VN_LEVELS_MAX;
        c->later[i][bit] = (float)(touching - seen) / (float)touching;
        for (uint32_t level = lowest[i]; level < c->levels; level++) {
            choice_at(b, i, level)->bits |= UINT64_C(1) << bit;
            choice_at(b, i, level)->attributed += 1.0 / touching;
        }
    }
    c->closing[s->last] |= UINT64_C(1) << bit;
}

static void open_bits(struct builder *b)
{
    uint32_t free_from[VN_WINDOW_BITS] = {0}; /* first block at which the bit may open again */

    qsort(b->shared, b->n_shared, sizeof b->shared[0], by_first_block);
    for (uint32_t i = 0; i < b->n_shared; i++) {
        uint32_t bit = 0;

        while (bit < VN_WINDOW_BITS && free_from[bit] > b->shared[i].first)
            bit++;
        assert(bit < VN_WINDOW_BITS); /* by the count in plan_costs.h */
        open_bit(b, &b->shared[i], bit);
        free_from[bit] = b->shared[i].last + 1;
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static void add_params(struct vn_task_costs *c, const struct vn_network *n,
                       const struct vn_layout *l, uint32_t task)
{
    const struct vn_task *t = &n->tasks[task];
    uint64_t width = vn_network_width(n);

    c->fixed_params = l->tensors[l->trunk.stem_conv[t->input]].bytes / sizeof(float) +
                      2 * (uint64_t)n->stem_width + vn_layout_agent_params(n, l, t->input) +
                      (width + 1) * t->n_labels;
    for (uint32_t i = 0; i < c->m; i++) {
        struct vn_block b = vn_network_block(n, i);
        uint64_t slice = 9 * (uint64_t)b.h * (b.ci + b.co) + 2 * ((uint64_t)b.h + b.co);

        for (uint32_t level = 0; level < c->levels; level++)
            c->choice[i * c->levels + level].params = level * slice;
    }
}

static void add_windows(struct builder *b, const struct vn_network *n, const struct vn_task *t)
{
    uint32_t level_of[VN_GROUPS_MAX]; /* a group is used from this level on */
    uint64_t next = 0;

    for (uint32_t i = 0; i < b->n_fixed; i++)
        b->c->fixed_windows += vn_range_windows(b->fixed[i], &next);
    for (uint32_t k = 0; k < n->groups; k++)
        level_of[t->order[k]] = k + 1;
    for (uint32_t g = 0; g < n->groups; g++)
        for (uint32_t i = 0; i < b->c->m; i++)
            add_slice(b, &b->l->trunk.slice[g][i], i, level_of[g]);
    judge_windows(b);
    open_bits(b);
}

int vn_task_costs_init(struct vn_task_costs *c, const struct vn_network *n,
                       const struct vn_layout *l, uint32_t task)
{
    uint32_t m = vn_network_blocks(n), levels = n->groups + 1, slices = m * n->groups;
    _cleanup_(builder_deinit) struct builder b = {.c = c, .l = l};

    *c = (struct vn_task_costs){.m = m, .levels = levels};
    c->choice = calloc((size_t)m * levels, sizeof c->choice[0]);
    c->closing = calloc(m, sizeof c->closing[0]);
    c->later = calloc(m, sizeof c->later[0]);
    b.edges.edge = calloc((size_t)slices * 2, sizeof b.edges.edge[0]);
    b.shared = calloc((size_t)slices * 2, sizeof b.shared[0]);
    if (!c->choice || !c->closing || !c->later || !b.edges.edge || !b.shared)
        return -ENOMEM;
    b.n_fixed = vn_fixed_ranges(n, l, task, b.fixed);
    add_params(c, n, l, task);
    add_windows(&b, n, &n->tasks[task]);
    return 0;
}

void vn_task_costs_deinit(struct vn_task_costs *c)
{
    free(c->choice);
    free(c->closing);
    free(c->later);
    *c = (struct vn_task_costs){0};
}
