/* What the readers of the formats share; no other folder includes this.
 *
 * A split is read in two passes over the same files: `list` says what every record is (class,
 * coarse class), the caller picks the records it wants, `load` fills their pixels. Both go through
 * the files in the order of the description; a record's number counts over all of them. */
#pragma once

#include <stdbool.h>
#include <zlib.h>

#include "train/data.h"
#include "train/names.h"

struct vn_reading {
    const struct vn_data_description *d;
    const struct vn_data_files *files; /* of the split's part */
    const char *folder;
    struct vn_why *why;
};

/* Records, in file order; `image` is the record's number. */
struct vn_listing {
    uint32_t n, room;
    struct vn_example *examples; /* owned */
    uint32_t n_classes, n_coarse;
    char **paths; /* owned, of the folders format: one per record; else NULL */
};

void vn_listing_deinit(struct vn_listing *l);

/* Appends record number l->n. 0, VN_DATA_E_INVALID (too many) or -ENOMEM. */
int vn_listing_add(struct vn_listing *l, uint16_t label, uint16_t coarse, struct vn_why *why);

/* Makes room for the pixels of `kept`: packed images of one size. */
int vn_data_allocate(struct vn_data_set *s, const struct vn_listing *kept, uint32_t width,
                     uint32_t height, enum vn_pixel_format format, struct vn_why *why);

/* A file of the set, plain or (where `gzip_allowed`) compressed, read from front to back. */
struct vn_data_file {
    char *path; /* owned */
    gzFile gz;  /* owned; reads plain files too */
    bool packed;
    uint64_t bytes; /* on disk */
    uint64_t most;  /* that it can hold: bytes, or more when packed */
};

int vn_data_open(const struct vn_reading *r, const char *name, bool gzip_allowed,
                 struct vn_data_file *f);
void vn_data_close(struct vn_data_file *f);

/* Exactly n bytes, or an error that says that the file is too short. */
int vn_data_read(const struct vn_reading *r, struct vn_data_file *f, void *bytes, size_t n);

/* The file must end here (this also checks a compressed file's checksum). */
int vn_data_end(const struct vn_reading *r, struct vn_data_file *f);

/* Says what is wrong with a file; VN_DATA_E_INVALID. */
int vn_data_wrong(const struct vn_reading *r, const struct vn_data_file *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "folder/name", to be freed; NULL: out of memory. */
char *vn_data_path(const char *folder, const char *name);

/* A file or folder of the set is missing: where it was searched and where it comes from. */
int vn_data_missing(const char *folder, const char *name, int error, struct vn_why *why);

struct vn_format {
    int (*list)(const struct vn_reading *r, struct vn_listing *l);
    int (*load)(const struct vn_reading *r, const struct vn_listing *kept, struct vn_data_set *s);
};

extern const struct vn_format vn_format_idx, vn_format_cifar, vn_format_stl10, vn_format_folders;

/* The coarse class of each of CIFAR-100's classes, as the training files pair them. Every class
 * must occur, always with the same coarse class. 0, VN_DATA_E_INVALID or a negative errno. */
int vn_cifar100_coarse(const struct vn_reading *r, uint16_t ret_coarse_of[100]);

/* The classes of a set of folders: the names of the training part's sub-folders, sorted. */
int vn_folders_classes(const struct vn_data_description *d, const char *folder, struct vn_why *why,
                       struct vn_names *ret_names);
