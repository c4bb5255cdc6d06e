#include "engine/layout.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A network within its limits has at most 2^18 floats in a vector set and 2^26 in a convolution,
 * and fewer than 2^13 tensors: sums of bytes stay far below 2^64. */

/* The list under construction. `failed` is remembered, so that callers need no check per tensor. */
struct builder {
    struct vn_layout *l;
    uint32_t allocated;
    uint32_t pads;
    bool failed; /* out of memory */
};

static struct vn_tensor *new_tensor(struct builder *b)
{
    struct vn_layout *l = b->l;

    if (l->n_tensors == b->allocated) {
        uint32_t more = b->allocated ? b->allocated * 2 : 64;
        struct vn_tensor *tensors = realloc(l->tensors, more * sizeof tensors[0]);

        if (!tensors) {
            b->failed = true;
            return NULL;
        }
        l->tensors = tensors;
        b->allocated = more;
    }
    l->tensors[l->n_tensors] = (struct vn_tensor){.offset = l->data_bytes};
    return &l->tensors[l->n_tensors++];
}

/* Fills the gap up to the next multiple of `unit` with an explicit tensor. */
static void pad_to(struct builder *b, uint64_t unit)
{
    uint64_t gap = (unit - b->l->data_bytes % unit) % unit;
    struct vn_tensor *t = gap ? new_tensor(b) : NULL;

    if (!t)
        return;
    snprintf(t->name, sizeof t->name, "pad.%u", b->pads++);
    t->n_dims = 1;
    t->shape[0] = (uint32_t)gap;
    t->bytes = gap;
    t->padding = true;
    b->l->data_bytes += gap;
}

struct shape {
    uint32_t n;
    uint32_t d[4];
};

/* Adds a tensor at the next 64 bytes; its index. */
static uint32_t add(struct builder *b, struct shape shape, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static uint32_t add(struct builder *b, struct shape shape, const char *format, ...)
{
    struct vn_tensor *t;
    va_list ap;

    pad_to(b, VN_TENSOR_ALIGN);
    t = new_tensor(b);
    if (!t)
        return 0;
    va_start(ap, format);
    vsnprintf(t->name, sizeof t->name, format, ap);
    va_end(ap);
    t->n_dims = shape.n;
    t->bytes = sizeof(float);
    for (uint32_t i = 0; i < shape.n; i++) {
        t->shape[i] = shape.d[i];
        t->bytes *= shape.d[i];
    }
    b->l->data_bytes += t->bytes;
    return b->l->n_tensors - 1;
}

static struct shape shape1(uint32_t a)
{
    return (struct shape){1, {a}};
}

static struct shape shape2(uint32_t a, uint32_t b)
{
    return (struct shape){2, {a, b}};
}

static struct shape shape3(uint32_t a, uint32_t b, uint32_t c)
{
    return (struct shape){3, {a, b, c}};
}

static struct shape shape4(uint32_t k, uint32_t ci, uint32_t co)
{
    return (struct shape){4, {k, k, ci, co}};
}

/* --- parts ------------------------------------------------------------------------------------ */

/* prefix: "" for the backbone, "agent." for the conv agent. */
static void add_stems(struct builder *b, const struct vn_network *n, const char *prefix,
                      struct vn_trunk_layout *trunk)
{
    for (uint32_t i = 0; i < n->n_inputs; i++) {
        const struct vn_input *in = &n->inputs[i];

        trunk->stem_conv[i] =
            add(b, shape4(in->stem_kernel, vn_color_channels(in->color), n->stem_width),
                "%sinput.%u.stem.conv", prefix, i);
        trunk->stem_bn[i] = add(b, shape2(2, n->stem_width), "%sinput.%u.stem.bn", prefix, i);
    }
}

/* prefix: "block.B.group.G" or "agent.block.B". */
static void add_slice(struct builder *b, const struct vn_network *n, struct vn_block block,
                      const char *prefix, struct vn_slice *ret)
{
    uint64_t i = n->n_inputs;

    pad_to(b, VN_TENSOR_ALIGN);
    ret->offset = b->l->data_bytes;
    ret->conv1 = add(b, shape4(3, block.ci, block.h), "%s.conv1", prefix);
    ret->conv2 = add(b, shape4(3, block.h, block.co), "%s.conv2", prefix);
    ret->bn1 = add(b, shape3(n->n_inputs, 2, block.h), "%s.bn1", prefix);
    ret->bn2 = add(b, shape3(n->n_inputs, 2, block.co), "%s.bn2", prefix);
    ret->bytes = b->l->data_bytes - ret->offset;
    ret->params = (uint64_t)9 * block.h * (block.ci + block.co) + i * 2 * (block.h + block.co);
}

static void add_agent(struct builder *b, const struct vn_network *n)
{
    struct vn_layout *l = b->l;
    uint32_t in = vn_agent_inputs(n), out = vn_agent_outputs(n);

    if (n->agent.kind == VN_AGENT_UNIFORM)
        return;
    if (n->agent.kind == VN_AGENT_CONV) {
        struct vn_network trunk;

        vn_network_of_agent(n, &trunk);
        add_stems(b, &trunk, "agent.", &l->agent_trunk);
        for (uint32_t i = 0; i < vn_network_blocks(&trunk); i++) {
            char prefix[32];

            snprintf(prefix, sizeof prefix, "agent.block.%u", i);
            add_slice(b, &trunk, vn_network_block(&trunk, i), prefix, &l->agent_trunk.slice[0][i]);
        }
    }
    l->agent_embedding = add(b, shape2(n->n_tasks, n->agent.embedding), "agent.embedding");
    l->agent_fc1_weight = add(b, shape2(in, n->agent.hidden), "agent.fc1.weight");
    l->agent_fc1_bias = add(b, shape1(n->agent.hidden), "agent.fc1.bias");
    l->agent_fc2_weight = add(b, shape2(n->agent.hidden, out), "agent.fc2.weight");
    l->agent_fc2_bias = add(b, shape1(out), "agent.fc2.bias");
}

static void add_heads(struct builder *b, const struct vn_network *n)
{
    for (uint32_t t = 0; t < n->n_tasks; t++) {
        uint32_t labels = n->tasks[t].n_labels;

        b->l->head_weight[t] =
            add(b, shape2(vn_network_width(n), labels), "task.%u.head.weight", t);
        b->l->head_bias[t] = add(b, shape1(labels), "task.%u.head.bias", t);
    }
}

/* Bytes of a slice as add_slice lays it out from an aligned offset. */
static uint64_t slice_bytes(const struct vn_network *n, struct vn_block b)
{
    const uint64_t floats[] = {(uint64_t)9 * b.ci * b.h, (uint64_t)9 * b.h * b.co,
                               (uint64_t)n->n_inputs * 2 * b.h, (uint64_t)n->n_inputs * 2 * b.co};
    uint64_t bytes = 0;

    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++)
        bytes = (bytes + VN_TENSOR_ALIGN - 1) / VN_TENSOR_ALIGN * VN_TENSOR_ALIGN +
                floats[i] * sizeof(float);
    return bytes;
}

