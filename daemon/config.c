#include "daemon/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/pool.h"
#include "proto/frame.h"

#define MIB UINT64_C(1048576)

static const char *const kernel_words[] = {"auto", "winograd", "direct", "gemm", "ref", NULL};
static const char *const verify_words[] = {"first_use", "load", "never", NULL};
static const char *const full_words[] = {"wait", "replan", "refuse", NULL};
static const char *const level_words[] = {"error", "warning", "notice", "info", "debug", NULL};

#define KEY(key, kind, ...)                                                                        \
    {                                                                                              \
#key, kind, offsetof(struct config, key), __VA_ARGS__                                      \
    }

/* Of the default store. */
#define STORE(key, field, kind, ...)                                                               \
    {                                                                                              \
#key, kind, offsetof(struct config, stores[0].field), __VA_ARGS__                          \
    }

#define LIMIT(key, limit, min, max)                                                                \
    {                                                                                              \
#key, CONFIG_NUMBER, offsetof(struct config, uid.of[limit]), min, max, NULL                \
    }

/* Limits: the smallest value that still makes sense; the largest keeps products far from 2^64. */
const struct config_key config_keys[] = {
    KEY(socket_path, CONFIG_TEXT, 1, CONFIG_SOCKET_MAX, NULL),
    KEY(socket_mode, CONFIG_MODE, 0, 0777, NULL),
    KEY(socket_group, CONFIG_TEXT, 0, CONFIG_WORD_MAX, NULL),
    KEY(access_infer, CONFIG_ACCESS, 0, 0, NULL),
    KEY(access_control, CONFIG_ACCESS, 0, 0, NULL),
    KEY(access_status, CONFIG_ACCESS, 0, 0, NULL),
    KEY(access_admin, CONFIG_ACCESS, 0, 0, NULL),
    STORE(store_path, path, CONFIG_TEXT, 1, CONFIG_PATH_MAX, NULL),
    STORE(store_name, name, CONFIG_NAME, 1, VN_NAME_MAX, NULL),
    KEY(stores, CONFIG_STORES, 0, CONFIG_STORES_MAX - 1, NULL),
    STORE(verify_store, verify, CONFIG_CHOICE, 2, 1, verify_words),
    KEY(kernels, CONFIG_CHOICE, 0, 0, kernel_words),
    KEY(workers, CONFIG_NUMBER, 1, 64, NULL),
    KEY(compute_threads, CONFIG_NUMBER, 1, VN_POOL_THREADS_MAX, NULL),
    KEY(queue_limit, CONFIG_NUMBER, 1, 65536, NULL),
    KEY(queue_limit_bytes, CONFIG_NUMBER, MIB, 65536 * MIB, NULL),
    KEY(connections_limit, CONFIG_NUMBER, 1, 65536, NULL),
    KEY(connection_inflight_limit, CONFIG_NUMBER, 1, 65536, NULL),
    KEY(frame_limit_bytes, CONFIG_NUMBER, 4096, 1024 * MIB, NULL),
    KEY(input_limit_bytes, CONFIG_NUMBER, 4096, 65536 * MIB, NULL),
    KEY(frame_timeout_ms, CONFIG_NUMBER, 100, 3600000, NULL),
    KEY(reply_backlog_bytes, CONFIG_NUMBER, 4096, 1024 * MIB, NULL),
    KEY(reply_timeout_ms, CONFIG_NUMBER, 100, 3600000, NULL),
    LIMIT(uid_connections_limit, CONFIG_LIMIT_CONNECTIONS, 0, 65536),
    LIMIT(uid_connections_per_s, CONFIG_LIMIT_RATE, 1, 1000000),
    LIMIT(uid_inflight_limit, CONFIG_LIMIT_INFLIGHT, 0, 65536),
    LIMIT(uid_queue_limit_bytes, CONFIG_LIMIT_QUEUE_BYTES, 0, 65536 * MIB),
    LIMIT(uid_input_limit_bytes, CONFIG_LIMIT_INPUT_BYTES, 0, 65536 * MIB),
    LIMIT(uid_reply_backlog_bytes, CONFIG_LIMIT_BACKLOG_BYTES, 0, 65536 * MIB),
    KEY(uid_limits, CONFIG_UIDS, 0, CONFIG_UIDS_MAX, NULL),
    STORE(default_budget_bytes, default_budget_bytes, CONFIG_NUMBER, 0, CONFIG_BYTES_MAX, NULL),
    KEY(task_budgets, CONFIG_BUDGETS, 1, CONFIG_BYTES_MAX, NULL),
    KEY(memory_limit_bytes, CONFIG_NUMBER, 0, CONFIG_BYTES_MAX, NULL),
    KEY(when_memory_full, CONFIG_CHOICE, 0, 0, full_words),
    KEY(pressure_step_percent, CONFIG_NUMBER, 1, 90, NULL),
    KEY(pressure_hold_ms, CONFIG_NUMBER, 100, 3600000, NULL),
    KEY(shutdown_grace_ms, CONFIG_NUMBER, 0, 600000, NULL),
    KEY(metrics_file, CONFIG_TEXT, 0, CONFIG_PATH_MAX, NULL),
    KEY(metrics_socket, CONFIG_TEXT, 0, CONFIG_SOCKET_MAX, NULL),
    KEY(metrics_mode, CONFIG_MODE, 0, 0777, NULL),
    KEY(metrics_interval_ms, CONFIG_NUMBER, 100, 3600000, NULL),
    KEY(log_level, CONFIG_CHOICE, 0, 0, level_words),
    {NULL, CONFIG_TEXT, 0, 0, 0, NULL},
};

