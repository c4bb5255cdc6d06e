/* What a run makes resident, measured by the kernel's own books, is within what its plan promised,
 * and half of the parameters really is half of the memory.
 *
 * Two stores are written: one of more than 100 MB whose slices start on windows, one of 30 MB whose
 * slices share windows. Every case runs in a process of its own on a map of its own, with the file
 * in the page cache as it was written, or not in the cache, or there in the large folios that
 * reading a file makes. Measured: Rss of the store's map (/proc/self/smaps), and of the whole
 * process (smaps_rollup; nothing else maps these pages, so that Pss says the same). */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/session.h"
#include "support.h"

static const struct net_spec large = {
    .groups = 10,
    .stem_width = 64,
    .side = 32,
    .inputs = 2,
    .agent = "{\"kind\":\"shared\"}",
    .stages = "[{\"blocks\":5,\"width\":64,\"stride\":1,\"group_width\":7},"
              "{\"blocks\":5,\"width\":128,\"stride\":2,\"group_width\":13},"
              "{\"blocks\":5,\"width\":256,\"stride\":2,\"group_width\":26},"
              "{\"blocks\":5,\"width\":512,\"stride\":2,\"group_width\":52}]",
};

static const struct net_spec medium = {
    .groups = 10,
    .stem_width = 16,
    .side = 32,
    .agent = "{\"kind\":\"conv\"}",
    .stages = "[{\"blocks\":5,\"width\":64,\"stride\":1,\"group_width\":6},"
              "{\"blocks\":5,\"width\":128,\"stride\":2,\"group_width\":13},"
              "{\"blocks\":5,\"width\":256,\"stride\":2,\"group_width\":26}]",
};

/* --- the kernel's books ----------------------------------------------------------------------- */

struct books {
    uint64_t map, rss;
};

static struct books look(const struct vn_store *s)
{
    return (struct books){books_rss(s->data, s->layout->data_bytes),
                          books_field("smaps_rollup", "\nRss:")};
}

/* --- a case ----------------------------------------------------------------------------------- */

struct growth {
    struct books by;
    struct vn_bytes promised;
};

static uint8_t pixels[64 * 64 * 3];
static const struct vn_image image = {pixels, sizeof pixels, 64, 64, 0, VN_PIXELS_RGB8};
static struct vn_infer_result result;

static struct growth measure(const char *file, const uint8_t *levels, uint64_t budget)
{
    struct vn_store *s = open_store(file);
    struct vn_infer_request q = {.image = &image,
                                 .levels = levels,
                                 .n_levels = levels ? vn_network_blocks(s->network) : 0,
                                 .budget_bytes = budget,
                                 .agent = s->network->agent.kind};
    struct vn_session *session;
    struct books before, after;
    int r = vn_session_new(s, NULL, &session);

    if (r)
        give_up("session: %d", r);
    before = look(s);
    r = vn_infer(session, &q, NULL, &result);
    if (r)
        give_up("infer: %d", r);
    after = look(s);
    vn_session_free(session);
    vn_store_unref(s);
    return (struct growth){
        {after.map - before.map, after.rss - before.rss},
        result.plan.bytes,
    };
}

enum cache { AS_WRITTEN, COLD, READ };
static const char *const cache_names[] = {"as written", "not in the cache", "read before"};

static void drop_from_cache(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
        give_up("%s: cannot be dropped from the cache", file);
    close(fd);
}

static void prepare_cache(const char *file, enum cache cache)
{
    static char bytes[1 << 20];
    int fd;

    if (cache == AS_WRITTEN)
        return;
    drop_from_cache(file);
    if (cache == COLD)
        return;
    fd = open(file, O_RDONLY | O_CLOEXEC);
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
    close(fd);
}

/* In a child, so that every case starts from the same state. What a process takes once, pages of
 * code and the BLAS library's own memory, is taken by a first run of the same; the second is
 * measured. */
