/* Small valid files with random bytes changed, added or cut: whatever a reader makes of them, it
 * must give a whole set or a sentence, and touch no memory that is not its own (which the
 * sanitizers watch). */
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "tests/train/config_text.h"
#include "train/data.h"

#define ROUNDS 250

static struct {
    uint32_t good, bad;
} seen;

/* One to four changes: a byte set, a bit flipped, the end cut off, or bytes appended. */
static size_t damage(uint8_t *bytes, size_t n, size_t room, struct vn_rng *rng)
{
    for (uint32_t k = 1 + vn_rng_below(rng, 4); k; k--) {
        uint32_t where = n ? vn_rng_below(rng, (uint32_t)(n < 64 ? n : 64)) : 0;

        if (n && vn_rng_below(rng, 2))
            where = vn_rng_below(rng, (uint32_t)n);
        switch (vn_rng_below(rng, 8)) {
        case 0:
            n = where;
            break;
        case 1:
            if (n < room)
                bytes[n++] = (uint8_t)vn_rng_u64(rng);
            break;
        case 2:
        case 3:
            bytes[where] = (uint8_t)vn_rng_u64(rng);
            break;
        default:
            bytes[where] ^= (uint8_t)(1u << vn_rng_below(rng, 8));
        }
    }
    return n;
}

/* A set that was accepted must hold what it says. */
static void walk(const struct vn_data_set *s)
{
    unsigned sum = 0;

    for (uint32_t i = 0; i < s->n_examples; i++) {
        const struct vn_example *e = &s->examples[i];

        cr_assert_lt(e->image, s->n_images);
        cr_assert_lt(e->label, s->n_classes);
        cr_assert_eq(vn_image_check(&s->images[e->image], NULL), 0);
        for (uint64_t k = 0; k < s->images[e->image].length; k++)
            sum += s->images[e->image].pixels[k];
    }
    cr_assert_leq(sum, UINT32_MAX);
}

static void try_set(const struct vn_data_description *d, const struct folder *f)
{
    struct vn_data_set *s = NULL;
    struct vn_why why = {""};
    int r = vn_data_load(d, f->path, VN_SPLIT_TRAIN, 0.1, 0, &why, &s);

    if (!r) {
        walk(s);
        seen.good++;
    } else {
        cr_assert_null(s);
        cr_assert(why.text[0]);
        seen.bad++;
    }
    vn_data_free(s);
}

/* Damages one file of the set, ROUNDS times. */
static void fuzz_file(const struct vn_data_description *d, const struct folder *f, const char *name,
                      uint64_t seed)
{
    static uint8_t good[200000], bytes[200000];
    char path[256];
    FILE *file = fopen(path_in(f, name, path), "rb");
    size_t n;

    cr_assert_not_null(file);
    n = fread(good, 1, sizeof good - 8, file);
    fclose(file);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct vn_rng rng = vn_rng_stream(seed, i, 0);

        memcpy(bytes, good, n);
        write_file(f, name, bytes, damage(bytes, n, sizeof bytes, &rng));
        try_set(d, f);
    }
    write_file(f, name, good, n);
}

static struct vn_data_description describe(enum vn_data_format format, uint32_t classes)
{
    struct vn_data_description d = {.name = "set", .format = format, .classes = classes};

    d.train.n = 1;
    strcpy(d.train.images[0], "images");
    strcpy(d.train.labels[0], "labels");
    return d;
}

static void fuzz_idx(const struct folder *f)
{
    struct vn_data_description d = describe(VN_DATA_IDX, 3);
    uint8_t images[16 + 12 * 20] = {0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 4, 0, 0, 0, 5};
    uint8_t labels[8 + 12] = {0, 0, 8, 1, 0, 0, 0, 12, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
    uint8_t packed[1024];

    write_file(f, "images", images, sizeof images);
    write_file(f, "labels", labels, sizeof labels);
    fuzz_file(&d, f, "images", 1);
    fuzz_file(&d, f, "labels", 2);
    write_file(f, "images", packed, gzip_bytes(images, sizeof images, packed, sizeof packed));
    write_file(f, "labels", packed, gzip_bytes(labels, sizeof labels, packed, sizeof packed));
    fuzz_file(&d, f, "images", 3);
    fuzz_file(&d, f, "labels", 4);
}

static void fuzz_binary(const struct folder *f)
{
    struct vn_data_description cifar = describe(VN_DATA_CIFAR100, 100);
    struct vn_data_description stl10 = describe(VN_DATA_STL10, 10);
    static uint8_t bytes[4 * 27648];

    write_file(f, "images", bytes, 4 * 3074);
    fuzz_file(&cifar, f, "images", 5);
    cifar.format = VN_DATA_CIFAR10;
    cifar.classes = 10;
    write_file(f, "images", bytes, 4 * 3073);
    fuzz_file(&cifar, f, "images", 6);
    write_file(f, "images", bytes, sizeof bytes);
    write_text(f, "labels", "\1\2\3\12");
    fuzz_file(&stl10, f, "images", 7);
    fuzz_file(&stl10, f, "labels", 8);
}

static void fuzz_folders(const struct folder *f)
{
    struct vn_data_description d = describe(VN_DATA_FOLDERS, 2);

    strcpy(d.train.images[0], "root");
    d.side = 2;
    make_folder(f, "root");
    make_folder(f, "root/a");
    make_folder(f, "root/b");
    write_text(f, "root/a/1.pgm", "P2 3 3 255 1 2 3 4 5 6 7 8 9");
    write_text(f, "root/b/1.ppm", "P6 3 3 255 abcdefghijklmnopqrstuvwxyza");
    fuzz_file(&d, f, "root/a/1.pgm", 9);
    fuzz_file(&d, f, "root/b/1.ppm", 10);
}

static void fuzz_config(const struct folder *f)
{
    char path[256], text[] = CONFIG_BASE;
    size_t n = strlen(text);

    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    for (uint32_t i = 0; i < 5 * ROUNDS; i++) {
        struct vn_rng rng = vn_rng_stream(11, i, 0);
        struct vn_train_config *c = NULL;
        struct vn_why why = {""};
        uint8_t bytes[sizeof text + 8];

        memcpy(bytes, text, n);
        write_file(f, "config.json", bytes, damage(bytes, n, sizeof bytes, &rng));
        if (vn_train_config_load(path_in(f, "config.json", path), f->path, &why, &c)) {
            cr_assert_null(c);
            cr_assert(why.text[0]);
            seen.bad++;
        } else {
            seen.good++;
        }
        vn_train_config_free(c);
    }
}

Test(fuzz, damaged_files_give_a_set_or_a_sentence)
{
    _cleanup_(folder_remove) struct folder f = folder_make();

    fuzz_idx(&f);
    fuzz_binary(&f);
    fuzz_folders(&f);
    fuzz_config(&f);
    /* Both ends must have been reached, or the files above were not valid to begin with. */
    cr_assert_gt(seen.good, ROUNDS);
    cr_assert_gt(seen.bad, ROUNDS);
}
