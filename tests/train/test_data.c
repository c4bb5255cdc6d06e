/* The readers of data sets, on small files made here: what they give, and what they say about
 * files that are not what they should be. */
#include <criterion/criterion.h>
#include <errno.h>

#include "tests/train/files.h"
#include "train/data.h"

/* --- IDX -------------------------------------------------------------------------------------- */

/* 10 images of 3x2: pixel p of image i is 10 i + p; the label of image i is i mod 2. */
enum { IDX_N = 10, IDX_H = 2, IDX_W = 3, IDX_IMAGES = 16 + 60, IDX_LABELS = 8 + 10 };

static void fill_idx(uint8_t images[IDX_IMAGES], uint8_t labels[IDX_LABELS])
{
    memset(images, 0, 16);
    memset(labels, 0, 8);
    images[2] = labels[2] = 8;
    images[3] = 3;
    labels[3] = 1;
    put_big_endian(images + 4, IDX_N);
    put_big_endian(images + 8, IDX_H);
    put_big_endian(images + 12, IDX_W);
    put_big_endian(labels + 4, IDX_N);
    for (int i = 0; i < IDX_N; i++) {
        labels[8 + i] = (uint8_t)(i % 2);
        for (int p = 0; p < IDX_H * IDX_W; p++)
            images[16 + 6 * i + p] = (uint8_t)(10 * i + p);
    }
}

static struct vn_data_description describe(enum vn_data_format format, uint32_t classes,
                                           const char *images, const char *labels)
{
    struct vn_data_description d = {.name = "set", .format = format, .classes = classes};

    d.train.n = 1;
    strcpy(d.train.images[0], images);
    strcpy(d.train.labels[0], labels ? labels : "");
    return d;
}

static struct vn_data_description write_idx(const struct folder *f)
{
    uint8_t images[IDX_IMAGES], labels[IDX_LABELS];

    fill_idx(images, labels);
    write_file(f, "images", images, sizeof images);
    write_file(f, "labels", labels, sizeof labels);
    return describe(VN_DATA_IDX, 2, "images", "labels");
}

static struct vn_data_set *load_good(const struct vn_data_description *d, const struct folder *f,
                                     enum vn_split split, double share, uint32_t limit)
{
    struct vn_data_set *s = NULL;
    struct vn_why why = {""};

    cr_assert_eq(vn_data_load(d, f->path, split, share, limit, &why, &s), 0, "%s", why.text);
    return s;
}

/* The set must be refused with a sentence that holds `said`. */
static void refused(const struct vn_data_description *d, const struct folder *f, const char *said)
{
    struct vn_data_set *s = NULL;
    struct vn_why why = {""};
    int r = vn_data_load(d, f->path, VN_SPLIT_TRAIN, 0, 0, &why, &s);

    cr_assert_eq(r, VN_DATA_E_INVALID, "%d: %s", r, why.text);
    cr_assert_null(s);
    cr_assert_not_null(strstr(why.text, said), "\"%s\" does not say \"%s\"", why.text, said);
}

Test(idx, splits_by_class_and_file_order)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_idx(&f);
    _cleanup_(vn_data_freep) struct vn_data_set *train = load_good(&d, &f, VN_SPLIT_TRAIN, 0.4, 0);
    _cleanup_(vn_data_freep) struct vn_data_set *validation =
        load_good(&d, &f, VN_SPLIT_VALIDATION, 0.4, 0);

    /* 5 of each class; the last floor(0.4 * 5) = 2 of each are 6, 8 and 7, 9 */
    cr_assert_eq(train->n_examples, 6);
    cr_assert_eq(validation->n_examples, 4);
    cr_assert_eq(validation->n_images, 4);
    cr_assert_eq(validation->n_classes, 2);
    for (uint32_t i = 0; i < 4; i++) {
        const struct vn_image *image = &validation->images[validation->examples[i].image];

        cr_assert_eq(validation->examples[i].label, i % 2);
        cr_assert_eq(image->width, IDX_W);
        cr_assert_eq(image->height, IDX_H);
        cr_assert_eq(image->format, VN_PIXELS_GRAY8);
        cr_assert_eq(image->length, 6);
        for (uint32_t p = 0; p < 6; p++)
            cr_assert_eq(image->pixels[p], 10 * (6 + i) + p);
        cr_assert_eq(vn_image_check(image, NULL), 0);
    }
}

