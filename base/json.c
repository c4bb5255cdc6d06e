#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* --- files ------------------------------------------------------------------------------------ */

static int read_whole(const char *file, size_t limit_bytes, struct vn_why *why, char **ret_text,
                      size_t *ret_length)
{
    _cleanup_(vn_closep) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    _cleanup_(vn_freep) char *text = NULL;
    struct stat st;
    size_t length = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        return vn_because(why, -errno, "%s: %s", file, strerror(errno));
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > limit_bytes)
        return vn_because(why, -EINVAL, "%s: must be a regular file of at most %zu bytes", file,
                          limit_bytes);
    text = malloc((size_t)st.st_size + 1);
    if (!text)
        return vn_because(why, -ENOMEM, "%s: out of memory", file);
    while (length < (size_t)st.st_size) {
        ssize_t n = read(fd, text + length, (size_t)st.st_size - length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vn_because(why, -errno, "%s: %s", file, strerror(errno));
        if (!n)
            break;
        length += (size_t)n;
    }
    text[length] = 0;
    *ret_length = length;
    *ret_text = text;
    text = NULL;
    return 0;
}

int vn_json_load(const char *file, size_t limit_bytes, struct vn_why *why, char **ret_text,
                 json_t **ret_root)
{
    _cleanup_(vn_freep) char *text = NULL;
    size_t length = 0;
    int r = read_whole(file, limit_bytes, why, &text, &length);

    if (r)
        return r;
    r = vn_json_parse(text, length, why, ret_root);
    if (r)
        return vn_because_in(why, r, file);
    *ret_text = text;
    text = NULL;
    return 0;
}

/* --- where a field stands in the text --------------------------------------------------------- */

/* The document is known to be valid, so that the scanner only has to skip, never to judge. */

static const char *skip_space(const char *p)
{
    while (*p && strchr(" \t\r\n", *p))
        p++;
    return p;
}

