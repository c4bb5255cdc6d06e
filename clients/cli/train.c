/* virtualnet train: makes a store from a configuration and data. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/cli.h"
#include "train/run.h"

static const struct option options[] = {
    {"out", required_argument, NULL, 'o'},
    {"data", required_argument, NULL, 'd'},
    {"threads", required_argument, NULL, 't'},
    {"limit-images", required_argument, NULL, 'l'},
    {"backbone", required_argument, NULL, 'b'},
    {"task", required_argument, NULL, 'T'},
    {"seed", required_argument, NULL, 's'},
    {"resume", no_argument, NULL, 'r'},
    {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'J'},
    {0},
};

struct arguments {
    struct vn_run_options run;
    struct vn_config_changes changes;
    const char *data, *tasks[VN_TASKS_MAX];
    uint64_t seed;
    bool json;
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

static int run(const char *file, struct arguments *a)
{
    _cleanup_(vn_train_config_freep) struct vn_train_config *config = NULL;
    struct vn_run_options *o = &a->run;
    struct vn_why why = {""};
    char out[VN_NAME_MAX + 8];
    int r = vn_train_config_load_changed(file, o->data_folder, &a->changes, &why, &config);

    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_INPUT, NULL, why.text);
    snprintf(out, sizeof out, "%s.run", config->name);
    if (!o->out)
        o->out = out;
    catch_interrupts();
    o->stop = &interrupted;
    r = vn_run(config, o, &why);
    if (r == VN_RUN_E_INTERRUPTED)
        return vn_cli_sorry(a->json, VN_EXIT_INTERRUPTED, NULL, why.text);
    if (r)
        return vn_cli_sorry(a->json, r == -ENOMEM ? VN_EXIT_SYSTEM : VN_EXIT_INPUT, NULL, why.text);
    return report(o, a->json);
}

/* --- command line ----------------------------------------------------------------------------- */

static int take_task(struct arguments *a, const char *name)
{
    struct vn_config_changes *c = &a->changes;

    if (c->n_only_tasks == VN_TASKS_MAX)
        return vn_cli_usage("train", "--task can be given %d times", VN_TASKS_MAX);
    a->tasks[c->n_only_tasks++] = name;
    c->only_tasks = a->tasks;
    return 0;
}

static int take_seed(struct arguments *a, const char *text)
{
    char *end;

    errno = 0;
    a->seed = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || a->seed > INT64_MAX)
        return vn_cli_usage("train", "--seed takes 0 to 2^63 - 1, not '%s'", text);
    a->changes.seed = &a->seed;
    return 0;
}

static int take_option(int option, struct arguments *a)
{
    switch (option) {
    case 'o':
        a->run.out = optarg;
        return 0;
    case 'd':
        a->data = optarg;
        return 0;
    case 'b':
        a->run.backbone = optarg;
        return 0;
    case 'T':
        return take_task(a, optarg);
    case 's':
        return take_seed(a, optarg);
    case 't':
        return vn_cli_take_count("train", "threads", optarg, 256, &a->run.threads);
    case 'l':
        return vn_cli_take_count("train", "limit-images", optarg, UINT32_MAX, &a->run.limit_images);
    case 'r':
        a->run.resume = true;
        return 0;
    case 'q':
        a->run.quiet = true;
        return 0;
    case 'J':
        a->json = true;
        return 0;
    default:
        return VN_EXIT_USAGE;
    }
}

static int train(int argc, char **argv)
{
    struct arguments a = {.run = {.threads = vn_cli_processors()}};
    int option, code = 0;

    while (!code && (option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        code = take_option(option, &a);
    if (code)
        return code;
    if (argc - optind != 1)
        return vn_cli_usage("train", "one configuration file, not %d", argc - optind);
    a.run.data_folder = vn_data_folder(a.data);
    return run(argv[optind], &a);
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
        "  --backbone STORE   begin with this store's backbone (or that of a run's folder) and "
        "train\n"
        "                     only the agent's rounds; network and tasks must be the same\n"
        "  --task NAME        only this task, and those of further --task: the others might as "
        "well\n"
        "                     not be there, but orders of groups stay what they were\n"
        "  --seed N           instead of the configuration's\n"
        "  --resume           go on from the checkpoint in the folder\n"
        "  --limit-images N   only so many images of each data set: a quick trial\n"
        "  --quiet            no progress\n"
        "  --json             print the result as JSON\n"
        "\n"
        "examples:\n"
        "  virtualnet train models/fashion-mnist/config.json --out fashion\n"
        "  virtualnet train models/cifar100-20/config.json --data ~/data --limit-images 2000\n"
        "  virtualnet train models/fashion-mnist/config.json --out fashion --resume\n"
        "  virtualnet train another-agent.json --backbone fashion --out another\n",
    .computes = true,
    .run = train,
};
