#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024 /* longer lines are cut */

static atomic_int max_level = VN_LOG_INFO;

void vn_log_set_level(enum vn_log_level level)
{
    atomic_store(&max_level, (int)level);
}

bool vn_log_wants(enum vn_log_level level)
{
    return (int)level <= atomic_load(&max_level);
}

void vn_log(enum vn_log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    int prefix = 0, text;
    size_t n;
    va_list ap;

    if (!vn_log_wants(level))
        return;
    if (!isatty(STDERR_FILENO))
        prefix = snprintf(line, sizeof line, "<%d>", (int)level);
    va_start(ap, format);
    text = vsnprintf(line + prefix, sizeof line - (size_t)prefix - 1, format, ap);
    va_end(ap);
    if (text < 0)
        return;
    n = (size_t)prefix + (size_t)text;
    if (n > sizeof line - 2)
        n = sizeof line - 2;
    for (size_t i = 0; i < n; i++)
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' ';
    line[n++] = '\n';
    /* A line that the other end does not take is lost on purpose. */
    if (write(STDERR_FILENO, line, n) < 0)
        return;
}
