/* Which images of a store's data sets a command works on: --data and --split of `evaluate` and
 * `report`. */
#pragma once

#include "train/data.h"

struct vn_cli_images {
    const char *config; /* NULL: the configuration that the store carries */
    const char *folder; /* NULL: the usual place */
    enum vn_split split;
};

/* By enum vn_split. */
extern const char *const vn_split_names[3];

/* --data names the configuration (a file) or the folder of the data sets; both may be given. */
void vn_cli_take_data(const char *value, struct vn_cli_images *images);

/* 0, or VN_EXIT_USAGE after saying what would be right. */
int vn_cli_take_split(const char *command, const char *value, struct vn_cli_images *images);
