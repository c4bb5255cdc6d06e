#include "train/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define LINE_MAX_BYTES 1024 /* far longer than any name; the rest of such a line is not read */

void vn_names_deinit(struct vn_names *names)
{
    free(names->name);
    *names = (struct vn_names){0};
}

static bool printable(const char *name)
{
    json_t *judge = json_string(name); /* NULL for what is not UTF-8 */
    bool good = judge != NULL;

    json_decref(judge);
    for (; *name; name++)
        good &= (unsigned char)*name >= 0x20 && *name != 0x7f;
    return good;
}

int vn_names_add(struct vn_names *names, const char *name, uint32_t max, struct vn_why *why)
{
    size_t length = strlen(name);
    void *grown;

    if (names->n >= max)
        return vn_because(why, VN_NAMES_E_INVALID, "more than %u names", max);
    if (!length || length > VN_NAME_MAX || !printable(name))
        return vn_because(why, VN_NAMES_E_INVALID,
                          "name %u, \"%.80s\", must be 1 to %d bytes of printable UTF-8",
                          names->n + 1, name, VN_NAME_MAX);
    if (!(names->n & (names->n - 1))) { /* full at every power of two, and at the start */
        size_t room = names->n ? (size_t)names->n * 2 : 1;

        grown = realloc(names->name, room * sizeof *names->name);
        if (!grown)
            return vn_because(why, -ENOMEM, "out of memory");
        names->name = grown;
    }
    memcpy(names->name[names->n++], name, length + 1);
    return 0;
}

int vn_names_number(struct vn_names *names, const char *prefix, uint32_t n, struct vn_why *why)
{
    char name[VN_NAME_MAX + 1];
    int r = 0;

    for (uint32_t i = 0; i < n && !r; i++) {
        snprintf(name, sizeof name, "%s-%u", prefix, i);
        r = vn_names_add(names, name, n, why);
    }
    return r;
}

/* An empty line is an error only when a name follows it: it would shift every class after it. */
static int add_line(struct vn_names *names, char *line, unsigned *n_empty, uint32_t max,
                    struct vn_why *why)
{
    line[strcspn(line, "\r\n")] = 0;
    if (!line[0]) {
        ++*n_empty;
        return 0;
    }
    if (*n_empty)
        return vn_because(why, VN_NAMES_E_INVALID, "line %u is empty", names->n + 1);
    return vn_names_add(names, line, max, why);
}

int vn_names_read(struct vn_names *names, const char *path, uint32_t max, struct vn_why *why)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(path, "rbe");
    char line[LINE_MAX_BYTES];
    unsigned n_empty = 0;

    if (!f)
        return vn_because(why, -errno, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, f)) {
        int r = add_line(names, line, &n_empty, max, why);

        if (r)
            return vn_because_in(why, r, path);
    }
    if (ferror(f))
        return vn_because(why, -EIO, "%s: cannot be read", path);
    if (!names->n)
        return vn_because(why, VN_NAMES_E_INVALID, "%s: holds no name", path);
    return 0;
}

int vn_names_find(const struct vn_names *names, const char *name)
{
    for (uint32_t i = 0; i < names->n; i++)
        if (!strcmp(names->name[i], name))
            return (int)i;
    return -1;
}
