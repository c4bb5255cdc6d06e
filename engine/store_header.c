/* Judging a store's header; engine/store.h states the order of the checks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store_parts.h"

/* --- metadata --------------------------------------------------------------------------------- */

static int check_format(const struct vn_json_at *metadata)
{
    static const char family[] = "virtualnet/";
    const char *format;

    if (vn_json_string(metadata, "format", VN_JSON_REQUIRED, 64, &format) ||
        strncmp(format, family, sizeof family - 1))
        return vn_because(metadata->why, VN_STORE_E_INVALID,
                          "not a virtualnet store: __metadata__.format is not \"" VN_STORE_FORMAT
                          "\"");
    if (strcmp(format, VN_STORE_FORMAT))
        return vn_because(metadata->why, VN_STORE_E_NEWER,
                          "the format is \"%s\"; this build reads \"" VN_STORE_FORMAT "\"", format);
    return 0;
}

/* Checksums stand in the header as {"network": hash of the description's text, "fixed": ...,
 * "block.B.group.G": ...}; at is that object. */
static int read_hash(const struct vn_json_at *at, const char *part, uint64_t *ret_hash)
{
    struct vn_json_at child = {.parent = at, .key = part, .why = at->why};
    const char *hash;
    int r = vn_json_string(at, part, VN_JSON_REQUIRED, VN_PART_HASH - 1, &hash);

    if (r)
        return r;
    if (strlen(hash) != VN_PART_HASH - 1 || strspn(hash, "0123456789abcdef") != strlen(hash))
        return vn_json_wrong(&child, "must be 16 hexadecimal digits, lower case");
    *ret_hash = strtoull(hash, NULL, 16);
    return 0;
}

static int check_description(const struct vn_json_at *at, const char *network_text)
{
    const uint64_t found = XXH3_64bits(network_text, strlen(network_text));
    char is[VN_PART_HASH], should_be[VN_PART_HASH];
    uint64_t hash = 0;
    int r = read_hash(at, "network", &hash);

    if (r || hash == found)
        return r;
    vn_hash_text(found, is);
    vn_hash_text(hash, should_be);
    return vn_because(at->why, VN_STORE_E_INVALID,
                      "the network description was changed: its checksum is %s, not %s", is,
                      should_be);
}

/* The set of parts must be complete. */
static int read_parts(struct vn_store *s, const struct vn_json_at *at)
{
    const struct vn_network *n = s->own_network;
    int r = 0;

    s->hashes = calloc(vn_parts(n), sizeof *s->hashes);
    if (!s->hashes)
        return -ENOMEM;
    for (uint32_t i = 0; !r && i < vn_parts(n); i++)
        r = read_hash(at, vn_part_at(n, s->own_layout, i).name, &s->hashes[i]);
    if (!r && json_object_size(at->json) != vn_parts(n) + 1)
        r = vn_json_wrong(at, "has %zu entries; the network has %u parts",
                          json_object_size(at->json), vn_parts(n) + 1);
    return r;
}

static int read_checksums(struct vn_store *s, const struct vn_json_at *metadata,
                          const char *network_text)
{
    _cleanup_(json_decrefp) json_t *root = NULL;
    struct vn_json_at at;
    const char *text;
    int r;

    if (!vn_json_has(metadata, "checksums"))
        return 0;
    r = vn_json_string(metadata, "checksums", VN_JSON_REQUIRED, VN_HEADER_MAX, &text);
    if (r || (r = vn_json_parse(text, strlen(text), metadata->why, &root)))
        return r;
    at = vn_json_root(root, NULL, metadata->why);
    if (!json_is_object(root))
        return vn_json_wrong(&at, "must be an object");
    r = check_description(&at, network_text);
    return r ? r : read_parts(s, &at);
}

