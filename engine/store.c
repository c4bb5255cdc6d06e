/* Opening, mapping and counting a store. Nothing else maps a store's bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/residency.h"
#include "engine/store_parts.h"

/* --- header ----------------------------------------------------------------------------------- */

static int check_file(struct vn_store *s, struct vn_why *why)
{
    struct stat st;

    if (fstat(s->fd, &st) < 0)
        return vn_store_failed(why, errno, "stat");
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
    r = vn_read_at(s->fd, &length, sizeof length, 0);
    if (r)
        return vn_store_failed(why, -r, "reading");
    if (length > s->file_bytes - sizeof length || length > VN_HEADER_MAX || length < 2)
        return vn_because(why, VN_STORE_E_INVALID,
                          "the header's length is %llu bytes; 2 to %llu are allowed in a file of "
                          "%llu bytes",
                          (unsigned long long)length, (unsigned long long)VN_HEADER_MAX,
                          (unsigned long long)s->file_bytes);
    text = malloc(length);
    if (!text)
        return vn_store_failed(why, ENOMEM, "header");
    r = vn_read_at(s->fd, text, length, sizeof length);
    if (r)
        return vn_store_failed(why, -r, "reading");
    r = vn_store_read_header(s, text, length, why);
    if (r == -ENOMEM)
        return vn_store_failed(why, ENOMEM, "header");
    *ret_start = sizeof length + length;
    return r;
}

/* --- public ----------------------------------------------------------------------------------- */

static int open_store(const char *file, struct vn_store *s, struct vn_why *why)
{
    uint64_t start = 0;
    int r;

    s->fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (s->fd < 0)
        return vn_store_failed(why, errno, "opening");
    r = check_file(s, why);
    if (r || (r = read_header(s, why, &start)))
        return r;
    s->network = s->own_network;
    s->layout = s->own_layout;
    return vn_store_map(s, start, why);
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
    vn_residency_leave(s);
    if (s->map)
        munmap(s->map, s->map_bytes);
    if (s->fd >= 0)
        close(s->fd);
    vn_layout_free(s->own_layout);
    vn_network_free(s->own_network);
    free(s->hashes);
    free(s->checked);
    free(s);
    return NULL;
}
