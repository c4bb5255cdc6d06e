/* What runs keep between them, what they give back, and in which order; and streamed runs: the same
 * answer within a fraction of the memory. Held against the kernel's own books: smaps, the peak of
 * the resident size (VmHWM, which clear_refs resets), and mincore for the page cache.
 *
 * A plain program, because what is measured is its own process. */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/residency.h"
#include "engine/session.h"
#include "engine/stream.h"
#include "support.h"

static const struct net_spec large = {
    .groups = 4,
    .stem_width = 64,
    .side = 24,
    .stages = "[{\"blocks\":2,\"width\":64,\"stride\":1,\"group_width\":16},"
              "{\"blocks\":2,\"width\":128,\"stride\":2,\"group_width\":32},"
              "{\"blocks\":4,\"width\":256,\"stride\":2,\"group_width\":64},"
              "{\"blocks\":2,\"width\":512,\"stride\":2,\"group_width\":96}]",
};

/* Slices share windows. */
static const struct net_spec dense = {
    .groups = 5,
    .stem_width = 16,
    .side = 24,
    .tasks = 3,
    .agent = "{\"kind\":\"shared\"}",
    .stages = "[{\"blocks\":2,\"width\":32,\"stride\":1,\"group_width\":6},"
              "{\"blocks\":3,\"width\":96,\"stride\":2,\"group_width\":20}]",
};

static unsigned failures;

__attribute__((format(printf, 2, 3))) static void expect(bool holds, const char *format, ...)
{
    va_list arguments;

    if (holds)
        return;
    va_start(arguments, format);
    printf("    FAILED: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
}

/* --- the kernel's books ----------------------------------------------------------------------- */

static uint64_t resident_in(const struct vn_store *s, uint64_t offset, uint64_t bytes)
{
    return books_rss(s->data + offset, bytes);
}

static uint64_t fixed_resident(const struct vn_store *s)
{
    return (s->layout->fixed_bytes + VN_WINDOW_BYTES - 1) / VN_WINDOW_BYTES * VN_WINDOW_BYTES;
}

/* Beyond the always-needed part. */
static uint64_t slices_resident(const struct vn_store *s)
{
    uint64_t fixed = fixed_resident(s);

    return resident_in(s, fixed, s->layout->data_bytes - fixed);
}

static void reset_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "5", 1) != 1)
        give_up("clear_refs");
    close(fd);
}

static uint64_t peak(void)
{
    return books_field("status", "VmHWM:");
}

static uint64_t resident(void)
{
    return books_field("status", "VmRSS:");
}

/* Bytes of these that are in the page cache. */
static uint64_t cached_in(const struct vn_store *s, uint64_t offset, uint64_t bytes)
{
    const uint64_t pages = (bytes + 4095) / 4096;
    unsigned char *in = malloc(pages);
    uint64_t sum = 0;

    if (!in || mincore((void *)(s->data + offset / 4096 * 4096), bytes, in))
        give_up("mincore");
    for (uint64_t i = 0; i < pages; i++)
        sum += (in[i] & 1) * UINT64_C(4096);
    free(in);
    return sum;
}

/* --- runs ------------------------------------------------------------------------------------- */

static uint8_t pixels[24 * 24 * 3];
static const struct vn_image image = {pixels, sizeof pixels, 24, 24, 0, VN_PIXELS_RGB8};

static struct vn_session *new_session(struct vn_store *s, const char *kernels)
{
    struct vn_session *session;
    int r = vn_session_new(s, &(struct vn_compute){vn_kernels_find(kernels), 1}, &session);

    if (r)
        give_up("session: %d", r);
    return session;
}

static void run_path(struct vn_session *session, uint32_t task, uint32_t level,
                     struct vn_infer_result *ret)
{
    const struct vn_network *n = vn_session_store(session)->network;
    uint8_t levels[VN_BLOCKS_MAX];
    struct vn_infer_request q = {
        .task = task, .image = &image, .levels = levels, .n_levels = vn_network_blocks(n)};
    int r;

    memset(levels, (int)level, sizeof levels);
    r = vn_infer(session, &q, NULL, ret);
    if (r)
        give_up("infer: %d", r);
}

