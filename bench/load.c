/* Throughput.
 *
 *     load daemon SOCKET LEVEL,LEVEL,... CLIENTS MILLISECONDS
 *         that many connections, each with one request on its way at any time
 *     load engine STORE LEVEL,LEVEL,... THREADS MILLISECONDS
 *         that many threads, each with a session of its own and one request after the other
 *
 * Prints JSON: requests, seconds, and for the daemon the percentiles of round trips in ns. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/local.h"
#include "bench/talk.h"
#include "proto/frame.h"

enum { CLIENTS_MAX = 256, THREADS_MAX = 64, TRIPS_MAX = 1 << 20 };

/* --- against a daemon ------------------------------------------------------------------------- */

struct client {
    int fd;
    struct vn_buffer answer;
    uint64_t sent_ns;
};

struct load {
    struct vn_buffer request;
    struct client clients[CLIENTS_MAX];
    unsigned n_clients, trips;
    double took[TRIPS_MAX]; /* ns */
};

static int client_send(const struct load *l, struct client *c)
{
    c->sent_ns = vn_now_ns();
    return talk_send(c->fd, vn_buffer_head(&l->request), vn_buffer_used(&l->request));
}

/* The first answer is looked into; later ones are only counted. */
static int client_answered(struct load *l, struct client *c, bool look)
{
    int r = talk_receive(c->fd, &c->answer);

    if (r)
        return r;
    if (look) {
        Virtualnet__Response *response = talk_result(&c->answer);

        if (!response)
            return -EPROTO;
        virtualnet__response__free_unpacked(response, NULL);
    } else if (l->trips < TRIPS_MAX) {
        l->took[l->trips++] = (double)(vn_now_ns() - c->sent_ns);
    }
    return 0;
}

static int connect_all(struct load *l, const char *socket, int epoll)
{
    for (unsigned i = 0; i < l->n_clients; i++) {
        struct client *c = &l->clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        int r;

        vn_buffer_init(&c->answer, VN_FRAME_MAX);
        c->fd = talk_connect(socket);
        if (c->fd < 0)
            return c->fd;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
            return -errno;
        if ((r = client_send(l, c)) || (r = client_answered(l, c, true)))
            return r;
    }
    return 0;
}

/* Until the time is over; answers that are still on their way then do not count. */
static int serve(struct load *l, int epoll, uint64_t end_ns)
{
    struct epoll_event events[CLIENTS_MAX];
    int r = 0;

    for (unsigned i = 0; i < l->n_clients; i++)
        if ((r = client_send(l, &l->clients[i])))
            return r;
    while (vn_now_ns() < end_ns) {
        int n = epoll_wait(epoll, events, CLIENTS_MAX, 1000);

        for (int i = 0; i < n; i++) {
            struct client *c = &l->clients[events[i].data.u32];

            if ((r = client_answered(l, c, false)) || (r = client_send(l, c)))
                return r;
        }
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int load_daemon(const char *socket, const uint32_t *levels, uint32_t n_levels,
                       unsigned clients, uint64_t ns)
{
    static struct load l;
    int epoll = epoll_create1(EPOLL_CLOEXEC), r;
    uint64_t start;
    double seconds;

    vn_buffer_init(&l.request, VN_FRAME_MAX);
    l.n_clients = clients;
    if ((r = talk_request(&l.request, levels, n_levels)) || (r = connect_all(&l, socket, epoll)))
        return r;
    start = vn_now_ns();
    r = serve(&l, epoll, start + ns);
    seconds = (double)(vn_now_ns() - start) / 1e9;
    if (r)
        return r;
    if (!l.trips)
        return -ETIMEDOUT;
    qsort(l.took, l.trips, sizeof l.took[0], by_value);
    printf("{\"requests\": %u, \"seconds\": %.6f, \"p50\": %.0f, \"p99\": %.0f}\n", l.trips,
           seconds, l.took[l.trips / 2], l.took[(uint64_t)l.trips * 99 / 100]);
    return 0;
}

/* --- the engine alone ------------------------------------------------------------------------- */

struct runner {
    struct local local;
    pthread_t thread;
    uint64_t end_ns;
    unsigned requests;
    int failed;
};

static void *run_until_end(void *context)
{
    struct runner *r = context;

    while (!r->failed && vn_now_ns() < r->end_ns) {
        r->failed = local_run(&r->local);
        r->requests++;
    }
    return NULL;
}

static int load_engine(const char *file, const uint32_t *levels, uint32_t n_levels,
                       unsigned threads, uint64_t ns)
{
    static struct runner runners[THREADS_MAX];
    _cleanup_(vn_store_unrefp) struct vn_store *store = NULL;
    struct vn_why why = {""};
    unsigned requests = 0;
    uint64_t start;
    int r;

    if (vn_store_open(file, &why, &store)) {
        fprintf(stderr, "load: %s\n", why.text);
        return -EINVAL;
    }
    for (unsigned i = 0; i < threads; i++)
        if ((r = local_init(&runners[i].local, store, levels, n_levels)))
            return r;
    start = vn_now_ns();
    for (unsigned i = 0; i < threads; i++) {
        runners[i].end_ns = start + ns;
        if (pthread_create(&runners[i].thread, NULL, run_until_end, &runners[i]))
            return -EAGAIN;
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(runners[i].thread, NULL);
        if (runners[i].failed)
            return runners[i].failed;
        requests += runners[i].requests;
    }
    printf("{\"requests\": %u, \"seconds\": %.6f}\n", requests,
           (double)(vn_now_ns() - start) / 1e9);
    for (unsigned i = 0; i < threads; i++)
        local_deinit(&runners[i].local);
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t levels[TALK_LEVELS_MAX], n;
    unsigned long many, ms;
    int r;

    many = argc == 6 ? strtoul(argv[4], NULL, 10) : 0;
    ms = argc == 6 ? strtoul(argv[5], NULL, 10) : 0;
    if (!ms || ms > 600000 || !many || many > (argv[1][0] == 'd' ? CLIENTS_MAX : THREADS_MAX)) {
        fputs("usage: load daemon SOCKET LEVELS CLIENTS MILLISECONDS\n"
              "       load engine STORE LEVELS THREADS MILLISECONDS\n",
              stderr);
        return 2;
    }
    n = talk_levels(argv[3], levels);
    if (!strcmp(argv[1], "daemon"))
        r = load_daemon(argv[2], levels, n, (unsigned)many, ms * VN_NS_PER_MS);
    else
        r = load_engine(argv[2], levels, n, (unsigned)many, ms * VN_NS_PER_MS);
    if (r)
        fprintf(stderr, "load: %s\n", r < 0 ? strerror(-r) : "the run failed");
    return r ? 1 : 0;
}
