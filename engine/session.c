#include "engine/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/arena.h"
#include "engine/residency.h"
#include "engine/session_parts.h"

/* --- making ----------------------------------------------------------------------------------- */

/* One map for the largest input, between two pages that nobody may touch. Small pages, so that a
 * run makes resident what it touches and no more. */
static int map_arena(struct vn_session *s, const struct vn_network *n,
                     const struct vn_compute *compute)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t bytes = 0;
    uint8_t *map;

    for (uint32_t i = 0; i < n->n_inputs; i++) {
        vn_arena_layout(n, i, compute, &s->layout[i]);
        bytes = s->layout[i].bytes > bytes ? s->layout[i].bytes : bytes;
    }
    map =
        mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return -errno;
    s->map = map;
    s->map_bytes = bytes + 2 * page;
    s->arena = map + page;
    if (mprotect(s->arena, bytes, PROT_READ | PROT_WRITE) < 0)
        return -errno;
    (void)madvise(s->arena, bytes, MADV_NOHUGEPAGE); /* a kernel without huge pages refuses */
    return 0;
}

static int prepare_conv(const struct vn_session *s, struct vn_conv c, struct vn_conv *last)
{
    if (!s->kernels->prepare || !memcmp(&c, last, sizeof c))
        return 0;
    *last = c;
    return s->kernels->prepare(&c);
}

static int prepare_trunk(const struct vn_session *s, const struct vn_network *n, uint32_t input)
{
    struct vn_conv stem = vn_stem_conv(n, input), last[3] = {0};
    uint32_t h = vn_strided(stem.h, stem.stride), w = vn_strided(stem.w, stem.stride);
    int r = prepare_conv(s, stem, &last[0]);

    for (uint32_t i = 0; !r && i < vn_network_blocks(n); i++) {
        struct vn_conv conv1 = vn_block_conv1(vn_network_block(n, i), n->groups, h, w);
        struct vn_conv conv2 = vn_block_conv2(vn_network_block(n, i), n->groups, h, w);

        r = prepare_conv(s, conv1, &last[1]);
        if (!r)
            r = prepare_conv(s, conv2, &last[2]);
        h = conv2.h;
        w = conv2.w;
    }
    return r;
}

static int session_init(struct vn_session *s, struct vn_store *store,
                        const struct vn_compute *compute)
{
    const struct vn_network *n = store->network;
    int r;

    s->store = vn_store_ref(store);
    s->kernels = compute && compute->kernels ? compute->kernels : vn_kernels_find("auto");
    vn_network_of_agent(n, &s->agent_trunk);
    if (compute && compute->threads > 1 && (r = vn_pool_new(compute->threads, &s->pool)))
        return r;
    if ((r = vn_planner_new(n, store->layout, compute, &s->planner)) ||
        (r = map_arena(s, n, compute)))
        return r;
    for (uint32_t i = 0; !r && i < n->n_inputs; i++) {
        r = prepare_trunk(s, n, i);
        if (!r && n->agent.kind == VN_AGENT_CONV)
            r = prepare_trunk(s, &s->agent_trunk, i);
    }
    return r;
}

int vn_session_new(struct vn_store *store, const struct vn_compute *compute,
                   struct vn_session **ret_session)
{
    _cleanup_(vn_session_freep) struct vn_session *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return -ENOMEM;
    r = session_init(s, store, compute);
    if (r)
        return r;
    *ret_session = s;
    s = NULL;
    return 0;
}

struct vn_session *vn_session_free(struct vn_session *s)
{
    if (!s)
        return NULL;
    if (s->map)
        munmap(s->map, s->map_bytes);
    vn_stream_free(s->stream);
    vn_pool_free(s->pool);
    vn_planner_free(s->planner);
    vn_store_unref(s->store);
    free(s);
    return NULL;
}

void vn_session_rest(struct vn_session *s)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    (void)madvise(s->arena, s->map_bytes - 2 * page, MADV_DONTNEED);
}

