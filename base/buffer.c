#include "base/buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void vn_buffer_init(struct vn_buffer *b, size_t limit_bytes)
{
    *b = (struct vn_buffer){.limit = limit_bytes};
}

void vn_buffer_deinit(struct vn_buffer *b)
{
    free(b->data);
    *b = (struct vn_buffer){.limit = b->limit};
}

static void move_to_front(struct vn_buffer *b)
{
    if (!b->start)
        return;
    memmove(b->data, b->data + b->start, vn_buffer_used(b));
    b->end -= b->start;
    b->start = 0;
}

int vn_buffer_reserve(struct vn_buffer *b, size_t n)
{
    size_t used = vn_buffer_used(b), want;
    uint8_t *data;

    if (n > b->limit || used > b->limit - n)
        return VN_BUFFER_E_FULL;
    if (n <= b->allocated - b->end)
        return 0;
    move_to_front(b);
    if (n <= b->allocated - b->end)
        return 0;
    want = b->allocated ? b->allocated : 4096;
    while (want < used + n)
        want *= 2; /* used + n <= limit, so want stays below 2 * limit */
    if (want > b->limit)
        want = b->limit;
    data = realloc(b->data, want);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->allocated = want;
    return 0;
}

int vn_buffer_append(struct vn_buffer *b, const void *bytes, size_t n)
{
    int r = vn_buffer_reserve(b, n);

    if (r)
        return r;
    if (n)
        memcpy(b->data + b->end, bytes, n);
    b->end += n;
    return 0;
}

void vn_buffer_consume(struct vn_buffer *b, size_t n)
{
    size_t used = vn_buffer_used(b);

    b->start += n < used ? n : used;
    if (b->start < b->end)
        return;
    b->start = b->end = 0;
    if (b->allocated > VN_BUFFER_KEEP) {
        free(b->data);
        b->data = NULL;
        b->allocated = 0;
    }
}