static void random_levels(struct vn_rng *r, const struct vn_network *n, uint8_t *levels)
{
    for (uint32_t b = 0; b < vn_network_blocks(n); b++)
        levels[b] = (uint8_t)vn_rng_below(r, n->groups + 1);
}

/* --- streamed runs say the same --------------------------------------------------------------- */

/* With pieces of any size: sums of another order, so that only rounding may differ. */
static void compare_streamed(struct vn_store *s, const char *kernels, uint64_t seed)
{
    const struct vn_network *n = s->network;
    const uint64_t least = vn_stream_least_piece(n, s->layout);
    struct vn_session *session = new_session(s, kernels);
    float logits[2][VN_LABELS_MAX];
    struct vn_rng r = {seed};

    for (uint32_t i = 0; i < 6; i++) {
        uint32_t task = vn_rng_below(&r, n->n_tasks);
        uint8_t levels[VN_BLOCKS_MAX];
        struct vn_plan plan;

        random_levels(&r, n, levels);
        vn_plan_path(vn_session_planner(session), task, levels, vn_network_blocks(n), 0, &plan);
        fill_normal(&r, vn_session_image(session, task), (size_t)24 * 23, 1);
        if (vn_session_run(session, &plan, NULL, logits[0], NULL))
            give_up("run");
        plan.piece_windows = least + (i ? vn_rng_below(&r, 40) : 0);
        if (vn_session_run(session, &plan, NULL, logits[1], NULL))
            give_up("streamed run");
        for (uint32_t k = 0; k < n->tasks[task].n_labels; k++)
            expect(fabsf(logits[0][k] - logits[1][k]) <= 1e-4f * (1 + fabsf(logits[0][k])),
                   "%s, seed %" PRIu64 ", path %u, label %u: streamed %g, else %g", kernels, seed,
                   i, k, (double)logits[1][k], (double)logits[0][k]);
    }
    vn_session_free(session);
}

/* --- streamed runs need what they promise ----------------------------------------------------- */

static void measure_streamed(struct vn_store *s, bool first)
{
    static struct vn_infer_result result;
    struct vn_session *session = new_session(s, "auto");
    uint8_t levels[VN_BLOCKS_MAX];
    struct vn_infer_request q = {.image = &image,
                                 .levels = levels,
                                 .n_levels = vn_network_blocks(s->network),
                                 .streaming = true};
    uint64_t before, grown, full;

    memset(levels, (int)s->network->groups, sizeof levels);
    vn_residency_clear(s);
    run_path(session, 0, 0, &result); /* what a process takes once */
    full = s->layout->data_bytes;
    q.budget_bytes = full / 5;
    reset_peak();
    before = resident();
    if (vn_infer(session, &q, NULL, &result))
        give_up("infer");
    grown = peak() - before;
    printf("streamed, %s: %.1f MB of parameters within %" PRIu64 " KiB, promised %" PRIu64
           " KiB; left after: %" PRIu64 " KiB\n",
           first ? "with a new thread" : "again", (double)full / 1e6, grown / 1024,
           vn_bytes_total(&result.plan.bytes) / 1024, slices_resident(s) / 1024);
    expect(result.plan.piece_windows, "the plan must be streamed");
    expect(result.plan.bytes.params_resident <= full / 10 + fixed_resident(s) + VN_WINDOW_BYTES,
           "two pieces are at most a tenth of the parameters");
    expect(slices_resident(s) == 0, "nothing may stay after the run");
#ifndef __SANITIZE_ADDRESS__ /* shadow memory is not ours to promise; a thread's stack is its own */
    expect(grown <= vn_bytes_total(&result.plan.bytes) + 65536, "more than the plan promised");
#endif
    vn_session_free(session);
}

