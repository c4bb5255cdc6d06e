/* Replies: from protobuf messages to the public structs. Strings and lists of numbers stay where
 * protobuf-c put them; lists of messages become lists of public structs in one piece of memory
 * behind the reply. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "clients/c/internal.h"

void vn_reply_free(struct vn_reply *reply)
{
    if (!reply)
        return;
    virtualnet__response__free_unpacked(reply->message, NULL);
    free(reply);
}

void vn_client_reply_free(struct vn_client_reply *reply)
{
    vn_reply_free((struct vn_reply *)reply); /* its first member */
}

/* What comes from the daemon ends up on terminals and in logs. */
static void copy_text(char *to, size_t size, const char *from)
{
    size_t i;

    for (i = 0; i + 1 < size && from[i]; i++)
        to[i] = (unsigned char)from[i] < 0x20 || from[i] == 0x7f ? '?' : from[i];
    to[i] = 0;
}

static void fill_error(const Virtualnet__Error *m, struct vn_client_error *e)
{
    bool known = m->code > 0 &&
                 protobuf_c_enum_descriptor_get_value(&virtualnet__code__descriptor, (int)m->code);

    *e = (struct vn_client_error){
        .result = known ? (int)m->code : VN_CLIENT_E_UNSPECIFIED,
        .needed_bytes = m->needed_bytes,
        .limit = m->limit,
        .current = m->current,
        .retry_after_ms = m->retry_after_ms,
    };
    copy_text(e->message, sizeof e->message, *m->message ? m->message : "(no reason was given)");
    copy_text(e->limit_name, sizeof e->limit_name, m->limit_name);
    copy_text(e->phase, sizeof e->phase, m->phase);
}

static struct vn_client_bytes bytes_of(const Virtualnet__Bytes *m)
{
    if (!m)
        return (struct vn_client_bytes){0};
    return (struct vn_client_bytes){m->total, m->params, m->params_resident, m->scratch, m->io};
}

static void fill_answer(struct vn_reply *reply, const Virtualnet__InferResponse *m)
{
    struct vn_client_label *labels = (void *)reply->arrays;

    for (size_t i = 0; i < m->n_label; i++)
        labels[i] = (struct vn_client_label){m->label[i]->name, m->label[i]->index,
                                             m->label[i]->probability};
    reply->answer = (struct vn_client_answer){
        .task = m->task,
        .n_labels = m->n_label,
        .labels = labels,
        .n_levels = m->n_level,
        .levels = m->level,
        .density = m->density,
        .bytes = bytes_of(m->bytes),
        .budget_bytes = m->budget_bytes,
        .decided_by = m->decided_by,
        .queue_ns = m->queue_ns,
        .agent_ns = m->agent_ns,
        .compute_ns = m->compute_ns,
        .store = m->store,
        .page_in_ns = m->page_in_ns,
        .streamed = m->streamed,
        .replanned = m->replanned,
    };
    reply->public.answer = &reply->answer;
}

static void fill_task(struct vn_client_task *t, const Virtualnet__Task *m,
                      struct vn_client_measured *measured)
{
    for (size_t i = 0; i < m->n_measured; i++)
        measured[i] = (struct vn_client_measured){
            m->measured[i]->by,     m->measured[i]->setting, m->measured[i]->accuracy,
            m->measured[i]->params, m->measured[i]->bytes,   m->measured[i]->budget_bytes,
        };
    *t = (struct vn_client_task){
        .name = m->name,
        .input = m->input,
        .color = m->color,
        .width = m->width,
        .height = m->height,
        .n_labels = m->n_label,
        .labels = (const char *const *)m->label,
        .n_order = m->n_order,
        .order = m->order,
        .smallest = bytes_of(m->smallest),
        .largest = bytes_of(m->largest),
        .default_budget_bytes = m->default_budget_bytes,
        .n_measured = m->n_measured,
        .measured = measured,
    };
}

