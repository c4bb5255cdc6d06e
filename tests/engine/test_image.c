/* Golden numbers: image_golden.txt, made by make_golden.py. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/image.h"
#include "support.h"

struct golden {
    char name[32];
    struct vn_image image;
    struct vn_input input;
    uint8_t *pixels; /* owned */
    float *expected; /* owned */
    uint32_t n;
};

static void golden_deinit(struct golden *g)
{
    free(g->pixels);
    free(g->expected);
}

static unsigned find_word(const char *const words[], const char *word)
{
    unsigned i = 0;

    while (words[i] && strcmp(words[i], word))
        i++;
    cr_assert(words[i], "%s", word);
    return i;
}

/* false at the end of the file. */
static bool read_case(FILE *f, struct golden *g)
{
    unsigned channels, length;
    char color[8], crop[8];

    *g = (struct golden){.input = {.mean = {0.5f, 0.4f, 0.3f}, .std = {0.25f, 0.2f, 0.3f}}};
    if (fscanf(f, "%31s %u %u %u %u %u %u %u %7s %7s %u", g->name, &g->image.width,
               &g->image.height, &channels, &g->image.stride, &length, &g->input.width,
               &g->input.height, color, crop, &g->n) != 11)
        return false;
    g->image.format = channels == 3 ? VN_PIXELS_RGB8 : VN_PIXELS_GRAY8;
    g->input.color = (enum vn_color)find_word(vn_color_names, color);
    g->input.crop = (enum vn_crop)find_word(vn_crop_names, crop);
    g->pixels = malloc(length); /* exactly: a byte too far is found by the sanitizer */
    g->expected = calloc(g->n, sizeof g->expected[0]);
    for (unsigned i = 0; i < length; i++)
        cr_assert_eq(fscanf(f, "%hhu", &g->pixels[i]), 1);
    for (uint32_t i = 0; i < g->n; i++)
        cr_assert_eq(fscanf(f, "%f", &g->expected[i]), 1);
    g->image.pixels = g->pixels;
    g->image.length = length;
    return true;
}

Test(image, golden)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(VN_SOURCE_FOLDER "/image_golden.txt", "r");
    unsigned cases = 0;
    struct golden g;

    cr_assert_not_null(f);
    for (; read_case(f, &g); cases++, golden_deinit(&g)) {
        _cleanup_(vn_freep) float *found = calloc(g.n, sizeof *found);
        struct vn_why why = {""};

        cr_assert_eq(vn_image_check(&g.image, &why), 0, "%s: %s", g.name, why.text);
        vn_image_preprocess(&g.input, &g.image, found);
        /* pixels up to 255 carry 2^-24 * 255 of rounding per step, a handful of steps, divided by
         * 255 * 0.2: below 5e-6 */
        for (uint32_t i = 0; i < g.n; i++)
            cr_assert_float_eq(found[i], g.expected[i], 5e-6, "%s at %u: %.9g is not %.9g", g.name,
                               i, (double)found[i], (double)g.expected[i]);
    }
    golden_deinit(&g);
    cr_assert_eq(cases, 20);
}

/* At the image's own size a pixel is the pixel, exactly. */
Test(image, same_size_is_exact)
{
    uint8_t pixels[256];
    float found[256];
    struct vn_input input = {.width = 16, .height = 16, .color = VN_COLOR_GRAY, .std = {1}};
    struct vn_image image = {pixels, 256, 16, 16, 0, VN_PIXELS_GRAY8};

    for (int i = 0; i < 256; i++)
        pixels[i] = (uint8_t)i;
    vn_image_preprocess(&input, &image, found);
    for (int i = 0; i < 256; i++)
        cr_assert_eq(found[i], (float)i / 255.0f);
}

Test(image, check)
{
    static const uint8_t pixels[100];
    static const struct {
        struct vn_image image;
        const char *says; /* NULL: it is fine */
    } cases[] = {
        {{pixels, 100, 5, 4, 0, VN_PIXELS_RGB8}, NULL},
        {{pixels, 60, 5, 4, 0, VN_PIXELS_RGB8}, NULL},
        {{pixels, 59, 5, 4, 0, VN_PIXELS_RGB8}, "need 60 bytes, found 59"},
        {{pixels, 99, 5, 4, 28, VN_PIXELS_RGB8}, NULL}, /* 3 rows of 28 and a last one of 15 */
        {{pixels, 98, 5, 4, 28, VN_PIXELS_RGB8}, "need 99 bytes, found 98"},
        {{pixels, 100, 5, 4, 14, VN_PIXELS_RGB8}, "at least 15 bytes"},
        {{pixels, 100, 0, 4, 0, VN_PIXELS_RGB8}, "1 to 16384"},
        {{pixels, 100, 5, 16385, 0, VN_PIXELS_RGB8}, "found 5 x 16385"},
        {{pixels, 100, 5, 4, 0, (enum vn_pixel_format)3}, "GRAY8 or RGB8"},
        {{pixels, 100, 5, 4, 0, (enum vn_pixel_format)0}, "found 0"},
        {{NULL, 100, 5, 4, 0, VN_PIXELS_GRAY8}, "found 0"},
        /* 16383 * (2^32 - 1) + 1 does not wrap */
        {{pixels, 100, 1, 16384, UINT32_MAX, VN_PIXELS_GRAY8}, "70364449193986 bytes"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vn_why why = {""};
        int r = vn_image_check(&cases[i].image, &why);

        cr_assert_eq(r, cases[i].says ? VN_IMAGE_E_INVALID : 0, "case %zu: %s", i, why.text);
        cr_assert(!cases[i].says || strstr(why.text, cases[i].says), "case %zu: %s", i, why.text);
    }
}
