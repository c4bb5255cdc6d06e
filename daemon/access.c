#include "daemon/access.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- lists ------------------------------------------------------------------------------------ */

/* The text behind the prefix; NULL: it begins otherwise. */
static const char *behind(const char *word, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(word, prefix, n) ? NULL : word + n;
}

static bool read_number(const char *text, uint32_t *ret_id)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || n >= UINT32_MAX) /* the last one is nobody's */
        return false;
    *ret_id = (uint32_t)n;
    return true;
}

static bool find_user(const char *name, uint32_t *ret_id)
{
    const struct passwd *user = getpwnam(name);

    if (user)
        *ret_id = user->pw_uid;
    return user;
}

static bool find_group(const char *name, uint32_t *ret_id)
{
    const struct group *group = getgrnam(name);

    if (group)
        *ret_id = group->gr_gid;
    return group;
}

static int read_word(const char *word, struct access_item *i, struct vn_why *why)
{
    static const struct {
        const char *prefix;
        enum access_kind kind;
        bool (*read)(const char *text, uint32_t *ret_id);
    } forms[] = {{"uid:", ACCESS_UID, read_number},
                 {"gid:", ACCESS_GID, read_number},
                 {"user:", ACCESS_UID, find_user},
                 {"group:", ACCESS_GID, find_group}};

    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        const char *text = behind(word, forms[f].prefix);

        if (!text)
            continue;
        i->kind = forms[f].kind;
        if (forms[f].read(text, &i->id))
            return 0;
        return vn_because(why, VN_JSON_E_INVALID, "there is no \"%s\" on this system", word);
    }
    if (strcmp(word, "*") && strcmp(word, "daemon"))
        return vn_because(why, VN_JSON_E_INVALID,
                          "\"%s\" is not one of \"*\", \"daemon\", \"uid:N\", \"gid:N\", "
                          "\"user:NAME\" and \"group:NAME\"",
                          word);
    i->kind = *word == '*' ? ACCESS_ANYBODY : ACCESS_DAEMON;
    return 0;
}

int access_add(struct access_list *l, const char *word, struct vn_why *why)
{
    struct access_item i = {0};
    int r;

    if (l->n == ACCESS_LIST_MAX || strlen(word) > ACCESS_WORD_MAX)
        return vn_because(why, VN_JSON_E_INVALID,
                          "more than %d words, or more than %d bytes of one", ACCESS_LIST_MAX,
                          ACCESS_WORD_MAX);
    r = read_word(word, &i, why);
    if (r)
        return r;
    memcpy(i.word, word, strlen(word) + 1);
    l->items[l->n++] = i;
    return 0;
}

int access_read(const struct vn_json_at *at, const char *key, struct access_list *ret_list)
{
    struct access_list list = {0};
    struct vn_json_at words;
    size_t n;
    int r = vn_json_array(at, key, 0, ACCESS_LIST_MAX, &words, &n);

    for (size_t i = 0; !r && i < n; i++) {
        struct vn_json_at item = vn_json_item(&words, i);
        struct vn_why why = {""};
        const char *word;

        r = vn_json_item_string(&item, ACCESS_WORD_MAX, &word);
        if (!r && access_add(&list, word, &why))
            r = vn_json_wrong(&item, "%s", why.text);
    }
    if (!r)
        *ret_list = list;
    return r;
}

json_t *access_to_json(const struct access_list *l)
{
    json_t *words = json_array();

    for (uint32_t i = 0; words && i < l->n; i++)
        json_array_append_new(words, json_string(l->items[i].word));
    return words;
}

/* --- peers ------------------------------------------------------------------------------------ */

/* The kernel first says how much room they take. */
void access_peer_read_groups(struct access_peer *p, int fd)
{
    socklen_t bytes = 0;

    if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) || errno != ERANGE)
        return;
    p->gids = malloc(bytes);
    if (p->gids && !getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->gids, &bytes))
        p->n_gids = bytes / sizeof(gid_t);
}

void access_peer_init(struct access_peer *p, int fd)
{
    struct ucred peer;
    socklen_t n = sizeof peer;

    *p = (struct access_peer){.uid = (uid_t)-1, .gid = (gid_t)-1};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
        return;
    p->uid = peer.uid;
    p->gid = peer.gid;
}

void access_peer_deinit(struct access_peer *p)
{
    free(p->gids);
    *p = (struct access_peer){.uid = (uid_t)-1, .gid = (gid_t)-1};
}

static bool is_in(const struct access_peer *p, uint32_t gid)
{
    if (p->gid == gid)
        return true;
    for (size_t i = 0; i < p->n_gids; i++)
        if (p->gids[i] == gid)
            return true;
    return false;
}

static bool is_meant(const struct access_item *i, const struct access_peer *p)
{
    switch (i->kind) {
    case ACCESS_ANYBODY:
        return true;
    case ACCESS_DAEMON:
        return p->uid == geteuid();
    case ACCESS_UID:
        return p->uid == i->id;
    case ACCESS_GID:
        return is_in(p, i->id);
    }
    return false;
}

bool access_allows(const struct access_list *l, const struct access_peer *p)
{
    for (uint32_t i = 0; i < l->n; i++)
        if (is_meant(&l->items[i], p))
            return true;
    return false;
}
