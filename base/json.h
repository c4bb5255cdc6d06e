/* Strict reading of JSON that people or strangers wrote: every field has a type and a range, an
 * unknown or duplicate key is an error, and every complaint names the field by its path
 * ("stages[1].width"), the range, what was found, and (where the text is at hand) line and column.
 *
 * A place in a document is a `struct vn_json_at`, made on the stack while walking down. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/why.h"

#define VN_JSON_DEPTH_MAX 32 /* nesting of any document read here */

enum {
    VN_JSON_E_INVALID = 1, /* why says what and where */
};

enum vn_json_need {
    VN_JSON_OPTIONAL, /* *ret keeps the default that the caller put there */
    VN_JSON_REQUIRED,
};

struct vn_json_at {
    const json_t *json;              /* borrowed from the document */
    const struct vn_json_at *parent; /* NULL at the root */
    const char *key;                 /* in the parent object, else NULL */
    size_t index;                    /* in the parent array, when key is NULL */
    const char *text;                /* the whole document as text, or NULL */
    struct vn_why *why;
};

/* Parses `length` bytes; duplicate keys, trailing text and deep nesting are errors with a line and
 * a column. *ret_root is a new reference: json_decref. 0, VN_JSON_E_INVALID or -ENOMEM. */
int vn_json_parse(const char *text, size_t length, struct vn_why *why, json_t **ret_root);

/* Reads a whole file of at most `limit_bytes`, then parses. *ret_text (with a final NUL) is the
 * caller's to free and must outlive every vn_json_at. 0, VN_JSON_E_INVALID or a negative errno;
 * why is set in every case. */
int vn_json_load(const char *file, size_t limit_bytes, struct vn_why *why, char **ret_text,
                 json_t **ret_root);

struct vn_json_at vn_json_root(const json_t *root, const char *text, struct vn_why *why);

/* Says what is wrong with the place itself, with path, line and column; VN_JSON_E_INVALID. */
int vn_json_wrong(const struct vn_json_at *at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* `at` must be an object that has no key outside the NULL-terminated list. */
int vn_json_only(const struct vn_json_at *at, const char *const keys[]);

bool vn_json_has(const struct vn_json_at *at, const char *key);

/* Step down. The *_ret_child borrows `at`, which must stay where it is. */
int vn_json_object(const struct vn_json_at *at, const char *key, struct vn_json_at *ret_child);
int vn_json_array(const struct vn_json_at *at, const char *key, size_t min, size_t max,
                  struct vn_json_at *ret_child, size_t *ret_count);
struct vn_json_at vn_json_item(const struct vn_json_at *array, size_t index);

int vn_json_u64(const struct vn_json_at *at, const char *key, enum vn_json_need need, uint64_t min,
                uint64_t max, uint64_t *ret);
int vn_json_u32(const struct vn_json_at *at, const char *key, enum vn_json_need need, uint32_t min,
                uint32_t max, uint32_t *ret);
int vn_json_number(const struct vn_json_at *at, const char *key, enum vn_json_need need, double min,
                   double max, double *ret);
int vn_json_bool(const struct vn_json_at *at, const char *key, enum vn_json_need need, bool *ret);

/* *ret borrows the document; 1 to max_bytes bytes of printable UTF-8. */
int vn_json_string(const struct vn_json_at *at, const char *key, enum vn_json_need need,
                   size_t max_bytes, const char **ret);

/* One of a NULL-terminated list of words; *ret_index is its place in the list. */
int vn_json_choice(const struct vn_json_at *at, const char *key, enum vn_json_need need,
                   const char *const words[], unsigned *ret_index);

/* The same for an item of an array, whose type is the item's own. */
int vn_json_item_u64(const struct vn_json_at *item, uint64_t min, uint64_t max, uint64_t *ret);
int vn_json_item_number(const struct vn_json_at *item, double min, double max, double *ret);
int vn_json_item_string(const struct vn_json_at *item, size_t max_bytes, const char **ret);
