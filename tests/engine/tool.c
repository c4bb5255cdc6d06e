/* A store for scripts to look into, and runs of it:
 *     tool make NETWORK.json STORE SEED
 *     tool run STORE TASK LEVEL,LEVEL,... gray|rgb WIDTH HEIGHT < PIXELS      prints the logits
 *     tool plan STORE TASK LEVEL,LEVEL,...                                    prints parameters */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/session.h"
#include "support.h"

static int make(const char *network_file, const char *file, uint64_t seed)
{
    _cleanup_(vn_freep) char *text = NULL;
    _cleanup_(json_decrefp) json_t *json = NULL;
    _cleanup_(vn_network_freep) struct vn_network *n = NULL;
    struct vn_why why;
    struct vn_json_at at;

    if (vn_json_load(network_file, 1 << 24, &why, &text, &json))
        give_up("%s", why.text);
    at = vn_json_root(json, text, &why);
    if (vn_network_read(&at, &n))
        give_up("%s", why.text);
    write_numbers(file, n, seed);
    return 0;
}

static void read_plan(const struct vn_session *s, char *levels, uint32_t task,
                      struct vn_plan *ret_plan)
{
    uint8_t path[VN_BLOCKS_MAX];
    uint32_t n = 0;

    for (char *word = strtok(levels, ","); word && n < VN_BLOCKS_MAX; word = strtok(NULL, ","))
        path[n++] = (uint8_t)atoi(word);
    if (task >= vn_session_store(s)->network->n_tasks ||
        vn_plan_path(vn_session_planner(s), task, path, n, 0, ret_plan))
        give_up("no such path");
}

static void run(struct vn_session *s, const struct vn_plan *plan, char *const args[])
{
    const struct vn_network *n = vn_session_store(s)->network;
    const struct vn_task *t = &n->tasks[plan->task];
    static uint8_t pixels[1 << 20];
    static float logits[VN_LABELS_MAX];
    struct vn_image image = {
        .pixels = pixels,
        .length = fread(pixels, 1, sizeof pixels, stdin),
        .format = strcmp(args[0], "gray") ? VN_PIXELS_RGB8 : VN_PIXELS_GRAY8,
        .width = (uint32_t)atoi(args[1]),
        .height = (uint32_t)atoi(args[2]),
    };
    struct vn_why why;

    if (vn_image_check(&image, &why))
        give_up("%s", why.text);
    vn_image_preprocess(&n->inputs[t->input], &image, vn_session_image(s, plan->task));
    if (vn_session_run(s, plan, NULL, logits, NULL))
        give_up("run");
    for (uint32_t l = 0; l < t->n_labels; l++)
        printf("%.9g\n", (double)logits[l]);
}

int main(int argc, char **argv)
{
    _cleanup_(vn_store_unrefp) struct vn_store *store = NULL;
    _cleanup_(vn_session_freep) struct vn_session *s = NULL;
    struct vn_plan plan;

    if (argc == 5 && !strcmp(argv[1], "make"))
        return make(argv[2], argv[3], strtoull(argv[4], NULL, 10));
    if (argc < 5)
        give_up("usage: see tool.c");
    store = open_store(argv[2]);
    if (vn_session_new(store, NULL, &s))
        give_up("session");
    read_plan(s, argv[4], (uint32_t)atoi(argv[3]), &plan);
    if (argc == 8 && !strcmp(argv[1], "run"))
        run(s, &plan, argv + 5);
    else
        printf("%" PRIu64 "\n", vn_plan_params(&plan));
    return 0;
}
