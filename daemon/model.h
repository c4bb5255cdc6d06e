/* A model: one opened store, what its paths cost, and one session per worker, made ready as a
 * whole before anybody sees it. Requests that were accepted under a model are answered by it; the
 * last of them, or the switch to a newer model, drops it. The count belongs to the loop thread. */
#pragma once

#include <time.h>

#include "daemon/config.h"
#include "engine/residency.h"
#include "engine/session.h"

enum {
    MODEL_E_FAILED = 1, /* why says what is wrong with the store or does not fit it */
};

struct model {
    const struct config_store *settings;
    struct vn_store *store;
    const struct vn_network *network; /* the store's */
    struct vn_planner *planner;
    struct vn_session **sessions; /* by worker; each is used by its worker alone */
    uint32_t n_sessions;
    uint64_t idle_pss_bytes; /* of the process, loaded and before the first run */
    uint64_t scratch_bytes;  /* of all sessions, as large as they can become */
    struct memory *memory;   /* its books have this model; NULL: not yet */
    bool verified;           /* the whole store was, at load */
    bool *reported;          /* owned; by part: its damage is in the log */
    struct timespec written; /* the file, last, when it was opened */
    bool reported_written;   /* that it was since is in the log */
    uint32_t references;
};

/* Opens one of the configuration's stores, verifies it as that says, accounts its slices in
 * `residency`, makes sessions, and warms up the default paths by at most so many bytes (warm_up.h),
 * so that what comes out answers within its normal time. Touches nothing but its arguments. 0,
 * MODEL_E_FAILED or -ENOMEM; why is set. */
int model_load(const struct config *c, const struct config_store *settings,
               struct vn_residency *residency, uint64_t warm_up_bytes, struct vn_why *why,
               struct model **ret_model);

/* Whether somebody has written to the file since: its numbers may be any. Of any thread. */
bool model_was_overwritten(const struct model *m);

/* What is known of the store's parts. */
struct vn_store_checks model_checks(const struct model *m);

struct model *model_ref(struct model *m);
struct model *model_unref(struct model *m); /* takes NULL, returns NULL */
