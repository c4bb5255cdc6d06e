#include "base/bytes.h"

#include <criterion/criterion.h>

Test(bytes, parse)
{
    static const struct {
        const char *text;
        int result;
        uint64_t bytes;
    } cases[] = {
        {"0", 0, 0},
        {"65536", 0, 65536},
        {"64KiB", 0, 65536},
        {"64 kib", 0, 65536},
        {"1.5MiB", 0, 1572864},
        {"2MB", 0, 2000000},
        {"1GiB", 0, 1 << 30},
        {"0.1B", 0, 1}, /* a part of a byte is a byte */
        {"4611686018427387904", 0, UINT64_C(1) << 62},
        {"9223372036854775808", VN_BYTES_E_RANGE, 0}, /* 2^63 */
        {"1e30", VN_BYTES_E_RANGE, 0},
        {"99999999TiB", VN_BYTES_E_RANGE, 0},
        {"", VN_BYTES_E_FORMAT, 0},
        {"-1", VN_BYTES_E_FORMAT, 0},
        {" 1", VN_BYTES_E_FORMAT, 0},
        {"MiB", VN_BYTES_E_FORMAT, 0},
        {"1 apple", VN_BYTES_E_FORMAT, 0},
        {"1MiB!", VN_BYTES_E_FORMAT, 0},
        {"inf", VN_BYTES_E_FORMAT, 0},
        {"nan", VN_BYTES_E_FORMAT, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 77;

        cr_assert_eq(vn_bytes_parse(cases[i].text, &bytes), cases[i].result, "\"%s\"",
                     cases[i].text);
        cr_assert_eq(bytes, cases[i].result ? 77 : cases[i].bytes, "\"%s\"", cases[i].text);
    }
}

Test(bytes, format)
{
    char text[VN_BYTES_TEXT];

    cr_assert_str_eq(vn_bytes_format(0, text), "0 B");
    cr_assert_str_eq(vn_bytes_format(812, text), "812 B");
    cr_assert_str_eq(vn_bytes_format(65536, text), "64.0 KiB");
    cr_assert_str_eq(vn_bytes_format(1331692, text), "1.27 MiB");
    cr_assert_lt(strlen(vn_bytes_format(UINT64_MAX, text)), VN_BYTES_TEXT);
}
