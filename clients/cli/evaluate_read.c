#include "clients/cli/evaluate_read.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define FILE_MAX (16u << 20) /* some dozen settings of 256 tasks with 64 levels, and room */
#define COUNT_MAX (UINT64_C(1) << 40)
#define MEAN_MAX 1e12

static int evaluation_new(const struct vn_network *n, uint32_t n_settings,
                          struct vn_evaluation **ret)
{
    _cleanup_(vn_evaluation_freep) struct vn_evaluation *e = calloc(1, sizeof *e);

    if (!e)
        return -ENOMEM;
    e->n_tasks = n->n_tasks;
    e->n_settings = n_settings;
    e->settings = calloc(n_settings ? n_settings : 1, sizeof *e->settings);
    e->scores = calloc((size_t)n->n_tasks * (n_settings ? n_settings : 1), sizeof *e->scores);
    if (!e->settings || !e->scores)
        return -ENOMEM;
    *ret = e;
    e = NULL;
    return 0;
}

static struct vn_score *score_at(struct vn_evaluation *e, uint32_t task, uint32_t setting)
{
    return &e->scores[(size_t)task * e->n_settings + setting];
}

/* --- from JSON -------------------------------------------------------------------------------- */

/* What a row's "by" means; false: a kind that this page does not show, or of a later version. */
static bool find_by(const char *by, enum vn_by *ret)
{
    static const struct {
        const char *name;
        enum vn_by by;
    } others[] = {{"uniform", VN_BY_LEVEL},
                  {"own", VN_BY_OWN},
                  {"cascade", VN_BY_CASCADE},
                  {"random", VN_BY_RANDOM}};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (!strcmp(by, others[i].name)) {
            *ret = others[i].by;
            return true;
        }
    *ret = VN_BY_AGENT;
    for (uint32_t k = 0; vn_agent_kind_names[k]; k++)
        if (!strcmp(by, vn_agent_kind_names[k]))
            return true;
    return false;
}

static int read_cascade(const struct vn_json_at *at, uint32_t groups, struct vn_setting *ret)
{
    struct vn_json_at list;
    size_t n = 0;
    int r = vn_json_array(at, "levels", 1, groups + 1, &list, &n);

    for (size_t i = 0; i < n && !r; i++) {
        struct vn_json_at item = vn_json_item(&list, i);
        uint64_t level = 0;

        r = vn_json_item_u64(&item, 0, groups, &level);
        ret->levels[ret->n_levels++] = (uint8_t)level;
    }
    return r ? r : vn_json_number(at, "threshold", VN_JSON_REQUIRED, 0, 1, &ret->threshold);
}

static int read_limit(const struct vn_json_at *at, struct vn_setting *ret)
{
    int r;

    if ((r = vn_json_number(at, "budget_share", VN_JSON_REQUIRED, 0, 1, &ret->share)) ||
        (r = vn_json_u64(at, "budget_bytes", VN_JSON_OPTIONAL, 0, COUNT_MAX, &ret->bytes)) ||
        (r = vn_json_u64(at, "budget_params", VN_JSON_OPTIONAL, 0, COUNT_MAX, &ret->params)))
        return r;
    return vn_json_number(at, "thrift", VN_JSON_OPTIONAL, 0, 1, &ret->thrift);
}

static int read_setting(const struct vn_json_at *row, uint32_t groups, struct vn_setting *ret,
                        bool *ret_known)
{
    struct vn_json_at at;
    const char *by;
    int r = vn_json_object(row, "setting", &at);

    if (r || (r = vn_json_string(&at, "by", VN_JSON_REQUIRED, VN_NAME_MAX, &by)))
        return r;
    *ret = (struct vn_setting){0};
    *ret_known = find_by(by, &ret->by);
    if (!*ret_known || ret->by == VN_BY_OWN)
        return 0;
    if (ret->by == VN_BY_LEVEL)
        return vn_json_u32(&at, "level", VN_JSON_REQUIRED, 0, groups, &ret->level);
    return ret->by == VN_BY_CASCADE ? read_cascade(&at, groups, ret) : read_limit(&at, ret);
}

