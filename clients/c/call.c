/* Requests: from the public structs to a frame in the output buffer, and a call in the list. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "clients/c/internal.h"
#include "proto/frame.h"

#define LEVELS_MAX 4096 /* of a request: far above any network's blocks */

/* What is asked, in the caller's words. */
struct question {
    Virtualnet__Request__CallCase kind;
    const struct vn_client_request *request; /* infer, plan */
    const char *store;                       /* describe, reload; NULL: the default one */
    const char *task;                        /* describe; NULL: all */
    uint32_t timeout_ms;
    bool all; /* reload */
};

/* Who is told: a callback, or a synchronous call that waits. */
struct asker {
    vn_client_callback *callback;
    void *userdata;
    struct vn_waiter *waiter;
};

static int refuse(struct vn_client *c, int result, const char *what)
{
    vn_error_set(&c->error, result, "%s", what);
    return result;
}

static int may_start(struct vn_client *c)
{
    if (c->fd < 0)
        return refuse(c, -ENOTCONN, "the connection is closed; open another client");
    if (c->n_calls >= VN_CLIENT_CALLS_MAX)
        return refuse(c, -EAGAIN, "too many open calls; wait for replies first");
    return 0;
}

static int append_request(struct vn_client *c, const Virtualnet__Request *message)
{
    int r = vn_frame_append(&c->out, &message->base, c->frame_limit);

    if (r == VN_FRAME_E_TOO_LONG) {
        vn_error_set(
            &c->error, -EMSGSIZE,
            "the request is longer than the %u bytes that the daemon reads; send a smaller "
            "image",
            c->frame_limit);
        return -EMSGSIZE;
    }
    if (r == -ENOBUFS)
        return refuse(c, -EAGAIN, "too many bytes wait to be sent; dispatch first");
    return r ? refuse(c, r, "no memory for the request") : 0;
}

static Virtualnet__Response__ResultCase expected_reply(Virtualnet__Request__CallCase kind)
{
    switch (kind) {
    case VIRTUALNET__REQUEST__CALL_DESCRIBE:
        return VIRTUALNET__RESPONSE__RESULT_DESCRIBE;
    case VIRTUALNET__REQUEST__CALL_STATUS:
        return VIRTUALNET__RESPONSE__RESULT_STATUS;
    case VIRTUALNET__REQUEST__CALL_RELOAD:
        return VIRTUALNET__RESPONSE__RESULT_RELOAD;
    default: /* infer, and plan, which is answered in the same form */
        return VIRTUALNET__RESPONSE__RESULT_INFER;
    }
}

/* The request as it is, without the pixels that are in a memfd. */
static uint8_t *pack(const Virtualnet__Request *message, size_t *ret_bytes)
{
    uint8_t *question = malloc(virtualnet__request__get_packed_size(message));

    if (question)
        *ret_bytes = virtualnet__request__pack(message, question);
    return question;
}

/* Queues the message and opens its call, which takes the memfd that holds its image. */
static int start(struct vn_client *c, Virtualnet__Request *message, uint32_t timeout_ms,
                 const struct asker *asker, struct vn_memfd *memfd, uint64_t *ret_id)
{
    _cleanup_(vn_freep) struct vn_call *call = malloc(sizeof *call);
    _cleanup_(vn_freep) uint8_t *question = NULL;
    uint64_t at = c->sent_bytes + vn_buffer_used(&c->out);
    size_t question_bytes = 0;
    int r;

    message->id = c->last_id + 1;
    if (memfd->fd >= 0)
        question = pack(message, &question_bytes);
    if (!call || (memfd->fd >= 0 && !question))
        return refuse(c, -ENOMEM, "no memory for the call");
    r = append_request(c, message);
    if (r)
        return r;
    if (memfd->fd >= 0)
        vn_memfd_pass(c, memfd, at);
    *call = (struct vn_call){
        .previous = c->last,
        .id = ++c->last_id,
        .deadline_ns = timeout_ms ? vn_now_ns() + timeout_ms * VN_NS_PER_MS : 0,
        .expected = expected_reply(message->call_case),
        .callback = asker->callback,
        .userdata = asker->userdata,
        .waiter = asker->waiter,
        .memfd = *memfd,
        .question = question,
        .question_bytes = question_bytes,
    };
    *memfd = VN_MEMFD_NONE;
    question = NULL;
    *(c->last ? &c->last->next : &c->first) = call;
    c->last = call;
    c->n_calls++;
    if (ret_id)
        *ret_id = call->id;
    call = NULL;
    return 0;
}

