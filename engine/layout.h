/* Where every tensor of a store lies, computed from the description alone, so that the writer, the
 * reader, the plan and the trainer agree without asking each other.
 *
 * Order in the file: stems, agent, heads ("fixed": every run may need them), then group-major: for
 * each group, for each block, one slice (conv1, conv2, bn1, bn2). All offsets count from the start
 * of the data, which itself lies on a 64 KiB boundary of the file; every tensor starts on 64 bytes,
 * every slice on 64 KiB when the mean slice is at least 256 KiB. Gaps are explicit `pad.N` tensors:
 * a safetensors file has no holes. */
#pragma once

#include <stdint.h>

#include "engine/network.h"

#define VN_WINDOW_BYTES UINT64_C(65536) /* what the kernel maps at a touch: fault-around */
#define VN_TENSOR_ALIGN 64              /* bytes */
#define VN_SLICE_ALIGN_FROM 262144      /* mean slice from which slices start on windows */
#define VN_DATA_BYTES_MAX (UINT64_C(1) << 36)
#define VN_TENSOR_NAME_MAX 96

/* A range of bytes of the data part. */
struct vn_range {
    uint64_t offset, bytes;
};

struct vn_tensor {
    char name[VN_TENSOR_NAME_MAX];
    uint32_t n_dims; /* 1 .. 4 */
    uint32_t shape[4];
    uint64_t offset; /* bytes from the start of the data */
    uint64_t bytes;
    bool padding; /* u8 zeros; all others are f32 */
};

/* The tensors of one trunk: the backbone's, or the conv agent's. Values are tensor indices. */
struct vn_trunk_layout {
    uint32_t stem_conv[VN_INPUTS_MAX]; /* [k, k, C, W0] */
    uint32_t stem_bn[VN_INPUTS_MAX];   /* [2, W0]: scale, bias */
    struct vn_slice {
        uint64_t offset, bytes; /* the slice's whole extent, inner padding included */
        uint64_t params;        /* floats in it */
        uint32_t conv1;         /* [3, 3, Ci, h] */
        uint32_t conv2;         /* [3, 3, h, Co] */
        uint32_t bn1;           /* [inputs, 2, h] */
        uint32_t bn2;           /* [inputs, 2, Co] */
    } slice[VN_GROUPS_MAX][VN_BLOCKS_MAX];
};

struct vn_layout {
    uint64_t data_bytes;
    uint32_t n_tensors;
    struct vn_tensor *tensors; /* owned, in file order */
    struct vn_trunk_layout trunk;
    struct vn_trunk_layout agent_trunk; /* kind conv only; its slices are part of "fixed" */
    uint32_t agent_embedding;           /* [tasks, E]; kinds other than uniform */
    uint32_t agent_fc1_weight;          /* [inputs, hidden] */
    uint32_t agent_fc1_bias;            /* [hidden] */
    uint32_t agent_fc2_weight;          /* [hidden, m (g + 1)] */
    uint32_t agent_fc2_bias;            /* [m (g + 1)] */
    uint32_t head_weight[VN_TASKS_MAX]; /* [width, labels] */
    uint32_t head_bias[VN_TASKS_MAX];   /* [labels] */
    uint64_t fixed_bytes;               /* extent of stems, agent and heads, from 0 */
};

/* 0, VN_NETWORK_E_INVALID (the network is larger than VN_DATA_BYTES_MAX) or -ENOMEM. */
int vn_layout_new(const struct vn_network *n, struct vn_why *why, struct vn_layout **ret_layout);
struct vn_layout *vn_layout_free(struct vn_layout *l);
VN_DEFINE_CLEANUP(struct vn_layout *, vn_layout_free);

/* Floats of the agent: its own trunk for this input, embedding row and policy layers. */
uint64_t vn_layout_agent_params(const struct vn_network *n, const struct vn_layout *l,
                                uint32_t input);

/* Index of the tensor with this name, or -1. */
int vn_layout_find(const struct vn_layout *l, const char *name);
