/* Image folders: the classes are the sub-folders of the training part, sorted by name (bytes), and
 * a class's images the PNG, JPEG, PGM and PPM files in its sub-folder, sorted likewise. Names that
 * start with a dot, other files and deeper folders are passed over. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "train/data_read.h"
#include "train/image_file.h"

struct entries {
    int n;
    struct dirent **list; /* owned, as scandir gives it */
};

static void entries_deinit(struct entries *e)
{
    for (int i = 0; i < e->n; i++)
        free(e->list[i]);
    free(e->list);
    *e = (struct entries){0};
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_entries(const char *path, struct vn_why *why, struct entries *ret)
{
    int n = scandir(path, &ret->list, visible, by_bytes);

    if (n < 0)
        return vn_because(why, -errno, "%s: %s", path, strerror(errno));
    ret->n = n;
    return 0;
}

static bool has_type(const char *path, mode_t type)
{
    struct stat st;

    return !stat(path, &st) && (st.st_mode & S_IFMT) == type;
}

static bool has_image_ending(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg", ".pgm", ".ppm"};
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
        if (!strcasecmp(dot, endings[i]))
            return true;
    return false;
}

/* --- classes ---------------------------------------------------------------------------------- */

static int add_class(const char *root, const char *name, struct vn_why *why, struct vn_names *names)
{
    _cleanup_(vn_freep) char *path = vn_data_path(root, name);
    int r;

    if (!path)
        return vn_because(why, -ENOMEM, "out of memory");
    if (!has_type(path, S_IFDIR))
        return 0;
    r = vn_names_add(names, name, VN_CLASSES_MAX, why);
    return r > 0 ? vn_because_in(why, VN_DATA_E_INVALID, root) : r;
}

int vn_folders_classes(const struct vn_data_description *d, const char *folder, struct vn_why *why,
                       struct vn_names *ret_names)
{
    _cleanup_(vn_names_deinit) struct vn_names names = {0};
    _cleanup_(entries_deinit) struct entries entries = {0};
    _cleanup_(vn_freep) char *root = vn_data_path(folder, d->train.images[0]);
    int r = 0;

    if (!root)
        return vn_because(why, -ENOMEM, "out of memory");
    if (!has_type(root, S_IFDIR))
        return vn_data_missing(folder, d->train.images[0], -ENOENT, why);
    r = read_entries(root, why, &entries);
    for (int i = 0; i < entries.n && !r; i++)
        r = add_class(root, entries.list[i]->d_name, why, &names);
    if (r)
        return r;
    if (!names.n)
        return vn_because(why, VN_DATA_E_INVALID, "%s: has no sub-folder; one per class is needed",
                          root);
    *ret_names = names;
    names = (struct vn_names){0};
    return 0;
}

/* --- listing ---------------------------------------------------------------------------------- */

/* The path joins the list, which owns it from now on. */
static int add_image(struct vn_listing *l, char *path, uint16_t class, struct vn_why *why)
{
    int r;

    if (l->n == l->room) { /* vn_listing_add grows by the same rule */
        void *grown = realloc(l->paths, (l->room ? l->room * 2 : 1024) * sizeof *l->paths);

        if (!grown) {
            free(path);
            return vn_because(why, -ENOMEM, "out of memory");
        }
        l->paths = grown;
    }
    l->paths[l->n] = path;
    r = vn_listing_add(l, class, 0, why);
    if (r)
        free(path);
    return r;
}

static int list_class(const char *folder, uint16_t class, struct vn_listing *l, struct vn_why *why)
{
    _cleanup_(entries_deinit) struct entries entries = {0};
    int r = read_entries(folder, why, &entries);

    for (int i = 0; i < entries.n && !r; i++) {
        const char *name = entries.list[i]->d_name;
        char *path;

        if (!has_image_ending(name))
            continue;
        path = vn_data_path(folder, name);
        if (!path)
            return vn_because(why, -ENOMEM, "out of memory");
        if (has_type(path, S_IFREG))
            r = add_image(l, path, class, why);
        else
            free(path);
    }
    return r;
}

static int list_root(const char *root, const struct vn_names *classes, struct vn_listing *l,
                     struct vn_why *why)
{
    _cleanup_(entries_deinit) struct entries entries = {0};
    int r = read_entries(root, why, &entries);

    for (int i = 0; i < entries.n && !r; i++) {
        const char *name = entries.list[i]->d_name;
        _cleanup_(vn_freep) char *path = vn_data_path(root, name);
        int class = vn_names_find(classes, name);

        if (!path)
            return vn_because(why, -ENOMEM, "out of memory");
        if (!has_type(path, S_IFDIR))
            continue;
        if (class < 0)
            return vn_because(why, VN_DATA_E_INVALID,
                              "%s: the training part has no class (folder) of this name", path);
        r = list_class(path, (uint16_t) class, l, why);
    }
    return r;
}

static int list(const struct vn_reading *r, struct vn_listing *l)
{
    _cleanup_(vn_names_deinit) struct vn_names classes = {0};
    _cleanup_(vn_freep) char *root = vn_data_path(r->folder, r->files->images[0]);
    int e = vn_folders_classes(r->d, r->folder, r->why, &classes);

    if (e)
        return e;
    if (!root)
        return vn_because(r->why, -ENOMEM, "out of memory");
    if (r->d->classes && classes.n != r->d->classes)
        return vn_because(r->why, VN_DATA_E_INVALID,
                          "%s: has %u sub-folders, but the configuration speaks of %u classes",
                          root, classes.n, r->d->classes);
    l->n_classes = classes.n;
    if (!has_type(root, S_IFDIR))
        return vn_data_missing(r->folder, r->files->images[0], -ENOENT, r->why);
    e = list_root(root, &classes, l, r->why);
    if (!e && !l->n)
        return vn_because(r->why, VN_DATA_E_INVALID,
                          "%s: no PNG, JPEG, PGM or PPM file in its sub-folders", root);
    return e;
}

/* --- pixels ----------------------------------------------------------------------------------- */

/* Part of source pixel i that falls on target pixel t, in units of 1 / n_target pixel. */
static uint64_t overlap(uint64_t i, uint64_t t, uint64_t n_source, uint64_t n_target)
{
    uint64_t from = i * n_target > t * n_source ? i * n_target : t * n_source;
    uint64_t a = (i + 1) * n_target, b = (t + 1) * n_source;

    return (a < b ? a : b) - from;
}

/* Weighted sum over the source pixels under target pixel (x, y); weights add up to W H. */
static uint64_t area_sum(const struct vn_image_buffer *in, uint32_t x, uint32_t y, uint32_t w,
                         uint32_t h, uint32_t channels, uint32_t c)
{
    uint64_t x0 = (uint64_t)x * in->width / w, x1 = ((uint64_t)(x + 1) * in->width + w - 1) / w;
    uint64_t y0 = (uint64_t)y * in->height / h, y1 = ((uint64_t)(y + 1) * in->height + h - 1) / h;
    uint64_t sum = 0;

    for (uint64_t v = y0; v < y1; v++) {
        uint64_t row = 0;

        for (uint64_t u = x0; u < x1; u++)
            row += overlap(u, x, in->width, w) * in->pixels[(v * in->width + u) * channels + c];
        sum += row * overlap(v, y, in->height, h);
    }
    return sum; /* at most 255 * 2^28 */
}

/* Shrinks to the shorter side `side`, by the mean over each target pixel's area. */
static int shrink(struct vn_image_buffer *image, uint32_t side, struct vn_why *why)
{
    uint64_t shorter = image->width < image->height ? image->width : image->height;
    uint32_t w = (uint32_t)((2 * side * (uint64_t)image->width + shorter) / (2 * shorter));
    uint32_t h = (uint32_t)((2 * side * (uint64_t)image->height + shorter) / (2 * shorter));
    uint32_t channels = image->format == VN_PIXELS_RGB8 ? 3 : 1;
    uint64_t area = (uint64_t)image->width * image->height;
    uint8_t *small = malloc((size_t)w * h * channels), *p = small;

    if (!small)
        return vn_because(why, -ENOMEM, "out of memory");
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t c = 0; c < channels; c++)
                *p++ = (uint8_t)((area_sum(image, x, y, w, h, channels, c) + area / 2) / area);
    free(image->pixels);
    image->pixels = small;
    image->width = w;
    image->height = h;
    image->length = (uint64_t)w * h * channels;
    return 0;
}

