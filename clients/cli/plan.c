/* virtualnet plan: what the daemon would pick for a request and what it would cost, without running
 * it. */
#include <string.h>

#include "base/bytes.h"
#include "clients/cli/measured.h"
#include "clients/cli/request.h"

static const struct option options[] = {
    VN_CLI_REQUEST_OPTIONS,
    {0},
};

static void print_bytes(const struct vn_client_bytes *b)
{
    char total[VN_BYTES_TEXT], resident[VN_BYTES_TEXT], exact[VN_BYTES_TEXT];
    char scratch[VN_BYTES_TEXT], io[VN_BYTES_TEXT];

    printf("promised    %s\n", vn_bytes_format(b->total, total));
    printf("  parameters        %10s  the 64 KiB windows that they touch; exactly %s\n",
           vn_bytes_format(b->params_resident, resident), vn_bytes_format(b->params, exact));
    printf("  activations       %10s\n", vn_bytes_format(b->scratch, scratch));
    printf("  image and result  %10s\n", vn_bytes_format(b->io, io));
}

static void print_accuracy(const struct vn_client_answer *a, const struct vn_client_measured *m)
{
    char how[VN_CLI_HOW_TEXT], budget[VN_CLI_BUDGET_TEXT];

    if (!m)
        return;
    printf("accuracy    %.2f %% of the validation images, ", 100 * m->accuracy);
    vn_cli_text(vn_cli_how(m, how), 0);
    if (strcmp(m->by, "uniform"))
        printf(" within %s%s\n", vn_cli_budget(m->budget_bytes, budget),
               strcmp(m->by, a->decided_by) ? " (with an image; this path is for none)" : "");
    else
        printf(" in every block\n");
}

static void print_plan(const struct vn_client_answer *a, const struct vn_client_measured *m)
{
    char path[VN_CLI_PATH_TEXT], budget[VN_CLI_BUDGET_TEXT];

    printf("store       ");
    vn_cli_text(a->store, 0);
    printf("\ntask        ");
    vn_cli_text(a->task, 0);
    printf("\npath        %s\ndecided by  ", vn_cli_path(a->levels, a->n_levels, path));
    vn_cli_text(a->decided_by, 0);
    printf("\ndensity     %.3f\nbudget      %s\n", a->density,
           a->budget_bytes ? vn_cli_budget(a->budget_bytes, budget) : "none");
    if (a->streamed)
        printf("streamed    piece by piece: resident is what is needed at the same moment\n");
    if (a->replanned)
        printf("            planned again: the budget is what was left\n");
    print_accuracy(a, m);
    print_bytes(&a->bytes);
}

/* The agent looks at images and has seen none: the path is the plain rule's. */
static bool is_blind(const struct vn_cli_request *r, const struct vn_client_answer *a,
                     const struct vn_image_buffer *image)
{
    const char *agent = r->description->description->agent;

    return !image->pixels && !r->request.uniform && !r->request.levels &&
           !strcmp(a->decided_by, "uniform") &&
           (!strcmp(agent, "conv") || !strcmp(agent, "shared"));
}

/* The answer's row of the store's table; for a blind answer, the row of the agent with images
 * within the budget, if there is one. A thrifty request was not measured. */
static const struct vn_client_measured *row_of(const struct vn_cli_request *r,
                                               const struct vn_client_answer *answer,
                                               const struct vn_image_buffer *image)
{
    const struct vn_client_measured *row = NULL;
    struct vn_client_answer with_image = *answer;

    if (!r->task || (r->request.thrift > 0 && !r->request.uniform && !r->request.levels))
        return NULL;
    with_image.decided_by = r->description->description->agent;
    if (is_blind(r, answer, image))
        row = vn_cli_measured_of(r->task, &with_image, 0);
    return row ? row : vn_cli_measured_of(r->task, answer, vn_cli_image_extra(r, image));
}

static int ask(struct vn_client *client, struct vn_cli_request *r,
               const struct vn_image_buffer *image)
{
    _cleanup_(vn_client_reply_freep) struct vn_client_reply *reply = NULL;
    const struct vn_client_request request =
        image->pixels ? vn_cli_request_of(r, image) : r->request;
    const struct vn_client_measured *row;
    json_t *json;
    int code;

    if (vn_client_plan(client, &request, r->common.timeout_ms, &reply))
        return vn_cli_failed(&r->common, NULL, vn_client_last_error(client));
    code = vn_cli_request_describe("plan", client, r);
    if (code)
        return code;
    row = row_of(r, reply->answer, image);
    if (!r->common.json) {
        print_plan(reply->answer, row);
        return VN_EXIT_OK;
    }
    json = vn_cli_json_answer(reply->answer);
    if (json)
        json_object_set_new(json, "measured", vn_cli_json_measured(row));
    return vn_cli_print_json(json);
}

static int ask_about(const char *file, struct vn_cli_request *r)
{
    _cleanup_(vn_image_buffer_deinit) struct vn_image_buffer image = {0};
    _cleanup_(vn_client_freep) struct vn_client *client = NULL;
    struct vn_why why;
    int code;

    if (file && vn_image_file_read(file, &why, &image))
        return vn_cli_sorry(r->common.json, VN_EXIT_INPUT, NULL, why.text);
    code = vn_cli_connect(&r->common, &client);
    if (!code)
        code = vn_cli_request_finish("plan", client, r);
    return code ? code : ask(client, r, &image);
}

static int plan(int argc, char **argv)
{
    _cleanup_(vn_cli_request_deinit) struct vn_cli_request r = {.common = VN_CLI_COMMON};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        if (!vn_cli_request_option("plan", option, optarg, &r))
            return VN_EXIT_USAGE;
    if (argc - optind > 1)
        return vn_cli_usage("plan", "one image at most, not %d", argc - optind);
    return ask_about(argv[optind], &r);
}

const struct vn_command vn_command_plan = {
    .name = "plan",
    .summary = "show which path a request would get and what it would cost",
    .run = plan,
    .help =
        "usage: virtualnet plan [OPTION ...] [IMAGE]\n"
        "\n"
        "Asks the daemon to choose a path and to stop there. An agent that looks at images\n"
        "needs one for its real choice; without it, the choice is for an unknown image. Where the\n"
        "store carries its accuracy table, 'accuracy' is the row for this path or budget.\n"
        "\n"
        "options:\n" VN_CLI_REQUEST_HELP "\n"
        "examples:\n"
        "  virtualnet plan --task garment --budget 512KiB\n"
        "  virtualnet plan --task garment --budget 512KiB shirt.png\n"
        "  virtualnet plan --task garment --accuracy 90%      # the smallest budget for that\n"
        "  virtualnet plan --task garment --path 1,2,0,4      # what would this path cost?\n",
};
