/* From exec to the first answer.
 *
 *     start daemon LEVEL,LEVEL,... SOCKET PROGRAM ARGUMENT...
 *         runs the daemon; connects as soon as there is a socket, asks for one run, then for more
 *     start worker LOAD... -- PROGRAM ARGUMENT...
 *         runs bench/engine and gives it the words of a load line, then "run 0 1"
 *
 * Prints JSON in nanoseconds: "first": from before fork to the answer; "again": the median of the
 * same request later. The program is ended afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/talk.h"
#include "proto/frame.h"

enum { AGAIN = 9 };
#define PATIENCE_NS (30 * VN_NS_PER_S)
#define RETRY_US 100

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void print(uint64_t first, uint64_t again[AGAIN])
{
    qsort(again, AGAIN, sizeof again[0], by_value);
    printf("{\"first\": %llu, \"again\": %llu}\n", (unsigned long long)first,
           (unsigned long long)again[AGAIN / 2]);
}

/* Starts the program; in and out, where they are not -1, become its standard input and output. */
static pid_t spawn(char **argv, int in, int out)
{
    pid_t pid = fork();

    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (in >= 0)
        dup2(in, 0);
    if (out >= 0)
        dup2(out, 1);
    execv(argv[0], argv);
    fprintf(stderr, "start: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void end(pid_t pid)
{
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

/* --- the daemon ------------------------------------------------------------------------------- */

static int connect_soon(const char *socket, pid_t pid, uint64_t start)
{
    int fd;

    while ((fd = talk_connect(socket)) < 0) {
        if (vn_now_ns() - start > PATIENCE_NS)
            return -ETIMEDOUT;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return -ECHILD;
        usleep(RETRY_US);
    }
    return fd;
}

static int ask(int fd, const struct vn_buffer *request, struct vn_buffer *answer)
{
    Virtualnet__Response *response;
    int r = talk_send(fd, vn_buffer_head(request), vn_buffer_used(request));

    if (!r)
        r = talk_receive(fd, answer);
    if (r)
        return r;
    response = talk_result(answer);
    if (!response)
        return -EPROTO;
    virtualnet__response__free_unpacked(response, NULL);
    return 0;
}

static int ask_again(int fd, const struct vn_buffer *request, struct vn_buffer *answer,
                     uint64_t again[AGAIN])
{
    for (int i = 0; i < AGAIN; i++) {
        uint64_t start = vn_now_ns();
        int r = ask(fd, request, answer);

        if (r)
            return r;
        again[i] = vn_now_ns() - start;
    }
    return 0;
}

static int start_daemon(const char *levels_text, const char *socket, char **program)
{
    struct vn_buffer request, answer;
    uint32_t levels[TALK_LEVELS_MAX], n = talk_levels(levels_text, levels);
    uint64_t start, first = 0, again[AGAIN];
    pid_t pid;
    int fd, r;

    vn_buffer_init(&request, VN_FRAME_MAX);
    vn_buffer_init(&answer, VN_FRAME_MAX);
    r = talk_request(&request, levels, n);
    if (r)
        return r;
    start = vn_now_ns();
    pid = spawn(program, -1, -1);
    if (pid < 0)
        return -errno;
    fd = r = connect_soon(socket, pid, start);
    if (fd >= 0 && !(r = ask(fd, &request, &answer))) {
        first = vn_now_ns() - start;
        r = ask_again(fd, &request, &answer, again);
    }
    if (r != -ECHILD)
        end(pid);
    if (!r)
        print(first, again);
    vn_buffer_deinit(&request);
    vn_buffer_deinit(&answer);
    return r;
}

/* --- the engine in a process ------------------------------------------------------------------ */

struct pipes {
    FILE *to, *from;
};

static int command(struct pipes *p, const char *line, uint64_t *ret_number)
{
    char answer[4096];

    if (fprintf(p->to, "%s\n", line) < 0 || fflush(p->to) || !fgets(answer, sizeof answer, p->from))
        return -EPIPE;
    if (strncmp(answer, "ok", 2)) {
        fprintf(stderr, "start: %s", answer);
        return -EPROTO;
    }
    if (ret_number)
        *ret_number = strtoull(answer + 2, NULL, 10);
    return 0;
}

static int talk_to_worker(struct pipes *p, const char *load, uint64_t start)
{
    uint64_t first, again[AGAIN];
    int r;

    if ((r = command(p, load, NULL)) || (r = command(p, "run 0 1", NULL)))
        return r;
    first = vn_now_ns() - start;
    for (int i = 0; i < AGAIN; i++)
        if ((r = command(p, "run 0 1", &again[i])))
            return r;
    print(first, again);
    return 0;
}

static int start_worker(const char *load, char **program)
{
    int to[2], from[2], r;
    struct pipes p;
    uint64_t start;
    pid_t pid;

    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
        return -errno;
    start = vn_now_ns();
    pid = spawn(program, to[0], from[1]);
    if (pid < 0)
        return -errno;
    close(to[0]);
    close(from[1]);
    p = (struct pipes){fdopen(to[1], "w"), fdopen(from[0], "r")};
    r = p.to && p.from ? talk_to_worker(&p, load, start) : -ENOMEM;
    end(pid);
    return r;
}

int main(int argc, char **argv)
{
    char load[8192] = "load";
    int r = -EINVAL, i = 2;

    if (argc > 4 && !strcmp(argv[1], "daemon")) {
        r = start_daemon(argv[2], argv[3], argv + 4);
    } else if (argc > 4 && !strcmp(argv[1], "worker")) {
        for (; i < argc && strcmp(argv[i], "--"); i++) {
            size_t used = strlen(load);

            snprintf(load + used, sizeof load - used, " %s", argv[i]);
        }
        if (i + 1 < argc)
            r = start_worker(load, argv + i + 1);
    }
    if (r)
        fprintf(stderr, "start: %s\n", r < 0 ? strerror(-r) : "the run failed");
    return r ? 1 : 0;
}
