#include "daemon/ledger.h"

#include <assert.h>

void ledger_init(struct ledger *l, uint64_t limit_bytes)
{
    *l = (struct ledger){.limit = limit_bytes ? limit_bytes : UINT64_MAX};
}

static uint64_t less(uint64_t from, uint64_t bytes)
{
    if (from == UINT64_MAX)
        return from;
    return from > bytes ? from - bytes : 0;
}

uint64_t ledger_possible(const struct ledger *l)
{
    return less(l->limit, l->fixed + l->scratch);
}

uint64_t ledger_left(const struct ledger *l)
{
    return less(ledger_possible(l), l->buffers + ledger_bytes(&l->promised));
}

uint64_t ledger_room(const struct ledger *l)
{
    return less(ledger_possible(l), l->buffers + l->promised.io);
}

int ledger_fits(const struct ledger *l, const struct ledger_promise *p)
{
    uint64_t bytes = ledger_bytes(p);

    if (bytes > ledger_possible(l))
        return LEDGER_E_NEVER;
    return l->running && bytes > ledger_left(l) ? LEDGER_E_FULL : 0;
}

int ledger_take(struct ledger *l, const struct ledger_promise *p)
{
    if (l->running && ledger_bytes(p) > ledger_left(l))
        return LEDGER_E_FULL;
    l->promised.params += p->params;
    l->promised.io += p->io;
    l->running++;
    return 0;
}

void ledger_give(struct ledger *l, const struct ledger_promise *p)
{
    assert(l->running && l->promised.params >= p->params && l->promised.io >= p->io);
    l->promised.params -= p->params;
    l->promised.io -= p->io;
    l->running--;
}
