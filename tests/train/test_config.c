/* The training configuration: what a good one gives, and what is said about a bad one. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/train/config_text.h"
#include "train/config_parts.h"

Test(config, a_small_one_is_read_whole)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    static const int16_t map[4] = {0, 1, -1, -1};

    write_config(&f, CONFIG_BASE, NULL, NULL);
    c = load_config(&f, NULL);
    cr_assert_str_eq(c->name, "small");
    cr_assert_eq(c->seed, 7);
    cr_assert_eq(c->validation_share, 0.25);
    cr_assert_eq(c->n_data, 1);
    cr_assert_eq(c->data[0].format, VN_DATA_IDX);
    cr_assert_eq(c->data[0].train.n, 1);
    cr_assert_str_eq(c->data[0].train.labels[0], "labels");
    cr_assert_eq(c->data[0].test.n, 0);
    cr_assert_eq(c->data[0].classes, 3); /* by the length of labels and map */
    cr_assert_eq(c->network->n_tasks, 2);
    cr_assert_str_eq(c->network->name, "small");
    cr_assert_str_eq(c->network->tasks[0].labels[2], "two");
    cr_assert_str_eq(c->network->tasks[1].labels[1], "odd");
    cr_assert_eq(c->network->agent.kind, VN_AGENT_TASK);
    cr_assert_eq(c->network->inputs[0].crop, VN_CROP_CENTER);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(c->task_data[0].map[i], i < 3 ? i : -1);
        cr_assert_eq(c->task_data[1].map[i], map[i]);
    }
    cr_assert_eq(c->network->tasks[1].order[0], 2); /* cyclic: 1 * 4 / 2 */
    cr_assert_eq(c->schedule.epochs, 3);
    cr_assert_not(c->schedule.flip);
    cr_assert_eq(c->agent_schedule.rate, 0.02);
    cr_assert(json_is_object(json_object_get(c->source, "network")));
}

static double value_of(const struct vn_config_field *f, const void *record)
{
    const char *place = (const char *)record + f->offset;

    switch (f->kind) {
    case VN_FIELD_COUNT:
        return *(const uint32_t *)place;
    case VN_FIELD_REAL:
        return *(const double *)place;
    default:
        return *(const bool *)place;
    }
}

Test(config, what_is_left_out_has_its_default)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    const struct vn_config_field *field;

    write_config(&f, CONFIG_BASE, "'epochs': 3, 'flip': false", "");
    c = load_config(&f, NULL);
    for (field = vn_schedule_fields; field->key; field++)
        cr_assert_eq(value_of(field, &c->schedule), field->value, "%s", field->key);
    for (field = vn_agent_schedule_fields; field->key; field++)
        if (strcmp(field->key, "rate"))
            cr_assert_eq(value_of(field, &c->agent_schedule), field->value, "%s", field->key);
}

/* --- complaints ------------------------------------------------------------------------------- */

