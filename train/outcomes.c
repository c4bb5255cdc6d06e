#include "train/outcomes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define ENTRIES_MIN (UINT64_C(1) << 12)
#define ENTRIES_MAX (UINT64_C(1) << 24)

struct entry {
    uint64_t key; /* 0: free */
    struct vn_outcome outcome;
};

/* Open addressing with a power of two of entries, at most three quarters of them taken. */
struct vn_outcomes {
    uint32_t blocks;
    uint64_t entries, taken;
    struct entry *entry;
};

int vn_outcomes_new(uint32_t blocks, struct vn_outcomes **ret_outcomes)
{
    struct vn_outcomes *o = calloc(1, sizeof *o);

    if (o) {
        o->blocks = blocks;
        o->entries = ENTRIES_MIN;
        o->entry = calloc(o->entries, sizeof *o->entry);
    }
    if (!o || !o->entry) {
        vn_outcomes_free(o);
        return -ENOMEM;
    }
    *ret_outcomes = o;
    return 0;
}

struct vn_outcomes *vn_outcomes_free(struct vn_outcomes *o)
{
    if (o)
        free(o->entry);
    free(o);
    return NULL;
}

void vn_outcomes_forget(struct vn_outcomes *o)
{
    memset(o->entry, 0, o->entries * sizeof *o->entry);
    o->taken = 0;
}

static uint64_t key_of(const struct vn_outcomes *o, const struct vn_sample *sample,
                       const uint8_t *level)
{
    uint8_t bytes[sizeof sample->image + sizeof sample->task + VN_BLOCKS_MAX];
    uint8_t *at = bytes;
    uint64_t key;

    /* as bytes and not as a seed: that is mixed with few bytes by little more than an addition */
    at = (uint8_t *)mempcpy(at, &sample->image, sizeof sample->image);
    at = (uint8_t *)mempcpy(at, &sample->task, sizeof sample->task);
    memcpy(at, level, o->blocks);
    key = XXH3_64bits(bytes, (size_t)(at - bytes) + o->blocks);
    return key ? key : 1;
}

/* The key's entry, or the free one where it belongs. */
static struct entry *place(const struct vn_outcomes *o, uint64_t key)
{
    uint64_t i = key & (o->entries - 1);

    while (o->entry[i].key && o->entry[i].key != key)
        i = (i + 1) & (o->entries - 1);
    return &o->entry[i];
}

static void grow(struct vn_outcomes *o)
{
    const struct vn_outcomes old = *o;
    struct entry *more = NULL;

    if (o->entries < ENTRIES_MAX)
        more = calloc(2 * o->entries, sizeof *more);
    if (!more) {
        vn_outcomes_forget(o);
        return;
    }
    o->entries *= 2;
    o->entry = more;
    for (uint64_t i = 0; i < old.entries; i++)
        if (old.entry[i].key)
            *place(o, old.entry[i].key) = old.entry[i];
    free(old.entry);
}

bool vn_outcomes_find(const struct vn_outcomes *o, const struct vn_sample *sample,
                      const uint8_t *level, struct vn_outcome *ret_outcome)
{
    const struct entry *e = place(o, key_of(o, sample, level));

    if (e->key)
        *ret_outcome = e->outcome;
    return e->key;
}

void vn_outcomes_put(struct vn_outcomes *o, const struct vn_sample *sample, const uint8_t *level,
                     struct vn_outcome outcome)
{
    const uint64_t key = key_of(o, sample, level);
    struct entry *e;

    if (4 * (o->taken + 1) > 3 * o->entries)
        grow(o);
    e = place(o, key);
    o->taken += !e->key;
    *e = (struct entry){key, outcome};
}
