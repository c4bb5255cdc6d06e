/* Reload: one store after the other is opened, verified and warmed up again by a thread of its own,
 * beside its running model; then the loop switches. On failure the running one stays, or there is
 * still none. The other stores do not notice, and the daemon is ready all the time.
 *
 * thread  owns
 * loop    struct reload, except what the loader writes while `running`
 * loader  model, result, why until it sends `woken` */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "daemon/model.h"
#include "proto/virtualnet.pb-c.h"

struct client;
struct daemon;
struct refusal;
struct store;

struct reload {
    struct daemon *daemon;
    pthread_t thread;
    uv_async_t woken;
    bool open;             /* the handle is */
    bool running;          /* from start to switch */
    bool announced;        /* the service manager waits for the end of all that are due */
    struct store *store;   /* that is loaded */
    struct client *client; /* who waits for the answer, or NULL */
    uint64_t client_id;
    bool all;              /* the client waits for all that are due */
    uint32_t failed;       /* of what the client waits for */
    struct vn_why failure; /* the first of them */
    /* loader */
    int result;
    struct vn_why why;
    struct model *model;
};

/* 0 or a negative errno. */
int reload_init(struct reload *r, struct daemon *d);

/* Loads the store that the call names, or all, for a client, who is answered at the end. 0, or 1
 * with the refusal set. */
int reload_for(struct client *c, uint64_t id, const Virtualnet__ReloadRequest *call,
               struct refusal *refusal);

/* Loads all stores for nobody (SIGHUP). */
void reload_all(struct daemon *d);

/* The client is gone. */
void reload_forget(struct reload *r, const struct client *c);

/* Closes the handle; nothing may be running. */
void reload_deinit(struct reload *r);
