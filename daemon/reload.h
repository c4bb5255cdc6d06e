/* Reload: the store is opened, verified and warmed up again by a thread of its own, beside the
 * running model; then the loop switches. On failure the running one stays.
 *
 * thread  owns
 * loop    struct reload, except what the loader writes while `running`
 * loader  model, result, why until it sends `woken` */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "daemon/model.h"

enum {
    RELOAD_E_RUNNING = 1, /* one is on already */
};

struct reload {
    const struct config *config;
    pthread_t thread;
    uv_async_t woken;
    bool open;             /* the handle is */
    bool running;          /* from start to the finished call */
    bool again;            /* somebody asked while it ran: the file may have changed since */
    struct client *client; /* who waits for the answer, or NULL */
    uint64_t client_id;
    /* loader */
    int result;
    struct vn_why why;
    struct model *model;
    void (*finished)(void *context); /* loop thread; takes result, why, model */
    void *context;
};

/* 0 or a negative errno. */
int reload_init(struct reload *r, uv_loop_t *loop, const struct config *c,
                void (*finished)(void *context), void *context);

/* 0, RELOAD_E_RUNNING or a negative errno. */
int reload_start(struct reload *r);

/* Closes the handle; nothing may be running. */
void reload_deinit(struct reload *r);
