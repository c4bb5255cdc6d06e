/* What the ledger is told of a request: the most that its run may need. And what becomes of a
 * request that does not fit: it waits, is planned again with what is left, or is refused, as it
 * says or else as the configuration says. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/ledger.h"

struct config;
struct job;
struct refusal;

/* The words of the configuration's when_memory_full, in this order. */
enum memory_full {
    MEMORY_FULL_WAIT,
    MEMORY_FULL_REPLAN,
    MEMORY_FULL_REFUSE,
};

/* What promises depend on, beside the request. */
struct promise_terms {
    const struct ledger *ledger;
    enum memory_full when_full; /* where the request does not say */
    double default_share;       /* of default budgets that is in force (daemon/pressure.h) */
    uint32_t retry_ms;          /* when those that run may be done */
};

/* Of a job whose task, image, levels and wishes are set: its promise and its budget. A budget that
 * the request does not state is never above what memory_limit_bytes allows; one that it states is
 * lowered where the request may be planned again. 0, or 1 with the refusal set. */
int promise_make(struct job *j, const struct promise_terms *terms, struct refusal *r);

/* So that the promise is at most so many bytes. False: it cannot be, or was not asked for. */
bool promise_shrink(struct job *j, uint64_t bytes);

/* BUSY, because of the memory limit; retry_ms: when others may be done. Returns 1. */
int promise_refuse(const struct job *j, const struct ledger *l, uint32_t retry_ms,
                   struct refusal *r);
