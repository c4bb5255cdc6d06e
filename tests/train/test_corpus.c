/* From configuration and files to samples; pad-crop and flip; and the public sets, where they are
 * installed. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/train/config_text.h"
#include "train/data.h"

/* 12 images of 28x28, every pixel of image i is i; the label of image i is i mod 3. */
static void write_set(const struct folder *f)
{
    static uint8_t images[16 + 12 * 784];
    uint8_t labels[8 + 12] = {0, 0, 8, 1};

    memcpy(images, "\0\0\x08\x03", 4);
    put_big_endian(images + 4, 12);
    put_big_endian(images + 8, 28);
    put_big_endian(images + 12, 28);
    put_big_endian(labels + 4, 12);
    for (int i = 0; i < 12; i++) {
        memset(images + 16 + 784 * i, i, 784);
        labels[8 + i] = (uint8_t)(i % 3);
    }
    write_file(f, "images", images, sizeof images);
    write_file(f, "labels", labels, sizeof labels);
}

#define TWO_INPUTS                                                                                 \
    "{'name': 'two', 'validation_share': 0.25,\n"                                                  \
    "'network': {'stem_width': 8, 'groups': 4, 'inputs': [\n"                                      \
    "  {'name': 'other', 'width': 8, 'height': 8, 'color': 'rgb', 'mean': [0, 0, 0],\n"            \
    "   'std': [1, 1, 1], 'stem_kernel': 3, 'stem_stride': 1},\n"                                  \
    "  {'name': 'in', 'width': 28, 'height': 28, 'color': 'gray', 'mean': [0.3],\n"                \
    "   'std': [0.3], 'stem_kernel': 3, 'stem_stride': 2}],\n"                                     \
    " 'stages': [{'blocks': 1, 'width': 8, 'stride': 1, 'group_width': 4}]},\n"                    \
    "'data': [{'name': 'gone', 'format': 'folders', 'train': {'images': 'gone'}},\n"               \
    " {'name': 'set', 'format': 'idx', 'train': {'images': 'images', 'labels': 'labels'}}],\n"     \
    "'tasks': [\n"                                                                                 \
    " {'name': 'which', 'input': 'in', 'data': 'set', 'labels': ['zero', 'one', 'two']},\n"        \
    " {'name': 'odd', 'input': 'in', 'data': 'set', 'labels': ['even', 'odd'],\n"                  \
    "  'map': ['even', 1, null]},\n"                                                               \
    " {'name': 'third', 'input': 'other', 'data': 'gone', 'labels': ['a', 'b']}]}\n"

static struct vn_corpus *load_corpus(const struct vn_train_config *c, const struct folder *f,
                                     enum vn_split split, uint32_t limit)
{
    struct vn_corpus *corpus = NULL;
    struct vn_why why = {""};

    cr_assert_eq(vn_corpus_load(c, f->path, split, limit, &why, &corpus), 0, "%s", why.text);
    return corpus;
}

Test(corpus, samples_are_listed_by_task_then_file)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    _cleanup_(vn_corpus_freep) struct vn_corpus *corpus = NULL;
    const struct vn_samples *s;

    write_set(&f);
    write_config(&f, CONFIG_BASE, NULL, NULL);
    c = load_config(&f, f.path);
    corpus = load_corpus(c, &f, VN_SPLIT_TRAIN, 0);
    s = &corpus->samples[0];
    /* a quarter of each class's 4 images is validation: images 0 .. 8 stay. The first task takes
     * all 9, the second those of the classes 0 and 1 */
    cr_assert_eq(corpus->sets[0]->n_images, 9);
    cr_assert_eq(s->n, 9 + 6);
    for (uint32_t i = 0; i < 9; i++) {
        cr_assert_eq(s->samples[i].task, 0);
        cr_assert_eq(s->samples[i].label, i % 3);
        cr_assert_eq(vn_corpus_image(corpus, &s->samples[i])->pixels[783], i);
    }
    for (uint32_t i = 0; i < 6; i++) { /* images 0, 1, 3, 4, 6, 7 */
        cr_assert_eq(s->samples[9 + i].task, 1);
        cr_assert_eq(s->samples[9 + i].label, i % 2);
        cr_assert_eq(s->samples[9 + i].image, i / 2 * 3 + i % 2);
    }
}

