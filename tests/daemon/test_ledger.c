/* The ledger: what fits, what may fit later, what never does, and what is left for the stores. */
#include <criterion/criterion.h>

#include "daemon/ledger.h"

static int take(struct ledger *l, uint64_t params, uint64_t io)
{
    return ledger_take(l, &(struct ledger_promise){params, io});
}

static void give(struct ledger *l, uint64_t params, uint64_t io)
{
    ledger_give(l, &(struct ledger_promise){params, io});
}

/* A process that holds 100 of 200 itself. */
static struct ledger half(void)
{
    struct ledger l;

    ledger_init(&l, 200);
    l.fixed = 70;
    l.scratch = 30;
    return l;
}

Test(ledger, limit_is_exact)
{
    struct ledger l = half();

    cr_assert_eq(ledger_possible(&l), 100);
    cr_assert_eq(take(&l, 50, 10), 0);
    cr_assert_eq(take(&l, 40, 1), LEDGER_E_FULL); /* 101 of 100; alone it would fit */
    cr_assert_eq(ledger_fits(&l, &(struct ledger_promise){50, 51}), LEDGER_E_NEVER);
    cr_assert_eq(ledger_left(&l), 40);
    cr_assert_eq(take(&l, 20, 20), 0);
    cr_assert_eq(ledger_left(&l), 0);
    cr_assert_eq(l.running, 2);
    give(&l, 50, 10);
    cr_assert_eq(ledger_left(&l), 60);
    give(&l, 20, 20);
    cr_assert_eq(ledger_bytes(&l.promised), 0);
    cr_assert_eq(l.running, 0);
}

Test(ledger, buffers_count_while_they_are_there)
{
    struct ledger l = half();

    l.buffers = 30;
    cr_assert_eq(take(&l, 20, 0), 0);
    cr_assert_eq(take(&l, 51, 0), LEDGER_E_FULL); /* later it may: they pass */
    cr_assert_eq(take(&l, 40, 10), 0);
    l.buffers = 300; /* more than there is */
    cr_assert_eq(ledger_left(&l), 0);
    cr_assert_eq(ledger_room(&l), 0);
}

Test(ledger, buffers_never_keep_out_who_is_alone)
{
    struct ledger l = half();

    l.buffers = 90;
    cr_assert_eq(take(&l, 90, 10), 0);
    cr_assert_eq(take(&l, 1, 0), LEDGER_E_FULL);
}

Test(ledger, stores_have_what_is_left)
{
    struct ledger l = half();

    cr_assert_eq(ledger_room(&l), 100);
    cr_assert_eq(take(&l, 50, 10), 0);
    cr_assert_eq(ledger_room(&l), 90); /* the run's slices are among those that are resident */
    l.buffers = 5;
    cr_assert_eq(ledger_room(&l), 85);
}

Test(ledger, what_the_process_holds_may_pass_the_limit)
{
    struct ledger l = half();

    l.fixed = 500;
    cr_assert_eq(ledger_possible(&l), 0);
    cr_assert_eq(ledger_fits(&l, &(struct ledger_promise){1, 0}), LEDGER_E_NEVER);
    cr_assert_eq(take(&l, 1, 0), 0); /* it was asked for when there was room */
    cr_assert_eq(take(&l, 1, 0), LEDGER_E_FULL);
}

Test(ledger, no_limit_still_does_not_wrap)
{
    struct ledger l;

    ledger_init(&l, 0);
    cr_assert_eq(ledger_room(&l), UINT64_MAX);
    cr_assert_eq(take(&l, UINT64_MAX / 2, UINT64_MAX / 4), 0);
    cr_assert_eq(ledger_left(&l), UINT64_MAX);
}
