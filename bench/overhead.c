/* What the socket costs: the same request over a daemon's socket and as a call in this process, and
 * an echo of the same bytes by an epoll loop in another process, in turns: one that answers at
 * once, and one that is busy for as long as a call takes and then answers, on another processor
 * than the asking one's. What a round trip to the second takes beyond that time is the least that
 * any server costs whose processor is not the client's: each finds its own asleep.
 *
 *     overhead SOCKET STORE LEVEL,LEVEL,... ROUNDS CALLS
 *
 * Prints JSON: for each of "daemon", "local" and "echo" the percentiles of all durations; "over":
 * those of a round trip beyond the median call of its own round; "floor": those of the busy echo's
 * beyond its time; "compute": what the daemon's answers say that the run took, where caches and
 * clocks are the other core's. In nanoseconds. */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/local.h"
#include "bench/talk.h"
#include "proto/frame.h"

enum { WARM = 20, CALLS_MAX = 100000 };

struct bench {
    struct local local;
    struct vn_buffer request, answer;
    int daemon_fd, echo_fd, busy_fd;
    uint64_t busy_ns;
    unsigned rounds, calls;
    /* (rounds, calls) nanoseconds */
    double *daemon, *in_process, *echo, *over, *compute, *floor;
};

/* --- echoes ----------------------------------------------------------------------------------- */

/* Takes requests of so many bytes, sends answers of so many, until the other end is closed. */
static void echo_loop(int fd, size_t request, size_t answer, uint64_t busy_ns)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    static uint8_t bytes[65536];
    size_t have = 0;

    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return;
    while (epoll_wait(epoll, &event, 1, -1) == 1) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);

        if (n <= 0)
            return;
        have += (size_t)n;
        if (have < request)
            continue;
        have -= request;
        for (uint64_t end = vn_now_ns() + busy_ns; vn_now_ns() < end;)
            ;
        if (talk_send(fd, bytes, answer))
            return;
    }
}

/* This process to one of the processors it may use: the first, or the last. */
static void settle(bool last)
{
    cpu_set_t may, one;

    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof may, &may) < 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &may) && (last || !CPU_COUNT(&one))) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
        }
    sched_setaffinity(0, sizeof one, &one);
}