static const struct bad {
    const char *find, *replacement, *said;
} bad[] = {
    {"'seed': 7", "'seeds': 7", "line 2, column 18: seeds: unknown key"},
    {"'seed': 7", "'seed': -1", "seed: must be a whole number"},
    {"'seed': 7", "'seed': 7, 'seed': 8", "duplicate object key"},
    {"'name': 'small', ", "", "the key \"name\" is missing"},
    {"0.25", "0.6", "line 2, column 29: validation_share: must be a number from 0 to 0.5"},
    {"0.25", "1e999", "config.json: line 2"},
    {"'stem_width': 8", "'stem_width': 0", "line 3, column 13: network.stem_width: must be"},
    {"'groups': 4", "'groups': 17", "network.groups: must be a whole number from 1 to 16"},
    {"'stride': 1", "'stride': 3",
     "line 6, column 39: network.stages[0].stride: must be 1, 2 or 4"},
    {"'kind': 'task'", "'kind': 'best'", "network.agent.kind: must be one of"},
    {"'seed': 7", "'only_tasks': ['odd', 'even']", "only_tasks[1]: there is no task \"even\""},
    {"'seed': 7", "'only_tasks': ['odd', 'odd']", "only_tasks[1]: the task stands twice"},
    {"'seed': 7", "'only_tasks': []", "only_tasks: must be an array of 1 to 256 items"},
    {"'seed': 7", "'only_tasks': [1]", "only_tasks[0]: must be text"},
    {"'groups': 4", "'groups': 4, 'tasks': []", "network.tasks: unknown key"},
    {"'epochs': 3", "'epochs': 3, 'packnet': true", "training.packnet: needs \"mixed_paths\" 0"},
    {"'epochs': 3", "'epochs': 3, 'packnet': true, 'mixed_paths': 0", "one input and no agent"},
    {"'groups': 4", "'groups': 4, 'name': 'n'", "network.name: unknown key"},
    {"'groups': 4", "'groups': 4, 'orders': 'sorted'",
     "network.orders: must be one of \"cyclic\", \"same\", \"random\""},
    {"'groups': 4", "'groups': 4, 'orders': [[0,1,2,3]]", "must be an array of 2 to 2 items"},
    {"'groups': 4", "'groups': 4, 'orders': [[0,1,2,3],[0,1,2]]",
     "network.orders[1]: must be an array of the 4 group numbers"},
    {"'groups': 4", "'groups': 4, 'orders': [[0,1,2,3],[0,1,2,2]]",
     "network.orders[1][3]: group 2 stands twice"},
    {"'groups': 4", "'groups': 4, 'orders': [[0,1,2,4],[0,1,2,2]]",
     "network.orders[0][3]: must be a whole number from 0 to 3"},
    {"'idx'", "'tar'", "data[0].format: must be one of \"idx\""},
    {"'images': 'images'", "'images': '/images'", "data[0].train.images: must be relative"},
    {"'images': 'images'", "'images': 'a/../../b'", "must not leave the data folder"},
    {"'images': 'images'", "'images': '..'", "must not leave the data folder"},
    {"'images': 'images'", "'images': []", "must be an array of 1 to 16 items"},
    {"'images': 'images'", "'images': 3", "data[0].train.images: must be text"},
    {"'images': 'images'", "'images': ['images', 'more']", "as many files in \"labels\" (1)"},
    {", 'labels': 'labels'", "", "the key \"labels\" is missing"},
    {"'format': 'idx'", "'format': 'cifar10'",
     "\"labels\" has no meaning for the format \"cifar10\""},
    {"'format': 'idx'", "'format': 'idx', 'side': 32", "\"side\" is for the format \"folders\""},
    {"'format': 'idx'", "'format': 'idx', 'coarse_names': 'x'", "\"cifar100\" only"},
    {"'labels': 'labels'}}",
     "'labels': 'labels'}}, {'name': 'set', 'format': 'cifar10', "
     "'train': {'images': 'i'}}",
     "data[1]: data[0] has the same name"},
    {"'labels': 'labels'}}",
     "'labels': 'labels'}}, {'name': 'more', 'format': 'cifar10', "
     "'train': {'images': 'i'}}",
     "data[1]: no task uses the set \"more\""},
    {"'input': 'in'", "'input': 'out'", "tasks[0]: network.inputs has no \"out\"; known: \"in\""},
    {"'data': 'set'", "'data': 'net'", "tasks[0]: data has no set \"net\"; known: \"set\""},
    {"'name': 'odd'", "'name': 'which'", "tasks[1]: the name \"which\" is another task's"},
    {"['zero', 'one', 'two']", "['zero']", "tasks[0].labels: must be an array of 2 to 1000"},
    {"['zero', 'one', 'two']", "['a', 'b', 'a']", "tasks[0]: the label \"a\" stands twice"},
    {"['zero', 'one', 'two']", "['a', 'b']",
     "tasks[1]: \"map\" is for 3 classes, but the set \"set\" has 2"},
    {"['zero', 'one', 'two']", "['a', 'b\\n', 'c']", "must not hold control characters"},
    {", 'labels': ['zero', 'one', 'two']", "", "needs \"labels\", or \"class_names\""},
    {", 'labels': ['even', 'odd']", "", "tasks[1]: \"map\" needs \"labels\""},
    {"'even', 1, null", "'even', 1, 'third'", "line 13, column 22: tasks[1].map[2]: \"third\" is"},
    {"'even', 1, null", "'even', 2, null", "tasks[1].map[1]: must be a whole number from 0 to 1"},
    {"'even', 1, null", "'even', 0, null", "tasks[1]: no class has the label \"odd\""},
    {"'even', 1, null", "'even', true, null", "tasks[1].map[1]: must be a whole number"},
    {"['even', 1, null]", "{'zero': 'even', 'one': 'odd'}",
     "tasks[1].map.zero: the set \"set\" has no class of this name; its first is \"class-0\""},
    {"'name': 'odd'", "'name': 'odd', 'for_each': 'coarse'", "the name must hold {coarse}"},
    {"'name': 'odd'", "'name': '{coarse}', 'for_each': 'fine'", "must be one of \"coarse\""},
    {"'name': 'odd'", "'name': '{coarse}', 'for_each': 'coarse'", "follow from \"for_each\""},
    {"'epochs': 3", "'epochs': 0", "training.epochs: must be a whole number from 1 to 10000"},
    {"'epochs': 3", "'epochs': 2.5", "training.epochs: must be a whole number"},
    {"'epochs': 3", "'rate': 0", "training.rate: must be a number from 1e-06 to 10"},
    {"'epochs': 3", "'batch': 5000", "training.batch: must be a whole number from 2 to 4096"},
    {"'epochs': 3", "'lowest_level': 5",
     "line 14, column 14: training.lowest_level: must be at most network.groups, 4, found 5"},
    {"'epochs': 3", "'epochs': 1, 'warmup_epochs': 2", "must be at most epochs, 1, found 2"},
    {"'epochs': 3", "'pad': 28", "must be smaller than the input \"in\", 28x28, found 28"},
    {"'flip': false", "'flip': 0", "training.flip: must be true or false"},
    {"'rate': 0.02", "'rate': '0.02'", "line 15, column 20: agent_training.rate: must be a number"},
    {"'rate': 0.02", "'min_budget': 0", "agent_training.min_budget: must be a number from 0.001"},
    {"'mean': [0.3]", "'mean': [0.3, 0.3, 0.3]", "line 4, column 72: network.inputs[0].mean:"},
    {"'std': [0.3], 'stem_kernel': 3, 'stem_stride': 2}",
     "'std': [0.3], 'stem_kernel': 3, 'stem_stride': 2},"
     "{'name': 'two', 'width': 28, 'height': 28, 'color': 'gray', 'mean': [0.3],"
     "  'std': [0.3], 'stem_kernel': 3, 'stem_stride': 2}",
     "network.inputs[1]: no task uses the input \"two\""},
};

