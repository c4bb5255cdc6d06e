#include "engine/image.h"

#include <math.h>
#include <string.h>

static uint32_t image_channels(const struct vn_image *image)
{
    return image->format == VN_PIXELS_RGB8 ? 3 : 1;
}

int vn_image_check(const struct vn_image *image, struct vn_why *why)
{
    uint64_t row, stride, needed;

    if (image->format != VN_PIXELS_GRAY8 && image->format != VN_PIXELS_RGB8)
        return vn_because(why, VN_IMAGE_E_INVALID, "format must be GRAY8 or RGB8, found %d",
                          (int)image->format);
    if (!image->width || image->width > VN_IMAGE_SIDE_MAX || !image->height ||
        image->height > VN_IMAGE_SIDE_MAX)
        return vn_because(why, VN_IMAGE_E_INVALID,
                          "width and height must be 1 to %d pixels, found %u x %u",
                          VN_IMAGE_SIDE_MAX, image->width, image->height);
    row = (uint64_t)image->width * image_channels(image);
    stride = image->stride ? image->stride : row;
    if (stride < row)
        return vn_because(why, VN_IMAGE_E_INVALID,
                          "stride must be 0 or at least %llu bytes (one row), found %u",
                          (unsigned long long)row, image->stride);
    needed = stride * (image->height - 1) + row; /* below 2^32 * 2^14 */
    if (image->length < needed || !image->pixels)
        return vn_because(why, VN_IMAGE_E_INVALID,
                          "%u x %u pixels with %llu bytes a row need %llu bytes, found %llu",
                          image->width, image->height, (unsigned long long)stride,
                          (unsigned long long)needed,
                          (unsigned long long)(image->pixels ? image->length : 0));
    return 0;
}

/* Where an output column or row takes its value: between the pixels `low` and `high` of the image,
 * `share` of the way. */
struct tap {
    uint32_t low, high;
    float share;
};

/* Half-pixel centres, clamped to the part [start, start + size). */
static struct tap tap_at(uint32_t dst, uint32_t dst_side, uint32_t start, uint32_t size)
{
    double src = ((double)dst + 0.5) * (double)size / (double)dst_side - 0.5;
    uint32_t low;

    if (src < 0)
        src = 0;
    if (src > size - 1)
        src = size - 1;
    low = (uint32_t)src;
    return (struct tap){
        .low = start + low,
        .high = start + (low + 1 < size ? low + 1 : low),
        .share = (float)(src - low),
    };
}

struct part {
    uint32_t x, y, width, height; /* pixels of the image */
};

/* The part of the image that is used. Sides are rounded down but not to zero, offsets down. */
static struct part crop(const struct vn_input *in, const struct vn_image *image)
{
    struct part p = {0, 0, image->width, image->height};
    uint64_t width = (uint64_t)image->height * in->width / in->height;
    uint64_t height = (uint64_t)image->width * in->height / in->width;

    if (in->crop == VN_CROP_NONE)
        return p;
    if (width < image->width)
        p.width = width ? (uint32_t)width : 1;
    else if (height < image->height)
        p.height = height ? (uint32_t)height : 1;
    p.x = (image->width - p.width) / 2;
    p.y = (image->height - p.height) / 2;
    return p;
}

static float between(float a, float b, float share)
{
    return a + (b - a) * share;
}

/* One pixel of the input, as red, green, blue (or gray in [0]) in 0 .. 255. */
static void sample(const uint8_t *above, const uint8_t *below, float share, struct tap column,
                   uint32_t channels, float value[3])
{
    for (uint32_t c = 0; c < channels; c++) {
        size_t low = (size_t)column.low * channels + c, high = (size_t)column.high * channels + c;

        value[c] = between(between(above[low], above[high], column.share),
                           between(below[low], below[high], column.share), share);
    }
}

/* From the image's channels to the input's. */
static void recolor(enum vn_color color, uint32_t from, float v[3])
{
    if (color == VN_COLOR_GRAY && from == 3)
        v[0] = 0.299f * v[0] + 0.587f * v[1] + 0.114f * v[2];
    if (color != VN_COLOR_GRAY && from == 1)
        v[1] = v[2] = v[0];
    if (color == VN_COLOR_BGR && from == 3) {
        float red = v[0];

        v[0] = v[2];
        v[2] = red;
    }
}

static float normalise(const struct vn_input *input, uint32_t channel, float value)
{
    return (value / 255.0f - input->mean[channel]) / input->std[channel];
}

/* Pixels as they are: each byte has one result, channel by channel. */
static void look_up(const struct vn_input *input, struct part p, const uint8_t *pixels,
                    size_t stride, uint32_t channels, float *ret)
{
    const uint32_t first = input->color == VN_COLOR_BGR ? 2 : 0;
    float of_byte[3][256];

    for (uint32_t c = 0; c < channels; c++)
        for (uint32_t v = 0; v < 256; v++)
            of_byte[c][v] = normalise(input, c, (float)v);
    for (uint32_t y = 0; y < p.height; y++) {
        const uint8_t *from = pixels + (p.y + y) * stride + (size_t)p.x * channels;

        for (uint32_t x = 0; x < p.width; x++, from += channels)
            for (uint32_t c = 0; c < channels; c++)
                *ret++ = of_byte[c][from[first ? first - c : c]];
    }
}

static void interpolate(const struct vn_input *input, struct part p, const struct vn_image *image,
                        size_t stride, float *ret)
{
    const uint32_t from = image_channels(image), to = vn_color_channels(input->color);
    struct tap columns[VN_SIDE_MAX];

    for (uint32_t x = 0; x < input->width; x++)
        columns[x] = tap_at(x, input->width, p.x, p.width);
    for (uint32_t y = 0; y < input->height; y++) {
        struct tap row = tap_at(y, input->height, p.y, p.height);
        const uint8_t *above = image->pixels + row.low * stride;
        const uint8_t *below = image->pixels + row.high * stride;

        for (uint32_t x = 0; x < input->width; x++, ret += to) {
            float v[3];

            sample(above, below, row.share, columns[x], from, v);
            recolor(input->color, from, v);
            for (uint32_t c = 0; c < to; c++)
                ret[c] = normalise(input, c, v[c]);
        }
    }
}

void vn_image_preprocess(const struct vn_input *input, const struct vn_image *image, float *ret)
{
    const uint32_t channels = image_channels(image);
    const size_t stride = image->stride ? image->stride : (size_t)image->width * channels;
    const struct part p = crop(input, image);

    if (p.width == input->width && p.height == input->height &&
        channels == vn_color_channels(input->color))
        look_up(input, p, image->pixels, stride, channels, ret);
    else
        interpolate(input, p, image, stride, ret);
}
