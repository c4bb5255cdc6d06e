/* What the machine can do at most, as a worker of bench/run: asked line by line, answers "ok ...".
 *
 *     fma THREADS     instruction set, 10^9 floating-point operations a second of all threads
 *     copy            10^9 bytes a second that memcpy moves between two 64 MiB buffers
 *     read            10^9 bytes a second that one core sums up from a 64 MiB buffer
 *     quit
 *
 * The multiply-add loop keeps 12 vectors in registers, more than latency times throughput of any
 * core, and touches no memory. */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/clock.h"

#define VECTORS 12
#define LOOPS 4096
#define PIECE_LOOPS 8 /* of LOOPS: some 100 us, long against the clock */
#define PIECES 101
#define BUFFER_BYTES (UINT64_C(64) << 20)
#define THREADS_MAX 64

/* One loop per instruction set: LOOPS times VECTORS multiply-adds of `lanes` floats. The numbers
 * go towards 1 and stay ordinary. */
#define UNROLLED _Pragma("GCC unroll 12") for (int v = 0; v < VECTORS; v++)
#define DEFINE_LOOP(name, lanes, attributes)                                                       \
    typedef float name##_vector __attribute__((vector_size((lanes) * sizeof(float))));             \
    attributes static float name##_loop(float start)                                               \
    {                                                                                              \
        name##_vector x[VECTORS], a = {0}, b = {0};                                                \
        float sum = 0;                                                                             \
                                                                                                   \
        a += 0.5f;                                                                                 \
        b += start;                                                                                \
        UNROLLED x[v] = b * (float)v;                                                              \
        for (int i = 0; i < LOOPS; i++)                                                            \
            UNROLLED x[v] = x[v] * a + b;                                                          \
        UNROLLED sum += x[v][0];                                                                   \
        return sum;                                                                                \
    }

#if defined(__x86_64__)
#define FMA __attribute__((noinline, target("avx2,fma")))
#define FMA512 __attribute__((noinline, target("avx512f,prefer-vector-width=512")))
DEFINE_LOOP(avx2, 8, FMA)
DEFINE_LOOP(avx512, 16, FMA512)
#endif
DEFINE_LOOP(generic, 4, __attribute__((noinline)))

struct loop {
    const char *name;
    int lanes;
    float (*run)(float start);
};

static struct loop best_loop(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return (struct loop){"avx512", 16, avx512_loop};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (struct loop){"avx2", 8, avx2_loop};
#endif
    return (struct loop){"generic", 4, generic_loop};
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

struct burst {
    struct loop loop;
    pthread_t thread;
    double flops_per_s;
};

/* The median of many short pieces: one that was interrupted does not count. */
static void *burst(void *context)
{
    struct burst *b = context;
    double rates[PIECES];
    volatile float sink = 0;

    for (int p = 0; p < PIECES; p++) {
        uint64_t start = vn_now_ns();

        for (int i = 0; i < PIECE_LOOPS; i++)
            sink = b->loop.run(0.5f);
        rates[p] = 2.0 * PIECE_LOOPS * LOOPS * VECTORS * b->loop.lanes;
        rates[p] /= (double)(vn_now_ns() - start) / 1e9;
    }
    (void)sink;
    qsort(rates, PIECES, sizeof rates[0], by_value);
    b->flops_per_s = rates[PIECES / 2];
    return NULL;
}

static void fma_peak(unsigned threads)
{
    struct burst bursts[THREADS_MAX] = {{.loop = best_loop()}};
    unsigned started = 1;
    double all = 0;

    while (started < threads && started < THREADS_MAX) {
        bursts[started].loop = bursts[0].loop;
        if (pthread_create(&bursts[started].thread, NULL, burst, &bursts[started]))
            break;
        started++;
    }
    burst(&bursts[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(bursts[i].thread, NULL);
    for (unsigned i = 0; i < started; i++)
        all += bursts[i].flops_per_s;
    if (started < threads)
        puts("error a thread could not be started");
    else
        printf("ok %s %.4g\n", bursts[0].loop.name, all / 1e9);
}

/* Best of a few: the first one also makes the pages. */
static void copy_rate(uint8_t *a, const uint8_t *b)
{
    double best = 0;

    for (int i = 0; i < 6; i++) {
        uint64_t start = vn_now_ns();
        double rate;

        memcpy(a, b, BUFFER_BYTES);
        __asm__ volatile("" ::"r"(a) : "memory");
        rate = (double)BUFFER_BYTES / (double)(vn_now_ns() - start);
        best = rate > best ? rate : best;
    }
    printf("ok %.4g\n", best);
}

static void read_rate(const uint8_t *a)
{
    double best = 0;

    for (int i = 0; i < 6; i++) {
        const uint64_t *words = (const uint64_t *)a;
        uint64_t start = vn_now_ns(), sums[8] = {0};
        double rate;

        for (size_t w = 0; w < BUFFER_BYTES / sizeof *words; w += 8)
            for (int s = 0; s < 8; s++)
                sums[s] += words[w + (size_t)s];
        __asm__ volatile("" ::"r"(sums) : "memory");
        rate = (double)BUFFER_BYTES / (double)(vn_now_ns() - start);
        best = rate > best ? rate : best;
    }
    printf("ok %.4g\n", best);
}

static void memory_rate(bool copy)
{
    uint8_t *a = malloc(BUFFER_BYTES), *b = malloc(BUFFER_BYTES);

    if (a && b) {
        memset(a, 1, BUFFER_BYTES);
        memset(b, 2, BUFFER_BYTES);
        if (copy)
            copy_rate(a, b);
        else
            read_rate(a);
    } else {
        puts("error out of memory");
    }
    free(a);
    free(b);
}

int main(void)
{
    char line[256];
    unsigned threads;

    /* a worker that is stopped does not see its driver die */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (fgets(line, sizeof line, stdin) && strcmp(line, "quit\n")) {
        if (sscanf(line, "fma %u", &threads) == 1)
            fma_peak(threads);
        else if (!strcmp(line, "copy\n") || !strcmp(line, "read\n"))
            memory_rate(line[0] == 'c');
        else
            puts("error no such command");
        fflush(stdout);
    }
    return 0;
}
