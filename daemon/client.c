#include "daemon/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/calls.h"
#include "daemon/daemon.h"
#include "daemon/receive.h"
#include "daemon/reply.h"
#include "daemon/send.h"
#include "proto/frame.h"

/* --- the end ---------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;

    if (--c->open_handles)
        return;
    vn_buffer_deinit(&c->in);
    vn_buffer_deinit(&c->out);
    vn_buffer_deinit(&c->unsent);
    free(c);
}

static void unlink_from_daemon(struct client *c)
{
    if (c->previous)
        c->previous->next = c->next;
    else
        c->daemon->clients = c->next;
    if (c->next)
        c->next->previous = c->previous;
    c->daemon->n_clients--;
}

/* What it held is not the user's any more. */
static void leave_user(struct client *c)
{
    struct user *u = c->user;

    u->used[CONFIG_LIMIT_INPUT_BYTES] -= c->input_bytes;
    u->used[CONFIG_LIMIT_BACKLOG_BYTES] -= c->backlog_bytes;
    u->used[CONFIG_LIMIT_INFLIGHT] -= c->in_flight;
    user_disconnect(c->daemon, u);
    c->user = NULL;
}

void client_drop(struct client *c)
{
    if (c->closed)
        return;
    c->closed = true;
    unlink_from_daemon(c);
    c->daemon->input_bytes -= c->input_bytes;
    calls_abandon(c);
    descriptors_close(&c->descriptors);
    leave_user(c);
    uv_close((uv_handle_t *)&c->poll, on_handle_closed);
    uv_close((uv_handle_t *)&c->timer, on_handle_closed);
    uv_close((uv_handle_t *)&c->unread, on_handle_closed);
    uv_close((uv_handle_t *)&c->again, on_handle_closed);
    close(c->fd);
    daemon_maybe_finish(c->daemon);
}

void client_drop_if_done(struct client *c)
{
    bool end = c->deaf || c->daemon->stopping;

    if (c->closed || vn_buffer_used(&c->out))
        return;
    if (c->closing || (end && !c->in_flight && !receive_has_frame(c)))
        client_drop(c);
}

/* --- what the loop looks for ------------------------------------------------------------------ */

static void on_event(uv_poll_t *poll, int status, int events);

/* A deaf or closing connection is not read, but a hang-up is reported with any event. */
void client_listen(struct client *c)
{
    int events = c->deaf || c->closing ? UV_PRIORITIZED : UV_READABLE;

    if (vn_buffer_used(&c->out))
        events |= UV_WRITABLE;
    if (events == c->events)
        return;
    c->events = events;
    if (uv_poll_start(&c->poll, events, on_event) < 0)
        client_drop(c);
}

/* --- the last error --------------------------------------------------------------------------- */

static void on_linger_over(uv_timer_t *timer)
{
    client_drop(timer->data);
}

void client_refuse(struct client *c, const struct refusal *refusal)
{
    c->closing = true;
    uv_timer_start(&c->timer, on_linger_over, CLIENT_LINGER_MS, 0);
    reply_refusal(c, 0, refusal);
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct client *c = poll->data;

    if (status < 0) {
        client_drop(c);
        return;
    }
    if (events & UV_WRITABLE)
        send_more(c);
    if (c->closed)
        return;
    if (events & UV_PRIORITIZED) /* only asked for when not read any more: a hang-up */
        receive_end(c);
    else if (events & UV_READABLE)
        receive(c);
}

/* --- the start -------------------------------------------------------------------------------- */

/* Over a limit: one typed error, without waiting, and the end. */
static void turn_away(struct daemon *d, int fd, const struct refusal *refusal)
{
    struct vn_buffer frame;

    d->counters[CONNECTIONS_REFUSED]++;
    vn_buffer_init(&frame, 4096);
    if (!reply_encode_refusal(&frame, 0, refusal) &&
        send(fd, vn_buffer_head(&frame), vn_buffer_used(&frame), MSG_NOSIGNAL) < 0)
        vn_log_debug("telling a client about %s: %s", refusal->limit_name, strerror(errno));
    vn_buffer_deinit(&frame);
    close(fd);
}

static int check_connections(const struct daemon *d, struct user *u, struct refusal *r)
{
    r->limit_name = "connections_limit";
    r->limit = d->config->connections_limit;
    r->current = d->n_clients;
    r->retry_after_ms = CLIENT_RETRY_MS;
    if (r->current >= r->limit)
        return refuse(r, VIRTUALNET__CODE__BUSY,
                      "%u connections are open and connections_limit is %llu; try again later",
                      d->n_clients, (unsigned long long)r->limit);
    return user_may_connect(d, u, r);
}

/* What is allowed is decided once: a connection keeps the rights of who opened it. */
static void take_rights(struct client *c, struct access_peer *peer)
{
    const struct config *config = c->daemon->config;

    access_peer_read_groups(peer, c->fd);
    c->uid = peer->uid;
    c->may_infer = access_allows(&config->access_infer, peer);
    c->may_control = access_allows(&config->access_control, peer);
    c->may_status = access_allows(&config->access_status, peer);
    c->may_admin = access_allows(&config->access_admin, peer);
}

static void link_to_daemon(struct client *c)
{
    c->next = c->daemon->clients;
    if (c->next)
        c->next->previous = c;
    c->daemon->clients = c;
    c->daemon->n_clients++;
    c->number = ++c->daemon->counters[CONNECTIONS_ACCEPTED];
}

/* NULL: out of memory; the descriptor is the caller's still. */
static struct client *make(struct daemon *d, int fd)
{
    struct client *c = calloc(1, sizeof *c);

    if (!c || uv_poll_init(&d->loop, &c->poll, fd)) {
        free(c);
        return NULL;
    }
    uv_timer_init(&d->loop, &c->timer);
    uv_timer_init(&d->loop, &c->unread);
    uv_idle_init(&d->loop, &c->again);
    c->poll.data = c->timer.data = c->unread.data = c->again.data = c;
    c->open_handles = 4;
    c->daemon = d;
    c->fd = fd;
    c->memfd = -1;
    /* One frame that is not complete yet, and one read. */
    vn_buffer_init(&c->in, VN_FRAME_HEADER + d->config->frame_limit_bytes + CLIENT_READ_BYTES);
    /* One reply of any size always fits. */
    vn_buffer_init(&c->out,
                   VN_FRAME_HEADER + d->config->frame_limit_bytes + d->config->reply_backlog_bytes);
    /* A mark for each answer that waits to be read; an answer is no shorter than a mark. */
    vn_buffer_init(&c->unsent, c->out.limit);
    return c;
}

static void admit(struct daemon *d, int fd, struct access_peer *peer)
{
    struct user *u = users_find(d, peer->uid);
    struct refusal r = {0};
    struct client *c;

    if (u && check_connections(d, u, &r)) {
        turn_away(d, fd, &r);
        user_log_refusal(u, &r);
        return;
    }
    c = u ? make(d, fd) : NULL;
    if (!c) {
        if (daemon_may_complain(&d->complained_memory_ns))
            vn_log_warning("no memory for another connection; it is closed");
        close(fd);
        return;
    }
    c->user = u;
    user_connect(d, u);
    take_rights(c, peer);
    link_to_daemon(c);
    client_listen(c);
}

void client_new(struct daemon *d, int fd)
{
    struct access_peer peer;

    access_peer_init(&peer, fd);
    admit(d, fd, &peer);
    access_peer_deinit(&peer);
}
