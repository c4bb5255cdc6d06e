/* The part "data" of a configuration: which files make a set, and what its classes are called. */
#include <errno.h>
#include <string.h>

#include "train/config_parts.h"
#include "train/data_read.h"

static const char *const format_names[] = {"idx", "cifar10", "cifar100", "stl10", "folders", NULL};

/* A file's name stays inside the data folder: configurations travel, and say what, not where. */
static int read_name(const struct vn_json_at *at, char ret_name[VN_FILE_NAME_MAX + 1])
{
    const char *name;
    int r = vn_json_item_string(at, VN_FILE_NAME_MAX, &name);

    if (r)
        return r;
    if (name[0] == '/')
        return vn_json_wrong(at, "must be relative to the data folder (option --data)");
    for (const char *p = name; p; p = strchr(p, '/')) {
        p += *p == '/';
        if (!strncmp(p, "..", 2) && (!p[2] || p[2] == '/'))
            return vn_json_wrong(at, "must not leave the data folder with \"..\"");
    }
    strcpy(ret_name, name);
    return 0;
}

static int read_optional_name(const struct vn_json_at *at, const char *key,
                              char ret_name[VN_FILE_NAME_MAX + 1])
{
    struct vn_json_at c = vn_config_step(at, key);

    return c.json ? read_name(&c, ret_name) : 0;
}

/* One name, or a list of names. */
static int read_list(const struct vn_json_at *at, const char *key,
                     char (*names)[VN_FILE_NAME_MAX + 1], uint32_t *ret_n)
{
    struct vn_json_at list;
    size_t n = 1;
    int r;

    if (!json_is_array(json_object_get(at->json, key))) {
        if (!vn_json_has(at, key))
            return vn_json_wrong(at, "the key \"%s\" is missing", key);
        r = read_optional_name(at, key, names[0]);
    } else {
        r = vn_json_array(at, key, 1, VN_DATA_FILES_MAX, &list, &n);
        for (size_t i = 0; i < n && !r; i++) {
            struct vn_json_at item = vn_json_item(&list, i);

            r = read_name(&item, names[i]);
        }
    }
    if (!r)
        *ret_n = (uint32_t)n;
    return r;
}

static int read_files(const struct vn_json_at *at, const char *key, enum vn_data_format format,
                      struct vn_data_files *files)
{
    static const char *const keys[] = {"images", "labels", NULL};
    bool with_labels = format == VN_DATA_IDX || format == VN_DATA_STL10;
    struct vn_json_at object;
    uint32_t n_labels;
    int r = vn_json_object(at, key, &object);

    if (!r)
        r = vn_json_only(&object, keys);
    if (!r)
        r = read_list(&object, "images", files->images, &files->n);
    if (r)
        return r;
    if (format == VN_DATA_FOLDERS && files->n != 1)
        return vn_json_wrong(&object, "\"images\" must be one folder, with a sub-folder per class");
    if (!with_labels && vn_json_has(&object, "labels"))
        return vn_json_wrong(&object, "\"labels\" has no meaning for the format \"%s\"",
                             format_names[format]);
    if (!with_labels)
        return 0;
    r = read_list(&object, "labels", files->labels, &n_labels);
    if (!r && n_labels != files->n)
        return vn_json_wrong(&object,
                             "must have as many files in \"labels\" (%u) as in \"images\" "
                             "(%u)",
                             n_labels, files->n);
    return r;
}

static int read_set(const struct vn_json_at *at, struct vn_data_description *d)
{
    static const char *const keys[] = {"name",        "format",       "train", "test",
                                       "class_names", "coarse_names", "side",  NULL};
    static const uint32_t classes[] = {0, 10, 100, 10, 0};
    unsigned format = 0;
    const char *name;
    int r = vn_json_only(at, keys);

    if (!r)
        r = vn_json_string(at, "name", VN_JSON_REQUIRED, VN_NAME_MAX, &name);
    if (!r)
        r = vn_json_choice(at, "format", VN_JSON_REQUIRED, format_names, &format);
    if (!r)
        r = read_files(at, "train", format, &d->train);
    if (!r && vn_json_has(at, "test"))
        r = read_files(at, "test", format, &d->test);
    if (!r)
        r = read_optional_name(at, "class_names", d->class_names);
    if (!r)
        r = read_optional_name(at, "coarse_names", d->coarse_names);
    if (!r)
        r = vn_json_u32(at, "side", VN_JSON_OPTIONAL, 1, VN_SIDE_MAX, &d->side);
    if (r)
        return r;
    if (d->side && format != VN_DATA_FOLDERS)
        return vn_json_wrong(at, "\"side\" is for the format \"folders\" only");
    if (d->coarse_names[0] && format != VN_DATA_CIFAR100)
        return vn_json_wrong(at, "\"coarse_names\" is for the format \"cifar100\" only");
    strcpy(d->name, name);
    d->format = format;
    d->classes = classes[format];
    return 0;
}

