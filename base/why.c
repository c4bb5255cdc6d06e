#include "base/why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void blank_control_characters(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
}

int vn_because(struct vn_why *why, int result, const char *format, ...)
{
    va_list ap;

    if (!why)
        return result;
    va_start(ap, format);
    vsnprintf(why->text, sizeof why->text, format, ap);
    va_end(ap);
    blank_control_characters(why->text);
    return result;
}

int vn_because_in(struct vn_why *why, int result, const char *context)
{
    char said[VN_WHY_MAX];

    if (!why)
        return result;
    memcpy(said, why->text, sizeof said);
    said[sizeof said - 1] = 0;
    return vn_because(why, result, "%.200s: %.430s", context, said);
}
