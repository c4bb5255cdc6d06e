/* The description of one multi-task network: what a store holds, without its numbers.
 *
 * Vocabulary and block: a block is g independent residual branches over a trunk of full width
 *     branch_g(x) = BN2_g(conv3x3_{h->Co}(relu(BN1_g(conv3x3_{Ci->h, stride}(x)))))
 *     y = relu(shortcut(x) + sum over the first `level` groups of the task's order of branch_g(x))
 * so that a level is legal in every block, whatever the others use (Deep Elastic Networks, ICCV
 * 2019, with NestedNet's nesting condition h^l subset of h^m for l <= m).
 *
 * The description travels as JSON inside the store (docs/VIRTUALNET.md); everything in it is
 * checked against the limits below before use. It is immutable once made. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/why.h"

#define VN_NAME_MAX 64     /* bytes of a name or label, without the final NUL */
#define VN_INPUTS_MAX 8    /* image domains */
#define VN_STAGES_MAX 8    /* */
#define VN_BLOCKS_MAX 64   /* m, over all stages */
#define VN_GROUPS_MAX 16   /* g */
#define VN_LEVELS_MAX 17   /* 0 .. g */
#define VN_TASKS_MAX 256   /* */
#define VN_LABELS_MAX 1000 /* of one task */
#define VN_WIDTH_MAX 2048  /* channels of the trunk, or of a group's hidden layer */
#define VN_SIDE_MAX 512    /* pixels on a side of an input */
#define VN_MEASURED_MAX 64 /* rows of a task's accuracy table */
#define VN_KERNEL_MAX 11   /* side of a stem's kernel */
#define VN_STEM_STRIDE_MAX 32
#define VN_MEAN_MAX 1000.0 /* |mean| of a channel */
#define VN_STD_MIN 1e-3    /* of a channel */
#define VN_STD_MAX 1e3
#define VN_AGENT_EMBEDDING_MAX 64
#define VN_AGENT_HIDDEN_MAX 1024
#define VN_AGENT_WIDTH_MAX 256 /* conv agent's trunk */

enum {
    VN_NETWORK_E_INVALID = 1, /* why names the field and the allowed range */
};

enum vn_color {
    VN_COLOR_GRAY, /* 1 channel */
    VN_COLOR_RGB,  /* 3 channels in this order */
    VN_COLOR_BGR,
};

enum vn_crop {
    VN_CROP_NONE,   /* the whole image is stretched to the input's size */
    VN_CROP_CENTER, /* first the largest centred part with the input's aspect ratio */
};

/* An image domain: size, preprocessing and stem. Channel value = (v / 255 - mean) / std. */
struct vn_input {
    char name[VN_NAME_MAX + 1];
    uint32_t width, height; /* pixels the network sees */
    enum vn_color color;
    enum vn_crop crop;
    float mean[3], std[3]; /* per channel, of values in 0 .. 1 */
    uint32_t stem_kernel;  /* odd, 1 .. 11; padding (k - 1) / 2 */
    uint32_t stem_stride;  /* 1 .. 32 */
};

static inline uint32_t vn_color_channels(enum vn_color c)
{
    return c == VN_COLOR_GRAY ? 1 : 3;
}

struct vn_stage {
    uint32_t blocks;
    uint32_t width;       /* Co: trunk channels of every block of the stage */
    uint32_t stride;      /* of the stage's first block: 1, 2 or 4 */
    uint32_t group_width; /* h: hidden channels of one group */
};

/* One row of a task's accuracy/bytes table, measured on the validation split at export. */
struct vn_measured {
    char by[16];     /* "uniform", or the agent's kind */
    double setting;  /* uniform: the level; agent: the budget as a share of the full path */
    double accuracy; /* 0 .. 1 */
    double params;   /* mean parameters of the path, agent included */
    double bytes;    /* mean resident parameter bytes of the path */
};

struct vn_task {
    char name[VN_NAME_MAX + 1];
    uint32_t input;               /* index into inputs */
    uint8_t order[VN_GROUPS_MAX]; /* a permutation of 0 .. g-1; a level takes a prefix */
    uint32_t n_labels;
    char (*labels)[VN_NAME_MAX + 1]; /* owned, n_labels */
    uint32_t n_measured;
    struct vn_measured *measured; /* owned; may be empty */
};

