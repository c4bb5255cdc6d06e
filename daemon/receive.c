#include "daemon/receive.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/calls.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/descriptors.h"
#include "daemon/reply.h"
#include "proto/frame.h"

static void refuse_length(struct client *c, uint32_t length)
{
    struct refusal refusal = {0};

    refuse(&refusal, VIRTUALNET__CODE__BAD_FRAME,
           "a frame of %u bytes is above the limit of %llu; send a smaller image, or raise "
           "frame_limit_bytes (every frame starts with its length in 4 bytes, big-endian)",
           length, (unsigned long long)c->daemon->config->frame_limit_bytes);
    client_refuse(c, &refusal);
}

/* Whether the request's pixels are in a memfd that came with its frame. */
static bool names_memfd(const Virtualnet__Request *m)
{
    return (m->call_case == VIRTUALNET__REQUEST__CALL_INFER ||
            m->call_case == VIRTUALNET__REQUEST__CALL_PLAN) && /* the same member of the union */
           m->infer->image &&
           m->infer->image->memfd_bytes;
}

/* The descriptor is the call's for as long as it is handled; what it does not keep is closed. */
static void handle(struct client *c, Virtualnet__Request *message, uint64_t bytes)
{
    c->memfd = names_memfd(message) ? descriptors_take(&c->descriptors) : -1;
    calls_handle(c, message, bytes);
    if (c->memfd >= 0)
        close(c->memfd);
    c->memfd = -1;
}

static void take_message(struct client *c, const uint8_t *bytes, uint32_t length)
{
    struct vn_frame_allocator allocator;
    struct refusal refusal = {0};
    Virtualnet__Request *message;

    vn_frame_allocator_init(&allocator, vn_frame_unpack_limit(length));
    message = virtualnet__request__unpack(&allocator.allocator, length, bytes);
    if (message) {
        handle(c, message, vn_frame_unpack_limit(length) - allocator.left);
        return;
    }
    if (allocator.starved)
        refuse(&refusal, VIRTUALNET__CODE__INTERNAL, "out of memory for a request of %u bytes",
               length);
    else
        refuse(&refusal, VIRTUALNET__CODE__BAD_FRAME,
               "the %u bytes of this frame are no virtualnet.Request, or one that would take more "
               "than %zu bytes of memory",
               length, vn_frame_unpack_limit(length));
    client_refuse(c, &refusal);
}

static void on_again(uv_idle_t *idle);

/* Whether whole frames are left for the connection's next turn. */
static bool has_more(const struct client *c)
{
    return uv_is_active((const uv_handle_t *)&c->again);
}

bool receive_has_frame(const struct client *c)
{
    uint32_t length;

    return vn_frame_look(vn_buffer_head(&c->in), vn_buffer_used(&c->in),
                         (uint32_t)c->daemon->config->frame_limit_bytes,
                         &length) != VN_FRAME_E_INCOMPLETE;
}

