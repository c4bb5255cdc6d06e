/* What the writer and the reader of a store share: parts with checksums, and the header. */
#pragma once

#include <stdio.h>
#include <xxhash.h>

#include "engine/store.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a store is little-endian and used in place"
#endif

#define VN_PART_HASH 17 /* 16 hexadecimal digits of xxh3-64 */

static inline void vn_hash_text(uint64_t hash, char ret_text[VN_PART_HASH])
{
    snprintf(ret_text, VN_PART_HASH, "%016llx", (unsigned long long)hash);
}

/* A stretch of the data part with its own checksum: number 0 is the fixed part, then the slices in
 * file order. Only pad.N tensors lie between parts. */
struct vn_part {
    char name[VN_PART_NAME];
    uint64_t offset, bytes;
};

static inline uint32_t vn_parts(const struct vn_network *n)
{
    return 1 + n->groups * vn_network_blocks(n);
}

static inline struct vn_part vn_part_at(const struct vn_network *n, const struct vn_layout *l,
                                        uint32_t i)
{
    struct vn_part part = {.name = "fixed", .bytes = l->fixed_bytes};

    if (i) {
        uint32_t m = vn_network_blocks(n), g = (i - 1) / m, b = (i - 1) % m;

        snprintf(part.name, sizeof part.name, "block.%u.group.%u", b, g);
        part.offset = l->trunk.slice[g][b].offset;
        part.bytes = l->trunk.slice[g][b].bytes;
    }
    return part;
}

/* The header's judge (store_header.c). `text` is the N bytes of JSON, file_bytes the size of the
 * whole file. Fills own_network, own_layout and hashes. 0, VN_STORE_E_* or -ENOMEM. */
int vn_store_read_header(struct vn_store *s, const char *text, size_t length, struct vn_why *why);

/* Maps the data part, which starts at this file offset (store_map.c). 0 or a negative errno. */
int vn_store_map(struct vn_store *s, uint64_t start, struct vn_why *why);

/* Maps the windows of these bytes of the data part. 0 or a negative errno; -EINVAL or -ENOSYS: the
 * kernel cannot (before Linux 5.14). */
int vn_store_populate(const struct vn_store *s, uint64_t offset, uint64_t bytes);

/* All n bytes, or a negative errno; a file that ends early is -EIO. */
int vn_read_at(int fd, void *bytes, size_t n, uint64_t offset);

/* "PART was changed: ..."; returns VN_STORE_E_CHECKSUM. */
int vn_store_changed(const struct vn_store *s, uint32_t part, uint64_t found, struct vn_why *why);

/* "what: error text"; returns -error. */
int vn_store_failed(struct vn_why *why, int error, const char *what);
