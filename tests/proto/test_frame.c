/* Frames and the bounded allocator. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/virtualnet.pb-c.h"

static Virtualnet__Request *unpack(const uint8_t *bytes, size_t n, size_t limit)
{
    struct vn_frame_allocator a;

    vn_frame_allocator_init(&a, limit);
    return virtualnet__request__unpack(&a.allocator, n, bytes);
}

/* A request with an image of n pixels, as a frame in *b. */
static void make_frame(struct vn_buffer *b, size_t n)
{
    Virtualnet__Request request = VIRTUALNET__REQUEST__INIT;
    Virtualnet__InferRequest infer = VIRTUALNET__INFER_REQUEST__INIT;
    Virtualnet__Image image = VIRTUALNET__IMAGE__INIT;
    uint8_t *pixels = calloc(n, 1);

    image.pixels.data = pixels;
    image.pixels.len = n;
    infer.image = &image;
    request.id = 77;
    request.call_case = VIRTUALNET__REQUEST__CALL_INFER;
    request.infer = &infer;
    vn_buffer_init(b, n + 4096);
    cr_assert_eq(vn_frame_append(b, &request.base, VN_FRAME_MAX), 0);
    free(pixels);
}

Test(frame, whole_only_when_the_last_byte_is_there)
{
    struct vn_buffer b;
    uint32_t length;

    make_frame(&b, 300);
    for (size_t n = 0; n < vn_buffer_used(&b); n++)
        cr_assert_eq(vn_frame_look(vn_buffer_head(&b), n, VN_FRAME_MAX, &length),
                     VN_FRAME_E_INCOMPLETE, "n=%zu", n);
    cr_assert_eq(vn_frame_look(vn_buffer_head(&b), vn_buffer_used(&b), VN_FRAME_MAX, &length), 0);
    cr_assert_eq(length, vn_buffer_used(&b) - VN_FRAME_HEADER);
    vn_buffer_deinit(&b);
}

Test(frame, length_is_big_endian_and_limited)
{
    static const uint8_t header[] = {0x01, 0x02, 0x03, 0x04};
    static const uint8_t largest[] = {0xff, 0xff, 0xff, 0xff};
    uint8_t written[VN_FRAME_HEADER];
    uint32_t length = 0;

    vn_frame_header(0x01020304, written);
    cr_assert_arr_eq(written, header, sizeof header);
    /* At the limit a frame is only incomplete; one byte above it is refused from its header. */
    cr_assert_eq(vn_frame_look(header, 4, 0x01020304, &length), VN_FRAME_E_INCOMPLETE);
    cr_assert_eq(vn_frame_look(header, 4, 0x01020303, &length), VN_FRAME_E_TOO_LONG);
    cr_assert_eq(length, 0x01020304);
    cr_assert_eq(vn_frame_look(largest, 4, VN_FRAME_MAX, &length), VN_FRAME_E_TOO_LONG);
    cr_assert_eq(length, 0xffffffff);
}

Test(frame, empty_frame_is_an_empty_request)
{
    static const uint8_t zero[VN_FRAME_HEADER];
    uint32_t length = 1;
    Virtualnet__Request *r;

    cr_assert_eq(vn_frame_look(zero, sizeof zero, VN_FRAME_MAX, &length), 0);
    cr_assert_eq(length, 0);
    r = unpack(zero + VN_FRAME_HEADER, 0, vn_frame_unpack_limit(0));
    cr_assert_not_null(r);
    cr_assert_eq(r->call_case, VIRTUALNET__REQUEST__CALL__NOT_SET);
    virtualnet__request__free_unpacked(r, NULL);
}

Test(frame, round_trip_within_the_limit)
{
    struct vn_buffer b;
    Virtualnet__Request *r;
    uint32_t length;

    make_frame(&b, 1000000);
    cr_assert_eq(vn_frame_look(vn_buffer_head(&b), vn_buffer_used(&b), VN_FRAME_MAX, &length), 0);
    r = unpack(vn_buffer_head(&b) + VN_FRAME_HEADER, length, vn_frame_unpack_limit(length));
    cr_assert_not_null(r);
    cr_assert_eq(r->id, 77);
    cr_assert_eq(r->infer->image->pixels.len, 1000000);
    virtualnet__request__free_unpacked(r, NULL);
    vn_buffer_deinit(&b);
}

