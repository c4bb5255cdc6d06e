/* The part "only_tasks" of a configuration: a run on some of its tasks. Everything else is as if
 * all were there: orders, seed, and what the file's complaints say. */
#include <errno.h>
#include <string.h>

#include "train/config_parts.h"

static int find_task(const struct vn_config_reading *r, const struct vn_json_at *item,
                     uint32_t *ret_task)
{
    const char *name;
    size_t t;
    json_t *task;
    int e = vn_json_item_string(item, VN_NAME_MAX, &name);

    if (e)
        return e;
    json_array_foreach(r->tasks, t, task)
    {
        if (strcmp(json_string_value(json_object_get(task, "name")), name))
            continue;
        *ret_task = (uint32_t)t;
        return 0;
    }
    return vn_json_wrong(item, "there is no task \"%.64s\"; the first one is \"%s\"", name,
                         json_string_value(json_object_get(json_array_get(r->tasks, 0), "name")));
}

static int mark(const struct vn_config_reading *r, const struct vn_json_at *list, size_t n,
                bool keep[VN_TASKS_MAX])
{
    for (size_t i = 0; i < n; i++) {
        struct vn_json_at item = vn_json_item(list, i);
        uint32_t t = 0;
        int e = find_task(r, &item, &t);

        if (e)
            return e;
        if (keep[t])
            return vn_json_wrong(&item, "the task stands twice in the list");
        keep[t] = true;
    }
    return 0;
}

static int keep_tasks(struct vn_config_reading *r, const bool keep[VN_TASKS_MAX])
{
    struct vn_task_data *data = r->config->task_data;
    json_t *kept = json_array();
    size_t t, n = 0;
    json_t *task;

    json_array_foreach(r->tasks, t, task)
    {
        if (!keep[t])
            continue;
        data[n++] = data[t];
        if (json_array_append(kept, task)) {
            json_decref(kept);
            return -ENOMEM;
        }
    }
    return json_object_set_new(r->network, "tasks", kept) ? -ENOMEM : 0;
}

static bool is_used(const json_t *network, const char *input)
{
    size_t t;
    json_t *task;

    json_array_foreach(json_object_get(network, "tasks"), t, task)
    {
        if (!strcmp(json_string_value(json_object_get(task, "input")), input))
            return true;
    }
    return false;
}

static void keep_inputs(json_t *network)
{
    json_t *inputs = json_object_get(network, "inputs");

    for (size_t i = json_array_size(inputs); i-- > 0;)
        if (!is_used(network,
                     json_string_value(json_object_get(json_array_get(inputs, i), "name"))))
            json_array_remove(inputs, i);
}

int vn_config_keep_only(struct vn_config_reading *r)
{
    struct vn_json_at root = r->root, list, network;
    bool keep[VN_TASKS_MAX] = {0};
    size_t n = 0;
    int e;

    if (!vn_json_has(&r->root, "only_tasks"))
        return 0;
    root.text = NULL; /* the list may come from a command line, not from the file */
    e = vn_json_array(&root, "only_tasks", 1, VN_TASKS_MAX, &list, &n);
    if (!e)
        e = mark(r, &list, n, keep);
    if (!e)
        e = keep_tasks(r, keep);
    if (e)
        return e;
    keep_inputs(r->network);
    network = vn_json_root(r->network, NULL, r->root.why);
    vn_network_free(r->config->network);
    r->config->network = NULL;
    e = vn_network_read(&network, &r->config->network);
    return e > 0 ? VN_JSON_E_INVALID : e;
}