Test(idx, reads_gzip_and_several_files)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_idx(&f);
    uint8_t images[IDX_IMAGES], labels[IDX_LABELS], packed[512];
    struct vn_data_set *s;

    fill_idx(images, labels);
    write_file(&f, "images.gz", packed, gzip_bytes(images, sizeof images, packed, sizeof packed));
    write_file(&f, "labels.gz", packed, gzip_bytes(labels, sizeof labels, packed, sizeof packed));
    strcpy(d.train.images[1], "images.gz");
    strcpy(d.train.labels[1], "labels.gz");
    d.train.n = 2;
    s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 0);
    cr_assert_eq(s->n_images, 20);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(s->images[i].pixels[5], 10 * (i % 10) + 5);
    vn_data_free(s);
}

Test(idx, a_limit_takes_the_first_of_every_class)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_idx(&f);
    uint8_t images[IDX_IMAGES], labels[IDX_LABELS];
    struct vn_data_set *s;

    fill_idx(images, labels);
    for (int i = 0; i < IDX_N; i++)
        labels[8 + i] = i >= 6; /* sorted by class, as folders are: 6 of class 0, 4 of class 1 */
    write_file(&f, "labels", labels, sizeof labels);
    s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 5);
    /* two of each, and one more in file order: images 0, 1, 2, 6, 7 */
    cr_assert_eq(s->n_examples, 5);
    cr_assert_eq(s->images[2].pixels[0], 20);
    cr_assert_eq(s->images[3].pixels[0], 60);
    cr_assert_eq(s->examples[2].label, 0);
    cr_assert_eq(s->examples[3].label, 1);
    vn_data_free(s);
    s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 9); /* 4 of each, and image 4 */
    cr_assert_eq(s->n_examples, 9);
    cr_assert_eq(s->images[4].pixels[0], 40);
    cr_assert_eq(s->images[5].pixels[0], 60);
    vn_data_free(s);
    s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 100);
    cr_assert_eq(s->n_examples, 10);
    vn_data_free(s);
}

/* Puts `value` at `offset` of one of the two files, and expects the complaint. */
static void refuse_changed(bool in_labels, size_t offset, uint32_t value, const char *said)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_idx(&f);
    uint8_t images[IDX_IMAGES], labels[IDX_LABELS];

    fill_idx(images, labels);
    put_big_endian((in_labels ? labels : images) + offset, value);
    write_file(&f, "images", images, sizeof images);
    write_file(&f, "labels", labels, sizeof labels);
    refused(&d, &f, said);
}

Test(idx, refuses_wrong_headers)
{
    refuse_changed(false, 0, 0x00000803 + 1, "starts with 00 00 08 04");
    refuse_changed(false, 0, 0x00000d03, "an IDX file of images starts with 00 00 08 03");
    refuse_changed(false, 0, 0x00000801, "starts with 00 00 08 03");
    refuse_changed(true, 0, 0x00000803, "an IDX file of labels starts with 00 00 08 01");
    refuse_changed(false, 4, 0, "dimension 0 is 0");
    refuse_changed(false, 4, UINT32_MAX, "dimension 0 is 4294967295");
    refuse_changed(false, 8, UINT32_MAX, "dimension 1 is 4294967295");
    refuse_changed(false, 12, 0, "dimension 2 is 0");
    refuse_changed(false, 4, 1 << 24, "must hold 100663312 bytes by its header, but has 76");
    refuse_changed(false, 4, 11, "must hold 82 bytes by its header, but has 76");
    refuse_changed(true, 4, 9, "must hold 17 bytes by its header, but has 18");
    refuse_changed(true, 8, 0x00010200, "label 2 of image 2 is not below 2");
}

