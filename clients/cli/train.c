/* virtualnet train: makes a store from a configuration and data. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "clients/cli/cli.h"
#include "train/run.h"

static const struct option options[] = {
    {"out", required_argument, NULL, 'o'},     {"data", required_argument, NULL, 'd'},
    {"threads", required_argument, NULL, 't'}, {"limit-images", required_argument, NULL, 'l'},
    {"resume", no_argument, NULL, 'r'},        {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'J'},          {0},
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    interrupted = 1;
}

/* The first Ctrl-C ends the run after the step; the second, as always, at once. */
static void catch_interrupts(void)
{
    struct sigaction a = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

static int report(const struct vn_run_options *o, bool json)
{
    if (json)
        return vn_cli_print_json(json_pack("{s:s+}", "store", o->out, "/store.safetensors"));
    printf("%s/store.safetensors\n", o->out);
    return VN_EXIT_OK;
}

static int run(const char *file, struct vn_run_options *o, bool json)
{
    _cleanup_(vn_train_config_freep) struct vn_train_config *config = NULL;
    struct vn_why why = {""};
    char out[VN_NAME_MAX + 8];
    int r = vn_train_config_load(file, o->data_folder, &why, &config);

    if (r)
        return vn_cli_sorry(json, VN_EXIT_INPUT, NULL, why.text);
    snprintf(out, sizeof out, "%s.run", config->name);
    if (!o->out)
        o->out = out;
    catch_interrupts();
    o->stop = &interrupted;
    r = vn_run(config, o, &why);
    if (r == VN_RUN_E_INTERRUPTED)
        return vn_cli_sorry(json, VN_EXIT_INTERRUPTED, NULL, why.text);
    if (r)
        return vn_cli_sorry(json, r == -ENOMEM ? VN_EXIT_SYSTEM : VN_EXIT_INPUT, NULL, why.text);
    return report(o, json);
}

static int train(int argc, char **argv)
{
    struct vn_run_options o = {.threads = vn_cli_processors()};
    const char *data = NULL;
    bool json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'o':
            o.out = optarg;
            break;
        case 'd':
            data = optarg;
            break;
        case 't':
            if (!vn_cli_u32(optarg, 1, 256, &o.threads))
                return vn_cli_usage("train", "--threads takes 1 to 256, not '%s'", optarg);
            break;
        case 'l':
            if (!vn_cli_u32(optarg, 1, UINT32_MAX, &o.limit_images))
                return vn_cli_usage("train", "--limit-images takes a number, not '%s'", optarg);
            break;
        case 'r':
            o.resume = true;
            break;
        case 'q':
            o.quiet = true;
            break;
        case 'J':
            json = true;
            break;
        default:
            return VN_EXIT_USAGE;
        }
    }
    if (argc - optind != 1)
        return vn_cli_usage("train", "one configuration file, not %d", argc - optind);
    o.data_folder = vn_data_folder(data);
    return run(argv[optind], &o, json);
}

const struct vn_command vn_command_train = {
    .name = "train",
    .summary = "train a network and write its store",
    .help =
        "usage: virtualnet train [OPTION ...] CONFIG.json\n"
        "\n"
        "Trains the network that CONFIG.json describes (docs/training.md) and writes a folder:\n"
        "store.safetensors, log.jsonl (a line per epoch), config.json and a checkpoint.\n"
        "Ctrl-C stops after the current step; --resume goes on to the same store.\n"
        "\n"
        "  --data FOLDER      where the data sets lie ($VIRTUALNET_DATA, else\n"
        "                     " VN_DATA_FOLDER ")\n"
        "  --out FOLDER       what to write (NAME.run, by the configuration's name)\n"
        "  --threads N        (all processors that this process may use)\n"
        "  --resume           go on from the checkpoint in the folder\n"
        "  --limit-images N   only so many images of each data set: a quick trial\n"
        "  --quiet            no progress\n"
        "  --json             print the result as JSON\n"
        "\n"
        "examples:\n"
        "  virtualnet train models/fashion-mnist/config.json --out fashion\n"
        "  virtualnet train models/cifar100-20/config.json --data ~/data --limit-images 2000\n"
        "  virtualnet train models/fashion-mnist/config.json --out fashion --resume\n",
    .computes = true,
    .run = train,
};