Test(config, complaints_name_the_place)
{
    _cleanup_(folder_remove) struct folder f = folder_make();

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vn_train_config *c = NULL;
        struct vn_why why = {""};

        write_config(&f, CONFIG_BASE, bad[i].find, bad[i].replacement);
        cr_assert_eq(try_config(&f, NULL, &why, &c), VN_CONFIG_E_INVALID, "%s for %s: %s",
                     bad[i].replacement, bad[i].find, why.text);
        cr_assert_null(c);
        cr_assert_not_null(strstr(why.text, "config.json: "), "%s", why.text);
        cr_assert_not_null(strstr(why.text, bad[i].said), "\"%s\" does not say \"%s\"", why.text,
                           bad[i].said);
    }
}

Test(config, cut_anywhere_it_is_refused)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    char text[] = CONFIG_BASE;

    for (size_t n = strlen(text) - 2; n > 0; n -= n > 7 ? 7 : 1) {
        struct vn_train_config *c = NULL;
        struct vn_why why = {""};

        text[n] = 0;
        write_config(&f, text, NULL, NULL);
        cr_assert_eq(try_config(&f, NULL, &why, &c), VN_CONFIG_E_INVALID);
        cr_assert(why.text[0]);
    }
}

Test(config, a_missing_file_is_an_errno)
{
    struct folder f = folder_make();
    struct vn_train_config *c = NULL;
    struct vn_why why = {""};

    folder_remove(&f);
    cr_assert_eq(try_config(&f, NULL, &why, &c), -ENOENT);
    cr_assert_not_null(strstr(why.text, "config.json"));
    cr_assert_eq(try_config(&f, NULL, NULL, &c), -ENOENT);
}

