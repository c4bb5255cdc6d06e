#include "clients/cli/html.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>

static void put_character(FILE *to, char c, bool utf8)
{
    switch (c) {
    case '&':
        fputs("&amp;", to);
        break;
    case '<':
        fputs("&lt;", to);
        break;
    case '>':
        fputs("&gt;", to);
        break;
    case '"':
        fputs("&quot;", to);
        break;
    case '\'':
        fputs("&#39;", to);
        break;
    default:
        fputc((unsigned char)c < 0x20 || c == 0x7f || (!utf8 && (c & 0x80)) ? '?' : c, to);
    }
}

void vn_html_text(FILE *to, const char *text)
{
    json_t *judged = json_string(text); /* takes nothing but UTF-8 */

    for (const char *c = text; *c; c++)
        put_character(to, *c, judged != NULL);
    json_decref(judged);
}

void vn_html_textf(FILE *to, const char *format, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    vn_html_text(to, text);
}

void vn_html_base64(FILE *to, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        uint32_t left = (uint32_t)(n - i < 3 ? n - i : 3);
        uint32_t v = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                     (left > 2 ? (uint32_t)bytes[i + 2] : 0);

        fputc(digits[v >> 18], to);
        fputc(digits[v >> 12 & 63], to);
        fputc(left > 1 ? digits[v >> 6 & 63] : '=', to);
        fputc(left > 2 ? digits[v & 63] : '=', to);
    }
}
