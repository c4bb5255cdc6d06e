/* Preprocessing: an image with any sizes and any claims about them, for an input of any size. What
 * passes the check is read within its pixels and written within the input. */
#include <math.h>
#include <string.h>

#include "engine/image.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_SIDE_MAX 64 /* larger ones only take longer */

/* The first bytes; the rest are pixels. */
struct head {
    uint8_t format, color, crop, exact;
    uint8_t input_width, input_height;
    uint16_t width, height, stride;
};

static struct vn_input input_of(const struct head *h)
{
    return (struct vn_input){
        .width = 1 + h->input_width % INPUT_SIDE_MAX,
        .height = 1 + h->input_height % INPUT_SIDE_MAX,
        .color = (enum vn_color)(h->color % 3),
        .crop = h->crop % 2 ? VN_CROP_CENTER : VN_CROP_NONE,
        .mean = {0.5f, 0.4f, 0.3f},
        .std = {0.2f, 0.25f, 1.0f},
        .stem_kernel = 3,
        .stem_stride = 1,
    };
}

static void preprocess(const struct vn_input *input, const struct vn_image *image)
{
    size_t n = (size_t)input->width * input->height * vn_color_channels(input->color);
    float *to = malloc(n * sizeof *to);

    must(to);
    memset(to, 0xff, n * sizeof *to); /* NaN: every one must be written */
    vn_image_preprocess(input, image, to);
    for (size_t i = 0; i < n; i++)
        must(isfinite(to[i]) && to[i] >= -2.6f && to[i] <= 4.0f);
    free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vn_why why = {""};
    struct vn_input input;
    struct vn_image image;
    struct head h;

    if (size < sizeof h)
        return 0;
    memcpy(&h, data, sizeof h);
    input = input_of(&h);
    image = (struct vn_image){
        .pixels = data + sizeof h,
        .length = size - sizeof h,
        .width = h.width,
        .height = h.height,
        .stride = h.stride,
        .format = (enum vn_pixel_format)(h.exact % 4 ? 1 + h.format % 2 : h.format),
    };
    if (vn_image_check(&image, &why))
        must(why.text[0]);
    else
        preprocess(&input, &image);
    return 0;
}