/* So many of those that are whole, so that who sends many does not keep the others waiting. */
static void take_frames(struct client *c)
{
    for (int n = 0; !c->closed && !c->closing; n++) {
        uint32_t length;
        int r = vn_frame_look(vn_buffer_head(&c->in), vn_buffer_used(&c->in),
                              (uint32_t)c->daemon->config->frame_limit_bytes, &length);

        if (r == VN_FRAME_E_INCOMPLETE)
            break;
        if (n == CLIENT_FRAMES_AT_ONCE) {
            uv_idle_start(&c->again, on_again);
            return;
        }
        c->daemon->counters[REQUESTS_RECEIVED]++;
        c->frames++;
        if (r) {
            refuse_length(c, length);
            break;
        }
        take_message(c, vn_buffer_head(&c->in) + VN_FRAME_HEADER, length);
        vn_buffer_consume(&c->in, VN_FRAME_HEADER + (size_t)length);
    }
    uv_idle_stop(&c->again);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void refuse_descriptor(struct client *c, int outcome)
{
    struct refusal refusal = {0};

    c->daemon->counters[REQUESTS_RECEIVED]++;
    switch (outcome) {
    case DESCRIPTORS_E_MANY:
        refuse(&refusal, VIRTUALNET__CODE__BAD_FRAME,
               "more than one descriptor came at once; a frame may bring one");
        break;
    case DESCRIPTORS_E_KIND:
        refuse(&refusal, VIRTUALNET__CODE__BAD_FRAME,
               "a descriptor came that is no memfd; an image may be in a sealed memfd, nothing "
               "else is taken");
        break;
    default:
        refuse(&refusal, VIRTUALNET__CODE__INTERNAL,
               "the daemon has no descriptor free for the one that came; connect again later, or "
               "send the pixels in the request");
    }
    client_refuse(c, &refusal);
}

/* With all whole frames taken, one may be left, for the frame that has begun. */
static void check_descriptors(struct client *c)
{
    struct refusal refusal = {0};

    if (c->descriptors.n <= (vn_buffer_used(&c->in) > 0))
        return;
    c->daemon->counters[REQUESTS_RECEIVED]++;
    refuse(&refusal, VIRTUALNET__CODE__BAD_FRAME,
           "a descriptor came with a request that has no image, or one whose memfd_bytes is 0");
    client_refuse(c, &refusal);
}

/* --- what has not arrived whole --------------------------------------------------------------- */

static void check_input(struct client *c)
{
    struct daemon *d = c->daemon;
    struct refusal r = {
        .limit_name = "input_limit_bytes",
        .limit = d->config->input_limit_bytes,
        .current = d->input_bytes,
        .retry_after_ms = CLIENT_RETRY_MS,
    };

    if (r.current > r.limit && r.current > c->input_bytes)
        refuse(
            &r, VIRTUALNET__CODE__BUSY,
            "requests that have not arrived whole hold %llu bytes and input_limit_bytes is %llu; "
            "connect and send it again later",
            (unsigned long long)r.current, (unsigned long long)r.limit);
    else if (c->user->used[CONFIG_LIMIT_INPUT_BYTES] == c->input_bytes ||
             !user_may_have(d, c->user, CONFIG_LIMIT_INPUT_BYTES, 0, &r))
        return;
    d->counters[REQUESTS_RECEIVED]++;
    client_refuse(c, &r);
}

/* What is left is the start of a frame. All of them together are bounded, but for the little that
 * one read takes, and a connection that is alone with its frame may have it. */
static void count_rest(struct client *c)
{
    struct daemon *d = c->daemon;
    size_t used = vn_buffer_used(&c->in);

    d->input_bytes += used - c->input_bytes;
    c->user->used[CONFIG_LIMIT_INPUT_BYTES] += used - c->input_bytes;
    c->input_bytes = used;
    memory_note(d);
    if (used > CLIENT_READ_BYTES)
        check_input(c);
}

static void on_late(uv_timer_t *timer)
{
    struct client *c = timer->data;
    struct daemon *d = c->daemon;
    struct refusal refusal = {.phase = "arrival"};

    d->counters[REQUESTS_RECEIVED]++;
    d->counters[SLOW_WRITERS_CUT]++;
    if (daemon_may_complain(&d->complained_late_ns))
        vn_log_notice("cut off a client of uid %u: %zu bytes of a request arrived in "
                      "frame_timeout_ms (%llu)",
                      c->uid, vn_buffer_used(&c->in),
                      (unsigned long long)d->config->frame_timeout_ms);
    refuse(&refusal, VIRTUALNET__CODE__DEADLINE,
           "a request of which %zu bytes came was not complete within frame_timeout_ms (%llu); "
           "connect and send it in one go",
           vn_buffer_used(&c->in), (unsigned long long)d->config->frame_timeout_ms);
    client_refuse(c, &refusal);
}

/* The rest is the start of a frame, which has so long to become whole; more of it gives it no more
 * time. */
static void time_rest(struct client *c)
{
    bool any = vn_buffer_used(&c->in) && !has_more(c), timed = c->timed_frame;

    if (timed && (!any || c->timed_frame != c->frames + 1)) {
        uv_timer_stop(&c->timer);
        c->timed_frame = 0;
        timed = false;
    }
    if (!any || timed)
        return;
    c->timed_frame = c->frames + 1;
    uv_timer_start(&c->timer, on_late, c->daemon->config->frame_timeout_ms, 0);
}

void receive_end(struct client *c)
{
    struct pollfd p = {.fd = c->fd};

    if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR))) {
        client_drop(c);
        return;
    }
    c->deaf = true;
    uv_timer_stop(&c->timer);
    client_drop_if_done(c);
    if (!c->closed)
        client_listen(c);
}

/* Takes what is whole, and looks at what is left. */
static void take_turn(struct client *c)
{
    take_frames(c);
    if (!c->closed && !c->closing && !has_more(c))
        check_descriptors(c);
    if (!c->closed && !c->closing)
        count_rest(c);
    if (!c->closed && !c->closing)
        time_rest(c);
    client_drop_if_done(c);
}

static void on_again(uv_idle_t *idle)
{
    take_turn(idle->data);
}

void receive(struct client *c)
{
    for (int i = 0; i < CLIENT_READS_AT_ONCE && !c->closed && !c->closing && !has_more(c); i++) {
        size_t n;
        int r;

        if (vn_buffer_reserve(&c->in, CLIENT_READ_BYTES)) {
            if (daemon_may_complain(&c->daemon->complained_memory_ns))
                vn_log_warning("no memory for %zu bytes from a client of uid %u; its connection is "
                               "closed",
                               vn_buffer_used(&c->in) + CLIENT_READ_BYTES, c->uid);
            client_drop(c);
            return;
        }
        r = descriptors_read(&c->descriptors, c->fd, c->uid, c->in.data + c->in.end,
                             CLIENT_READ_BYTES, &n);
        if (r == -EINTR)
            continue;
        if (r == -EAGAIN)
            return;
        if (r < 0) {
            client_drop(c);
            return;
        }
        if (r > 0) {
            refuse_descriptor(c, r);
            return;
        }
        if (!n) {
            receive_end(c);
            return;
        }
        c->in.end += n;
        take_turn(c);
        if (n < CLIENT_READ_BYTES)
            return; /* that was all for now; the loop says when there is more */
    }
}