/* What the chosen task does not use is not even looked for: the set "gone" has no file. */
Test(corpus, only_some_tasks)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    _cleanup_(vn_corpus_freep) struct vn_corpus *corpus = NULL;
    static const char *const tasks[] = {"odd"};
    const uint64_t seed = 12;
    const struct vn_config_changes changes = {&seed, 1, tasks};
    struct vn_why why = {""};
    char path[256];

    write_set(&f);
    write_config(&f, TWO_INPUTS, NULL, NULL);
    cr_assert_eq(
        vn_train_config_load_changed(path_in(&f, "config.json", path), f.path, &changes, &why, &c),
        0, "%s", why.text);
    cr_assert_eq(c->seed, 12);
    cr_assert_eq(c->network->n_tasks, 1);
    cr_assert_eq(c->network->n_inputs, 1);
    cr_assert_str_eq(c->network->inputs[0].name, "in");
    /* still the second of three: floor(1 * 4 / 3) = 1 */
    for (uint8_t g = 0; g < 4; g++)
        cr_assert_eq(c->network->tasks[0].order[g], (g + 1) % 4);
    corpus = load_corpus(c, &f, VN_SPLIT_TRAIN, 0);
    cr_assert_eq(corpus->samples[0].n, 6);
    cr_assert_eq(corpus->samples[0].samples[1].label, 1);
    cr_assert_null(corpus->sets[0]);
    /* what the store will say about its making */
    cr_assert_eq(json_integer_value(json_object_get(c->source, "seed")), 12);
    cr_assert_eq(json_array_size(json_object_get(c->source, "only_tasks")), 1);
}

Test(corpus, an_input_without_samples_is_refused)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    struct vn_corpus *corpus = NULL;
    struct vn_why why = {""};
    uint8_t labels[8 + 12] = {0, 0, 8, 1, 0, 0, 0, 12};

    write_set(&f);
    memset(labels + 8, 2, 12); /* the one class that the task leaves out */
    write_file(&f, "labels", labels, sizeof labels);
    write_config(&f, CONFIG_BASE,
                 "{'name': 'which', 'input': 'in', 'data': 'set', 'labels': ['zero', 'one', "
                 "'two']},\n",
                 "");
    c = load_config(&f, f.path);
    cr_assert_eq(vn_corpus_load(c, f.path, VN_SPLIT_TRAIN, 0, &why, &corpus), VN_DATA_E_INVALID);
    cr_assert_not_null(strstr(why.text, "input \"in\": no image of the split"), "%s", why.text);
}

Test(corpus, a_limit_keeps_all_classes)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    _cleanup_(vn_corpus_freep) struct vn_corpus *corpus = NULL;

    write_set(&f);
    write_config(&f, CONFIG_BASE, NULL, NULL);
    c = load_config(&f, f.path);
    corpus = load_corpus(c, &f, VN_SPLIT_TRAIN, 3);
    cr_assert_eq(corpus->samples[0].n, 3 + 2); /* one of each class; two of them are in task 1 */
}

/* --- augmentation ----------------------------------------------------------------------------- */

/* A 2x3 image with 2 channels; channel c of pixel (y, x) is 100 y + 10 x + c + 1. */
static void fill(float image[12])
{
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++)
            for (int c = 0; c < 2; c++)
                image[(y * 3 + x) * 2 + c] = (float)(100 * y + 10 * x + c + 1);
}