static int read_levels(const struct vn_json_at *at, const struct vn_network *n,
                       struct vn_score *score, bool *has_levels)
{
    uint32_t blocks = vn_network_blocks(n);
    struct vn_json_at list;
    size_t count;
    int r;

    if (!vn_json_has(at, "mean_levels")) {
        *has_levels = false;
        return 0;
    }
    r = vn_json_array(at, "mean_levels", blocks, blocks, &list, &count);
    for (size_t b = 0; !r && b < count; b++) {
        struct vn_json_at item = vn_json_item(&list, b);

        r = vn_json_item_number(&item, 0, n->groups, &score->level[b]);
        score->level[b] *= (double)score->n;
    }
    return r;
}

/* Means become sums again. */
static int read_costs(const struct vn_json_at *at, struct vn_score *s)
{
    double agent = 0, work = 0, images = (double)s->n;
    int r;

    if ((r = vn_json_number(at, "params_mean", VN_JSON_REQUIRED, 0, MEAN_MAX, &s->params)) ||
        (r = vn_json_number(at, "bytes_mean", VN_JSON_REQUIRED, 0, MEAN_MAX, &s->bytes)) ||
        (r = vn_json_u64(at, "params_max", VN_JSON_OPTIONAL, 0, COUNT_MAX, &s->params_max)) ||
        (r = vn_json_u64(at, "bytes_max", VN_JSON_OPTIONAL, 0, COUNT_MAX, &s->bytes_max)) ||
        (r = vn_json_number(at, "agent_params", VN_JSON_OPTIONAL, 0, MEAN_MAX, &agent)) ||
        (r = vn_json_number(at, "multiply_adds", VN_JSON_OPTIONAL, 0, MEAN_MAX, &work)))
        return r;
    s->params *= images;
    s->bytes *= images;
    s->agent_params = agent * images;
    s->work = work * images;
    return 0;
}

static int read_score(const struct vn_json_at *at, const struct vn_network *n,
                      struct vn_evaluation *e, uint32_t setting, bool *has_levels)
{
    struct vn_score *s;
    const char *name;
    int r = vn_json_string(at, "task", VN_JSON_REQUIRED, VN_NAME_MAX, &name), task;

    if (r)
        return r;
    task = vn_network_find_task(n, name);
    if (task < 0)
        return vn_json_wrong(at, "the store has no task \"%s\"", name);
    s = score_at(e, (uint32_t)task, setting);
    if (s->n)
        return vn_json_wrong(at, "the task \"%s\" is there twice", name);
    if ((r = vn_json_u64(at, "images", VN_JSON_REQUIRED, 0, COUNT_MAX, &s->n)) ||
        (r = vn_json_u64(at, "correct", VN_JSON_REQUIRED, 0, s->n, &s->correct)) ||
        (r = vn_json_u64(at, "too_small", VN_JSON_OPTIONAL, 0, COUNT_MAX, &s->too_small)) ||
        (r = read_costs(at, s)))
        return r;
    return read_levels(at, n, s, has_levels);
}

/* e->n_settings rows have room; *used of them are filled. */
static int read_row(const struct vn_json_at *row, const struct vn_network *n,
                    struct vn_evaluation *e, uint32_t *used, bool *has_levels)
{
    struct vn_json_at list;
    bool known = false;
    size_t count;
    int r = read_setting(row, n->groups, &e->settings[*used], &known);

    if (r || !known)
        return r;
    r = vn_json_array(row, "tasks", 1, VN_TASKS_MAX, &list, &count);
    for (size_t t = 0; !r && t < count; t++) {
        struct vn_json_at item = vn_json_item(&list, t);

        r = read_score(&item, n, e, *used, has_levels);
    }
    ++*used;
    return r;
}

/* Scores lie task by task: with fewer settings than there was room for, they move together. */
static void pack(struct vn_evaluation *e, uint32_t used)
{
    for (uint32_t t = 0; t < e->n_tasks; t++)
        memmove(&e->scores[(size_t)t * used], &e->scores[(size_t)t * e->n_settings],
                used * sizeof *e->scores);
    e->n_settings = used;
}