enum vn_agent_kind {
    VN_AGENT_UNIFORM, /* no parameters: the largest uniform level that fits */
    VN_AGENT_TASK,    /* policy of task and budget, no image */
    VN_AGENT_CONV,    /* the paper's: three residual blocks of its own look at the image */
    VN_AGENT_SHARED,  /* looks at pooled features and confidence of a low path of the backbone */
};

struct vn_agent {
    enum vn_agent_kind kind;
    uint32_t embedding;   /* floats per task */
    uint32_t hidden;      /* width of the policy's hidden layer */
    uint32_t probe_level; /* shared: the uniform level that is run first; 0 .. g */
    uint32_t stem_kernel; /* conv: as for an input */
    uint32_t stem_stride;
    uint32_t width; /* conv: trunk and hidden width of its three blocks (strides 1, 2, 1) */
    bool pooled;    /* shared: it sees the pooled trunk beside the confidence */
};

struct vn_network {
    char name[VN_NAME_MAX + 1];
    uint32_t stem_width; /* channels that every stem produces */
    uint32_t groups;     /* g */
    uint32_t n_inputs, n_stages, n_tasks;
    struct vn_input inputs[VN_INPUTS_MAX];
    struct vn_stage stages[VN_STAGES_MAX];
    struct vn_task *tasks; /* owned, n_tasks */
    struct vn_agent agent;
    json_t *training; /* owned: how it was trained, as the trainer wrote it; may be NULL */
};

/* A block, as its stage and place imply it. */
struct vn_block {
    uint32_t ci, co, h, stride; /* channels in, out, of one group's hidden layer */
};

/* Reads the object at `at` and checks every field. 0, VN_NETWORK_E_INVALID or -ENOMEM. */
int vn_network_read(const struct vn_json_at *at, struct vn_network **ret_network);

/* The same from text (as in a store's header). */
int vn_network_parse(const char *text, size_t length, struct vn_why *why,
                     struct vn_network **ret_network);

/* A new JSON object that vn_network_read reads back to the same network; NULL: out of memory. */
json_t *vn_network_to_json(const struct vn_network *n);

struct vn_network *vn_network_free(struct vn_network *n); /* takes NULL, returns NULL */
VN_DEFINE_CLEANUP(struct vn_network *, vn_network_free);

uint32_t vn_network_blocks(const struct vn_network *n);                   /* m */
struct vn_block vn_network_block(const struct vn_network *n, uint32_t b); /* b < m */
uint32_t vn_network_width(const struct vn_network *n); /* trunk channels before the heads */

/* Index of the task, input with this name, or -1. */
int vn_network_find_task(const struct vn_network *n, const char *name);
int vn_network_find_input(const struct vn_network *n, const char *name);

/* Fills order with the cyclic shift of task t of T: start floor(t g / T). */
void vn_order_cyclic(uint32_t groups, uint32_t t, uint32_t tasks, uint8_t order[VN_GROUPS_MAX]);

/* Output side of a convolution or pooling with odd kernel and padding (k - 1) / 2. */
static inline uint32_t vn_strided(uint32_t side, uint32_t stride)
{
    return (side + stride - 1) / stride;
}

/* The network of a `conv` agent's feature extractor: the same inputs with the agent's stem, three
 * blocks of one group, no tasks, no agent. Plain data: nothing in *ret is owned. */
void vn_network_of_agent(const struct vn_network *n, struct vn_network *ret_trunk);

/* Policy network (kinds other than uniform): features F, then fc1, ReLU, fc2.
 * F of image features: 0 (task), trunk width (conv), [backbone width +] VN_AGENT_CONFIDENCE. */
#define VN_AGENT_CONFIDENCE 3 /* of vn_agent_confidence */
#define VN_AGENT_WISHES 2     /* budget and thrift */
uint32_t vn_agent_features(const struct vn_network *n);
uint32_t vn_agent_pooled(const struct vn_network *n); /* of these, how many are the pooled trunk */
static inline uint32_t vn_agent_inputs(const struct vn_network *n)
{
    return vn_agent_features(n) + n->agent.embedding + VN_AGENT_WISHES;
}
static inline uint32_t vn_agent_outputs(const struct vn_network *n) /* m x (g + 1), block-major */
{
    return vn_network_blocks(n) * (n->groups + 1);
}

extern const char *const vn_agent_kind_names[]; /* by enum, NULL-terminated */
extern const char *const vn_color_names[];
extern const char *const vn_crop_names[];