static void expect_shifted(int dx, int dy, bool flip)
{
    float image[12], old[12], work[12];

    fill(image);
    fill(old);
    vn_augment(image, 2, 3, 2, dx, dy, flip, work);
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++)
            for (int c = 0; c < 2; c++) {
                int v = y - dy, u = (flip ? 2 - x : x) - dx;
                bool inside = v >= 0 && v < 2 && u >= 0 && u < 3;

                cr_assert_eq(image[(y * 3 + x) * 2 + c], inside ? old[(v * 3 + u) * 2 + c] : 0,
                             "dx=%d dy=%d flip=%d y=%d x=%d c=%d", dx, dy, flip, y, x, c);
            }
}

Test(augment, shifts_and_mirrors)
{
    for (int dy = -3; dy <= 3; dy++) /* past both edges too */
        for (int dx = -4; dx <= 4; dx++) {
            expect_shifted(dx, dy, false);
            expect_shifted(dx, dy, true);
        }
}

/* --- public sets ------------------------------------------------------------------------------ */

Test(public, fashion_mnist)
{
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    _cleanup_(vn_corpus_freep) struct vn_corpus *corpus = NULL;
    static const uint8_t first[] = {9, 2, 1, 1, 6, 1, 4, 6, 5, 7}; /* published test labels */
    static const uint8_t kinds[] = {3, 0, 1, 1, 0, 1, 0, 0, 3, 3}; /* as the map says */
    struct vn_why why = {""};
    uint32_t per_class[10] = {0};
    int r;

    if (access(VN_DATA_FOLDER "/fashion-mnist/t10k-images-idx3-ubyte.gz", R_OK))
        cr_skip_test("dataset-fashion-mnist is not installed");
    cr_assert_eq(vn_train_config_load(VN_SOURCE_ROOT "/models/fashion-mnist/config.json",
                                      VN_DATA_FOLDER, &why, &c),
                 0, "%s", why.text);
    r = vn_corpus_load(c, VN_DATA_FOLDER, VN_SPLIT_TEST, 0, &why, &corpus);
    cr_assert_eq(r, 0, "%s", why.text);
    cr_assert_eq(corpus->sets[0]->n_images, 10000);
    cr_assert_eq(corpus->samples[0].n, 20000);
    for (uint32_t i = 0; i < 10000; i++)
        per_class[corpus->samples[0].samples[i].label]++;
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(per_class[i], 1000);
        cr_assert_eq(corpus->samples[0].samples[i].label, first[i]);
        cr_assert_eq(corpus->samples[0].samples[10000 + i].label, kinds[i]);
    }
}

Test(public, cifar100)
{
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = NULL;
    _cleanup_(vn_corpus_freep) struct vn_corpus *corpus = NULL;
    const char *folder = getenv("VIRTUALNET_DATA");
    uint32_t per_label[20][5] = {{0}};
    char path[512] = "";
    struct vn_why why = {""};
    int r;

    if (folder)
        snprintf(path, sizeof path, "%s/cifar100/train.bin", folder);
    if (!folder || access(path, R_OK))
        cr_skip_test("VIRTUALNET_DATA has no cifar100/train.bin");
    r = vn_train_config_load(VN_SOURCE_ROOT "/models/cifar100-20/config.json", folder, &why, &c);
    cr_assert_eq(r, 0, "%s", why.text);
    cr_assert_str_eq(c->network->tasks[0].name, "aquatic_mammals");
    cr_assert_str_eq(c->network->tasks[0].labels[4], "whale");
    r = vn_corpus_load(c, folder, VN_SPLIT_VALIDATION, 0, &why, &corpus);
    cr_assert_eq(r, 0, "%s", why.text);
    cr_assert_eq(corpus->samples[0].n, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        const struct vn_sample *s = &corpus->samples[0].samples[i];

        per_label[s->task][s->label]++;
    }
    for (uint32_t t = 0; t < 20; t++)
        for (uint32_t l = 0; l < 5; l++)
            cr_assert_eq(per_label[t][l], 50); /* a tenth of 500 */
}
