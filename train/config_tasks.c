/* The part "tasks" of a configuration: label maps over data sets, written out one by one or made
 * for each coarse class. */
#include <errno.h>
#include <string.h>

#include "train/config_parts.h"

#define COARSE "{coarse}"

/* A task as it stands in the file, before its labels are known. */
struct task {
    const struct vn_json_at *at;
    const char *name; /* may hold {coarse} */
    const char *input;
    uint32_t set;
};

static int find_input(const struct vn_config_reading *r, const struct vn_json_at *at,
                      const char *name)
{
    const json_t *inputs = json_object_get(json_object_get(r->root.json, "network"), "inputs");
    char known[160] = "";
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(inputs); i++) {
        const char *s = json_string_value(json_object_get(json_array_get(inputs, i), "name"));

        if (s && !strcmp(s, name))
            return 0;
        if (s && n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s\"%.64s\"", n ? ", " : "", s);
    }
    return vn_json_wrong(at, "network.inputs has no \"%.64s\"; known: %s", name, known);
}

static int find_set(const struct vn_config_reading *r, const struct vn_json_at *at,
                    const char *name, uint32_t *ret_set)
{
    char known[160] = "";
    size_t n = 0;

    for (uint32_t i = 0; i < r->config->n_data; i++) {
        if (!strcmp(r->config->data[i].name, name)) {
            *ret_set = i;
            return 0;
        }
        if (n < sizeof known)
            n += (size_t)snprintf(known + n, sizeof known - n, "%s\"%s\"", n ? ", " : "",
                                  r->config->data[i].name);
    }
    return vn_json_wrong(at, "data has no set \"%.64s\"; known: %s", name, known);
}

/* --- adding one task to the network ----------------------------------------------------------- */

static int reserve_task(struct vn_config_reading *r, uint32_t *ret_index)
{
    size_t n = json_array_size(r->tasks), room = r->n_task_data ? r->n_task_data * 2 : 8;
    struct vn_task_data *grown;

    if (n < r->n_task_data) {
        *ret_index = (uint32_t)n;
        return 0;
    }
    grown = realloc(r->config->task_data, room * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    r->config->task_data = grown;
    r->n_task_data = room;
    *ret_index = (uint32_t)n;
    return 0;
}

/* Every label must be a class's, and stand in the list once. */
static int check_labels(const struct vn_json_at *at, const struct vn_names *labels,
                        const struct vn_task_data *t)
{
    for (uint32_t i = 0; i < labels->n; i++) {
        bool used = false;

        if (vn_names_find(labels, labels->name[i]) != (int)i)
            return vn_json_wrong(at, "the label \"%s\" stands twice in the list", labels->name[i]);
        for (uint32_t c = 0; c < VN_CLASSES_MAX; c++)
            used |= t->map[c] == (int)i;
        if (!used)
            return vn_json_wrong(at, "no class has the label \"%s\"", labels->name[i]);
    }
    if (labels->n < 2)
        return vn_json_wrong(at, "a task needs at least 2 labels, found %u", labels->n);
    return 0;
}

static json_t *task_to_json(const char *name, const char *input, const struct vn_names *labels)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < labels->n; i++)
        if (json_array_append_new(list, json_string(labels->name[i]))) {
            json_decref(list);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:o}", "name", name, "input", input, "labels", list);
}

static int add_task(struct vn_config_reading *r, const struct task *task, const char *name,
                    const struct vn_names *labels, const struct vn_task_data *data)
{
    size_t i;
    json_t *other;
    uint32_t index;
    int e = check_labels(task->at, labels, data);

    if (e)
        return e;
    if (json_array_size(r->tasks) >= VN_TASKS_MAX)
        return vn_json_wrong(task->at, "a network has at most %d tasks", VN_TASKS_MAX);
    json_array_foreach(r->tasks, i, other)
    {
        if (!strcmp(json_string_value(json_object_get(other, "name")), name))
            return vn_json_wrong(task->at, "the name \"%s\" is another task's already", name);
    }
    e = reserve_task(r, &index);
    if (e)
        return e;
    r->config->task_data[index] = *data;
    return json_array_append_new(r->tasks, task_to_json(name, task->input, labels)) ? -ENOMEM : 0;
}