/* Its answer belongs to no call: it is dropped like a late one. */
void vn_tell_cancelled(struct vn_client *c, const struct vn_call *call)
{
    Virtualnet__Request message = VIRTUALNET__REQUEST__INIT;
    Virtualnet__CancelRequest cancel = VIRTUALNET__CANCEL_REQUEST__INIT;

    if (call->expected != VIRTUALNET__RESPONSE__RESULT_INFER)
        return;
    message.id = c->last_id + 1;
    message.call_case = VIRTUALNET__REQUEST__CALL_CANCEL;
    message.cancel = &cancel;
    cancel.id = call->id;
    if (!vn_frame_append(&c->out, &message.base, c->frame_limit))
        c->last_id++;
}

/* ---- infer and plan -------------------------------------------------------------------------- */

/* Points the message at the pixels, packed: in a memfd if there are many, at the caller's where
 * they already are, else at a copy that *ret_packed owns. */
static int fill_image(struct vn_client *c, const struct vn_client_image *image,
                      Virtualnet__Image *message, struct vn_memfd *ret_memfd, uint8_t **ret_packed)
{
    uint64_t row = (uint64_t)image->width * (image->format == VN_CLIENT_RGB8 ? 3 : 1), bytes;
    uint64_t stride = image->stride ? image->stride : row;

    if (image->format != VN_CLIENT_GRAY8 && image->format != VN_CLIENT_RGB8)
        return refuse(c, -EINVAL, "image.format is neither VN_CLIENT_GRAY8 nor VN_CLIENT_RGB8");
    if (!row || !image->height || stride < row)
        return refuse(c, -EINVAL, "image: a side is 0, or the stride is shorter than a row");
    if (!vn_mul_u64(row, image->height, &bytes) || bytes > c->frame_limit)
        return refuse(c, -EMSGSIZE, "the image is larger than the daemon reads; scale it down");
    *message = (Virtualnet__Image)VIRTUALNET__IMAGE__INIT;
    message->format = (Virtualnet__PixelFormat)image->format;
    message->width = image->width;
    message->height = image->height;
    if (vn_memfd_hold(c, image, row, stride, ret_memfd)) {
        message->memfd_bytes = bytes;
        return 0;
    }
    message->pixels = (ProtobufCBinaryData){bytes, (uint8_t *)image->pixels};
    if (stride == row)
        return 0;
    message->pixels.data = *ret_packed = malloc(bytes);
    if (!*ret_packed)
        return refuse(c, -ENOMEM, "no memory for the image");
    for (uint32_t y = 0; y < image->height; y++)
        memcpy(*ret_packed + y * row, (const uint8_t *)image->pixels + y * stride, row);
    return 0;
}

static int fill_request(struct vn_client *c, const struct vn_client_request *request,
                        uint32_t timeout_ms, Virtualnet__InferRequest *message)
{
    *message = (Virtualnet__InferRequest)VIRTUALNET__INFER_REQUEST__INIT;
    if (!(request->thrift >= 0 && request->thrift <= 1))
        return refuse(c, -EINVAL, "thrift is not in 0 .. 1");
    if (request->levels && (!request->n_levels || request->n_levels > LEVELS_MAX))
        return refuse(c, -EINVAL, "levels: one per block of the network is needed");
    if (request->task)
        message->task = (char *)request->task;
    message->budget_bytes = request->budget_bytes;
    message->thrift = request->thrift;
    message->level = (uint32_t *)request->levels;
    message->n_level = request->levels ? request->n_levels : 0;
    message->top_k = request->top_k;
    message->deadline_ms = request->deadline_ms ? request->deadline_ms : timeout_ms;
    message->uniform = request->uniform != 0;
    message->request_class = request->request_class == VN_CLIENT_CONTROL
                                 ? VIRTUALNET__REQUEST_CLASS__CONTROL
                                 : VIRTUALNET__REQUEST_CLASS__CLASS_UNSPECIFIED;
    if (request->store)
        message->store = (char *)request->store;
    if (request->stream)
        message->stream = (char *)request->stream;
    message->replace = request->replace != 0;
    message->deadline_at_ns = request->deadline_at_ns;
    message->when_full = (Virtualnet__WhenFull)request->when_full; /* the same numbers */
    message->streaming = request->streaming != 0;
    return 0;
}

