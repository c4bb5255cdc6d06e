/* Runs against the definition (the block's formula, in double precision, straight from the tensors'
 * names), and everything that a request can be. */
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/agent.h"
#include "engine/session.h"
#include "support.h"

struct subject {
    struct vn_store *store;
    struct vn_session *session;
};

static void subject_deinit(struct subject *s)
{
    vn_session_free(s->session);
    vn_store_unref(s->store);
}

static struct subject subject(const struct net_spec *spec, const char *kernels, uint32_t threads)
{
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(spec);
    const char *file = scratch_file("session");
    struct subject s;

    write_numbers(file, n, 11);
    s.store = open_store(file);
    unlink(file);
    cr_assert_eq(vn_session_new(s.store, &(struct vn_compute){vn_kernels_find(kernels), threads},
                                &s.session),
                 0);
    return s;
}

/* --- the definition --------------------------------------------------------------------------- */

struct map { /* (h, w, c) */
    uint32_t h, w, c;
    double *x; /* owned */
};

static void map_deinit(struct map *m)
{
    free(m->x);
}

static struct map new_map(uint32_t h, uint32_t w, uint32_t c)
{
    return (struct map){h, w, c, calloc((size_t)h * w * c, sizeof(double))};
}

static const float *tensor(const struct vn_store *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const float *tensor(const struct vn_store *s, const char *format, ...)
{
    char name[128];
    va_list ap;
    int i;

    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    i = vn_layout_find(s->layout, name);
    cr_assert_geq(i, 0, "%s", name);
    return vn_store_tensor(s, (uint32_t)i);
}

/* scale * conv(x) + bias */
static struct map conv_bn(const struct map *x, uint32_t k, uint32_t stride, uint32_t co,
                          const float *weight, const float *bn)
{
    struct map y = new_map((x->h + stride - 1) / stride, (x->w + stride - 1) / stride, co);
    int64_t pad = (k - 1) / 2;

    for (uint32_t o = 0; o < y.h * y.w * co; o++) {
        uint32_t c = o % co, ox = o / co % y.w, oy = o / co / y.w;
        double sum = 0;

        for (uint32_t t = 0; t < k * k * x->c; t++) {
            uint32_t i = t % x->c;
            int64_t iy = (int64_t)oy * stride + t / x->c / k - pad;
            int64_t ix = (int64_t)ox * stride + t / x->c % k - pad;

            if (iy >= 0 && iy < x->h && ix >= 0 && ix < x->w)
                sum += x->x[(iy * x->w + ix) * x->c + i] * (double)weight[t * co + c];
        }
        y.x[o] = (double)bn[c] * sum + (double)bn[co + c];
    }
    return y;
}

static void relu(struct map *m)
{
    for (uint32_t i = 0; i < m->h * m->w * m->c; i++)
        m->x[i] = m->x[i] > 0 ? m->x[i] : 0;
}

static struct map shortcut(const struct map *x, uint32_t stride, uint32_t co)
{
    struct map y = new_map((x->h + stride - 1) / stride, (x->w + stride - 1) / stride, co);

    for (uint32_t oy = 0; oy < y.h; oy++)
        for (uint32_t ox = 0; ox < y.w; ox++)
            for (uint32_t c = 0; c < x->c; c++) {
                double sum = 0, n = 0;

                for (uint32_t iy = oy * stride; iy < oy * stride + stride && iy < x->h; iy++)
                    for (uint32_t ix = ox * stride; ix < ox * stride + stride && ix < x->w; ix++)
                        sum += x->x[(iy * x->w + ix) * x->c + c], n++;
                y.x[(oy * y.w + ox) * co + c] = sum / n;
            }
    return y;
}

/* y = relu(shortcut(x) + sum over the first `level` groups g in the task's order of branch_g(x)) */
static struct map block(const struct vn_store *s, const struct map *x, uint32_t b,
                        const struct vn_task *t, uint32_t level)
{
    struct vn_block k = vn_network_block(s->network, b);
    struct map y = shortcut(x, k.stride, k.co);

    for (uint32_t i = 0; i < level; i++) {
        uint32_t g = t->order[i];
        const float *bn1 = tensor(s, "block.%u.group.%u.bn1", b, g) + t->input * 2 * k.h;
        const float *bn2 = tensor(s, "block.%u.group.%u.bn2", b, g) + t->input * 2 * k.co;
        _cleanup_(map_deinit) struct map hidden =
            conv_bn(x, 3, k.stride, k.h, tensor(s, "block.%u.group.%u.conv1", b, g), bn1);
        relu(&hidden);
        _cleanup_(map_deinit) struct map branch =
            conv_bn(&hidden, 3, 1, k.co, tensor(s, "block.%u.group.%u.conv2", b, g), bn2);
        for (uint32_t p = 0; p < y.h * y.w * y.c; p++)
            y.x[p] += branch.x[p];
    }
    relu(&y);
    return y;
}

static void expected_logits(const struct vn_store *s, uint32_t task, const float *image,
                            const uint8_t *levels, double *logits)
{
    const struct vn_task *t = &s->network->tasks[task];
    const struct vn_input *in = &s->network->inputs[t->input];
    struct map input = new_map(in->height, in->width, vn_color_channels(in->color)), x;
    const float *weight = tensor(s, "task.%u.head.weight", task);
    const float *bias = tensor(s, "task.%u.head.bias", task);

    for (uint32_t i = 0; i < input.h * input.w * input.c; i++)
        input.x[i] = (double)image[i];
    x = conv_bn(&input, in->stem_kernel, in->stem_stride, s->network->stem_width,
                tensor(s, "input.%u.stem.conv", t->input), tensor(s, "input.%u.stem.bn", t->input));
    relu(&x);
    for (uint32_t b = 0; b < vn_network_blocks(s->network); b++) {
        struct map y = block(s, &x, b, t, levels[b]);

        map_deinit(&x);
        x = y;
    }
    for (uint32_t l = 0; l < t->n_labels; l++) {
        logits[l] = (double)bias[l];
        for (uint32_t p = 0; p < x.h * x.w * x.c; p++)
            logits[l] += x.x[p] / (x.h * x.w) * (double)weight[p % x.c * t->n_labels + l];
    }
    map_deinit(&x);
    map_deinit(&input);
}

static void random_levels(struct vn_rng *r, const struct vn_network *n, uint8_t *levels)
{
    for (uint32_t b = 0; b < vn_network_blocks(n); b++)
        levels[b] = (uint8_t)vn_rng_below(r, n->groups + 1);
}

#define ODD_STAGES                                                                                 \
    "[{\"blocks\":1,\"width\":9,\"stride\":2,\"group_width\":1},"                                  \
    "{\"blocks\":2,\"width\":9,\"stride\":1,\"group_width\":7},"                                   \
    "{\"blocks\":1,\"width\":17,\"stride\":4,\"group_width\":3}]"

static const struct net_spec specs[] = {
    {.inputs = 3, .tasks = 4},
    {.stages = ODD_STAGES, .side = 17, .stem_kernel = 7, .stem_stride = 3, .random_orders = true},
    {.groups = 1, .side = 1},
    {.inputs = 2, .agent = "{\"kind\":\"shared\"}", .random_orders = true, .seed = 4},
    {.groups = 7, .agent = "{\"kind\":\"conv\",\"width\":3}", .side = 5},
};
#define N_SPECS (sizeof specs / sizeof specs[0])

/* Logits are of the order of 1; the sums under them have up to 9 * 17 + 49 * 3 terms in every one
 * of up to ten layers, each rounded by 2^-24 of its size: 2e-4 bounds what adds up. */
static void check_path(struct subject *s, uint32_t task, struct vn_rng *r, const uint8_t *levels,
                       size_t spec)
{
    const struct vn_network *n = s->store->network;
    const struct vn_input *in = &n->inputs[n->tasks[task].input];
    float *image = vn_session_image(s->session, task), logits[VN_LABELS_MAX], features[64];
    double expected[VN_LABELS_MAX];
    struct vn_plan plan;

    fill_normal(r, image, (size_t)in->width * in->height * vn_color_channels(in->color), 1);
    cr_assert_eq(
        vn_plan_path(vn_session_planner(s->session), task, levels, vn_network_blocks(n), 0, &plan),
        0);
    cr_assert_eq(vn_session_run(s->session, &plan, NULL, logits, features), 0);
    expected_logits(s->store, task, image, levels, expected);
    for (uint32_t l = 0; l < n->tasks[task].n_labels; l++)
        cr_assert_float_eq(logits[l], expected[l], 2e-4 * (1 + fabs(expected[l])),
                           "network %zu task %u label %u: %.9g is not %.9g", spec, task, l,
                           (double)logits[l], expected[l]);
}

static void check_kernels(const char *kernels, uint32_t threads)
{
    for (size_t i = 0; i < N_SPECS; i++) {
        _cleanup_(subject_deinit) struct subject s = subject(&specs[i], kernels, threads);
        uint8_t levels[VN_BLOCKS_MAX];
        struct vn_rng r = {i};

        for (uint32_t l = 0; l <= s.store->network->groups; l++) {
            memset(levels, (int)l, sizeof levels);
            check_path(&s, 0, &r, levels, i);
        }
        for (int k = 0; k < 12; k++) {
            random_levels(&r, s.store->network, levels);
            check_path(&s, vn_rng_below(&r, s.store->network->n_tasks), &r, levels, i);
        }
    }
}

Test(session, ref_computes_the_definition, .timeout = 60)
{
    check_kernels("ref", 1);
}

Test(session, gemm_computes_the_definition, .timeout = 60)
{
    check_kernels("gemm", 1);
}

Test(session, direct_computes_the_definition, .timeout = 60)
{
    check_kernels("direct", 1);
}

Test(session, winograd_computes_the_definition, .timeout = 60)
{
    check_kernels("winograd", 1);
    check_kernels("auto", 1);
}

Test(session, threads_compute_the_definition, .timeout = 60)
{
    check_kernels("winograd", 2);
    check_kernels("auto", 3);
}

/* A second run of the same plan gives the same bits: nothing is left over in the arena. */
Test(session, runs_do_not_depend_on_earlier_ones)
{
    _cleanup_(subject_deinit) struct subject s = subject(&specs[0], "auto", 1);
    float first[8], again[8], *image = vn_session_image(s.session, 0), saved[12 * 11 * 3];
    struct vn_plan plan, other;
    struct vn_rng r = {1};

    fill_normal(&r, saved, 12 * 11 * 3, 1);
    memcpy(image, saved, sizeof saved);
    vn_plan_uniform(vn_session_planner(s.session), 0, 2, 0, &plan);
    vn_plan_uniform(vn_session_planner(s.session), 1, 4, 0, &other);
    cr_assert_eq(vn_session_run(s.session, &plan, NULL, first, NULL), 0);
    cr_assert_eq(vn_session_run(s.session, &other, NULL, again, NULL), 0);
    memcpy(image, saved, sizeof saved);
    cr_assert_eq(vn_session_run(s.session, &plan, NULL, again, NULL), 0);
    cr_assert_eq(memcmp(first, again, 3 * sizeof(float)), 0);
}

/* --- control ---------------------------------------------------------------------------------- */

Test(session, cancel_deadline_and_progress)
{
    _cleanup_(subject_deinit) struct subject s = subject(&specs[0], "auto", 1);
    atomic_bool cancel = false;
    atomic_ulong progress = 0;
    struct vn_control control = {&cancel, vn_now_ns() + 60 * VN_NS_PER_S, &progress};
    struct vn_plan plan;
    float logits[8];

    vn_plan_uniform(vn_session_planner(s.session), 0, 3, 0, &plan);
    cr_assert_eq(vn_session_run(s.session, &plan, &control, logits, NULL), 0);
    cr_assert_eq(progress, 1 + 4 * 2); /* the stem, and two convolutions in each of 4 blocks */
    control.deadline_ns = 1;
    cr_assert_eq(vn_session_run(s.session, &plan, &control, logits, NULL), VN_SESSION_E_DEADLINE);
    atomic_store(&cancel, true);
    cr_assert_eq(vn_session_run(s.session, &plan, &control, logits, NULL), VN_SESSION_E_CANCELLED);
    control = (struct vn_control){0};
    cr_assert_eq(vn_session_run(s.session, &plan, &control, logits, NULL), 0);
}

/* --- whole requests --------------------------------------------------------------------------- */

static uint8_t pixels[20 * 30 * 3];

static struct vn_image some_image(uint64_t seed)
{
    struct vn_rng r = {seed};

    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)vn_rng_below(&r, 256);
    return (struct vn_image){pixels, sizeof pixels, 20, 30, 0, VN_PIXELS_RGB8};
}

