/* virtualnet infer: classifies image files, a few calls ahead of the answers, printed in the order
 * of the command line.
 *
 * A file's job is waiting, open or done. Done jobs are printed as soon as all before them are; a
 * BUSY answer to a call that was sent while others of ours were open sends its job back to waiting
 * and lowers the number of calls that are sent ahead. One that was alone is sent again after the
 * time that the daemon states, as long as its timeout allows. Ctrl-C cancels what is open. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "clients/cli/infer_print.h"
#include "engine/network.h"

#define AHEAD_MAX 4        /* open calls: enough to hide reading and sending behind computing */
#define PAUSE_MS_MAX 60000 /* whatever a daemon says */
#define IMAGE_COLUMN 40    /* widest file column; longer names push their line */
#define ANSWER_COLUMN 14   /* narrowest label column; it grows */

static volatile sig_atomic_t interrupted;

static const struct option options[] = {
    {"top", required_argument, NULL, 'k'},
    {"class", required_argument, NULL, 'c'},
    {"stream", required_argument, NULL, 's'},
    VN_CLI_REQUEST_OPTIONS,
    {0},
};

/* ---- answers --------------------------------------------------------------------------------- */

/* Whether a job that was refused as BUSY is sent again; then the pause that it needs is set. */
static bool may_try_again(struct infer_run *run, const struct infer_job *job, uint32_t after_ms)
{
    uint64_t timeout_ms = run->request.common.timeout_ms;
    uint64_t then =
        vn_now_ns() + (after_ms < PAUSE_MS_MAX ? after_ms : PAUSE_MS_MAX) * VN_NS_PER_MS;

    if (!job->alone)
        return true;
    if (!after_ms || (timeout_ms && then > job->first_ns + timeout_ms * VN_NS_PER_MS))
        return false;
    run->pause_ns = then;
    return true;
}

static void on_reply(void *userdata, uint64_t id, const struct vn_client_reply *reply)
{
    struct infer_job *job = userdata;
    struct infer_run *run = job->run;
    size_t still_open = vn_client_open_calls(run->client);

    if (reply->result == VN_CLIENT_E_BUSY &&
        may_try_again(run, job, reply->error->retry_after_ms)) {
        job->state = WAITING;
        run->ahead = still_open ? still_open : 1;
        return;
    }
    job->state = DONE;
    if (reply->answer) {
        infer_keep(job, reply->answer);
    } else {
        job->exit_code = VN_EXIT_REFUSED; /* vn_cli_failed knows the precise one */
        job->error = *reply->error;
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

/* Reads the file and sends it. False: nothing more can be sent now. */
static bool send_job(struct infer_run *run, struct infer_job *job)
{
    struct vn_client_request request;
    struct vn_image_buffer image = {0};
    int r = vn_image_file_read(job->file, &job->why, &image);

    job->state = OPEN;
    if (!job->first_ns)
        job->first_ns = vn_now_ns();
    job->alone = !vn_client_open_calls(run->client);
    if (r) {
        job->state = DONE;
        job->exit_code = VN_EXIT_INPUT;
        return true;
    }
    request = vn_cli_request_of(&run->request, &image);
    r = vn_client_infer_start(run->client, &request, run->request.common.timeout_ms, on_reply, job,
                              &job->id);
    vn_image_buffer_deinit(&image);
    if (r == -EAGAIN && vn_client_open_calls(run->client)) {
        job->state = WAITING;
        return false;
    }
    if (r) {
        job->state = DONE;
        job->exit_code = VN_EXIT_REFUSED;
        job->error = *vn_client_last_error(run->client);
    }
    return true;
}

static void send_some(struct infer_run *run)
{
    for (size_t i = run->n_printed; i < run->n_jobs; i++) {
        if (vn_client_open_calls(run->client) >= run->ahead || vn_now_ns() < run->pause_ns)
            return;
        if (run->jobs[i].state == WAITING && !send_job(run, &run->jobs[i]))
            return;
    }
}

static int pause_ms(const struct infer_run *run)
{
    uint64_t now = vn_now_ns();

    return run->pause_ns > now ? (int)((run->pause_ns - now) / VN_NS_PER_MS + 1) : 0;
}

static void wait_for_some(struct infer_run *run)
{
    struct pollfd p = {.fd = vn_client_fd(run->client), .events = vn_client_events(run->client)};

    int ms = vn_client_next_timeout(run->client), pause = pause_ms(run);
    struct timespec wait;

    if (!vn_client_open_calls(run->client) && !pause)
        return;
    if (pause && (ms < 0 || pause < ms))
        ms = pause;
    wait = (struct timespec){ms / 1000, ms % 1000 * 1000000L};
    ppoll(&p, 1, ms < 0 ? NULL : &wait, &run->waiting);
    vn_client_dispatch(run->client); /* a broken connection ends the open jobs with its reason */
}

/* The connection is gone: what has ended is printed, what was waiting cannot be sent. */
static int give_up(struct infer_run *run)
{
    size_t unsent = 0;
    char sentence[96];

    while (run->n_printed < run->n_jobs) {
        struct infer_job *job = &run->jobs[run->n_printed++];

        if (job->state == DONE)
            infer_print(run, job);
        else
            unsent++;
    }
    if (!unsent)
        return run->exit_code;
    snprintf(sentence, sizeof sentence, "the connection is gone; %zu images were not sent", unsent);
    vn_cli_sorry(run->request.common.json, 0, NULL, sentence);
    return run->exit_code ? run->exit_code : VN_EXIT_CONNECTION;
}

static void on_interrupt(int number)
{
    interrupted = 1;
}

static void catch_interrupts(struct infer_run *run)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigset_t set;

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, &run->waiting);
}