const struct vn_planner *vn_session_planner(const struct vn_session *s)
{
    return s->planner;
}

const struct vn_store *vn_session_store(const struct vn_session *s)
{
    return s->store;
}

/* --- running ---------------------------------------------------------------------------------- */

static int check_control(const struct vn_control *c)
{
    if (!c)
        return 0;
    if (c->progress)
        atomic_fetch_add_explicit(c->progress, 1, memory_order_relaxed);
    if (c->cancel && atomic_load_explicit(c->cancel, memory_order_relaxed))
        return VN_SESSION_E_CANCELLED;
    if (c->deadline_ns && vn_now_ns() >= c->deadline_ns)
        return VN_SESSION_E_DEADLINE;
    return 0;
}

/* An activation of the trunk, (h, w, C) in one of the arena's two trunk buffers. */
struct trunk {
    const struct vn_trunk_run *run;
    uint32_t h, w;
    uint32_t buffer; /* which of the two */
};

static float *arena_at(const struct vn_session *s, uint64_t offset)
{
    return (float *)(s->arena + offset);
}

static const struct vn_arena *arena_of(const struct vn_session *s, const struct trunk *t)
{
    return &s->layout[t->run->input];
}

/* The (scale, bias) rows of `bn` are (2, co). */
static struct vn_conv_part part(const struct vn_session *s, uint32_t weight, uint32_t bn,
                                uint32_t row, uint32_t co)
{
    const float *scale = vn_store_tensor(s->store, bn) + (size_t)row * 2 * co;

    return (struct vn_conv_part){vn_store_tensor(s->store, weight), scale, scale + co};
}

static void run_conv(struct vn_session *s, const struct trunk *t, const struct vn_conv *c,
                     struct vn_conv_run *r)
{
    r->work = arena_at(s, arena_of(s, t)->work);
    r->pool = s->pool;
    s->kernels->conv(s->kernels, c, r);
}

/* Groups [first, first + n) of the path's order, which are run together. */
struct chunk {
    uint32_t first, n;
};

/* hidden (H, W, n h) = conv1 of the chunk's groups, side by side. */
static void run_conv1(struct vn_session *s, const struct trunk *t, uint32_t i, struct chunk chunk,
                      const float *x)
{
    const struct vn_trunk_run *run = t->run;
    const struct vn_block b = vn_network_block(run->network, i);
    const struct vn_conv c = vn_block_conv1(b, chunk.n, t->h, t->w);
    struct vn_conv_part parts[VN_GROUPS_MAX];

    for (uint32_t k = 0; k < chunk.n; k++) {
        const struct vn_slice *slice = &run->layout->slice[run->order[chunk.first + k]][i];

        parts[k] = part(s, slice->conv1, slice->bn1, run->input, b.h);
    }
    run_conv(s, t, &c,
             &(struct vn_conv_run){.x = x,
                                   .parts = parts,
                                   .n_parts = chunk.n,
                                   .split = VN_CONV_OUTPUTS,
                                   .relu = true,
                                   .y = arena_at(s, arena_of(s, t)->hidden)});
}

/* y = add + sum over the chunk's groups of conv2_g(hidden_g); after the last one, relu(y). */
static void run_conv2(struct vn_session *s, const struct trunk *t, uint32_t i, struct chunk chunk,
                      const float *add, float *y)
{
    const struct vn_trunk_run *run = t->run;
    const struct vn_block b = vn_network_block(run->network, i);
    const struct vn_conv c = vn_block_conv2(b, chunk.n, t->h, t->w);
    struct vn_conv_part parts[VN_GROUPS_MAX];

    for (uint32_t k = 0; k < chunk.n; k++) {
        const struct vn_slice *slice = &run->layout->slice[run->order[chunk.first + k]][i];

        parts[k] = part(s, slice->conv2, slice->bn2, run->input, b.co);
    }
    run_conv(s, t, &c,
             &(struct vn_conv_run){.x = arena_at(s, arena_of(s, t)->hidden),
                                   .parts = parts,
                                   .n_parts = chunk.n,
                                   .split = VN_CONV_INPUTS,
                                   .add = add,
                                   .relu = chunk.first + chunk.n == run->levels[i],
                                   .y = y});
}

