/* virtualnet plan: what the daemon would pick for a request and what it would cost, without running
 * it. */
#include "base/bytes.h"
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

static void print_plan(const struct vn_client_answer *a)
{
    char path[VN_CLI_PATH_TEXT], budget[VN_BYTES_TEXT];

    printf("task        ");
    vn_cli_text(a->task, 0);
    printf("\npath        %s\ndecided by  ", vn_cli_path(a->levels, a->n_levels, path));
    vn_cli_text(a->decided_by, 0);
    printf("\ndensity     %.3f\nbudget      %s\n", a->density,
           a->budget_bytes ? vn_bytes_format(a->budget_bytes, budget) : "none");
    print_bytes(&a->bytes);
}

static int ask(struct vn_client *client, struct vn_cli_request *r)
{
    _cleanup_(vn_client_reply_freep) struct vn_client_reply *reply = NULL;

    if (vn_client_plan(client, &r->request, r->common.timeout_ms, &reply))
        return vn_cli_failed(&r->common, NULL, vn_client_last_error(client));
    if (r->common.json)
        return vn_cli_print_json(vn_cli_json_answer(reply->answer));
    print_plan(reply->answer);
    return VN_EXIT_OK;
}

static int ask_about(const char *file, struct vn_cli_request *r)
{
    _cleanup_(vn_image_buffer_deinit) struct vn_image_buffer image = {0};
    _cleanup_(vn_client_freep) struct vn_client *client = NULL;
    struct vn_why why;
    int code;

    if (file && vn_image_file_read(file, &why, &image))
        return vn_cli_sorry(r->common.json, VN_EXIT_INPUT, NULL, why.text);
    if (file)
        r->request.image = vn_cli_image(&image);
    code = vn_cli_connect(&r->common, &client);
    if (!code)
        code = vn_cli_request_finish("plan", client, r);
    return code ? code : ask(client, r);
}

static int plan(int argc, char **argv)
{
    struct vn_cli_request r = {.common = VN_CLI_COMMON};
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
    .help = "usage: virtualnet plan [OPTION ...] [IMAGE]\n"
            "\n"
            "Asks the daemon to choose a path and to stop there. An agent that looks at images\n"
            "needs one for its real choice; without it, the choice is for an unknown image.\n"
            "\n"
            "options:\n" VN_CLI_REQUEST_HELP "\n"
            "examples:\n"
            "  virtualnet plan --task garment --budget 512KiB\n"
            "  virtualnet plan --task garment --budget 512KiB shirt.png\n"
            "  virtualnet plan --task garment --path 1,2,0,4      # what would this path cost?\n",
};