Test(idx, refuses_a_cut_or_longer_file)
{
    uint8_t images[IDX_IMAGES], labels[IDX_LABELS + 1] = {0};

    fill_idx(images, labels);
    for (size_t n = 0; n < IDX_IMAGES; n++) {
        _cleanup_(folder_remove) struct folder f = folder_make();
        struct vn_data_description d = write_idx(&f);

        write_file(&f, "images", images, n);
        refused(&d, &f, "images: ");
        write_file(&f, "images", images, sizeof images);
        if (n >= IDX_LABELS)
            continue;
        write_file(&f, "labels", labels, n);
        refused(&d, &f, "labels: ");
        write_file(&f, "labels", labels, sizeof labels);
        refused(&d, &f, "must hold 18 bytes by its header, but has 19");
    }
}

Test(idx, refuses_different_counts_and_sizes)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_idx(&f);
    uint8_t images[IDX_IMAGES], labels[IDX_LABELS];

    fill_idx(images, labels);
    put_big_endian(labels + 4, 9);
    write_file(&f, "labels", labels, sizeof labels - 1);
    refused(&d, &f, "holds 9 labels for 10 images");
    d = write_idx(&f);
    put_big_endian(images + 8, 3);
    put_big_endian(images + 12, 2);
    write_file(&f, "other", images, sizeof images);
    strcpy(d.train.images[1], "other");
    strcpy(d.train.labels[1], "labels");
    d.train.n = 2;
    refused(&d, &f, "images of 2x3, those of the first file have 3x2");
}

Test(idx, refuses_a_cut_or_damaged_gzip)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_idx(&f);
    uint8_t images[IDX_IMAGES], labels[IDX_LABELS], packed[512];
    size_t n;

    fill_idx(images, labels);
    n = gzip_bytes(images, sizeof images, packed, sizeof packed);
    for (size_t cut = 2; cut < n; cut++) { /* from 2 on the file is known as gzip */
        write_file(&f, "images", packed, cut);
        refused(&d, &f, "images: ");
    }
    packed[n - 8] ^= 1; /* the checksum */
    write_file(&f, "images", packed, n);
    refused(&d, &f, "the gzip stream is damaged");
}

Test(idx, a_gzip_cannot_promise_more_than_it_can_hold)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_idx(&f);
    _cleanup_(vn_freep) uint8_t *zeros = calloc(1, 1 << 20);
    uint8_t images[IDX_IMAGES], labels[IDX_LABELS], packed[4096];
    size_t n;

    fill_idx(images, labels);
    put_big_endian(images + 4, 1 << 24); /* 2^24 images of 16384x16384: 2^52 bytes */
    put_big_endian(images + 8, 16384);
    put_big_endian(images + 12, 16384);
    write_file(&f, "images", packed, gzip_bytes(images, sizeof images, packed, sizeof packed));
    refused(&d, &f, "must hold 4503599627370512 bytes by its header");

    /* a megabyte of zeros behind what the header says is not read */
    fill_idx(zeros, labels);
    n = gzip_bytes(zeros, 1 << 20, packed, sizeof packed);
    write_file(&f, "images", packed, n);
    refused(&d, &f, "holds more bytes than its header says");
}

/* --- files that are not there ----------------------------------------------------------------- */