/* The answer to a plan, by preprocessing and running it apart from vn_infer. */
static void check_answer(struct subject *s, const struct vn_image *image,
                         const struct vn_infer_result *found)
{
    const struct vn_network *n = s->store->network;
    const struct vn_task *t = &n->tasks[found->plan.task];
    float logits[VN_LABELS_MAX];

    vn_image_preprocess(&n->inputs[t->input], image,
                        vn_session_image(s->session, found->plan.task));
    cr_assert_eq(vn_session_run(s->session, &found->plan, NULL, logits, NULL), 0);
    vn_softmax(logits, t->n_labels);
    cr_assert_eq(found->n_labels, t->n_labels);
    cr_assert_eq(memcmp(logits, found->probabilities, t->n_labels * sizeof(float)), 0);
}

static const char *const agents[] = {"{\"kind\":\"uniform\"}",
                                     "{\"kind\":\"task\"}",
                                     "{\"kind\":\"conv\",\"width\":5,\"stem_stride\":2}",
                                     "{\"kind\":\"shared\"}",
                                     "{\"kind\":\"shared\",\"probe_level\":0}",
                                     "{\"kind\":\"shared\",\"pooled\":false}"};
#define N_AGENTS (sizeof agents / sizeof agents[0])

static struct vn_policy policy_of(const struct vn_store *s)
{
    return (struct vn_policy){tensor(s, "agent.embedding"), tensor(s, "agent.fc1.weight"),
                              tensor(s, "agent.fc1.bias"), tensor(s, "agent.fc2.weight"),
                              tensor(s, "agent.fc2.bias")};
}