/* Large slices start on windows; for small ones the padding would cost more than it saves. */
static uint64_t slice_alignment(const struct vn_network *n)
{
    uint64_t sum = 0;
    uint32_t m = vn_network_blocks(n);

    for (uint32_t b = 0; b < m; b++)
        sum += slice_bytes(n, vn_network_block(n, b));
    return sum >= (uint64_t)VN_SLICE_ALIGN_FROM * m ? VN_WINDOW_BYTES : VN_TENSOR_ALIGN;
}

static void add_slices(struct builder *b, const struct vn_network *n)
{
    uint64_t alignment = slice_alignment(n);

    for (uint32_t g = 0; g < n->groups; g++)
        for (uint32_t i = 0; i < vn_network_blocks(n); i++) {
            char prefix[40];

            snprintf(prefix, sizeof prefix, "block.%u.group.%u", i, g);
            pad_to(b, alignment);
            add_slice(b, n, vn_network_block(n, i), prefix, &b->l->trunk.slice[g][i]);
        }
}

/* --- public ----------------------------------------------------------------------------------- */

int vn_layout_new(const struct vn_network *n, struct vn_why *why, struct vn_layout **ret_layout)
{
    _cleanup_(vn_layout_freep) struct vn_layout *l = calloc(1, sizeof *l);
    struct builder b = {.l = l};

    if (!l)
        return -ENOMEM;
    add_stems(&b, n, "", &l->trunk);
    add_agent(&b, n);
    add_heads(&b, n);
    l->fixed_bytes = l->data_bytes;
    add_slices(&b, n);
    if (b.failed)
        return -ENOMEM;
    if (l->data_bytes > VN_DATA_BYTES_MAX)
        return vn_because(why, VN_NETWORK_E_INVALID,
                          "the network has %llu bytes of parameters; at most %llu are allowed",
                          (unsigned long long)l->data_bytes, (unsigned long long)VN_DATA_BYTES_MAX);
    *ret_layout = l;
    l = NULL;
    return 0;
}

struct vn_layout *vn_layout_free(struct vn_layout *l)
{
    if (!l)
        return NULL;
    free(l->tensors);
    free(l);
    return NULL;
}

uint64_t vn_layout_agent_params(const struct vn_network *n, const struct vn_layout *l,
                                uint32_t input)
{
    uint64_t hidden = n->agent.hidden, out = vn_agent_outputs(n), params;

    if (n->agent.kind == VN_AGENT_UNIFORM)
        return 0;
    params = n->agent.embedding + (vn_agent_inputs(n) + 1) * hidden + (hidden + 1) * out;
    if (n->agent.kind == VN_AGENT_CONV) {
        struct vn_network trunk;
        uint64_t w = n->agent.width;

        vn_network_of_agent(n, &trunk);
        params += l->tensors[l->agent_trunk.stem_conv[input]].bytes / sizeof(float) + 2 * w;
        for (uint32_t b = 0; b < vn_network_blocks(&trunk); b++)
            params += 9 * w * 2 * w + 2 * 2 * w; /* conv1 and conv2; one row each of bn1, bn2 */
    }
    return params;
}

int vn_layout_find(const struct vn_layout *l, const char *name)
{
    for (uint32_t i = 0; i < l->n_tensors; i++)
        if (!strcmp(l->tensors[i].name, name))
            return (int)i;
    return -1;
}
