/* Opening, mapping and counting a store. Nothing else maps a store's bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/store_parts.h"

#define HUGE_BYTES (UINT64_C(2) << 20) /* what one huge-page entry maps */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

static int failed(struct vn_why *why, int error, const char *what)
{
    return vn_because(why, -error, "%s: %s", what, strerror(error));
}

/* All of it, or an error; a file that ends early is EIO. */
static int read_at(int fd, void *bytes, size_t n, uint64_t offset)
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

/* --- header ----------------------------------------------------------------------------------- */

static int check_file(struct vn_store *s, struct vn_why *why)
{
    struct stat st;

    if (fstat(s->fd, &st) < 0)
        return failed(why, errno, "stat");
    if (!S_ISREG(st.st_mode))
        return vn_because(why, VN_STORE_E_INVALID, "not a regular file");
    s->file_bytes = (uint64_t)st.st_size;
    return 0;
}

static int read_header(struct vn_store *s, struct vn_why *why, uint64_t *ret_start)
{
    _cleanup_(vn_freep) char *text = NULL;
    uint64_t length;
    int r;

    if (s->file_bytes < sizeof length)
        return vn_because(why, VN_STORE_E_INVALID, "%llu bytes are too few for a store",
                          (unsigned long long)s->file_bytes);
    r = read_at(s->fd, &length, sizeof length, 0);
    if (r)
        return failed(why, -r, "reading");
    if (length > s->file_bytes - sizeof length || length > VN_HEADER_MAX || length < 2)
        return vn_because(why, VN_STORE_E_INVALID,
                          "the header's length is %llu bytes; 2 to %llu are allowed in a file of "
                          "%llu bytes",
                          (unsigned long long)length, (unsigned long long)VN_HEADER_MAX,
                          (unsigned long long)s->file_bytes);
    text = malloc(length);
    if (!text)
        return failed(why, ENOMEM, "header");
    r = read_at(s->fd, text, length, sizeof length);
    if (r)
        return failed(why, -r, "reading");
    r = vn_store_read_header(s, text, length, why);
    if (r == -ENOMEM)
        return failed(why, ENOMEM, "header");
    *ret_start = sizeof length + length;
    return r;
}

/* --- map -------------------------------------------------------------------------------------- */

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

        r = read_at(s->fd, bytes, left < sizeof bytes ? left : sizeof bytes, start + done);
    }
    return r;
}

static int populate(const struct vn_store *s, uint64_t start)
{
    if (!madvise((void *)s->data, s->layout->fixed_bytes, MADV_POPULATE_READ))
        return 0;
    if (errno == EINVAL || errno == ENOSYS)
        return read_through(s, start);
    return -errno;
}

static int map_data(struct vn_store *s, uint64_t start, struct vn_why *why)
{
    size_t bytes = s->layout->data_bytes;
    uint8_t *address;
    void *map;
    int r;

    s->map_bytes = bytes + 2 * HUGE_BYTES; /* room to choose, and a gap behind */
    map = mmap(NULL, s->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return failed(why, errno, "reserving addresses");
    s->map = map;
    address = choose_address(map, start);
    if (mmap(address, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, s->fd, (off_t)start) == MAP_FAILED)
        return failed(why, errno, "mapping");
    s->data = address;
    (void)madvise(address, bytes, MADV_NOHUGEPAGE); /* a kernel without huge pages refuses */
    r = populate(s, start);
    return r ? failed(why, -r, "reading the always-needed part") : 0;
}

/* --- public ----------------------------------------------------------------------------------- */

static int open_store(const char *file, struct vn_store *s, struct vn_why *why)
{
    uint64_t start = 0;
    int r;

    s->fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (s->fd < 0)
        return failed(why, errno, "opening");
    r = check_file(s, why);
    if (r || (r = read_header(s, why, &start)))
        return r;
    s->network = s->own_network;
    s->layout = s->own_layout;
    return map_data(s, start, why);
}

int vn_store_open(const char *file, struct vn_why *why, struct vn_store **ret_store)
{
    _cleanup_(vn_store_unrefp) struct vn_store *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return vn_because(why, -ENOMEM, "%s: out of memory", file);
    s->references = 1;
    s->fd = -1;
    r = open_store(file, s, why);
    if (r)
        return vn_because_in(why, r, file);
    *ret_store = s;
    s = NULL;
    return 0;
}

struct vn_store *vn_store_ref(struct vn_store *s)
{
    __atomic_add_fetch(&s->references, 1, __ATOMIC_RELAXED);
    return s;
}

struct vn_store *vn_store_unref(struct vn_store *s)
{
    if (!s || __atomic_sub_fetch(&s->references, 1, __ATOMIC_ACQ_REL))
        return NULL;
    if (s->map)
        munmap(s->map, s->map_bytes);
    if (s->fd >= 0)
        close(s->fd);
    vn_layout_free(s->own_layout);
    vn_network_free(s->own_network);
    free(s->checksums);
    free(s);
    return NULL;
}
