/* The ledger: what fits, what may fit later, what never does. */
#include <criterion/criterion.h>

#include "daemon/ledger.h"

Test(ledger, limit_is_exact)
{
    struct ledger l;

    ledger_init(&l, 100);
    cr_assert_eq(ledger_take(&l, 60), 0);
    cr_assert_eq(ledger_take(&l, 41), LEDGER_E_FULL); /* 101 of 100; alone it would fit */
    cr_assert_eq(ledger_take(&l, 101), LEDGER_E_NEVER);
    cr_assert_eq(ledger_take(&l, 40), 0);
    cr_assert_eq(l.promised, 100);
    cr_assert_eq(l.running, 2);
    ledger_give(&l, 60);
    cr_assert_eq(ledger_fits(&l, 60), 0);
    cr_assert_eq(ledger_fits(&l, 61), LEDGER_E_FULL);
    ledger_give(&l, 40);
    cr_assert_eq(l.promised, 0);
    cr_assert_eq(l.running, 0);
}

Test(ledger, no_limit_still_does_not_wrap)
{
    struct ledger l;

    ledger_init(&l, 0);
    cr_assert_eq(ledger_take(&l, UINT64_MAX - 1), 0);
    cr_assert_eq(ledger_take(&l, 2), LEDGER_E_FULL);
    cr_assert_eq(ledger_take(&l, 1), 0);
    cr_assert_eq(l.promised, UINT64_MAX);
}
