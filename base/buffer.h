/* A bounded byte buffer: bytes are appended at the end and consumed from the front. The largest
 * size is a constructor argument; nothing grows past it. Memory grows by doubling and is kept
 * until deinit or until the buffer runs empty above VN_BUFFER_KEEP. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define VN_BUFFER_KEEP 65536 /* an idle connection keeps no more than this */

enum {
    VN_BUFFER_E_FULL = 1, /* the limit would be passed; nothing was changed */
};

struct vn_buffer {
    uint8_t *data;    /* owned */
    size_t start;     /* first byte not yet consumed */
    size_t end;       /* one past the last byte */
    size_t allocated; /* bytes behind data */
    size_t limit;     /* largest end - start */
};

void vn_buffer_init(struct vn_buffer *b, size_t limit_bytes);
void vn_buffer_deinit(struct vn_buffer *b);

static inline size_t vn_buffer_used(const struct vn_buffer *b)
{
    return b->end - b->start;
}

static inline const uint8_t *vn_buffer_head(const struct vn_buffer *b)
{
    return b->data + b->start;
}

/* Makes room for n more bytes at data + end. 0, VN_BUFFER_E_FULL or -ENOMEM. */
int vn_buffer_reserve(struct vn_buffer *b, size_t n);

/* Copies n bytes to the end. 0, VN_BUFFER_E_FULL or -ENOMEM. */
int vn_buffer_append(struct vn_buffer *b, const void *bytes, size_t n);

/* Drops n bytes (at most what is used) from the front. */
void vn_buffer_consume(struct vn_buffer *b, size_t n);