Test(files, missing_ones_say_where_and_whence)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d =
        describe(VN_DATA_IDX, 10, "fashion-mnist/train-images-idx3-ubyte.gz", "labels");
    struct vn_data_set *s = NULL;
    struct vn_why why = {""};

    cr_assert_eq(vn_data_load(&d, f.path, VN_SPLIT_TRAIN, 0, 0, &why, &s), -ENOENT);
    cr_assert_not_null(strstr(why.text, "train-images-idx3-ubyte.gz"), "%s", why.text);
    cr_assert_not_null(strstr(why.text, f.path), "%s", why.text);
    cr_assert_not_null(strstr(why.text, "--data"), "%s", why.text);
    cr_assert_not_null(strstr(why.text, "dataset-fashion-mnist"), "%s", why.text);
    cr_assert_eq(vn_data_load(&d, f.path, VN_SPLIT_TEST, 0, 0, &why, &s), VN_DATA_E_INVALID);
    cr_assert_not_null(strstr(why.text, "no test files"), "%s", why.text);
}

Test(files, must_be_regular)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = describe(VN_DATA_CIFAR10, 10, "pipe", NULL);
    char path[256];

    cr_assert_eq(mkfifo(path_in(&f, "pipe", path), 0600), 0);
    refused(&d, &f, "must be a regular file");
    make_folder(&f, "folder");
    strcpy(d.train.images[0], "folder");
    refused(&d, &f, "must be a regular file");
}

Test(files, the_folder_is_the_option_or_the_variable_or_the_default)
{
    unsetenv("VIRTUALNET_DATA");
    cr_assert_str_eq(vn_data_folder(NULL), VN_DATA_FOLDER);
    setenv("VIRTUALNET_DATA", "", 1);
    cr_assert_str_eq(vn_data_folder(NULL), VN_DATA_FOLDER);
    setenv("VIRTUALNET_DATA", "/variable", 1);
    cr_assert_str_eq(vn_data_folder(NULL), "/variable");
    cr_assert_str_eq(vn_data_folder("/option"), "/option");
}

/* --- CIFAR and STL-10 ------------------------------------------------------------------------- */

enum { CIFAR_PLANE = 1024, CIFAR100 = 2 + 3 * CIFAR_PLANE, STL_PLANE = 96 * 96 };

Test(cifar, planes_become_pixels)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = describe(VN_DATA_CIFAR100, 100, "train.bin", NULL);
    static uint8_t file[2 * CIFAR100];
    struct vn_data_set *s;

    file[CIFAR100] = 19;
    file[CIFAR100 + 1] = 99;
    for (int i = 0; i < 3 * CIFAR_PLANE; i++) /* red, green, blue of pixel i: i, i + 1, i + 2 */
        file[CIFAR100 + 2 + i] = (uint8_t)(i % CIFAR_PLANE + i / CIFAR_PLANE);
    write_file(&f, "train.bin", file, sizeof file);
    s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 0);
    cr_assert_eq(s->n_images, 2);
    cr_assert_eq(s->n_classes, 100);
    cr_assert_eq(s->n_coarse, 20);
    cr_assert_eq(s->examples[1].label, 99);
    cr_assert_eq(s->examples[1].coarse, 19);
    cr_assert_eq(s->images[1].format, VN_PIXELS_RGB8);
    for (int i = 0; i < CIFAR_PLANE; i++)
        for (int c = 0; c < 3; c++)
            cr_assert_eq(s->images[1].pixels[3 * i + c], (uint8_t)(i + c));
    vn_data_free(s);
}

Test(cifar, refuses_part_records_and_unknown_classes)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = describe(VN_DATA_CIFAR100, 100, "train.bin", NULL);
    static uint8_t file[CIFAR100 + 1], packed[512];

    write_file(&f, "train.bin", file, sizeof file);
    refused(&d, &f, "3075 bytes are not 1 to 16777216 records of 3074 bytes");
    write_file(&f, "train.bin", file, 0);
    refused(&d, &f, "0 bytes are not");
    file[1] = 100;
    write_file(&f, "train.bin", file, CIFAR100);
    refused(&d, &f, "record 0 has class 100");
    file[1] = 0;
    file[0] = 20;
    write_file(&f, "train.bin", file, CIFAR100);
    refused(&d, &f, "unknown coarse class");
    write_file(&f, "train.bin", packed, gzip_bytes(file, CIFAR100, packed, sizeof packed));
    refused(&d, &f, "unpack it first");
    d.format = VN_DATA_CIFAR10;
    d.classes = 10;
    file[0] = 10;
    write_file(&f, "train.bin", file, CIFAR100 - 1);
    refused(&d, &f, "record 0 has class 10; must be below 10");
}