/* What the shared agent must choose, step by step from public functions. */
static void expect_shared(struct subject *s, const struct vn_image *image, uint64_t limit,
                          struct vn_plan *ret)
{
    const struct vn_network *n = s->store->network;
    const struct vn_planner *p = vn_session_planner(s->session);
    struct vn_policy policy = policy_of(s->store);
    float features[64], logits[8], work[256], scores[VN_BLOCKS_MAX * VN_LEVELS_MAX];
    uint64_t needed;

    vn_plan_uniform(p, 0, n->agent.probe_level, image->length, ret);
    vn_image_preprocess(&n->inputs[0], image, vn_session_image(s->session, 0));
    cr_assert_eq(vn_session_run(s->session, ret, NULL, logits, features), 0);
    vn_softmax(logits, n->tasks[0].n_labels);
    vn_agent_confidence(logits, n->tasks[0].n_labels,
                        features + (n->agent.pooled ? vn_network_width(n) : 0));
    vn_policy_scores(n, &policy, 0, features,
                     vn_agent_budget_input(p, 0, VN_PLAN_BYTES, limit, image->length), 0.5f, work,
                     scores);
    cr_assert_eq(vn_plan_choose(p, 0, VN_PLAN_BYTES, limit ? limit : UINT64_MAX, image->length,
                                scores, n->agent.probe_level, ret, &needed),
                 0);
}

