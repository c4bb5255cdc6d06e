#include "daemon/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "daemon/memory.h"
#include "daemon/status.h"
#include "daemon/text.h"
#include "daemon/warm_up.h"

static void unrefp(struct model **m)
{
    model_unref(*m);
}

/* Every budget that the configuration has for this store names a task that is there. */
static int check_budgets(const struct model *m, const struct config *c, struct vn_why *why)
{
    const struct vn_network *n = m->network;
    char tasks[256];

    for (uint32_t i = 0; i < c->n_task_budgets; i++) {
        const struct config_budget *b = &c->task_budgets[i];

        if (&c->stores[b->store] == m->settings && vn_network_find_task(n, b->task) < 0)
            return vn_because(why, MODEL_E_FAILED,
                              "task_budgets names \"%s\", which the store does not have; it has %s",
                              b->task, text_tasks(n, tasks, sizeof tasks));
    }
    return 0;
}

static struct vn_compute compute_of(const struct config *c)
{
    return (struct vn_compute){vn_kernels_find(c->kernels), (uint32_t)c->compute_threads};
}

static int make_sessions(struct model *m, const struct config *c, struct vn_why *why)
{
    const struct vn_compute compute = compute_of(c);
    int r;

    if (!compute.kernels)
        return vn_because(why, MODEL_E_FAILED, "kernels \"%s\" are not in this build", c->kernels);
    m->sessions = calloc(c->workers, sizeof *m->sessions);
    if (!m->sessions)
        return vn_because(why, -ENOMEM, "out of memory");
    for (; m->n_sessions < c->workers; m->n_sessions++) {
        r = vn_session_new(m->store, &compute, &m->sessions[m->n_sessions]);
        if (r == -ELIBACC)
            return vn_because(why, MODEL_E_FAILED,
                              "kernels \"%s\" need OpenBLAS, which cannot be loaded here; install "
                              "it (libopenblas0), or leave the choice to \"auto\"",
                              c->kernels);
        if (r)
            return vn_because(why, r, "session %u: %s", m->n_sessions, strerror(-r));
    }
    return 0;
}

/* Each session's arena is as large as its largest input wants it. */
static uint64_t scratch_bytes(const struct model *m, const struct vn_compute *compute)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < m->network->n_inputs; i++) {
        uint64_t bytes = vn_scratch_bytes(m->network, i, compute);

        most = bytes > most ? bytes : most;
    }
    return most * m->n_sessions;
}

static int verify(struct model *m, struct vn_why *why)
{
    const char *when = m->settings->verify;
    int r = 0;

    if (!strcmp(when, "first_use"))
        r = vn_store_check_at_use(m->store, why);
    else if (!strcmp(when, "load"))
        r = vn_store_verify(m->store, why, NULL, NULL);
    m->verified = !r && !strcmp(when, "load");
    return r;
}

static int prepare(struct model *m, const struct config *c, uint64_t warm_up_bytes,
                   struct vn_why *why)
{
    const struct vn_compute compute = compute_of(c);
    int r = verify(m, why);

    if (r)
        return r < 0 ? r : MODEL_E_FAILED;
    m->reported = calloc(vn_store_checks(m->store).parts, sizeof *m->reported);
    if (!m->reported)
        return vn_because(why, -ENOMEM, "out of memory");
    r = check_budgets(m, c, why);
    if (r)
        return r;
    r = vn_planner_new(m->network, m->store->layout, &compute, &m->planner);
    if (r)
        return vn_because(why, r, "%s", strerror(-r));
    r = make_sessions(m, c, why);
    if (r)
        return r;
    m->scratch_bytes = scratch_bytes(m, &compute);
    r = model_warm_up(m, c, warm_up_bytes, why);
    m->idle_pss_bytes = status_memory().pss;
    return r;
}

int model_load(const struct config *c, const struct config_store *settings,
               struct vn_residency *residency, uint64_t warm_up_bytes, struct vn_why *why,
               struct model **ret_model)
{
    _cleanup_(unrefp) struct model *m = calloc(1, sizeof *m);
    struct stat st;
    int r;

    if (!m)
        return vn_because(why, -ENOMEM, "out of memory");
    m->references = 1;
    m->settings = settings;
    r = vn_store_open(settings->path, why, &m->store);
    if (r)
        return r == -ENOMEM ? r : MODEL_E_FAILED;
    if (fstat(m->store->fd, &st) < 0)
        return vn_because(why, MODEL_E_FAILED, "%s: %s", settings->path, strerror(errno));
    m->written = st.st_mtim;
    m->network = m->store->network;
    if (vn_residency_join(residency, m->store))
        return vn_because(why, -ENOMEM, "out of memory");
    r = prepare(m, c, warm_up_bytes, why);
    if (r)
        return vn_because_in(why, r == -ENOMEM ? r : MODEL_E_FAILED, settings->path);
    *ret_model = m;
    m = NULL;
    return 0;
}

/* Renaming and removing the file are no writing. */
bool model_was_overwritten(const struct model *m)
{
    struct stat st;

    return fstat(m->store->fd, &st) < 0 || (uint64_t)st.st_size != m->store->file_bytes ||
           st.st_mtim.tv_sec != m->written.tv_sec || st.st_mtim.tv_nsec != m->written.tv_nsec;
}

struct vn_store_checks model_checks(const struct model *m)
{
    struct vn_store_checks c = vn_store_checks(m->store);

    if (m->verified)
        c.good = c.parts;
    return c;
}

struct model *model_ref(struct model *m)
{
    m->references++;
    return m;
}

struct model *model_unref(struct model *m)
{
    if (!m || --m->references)
        return NULL;
    if (m->memory)
        memory_remove(m->memory, m);
    for (uint32_t i = 0; i < m->n_sessions; i++)
        vn_session_free(m->sessions[i]);
    free(m->sessions);
    free(m->reported);
    vn_planner_free(m->planner);
    vn_store_unref(m->store);
    free(m);
    return NULL;
}