#define N_KEYS (sizeof config_keys / sizeof config_keys[0])

void config_defaults(struct config *ret_config)
{
    *ret_config = (struct config){
        .socket_path = "/run/virtualnet/virtualnet.sock",
        .socket_mode = "0660",
        .n_stores = 1,
        .stores[0] = {.name = "default", .path = VIRTUALNETD_STORE, .verify = "first_use"},
        .kernels = "auto",
        .workers = 1, /* the processor belongs to the robot's control loops */
        .compute_threads = 1,
        .queue_limit = 64,
        .queue_limit_bytes = 64 * MIB,
        .connections_limit = 64,
        .connection_inflight_limit = 16,
        .frame_limit_bytes = VN_FRAME_MAX,
        .input_limit_bytes = 64 * MIB,
        .frame_timeout_ms = 10000,
        .reply_backlog_bytes = MIB,
        .reply_timeout_ms = 30000,
        .uid.of[CONFIG_LIMIT_RATE] = 1000, /* a connection costs some 20 us */
        .when_memory_full = "wait",
        .pressure_step_percent = 25,
        .pressure_hold_ms = 10000,
        .shutdown_grace_ms = 2000,
        .metrics_mode = "0660",
        .metrics_interval_ms = 15000,
        .log_level = "info",
    };
    access_add(&ret_config->access_infer, "*", NULL);
    access_add(&ret_config->access_control, "*", NULL);
    access_add(&ret_config->access_status, "*", NULL);
    access_add(&ret_config->access_admin, "uid:0", NULL);
    access_add(&ret_config->access_admin, "daemon", NULL);
}

/* --- one key ---------------------------------------------------------------------------------- */

static void *field(const struct config *c, const struct config_key *k)
{
    return (char *)c + k->offset;
}

static int read_text(const struct vn_json_at *at, const struct config_key *k, struct config *c)
{
    const json_t *value = json_object_get(at->json, k->name);
    const char *text = "";
    int r = 0;

    if (k->min || !json_is_string(value) || json_string_length(value))
        r = vn_json_string(at, k->name, VN_JSON_REQUIRED, k->max, &text);
    if (r)
        return r;
    memcpy(field(c, k), text, strlen(text) + 1); /* k->max + 1 bytes behind the field */
    return 0;
}

static int read_mode(const struct vn_json_at *at, const struct config_key *k, struct config *c)
{
    struct vn_json_at value = {
        json_object_get(at->json, k->name), at, k->name, 0, at->text, at->why};
    const char *text;
    size_t n;
    int r = vn_json_string(at, k->name, VN_JSON_REQUIRED, CONFIG_WORD_MAX, &text);

    if (r)
        return r;
    n = strlen(text);
    if (n < 3 || n > 4 || strspn(text, "01234567") != n || (n == 4 && text[0] != '0'))
        return vn_json_wrong(&value, "must be octal digits in quotes from \"000\" to \"0777\"");
    memcpy(field(c, k), text, n + 1);
    return 0;
}

static int read_choice(const struct vn_json_at *at, const struct config_key *k, struct config *c)
{
    const json_t *value = json_object_get(at->json, k->name);
    unsigned i = (unsigned)(json_is_true(value) ? k->max : k->min);
    int r = 0;

    if (!k->max || !json_is_boolean(value))
        r = vn_json_choice(at, k->name, VN_JSON_REQUIRED, k->words, &i);
    if (r)
        return r;
    memcpy(field(c, k), k->words[i], strlen(k->words[i]) + 1);
    return 0;
}

