/* The engine as a worker of bench/run (bench/worker.h).
 *
 *     engine [--threads N] [--kernels NAME]
 *
 *     load STORE TASK LEVEL,LEVEL,... IMAGE
 *     plan        of the loaded path: bytes of params, params_resident, scratch, io; density */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/worker.h"
#include "engine/session.h"

struct engine {
    struct vn_compute compute;
    struct vn_store *store;
    struct vn_session *session;
    struct vn_plan plan;
    float logits[VN_LABELS_MAX];
    struct vn_why why;
};

static int read_levels(char *words, uint8_t *ret_levels, uint32_t *ret_n)
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

static bool fits(const struct vn_input *in, const struct worker_image *image)
{
    return image->h == in->height && image->w == in->width &&
           image->c == vn_color_channels(in->color);
}

static const char *load(void *runtime, char *const *words, unsigned n,
                        const struct worker_image *image)
{
    struct engine *e = runtime;
    uint8_t levels[VN_BLOCKS_MAX];
    uint32_t n_levels = 0, task;
    const struct vn_network *network;
    int r;

    e->session = vn_session_free(e->session);
    e->store = vn_store_unref(e->store);
    if (n != 3)
        return "not STORE TASK LEVELS IMAGE";
    if (vn_store_open(words[0], &e->why, &e->store))
        return e->why.text;
    r = vn_session_new(e->store, &e->compute, &e->session);
    if (r)
        return strerror(-r);
    network = e->store->network;
    task = (uint32_t)strtoul(words[1], NULL, 10);
    if (task >= network->n_tasks || read_levels(words[2], levels, &n_levels) ||
        vn_plan_path(vn_session_planner(e->session), task, levels, n_levels, 0, &e->plan))
        return "no such path";
    if (!fits(&network->inputs[network->tasks[task].input], image))
        return "the image does not fit the input";
    memcpy(vn_session_image(e->session, task), image->pixels,
           sizeof(float) * image->h * image->w * image->c);
    return NULL;
}

static const char *run(void *runtime)
{
    struct engine *e = runtime;

    if (!e->session || vn_session_run(e->session, &e->plan, NULL, e->logits, NULL))
        return "nothing is loaded";
    return NULL;
}

static const float *logits(void *runtime, uint32_t *ret_n)
{
    const struct engine *e = runtime;

    *ret_n = e->store ? e->store->network->tasks[e->plan.task].n_labels : 0;
    return e->logits;
}

static bool other(void *runtime, char *const *words, unsigned n)
{
    const struct vn_plan *p = &((const struct engine *)runtime)->plan;

    if (n != 1 || strcmp(words[0], "plan"))
        return false;
    printf("ok %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %.6f\n", p->bytes.params,
           p->bytes.params_resident, p->bytes.scratch, p->bytes.io, p->density);
    return true;
}

static int read_options(int argc, char **argv, struct engine *e)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'}, {"kernels", required_argument, NULL, 'k'}, {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 't')
            e->compute.threads = (uint32_t)strtoul(optarg, NULL, 10);
        else if (c != 'k' || !(e->compute.kernels = vn_kernels_find(optarg)))
            return -EINVAL;
    }
    return optind == argc ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
    static struct engine e;
    const struct worker w = {&e, load, run, logits, other};

    if (read_options(argc, argv, &e)) {
        fputs("usage: engine [--threads N] [--kernels NAME]\n", stderr);
        return 2;
    }
    worker_serve(&w);
    vn_session_free(e.session);
    vn_store_unref(e.store);
    return 0;
}