static int read_metadata(struct vn_store *s, const struct vn_json_at *root)
{
    static const char *const keys[] = {"format", "network", "checksums", NULL};
    struct vn_json_at metadata;
    const char *text;
    int r;

    if (!json_is_object(root->json) || vn_json_object(root, "__metadata__", &metadata))
        return vn_because(root->why, VN_STORE_E_INVALID,
                          "not a virtualnet store: the header has no __metadata__");
    if ((r = check_format(&metadata)) || (r = vn_json_only(&metadata, keys)) ||
        (r = vn_json_string(&metadata, "network", VN_JSON_REQUIRED, VN_HEADER_MAX, &text)))
        return r;
    r = vn_network_parse(text, strlen(text), root->why, &s->own_network);
    if (r)
        return r < 0 ? r : vn_because_in(root->why, VN_STORE_E_INVALID, "network");
    r = vn_layout_new(s->own_network, root->why, &s->own_layout);
    if (r)
        return r < 0 ? r : vn_because_in(root->why, VN_STORE_E_INVALID, "network");
    r = read_checksums(s, &metadata, text);
    return r > 0 && r != VN_STORE_E_NEWER ? vn_because_in(root->why, r, "checksums") : r;
}

/* --- tensors ---------------------------------------------------------------------------------- */

/* An array of whole numbers that must be exactly these. */
static int check_numbers(const struct vn_json_at *at, const char *key, const uint64_t *expected,
                         size_t n)
{
    struct vn_json_at list;
    size_t count;
    int r = vn_json_array(at, key, n, n, &list, &count);

    for (size_t i = 0; !r && i < n; i++) {
        struct vn_json_at item = vn_json_item(&list, i);
        uint64_t value;

        r = vn_json_item_u64(&item, expected[i], expected[i], &value);
    }
    return r;
}

static int check_tensor(const struct vn_json_at *root, const struct vn_tensor *t)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets", NULL};
    const char *const types[] = {t->padding ? "U8" : "F32", NULL};
    const uint64_t offsets[2] = {t->offset, t->offset + t->bytes};
    uint64_t shape[4];
    struct vn_json_at entry;
    unsigned type;
    int r;

    for (uint32_t i = 0; i < t->n_dims; i++)
        shape[i] = t->shape[i];
    if ((r = vn_json_object(root, t->name, &entry)) || (r = vn_json_only(&entry, keys)) ||
        (r = vn_json_choice(&entry, "dtype", VN_JSON_REQUIRED, types, &type)) ||
        (r = check_numbers(&entry, "shape", shape, t->n_dims)))
        return r;
    return check_numbers(&entry, "data_offsets", offsets, 2);
}

/* Every tensor of the layout must be there, and no other. */
static int check_tensors(const struct vn_store *s, const struct vn_json_at *root)
{
    const struct vn_layout *l = s->own_layout;
    const char *key;
    json_t *value;
    int r = 0;

    for (uint32_t i = 0; !r && i < l->n_tensors; i++)
        r = check_tensor(root, &l->tensors[i]);
    if (r || json_object_size(root->json) == l->n_tensors + 1)
        return r;
    json_object_foreach((json_t *)root->json, key, value)
    {
        if (strcmp(key, "__metadata__") && vn_layout_find(l, key) < 0)
            return vn_because(root->why, VN_STORE_E_INVALID,
                              "tensor %.100s does not belong to the network", key);
    }
    return vn_because(root->why, VN_STORE_E_INVALID, "the header lists %zu tensors, not %u",
                      json_object_size(root->json) - 1, l->n_tensors);
}

/* --- the whole -------------------------------------------------------------------------------- */

int vn_store_read_header(struct vn_store *s, const char *text, size_t length, struct vn_why *why)
{
    uint64_t start = sizeof(uint64_t) + length; /* length <= VN_HEADER_MAX */
    _cleanup_(json_decrefp) json_t *json = NULL;
    struct vn_json_at root;
    int r = vn_json_parse(text, length, why, &json);

    if (r)
        return r < 0 ? r : vn_because_in(why, VN_STORE_E_INVALID, "header");
    root = vn_json_root(json, NULL, why);
    r = read_metadata(s, &root);
    if (!r)
        r = check_tensors(s, &root);
    if (r)
        return r == VN_STORE_E_NEWER || r < 0 ? r : VN_STORE_E_INVALID;
    if (start % VN_WINDOW_BYTES)
        return vn_because(why, VN_STORE_E_INVALID,
                          "the data starts at byte %llu, not on a multiple of %llu",
                          (unsigned long long)start, (unsigned long long)VN_WINDOW_BYTES);
    if (start + s->own_layout->data_bytes != s->file_bytes)
        return vn_because(why, VN_STORE_E_INVALID,
                          "the file has %llu bytes; its network needs exactly %llu",
                          (unsigned long long)s->file_bytes,
                          (unsigned long long)(start + s->own_layout->data_bytes));
    return 0;
}