/* Cancels what is open; what was answered before is printed. */
static int stop(struct infer_run *run)
{
    size_t unanswered = 0;
    char sentence[96];

    for (size_t i = run->n_printed; i < run->n_jobs; i++) {
        if (run->jobs[i].state != DONE)
            unanswered++;
        else
            infer_print(run, &run->jobs[i]);
        if (run->jobs[i].state == OPEN)
            vn_client_cancel(run->client, run->jobs[i].id);
    }
    vn_client_dispatch(run->client); /* tells the daemon */
    snprintf(sentence, sizeof sentence, "interrupted; %zu images were not answered", unanswered);
    return vn_cli_sorry(run->request.common.json, VN_EXIT_INTERRUPTED, NULL, sentence);
}

static int infer_all(struct infer_run *run)
{
    catch_interrupts(run);
    while (run->n_printed < run->n_jobs && vn_client_fd(run->client) >= 0) {
        send_some(run);
        infer_print_done(run);
        wait_for_some(run);
        if (interrupted)
            return stop(run);
    }
    return give_up(run);
}

static bool prepare_jobs(struct infer_run *run, char **files, int n)
{
    run->jobs = calloc((size_t)n, sizeof *run->jobs);
    if (!run->jobs)
        return false;
    run->n_jobs = (size_t)n;
    run->image_width = (int)strlen("IMAGE");
    run->path_width = (int)strlen("PATH");
    run->answer_width = ANSWER_COLUMN;
    run->ahead = AHEAD_MAX;
    for (int i = 0; i < n; i++) {
        run->jobs[i] = (struct infer_job){.run = run, .file = files[i]};
        infer_widen(&run->image_width, files[i]);
    }
    if (run->image_width > IMAGE_COLUMN)
        run->image_width = IMAGE_COLUMN;
    return true;
}

static void run_deinit(struct infer_run *run)
{
    vn_client_free(run->client);
    for (size_t i = run->n_printed; i < run->n_jobs; i++)
        infer_release(&run->jobs[i]);
    free(run->jobs);
    vn_cli_request_deinit(&run->request);
}

static bool parse_class(const char *text, enum vn_client_class *ret_class)
{
    if (strcmp(text, "control") && strcmp(text, "bulk"))
        return false;
    *ret_class = *text == 'c' ? VN_CLIENT_CONTROL : VN_CLIENT_BULK;
    return true;
}

/* False: a usage error, which has been said. */
static bool take_option(int option, const char *value, struct vn_cli_request *r)
{
    const char *wanted;

    switch (option) {
    case 'k':
        if (vn_cli_u32(value, 1, 1000, &r->request.top_k))
            return true;
        wanted = "--top takes a number of labels, 1 .. 1000";
        break;
    case 'c':
        if (parse_class(value, &r->request.request_class))
            return true;
        wanted = "--class takes control or bulk";
        break;
    case 's':
        r->request.stream = value;
        r->request.replace = 1;
        if (*value && strlen(value) <= VN_NAME_MAX)
            return true;
        wanted = "--stream takes a name of 1 .. 64 bytes";
        break;
    default:
        return vn_cli_request_option("infer", option, value, r);
    }
    vn_cli_usage("infer", "%s, not '%s'", wanted, value);
    return false;
}

static bool parse(int argc, char **argv, struct infer_run *run)
{
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        if (!take_option(option, optarg, &run->request))
            return false;
    if (optind < argc)
        return true;
    vn_cli_usage("infer", "which image? Give at least one file");
    return false;
}

static int infer(int argc, char **argv)
{
    _cleanup_(run_deinit) struct infer_run run = {.request.common = VN_CLI_COMMON};
    int code;

    if (!parse(argc, argv, &run))
        return VN_EXIT_USAGE;
    if (!prepare_jobs(&run, argv + optind, argc - optind))
        return vn_cli_sorry(run.request.common.json, VN_EXIT_SYSTEM, NULL, "no memory");
    code = vn_cli_connect(&run.request.common, &run.client);
    if (!code)
        code = vn_cli_request_finish("infer", run.client, &run.request);
    return code ? code : infer_all(&run);
}

const struct vn_command vn_command_infer = {
    .name = "infer",
    .summary = "say what is in image files, within a memory budget",
    .run = infer,
    .help =
        "usage: virtualnet infer [OPTION ...] IMAGE ...\n"
        "\n"
        "Images are PNG, JPEG, PGM or PPM files of any size; the daemon resizes them as its\n"
        "store says. One line per image:\n"
        "  ANSWER, PROB   the best label and its probability\n"
        "  PATH           how many groups each block used: the agent's choice\n"
        "  DENSITY        parameters of the path, as a part of the full path's\n"
        "  PROMISED       bytes that the run needed at most: parameters, activations, image\n"
        "  TIME           choosing and running the path, in the daemon\n"
        "With --json, one object per image and line. A failed image does not stop the others; the\n"
        "exit code is the first failure's. Ctrl-C cancels what is open.\n"
        "\n"
        "options:\n" VN_CLI_REQUEST_HELP "  --top K          print the K best labels\n"
        "  --class CLASS    control: before all bulk requests that wait; default: bulk\n"
        "  --stream NAME    the images are one stream, of which the latest wins: one that waits "
        "when\n"
        "                   the next is sent is superseded by it, which is no failure\n"
        "\n"
        "examples:\n"
        "  virtualnet infer --task garment shirt.png\n"
        "  virtualnet infer --task garment --budget 512KiB --top 3 photos/*.jpg\n"
        "  virtualnet infer --task kind --level 1 shirt.png         # as small as it gets\n"
        "  virtualnet infer --task kind --json *.png | jq -r '.label[0].name'\n",
};
