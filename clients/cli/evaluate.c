/* virtualnet evaluate: accuracy, parameters and bytes of a store on a split of real data. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/meter.h"
#include "clients/cli/cli.h"
#include "clients/cli/evaluate_print.h"
#include "clients/cli/evaluate_settings.h"
#include "clients/cli/images.h"
#include "train/evaluate.h"

static const struct option options[] = {
    {"data", required_argument, NULL, 'd'},    {"split", required_argument, NULL, 's'},
    {"budgets", required_argument, NULL, 'b'}, {"thrift", required_argument, NULL, 'h'},
    {"threads", required_argument, NULL, 't'}, {"limit-images", required_argument, NULL, 'l'},
    {"cascade", required_argument, NULL, 'c'}, {"thresholds", required_argument, NULL, 'C'},
    {"random", required_argument, NULL, 'r'},  {"images", required_argument, NULL, 'i'},
    {"plot", required_argument, NULL, 'p'},    {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'J'},          {0},
};

struct arguments {
    struct vn_cli_images from;
    const char *store, *plot, *images;
    struct vn_settings_wish wish;
    uint32_t threads, limit_images;
    bool quiet, json;
};

/* --- the work --------------------------------------------------------------------------------- */

static int measure(const struct arguments *a, struct vn_store *store,
                   const struct vn_train_config *config)
{
    _cleanup_(vn_planner_freep) struct vn_planner *planner = NULL;
    _cleanup_(vn_corpus_freep) struct vn_corpus *corpus = NULL;
    _cleanup_(vn_evaluation_freep) struct vn_evaluation *e = NULL;
    struct vn_setting settings[VN_SETTINGS_MAX];
    struct vn_meter meter;
    struct vn_why why = {""};
    uint32_t n;
    int r = vn_planner_new(store->network, store->layout, NULL, &planner);

    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_SYSTEM, NULL, "out of memory");
    r = vn_settings_read(&a->wish, planner, settings, &n);
    if (r)
        return r;
    r = vn_corpus_load(config, a->from.folder, a->from.split, a->limit_images, &why, &corpus);
    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_INPUT, NULL, why.text);
    vn_meter_start(&meter, "images/s", 0, a->quiet);
    r = (a->images ? vn_evaluate_images : vn_evaluate)(store, corpus, settings, n, a->threads,
                                                       &meter, &why, &e);
    vn_meter_end(&meter);
    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_INPUT, NULL, why.text);
    if (a->images && vn_evaluation_write_images(a->images, store->network, e,
                                                vn_split_names[a->from.split], &why))
        return vn_cli_sorry(a->json, VN_EXIT_SYSTEM, NULL, why.text);
    if (a->plot && (r = vn_evaluation_plot(a->plot, store->network, e, &why)))
        return vn_cli_sorry(a->json, VN_EXIT_SYSTEM, NULL, why.text);
    if (a->json)
        return vn_cli_print_json(vn_evaluation_json(store->network, e));
    vn_evaluation_print(store->network, e);
    return VN_EXIT_OK;
}

static int run(const struct arguments *a)
{
    _cleanup_(vn_store_unrefp) struct vn_store *store = NULL;
    _cleanup_(vn_train_config_freep) struct vn_train_config *config = NULL;
    struct vn_why why = {""};
    int r = vn_store_open(a->store, &why, &store);

    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_INPUT, NULL, why.text);
    r = a->from.config ? vn_train_config_load(a->from.config, a->from.folder, &why, &config)
                       : vn_train_config_of_store(store->network, a->from.folder, &why, &config);
    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_INPUT, NULL, why.text);
    return measure(a, store, config);
}

/* --- command line ----------------------------------------------------------------------------- */

static int take_cascade(const char *value, struct arguments *a)
{
    if (a->wish.n_cascades == VN_CASCADES_MAX)
        return vn_cli_usage("evaluate", "--cascade can be given %d times", VN_CASCADES_MAX);
    a->wish.cascade[a->wish.n_cascades++] = value;
    return 0;
}

