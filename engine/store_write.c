/* Writing a store. The header's length does not depend on the checksums' values, so that the data
 * is written in one pass behind room for the header, and the header last. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/store_parts.h"

struct writer {
    const struct vn_network *network;
    struct vn_layout *layout; /* owned */
    vn_tensor_source *source;
    void *context;
    struct vn_why *why;
    const char *file;
    char *folder;                 /* owned: where the file goes */
    char *temporary;              /* owned: the file beside it; NULL when there is none to remove */
    FILE *out;                    /* owned */
    XXH3_state_t *hash;           /* owned */
    char (*hashes)[VN_PART_HASH]; /* owned, by part */
    char *network_text;           /* owned */
    char *header;                 /* owned: length, JSON and spaces; written last */
    size_t header_bytes;          /* all of it: where the data starts */
};

static void writer_deinit(struct writer *w)
{
    if (w->out)
        fclose(w->out);
    if (w->temporary)
        unlink(w->temporary);
    if (w->hash)
        XXH3_freeState(w->hash);
    vn_layout_free(w->layout);
    free(w->folder);
    free(w->temporary);
    free(w->hashes);
    free(w->network_text);
    free(w->header);
}

static int failed(struct writer *w, int error, const char *what)
{
    return vn_because(w->why, -error, "%s: %s: %s", w->file, what, strerror(error));
}

/* --- header ----------------------------------------------------------------------------------- */

static json_t *tensor_entry(const struct vn_tensor *t)
{
    json_t *shape = json_array();

    for (uint32_t i = 0; i < t->n_dims; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i])))
            break;
    if (json_array_size(shape) != t->n_dims) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->padding ? "U8" : "F32", "shape", shape,
                     "data_offsets", (json_int_t)t->offset, (json_int_t)(t->offset + t->bytes));
}

static json_t *checksums(const struct writer *w)
{
    json_t *all = json_object();
    char hash[VN_PART_HASH];

    vn_hash_text(XXH3_64bits(w->network_text, strlen(w->network_text)), hash);
    json_object_set_new(all, "network", json_string(hash));
    for (uint32_t i = 0; i < vn_parts(w->network); i++) {
        struct vn_part part = vn_part_at(w->network, w->layout, i);

        json_object_set_new(all, part.name, json_string(w->hashes[i]));
    }
    if (json_object_size(all) == vn_parts(w->network) + 1)
        return all;
    json_decref(all);
    return NULL;
}

static json_t *metadata(const struct writer *w)
{
    _cleanup_(json_decrefp) json_t *sums = checksums(w);
    _cleanup_(vn_freep) char *text = sums ? json_dumps(sums, JSON_COMPACT) : NULL;

    return json_pack("{s:s, s:s, s:s}", "format", VN_STORE_FORMAT, "network", w->network_text,
                     "checksums", text);
}

/* The whole header as JSON text, or NULL: out of memory. */
static char *header_text(const struct writer *w)
{
    _cleanup_(json_decrefp) json_t *root = json_object();

    if (json_object_set_new(root, "__metadata__", metadata(w)))
        return NULL;
    for (uint32_t i = 0; i < w->layout->n_tensors; i++)
        if (json_object_set_new(root, w->layout->tensors[i].name,
                                tensor_entry(&w->layout->tensors[i])))
            return NULL;
    return json_dumps(root, JSON_COMPACT);
}

/* With the checksums known so far; its size is always the same. */
static int make_header(struct writer *w)
{
    _cleanup_(vn_freep) char *text = header_text(w);
    uint64_t length = text ? strlen(text) : 0, bytes;

    if (!text)
        return failed(w, ENOMEM, "header");
    bytes = (sizeof length + length + VN_WINDOW_BYTES - 1) / VN_WINDOW_BYTES * VN_WINDOW_BYTES;
    if (bytes - sizeof length > VN_HEADER_MAX)
        return vn_because(w->why, -EFBIG,
                          "%s: the header needs %llu bytes; at most %llu are "
                          "allowed: fewer or shorter labels",
                          w->file, (unsigned long long)length, (unsigned long long)VN_HEADER_MAX);
    free(w->header);
    w->header = malloc(bytes);
    if (!w->header)
        return failed(w, ENOMEM, "header");
    w->header_bytes = bytes;
    memset(w->header, ' ', bytes);
    memcpy(w->header + sizeof length, text, length);
    length = bytes - sizeof length; /* the spaces belong to the header */
    memcpy(w->header, &length, sizeof length);
    return 0;
}

/* --- data ------------------------------------------------------------------------------------- */

static int put(struct writer *w, const void *bytes, size_t n)
{
    if (fwrite(bytes, 1, n, w->out) != n)
        return failed(w, errno ? errno : EIO, "writing");
    XXH3_64bits_update(w->hash, bytes, n);
    return 0;
}

