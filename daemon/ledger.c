#include "daemon/ledger.h"

#include <assert.h>

void ledger_init(struct ledger *l, uint64_t limit_bytes)
{
    *l = (struct ledger){.limit = limit_bytes};
}

int ledger_fits(const struct ledger *l, uint64_t bytes)
{
    uint64_t limit = l->limit ? l->limit : UINT64_MAX;

    if (bytes > limit)
        return LEDGER_E_NEVER;
    return l->promised > limit - bytes ? LEDGER_E_FULL : 0;
}

int ledger_take(struct ledger *l, uint64_t bytes)
{
    int r = ledger_fits(l, bytes);

    if (r)
        return r;
    l->promised += bytes;
    l->running++;
    return 0;
}

void ledger_give(struct ledger *l, uint64_t bytes)
{
    assert(l->running && l->promised >= bytes);
    l->promised -= bytes;
    l->running--;
}