static struct growth run_case(const char *file, enum cache cache, const uint8_t *levels,
                              uint64_t budget)
{
    struct growth g;
    int ends[2], status;
    pid_t child;

    if (pipe(ends) || (child = fork()) < 0)
        give_up("fork");
    if (!child) {
        books_init();
        memset(pixels, 100, sizeof pixels);
        measure(file, levels, budget);
        prepare_cache(file, cache);
        g = measure(file, levels, budget);
        _exit(write(ends[1], &g, sizeof g) != sizeof g);
    }
    close(ends[1]);
    if (read(ends[0], &g, sizeof g) != sizeof g || waitpid(child, &status, 0) < 0 || status)
        give_up("the measuring process failed");
    close(ends[0]);
    return g;
}

/* --- cases ------------------------------------------------------------------------------------ */

static unsigned failures;

static void expect(bool holds, const char *what)
{
    if (holds)
        return;
    printf("    FAILED: %s\n", what);
    failures++;
}

static double kib(uint64_t bytes)
{
    return (double)bytes / 1024;
}

static void judge(const char *name, const struct growth *g)
{
    printf("%-28s map %8.0f of %8.0f KiB, process %8.0f of %8.0f KiB\n", name, kib(g->by.map),
           kib(g->promised.params_resident), kib(g->by.rss), kib(vn_bytes_total(&g->promised)));
    expect(g->by.map <= g->promised.params_resident, "the map grew more than params_resident");
#ifndef __SANITIZE_ADDRESS__ /* shadow memory is not ours to promise */
    expect(g->by.rss <= vn_bytes_total(&g->promised), "Rss grew more than the total");
#endif
}

static void run_cases(const char *file, uint32_t m, enum cache cache)
{
    static const uint32_t uniform[] = {0, 1, 2, 5, 10};
    uint64_t touched[5];
    uint8_t levels[VN_BLOCKS_MAX];
    struct vn_rng r = {1};
    struct growth g;
    char name[64];
    double share;

    printf("%s, %s:\n", file, cache_names[cache]);
    for (int i = 0; i < 5; i++) {
        memset(levels, (int)uniform[i], sizeof levels);
        g = run_case(file, cache, levels, 0);
        snprintf(name, sizeof name, "level %u", uniform[i]);
        judge(name, &g);
        touched[i] = g.by.map;
    }
    for (int i = 0; i < 4; i++) {
        for (uint32_t b = 0; b < m; b++)
            levels[b] = (uint8_t)vn_rng_below(&r, 11);
        g = run_case(file, cache, levels, 0);
        snprintf(name, sizeof name, "mixed path %d", i);
        judge(name, &g);
    }
    g = run_case(file, cache, NULL, 16 << 20);
    judge("agent, 16 MiB", &g);
    share = (double)touched[3] / (double)touched[4];
    printf("level 5 of 10 touches %.3f of what level 10 touches\n", share);
    expect(share > 0.4 && share < 0.6, "half of the levels must be about half of the memory");
    expect(m < 20 || touched[4] > 100 << 20, "the full path must touch more than 100 MiB");
}

/* A path for this process; `path` keeps it. */
static void write_spec(const struct net_spec *spec, const char *name, char path[4096])
{
    struct vn_network *n = spec_network(spec);

    snprintf(path, 4096, "%s", scratch_file(name));
    write_numbers(path, n, 1);
    vn_network_free(n);
}

int main(void)
{
    static char large_file[4096], medium_file[4096];
    struct statfs fs;
#ifdef __SANITIZE_ADDRESS__
    const enum cache last = AS_WRITTEN; /* slow, and no other code than without */
#else
    const enum cache last = READ;
#endif

    setvbuf(stdout, NULL, _IOLBF, 0);
    write_spec(&large, "large", large_file);
    write_spec(&medium, "medium", medium_file);
    if (!statfs(large_file, &fs) && fs.f_type == TMPFS_MAGIC) {
        printf("skipped: the build directory is on tmpfs, which maps whole folios at a touch\n");
        failures = 77;
    }
    for (enum cache cache = AS_WRITTEN; cache <= last && failures != 77; cache++) {
        run_cases(large_file, 20, cache);
        run_cases(medium_file, 15, cache);
    }
    unlink(large_file);
    unlink(medium_file);
    return failures == 77 ? 77 : failures ? 1 : 0;
}
