/* Placing a store's data part in memory so that the kernel maps no more of it than plans count.
 *
 * At a touch the kernel maps 64 KiB around it, if they are in the page cache (fault-around), and
 * newer ones (6.18) the whole of the page cache's folio there, up to 2 MiB, unless it reaches
 * beyond the area (vma) that was touched or beyond its 2 MiB of page tables. So
 *   - the address is congruent to the file offset modulo 64 KiB: windows are the file's;
 *   - it is not congruent modulo 2 MiB: a huge page can never be mapped as one;
 *   - the map is divided into areas that plans count as a whole: the fixed part, the windows that
 *     belong to one slice alone (of a large one: to each of its convolutions, and to its vectors),
 *     and each window that several share. What makes neighbours
 *     different areas is that every second one is left out of core dumps, where file maps are not
 *     by default. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/residency.h"
#include "engine/store_parts.h"

#define HUGE_BYTES (UINT64_C(2) << 20) /* what one huge-page entry maps */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* All of it, or an error; a file that ends early is EIO. */
int vn_read_at(int fd, void *bytes, size_t n, uint64_t offset)
{
    for (uint8_t *to = bytes; n;) {
        ssize_t got = pread(fd, to, n, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        to += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

int vn_store_failed(struct vn_why *why, int error, const char *what)
{
    return vn_because(why, -error, "%s: %s", what, strerror(error));
}

/* --- place and fixed part --------------------------------------------------------------------- */

/* The first address from `from` on that lies half a huge page off the file's own alignment. */
static uint8_t *choose_address(uint8_t *from, uint64_t start)
{
    uint64_t wanted = (start + HUGE_BYTES / 2) % HUGE_BYTES;
    uint64_t have = (uint64_t)(uintptr_t)from % HUGE_BYTES;

    return from + (wanted + HUGE_BYTES - have) % HUGE_BYTES;
}

/* Without MADV_POPULATE_READ the part is only read: that finds what cannot be read. */
static int read_through(const struct vn_store *s, uint64_t start)
{
    uint8_t bytes[4096];
    int r = 0;

    for (uint64_t done = 0; !r && done < s->layout->fixed_bytes; done += sizeof bytes) {
        uint64_t left = s->layout->fixed_bytes - done;

        r = vn_read_at(s->fd, bytes, left < sizeof bytes ? left : sizeof bytes, start + done);
    }
    return r;
}

int vn_store_populate(const struct vn_store *s, uint64_t offset, uint64_t bytes)
{
    uint64_t from = offset / VN_WINDOW_BYTES * VN_WINDOW_BYTES, end = offset + bytes;

    end = (end + VN_WINDOW_BYTES - 1) / VN_WINDOW_BYTES * VN_WINDOW_BYTES;
    if (end > s->layout->data_bytes)
        end = s->layout->data_bytes;
    return madvise((void *)(s->data + from), end - from, MADV_POPULATE_READ) < 0 ? -errno : 0;
}

static int populate(const struct vn_store *s, uint64_t start)
{
    int r = vn_store_populate(s, 0, s->layout->fixed_bytes);

    return r == -EINVAL || r == -ENOSYS ? read_through(s, start) : r;
}

int vn_store_warm(const struct vn_store *s, uint32_t part)
{
    const struct vn_part p = vn_part_at(s->network, s->layout, part);
    int r;

    vn_residency_hold(s, p.offset, p.bytes, true);
    vn_residency_make_room(s);
    r = vn_store_populate(s, p.offset, p.bytes);
    if (!r || r == -EINVAL || r == -ENOSYS)
        r = vn_store_is_unchecked(s, part) ? vn_store_check(s, part) : 0;
    vn_residency_let_go(s, &(struct vn_range){p.offset, p.bytes}, 1, true);
    return r;
}

/* --- areas ------------------------------------------------------------------------------------ */

struct areas {
    const struct vn_store *s;
    uint64_t start; /* of the area that is open, bytes of the data part */
    uint64_t last;  /* window of the bytes that were divided off last */
    bool odd;
};

/* Ends the open area before window number `window`. Where the kernel refuses (too many areas), what
 * it maps may pass what is promised; everything else works. */
static void cut(struct areas *a, uint64_t window)
{
    uint64_t end = window * VN_WINDOW_BYTES;

    if (end > a->s->layout->data_bytes)
        end = a->s->layout->data_bytes;
    if (end <= a->start)
        return;
    if (a->odd)
        (void)madvise((void *)(a->s->data + a->start), end - a->start, MADV_DONTDUMP);
    a->odd = !a->odd;
    a->start = end;
}

/* The bytes [offset, end) are an area of their own, but for windows that they share with others,
 * which are areas of theirs. */
static void divide_off(struct areas *a, uint64_t offset, uint64_t end)
{
    uint64_t first = offset / VN_WINDOW_BYTES;

    cut(a, first);
    if (first == a->last)
        cut(a, first + 1);
    a->last = (end - 1) / VN_WINDOW_BYTES;
}

/* A large slice is three areas, because a run that streams wants its convolutions one by one. */
static void divide_slice(struct areas *a, const struct vn_slice *slice)
{
    const struct vn_tensor *tensors = a->s->layout->tensors;

    if (slice->bytes < VN_SLICE_ALIGN_FROM) {
        divide_off(a, slice->offset, slice->offset + slice->bytes);
        return;
    }
    divide_off(a, slice->offset, tensors[slice->conv2].offset);
    divide_off(a, tensors[slice->conv2].offset, tensors[slice->bn1].offset);
    divide_off(a, tensors[slice->bn1].offset, slice->offset + slice->bytes);
}

static void divide(const struct vn_store *s)
{
    struct areas a = {.s = s, .last = (s->layout->fixed_bytes - 1) / VN_WINDOW_BYTES};

    for (uint32_t g = 0; g < s->network->groups; g++)
        for (uint32_t b = 0; b < vn_network_blocks(s->network); b++)
            divide_slice(&a, &s->layout->trunk.slice[g][b]);
    cut(&a, a.last + 1);
}

/* --- map -------------------------------------------------------------------------------------- */

int vn_store_map(struct vn_store *s, uint64_t start, struct vn_why *why)
{
    size_t bytes = s->layout->data_bytes;
    uint8_t *address;
    void *map;
    int r;

    s->map_bytes = bytes + 2 * HUGE_BYTES; /* room to choose, and a gap behind */
    map = mmap(NULL, s->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return vn_store_failed(why, errno, "reserving addresses");
    s->map = map;
    address = choose_address(map, start);
    if (mmap(address, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, s->fd, (off_t)start) == MAP_FAILED)
        return vn_store_failed(why, errno, "mapping");
    s->data = address;
    (void)madvise(address, bytes, MADV_NOHUGEPAGE); /* a kernel without huge pages refuses */
    divide(s);
    r = populate(s, start);
    return r ? vn_store_failed(why, -r, "reading the always-needed part") : 0;
}
