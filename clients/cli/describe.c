/* virtualnet describe: the tasks of one of the daemon's stores, with labels, costs and accuracy. */
#include <string.h>

#include "base/bytes.h"
#include "clients/cli/measured.h"

#define LABELS_SHOWN 12 /* without --labels */

static const struct option options[] = {
    {"labels", no_argument, NULL, 'a'},
    {"store", required_argument, NULL, 'o'},
    VN_CLI_COMMON_OPTIONS,
    {0},
};

static json_t *json_of_task(const struct vn_client_task *t)
{
    json_t *labels = json_array(), *measured = json_array();

    for (size_t i = 0; i < t->n_labels; i++)
        json_array_append_new(labels, vn_cli_json_text(t->labels[i]));
    for (size_t i = 0; i < t->n_measured; i++)
        json_array_append_new(measured, vn_cli_json_measured(&t->measured[i]));
    return json_pack(
        "{s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "name",
        vn_cli_json_text(t->name), "input", vn_cli_json_text(t->input), "width",
        (json_int_t)t->width, "height", (json_int_t)t->height, "color", vn_cli_json_text(t->color),
        "label", labels, "order", vn_cli_json_levels(t->order, t->n_order), "smallest",
        vn_cli_json_bytes(&t->smallest), "largest", vn_cli_json_bytes(&t->largest),
        "default_budget_bytes", (json_int_t)t->default_budget_bytes, "measured", measured);
}

static json_t *json_of_stores(const struct vn_client_description *d)
{
    json_t *stores = json_array();

    for (size_t i = 0; i < d->n_stores; i++) {
        const struct vn_client_store *s = &d->stores[i];
        json_t *tasks = json_array();

        for (size_t t = 0; t < s->n_tasks; t++)
            json_array_append_new(tasks, vn_cli_json_text(s->tasks[t]));
        json_array_append_new(
            stores, json_pack("{s:o, s:b, s:o, s:o}", "name", vn_cli_json_text(s->name), "loaded",
                              s->loaded, "network", vn_cli_json_text(s->network), "task", tasks));
    }
    return stores;
}

static int print_as_json(const struct vn_client_description *d)
{
    json_t *tasks = json_array();

    for (size_t i = 0; i < d->n_tasks; i++)
        json_array_append_new(tasks, json_of_task(&d->tasks[i]));
    return vn_cli_print_json(
        json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o}", "name",
                  vn_cli_json_text(d->name), "store", vn_cli_json_text(d->store), "version",
                  vn_cli_json_text(d->version), "agent", vn_cli_json_text(d->agent), "blocks",
                  (json_int_t)d->blocks, "groups", (json_int_t)d->groups, "frame_limit_bytes",
                  (json_int_t)d->frame_limit_bytes, "task", tasks, "known", json_of_stores(d)));
}

static void print_labels(const struct vn_client_task *t, bool all)
{
    size_t shown = all || t->n_labels <= LABELS_SHOWN ? t->n_labels : LABELS_SHOWN;

    printf("  labels   ");
    for (size_t i = 0; i < shown; i++) {
        fputs(i ? ", " : "", stdout);
        vn_cli_text(t->labels[i], 0);
    }
    if (shown < t->n_labels)
        printf(", ... (%zu in all; --labels shows them)", t->n_labels);
    putchar('\n');
}

static void print_task(const struct vn_client_task *t, bool all_labels)
{
    char smallest[VN_BYTES_TEXT], largest[VN_BYTES_TEXT], budget[VN_BYTES_TEXT];

    printf("\ntask ");
    vn_cli_text(t->name, 0);
    printf("\n  input    %u x %u, ", t->width, t->height);
    vn_cli_text(t->color, 0);
    printf("; other sizes are resized\n");
    print_labels(t, all_labels);
    printf("  memory   %s (smallest path) to %s (full path); default budget: %s\n",
           vn_bytes_format(t->smallest.total, smallest), vn_bytes_format(t->largest.total, largest),
           t->default_budget_bytes ? vn_bytes_format(t->default_budget_bytes, budget) : "none");
    vn_cli_print_measured(t);
}

