/* The limits of single users in the configuration. */
#include <stdio.h>
#include <string.h>

#include "daemon/config.h"

const char *const config_limit_names[N_CONFIG_LIMITS + 1] = {
    [CONFIG_LIMIT_CONNECTIONS] = "uid_connections_limit",
    [CONFIG_LIMIT_RATE] = "uid_connections_per_s",
    [CONFIG_LIMIT_INFLIGHT] = "uid_inflight_limit",
    [CONFIG_LIMIT_QUEUE_BYTES] = "uid_queue_limit_bytes",
    [CONFIG_LIMIT_INPUT_BYTES] = "uid_input_limit_bytes",
    [CONFIG_LIMIT_BACKLOG_BYTES] = "uid_reply_backlog_bytes",
};

static int read_user(const struct vn_json_at *users, const char *uid, struct config_limits *l)
{
    struct vn_json_at user;
    int r = vn_json_object(users, uid, &user);

    if (!r)
        r = vn_json_only(&user, config_limit_names);
    for (int i = 0; !r && i < N_CONFIG_LIMITS; i++) {
        const struct config_key *k = config_find_key(config_limit_names[i]);

        r = vn_json_u64(&user, k->name, VN_JSON_OPTIONAL, k->min, k->max, &l->of[i]);
    }
    return r;
}

static bool read_uid(const char *text, uid_t *ret_uid)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || n >= UINT32_MAX)
        return false;
    *ret_uid = (uid_t)n;
    return true;
}

int config_limits_read(const struct vn_json_at *at, const char *key, struct config *c)
{
    struct vn_json_at users;
    const char *uid;
    json_t *value;
    int r = vn_json_object(at, key, &users);

    if (r)
        return r;
    if (json_object_size(users.json) > CONFIG_UIDS_MAX)
        return vn_json_wrong(&users, "must name at most %d users", CONFIG_UIDS_MAX);
    c->n_uid_limits = 0;
    json_object_foreach((json_t *)users.json, uid, value)
    {
        struct config_uid_limits *l = &c->uid_limits[c->n_uid_limits++];

        l->limits = c->uid;
        if (!read_uid(uid, &l->uid))
            return vn_json_wrong(&users, "a user is named by its number in quotes, as \"1000\"");
        r = read_user(&users, uid, &l->limits);
        if (r)
            return r;
    }
    return 0;
}

static json_t *limits_to_json(const struct config_limits *l)
{
    json_t *object = json_object();

    for (int i = 0; object && i < N_CONFIG_LIMITS; i++)
        json_object_set_new(object, config_limit_names[i], json_integer((json_int_t)l->of[i]));
    return object;
}

json_t *config_limits_to_json(const struct config *c)
{
    json_t *users = json_object();
    char uid[16];

    for (uint32_t i = 0; users && i < c->n_uid_limits; i++) {
        snprintf(uid, sizeof uid, "%u", c->uid_limits[i].uid);
        json_object_set_new(users, uid, limits_to_json(&c->uid_limits[i].limits));
    }
    return users;
}

const struct config_limits *config_limits(const struct config *c, uid_t uid)
{
    for (uint32_t i = 0; i < c->n_uid_limits; i++)
        if (c->uid_limits[i].uid == uid)
            return &c->uid_limits[i].limits;
    return &c->uid;
}
