/* Well-behaved clients for the soak: connections that ask at a steady rate, each with a client of
 * the C library, every second one in the control class.
 *
 *     good UID SOCKET CONNECTIONS PER_SECOND
 *
 * First it asks every question once and remembers the answers. Then it obeys lines "SECONDS FILE"
 * of its input, a round each: it asks at random and compares. FILE gets the times in microseconds,
 * from the moment at which a request was due to its answer, 32 bits each: FILE.control and
 * FILE.bulk. A line of JSON ends the round.
 *
 * main: rounds. thread n: asker n with its client. shared, const in a round: questions. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "clients/c/virtualnet-client.h"
#include "tests/soak/user.h"

#define QUESTIONS 64
#define ASKERS_MAX 16
#define SIDE 32
#define BLOCKS 4
#define LEVELS 2
#define LABELS_MAX 10
#define WAIT_MS 60000

struct question {
    struct vn_client_request request;
    uint8_t pixels[SIDE * SIDE * 3];
    uint32_t levels[BLOCKS];
    uint32_t n_labels;
    uint32_t labels[LABELS_MAX];
    float probabilities[LABELS_MAX];
};

struct asker {
    const char *path;
    struct vn_client *client;
    struct question *questions; /* (QUESTIONS) */
    enum vn_client_class class;
    struct vn_rng rng;
    uint64_t period_ns, end_ns;
    FILE *times;
    uint64_t right, wrong, refused, failed;
    char sentence[512]; /* about the last that was not right */
};

/* --- questions -------------------------------------------------------------------------------- */

static void make_question(struct question *q, uint32_t number)
{
    static const char *const tasks[] = {"garment", "warm", "digit"};
    struct vn_rng rng = {number};

    for (size_t i = 0; i < sizeof q->pixels; i++)
        q->pixels[i] = (uint8_t)vn_rng_u64(&rng);
    for (size_t i = 0; i < BLOCKS; i++)
        q->levels[i] = vn_rng_below(&rng, LEVELS);
    q->request = (struct vn_client_request){
        .task = tasks[number % 3],
        .image = {.pixels = q->pixels,
                  .width = 1 + vn_rng_below(&rng, SIDE),
                  .height = 1 + vn_rng_below(&rng, SIDE),
                  .format = number & 1 ? VN_CLIENT_RGB8 : VN_CLIENT_GRAY8},
        .top_k = LABELS_MAX,
    };
    if (number % 16) { /* else the agent decides */
        q->request.levels = q->levels;
        q->request.n_levels = BLOCKS;
    }
}

static void remember(struct question *q, const struct vn_client_answer *a)
{
    q->n_labels = (uint32_t)a->n_labels;
    for (size_t i = 0; i < a->n_labels; i++) {
        q->labels[i] = a->labels[i].index;
        q->probabilities[i] = a->labels[i].probability;
    }
}

static bool is_right(const struct question *q, const struct vn_client_answer *a)
{
    bool same = a->n_labels == q->n_labels && !strcmp(a->task, q->request.task);

    for (size_t i = 0; same && i < a->n_labels; i++)
        same =
            a->labels[i].index == q->labels[i] && a->labels[i].probability == q->probabilities[i];
    return same;
}

static int learn(struct vn_client *client, struct question *questions)
{
    struct vn_client_reply *reply;

    for (uint32_t i = 0; i < QUESTIONS; i++) {
        make_question(&questions[i], i);
        if (vn_client_infer(client, &questions[i].request, WAIT_MS, &reply)) {
            fprintf(stderr, "question %u: %s\n", i, vn_client_last_error(client)->message);
            return -1;
        }
        remember(&questions[i], reply->answer);
        vn_client_reply_free(reply);
    }
    return 0;
}

/* --- a round ---------------------------------------------------------------------------------- */

/* A connection that broke counts as failed, and another one is tried. */
static void reopen(struct asker *a)
{
    if (a->client && vn_client_fd(a->client) >= 0)
        return;
    vn_client_free(a->client);
    a->client = NULL;
    if (vn_client_open(a->path, WAIT_MS, &a->client))
        usleep(1000);
}

static void note(struct asker *a, uint64_t *count, const char *what)
{
    ++*count;
    snprintf(a->sentence, sizeof a->sentence, "%s", what);
}

