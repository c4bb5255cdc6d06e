/* The engine as a worker of bench/run: asked line by line on standard input, answers "ok ..." or
 * "error ..." in one line, as bench/vnbench/worker.py describes.
 *
 *     load STORE TASK LEVEL,LEVEL,... IMAGE    IMAGE: a file of floats (h, w, c) behind three sides
 *     run WARM N                               durations of the N runs in nanoseconds
 *     logits | memory | quit
 *     plan                                     bytes: params, params_resident, scratch, io
 *
 *     engine [--threads N] [--kernels NAME] */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "engine/blas.h"
#include "engine/session.h"

#define RUNS_MAX 100000 /* of one line */

struct worker {
    const struct vn_kernels *kernels;
    unsigned threads;
    struct vn_store *store;
    struct vn_session *session;
    struct vn_plan plan;
    float logits[VN_LABELS_MAX];
};

static int complain(const char *what, const char *why)
{
    printf("error %s%s%s\n", what, *why ? ": " : "", why);
    return 1;
}

/* --- load ------------------------------------------------------------------------------------- */

static int read_levels(const struct worker *w, char *words, uint8_t *ret_levels, uint32_t *ret_n)
{
    char *rest = NULL;
    uint32_t n = 0;

    for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (n == VN_BLOCKS_MAX)
            return -EINVAL;
        ret_levels[n++] = (uint8_t)strtoul(word, NULL, 10);
    }
    *ret_n = n;
    return 0;
}

/* The prepared image, as the other runtimes get it. */
static int read_image(struct worker *w, const char *file)
{
    const struct vn_network *n = w->store->network;
    const struct vn_input *in = &n->inputs[n->tasks[w->plan.task].input];
    const uint32_t channels = vn_color_channels(in->color);
    const size_t floats = (size_t)in->height * in->width * channels;
    uint32_t sides[3];
    FILE *f = fopen(file, "rb");
    bool whole;

    if (!f)
        return -errno;
    whole = fread(sides, sizeof sides, 1, f) == 1 && sides[0] == in->height &&
            sides[1] == in->width && sides[2] == channels &&
            fread(vn_session_image(w->session, w->plan.task), sizeof(float), floats, f) == floats;
    fclose(f);
    return whole ? 0 : -EINVAL;
}

/* The one place that says how many threads a run uses. */
static int new_session(struct worker *w)
{
    return vn_session_new(w->store, &(struct vn_compute){w->kernels, w->threads}, &w->session);
}

static int load(struct worker *w, char *const args[4])
{
    struct vn_why why = {""};
    uint8_t levels[VN_BLOCKS_MAX];
    uint32_t n = 0;
    const uint32_t task = (uint32_t)strtoul(args[1], NULL, 10);
    int r;

    w->session = vn_session_free(w->session);
    w->store = vn_store_unref(w->store);
    if (vn_store_open(args[0], &why, &w->store))
        return complain("store", why.text);
    r = new_session(w);
    if (r)
        return complain("session", strerror(-r));
    if (task >= w->store->network->n_tasks || read_levels(w, args[2], levels, &n) ||
        vn_plan_path(vn_session_planner(w->session), task, levels, n, 0, &w->plan))
        return complain("no such path", "");
    r = read_image(w, args[3]);
    return r ? complain("image", strerror(-r)) : 0;
}

/* --- run -------------------------------------------------------------------------------------- */

static int run(struct worker *w, unsigned long warm, unsigned long n)
{
    static uint64_t took[RUNS_MAX];

    if (!w->session || n > RUNS_MAX)
        return complain("run", "nothing is loaded, or too many runs");
    for (unsigned long i = 0; i < warm + n; i++) {
        uint64_t start = vn_now_ns();

        if (vn_session_run(w->session, &w->plan, NULL, w->logits, NULL))
            return complain("run", "");
        if (i >= warm)
            took[i - warm] = vn_now_ns() - start;
    }
    printf("ok");
    for (unsigned long i = 0; i < n; i++)
        printf(" %" PRIu64, took[i]);
    putchar('\n');
    return 0;
}

static void print_logits(const struct worker *w)
{
    printf("ok");
    for (uint32_t i = 0; w->store && i < w->store->network->tasks[w->plan.task].n_labels; i++)
        printf(" %.9g", (double)w->logits[i]);
    putchar('\n');
}

static void print_memory(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Pss: %lu", &kib) == 1)
            break;
    if (f)
        fclose(f);
    printf("ok %lu\n", kib * 1024);
}

static void print_plan(const struct vn_plan *p)
{
    printf("ok %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", p->bytes.params,
           p->bytes.params_resident, p->bytes.scratch, p->bytes.io);
}

/* --- lines ------------------------------------------------------------------------------------ */

enum { WORDS_MAX = 5 };

static void answer(struct worker *w, char *line)
{
    char *words[WORDS_MAX] = {NULL}, *rest = NULL;
    unsigned n = 0;

    for (char *word = strtok_r(line, " \n", &rest); word && n < WORDS_MAX;
         word = strtok_r(NULL, " \n", &rest))
        words[n++] = word;
    if (n == 5 && !strcmp(words[0], "load")) {
        if (!load(w, words + 1))
            puts("ok");
    } else if (n == 3 && !strcmp(words[0], "run")) {
        run(w, strtoul(words[1], NULL, 10), strtoul(words[2], NULL, 10));
    } else if (n == 1 && !strcmp(words[0], "logits")) {
        print_logits(w);
    } else if (n == 1 && !strcmp(words[0], "memory")) {
        print_memory();
    } else if (n == 1 && !strcmp(words[0], "plan")) {
        print_plan(&w->plan);
    } else {
        complain("no such command", n ? words[0] : "");
    }
}

static int read_options(int argc, char **argv, struct worker *w)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'}, {"kernels", required_argument, NULL, 'k'}, {0}};
    int c;

    w->threads = 1;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 't')
            w->threads = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'k' && !(w->kernels = vn_kernels_find(optarg)))
            return -EINVAL;
        else if (c != 'k')
            return -EINVAL;
    }
    return optind == argc ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
    struct worker w = {0};
    char line[65536];

    vn_blas_single_thread(argv);
    if (read_options(argc, argv, &w)) {
        fputs("usage: engine [--threads N] [--kernels NAME]\n", stderr);
        return 2;
    }
    /* a worker that is stopped does not see its driver die */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (fgets(line, sizeof line, stdin) && strcmp(line, "quit\n")) {
        answer(&w, line);
        fflush(stdout);
    }
    vn_session_free(w.session);
    vn_store_unref(w.store);
    return 0;
}
