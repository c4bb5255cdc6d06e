/* virtualnet report: everything that is known about a store, as one page. */
#include "clients/cli/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/meter.h"
#include "clients/cli/cli.h"
#include "clients/cli/evaluate_read.h"
#include "clients/cli/images.h"

#define GALLERY_IMAGES 1200 /* as many as show what the agent does; a second or two */

static const struct option options[] = {
    {"data", required_argument, NULL, 'd'},    {"split", required_argument, NULL, 's'},
    {"log", required_argument, NULL, 'l'},     {"evaluation", required_argument, NULL, 'e'},
    {"out", required_argument, NULL, 'o'},     {"thrift", required_argument, NULL, 'h'},
    {"threads", required_argument, NULL, 't'}, {"limit-images", required_argument, NULL, 'n'},
    {"quiet", no_argument, NULL, 'q'},         {0},
};

struct arguments {
    struct vn_cli_images from;
    const char *store, *log, *evaluation, *out;
    bool wants_data; /* --data was given: not finding it is an error */
    double thrift;   /* below 0: chosen */
    uint32_t threads, limit_images;
    bool quiet;
};

struct material { /* that the gallery borrows */
    struct vn_train_config *config;
    struct vn_corpus *corpus;
};

/* --- gathering -------------------------------------------------------------------------------- */

static void describe_images(const struct arguments *a, const struct vn_corpus *c, struct report *r)
{
    unsigned long long n = 0;

    for (uint32_t i = 0; i < c->config->network->n_inputs; i++)
        n += c->samples[i].n;
    snprintf(r->evaluated, sizeof r->evaluated,
             "Accuracy is of the %s split: %llu images, each counted once for every task that it "
             "belongs to.",
             vn_split_names[a->from.split], n);
}

/* The data set of the store's configuration, or of another one. Outcomes as of their parts. */
static int load_data(const struct arguments *a, struct report *r, struct vn_why *why,
                     struct material *m)
{
    int e = a->from.config ? vn_train_config_load(a->from.config, a->from.folder, why, &m->config)
                           : vn_train_config_of_store(r->network, a->from.folder, why, &m->config);

    return e ? e
             : vn_corpus_load(m->config, a->from.folder, a->from.split, a->limit_images, why,
                              &m->corpus);
}

static int evaluate(const struct arguments *a, const struct material *m, struct report *r,
                    struct vn_meter *meter, struct vn_why *why)
{
    struct vn_setting settings[VN_SETTINGS_MAX];
    int e = vn_evaluate(r->store, m->corpus, settings, vn_settings_default(r->planner, settings),
                        a->threads, meter, why, &r->evaluation);

    if (!e) {
        r->counted = r->has_levels = true;
        describe_images(a, m->corpus, r);
    }
    return e;
}

/* What needs images: the evaluation unless it was given, and the gallery. */
static int use_data(const struct arguments *a, const struct material *m, struct report *r,
                    struct vn_why *why)
{
    struct vn_meter meter;
    int e = 0;

    vn_meter_start(&meter, "images/s", 0, a->quiet);
    if (!r->evaluation)
        e = evaluate(a, m, r, &meter, why);
    if (!e)
        e = report_gallery_run(r->store, m->corpus, a->thrift, GALLERY_IMAGES, &meter, why,
                               &r->gallery);
    vn_meter_end(&meter);
    return e;
}

static int use_table(struct report *r)
{
    if (vn_evaluation_of_table(r->network, &r->evaluation))
        return -ENOMEM;
    snprintf(r->evaluated, sizeof r->evaluated, "%s",
             r->evaluation ? "Accuracy is what the store’s own table says, of its validation split."
                           : "The store carries no accuracy table.");
    return 0;
}

static int use_evaluation(const struct arguments *a, struct report *r, struct vn_why *why)
{
    const char *name = strrchr(a->evaluation, '/');
    int e = vn_evaluation_read(a->evaluation, r->network, why, &r->has_levels, &r->evaluation);

    r->counted = true;
    snprintf(r->evaluated, sizeof r->evaluated, "Accuracy is from %s.",
             name ? name + 1 : a->evaluation);
    return e;
}

/* The log that was named, or the one beside the store if there is one. */
static int use_log(const struct arguments *a, struct report *r, struct vn_why *why)
{
    const char *slash = strrchr(a->store, '/');
    int n = slash ? (int)(slash + 1 - a->store) : 0;

    if (a->log)
        return report_log_read(a->log, r->network, why, &r->log);
    snprintf(r->log_file, sizeof r->log_file, "%.*slog.jsonl", n, a->store);
    return access(r->log_file, R_OK) ? 0 : report_log_read(r->log_file, r->network, why, &r->log);
}

static int open_store(const struct arguments *a, struct report *r, struct vn_why *why)
{
    int e = vn_store_open(a->store, why, &r->store);

    if (e)
        return e;
    r->store_file = a->store;
    r->network = r->store->network;
    if (vn_planner_new(r->network, r->store->layout, NULL, &r->planner))
        return vn_because(why, -ENOMEM, "out of memory");
    return 0;
}

/* Everything but the page. Images that cannot be had are an error only where they were asked for:
 * a report about a store alone is still one. */
static int gather(const struct arguments *a, struct report *r, struct material *m,
                  struct vn_why *why)
{
    int e = open_store(a, r, why);

    if (!e)
        e = use_log(a, r, why);
    if (!e && a->evaluation)
        e = use_evaluation(a, r, why);
    if (e)
        return e;
    e = load_data(a, r, &r->no_gallery, m);
    if (!e)
        return use_data(a, m, r, why);
    if (a->wants_data) {
        *why = r->no_gallery;
        return e;
    }
    if (!a->quiet)
        fprintf(stderr, "virtualnet report: no images (%s); --data names their folder\n",
                r->no_gallery.text);
    return r->evaluation ? 0 : use_table(r);
}