static int read_key(const struct vn_json_at *at, const struct config_key *k, struct config *c)
{
    switch (k->kind) {
    case CONFIG_TEXT:
        return read_text(at, k, c);
    case CONFIG_NUMBER:
        return vn_json_u64(at, k->name, VN_JSON_REQUIRED, k->min, k->max, field(c, k));
    case CONFIG_MODE:
        return read_mode(at, k, c);
    case CONFIG_CHOICE:
        return read_choice(at, k, c);
    case CONFIG_NAME:
        return config_name_read(at, k->name, field(c, k));
    case CONFIG_BUDGETS:
        return config_budgets_read(at, k->name, c, 0);
    case CONFIG_ACCESS:
        return access_read(at, k->name, field(c, k));
    case CONFIG_UIDS:
        return config_limits_read(at, k->name, c);
    case CONFIG_STORES:
        return config_stores_read(at, k->name, c);
    }
    return -EINVAL;
}

/* --- the whole -------------------------------------------------------------------------------- */

/* Keys that must fit each other. */
static int check_pairs(const struct vn_json_at *root, const struct config *c)
{
    if (c->input_limit_bytes < c->frame_limit_bytes)
        return vn_json_wrong(
            root, "input_limit_bytes (%llu) must not be below frame_limit_bytes (%llu)",
            (unsigned long long)c->input_limit_bytes, (unsigned long long)c->frame_limit_bytes);
    if (!strcmp(c->metrics_socket, c->socket_path))
        return vn_json_wrong(root, "metrics_socket must not be socket_path");
    return config_stores_check(root, c);
}

static int read_root(const struct vn_json_at *root, struct config *c)
{
    const char *names[N_KEYS];
    int r;

    for (size_t i = 0; i < N_KEYS; i++)
        names[i] = config_keys[i].name;
    r = vn_json_only(root, names);
    for (const struct config_key *k = config_keys; k->name && !r; k++)
        if (k->kind != CONFIG_STORES && vn_json_has(root, k->name))
            r = read_key(root, k, c);
    /* At last: their defaults are what the others say. */
    if (!r && vn_json_has(root, "stores"))
        r = config_stores_read(root, "stores", c);
    if (!r)
        r = check_pairs(root, c);
    return r ? CONFIG_E_INVALID : 0;
}

int config_load(const char *file, struct vn_why *why, struct config *ret_config)
{
    _cleanup_(vn_freep) struct config *c = malloc(sizeof *c);
    _cleanup_(vn_freep) char *text = NULL;
    struct vn_json_at at;
    json_t *root;
    int r;

    if (!c)
        return vn_because(why, -ENOMEM, "%s: out of memory", file);
    config_defaults(c);
    r = vn_json_load(file, CONFIG_FILE_MAX, why, &text, &root);
    if (r)
        return r < 0 ? r : CONFIG_E_INVALID;
    at = vn_json_root(root, text, why);
    r = read_root(&at, c);
    json_decref(root);
    if (r)
        return vn_because_in(why, r, file);
    *ret_config = *c;
    return 0;
}

int config_set(struct config *c, const char *name, const char *value, struct vn_why *why)
{
    json_t *root = json_pack("{s:s}", name, value);
    struct vn_json_at at = vn_json_root(root, NULL, why);
    int r;

    if (!root)
        return vn_because(why, CONFIG_E_INVALID, "%s: must be UTF-8 text", name);
    r = read_root(&at, c);
    json_decref(root);
    return r;
}

static json_t *key_to_json(const struct config *c, const struct config_key *k)
{
    switch (k->kind) {
    case CONFIG_NUMBER:
        return json_integer((json_int_t) * (uint64_t *)field(c, k));
    case CONFIG_BUDGETS:
        return config_budgets_to_json(c, 0);
    case CONFIG_STORES:
        return config_stores_to_json(c);
    case CONFIG_ACCESS:
        return access_to_json(field(c, k));
    case CONFIG_UIDS:
        return config_limits_to_json(c);
    default:
        return json_string(field(c, k));
    }
}

json_t *config_to_json(const struct config *c)
{
    json_t *root = json_object();

    for (const struct config_key *k = config_keys; root && k->name; k++) {
        if (json_object_set_new(root, k->name, key_to_json(c, k)) < 0) {
            json_decref(root);
            return NULL;
        }
    }
    return root;
}

const struct config_key *config_find_key(const char *name)
{
    const struct config_key *k = config_keys;

    while (strcmp(k->name, name))
        k++;
    return k;
}

unsigned config_mode(const char *octal)
{
    return (unsigned)strtoul(octal, NULL, 8);
}

unsigned config_socket_mode(const struct config *c)
{
    return config_mode(c->socket_mode);
}

unsigned config_when_full(const struct config *c)
{
    unsigned i = 0;

    while (strcmp(full_words[i], c->when_memory_full))
        i++;
    return i;
}

uint64_t config_budget(const struct config *c, const struct config_store *store, const char *task)
{
    const uint32_t index = (uint32_t)(store - c->stores);

    for (uint32_t i = 0; i < c->n_task_budgets; i++)
        if (c->task_budgets[i].store == index && !strcmp(c->task_budgets[i].task, task))
            return c->task_budgets[i].bytes;
    return store->default_budget_bytes;
}
