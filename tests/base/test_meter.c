/* What long work leaves in a log: nothing when it is short or quiet, plain lines otherwise. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/meter.h"

/* Shows `done` of 200 by a meter that was started `seconds` ago; what was printed. */
static const char *shown(uint64_t seconds, uint64_t done, bool quiet)
{
    static char text[512];
    struct vn_meter meter;
    FILE *file = tmpfile();
    int kept = dup(STDERR_FILENO);
    size_t n;

    cr_assert(file && kept >= 0);
    dup2(fileno(file), STDERR_FILENO);
    vn_meter_start(&meter, "images/s", 0, quiet);
    meter.start_ns -= seconds * VN_NS_PER_S;
    meter.last_ns -= seconds * VN_NS_PER_S;
    vn_meter_show(&meter, "train", done, 200, " loss 0.5");
    vn_meter_end(&meter);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    n = fread(text, 1, sizeof text - 1, file);
    text[n] = 0;
    fclose(file);
    return text;
}

Test(meter, short_work_leaves_no_trace)
{
    cr_assert_str_empty(shown(1, 100, false));
    cr_assert_str_empty(shown(1, 200, false));
}

Test(meter, quiet_is_quiet)
{
    cr_assert_str_empty(shown(100, 200, true));
}

Test(meter, lines_now_and_then)
{
    const char *line = shown(40, 50, false); /* 50 in 40 s: 1.25 a second, 120 s for the rest */

    cr_assert(strstr(line, "train [######......"), "%s", line);
    cr_assert(strstr(line, " 25 % "), "%s", line);
    cr_assert(strstr(line, "loss 0.5"), "%s", line);
    cr_assert(strstr(line, "1 images/s, 2 min 00 s left\n"), "%s", line);
    cr_assert_str_empty(shown(10, 50, false));         /* less than 30 s after the line before */
    cr_assert(strstr(shown(10, 200, false), "100 %")); /* the end is always said */
}