Test(infer, every_agent_within_every_budget, .timeout = 60)
{
    for (size_t a = 0; a < N_AGENTS; a++) {
        struct net_spec spec = {.agent = agents[a],
                                .stem_width = 32,
                                .stages = "[{\"blocks\":3,\"width\":32,\"stride\":1,"
                                          "\"group_width\":20}]"};
        _cleanup_(subject_deinit) struct subject s = subject(&spec, "auto", 1);
        const struct vn_network *n = s.store->network;
        const struct vn_planner *p = vn_session_planner(s.session);
        struct vn_image image = some_image(a);
        struct vn_plan small, full;

        vn_plan_uniform(p, 0, 0, image.length, &small);
        vn_plan_uniform(p, 0, n->groups, image.length, &full);
        for (uint64_t limit = vn_bytes_total(&small.bytes);
             limit <= vn_bytes_total(&full.bytes) + 1; limit += 32768) {
            struct vn_infer_request q = {.task = 0,
                                         .image = &image,
                                         .budget_bytes = limit,
                                         .thrift = 0.5,
                                         .agent = n->agent.kind};
            struct vn_infer_result found;
            struct vn_plan expected;

            cr_assert_eq(vn_infer(s.session, &q, NULL, &found), 0);
            cr_assert_leq(vn_bytes_total(&found.plan.bytes), limit);
            check_answer(&s, &image, &found);
            vn_plan_uniform(p, 0, n->agent.probe_level, image.length, &expected);
            if (n->agent.kind == VN_AGENT_SHARED && vn_bytes_total(&expected.bytes) > limit) {
                cr_assert_eq(found.decided_by, VN_AGENT_UNIFORM); /* no room for the probe */
                continue;
            }
            cr_assert_eq(found.decided_by, n->agent.kind);
            if (n->agent.kind != VN_AGENT_SHARED)
                continue;
            expect_shared(&s, &image, limit, &expected);
            cr_assert_arr_eq(found.plan.level, expected.level, 3);
        }
    }
}

