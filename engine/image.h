/* Raw pixels to network input: the one implementation of preprocessing, used by trainer, evaluation
 * and daemon.
 *
 * crop (none, or the largest centred part with the input's aspect ratio, side and offset rounded
 * down), then bilinear resize with half-pixel centres and clamped edges, no anti-aliasing:
 *     src = (dst + 0.5) * src_side / dst_side - 0.5
 * then colour (gray -> r = g = b; rgb -> gray by ITU-R BT.601: 0.299 r + 0.587 g + 0.114 b),
 * channel order, and (v / 255 - mean) / std. The same as align_corners=False elsewhere. */
#pragma once

#include <stdint.h>

#include "engine/network.h"

#define VN_IMAGE_SIDE_MAX 16384 /* pixels; with 3 channels the product stays below 2^30 */

enum vn_pixel_format {
    VN_PIXELS_GRAY8 = 1, /* 1 byte a pixel */
    VN_PIXELS_RGB8 = 2,  /* 3 bytes a pixel, red first */
};

enum {
    VN_IMAGE_E_INVALID = 1, /* why says which of size, format, stride or length is wrong */
};

struct vn_image {
    const uint8_t *pixels; /* (height, stride) bytes; borrowed */
    uint64_t length;       /* bytes behind pixels; at least stride * (height - 1) + row */
    uint32_t width, height;
    uint32_t stride; /* bytes from row to row; 0 = packed */
    enum vn_pixel_format format;
};

/* Checks every field against the others. 0 or VN_IMAGE_E_INVALID. */
int vn_image_check(const struct vn_image *image, struct vn_why *why);

/* ret: (input->height, input->width, channels) floats. The image must have passed the check. */
void vn_image_preprocess(const struct vn_input *input, const struct vn_image *image, float *ret);
