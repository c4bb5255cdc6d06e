/* What the writer and the reader of a store share: the parts that have checksums, and the header. */
#pragma once

#include <stdio.h>

#include "engine/store.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a store is little-endian and used in place"
#endif

#define VN_PART_NAME 40 /* "block.63.group.15" */
#define VN_PART_HASH 17 /* 16 hexadecimal digits of xxh3-64 */

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
