/* The memory of the process as the loop keeps it: the ledger's parts, what stores have resident,
 * and what pressure does about both. status.h says what the kernel counts. Loop thread only. */
#pragma once

#include <stdint.h>

#include "daemon/ledger.h"
#include "daemon/pressure.h"
#include "engine/residency.h"

struct config;
struct daemon;
struct model;

struct memory {
    struct ledger ledger;
    struct vn_residency *residency; /* owned */
    struct pressure pressure;
    bool by_cgroup; /* the limit is the control group's, less a reserve */
};

/* With the limit of the configuration, or else that of the control group less an eighth, or else
 * none. 0 or -ENOMEM. */
int memory_init(struct memory *m, const struct config *c);
void memory_deinit(struct memory *m); /* after the last model */

/* The stores are loaded, and there was no run yet: what the process holds now is the fixed part. */
void memory_begin(struct daemon *d, uint64_t pss_bytes);

/* Logs the limit, and what does not fit into it. */
void memory_say(const struct daemon *d);

/* The model's scratch and always-needed part are in the books while it lives. */
void memory_add(struct memory *m, struct model *model);
void memory_remove(struct memory *m, const struct model *model);

/* What clients hold or runs were promised has changed: the stores have what is left. */
void memory_note(struct daemon *d);

struct memory_report {
    uint64_t limit; /* 0: none */
    uint64_t fixed, scratch, buffers, promised, resident;
    uint64_t
        accounted;   /* by the process at most: the parts above, promises as far as they are taken,
                           and 1 MiB for what comes with later requests: code, heap */
    double share;    /* of default budgets that is in force */
    uint64_t events; /* of pressure */
};

struct memory_report memory_report(const struct daemon *d);
