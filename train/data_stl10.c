/* STL-10, the binary files: images of three planes (red, green, blue) of 96x96 bytes, each plane
 * column by column; labels 1 to 10 in a file of their own. */
#include "train/data_read.h"

#define SIDE 96
#define PLANE (SIDE * SIDE)
#define RECORD (3 * PLANE)
#define N_CLASSES 10

static int open_images(const struct vn_reading *r, uint32_t file, struct vn_data_file *f,
                       uint32_t *ret_n)
{
    int e = vn_data_open(r, r->files->images[file], false, f);

    if (e)
        return e;
    if (!f->bytes || f->bytes % RECORD || f->bytes / RECORD > VN_EXAMPLES_MAX)
        return vn_data_wrong(r, f,
                             "%llu bytes are not 1 to %u images of %d bytes, as STL-10 has "
                             "them",
                             (unsigned long long)f->bytes, VN_EXAMPLES_MAX, RECORD);
    *ret_n = (uint32_t)(f->bytes / RECORD);
    return 0;
}

static int list_pair(const struct vn_reading *r, uint32_t file, struct vn_listing *l)
{
    _cleanup_(vn_data_close) struct vn_data_file images = {0}, labels = {0};
    uint32_t n = 0;
    int e = open_images(r, file, &images, &n);

    if (!e)
        e = vn_data_open(r, r->files->labels[file], false, &labels);
    if (!e && labels.bytes != n)
        return vn_data_wrong(r, &labels, "holds %llu labels for %u images",
                             (unsigned long long)labels.bytes, n);
    for (uint32_t i = 0; i < n && !e; i++) {
        uint8_t label = 0;

        e = vn_data_read(r, &labels, &label, 1);
        if (!e && (label < 1 || label > N_CLASSES))
            return vn_data_wrong(r, &labels, "label %u of image %u is not 1 to %d", label, i,
                                 N_CLASSES);
        if (!e)
            e = vn_listing_add(l, label - 1, 0, r->why);
    }
    return e;
}

static int list(const struct vn_reading *r, struct vn_listing *l)
{
    int e = 0;

    l->n_classes = N_CLASSES;
    for (uint32_t i = 0; i < r->files->n && !e; i++)
        e = list_pair(r, i, l);
    return e;
}

static void interleave(const uint8_t *planes, uint8_t *pixels)
{
    for (uint32_t y = 0; y < SIDE; y++)
        for (uint32_t x = 0; x < SIDE; x++)
            for (uint32_t c = 0; c < 3; c++)
                pixels[3 * (y * SIDE + x) + c] = planes[c * PLANE + x * SIDE + y];
}

static int load_file(const struct vn_reading *r, uint32_t file, const struct vn_listing *kept,
                     struct vn_data_set *s, uint32_t *first, uint32_t *next)
{
    _cleanup_(vn_data_close) struct vn_data_file f = {0};
    uint8_t record[RECORD];
    uint32_t n = 0;
    int e = open_images(r, file, &f, &n);

    for (uint32_t i = 0; i < n && !e; i++) {
        e = vn_data_read(r, &f, record, RECORD);
        if (e || *next >= kept->n || kept->examples[*next].image != *first + i)
            continue;
        interleave(record, s->storage + (size_t)*next * RECORD);
        ++*next;
    }
    *first += n;
    return e;
}

static int load(const struct vn_reading *r, const struct vn_listing *kept, struct vn_data_set *s)
{
    uint32_t first = 0, next = 0;
    int e = vn_data_allocate(s, kept, SIDE, SIDE, VN_PIXELS_RGB8, r->why);

    for (uint32_t i = 0; i < r->files->n && !e; i++)
        e = load_file(r, i, kept, s, &first, &next);
    if (!e && next < kept->n)
        return vn_because(r->why, VN_DATA_E_INVALID, "%s: changed while it was read",
                          r->files->images[0]);
    return e;
}

const struct vn_format vn_format_stl10 = {list, load};
