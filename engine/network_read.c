/* The description from JSON. Every field is checked against the limits of engine/network.h before
 * it is used; every complaint names the field, the allowed range and what was found. */
#include "engine/network.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Keys come from fixed lists; the buffer is VN_NAME_MAX + 1 and the text was measured. */
static int read_name(const struct vn_json_at *at, const char *key, char ret[VN_NAME_MAX + 1])
{
    const char *text;
    int r = vn_json_string(at, key, VN_JSON_REQUIRED, VN_NAME_MAX, &text);

    if (!r)
        strcpy(ret, text);
    return r;
}

static int read_u32(const struct vn_json_at *at, const char *key, uint32_t min, uint32_t max,
                    uint32_t *ret)
{
    return vn_json_u32(at, key, VN_JSON_REQUIRED, min, max, ret);
}

static int read_odd(const struct vn_json_at *at, const char *key, enum vn_json_need need,
                    uint32_t *ret)
{
    struct vn_json_at c = {.parent = at, .key = key, .text = at->text, .why = at->why};
    uint32_t value = *ret;
    int r = vn_json_u32(at, key, need, 1, VN_KERNEL_MAX, &value);

    if (r)
        return r;
    if (value % 2 == 0)
        return vn_json_wrong(&c, "must be odd, 1 to %d, found %u", VN_KERNEL_MAX, value);
    *ret = value;
    return 0;
}

/* --- inputs and stages ------------------------------------------------------------------------ */

static int read_floats(const struct vn_json_at *at, const char *key, uint32_t n, double min,
                       double max, float *ret)
{
    struct vn_json_at list;
    size_t count;
    int r = vn_json_array(at, key, n, n, &list, &count);

    for (size_t i = 0; !r && i < count; i++) {
        struct vn_json_at item = vn_json_item(&list, i);
        double value;

        r = vn_json_item_number(&item, min, max, &value);
        if (!r)
            ret[i] = (float)value;
    }
    return r;
}

static int read_input(const struct vn_json_at *at, struct vn_input *ret)
{
    static const char *const keys[] = {"name",        "width",       "height", "color",
                                       "crop",        "resize",      "mean",   "std",
                                       "stem_kernel", "stem_stride", NULL};
    static const char *const filters[] = {"bilinear", NULL};
    unsigned color = 0, crop = 0, filter;
    int r;

    if ((r = vn_json_only(at, keys)) || (r = read_name(at, "name", ret->name)) ||
        (r = read_u32(at, "width", 1, VN_SIDE_MAX, &ret->width)) ||
        (r = read_u32(at, "height", 1, VN_SIDE_MAX, &ret->height)) ||
        (r = vn_json_choice(at, "color", VN_JSON_REQUIRED, vn_color_names, &color)) ||
        (r = vn_json_choice(at, "crop", VN_JSON_REQUIRED, vn_crop_names, &crop)) ||
        (r = vn_json_choice(at, "resize", VN_JSON_REQUIRED, filters, &filter)) ||
        (r = read_odd(at, "stem_kernel", VN_JSON_REQUIRED, &ret->stem_kernel)) ||
        (r = read_u32(at, "stem_stride", 1, VN_STEM_STRIDE_MAX, &ret->stem_stride)))
        return r;
    ret->color = (enum vn_color)color;
    ret->crop = (enum vn_crop)crop;
    r = read_floats(at, "mean", vn_color_channels(ret->color), -VN_MEAN_MAX, VN_MEAN_MAX,
                    ret->mean);
    return r ? r
             : read_floats(at, "std", vn_color_channels(ret->color), VN_STD_MIN, VN_STD_MAX,
                           ret->std);
}

static int read_inputs(const struct vn_json_at *at, struct vn_network *n)
{
    struct vn_json_at list;
    size_t count;
    int r = vn_json_array(at, "inputs", 1, VN_INPUTS_MAX, &list, &count);

    for (size_t i = 0; !r && i < count; i++) {
        struct vn_json_at item = vn_json_item(&list, i);

        r = read_input(&item, &n->inputs[i]);
        if (!r && vn_network_find_input(n, n->inputs[i].name) >= 0)
            r = vn_json_wrong(&item, "the name \"%s\" is taken by an input above",
                              n->inputs[i].name);
        n->n_inputs = (uint32_t)i + 1;
    }
    return r;
}

