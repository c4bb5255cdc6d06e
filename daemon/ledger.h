/* The memory ledger: what was promised to the runs that are on right now. Loop thread only. Bytes
 * here are promises, not pages: status.c says what the kernel counts.
 *
 * A run is entered with the most it may need: its path's total where the request fixes the path,
 * else the smaller of its budget and the full path's total, because the agent decides inside the
 * run and never goes above that. */
#pragma once

#include <stdint.h>

enum {
    LEDGER_E_FULL = 1, /* does not fit beside what is promised now; it may later */
    LEDGER_E_NEVER,    /* is above the limit by itself */
};

struct ledger {
    uint64_t promised; /* bytes, sum over the running */
    uint64_t limit;    /* bytes; 0: none */
    uint32_t running;
};

void ledger_init(struct ledger *l, uint64_t limit_bytes);

/* Whether a promise of this size fits: 0, LEDGER_E_FULL or LEDGER_E_NEVER. */
int ledger_fits(const struct ledger *l, uint64_t bytes);

/* Enters a run. As ledger_fits; on failure nothing changes. */
int ledger_take(struct ledger *l, uint64_t bytes);

/* Strikes out a run that was entered with these bytes. */
void ledger_give(struct ledger *l, uint64_t bytes);