static int take_option(int option, struct arguments *a)
{
    switch (option) {
    case 'd':
        vn_cli_take_data(optarg, &a->from);
        return 0;
    case 's':
        return vn_cli_take_split("evaluate", optarg, &a->from);
    case 'b':
        a->wish.budgets = optarg;
        return 0;
    case 'h':
        a->wish.thrift = optarg;
        return 0;
    case 'c':
        return take_cascade(optarg, a);
    case 'C':
        a->wish.thresholds = optarg;
        return 0;
    case 'r':
        return vn_cli_take_count("evaluate", "random", optarg, 400, &a->wish.random);
    case 'i':
        a->images = optarg;
        return 0;
    case 't':
        return vn_cli_take_count("evaluate", "threads", optarg, 64, &a->threads);
    case 'l':
        return vn_cli_take_count("evaluate", "limit-images", optarg, UINT32_MAX, &a->limit_images);
    case 'p':
        a->plot = optarg;
        return 0;
    case 'q':
        a->quiet = true;
        return 0;
    case 'J':
        a->json = true;
        return 0;
    default:
        return VN_EXIT_USAGE;
    }
}

static int evaluate(int argc, char **argv)
{
    struct arguments a = {.from = {.split = VN_SPLIT_VALIDATION}, .threads = vn_cli_processors()};
    int option, code = 0;

    while (!code && (option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        code = take_option(option, &a);
    if (code)
        return code;
    if (argc - optind != 1)
        return vn_cli_usage("evaluate", "one store, not %d", argc - optind);
    a.store = argv[optind];
    a.from.folder = vn_data_folder(a.from.folder);
    return run(&a);
}

const struct vn_command vn_command_evaluate = {
    .name = "evaluate",
    .summary = "measure a store's accuracy at every level and budget",
    .help =
        "usage: virtualnet evaluate [OPTION ...] STORE\n"
        "\n"
        "Runs every image of a split through the engine, as the daemon would, at every uniform\n"
        "level and through the agent at a list of budgets.\n"
        "\n"
        "  --data CONFIG      the configuration that names data sets and tasks (the one inside\n"
        "                     the store, as it was trained)\n"
        "  --data FOLDER      where the data sets lie ($VIRTUALNET_DATA, else\n"
        "                     " VN_DATA_FOLDER "); may stand beside --data CONFIG\n"
        "  --split NAME       validation (default: cut from the training images), test, train\n"
        "  --budgets LIST     hard limits: 40% of the full path, 1.5MiB, 25K-params\n"
        "  --thrift LIST      how much to save below the limit on easy images: 0 to 1\n"
        "  --cascade LEVELS   1:4: uniform levels one after the other until the answer is sure; "
        "can\n"
        "                     be given several times\n"
        "  --thresholds LIST  from which largest probability it is: 0 to 1\n"
        "  --random N         N random paths, the same for all images; and for each budget an "
        "agent\n"
        "                     that draws a random path within it for each image\n"
        "  --images FILE      every single answer, in the form that docs/training.md describes\n"
        "  --plot FILE.svg    accuracy against bytes, as a picture\n"
        "  --threads N        (all processors that this process may use)\n"
        "  --limit-images N   only so many images of each data set\n"
        "  --quiet            no progress\n"
        "  --json             everything, as JSON\n"
        "\n"
        "examples:\n"
        "  virtualnet evaluate models/fashion-mnist/store.safetensors --split test\n"
        "  virtualnet evaluate store.safetensors --data config.json --data ~/data --plot out.svg\n"
        "  virtualnet evaluate store.safetensors --budgets 30%,60% --thrift 0,0.5 --json\n"
        "  virtualnet evaluate store.safetensors --cascade 1:4 --thresholds 0.7,0.9 --images out\n",
    .computes = true,
    .run = evaluate,
};
