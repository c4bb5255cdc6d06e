#include "daemon/text.h"

#include <stdio.h>
#include <string.h>

const char *text_name(const char *name, char text[static TEXT_NAME])
{
    size_t n = strnlen(name, VN_NAME_MAX + 1);

    for (size_t i = 0; i < n; i++)
        text[i] = name[i] >= 0x20 && name[i] < 0x7f ? name[i] : '?';
    if (n > VN_NAME_MAX)
        memcpy(text + VN_NAME_MAX, "...", 4);
    else
        text[n] = 0;
    return text;
}

/* Bytes of the UTF-8 sequence that starts here; 0 when it is not one. */
static size_t sequence(const unsigned char *s)
{
    static const unsigned char second_min[] = {[0xe0 - 0xe0] = 0xa0, [0xf0 - 0xe0] = 0x90};
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (n < 2)
        return n;
    if (s[0] > 0xf4 || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    if ((s[0] == 0xe0 || s[0] == 0xf0) && s[1] < second_min[s[0] - 0xe0])
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

void text_utf8(char *text)
{
    unsigned char *s = (unsigned char *)text;

    while (*s) {
        size_t n = sequence(s);

        if (!n)
            *s = '?';
        s += n ? n : 1;
    }
}

const char *text_tasks(const struct vn_network *n, char *text, size_t size)
{
    size_t used = 0;

    text[0] = 0;
    for (uint32_t t = 0; t < n->n_tasks; t++) {
        const char *name = n->tasks[t].name;

        if (used + strlen(name) + sizeof ", and 256 more" > size) {
            snprintf(text + used, size - used, " and %u more", n->n_tasks - t);
            break;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", t ? ", " : "", name);
    }
    return text;
}
