/* Who may do what: lists of users and groups in the configuration, held against what the kernel
 * says of a peer when it has connected. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/json.h"

#define ACCESS_WORD_MAX 63
#define ACCESS_LIST_MAX 32

enum access_kind {
    ACCESS_ANYBODY, /* "*" */
    ACCESS_DAEMON,  /* "daemon": who has the daemon's own user id */
    ACCESS_UID,     /* "uid:1000", "user:robot" */
    ACCESS_GID,     /* "gid:1000", "group:robots": as the first group or as a further one */
};

struct access_list {
    uint32_t n;
    struct access_item {
        enum access_kind kind;
        uint32_t id;                    /* of ACCESS_UID, ACCESS_GID */
        char word[ACCESS_WORD_MAX + 1]; /* as it was written */
    } items[ACCESS_LIST_MAX];
};

/* Reads one word; user and group names must be known here and now. 0 or VN_JSON_E_INVALID. */
int access_add(struct access_list *l, const char *word, struct vn_why *why);

/* Reads the list at `key`. 0 or VN_JSON_E_INVALID, with why set. */
int access_read(const struct vn_json_at *at, const char *key, struct access_list *ret_list);

/* A new reference; NULL: out of memory. */
json_t *access_to_json(const struct access_list *l);

/* Another end of a connection. */
struct access_peer {
    uid_t uid;
    gid_t gid;
    gid_t *gids; /* (n_gids) further ones, owned */
    size_t n_gids;
};

/* What the kernel says about the peer of this Unix socket, but for further groups. What it does not
 * say is nobody's: an id of -1. */
void access_peer_init(struct access_peer *p, int fd);

/* Further groups: more calls, which one who is turned away is not worth. */
void access_peer_read_groups(struct access_peer *p, int fd);

void access_peer_deinit(struct access_peer *p);

bool access_allows(const struct access_list *l, const struct access_peer *p);
