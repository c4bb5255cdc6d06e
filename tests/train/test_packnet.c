/* Which slices are whose, and what a task may train. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "train/packnet.h"

/* Three blocks of four groups: twelve slices. */
static struct vn_network *make_network(uint32_t tasks)
{
    struct vn_network *n = NULL;
    struct vn_why why = {""};
    char text[4096];
    int at =
        snprintf(text, sizeof text,
                 "{\"name\": \"tiny\", \"stem_width\": 4, \"groups\": 4,"
                 "\"inputs\": [{\"name\": \"a\", \"width\": 8, \"height\": 8, \"color\": \"gray\","
                 "  \"crop\": \"none\", \"resize\": \"bilinear\", \"mean\": [0], \"std\": [1],"
                 "  \"stem_kernel\": 3, \"stem_stride\": 1}],"
                 "\"stages\": [{\"blocks\": 3, \"width\": 4, \"stride\": 1, \"group_width\": 2}],"
                 "\"agent\": {\"kind\": \"uniform\"}, \"tasks\": [");

    for (uint32_t t = 0; t < tasks; t++)
        at += snprintf(text + at, sizeof text - (size_t)at,
                       "%s{\"name\": \"t%u\", \"input\": \"a\", \"labels\": [\"x\", \"y\"],"
                       " \"order\": [0, 1, 2, 3]}",
                       t ? "," : "", t);
    snprintf(text + at, sizeof text - (size_t)at, "]}");
    cr_assert_eq(vn_network_parse(text, strlen(text), &why, &n), 0, "%s", why.text);
    return n;
}

static void expect_path(const struct vn_network *n, uint32_t task, const uint8_t expected[3])
{
    uint8_t levels[VN_BLOCKS_MAX];

    vn_packnet_path(n, task, levels);
    cr_expect_arr_eq(levels, expected, 3, "task %u: %u %u %u", task, levels[0], levels[1],
                     levels[2]);
}

Test(packnet, tasks_get_equal_shares)
{
    _cleanup_(vn_network_freep) struct vn_network *n = make_network(5);

    /* 12 slices for 5 tasks: 2, 4, 7, 9, 12 */
    expect_path(n, 0, (const uint8_t[]){1, 1, 0});
    expect_path(n, 1, (const uint8_t[]){2, 1, 1});
    expect_path(n, 2, (const uint8_t[]){3, 2, 2});
    expect_path(n, 4, (const uint8_t[]){4, 4, 4});
}

Test(packnet, more_tasks_than_slices)
{
    _cleanup_(vn_network_freep) struct vn_network *n = make_network(14);

    expect_path(n, 0, (const uint8_t[]){1, 0, 0});
    expect_path(n, 10, (const uint8_t[]){4, 4, 3});
    expect_path(n, 11, (const uint8_t[]){4, 4, 4});
    expect_path(n, 13, (const uint8_t[]){4, 4, 4});
}

/* Over all tasks every tensor is free once, a head and the stem too; none is free twice. */
static void expect_free_once(uint32_t tasks)
{
    _cleanup_(vn_network_freep) struct vn_network *n = make_network(tasks);
    _cleanup_(vn_model_freep) struct vn_model *m = NULL;
    uint32_t times[1024] = {0};
    struct vn_why why;

    cr_assert_eq(vn_model_new(n, 1, 0.5, false, &why, &m), 0);
    cr_assert_lt(m->layout->n_tensors, 1024);
    for (uint32_t t = 0; t < tasks; t++) {
        vn_packnet_freeze(m, t);
        for (uint32_t i = 0; i < m->layout->n_tensors; i++)
            times[i] += !m->frozen[i];
        cr_assert(!m->frozen[m->layout->head_weight[t]]);
    }
    for (uint32_t i = 0; i < m->layout->n_tensors; i++)
        cr_expect_eq(times[i], !m->layout->tensors[i].padding, "%s: %u times",
                     m->layout->tensors[i].name, times[i]);
}

Test(packnet, every_tensor_is_trained_by_one_task)
{
    expect_free_once(1);
    expect_free_once(5);
    expect_free_once(14);
}
