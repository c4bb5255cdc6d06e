/* Data sets in memory: images as 8-bit pixels with a class (and, where the format has one, a
 * coarse class), read from the usual file formats. Every byte of a file is checked; an error names
 * the file, what is wrong and what would be right.
 *
 * Splits: `test` is the format's own test part. `validation` is cut from the training part: the
 * last share (10 %) of each class by file order, never trained on; every choice is made on it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/why.h"
#include "engine/image.h"
#include "train/config.h"

enum {
    VN_DATA_E_INVALID = 1, /* why names the file and what is wrong with it */
};

/* Where data lies: `option` (what --data gave) when not NULL, else the environment variable
 * VIRTUALNET_DATA when not empty, else VN_DATA_FOLDER. Nothing is checked yet. */
#define VN_DATA_FOLDER "/usr/share/datasets" /* where Debian's packages of data sets install */
const char *vn_data_folder(const char *option);

#define VN_EXAMPLES_MAX (1u << 24)        /* of one split: more than any set read here */
#define VN_PIXELS_MAX (UINT64_C(1) << 34) /* bytes of one split's kept images in memory */

enum vn_split {
    VN_SPLIT_TRAIN,
    VN_SPLIT_VALIDATION,
    VN_SPLIT_TEST,
};

/* One example: an image (index into its data set's images), a class, a coarse class or 0. */
struct vn_example {
    uint32_t image;
    uint16_t label;
    uint16_t coarse;
};

struct vn_data_set {
    uint32_t n_images;
    struct vn_image *images; /* owned array; pixels point into storage */
    uint8_t *storage;        /* owned */
    uint32_t n_classes, n_coarse;
    uint32_t n_examples; /* of the split that was asked for, in file order */
    struct vn_example *examples;
};

/* Reads one split of a described set; only its images are kept in memory. `folder` comes from
 * vn_data_folder; file names in the description are relative to it. share: of each class, for the
 * validation split (the last floor(share * count) of it), 0 .. 0.5. limit_images: 0 = all; else so
 * many of the split, the first of every class in turn (quick tests), still in file order.
 * 0, VN_DATA_E_INVALID or a negative errno; why is set in every case of failure. */
int vn_data_load(const struct vn_data_description *d, const char *folder, enum vn_split split,
                 double validation_share, uint32_t limit_images, struct vn_why *why,
                 struct vn_data_set **ret_set);
struct vn_data_set *vn_data_free(struct vn_data_set *s);
VN_DEFINE_CLEANUP(struct vn_data_set *, vn_data_free);

/* A labelled sample of one task. */
struct vn_sample {
    uint32_t image; /* index into the data set of the task */
    uint16_t task;
    uint16_t label; /* of the task */
};

/* All samples of a split, per input: the tasks that share an input are mixed in one list (one
 * image may stand in it once per task). Order: by task, then file order. */
struct vn_samples {
    uint32_t n;
    struct vn_sample *samples; /* owned */
};

/* The part of one task, which lies together; task -1: the whole list. Nothing is owned. */
struct vn_samples vn_samples_of(const struct vn_samples *all, int task);

struct vn_corpus {
    const struct vn_train_config *config;       /* borrowed */
    struct vn_data_set *sets[VN_DATA_SETS_MAX]; /* owned, by data description */
    struct vn_samples samples[VN_INPUTS_MAX];   /* by input */
};

/* Loads every data set that the configuration's tasks use and lists the samples: at least one per
 * input. The configuration must outlive the corpus. Results as of vn_data_load. */
int vn_corpus_load(const struct vn_train_config *c, const char *folder, enum vn_split split,
                   uint32_t limit_images, struct vn_why *why, struct vn_corpus **ret_corpus);
struct vn_corpus *vn_corpus_free(struct vn_corpus *c);
VN_DEFINE_CLEANUP(struct vn_corpus *, vn_corpus_free);

static inline const struct vn_image *vn_corpus_image(const struct vn_corpus *c,
                                                     const struct vn_sample *s)
{
    return &c->sets[c->config->task_data[s->task].set]->images[s->image];
}

/* Pad-crop and flip, in place on a preprocessed image (h, w, c): shifted by dx, dy pixels in
 * -pad .. pad with zeros (the mean) coming in, then mirrored left-right when flip. work: h w c
 * floats. */
void vn_augment(float *image, uint32_t h, uint32_t w, uint32_t c, int dx, int dy, bool flip,
                float *work);