Test(stl10, columns_become_rows)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = describe(VN_DATA_STL10, 10, "X.bin", "y.bin");
    static uint8_t file[2 * 3 * STL_PLANE], labels[3] = {10, 1, 1};
    struct vn_data_set *s;

    /* second image: green at column 5, row 2 */
    file[3 * STL_PLANE + STL_PLANE + 5 * 96 + 2] = 77;
    write_file(&f, "X.bin", file, sizeof file);
    write_file(&f, "y.bin", labels, 2);
    s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 0);
    cr_assert_eq(s->examples[0].label, 9);
    cr_assert_eq(s->examples[1].label, 0);
    for (int i = 0; i < 3 * STL_PLANE; i++) /* row 2, column 5, green */
        cr_assert_eq(s->images[1].pixels[i], i == 3 * (2 * 96 + 5) + 1 ? 77 : 0);
    vn_data_free(s);
    write_file(&f, "y.bin", labels, 3);
    refused(&d, &f, "holds 3 labels for 2 images");
    labels[1] = 0;
    write_file(&f, "y.bin", labels, 2);
    refused(&d, &f, "label 0 of image 1 is not 1 to 10");
    labels[1] = 11;
    write_file(&f, "y.bin", labels, 2);
    refused(&d, &f, "label 11 of image 1 is not 1 to 10");
    write_file(&f, "X.bin", file, sizeof file - 1);
    refused(&d, &f, "55295 bytes are not");
}

/* --- folders ---------------------------------------------------------------------------------- */

static struct vn_data_description write_folders(const struct folder *f)
{
    struct vn_data_description d = describe(VN_DATA_FOLDERS, 0, "train", NULL);

    make_folder(f, "train");
    make_folder(f, "train/b");
    make_folder(f, "train/a");
    make_folder(f, "train/.hidden");
    write_text(f, "train/readme.txt", "not a class");
    write_text(f, "train/a/notes.txt", "not an image");
    write_text(f, "train/a/2.pgm", "P2 2 1 255 5 6");
    write_text(f, "train/a/10.pgm", "P2 1 1 255 7");
    write_text(f, "train/b/x.PPM",
               "P3 4 2 255 0 0 9 0 0 9 100 0 9 100 0 9 "
               "0 0 9 0 0 9 100 0 9 101 0 9");
    return d;
}

Test(folders, classes_and_files_are_sorted_by_bytes)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_folders(&f);
    struct vn_data_set *s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 0);

    cr_assert_eq(s->n_classes, 2);
    cr_assert_eq(s->n_images, 3);
    cr_assert_eq(s->images[0].pixels[0], 7); /* "10.pgm" is before "2.pgm" */
    cr_assert_eq(s->images[1].width, 2);
    cr_assert_eq(s->images[1].pixels[1], 6);
    cr_assert_eq(s->examples[1].label, 0);
    cr_assert_eq(s->examples[2].label, 1);
    cr_assert_eq(s->images[2].format, VN_PIXELS_RGB8);
    cr_assert_eq(s->images[2].width, 4);
    vn_data_free(s);
}