static void refuse_what_does_not_fit(struct vn_store *s)
{
    static struct vn_infer_result result;
    struct vn_session *session = new_session(s, "auto");
    struct vn_infer_request q = {.image = &image, .budget_bytes = 1 << 20, .streaming = true};
    uint8_t levels[VN_BLOCKS_MAX];
    uint64_t needed;

    memset(levels, (int)s->network->groups, sizeof levels);
    q.levels = levels;
    q.n_levels = vn_network_blocks(s->network);
    expect(vn_infer(session, &q, NULL, &result) == VN_SESSION_E_TOO_SMALL, "1 MiB is too little");
    needed = result.needed_bytes;
    q.budget_bytes = needed;
    expect(!vn_infer(session, &q, NULL, &result), "what it said it needs must be enough");
    q.budget_bytes = needed - 1;
    expect(vn_infer(session, &q, NULL, &result) == VN_SESSION_E_TOO_SMALL, "and no byte less");
    vn_session_free(session);
}

/* --- what was used longest ago goes first ----------------------------------------------------- */

static struct vn_slice slice_of(const struct vn_store *s, uint32_t task, uint32_t block)
{
    return s->layout->trunk.slice[s->network->tasks[task].order[0]][block];
}

static void give_back_oldest(struct vn_residency *r, struct vn_store *s)
{
    static struct vn_infer_result result;
    struct vn_session *session = new_session(s, "auto");
    const struct vn_slice mine = slice_of(s, 0, 6), other = slice_of(s, 1, 6);
    uint64_t one;

    vn_residency_clear(s);
    vn_residency_set_room(r, VN_ROOM_UNLIMITED);
    run_path(session, 0, 1, &result);
    one = vn_store_resident_bytes(s);
    expect(one == result.plan.bytes.params_resident - fixed_resident(s),
           "the books have %" PRIu64 ", the plan %" PRIu64, one,
           result.plan.bytes.params_resident - fixed_resident(s));
    run_path(session, 1, 1, &result);
    expect(vn_store_resident_bytes(s) == 2 * one, "two tasks' first groups are kept");
    expect(slices_resident(s) <= 2 * one, "the kernel has more than the books");
    run_path(session, 0, 1, &result); /* task 1's is the older now */
    vn_residency_trim(r, one);
    expect(vn_store_resident_bytes(s) == one, "one path's worth is kept");
    expect(resident_in(s, mine.offset, mine.bytes) == mine.bytes / 4096 * 4096 ||
               resident_in(s, mine.offset, mine.bytes) >= mine.bytes,
           "what was used last stays");
    expect(!resident_in(s, other.offset, other.bytes), "what was used before that is given back");
    expect(cached_in(s, mine.offset, mine.bytes) >= mine.bytes / 2, "and stays in the cache");
    expect(!cached_in(s, other.offset, other.bytes), "out of the page cache, too");
    vn_residency_set_room(r, one);
    run_path(session, 1, 1, &result);
    expect(vn_store_resident_bytes(s) == one, "a run makes room for itself");
    expect(!resident_in(s, mine.offset, mine.bytes), "by what is the oldest now");
    vn_residency_set_room(r, 0);
    expect(!vn_residency_bytes(r) && !slices_resident(s), "less room is made at once");
    run_path(session, 0, 1, &result); /* what it holds is not taken from it */
    expect(!vn_residency_bytes(r) && !slices_resident(s), "without room nothing is kept");
    vn_session_free(session);
}

/* --- many at once ----------------------------------------------------------------------------- */

#define WORKERS 3

struct load {
    struct vn_store *stores[2];
    uint32_t runs;
    uint64_t seed, most; /* bytes: the largest plan that may be run, without scratch */
};

/* Random tasks, paths, budgets, streamed or not. */
static void run_random(struct vn_session *session, struct vn_rng *r, uint64_t most)
{
    const struct vn_network *n = vn_session_store(session)->network;
    uint32_t kind = vn_rng_below(r, 3);
    uint8_t levels[VN_BLOCKS_MAX];
    struct vn_infer_result result;
    struct vn_infer_request q = {
        .task = vn_rng_below(r, n->n_tasks),
        .image = &image,
        .agent = n->agent.kind,
        .streaming = vn_rng_below(r, 3) == 0,
        .budget_bytes = most,
    };
    int e;

    random_levels(r, n, levels);
    if (kind == 0) {
        q.levels = levels;
        q.n_levels = vn_network_blocks(n);
    } else if (kind == 1) {
        q.budget_bytes = most / 2 + vn_rng_below(r, (uint32_t)(most / 2));
    }
    e = vn_infer(session, &q, NULL, &result);
    expect(!e || e == VN_SESSION_E_TOO_SMALL, "a run: %d", e);
    expect(e || vn_bytes_total(&result.plan.bytes) <= q.budget_bytes, "above its budget");
}

