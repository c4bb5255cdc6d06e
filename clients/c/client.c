/* A client's life: open, the list of calls, errors, close. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "clients/c/internal.h"
#include "proto/frame.h"

#define OUT_BYTES_MAX (64 << 20) /* calls that wait to be sent: four of the default's largest */

const char *vn_client_default_path(void)
{
    const char *path = secure_getenv("VIRTUALNET_SOCKET");

    return path && *path ? path : VN_CLIENT_SOCKET_DEFAULT;
}

static int connect_to(int fd, const char *path, uint32_t timeout_ms)
{
    /* a full backlog makes connect() wait, for as long as this says */
    struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);

    if (!length)
        return -ENOENT;
    if (length >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) ||
        connect(fd, (struct sockaddr *)&address, sizeof address))
        return -errno;
    return 0;
}

int vn_client_open(const char *path, uint32_t timeout_ms, struct vn_client **ret_client)
{
    _cleanup_(vn_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r;

    if (fd < 0)
        return -errno;
    r = connect_to(fd, path ? path : vn_client_default_path(), timeout_ms);
    if (!r)
        r = vn_client_open_fd(fd, ret_client);
    if (!r)
        fd = -1;
    return r;
}

int vn_client_open_fd(int fd, struct vn_client **ret_client)
{
    int flags = fcntl(fd, F_GETFL);
    struct vn_client *c;

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
        return -errno;
    c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->fd = fd;
    c->frame_limit = VN_FRAME_MAX;
    vn_buffer_init(&c->in, VN_FRAME_HEADER + VN_FRAME_MAX + VN_READ_BYTES);
    vn_buffer_init(&c->out, OUT_BYTES_MAX);
    vn_buffer_init(&c->passing, VN_CLIENT_CALLS_MAX * sizeof(struct vn_passing));
    c->idle = VN_MEMFD_NONE;
    *ret_client = c;
    return 0;
}

void vn_hang_up(struct vn_client *c, const struct vn_client_error *error)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    vn_buffer_deinit(&c->in);
    vn_buffer_deinit(&c->out);
    vn_memfd_drop_passing(c);
    vn_buffer_deinit(&c->passing);
    vn_memfd_close(&c->idle);
    while (c->first)
        vn_call_end(c, c->first, NULL, error); /* callbacks cannot add: nothing starts now */
}

void vn_client_close(struct vn_client *c)
{
    struct vn_client_error error;

    vn_error_set(&error, -ECANCELED, "the client was closed before the reply came");
    vn_hang_up(c, &error);
}

void vn_client_free(struct vn_client *c)
{
    if (!c)
        return;
    vn_client_close(c);
    free(c);
}

static void unlink_call(struct vn_client *c, struct vn_call *call)
{
    if (call->previous)
        call->previous->next = call->next;
    else
        c->first = call->next;
    if (call->next)
        call->next->previous = call->previous;
    else
        c->last = call->previous;
    c->n_calls--;
}

void vn_call_end(struct vn_client *c, struct vn_call *call, struct vn_reply *reply,
                 const struct vn_client_error *error)
{
    const struct vn_client_reply failure = {.result = error ? error->result : 0, .error = error};
    bool was_busy = c->busy;

    unlink_call(c, call);
    vn_memfd_let_go(c, call, failure.result >= 0);
    if (call->waiter) {
        *call->waiter = (struct vn_waiter){true, failure.result, reply};
        reply = NULL;
        if (error)
            c->error = *error;
    }
    if (call->callback) {
        c->busy = true;
        call->callback(call->userdata, call->id, reply ? &reply->public : &failure);
        c->busy = was_busy;
    }
    vn_reply_free(reply);
    free(call);
}

int vn_client_cancel(struct vn_client *c, uint64_t id)
{
    struct vn_client_error error;

    for (struct vn_call *call = c->first; call; call = call->next) {
        if (call->id != id)
            continue;
        vn_tell_cancelled(c, call);
        vn_error_set(&error, -ECANCELED, "the call was cancelled");
        vn_call_end(c, call, NULL, &error);
        return 0;
    }
    vn_error_set(&c->error, -ENOENT, "no call with id %ju is open", (uintmax_t)id);
    return -ENOENT;
}

const struct vn_client_error *vn_client_last_error(const struct vn_client *c)
{
    return &c->error;
}

int vn_client_fd(const struct vn_client *c)
{
    return c->fd;
}

size_t vn_client_open_calls(const struct vn_client *c)
{
    return c->n_calls;
}

void vn_error_set(struct vn_client_error *e, int result, const char *format, ...)
{
    va_list ap;

    *e = (struct vn_client_error){.result = result};
    va_start(ap, format);
    vsnprintf(e->message, sizeof e->message, format, ap);
    va_end(ap);
}

const char *vn_client_result_name(int result)
{
    const ProtobufCEnumValue *value;
    const char *name;

    if (result < 0) {
        name = strerrorname_np(-result);
        return name ? name : "unknown errno";
    }
    if (!result)
        return "OK";
    value = protobuf_c_enum_descriptor_get_value(&virtualnet__code__descriptor, result);
    return value ? value->name : "UNSPECIFIED";
}
