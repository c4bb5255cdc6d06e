/* Bytes as a daemon sends them, to the C library: every open call ends exactly once. */
#include <string.h>
#include <sys/socket.h>

#include "clients/c/virtualnet-client.h"
#include "tests/fuzz/fuzz.h"

#define CALLS 5

static int ended[CALLS];

/* Touches every list of the reply. */
static uint64_t read_reply(const struct vn_client_reply *r)
{
    uint64_t sum = 0;

    if (r->error)
        return strlen(r->error->message) + strlen(r->error->limit_name);
    for (size_t i = 0; r->answer && i < r->answer->n_labels; i++)
        sum += strlen(r->answer->labels[i].name);
    for (size_t i = 0; r->description && i < r->description->n_tasks; i++)
        for (size_t k = 0; k < r->description->tasks[i].n_labels; k++)
            sum += strlen(r->description->tasks[i].labels[k]);
    for (size_t i = 0; r->status && i < r->status->n_counters; i++)
        sum += strlen(r->status->counters[i].name);
    for (size_t i = 0; r->status && i < r->status->n_tasks; i++) {
        const struct vn_client_task_status *t = &r->status->tasks[i];

        for (size_t k = 0; k < t->n_blocks; k++)
            sum += t->level_sums[k];
        for (size_t k = 0; k < t->n_times; k++)
            for (size_t n = 0; n < t->times[k].n_counts; n++)
                sum += t->times[k].counts[n] + strlen(t->times[k].phase);
    }
    return sum;
}

static void on_end(void *userdata, uint64_t id, const struct vn_client_reply *reply)
{
    static volatile uint64_t sink;

    sink = sink + read_reply(reply);
    (*(int *)userdata)++;
}

/* Ids are 1 to CALLS. */
static void start_calls(struct vn_client *c)
{
    static const uint8_t pixels[4];
    const struct vn_client_request request = {
        .task = "t",
        .image = {.pixels = pixels, .width = 2, .height = 2, .format = VN_CLIENT_GRAY8},
    };
    uint64_t id;

    must(!vn_client_infer_start(c, &request, 0, on_end, &ended[0], &id) && id == 1);
    must(!vn_client_describe_start(c, NULL, 0, on_end, &ended[1], &id));
    must(!vn_client_status_start(c, 0, on_end, &ended[2], &id));
    must(!vn_client_reload_start(c, 0, on_end, &ended[3], &id));
    must(!vn_client_plan_start(c, &request, 0, on_end, &ended[4], &id) && id == CALLS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vn_client *client;
    int fds[2];

    size = size < 65536 ? size : 65536; /* what a socket takes without a reader */
    memset(ended, 0, sizeof ended);
    must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    must(!vn_client_open_fd(fds[0], &client));
    start_calls(client);
    must(send(fds[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size);
    shutdown(fds[1], SHUT_WR);
    while (vn_client_fd(client) >= 0 && !vn_client_dispatch(client))
        ;
    must(vn_client_open_calls(client) == 0); /* the stream has ended */
    vn_client_free(client);
    close(fds[1]);
    for (int i = 0; i < CALLS; i++)
        must(ended[i] == 1);
    return 0;
}
