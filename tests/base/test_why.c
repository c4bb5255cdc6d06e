#include "base/why.h"

#include <criterion/criterion.h>
#include <string.h>

Test(why, sentence)
{
    struct vn_why why;

    cr_assert_eq(vn_because(&why, 7, "%d is not %s", 3, "four"), 7);
    cr_assert_str_eq(why.text, "3 is not four");
    cr_assert_eq(vn_because_in(&why, 8, "count"), 8);
    cr_assert_str_eq(why.text, "count: 3 is not four");
    cr_assert_eq(vn_because(NULL, -1, "nobody asks"), -1);
    cr_assert_eq(vn_because_in(NULL, -1, "nobody"), -1);
}

/* Hostile names end up in terminals and logs. */
Test(why, control_characters)
{
    struct vn_why why;

    vn_because(&why, 1, "%s", "a\033[2Jb\nc\x7f");
    cr_assert_str_eq(why.text, "a?[2Jb?c?");
}

Test(why, long_sentences_are_cut)
{
    struct vn_why why;
    char name[2000];

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    vn_because(&why, 1, "%s", name);
    cr_assert_eq(strlen(why.text), VN_WHY_MAX - 1);
    vn_because_in(&why, 1, name);
    cr_assert_lt(strlen(why.text), VN_WHY_MAX);
}