static void *work(void *argument)
{
    const struct load *l = argument;
    struct vn_session *sessions[2];
    struct vn_rng r = {l->seed};

    for (int i = 0; i < 2; i++)
        sessions[i] = new_session(l->stores[i], "auto");
    for (uint32_t i = 0; i < l->runs; i++)
        run_random(sessions[vn_rng_below(&r, 2)], &r, l->most);
    for (int i = 0; i < 2; i++)
        vn_session_free(sessions[i]);
    return NULL;
}

/* At no moment more than the room; at the end, no more than the books say. */
static void run_many(struct vn_residency *r, struct vn_store *a, struct vn_store *b, uint64_t seed,
                     uint32_t runs)
{
    pthread_t threads[WORKERS];
    struct load loads[WORKERS];
    uint64_t most = a->layout->data_bytes / 3 + 4 * seed % 7 * 100000, room = WORKERS * most;
    uint64_t scratch =
        vn_scratch_bytes(a->network, 0, NULL) + vn_scratch_bytes(b->network, 0, NULL);
    uint64_t before, grown;

    vn_residency_trim(r, 0);
    vn_residency_set_room(r, room);
    reset_peak();
    before = resident();
    for (uint32_t i = 0; i < WORKERS; i++) {
        loads[i] = (struct load){{a, b}, runs, seed * 100 + i, most};
        if (pthread_create(&threads[i], NULL, work, &loads[i]))
            give_up("thread");
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    grown = peak() - before;
    printf("%u threads, %u runs each: peak %" PRIu64 " KiB; room %" PRIu64 " and scratch %" PRIu64
           " KiB; kept %" PRIu64 " KiB, by the kernel %" PRIu64 " KiB\n",
           WORKERS, runs, grown / 1024, room / 1024, WORKERS * scratch / 1024,
           vn_residency_bytes(r) / 1024, (slices_resident(a) + slices_resident(b)) / 1024);
    expect(vn_residency_bytes(r) <= room, "kept more than there is room for");
    expect(slices_resident(a) <= vn_store_resident_bytes(a) &&
               slices_resident(b) <= vn_store_resident_bytes(b),
           "the kernel has more than the books");
#ifndef __SANITIZE_ADDRESS__
    expect(grown <= room + WORKERS * (scratch + (512 << 10)), "more than the room, at its peak");
#endif
}

static struct vn_store *make_store(const struct net_spec *spec, const char *name)
{
    struct vn_network *n = spec_network(spec);
    const char *file = scratch_file(name);
    struct vn_store *s;

    write_numbers(file, n, 1);
    s = open_store(file);
    unlink(file);
    vn_network_free(n);
    return s;
}

int main(void)
{
    struct vn_store *a = make_store(&large, "large"), *b = make_store(&dense, "dense");
    struct vn_residency *r;
#ifdef __SANITIZE_ADDRESS__
    const uint32_t runs = 40;
#else
    const uint32_t runs = 400;
#endif

    setvbuf(stdout, NULL, _IOLBF, 0);
    books_init();
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        compare_streamed(a, "auto", seed);
        compare_streamed(b, seed % 2 ? "ref" : "gemm", seed);
    }
    measure_streamed(a, true);
    if (vn_residency_new(&r) || vn_residency_join(r, a) || vn_residency_join(r, b))
        give_up("residency");
    measure_streamed(a, false);
    refuse_what_does_not_fit(a);
    give_back_oldest(r, a);
    for (uint64_t seed = 1; seed <= 3; seed++)
        run_many(r, a, b, seed, runs);
    vn_store_unref(a);
    expect(vn_residency_bytes(r) == vn_store_resident_bytes(b), "a store takes its own along");
    vn_store_unref(b);
    expect(!vn_residency_bytes(r), "and so does the last");
    vn_residency_free(r);
    return failures ? 1 : 0;
}
