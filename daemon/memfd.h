/* Pixels in shared memory: a sealed memfd that came with a frame. Its seals say that its size stays
 * what it is: a file that could be cut short while it is mapped would end the process that reads
 * it. What lies in it may change at any time, as that is the client's own affair. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/why.h"

enum {
    MEMFD_E_INVALID = 1, /* why says what the descriptor lacks, or which bytes it does not have */
};

/* Whole pages around what was asked for. */
struct memfd_map {
    void *address; /* NULL: nothing is mapped */
    size_t bytes;
};

/* Whether it can have seals at all. Of such a file no operation waits for anybody, closing it
 * neither. */
bool memfd_may_be(int fd);

/* Maps [offset, offset + bytes), at most limit_bytes of them. The descriptor stays the caller's,
 * and the mapping holds without it. 0, MEMFD_E_INVALID or -ENOMEM. *ret_bytes points into the
 * mapping. */
int memfd_map(int fd, uint64_t offset, uint64_t bytes, uint64_t limit_bytes, struct vn_why *why,
              struct memfd_map *ret_map, const uint8_t **ret_bytes);

/* Takes one that maps nothing, too. */
void memfd_unmap(struct memfd_map *m);
