#include "base/bytes.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const struct {
    const char *name;
    double factor;
} units[] = {
    {"", 1},         {"B", 1},        {"KiB", 0x1p10}, {"MiB", 0x1p20},
    {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"K", 0x1p10},   {"M", 0x1p20},
    {"G", 0x1p30},   {"kB", 1000},    {"MB", 1000000}, {"GB", 1000000000},
};

int vn_bytes_parse(const char *text, uint64_t *ret_bytes)
{
    char *end;
    double value;

    if (!isdigit((unsigned char)text[0]))
        return VN_BYTES_E_FORMAT;
    value = strtod(text, &end);
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcasecmp(end, units[i].name))
            continue;
        value = ceil(value * units[i].factor);
        if (!(value < 0x1p63))
            return VN_BYTES_E_RANGE;
        *ret_bytes = (uint64_t)value;
        return 0;
    }
    return VN_BYTES_E_FORMAT;
}

const char *vn_bytes_format(uint64_t bytes, char text[static VN_BYTES_TEXT])
{
    static const char names[] = "KMGTPE";
    double value = (double)bytes;
    int unit = -1;

    while (value >= 1024 && unit < 5) {
        value /= 1024;
        unit++;
    }
    if (unit < 0)
        snprintf(text, VN_BYTES_TEXT, "%u B", (unsigned)bytes);
    else
        snprintf(text, VN_BYTES_TEXT, "%.*f %ciB", value < 10 ? 2 : 1, value, names[unit]);
    return text;
}
