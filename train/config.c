#include "train/config.h"

#include <errno.h>
#include <string.h>

#include "train/config_parts.h"

struct vn_train_config *vn_train_config_free(struct vn_train_config *c)
{
    if (!c)
        return NULL;
    vn_network_free(c->network);
    free(c->task_data);
    json_decref(c->source);
    free(c);
    return NULL;
}

static void reading_deinit(struct vn_config_reading *r)
{
    for (size_t i = 0; i < VN_DATA_SETS_MAX; i++) {
        vn_names_deinit(&r->names[i].classes);
        vn_names_deinit(&r->names[i].coarse);
    }
    json_decref(r->tasks);
    json_decref(r->network);
}

static int read_run(struct vn_config_reading *r)
{
    static const char *const keys[] = {"name",           "seed",  "validation_share", "network",
                                       "data",           "tasks", "only_tasks",       "training",
                                       "agent_training", NULL};
    struct vn_train_config *c = r->config;
    const char *name;
    int e = vn_json_only(&r->root, keys);

    c->seed = 1;
    c->validation_share = 0.1;
    if (!e)
        e = vn_json_string(&r->root, "name", VN_JSON_REQUIRED, VN_NAME_MAX, &name);
    if (!e)
        e = vn_json_u64(&r->root, "seed", VN_JSON_OPTIONAL, 0, INT64_MAX, &c->seed);
    if (!e)
        e = vn_json_number(&r->root, "validation_share", VN_JSON_OPTIONAL, 0, 0.5,
                           &c->validation_share);
    if (!e)
        strcpy(c->name, name);
    return e;
}

static int read_schedules(struct vn_config_reading *r)
{
    struct vn_train_config *c = r->config;
    int e = vn_config_read_fields(&r->root, "training", vn_schedule_fields, &c->schedule);

    if (!e)
        e = vn_config_read_fields(&r->root, "agent_training", vn_agent_schedule_fields,
                                  &c->agent_schedule);
    return e;
}

/* --- what one part says about another --------------------------------------------------------- */

static int wrong_item(const struct vn_json_at *list, uint32_t i, const char *what, const char *name)
{
    struct vn_json_at item = vn_json_item(list, i);

    return vn_json_wrong(&item, "%s \"%s\"", what, name);
}

static int check_used(const struct vn_config_reading *r)
{
    const struct vn_train_config *c = r->config;
    struct vn_json_at data = vn_config_step(&r->root, "data");
    struct vn_json_at network = vn_config_step(&r->root, "network");
    struct vn_json_at inputs = vn_config_step(&network, "inputs");
    bool sets[VN_DATA_SETS_MAX] = {0}, used[VN_INPUTS_MAX] = {0};

    for (uint32_t t = 0; t < c->network->n_tasks; t++) {
        sets[c->task_data[t].set] = true;
        used[c->network->tasks[t].input] = true;
    }
    for (uint32_t i = 0; i < c->n_data; i++)
        if (!sets[i])
            return wrong_item(&data, i, "no task uses the set", c->data[i].name);
    for (uint32_t i = 0; i < c->network->n_inputs; i++)
        if (!used[i])
            return wrong_item(&inputs, i, "no task uses the input", c->network->inputs[i].name);
    return 0;
}

/* The rest of what packnet means has no meaning for it. */
static int check_packnet(const struct vn_config_reading *r)
{
    const struct vn_train_config *c = r->config;
    struct vn_json_at training = vn_config_step(&r->root, "training");
    struct vn_json_at packnet = vn_config_step(&training, "packnet");

    if (!c->schedule.packnet)
        return 0;
    if (c->schedule.mixed_paths || c->schedule.auxiliary > 0)
        return vn_json_wrong(&packnet, "needs \"mixed_paths\" 0 and \"auxiliary\" 0");
    if (c->network->n_inputs > 1 || c->network->agent.kind != VN_AGENT_UNIFORM)
        return vn_json_wrong(&packnet, "needs a network with one input and no agent");
    for (uint32_t t = 0; t < c->network->n_tasks; t++)
        for (uint32_t g = 0; g < c->network->groups; g++)
            if (c->network->tasks[t].order[g] != g)
                return vn_json_wrong(&packnet, "needs network.orders \"same\"");
    return 0;
}

