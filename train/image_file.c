/* The libraries report errors by a call that must not return: both jump back to the one frame that
 * called setjmp. Whatever is allocated on the way lives in `struct reading`, in the frame above it,
 * so that no local variable has to survive the jump. */
#include "train/image_file.h"

#include <ctype.h>
#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jpeglib.h needs stdio.h first, and jerror.h (the names of the messages) needs jpeglib.h. */
#include <jpeglib.h>

#include <jerror.h>

#define PNG_CHUNK_BYTES_MAX (8 << 20) /* one ancillary chunk (profile, text) once inflated */
#define PNG_CHUNKS_MAX 128            /* ancillary chunks that are kept */
#define JPEG_SCANS_MAX 100 /* a progressive file pays a whole pass for each: cameras write 10 */
#define JPEG_MEMORY_MAX (512L << 20) /* a progressive file's coefficients, 2 bytes each, and room */
#define PNM_MAXVAL_MAX 65535

struct reading {
    FILE *file;
    struct vn_why *why;
    int result;                   /* of the part that jumps */
    struct vn_image_buffer image; /* under construction */
    png_structp png;
    png_infop png_info;
    png_bytepp rows; /* (height), into image.pixels */
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr jpeg_errors;
    struct jpeg_progress_mgr jpeg_progress;
    jmp_buf back;
};

void vn_image_buffer_deinit(struct vn_image_buffer *b)
{
    free(b->pixels);
    *b = (struct vn_image_buffer){0};
}

/* Checks the sides against the limits, then takes the memory. */
static int allocate(struct reading *r, uint64_t width, uint64_t height, unsigned channels)
{
    struct vn_image_buffer *b = &r->image;

    if (!width || !height || width > VN_IMAGE_SIDE_MAX || height > VN_IMAGE_SIDE_MAX)
        return vn_because(r->why, VN_IMAGE_FILE_E_LIMIT,
                          "the image has %ju x %ju pixels; sides of 1 to %u are read",
                          (uintmax_t)width, (uintmax_t)height, VN_IMAGE_SIDE_MAX);
    b->length = width * height * channels; /* at most 2^28 * 3 */
    if (b->length > VN_IMAGE_FILE_BYTES_MAX)
        return vn_because(r->why, VN_IMAGE_FILE_E_LIMIT,
                          "the image has %ju x %ju pixels, %ju bytes; at most %ju bytes are read",
                          (uintmax_t)width, (uintmax_t)height, (uintmax_t)b->length,
                          (uintmax_t)VN_IMAGE_FILE_BYTES_MAX);
    b->pixels = malloc(b->length);
    if (!b->pixels)
        return vn_because(r->why, -ENOMEM, "no memory for %ju bytes of pixels",
                          (uintmax_t)b->length);
    b->width = (uint32_t)width;
    b->height = (uint32_t)height;
    b->format = channels == 1 ? VN_PIXELS_GRAY8 : VN_PIXELS_RGB8;
    return 0;
}

/* --- PNG ------------------------------------------------------------------------------------- */

static _Noreturn void png_failed(png_structp png, png_const_charp message)
{
    struct reading *r = png_get_error_ptr(png);

    r->result =
        vn_because(r->why, VN_IMAGE_FILE_E_BROKEN, "the PNG cannot be decoded: %s", message);
    longjmp(r->back, 1);
}

static void png_warned(png_structp png, png_const_charp message)
{
    /* warnings concern ancillary chunks; pixels that are wrong are errors */
}

/* Whatever the file has becomes 8-bit gray or RGB. */
static void png_convert(struct reading *r)
{
    int color = png_get_color_type(r->png, r->png_info);

    if (color == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(r->png);
    if (color == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(r->png, r->png_info) < 8)
        png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_scale_16(r->png);
    png_set_strip_alpha(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->png_info);
}

static int png_pixels(struct reading *r)
{
    struct vn_image_buffer *b = &r->image;
    unsigned channels = png_get_channels(r->png, r->png_info);
    size_t row;
    int result;

    result = allocate(r, png_get_image_width(r->png, r->png_info),
                      png_get_image_height(r->png, r->png_info), channels == 1 ? 1 : 3);
    if (result)
        return result;
    row = b->length / b->height;
    if (png_get_rowbytes(r->png, r->png_info) != row)
        return vn_because(r->why, VN_IMAGE_FILE_E_FORMAT, "PNG with %u channels", channels);
    r->rows = malloc(b->height * sizeof *r->rows);
    if (!r->rows)
        return vn_because(r->why, -ENOMEM, "no memory for %u rows", b->height);
    for (uint32_t y = 0; y < b->height; y++)
        r->rows[y] = b->pixels + y * row;
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL); /* a file that is cut after its pixels is still cut */
    return 0;
}

