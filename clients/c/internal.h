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

/* Images of so many bytes go by a memfd (docs/protocol.md): where that begins to pay. */
#define VN_MEMFD_BYTES_MIN 196608

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

/* Shared memory that holds one image. */
struct vn_memfd {
    int fd;     /* owned; -1: none */
    int passed; /* owned: another one for the daemon, until it is handed on; -1: none */
    uint64_t bytes;
};

#define VN_MEMFD_NONE ((struct vn_memfd){.fd = -1, .passed = -1})

/* A descriptor that is to be sent with the byte that is the connection's `at`th. */
struct vn_passing {
    uint64_t at;
    int fd;
};

struct vn_call {
    struct vn_call *previous, *next;
    uint64_t id;
    uint64_t deadline_ns; /* vn_now_ns clock; 0: none */
    Virtualnet__Response__ResultCase expected;
    vn_client_callback *callback; /* or NULL */
    void *userdata;
    struct vn_waiter *waiter; /* instead of a callback, or NULL */
    struct vn_memfd memfd;    /* the image, when it is not in the request */
    uint8_t *question; /* owned: the request without pixels then, to send it again; or NULL */
    size_t question_bytes;
};

struct vn_client {
    int fd;               /* -1: closed */
    bool busy;            /* in dispatch or a callback: no synchronous call now */
    uint64_t last_id;     /* ids count up from 1; an id above this was never given out */
    uint32_t frame_limit; /* bytes of a request: the default, or what describe has said */
    struct vn_buffer in, out;
    uint64_t sent_bytes;      /* that have left `out` */
    struct vn_buffer passing; /* struct vn_passing: descriptors for frames in `out` */
    struct vn_memfd idle;     /* of a call that is answered, for the next */
    uint32_t n_memfds;        /* of open calls */
    bool no_memfd;            /* the daemon does not take them */
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

/* memfd.c */

void vn_memfd_close(struct vn_memfd *m);

/* Puts a large image into a memfd. False: the image is small, or it is better sent in the request.
 * Rows are `row` bytes, `stride` apart. */
bool vn_memfd_hold(struct vn_client *c, const struct vn_client_image *image, uint64_t row,
                   uint64_t stride, struct vn_memfd *ret_memfd);

/* Its descriptor leaves with the byte `at`, the first of its frame, which is in `out`. */
void vn_memfd_pass(struct vn_client *c, struct vn_memfd *m, uint64_t at);

/* As send(2) of what is in `out`, or of a part of it, with the descriptor that belongs to it. */
ssize_t vn_memfd_send(struct vn_client *c);

/* The call has no use for its memfd any more. answered: nor has the daemon. */
void vn_memfd_let_go(struct vn_client *c, struct vn_call *call, bool answered);

/* The daemon does not like the image. True: it was in a memfd, and is asked again without. */
bool vn_memfd_send_again(struct vn_client *c, struct vn_call *call);

void vn_memfd_drop_passing(struct vn_client *c);

/* reply.c */

enum {
    VN_REPLY_E_ERROR = 1, /* the daemon's refusal; *ret_error is filled */
    VN_REPLY_E_PROTOCOL,  /* not what was asked for */
};

/* Takes the message in every case. 0, an outcome from above or -ENOMEM. */
int vn_reply_new(Virtualnet__Response *message, Virtualnet__Response__ResultCase expected,
                 struct vn_client_error *ret_error, struct vn_reply **ret_reply);
void vn_reply_free(struct vn_reply *reply);
