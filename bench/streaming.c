/* The full path of a store, resident and streamed, in turns.
 *
 *     streaming STORE BUDGET ROUNDS THREADS
 *
 * Prints JSON. "resident", "streamed" and "cold": times in nanoseconds, the last of a streamed run
 * whose file was taken out of the page cache before; "params": bytes of parameters; "promised": of
 * the streamed plan's that are resident at the same moment; "peak": by how much the resident size
 * of the process grew during the first streamed run (VmHWM). Both sessions have own maps. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/local.h"
#include "engine/residency.h"

enum { RESIDENT, STREAMED, COLD, WAYS };
static const char *const way_names[WAYS] = {"resident", "streamed", "cold"};

static uint64_t from_status(const char *name)
{
    char text[8192];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof text - 1);
    const char *at;

    close(fd);
    text[n > 0 ? n : 0] = 0;
    at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

static void reset_peak(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, "5", 1) != 1)
        fprintf(stderr, "streaming: the peak cannot be reset, so that it is the process's own\n");
    close(fd);
}

static void forget(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static uint64_t time_of(struct local *l)
{
    uint64_t begun = vn_now_ns();
    int r = local_run(l);

    if (r) {
        fprintf(stderr, "streaming: a run ended with %d\n", r);
        exit(EXIT_FAILURE);
    }
    return vn_now_ns() - begun;
}

static void print(const char *name, const uint64_t *times, uint32_t n)
{
    printf("\"%s\": [", name);
    for (uint32_t i = 0; i < n; i++)
        printf("%s%llu", i ? ", " : "", (unsigned long long)times[i]);
    printf("], ");
}

/* A session of its own on a map of its own, for the full path. */
static void open_local(struct local *l, const char *file, const struct vn_compute *compute)
{
    uint32_t levels[VN_BLOCKS_MAX];
    struct vn_store *store;
    struct vn_why why;

    if (vn_store_open(file, &why, &store)) {
        fprintf(stderr, "streaming: %s\n", why.text);
        exit(EXIT_FAILURE);
    }
    for (uint32_t b = 0; b < vn_network_blocks(store->network); b++)
        levels[b] = store->network->groups;
    if (local_init(l, store, levels, vn_network_blocks(store->network))) {
        fprintf(stderr, "streaming: no session\n");
        exit(EXIT_FAILURE);
    }
    vn_session_free(l->session);
    if (vn_session_new(store, compute, &l->session)) {
        fprintf(stderr, "streaming: no session\n");
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    static struct local resident, streamed;
    uint32_t rounds = argc == 5 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    struct vn_compute compute = {.threads = argc == 5 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1};
    uint64_t *times[WAYS], before, peak;

    if (!rounds) {
        fprintf(stderr, "usage: streaming STORE BUDGET ROUNDS THREADS\n");
        return 2;
    }
    for (int w = 0; w < WAYS; w++)
        times[w] = calloc(rounds, sizeof *times[w]);
    open_local(&resident, argv[1], &compute);
    open_local(&streamed, argv[1], &compute);
    streamed.request.streaming = true;
    streamed.request.budget_bytes = strtoull(argv[2], NULL, 10);
    vn_residency_clear(streamed.store);
    reset_peak();
    before = from_status("VmRSS:");
    time_of(&streamed);
    peak = from_status("VmHWM:") - before;
    time_of(&resident);
    for (uint32_t i = 0; i < rounds; i++) {
        times[RESIDENT][i] = time_of(&resident);
        times[STREAMED][i] = time_of(&streamed);
    }
    local_deinit(&resident); /* what is mapped stays in the page cache */
    for (uint32_t i = 0; i < rounds; i++) {
        forget(argv[1]);
        times[COLD][i] = time_of(&streamed);
    }
    printf("{");
    for (int w = 0; w < WAYS; w++)
        print(way_names[w], times[w], rounds);
    printf("\"params\": %llu, \"promised\": %llu, \"peak\": %llu, \"pieces\": %llu}\n",
           (unsigned long long)streamed.result.plan.bytes.params,
           (unsigned long long)streamed.result.plan.bytes.params_resident, (unsigned long long)peak,
           (unsigned long long)streamed.result.plan.piece_windows);
    return 0;
}