static int put_tensor(struct writer *w, uint32_t i)
{
    static const uint8_t zeros[VN_WINDOW_BYTES];
    const struct vn_tensor *t = &w->layout->tensors[i];
    const void *numbers = zeros;

    if (!t->padding)
        numbers = w->source(w->context, w->layout, i);
    if (!numbers)
        return vn_because(w->why, -EINVAL, "%s: no numbers for %s", w->file, t->name);
    return put(w, numbers, t->bytes);
}

/* Writes one part, and before it whatever lies between the last one and it; *tensor is the next
 * to be written. */
static int put_part(struct writer *w, uint32_t i, uint32_t *tensor)
{
    struct vn_part part = vn_part_at(w->network, w->layout, i);
    const struct vn_tensor *t = &w->layout->tensors[*tensor];
    const struct vn_tensor *end = w->layout->tensors + w->layout->n_tensors;
    int r = 0;

    for (; !r && t < end && t->offset < part.offset; t++)
        r = put_tensor(w, (*tensor)++);
    XXH3_64bits_reset(w->hash);
    for (; !r && t < end && t->offset < part.offset + part.bytes; t++)
        r = put_tensor(w, (*tensor)++);
    vn_hash_text(XXH3_64bits_digest(w->hash), w->hashes[i]);
    return r;
}

static int put_all(struct writer *w)
{
    uint32_t tensor = 0;
    int r = 0;

    errno = 0;
    if (fseeko(w->out, (off_t)w->header_bytes, SEEK_SET))
        return failed(w, errno, "seeking");
    for (uint32_t i = 0; !r && i < vn_parts(w->network); i++)
        r = put_part(w, i, &tensor);
    if (r || (r = make_header(w)))
        return r;
    errno = 0;
    if (fseeko(w->out, 0, SEEK_SET) ||
        fwrite(w->header, 1, w->header_bytes, w->out) < w->header_bytes)
        return failed(w, errno ? errno : EIO, "writing the header");
    return 0;
}

/* --- file ------------------------------------------------------------------------------------- */

static int writer_init(struct writer *w)
{
    _cleanup_(json_decrefp) json_t *json = vn_network_to_json(w->network);
    int r = vn_layout_new(w->network, w->why, &w->layout);

    if (r)
        return r > 0 ? -EFBIG : failed(w, -r, "layout");
    w->network_text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    w->hashes = calloc(vn_parts(w->network), sizeof w->hashes[0]);
    w->hash = XXH3_createState();
    w->folder = strdup(w->file);
    if (!w->network_text || !w->hashes || !w->hash || !w->folder)
        return failed(w, ENOMEM, "preparing");
    dirname(w->folder); /* a shorter text, in place, or a constant */
    if (!strchr(w->file, '/'))
        strcpy(w->folder, "."); /* the file name has at least one byte */
    for (uint32_t i = 0; i < vn_parts(w->network); i++)
        memset(w->hashes[i], '0', VN_PART_HASH - 1);
    return make_header(w);
}

/* A new file in the target's folder, with the mode that the target would get from open(2). */
static int open_temporary(struct writer *w)
{
    int fd = -1;

    for (int tries = 0; fd < 0 && tries < 100; tries++) {
        free(w->temporary);
        if (asprintf(&w->temporary, "%s.%d.%llx.tmp", w->file, (int)getpid(),
                     (unsigned long long)vn_now_ns()) < 0)
            w->temporary = NULL;
        if (!w->temporary)
            return failed(w, ENOMEM, "preparing");
        fd = open(w->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    w->out = fd < 0 ? NULL : fdopen(fd, "w");
    if (w->out)
        return 0;
    if (fd >= 0) {
        close(fd);
        return failed(w, ENOMEM, "opening");
    }
    free(w->temporary); /* not ours */
    w->temporary = NULL;
    return failed(w, errno, "creating a file beside it");
}

/* The name is durable only when the folder is. Some file systems cannot do it; then it is as good
 * as it gets. */
static int sync_folder(struct writer *w)
{
    _cleanup_(vn_closep) int fd = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || (fsync(fd) && errno != EINVAL && errno != ENOTSUP))
        return failed(w, errno, "the folder");
    return 0;
}

static int put_in_place(struct writer *w)
{
    FILE *out = w->out;

    if (fflush(out) || fsync(fileno(out)))
        return failed(w, errno, "writing");
    w->out = NULL;
    if (fclose(out))
        return failed(w, errno, "closing");
    if (rename(w->temporary, w->file))
        return failed(w, errno, "renaming");
    free(w->temporary);
    w->temporary = NULL;
    return sync_folder(w);
}

int vn_store_write(const char *file, const struct vn_network *n, vn_tensor_source *source,
                   void *context, struct vn_why *why)
{
    _cleanup_(writer_deinit) struct writer w = {
        .network = n, .source = source, .context = context, .why = why, .file = file};
    int r;

    if (!file[0])
        return vn_because(why, -EINVAL, "a store needs a file name");
    if ((r = writer_init(&w)) || (r = open_temporary(&w)) || (r = put_all(&w)))
        return r;
    return put_in_place(&w);
}
