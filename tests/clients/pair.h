/* A client of the library, and the daemon at its other end, which the test plays itself. */
#pragma once

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "clients/c/virtualnet-client.h"
#include "proto/frame.h"
#include "proto/virtualnet.pb-c.h"

struct pair {
    struct vn_client *client;
    int daemon; /* the test's end; -1 once closed */
};

static inline struct pair connected(void)
{
    struct pair p;
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(vn_client_open_fd(fds[0], &p.client), 0);
    p.daemon = fds[1];
    return p;
}

static inline void hang_up(struct pair *p)
{
    vn_closep(&p->daemon);
    p->daemon = -1;
}

static inline void end(struct pair *p)
{
    vn_client_free(p->client);
    hang_up(p);
}

/* What a callback saw. */
struct seen {
    int times;
    int result;
    uint64_t id;
    char text[512]; /* of the error, or what the reply is of */
};

static inline void on_reply(void *userdata, uint64_t id, const struct vn_client_reply *reply)
{
    struct seen *s = userdata;
    const char *said = reply->error         ? reply->error->message
                       : reply->answer      ? reply->answer->task
                       : reply->description ? reply->description->store
                       : reply->status      ? reply->status->store
                                            : reply->reloaded->store;

    s->times++;
    s->result = reply->result;
    s->id = id;
    snprintf(s->text, sizeof s->text, "%s", said);
    cr_expect_eq(!reply->result, !reply->error);
}

/* protobuf-c packs from pointers to char without changing what is there. */
static inline char *text(const char *literal)
{
    return (char *)literal;
}

/* ---- the daemon's part ----------------------------------------------------------------------- */

static inline void send_bytes(struct pair *p, const void *bytes, size_t n)
{
    cr_assert_eq(send(p->daemon, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static inline struct vn_buffer framed(const Virtualnet__Response *response)
{
    struct vn_buffer b;

    vn_buffer_init(&b, 1 << 20);
    cr_assert_eq(vn_frame_append(&b, &response->base, 1 << 20), 0);
    return b;
}

static inline void reply(struct pair *p, const Virtualnet__Response *response)
{
    _cleanup_(vn_buffer_deinit) struct vn_buffer b = framed(response);

    send_bytes(p, vn_buffer_head(&b), vn_buffer_used(&b));
}

static inline void reply_status(struct pair *p, uint64_t id, const char *store)
{
    Virtualnet__StatusResponse status = VIRTUALNET__STATUS_RESPONSE__INIT;
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;

    status.store = text(store);
    response.id = id;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_STATUS;
    response.status = &status;
    reply(p, &response);
}

static inline void reply_error(struct pair *p, uint64_t id, Virtualnet__Code code,
                               const char *message)
{
    Virtualnet__Error error = VIRTUALNET__ERROR__INIT;
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;

    error.code = code;
    error.message = text(message);
    error.needed_bytes = 4711;
    error.limit_name = text("queue_limit");
    error.limit = 64;
    error.current = 63;
    error.retry_after_ms = 17;
    error.phase = text("compute\n");
    response.id = id;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_ERROR;
    response.error = &error;
    reply(p, &response);
}

/* The descriptor that comes with the first of these bytes; -1: none. */
static inline int receive_bytes(struct pair *p, void *bytes, size_t n)
{
    _Alignas(struct cmsghdr) unsigned char control[CMSG_SPACE(4 * sizeof(int))];
    struct iovec part = {bytes, n};
    struct msghdr m = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    const struct cmsghdr *header;
    int fd = -1;

    cr_assert_eq(recvmsg(p->daemon, &m, MSG_WAITALL), (ssize_t)n);
    header = CMSG_FIRSTHDR(&m);
    if (header) {
        cr_assert_eq(header->cmsg_len, CMSG_LEN(sizeof fd), "one descriptor a frame");
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    }
    return fd;
}

/* Reads one request that has been sent, and its descriptor or -1; the caller frees and closes. */
static inline Virtualnet__Request *receive_with(struct pair *p, int *ret_fd)
{
    uint8_t header[4], *data;
    Virtualnet__Request *request;
    size_t n;

    *ret_fd = receive_bytes(p, header, sizeof header);
    n = (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
    data = malloc(n + 1);
    cr_assert_eq(receive_bytes(p, data, n), -1);
    request = virtualnet__request__unpack(NULL, n, data);
    free(data);
    cr_assert(request);
    return request;
}

static inline Virtualnet__Request *receive(struct pair *p)
{
    Virtualnet__Request *request;
    int fd;

    request = receive_with(p, &fd);
    cr_assert_eq(fd, -1);
    return request;
}
