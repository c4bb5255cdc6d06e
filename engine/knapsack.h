/* The multiple-choice knapsack behind vn_plan_choose: one level per block, largest sum of scores,
 * sum of costs within a limit. Costs are those of engine/plan_costs.h, in windows (where blocks may
 * share one) or in parameters (which simply add).
 *
 * Method: a dynamic programme over the blocks. A state is the best way to a set of open shared
 * windows at a cost; of two states with the same set, the one that costs no less and scores no more
 * is dropped (it cannot win later). A state is also dropped when even the relaxed rest (levels may
 * be mixed in fractions, shared windows cost only their attributed part) does not reach a path that
 * is already known: one found greedily by score per cost. Both rules drop only what cannot be the
 * answer, so that the answer is exact.
 *
 * At most VN_KNAPSACK_STATES states are kept between two blocks. Networks of the usual kinds need
 * some hundreds; where more remain, those of the best outlook are kept, and the answer is within
 * the limit and not below the greedy one, but no longer proven to be the best. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/plan.h"
#include "engine/plan_costs.h"

#define VN_KNAPSACK_STATES 4096

enum {
    VN_KNAPSACK_E_TOO_SMALL = 1, /* min_level everywhere costs more than the limit */
};

struct vn_knapsack_facts {
    uint32_t states; /* most that were kept between two blocks */
    bool cut;        /* VN_KNAPSACK_STATES was reached */
};

/* limit: windows or parameters beyond the fixed part. scores: (m, levels), finite. ret_facts may be
 * NULL. 0, VN_KNAPSACK_E_TOO_SMALL or -ENOMEM. */
int vn_knapsack(const struct vn_task_costs *c, enum vn_plan_unit unit, uint64_t limit,
                const float *scores, uint32_t min_level, uint8_t *ret_levels,
                struct vn_knapsack_facts *ret_facts);
