/* Bytes in, bytes out, and the clock. Nothing here blocks.
 *
 * Replies are read before requests are written, also once writing has failed: a daemon that hangs
 * up says why first, and its sentence must not be lost to an EPIPE. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/checked.h"
#include "base/clock.h"
#include "clients/c/internal.h"
#include "proto/frame.h"

#define READS_MAX 16                 /* per dispatch, so that the loop's other work gets its turn */
#define UNPACK_BYTES_MAX (128 << 20) /* heap that unpacking one reply may take, whatever its size */

/* The widest honest reply is a description: a label of four letters is 6 bytes on the wire and up
 * to 95 here: itself, its pointer, and what protobuf-c needs to find it, in slabs that double. */
static size_t unpack_limit(uint32_t length)
{
    size_t limit = 16 * (size_t)length + (1 << 20);

    return limit < UNPACK_BYTES_MAX ? limit : UNPACK_BYTES_MAX;
}

static int break_off(struct vn_client *c, int result, const char *what)
{
    struct vn_client_error error;

    vn_error_set(&error, result, "%s", what);
    c->error = error;
    vn_hang_up(c, &error);
    return result;
}

static struct vn_call *find_call(struct vn_client *c, uint64_t id)
{
    struct vn_call *call = c->first;

    while (call && call->id != id)
        call = call->next;
    return call;
}

/* A reply without an id answers what the daemon could not read; it hangs up, so do we. */
static int take_farewell(struct vn_client *c, Virtualnet__Response *message)
{
    struct vn_client_error error;
    struct vn_reply *reply;
    int r = vn_reply_new(message, VIRTUALNET__RESPONSE__RESULT_ERROR, &error, &reply);

    if (r != VN_REPLY_E_ERROR)
        return break_off(c, -EPROTO, "the daemon sent a reply that belongs to no call");
    c->error = error;
    vn_hang_up(c, &error);
    return -ECONNRESET;
}

static void learn_frame_limit(struct vn_client *c, uint64_t bytes)
{
    uint64_t most = c->out.limit - VN_FRAME_HEADER;

    if (bytes)
        c->frame_limit = (uint32_t)(bytes < most ? bytes : most);
}

static int take_reply(struct vn_client *c, Virtualnet__Response *message)
{
    struct vn_call *call = find_call(c, message->id);
    struct vn_client_error error;
    struct vn_reply *reply = NULL;
    int r;

    if (!message->id)
        return take_farewell(c, message);
    if (!call) { /* ended here by a timeout or cancelled; or never asked for */
        bool late = message->id <= c->last_id;

        virtualnet__response__free_unpacked(message, NULL);
        return late ? 0 : break_off(c, -EPROTO, "the daemon answered a call that was never made");
    }
    r = vn_reply_new(message, call->expected, &error, &reply);
    if (r == VN_REPLY_E_ERROR && error.result == VN_CLIENT_E_BAD_IMAGE &&
        vn_memfd_send_again(c, call))
        return 0;
    if (r == VN_REPLY_E_PROTOCOL)
        return break_off(c, -EPROTO, "the daemon sent a reply of another kind than was asked for");
    if (r < 0)
        vn_error_set(&error, r, "no memory for the reply");
    if (!r && call->expected == VIRTUALNET__RESPONSE__RESULT_DESCRIBE)
        learn_frame_limit(c, reply->description.frame_limit_bytes);
    vn_call_end(c, call, reply, r ? &error : NULL);
    return 0;
}

static int take_frame(struct vn_client *c, uint32_t length)
{
    struct vn_frame_allocator allocator;
    Virtualnet__Response *message;

    vn_frame_allocator_init(&allocator, unpack_limit(length));
    message = virtualnet__response__unpack(&allocator.allocator, length,
                                           vn_buffer_head(&c->in) + VN_FRAME_HEADER);
    if (!message)
        return break_off(c, -EPROTO, "the daemon sent a reply that cannot be decoded");
    vn_buffer_consume(&c->in, VN_FRAME_HEADER + length);
    return take_reply(c, message);
}

/* All whole frames that have arrived. A callback may close the client: then fd is -1. */
static int take_frames(struct vn_client *c)
{
    uint32_t length;
    int r;

    for (;;) {
        if (c->fd < 0)
            return 0;
        r = vn_frame_look(vn_buffer_head(&c->in), vn_buffer_used(&c->in), VN_FRAME_MAX, &length);
        if (r == VN_FRAME_E_INCOMPLETE)
            return 0;
        if (r)
            return break_off(c, -EPROTO, "the daemon announced a reply longer than any can be");
        r = take_frame(c, length);
        if (r)
            return r;
    }
}

static int receive(struct vn_client *c)
{
    ssize_t n;
    int r;

    for (int i = 0; i < READS_MAX && c->fd >= 0; i++) {
        r = vn_buffer_reserve(&c->in, VN_READ_BYTES); /* fits: whole frames were taken out */
        if (r)
            return break_off(c, -ENOMEM, "no memory for the reply");
        n = recv(c->fd, c->in.data + c->in.end, VN_READ_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0)
            return break_off(c, n ? -errno : -ECONNRESET, "the daemon closed the connection");
        c->in.end += (size_t)n;
        r = take_frames(c);
        if (r)
            return r;
    }
    return 0;
}

static int transmit(struct vn_client *c)
{
    ssize_t n;

    while (c->fd >= 0 && vn_buffer_used(&c->out)) {
        n = vn_memfd_send(c);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            vn_buffer_consume(&c->out, (size_t)n);
            c->sent_bytes += (uint64_t)n;
        }
    }
    return 0;
}

static void time_out(struct vn_client *c)
{
    uint64_t now = vn_now_ns(); /* once: what callbacks start is later than this */
    struct vn_call *call = c->first;
    struct vn_client_error error;

    vn_error_set(&error, -ETIMEDOUT, "no reply came within the timeout of the call");
    while (call) {
        if (call->deadline_ns && call->deadline_ns <= now) {
            vn_call_end(c, call, NULL, &error);
            call = c->first; /* the callback may have changed the list anywhere */
        } else {
            call = call->next;
        }
    }
}

static int dispatch(struct vn_client *c)
{
    int r = receive(c), sent;

    if (r || c->fd < 0)
        return r;
    sent = transmit(c);
    if (sent) {
        r = receive(c); /* the farewell, if there is one, comes before the end of the stream */
        return r ? r : c->fd < 0 ? 0 : break_off(c, sent, "the daemon closed the connection");
    }
    time_out(c);
    return 0;
}

int vn_client_dispatch(struct vn_client *c)
{
    int r;

    if (c->busy)
        return -EBUSY;
    if (c->fd < 0)
        return -ENOTCONN;
    c->busy = true;
    r = dispatch(c);
    c->busy = false;
    return r;
}

short vn_client_events(const struct vn_client *c)
{
    if (c->fd < 0)
        return 0;
    return vn_buffer_used(&c->out) ? POLLIN | POLLOUT : POLLIN;
}

int vn_client_next_timeout(const struct vn_client *c)
{
    uint64_t first = UINT64_MAX, now, ms;

    for (const struct vn_call *call = c->first; call; call = call->next)
        if (call->deadline_ns && call->deadline_ns < first)
            first = call->deadline_ns;
    if (first == UINT64_MAX)
        return -1;
    now = vn_now_ns();
    if (first <= now)
        return 0;
    ms = (first - now + VN_NS_PER_MS - 1) / VN_NS_PER_MS;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}
