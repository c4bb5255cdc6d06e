/* Bytes as the files of a data set. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "train/data.h"

static const enum vn_data_format formats[] = {VN_DATA_IDX, VN_DATA_CIFAR10, VN_DATA_CIFAR100,
                                              VN_DATA_STL10};
static const uint32_t classes[] = {3, 10, 100, 10};

/* A set that was accepted holds what it says. */
static void walk(const struct vn_data_set *s)
{
    for (uint32_t i = 0; i < s->n_images; i++) {
        const struct vn_image *image = &s->images[i];

        must(!vn_image_check(image, NULL));
        must(image->pixels[0] <= 255 && image->pixels[image->length - 1] <= 255);
    }
    for (uint32_t i = 0; i < s->n_examples; i++) {
        must(s->examples[i].image < s->n_images);
        must(s->examples[i].label < s->n_classes);
        must(!s->n_coarse || s->examples[i].coarse < s->n_coarse);
    }
}

/* The first byte is the format; the next two say how many of the rest are the labels' file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vn_data_description d = {.name = "set", .train = {.n = 1}};
    struct vn_data_set *s = NULL;
    struct vn_why why = {""};
    char path[FUZZ_PATH];
    size_t labels;
    int fds[2];

    if (size < 3)
        return 0;
    d.format = formats[data[0] % 4];
    d.classes = classes[data[0] % 4];
    labels = (size_t)(data[1] << 8 | data[2]);
    data += 3;
    size -= 3;
    labels = labels < size ? labels : size;
    fds[0] = fuzz_file(data + labels, size - labels, path);
    snprintf(d.train.images[0], sizeof d.train.images[0], "%d", fds[0]);
    fds[1] = fuzz_file(data, labels, path);
    snprintf(d.train.labels[0], sizeof d.train.labels[0], "%d", fds[1]);
    if (vn_data_load(&d, FUZZ_FOLDER, VN_SPLIT_TRAIN, 0.1, 0, &why, &s))
        must(why.text[0] && !s);
    else
        walk(s);
    vn_data_free(s);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
