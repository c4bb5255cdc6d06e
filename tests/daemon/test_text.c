/* Strangers' text, fit for replies. */
#include <criterion/criterion.h>
#include <string.h>

#include "daemon/text.h"

static void expect_utf8(const char *from, const char *to)
{
    char text[64];

    strcpy(text, from);
    text_utf8(text);
    cr_assert_str_eq(text, to);
}

Test(text, utf8)
{
    expect_utf8("plain", "plain");
    expect_utf8("f\xc3\xbcnf \xe2\x82\xac \xf0\x9f\x98\x80",
                "f\xc3\xbcnf \xe2\x82\xac \xf0\x9f\x98\x80");
    expect_utf8("\xff\x80", "??");
    expect_utf8("\xc0\xaf", "??");           /* overlong "/" */
    expect_utf8("\xe0\x80\x80", "???");      /* overlong NUL */
    expect_utf8("\xed\xa0\x80", "???");      /* a surrogate */
    expect_utf8("\xf4\x90\x80\x80", "????"); /* above U+10FFFF */
    expect_utf8("\xf0\x8f\xbf\xbf", "????"); /* overlong U+FFFF */
    expect_utf8("cut \xe2\x82", "cut ??");   /* the end of a sequence is missing */
    expect_utf8("\xc3(", "?(");
}

Test(text, names_are_printable_and_short)
{
    char long_name[200], text[TEXT_NAME];

    cr_assert_str_eq(text_name("digit", text), "digit");
    cr_assert_str_eq(text_name("a\nb\x80"
                               "c",
                               text),
                     "a?b?c");
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    text_name(long_name, text);
    cr_assert_eq(strlen(text), VN_NAME_MAX + 3); /* cut, with three dots */
    cr_assert_str_eq(text + VN_NAME_MAX, "...");
}

Test(text, tasks_as_many_as_fit)
{
    static struct vn_task tasks[VN_TASKS_MAX];
    struct vn_network n = {.n_tasks = 3, .tasks = tasks};
    char text[64];

    for (uint32_t t = 0; t < VN_TASKS_MAX; t++)
        snprintf(tasks[t].name, sizeof tasks[t].name, "task%03u", t);
    cr_assert_str_eq(text_tasks(&n, text, sizeof text), "task000, task001, task002");
    n.n_tasks = VN_TASKS_MAX;
    text_tasks(&n, text, sizeof text);
    cr_assert(strlen(text) < sizeof text);
    /* 64 bytes: 7 for the first name, 9 for each further one, 15 kept for the rest's count. */
    cr_assert_str_eq(text, "task000, task001, task002, task003, task004 and 251 more");
}
