#include "engine/knapsack.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CANDIDATES_MAX (VN_KNAPSACK_STATES * VN_LEVELS_MAX)

/* A step up on a block's concave hull of score over attributed cost. */
struct step {
    double cost, score; /* differences */
    uint32_t block, level;
};

/* The relaxed rest: all steps of blocks b .. m-1, best score per cost first, summed up. */
struct outlook {
    double base_cost, base_score; /* of the hulls' lowest points */
    uint32_t n;
    double *cost, *score; /* (n + 1) sums, starting with 0 */
};

struct state {
    uint64_t cost, bits;
    double score;
    double bound; /* no completion scores more */
    uint32_t from;
    uint8_t level;
};

/* How a kept state came about. */
struct node {
    uint32_t from; /* index of the state before its block */
    uint8_t level;
};

struct solver {
    const struct vn_task_costs *c;
    enum vn_plan_unit unit;
    uint64_t limit;
    const float *scores;
    uint32_t min_level;

    double known;          /* a score that can be reached */
    uint8_t *known_levels; /* (m) how */

    /* all of this lies in one map that ends with the call: nothing stays in the heap */
    void *map;
    size_t map_bytes;
    struct step *steps;      /* (m g) of the outlook that was made last */
    struct outlook *outlook; /* (m + 1) by first block */
    struct state *states;    /* (VN_KNAPSACK_STATES) */
    struct state *candidates;
    struct node *nodes; /* (m, VN_KNAPSACK_STATES) */
    uint32_t n_states, n_candidates;
    struct vn_knapsack_facts facts;
};

static const struct vn_choice *choice_at(const struct solver *s, uint32_t b, uint32_t level)
{
    return vn_choice_at(s->c, b, level);
}

static double score_at(const struct solver *s, uint32_t b, uint32_t level)
{
    return (double)s->scores[b * s->c->levels + level];
}

static double attributed_at(const struct solver *s, uint32_t b, uint32_t level)
{
    const struct vn_choice *choice = choice_at(s, b, level);

    return s->unit == VN_PLAN_BYTES ? choice->attributed : (double)choice->params;
}

/* Adds a block's choice to a cost and a set of open windows. */
static void add_choice(const struct solver *s, uint32_t b, uint32_t level, uint64_t *cost,
                       uint64_t *bits)
{
    const struct vn_choice *choice = choice_at(s, b, level);

    if (s->unit == VN_PLAN_PARAMS) {
        *cost += choice->params;
        return;
    }
    *cost += choice->windows + (uint64_t)__builtin_popcountll(choice->bits & ~*bits);
    *bits = (*bits | choice->bits) & ~s->c->closing[b];
}

static uint64_t path_cost(const struct solver *s, const uint8_t *levels)
{
    uint64_t cost = 0, bits = 0;

    for (uint32_t b = 0; b < s->c->m; b++)
        add_choice(s, b, levels[b], &cost, &bits);
    return cost;
}

/* --- memory ----------------------------------------------------------------------------------- */

static size_t take(size_t *end, size_t count, size_t size)
{
    size_t start = (*end + 63) / 64 * 64;

    *end = start + count * size;
    return start;
}

