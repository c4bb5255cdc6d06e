/* The client library without memory: whichever allocation fails, each call ends with the right
 * answer or an errno, the client can be used or is closed, and nothing is left behind. The other
 * end is a process that answers every Infer. malloc and its kin are wrapped by the linker. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/c/virtualnet-client.h"
#include "proto/frame.h"
#include "proto/virtualnet.pb-c.h"

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: must hold: %s (allocation %u)\n", __FILE__, __LINE__,          \
                    #condition, fail_at);                                                          \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static unsigned fail_at, in_a_row, allocations, failed;
static uint8_t pixels[512 * 512];

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);

static bool no_memory(void)
{
    allocations++;
    if (!fail_at || allocations < fail_at || allocations - fail_at > in_a_row)
        return false;
    failed++;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return no_memory() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return no_memory() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *p, size_t bytes)
{
    return no_memory() ? NULL : __real_realloc(p, bytes);
}

/* --- the other end ---------------------------------------------------------------------------- */

static void answer(int fd, uint64_t id, const char *name)
{
    Virtualnet__Label label = VIRTUALNET__LABEL__INIT, *labels[] = {&label};
    Virtualnet__InferResponse infer = VIRTUALNET__INFER_RESPONSE__INIT;
    Virtualnet__Response response = VIRTUALNET__RESPONSE__INIT;
    struct vn_buffer b;

    label.name = (char *)name;
    infer.label = labels;
    infer.n_label = 1;
    response.id = id;
    response.result_case = VIRTUALNET__RESPONSE__RESULT_INFER;
    response.infer = &infer;
    vn_buffer_init(&b, 4096);
    if (vn_frame_append(&b, &response.base, 4096) ||
        send(fd, vn_buffer_head(&b), vn_buffer_used(&b), MSG_NOSIGNAL) < 0)
        _exit(0);
    vn_buffer_deinit(&b);
}

/* Answers with the task; until the client hangs up. What is passed with a frame is dropped. */
static void serve(int fd)
{
    static uint8_t frame[1 << 20];

    for (;;) {
        Virtualnet__Request *r;
        uint32_t n;

        if (recv(fd, frame, VN_FRAME_HEADER, MSG_WAITALL) != VN_FRAME_HEADER)
            _exit(0);
        n = (uint32_t)frame[0] << 24 | (uint32_t)frame[1] << 16 | (uint32_t)frame[2] << 8 |
            frame[3];
        if (n > sizeof frame || recv(fd, frame, n, MSG_WAITALL) != (ssize_t)n)
            _exit(0);
        r = virtualnet__request__unpack(NULL, n, frame);
        if (!r)
            _exit(1);
        answer(fd, r->id, r->infer->task);
        virtualnet__request__free_unpacked(r, NULL);
    }
}

static pid_t start(int *ret_fd)
{
    int fds[2];
    pid_t pid;

    must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    pid = fork();
    must(pid >= 0);
    if (!pid) {
        fail_at = 0;
        close(fds[0]);
        serve(fds[1]);
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

/* --- one life --------------------------------------------------------------------------------- */

static void ask(struct vn_client *c, const char *task, uint32_t side)
{
    const struct vn_client_request request = {
        .task = task,
        .image = {pixels, side, side, side + 1, VN_CLIENT_GRAY8},
    };
    struct vn_client_reply *reply = NULL;
    unsigned before = failed;
    int r = vn_client_infer(c, &request, 60000, &reply);

    must(r <= 0 && (r == 0) == (reply != NULL));
    must(r || !strcmp(reply->answer->labels[0].name, task));
    must(!r || failed > before || vn_client_fd(c) < 0); /* nothing fails by itself */
    must(!r || vn_client_last_error(c)->message[0]);
    vn_client_reply_free(reply);
}

static void live(void)
{
    struct vn_client *c;
    int fd, r;
    pid_t pid = start(&fd);

    allocations = failed = 0;
    r = vn_client_open_fd(fd, &c);
    must(!r || (r == -ENOMEM && failed));
    if (r) {
        close(fd);
    } else {
        ask(c, "small", 8);
        ask(c, "large", 500); /* by a memfd */
        ask(c, "larger", 510);
        fail_at = 0;
        ask(c, "after", 500);
        vn_client_free(c);
    }
    must(waitpid(pid, &r, 0) == pid && !r);
}

static unsigned open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    must(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

int main(void)
{
    static const unsigned rows[] = {0, 1, 5, 1u << 30};
    unsigned before = open_descriptors(), lives = 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        unsigned n = 0;

        in_a_row = rows[i];
        do {
            fail_at = ++n;
            live();
            lives++;
        } while (failed);
        must(n > 5);
    }
    fail_at = 0;
    must(open_descriptors() == before);
    printf("%u lives\n", lives);
    return 0;
}