const struct vn_client_measured *vn_client_cheapest(const struct vn_client_task *task,
                                                    double accuracy)
{
    const struct vn_client_measured *best = NULL;

    for (size_t i = 0; i < task->n_measured; i++) {
        const struct vn_client_measured *m = &task->measured[i];

        if (!m->budget_bytes || !(m->accuracy >= accuracy))
            continue;
        if (!best || m->budget_bytes < best->budget_bytes ||
            (m->budget_bytes == best->budget_bytes && m->accuracy > best->accuracy))
            best = m;
    }
    return best;
}

static void fill_description(struct vn_reply *reply, const Virtualnet__DescribeResponse *m)
{
    struct vn_client_task *tasks = (void *)reply->arrays;
    struct vn_client_measured *measured = (void *)(tasks + m->n_task);
    struct vn_client_store *stores;

    for (size_t i = 0; i < m->n_task; i++) {
        fill_task(&tasks[i], m->task[i], measured);
        measured += m->task[i]->n_measured;
    }
    stores = (void *)measured;
    for (size_t i = 0; i < m->n_known; i++)
        stores[i] = (struct vn_client_store){
            m->known[i]->name,
            m->known[i]->network,
            m->known[i]->loaded,
            m->known[i]->n_task,
            (const char *const *)m->known[i]->task,
        };
    reply->description = (struct vn_client_description){
        .store = m->store,
        .version = m->version,
        .agent = m->agent,
        .blocks = m->blocks,
        .groups = m->groups,
        .frame_limit_bytes = m->frame_limit_bytes,
        .n_tasks = m->n_task,
        .tasks = tasks,
        .name = m->name,
        .n_stores = m->n_known,
        .stores = stores,
    };
    reply->public.description = &reply->description;
}

static void fill_task_status(struct vn_client_task_status *t, const Virtualnet__TaskStatus *m,
                             struct vn_client_times *times)
{
    for (size_t i = 0; i < m->n_times; i++)
        times[i] = (struct vn_client_times){m->times[i]->phase, m->times[i]->sum_ns,
                                            m->times[i]->n_count, m->times[i]->count};
    *t = (struct vn_client_task_status){
        .name = m->name,
        .default_budget_bytes = m->default_budget_bytes,
        .runs = m->runs,
        .n_blocks = m->n_level_sum,
        .level_sums = m->level_sum,
        .n_times = m->n_times,
        .times = times,
        .store = m->store,
        .groups = m->groups,
    };
}

static void fill_store_status(struct vn_client_store_status *s, const Virtualnet__StoreStatus *m)
{
    *s = (struct vn_client_store_status){
        .name = m->name,
        .network = m->network,
        .loaded = m->loaded,
        .file_bytes = m->file_bytes,
        .parts = m->parts,
        .parts_verified = m->parts_verified,
        .parts_damaged = m->parts_damaged,
        .n_tasks = m->tasks,
        .n_blocks = m->blocks,
        .groups = m->groups,
        .loads = m->loads,
        .failed_loads = m->failed_loads,
        .loaded_since_ns = m->loaded_since_ns,
        .resident_bytes = m->resident_bytes,
    };
}

static void fill_status(struct vn_reply *reply, const Virtualnet__StatusResponse *m)
{
    struct vn_client_counter *counters = (void *)reply->arrays;
    struct vn_client_task_status *tasks = (void *)(counters + m->n_counter);
    struct vn_client_times *times = (void *)(tasks + m->n_task);
    struct vn_client_store_status *stores;

    for (size_t i = 0; i < m->n_counter; i++)
        counters[i] = (struct vn_client_counter){m->counter[i]->name, m->counter[i]->value};
    for (size_t i = 0; i < m->n_task; i++) {
        fill_task_status(&tasks[i], m->task[i], times);
        times += m->task[i]->n_times;
    }
    stores = (void *)times;
    for (size_t i = 0; i < m->n_store_status; i++)
        fill_store_status(&stores[i], m->store_status[i]);
    reply->status = (struct vn_client_status){
        .version = m->version,
        .store = m->store,
        .uptime_ns = m->uptime_ns,
        .promised_bytes = m->promised_bytes,
        .fixed_bytes = m->fixed_bytes,
        .pss_bytes = m->pss_bytes,
        .pss_anon_bytes = m->pss_anon_bytes,
        .pss_file_bytes = m->pss_file_bytes,
        .rss_bytes = m->rss_bytes,
        .cgroup_bytes = m->cgroup_bytes,
        .queue_length = m->queue_length,
        .queue_limit = m->queue_limit,
        .running = m->running,
        .workers = m->workers,
        .connections = m->connections,
        .parts = m->parts,
        .parts_verified = m->parts_verified,
        .parts_damaged = m->parts_damaged,
        .n_counters = m->n_counter,
        .counters = counters,
        .groups = m->groups,
        .memory_limit_bytes = m->memory_limit_bytes,
        .n_buckets = m->n_bucket_ns,
        .bucket_ns = m->bucket_ns,
        .n_tasks = m->n_task,
        .tasks = tasks,
        .n_stores = m->n_store_status,
        .stores = stores,
        .scratch_bytes = m->scratch_bytes,
        .buffer_bytes = m->buffer_bytes,
        .resident_bytes = m->resident_bytes,
        .accounted_bytes = m->accounted_bytes,
        .cgroup_reclaimable_bytes = m->cgroup_reclaimable_bytes,
        .pressure_share = m->pressure_share,
        .pressure_events = m->pressure_events,
    };
    reply->public.status = &reply->status;
}

