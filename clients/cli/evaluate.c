/* virtualnet evaluate: accuracy, parameters and bytes of a store on a split of real data. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/meter.h"
#include "clients/cli/cli.h"
#include "clients/cli/evaluate_print.h"
#include "train/evaluate.h"

static const struct option options[] = {
    {"data", required_argument, NULL, 'd'},    {"split", required_argument, NULL, 's'},
    {"budgets", required_argument, NULL, 'b'}, {"thrift", required_argument, NULL, 'h'},
    {"threads", required_argument, NULL, 't'}, {"limit-images", required_argument, NULL, 'l'},
    {"plot", required_argument, NULL, 'p'},    {"quiet", no_argument, NULL, 'q'},
    {"json", no_argument, NULL, 'J'},          {0},
};

struct arguments {
    const char *store, *config, *folder, *plot, *budgets, *thrift;
    enum vn_split split;
    uint32_t threads, limit_images;
    bool quiet, json;
};

/* --- which settings --------------------------------------------------------------------------- */

/* One budget: "40%" of the full path, "25K-params", or a size in bytes. */
static bool read_budget(const char *text, struct vn_setting *s)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || !(value > 0))
        return false;
    if (!strcmp(end, "%")) {
        s->share = value / 100;
        return value <= 100;
    }
    if (!strcmp(end, "K-params") || !strcmp(end, "-params")) {
        s->params = (uint64_t)(value * (end[0] == 'K' ? 1000 : 1));
        return s->params > 0;
    }
    return !vn_bytes_parse(text, &s->bytes) && s->bytes > 0;
}

/* Every budget with every thrift, after the uniform levels. */
static int read_settings(const struct arguments *a, const struct vn_planner *planner,
                         struct vn_setting *settings, uint32_t *ret_n)
{
    _cleanup_(vn_freep) char *budgets = strdup(a->budgets ? a->budgets : "100%");
    char *keep_b, *keep_t;
    const struct vn_network *n = vn_planner_network(planner);
    uint32_t k = n->groups + 1;

    *ret_n = vn_settings_default(planner, settings);
    if (!a->budgets && !a->thrift)
        return VN_EXIT_OK;
    if (!budgets)
        return vn_cli_sorry(a->json, VN_EXIT_SYSTEM, NULL, "out of memory");
    if (n->agent.kind == VN_AGENT_UNIFORM)
        return vn_cli_usage("evaluate", "this store has no agent: --budgets and --thrift need one");
    for (char *b = strtok_r(budgets, ",", &keep_b); b; b = strtok_r(NULL, ",", &keep_b)) {
        _cleanup_(vn_freep) char *list = strdup(a->thrift ? a->thrift : "0");

        for (char *t = list ? strtok_r(list, ",", &keep_t) : NULL; t;
             t = strtok_r(NULL, ",", &keep_t)) {
            struct vn_setting s = {.agent = true};

            if (!read_budget(b, &s))
                return vn_cli_usage("evaluate", "a budget is 40%%, 25K-params or 1.5MiB, not '%s'",
                                    b);
            if (!vn_cli_number(t, 0, 1, &s.thrift))
                return vn_cli_usage("evaluate", "a thrift is a number from 0 to 1, not '%s'", t);
            if (k == VN_SETTINGS_MAX)
                return vn_cli_usage("evaluate", "at most %d settings", VN_SETTINGS_MAX);
            settings[k++] = s;
        }
    }
    *ret_n = k;
    return VN_EXIT_OK;
}

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
    r = read_settings(a, planner, settings, &n);
    if (r)
        return r;
    r = vn_corpus_load(config, a->folder, a->split, a->limit_images, &why, &corpus);
    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_INPUT, NULL, why.text);
    vn_meter_start(&meter, "images/s", 0, a->quiet);
    r = vn_evaluate(store, corpus, settings, n, a->threads, &meter, &why, &e);
    vn_meter_end(&meter);
    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_INPUT, NULL, why.text);
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
    r = a->config ? vn_train_config_load(a->config, a->folder, &why, &config)
                  : vn_train_config_of_store(store->network, a->folder, &why, &config);
    if (r)
        return vn_cli_sorry(a->json, VN_EXIT_INPUT, NULL, why.text);
    return measure(a, store, config);
}

/* --- command line ----------------------------------------------------------------------------- */

/* --data names the configuration (a file) or the folder of the data sets; both may be given. */
static void take_data(const char *value, struct arguments *a)
{
    struct stat st;

    if (!stat(value, &st) && S_ISDIR(st.st_mode))
        a->folder = value;
    else
        a->config = value;
}

static int take_option(int option, struct arguments *a)
{
    switch (option) {
    case 'd':
        take_data(optarg, a);
        return 0;
    case 's':
        a->split = !strcmp(optarg, "test")    ? VN_SPLIT_TEST
                   : !strcmp(optarg, "train") ? VN_SPLIT_TRAIN
                                              : VN_SPLIT_VALIDATION;
        if (a->split == VN_SPLIT_VALIDATION && strcmp(optarg, "validation"))
            return vn_cli_usage("evaluate", "--split is validation, test or train, not '%s'",
                                optarg);
        return 0;
    case 'b':
        a->budgets = optarg;
        return 0;
    case 'h':
        a->thrift = optarg;
        return 0;
    case 't':
        return vn_cli_u32(optarg, 1, 64, &a->threads)
                   ? 0
                   : vn_cli_usage("evaluate", "--threads takes 1 to 64, not '%s'", optarg);
    case 'l':
        return vn_cli_u32(optarg, 1, UINT32_MAX, &a->limit_images)
                   ? 0
                   : vn_cli_usage("evaluate", "--limit-images takes a number, not '%s'", optarg);
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
    struct arguments a = {.split = VN_SPLIT_VALIDATION, .threads = vn_cli_processors()};
    int option, code = 0;

    while (!code && (option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        code = take_option(option, &a);
    if (code)
        return code;
    if (argc - optind != 1)
        return vn_cli_usage("evaluate", "one store, not %d", argc - optind);
    a.store = argv[optind];
    a.folder = vn_data_folder(a.folder);
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
        "  --plot FILE.svg    accuracy against bytes, as a picture\n"
        "  --threads N        (all processors that this process may use)\n"
        "  --limit-images N   only so many images of each data set\n"
        "  --quiet            no progress\n"
        "  --json             everything, as JSON\n"
        "\n"
        "examples:\n"
        "  virtualnet evaluate models/fashion-mnist/store.safetensors --split test\n"
        "  virtualnet evaluate store.safetensors --data config.json --data ~/data --plot out.svg\n"
        "  virtualnet evaluate store.safetensors --budgets 30%,60% --thrift 0,0.5 --json\n",
    .computes = true,
    .run = evaluate,
};
