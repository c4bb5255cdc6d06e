/* CIFAR-10 and CIFAR-100, the binary versions: records of <class> or <coarse><class>, then three
 * planes of 32x32 bytes, red, green, blue. */
#include <string.h>

#include "train/data_read.h"

#define SIDE 32
#define PLANE (SIDE * SIDE)
#define N_COARSE 20
#define N_FINE 100

static uint32_t label_bytes(const struct vn_reading *r)
{
    return r->d->format == VN_DATA_CIFAR100 ? 2 : 1;
}

/* Opens a file of whole records. */
static int open_records(const struct vn_reading *r, const char *name, struct vn_data_file *f,
                        uint32_t *ret_n)
{
    uint32_t record = label_bytes(r) + 3 * PLANE;
    int e = vn_data_open(r, name, false, f);

    if (e)
        return e;
    if (!f->bytes || f->bytes % record || f->bytes / record > VN_EXAMPLES_MAX)
        return vn_data_wrong(r, f, "%llu bytes are not 1 to %u records of %u bytes, as %s has them",
                             (unsigned long long)f->bytes, VN_EXAMPLES_MAX, record,
                             r->d->format == VN_DATA_CIFAR100 ? "CIFAR-100" : "CIFAR-10");
    *ret_n = (uint32_t)(f->bytes / record);
    return 0;
}

/* record: at least label_bytes of one. */
static int read_label(const struct vn_reading *r, const struct vn_data_file *f, uint32_t number,
                      const uint8_t *record, uint16_t *ret_label, uint16_t *ret_coarse)
{
    bool fine = r->d->format == VN_DATA_CIFAR100;
    uint8_t label = fine ? record[1] : record[0], coarse = fine ? record[0] : 0;

    if (label >= (fine ? N_FINE : 10) || coarse >= N_COARSE)
        return vn_data_wrong(r, f, "record %u has class %u%s; must be below %d%s", number, label,
                             coarse >= N_COARSE ? " and an unknown coarse class" : "",
                             fine ? N_FINE : 10, fine ? " (coarse: below 20)" : "");
    *ret_label = label;
    *ret_coarse = coarse;
    return 0;
}

static int list_file(const struct vn_reading *r, const char *name, struct vn_listing *l)
{
    _cleanup_(vn_data_close) struct vn_data_file f = {0};
    uint8_t record[2 + 3 * PLANE];
    uint16_t label = 0, coarse = 0;
    uint32_t n = 0;
    int e = open_records(r, name, &f, &n);

    for (uint32_t i = 0; i < n && !e; i++) {
        e = vn_data_read(r, &f, record, label_bytes(r) + 3 * PLANE);
        if (!e)
            e = read_label(r, &f, i, record, &label, &coarse);
        if (!e)
            e = vn_listing_add(l, label, coarse, r->why);
    }
    return e;
}

static int list(const struct vn_reading *r, struct vn_listing *l)
{
    int e = 0;

    l->n_classes = r->d->format == VN_DATA_CIFAR100 ? N_FINE : 10;
    l->n_coarse = r->d->format == VN_DATA_CIFAR100 ? N_COARSE : 0;
    for (uint32_t i = 0; i < r->files->n && !e; i++)
        e = list_file(r, r->files->images[i], l);
    return e;
}

static void interleave(const uint8_t *planes, uint8_t *pixels)
{
    for (uint32_t i = 0; i < PLANE; i++)
        for (uint32_t c = 0; c < 3; c++)
            pixels[3 * i + c] = planes[c * PLANE + i];
}

static int load_file(const struct vn_reading *r, const char *name, const struct vn_listing *kept,
                     struct vn_data_set *s, uint32_t *first, uint32_t *next)
{
    _cleanup_(vn_data_close) struct vn_data_file f = {0};
    uint8_t record[2 + 3 * PLANE];
    uint32_t n = 0;
    int e = open_records(r, name, &f, &n);

    for (uint32_t i = 0; i < n && !e; i++) {
        e = vn_data_read(r, &f, record, label_bytes(r) + 3 * PLANE);
        if (e || *next >= kept->n || kept->examples[*next].image != *first + i)
            continue;
        interleave(record + label_bytes(r), s->storage + (size_t)*next * 3 * PLANE);
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
        e = load_file(r, r->files->images[i], kept, s, &first, &next);
    if (!e && next < kept->n)
        return vn_because(r->why, VN_DATA_E_INVALID, "%s: changed while it was read",
                          r->files->images[0]);
    return e;
}

const struct vn_format vn_format_cifar = {list, load};

int vn_cifar100_coarse(const struct vn_reading *r, uint16_t ret_coarse_of[100])
{
    _cleanup_(vn_listing_deinit) struct vn_listing l = {0};
    uint16_t coarse_of[N_FINE];
    int e = list(r, &l);

    if (e)
        return e;
    memset(coarse_of, 0xff, sizeof coarse_of);
    for (uint32_t i = 0; i < l.n; i++) {
        uint16_t *c = &coarse_of[l.examples[i].label];

        if (*c != UINT16_MAX && *c != l.examples[i].coarse)
            return vn_because(
                r->why, VN_DATA_E_INVALID,
                "%s: record %u puts class %u in coarse class %u, an earlier one in %u",
                r->files->images[0], i, l.examples[i].label, l.examples[i].coarse, *c);
        *c = l.examples[i].coarse;
    }
    for (uint32_t i = 0; i < N_FINE; i++)
        if (coarse_of[i] == UINT16_MAX)
            return vn_because(r->why, VN_DATA_E_INVALID, "%s: class %u of 100 does not occur",
                              r->files->images[0], i);
    memcpy(ret_coarse_of, coarse_of, sizeof coarse_of);
    return 0;
}
