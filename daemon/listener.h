/* The listening socket: our own, with a lock file beside it, or one that the service manager made.
 * Loop thread only.
 *
 * Our own: whoever holds the lock PATH.lock owns PATH, so that a socket found there under the lock
 * is a dead instance's and may be removed; it is removed again at the end, if it is still ours. The
 * manager's (LISTEN_FDS): taken as it is and never removed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/why.h"
#include "daemon/config.h"

#define LISTENER_BACKLOG 1024 /* bursts of connections while the loop is at something else */
#define LISTENER_REST_MS 100  /* after running out of descriptors or memory */

enum {
    LISTENER_E_FAILED = 1, /* why says what is in the way */
};

/* Where it shall be; borrows the configuration. */
struct listener_place {
    const char *key; /* of the configuration, for what is said about it */
    const char *path;
    unsigned mode;
    const char *group;  /* empty: the daemon's own */
    bool may_be_passed; /* by the service manager */
};

struct listener {
    struct listener_place place;
    int fd;      /* -1: not open */
    int lock_fd; /* -1: the socket is not ours */
    bool bound;  /* there is a file of ours at the path */
    dev_t dev;   /* of that file */
    ino_t ino;
    uv_poll_t poll;
    uv_timer_t rest;
    bool polling; /* the handles are open */
    uint64_t complained_ns;
    void (*accepted)(void *context, int fd); /* the descriptor is the callee's */
    void *context;
};

/* Finds out early whether there will be a socket: takes the manager's, or the lock. 0 or
 * LISTENER_E_FAILED. */
int listener_claim(struct listener *l, const struct listener_place *place, struct vn_why *why);

/* Binds where that is still to do, listens, and accepts from now on. 0 or LISTENER_E_FAILED. */
int listener_open(struct listener *l, uv_loop_t *loop, void (*accepted)(void *context, int fd),
                  void *context, struct vn_why *why);

/* Stops accepting and removes what is ours. May be called at any time after claim, and twice. */
void listener_close(struct listener *l);
