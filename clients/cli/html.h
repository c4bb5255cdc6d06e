/* Text and data for pages that the command writes. What comes from stores, logs and file names is
 * a stranger's: it never becomes markup. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Text for an element or a quoted attribute, in HTML and in SVG: the characters of markup become
 * entities, control characters and bytes that are not UTF-8 become '?'. */
void vn_html_text(FILE *to, const char *text);

/* printf, then as above. At most 1023 bytes of it. */
void vn_html_textf(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

void vn_html_base64(FILE *to, const uint8_t *bytes, size_t n);
