#include "daemon/exporter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/scrape.h"
#include "daemon/thread.h"

#define SUFFIX ".new" /* beside the file, so that a rename replaces it */

/* --- the writer's thread ---------------------------------------------------------------------- */

static int write_all(int fd, const struct vn_buffer *b)
{
    for (size_t i = b->start; i < b->end;) {
        ssize_t n = write(fd, b->data + i, b->end - i);

        if (n < 0 && errno != EINTR)
            return -errno;
        i += n < 0 ? 0 : (size_t)n;
    }
    return 0;
}

/* Who reads the file sees the old one or the new one, whole. */
static int replace_file(const struct config *c, const struct vn_buffer *text)
{
    char path[CONFIG_PATH_MAX + sizeof SUFFIX];
    _cleanup_(vn_closep) int fd = -1;
    int r;

    snprintf(path, sizeof path, "%s" SUFFIX, c->metrics_file);
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, config_mode(c->metrics_mode)) < 0)
        return -errno;
    r = write_all(fd, text);
    if (!r && rename(path, c->metrics_file) < 0)
        r = -errno;
    if (r)
        unlink(path);
    return r;
}

static void *write_out(void *argument)
{
    struct exporter *e = argument;

    e->snapshot.report.memory = status_memory();
    e->text_result = metrics_text(&e->snapshot, &e->text);
    e->file_result = e->text_result;
    if (e->write_file && !e->text_result)
        e->file_result = replace_file(e->daemon->config, &e->text);
    uv_async_send(&e->woken);
    return NULL;
}

/* --- the loop's side -------------------------------------------------------------------------- */

static int begin(struct exporter *e)
{
    int r = metrics_snapshot_take(e->daemon, &e->snapshot);

    if (r)
        return r;
    e->write_file = e->file_due;
    r = thread_start(&e->thread, write_out, e);
    if (r) {
        metrics_snapshot_deinit(&e->snapshot);
        return r;
    }
    e->file_due = false;
    e->running = true;
    e->number++;
    return 0;
}

static void complain(struct exporter *e, int error)
{
    if (daemon_may_complain(&e->complained_ns))
        vn_log_warning("writing metrics%s%s: %s", e->write_file ? " to " : "",
                       e->write_file ? e->daemon->config->metrics_file : "",
                       error > 0 ? "too long" : strerror(-error));
}

static void on_written(uv_async_t *async)
{
    struct exporter *e = async->data;

    if (!e->running)
        return;
    pthread_join(e->thread, NULL);
    e->running = false;
    if (e->text_result || (e->write_file && e->file_result))
        complain(e, e->text_result ? e->text_result : e->file_result);
    scrape_answer(e, e->number, e->text_result ? NULL : &e->text);
    vn_buffer_deinit(&e->text);
    metrics_snapshot_deinit(&e->snapshot);
    if (!e->stopping && (e->file_due || scrape_waits(e)) && begin(e))
        scrape_answer(e, UINT64_MAX, NULL);
    daemon_maybe_finish(e->daemon);
}

static void on_tick(uv_timer_t *timer)
{
    struct exporter *e = timer->data;
    int r;

    e->file_due = true;
    if (e->running)
        return;
    r = begin(e);
    if (r)
        complain(e, r);
}

uint64_t exporter_ask(struct exporter *e)
{
    if (e->running)
        return e->number + 1;
    return begin(e) ? 0 : e->number;
}

static void on_accepted(void *context, int fd)
{
    scrape_new(context, fd);
}

static int listen_at_socket(struct exporter *e, struct vn_why *why)
{
    const struct config *c = e->daemon->config;
    const struct listener_place place = {
        .key = "metrics_socket",
        .path = c->metrics_socket,
        .mode = config_mode(c->metrics_mode),
        .group = c->socket_group,
    };
    int r = listener_claim(&e->listener, &place, why);

    return r ? r : listener_open(&e->listener, &e->daemon->loop, on_accepted, e, why);
}

int exporter_init(struct exporter *e, struct daemon *d, struct vn_why *why)
{
    const struct config *c = d->config;
    int r;

    *e = (struct exporter){.daemon = d, .listener = {.fd = -1, .lock_fd = -1}};
    vn_buffer_init(&e->text, METRICS_TEXT_MAX);
    r = uv_async_init(&d->loop, &e->woken, on_written);
    if (r)
        return vn_because(why, r, "starting: %s", strerror(-r));
    uv_timer_init(&d->loop, &e->tick);
    e->woken.data = e->tick.data = e;
    e->open = true;
    if (c->metrics_file[0])
        uv_timer_start(&e->tick, on_tick, 0, c->metrics_interval_ms);
    return c->metrics_socket[0] ? listen_at_socket(e, why) : 0;
}

void exporter_stop(struct exporter *e)
{
    if (!e->open)
        return;
    e->stopping = true;
    uv_timer_stop(&e->tick);
    listener_close(&e->listener);
    scrape_drop_all(e);
}

/* A file that nobody renews would show the last numbers for ever. */
void exporter_deinit(struct exporter *e)
{
    if (!e->open)
        return;
    exporter_stop(e);
    if (e->daemon->config->metrics_file[0])
        unlink(e->daemon->config->metrics_file);
    uv_close((uv_handle_t *)&e->woken, NULL);
    uv_close((uv_handle_t *)&e->tick, NULL);
    e->open = false;
}
