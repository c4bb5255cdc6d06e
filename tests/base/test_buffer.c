#include "base/buffer.h"

#include <criterion/criterion.h>
#include <string.h>

Test(buffer, appends_and_consumes)
{
    struct vn_buffer b;

    vn_buffer_init(&b, 100);
    cr_assert_eq(vn_buffer_used(&b), 0);
    cr_assert_eq(vn_buffer_append(&b, "hello ", 6), 0);
    cr_assert_eq(vn_buffer_append(&b, "world", 5), 0);
    cr_assert_eq(vn_buffer_append(&b, NULL, 0), 0);
    cr_assert_eq(vn_buffer_used(&b), 11);
    vn_buffer_consume(&b, 6);
    cr_assert_eq(memcmp(vn_buffer_head(&b), "world", 5), 0);
    vn_buffer_consume(&b, 1000); /* no more than there is */
    cr_assert_eq(vn_buffer_used(&b), 0);
    vn_buffer_deinit(&b);
}

/* The limit is on what is held, not on what ever passed through. */
Test(buffer, limit)
{
    struct vn_buffer b;
    uint8_t bytes[100] = {0};

    vn_buffer_init(&b, 100);
    cr_assert_eq(vn_buffer_append(&b, bytes, 100), 0);
    cr_assert_eq(vn_buffer_append(&b, bytes, 1), VN_BUFFER_E_FULL);
    cr_assert_eq(vn_buffer_used(&b), 100);
    vn_buffer_consume(&b, 30);
    cr_assert_eq(vn_buffer_append(&b, bytes, 31), VN_BUFFER_E_FULL);
    cr_assert_eq(vn_buffer_append(&b, bytes, 30), 0);
    cr_assert_eq(vn_buffer_reserve(&b, SIZE_MAX), VN_BUFFER_E_FULL);
    cr_assert_leq(b.allocated, 100);
    vn_buffer_deinit(&b);
}

/* What goes in comes out, whatever the sizes of the pieces. */
Test(buffer, order_is_kept)
{
    struct vn_buffer b;
    uint8_t next_in = 0, next_out = 0;

    vn_buffer_init(&b, 5000);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t piece[97];
        size_t n = i * 31 % sizeof piece, out = i * 17 % 101;

        for (size_t k = 0; k < n; k++)
            piece[k] = (uint8_t)(next_in + k);
        if (!vn_buffer_append(&b, piece, n))
            next_in = (uint8_t)(next_in + n);
        for (size_t k = 0; k < out && k < vn_buffer_used(&b); k++)
            cr_assert_eq(vn_buffer_head(&b)[k], (uint8_t)(next_out + k));
        out = out < vn_buffer_used(&b) ? out : vn_buffer_used(&b);
        vn_buffer_consume(&b, out);
        next_out = (uint8_t)(next_out + out);
    }
    vn_buffer_deinit(&b);
}

/* Reserved room can be written at data + end, without a byte lost in front. */
Test(buffer, reserve)
{
    struct vn_buffer b;

    vn_buffer_init(&b, 1 << 20);
    cr_assert_eq(vn_buffer_append(&b, "ab", 2), 0);
    vn_buffer_consume(&b, 1);
    cr_assert_eq(vn_buffer_reserve(&b, 100000), 0);
    memset(b.data + b.end, 'c', 100000);
    b.end += 100000;
    cr_assert_eq(vn_buffer_head(&b)[0], 'b');
    cr_assert_eq(vn_buffer_used(&b), 100001);
    vn_buffer_consume(&b, 100001);
    cr_assert_leq(b.allocated, VN_BUFFER_KEEP); /* an idle one gives large memory back */
    vn_buffer_deinit(&b);
}