Test(frame, append_keeps_the_buffer_on_failure)
{
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;
    Virtualnet__Error error = VIRTUALNET__ERROR__INIT;
    struct vn_buffer b;

    error.message = (char *)"0123456789";
    response.result_case = VIRTUALNET__RESPONSE__RESULT_ERROR;
    response.error = &error;
    /* Response: tag and length of error (2) + tag and length of message (2) + 10 = 14 bytes. */
    vn_buffer_init(&b, VN_FRAME_HEADER + 14 + 17);
    cr_assert_eq(vn_frame_append(&b, &response.base, 13), VN_FRAME_E_TOO_LONG);
    cr_assert_eq(vn_buffer_used(&b), 0);
    cr_assert_eq(vn_frame_append(&b, &response.base, 14), 0);
    cr_assert_eq(vn_buffer_used(&b), 18);
    /* 17 bytes of room are one too few for a second one. */
    cr_assert_eq(vn_frame_append(&b, &response.base, 14), -ENOBUFS);
    cr_assert_eq(vn_buffer_used(&b), 18);
    vn_buffer_deinit(&b);
}

/* 200,000 levels of one byte each become 4 bytes each: 800,000 bytes, above length + 256 KiB. */
Test(frame, message_that_grows_in_memory_is_refused)
{
    const uint32_t n = 200000;
    uint8_t *bytes = calloc(n + 16, 1), *p = bytes;

    *p++ = 2 << 3 | 2; /* infer */
    /* varint of n + 4: tag (1) and 3 bytes of length before the levels; 200004 = 0x030d44 */
    *p++ = 0xc4;
    *p++ = 0x9a;
    *p++ = 0x0c;
    *p++ = 5 << 3 | 2; /* level, packed; 200000 = 0x030d40 */
    *p++ = 0xc0;
    *p++ = 0x9a;
    *p++ = 0x0c;
    p += n;
    cr_assert_null(unpack(bytes, (size_t)(p - bytes), vn_frame_unpack_limit(n)));
    /* The same message with room is fine: it was the limit that refused it. */
    Virtualnet__Request *r = unpack(bytes, (size_t)(p - bytes), 1 << 20);
    cr_assert_not_null(r);
    cr_assert_eq(r->infer->n_level, n);
    virtualnet__request__free_unpacked(r, NULL);
    free(bytes);
}

#ifndef __SANITIZE_ADDRESS__ /* which ends the process where malloc returns NULL */
Test(frame, allocator_tells_who_had_no_memory)
{
    struct vn_frame_allocator a;

    vn_frame_allocator_init(&a, SIZE_MAX);
    cr_assert_null(a.allocator.alloc(a.allocator.allocator_data, SIZE_MAX / 2));
    cr_assert(a.starved && a.left == SIZE_MAX);
    vn_frame_allocator_init(&a, 10);
    cr_assert_null(a.allocator.alloc(a.allocator.allocator_data, 11));
    cr_assert_not(a.starved);
}
#endif

Test(frame, allocator_counts_down_to_the_byte)
{
    struct vn_frame_allocator a;
    void *p, *q;

    vn_frame_allocator_init(&a, 100);
    p = a.allocator.alloc(a.allocator.allocator_data, 60);
    cr_assert_not_null(p);
    cr_assert_null(a.allocator.alloc(a.allocator.allocator_data, 41));
    q = a.allocator.alloc(a.allocator.allocator_data, 40);
    cr_assert_not_null(q);
    a.allocator.free(a.allocator.allocator_data, p);
    a.allocator.free(a.allocator.allocator_data, q);
    cr_assert_null(a.allocator.alloc(a.allocator.allocator_data, 1)); /* nothing comes back */
}
