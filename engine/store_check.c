/* Comparing parts of a store with their checksums when they are used for the first time, so that
 * opening a store takes the same time whatever its size. */
#define XXH_STATIC_LINKING_ONLY /* the state of a hash without heap */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store_parts.h"

enum {
    UNSEEN,
    GOOD,
    DAMAGED,
};

int vn_store_changed(const struct vn_store *s, uint32_t part, uint64_t found, struct vn_why *why)
{
    char name[VN_PART_NAME], is[VN_PART_HASH], should_be[VN_PART_HASH];

    vn_store_part_name(s, part, name);
    vn_hash_text(found, is);
    vn_hash_text(s->hashes[part], should_be);
    return vn_because(why, VN_STORE_E_CHECKSUM, "%s was changed: its checksum is %s, not %s", name,
                      is, should_be);
}

static uint64_t hash_of(const struct vn_store *s, uint32_t part)
{
    const struct vn_part p = vn_part_at(s->network, s->layout, part);

    return XXH3_64bits(s->data + p.offset, p.bytes);
}

int vn_store_check_at_use(struct vn_store *s, struct vn_why *why)
{
    if (!s->hashes)
        return vn_because(why, VN_STORE_E_CHECKSUM, "the store carries no checksums");
    s->checked = calloc(vn_parts(s->network), sizeof *s->checked);
    if (!s->checked)
        return vn_because(why, -ENOMEM, "out of memory");
    if (vn_store_check(s, 0))
        return vn_store_changed(s, 0, hash_of(s, 0), why);
    return 0;
}

uint64_t vn_store_part_bytes(const struct vn_store *s, uint32_t part)
{
    return vn_part_at(s->network, s->layout, part).bytes;
}

void vn_store_part_name(const struct vn_store *s, uint32_t part, char ret_name[VN_PART_NAME])
{
    const struct vn_part p = vn_part_at(s->network, s->layout, part);

    memcpy(ret_name, p.name, VN_PART_NAME);
}

bool vn_store_is_unchecked(const struct vn_store *s, uint32_t part)
{
    return s->checked && atomic_load_explicit(&s->checked[part], memory_order_relaxed) != GOOD;
}

/* Through pread; a file that cannot be read agrees with nothing. */
static uint64_t hash_of_file(const struct vn_store *s, uint32_t part)
{
    const struct vn_part p = vn_part_at(s->network, s->layout, part);
    const uint64_t start = s->file_bytes - s->layout->data_bytes + p.offset;
    XXH3_state_t hash;
    uint8_t bytes[16384];

    XXH3_64bits_reset(&hash);
    for (uint64_t done = 0, n; done < p.bytes; done += n) {
        n = p.bytes - done < sizeof bytes ? p.bytes - done : sizeof bytes;
        if (vn_read_at(s->fd, bytes, n, start + done))
            return ~s->hashes[part];
        XXH3_64bits_update(&hash, bytes, n);
    }
    return XXH3_64bits_digest(&hash);
}

/* Relaxed: the state says something about bytes that nobody writes, and nothing else. */
static int check(const struct vn_store *s, uint32_t part,
                 uint64_t (*hash)(const struct vn_store *s, uint32_t part))
{
    unsigned char before = atomic_load_explicit(&s->checked[part], memory_order_relaxed), found;

    if (before != UNSEEN)
        return before == GOOD ? 0 : VN_STORE_E_CHECKSUM;
    found = hash(s, part) == s->hashes[part] ? GOOD : DAMAGED;
    if (!atomic_compare_exchange_strong(&s->checked[part], &before, found))
        found = before; /* another thread was first */
    return found == GOOD ? 0 : VN_STORE_E_CHECKSUM;
}

int vn_store_check(const struct vn_store *s, uint32_t part)
{
    return check(s, part, hash_of);
}

int vn_store_check_file(const struct vn_store *s, uint32_t part)
{
    return check(s, part, hash_of_file);
}

struct vn_store_checks vn_store_checks(const struct vn_store *s)
{
    struct vn_store_checks c = {.parts = vn_parts(s->network)};

    for (uint32_t i = 0; s->checked && i < c.parts; i++) {
        unsigned char state = atomic_load_explicit(&s->checked[i], memory_order_relaxed);

        c.good += state == GOOD;
        c.damaged += state == DAMAGED;
    }
    return c;
}
