/* A short list of short names: classes of a data set. */
#pragma once

#include <stdint.h>

#include "base/why.h"
#include "engine/network.h"

enum {
    VN_NAMES_E_INVALID = 1, /* why says which name and what is wrong */
};

struct vn_names {
    uint32_t n;
    char (*name)[VN_NAME_MAX + 1]; /* owned; NULL while n is 0 */
};

void vn_names_deinit(struct vn_names *names);

/* Adds a copy. A name is 1 to VN_NAME_MAX bytes of printable UTF-8; at most `max` names.
 * 0, VN_NAMES_E_INVALID or -ENOMEM. */
int vn_names_add(struct vn_names *names, const char *name, uint32_t max, struct vn_why *why);

/* Adds "prefix-0" .. "prefix-(n-1)". */
int vn_names_number(struct vn_names *names, const char *prefix, uint32_t n, struct vn_why *why);

/* Reads a text file, one name a line; empty lines at the end are left out. */
int vn_names_read(struct vn_names *names, const char *path, uint32_t max, struct vn_why *why);

/* Index of the name, or -1. */
int vn_names_find(const struct vn_names *names, const char *name);
