/* The daemon's configuration: one strict JSON file over built-in defaults; docs/configuration.md
 * has a line for every key, and a test holds that page and the example file against the table here.
 * Const once the daemon runs, shared by all threads. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/why.h"
#include "daemon/access.h"
#include "engine/network.h"

#define CONFIG_FILE_MAX 1048576 /* bytes of JSON */
#define CONFIG_PATH_MAX 1023    /* bytes of a path in the configuration */
#define CONFIG_SOCKET_MAX 107   /* sun_path holds 108 with its NUL; longer ones are silently cut */
#define CONFIG_WORD_MAX 63
#define CONFIG_UIDS_MAX 64 /* users with limits of their own */
#define CONFIG_STORES_MAX 16
#define CONFIG_BYTES_MAX (UINT64_C(1) << 62)

enum {
    CONFIG_E_INVALID = 1, /* why says where and what is allowed */
};

/* One store that is served. */
struct config_store {
    char name[VN_NAME_MAX + 1]; /* what clients call it */
    char path[CONFIG_PATH_MAX + 1];
    char verify[CONFIG_WORD_MAX + 1];
    uint64_t default_budget_bytes; /* 0: the full path */
};

struct config_budget {
    uint32_t store; /* its index */
    char task[VN_NAME_MAX + 1];
    uint64_t bytes;
};

/* What one user may hold, over all of its connections. */
enum config_limit {
    CONFIG_LIMIT_CONNECTIONS,
    CONFIG_LIMIT_RATE, /* connections a second */
    CONFIG_LIMIT_INFLIGHT,
    CONFIG_LIMIT_QUEUE_BYTES,
    CONFIG_LIMIT_INPUT_BYTES,
    CONFIG_LIMIT_BACKLOG_BYTES,
    N_CONFIG_LIMITS,
};

extern const char *const config_limit_names[]; /* the keys; ends with NULL */

struct config_limits {
    uint64_t of[N_CONFIG_LIMITS]; /* 0: by the rule that the documentation states */
};

struct config_uid_limits {
    uid_t uid;
    struct config_limits limits;
};

struct config {
    char socket_path[CONFIG_SOCKET_MAX + 1];
    char socket_mode[CONFIG_WORD_MAX + 1];  /* octal digits, as people write it */
    char socket_group[CONFIG_WORD_MAX + 1]; /* empty: the daemon's own */
    struct access_list access_infer, access_control, access_status, access_admin;
    uint32_t n_stores;
    struct config_store stores[CONFIG_STORES_MAX]; /* the default one comes first, always there */
    char kernels[CONFIG_WORD_MAX + 1];
    uint64_t workers;
    uint64_t compute_threads; /* of each worker */
    uint64_t queue_limit;
    uint64_t queue_limit_bytes;
    uint64_t connections_limit;
    uint64_t connection_inflight_limit;
    uint64_t frame_limit_bytes;
    uint64_t input_limit_bytes;
    uint64_t frame_timeout_ms;
    uint64_t reply_backlog_bytes;
    uint64_t reply_timeout_ms;
    struct config_limits uid; /* of every user but those below */
    uint32_t n_uid_limits;
    struct config_uid_limits uid_limits[CONFIG_UIDS_MAX];
    uint32_t n_task_budgets;
    struct config_budget task_budgets[VN_TASKS_MAX]; /* of all stores */
    uint64_t memory_limit_bytes; /* of the process; 0: by the control group, or none */
    char when_memory_full[CONFIG_WORD_MAX + 1];
    uint64_t pressure_step_percent;
    uint64_t pressure_hold_ms;
    uint64_t shutdown_grace_ms;
    char metrics_file[CONFIG_PATH_MAX + 1];     /* empty: none */
    char metrics_socket[CONFIG_SOCKET_MAX + 1]; /* empty: none */
    char metrics_mode[CONFIG_WORD_MAX + 1];     /* octal digits, of both */
    uint64_t metrics_interval_ms;
    char log_level[CONFIG_WORD_MAX + 1];
};

enum config_kind {
    CONFIG_TEXT,    /* min .. max bytes */
    CONFIG_NAME,    /* of a store: 1 .. max letters, digits, '.', '_' and '-' */
    CONFIG_NUMBER,  /* min .. max */
    CONFIG_MODE,    /* octal digits, 0 .. 0777 */
    CONFIG_CHOICE,  /* one of words; false is words[min] and true words[max], if that is not 0 */
    CONFIG_BUDGETS, /* {task: bytes} of the default store, bytes in min .. max */
    CONFIG_STORES,  /* {name: {"store_path": ...}} */
    CONFIG_ACCESS,  /* list of users and groups */
    CONFIG_UIDS,    /* {uid: {limit: number}} */
};

/* One key, in the order of the documentation. */
struct config_key {
    const char *name;
    enum config_kind kind;
    size_t offset; /* into struct config */
    uint64_t min, max;
    const char *const *words;
};

extern const struct config_key config_keys[]; /* ends with a NULL name */

void config_defaults(struct config *ret_config);

/* Defaults, overridden by the file. 0, CONFIG_E_INVALID or a negative errno; why always set. */
int config_load(const char *file, struct vn_why *why, struct config *ret_config);

/* Sets one text key from a flag, under the same rules as in the file. 0 or CONFIG_E_INVALID. */
int config_set(struct config *c, const char *name, const char *value, struct vn_why *why);

/* A file that reads back to the same configuration; NULL: out of memory. */
json_t *config_to_json(const struct config *c);

const struct config_key *config_find_key(const char *name); /* it must be there */

/* config_stores.c: reads, checks and writes a CONFIG_STORES, whose defaults are those of the first
 * store; a CONFIG_NAME; and the CONFIG_BUDGETS of one store. */
int config_stores_read(const struct vn_json_at *at, const char *key, struct config *c);
int config_stores_check(const struct vn_json_at *root, const struct config *c);
json_t *config_stores_to_json(const struct config *c);
int config_name_read(const struct vn_json_at *at, const char *key, char ret_name[VN_NAME_MAX + 1]);
int config_budgets_read(const struct vn_json_at *at, const char *key, struct config *c,
                        uint32_t store);
json_t *config_budgets_to_json(const struct config *c, uint32_t store);

/* config_limits.c: reads and writes a CONFIG_UIDS, whose defaults are the values of `uid`. */
int config_limits_read(const struct vn_json_at *at, const char *key, struct config *c);
json_t *config_limits_to_json(const struct config *c);

/* The limits for a user: its own, or everybody's. */
const struct config_limits *config_limits(const struct config *c, uid_t uid);

/* The value of a CONFIG_MODE. */
unsigned config_mode(const char *octal);

unsigned config_socket_mode(const struct config *c);

/* The number of the word of when_memory_full. */
unsigned config_when_full(const struct config *c);

/* The budget of a request that states none; 0: the full path. */
uint64_t config_budget(const struct config *c, const struct config_store *store, const char *task);
