#include <criterion/criterion.h>
#include <string.h>

#include "engine/layout.h"
#include "support.h"

#define LARGE_STAGES                                                                               \
    "[{\"blocks\":2,\"width\":256,\"stride\":1,\"group_width\":16},"                               \
    "{\"blocks\":2,\"width\":512,\"stride\":2,\"group_width\":24}]"

static const struct net_spec specs[] = {
    {0},
    {.inputs = 3, .tasks = 7, .agent = "{\"kind\":\"conv\"}", .stem_kernel = 7},
    {.inputs = 2, .agent = "{\"kind\":\"shared\"}", .groups = 1},
    {.agent = "{\"kind\":\"task\"}", .groups = 16},
    {.stem_width = 256, .stages = LARGE_STAGES, .inputs = 8, .agent = "{\"kind\":\"conv\"}"},
};

static struct vn_layout *layout_of(const struct vn_network *n)
{
    struct vn_layout *l = NULL;
    struct vn_why why = {""};

    cr_assert_eq(vn_layout_new(n, &why, &l), 0, "%s", why.text);
    return l;
}

static bool large(const struct net_spec *s)
{
    return s->stages != NULL;
}

/* No holes, no overlaps; alignments; padding is where it says and nowhere else. */
Test(layout, file_order)
{
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&specs[i]);
        _cleanup_(vn_layout_freep) struct vn_layout *l = layout_of(n);
        uint64_t end = 0;

        for (uint32_t t = 0; t < l->n_tensors; t++) {
            const struct vn_tensor *x = &l->tensors[t];
            uint64_t bytes = x->padding ? 1 : 4;

            for (uint32_t d = 0; d < x->n_dims; d++)
                bytes *= x->shape[d];
            cr_assert_eq(x->offset, end, "%s", x->name);
            cr_assert_eq(x->bytes, bytes, "%s", x->name);
            cr_assert(x->padding || x->offset % VN_TENSOR_ALIGN == 0, "%s", x->name);
            cr_assert_eq(x->padding, !strncmp(x->name, "pad.", 4));
            cr_assert(!x->padding || x->bytes < (large(&specs[i]) ? 65536 : 64), "%s", x->name);
            cr_assert_eq(vn_layout_find(l, x->name), (int)t);
            end += bytes;
        }
        cr_assert_eq(end, l->data_bytes);
        cr_assert_eq(vn_layout_find(l, "nothing"), -1);
    }
}

/* Slices are contiguous, group-major, behind the fixed part; params are what the tensors hold. */
Test(layout, slices)
{
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&specs[i]);
        _cleanup_(vn_layout_freep) struct vn_layout *l = layout_of(n);
        uint64_t end = l->fixed_bytes;

        for (uint32_t g = 0; g < n->groups; g++)
            for (uint32_t b = 0; b < vn_network_blocks(n); b++) {
                const struct vn_slice *s = &l->trunk.slice[g][b];
                const uint32_t t[] = {s->conv1, s->conv2, s->bn1, s->bn2};
                uint64_t floats = 0;

                for (int k = 0; k < 4; k++)
                    floats += l->tensors[t[k]].bytes / 4;
                cr_assert_eq(floats, s->params);
                cr_assert_geq(s->offset, end);
                cr_assert_lt(s->offset - end, large(&specs[i]) ? 65536 : 64);
                cr_assert_eq(s->offset % (large(&specs[i]) ? 65536 : 64), 0);
                cr_assert_eq(s->offset, l->tensors[s->conv1].offset);
                end = l->tensors[s->bn2].offset + l->tensors[s->bn2].bytes;
                cr_assert_eq(s->bytes, end - s->offset);
            }
        cr_assert_eq(end, l->data_bytes);
    }
}

/* Slices start on windows exactly when the mean slice has 256 KiB. One block, one group, one input
 * of width c and hidden width h: 4 * (9 h 2 c + 2 h + 2 c) bytes, here with c = 64: 4616 h + 512;
 * 262144 - 512 = 56.7 * 4616. */
Test(layout, alignment_starts_at_a_quarter_mebibyte)
{
    for (uint32_t h = 56; h <= 57; h++) {
        char stages[128];
        struct net_spec spec = {.stem_width = 64, .groups = 2, .stages = stages};
        _cleanup_(vn_network_freep) struct vn_network *n = NULL;
        _cleanup_(vn_layout_freep) struct vn_layout *l = NULL;

        snprintf(stages, sizeof stages,
                 "[{\"blocks\":1,\"width\":64,\"stride\":1,\"group_width\":%u}]", h);
        n = spec_network(&spec);
        l = layout_of(n);
        cr_assert_eq(l->trunk.slice[1][0].offset % 65536 == 0, h == 57, "h = %u", h);
    }
}

Test(layout, agent_params)
{
    struct net_spec spec = {.agent =
                                "{\"kind\":\"conv\",\"width\":6,\"stem_kernel\":5,\"hidden\":7,"
                                "\"embedding\":3}",
                            .inputs = 2};
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&spec);
    _cleanup_(vn_layout_freep) struct vn_layout *l = layout_of(n);
    /* 4 blocks x 5 levels = 20 logits; policy inputs 6 + 3 + 2 = 11 */
    const uint64_t policy = 3 + 11 * 7 + 7 + 7 * 20 + 20;
    /* three blocks: two convolutions of 9 x 6 x 6, and a scale and bias of 6 behind each */
    const uint64_t blocks = 3 * (2 * 9 * 6 * 6 + 2 * 2 * 6);

    /* stem 5 x 5 from 3 colours, or 1 of gray, to 6, and its scale and bias */
    cr_assert_eq(vn_layout_agent_params(n, l, 0), policy + blocks + 25 * 3 * 6 + 12);
    cr_assert_eq(vn_layout_agent_params(n, l, 1), policy + blocks + 25 * 1 * 6 + 12);
}

Test(layout, too_large)
{
    /* 64 blocks x 16 groups x 2 convolutions x 9 x 2048 x 2048 floats: 4.5 times 64 GiB */
    struct net_spec spec = {
        .stem_width = 2048,
        .groups = 16,
        .stages = "[{\"blocks\":64,\"width\":2048,\"stride\":1,\"group_width\":2048}]",
    };
    _cleanup_(vn_network_freep) struct vn_network *n = spec_network(&spec);
    struct vn_layout *l;
    struct vn_why why = {""};

    cr_assert_eq(vn_layout_new(n, &why, &l), VN_NETWORK_E_INVALID);
    cr_assert(strstr(why.text, "68719476736"), "%s", why.text);
}
