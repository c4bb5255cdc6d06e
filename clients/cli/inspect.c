/* virtualnet inspect: what is in a store file, without a daemon. */
#include <string.h>

#include "base/bytes.h"
#include "clients/cli/cli.h"
#include "engine/layout.h"
#include "engine/plan.h"
#include "engine/store.h"

struct inspection {
    struct vn_store *store;     /* owned */
    struct vn_planner *planner; /* owned */
    const struct vn_network *network;
    const struct vn_layout *layout;
    bool slices, json;
};

static const struct option options[] = {
    {"slices", no_argument, NULL, 's'},
    {"json", no_argument, NULL, 'J'},
    {0},
};

static void deinit(struct inspection *i)
{
    vn_planner_free(i->planner);
    vn_store_unref(i->store);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *json_of_plan(const struct vn_plan *p, uint32_t level)
{
    return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:I}", "level", (json_int_t)level, "density",
                     vn_cli_json_number(p->density), "params", (json_int_t)p->bytes.params,
                     "params_resident", (json_int_t)p->bytes.params_resident, "scratch",
                     (json_int_t)p->bytes.scratch, "io", (json_int_t)p->bytes.io, "total",
                     (json_int_t)vn_bytes_total(&p->bytes));
}

static json_t *json_of_levels(const struct inspection *i)
{
    json_t *tasks = json_object();

    for (uint32_t t = 0; t < i->network->n_tasks; t++) {
        json_t *rows = json_array();
        struct vn_plan plan;

        for (uint32_t level = 0; level <= i->network->groups; level++) {
            vn_plan_uniform(i->planner, t, level, 0, &plan);
            json_array_append_new(rows, json_of_plan(&plan, level));
        }
        json_object_set_new(tasks, i->network->tasks[t].name, rows);
    }
    return tasks;
}

static json_t *json_of_slices(const struct inspection *i)
{
    json_t *rows = json_array();

    for (uint32_t g = 0; g < i->network->groups; g++)
        for (uint32_t b = 0; b < vn_network_blocks(i->network); b++) {
            const struct vn_slice *s = &i->layout->trunk.slice[g][b];

            json_array_append_new(
                rows, json_pack("{s:I, s:I, s:I, s:I, s:I}", "group", (json_int_t)g, "block",
                                (json_int_t)b, "offset", (json_int_t)s->offset, "bytes",
                                (json_int_t)s->bytes, "params", (json_int_t)s->params));
        }
    return rows;
}

