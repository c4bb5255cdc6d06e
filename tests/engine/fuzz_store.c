/* Feeds bytes to the store's reader, and to the description's (which a store's checksum guards);
 * whatever opens is planned, run and verified.
 *
 * With clang: -fsanitize=fuzzer,address,undefined -DVN_LIBFUZZER. Otherwise a main that replays the
 * files of its command line, and without any makes its own from a small store by a fixed number of
 * random changes. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rng.h"
#include "engine/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Networks that a run of a second or a gigabyte would need are left alone: hostile, but legal. */
#define SCRATCH_MAX (64 << 20)

static void use(struct vn_store *s)
{
    const struct vn_network *n = s->network;
    static uint8_t pixels[64];
    const struct vn_image image = {pixels, sizeof pixels, 4, 4, 0, VN_PIXELS_RGB8};
    struct vn_infer_result *result = calloc(1, sizeof *result);
    struct vn_session *session = NULL;

    for (uint32_t i = 0; i < n->n_inputs; i++)
        if (vn_scratch_bytes(n, i, NULL) > SCRATCH_MAX)
            goto out;
    if (!result || vn_session_new(s, &(struct vn_compute){.kernels = &vn_kernels_ref}, &session))
        goto out;
    for (uint32_t t = 0; t < n->n_tasks; t++) {
        struct vn_infer_request q = {
            .task = t, .image = &image, .agent = n->agent.kind, .budget_bytes = 1 << (10 + t % 20)};

        if (vn_infer(session, &q, NULL, result) == VN_SESSION_E_TOO_SMALL) {
            q.budget_bytes = result->needed_bytes;
            vn_infer(session, &q, NULL, result);
        }
    }
out:
    vn_session_free(session);
    free(result);
}

/* The bytes as a description: every one that is legal can be laid out and planned. */
static void describe(const uint8_t *data, size_t size)
{
    struct vn_network *n = NULL;
    struct vn_layout *l = NULL;
    struct vn_planner *p = NULL;
    struct vn_why why;
    struct vn_plan plan;

    if (!vn_network_parse((const char *)data, size, &why, &n) && !vn_layout_new(n, &why, &l) &&
        !vn_planner_new(n, l, NULL, &p))
        for (uint32_t t = 0; t < n->n_tasks; t++)
            vn_plan_uniform(p, t, n->groups, 0, &plan);
    vn_planner_free(p);
    vn_layout_free(l);
    vn_network_free(n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("store", MFD_CLOEXEC);
    struct vn_store *s = NULL;
    struct vn_why why;
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    if (!vn_store_open(path, &why, &s)) {
        vn_store_verify(s, &why, NULL, NULL);
        use(s);
    }
    vn_store_unref(s);
    close(fd);
    describe(data, size);
    return 0;
}

#ifndef VN_LIBFUZZER
#include "support.h"

struct bytes {
    uint8_t *data;
    size_t n;
};

static struct bytes read_all(const char *file)
{
    FILE *f = fopen(file, "r");
    struct bytes b = {malloc(16 << 20), 0};

    if (!f || !b.data)
        give_up("%s: cannot be read", file);
    b.n = fread(b.data, 1, 16 << 20, f);
    fclose(f);
    return b;
}

static uint64_t header_bytes(const struct bytes *b)
{
    uint64_t n;

    memcpy(&n, b->data, sizeof n);
    return n;
}

/* A few changes of the header's text: other bytes, digits, stretches copied elsewhere. */
static void change(struct bytes *b, size_t end, struct vn_rng *r)
{
    for (uint32_t i = 1 + vn_rng_below(r, 4); i; i--) {
        size_t at = vn_rng_below(r, (uint32_t)end), from = vn_rng_below(r, (uint32_t)end);
        size_t n = 1 + vn_rng_below(r, 20);

        n = n < end - at ? n : end - at;
        n = n < end - from ? n : end - from;
        switch (vn_rng_below(r, 4)) {
        case 0:
            b->data[at] = (uint8_t)vn_rng_u64(r);
            break;
        case 1:
            b->data[at] = (uint8_t)('0' + vn_rng_below(r, 10));
            break;
        case 2:
            memmove(b->data + at, b->data + from, n);
            break;
        default:
            b->n = vn_rng_below(r, 50) ? b->n : vn_rng_below(r, (uint32_t)b->n);
        }
    }
}

/* Runs the seed, and changes of its first `end` bytes. */
static void replay(const struct bytes *seed, size_t end, uint32_t times)
{
    struct bytes b = {malloc(seed->n), 0};
    struct vn_rng r = {1};

    for (uint32_t i = 0; i < times; i++) {
        memcpy(b.data, seed->data, seed->n);
        b.n = seed->n;
        if (i)
            change(&b, end, &r);
        LLVMFuzzerTestOneInput(b.data, b.n);
    }
    free(b.data);
}

static void replay_changes(void)
{
    struct net_spec spec = {.groups = 2, .inputs = 2, .agent = "{\"kind\":\"shared\"}"};
    struct vn_network *n = spec_network(&spec);
    const char *file = scratch_file("seed");
    struct bytes seed, text = {(uint8_t *)spec_text(&spec), 0};
    size_t end;

    write_numbers(file, n, 1);
    vn_network_free(n);
    seed = read_all(file);
    unlink(file);
    for (end = 8 + header_bytes(&seed); seed.data[end - 1] == ' ';)
        end--;
    replay(&seed, end, 2000);
    text.n = strlen((char *)text.data);
    replay(&text, text.n, 20000);
    free(seed.data);
    free(text.data);
}

int main(int argc, char **argv)
{
    if (argc == 1)
        replay_changes();
    for (int i = 1; i < argc; i++) {
        struct bytes b = read_all(argv[i]);

        LLVMFuzzerTestOneInput(b.data, b.n);
        free(b.data);
    }
    return 0;
}
#endif