static int append_pixels(struct vn_data_set *s, const struct vn_image_buffer *image, size_t *used,
                         size_t *room, struct vn_why *why)
{
    size_t need = *used + image->length; /* at most 2^34 + 2^27 */

    if (need > VN_PIXELS_MAX)
        return vn_because(why, VN_DATA_E_INVALID,
                          "the images need more than the limit of %llu bytes; set \"side\"",
                          (unsigned long long)VN_PIXELS_MAX);
    if (need > *room) {
        size_t more = need > *room * 2 ? need : *room * 2;
        uint8_t *grown = realloc(s->storage, more);

        if (!grown)
            return vn_because(why, -ENOMEM, "no memory for %zu bytes of images", more);
        s->storage = grown;
        *room = more;
    }
    memcpy(s->storage + *used, image->pixels, image->length);
    *used = need;
    return 0;
}

static int load_image(const struct vn_reading *r, const char *path, struct vn_data_set *s,
                      size_t *used, size_t *room)
{
    _cleanup_(vn_image_buffer_deinit) struct vn_image_buffer image = {0};
    uint32_t side = r->d->side;
    int e = vn_image_file_read(path, r->why, &image);

    if (e)
        return e > 0 ? VN_DATA_E_INVALID : e;
    if (side && image.width > side && image.height > side)
        e = shrink(&image, side, r->why);
    if (!e)
        e = append_pixels(s, &image, used, room, r->why);
    if (!e)
        s->images[s->n_images++] = vn_image_buffer_view(&image); /* pixels: set at the end */
    return e;
}

static int load(const struct vn_reading *r, const struct vn_listing *kept, struct vn_data_set *s)
{
    size_t used = 0, room = 0;
    int e = 0;

    s->images = calloc(kept->n, sizeof *s->images);
    if (!s->images)
        return vn_because(r->why, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < kept->n && !e; i++)
        e = load_image(r, kept->paths[i], s, &used, &room);
    used = 0;
    for (uint32_t i = 0; i < kept->n && !e; i++) {
        s->images[i].pixels = s->storage + used;
        used += s->images[i].length;
    }
    return e;
}

const struct vn_format vn_format_folders = {list, load};