/* `before`: width of the stage above (or of the stem): the shortcut can add channels, not drop
 * them. `blocks_left`: how many blocks are still allowed. */
static int read_stage(const struct vn_json_at *at, uint32_t before, uint32_t blocks_left,
                      struct vn_stage *ret)
{
    static const char *const keys[] = {"blocks", "width", "stride", "group_width", NULL};
    struct vn_json_at stride = {.parent = at, .key = "stride", .text = at->text, .why = at->why};
    int r;

    if ((r = vn_json_only(at, keys)) ||
        (r = read_u32(at, "blocks", 1, blocks_left, &ret->blocks)) ||
        (r = read_u32(at, "width", before, VN_WIDTH_MAX, &ret->width)) ||
        (r = read_u32(at, "stride", 1, 4, &ret->stride)) ||
        (r = read_u32(at, "group_width", 1, VN_WIDTH_MAX, &ret->group_width)))
        return r;
    if (ret->stride == 3)
        return vn_json_wrong(&stride, "must be 1, 2 or 4, found 3");
    return 0;
}

static int read_stages(const struct vn_json_at *at, struct vn_network *n)
{
    uint32_t before = n->stem_width, blocks = 0;
    struct vn_json_at list;
    size_t count;
    int r = vn_json_array(at, "stages", 1, VN_STAGES_MAX, &list, &count);

    for (size_t i = 0; !r && i < count; i++) {
        struct vn_json_at item = vn_json_item(&list, i);

        if (blocks == VN_BLOCKS_MAX)
            return vn_json_wrong(&item,
                                 "one stage too many: all stages together have at most %d "
                                 "blocks",
                                 VN_BLOCKS_MAX);
        r = read_stage(&item, before, VN_BLOCKS_MAX - blocks, &n->stages[i]);
        before = n->stages[i].width;
        blocks += n->stages[i].blocks;
    }
    n->n_stages = (uint32_t)count;
    return r;
}

/* --- tasks ------------------------------------------------------------------------------------ */

/* Adds the name to a set; *ret_new says whether it was not there yet. */
static int set_add(json_t *set, const char *name, bool *ret_new)
{
    *ret_new = !json_object_get(set, name);
    return json_object_set_new(set, name, json_true()) ? -ENOMEM : 0;
}

static int read_label(const struct vn_json_at *item, json_t *seen, char ret[VN_NAME_MAX + 1])
{
    const char *text;
    bool fresh;
    int r = vn_json_item_string(item, VN_NAME_MAX, &text);

    if (r || (r = set_add(seen, text, &fresh)))
        return r;
    if (!fresh)
        return vn_json_wrong(item, "the label \"%s\" is there twice", text);
    strcpy(ret, text);
    return 0;
}

static int read_labels(const struct vn_json_at *at, struct vn_task *task)
{
    _cleanup_(json_decrefp) json_t *seen = json_object();
    struct vn_json_at list;
    size_t count;
    int r = vn_json_array(at, "labels", 1, VN_LABELS_MAX, &list, &count);

    if (r)
        return r;
    task->labels = calloc(count, sizeof task->labels[0]);
    task->n_labels = (uint32_t)count;
    if (!seen || !task->labels)
        return -ENOMEM;
    for (size_t i = 0; !r && i < count; i++) {
        struct vn_json_at item = vn_json_item(&list, i);

        r = read_label(&item, seen, task->labels[i]);
    }
    return r;
}

static int read_order(const struct vn_json_at *at, uint32_t groups, uint8_t *order)
{
    struct vn_json_at list;
    uint32_t used = 0;
    size_t count;
    int r = vn_json_array(at, "order", groups, groups, &list, &count);

    for (size_t k = 0; !r && k < count; k++) {
        struct vn_json_at item = vn_json_item(&list, k);
        uint64_t group;

        r = vn_json_item_u64(&item, 0, groups - 1, &group);
        if (r)
            return r;
        if (used & UINT32_C(1) << group)
            return vn_json_wrong(&item,
                                 "group %u is there twice: an order is a permutation of 0 "
                                 "to %u",
                                 (unsigned)group, groups - 1);
        used |= UINT32_C(1) << group;
        order[k] = (uint8_t)group;
    }
    return r;
}