static int start_infer(struct vn_client *c, const struct question *q, const struct asker *asker,
                       uint64_t *ret_id)
{
    _cleanup_(vn_memfd_close) struct vn_memfd memfd = VN_MEMFD_NONE;
    _cleanup_(vn_freep) uint8_t *packed = NULL;
    Virtualnet__Request message = VIRTUALNET__REQUEST__INIT;
    Virtualnet__InferRequest infer;
    Virtualnet__Image image;
    int r = fill_request(c, q->request, q->timeout_ms, &infer);

    if (r)
        return r;
    if (q->request->image.pixels) {
        r = fill_image(c, &q->request->image, &image, &memfd, &packed);
        if (r)
            return r;
        infer.image = &image;
    } else if (q->kind == VIRTUALNET__REQUEST__CALL_INFER) {
        return refuse(c, -EINVAL, "image.pixels is NULL; only a plan can do without an image");
    }
    message.call_case = q->kind;
    message.infer = &infer; /* the same member of the union as plan */
    return start(c, &message, q->timeout_ms, asker, &memfd, ret_id);
}

/* ---- every kind ------------------------------------------------------------------------------ */

static int ask(struct vn_client *c, const struct question *q, const struct asker *asker,
               uint64_t *ret_id)
{
    Virtualnet__Request message = VIRTUALNET__REQUEST__INIT;
    Virtualnet__DescribeRequest describe = VIRTUALNET__DESCRIBE_REQUEST__INIT;
    Virtualnet__StatusRequest status = VIRTUALNET__STATUS_REQUEST__INIT;
    Virtualnet__ReloadRequest reload = VIRTUALNET__RELOAD_REQUEST__INIT;
    struct vn_memfd memfd = VN_MEMFD_NONE;
    int r = may_start(c);

    if (r)
        return r;
    message.call_case = q->kind;
    switch (q->kind) {
    case VIRTUALNET__REQUEST__CALL_DESCRIBE:
        if (q->store)
            describe.store = (char *)q->store;
        if (q->task)
            describe.task = (char *)q->task;
        message.describe = &describe;
        break;
    case VIRTUALNET__REQUEST__CALL_STATUS:
        message.status = &status;
        break;
    case VIRTUALNET__REQUEST__CALL_RELOAD:
        if (q->store)
            reload.store = (char *)q->store;
        reload.all = q->all;
        message.reload = &reload;
        break;
    default:
        return start_infer(c, q, asker, ret_id);
    }
    return start(c, &message, q->timeout_ms, asker, &memfd, ret_id);
}

/* Asks, then runs the connection until the call has ended, which it does at the latest when the
 * connection does. */
static int ask_and_wait(struct vn_client *c, const struct question *q,
                        struct vn_client_reply **ret_reply)
{
    struct vn_waiter waiter = {0};
    struct pollfd p;
    int r;

    if (c->busy)
        return refuse(c, -EBUSY, "a synchronous call from inside a callback");
    r = ask(c, q, &(struct asker){.waiter = &waiter}, NULL);
    if (r)
        return r;
    for (;;) {
        vn_client_dispatch(c);
        if (waiter.done)
            break;
        p = (struct pollfd){.fd = vn_client_fd(c), .events = vn_client_events(c)};
        poll(&p, 1, vn_client_next_timeout(c)); /* EINTR: dispatch looks again */
    }
    if (!waiter.result)
        *ret_reply = &waiter.reply->public;
    return waiter.result;
}

int vn_client_infer(struct vn_client *c, const struct vn_client_request *request,
                    uint32_t timeout_ms, struct vn_client_reply **ret_reply)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_INFER, request, NULL, NULL, timeout_ms, false};

    return ask_and_wait(c, &q, ret_reply);
}

int vn_client_plan(struct vn_client *c, const struct vn_client_request *request,
                   uint32_t timeout_ms, struct vn_client_reply **ret_reply)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_PLAN, request, NULL, NULL, timeout_ms, false};

    return ask_and_wait(c, &q, ret_reply);
}

