/* Sizes in words that people write: "65536", "64KiB", "2MiB", "1.5GiB"; and back. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    VN_BYTES_E_FORMAT = 1, /* not a size */
    VN_BYTES_E_RANGE,      /* above 2^63 - 1 */
};

int vn_bytes_parse(const char *text, uint64_t *ret_bytes);

#define VN_BYTES_TEXT 24 /* "1023.9 MiB" and room */

/* "812 B", "64.0 KiB", "1.27 MiB"; returns `text`. */
const char *vn_bytes_format(uint64_t bytes, char text[static VN_BYTES_TEXT]);