/* The others, which --store shows. */
static void print_stores(const struct vn_client_description *d)
{
    for (size_t i = 0; i < d->n_stores; i++) {
        const struct vn_client_store *s = &d->stores[i];

        if (!strcmp(s->name, d->name))
            continue;
        printf("\nstore ");
        vn_cli_text(s->name, 0);
        printf(s->loaded ? ": tasks " : ": NOT LOADED, its file could not be used");
        for (size_t t = 0; t < s->n_tasks; t++) {
            fputs(t ? ", " : "", stdout);
            vn_cli_text(s->tasks[t], 0);
        }
        printf("\n  'virtualnet describe --store ");
        vn_cli_text(s->name, 0);
        puts("' describes them");
    }
}

static void print_as_text(const struct vn_client_description *d, bool all_labels)
{
    printf("store ");
    if (d->n_stores > 1) {
        vn_cli_text(d->name, 0);
        printf(", network ");
    }
    vn_cli_text(d->store, 0);
    printf(": %u blocks of %u groups, agent: ", d->blocks, d->groups);
    vn_cli_text(d->agent, 0);
    printf("; virtualnetd ");
    vn_cli_text(d->version, 0);
    putchar('\n');
    for (size_t i = 0; i < d->n_tasks; i++)
        print_task(&d->tasks[i], all_labels);
    print_stores(d);
}

static int ask(const struct vn_cli_common *common, const char *store, const char *task,
               bool all_labels)
{
    _cleanup_(vn_client_freep) struct vn_client *client = NULL;
    _cleanup_(vn_client_reply_freep) struct vn_client_reply *reply = NULL;
    int code = vn_cli_connect(common, &client);

    if (code)
        return code;
    if (vn_client_describe_store(client, store, task, common->timeout_ms, &reply))
        return vn_cli_failed(common, NULL, vn_client_last_error(client));
    if (common->json)
        return print_as_json(reply->description);
    print_as_text(reply->description, all_labels);
    return VN_EXIT_OK;
}

static int describe(int argc, char **argv)
{
    struct vn_cli_common common = VN_CLI_COMMON;
    const char *store = NULL;
    bool all_labels = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'a')
            all_labels = true;
        else if (option == 'o')
            store = optarg;
        else if (!vn_cli_common_option("describe", option, optarg, &common))
            return VN_EXIT_USAGE;
    }
    if (argc - optind > 1)
        return vn_cli_usage("describe", "one task at most, not %d", argc - optind);
    return ask(&common, store, argv[optind], all_labels);
}

const struct vn_command vn_command_describe = {
    .name = "describe",
    .summary = "list the tasks: labels, memory range, measured accuracy",
    .run = describe,
    .help = "usage: virtualnet describe [OPTION ...] [TASK]\n"
            "\n"
            "Shows what the daemon's store can answer. 'memory' is the range in which a budget\n"
            "makes a difference: below it a request is refused, above it nothing is gained.\n"
            "Where the store carries its accuracy table, each row is a budget and the share of\n"
            "validation images that were answered rightly within it: by the agent, or at one\n"
            "level in every block ('--uniform --budget'). PARAMETERS and RESIDENT are means of\n"
            "the paths; 'virtualnet plan --accuracy' picks a row.\n"
            "\n"
            "options:\n"
            "  --store NAME     the store of this name, instead of the default one\n"
            "  --labels         print all labels of a task, however many\n" VN_CLI_COMMON_HELP "\n"
            "examples:\n"
            "  virtualnet describe\n"
            "  virtualnet describe garment --labels\n"
            "  virtualnet describe --json | jq '.task[] | {name, smallest: .smallest.total}'\n",
};
