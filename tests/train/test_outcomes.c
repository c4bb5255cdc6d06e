/* What is remembered is what was put there, through growth and forgetting. */
#include <criterion/criterion.h>

#include "train/outcomes.h"

#define IMAGES 6000
#define TASKS 3
#define BLOCKS 2
#define LEVELS 5

static struct vn_outcome made_up(uint32_t image, uint32_t task, uint32_t a, uint32_t b)
{
    const uint32_t n = ((image * TASKS + task) * LEVELS + a) * LEVELS + b;

    return (struct vn_outcome){(float)n, n % 3 == 0};
}

/* Calls for every path of every sample: puts its outcome, or expects it. */
static void for_all(struct vn_outcomes *o, bool put, bool expected)
{
    for (uint32_t image = 0; image < IMAGES; image++)
        for (uint32_t task = 0; task < TASKS; task++)
            for (uint32_t path = 0; path < LEVELS * LEVELS; path++) {
                const struct vn_sample s = {.image = image * 977, .task = (uint16_t)task};
                const uint8_t level[BLOCKS] = {(uint8_t)(path / LEVELS), (uint8_t)(path % LEVELS)};
                const struct vn_outcome is = made_up(image, task, level[0], level[1]);
                struct vn_outcome found;

                if (put) {
                    vn_outcomes_put(o, &s, level, is);
                    continue;
                }
                cr_assert_eq(vn_outcomes_find(o, &s, level, &found), expected);
                cr_assert(!expected || (found.loss == is.loss && found.right == is.right),
                          "image %u task %u path %u", image, task, path);
            }
}

Test(outcomes, remembered, .timeout = 60)
{
    struct vn_outcomes *o = NULL;

    cr_assert_eq(vn_outcomes_new(BLOCKS, &o), 0);
    for_all(o, false, false);
    for_all(o, true, false);
    for_all(o, false, true);
    for_all(o, true, false); /* again: the same places */
    for_all(o, false, true);
    vn_outcomes_forget(o);
    for_all(o, false, false);
    vn_outcomes_free(o);
}
