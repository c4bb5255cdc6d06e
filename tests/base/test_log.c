#include "base/log.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

/* What arrives on standard error while f runs. */
static void captured(void (*f)(void), char *text, size_t size)
{
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    cr_assert_eq(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    f();
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    close(saved);
    n = read(ends[0], text, size - 1);
    close(ends[0]);
    cr_assert_geq(n, 0);
    text[n] = 0;
}

static void three_levels(void)
{
    vn_log_warning("disk at %d%%", 93);
    vn_log_debug("not asked for");
    vn_log_info("two\nlines");
}

Test(log, levels_and_prefixes)
{
    char text[256];

    captured(three_levels, text, sizeof text);
    cr_assert_str_eq(text, "<4>disk at 93%\n<6>two lines\n");
    vn_log_set_level(VN_LOG_DEBUG);
    captured(three_levels, text, sizeof text);
    cr_assert(strstr(text, "<7>not asked for\n"));
}

static void long_line(void)
{
    char text[5000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    vn_log_error("%s", text);
}

Test(log, long_lines_are_cut)
{
    char text[8192];

    captured(long_line, text, sizeof text);
    cr_assert_leq(strlen(text), 1024);
    cr_assert_eq(text[strlen(text) - 1], '\n');
}