static void ask(struct asker *a, uint64_t due_ns)
{
    const struct question *q = &a->questions[vn_rng_below(&a->rng, QUESTIONS)];
    struct vn_client_request request = q->request;
    struct vn_client_reply *reply;
    uint32_t us;
    int r;

    reopen(a);
    if (!a->client) {
        note(a, &a->failed, "no connection");
        return;
    }
    request.request_class = a->class;
    r = vn_client_infer(a->client, &request, WAIT_MS, &reply);
    us = (uint32_t)((vn_now_ns() - due_ns) / 1000);
    fwrite(&us, sizeof us, 1, a->times);
    if (r) {
        note(a, r > 0 ? &a->refused : &a->failed, vn_client_last_error(a->client)->message);
        return;
    }
    if (is_right(q, reply->answer))
        a->right++;
    else
        note(a, &a->wrong, "another answer than in quiet");
    vn_client_reply_free(reply);
}

static void *keep_asking(void *argument)
{
    struct asker *a = argument;
    uint64_t due_ns = vn_now_ns() + (uint64_t)(vn_rng_unit(&a->rng) * (double)a->period_ns);

    for (; due_ns < a->end_ns && vn_now_ns() < a->end_ns; due_ns += a->period_ns) {
        struct timespec due = {(time_t)(due_ns / VN_NS_PER_S), (long)(due_ns % VN_NS_PER_S)};

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
            ;
        ask(a, due_ns);
    }
    return NULL;
}

static FILE *open_times(const char *file, const char *class)
{
    char path[4096];

    snprintf(path, sizeof path, "%s.%s", file, class);
    return fopen(path, "wb");
}

/* The sentence comes from the daemon, which quotes names. */
static void print_round(const struct asker *askers, unsigned n)
{
    uint64_t right = 0, wrong = 0, refused = 0, failed = 0;
    char sentence[512] = "";

    for (unsigned i = 0; i < n; i++) {
        right += askers[i].right;
        wrong += askers[i].wrong;
        refused += askers[i].refused;
        failed += askers[i].failed;
        if (askers[i].sentence[0])
            memcpy(sentence, askers[i].sentence, sizeof sentence);
    }
    for (char *at = sentence; (at = strpbrk(at, "\"\\")); *at = '\'')
        ;
    printf("{\"right\": %llu, \"wrong\": %llu, \"refused\": %llu, \"failed\": %llu, "
           "\"sentence\": \"%s\"}\n",
           (unsigned long long)right, (unsigned long long)wrong, (unsigned long long)refused,
           (unsigned long long)failed, sentence);
}

static int run_round(struct asker *askers, unsigned n, double seconds, const char *file)
{
    FILE *times[] = {[VN_CLIENT_BULK] = open_times(file, "bulk"),
                     [VN_CLIENT_CONTROL] = open_times(file, "control")};
    uint64_t end_ns = vn_now_ns() + (uint64_t)(seconds * (double)VN_NS_PER_S);
    pthread_t threads[ASKERS_MAX];

    if (!times[0] || !times[1])
        return -1;
    for (unsigned i = 0; i < n; i++) {
        struct asker *a = &askers[i];

        a->end_ns = end_ns;
        a->times = times[a->class];
        a->right = a->wrong = a->refused = a->failed = 0;
        a->sentence[0] = '\0';
        if (pthread_create(&threads[i], NULL, keep_asking, a))
            return -1;
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    print_round(askers, n);
    return fclose(times[0]) || fclose(times[1]) || fflush(stdout) ? -1 : 0;
}

static int run_rounds(struct asker *askers, unsigned n)
{
    char line[4096], file[4000];
    double seconds;
    int r = 0;

    puts("ready");
    fflush(stdout);
    while (!r && fgets(line, sizeof line, stdin))
        r = sscanf(line, "%lf %3999s", &seconds, file) == 2 ? run_round(askers, n, seconds, file)
                                                            : -1;
    return r;
}

int main(int argc, char **argv)
{
    static struct question questions[QUESTIONS];
    struct asker askers[ASKERS_MAX] = {0};
    unsigned n = argc == 5 ? (unsigned)atoi(argv[3]) : 0;
    int r;

    if (!n || n > ASKERS_MAX || become_user(argv[1])) {
        fprintf(stderr, "usage: %s UID SOCKET CONNECTIONS PER_SECOND\n", argv[0]);
        return 2;
    }
    for (unsigned i = 0; i < n; i++) {
        askers[i].path = argv[2];
        askers[i].questions = questions;
        askers[i].class = i % 2 ? VN_CLIENT_CONTROL : VN_CLIENT_BULK;
        askers[i].rng = vn_rng_stream(1, i, 0);
        askers[i].period_ns = (uint64_t)((double)VN_NS_PER_S * n / atof(argv[4]));
        reopen(&askers[i]);
    }
    r = !askers[0].client || learn(askers[0].client, questions) || run_rounds(askers, n);
    for (unsigned i = 0; i < n; i++)
        vn_client_free(askers[i].client);
    return r;
}