/* --- orders ----------------------------------------------------------------------------------- */

static struct vn_train_config *load_orders(const struct folder *f, const char *orders)
{
    write_config(f, CONFIG_BASE, "'groups': 4", orders);
    return load_config(f, NULL);
}

Test(orders, same_and_listed)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_train_config *c = load_orders(&f, "'groups': 4, 'orders': 'same'");
    static const uint8_t listed[2][4] = {{3, 1, 0, 2}, {0, 2, 1, 3}};

    for (uint32_t t = 0; t < 2; t++)
        for (uint8_t g = 0; g < 4; g++)
            cr_assert_eq(c->network->tasks[t].order[g], g);
    vn_train_config_free(c);
    c = load_orders(&f, "'groups': 4, 'orders': [[3, 1, 0, 2], [0, 2, 1, 3]]");
    for (uint32_t t = 0; t < 2; t++)
        cr_assert_eq(memcmp(c->network->tasks[t].order, listed[t], 4), 0);
    vn_train_config_free(c);
}

Test(orders, random_ones_are_permutations_and_repeat)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_train_config *a = load_orders(&f, "'groups': 16, 'orders': 'random'");
    struct vn_train_config *b = load_orders(&f, "'groups': 16, 'orders': 'random'");
    uint32_t seen[2] = {0};

    for (uint32_t t = 0; t < 2; t++) {
        cr_assert_eq(memcmp(a->network->tasks[t].order, b->network->tasks[t].order, 16), 0);
        for (uint32_t g = 0; g < 16; g++)
            seen[t] |= 1u << a->network->tasks[t].order[g];
        cr_assert_eq(seen[t], 0xffff);
    }
    /* equal by chance: 1 in 16! */
    cr_assert_neq(memcmp(a->network->tasks[0].order, a->network->tasks[1].order, 16), 0);
    vn_train_config_free(a);
    vn_train_config_free(b);
}

/* --- maps by class name, tasks per coarse class ----------------------------------------------- */

#define CIFAR_SET                                                                                  \
    "'format': 'cifar100', 'class_names': 'fine.txt', 'coarse_names': 'coarse.txt',\n"             \
    " 'train': {'images': 'train.bin'}"
#define CIFAR_CONFIG                                                                               \
    "{'name': 'coarse', 'network': {'stem_width': 8, 'groups': 4,\n"                               \
    " 'inputs': [{'name': 'in', 'width': 32, 'height': 32, 'color': 'rgb',\n"                      \
    "  'mean': [0.5, 0.5, 0.5], 'std': [0.3, 0.3, 0.3], 'stem_kernel': 3, 'stem_stride': 1}],\n"   \
    " 'stages': [{'blocks': 1, 'width': 8, 'stride': 1, 'group_width': 4}]},\n"                    \
    "'data': [{'name': 'set', " CIFAR_SET "}],\n"                                                  \
    "'tasks': [{'name': 'a {coarse} task', 'for_each': 'coarse', 'input': 'in', 'data': 'set'}]}"

static void write_cifar_names(const struct folder *f)
{
    char text[4096];
    size_t n = 0;

    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "fine%d\n", i);
    write_text(f, "fine.txt", text);
    n = 0;
    for (int i = 0; i < 20; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "big%d\r\n", i);
    snprintf(text + n, sizeof text - n, "\r\n\n"); /* empty lines at the end are usual */
    write_text(f, "coarse.txt", text);
}

