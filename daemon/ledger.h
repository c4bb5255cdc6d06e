/* The memory ledger: one owner, the loop thread, for the memory of the whole process.
 *
 *     fixed + scratch + buffers + promised <= limit
 *
 * fixed     what the process holds loaded and before the first run (PSS)
 * scratch   the arenas of all sessions, as large as they can become
 * buffers   requests that arrive or wait. They never keep a run out that is alone, or nothing would
 *           go on: they may pass the limit, by what other limits let clients hold
 * promised  of the runs that are on: their parameters as they become resident, pixels and results
 *
 * What runs leave resident has what is left of the limit, and goes when a run needs its place
 * (engine/residency.h): ledger_room says how much that is. Bytes here are promises, not pages:
 * status.c says what the kernel counts.
 *
 * A run is entered with the most it may need: its path's bytes where the request fixes the path,
 * else the smaller of its budget and the full path, because the agent decides inside the run and
 * never goes above that. */
#pragma once

#include <stdint.h>

enum {
    LEDGER_E_FULL = 1, /* does not fit beside what is promised now; it may later */
    LEDGER_E_NEVER,    /* is above the limit by itself */
};

/* What a run may need beside its session's scratch. */
struct ledger_promise {
    uint64_t params; /* resident */
    uint64_t io;
};

struct ledger {
    uint64_t limit; /* bytes of the process; UINT64_MAX: none */
    uint64_t fixed, scratch, buffers;
    struct ledger_promise promised; /* sum over the running */
    uint32_t running;
};

/* limit_bytes 0: none. */
void ledger_init(struct ledger *l, uint64_t limit_bytes);

static inline uint64_t ledger_bytes(const struct ledger_promise *p)
{
    return p->io > UINT64_MAX - p->params ? UINT64_MAX : p->params + p->io;
}

/* What all runs together may be promised, when nobody sends anything. UINT64_MAX: no limit. */
uint64_t ledger_possible(const struct ledger *l);

/* What is left of it now. */
uint64_t ledger_left(const struct ledger *l);

/* What may be resident of stores, beyond the always-needed: for those that run, and kept. */
uint64_t ledger_room(const struct ledger *l);

/* Whether a promise fits: 0, LEDGER_E_FULL or LEDGER_E_NEVER. */
int ledger_fits(const struct ledger *l, const struct ledger_promise *p);

/* Enters a run whose promise fitted when it was asked for. 0, or LEDGER_E_FULL: nothing changes.
 * A run that is alone always fits, or nothing would go on: what the process holds may have grown
 * since, with a second store while the first is still in use. */
int ledger_take(struct ledger *l, const struct ledger_promise *p);

/* Strikes out a run that was entered with this promise. */
void ledger_give(struct ledger *l, const struct ledger_promise *p);
