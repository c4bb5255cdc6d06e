#include "bench/worker.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define RUNS_MAX 100000                /* of one line */
#define FLOATS_MAX (UINT32_C(1) << 24) /* of an image */

static void complain(const char *what, const char *why)
{
    printf("error %s: %s\n", what, why);
}

/* --- load ------------------------------------------------------------------------------------- */

/* Three sides, then the floats. NULL when the file is not like that. */
static float *read_image(const char *file, struct worker_image *ret)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(file, "rb");
    uint32_t sides[3];
    uint64_t n;
    float *pixels;

    if (!f || fread(sides, sizeof sides, 1, f) != 1)
        return NULL;
    n = (uint64_t)sides[0] * sides[1];
    if (n > FLOATS_MAX || n * sides[2] > FLOATS_MAX)
        return NULL;
    n *= sides[2];
    pixels = malloc(n ? n * sizeof *pixels : 1);
    if (!pixels || fread(pixels, sizeof *pixels, n, f) != n) {
        free(pixels);
        return NULL;
    }
    *ret = (struct worker_image){sides[0], sides[1], sides[2], pixels};
    return pixels;
}

static void load(const struct worker *w, char *const *words, unsigned n, struct worker_image *image)
{
    const char *wrong;

    free(image->pixels);
    image->pixels = NULL;
    if (!read_image(words[n - 1], image)) {
        complain("image", words[n - 1]);
        return;
    }
    wrong = w->load(w->runtime, words + 1, n - 2, image);
    if (wrong)
        complain("load", wrong);
    else
        puts("ok");
}

/* --- run -------------------------------------------------------------------------------------- */

static void run(const struct worker *w, unsigned long warm, unsigned long n)
{
    static uint64_t took[RUNS_MAX];

    if (n > RUNS_MAX) {
        complain("run", "too many runs");
        return;
    }
    for (unsigned long i = 0; i < warm + n; i++) {
        uint64_t start = vn_now_ns();
        const char *wrong = w->run(w->runtime);

        if (wrong) {
            complain("run", wrong);
            return;
        }
        if (i >= warm)
            took[i - warm] = vn_now_ns() - start;
    }
    printf("ok");
    for (unsigned long i = 0; i < n; i++)
        printf(" %" PRIu64, took[i]);
    putchar('\n');
}

static void print_logits(const struct worker *w)
{
    uint32_t n;
    const float *logits = w->logits(w->runtime, &n);

    printf("ok");
    for (uint32_t i = 0; i < n; i++)
        printf(" %.9g", (double)logits[i]);
    putchar('\n');
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Bytes of a line "Name:  123 kB". */
static unsigned long read_field(const char *file, const char *name)
{
    _cleanup_(vn_fclosep) FILE *f = fopen(file, "r");
    const size_t length = strlen(name);
    char line[256];

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, length))
            return strtoul(line + length, NULL, 10) * 1024;
    return 0;
}

static void print_memory(void)
{
    printf("ok %lu %lu\n", read_field("/proc/self/smaps_rollup", "Pss:"),
           read_field("/proc/self/status", "VmHWM:"));
}

/* --- lines ------------------------------------------------------------------------------------ */

static void answer(const struct worker *w, char *line, struct worker_image *image)
{
    char *words[WORKER_WORDS_MAX] = {NULL}, *rest = NULL;
    unsigned n = 0;

    for (char *word = strtok_r(line, " \n", &rest); word && n < WORKER_WORDS_MAX;
         word = strtok_r(NULL, " \n", &rest))
        words[n++] = word;
    if (n >= 3 && !strcmp(words[0], "load"))
        load(w, words, n, image);
    else if (n == 3 && !strcmp(words[0], "run"))
        run(w, strtoul(words[1], NULL, 10), strtoul(words[2], NULL, 10));
    else if (n == 1 && !strcmp(words[0], "logits"))
        print_logits(w);
    else if (n == 1 && !strcmp(words[0], "memory"))
        print_memory();
    else if (!n || !w->other || !w->other(w->runtime, words, n))
        complain("no such command", n ? words[0] : "");
}

void worker_serve(const struct worker *w)
{
    struct worker_image image = {0};
    char line[65536];

    /* a worker that is stopped does not see its driver die */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (fgets(line, sizeof line, stdin) && strcmp(line, "quit\n")) {
        answer(w, line, &image);
        fflush(stdout);
    }
    free(image.pixels);
}
