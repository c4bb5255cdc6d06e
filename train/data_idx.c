/* IDX: a big-endian header (0, 0, type, dimensions, then one 32-bit length per dimension), then
 * bytes. Read here: type 0x08 (unsigned byte), images with 3 dimensions (n, height, width), labels
 * with 1. Plain or compressed with gzip. */
#include <errno.h>

#include "train/data_read.h"

#define TYPE_BYTES 0x08

static uint32_t big_endian(const uint8_t b[4])
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The lengths of the dimensions; the product is held against what the file can hold. */
static int read_header(const struct vn_reading *r, struct vn_data_file *f, uint32_t n_dims,
                       uint32_t ret_dims[3])
{
    uint8_t b[16];
    uint64_t bytes = 1, header = 4 + 4 * n_dims;
    int e = vn_data_read(r, f, b, 4);

    if (e)
        return e;
    if (b[0] || b[1] || b[2] != TYPE_BYTES || b[3] != n_dims)
        return vn_data_wrong(r, f,
                             "starts with %02x %02x %02x %02x; an IDX file of %s starts with "
                             "00 00 08 %02x",
                             b[0], b[1], b[2], b[3], n_dims == 3 ? "images" : "labels", n_dims);
    e = vn_data_read(r, f, b + 4, 4 * n_dims);
    if (e)
        return e;
    for (uint32_t i = 0; i < n_dims; i++) {
        uint32_t most = i ? VN_IMAGE_SIDE_MAX : VN_EXAMPLES_MAX;

        ret_dims[i] = big_endian(b + 4 + 4 * i);
        if (!ret_dims[i] || ret_dims[i] > most)
            return vn_data_wrong(r, f, "dimension %u is %u, must be 1 to %u", i, ret_dims[i], most);
        bytes *= ret_dims[i]; /* at most 2^(24 + 14 + 14) */
    }
    if (f->packed ? bytes + header > f->most : bytes + header != f->bytes)
        return vn_data_wrong(r, f, "must hold %llu bytes by its header, but has %llu%s",
                             (unsigned long long)(bytes + header), (unsigned long long)f->bytes,
                             f->packed ? " of gzip" : "");
    return 0;
}

static int list_labels(const struct vn_reading *r, struct vn_data_file *f, struct vn_listing *l,
                       uint32_t *ret_n)
{
    uint8_t part[4096];
    uint32_t n, dims[3] = {0}, most = r->d->classes ? r->d->classes : 256;
    int e = read_header(r, f, 1, dims);

    n = dims[0];
    for (uint32_t done = 0; done < n && !e;) {
        uint32_t k = n - done < sizeof part ? n - done : (uint32_t)sizeof part;

        e = vn_data_read(r, f, part, k);
        for (uint32_t i = 0; i < k && !e; i++) {
            if (part[i] >= most)
                return vn_data_wrong(r, f,
                                     "label %u of image %u is not below %u, the number of "
                                     "classes",
                                     part[i], done + i, most);
            if (part[i] >= l->n_classes)
                l->n_classes = part[i] + 1u;
            e = vn_listing_add(l, part[i], 0, r->why);
        }
        done += k;
    }
    *ret_n = n;
    return e ? e : vn_data_end(r, f);
}

static int list_pair(const struct vn_reading *r, uint32_t file, struct vn_listing *l)
{
    _cleanup_(vn_data_close) struct vn_data_file images = {0}, labels = {0};
    uint32_t n = 0, dims[3] = {0};
    int e = vn_data_open(r, r->files->images[file], true, &images);

    if (!e)
        e = read_header(r, &images, 3, dims);
    if (!e)
        e = vn_data_open(r, r->files->labels[file], true, &labels);
    if (!e)
        e = list_labels(r, &labels, l, &n);
    if (!e && n != dims[0])
        return vn_data_wrong(r, &labels, "holds %u labels for %u images", n, dims[0]);
    return e;
}

static int list(const struct vn_reading *r, struct vn_listing *l)
{
    int e = 0;

    l->n_classes = r->d->classes;
    for (uint32_t i = 0; i < r->files->n && !e; i++)
        e = list_pair(r, i, l);
    return e;
}

/* Record numbers of the file are first .. first + dims[0] - 1; *next is the next kept one. */
static int load_images(const struct vn_reading *r, struct vn_data_file *f, const uint32_t dims[3],
                       uint32_t first, const struct vn_listing *kept, struct vn_data_set *s,
                       uint32_t *next)
{
    size_t bytes = (size_t)dims[1] * dims[2];
    _cleanup_(vn_freep) uint8_t *skipped = malloc(bytes);
    int e = 0;

    if (!skipped)
        return vn_because(r->why, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < dims[0] && !e; i++) {
        bool wanted = *next < kept->n && kept->examples[*next].image == first + i;

        e = vn_data_read(r, f, wanted ? s->storage + *next * bytes : skipped, bytes);
        *next += wanted;
    }
    return e ? e : vn_data_end(r, f);
}

static int load_file(const struct vn_reading *r, uint32_t file, const struct vn_listing *kept,
                     struct vn_data_set *s, uint32_t *first, uint32_t *next)
{
    _cleanup_(vn_data_close) struct vn_data_file f = {0};
    uint32_t dims[3] = {0};
    int e = vn_data_open(r, r->files->images[file], true, &f);

    if (!e)
        e = read_header(r, &f, 3, dims);
    if (!e && !file)
        e = vn_data_allocate(s, kept, dims[2], dims[1], VN_PIXELS_GRAY8, r->why);
    if (e)
        return e;
    if (s->n_images && (s->images[0].width != dims[2] || s->images[0].height != dims[1]))
        return vn_data_wrong(r, &f, "images of %ux%u, those of the first file have %ux%u", dims[2],
                             dims[1], s->images[0].width, s->images[0].height);
    e = load_images(r, &f, dims, *first, kept, s, next);
    *first += dims[0];
    return e;
}

static int load(const struct vn_reading *r, const struct vn_listing *kept, struct vn_data_set *s)
{
    uint32_t first = 0, next = 0;
    int e = 0;

    for (uint32_t i = 0; i < r->files->n && !e; i++)
        e = load_file(r, i, kept, s, &first, &next);
    if (!e && next < kept->n) /* only when the files changed between the two passes */
        return vn_because(r->why, VN_DATA_E_INVALID, "%s: changed while it was read",
                          r->files->images[0]);
    return e;
}

const struct vn_format vn_format_idx = {list, load};
