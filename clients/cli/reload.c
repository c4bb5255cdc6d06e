/* virtualnet reload: the daemon maps its store file again. */
#include "base/bytes.h"
#include "clients/cli/cli.h"

static const struct option options[] = {
    VN_CLI_COMMON_OPTIONS,
    {0},
};

static int print_reloaded(const struct vn_cli_common *common, const struct vn_client_reloaded *r)
{
    char bytes[VN_BYTES_TEXT];

    if (common->json)
        return vn_cli_print_json(json_pack("{s:o, s:I}", "store", vn_cli_json_text(r->store),
                                           "file_bytes", (json_int_t)r->file_bytes));
    printf("now serving ");
    vn_cli_text(r->store, 0);
    printf(", %s\n", vn_bytes_format(r->file_bytes, bytes));
    return VN_EXIT_OK;
}

static int ask(const struct vn_cli_common *common)
{
    _cleanup_(vn_client_freep) struct vn_client *client = NULL;
    _cleanup_(vn_client_reply_freep) struct vn_client_reply *reply = NULL;
    int code = vn_cli_connect(common, &client);

    if (code)
        return code;
    if (vn_client_reload(client, common->timeout_ms, &reply))
        return vn_cli_failed(common, NULL, vn_client_last_error(client));
    return print_reloaded(common, reply->reloaded);
}

static int reload(int argc, char **argv)
{
    struct vn_cli_common common = VN_CLI_COMMON;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        if (!vn_cli_common_option("reload", option, optarg, &common))
            return VN_EXIT_USAGE;
    if (optind < argc)
        return vn_cli_usage("reload",
                            "takes no argument, found '%s': the file's place is in the "
                            "daemon's configuration",
                            argv[optind]);
    return ask(&common);
}

const struct vn_command vn_command_reload = {
    .name = "reload",
    .summary = "make the daemon take up a new store file",
    .run = reload,
    .help =
        "usage: virtualnet reload [OPTION ...]\n"
        "\n"
        "The daemon maps and checks the file beside the running store, then switches; running\n"
        "requests finish on the old one. If the new file is broken, the old store stays and\n"
        "the first wrong thing is named. Replace a store by renaming a new file over it, never\n"
        "by writing into it.\n"
        "\n"
        "options:\n" VN_CLI_COMMON_HELP "\n"
        "examples:\n"
        "  virtualnet reload\n"
        "  virtualnet verify new.safetensors &&\n"
        "      mv new.safetensors /var/lib/virtualnet/store.safetensors && virtualnet reload\n",
};