static int png_guarded(struct reading *r)
{
    if (setjmp(r->back))
        return r->result;
    png_set_user_limits(r->png, VN_IMAGE_SIDE_MAX, VN_IMAGE_SIDE_MAX);
    png_set_chunk_malloc_max(r->png, PNG_CHUNK_BYTES_MAX);
    png_set_chunk_cache_max(r->png, PNG_CHUNKS_MAX);
    png_init_io(r->png, r->file);
    png_read_info(r->png, r->png_info);
    png_convert(r);
    return png_pixels(r);
}

static int read_png(struct reading *r)
{
    int result = -ENOMEM;

    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, png_failed, png_warned);
    if (r->png)
        r->png_info = png_create_info_struct(r->png);
    if (r->png_info)
        result = png_guarded(r);
    else
        vn_because(r->why, result, "no memory for a PNG reader");
    png_destroy_read_struct(&r->png, &r->png_info, NULL);
    free(r->rows);
    return result;
}

/* --- JPEG ------------------------------------------------------------------------------------ */

static _Noreturn void jpeg_failed(j_common_ptr jpeg)
{
    struct reading *r = jpeg->client_data;
    char message[JMSG_LENGTH_MAX];

    jpeg->err->format_message(jpeg, message);
    r->result =
        vn_because(r->why, VN_IMAGE_FILE_E_BROKEN, "the JPEG cannot be decoded: %s", message);
    if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY || jpeg->err->msg_code == JERR_NO_BACKING_STORE)
        r->result = VN_IMAGE_FILE_E_LIMIT;
    longjmp(r->back, 1);
}

/* Level -1 is "corrupt data; the picture continues in gray": an error here. Stray bytes between
 * markers, and an odd Adobe marker, do not touch the pixels and are common. */
static void jpeg_told(j_common_ptr jpeg, int level)
{
    int code = jpeg->err->msg_code;

    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM)
        jpeg_failed(jpeg);
}

static void jpeg_progressed(j_common_ptr jpeg)
{
    struct reading *r = jpeg->client_data;

    if (((j_decompress_ptr)jpeg)->input_scan_number <= JPEG_SCANS_MAX)
        return;
    r->result =
        vn_because(r->why, VN_IMAGE_FILE_E_LIMIT, "JPEG with more than %d scans", JPEG_SCANS_MAX);
    longjmp(r->back, 1);
}

static int jpeg_pixels(struct reading *r)
{
    struct jpeg_decompress_struct *j = &r->jpeg;
    struct vn_image_buffer *b = &r->image;
    int result;

    switch (j->jpeg_color_space) {
    case JCS_GRAYSCALE:
        j->out_color_space = JCS_GRAYSCALE;
        break;
    case JCS_YCbCr:
    case JCS_RGB:
        j->out_color_space = JCS_RGB;
        break;
    default:
        return vn_because(r->why, VN_IMAGE_FILE_E_FORMAT,
                          "JPEG with %d colour components (CMYK?); convert it to RGB",
                          j->num_components);
    }
    result =
        allocate(r, j->image_width, j->image_height, j->out_color_space == JCS_GRAYSCALE ? 1 : 3);
    if (result)
        return result;
    jpeg_start_decompress(j);
    while (j->output_scanline < j->output_height) {
        JSAMPROW row = b->pixels + b->length / b->height * j->output_scanline;

        jpeg_read_scanlines(j, &row, 1);
    }
    jpeg_finish_decompress(j);
    return 0;
}

static int jpeg_guarded(struct reading *r)
{
    if (setjmp(r->back))
        return r->result;
    jpeg_create_decompress(&r->jpeg);
    r->jpeg.client_data = r;
    r->jpeg.progress = &r->jpeg_progress;
    r->jpeg.mem->max_memory_to_use = JPEG_MEMORY_MAX;
    jpeg_stdio_src(&r->jpeg, r->file);
    jpeg_read_header(&r->jpeg, TRUE);
    return jpeg_pixels(r);
}

