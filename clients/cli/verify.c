/* virtualnet verify: reads a whole store and compares its checksums. */
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/meter.h"
#include "clients/cli/cli.h"
#include "engine/store.h"

static const struct option options[] = {
    {"json", no_argument, NULL, 'J'},
    {0},
};

static void show(void *context, uint64_t done, uint64_t all)
{
    vn_meter_show(context, "verifying", done, all, "");
}

static int report(const char *file, uint64_t bytes, uint64_t took_ns, bool json)
{
    char text[VN_BYTES_TEXT];
    double seconds = (double)took_ns / (double)VN_NS_PER_S;

    if (json)
        return vn_cli_print_json(json_pack("{s:o, s:b, s:I, s:f}", "file", vn_cli_json_text(file),
                                           "intact", 1, "file_bytes", (json_int_t)bytes, "seconds",
                                           seconds));
    vn_cli_text(file, 0);
    printf(": intact, %s read in %.2f s\n", vn_bytes_format(bytes, text), seconds);
    return VN_EXIT_OK;
}

static int verify_file(const char *file, bool json)
{
    _cleanup_(vn_store_unrefp) struct vn_store *store = NULL;
    struct vn_meter meter;
    struct vn_why why;
    uint64_t begin = vn_now_ns();
    int r = vn_store_open(file, &why, &store);

    if (r) /* a broken header is damage, an absent file is not */
        return vn_cli_sorry(json, r < 0 ? VN_EXIT_INPUT : VN_EXIT_REFUSED, NULL, why.text);
    vn_meter_start(&meter, NULL, 0, json);
    r = vn_store_verify(store, &why, show, &meter);
    vn_meter_end(&meter);
    if (r)
        return vn_cli_sorry(json, r < 0 ? VN_EXIT_INPUT : VN_EXIT_REFUSED, NULL, why.text);
    return report(file, store->file_bytes, vn_now_ns() - begin, json);
}

static int verify(int argc, char **argv)
{
    struct vn_cli_common unused = VN_CLI_COMMON;
    bool json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'J')
            json = true;
        else if (!vn_cli_common_option("verify", option, optarg, &unused))
            return VN_EXIT_USAGE;
    }
    if (argc - optind != 1)
        return vn_cli_usage("verify", "which store? Give one file");
    return verify_file(argv[optind], json);
}

const struct vn_command vn_command_verify = {
    .name = "verify",
    .summary = "compare a store file with its checksums",
    .run = verify,
    .help = "usage: virtualnet verify [--json] STORE\n"
            "\n"
            "Checks the header, then reads every byte and compares the checksum of each slice.\n"
            "Exit code 0: intact; 1: damaged, and the first damaged part is named; 4: the file\n"
            "cannot be read.\n"
            "\n"
            "options:\n"
            "  --json           print JSON\n"
            "\n"
            "examples:\n"
            "  virtualnet verify store.safetensors\n"
            "  virtualnet verify new.safetensors && mv new.safetensors store.safetensors\n",
};
