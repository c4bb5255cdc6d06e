/* Image files: what good ones become, and that no bad one gets through or ends the process. */
#include <criterion/criterion.h>
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <jpeglib.h>

#include "base/cleanup.h"
#include "train/image_file.h"

#define W 31 /* odd, so that no row is aligned by luck */
#define H 17

/* A file that lives as long as the test. */
struct temporary {
    char name[64];
};

static struct temporary put(const void *bytes, size_t n)
{
    struct temporary t = {"/tmp/vn-image-XXXXXX"};
    int fd = mkstemp(t.name);

    cr_assert(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && !close(fd));
    return t;
}

static void drop(struct temporary *t)
{
    unlink(t->name);
}

static int read_bytes(const void *bytes, size_t n, struct vn_why *why, struct vn_image_buffer *ret)
{
    _cleanup_(drop) struct temporary t = put(bytes, n);

    return vn_image_file_read(t.name, why, ret);
}

static int read_text(const char *text, struct vn_why *why, struct vn_image_buffer *ret)
{
    return read_bytes(text, strlen(text), why, ret);
}

static void refuses(const void *bytes, size_t n, int outcome, const char *words)
{
    struct vn_image_buffer b;
    struct vn_why why = {""};
    int r = read_bytes(bytes, n, &why, &b);

    cr_expect_eq(r, outcome, "outcome %d instead of %d: %s", r, outcome, why.text);
    cr_expect(strstr(why.text, words), "\"%s\" does not say \"%s\"", why.text, words);
}

/* ---- PNG ------------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *data; /* malloc */
    size_t n;
};

static void bytes_free(struct bytes *b)
{
    free(b->data);
}

static void append(png_structp png, png_bytep data, size_t n)
{
    struct bytes *b = png_get_io_ptr(png);

    b->data = realloc(b->data, b->n + n);
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

static void no_flush(png_structp png)
{
}

/* A W x H PNG of any type; rows: packed samples as PNG has them, `row` bytes each. */
static struct bytes make_png(int color, int depth, bool interlaced, const uint8_t *rows, size_t row)
{
    static const png_color colors[4] = {{1, 2, 3}, {10, 20, 30}, {200, 100, 50}, {255, 255, 255}};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    struct bytes b = {0};

    png_set_write_fn(png, &b, append, no_flush);
    png_set_IHDR(png, info, W, H, depth, color, interlaced ? PNG_INTERLACE_ADAM7 : 0, 0, 0);
    if (color == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, colors, 4);
    png_write_info(png, info);
    for (int pass = png_set_interlace_handling(png); pass; pass--)
        for (size_t y = 0; y < H; y++)
            png_write_row(png, rows + y * row);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return b;
}

static void fill(uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)(i * 37 + i / 100);
}

static void expect_pixels(const struct bytes *file, enum vn_pixel_format format,
                          const uint8_t *pixels)
{
    _cleanup_(vn_image_buffer_deinit) struct vn_image_buffer b = {0};
    struct vn_why why;
    int r = read_bytes(file->data, file->n, &why, &b);

    cr_assert_eq(r, 0, "%s", why.text);
    cr_assert_eq(b.width, W);
    cr_assert_eq(b.height, H);
    cr_assert_eq(b.format, format);
    cr_assert_eq(b.length, W * H * (format == VN_PIXELS_GRAY8 ? 1 : 3));
    cr_assert_arr_eq(b.pixels, pixels, b.length);
}

Test(image_file, png_gray_and_rgb_are_kept)
{
    uint8_t gray[W * H], rgb[W * H * 3];

    fill(gray, sizeof gray);
    fill(rgb, sizeof rgb);
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        _cleanup_(bytes_free) struct bytes a =
            make_png(PNG_COLOR_TYPE_GRAY, 8, interlaced, gray, W);
        _cleanup_(bytes_free) struct bytes b =
            make_png(PNG_COLOR_TYPE_RGB, 8, interlaced, rgb, W * 3);

        expect_pixels(&a, VN_PIXELS_GRAY8, gray);
        expect_pixels(&b, VN_PIXELS_RGB8, rgb);
    }
}