static int read_measured_row(const struct vn_json_at *at, struct vn_measured *ret)
{
    static const char *const keys[] = {"by", "setting", "accuracy", "params", "bytes", NULL};
    unsigned by = 0;
    int r;

    if ((r = vn_json_only(at, keys)) ||
        (r = vn_json_choice(at, "by", VN_JSON_REQUIRED, vn_agent_kind_names, &by)) ||
        (r = vn_json_number(at, "setting", VN_JSON_REQUIRED, 0, VN_GROUPS_MAX, &ret->setting)) ||
        (r = vn_json_number(at, "accuracy", VN_JSON_REQUIRED, 0, 1, &ret->accuracy)) ||
        (r = vn_json_number(at, "params", VN_JSON_REQUIRED, 0, 1e12, &ret->params)) ||
        (r = vn_json_number(at, "bytes", VN_JSON_REQUIRED, 0, 1e12, &ret->bytes)))
        return r;
    strcpy(ret->by, vn_agent_kind_names[by]);
    return 0;
}

static int read_measured(const struct vn_json_at *at, struct vn_task *task)
{
    struct vn_json_at list;
    size_t count;
    int r = vn_json_array(at, "measured", 0, VN_MEASURED_MAX, &list, &count);

    if (r || !count)
        return r;
    task->measured = calloc(count, sizeof task->measured[0]);
    if (!task->measured)
        return -ENOMEM;
    task->n_measured = (uint32_t)count;
    for (size_t i = 0; !r && i < count; i++) {
        struct vn_json_at item = vn_json_item(&list, i);

        r = read_measured_row(&item, &task->measured[i]);
    }
    return r;
}

static int read_task_input(const struct vn_json_at *at, const struct vn_network *n,
                           uint32_t *ret_input)
{
    struct vn_json_at c = {.parent = at, .key = "input", .text = at->text, .why = at->why};
    const char *name;
    int r = vn_json_string(at, "input", VN_JSON_REQUIRED, VN_NAME_MAX, &name), input;

    if (r)
        return r;
    input = vn_network_find_input(n, name);
    if (input < 0)
        return vn_json_wrong(&c, "must be the name of an input, found \"%s\"", name);
    *ret_input = (uint32_t)input;
    return 0;
}

static int read_task(const struct vn_json_at *at, const struct vn_network *n, uint32_t t,
                     struct vn_task *ret)
{
    static const char *const keys[] = {"name", "input", "labels", "order", "measured", NULL};
    int r;

    if ((r = vn_json_only(at, keys)) || (r = read_name(at, "name", ret->name)) ||
        (r = read_task_input(at, n, &ret->input)) || (r = read_labels(at, ret)))
        return r;
    vn_order_cyclic(n->groups, t, n->n_tasks, ret->order);
    if (vn_json_has(at, "order") && (r = read_order(at, n->groups, ret->order)))
        return r;
    return vn_json_has(at, "measured") ? read_measured(at, ret) : 0;
}

static int read_tasks(const struct vn_json_at *at, struct vn_network *n)
{
    _cleanup_(json_decrefp) json_t *seen = json_object();
    struct vn_json_at list;
    size_t count;
    int r = vn_json_array(at, "tasks", 1, VN_TASKS_MAX, &list, &count);

    if (r)
        return r;
    n->tasks = calloc(count, sizeof n->tasks[0]);
    n->n_tasks = (uint32_t)count;
    if (!seen || !n->tasks)
        return -ENOMEM;
    for (uint32_t t = 0; !r && t < count; t++) {
        struct vn_json_at item = vn_json_item(&list, t);
        bool fresh = true;

        if ((r = read_task(&item, n, t, &n->tasks[t])) ||
            (r = set_add(seen, n->tasks[t].name, &fresh)))
            return r;
        if (!fresh)
            r = vn_json_wrong(&item, "the name \"%s\" is taken by a task above", n->tasks[t].name);
    }
    return r;
}

/* --- agent ------------------------------------------------------------------------------------ */

