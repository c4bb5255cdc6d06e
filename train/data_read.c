/* Files of data sets, and the lists made from them: the parts that every format needs. */
#include "train/data_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEFLATE_RATIO_MAX 1032 /* a deflate stream cannot hold more than 1032 times its size */
#define READ_BUFFER_BYTES (128 * 1024)

/* --- lists ------------------------------------------------------------------------------------ */

void vn_listing_deinit(struct vn_listing *l)
{
    for (uint32_t i = 0; l->paths && i < l->n; i++)
        free(l->paths[i]);
    free(l->paths);
    free(l->examples);
    *l = (struct vn_listing){0};
}

int vn_listing_add(struct vn_listing *l, uint16_t label, uint16_t coarse, struct vn_why *why)
{
    if (l->n >= VN_EXAMPLES_MAX)
        return vn_because(why, VN_DATA_E_INVALID, "the set holds more than %u images",
                          VN_EXAMPLES_MAX);
    if (l->n == l->room) {
        uint32_t room = l->room ? l->room * 2 : 1024;
        void *grown = realloc(l->examples, room * sizeof *l->examples);

        if (!grown)
            return vn_because(why, -ENOMEM, "out of memory");
        l->examples = grown;
        l->room = room;
    }
    l->examples[l->n] = (struct vn_example){l->n, label, coarse};
    l->n++;
    return 0;
}

int vn_data_allocate(struct vn_data_set *s, const struct vn_listing *kept, uint32_t width,
                     uint32_t height, enum vn_pixel_format format, struct vn_why *why)
{
    uint64_t each = (uint64_t)width * height * (format == VN_PIXELS_RGB8 ? 3 : 1);
    uint64_t bytes = each * kept->n; /* sides are at most 2^14, images 2^24: below 2^54 */

    if (bytes > VN_PIXELS_MAX)
        return vn_because(why, VN_DATA_E_INVALID,
                          "%u images of %ux%u need %llu bytes, more than the limit of %llu",
                          kept->n, width, height, (unsigned long long)bytes,
                          (unsigned long long)VN_PIXELS_MAX);
    s->storage = malloc(bytes ? bytes : 1);
    s->images = calloc(kept->n ? kept->n : 1, sizeof *s->images);
    if (!s->storage || !s->images)
        return vn_because(why, -ENOMEM, "no memory for %u images of %ux%u", kept->n, width, height);
    for (uint32_t i = 0; i < kept->n; i++)
        s->images[i] = (struct vn_image){.pixels = s->storage + i * each,
                                         .length = each,
                                         .width = width,
                                         .height = height,
                                         .format = format};
    s->n_images = kept->n;
    return 0;
}

/* --- files ------------------------------------------------------------------------------------ */

char *vn_data_path(const char *folder, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* Where the sets that everybody uses come from, by a part of the file's name. */
static const struct {
    const char *part, *source;
} sources[] = {
    {"fashion-mnist/", "Debian's package dataset-fashion-mnist puts it in " VN_DATA_FOLDER},
    {"mnist", "MNIST is published by Y. LeCun and others as four IDX files"},
    {"cifar", "CIFAR-10 and CIFAR-100 are published by the University of Toronto: the binary "
              "version is meant"},
    {"stl10", "STL-10 is published by Stanford University: the binary files are meant"},
};

int vn_data_missing(const char *folder, const char *name, int error, struct vn_why *why)
{
    const char *source = NULL;

    for (size_t i = 0; i < sizeof sources / sizeof sources[0] && !source; i++)
        if (strstr(name, sources[i].part))
            source = sources[i].source;
    return vn_because(why, error,
                      "%.120s: not in the data folder %.120s; name the folder with --data or "
                      "VIRTUALNET_DATA%s%s",
                      name, folder, source ? ". " : "", source ? source : "");
}

int vn_data_wrong(const struct vn_reading *r, const struct vn_data_file *f, const char *format, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return vn_because(r->why, VN_DATA_E_INVALID, "%.240s: %s", f->path, text);
}

static int check_file(const struct vn_reading *r, int fd, struct vn_data_file *f)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return vn_because(r->why, -errno, "%s: %s", f->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return vn_data_wrong(r, f, "must be a regular file");
    f->bytes = (uint64_t)st.st_size;
    return 0;
}

int vn_data_open(const struct vn_reading *r, const char *name, bool gzip_allowed,
                 struct vn_data_file *f)
{
    _cleanup_(vn_closep) int fd = -1;
    int e;

    *f = (struct vn_data_file){.path = vn_data_path(r->folder, name)};
    if (!f->path)
        return vn_because(r->why, -ENOMEM, "out of memory");
    fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return vn_data_missing(r->folder, name, -errno, r->why);
    if (fd < 0)
        return vn_because(r->why, -errno, "%s: %s", f->path, strerror(errno));
    e = check_file(r, fd, f);
    if (e)
        return e;
    f->gz = gzdopen(fd, "rb");
    if (!f->gz)
        return vn_because(r->why, -ENOMEM, "%s: out of memory", f->path);
    fd = -1; /* gz owns it now */
    gzbuffer(f->gz, READ_BUFFER_BYTES);
    f->packed = gzip_allowed && !gzdirect(f->gz);
    f->most = f->packed ? f->bytes * DEFLATE_RATIO_MAX : f->bytes;
    if (!gzip_allowed && !gzdirect(f->gz))
        return vn_data_wrong(r, f, "is compressed with gzip: unpack it first");
    return 0;
}

void vn_data_close(struct vn_data_file *f)
{
    if (f->gz)
        gzclose_r(f->gz);
    free(f->path);
    *f = (struct vn_data_file){0};
}

static int complain_broken(const struct vn_reading *r, const struct vn_data_file *f)
{
    int code;
    const char *text = gzerror(f->gz, &code);

    if (code == Z_ERRNO)
        return vn_because(r->why, -EIO, "%s: cannot be read: %s", f->path, strerror(errno));
    if (code == Z_MEM_ERROR)
        return vn_because(r->why, -ENOMEM, "%s: out of memory", f->path);
    return vn_data_wrong(r, f, "the gzip stream is damaged (%s)", text);
}

int vn_data_read(const struct vn_reading *r, struct vn_data_file *f, void *bytes, size_t n)
{
    uint8_t *p = bytes;

    while (n) {
        unsigned part = n > 1u << 30 ? 1u << 30 : (unsigned)n;
        int got = gzread(f->gz, p, part);

        if (got < 0)
            return complain_broken(r, f);
        if (!got)
            return vn_data_wrong(r, f, "ends %zu bytes before its header says", n);
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

int vn_data_end(const struct vn_reading *r, struct vn_data_file *f)
{
    char byte;
    int got = gzread(f->gz, &byte, 1), code;

    gzerror(f->gz, &code);
    if (got > 0)
        return vn_data_wrong(r, f, "holds more bytes than its header says");
    if (got < 0 || code == Z_BUF_ERROR)
        return complain_broken(r, f);
    return 0;
}