static void fill_reloaded(struct vn_reply *reply, const Virtualnet__ReloadResponse *m)
{
    reply->reloaded = (struct vn_client_reloaded){m->store, m->file_bytes, m->name};
    reply->public.reloaded = &reply->reloaded;
}

static void fill(struct vn_reply *reply, const Virtualnet__Response *m)
{
    switch (m->result_case) {
    case VIRTUALNET__RESPONSE__RESULT_INFER:
        return fill_answer(reply, m->infer);
    case VIRTUALNET__RESPONSE__RESULT_DESCRIBE:
        return fill_description(reply, m->describe);
    case VIRTUALNET__RESPONSE__RESULT_STATUS:
        return fill_status(reply, m->status);
    default: /* RESULT_RELOAD; vn_reply_new lets nothing else through */
        return fill_reloaded(reply, m->reload);
    }
}

/* Bytes behind the reply. No product here wraps: every element was unpacked to more bytes than its
 * public struct's share of any sane address space, the counts are bounded by the unpack limit. */
static size_t array_bytes(const Virtualnet__Response *m)
{
    size_t bytes;

    switch (m->result_case) {
    case VIRTUALNET__RESPONSE__RESULT_INFER:
        return m->infer->n_label * sizeof(struct vn_client_label);
    case VIRTUALNET__RESPONSE__RESULT_DESCRIBE:
        bytes = m->describe->n_task * sizeof(struct vn_client_task);
        for (size_t i = 0; i < m->describe->n_task; i++)
            bytes += m->describe->task[i]->n_measured * sizeof(struct vn_client_measured);
        return bytes + m->describe->n_known * sizeof(struct vn_client_store);
    case VIRTUALNET__RESPONSE__RESULT_STATUS:
        bytes = m->status->n_counter * sizeof(struct vn_client_counter) +
                m->status->n_task * sizeof(struct vn_client_task_status);
        for (size_t i = 0; i < m->status->n_task; i++)
            bytes += m->status->task[i]->n_times * sizeof(struct vn_client_times);
        return bytes + m->status->n_store_status * sizeof(struct vn_client_store_status);
    default:
        return 0;
    }
}

int vn_reply_new(Virtualnet__Response *message, Virtualnet__Response__ResultCase expected,
                 struct vn_client_error *ret_error, struct vn_reply **ret_reply)
{
    struct vn_reply *reply;
    int r = -ENOMEM;

    if (message->result_case == VIRTUALNET__RESPONSE__RESULT_ERROR) {
        fill_error(message->error, ret_error);
        r = VN_REPLY_E_ERROR;
    } else if (message->result_case != expected) {
        r = VN_REPLY_E_PROTOCOL;
    } else {
        reply = calloc(1, sizeof *reply + array_bytes(message));
        if (reply) {
            reply->message = message;
            fill(reply, message);
            *ret_reply = reply;
            return 0;
        }
    }
    virtualnet__response__free_unpacked(message, NULL);
    return r;
}