int vn_client_describe_store(struct vn_client *c, const char *store, const char *task,
                             uint32_t timeout_ms, struct vn_client_reply **ret_reply)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_DESCRIBE, NULL, store, task, timeout_ms, false};

    return ask_and_wait(c, &q, ret_reply);
}

int vn_client_describe(struct vn_client *c, const char *task, uint32_t timeout_ms,
                       struct vn_client_reply **ret_reply)
{
    return vn_client_describe_store(c, NULL, task, timeout_ms, ret_reply);
}

int vn_client_status(struct vn_client *c, uint32_t timeout_ms, struct vn_client_reply **ret_reply)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_STATUS, NULL, NULL, NULL, timeout_ms, false};

    return ask_and_wait(c, &q, ret_reply);
}

int vn_client_reload_store(struct vn_client *c, const char *store, uint32_t timeout_ms,
                           struct vn_client_reply **ret_reply)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_RELOAD, NULL, store, NULL, timeout_ms, false};

    return ask_and_wait(c, &q, ret_reply);
}

int vn_client_reload_all(struct vn_client *c, uint32_t timeout_ms,
                         struct vn_client_reply **ret_reply)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_RELOAD, NULL, NULL, NULL, timeout_ms, true};

    return ask_and_wait(c, &q, ret_reply);
}

int vn_client_reload(struct vn_client *c, uint32_t timeout_ms, struct vn_client_reply **ret_reply)
{
    return vn_client_reload_store(c, NULL, timeout_ms, ret_reply);
}

int vn_client_infer_start(struct vn_client *c, const struct vn_client_request *request,
                          uint32_t timeout_ms, vn_client_callback *callback, void *userdata,
                          uint64_t *ret_id)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_INFER, request, NULL, NULL, timeout_ms, false};

    return ask(c, &q, &(struct asker){callback, userdata, NULL}, ret_id);
}

int vn_client_plan_start(struct vn_client *c, const struct vn_client_request *request,
                         uint32_t timeout_ms, vn_client_callback *callback, void *userdata,
                         uint64_t *ret_id)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_PLAN, request, NULL, NULL, timeout_ms, false};

    return ask(c, &q, &(struct asker){callback, userdata, NULL}, ret_id);
}

int vn_client_describe_store_start(struct vn_client *c, const char *store, const char *task,
                                   uint32_t timeout_ms, vn_client_callback *callback,
                                   void *userdata, uint64_t *ret_id)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_DESCRIBE, NULL, store, task, timeout_ms, false};

    return ask(c, &q, &(struct asker){callback, userdata, NULL}, ret_id);
}

int vn_client_describe_start(struct vn_client *c, const char *task, uint32_t timeout_ms,
                             vn_client_callback *callback, void *userdata, uint64_t *ret_id)
{
    return vn_client_describe_store_start(c, NULL, task, timeout_ms, callback, userdata, ret_id);
}

int vn_client_status_start(struct vn_client *c, uint32_t timeout_ms, vn_client_callback *callback,
                           void *userdata, uint64_t *ret_id)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_STATUS, NULL, NULL, NULL, timeout_ms, false};

    return ask(c, &q, &(struct asker){callback, userdata, NULL}, ret_id);
}

int vn_client_reload_store_start(struct vn_client *c, const char *store, uint32_t timeout_ms,
                                 vn_client_callback *callback, void *userdata, uint64_t *ret_id)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_RELOAD, NULL, store, NULL, timeout_ms, false};

    return ask(c, &q, &(struct asker){callback, userdata, NULL}, ret_id);
}

int vn_client_reload_all_start(struct vn_client *c, uint32_t timeout_ms,
                               vn_client_callback *callback, void *userdata, uint64_t *ret_id)
{
    struct question q = {VIRTUALNET__REQUEST__CALL_RELOAD, NULL, NULL, NULL, timeout_ms, true};

    return ask(c, &q, &(struct asker){callback, userdata, NULL}, ret_id);
}

int vn_client_reload_start(struct vn_client *c, uint32_t timeout_ms, vn_client_callback *callback,
                           void *userdata, uint64_t *ret_id)
{
    return vn_client_reload_store_start(c, NULL, timeout_ms, callback, userdata, ret_id);
}
