/* Comparing a whole store with its checksums. Bytes come through pread, not through the map, so
 * that nothing becomes resident. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/store_parts.h"

#define CHUNK_BYTES (UINT64_C(1) << 20)

struct verifier {
    const struct vn_store *s;
    struct vn_why *why;
    void (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;
    uint64_t start;     /* file offset of the data */
    uint64_t done;      /* bytes of the data part that were read */
    uint8_t *chunk;     /* owned, CHUNK_BYTES */
    XXH3_state_t *hash; /* owned */
};

static void verifier_deinit(struct verifier *v)
{
    free(v->chunk);
    if (v->hash)
        XXH3_freeState(v->hash);
}

/* Reads at most n of the next bytes into the chunk; how many, or a negative errno. */
static ssize_t next_chunk(struct verifier *v, uint64_t n)
{
    ssize_t got;

    do
        got = pread(v->s->fd, v->chunk, n < CHUNK_BYTES ? n : CHUNK_BYTES,
                    (off_t)(v->start + v->done));
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
        int error = got ? errno : EIO; /* the end: shorter than at open */

        return vn_because(v->why, -error, "reading byte %llu: %s",
                          (unsigned long long)(v->start + v->done), strerror(error));
    }
    v->done += (uint64_t)got;
    if (v->progress)
        v->progress(v->context, v->done, v->s->layout->data_bytes);
    return got;
}

/* Padding between parts has no checksum: it is zeros. */
static int verify_padding(struct verifier *v, uint64_t end)
{
    while (v->done < end) {
        uint64_t from = v->done;
        ssize_t n = next_chunk(v, end - v->done);

        if (n < 0)
            return (int)n;
        for (ssize_t i = 0; i < n; i++)
            if (v->chunk[i])
                return vn_because(v->why, VN_STORE_E_CHECKSUM,
                                  "the padding at byte %llu of the data is not zero",
                                  (unsigned long long)from + (unsigned long long)i);
    }
    return 0;
}

static int verify_part(struct verifier *v, uint32_t i)
{
    const struct vn_part part = vn_part_at(v->s->network, v->s->layout, i);
    const uint64_t end = part.offset + part.bytes;
    int r = verify_padding(v, part.offset);

    if (r)
        return r;
    XXH3_64bits_reset(v->hash);
    while (v->done < end) {
        ssize_t n = next_chunk(v, end - v->done);

        if (n < 0)
            return (int)n;
        XXH3_64bits_update(v->hash, v->chunk, (size_t)n);
    }
    if (XXH3_64bits_digest(v->hash) == v->s->hashes[i])
        return 0;
    return vn_store_changed(v->s, i, XXH3_64bits_digest(v->hash), v->why);
}

int vn_store_verify(const struct vn_store *s, struct vn_why *why,
                    void (*progress)(void *context, uint64_t done, uint64_t all), void *context)
{
    _cleanup_(verifier_deinit) struct verifier v = {
        .s = s,
        .why = why,
        .progress = progress,
        .context = context,
        .start = s->file_bytes - s->layout->data_bytes,
        .chunk = malloc(CHUNK_BYTES),
        .hash = XXH3_createState(),
    };
    int r = 0;

    if (!v.chunk || !v.hash)
        return vn_because(why, -ENOMEM, "out of memory");
    if (!s->hashes)
        return vn_because(why, VN_STORE_E_CHECKSUM, "the store carries no checksums");
    for (uint32_t i = 0; !r && i < vn_parts(s->network); i++)
        r = verify_part(&v, i);
    return r;
}
