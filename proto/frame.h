/* Frames: how messages travel on the stream. A frame is a 4-byte big-endian length and that many
 * bytes of protobuf; docs/protocol.md. Both ends hold the length against a limit before they take
 * memory for it, and unpack with an allocator that stops at a number of bytes. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

#define VN_FRAME_HEADER 4
#define VN_FRAME_MAX (UINT32_C(16) << 20) /* default limit: one 4K gray image (8.3 MB) and room */

enum {
    VN_FRAME_E_INCOMPLETE = 1, /* more bytes must come first */
    VN_FRAME_E_TOO_LONG,       /* *ret_length says how long it claims to be */
};

/* Looks at the n bytes that have arrived. 0: a whole frame is there, its *ret_length bytes of
 * protobuf start at data + VN_FRAME_HEADER. *ret_length is also written with TOO_LONG. */
int vn_frame_look(const uint8_t *data, size_t n, uint32_t limit_bytes, uint32_t *ret_length);

/* Writes the 4 bytes that come before `length` bytes of protobuf. */
void vn_frame_header(uint32_t length, uint8_t ret_header[VN_FRAME_HEADER]);

/* Packs one message as a frame at the end of the buffer. 0, VN_FRAME_E_TOO_LONG (the message is
 * longer than limit_bytes), -ENOBUFS (the buffer's own limit) or -ENOMEM; on failure the buffer is
 * as it was. */
int vn_frame_append(struct vn_buffer *b, const ProtobufCMessage *message, uint32_t limit_bytes);

/* An allocator for protobuf-c that fails after `left` bytes in all: a few hundred KiB of empty
 * fields can otherwise become 76 times as much heap. What was unpacked with it is freed with it or
 * with a NULL allocator (the memory is malloc's); it must stay where it is while it is used. */
struct vn_frame_allocator {
    ProtobufCAllocator allocator;
    size_t left;  /* freeing gives nothing back */
    bool starved; /* the system had no memory, though there was something left */
};

void vn_frame_allocator_init(struct vn_frame_allocator *a, size_t limit_bytes);

/* Enough for any message that this protocol's rules allow in a frame of this length: the bytes
 * fields are copied once, and the structures are few. */
static inline size_t vn_frame_unpack_limit(uint32_t length)
{
    return (size_t)length + 262144;
}