/* Which keys mean something to which kind; the others are refused. */
static const char *const agent_keys[][7] = {
    [VN_AGENT_UNIFORM] = {"kind"},
    [VN_AGENT_TASK] = {"kind", "embedding", "hidden"},
    [VN_AGENT_CONV] = {"kind", "embedding", "hidden", "stem_kernel", "stem_stride", "width"},
    [VN_AGENT_SHARED] = {"kind", "embedding", "hidden", "probe_level", "pooled"},
};

static struct vn_agent agent_defaults(enum vn_agent_kind kind, uint32_t groups)
{
    struct vn_agent a = {.kind = kind};

    if (kind != VN_AGENT_UNIFORM) {
        a.embedding = 8;
        a.hidden = 32;
    }
    if (kind == VN_AGENT_SHARED) {
        a.probe_level = 1;
        a.pooled = true;
    }
    if (kind == VN_AGENT_CONV) {
        a.stem_kernel = 5;
        a.stem_stride = 4;
        a.width = 8;
    }
    return a;
}

static int read_agent(const struct vn_json_at *at, uint32_t groups, struct vn_agent *ret)
{
    const enum vn_json_need may = VN_JSON_OPTIONAL;
    unsigned kind = 0;
    struct vn_agent a;
    int r;

    if (!json_is_object(at->json))
        return vn_json_wrong(at, "must be an object");
    if ((r = vn_json_choice(at, "kind", VN_JSON_REQUIRED, vn_agent_kind_names, &kind)) ||
        (r = vn_json_only(at, agent_keys[kind])))
        return r;
    a = agent_defaults((enum vn_agent_kind)kind, groups);
    if ((r = vn_json_u32(at, "embedding", may, 1, VN_AGENT_EMBEDDING_MAX, &a.embedding)) ||
        (r = vn_json_u32(at, "hidden", may, 1, VN_AGENT_HIDDEN_MAX, &a.hidden)) ||
        (r = vn_json_u32(at, "probe_level", may, 0, groups, &a.probe_level)) ||
        (r = vn_json_bool(at, "pooled", may, &a.pooled)) ||
        (r = vn_json_u32(at, "stem_stride", may, 1, VN_STEM_STRIDE_MAX, &a.stem_stride)) ||
        (r = vn_json_u32(at, "width", may, 1, VN_AGENT_WIDTH_MAX, &a.width)))
        return r;
    if (kind == VN_AGENT_CONV && (r = read_odd(at, "stem_kernel", may, &a.stem_kernel)))
        return r;
    *ret = a;
    return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int read_fields(const struct vn_json_at *at, struct vn_network *n)
{
    static const char *const keys[] = {"name",  "stem_width", "groups",   "inputs", "stages",
                                       "tasks", "agent",      "training", NULL};
    struct vn_json_at child;
    int r;

    if ((r = vn_json_only(at, keys)) || (r = read_name(at, "name", n->name)) ||
        (r = read_u32(at, "stem_width", 1, VN_WIDTH_MAX, &n->stem_width)) ||
        (r = read_u32(at, "groups", 1, VN_GROUPS_MAX, &n->groups)) || (r = read_inputs(at, n)) ||
        (r = read_stages(at, n)) || (r = read_tasks(at, n)) ||
        (r = vn_json_object(at, "agent", &child)) || (r = read_agent(&child, n->groups, &n->agent)))
        return r;
    if (vn_json_has(at, "training")) {
        if ((r = vn_json_object(at, "training", &child)))
            return r;
        n->training = json_deep_copy(child.json);
        if (!n->training)
            return -ENOMEM;
    }
    return 0;
}

int vn_network_read(const struct vn_json_at *at, struct vn_network **ret_network)
{
    _cleanup_(vn_network_freep) struct vn_network *n = calloc(1, sizeof *n);
    int r;

    if (!n)
        return -ENOMEM;
    r = read_fields(at, n);
    if (r)
        return r > 0 ? VN_NETWORK_E_INVALID : r;
    *ret_network = n;
    n = NULL;
    return 0;
}

int vn_network_parse(const char *text, size_t length, struct vn_why *why,
                     struct vn_network **ret_network)
{
    _cleanup_(json_decrefp) json_t *root = NULL;
    struct vn_json_at at;
    int r = vn_json_parse(text, length, why, &root);

    if (r)
        return r > 0 ? VN_NETWORK_E_INVALID : r;
    at = vn_json_root(root, NULL, why);
    return vn_network_read(&at, ret_network);
}