static int check_name(const struct vn_json_at *item, const struct vn_data_description *sets,
                      size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (!strcmp(sets[k].name, sets[i].name))
            return vn_json_wrong(item, "data[%zu] has the same name", k);
    return 0;
}

int vn_config_read_data(struct vn_config_reading *r)
{
    struct vn_train_config *c = r->config;
    struct vn_json_at list;
    size_t n = 0;
    int e = vn_json_array(&r->root, "data", 1, VN_DATA_SETS_MAX, &list, &n);

    for (size_t i = 0; i < n && !e; i++) {
        struct vn_json_at item = vn_json_item(&list, i);

        e = read_set(&item, &c->data[i]);
        if (!e)
            e = check_name(&item, c->data, i);
        c->n_data += !e;
    }
    return e;
}

/* --- names ------------------------------------------------------------------------------------ */

static int need_folder(const struct vn_config_reading *r, const struct vn_json_at *at)
{
    if (r->folder)
        return 0;
    return vn_json_wrong(at, "needs the names or files of its data set: say where data lies with "
                             "--data FOLDER");
}

/* A complaint about a file of the data set, in terms of the place that asked for it. */
static int asked_by(const struct vn_json_at *at, int result)
{
    char said[VN_WHY_MAX] = "";

    if (at->why)
        strcpy(said, at->why->text);
    return result > 0 ? vn_json_wrong(at, "%s", said) : result;
}

static int read_names(const struct vn_config_reading *r, const char *file, uint32_t wanted,
                      const struct vn_json_at *at, struct vn_names *names)
{
    _cleanup_(vn_freep) char *path = NULL;
    int e = need_folder(r, at);

    if (e)
        return e;
    path = vn_data_path(r->folder, file);
    if (!path)
        return -ENOMEM;
    e = vn_names_read(names, path, VN_CLASSES_MAX, at->why);
    if (e == -ENOENT || e == -ENOTDIR)
        return vn_data_missing(r->folder, file, e, at->why);
    if (!e && wanted && names->n != wanted)
        return vn_json_wrong(at, "%s: holds %u names, must hold %u", file, names->n, wanted);
    return asked_by(at, e);
}

int vn_config_class_names(struct vn_config_reading *r, uint32_t set, const struct vn_json_at *at)
{
    struct vn_data_description *d = &r->config->data[set];
    struct vn_set_names *s = &r->names[set];
    int e;

    if (s->classes_known)
        return 0;
    if (d->class_names[0]) {
        e = read_names(r, d->class_names, d->classes, at, &s->classes);
    } else if (d->format == VN_DATA_FOLDERS) {
        e = need_folder(r, at);
        if (!e)
            e = asked_by(at, vn_folders_classes(d, r->folder, at->why, &s->classes));
        if (!e && d->classes && d->classes != s->classes.n)
            e = vn_json_wrong(at,
                              "the set \"%s\" has %u folders, another task speaks of %u classes",
                              d->name, s->classes.n, d->classes);
    } else if (d->classes) {
        e = vn_names_number(&s->classes, "class", d->classes, at->why);
    } else {
        e = vn_json_wrong(at, "needs \"labels\", or \"class_names\" in its data set");
    }
    if (e)
        return e;
    d->classes = s->classes.n;
    s->classes_known = true;
    return 0;
}

int vn_config_coarse(struct vn_config_reading *r, uint32_t set, const struct vn_json_at *at)
{
    struct vn_data_description *d = &r->config->data[set];
    struct vn_set_names *s = &r->names[set];
    struct vn_reading files = {d, &d->train, r->folder, at->why};
    int e;

    if (s->coarse_known)
        return 0;
    if (d->format != VN_DATA_CIFAR100)
        return vn_json_wrong(at, "\"for_each\": \"coarse\" is for the format \"cifar100\" only");
    e = need_folder(r, at);
    if (!e)
        e = asked_by(at, vn_cifar100_coarse(&files, s->coarse_of));
    if (!e && d->coarse_names[0])
        e = read_names(r, d->coarse_names, 20, at, &s->coarse);
    else if (!e)
        e = vn_names_number(&s->coarse, "coarse", 20, at->why);
    s->coarse_known = !e;
    return e;
}
