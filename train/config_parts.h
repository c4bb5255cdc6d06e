/* What the parts of the configuration reader share; no other folder includes this. While reading,
 * positive results are VN_JSON_E_INVALID; vn_train_config_load translates at the end. */
#pragma once

#include "base/json.h"
#include "train/config.h"
#include "train/names.h"

#define VN_CONFIG_BYTES_MAX (1024 * 1024) /* 256 tasks with 1000 labels each would still fit */

/* One line of a table of settings: default and limits in one place. */
enum vn_field_kind {
    VN_FIELD_COUNT, /* uint32_t */
    VN_FIELD_REAL,  /* double */
    VN_FIELD_FLAG,  /* bool; min and max unused */
};

struct vn_config_field {
    const char *key; /* NULL ends the table */
    enum vn_field_kind kind;
    size_t offset; /* in the structure */
    double value;  /* default */
    double min, max;
};

extern const struct vn_config_field vn_schedule_fields[];       /* of struct vn_schedule */
extern const struct vn_config_field vn_agent_schedule_fields[]; /* of struct vn_agent_schedule */

/* Fills `record` with the defaults, then from the object `key` of `at` when it is there. */
int vn_config_read_fields(const struct vn_json_at *at, const char *key,
                          const struct vn_config_field *fields, void *record);

/* A configuration half read. */
struct vn_config_reading {
    struct vn_train_config *config;
    const char *folder;     /* may be NULL */
    struct vn_json_at root; /* the file */
    json_t *tasks;          /* owned: array for the network's description */
    json_t *network;        /* owned: all of that description */
    size_t n_task_data;     /* allocated in config->task_data */
    struct vn_set_names {
        bool classes_known, coarse_known;
        struct vn_names classes, coarse; /* owned */
        uint16_t coarse_of[100];         /* CIFAR-100: coarse class by class */
    } names[VN_DATA_SETS_MAX];
};

/* The place of a key that may be missing, for complaints about it. */
static inline struct vn_json_at vn_config_step(const struct vn_json_at *at, const char *key)
{
    return (struct vn_json_at){.json = json_object_get(at->json, key),
                               .parent = at,
                               .key = key,
                               .text = at->text,
                               .why = at->why};
}

/* config_data.c: the list of data sets; names of classes when a task asks for them. */
int vn_config_read_data(struct vn_config_reading *r);
int vn_config_class_names(struct vn_config_reading *r, uint32_t set, const struct vn_json_at *at);
int vn_config_coarse(struct vn_config_reading *r, uint32_t set, const struct vn_json_at *at);

/* config_tasks.c: tasks, expanded, into r->tasks and config->task_data. */
int vn_config_read_tasks(struct vn_config_reading *r);

/* config_network.c: orders, and the network itself, into config->network. */
int vn_config_read_network(struct vn_config_reading *r);

/* config_only.c: leaves "only_tasks" and the inputs that they use. */
int vn_config_keep_only(struct vn_config_reading *r);