/* --- the page --------------------------------------------------------------------------------- */

static int put_page(FILE *to, const struct report *r)
{
    int e;

    report_head(to, r);
    e = report_curves(to, r);
    if (e)
        return e;
    report_budgets(to, r);
    if (r->evaluation) {
        report_tasks(to, r);
        report_levels(to, r);
    }
    report_images(to, r);
    report_agreement(to, r);
    e = report_training(to, r);
    report_foot(to, r);
    return e;
}

/* Beside the old page and renamed: whoever looks at it sees one or the other. */
static int write_page(const char *file, const struct report *r, struct vn_why *why)
{
    char beside[4096];
    FILE *to;
    int e;

    if (snprintf(beside, sizeof beside, "%s.new", file) >= (int)sizeof beside)
        return vn_because(why, -ENAMETOOLONG, "the name of the page is too long");
    to = fopen(beside, "we");
    if (!to)
        return vn_because(why, -errno, "%s: %s", beside, strerror(errno));
    e = put_page(to, r);
    if (!e && ferror(to))
        e = -EIO;
    if (fclose(to) && !e)
        e = -EIO;
    if (!e && rename(beside, file))
        e = -errno;
    if (e)
        unlink(beside);
    return e ? vn_because(why, e, "%s cannot be written: %s", file, strerror(-e)) : 0;
}

static void report_deinit(struct report *r)
{
    report_log_deinit(&r->log);
    report_gallery_deinit(&r->gallery);
    vn_evaluation_free(r->evaluation);
    vn_planner_free(r->planner);
    vn_store_unref(r->store);
}

static void material_deinit(struct material *m)
{
    vn_corpus_free(m->corpus);
    vn_train_config_free(m->config);
}

static int run(const struct arguments *a)
{
    _cleanup_(material_deinit) struct material m = {0};
    _cleanup_(report_deinit) struct report r = {0};
    struct vn_why why = {""};

    if (gather(a, &r, &m, &why))
        return vn_cli_sorry(false, VN_EXIT_INPUT, NULL, why.text);
    if (write_page(a->out, &r, &why))
        return vn_cli_sorry(false, VN_EXIT_SYSTEM, NULL, why.text);
    if (!a->quiet)
        fprintf(stderr, "wrote %s\n", a->out);
    return VN_EXIT_OK;
}

/* --- command line ----------------------------------------------------------------------------- */

static int take_thrift(const char *value, struct arguments *a)
{
    return vn_cli_number(value, 0, 1, &a->thrift)
               ? 0
               : vn_cli_usage("report", "--thrift takes a number in 0 .. 1, not '%s'", value);
}

static int take_option(int option, struct arguments *a)
{
    switch (option) {
    case 'd':
        a->wants_data = true;
        vn_cli_take_data(optarg, &a->from);
        return 0;
    case 's':
        return vn_cli_take_split("report", optarg, &a->from);
    case 'l':
        a->log = optarg;
        return 0;
    case 'e':
        a->evaluation = optarg;
        return 0;
    case 'o':
        a->out = optarg;
        return 0;
    case 'q':
        a->quiet = true;
        return 0;
    case 'h':
        return take_thrift(optarg, a);
    case 't':
        return vn_cli_take_count("report", "threads", optarg, 64, &a->threads);
    case 'n':
        return vn_cli_take_count("report", "limit-images", optarg, UINT32_MAX, &a->limit_images);
    default:
        return VN_EXIT_USAGE;
    }
}

static int report(int argc, char **argv)
{
    struct arguments a = {.from = {.split = VN_SPLIT_VALIDATION},
                          .threads = vn_cli_processors(),
                          .thrift = -1,
                          .out = "report.html"};
    int option, code = 0;

    while (!code && (option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        code = take_option(option, &a);
    if (code)
        return code;
    if (argc - optind != 1)
        return vn_cli_usage("report", "one store, not %d", argc - optind);
    a.store = argv[optind];
    a.from.folder = vn_data_folder(a.from.folder);
    return run(&a);
}

const struct vn_command vn_command_report = {
    .name = "report",
    .summary = "draw what is known about a store as one HTML page",
    .help =
        "usage: virtualnet report [OPTION ...] STORE\n"
        "\n"
        "One self-contained file: accuracy against cost, which budget for which accuracy, a table\n"
        "of the tasks, the levels that the agent chooses, images by the path they take, and the\n"
        "training log. Without the images the page says what the store itself knows.\n"
        "\n"
        "  --data CONFIG      the configuration that names data sets and tasks (the one inside\n"
        "                     the store, as it was trained)\n"
        "  --data FOLDER      where the data sets lie ($VIRTUALNET_DATA, else\n"
        "                     " VN_DATA_FOLDER "); may stand beside --data CONFIG\n"
        "  --split NAME       of the images: validation (default), test, train\n"
        "  --evaluation FILE  what 'virtualnet evaluate --json' printed, instead of evaluating\n"
        "  --log FILE         the training log (log.jsonl beside the store, if it is there)\n"
        "  --out FILE         the page (report.html)\n"
        "  --thrift X         0 .. 1: how thriftily the images are run (where paths differ most)\n"
        "  --threads N        (all processors that this process may use)\n"
        "  --limit-images N   only so many images of each data set\n"
        "  --quiet            no progress\n"
        "\n"
        "examples:\n"
        "  virtualnet report models/fashion-mnist/store.safetensors --split test\n"
        "  virtualnet report store.safetensors --data ~/data --evaluation evaluation.json\n",
    .computes = true,
    .run = report,
};
