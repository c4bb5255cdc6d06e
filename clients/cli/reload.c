/* virtualnet reload: the daemon maps a store's file again, or all of them. */
#include "base/bytes.h"
#include "clients/cli/cli.h"

enum { STORE = 256, ALL };

static const struct option options[] = {
    {"store", required_argument, NULL, STORE},
    {"all", no_argument, NULL, ALL},
    VN_CLI_COMMON_OPTIONS,
    {0},
};

struct reload {
    struct vn_cli_common common;
    const char *store; /* NULL: the default one */
    bool all;
};

static int print_reloaded(const struct reload *o, const struct vn_client_reloaded *r)
{
    char bytes[VN_BYTES_TEXT];

    if (o->common.json)
        return vn_cli_print_json(json_pack("{s:o, s:o, s:I}", "name", vn_cli_json_text(r->name),
                                           "store", vn_cli_json_text(r->store), "file_bytes",
                                           (json_int_t)r->file_bytes));
    printf(o->all ? "all stores are loaded anew; the default one is " : "now serving ");
    vn_cli_text(r->store, 0);
    printf(", %s\n", vn_bytes_format(r->file_bytes, bytes));
    return VN_EXIT_OK;
}

static int call(const struct reload *o, struct vn_client *client,
                struct vn_client_reply **ret_reply)
{
    return o->all ? vn_client_reload_all(client, o->common.timeout_ms, ret_reply)
                  : vn_client_reload_store(client, o->store, o->common.timeout_ms, ret_reply);
}

static int ask(const struct reload *o)
{
    _cleanup_(vn_client_freep) struct vn_client *client = NULL;
    _cleanup_(vn_client_reply_freep) struct vn_client_reply *reply = NULL;
    int code = vn_cli_connect(&o->common, &client);

    if (code)
        return code;
    if (call(o, client, &reply))
        return vn_cli_failed(&o->common, NULL, vn_client_last_error(client));
    return print_reloaded(o, reply->reloaded);
}

static int reload(int argc, char **argv)
{
    struct reload o = {.common = VN_CLI_COMMON};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == STORE)
            o.store = optarg;
        else if (option == ALL)
            o.all = true;
        else if (!vn_cli_common_option("reload", option, optarg, &o.common))
            return VN_EXIT_USAGE;
    }
    if (optind < argc)
        return vn_cli_usage("reload",
                            "takes no argument, found '%s': the file's place is in the "
                            "daemon's configuration",
                            argv[optind]);
    if (o.store && o.all)
        return vn_cli_usage("reload", "--store and --all exclude each other");
    return ask(&o);
}

const struct vn_command vn_command_reload = {
    .name = "reload",
    .summary = "make the daemon take up new store files",
    .run = reload,
    .help =
        "usage: virtualnet reload [OPTION ...]\n"
        "\n"
        "The daemon maps and checks the file beside the running store, then switches; running\n"
        "requests finish on the old one. If the new file is broken, the old store stays and\n"
        "the first wrong thing is named. Replace a store by renaming a new file over it, never\n"
        "by writing into it.\n"
        "\n"
        "options:\n"
        "  --store NAME     the store of this name, instead of the default one\n"
        "  --all            every store, one after the other; a failure when one of them "
        "fails\n" VN_CLI_COMMON_HELP "\n"
        "examples:\n"
        "  virtualnet reload\n"
        "  virtualnet reload --store signs\n"
        "  virtualnet verify new.safetensors &&\n"
        "      mv new.safetensors /var/lib/virtualnet/store.safetensors && virtualnet reload\n",
};
