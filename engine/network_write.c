/* The description as JSON. Whatever is written reads back to the same network, floats included: a
 * double holds a float exactly, and the 17 digits that jansson prints hold a double. */
#include "engine/network.h"

/* A NULL (out of memory) travels: these, like json_pack, return NULL when they are given one, so
 * that the functions below need no check at every step. */

static json_t *with_item(json_t *list, json_t *item)
{
    if (!json_array_append_new(list, item))
        return list;
    json_decref(list);
    return NULL;
}

static json_t *with_key(json_t *object, const char *key, json_t *value)
{
    if (!json_object_set_new(object, key, value))
        return object;
    json_decref(object);
    return NULL;
}

static json_t *floats_to_json(const float *values, uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n; i++)
        list = with_item(list, json_real((double)values[i]));
    return list;
}

static json_t *input_to_json(const struct vn_input *in)
{
    uint32_t channels = vn_color_channels(in->color);

    return json_pack("{s:s, s:i, s:i, s:s, s:s, s:s, s:o, s:o, s:i, s:i}", "name", in->name,
                     "width", (int)in->width, "height", (int)in->height, "color",
                     vn_color_names[in->color], "crop", vn_crop_names[in->crop], "resize",
                     "bilinear", "mean", floats_to_json(in->mean, channels), "std",
                     floats_to_json(in->std, channels), "stem_kernel", (int)in->stem_kernel,
                     "stem_stride", (int)in->stem_stride);
}

static json_t *inputs_to_json(const struct vn_network *n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < n->n_inputs; i++)
        list = with_item(list, input_to_json(&n->inputs[i]));
    return list;
}

static json_t *stages_to_json(const struct vn_network *n)
{
    json_t *list = json_array();

    for (uint32_t s = 0; s < n->n_stages; s++)
        list = with_item(list, json_pack("{s:i, s:i, s:i, s:i}", "blocks", (int)n->stages[s].blocks,
                                         "width", (int)n->stages[s].width, "stride",
                                         (int)n->stages[s].stride, "group_width",
                                         (int)n->stages[s].group_width));
    return list;
}

static json_t *measured_to_json(const struct vn_task *t)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < t->n_measured; i++)
        list = with_item(list,
                         json_pack("{s:s, s:f, s:f, s:f, s:f}", "by", t->measured[i].by, "setting",
                                   t->measured[i].setting, "accuracy", t->measured[i].accuracy,
                                   "params", t->measured[i].params, "bytes", t->measured[i].bytes));
    return list;
}

static json_t *task_to_json(const struct vn_network *n, const struct vn_task *t)
{
    json_t *labels = json_array(), *order = json_array(), *task;

    for (uint32_t i = 0; i < t->n_labels; i++)
        labels = with_item(labels, json_string(t->labels[i]));
    for (uint32_t k = 0; k < n->groups; k++)
        order = with_item(order, json_integer(t->order[k]));
    task = json_pack("{s:s, s:s, s:o, s:o}", "name", t->name, "input", n->inputs[t->input].name,
                     "labels", labels, "order", order);
    if (t->n_measured)
        task = with_key(task, "measured", measured_to_json(t));
    return task;
}

static json_t *tasks_to_json(const struct vn_network *n)
{
    json_t *list = json_array();

    for (uint32_t t = 0; t < n->n_tasks; t++)
        list = with_item(list, task_to_json(n, &n->tasks[t]));
    return list;
}

static json_t *agent_to_json(const struct vn_agent *a)
{
    json_t *json = json_pack("{s:s}", "kind", vn_agent_kind_names[a->kind]);

    if (a->kind != VN_AGENT_UNIFORM) {
        json = with_key(json, "embedding", json_integer(a->embedding));
        json = with_key(json, "hidden", json_integer(a->hidden));
    }
    if (a->kind == VN_AGENT_SHARED) {
        json = with_key(json, "probe_level", json_integer(a->probe_level));
        json = with_key(json, "pooled", json_boolean(a->pooled));
    }
    if (a->kind == VN_AGENT_CONV) {
        json = with_key(json, "stem_kernel", json_integer(a->stem_kernel));
        json = with_key(json, "stem_stride", json_integer(a->stem_stride));
        json = with_key(json, "width", json_integer(a->width));
    }
    return json;
}

json_t *vn_network_to_json(const struct vn_network *n)
{
    json_t *json = json_pack("{s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "name", n->name, "stem_width",
                             (int)n->stem_width, "groups", (int)n->groups, "inputs",
                             inputs_to_json(n), "stages", stages_to_json(n), "tasks",
                             tasks_to_json(n), "agent", agent_to_json(&n->agent));

    return n->training ? with_key(json, "training", json_incref(n->training)) : json;
}
