/* Images grouped by the path they take, cheap ones first. Pixels stand in the page as PNG files. */
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/report.h"

#define SHOWN 12    /* images of a row */
#define SIDE_MAX 96 /* pixels of a side in the page; larger images are shrunk */

/* --- pixels ----------------------------------------------------------------------------------- */

struct small {
    uint32_t width, height, channels;
    uint8_t pixels[SIDE_MAX * SIDE_MAX * 3];
};

/* The mean of one channel over the step x step pixels from (x, y) on that the image has. */
static uint8_t mean(const struct vn_image *image, uint32_t channels, uint32_t x, uint32_t y,
                    uint32_t step, uint32_t channel)
{
    uint32_t stride = image->stride ? image->stride : image->width * channels;
    uint32_t x1 = x + step < image->width ? x + step : image->width;
    uint32_t y1 = y + step < image->height ? y + step : image->height;
    uint64_t sum = 0, n = (uint64_t)(x1 - x) * (y1 - y);

    for (uint32_t v = y; v < y1; v++)
        for (uint32_t u = x; u < x1; u++)
            sum += image->pixels[(size_t)v * stride + (size_t)u * channels + channel];
    return (uint8_t)((sum + n / 2) / n);
}

/* Shrunk by a whole number, where the image is larger. */
static void shrink(const struct vn_image *image, struct small *ret)
{
    uint32_t longer = image->width > image->height ? image->width : image->height;
    uint32_t step = (longer + SIDE_MAX - 1) / SIDE_MAX;
    uint8_t *p = ret->pixels;

    ret->channels = image->format == VN_PIXELS_RGB8 ? 3 : 1;
    ret->width = (image->width + step - 1) / step;
    ret->height = (image->height + step - 1) / step;
    for (uint32_t y = 0; y < ret->height; y++)
        for (uint32_t x = 0; x < ret->width; x++)
            for (uint32_t c = 0; c < ret->channels; c++)
                *p++ = mean(image, ret->channels, x * step, y * step, step, c);
}

static void put_png(FILE *to, const struct small *s)
{
    png_image png = {.version = PNG_IMAGE_VERSION,
                     .width = s->width,
                     .height = s->height,
                     .format = s->channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY};
    uint8_t file[sizeof s->pixels + 4096]; /* as long as it gets where nothing compresses */
    png_alloc_size_t n = sizeof file;

    if (png_image_write_to_memory(&png, file, &n, 0, s->pixels, 0, NULL))
        vn_html_base64(to, file, n);
    png_image_free(&png);
}

/* --- one image -------------------------------------------------------------------------------- */

static void put_note(FILE *to, const struct report *r, const struct report_shot *s)
{
    const struct vn_task *t = &r->network->tasks[s->task];
    char path[4 * VN_BLOCKS_MAX + 1] = "";
    size_t used = 0;

    for (uint32_t b = 0; b < vn_network_blocks(r->network); b++)
        used += (size_t)sprintf(path + used, b ? ",%u" : "%u", s->level[b]);
    vn_html_text(to, t->name);
    fputs(": ", to);
    vn_html_text(to, t->labels[s->answer]);
    fprintf(to, ", %.2f", s->probability);
    if (s->answer != s->label) {
        fputs("; wrong, it is ", to);
        vn_html_text(to, t->labels[s->label]);
    }
    fprintf(to, "; path %s, %.1fK parameters", path, (double)s->params / 1000);
}

static void put_shot(FILE *to, const struct report *r, const struct report_shot *s)
{
    const struct vn_task *t = &r->network->tasks[s->task];
    bool wrong = s->answer != s->label;
    struct small small;

    shrink(s->image, &small);
    fprintf(to, "<figure%s title=\"", wrong ? " class=\"wrong\"" : "");
    put_note(to, r, s);
    fputs("\"><img alt=\"", to);
    vn_html_text(to, t->labels[s->label]);
    fprintf(to, "\" width=\"%u\" height=\"%u\" src=\"data:image/png;base64,", small.width,
            small.height);
    put_png(to, &small);
    fputs("\"><figcaption><bdi>", to);
    if (wrong)
        fputs("✗ ", to);
    vn_html_text(to, t->labels[s->answer]);
    fputs("</bdi></figcaption></figure>\n", to);
}

/* --- a row ------------------------------------------------------------------------------------ */

static void put_costs(FILE *to, const struct report_shot *first, const struct report_shot *last)
{
    if (first->params == last->params)
        fprintf(to, "%.1fK parameters", (double)first->params / 1000);
    else
        fprintf(to, "%.1fK to %.1fK parameters", (double)first->params / 1000,
                (double)last->params / 1000);
}

/* The mean path as bars, one a block. */
static void put_bars(FILE *to, const struct report *r, const struct report_row *row)
{
    uint32_t blocks = vn_network_blocks(r->network);

    fputs("<span class=\"bars\" role=\"img\" aria-label=\"mean level of each block\">", to);
    for (uint32_t b = 0; b < blocks; b++) {
        double sum = 0;

        for (uint32_t i = 0; i < row->n; i++)
            sum += r->gallery.shots[row->first + i].level[b];
        fprintf(to, "<i style=\"height:%.0f%%\" title=\"block %u: %.2f of %u groups\"></i>",
                100 * sum / row->n / r->network->groups, b + 1, sum / row->n, r->network->groups);
    }
    fputs("</span>", to);
}

static void put_row(FILE *to, const struct report *r, uint32_t index)
{
    const struct report_row *row = &r->gallery.rows[index];
    const struct report_shot *shots = r->gallery.shots + row->first;
    uint32_t right = 0, shown = row->n < SHOWN ? row->n : SHOWN;

    for (uint32_t i = 0; i < row->n; i++)
        right += shots[i].answer == shots[i].label;
    fputs("<div class=\"path\">\n<p class=\"legend\"><span><b>", to);
    put_costs(to, &shots[0], &shots[row->n - 1]);
    fprintf(to, "</b></span> %.0f %% of the images, %.0f %% of them right",
            100.0 * row->n / r->gallery.n, 100.0 * right / row->n);
    put_bars(to, r, row);
    fputs("</p>\n<div class=\"shots\">\n", to);
    for (uint32_t i = 0; i < shown; i++)
        put_shot(to, r, &shots[(uint64_t)i * row->n / shown]);
    fputs("</div>\n</div>\n", to);
}

void report_images(FILE *to, const struct report *r)
{
    report_section(to, "images", "Images by the path they take", NULL);
    fputs("<p class=\"note\">", to);
    if (!r->gallery.n) {
        vn_html_textf(to, "No images: %s.", r->no_gallery.text);
        fputs("</p>\n", to);
        report_section_end(to);
        return;
    }
    vn_html_textf(to,
                  "%u images, run without a limit at thrift %g; those with the cheapest paths come "
                  "first. The bars are the mean level of each block. The answer stands below an "
                  "image; a dashed frame and ✗ mark a wrong one. Point at an image to read more.",
                  r->gallery.n, r->gallery.thrift);
    fputs("</p>\n", to);
    for (uint32_t i = 0; i < r->gallery.n_rows; i++)
        put_row(to, r, i);
    report_section_end(to);
}
