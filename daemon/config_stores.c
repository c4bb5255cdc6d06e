/* Stores in the configuration: their names, their files, and the budgets of their tasks. */
#include <string.h>

#include "daemon/config.h"

#define NAME_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* No path, no blank, nothing that needs an escape in a label or on a command line. */
static bool is_name(const char *text)
{
    size_t n = strlen(text);

    return n && n <= VN_NAME_MAX && strspn(text, NAME_BYTES) == n;
}

static int refuse_name(const struct vn_json_at *at)
{
    return vn_json_wrong(at, "a store's name is 1 to %d letters, digits, '.', '_' and '-'",
                         VN_NAME_MAX);
}

int config_name_read(const struct vn_json_at *at, const char *key, char ret_name[VN_NAME_MAX + 1])
{
    struct vn_json_at value = {json_object_get(at->json, key), at, key, 0, at->text, at->why};
    const char *text;
    int r = vn_json_string(at, key, VN_JSON_REQUIRED, VN_NAME_MAX, &text);

    if (r)
        return r;
    if (!is_name(text))
        return refuse_name(&value);
    strcpy(ret_name, text);
    return 0;
}

/* --- budgets of tasks ------------------------------------------------------------------------- */

static int read_budget(const struct vn_json_at *budgets, const char *task, struct config_budget *b)
{
    const struct config_key *k = config_find_key("task_budgets");

    if (strlen(task) > VN_NAME_MAX)
        return vn_json_wrong(budgets, "a task's name has at most %d bytes", VN_NAME_MAX);
    strcpy(b->task, task);
    return vn_json_u64(budgets, task, VN_JSON_REQUIRED, k->min, k->max, &b->bytes);
}

int config_budgets_read(const struct vn_json_at *at, const char *key, struct config *c,
                        uint32_t store)
{
    struct vn_json_at budgets;
    const char *task;
    json_t *value;
    int r = vn_json_object(at, key, &budgets);

    if (r)
        return r;
    json_object_foreach((json_t *)budgets.json, task, value)
    {
        struct config_budget *b = &c->task_budgets[c->n_task_budgets];

        if (c->n_task_budgets == VN_TASKS_MAX)
            return vn_json_wrong(&budgets, "at most %d tasks may be named, in all stores",
                                 VN_TASKS_MAX);
        b->store = store;
        r = read_budget(&budgets, task, b);
        if (r)
            return r;
        c->n_task_budgets++;
    }
    return 0;
}

json_t *config_budgets_to_json(const struct config *c, uint32_t store)
{
    json_t *budgets = json_object();

    for (uint32_t i = 0; budgets && i < c->n_task_budgets; i++)
        if (c->task_budgets[i].store == store)
            json_object_set_new(budgets, c->task_budgets[i].task,
                                json_integer((json_int_t)c->task_budgets[i].bytes));
    return budgets;
}

/* --- stores beside the default one ------------------------------------------------------------ */

static int read_verify(const struct vn_json_at *at, struct config_store *s)
{
    const struct config_key *k = config_find_key("verify_store");
    unsigned word;
    int r;

    if (!vn_json_has(at, k->name))
        return 0;
    r = vn_json_choice(at, k->name, VN_JSON_REQUIRED, k->words, &word);
    if (r)
        return r;
    strcpy(s->verify, k->words[word]);
    return 0;
}

static int read_store(const struct vn_json_at *at, struct config *c, uint32_t index)
{
    static const char *const keys[] = {"store_path", "verify_store", "default_budget_bytes",
                                       "task_budgets", NULL};
    struct config_store *s = &c->stores[index];
    const char *path;
    int r;

    if ((r = vn_json_only(at, keys)) ||
        (r = vn_json_string(at, keys[0], VN_JSON_REQUIRED, CONFIG_PATH_MAX, &path)) ||
        (r = read_verify(at, s)) ||
        (r = vn_json_u64(at, keys[2], VN_JSON_OPTIONAL, 0, CONFIG_BYTES_MAX,
                         &s->default_budget_bytes)))
        return r;
    strcpy(s->path, path);
    return vn_json_has(at, keys[3]) ? config_budgets_read(at, keys[3], c, index) : 0;
}

int config_stores_read(const struct vn_json_at *at, const char *key, struct config *c)
{
    struct vn_json_at stores, store;
    const char *name;
    json_t *value;
    int r = vn_json_object(at, key, &stores);

    if (r)
        return r;
    json_object_foreach((json_t *)stores.json, name, value)
    {
        struct config_store *s = &c->stores[c->n_stores];

        if (c->n_stores == CONFIG_STORES_MAX)
            return vn_json_wrong(&stores, "must name at most %d stores", CONFIG_STORES_MAX - 1);
        if (!is_name(name))
            return refuse_name(&stores);
        *s = c->stores[0];
        strcpy(s->name, name);
        if ((r = vn_json_object(&stores, name, &store)) || (r = read_store(&store, c, c->n_stores)))
            return r;
        c->n_stores++;
    }
    return 0;
}

/* Stores must fit each other and the rest. */
int config_stores_check(const struct vn_json_at *root, const struct config *c)
{
    const uint64_t limit = c->memory_limit_bytes;

    for (uint32_t i = 0; i < c->n_stores; i++) {
        const struct config_store *s = &c->stores[i];

        if (limit && s->default_budget_bytes > limit)
            return vn_json_wrong(root,
                                 "default_budget_bytes of store \"%s\" (%llu) must not be above "
                                 "memory_limit_bytes (%llu)",
                                 s->name, (unsigned long long)s->default_budget_bytes,
                                 (unsigned long long)limit);
        if (i && !strcmp(s->name, c->stores[0].name))
            return vn_json_wrong(root,
                                 "stores has \"%s\", which is the name of the store at "
                                 "store_path; store_name changes that",
                                 s->name);
    }
    return 0;
}

static json_t *store_to_json(const struct config *c, uint32_t index)
{
    const struct config_store *s = &c->stores[index];

    return json_pack("{s:s, s:s, s:I, s:o}", "store_path", s->path, "verify_store", s->verify,
                     "default_budget_bytes", (json_int_t)s->default_budget_bytes, "task_budgets",
                     config_budgets_to_json(c, index));
}

json_t *config_stores_to_json(const struct config *c)
{
    json_t *stores = json_object();

    for (uint32_t i = 1; stores && i < c->n_stores; i++)
        json_object_set_new(stores, c->stores[i].name, store_to_json(c, i));
    return stores;
}
