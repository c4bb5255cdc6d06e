/* The stores that are served, by the names that the configuration gives them. The first is the
 * default one: it serves as long as the daemon does. Of the others, one that cannot be loaded at
 * the start is without a model until a reload finds a good file; requests for it are refused, and
 * nothing else is affected. Loop thread only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/metrics.h"
#include "daemon/model.h"

struct refusal;

struct store {
    const struct config_store *settings;
    struct model *model;    /* counted; new requests are for this one; NULL: there is none yet */
    struct metrics metrics; /* of its tasks */
    uint64_t loads, failed_loads;
    uint64_t loaded_ns; /* when the model came, on the clock of vn_now_ns */
    bool reload_due;    /* somebody has asked, and it has not begun */
};

struct stores {
    struct memory *memory; /* where models are accounted */
    uint32_t n;
    struct store list[CONFIG_STORES_MAX];
};

/* Loads all of the configuration's. 0, or as model_load for the default one; why is set. */
int stores_load(struct stores *s, const struct config *c, struct memory *memory,
                struct vn_why *why);
void stores_deinit(struct stores *s);

/* From now on new requests are for this model, which is taken. */
void store_switch(struct store *s, struct model *m, struct memory *memory);

/* The store of this name, "" being the default one. NULL: there is none, and the refusal is set. */
struct store *stores_named(struct stores *s, const char *name, struct refusal *r);

/* The model for a request that states a store and a task, "" being none. Without a store, the
 * default one comes first: a store that is added beside it changes no answer. A task that it does
 * not have is looked for in the others, where it must be the only one of its name. NULL: the
 * refusal is set. Whether the model has the task is still to be judged. */
struct model *stores_model(struct stores *s, const char *store, const char *task,
                           struct refusal *r);

/* Where runs of this model are counted. */
struct metrics *stores_metrics(struct stores *s, const struct model *m);

/* Whether new requests are for this model: it was not replaced. */
bool stores_serve(const struct stores *s, const struct model *m);

/* What is known of the parts of all stores. */
struct vn_store_checks stores_checks(const struct stores *s);

/* PSS of the process with all of them loaded, and before the first run. */
uint64_t stores_idle_pss(const struct stores *s);

/* "small, other; NOT LOADED: b": the networks that are served, and the stores that are not. Returns
 * `text`. */
const char *stores_text(const struct stores *s, char *text, size_t size);