/* --- a single task ---------------------------------------------------------------------------- */

static int read_labels(const struct vn_json_at *at, struct vn_names *labels)
{
    struct vn_json_at list;
    size_t n = 0;
    int e = vn_json_array(at, "labels", 2, VN_LABELS_MAX, &list, &n);

    for (size_t i = 0; i < n && !e; i++) {
        struct vn_json_at item = vn_json_item(&list, i);
        const char *label;

        e = vn_json_item_string(&item, VN_NAME_MAX, &label);
        if (!e)
            e = vn_names_add(labels, label, VN_LABELS_MAX, at->why);
    }
    return e;
}

/* A label by name or by number; null: the class is not in the task. */
static int read_label(const struct vn_json_at *item, const struct vn_names *labels, int16_t *ret)
{
    const char *name = json_string_value(item->json);
    uint64_t number = 0;
    int e, found;

    if (json_is_null(item->json)) {
        *ret = -1;
        return 0;
    }
    if (name) {
        found = vn_names_find(labels, name);
        if (found < 0)
            return vn_json_wrong(item, "\"%.64s\" is not among the labels of the task", name);
        *ret = (int16_t)found;
        return 0;
    }
    e = vn_json_item_u64(item, 0, labels->n - 1, &number);
    if (!e)
        *ret = (int16_t)number;
    return e;
}

/* Every task over a set must speak of the same number of classes. */
static int settle_classes(struct vn_config_reading *r, const struct task *task, const char *what,
                          uint32_t n)
{
    struct vn_data_description *d = &r->config->data[task->set];

    if (d->classes && d->classes != n)
        return vn_json_wrong(task->at, "\"%s\" is for %u classes, but the set \"%s\" has %u", what,
                             n, d->name, d->classes);
    d->classes = n;
    return 0;
}

/* A list with an entry for each class, by number. */
static int read_map_list(struct vn_config_reading *r, const struct task *task,
                         const struct vn_names *labels, struct vn_task_data *data)
{
    struct vn_json_at list;
    size_t n = 0;
    int e = vn_json_array(task->at, "map", 2, VN_CLASSES_MAX, &list, &n);

    if (!e)
        e = settle_classes(r, task, "map", (uint32_t)n);
    for (size_t i = 0; i < n && !e; i++) {
        struct vn_json_at item = vn_json_item(&list, i);

        e = read_label(&item, labels, &data->map[i]);
    }
    return e;
}

/* An object from class names to labels; classes that are not named are not in the task. */
static int read_map_object(struct vn_config_reading *r, const struct task *task,
                           const struct vn_names *labels, struct vn_task_data *data)
{
    const struct vn_names *classes = &r->names[task->set].classes;
    struct vn_json_at object;
    const char *key;
    json_t *value;
    int e = vn_config_class_names(r, task->set, task->at);

    if (!e)
        e = vn_json_object(task->at, "map", &object);
    if (e)
        return e;
    json_object_foreach((json_t *)object.json, key, value)
    {
        struct vn_json_at item = {value, &object, key, 0, object.text, object.why};
        int c = vn_names_find(classes, key);

        if (c < 0)
            return vn_json_wrong(&item,
                                 "the set \"%s\" has no class of this name; its first is \"%s\"",
                                 r->config->data[task->set].name, classes->name[0]);
        e = read_label(&item, labels, &data->map[c]);
        if (e)
            return e;
    }
    return 0;
}

static int read_single(struct vn_config_reading *r, const struct task *task,
                       struct vn_task_data *data)
{
    _cleanup_(vn_names_deinit) struct vn_names own = {0};
    const struct vn_names *labels = &own;
    int e = 0;

    if (vn_json_has(task->at, "labels")) {
        e = read_labels(task->at, &own);
    } else if (vn_json_has(task->at, "map")) {
        e = vn_json_wrong(task->at, "\"map\" needs \"labels\"");
    } else {
        e = vn_config_class_names(r, task->set, task->at);
        labels = &r->names[task->set].classes;
    }
    if (e)
        return e;
    if (json_is_object(json_object_get(task->at->json, "map"))) {
        e = read_map_object(r, task, labels, data);
    } else if (vn_json_has(task->at, "map")) {
        e = read_map_list(r, task, labels, data);
    } else {
        e = settle_classes(r, task, "labels", labels->n);
        for (uint32_t c = 0; c < labels->n; c++)
            data->map[c] = (int16_t)c;
    }
    return e ? e : add_task(r, task, task->name, labels, data);
}