Test(infer, too_small)
{
    for (size_t a = 0; a < N_AGENTS; a++) {
        struct net_spec spec = {.agent = agents[a]};
        _cleanup_(subject_deinit) struct subject s = subject(&spec, "auto", 1);
        const struct vn_planner *p = vn_session_planner(s.session);
        struct vn_image image = some_image(1);
        struct vn_infer_request q = {
            .image = &image, .budget_bytes = 1, .agent = s.store->network->agent.kind};
        struct vn_infer_result found;
        struct vn_plan small;

        vn_plan_uniform(p, 0, 0, image.length, &small);
        cr_assert_eq(vn_infer(s.session, &q, NULL, &found), VN_SESSION_E_TOO_SMALL);
        cr_assert_eq(found.needed_bytes, vn_bytes_total(&small.bytes));
        q.budget_bytes = found.needed_bytes; /* what it says is enough is enough */
        cr_assert_eq(vn_infer(s.session, &q, NULL, &found), 0);
        q.limit_params = 1;
        cr_assert_eq(vn_infer(s.session, &q, NULL, &found), VN_SESSION_E_TOO_SMALL);
        cr_assert_eq(found.needed_bytes, vn_plan_params(&small));
        q.limit_params = found.needed_bytes;
        cr_assert_eq(vn_infer(s.session, &q, NULL, &found), 0);
        cr_assert_eq(vn_plan_params(&found.plan), q.limit_params);
    }
}

Test(infer, fixed_path)
{
    struct net_spec spec = {.agent = agents[3]};
    _cleanup_(subject_deinit) struct subject s = subject(&spec, "auto", 1);
    struct vn_image image = some_image(1);
    const uint8_t path[] = {0, 4, 1, 2}, wrong[] = {0, 5, 1, 2};
    struct vn_infer_request q = {
        .image = &image, .levels = path, .n_levels = 4, .agent = VN_AGENT_SHARED};
    struct vn_infer_result found;

    cr_assert_eq(vn_infer(s.session, &q, NULL, &found), 0);
    cr_assert(found.fixed_path);
    cr_assert_arr_eq(found.plan.level, path, 4);
    check_answer(&s, &image, &found);
    q.budget_bytes = vn_bytes_total(&found.plan.bytes);
    cr_assert_eq(vn_infer(s.session, &q, NULL, &found), 0);
    q.budget_bytes--;
    cr_assert_eq(vn_infer(s.session, &q, NULL, &found), VN_SESSION_E_TOO_SMALL);
    cr_assert_eq(found.needed_bytes, q.budget_bytes + 1);
    q.levels = wrong;
    cr_assert_eq(vn_infer(s.session, &q, NULL, &found), -EINVAL);
    q.levels = path;
    q.n_levels = 3;
    cr_assert_eq(vn_infer(s.session, &q, NULL, &found), -EINVAL);
}