/* y = relu(shortcut + the branches), chunk by chunk; a run that does not stream has one chunk. */
static int run_branches(struct vn_session *s, const struct trunk *t, uint32_t i, const float *x,
                        const float *shortcut, float *y, const struct vn_control *control)
{
    const uint32_t level = t->run->levels[i];
    const uint32_t most = t->run->streamed ? vn_stream_chunk(s->stream, i) : level;
    int r = 0;

    for (struct chunk c = {0}; !r && c.first < level; c.first += c.n) {
        c.n = level - c.first < most ? level - c.first : most;
        if (t->run->streamed)
            vn_stream_step(s->stream);
        run_conv1(s, t, i, c, x);
        r = check_control(control);
        if (r)
            return r;
        if (t->run->streamed)
            vn_stream_step(s->stream);
        run_conv2(s, t, i, c, c.first ? y : shortcut, y);
        if (c.first + c.n < level)
            r = check_control(control);
    }
    return r;
}

/* A block of level 0 is its shortcut: relu changes nothing, as x is a ReLU's output. */
static int run_block(struct vn_session *s, struct trunk *t, uint32_t i,
                     const struct vn_control *control)
{
    const struct vn_block b = vn_network_block(t->run->network, i);
    const bool identity = b.stride == 1 && b.ci == b.co, any = t->run->levels[i];
    const float *x = arena_at(s, arena_of(s, t)->trunk[t->buffer]);
    float *y = arena_at(s, arena_of(s, t)->trunk[!t->buffer]);
    int r = any ? check_control(control) : 0;

    if (r || (identity && !any))
        return r;
    if (!identity)
        vn_shortcut(t->h, t->w, b.ci, b.co, b.stride, x, y);
    if (any)
        r = run_branches(s, t, i, x, identity ? x : y, y, control);
    t->h = vn_strided(t->h, b.stride);
    t->w = vn_strided(t->w, b.stride);
    t->buffer = !t->buffer;
    return r;
}

static void run_stem(struct vn_session *s, const struct trunk *t)
{
    const struct vn_trunk_run *run = t->run;
    const struct vn_conv c = vn_stem_conv(run->network, run->input);
    const struct vn_conv_part stem =
        part(s, run->layout->stem_conv[run->input], run->layout->stem_bn[run->input], 0, c.co);

    run_conv(s, t, &c,
             &(struct vn_conv_run){.x = arena_at(s, arena_of(s, t)->image),
                                   .parts = &stem,
                                   .n_parts = 1,
                                   .relu = true,
                                   .y = arena_at(s, arena_of(s, t)->trunk[0])});
}

int vn_trunk_run(struct vn_session *s, const struct vn_trunk_run *run,
                 const struct vn_control *control, float *ret_pooled)
{
    struct vn_conv stem = vn_stem_conv(run->network, run->input);
    struct trunk t = {run, vn_strided(stem.h, stem.stride), vn_strided(stem.w, stem.stride), 0};
    int r = check_control(control);

    if (r)
        return r;
    run_stem(s, &t);
    for (uint32_t i = 0; !r && i < vn_network_blocks(run->network); i++)
        r = run_block(s, &t, i, control);
    vn_pool_rest(s->pool);
    if (!r)
        vn_pool_mean(arena_at(s, arena_of(s, &t)->trunk[t.buffer]), (size_t)t.h * t.w,
                     vn_network_width(run->network), ret_pooled);
    return r;
}

float *vn_session_image(struct vn_session *s, uint32_t task)
{
    return arena_at(s, s->layout[s->store->network->tasks[task].input].image);
}

/* Compares the plan's slices with their checksums, if that is still to do. A streamed plan's are
 * read from the file, so that none is resident as a whole. */