static int read_jpeg(struct reading *r)
{
    int result;

    r->jpeg.err = jpeg_std_error(&r->jpeg_errors);
    r->jpeg_errors.error_exit = jpeg_failed;
    r->jpeg_errors.emit_message = jpeg_told;
    r->jpeg_progress.progress_monitor = jpeg_progressed;
    r->jpeg.client_data = r; /* jpeg_create_decompress keeps it, and may already fail */
    result = jpeg_guarded(r);
    jpeg_destroy_decompress(&r->jpeg);
    return result;
}

/* --- PGM and PPM ----------------------------------------------------------------------------- */

/* A number after white space and comments, ended by exactly one byte of white space or the end of
 * the file. False when there is none or it is above `max`. */
static bool pnm_number(FILE *f, unsigned max, unsigned *ret)
{
    unsigned value = 0, digits = 0;
    int c = getc_unlocked(f);

    while (isspace(c) || c == '#') {
        if (c == '#')
            while (c != '\n' && c != EOF)
                c = getc_unlocked(f);
        c = getc_unlocked(f);
    }
    for (; isdigit(c) && value <= max; c = getc_unlocked(f), digits++)
        value = value * 10 + (unsigned)(c - '0'); /* max < 2^28: no wrap */
    if (!digits || value > max || !(isspace(c) || c == EOF))
        return false;
    *ret = value;
    return true;
}

static bool pnm_sample(FILE *f, bool plain, unsigned maxval, unsigned *ret)
{
    int high, low;

    if (plain)
        return pnm_number(f, maxval, ret);
    high = maxval > 255 ? getc_unlocked(f) : 0;
    low = getc_unlocked(f);
    if (high == EOF || low == EOF)
        return false;
    *ret = (unsigned)high << 8 | (unsigned)low;
    return *ret <= maxval;
}

static int read_pnm(struct reading *r)
{
    unsigned kind, width, height, maxval, sample;
    int result;

    getc_unlocked(r->file); /* the P */
    kind = (unsigned)(getc_unlocked(r->file) - '0');
    if (!pnm_number(r->file, INT32_MAX / 10, &width) ||
        !pnm_number(r->file, INT32_MAX / 10, &height) ||
        !pnm_number(r->file, PNM_MAXVAL_MAX, &maxval) || !maxval)
        return vn_because(r->why, VN_IMAGE_FILE_E_BROKEN,
                          "damaged PGM or PPM: its header is not width, height, maxval (1 .. %d)",
                          PNM_MAXVAL_MAX);
    result = allocate(r, width, height, kind == 2 || kind == 5 ? 1 : 3);
    if (result)
        return result;
    for (uint64_t i = 0; i < r->image.length; i++) {
        if (!pnm_sample(r->file, kind < 5, maxval, &sample))
            return vn_because(r->why, VN_IMAGE_FILE_E_BROKEN,
                              "damaged PGM or PPM: sample %ju of %ju is missing or above %u",
                              (uintmax_t)i, (uintmax_t)r->image.length, maxval);
        r->image.pixels[i] = (uint8_t)((sample * 255 + maxval / 2) / maxval);
    }
    return 0;
}

/* --------------------------------------------------------------------------------------------- */

static int read_by_kind(struct reading *r)
{
    uint8_t magic[8] = {0};
    size_t n = fread(magic, 1, sizeof magic, r->file);

    if (ferror(r->file))
        return vn_because(r->why, -errno, "cannot be read: %s", strerror(errno));
    if (fseek(r->file, 0, SEEK_SET))
        return vn_because(r->why, -errno, "cannot be read twice (a pipe?): %s", strerror(errno));
    if (!png_sig_cmp(magic, 0, sizeof magic))
        return read_png(r);
    if (magic[0] == 0xff && magic[1] == 0xd8)
        return read_jpeg(r);
    if (magic[0] == 'P' && memchr("2356", magic[1], 4) && isspace(magic[2]))
        return read_pnm(r);
    return vn_because(r->why, VN_IMAGE_FILE_E_FORMAT,
                      n ? "not a PNG, JPEG, PGM or PPM image" : "the file is empty");
}

int vn_image_file_read(const char *file, struct vn_why *why, struct vn_image_buffer *ret)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(file, "rbe");
    struct reading r = {.file = f, .why = why};
    int result;

    if (!f) {
        result = -errno;
        return vn_because(why, result, "%.300s: cannot be opened: %s", file, strerror(-result));
    }
    result = read_by_kind(&r);
    if (result) {
        vn_image_buffer_deinit(&r.image);
        return vn_because_in(why, result, file);
    }
    *ret = r.image;
    return 0;
}
