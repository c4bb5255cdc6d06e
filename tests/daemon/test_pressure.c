/* What $MEMORY_PRESSURE_WRITE may hold. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "daemon/pressure.h"

static void decodes(const char *base64, const char *to)
{
    uint8_t bytes[64];
    int n = pressure_decode(base64, bytes, sizeof bytes);

    cr_assert_eq(n, (int)strlen(to), "%s: %d", base64, n);
    cr_assert(!memcmp(bytes, to, strlen(to)), "%s", base64);
}

Test(pressure, decodes_what_systemd_writes)
{
    decodes("c29tZSAyMDAwMDAgMjAwMDAwMA==", "some 200000 2000000");
    decodes("", "");
    decodes("YQ==", "a");
    decodes("YWI=", "ab");
    decodes("YWJj", "abc");
    decodes("YWJj+/8=", "abc\xfb\xff");
}

Test(pressure, refuses_what_is_no_base64)
{
    static const char *const wrong[] = {
        "a", "ab", "abc", "a===", "====", "ab=c", "ab c", "YQ==YQ=="};
    uint8_t bytes[4];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(pressure_decode(wrong[i], bytes, sizeof bytes), -EINVAL, "%s", wrong[i]);
    cr_assert_eq(pressure_decode("YWJjZGU=", bytes, sizeof bytes), -EINVAL, "five into four");
}