Test(coarse, one_task_for_each)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;

    write_cifar100(&f, "train.bin", 1);
    write_cifar_names(&f);
    write_config(&f, CIFAR_CONFIG, NULL, NULL);
    c = load_config(&f, f.path);
    cr_assert_eq(c->network->n_tasks, 20);
    cr_assert_str_eq(c->network->tasks[3].name, "a big3 task");
    cr_assert_eq(c->network->tasks[3].n_labels, 5);
    cr_assert_eq(c->network->agent.kind, VN_AGENT_UNIFORM); /* the default */
    for (int k = 0; k < 5; k++) { /* classes 3, 23, 43, 63, 83 in this order */
        char label[16];

        snprintf(label, sizeof label, "fine%d", 3 + 20 * k);
        cr_assert_str_eq(c->network->tasks[3].labels[k], label);
        cr_assert_eq(c->task_data[3].map[3 + 20 * k], k);
    }
    cr_assert_eq(c->task_data[3].map[4], -1);
    for (uint32_t t = 0; t < 20; t++) /* cyclic: floor(4 t / 20) */
        cr_assert_eq(c->network->tasks[t].order[0], t / 5);
}

Test(coarse, names_without_files_are_numbers)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;

    write_cifar100(&f, "train.bin", 1);
    write_config(&f, CIFAR_CONFIG, CIFAR_SET,
                 "'format': 'cifar100', 'train': {'images': 'train.bin'}");
    c = load_config(&f, f.path);
    cr_assert_str_eq(c->network->tasks[19].name, "a coarse-19 task");
    cr_assert_str_eq(c->network->tasks[19].labels[0], "class-19");
}

static void refuse_coarse(const struct folder *f, const char *data, int result, const char *said)
{
    struct vn_train_config *c = NULL;
    struct vn_why why = {""};
    int r = try_config(f, data, &why, &c);

    cr_assert_eq(r, result, "%d: %s", r, why.text);
    cr_assert_not_null(strstr(why.text, said), "\"%s\" does not say \"%s\"", why.text, said);
}

Test(coarse, complaints)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    uint8_t record[2 + 3072] = {1, 0};
    char path[256];
    _cleanup_(vn_fclosep) FILE *file = NULL;

    write_cifar100(&f, "train.bin", 1);
    write_cifar_names(&f);
    write_config(&f, CIFAR_CONFIG, NULL, NULL);
    refuse_coarse(&f, NULL, VN_CONFIG_E_INVALID, "say where data lies with --data");
    refuse_coarse(&f, "/nowhere", -ENOENT, "train.bin: not in the data folder /nowhere");
    write_text(&f, "coarse.txt", "one\ntwo\n");
    refuse_coarse(&f, f.path, VN_CONFIG_E_INVALID, "coarse.txt: holds 2 names, must hold 20");
    write_text(&f, "coarse.txt", "one\n\ntwo\n");
    refuse_coarse(&f, f.path, VN_CONFIG_E_INVALID, "line 2 is empty");
    write_text(&f, "coarse.txt", "\xff\n");
    refuse_coarse(&f, f.path, VN_CONFIG_E_INVALID, "printable UTF-8");
    write_text(&f, "coarse.txt", "");
    refuse_coarse(&f, f.path, VN_CONFIG_E_INVALID, "holds no name");
    write_cifar_names(&f);
    write_file(&f, "train.bin", record, sizeof record);
    refuse_coarse(&f, f.path, VN_CONFIG_E_INVALID, "class 1 of 100 does not occur");
    write_cifar100(&f, "train.bin", 1);
    file = fopen(path_in(&f, "train.bin", path), "ab");
    fwrite(record, sizeof record, 1, file);
    fflush(file);
    refuse_coarse(&f, f.path, VN_CONFIG_E_INVALID,
                  "record 100 puts class 0 in coarse class 1, an earlier one in 0");
}