static int print_as_json(const struct inspection *i)
{
    return vn_cli_print_json(
        json_pack("{s:I, s:I, s:I, s:o, s:o, s:o}", "file_bytes", (json_int_t)i->store->file_bytes,
                  "data_bytes", (json_int_t)i->layout->data_bytes, "fixed_bytes",
                  (json_int_t)i->layout->fixed_bytes, "network", vn_network_to_json(i->network),
                  "levels", json_of_levels(i), "slices", json_of_slices(i)));
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_network(const struct inspection *i)
{
    const struct vn_network *n = i->network;
    char file[VN_BYTES_TEXT], fixed[VN_BYTES_TEXT];

    printf("network ");
    vn_cli_text(n->name, 0);
    printf(": %u blocks of %u groups in %u stages, agent: %s\n", vn_network_blocks(n), n->groups,
           n->n_stages, vn_agent_kind_names[n->agent.kind]);
    printf("file    %s, of which %s (stems, agent, heads) serve every path\n",
           vn_bytes_format(i->store->file_bytes, file),
           vn_bytes_format(i->layout->fixed_bytes, fixed));
    for (uint32_t k = 0; k < n->n_inputs; k++) {
        const struct vn_input *input = &n->inputs[k];

        printf("input   ");
        vn_cli_text(input->name, 0);
        printf(": %u x %u %s, crop: %s, stem %u x %u, stride %u, to %u channels\n", input->width,
               input->height, vn_color_names[input->color], vn_crop_names[input->crop],
               input->stem_kernel, input->stem_kernel, input->stem_stride, n->stem_width);
    }
    for (uint32_t k = 0; k < n->n_stages; k++)
        printf("stage   %u blocks, width %u, group width %u, stride %u\n", n->stages[k].blocks,
               n->stages[k].width, n->stages[k].group_width, n->stages[k].stride);
}

static void print_order(const struct vn_task *t, uint32_t groups)
{
    for (uint32_t g = 0; g < groups; g++)
        printf(g ? ",%u" : "%u", t->order[g]);
}

static bool is_uniform(const struct vn_measured *m)
{
    return !strcmp(m->by, vn_agent_kind_names[VN_AGENT_UNIFORM]);
}

/* One line: a level, or the agent within a budget. params and resident are in bytes. */
static void print_cost(const char *name, double density, double params, double resident,
                       uint64_t scratch, uint64_t total)
{
    char text[4][VN_BYTES_TEXT];

    printf("  %5s  %7.3f %12s %12s %12s %12s", name, density,
           vn_bytes_format((uint64_t)params, text[0]), vn_bytes_format((uint64_t)resident, text[1]),
           vn_bytes_format(scratch, text[2]), vn_bytes_format(total, text[3]));
}

static void print_level(const struct inspection *i, uint32_t task, uint32_t level)
{
    const struct vn_task *t = &i->network->tasks[task];
    char name[16];
    struct vn_plan p;

    vn_plan_uniform(i->planner, task, level, 0, &p);
    snprintf(name, sizeof name, "%u", level);
    print_cost(name, p.density, (double)p.bytes.params, (double)p.bytes.params_resident,
               p.bytes.scratch, vn_bytes_total(&p.bytes));
    for (uint32_t k = 0; k < t->n_measured; k++)
        if (is_uniform(&t->measured[k]) && t->measured[k].setting == level)
            printf("  %7.2f %%", 100 * t->measured[k].accuracy);
    putchar('\n');
}

/* Means over the validation images; TOTAL is the budget. */
static void print_agent(const struct inspection *i, uint32_t task, const struct vn_measured *m)
{
    struct vn_plan full;

    vn_plan_uniform(i->planner, task, i->network->groups, 0, &full);
    print_cost("agent", m->params / (double)vn_plan_params(&full), m->params * sizeof(float),
               m->bytes, full.bytes.scratch, vn_plan_measured_budget(i->planner, task, m));
    printf("  %7.2f %%\n", 100 * m->accuracy);
}

static void print_levels(const struct inspection *i, uint32_t task)
{
    const struct vn_task *t = &i->network->tasks[task];

    printf("  LEVEL  DENSITY   PARAMETERS     RESIDENT  ACTIVATIONS        TOTAL%s\n",
           t->n_measured ? "   ACCURACY" : "");
    for (uint32_t level = 0; level <= i->network->groups; level++)
        print_level(i, task, level);
    for (uint32_t k = 0; k < t->n_measured; k++)
        if (!is_uniform(&t->measured[k]))
            print_agent(i, task, &t->measured[k]);
}

static void print_task(const struct inspection *i, uint32_t task)
{
    const struct vn_task *t = &i->network->tasks[task];

    printf("\ntask ");
    vn_cli_text(t->name, 0);
    printf(": input ");
    vn_cli_text(i->network->inputs[t->input].name, 0);
    printf(", %u labels, groups in the order ", t->n_labels);
    print_order(t, i->network->groups);
    printf("\n");
    print_levels(i, task);
}

static void print_slices(const struct inspection *i)
{
    char bytes[VN_BYTES_TEXT];

    printf("\nslices (offsets count from the start of the data)\n");
    printf("  GROUP  BLOCK        OFFSET         SIZE   PARAMETERS\n");
    for (uint32_t g = 0; g < i->network->groups; g++)
        for (uint32_t b = 0; b < vn_network_blocks(i->network); b++) {
            const struct vn_slice *s = &i->layout->trunk.slice[g][b];

            printf("  %5u  %5u  %12ju %12s %12ju\n", g, b, (uintmax_t)s->offset,
                   vn_bytes_format(s->bytes, bytes), (uintmax_t)s->params);
        }
}

static void print_as_text(const struct inspection *i)
{
    print_network(i);
    for (uint32_t t = 0; t < i->network->n_tasks; t++)
        print_task(i, t);
    if (i->slices)
        print_slices(i);
}

/* ---------------------------------------------------------------------------------------------- */

static int inspect_file(const char *file, struct inspection *i)
{
    struct vn_why why;

    if (vn_store_open(file, &why, &i->store))
        return vn_cli_sorry(i->json, VN_EXIT_INPUT, NULL, why.text);
    i->network = i->store->network;
    i->layout = i->store->layout;
    if (vn_planner_new(i->network, i->layout, NULL, &i->planner))
        return vn_cli_sorry(i->json, VN_EXIT_SYSTEM, file, "no memory");
    if (i->json)
        return print_as_json(i);
    print_as_text(i);
    return VN_EXIT_OK;
}

static int inspect(int argc, char **argv)
{
    _cleanup_(deinit) struct inspection i = {0};
    struct vn_cli_common unused = VN_CLI_COMMON;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 's')
            i.slices = true;
        else if (option == 'J')
            i.json = true;
        else if (!vn_cli_common_option("inspect", option, optarg, &unused))
            return VN_EXIT_USAGE;
    }
    if (argc - optind != 1)
        return vn_cli_usage("inspect", "which store? Give one file");
    return inspect_file(argv[optind], &i);
}

const struct vn_command vn_command_inspect = {
    .name = "inspect",
    .summary = "show what a store file holds and what its levels cost",
    .run = inspect,
    .help =
        "usage: virtualnet inspect [--slices] [--json] STORE\n"
        "\n"
        "Reads a store file, no daemon needed: network, inputs, tasks, and for each task what\n"
        "each uniform level costs. RESIDENT is what the parameters occupy in memory, whole\n"
        "64 KiB windows; TOTAL adds activations, image and result: it is what a budget is held\n"
        "against. ACCURACY is of the validation split, where the store carries its table; the\n"
        "agent's rows are means over the images, within a budget of TOTAL.\n"
        "\n"
        "options:\n"
        "  --slices         also list every slice: group, block, place, size\n"
        "  --json           print JSON, with everything\n"
        "\n"
        "examples:\n"
        "  virtualnet inspect models/fashion-mnist/store.safetensors\n"
        "  virtualnet inspect --json store.safetensors | jq .network.tasks[].name\n",
};