Test(image_file, png_alpha_is_dropped_and_16_bits_are_scaled)
{
    uint8_t rgba[W * H * 4], gray16[W * H * 2], rgb[W * H * 3], gray[W * H];

    fill(rgba, sizeof rgba);
    for (size_t i = 0; i < W * H; i++) {
        memcpy(rgb + 3 * i, rgba + 4 * i, 3);
        /* v * 257 is what v scaled to 16 bits is: scaling back gives v */
        gray[i] = (uint8_t)(i * 7);
        gray16[2 * i] = gray16[2 * i + 1] = gray[i];
    }
    _cleanup_(bytes_free) struct bytes a =
        make_png(PNG_COLOR_TYPE_RGB_ALPHA, 8, false, rgba, W * 4);
    _cleanup_(bytes_free) struct bytes b = make_png(PNG_COLOR_TYPE_GRAY, 16, false, gray16, W * 2);

    expect_pixels(&a, VN_PIXELS_RGB8, rgb);
    expect_pixels(&b, VN_PIXELS_GRAY8, gray);
}

Test(image_file, png_palette_and_few_bits_are_expanded)
{
    static const uint8_t colors[4][3] = {{1, 2, 3}, {10, 20, 30}, {200, 100, 50}, {255, 255, 255}};
    uint8_t packed[H * ((W + 3) / 4)] = {0}, rgb[W * H * 3], gray[W * H];

    for (size_t i = 0; i < W * H; i++) {
        unsigned v = i % 4, x = i % W, y = i / W;

        packed[y * ((W + 3) / 4) + x / 4] |= (uint8_t)(v << (6 - 2 * (x % 4)));
        memcpy(rgb + 3 * i, colors[v], 3);
        gray[i] = (uint8_t)(v * 85); /* 3 is white: 255 / 3 */
    }
    _cleanup_(bytes_free) struct bytes a =
        make_png(PNG_COLOR_TYPE_PALETTE, 2, false, packed, (W + 3) / 4);
    _cleanup_(bytes_free) struct bytes b =
        make_png(PNG_COLOR_TYPE_GRAY, 2, false, packed, (W + 3) / 4);

    expect_pixels(&a, VN_PIXELS_RGB8, rgb);
    expect_pixels(&b, VN_PIXELS_GRAY8, gray);
}

static struct bytes some_png(void)
{
    uint8_t rgb[W * H * 3];

    fill(rgb, sizeof rgb);
    return make_png(PNG_COLOR_TYPE_RGB, 8, false, rgb, W * 3);
}

Test(image_file, png_cut_anywhere_is_refused)
{
    _cleanup_(bytes_free) struct bytes file = some_png();

    refuses(file.data, 0, VN_IMAGE_FILE_E_FORMAT, "empty");
    for (size_t n = 8; n < file.n; n++) /* 8: the signature; below it is no PNG */
        refuses(file.data, n, VN_IMAGE_FILE_E_BROKEN, "PNG");
}

/* A flipped bit is noticed wherever it is, save where it makes an ancillary chunk of a critical
 * one; whatever happens, nothing crashes and success means W x H pixels. */
Test(image_file, png_with_a_flipped_bit_is_refused)
{
    _cleanup_(bytes_free) struct bytes file = some_png();
    size_t accepted = 0;

    for (size_t bit = 0; bit < file.n * 8; bit += 5) {
        _cleanup_(vn_image_buffer_deinit) struct vn_image_buffer b = {0};
        struct vn_why why;
        int r;

        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        r = read_bytes(file.data, file.n, &why, &b);
        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(r >= 0, "%s", why.text);
        accepted += !r;
        cr_assert(r || (b.width == W && b.height == H));
    }
    cr_assert_eq(accepted, 0, "%zu flipped bits went unnoticed", accepted);
}

/* The header chunk says 2^31 - 1 squared (with a right CRC): refused before memory is taken. */
Test(image_file, png_of_huge_sides_is_refused)
{
    _cleanup_(bytes_free) struct bytes file = some_png();
    uint8_t *ihdr = file.data + 12; /* signature, length; then type, width, height ... */
    png_uint_32 crc;

    memset(ihdr + 4, 0xff, 8);
    ihdr[4] = ihdr[8] = 0x7f;
    crc = (png_uint_32)crc32(0, ihdr, 17); /* type and 13 bytes of data */
    for (int i = 0; i < 4; i++)
        ihdr[17 + i] = (uint8_t)(crc >> (24 - 8 * i));
    refuses(file.data, file.n, VN_IMAGE_FILE_E_BROKEN, "IHDR");
}

/* ---- JPEG ------------------------------------------------------------------------------------ */

static struct bytes make_jpeg(J_COLOR_SPACE space, int channels, bool progressive)
{
    uint8_t samples[W * H * 4];
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    unsigned long n = 0;
    struct bytes b = {0};

