#include "proto/frame.h"

#include <errno.h>
#include <stdlib.h>

int vn_frame_look(const uint8_t *data, size_t n, uint32_t limit_bytes, uint32_t *ret_length)
{
    uint32_t length;

    if (n < VN_FRAME_HEADER)
        return VN_FRAME_E_INCOMPLETE;
    length = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
    if (length > limit_bytes) {
        *ret_length = length;
        return VN_FRAME_E_TOO_LONG;
    }
    if (n - VN_FRAME_HEADER < length)
        return VN_FRAME_E_INCOMPLETE;
    *ret_length = length;
    return 0;
}

void vn_frame_header(uint32_t length, uint8_t ret_header[VN_FRAME_HEADER])
{
    ret_header[0] = (uint8_t)(length >> 24);
    ret_header[1] = (uint8_t)(length >> 16);
    ret_header[2] = (uint8_t)(length >> 8);
    ret_header[3] = (uint8_t)length;
}

int vn_frame_append(struct vn_buffer *b, const ProtobufCMessage *message, uint32_t limit_bytes)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    int r;

    if (length > limit_bytes)
        return VN_FRAME_E_TOO_LONG;
    r = vn_buffer_reserve(b, VN_FRAME_HEADER + length);
    if (r > 0)
        return -ENOBUFS;
    if (r)
        return r;
    vn_frame_header((uint32_t)length, b->data + b->end);
    protobuf_c_message_pack(message, b->data + b->end + VN_FRAME_HEADER);
    b->end += VN_FRAME_HEADER + length;
    return 0;
}

static void *take(void *data, size_t bytes)
{
    struct vn_frame_allocator *a = data;
    void *p;

    if (bytes > a->left)
        return NULL;
    p = malloc(bytes);
    if (p)
        a->left -= bytes;
    else
        a->starved = true;
    return p;
}

static void give(void *data, void *p)
{
    free(p);
}

void vn_frame_allocator_init(struct vn_frame_allocator *a, size_t limit_bytes)
{
    *a = (struct vn_frame_allocator){
        .allocator = {.alloc = take, .free = give, .allocator_data = a},
        .left = limit_bytes,
    };
}
