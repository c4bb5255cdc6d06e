/* Clients that connect, ask for one picture and hang up, again and again, while the service is
 * restarted, reloaded or killed: whether a connection was ever refused, a request failed.
 *
 *     knock SOCKET TASK PICTURE ANSWER SECONDS
 *
 * PICTURE is a binary PGM of 28x28; ANSWER a part of the right label, in small letters. The daemon
 * may say that it stops, or close a connection whose request it has not taken: then the request is
 * made again. Prints one line, the counts of
 *     right     answers
 *     wrong     answers
 *     refused   connections: nobody listens
 *     told      that the daemon stops
 *     closed    before the request was answered
 *     failed    in another way, with the last one's sentence
 * and the longest time from the first attempt to the answer. The exit status is 0. */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "clients/c/virtualnet-client.h"

#define CLIENTS 4
#define SIDE 28
#define WAIT_MS 30000
#define PAUSE_US 10000 /* after an answer: all together stay below uid_connections_per_s */

struct counts {
    uint64_t right, wrong, refused, told, closed, failed, longest_ns;
    char sentence[512];
};

static struct {
    const char *socket, *answer;
    struct vn_client_request request;
    uint8_t pixels[SIDE * SIDE];
    uint64_t end_ns;
} task;

static bool is_right(const char *label)
{
    char small[128] = "";

    for (size_t i = 0; label[i] && i + 1 < sizeof small; i++)
        small[i] = (char)tolower((unsigned char)label[i]);
    return strstr(small, task.answer);
}

static void note_failure(struct counts *n, int result, const char *sentence)
{
    if (result == VN_CLIENT_E_SHUTTING_DOWN) {
        n->told++;
    } else if (result == -ECONNRESET || result == -EPIPE) {
        n->closed++;
    } else {
        n->failed++;
        snprintf(n->sentence, sizeof n->sentence, "%s", sentence);
    }
}

/* Whether there was an answer. */
static bool knock(struct counts *n)
{
    struct vn_client *client;
    struct vn_client_reply *reply;
    int r = vn_client_open(task.socket, WAIT_MS, &client);

    if (r) {
        n->refused++;
        snprintf(n->sentence, sizeof n->sentence, "connecting: %s", strerror(-r));
        return false;
    }
    r = vn_client_infer(client, &task.request, WAIT_MS, &reply);
    if (r) {
        note_failure(n, r, vn_client_last_error(client)->message);
    } else {
        *(is_right(reply->answer->labels[0].name) ? &n->right : &n->wrong) += 1;
        vn_client_reply_free(reply);
    }
    vn_client_free(client);
    return !r;
}

static void *keep_knocking(void *argument)
{
    struct counts *n = argument;
    uint64_t began_ns = vn_now_ns(), now_ns;

    while (began_ns < task.end_ns) {
        bool answered = knock(n);

        now_ns = vn_now_ns();
        if (now_ns - began_ns > n->longest_ns)
            n->longest_ns = now_ns - began_ns;
        if (!answered && now_ns > task.end_ns + WAIT_MS * VN_NS_PER_MS)
            return NULL;
        if (!answered)
            continue;
        usleep(PAUSE_US);
        began_ns = vn_now_ns();
    }
    return NULL;
}

static bool read_picture(const char *file)
{
    FILE *f = fopen(file, "rb");
    unsigned width = 0, height = 0;
    bool ok = f && fscanf(f, "P5 %u %u 255%*c", &width, &height) == 2 && width == SIDE &&
              height == SIDE && fread(task.pixels, sizeof task.pixels, 1, f) == 1;

    if (f)
        fclose(f);
    return ok;
}

static void print_sum(const struct counts *all)
{
    struct counts sum = {0};

    for (int i = 0; i < CLIENTS; i++) {
        sum.right += all[i].right;
        sum.wrong += all[i].wrong;
        sum.refused += all[i].refused;
        sum.told += all[i].told;
        sum.closed += all[i].closed;
        sum.failed += all[i].failed;
        if (all[i].longest_ns > sum.longest_ns)
            sum.longest_ns = all[i].longest_ns;
        if (all[i].sentence[0])
            memcpy(sum.sentence, all[i].sentence, sizeof sum.sentence);
    }
    printf(
        "right %llu wrong %llu refused %llu told %llu closed %llu failed %llu longest %llu ms %s\n",
        (unsigned long long)sum.right, (unsigned long long)sum.wrong,
        (unsigned long long)sum.refused, (unsigned long long)sum.told,
        (unsigned long long)sum.closed, (unsigned long long)sum.failed,
        (unsigned long long)(sum.longest_ns / VN_NS_PER_MS), sum.sentence);
}

int main(int argc, char **argv)
{
    struct counts counts[CLIENTS] = {0};
    pthread_t threads[CLIENTS];

    if (argc != 6 || !read_picture(argv[3])) {
        fprintf(stderr, "usage: %s SOCKET TASK PICTURE ANSWER SECONDS\n", argv[0]);
        return 2;
    }
    task.socket = argv[1];
    task.request = (struct vn_client_request){
        .task = argv[2],
        .image = {task.pixels, SIDE, SIDE, 0, VN_CLIENT_GRAY8},
    };
    task.answer = argv[4];
    task.end_ns = vn_now_ns() + (uint64_t)(atof(argv[5]) * (double)VN_NS_PER_S);
    for (int i = 0; i < CLIENTS; i++)
        if (pthread_create(&threads[i], NULL, keep_knocking, &counts[i]))
            return 1;
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    print_sum(counts);
    return 0;
}
