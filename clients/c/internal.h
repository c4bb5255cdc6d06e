/* What the files of the client library share. Nothing here is exported (libvirtualnet-client.map).
 *
 * A call is in the list of its client from start to end, in the order of starting. vn_call_end is
 * the only way out of the list, and the only place that runs a callback: hence "exactly once". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "clients/c/virtualnet-client.h"
#include "proto/virtualnet.pb-c.h"

#define VN_READ_BYTES 65536 /* asked of the socket at once */

/* A successful reply: the public struct, and what its pointers point into. */
struct vn_reply {
    struct vn_client_reply public; /* first: vn_client_reply_free casts back */
    Virtualnet__Response *message; /* owned: strings and lists of numbers */
    union {
        struct vn_client_answer answer;
        struct vn_client_description description;
        struct vn_client_status status;
        struct vn_client_reloaded reloaded;
    };
    _Alignas(max_align_t) unsigned char arrays[]; /* lists of public structs */
};

/* Where a synchronous call waits for its end. */
struct vn_waiter {
    bool done;
    int result;
    struct vn_reply *reply; /* owned, when result is 0 */
};

struct vn_call {
    struct vn_call *previous, *next;
    uint64_t id;
    uint64_t deadline_ns; /* vn_now_ns clock; 0: none */
    Virtualnet__Response__ResultCase expected;
    vn_client_callback *callback; /* or NULL */
    void *userdata;
    struct vn_waiter *waiter; /* instead of a callback, or NULL */
};

struct vn_client {
    int fd;               /* -1: closed */
    bool busy;            /* in dispatch or a callback: no synchronous call now */
    uint64_t last_id;     /* ids count up from 1; an id above this was never given out */
    uint32_t frame_limit; /* bytes of a request: the default, or what describe has said */
    struct vn_buffer in, out;
    struct vn_call *first, *last;
    size_t n_calls;
    struct vn_client_error error;
};

/* client.c */

/* Fills an error of this side: the result and its sentence. */
void vn_error_set(struct vn_client_error *e, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Takes the call out of the list, tells its owner, frees it. reply (owned, given away) or error
 * (borrowed). */
void vn_call_end(struct vn_client *c, struct vn_call *call, struct vn_reply *reply,
                 const struct vn_client_error *error);

/* Closes the socket and ends every open call with this error, the oldest first. */
void vn_hang_up(struct vn_client *c, const struct vn_client_error *error);

/* call.c */

/* Queues the news that nobody waits for this call any more. Best effort: when there is no room, the
 * daemon works on. */
void vn_tell_cancelled(struct vn_client *c, const struct vn_call *call);

/* reply.c */

enum {
    VN_REPLY_E_ERROR = 1, /* the daemon's refusal; *ret_error is filled */
    VN_REPLY_E_PROTOCOL,  /* not what was asked for */
};

/* Takes the message in every case. 0, an outcome from above or -ENOMEM. */
int vn_reply_new(Virtualnet__Response *message, Virtualnet__Response__ResultCase expected,
                 struct vn_client_error *ret_error, struct vn_reply **ret_reply);
void vn_reply_free(struct vn_reply *reply);
