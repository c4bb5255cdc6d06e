#include "daemon/send.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/reply.h"
#include "proto/frame.h"

/* --- times ------------------------------------------------------------------------------------ */

/* An answer on its way: its last byte is the connection's `end`th. */
struct mark {
    uint64_t end;
    struct metrics_run run;
};

static void count_sent(struct client *c)
{
    struct mark m;

    while (vn_buffer_used(&c->unsent)) {
        memcpy(&m, vn_buffer_head(&c->unsent), sizeof m);
        if (m.end > c->sent_bytes)
            return;
        metrics_sent(&m.run, vn_now_ns());
        vn_buffer_consume(&c->unsent, sizeof m);
    }
}

/* Without memory for the mark the answer is not timed. */
void client_count_sent(struct client *c, const struct metrics_run *run)
{
    const struct mark m = {c->sent_bytes + vn_buffer_used(&c->out), *run};

    if (c->closed)
        return;
    if (m.end == c->sent_bytes)
        metrics_sent(run, vn_now_ns());
    else if (vn_buffer_append(&c->unsent, &m, sizeof m))
        vn_log_debug("no memory to time an answer");
}

static void count_backlog(struct client *c)
{
    size_t used = vn_buffer_used(&c->out);

    c->user->used[CONFIG_LIMIT_BACKLOG_BYTES] += used - c->backlog_bytes;
    c->backlog_bytes = used;
}

static void cut(struct client *c, const char *limit_name, uint64_t limit)
{
    struct daemon *d = c->daemon;

    d->counters[SLOW_READERS_CUT]++;
    if (daemon_may_complain(&d->complained_slow_ns))
        vn_log_notice("cut off a client of uid %u: %zu bytes of replies are unread, %s is %llu",
                      c->uid, vn_buffer_used(&c->out), limit_name, (unsigned long long)limit);
    client_drop(c);
}

static void on_unread(uv_timer_t *timer)
{
    struct client *c = timer->data;

    cut(c, "reply_timeout_ms", c->daemon->config->reply_timeout_ms);
}

/* Each byte that is taken gives it the whole time again. */
static void time_backlog(struct client *c, bool any_taken)
{
    if (!vn_buffer_used(&c->out))
        uv_timer_stop(&c->unread);
    else if (any_taken || !uv_is_active((uv_handle_t *)&c->unread))
        uv_timer_start(&c->unread, on_unread, c->daemon->config->reply_timeout_ms, 0);
}

void send_more(struct client *c)
{
    bool any = false;

    while (vn_buffer_used(&c->out)) {
        ssize_t n = send(c->fd, vn_buffer_head(&c->out), vn_buffer_used(&c->out), MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) { /* EPIPE, ECONNRESET: it does not want to know */
            client_drop(c);
            return;
        }
        vn_buffer_consume(&c->out, (size_t)n);
        c->sent_bytes += (uint64_t)n;
        any = true;
    }
    count_backlog(c);
    time_backlog(c, any);
    count_sent(c);
    client_drop_if_done(c);
    if (!c->closed)
        client_listen(c);
}

/* When more is unread than its connection, or its user, may leave, before one more reply: that one
 * may have any size. */
static void cut_when_full(struct client *c)
{
    struct daemon *d = c->daemon;
    struct refusal r = {
        .limit_name = "reply_backlog_bytes",
        .limit = d->config->reply_backlog_bytes,
        .current = vn_buffer_used(&c->out),
    };

    if (!r.current ||
        (r.current <= r.limit && !user_may_have(d, c->user, CONFIG_LIMIT_BACKLOG_BYTES, 0, &r)))
        return;
    cut(c, r.limit_name, r.limit);
}

int client_send(struct client *c, const Virtualnet__Response *response)
{
    const struct config *config = c->daemon->config;
    int r;

    if (!c->closed)
        cut_when_full(c);
    if (c->closed)
        return 0;
    r = vn_frame_append(&c->out, &response->base, (uint32_t)config->frame_limit_bytes);
    if (r > 0)
        return r;
    if (r) { /* a reply that is lost in silence would be worse */
        if (daemon_may_complain(&c->daemon->complained_memory_ns))
            vn_log_warning("a reply could not be kept: %s; the connection is closed", strerror(-r));
        client_drop(c);
        return 0;
    }
    send_more(c);
    return 0;
}
