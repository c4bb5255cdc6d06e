#include "daemon/stores.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/memory.h"
#include "daemon/reply.h"
#include "daemon/text.h"
#include "daemon/warm_up.h"

/* --- loading ---------------------------------------------------------------------------------- */

void store_switch(struct store *s, struct model *m, struct memory *memory)
{
    memory_add(memory, m);
    if (metrics_serve(&s->metrics, m->network))
        vn_log_warning("no memory to count the tasks of store %s", s->settings->name);
    model_unref(s->model);
    s->model = m;
    s->loads++;
    s->loaded_ns = vn_now_ns();
}

static int load(struct store *s, struct stores *all, const struct config *c, struct vn_why *why)
{
    struct model *m;
    int r = model_load(c, s->settings, all->memory->residency, WARM_UP_BYTES, why, &m);

    s->failed_loads += r != 0;
    if (!r)
        store_switch(s, m, all->memory);
    return r;
}

/* One that is not the default: without it, the others are served. */
static void load_other(struct store *s, struct stores *all, const struct config *c)
{
    struct vn_why why = {""};
    char size[VN_BYTES_TEXT];

    if (load(s, all, c, &why))
        vn_log_error("store %s: %s; it is not served until a reload finds a good file",
                     s->settings->name, why.text);
    else
        vn_log_notice("store %s: %s, %s, %u tasks", s->settings->name, s->model->network->name,
                      vn_bytes_format(s->model->store->file_bytes, size),
                      s->model->network->n_tasks);
}

int stores_load(struct stores *s, const struct config *c, struct memory *memory, struct vn_why *why)
{
    int r;

    s->memory = memory;
    for (; s->n < c->n_stores; s->n++)
        s->list[s->n].settings = &c->stores[s->n];
    r = load(&s->list[0], s, c, why);
    if (r)
        return r;
    for (uint32_t i = 1; i < s->n; i++)
        load_other(&s->list[i], s, c);
    return 0;
}

void stores_deinit(struct stores *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        metrics_deinit(&s->list[i].metrics);
        model_unref(s->list[i].model);
    }
    s->n = 0;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Returns how much is used then, which is no less than `size` when it was cut. */
static size_t add(char *text, size_t size, size_t used, const char *before, const char *name)
{
    if (used < size)
        used += (size_t)snprintf(text + used, size - used, "%s%s", before, name);
    return used;
}

/* --- looking up ------------------------------------------------------------------------------- */

/* "a, b and c": the names of those that `which` accepts, or of all. */
static const char *names(const struct stores *s, bool (*which)(const struct store *, const char *),
                         const char *task, char *text, size_t size)
{
    size_t used = 0;

    text[0] = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (!which || which(&s->list[i], task))
            used = add(text, size, used, used ? ", " : "", s->list[i].settings->name);
    return text;
}

struct store *stores_named(struct stores *s, const char *name, struct refusal *r)
{
    char all[256], text[TEXT_NAME];

    if (!name[0])
        return &s->list[0];
    for (uint32_t i = 0; i < s->n; i++)
        if (!strcmp(s->list[i].settings->name, name))
            return &s->list[i];
    refuse(r, VIRTUALNET__CODE__UNKNOWN_STORE, "there is no store \"%s\"; there is %s",
           text_name(name, text), names(s, NULL, NULL, all, sizeof all));
    return NULL;
}

static bool has_task(const struct store *s, const char *task)
{
    return s->model && vn_network_find_task(s->model->network, task) >= 0;
}

static struct model *model_of(const struct store *s, struct refusal *r)
{
    if (!s->model)
        refuse(r, VIRTUALNET__CODE__UNKNOWN_STORE,
               "store \"%s\" is not loaded: its file could not be used; the daemon's log says why, "
               "and a reload of the store tries again",
               s->settings->name);
    return s->model;
}

/* None of several stores has the task, or more than one. */
static struct model *refuse_task_of(const struct stores *s, const char *task, struct refusal *r)
{
    char have[256], tasks[256], text[TEXT_NAME];

    if (!names(s, has_task, task, have, sizeof have)[0])
        refuse(r, VIRTUALNET__CODE__UNKNOWN_TASK,
               "there is no task \"%s\" in any store; the default one has %s; the stores are %s",
               text_name(task, text), text_tasks(s->list[0].model->network, tasks, sizeof tasks),
               names(s, NULL, NULL, have, sizeof have));
    else
        refuse(r, VIRTUALNET__CODE__UNKNOWN_TASK,
               "task \"%s\" is in the stores %s and not in the default one; name the store",
               text_name(task, text), have);
    return NULL;
}

struct model *stores_model(struct stores *s, const char *store, const char *task, struct refusal *r)
{
    struct store *only = NULL;
    uint32_t n = 0;

    if (store[0]) {
        only = stores_named(s, store, r);
        return only ? model_of(only, r) : NULL;
    }
    if (s->n == 1 || !task[0] || has_task(&s->list[0], task))
        return s->list[0].model;
    for (uint32_t i = 1; i < s->n; i++)
        if (has_task(&s->list[i], task)) {
            only = &s->list[i];
            n++;
        }
    return n == 1 ? only->model : refuse_task_of(s, task, r);
}

/* They are in the configuration's order. */
static ptrdiff_t index_of(const struct stores *s, const struct model *m)
{
    return m->settings - s->list[0].settings;
}

struct metrics *stores_metrics(struct stores *s, const struct model *m)
{
    return &s->list[index_of(s, m)].metrics;
}

bool stores_serve(const struct stores *s, const struct model *m)
{
    return s->list[index_of(s, m)].model == m;
}

/* --- sums ------------------------------------------------------------------------------------- */

struct vn_store_checks stores_checks(const struct stores *s)
{
    struct vn_store_checks all = {0};

    for (uint32_t i = 0; i < s->n; i++) {
        struct vn_store_checks one;

        if (!s->list[i].model)
            continue;
        one = model_checks(s->list[i].model);
        all.parts += one.parts;
        all.good += one.good;
        all.damaged += one.damaged;
    }
    return all;
}

const char *stores_text(const struct stores *s, char *text, size_t size)
{
    const char *before = "";
    size_t used = 0;

    text[0] = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->list[i].model) {
            used = add(text, size, used, before, s->list[i].model->network->name);
            before = ", ";
        }
    before = "; NOT LOADED: ";
    for (uint32_t i = 0; i < s->n; i++)
        if (!s->list[i].model) {
            used = add(text, size, used, before, s->list[i].settings->name);
            before = ", ";
        }
    text_utf8(text); /* it may be cut */
    return text;
}

/* The last that was loaded saw all of them. */
uint64_t stores_idle_pss(const struct stores *s)
{
    uint64_t pss = 0;

    for (uint32_t i = 0; i < s->n; i++)
        if (s->list[i].model)
            pss = s->list[i].model->idle_pss_bytes;
    return pss;
}