    memset(samples, 150, sizeof samples); /* even: coding changes it by little */
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &b.data, &n);
    j.image_width = W;
    j.image_height = H;
    j.input_components = channels;
    j.in_color_space = space;
    jpeg_set_defaults(&j);
    if (progressive)
        jpeg_simple_progression(&j);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < H) {
        JSAMPROW row = samples + j.next_scanline * (size_t)(W * channels);

        jpeg_write_scanlines(&j, &row, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    b.n = n;
    return b;
}

static void expect_jpeg(const struct bytes *file, enum vn_pixel_format format)
{
    _cleanup_(vn_image_buffer_deinit) struct vn_image_buffer b = {0};
    struct vn_why why;

    cr_assert_eq(read_bytes(file->data, file->n, &why, &b), 0, "%s", why.text);
    cr_assert(b.width == W && b.height == H && b.format == format);
    for (uint64_t i = 0; i < b.length; i++)
        cr_assert(b.pixels[i] >= 146 && b.pixels[i] <= 154, "%u", b.pixels[i]);
}

Test(image_file, jpeg_gray_rgb_progressive)
{
    _cleanup_(bytes_free) struct bytes gray = make_jpeg(JCS_GRAYSCALE, 1, false);
    _cleanup_(bytes_free) struct bytes rgb = make_jpeg(JCS_RGB, 3, false);
    _cleanup_(bytes_free) struct bytes progressive = make_jpeg(JCS_RGB, 3, true);

    expect_jpeg(&gray, VN_PIXELS_GRAY8);
    expect_jpeg(&rgb, VN_PIXELS_RGB8);
    expect_jpeg(&progressive, VN_PIXELS_RGB8);
}

Test(image_file, jpeg_in_cmyk_is_refused)
{
    _cleanup_(bytes_free) struct bytes cmyk = make_jpeg(JCS_CMYK, 4, false);

    refuses(cmyk.data, cmyk.n, VN_IMAGE_FILE_E_FORMAT, "CMYK");
}

Test(image_file, jpeg_cut_anywhere_is_refused)
{
    for (int progressive = 0; progressive < 2; progressive++) {
        _cleanup_(bytes_free) struct bytes file = make_jpeg(JCS_RGB, 3, progressive);

        for (size_t n = 3; n < file.n - 2; n++) /* the last two bytes are the end marker */
            refuses(file.data, n, VN_IMAGE_FILE_E_BROKEN, "JPEG");
    }
}

Test(image_file, jpeg_with_changed_bytes_never_crashes)
{
    _cleanup_(bytes_free) struct bytes file = make_jpeg(JCS_RGB, 3, true);

    for (size_t i = 0; i < file.n; i++)
        for (unsigned v = 1; v < 256; v += 84) {
            _cleanup_(vn_image_buffer_deinit) struct vn_image_buffer b = {0};
            struct vn_why why;
            int r;

            file.data[i] ^= (uint8_t)v;
            r = read_bytes(file.data, file.n, &why, &b);
            file.data[i] ^= (uint8_t)v;
            cr_assert(r >= 0, "%s", why.text);
            cr_assert(r || b.length == (uint64_t)b.width * b.height *
                                           (b.format == VN_PIXELS_GRAY8 ? 1 : 3));
        }
}

/* Sides of 65500 (the most that JPEG has): 4.3 Gpixels in a file of some hundred bytes. */
Test(image_file, jpeg_of_huge_sides_is_refused)
{
    _cleanup_(bytes_free) struct bytes file = make_jpeg(JCS_GRAYSCALE, 1, false);
    uint8_t *sof = memmem(file.data, file.n, "\xff\xc0", 2);

    cr_assert(sof);
    memcpy(sof + 5, "\xff\xdc\xff\xdc", 4); /* height, width */
    refuses(file.data, file.n, VN_IMAGE_FILE_E_LIMIT, "65500 x 65500");
}

/* ---- PGM and PPM ----------------------------------------------------------------------------- */

static void expect_small(const char *text, size_t n, enum vn_pixel_format format,
                         const char *pixels)
{
    _cleanup_(vn_image_buffer_deinit) struct vn_image_buffer b = {0};
    struct vn_why why;

    cr_assert_eq(read_bytes(text, n, &why, &b), 0, "%s", why.text);
    cr_expect_eq(b.width, 2);
    cr_expect_eq(b.height, format == VN_PIXELS_GRAY8 ? 2 : 1);
    cr_expect_eq(b.format, format);
    cr_expect_arr_eq(b.pixels, pixels, b.length);
}

#define EXPECT_SMALL(text, format, pixels) expect_small(text, sizeof text - 1, format, pixels)

Test(image_file, pnm_of_all_kinds)
{
    EXPECT_SMALL("P5\n2 2\n255\n abc", VN_PIXELS_GRAY8, " abc"); /* a blank is a pixel here */
    EXPECT_SMALL("P5 2 2 255 \n\n\n\n", VN_PIXELS_GRAY8, "\n\n\n\n");
    EXPECT_SMALL("P2 # name\n2 2 # sides\n# more\n255 0 1\n2 255", VN_PIXELS_GRAY8, "\0\1\2\377");
    EXPECT_SMALL("P6\n2 1\n255\nRGBrgb", VN_PIXELS_RGB8, "RGBrgb");
    EXPECT_SMALL("P3 2 1 255 1 2 3 4 5 6\n", VN_PIXELS_RGB8, "\1\2\3\4\5\6");
    /* maxval 5: 255 / 5 = 51 a step */
    EXPECT_SMALL("P2 2 2 5 0 1 2 5", VN_PIXELS_GRAY8, "\0\63\146\377");
    /* maxval 65535: two bytes, high first; 0x0101 = 257 is 1 of 255 */
    EXPECT_SMALL("P5 2 2 65535 \0\0\1\1\2\2\377\377", VN_PIXELS_GRAY8, "\0\1\2\377");
}

static void refuses_text(const char *text, int outcome, const char *words)
{
    refuses(text, strlen(text), outcome, words);
}

Test(image_file, pnm_that_is_wrong)
{
    refuses_text("P5 2 2 255 abc", VN_IMAGE_FILE_E_BROKEN, "sample 3 of 4");
    refuses_text("P2 2 2 255 1 2 3", VN_IMAGE_FILE_E_BROKEN, "sample 3 of 4");
    refuses_text("P2 2 2 255 1 2 3 256", VN_IMAGE_FILE_E_BROKEN, "above 255");
    refuses_text("P2 2 2 255 1 2 3 -1", VN_IMAGE_FILE_E_BROKEN, "sample 3");
    refuses_text("P2 2 2 255 1 2 3 4x", VN_IMAGE_FILE_E_BROKEN, "sample 3");
    refuses_text("P2 2 2 0 0 0 0 0", VN_IMAGE_FILE_E_BROKEN, "maxval");
    refuses_text("P2 2 2 65536 0 0 0 0", VN_IMAGE_FILE_E_BROKEN, "maxval");
    refuses_text("P5 2", VN_IMAGE_FILE_E_BROKEN, "header");
    refuses_text("P5 #", VN_IMAGE_FILE_E_BROKEN, "header");
    refuses_text("P5 0 5 255 ", VN_IMAGE_FILE_E_LIMIT, "0 x 5");
    refuses_text("P5 16385 1 255 ", VN_IMAGE_FILE_E_LIMIT, "16384");
    refuses_text("P5 99999999999999999999 1 255 ", VN_IMAGE_FILE_E_BROKEN, "header");
    /* 16384 x 16384 x 3 = 768 MiB, above 128 MiB; the sides alone are allowed */
    refuses_text("P6 16384 16384 255 ", VN_IMAGE_FILE_E_LIMIT, "134217728");
    refuses_text("P4 2 2 ab", VN_IMAGE_FILE_E_FORMAT, "not a PNG");
    refuses_text("GIF89a", VN_IMAGE_FILE_E_FORMAT, "not a PNG");
    refuses_text("P", VN_IMAGE_FILE_E_FORMAT, "not a PNG");
}

Test(image_file, files_that_are_none)
{
    struct vn_image_buffer b;
    struct vn_why why;

    cr_expect_eq(vn_image_file_read("/nonexistent/x.png", &why, &b), -ENOENT);
    cr_expect(strstr(why.text, "/nonexistent/x.png"));
    cr_expect_eq(vn_image_file_read("/tmp", &why, &b), -EISDIR);
    cr_expect_eq(vn_image_file_read("/tmp", NULL, &b), -EISDIR);
    cr_expect_eq(read_text("P2 1 1 1 1", NULL, &b), 0);
    vn_image_buffer_deinit(&b);
    vn_image_buffer_deinit(&b); /* zeroed: allowed */
}