Test(infer, overruled_and_plan_only)
{
    struct net_spec spec = {.agent = agents[3]};
    _cleanup_(subject_deinit) struct subject s = subject(&spec, "auto", 1);
    struct vn_image image = some_image(1);
    struct vn_infer_request q = {.image = &image, .agent = VN_AGENT_UNIFORM};
    struct vn_infer_result found, planned;

    cr_assert_eq(vn_infer(s.session, &q, NULL, &found), 0); /* no limit: the full path */
    cr_assert_eq(found.decided_by, VN_AGENT_UNIFORM);
    cr_assert_eq(found.plan.density, 1.0);
    q.agent = VN_AGENT_SHARED;
    cr_assert_eq(vn_infer(s.session, &q, NULL, &found), 0);
    q.plan_only = true;
    cr_assert_eq(vn_infer(s.session, &q, NULL, &planned), 0);
    cr_assert_arr_eq(planned.plan.level, found.plan.level, 4);
    q.image = NULL; /* the shared agent cannot look: the uniform rule */
    cr_assert_eq(vn_infer(s.session, &q, NULL, &planned), 0);
    cr_assert_eq(planned.decided_by, VN_AGENT_UNIFORM);
    q.plan_only = false;
    cr_assert_eq(vn_infer(s.session, &q, NULL, &planned), -EINVAL);
    q = (struct vn_infer_request){.image = &image, .agent = VN_AGENT_CONV};
    cr_assert_eq(vn_infer(s.session, &q, NULL, &planned), -EINVAL); /* not this store's */
    q = (struct vn_infer_request){.image = &image, .task = 2};
    cr_assert_eq(vn_infer(s.session, &q, NULL, &planned), -EINVAL);
}

/* A control that ends the request while the agent looks, and while the path runs. */
Test(infer, control)
{
    for (size_t a = 0; a < N_AGENTS; a++) {
        struct net_spec spec = {.agent = agents[a]};
        _cleanup_(subject_deinit) struct subject s = subject(&spec, "auto", 1);
        struct vn_image image = some_image(1);
        struct vn_infer_request q = {.image = &image, .agent = s.store->network->agent.kind};
        atomic_bool cancel = true;
        struct vn_control control = {.cancel = &cancel};
        struct vn_infer_result found;

        cr_assert_eq(vn_infer(s.session, &q, &control, &found), VN_SESSION_E_CANCELLED);
        control = (struct vn_control){.deadline_ns = 1};
        cr_assert_eq(vn_infer(s.session, &q, &control, &found), VN_SESSION_E_DEADLINE);
    }
}

static const float *infinite(void *context, const struct vn_layout *l, uint32_t i)
{
    float *x = (float *)numbers_source(context, l, i);

    if (!strcmp(l->tensors[i].name, "agent.fc2.bias"))
        x[3] = INFINITY;
    return x;
}

/* A store whose policy gives no numbers still answers, by the plain rule. */
Test(infer, policy_without_numbers)
{
    struct net_spec spec = {.agent = agents[1]};
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&spec);
    _cleanup_(numbers_deinit) struct numbers numbers = {.seed = 1};
    _cleanup_(subject_deinit) struct subject s = {0};
    const char *file = scratch_file("infinite");
    struct vn_image image = some_image(1);
    struct vn_infer_request q = {.image = &image, .agent = VN_AGENT_TASK};
    struct vn_infer_result found;

    cr_assert_eq(vn_store_write(file, n, infinite, &numbers, NULL), 0);
    s.store = open_store(file);
    unlink(file);
    cr_assert_eq(vn_session_new(s.store, NULL, &s.session), 0);
    cr_assert_eq(vn_infer(s.session, &q, NULL, &found), 0);
    cr_assert_eq(found.decided_by, VN_AGENT_UNIFORM);
}

Test(infer, top_k)
{
    const float x[] = {0.1f, 0.4f, 0.2f, 0.4f, 0.3f};
    uint32_t found[5];

    vn_top_k(x, 5, 5, found);
    cr_assert_arr_eq(found, ((uint32_t[]){1, 3, 4, 2, 0}), sizeof found);
    vn_top_k(x, 5, 2, found);
    cr_assert_arr_eq(found, ((uint32_t[]){1, 3}), 2 * sizeof found[0]);
    vn_top_k(x, 1, 1, found);
    cr_assert_eq(found[0], 0);
}
