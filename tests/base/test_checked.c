#include "base/checked.h"

#include <criterion/criterion.h>

Test(checked, add)
{
    uint64_t r = 5;

    cr_assert(vn_add_u64(UINT64_MAX - 1, 1, &r));
    cr_assert_eq(r, UINT64_MAX);
    r = 5;
    cr_assert(!vn_add_u64(UINT64_MAX, 1, &r));
    cr_assert_eq(r, 5);
}

Test(checked, mul)
{
    uint64_t r = 5;

    cr_assert(vn_mul_u64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &r));
    cr_assert_eq(r, UINT64_C(0xffffffff00000000));
    r = 5;
    cr_assert(!vn_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &r));
    cr_assert_eq(r, 5);
}

Test(checked, round_up)
{
    uint64_t r = 5;

    cr_assert(vn_round_up_u64(0, 64, &r) && r == 0);
    cr_assert(vn_round_up_u64(64, 64, &r) && r == 64);
    cr_assert(vn_round_up_u64(65, 64, &r) && r == 128);
    cr_assert(vn_round_up_u64(10, 7, &r) && r == 14);
    cr_assert(!vn_round_up_u64(UINT64_MAX, 64, &r));
    cr_assert_eq(r, 14);
}

Test(checked, range_fits)
{
    cr_assert(vn_range_fits(0, 10, 10));
    cr_assert(vn_range_fits(10, 0, 10));
    cr_assert(!vn_range_fits(11, 0, 10));
    cr_assert(!vn_range_fits(1, 10, 10));
    cr_assert(!vn_range_fits(8, UINT64_MAX, 10)); /* 8 + 2^64 - 1 would wrap to 7 */
}
