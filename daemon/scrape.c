#include "daemon/scrape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/daemon.h"

#define HEAD_MAX 256 /* of our answers */

struct scrape {
    struct exporter *exporter;
    struct scrape *previous, *next; /* in the exporter's list */
    uv_poll_t poll;
    uv_timer_t timer;
    uint32_t open_handles;
    int fd;
    bool gone;       /* off the list; memory is kept until the loop lets go of it */
    uint64_t number; /* of the writer that it waits for; 0: its request is not complete */
    size_t length;
    char request[SCRAPE_REQUEST_MAX];
    struct vn_buffer out;
};

/* --- the end ---------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct scrape *s = handle->data;

    if (--s->open_handles)
        return;
    vn_buffer_deinit(&s->out);
    free(s);
}

static void drop(struct scrape *s)
{
    struct exporter *e = s->exporter;

    if (s->gone)
        return;
    s->gone = true;
    if (s->previous)
        s->previous->next = s->next;
    else
        e->scrapes = s->next;
    if (s->next)
        s->next->previous = s->previous;
    e->n_scrapes--;
    uv_close((uv_handle_t *)&s->poll, on_handle_closed);
    uv_close((uv_handle_t *)&s->timer, on_handle_closed);
    close(s->fd);
}

void scrape_drop_all(struct exporter *e)
{
    while (e->scrapes)
        drop(e->scrapes);
}

static void on_time_over(uv_timer_t *timer)
{
    drop(timer->data);
}

/* --- the answer ------------------------------------------------------------------------------- */

static void on_event(uv_poll_t *poll, int status, int events);

static void flush(struct scrape *s)
{
    while (vn_buffer_used(&s->out)) {
        ssize_t n = send(s->fd, vn_buffer_head(&s->out), vn_buffer_used(&s->out), MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && !uv_poll_start(&s->poll, UV_WRITABLE, on_event))
            return;
        if (n < 0)
            break;
        vn_buffer_consume(&s->out, (size_t)n);
    }
    drop(s);
}

static void answer(struct scrape *s, const char *status, const void *body, size_t length)
{
    char head[HEAD_MAX];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.0 %s\r\n"
                     "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                     "Content-Length: %zu\r\n"
                     "Connection: close\r\n\r\n",
                     status, length);

    if (vn_buffer_append(&s->out, head, (size_t)n) || vn_buffer_append(&s->out, body, length))
        drop(s);
    else
        flush(s);
}

static void answer_error(struct scrape *s, const char *status, const char *sentence)
{
    answer(s, status, sentence, strlen(sentence));
}

bool scrape_waits(const struct exporter *e)
{
    for (const struct scrape *s = e->scrapes; s; s = s->next)
        if (s->number && !s->out.end)
            return true;
    return false;
}

void scrape_answer(struct exporter *e, uint64_t number, const struct vn_buffer *text)
{
    struct scrape *next;

    for (struct scrape *s = e->scrapes; s; s = next) {
        next = s->next;
        if (!s->number || s->number > number || s->out.end)
            continue;
        if (text)
            answer(s, "200 OK", vn_buffer_head(text), vn_buffer_used(text));
        else
            answer_error(s, "503 Service Unavailable", "out of memory\n");
    }
}

/* --- the request ------------------------------------------------------------------------------ */

static bool complete(const struct scrape *s)
{
    return memmem(s->request, s->length, "\r\n\r\n", 4) || memmem(s->request, s->length, "\n\n", 2);
}

static bool starts_with(const struct scrape *s, const char *text)
{
    return s->length >= strlen(text) && !memcmp(s->request, text, strlen(text));
}

static void take_request(struct scrape *s)
{
    if (!starts_with(s, "GET ")) {
        answer_error(s, "405 Method Not Allowed", "only GET is answered\n");
        return;
    }
    if (!starts_with(s, "GET /metrics") && !starts_with(s, "GET / ")) {
        answer_error(s, "404 Not Found", "there is only /metrics\n");
        return;
    }
    uv_poll_stop(&s->poll); /* one who leaves is noticed when it is answered */
    s->number = exporter_ask(s->exporter);
    if (!s->number)
        answer_error(s, "503 Service Unavailable", "out of memory\n");
}

static void receive_request(struct scrape *s)
{
    ssize_t n = recv(s->fd, s->request + s->length, sizeof s->request - s->length, 0);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        drop(s);
        return;
    }
    s->length += (size_t)n;
    if (complete(s))
        take_request(s);
    else if (s->length == sizeof s->request)
        answer_error(s, "431 Request Header Fields Too Large", "the request is too long\n");
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct scrape *s = poll->data;

    if (status < 0)
        drop(s);
    else if (events & UV_WRITABLE)
        flush(s);
    else
        receive_request(s);
}

void scrape_new(struct exporter *e, int fd)
{
    struct scrape *s = e->n_scrapes < EXPORTER_SCRAPES_MAX ? calloc(1, sizeof *s) : NULL;

    if (!s || uv_poll_init(&e->daemon->loop, &s->poll, fd)) {
        close(fd);
        free(s);
        return;
    }
    uv_timer_init(&e->daemon->loop, &s->timer);
    s->poll.data = s->timer.data = s;
    s->open_handles = 2;
    s->exporter = e;
    s->fd = fd;
    vn_buffer_init(&s->out, HEAD_MAX + METRICS_TEXT_MAX);
    s->next = e->scrapes;
    if (s->next)
        s->next->previous = s;
    e->scrapes = s;
    e->n_scrapes++;
    uv_timer_start(&s->timer, on_time_over, SCRAPE_TIME_MS, 0);
    if (uv_poll_start(&s->poll, UV_READABLE, on_event))
        drop(s);
}
