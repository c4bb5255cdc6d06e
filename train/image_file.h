/* Image files to raw pixels: PNG and JPEG through libpng and libjpeg, PGM and PPM by a small reader
 * of our own. Files are hostile: sides and bytes are limited before anything is allocated, the
 * libraries' error paths end here, nothing exits and nothing is printed.
 *
 * What a file holds becomes 8-bit gray or red-green-blue, packed:
 *   - a palette is expanded, gray of 1, 2 or 4 bits is widened, 16 bits are scaled to 8;
 *   - an alpha channel is dropped: the colour below it counts, whatever its opacity (compositing on
 *     black would be an invisible change of the picture);
 *   - JPEG in CMYK or YCCK is refused, it has no single meaning as RGB; a damaged or cut JPEG is
 *     refused too, where viewers would show its rest in gray;
 *   - PGM and PPM, plain (P2, P3) and raw (P5, P6), values scaled from 0 .. maxval to 0 .. 255. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/why.h"
#include "engine/image.h"

/* 128 MiB of pixels: 44 megapixels of colour. Sides: VN_IMAGE_SIDE_MAX. */
#define VN_IMAGE_FILE_BYTES_MAX (UINT64_C(128) << 20)

enum {
    VN_IMAGE_FILE_E_FORMAT = 1, /* none of the kinds above, or a variant that is not read */
    VN_IMAGE_FILE_E_BROKEN,     /* one of the kinds, but damaged or cut short */
    VN_IMAGE_FILE_E_LIMIT,      /* a side or the bytes of its pixels are above the limits */
};

/* Owned pixels: (height, width, channels) bytes, packed; channels 1 (GRAY8) or 3 (RGB8). */
struct vn_image_buffer {
    uint8_t *pixels;
    uint64_t length; /* width * height * channels */
    uint32_t width, height;
    enum vn_pixel_format format;
};

/* Reads a file; *ret is given to the caller, who ends it with vn_image_buffer_deinit. 0, an
 * outcome from above, or a negative errno (no such file, a directory, out of memory ...); why is
 * set on every failure and names the file. Thread-safe. */
int vn_image_file_read(const char *file, struct vn_why *why, struct vn_image_buffer *ret);

/* Frees the pixels and zeroes the struct; a zeroed struct is allowed. */
void vn_image_buffer_deinit(struct vn_image_buffer *b);

/* The engine's view of it, which borrows the pixels. */
static inline struct vn_image vn_image_buffer_view(const struct vn_image_buffer *b)
{
    return (struct vn_image){.pixels = b->pixels,
                             .length = b->length,
                             .width = b->width,
                             .height = b->height,
                             .format = b->format};
}
