/* The training configuration: one JSON file that names the network, the data sets, the tasks as
 * label maps over them, and how to train. docs/training.md explains every key; the file never says
 * where data lies.
 *
 *   name, seed        of the run; a run with the same configuration, seed and threads repeats
 *   network           as in a store (docs/VIRTUALNET.md), without tasks; plus "orders":
 *                     "cyclic" (default), "same", "random" or a list of permutations per task
 *   data              list of data sets: name, format, files per split
 *   tasks             list of label maps; "for_each": "coarse" makes one task per coarse class
 *                     whose label is the rank of the fine class inside it
 *   only_tasks        names of the tasks that are trained; orders stay those of the whole list
 *   training          the backbone's schedule (struct vn_schedule)
 *   agent_training    the agent's (struct vn_agent_schedule) */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/why.h"
#include "engine/network.h"

#define VN_DATA_SETS_MAX 8
#define VN_DATA_FILES_MAX 16
#define VN_CLASSES_MAX 1000
#define VN_FILE_NAME_MAX 256

enum {
    VN_CONFIG_E_INVALID = 1, /* why says which key, where, and what is allowed */
};

enum vn_data_format {
    VN_DATA_IDX,      /* images and labels file pairs, gzip or plain */
    VN_DATA_CIFAR10,  /* binary: <label><3072 bytes RGB planes> */
    VN_DATA_CIFAR100, /* binary: <coarse><fine><3072 bytes RGB planes> */
    VN_DATA_STL10,    /* binary: 96x96x3 column-major planes, and a label file, labels 1 .. 10 */
    VN_DATA_FOLDERS,  /* one folder per class with PNG or JPEG files */
};

struct vn_data_files {
    uint32_t n;
    char images[VN_DATA_FILES_MAX][VN_FILE_NAME_MAX + 1]; /* folders: the root, n = 1 */
    char labels[VN_DATA_FILES_MAX][VN_FILE_NAME_MAX + 1]; /* idx, stl10 */
};

struct vn_data_description {
    char name[VN_NAME_MAX + 1];
    enum vn_data_format format;
    struct vn_data_files train, test;        /* test.n may be 0: then there is no test split */
    char class_names[VN_FILE_NAME_MAX + 1];  /* optional text file: one name a line, by class */
    char coarse_names[VN_FILE_NAME_MAX + 1]; /* the same for coarse classes */
    uint32_t side;    /* folders: larger images are shrunk to this shorter side; 0 = kept as is */
    uint32_t classes; /* known from format, names or tasks; 0 = any number */
};

/* Where a task's samples come from: label = map[class], -1 = not in the task. */
struct vn_task_data {
    uint32_t set; /* index into data */
    int16_t map[VN_CLASSES_MAX];
};

struct vn_schedule {
    uint32_t epochs;
    uint32_t batch;
    double rate;            /* peak learning rate */
    double warmup_epochs;   /* linear, then cosine to 0 */
    uint32_t cycles;        /* equal parts of the epochs, each with a cosine of its own */
    double momentum;        /* Nesterov */
    double weight_decay;    /* on convolution and head weights only */
    double label_smoothing; /* 0 .. 0.5 */
    double distill;         /* 0 .. 1: share of the full path's softmax in the others' target */
    uint32_t mixed_paths;   /* random paths per sample and step beside the full one; 0 .. 4 */
    double auxiliary;       /* weight of a loss over all labels of an input's tasks; 0 = off */
    bool packnet;           /* tasks in sequence, each with slices of its own (train/packnet.h) */
    double lowest_share;    /* 0 .. 1: part of the mixed paths that is the lowest instead */
    uint32_t lowest_level;  /* uniform level of the lowest path */
    double bn_momentum;     /* of running statistics */
    double bn2_scale;       /* BN2's scale at the start, 0 .. 1 */
    uint32_t pad;           /* pixels of pad-crop */
    bool flip;
    double average;             /* weight averaging: decay of the exponential mean; 0 = off */
    uint32_t reestimate_images; /* training images for the final statistics */
    uint32_t checkpoint_minutes;
    uint32_t agreement_every; /* steps between looks at the tasks' gradients; 0 = off */
};

struct vn_agent_schedule {
    uint32_t rounds; /* alternations agent / backbone; 1 = agent once, after the backbone */
    uint32_t epochs; /* agent epochs per round, over the training images */
    uint32_t backbone_epochs; /* backbone epochs on the agent's choices between rounds */
    uint32_t batch;
    double rate;
    uint32_t paths;     /* sampled per image and step; the greedy one is run beside them */
    double entropy;     /* weight of the entropy bonus */
    double loss_reward; /* 0 .. 1: share of -cross-entropy in the reward, the rest is 1 if right */
    double density;     /* rho: weight of the density term at thrift 1 */
    double density_power; /* of the density in that term */
    bool wishes;          /* false: no limits, thrift 1: the density term alone decides */
    double min_budget;    /* budgets are drawn uniformly from min_budget .. 1 of the full path */
};

struct vn_train_config {
    char name[VN_NAME_MAX + 1];
    uint64_t seed;
    double validation_share;    /* default 0.1 */
    struct vn_network *network; /* owned; tasks expanded, orders set */
    uint32_t n_data;
    struct vn_data_description data[VN_DATA_SETS_MAX];
    struct vn_task_data *task_data; /* owned, by task of the network */
    struct vn_schedule schedule;
    struct vn_agent_schedule agent_schedule;
    json_t *source; /* owned: the file as it was read, for the store's training record */
};

/* Reads and checks. `folder`: where data lies (class name files are read from it), or NULL when
 * the tasks need none. 0, VN_CONFIG_E_INVALID or a negative errno; why is set in every case. */
int vn_train_config_load(const char *file, const char *folder, struct vn_why *why,
                         struct vn_train_config **ret_config);

/* What a command line puts in place of what the file says; `source` says it then, too. */
struct vn_config_changes {
    const uint64_t *seed; /* NULL: the file's */
    uint32_t n_only_tasks;
    const char *const *only_tasks;
};

int vn_train_config_load_changed(const char *file, const char *folder,
                                 const struct vn_config_changes *changes, struct vn_why *why,
                                 struct vn_train_config **ret_config);

/* The configuration that a trained store carries in its training record. The same outcomes. */
int vn_train_config_of_store(const struct vn_network *n, const char *folder, struct vn_why *why,
                             struct vn_train_config **ret_config);
struct vn_train_config *vn_train_config_free(struct vn_train_config *c);
VN_DEFINE_CLEANUP(struct vn_train_config *, vn_train_config_free);