/* --- a task per coarse class ------------------------------------------------------------------ */

static int expand_name(const struct task *task, const char *coarse, char ret[VN_NAME_MAX + 1])
{
    const char *hole = strstr(task->name, COARSE);
    int n = snprintf(ret, VN_NAME_MAX + 1, "%.*s%s%s", (int)(hole - task->name), task->name, coarse,
                     hole + strlen(COARSE));

    if (n > VN_NAME_MAX)
        return vn_json_wrong(task->at, "the name with \"%s\" in it is longer than %d bytes", coarse,
                             VN_NAME_MAX);
    return 0;
}

/* Labels: rank of the class among those of the coarse class, by class number. */
static int add_coarse(struct vn_config_reading *r, const struct task *task, uint32_t coarse,
                      struct vn_task_data *data)
{
    _cleanup_(vn_names_deinit) struct vn_names labels = {0};
    const struct vn_set_names *s = &r->names[task->set];
    char name[VN_NAME_MAX + 1];
    int e = expand_name(task, s->coarse.name[coarse], name);

    for (uint32_t c = 0; c < 100 && !e; c++) {
        data->map[c] = -1;
        if (s->coarse_of[c] != coarse)
            continue;
        data->map[c] = (int16_t)labels.n;
        e = vn_names_add(&labels, s->classes.name[c], VN_LABELS_MAX, task->at->why);
    }
    return e ? e : add_task(r, task, name, &labels, data);
}

static int read_for_each(struct vn_config_reading *r, const struct task *task,
                         struct vn_task_data *data)
{
    static const char *const words[] = {"coarse", NULL};
    unsigned word;
    int e = vn_json_choice(task->at, "for_each", VN_JSON_REQUIRED, words, &word);

    if (e)
        return e;
    if (!strstr(task->name, COARSE))
        return vn_json_wrong(task->at, "with \"for_each\", the name must hold " COARSE);
    if (vn_json_has(task->at, "labels") || vn_json_has(task->at, "map"))
        return vn_json_wrong(task->at, "\"labels\" and \"map\" follow from \"for_each\"");
    e = vn_config_coarse(r, task->set, task->at);
    if (!e)
        e = vn_config_class_names(r, task->set, task->at);
    for (uint32_t c = 0; c < r->names[task->set].coarse.n && !e; c++)
        e = add_coarse(r, task, c, data);
    return e;
}

/* --- the list --------------------------------------------------------------------------------- */

static int read_task(struct vn_config_reading *r, const struct vn_json_at *at)
{
    static const char *const keys[] = {"name", "for_each", "input", "data", "labels", "map", NULL};
    struct task task = {.at = at};
    struct vn_task_data data;
    const char *set;
    int e = vn_json_only(at, keys);

    if (!e)
        e = vn_json_string(at, "name", VN_JSON_REQUIRED, VN_NAME_MAX, &task.name);
    if (!e)
        e = vn_json_string(at, "input", VN_JSON_REQUIRED, VN_NAME_MAX, &task.input);
    if (!e)
        e = find_input(r, at, task.input);
    if (!e)
        e = vn_json_string(at, "data", VN_JSON_REQUIRED, VN_NAME_MAX, &set);
    if (!e)
        e = find_set(r, at, set, &task.set);
    if (e)
        return e;
    data.set = task.set;
    for (size_t c = 0; c < VN_CLASSES_MAX; c++)
        data.map[c] = -1;
    return vn_json_has(at, "for_each") ? read_for_each(r, &task, &data)
                                       : read_single(r, &task, &data);
}

int vn_config_read_tasks(struct vn_config_reading *r)
{
    struct vn_json_at list;
    size_t n = 0;
    int e = vn_json_array(&r->root, "tasks", 1, VN_TASKS_MAX, &list, &n);

    for (size_t i = 0; i < n && !e; i++) {
        struct vn_json_at item = vn_json_item(&list, i);

        e = read_task(r, &item);
    }
    return e;
}
