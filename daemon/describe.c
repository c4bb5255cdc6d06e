/* The Describe call: the store's network in the words of the protocol. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "daemon/client.h"
#include "daemon/reply.h"

/* One task with what its message points to. */
struct task_reply {
    Virtualnet__Task task;
    Virtualnet__Bytes smallest, largest;
    char *labels[VN_LABELS_MAX];
    uint32_t order[VN_GROUPS_MAX];
    Virtualnet__Measured measured[VN_MEASURED_MAX];
    Virtualnet__Measured *rows[VN_MEASURED_MAX];
};

struct describe_reply {
    Virtualnet__Response response;
    Virtualnet__DescribeResponse describe;
    Virtualnet__Task *list[VN_TASKS_MAX];
    Virtualnet__Store store[CONFIG_STORES_MAX];
    Virtualnet__Store *stores[CONFIG_STORES_MAX];
    char **names;              /* owned: of the tasks of all stores */
    struct task_reply tasks[]; /* as many as are described */
};

static void fill_measured(struct task_reply *r, const struct model *m, uint32_t task)
{
    const struct vn_task *t = &m->network->tasks[task];

    for (uint32_t i = 0; i < t->n_measured; i++) {
        virtualnet__measured__init(&r->measured[i]);
        r->measured[i].by = t->measured[i].by;
        r->measured[i].setting = t->measured[i].setting;
        r->measured[i].accuracy = t->measured[i].accuracy;
        r->measured[i].params = t->measured[i].params;
        r->measured[i].bytes = t->measured[i].bytes;
        r->measured[i].budget_bytes = vn_plan_measured_budget(m->planner, task, &t->measured[i]);
        r->rows[i] = &r->measured[i];
    }
    r->task.measured = r->rows;
    r->task.n_measured = t->n_measured;
}

static void fill_costs(struct task_reply *r, const struct model *m, uint32_t task)
{
    struct vn_plan plan;

    vn_plan_uniform(m->planner, task, 0, 0, &plan);
    reply_fill_bytes(&plan.bytes, &r->smallest);
    vn_plan_uniform(m->planner, task, m->network->groups, 0, &plan);
    reply_fill_bytes(&plan.bytes, &r->largest);
    r->task.smallest = &r->smallest;
    r->task.largest = &r->largest;
}

static void fill_task(struct task_reply *r, const struct model *m, uint32_t task)
{
    const struct vn_task *t = &m->network->tasks[task];
    const struct vn_input *in = &m->network->inputs[t->input];

    virtualnet__task__init(&r->task);
    r->task.name = (char *)t->name;
    r->task.input = (char *)in->name;
    r->task.width = in->width;
    r->task.height = in->height;
    r->task.color = (char *)vn_color_names[in->color];
    for (uint32_t i = 0; i < t->n_labels; i++)
        r->labels[i] = t->labels[i];
    r->task.label = r->labels;
    r->task.n_label = t->n_labels;
    for (uint32_t i = 0; i < m->network->groups; i++)
        r->order[i] = t->order[i];
    r->task.order = r->order;
    r->task.n_order = m->network->groups;
    fill_costs(r, m, task);
    fill_measured(r, m, task);
}

/* What is not a list. */
static void fill_network(struct describe_reply *r, const struct model *m, uint64_t frame_limit)
{
    r->names = NULL;
    virtualnet__describe_response__init(&r->describe);
    r->describe.store = (char *)m->network->name;
    r->describe.name = (char *)m->settings->name;
    r->describe.blocks = vn_network_blocks(m->network);
    r->describe.groups = m->network->groups;
    r->describe.agent = (char *)vn_agent_kind_names[m->network->agent.kind];
    r->describe.task = r->list;
    r->describe.frame_limit_bytes = frame_limit;
    r->describe.memfd_limit_bytes = frame_limit;
    r->describe.version = (char *)VN_VERSION;
}

static void fill_store(Virtualnet__Store *to, const struct store *s, char **names)
{
    virtualnet__store__init(to);
    to->name = (char *)s->settings->name;
    to->loaded = s->model != NULL;
    if (!s->model)
        return;
    to->network = (char *)s->model->network->name;
    for (; to->n_task < s->model->network->n_tasks; to->n_task++)
        names[to->n_task] = s->model->network->tasks[to->n_task].name;
    to->task = names;
}

static int fill_stores(struct describe_reply *r, const struct stores *s)
{
    size_t n = 0;

    for (uint32_t i = 0; i < s->n; i++)
        n += s->list[i].model ? s->list[i].model->network->n_tasks : 0;
    r->names = malloc(n * sizeof *r->names);
    if (!r->names)
        return -ENOMEM;
    n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        fill_store(&r->store[i], &s->list[i], r->names + n);
        n += r->store[i].n_task;
        r->stores[i] = &r->store[i];
    }
    r->describe.known = r->stores;
    r->describe.n_known = s->n;
    return 0;
}

static void reply_freep(struct describe_reply **r)
{
    if (*r)
        free((*r)->names);
    free(*r);
}

void reply_describe(struct client *c, uint64_t id, const struct model *m, int task)
{
    uint32_t first = task < 0 ? 0 : (uint32_t)task, n = task < 0 ? m->network->n_tasks : 1;
    _cleanup_(reply_freep) struct describe_reply *r = malloc(sizeof *r + n * sizeof r->tasks[0]);
    const struct config *config = c->daemon->config;
    struct refusal refusal = {0};

    if (r)
        fill_network(r, m, config->frame_limit_bytes);
    if (!r || fill_stores(r, &c->daemon->stores)) {
        refuse(&refusal, VIRTUALNET__CODE__INTERNAL, "out of memory; describe one task at a time");
        reply_refusal(c, id, &refusal);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        fill_task(&r->tasks[i], m, first + i);
        r->tasks[i].task.default_budget_bytes =
            config_budget(config, m->settings, m->network->tasks[first + i].name);
        r->list[i] = &r->tasks[i].task;
    }
    r->describe.n_task = n;
    virtualnet__response__init(&r->response);
    r->response.id = id;
    r->response.result_case = VIRTUALNET__RESPONSE__RESULT_DESCRIBE;
    r->response.describe = &r->describe;
    reply_send(c, &r->response, DESCRIBE_OK, NULL);
}