static const char *skip_string(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

static const char *skip_value(const char *p)
{
    unsigned depth = 0;

    do {
        p = skip_space(p);
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        if (*p == '[' || *p == '{')
            depth++;
        else if (*p == ']' || *p == '}')
            depth--;
        else if (*p != ',' && *p != ':')
            p += strcspn(p, " \t\r\n,:[]{}\"") - 1;
        p++;
    } while (*p && depth);
    return p;
}

static const char *find_key(const char *p, const char *key)
{
    size_t n = strlen(key);

    for (p = skip_space(p + 1); *p == '"'; p = skip_space(p + 1)) {
        const char *name = p;

        p = skip_string(p);
        if ((size_t)(p - name) == n + 2 && !strncmp(name + 1, key, n))
            return name;
        p = skip_space(skip_value(skip_space(p) + 1));
        if (*p != ',')
            break;
    }
    return NULL;
}

static const char *find_item(const char *p, size_t index)
{
    for (p = skip_space(p + 1); index--; p = skip_space(p + 1))
        p = skip_space(skip_value(p));
    return p;
}

/* Start of the place's value, or of its key when `at_key`. */
static const char *locate(const struct vn_json_at *at, bool at_key)
{
    const char *p;

    if (!at->parent)
        return skip_space(at->text);
    p = locate(at->parent, false);
    if (!p)
        return NULL;
    if (!at->key)
        return find_item(p, at->index);
    p = find_key(p, at->key);
    if (!p || at_key)
        return p;
    return skip_space(skip_space(skip_string(p)) + 1);
}

static void describe_position(const struct vn_json_at *at, char *text, size_t size)
{
    const char *p = at->text ? locate(at, true) : NULL;
    unsigned line = 1, column = 1;

    text[0] = 0;
    if (!p)
        return;
    for (const char *c = at->text; c < p; c++) {
        column = *c == '\n' ? 1 : column + 1;
        line += *c == '\n';
    }
    snprintf(text, size, "line %u, column %u: ", line, column);
}

static size_t describe_path(const struct vn_json_at *at, char *text, size_t size)
{
    size_t n = at->parent ? describe_path(at->parent, text, size) : 0;

    if (n >= size || !at->parent)
        return n;
    if (at->key)
        n += (size_t)snprintf(text + n, size - n, "%s%.60s", n ? "." : "", at->key);
    else
        n += (size_t)snprintf(text + n, size - n, "[%zu]", at->index);
    return n;
}

int vn_json_wrong(const struct vn_json_at *at, const char *format, ...)
{
    char position[48], path[160] = "", text[440];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    describe_position(at, position, sizeof position);
    describe_path(at, path, sizeof path);
    return vn_because(at->why, VN_JSON_E_INVALID, "%s%s%s%s", position, path, path[0] ? ": " : "",
                      text);
}

/* --- walking ---------------------------------------------------------------------------------- */

struct vn_json_at vn_json_root(const json_t *root, const char *text, struct vn_why *why)
{
    return (struct vn_json_at){.json = root, .text = text, .why = why};
}

static struct vn_json_at child(const struct vn_json_at *at, const char *key)
{
    return (struct vn_json_at){
        .json = json_object_get(at->json, key),
        .parent = at,
        .key = key,
        .text = at->text,
        .why = at->why,
    };
}

struct vn_json_at vn_json_item(const struct vn_json_at *array, size_t index)
{
    return (struct vn_json_at){
        .json = json_array_get(array->json, index),
        .parent = array,
        .index = index,
        .text = array->text,
        .why = array->why,
    };
}

static int complain_missing(const struct vn_json_at *at, const char *key)
{
    return vn_json_wrong(at, "the key \"%s\" is missing", key);
}

int vn_json_only(const struct vn_json_at *at, const char *const keys[])
{
    const char *key;
    json_t *value;

    if (!json_is_object(at->json))
        return vn_json_wrong(at, "must be an object");
    json_object_foreach((json_t *)at->json, key, value)
    {
        bool known = false;

        for (size_t i = 0; keys[i]; i++)
            known |= !strcmp(key, keys[i]);
        if (!known) {
            struct vn_json_at c = child(at, key);
            char list[400] = "";
            size_t n = 0;

            for (size_t i = 0; keys[i] && n < sizeof list; i++)
                n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", keys[i]);
            return vn_json_wrong(&c, "unknown key; known here: %s", list);
        }
    }
    return 0;
}

bool vn_json_has(const struct vn_json_at *at, const char *key)
{
    return json_object_get(at->json, key) != NULL;
}

int vn_json_object(const struct vn_json_at *at, const char *key, struct vn_json_at *ret_child)
{
    struct vn_json_at c = child(at, key);

    if (!c.json)
        return complain_missing(at, key);
    if (!json_is_object(c.json))
        return vn_json_wrong(&c, "must be an object");
    *ret_child = c;
    return 0;
}

int vn_json_array(const struct vn_json_at *at, const char *key, size_t min, size_t max,
                  struct vn_json_at *ret_child, size_t *ret_count)
{
    struct vn_json_at c = child(at, key);

    if (!c.json)
        return complain_missing(at, key);
    if (!json_is_array(c.json) || json_array_size(c.json) < min || json_array_size(c.json) > max)
        return vn_json_wrong(&c, "must be an array of %zu to %zu items", min, max);
    *ret_child = c;
    *ret_count = json_array_size(c.json);
    return 0;
}

/* --- values ----------------------------------------------------------------------------------- */

int vn_json_item_u64(const struct vn_json_at *item, uint64_t min, uint64_t max, uint64_t *ret)
{
    json_int_t value = json_integer_value(item->json);

    if (!json_is_integer(item->json))
        return vn_json_wrong(item, "must be a whole number from %llu to %llu",
                             (unsigned long long)min, (unsigned long long)max);
    if (value < 0 || (uint64_t)value < min || (uint64_t)value > max)
        return vn_json_wrong(item, "must be a whole number from %llu to %llu, found %lld",
                             (unsigned long long)min, (unsigned long long)max, (long long)value);
    *ret = (uint64_t)value;
    return 0;
}

int vn_json_item_number(const struct vn_json_at *item, double min, double max, double *ret)
{
    double value = json_number_value(item->json);

    if (!json_is_number(item->json))
        return vn_json_wrong(item, "must be a number from %g to %g", min, max);
    if (!(value >= min && value <= max))
        return vn_json_wrong(item, "must be a number from %g to %g, found %g", min, max, value);
    *ret = value;
    return 0;
}

int vn_json_item_string(const struct vn_json_at *item, size_t max_bytes, const char **ret)
{
    const char *s = json_string_value(item->json);
    size_t n = json_string_length(item->json);

    if (!s || !n || n > max_bytes)
        return vn_json_wrong(item, "must be text of 1 to %zu bytes", max_bytes);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return vn_json_wrong(item, "must not hold control characters");
    *ret = s;
    return 0;
}

/* Finds the field; *ret_found false means that the default stands. */
static int want(const struct vn_json_at *at, const char *key, enum vn_json_need need,
                struct vn_json_at *ret_child, bool *ret_found)
{
    *ret_child = child(at, key);
    *ret_found = ret_child->json != NULL;
    if (!*ret_found && need == VN_JSON_REQUIRED)
        return complain_missing(at, key);
    return 0;
}

int vn_json_u64(const struct vn_json_at *at, const char *key, enum vn_json_need need, uint64_t min,
                uint64_t max, uint64_t *ret)
{
    struct vn_json_at c;
    bool found;
    int r = want(at, key, need, &c, &found);

    return r || !found ? r : vn_json_item_u64(&c, min, max, ret);
}

int vn_json_u32(const struct vn_json_at *at, const char *key, enum vn_json_need need, uint32_t min,
                uint32_t max, uint32_t *ret)
{
    uint64_t value = *ret;
    int r = vn_json_u64(at, key, need, min, max, &value);

    if (!r)
        *ret = (uint32_t)value;
    return r;
}

int vn_json_number(const struct vn_json_at *at, const char *key, enum vn_json_need need, double min,
                   double max, double *ret)
{
    struct vn_json_at c;
    bool found;
    int r = want(at, key, need, &c, &found);

    return r || !found ? r : vn_json_item_number(&c, min, max, ret);
}

int vn_json_bool(const struct vn_json_at *at, const char *key, enum vn_json_need need, bool *ret)
{
    struct vn_json_at c;
    bool found;
    int r = want(at, key, need, &c, &found);

    if (r || !found)
        return r;
    if (!json_is_boolean(c.json))
        return vn_json_wrong(&c, "must be true or false");
    *ret = json_is_true(c.json);
    return 0;
}

int vn_json_string(const struct vn_json_at *at, const char *key, enum vn_json_need need,
                   size_t max_bytes, const char **ret)
{
    struct vn_json_at c;
    bool found;
    int r = want(at, key, need, &c, &found);

    return r || !found ? r : vn_json_item_string(&c, max_bytes, ret);
}

int vn_json_choice(const struct vn_json_at *at, const char *key, enum vn_json_need need,
                   const char *const words[], unsigned *ret_index)
{
    struct vn_json_at c;
    bool found;
    char list[400] = "";
    size_t n = 0;
    int r = want(at, key, need, &c, &found);

    if (r || !found)
        return r;
    for (unsigned i = 0; words[i]; i++) {
        if (json_is_string(c.json) && !strcmp(json_string_value(c.json), words[i])) {
            *ret_index = i;
            return 0;
        }
        if (n < sizeof list)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s\"%s\"", i ? ", " : "", words[i]);
    }
    return vn_json_wrong(&c, "must be one of %s", list);
}