Test(folders, large_images_shrink_to_the_shorter_side)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_folders(&f);
    struct vn_data_set *s;

    d.side = 1;
    s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 0);
    cr_assert_eq(s->images[1].width, 2); /* its shorter side is 1 already */
    cr_assert_eq(s->images[2].width, 2); /* 4x2 to 2x1: means of 2x2 squares */
    cr_assert_eq(s->images[2].height, 1);
    cr_assert_eq(s->images[2].pixels[0], 0);
    cr_assert_eq(s->images[2].pixels[2], 9);
    cr_assert_eq(s->images[2].pixels[3], 100); /* (3 * 100 + 101) / 4 = 100.25 */
    vn_data_free(s);

    /* 3x3 to 2x2: each target pixel covers 1.5 x 1.5. Top left: (90 + 0.5 * 30 + 0.5 * 60 + 0) /
     * 2.25 = 60; the others likewise */
    write_text(&f, "train/b/x.PPM", "P2 3 3 255  90 30 0  60 0 0  0 0 9");
    d.side = 2;
    s = load_good(&d, &f, VN_SPLIT_TRAIN, 0, 0);
    cr_assert_eq(s->images[2].width, 2);
    cr_assert_eq(s->images[2].pixels[0], 60);
    cr_assert_eq(s->images[2].pixels[1], 7);  /* 0.5 * 30 / 2.25 = 6.67 */
    cr_assert_eq(s->images[2].pixels[2], 13); /* 0.5 * 60 / 2.25 = 13.3 */
    cr_assert_eq(s->images[2].pixels[3], 4);  /* 9 / 2.25 */
    vn_data_free(s);
}

Test(folders, a_test_part_has_the_classes_of_the_training_part)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_folders(&f);
    struct vn_data_set *s = NULL;
    struct vn_why why;

    d.test.n = 1;
    strcpy(d.test.images[0], "test");
    make_folder(&f, "test");
    make_folder(&f, "test/b");
    write_text(&f, "test/b/1.pgm", "P2 1 1 255 8");
    s = load_good(&d, &f, VN_SPLIT_TEST, 0.1, 0);
    cr_assert_eq(s->n_images, 1);
    cr_assert_eq(s->n_classes, 2);
    cr_assert_eq(s->examples[0].label, 1); /* though its folder is the first here */
    s = vn_data_free(s);
    make_folder(&f, "test/c");
    cr_assert_eq(vn_data_load(&d, f.path, VN_SPLIT_TEST, 0, 0, &why, &s), VN_DATA_E_INVALID);
    cr_assert_not_null(strstr(why.text, "test/c: the training part has no class"), "%s", why.text);
}

Test(folders, refuses_broken_and_missing_things)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_folders(&f);

    write_text(&f, "train/b/x.PPM", "P3 4 2 255 0 0");
    refused(&d, &f, "x.PPM");
    d.classes = 3;
    refused(&d, &f, "has 2 sub-folders, but the configuration speaks of 3 classes");
    d.classes = 0;
    make_folder(&f, "empty");
    strcpy(d.train.images[0], "empty");
    refused(&d, &f, "has no sub-folder");
    make_folder(&f, "empty/a");
    refused(&d, &f, "no PNG, JPEG, PGM or PPM file");
}

/* --- splits ----------------------------------------------------------------------------------- */

Test(splits, an_empty_one_is_refused)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = write_idx(&f);
    struct vn_data_set *s = NULL;
    struct vn_why why;

    /* 0.19 of 5 is less than one */
    cr_assert_eq(vn_data_load(&d, f.path, VN_SPLIT_VALIDATION, 0.19, 0, &why, &s),
                 VN_DATA_E_INVALID);
    cr_assert_not_null(strstr(why.text, "the validation split is empty"), "%s", why.text);
}

Test(splits, a_share_of_0_29_of_100_is_29)
{
    _cleanup_(folder_remove) struct folder f = folder_make();
    struct vn_data_description d = describe(VN_DATA_STL10, 10, "X.bin", "y.bin");
    _cleanup_(vn_freep) uint8_t *file = calloc(100, 3 * STL_PLANE);
    uint8_t labels[100];
    struct vn_data_set *s;

    memset(labels, 1, sizeof labels);
    write_file(&f, "X.bin", file, 100 * 3 * STL_PLANE);
    write_file(&f, "y.bin", labels, sizeof labels);
    s = load_good(&d, &f, VN_SPLIT_VALIDATION, 0.29, 0);
    cr_assert_eq(s->n_examples, 29);
    vn_data_free(s);
}
