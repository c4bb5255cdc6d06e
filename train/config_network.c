/* The part "network" of a configuration, joined with the expanded tasks and their orders to what
 * the engine reads; its complaints keep the author's places. */
#include <errno.h>
#include <string.h>

#include "base/rng.h"
#include "train/config_parts.h"

#define ORDER_STREAM UINT64_C(0x6f72646572) /* keeps these draws apart from the trainer's */

static void order_same(uint32_t groups, uint8_t order[VN_GROUPS_MAX])
{
    for (uint32_t g = 0; g < groups; g++)
        order[g] = (uint8_t)g;
}

static void order_random(uint64_t seed, uint32_t groups, uint32_t task,
                         uint8_t order[VN_GROUPS_MAX])
{
    struct vn_rng rng = vn_rng_stream(seed, ORDER_STREAM, task);

    order_same(groups, order);
    for (uint32_t g = groups; g > 1; g--) {
        uint32_t k = vn_rng_below(&rng, g);
        uint8_t swap = order[g - 1];

        order[g - 1] = order[k];
        order[k] = swap;
    }
}

/* One task's permutation, as a list of group numbers. */
static int order_listed(const struct vn_json_at *lists, uint32_t groups, uint32_t task,
                        uint8_t order[VN_GROUPS_MAX])
{
    struct vn_json_at list = vn_json_item(lists, task);
    uint32_t seen = 0;

    if (!json_is_array(list.json) || json_array_size(list.json) != groups)
        return vn_json_wrong(&list, "must be an array of the %u group numbers", groups);
    for (uint32_t g = 0; g < groups; g++) {
        struct vn_json_at item = vn_json_item(&list, g);
        uint64_t group = 0;
        int e = vn_json_item_u64(&item, 0, groups - 1, &group);

        if (e)
            return e;
        if (seen & 1u << group)
            return vn_json_wrong(&item, "group %llu stands twice in the order",
                                 (unsigned long long)group);
        seen |= 1u << group;
        order[g] = (uint8_t)group;
    }
    return 0;
}

static int add_order(json_t *task, const uint8_t *order, uint32_t groups)
{
    json_t *list = json_array();

    for (uint32_t g = 0; g < groups; g++)
        if (json_array_append_new(list, json_integer(order[g]))) {
            json_decref(list);
            return -ENOMEM;
        }
    return json_object_set_new(task, "order", list) ? -ENOMEM : 0;
}

static int add_orders(struct vn_config_reading *r, const struct vn_json_at *network,
                      uint32_t groups)
{
    static const char *const words[] = {"cyclic", "same", "random", NULL};
    enum { CYCLIC, SAME, RANDOM };
    uint32_t n_tasks = (uint32_t)json_array_size(r->tasks);
    bool listed = json_is_array(json_object_get(network->json, "orders"));
    struct vn_json_at lists;
    unsigned word = CYCLIC;
    size_t n;
    int e = listed ? vn_json_array(network, "orders", n_tasks, n_tasks, &lists, &n)
                   : vn_json_choice(network, "orders", VN_JSON_OPTIONAL, words, &word);

    for (uint32_t t = 0; t < n_tasks && !e; t++) {
        uint8_t order[VN_GROUPS_MAX];

        if (listed)
            e = order_listed(&lists, groups, t, order);
        else if (word == CYCLIC)
            vn_order_cyclic(groups, t, n_tasks, order);
        else if (word == SAME)
            order_same(groups, order);
        else
            order_random(r->config->seed, groups, t, order);
        if (!e)
            e = add_order(json_array_get(r->tasks, t), order, groups);
    }
    return e;
}

/* A store spells everything out; a configuration may leave out what hardly ever differs. */
static int set_default(json_t *object, const char *key, json_t *value)
{
    if (json_is_object(object) && !json_object_get(object, key))
        return json_object_set_new(object, key, value) ? -ENOMEM : 0;
    json_decref(value);
    return 0;
}

static int compose(const struct vn_config_reading *r, const struct vn_json_at *network,
                   json_t **ret_json)
{
    _cleanup_(json_decrefp) json_t *j = json_deep_copy(network->json);
    json_t *inputs = json_object_get(j, "inputs");
    int e = j ? 0 : -ENOMEM;

    for (size_t i = 0; i < json_array_size(inputs) && !e; i++) {
        e = set_default(json_array_get(inputs, i), "crop", json_string("center"));
        if (!e)
            e = set_default(json_array_get(inputs, i), "resize", json_string("bilinear"));
    }
    if (!e)
        e = set_default(j, "agent", json_pack("{s:s}", "kind", "uniform"));
    if (e)
        return e;
    json_object_del(j, "orders");
    if (json_object_set_new(j, "name", json_string(r->config->name)) ||
        json_object_set(j, "tasks", r->tasks))
        return -ENOMEM;
    *ret_json = j;
    j = NULL;
    return 0;
}

int vn_config_read_network(struct vn_config_reading *r)
{
    static const char *const keys[] = {"stem_width", "groups", "orders", "inputs",
                                       "stages",     "agent",  NULL};
    struct vn_json_at network, whole;
    uint32_t groups = 0;
    int e = vn_json_object(&r->root, "network", &network);

    if (!e)
        e = vn_json_only(&network, keys);
    if (!e)
        e = vn_json_u32(&network, "groups", VN_JSON_REQUIRED, 1, VN_GROUPS_MAX, &groups);
    if (!e)
        e = add_orders(r, &network, groups);
    if (!e)
        e = compose(r, &network, &r->network);
    if (e)
        return e;
    whole = network;
    whole.json = r->network;
    e = vn_network_read(&whole, &r->config->network);
    return e > 0 ? VN_JSON_E_INVALID : e;
}