static int solver_init(struct solver *s)
{
    const size_t m = s->c->m, g = s->c->levels - 1, sums = m * (m + 1) / 2 * g + m + 1;
    size_t end = 0, steps = take(&end, m * g, sizeof s->steps[0]);
    size_t outlook = take(&end, m + 1, sizeof s->outlook[0]);
    size_t cost = take(&end, sums, sizeof(double)), score = take(&end, sums, sizeof(double));
    size_t states = take(&end, VN_KNAPSACK_STATES, sizeof s->states[0]);
    size_t candidates = take(&end, CANDIDATES_MAX, sizeof s->candidates[0]);
    size_t nodes = take(&end, m * VN_KNAPSACK_STATES, sizeof s->nodes[0]);
    size_t known = take(&end, m, 1);
    uint8_t *map =
        mmap(NULL, end, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (map == MAP_FAILED)
        return -errno;
    s->map = map;
    s->map_bytes = end;
    s->steps = (struct step *)(map + steps);
    s->outlook = (struct outlook *)(map + outlook);
    s->outlook[0].cost = (double *)(map + cost);
    s->outlook[0].score = (double *)(map + score);
    s->states = (struct state *)(map + states);
    s->candidates = (struct state *)(map + candidates);
    s->nodes = (struct node *)(map + nodes);
    s->known_levels = map + known;
    return 0;
}

static void solver_deinit(struct solver *s)
{
    if (s->map)
        munmap(s->map, s->map_bytes);
}

/* --- the relaxed rest ------------------------------------------------------------------------- */

/* a's score per cost is higher than b's. Costs and scores of steps are not negative. */
static bool steeper(const struct step *a, const struct step *b)
{
    return a->score * b->cost > b->score * a->cost;
}

/* The upper concave hull of one block, as steps up from its lowest point; how many. */
static uint32_t hull(const struct solver *s, uint32_t b, struct step *ret_steps, double *ret_cost,
                     double *ret_score)
{
    double cost = attributed_at(s, b, s->min_level), score = score_at(s, b, s->min_level);
    uint32_t n = 0;

    *ret_cost = cost;
    *ret_score = score;
    for (uint32_t level = s->min_level + 1; level < s->c->levels; level++) {
        struct step step = {attributed_at(s, b, level) - cost, score_at(s, b, level) - score, b,
                            level};

        if (step.score <= 0)
            continue; /* costs more (or the same) and scores no more than the point before */
        cost += step.cost;
        score += step.score;
        while (n && steeper(&step, &ret_steps[n - 1])) {
            step.cost += ret_steps[n - 1].cost;
            step.score += ret_steps[n - 1].score;
            n--;
        }
        ret_steps[n++] = step;
    }
    return n;
}

/* Inserts a block's steps, best first, into the n sorted ones; the new number. */
static uint32_t merge(struct step *steps, uint32_t n, const struct step *more, uint32_t n_more)
{
    uint32_t i = n, j = n_more, k = n + n_more;

    while (j)
        if (i && steeper(&more[j - 1], &steps[i - 1]))
            steps[--k] = steps[--i];
        else
            steps[--k] = more[--j];
    return n + n_more;
}

/* Fills outlook[m] .. outlook[0]; afterwards `steps` holds all steps, best first. */
static void make_outlooks(struct solver *s)
{
    const uint32_t m = s->c->m;
    double *cost = s->outlook[0].cost, *score = s->outlook[0].score;
    struct step block_steps[VN_LEVELS_MAX];
    uint32_t n = 0;

    s->outlook[m] = (struct outlook){.cost = cost, .score = score};
    cost++, score++; /* the map came with zeros */
    for (uint32_t b = m; b-- > 0;) {
        double base_cost, base_score;

        n = merge(s->steps, n, block_steps, hull(s, b, block_steps, &base_cost, &base_score));
        s->outlook[b] = (struct outlook){s->outlook[b + 1].base_cost + base_cost,
                                         s->outlook[b + 1].base_score + base_score, n, cost, score};
        for (uint32_t i = 0; i < n; i++) {
            cost[i + 1] = cost[i] + s->steps[i].cost;
            score[i + 1] = score[i] + s->steps[i].score;
        }
        cost += n + 1;
        score += n + 1;
    }
}

/* The most that a rest can score within `room`; -INFINITY when it does not fit at all. */
static double outlook_within(const struct outlook *o, double room)
{
    uint32_t low = 0, high = o->n;

    room -= o->base_cost;
    if (room < -1e-6)
        return -INFINITY;
    while (low < high) {
        uint32_t mid = (low + high + 1) / 2;

        if (o->cost[mid] <= room)
            low = mid;
        else
            high = mid - 1;
    }
    if (low < o->n && room > o->cost[low])
        return o->base_score + o->score[low] +
               (o->score[low + 1] - o->score[low]) * (room - o->cost[low]) /
                   (o->cost[low + 1] - o->cost[low]);
    return o->base_score + o->score[low];
}

/* --- a first path ----------------------------------------------------------------------------- */

static double path_score(const struct solver *s, const uint8_t *levels)
{
    double score = 0;

    for (uint32_t b = 0; b < s->c->m; b++)
        score += score_at(s, b, levels[b]);
    return score;
}

/* Sets the level if the path stays within the limit. */
static bool try_level(struct solver *s, uint32_t b, uint32_t level)
{
    uint8_t before = s->known_levels[b];

    s->known_levels[b] = (uint8_t)level;
    if (path_cost(s, s->known_levels) <= s->limit)
        return true;
    s->known_levels[b] = before;
    return false;
}

/* Steps up in the order of score per cost, then any single better level that still fits. */
static int find_greedy(struct solver *s)
{
    memset(s->known_levels, (int)s->min_level, s->c->m);
    if (path_cost(s, s->known_levels) > s->limit)
        return VN_KNAPSACK_E_TOO_SMALL;
    for (uint32_t i = 0; i < s->outlook[0].n; i++)
        try_level(s, s->steps[i].block, s->steps[i].level);
    for (uint32_t b = 0; b < s->c->m; b++)
        for (uint32_t level = s->min_level; level < s->c->levels; level++)
            if (score_at(s, b, level) > score_at(s, b, s->known_levels[b]))
                try_level(s, b, level);
    s->known = path_score(s, s->known_levels);
    return 0;
}

/* --- the programme ---------------------------------------------------------------------------- */

/* What is attributed to later blocks although their windows are paid for. */
static double paid_later(const struct solver *s, uint32_t b, uint64_t bits)
{
    double windows = 0;

    for (; bits; bits &= bits - 1)
        windows += (double)s->c->later[b][__builtin_ctzll(bits)];
    return windows;
}

static void extend(struct solver *s, uint32_t b, uint32_t from, uint32_t level)
{
    const struct state *before = &s->states[from];
    struct state after = {
        .cost = before->cost, .bits = before->bits, .from = from, .level = (uint8_t)level};
    double room;

    add_choice(s, b, level, &after.cost, &after.bits);
    if (after.cost > s->limit)
        return;
    after.score = before->score + score_at(s, b, level);
    room = (double)(s->limit - after.cost) + paid_later(s, b, after.bits);
    after.bound = after.score + outlook_within(&s->outlook[b + 1], room);
    /* the margin covers the rounding of sums: it keeps too many, never too few */
    if (after.bound < s->known - 1e-9 * (1 + fabs(s->known)))
        return;
    s->candidates[s->n_candidates++] = after;
}

/* Same windows together, cheapest first, then best first; else in the order of making. */
static int by_cost(const void *a, const void *b)
{
    const struct state *x = a, *y = b;

    if (x->bits != y->bits)
        return x->bits < y->bits ? -1 : 1;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (int)x->level - (int)y->level;
}

static int by_bound(const void *a, const void *b)
{
    const struct state *x = a, *y = b;

    if (x->bound != y->bound)
        return x->bound > y->bound ? -1 : 1;
    return by_cost(a, b);
}

/* Leaves, per set of windows, only candidates that score more than every cheaper one. */
static void drop_dominated(struct solver *s)
{
    uint32_t kept = 0;

    qsort(s->candidates, s->n_candidates, sizeof s->candidates[0], by_cost);
    for (uint32_t i = 0; i < s->n_candidates; i++) {
        const struct state *last = kept ? &s->candidates[kept - 1] : NULL;

        if (last && last->bits == s->candidates[i].bits && last->score >= s->candidates[i].score)
            continue;
        s->candidates[kept++] = s->candidates[i];
    }
    s->n_candidates = kept;
}

static void next_block(struct solver *s, uint32_t b)
{
    s->n_candidates = 0;
    for (uint32_t i = 0; i < s->n_states; i++)
        for (uint32_t level = s->min_level; level < s->c->levels; level++)
            extend(s, b, i, level);
    drop_dominated(s);
    if (s->n_candidates > VN_KNAPSACK_STATES) {
        qsort(s->candidates, s->n_candidates, sizeof s->candidates[0], by_bound);
        s->n_candidates = VN_KNAPSACK_STATES;
        s->facts.cut = true;
    }
    for (uint32_t i = 0; i < s->n_candidates; i++) {
        s->states[i] = s->candidates[i];
        s->nodes[b * VN_KNAPSACK_STATES + i] =
            (struct node){s->candidates[i].from, s->candidates[i].level};
    }
    s->n_states = s->n_candidates;
    if (s->n_states > s->facts.states)
        s->facts.states = s->n_states;
}

static void trace_back(const struct solver *s, uint32_t state, uint8_t *ret_levels)
{
    for (uint32_t b = s->c->m; b-- > 0;) {
        const struct node *node = &s->nodes[b * VN_KNAPSACK_STATES + state];

        ret_levels[b] = node->level;
        state = node->from;
    }
}

static void solve(struct solver *s, uint8_t *ret_levels)
{
    uint32_t best = 0;

    s->states[0] = (struct state){0};
    s->n_states = 1;
    for (uint32_t b = 0; b < s->c->m; b++)
        next_block(s, b);
    for (uint32_t i = 1; i < s->n_states; i++)
        if (s->states[i].score > s->states[best].score)
            best = i;
    if (s->n_states && s->states[best].score >= s->known)
        trace_back(s, best, ret_levels);
    else
        memcpy(ret_levels, s->known_levels, s->c->m); /* only after a cut */
}

int vn_knapsack(const struct vn_task_costs *c, enum vn_plan_unit unit, uint64_t limit,
                const float *scores, uint32_t min_level, uint8_t *ret_levels,
                struct vn_knapsack_facts *ret_facts)
{
    _cleanup_(solver_deinit) struct solver s = {
        .c = c, .unit = unit, .limit = limit, .scores = scores, .min_level = min_level};
    int r = solver_init(&s);

    if (r)
        return r;
    make_outlooks(&s);
    r = find_greedy(&s);
    if (r)
        return r;
    solve(&s, ret_levels);
    if (ret_facts)
        *ret_facts = s.facts;
    return 0;
}