static int check_schedule(const struct vn_config_reading *r)
{
    const struct vn_train_config *c = r->config;
    const struct vn_schedule *s = &c->schedule;
    struct vn_json_at training = vn_config_step(&r->root, "training");
    struct vn_json_at level = vn_config_step(&training, "lowest_level");
    struct vn_json_at warmup = vn_config_step(&training, "warmup_epochs");
    struct vn_json_at pad = vn_config_step(&training, "pad");

    if (s->lowest_level > c->network->groups)
        return vn_json_wrong(&level, "must be at most network.groups, %u, found %u",
                             c->network->groups, s->lowest_level);
    if (s->warmup_epochs > s->epochs)
        return vn_json_wrong(&warmup, "must be at most epochs, %u, found %g", s->epochs,
                             s->warmup_epochs);
    for (uint32_t i = 0; i < c->network->n_inputs; i++) {
        const struct vn_input *in = &c->network->inputs[i];

        if (s->pad >= in->width || s->pad >= in->height)
            return vn_json_wrong(&pad, "must be smaller than the input \"%s\", %ux%u, found %u",
                                 in->name, in->width, in->height, s->pad);
    }
    return 0;
}

static int read_parts(struct vn_config_reading *r)
{
    int e = read_run(r);

    if (!e)
        e = vn_config_read_data(r);
    if (!e)
        e = vn_config_read_tasks(r);
    if (!e)
        e = vn_config_read_network(r);
    if (!e)
        e = read_schedules(r);
    if (!e)
        e = check_used(r);
    if (!e)
        e = check_schedule(r);
    if (!e)
        e = check_packnet(r);
    return e ? e : vn_config_keep_only(r);
}

/* Takes the reference to root. text may be NULL: then complaints have no line and column. */
static int read_document(json_t *root, const char *text, const char *folder, struct vn_why *why,
                         struct vn_train_config **ret_config)
{
    _cleanup_(vn_train_config_freep) struct vn_train_config *c = calloc(1, sizeof *c);
    _cleanup_(reading_deinit) struct vn_config_reading reading = {.config = c, .folder = folder};
    int e;

    reading.tasks = json_array();
    if (!c || !reading.tasks) {
        json_decref(root);
        return vn_because(why, -ENOMEM, "out of memory");
    }
    c->source = root;
    reading.root = vn_json_root(root, text, why);
    e = read_parts(&reading);
    if (e && !why->text[0])
        vn_because(why, e, "%s", strerror(e < 0 ? -e : EINVAL));
    if (e)
        return e > 0 ? VN_CONFIG_E_INVALID : e;
    *ret_config = c;
    c = NULL;
    return 0;
}

static int change(json_t *root, const struct vn_config_changes *changes)
{
    json_t *names;

    if (changes->seed &&
        json_object_set_new(root, "seed", json_integer((json_int_t)*changes->seed)))
        return -ENOMEM;
    if (!changes->n_only_tasks)
        return 0;
    names = json_array();
    for (uint32_t i = 0; i < changes->n_only_tasks; i++)
        if (json_array_append_new(names, json_string(changes->only_tasks[i]))) {
            json_decref(names);
            return -ENOMEM;
        }
    return json_object_set_new(root, "only_tasks", names) ? -ENOMEM : 0;
}

int vn_train_config_load_changed(const char *file, const char *folder,
                                 const struct vn_config_changes *changes, struct vn_why *why,
                                 struct vn_train_config **ret_config)
{
    _cleanup_(vn_freep) char *text = NULL;
    struct vn_why own;
    json_t *root;
    int e;

    if (!why)
        why = &own;
    why->text[0] = 0;
    e = vn_json_load(file, VN_CONFIG_BYTES_MAX, why, &text, &root);
    if (e)
        return e > 0 ? VN_CONFIG_E_INVALID : e;
    if (json_is_object(root) && change(root, changes)) {
        json_decref(root);
        return vn_because(why, -ENOMEM, "out of memory");
    }
    e = read_document(root, text, folder, why, ret_config);
    return e ? vn_because_in(why, e, file) : 0;
}

int vn_train_config_load(const char *file, const char *folder, struct vn_why *why,
                         struct vn_train_config **ret_config)
{
    return vn_train_config_load_changed(file, folder, &(struct vn_config_changes){0}, why,
                                        ret_config);
}

int vn_train_config_of_store(const struct vn_network *n, const char *folder, struct vn_why *why,
                             struct vn_train_config **ret_config)
{
    json_t *source = json_object_get(n->training, "configuration");
    struct vn_why own;
    int e;

    if (!why)
        why = &own;
    why->text[0] = 0;
    if (!json_is_object(source))
        return vn_because(why, VN_CONFIG_E_INVALID,
                          "the store does not say how it was trained: give the configuration");
    e = read_document(json_incref(source), NULL, folder, why, ret_config);
    return e ? vn_because_in(why, e, "the configuration inside the store") : 0;
}