Test(map, by_class_name_over_folders)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    static const char set[] = "'format': 'folders', 'train': {'images': 'train'}}],\n";
    char text[4096];

    make_folder(&f, "train");
    make_folder(&f, "train/cat");
    make_folder(&f, "train/ant");
    make_folder(&f, "train/bee");
    snprintf(text, sizeof text, "%.*s%s%s", (int)(strstr(CONFIG_BASE, "'format'") - CONFIG_BASE),
             CONFIG_BASE, set, strstr(CONFIG_BASE, "'tasks'"));
    write_config(&f, text, "['even', 1, null]", "{'cat': 'odd', 'ant': 0}");
    c = load_config(&f, f.path);
    cr_assert_eq(c->data[0].classes, 3);
    cr_assert_eq(c->task_data[1].map[0], 0);
    cr_assert_eq(c->task_data[1].map[1], -1);
    cr_assert_eq(c->task_data[1].map[2], 1);
    write_config(&f, text, "['even', 1, null]", "{'dog': 'odd', 'ant': 0}");
    refuse_coarse(&f, f.path, VN_CONFIG_E_INVALID,
                  "tasks[1].map.dog: the set \"set\" has no class of this name");
    vn_train_config_free(c);
    write_config(&f, text, ", 'labels': ['zero', 'one', 'two']", "");
    c = load_config(&f, f.path);
    cr_assert_str_eq(c->network->tasks[0].labels[1], "bee");
    make_folder(&f, "train/dog");
    refuse_coarse(&f, f.path, VN_CONFIG_E_INVALID, "\"map\" is for 3 classes");
}

/* --- shipped files ---------------------------------------------------------------------------- */

static char *read_source(const char *name)
{
    char path[512], *text = calloc(1, 1 << 18);
    _cleanup_(vn_fclosep) FILE *f = NULL;

    snprintf(path, sizeof path, "%s/%s", VN_SOURCE_ROOT, name);
    f = fopen(path, "rb");
    cr_assert_not_null(f, "%s", path);
    cr_assert_gt(fread(text, 1, (1 << 18) - 1, f), 0);
    return text;
}

Test(shipped, configurations_are_good)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_train_config *c = NULL;
    struct vn_why why = {""};

    cr_assert_eq(
        vn_train_config_load(VN_SOURCE_ROOT "/models/fashion-mnist/config.json", NULL, &why, &c), 0,
        "%s", why.text);
    cr_assert_eq(c->network->n_tasks, 2);
    vn_train_config_free(c);
    make_folder(&f, "cifar100");
    write_cifar100(&f, "cifar100/train.bin", 1);
    write_cifar_names(&f);
    cr_assert_eq(
        vn_train_config_load(VN_SOURCE_ROOT "/models/cifar100-20/config.json", f.path, &why, &c),
        -ENOENT);
    cr_assert_not_null(strstr(why.text, "coarse_label_names.txt"), "%s", why.text);
    /* with its name files in place */
    char from[256], to[256];

    cr_assert_eq(
        rename(path_in(&f, "coarse.txt", from), path_in(&f, "cifar100/coarse_label_names.txt", to)),
        0);
    cr_assert_eq(
        rename(path_in(&f, "fine.txt", from), path_in(&f, "cifar100/fine_label_names.txt", to)), 0);
    cr_assert_eq(
        vn_train_config_load(VN_SOURCE_ROOT "/models/cifar100-20/config.json", f.path, &why, &c), 0,
        "%s", why.text);
    cr_assert_eq(c->network->n_tasks, 20);
    vn_train_config_free(c);
}

/* docs/training.md has a line "| `key` | default | min .. max | ..." for every setting. */
static void expect_documented(const char *text, const struct vn_config_field *fields)
{
    for (; fields->key; fields++) {
        char line[128];

        if (fields->kind == VN_FIELD_FLAG)
            snprintf(line, sizeof line, "\n| `%s` | %s |", fields->key,
                     fields->value > 0 ? "true" : "false");
        else
            snprintf(line, sizeof line, "\n| `%s` | %g | %.7g to %.7g |", fields->key,
                     fields->value, fields->min, fields->max);
        cr_assert_not_null(strstr(text, line), "docs/training.md has no line that starts \"%s\"",
                           line + 1);
    }
}

Test(shipped, every_setting_is_documented_with_its_default)
{
    _cleanup_(vn_freep) char *text = read_source("docs/training.md");
    char *agent = strstr(text, "\n## agent_training");

    cr_assert_not_null(agent);
    expect_documented(agent, vn_agent_schedule_fields);
    *agent = 0;
    expect_documented(text, vn_schedule_fields);
}