static int check_slices(struct vn_session *s, const struct vn_plan *plan,
                        const struct vn_control *control)
{
    const uint8_t *order = s->store->network->tasks[plan->task].order;

    for (uint32_t b = 0; b < plan->n_blocks; b++) {
        for (uint32_t k = 0; k < plan->level[b]; k++) {
            uint32_t part = vn_store_slice_part(s->store, order[k], b);
            int r = vn_store_is_unchecked(s->store, part) ? check_control(control) : 0;

            if (r)
                return r;
            if (vn_store_is_unchecked(s->store, part) &&
                (plan->piece_windows ? vn_store_check_file : vn_store_check)(s->store, part)) {
                s->damaged_part = part;
                return VN_SESSION_E_DAMAGED;
            }
        }
    }
    return 0;
}

uint32_t vn_session_damaged_part(const struct vn_session *s)
{
    return s->damaged_part;
}

static int run_plan(struct vn_session *s, const struct vn_plan *plan,
                    const struct vn_control *control, float *ret_pooled)
{
    const struct vn_network *n = s->store->network;
    const struct vn_task *t = &n->tasks[plan->task];
    const struct vn_trunk_run run = {n,        &s->store->layout->trunk, t->input, plan->level,
                                     t->order, plan->piece_windows > 0};
    int r = check_slices(s, plan, control);

    return r ? r : vn_trunk_run(s, &run, control, ret_pooled);
}

static int run_streamed(struct vn_session *s, const struct vn_plan *plan,
                        const struct vn_control *control, float *ret_pooled)
{
    const struct vn_stream_path path = {s->store, plan->n_blocks, plan->level,
                                        s->store->network->tasks[plan->task].order,
                                        plan->piece_windows};
    int r = s->stream ? 0 : vn_stream_new(&s->stream);

    if (r)
        return r;
    vn_stream_begin(s->stream, &path);
    r = run_plan(s, plan, control, ret_pooled);
    s->page_in_ns += vn_stream_end(s->stream);
    return r;
}

static void hold(void *store, uint64_t offset, uint64_t bytes)
{
    vn_residency_hold(store, offset, bytes, true);
}

static void fetch(void *store, uint64_t offset, uint64_t bytes)
{
    vn_residency_fetch(store, offset, bytes);
}

static void let_go(void *store, uint64_t offset, uint64_t bytes)
{
    vn_residency_let_go(store, &(struct vn_range){offset, bytes}, 1, true);
}

static int run_resident(struct vn_session *s, const struct vn_plan *plan,
                        const struct vn_control *control, float *ret_pooled)
{
    const uint64_t begun = vn_now_ns();
    int r;

    if (!s->store->resident)
        return run_plan(s, plan, control, ret_pooled);
    vn_plan_windows(s->planner, plan, hold, s->store);
    vn_residency_make_room(s->store);
    vn_plan_windows(s->planner, plan, fetch, s->store);
    s->page_in_ns += vn_now_ns() - begun;
    r = run_plan(s, plan, control, ret_pooled);
    vn_plan_windows(s->planner, plan, let_go, s->store);
    return r;
}

int vn_session_run(struct vn_session *s, const struct vn_plan *plan,
                   const struct vn_control *control, float *ret_logits, float *ret_features)
{
    const struct vn_network *n = s->store->network;
    const struct vn_layout *l = s->store->layout;
    const struct vn_task *t = &n->tasks[plan->task];
    float *pooled = arena_at(s, s->layout[t->input].pooled);
    int r = (plan->piece_windows ? run_streamed : run_resident)(s, plan, control, pooled);

    if (r)
        return r;
    vn_linear(pooled, vn_store_tensor(s->store, l->head_weight[plan->task]),
              vn_store_tensor(s->store, l->head_bias[plan->task]), vn_network_width(n), t->n_labels,
              ret_logits);
    if (ret_features)
        memcpy(ret_features, pooled, vn_network_width(n) * sizeof *pooled);
    return 0;
}