static int read_rows(const struct vn_json_at *root, const struct vn_network *n,
                     bool *ret_has_levels, struct vn_evaluation **ret)
{
    _cleanup_(vn_evaluation_freep) struct vn_evaluation *e = NULL;
    struct vn_json_at list;
    uint32_t used = 0;
    bool levels = true;
    size_t count;
    int r = vn_json_array(root, "rows", 1, VN_SETTINGS_MAX, &list, &count);

    if (r || (r = evaluation_new(n, (uint32_t)count, &e)))
        return r;
    for (size_t i = 0; i < count && !r; i++) {
        struct vn_json_at row = vn_json_item(&list, i);

        r = read_row(&row, n, e, &used, &levels);
    }
    if (r)
        return r;
    pack(e, used);
    *ret_has_levels = levels;
    *ret = e;
    e = NULL;
    return 0;
}

int vn_evaluation_read(const char *file, const struct vn_network *n, struct vn_why *why,
                       bool *ret_has_levels, struct vn_evaluation **ret)
{
    _cleanup_(json_decrefp) json_t *root = NULL;
    _cleanup_(vn_freep) char *text = NULL;
    struct vn_json_at at;
    int r = vn_json_load(file, FILE_MAX, why, &text, &root);

    if (!r) {
        at = vn_json_root(root, text, why);
        r = read_rows(&at, n, ret_has_levels, ret);
        if (r == -ENOMEM)
            vn_because(why, r, "out of memory");
        else if (r)
            vn_because_in(why, r, file);
    }
    return r > 0 ? VN_EVALUATION_E_INVALID : r;
}

/* --- from the store's table ------------------------------------------------------------------- */

#define TABLE_IMAGES 1000000 /* accuracies of a table are kept to six digits */

static struct vn_setting setting_of(const struct vn_measured *m)
{
    if (!strcmp(m->by, vn_agent_kind_names[VN_AGENT_UNIFORM]))
        return (struct vn_setting){.by = VN_BY_LEVEL, .level = (uint32_t)m->setting};
    return (struct vn_setting){.by = VN_BY_AGENT, .share = m->setting};
}

/* The row's place among the settings; a new one at the end where there is room, else -1. */
static int find_setting(struct vn_evaluation *e, const struct vn_measured *m, uint32_t *used)
{
    struct vn_setting s = setting_of(m);

    for (uint32_t i = 0; i < *used; i++) {
        const struct vn_setting *o = &e->settings[i];

        if (o->by == s.by && o->level == s.level && o->share == s.share)
            return (int)i;
    }
    if (*used == e->n_settings)
        return -1;
    e->settings[*used] = s;
    return (int)(*used)++;
}

static void fill_score(const struct vn_network *n, const struct vn_setting *set,
                       const struct vn_measured *m, struct vn_score *s)
{
    s->n = TABLE_IMAGES;
    s->correct = (uint64_t)llround(m->accuracy * TABLE_IMAGES);
    s->params = m->params * TABLE_IMAGES;
    s->bytes = m->bytes * TABLE_IMAGES;
    s->params_max = (uint64_t)m->params;
    s->bytes_max = (uint64_t)m->bytes;
    for (uint32_t b = 0; set->by == VN_BY_LEVEL && b < vn_network_blocks(n); b++)
        s->level[b] = (double)set->level * TABLE_IMAGES;
}

int vn_evaluation_of_table(const struct vn_network *n, struct vn_evaluation **ret)
{
    _cleanup_(vn_evaluation_freep) struct vn_evaluation *e = NULL;
    uint32_t used = 0;
    int r = evaluation_new(n, VN_SETTINGS_MAX, &e);

    if (r)
        return r;
    for (uint32_t t = 0; t < n->n_tasks; t++)
        for (uint32_t i = 0; i < n->tasks[t].n_measured; i++) {
            const struct vn_measured *m = &n->tasks[t].measured[i];
            int k = find_setting(e, m, &used);

            if (k >= 0)
                fill_score(n, &e->settings[k], m, score_at(e, t, (uint32_t)k));
        }
    pack(e, used);
    *ret = NULL;
    if (used) {
        *ret = e;
        e = NULL;
    }
    return 0;
}