/* A process with the loop, at the other end of *ret_fd; a busy one keeps to the last processor. */
static pid_t echo_start(size_t request, size_t answer, uint64_t busy_ns, int *ret_fd)
{
    int fds[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        if (busy_ns)
            settle(true);
        echo_loop(fds[1], request, answer, busy_ns);
        _exit(0);
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static int echo_once(struct bench *b, int fd, size_t answer)
{
    uint8_t bytes[65536];
    int r = talk_send(fd, vn_buffer_head(&b->request), vn_buffer_used(&b->request));

    while (!r && answer) {
        ssize_t n = recv(fd, bytes, answer, 0);

        if (n <= 0)
            return -ECONNRESET;
        answer -= (size_t)n;
    }
    return r;
}

/* --- rounds ----------------------------------------------------------------------------------- */

static int daemon_once(struct bench *b)
{
    int r = talk_send(b->daemon_fd, vn_buffer_head(&b->request), vn_buffer_used(&b->request));

    return r ? r : talk_receive(b->daemon_fd, &b->answer);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(const double *x, unsigned n)
{
    static double sorted[CALLS_MAX];

    memcpy(sorted, x, n * sizeof *x);
    qsort(sorted, n, sizeof *sorted, by_value);
    return sorted[n / 2];
}

enum kind { LOCAL, DAEMON, ECHO_BARE, ECHO_BUSY };

static int once(struct bench *b, enum kind kind, size_t answer)
{
    switch (kind) {
    case LOCAL:
        return local_run(&b->local);
    case DAEMON:
        return daemon_once(b);
    default:
        return echo_once(b, kind == ECHO_BARE ? b->echo_fd : b->busy_fd, answer);
    }
}

/* What the daemon's last answer says of the run. 0 when it is no result. */
static double compute_ns(const struct bench *b)
{
    Virtualnet__Response *response = talk_result(&b->answer);
    double ns;

    if (!response)
        return 0;
    ns = (double)response->infer->compute_ns;
    virtualnet__response__free_unpacked(response, NULL);
    return ns;
}

/* ret_compute: for the daemon alone. */
static int block(struct bench *b, enum kind kind, size_t answer, double *ret_ns,
                 double *ret_compute)
{
    for (unsigned i = 0; i < WARM + b->calls; i++) {
        uint64_t start = vn_now_ns();
        int r = once(b, kind, answer);

        if (r)
            return r;
        if (i < WARM)
            continue;
        ret_ns[i - WARM] = (double)(vn_now_ns() - start);
        if (ret_compute && !(ret_compute[i - WARM] = compute_ns(b)))
            return -EPROTO;
    }
    return 0;
}

/* Answers of the busy echo, asked from the first processor. */
static int floor_block(struct bench *b, size_t answer, double *ret_ns)
{
    cpu_set_t before;
    int r;

    sched_getaffinity(0, sizeof before, &before);
    settle(false);
    r = block(b, ECHO_BUSY, answer, ret_ns, NULL);
    sched_setaffinity(0, sizeof before, &before);
    return r;
}

static int all_rounds(struct bench *b, size_t answer)
{
    for (unsigned round = 0; round < b->rounds; round++) {
        const size_t at = (size_t)round * b->calls;
        double middle;
        int r;

        if ((r = block(b, LOCAL, answer, b->in_process + at, NULL)) ||
            (r = block(b, DAEMON, answer, b->daemon + at, b->compute + at)) ||
            (r = block(b, ECHO_BARE, answer, b->echo + at, NULL)) ||
            (r = floor_block(b, answer, b->floor + at)))
            return r;
        middle = median(b->in_process + at, b->calls);
        for (unsigned i = 0; i < b->calls; i++) {
            b->over[at + i] = b->daemon[at + i] - middle;
            b->floor[at + i] -= (double)b->busy_ns;
        }
    }
    return 0;
}

static void print(const char *name, double *x, size_t n, const char *end)
{
    qsort(x, n, sizeof *x, by_value);
    printf("\"%s\": {\"p50\": %.0f, \"p90\": %.0f, \"p99\": %.0f, \"max\": %.0f}%s", name, x[n / 2],
           x[n * 9 / 10], x[n * 99 / 100], x[n - 1], end);
}

/* --- set-up ----------------------------------------------------------------------------------- */

static int set_up(struct bench *b, char **args)
{
    struct vn_why why = {""};
    struct vn_store *store = NULL;
    uint32_t levels[TALK_LEVELS_MAX], n = talk_levels(args[2], levels);
    size_t all;
    int r;

    b->rounds = (unsigned)strtoul(args[3], NULL, 10);
    b->calls = (unsigned)strtoul(args[4], NULL, 10);
    if (!b->rounds || b->rounds > 1000 || !b->calls || b->calls > CALLS_MAX)
        return -EINVAL;
    all = (size_t)b->rounds * b->calls;
    b->daemon = calloc(6 * all, sizeof *b->daemon);
    if (!b->daemon)
        return -ENOMEM;
    b->in_process = b->daemon + all;
    b->echo = b->in_process + all;
    b->over = b->echo + all;
    b->compute = b->over + all;
    b->floor = b->compute + all;
    vn_buffer_init(&b->request, VN_FRAME_MAX);
    vn_buffer_init(&b->answer, VN_FRAME_MAX);
    if ((r = talk_request(&b->request, levels, n)))
        return r;
    b->daemon_fd = talk_connect(args[0]);
    if (b->daemon_fd < 0)
        return b->daemon_fd;
    if (vn_store_open(args[1], &why, &store)) {
        fprintf(stderr, "overhead: %s\n", why.text);
        return -EINVAL;
    }
    r = local_init(&b->local, store, levels, n);
    vn_store_unref(store);
    return r;
}

/* The daemon's answer is a result, and the same as the call's. */
static int same_answer(struct bench *b)
{
    Virtualnet__Response *response;
    uint32_t best;
    int r = daemon_once(b);

    if (r)
        return r;
    response = talk_result(&b->answer);
    if (!response)
        return -EPROTO;
    vn_top_k(b->local.result.probabilities, b->local.result.n_labels, 1, &best);
    if (response->infer->n_label < 1 || response->infer->label[0]->index != best ||
        fabsf(response->infer->label[0]->probability - b->local.result.probabilities[best]) > 1e-6f)
        r = -EPROTO;
    virtualnet__response__free_unpacked(response, NULL);
    return r;
}

/* Starts the echoes, the busy one for as long as a call takes now, runs all rounds, ends them. */
static int with_echoes(struct bench *b, size_t answer)
{
    const size_t request = vn_buffer_used(&b->request);
    pid_t echo, busy;
    int r = block(b, LOCAL, answer, b->in_process, NULL);

    if (r)
        return r;
    b->busy_ns = (uint64_t)median(b->in_process, b->calls);
    echo = echo_start(request, answer, 0, &b->echo_fd);
    busy = echo_start(request, answer, b->busy_ns, &b->busy_fd);
    r = echo < 0 || busy < 0 ? -EAGAIN : all_rounds(b, answer);
    close(b->echo_fd);
    close(b->busy_fd);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    return r;
}

static int measure(struct bench *b)
{
    const size_t all = (size_t)b->rounds * b->calls;
    size_t answer;
    int r = same_answer(b);

    if (r)
        return r;
    answer = vn_buffer_used(&b->answer);
    r = with_echoes(b, answer);
    if (r)
        return r;
    printf("{\"request_bytes\": %zu, \"answer_bytes\": %zu, ", vn_buffer_used(&b->request), answer);
    print("local", b->in_process, all, ", ");
    print("daemon", b->daemon, all, ", ");
    print("echo", b->echo, all, ", ");
    print("over", b->over, all, ", ");
    print("floor", b->floor, all, ", ");
    print("compute", b->compute, all, "}\n");
    return 0;
}

int main(int argc, char **argv)
{
    static struct bench b;
    int r;

    if (argc != 6) {
        fputs("usage: overhead SOCKET STORE LEVELS ROUNDS CALLS\n", stderr);
        return 2;
    }
    r = set_up(&b, argv + 1);
    if (!r)
        r = measure(&b);
    if (r)
        fprintf(stderr, "overhead: %s\n", r < 0 ? strerror(-r) : "the run failed");
    vn_buffer_deinit(&b.request);
    vn_buffer_deinit(&b.answer);
    local_deinit(&b.local);
    free(b.daemon);
    return r ? 1 : 0;
}
