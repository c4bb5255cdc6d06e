/* A store: one network and its parameters in one safetensors file, mapped read-only.
 *
 *   u64 little-endian  N, length of the header
 *   N bytes            JSON: "__metadata__" {format, network, checksums} and one entry per tensor
 *                      {dtype, shape, data_offsets}; trailing spaces up to a 64 KiB file offset
 *   tensors            little-endian, in the order and at the offsets of engine/layout.h
 *
 * A file is hostile until each of these holds, in this order: it is a regular file; N fits the file
 * and VN_HEADER_MAX; the header is JSON within depth limits without duplicate keys; format is ours;
 * the network passes vn_network_read; the layout computed from it has exactly the tensors, types,
 * shapes and offsets that the header lists; the data starts on a 64 KiB file offset and ends
 * where the file ends. Nothing else of the file is read at open except the always-needed part,
 * which is populated, so that a truncated file is an error here and not a SIGBUS later. Checksums
 * are xxh3-64: the one of the description is compared at open, those of the fixed part and of each
 * slice by vn_store_verify (all at once, engine/store_verify.c) or by the first run that uses them
 * (engine/store_check.c).
 *
 * The map is at an address congruent to the file offset modulo 64 KiB (so that fault-around windows
 * are the file's) and not modulo 2 MiB (so that no huge page is mapped by accident), and divided so
 * that the kernel never maps a neighbour along (engine/store_map.c).
 *
 * A store is const after open and shared between threads, but for what is known of its parts, which
 * is atomic; it is counted by ref/unref. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/layout.h"
#include "engine/network.h"

#define VN_HEADER_MAX (UINT64_C(16) << 20) /* bytes of JSON: 1000 labels x 256 tasks and room */
#define VN_STORE_FORMAT "virtualnet/1"
#define VN_PART_NAME 40 /* "block.63.group.15" */

enum {
    VN_STORE_E_INVALID = 1, /* not a store, or a broken one; why names the first wrong thing */
    VN_STORE_E_NEWER,       /* a format this build does not know */
    VN_STORE_E_CHECKSUM,    /* a part is not what it was when the store was written */
};

struct vn_store {
    const struct vn_network *network;
    const struct vn_layout *layout;
    const uint8_t *data; /* the mapped data part, layout->data_bytes; 64 KiB aligned address */
    uint64_t file_bytes;
    /* private */
    struct vn_network *own_network;
    struct vn_layout *own_layout;
    uint64_t *hashes;             /* of the parts, from the header; NULL: the store carries none */
    atomic_uchar *checked;        /* by part, enum in store_check.c; NULL: runs do not check */
    struct vn_resident *resident; /* the books of engine/residency.c; NULL: nobody keeps them */
    void *map;                    /* the reservation */
    size_t map_bytes;
    int fd;
    int references; /* atomic */
};

/* Maps and checks. why is set on every failure. 0, VN_STORE_E_INVALID, VN_STORE_E_NEWER or a
 * negative errno. */
int vn_store_open(const char *file, struct vn_why *why, struct vn_store **ret_store);
struct vn_store *vn_store_ref(struct vn_store *s);
struct vn_store *vn_store_unref(struct vn_store *s); /* takes NULL, returns NULL */
VN_DEFINE_CLEANUP(struct vn_store *, vn_store_unref);

/* Reads everything (through pread, not the map: nothing becomes resident) and compares the
 * checksums. `progress` may be NULL; it is told the bytes done. */
int vn_store_verify(const struct vn_store *s, struct vn_why *why,
                    void (*progress)(void *context, uint64_t done, uint64_t all), void *context);

/* From now on the first run that uses a part compares it with its checksum (vn_store_check). Call
 * it before there is a session. The fixed part is compared here and now. 0, VN_STORE_E_CHECKSUM or
 * -ENOMEM; why is set. */
int vn_store_check_at_use(struct vn_store *s, struct vn_why *why);

/* A slice's part; part 0 is the fixed part. */
static inline uint32_t vn_store_slice_part(const struct vn_store *s, uint32_t group, uint32_t block)
{
    return 1 + group * vn_network_blocks(s->network) + block;
}

uint64_t vn_store_part_bytes(const struct vn_store *s, uint32_t part);
void vn_store_part_name(const struct vn_store *s, uint32_t part, char ret_name[VN_PART_NAME]);

/* Whether a run must call vn_store_check before it uses the part: the store checks at use, and
 * nobody found the part good yet. */
bool vn_store_is_unchecked(const struct vn_store *s, uint32_t part);

/* Compares the part with its checksum, through the map: what becomes resident is what a run of it
 * makes resident. Any number of threads; two that meet at one part both compare it. A part that was
 * found damaged once stays so until the store is opened again. 0 or VN_STORE_E_CHECKSUM. */
int vn_store_check(const struct vn_store *s, uint32_t part);

/* The same, through reads of the file: nothing becomes resident. */
int vn_store_check_file(const struct vn_store *s, uint32_t part);

/* Makes resident what a run of the part makes resident, and checks it where the store checks at
 * use: a later run will not wait for the file. Best effort where the kernel cannot (before Linux
 * 5.14). 0, VN_STORE_E_CHECKSUM or a negative errno: it cannot be read. */
int vn_store_warm(const struct vn_store *s, uint32_t part);

/* What is known of the parts. Without vn_store_check_at_use nothing is: all but `parts` are 0. */
struct vn_store_checks {
    uint32_t parts, good, damaged;
};

struct vn_store_checks vn_store_checks(const struct vn_store *s);

/* A tensor's numbers in the map. */
static inline const float *vn_store_tensor(const struct vn_store *s, uint32_t tensor)
{
    return (const float *)(s->data + s->layout->tensors[tensor].offset);
}

/* Where a writer finds the numbers of one tensor: `floats` of them, valid during the call only to
 * the next call. Not called for padding. */
typedef const float *vn_tensor_source(void *context, const struct vn_layout *l, uint32_t tensor);

/* Writes a new store beside `file` and renames it into place: the old one is never touched.
 * Bytes depend on the network and the numbers alone. 0 or a negative errno, with why set. */
int vn_store_write(const char *file, const struct vn_network *n, vn_tensor_source *source,
                   void *context, struct vn_why *why);
