/* virtualnet top: the daemon's life as it goes on. */
#include "clients/cli/top.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"

/* ---- differences ----------------------------------------------------------------------------- */

static bool same_life(const struct top_view *v)
{
    return v->before && v->before->uptime_ns < v->now->uptime_ns;
}

double top_seconds(const struct top_view *v)
{
    uint64_t ns = v->now->uptime_ns - (same_life(v) ? v->before->uptime_ns : 0);

    return (double)(ns ? ns : 1) / (double)VN_NS_PER_S;
}

static uint64_t counter(const struct vn_client_status *s, const char *name)
{
    for (size_t i = 0; i < s->n_counters; i++)
        if (!strcmp(s->counters[i].name, name))
            return s->counters[i].value;
    return 0;
}

/* Numbers come from outside and may do what they want. */
static uint64_t growth(uint64_t before, uint64_t now)
{
    return now > before ? now - before : 0;
}

uint64_t top_counter(const struct top_view *v, const char *name)
{
    return growth(same_life(v) ? counter(v->before, name) : 0, counter(v->now, name));
}

struct top_task top_task(const struct top_view *v, size_t index)
{
    struct top_task t = {.now = &v->now->tasks[index]};

    for (size_t i = 0; same_life(v) && i < v->before->n_tasks; i++) {
        const struct vn_client_task_status *b = &v->before->tasks[i];

        if (!strcmp(b->name, t.now->name) && !strcmp(b->store, t.now->store) &&
            b->n_blocks == t.now->n_blocks && b->runs <= t.now->runs)
            t.before = b;
    }
    t.runs = t.now->runs - (t.before ? t.before->runs : 0);
    return t;
}

bool top_shows(const struct top_view *v, size_t index)
{
    return !v->store || !strcmp(v->store, v->now->tasks[index].store);
}

double top_level(const struct top_task *t, size_t block)
{
    uint64_t sum = t->now->level_sums[block], runs = t->now->runs;

    if (t->runs && t->before) {
        sum = growth(t->before->level_sums[block], sum);
        runs = t->runs;
    }
    return runs ? (double)sum / (double)runs : -1;
}

static const struct vn_client_times *times(const struct vn_client_task_status *t, const char *phase)
{
    for (size_t i = 0; t && i < t->n_times; i++)
        if (!strcmp(t->times[i].phase, phase))
            return &t->times[i];
    return NULL;
}

static uint64_t bucket(const struct top_task *t, const char *phase, size_t i)
{
    const struct vn_client_times *now = times(t->now, phase), *before = times(t->before, phase);

    if (!now || i >= now->n_counts)
        return 0;
    return growth(before && i < before->n_counts ? before->counts[i] : 0, now->counts[i]);
}

double top_quantile(const struct top_view *v, const struct top_task *t, const char *phase,
                    double share)
{
    size_t n = v->now->n_buckets;
    double all = 0, below = 0, low = 0;

    for (size_t i = 0; i <= n; i++)
        all += (double)bucket(t, phase, i);
    if (!(all > 0) || !n)
        return NAN;
    for (size_t i = 0; i < n; i++) {
        double high = (double)v->now->bucket_ns[i] / (double)VN_NS_PER_S;
        double here = (double)bucket(t, phase, i);

        if (here > 0 && below + here >= share * all)
            return low + (high - low) * (share * all - below) / here;
        below += here;
        low = high;
    }
    return low;
}

double top_mean(const struct top_task *t, const char *phase)
{
    const struct vn_client_times *now = times(t->now, phase), *before = times(t->before, phase);
    double runs = 0;

    for (size_t i = 0; now && i < now->n_counts; i++)
        runs += (double)bucket(t, phase, i);
    if (!(runs > 0))
        return NAN;
    return (double)growth(before ? before->sum_ns : 0, now->sum_ns) / (double)VN_NS_PER_S / runs;
}

/* ---- the terminal ---------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

struct terminal {
    bool screen, keys; /* standard output and input are one */
    bool utf8;
    struct termios before;
};

/* A signal ends the waiting for the next reading, and then the program by the way it came. */
static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

/* The alternate screen, so that what was there comes back; no cursor, and no wrapped lines. */
static void terminal_begin(struct terminal *t, bool live)
{
    struct termios keys;

    *t = (struct terminal){.screen = live && isatty(STDOUT_FILENO)};
    setlocale(LC_CTYPE, "");
    t->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
    if (!t->screen)
        return;
    catch_signals();
    t->keys = !tcgetattr(STDIN_FILENO, &t->before);
    if (t->keys) {
        keys = t->before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    fputs("\033[?1049h\033[?25l\033[?7l", stdout);
}

static void terminal_end(const struct terminal *t)
{
    if (!t->screen)
        return;
    fputs("\033[?7h\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (t->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
}

static unsigned terminal_columns(const struct terminal *t)
{
    struct winsize size;

    if (t->screen && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        return size.ws_col;
    return 100;
}

/* Waits; true: somebody has had enough. */
static bool terminal_wait(const struct terminal *t, uint32_t ms)
{
    uint64_t end = vn_now_ns() + ms * VN_NS_PER_MS, now;
    struct pollfd input = {.fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN};

    while (!interrupted && (now = vn_now_ns()) < end) {
        char key;

        if (poll(&input, 1, (int)((end - now) / VN_NS_PER_MS) + 1) <= 0)
            continue;
        if (read(STDIN_FILENO, &key, 1) != 1)
            input.fd = -1;
        else if (key == 'q' || key == 'Q')
            return true;
    }
    return interrupted;
}

/* ---- the command ----------------------------------------------------------------------------- */

enum { ONCE = 256, INTERVAL, STORE };

static const struct option options[] = {
    {"once", no_argument, NULL, ONCE},
    {"interval", required_argument, NULL, INTERVAL},
    {"store", required_argument, NULL, STORE},
    VN_CLI_COMMON_OPTIONS,
    {0},
};

struct top {
    struct vn_cli_common common;
    bool once;
    uint32_t interval_ms;
    const char *store; /* NULL: all */
    struct terminal terminal;
    struct vn_client *client;                     /* owned, or NULL: not connected */
    struct vn_client_reply *before, *now;         /* owned, or NULL */
    char trouble[sizeof(struct vn_client_error)]; /* "": the last reading is new */
};

/* Where somebody watches, a daemon that is away may come back; else it is said and the end. */
static int fail(struct top *t, int code, const struct vn_client_error *e)
{
    snprintf(t->trouble, sizeof t->trouble, "%s", e ? e->message : "nobody answers at the socket");
    if (t->terminal.screen && t->now)
        return VN_EXIT_OK;
    return e ? vn_cli_failed(&t->common, NULL, e) : code;
}

static int connect_again(struct top *t)
{
    const char *path = t->common.socket ? t->common.socket : vn_client_default_path();

    if (t->terminal.screen && t->now)
        return vn_client_open(path, t->interval_ms, &t->client) ? VN_EXIT_CONNECTION : VN_EXIT_OK;
    return vn_cli_connect(&t->common, &t->client);
}

/* One more reading. */
static int take_reading(struct top *t)
{
    struct vn_client_reply *reply = NULL;
    int code = t->client ? VN_EXIT_OK : connect_again(t);

    if (code)
        return fail(t, code, NULL);
    if (vn_client_status(t->client, t->common.timeout_ms, &reply)) {
        code = fail(t, VN_EXIT_CONNECTION, vn_client_last_error(t->client));
        vn_client_free(t->client);
        t->client = NULL;
        return code;
    }
    t->trouble[0] = 0;
    vn_client_reply_free(t->before);
    t->before = t->now;
    t->now = reply;
    return VN_EXIT_OK;
}

static int show(const struct top *t)
{
    const struct top_view v = {
        .before = t->before ? t->before->status : NULL,
        .now = t->now->status,
        .trouble = t->trouble[0] ? t->trouble : NULL,
        .store = t->store,
    };

    if (t->common.json)
        return vn_cli_print_json(top_json(&v));
    if (t->terminal.screen)
        fputs("\033[H", stdout);
    top_screen(stdout, &v, terminal_columns(&t->terminal), t->terminal.utf8,
               t->terminal.screen ? "\033[K\n" : "\n");
    fputs(t->terminal.screen ? "\033[J" : t->once ? "" : "\n", stdout);
    return fflush(stdout) || ferror(stdout) ? VN_EXIT_SYSTEM : VN_EXIT_OK;
}

static int watch(struct top *t)
{
    int code = take_reading(t);

    if (!code && t->once && !terminal_wait(&t->terminal, t->interval_ms))
        code = take_reading(t);
    while (!code) {
        code = show(t);
        if (code || t->once || terminal_wait(&t->terminal, t->interval_ms))
            break;
        code = take_reading(t);
    }
    return code;
}

static int top(int argc, char **argv)
{
    struct top t = {.common = VN_CLI_COMMON, .interval_ms = 1000};
    int option, code;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == ONCE)
            t.once = true;
        else if (option == STORE)
            t.store = optarg;
        else if (option == INTERVAL && vn_cli_u32(optarg, 100, 3600000, &t.interval_ms))
            continue;
        else if (option == INTERVAL)
            return vn_cli_usage("top", "--interval takes 100 to 3600000 ms, not '%s'", optarg);
        else if (!vn_cli_common_option("top", option, optarg, &t.common))
            return VN_EXIT_USAGE;
    }
    if (optind < argc)
        return vn_cli_usage("top", "takes no argument, found '%s'", argv[optind]);
    terminal_begin(&t.terminal, !t.once && !t.common.json);
    code = watch(&t);
    terminal_end(&t.terminal);
    vn_client_reply_free(t.before);
    vn_client_reply_free(t.now);
    vn_client_free(t.client);
    return code;
}

const struct vn_command vn_command_top = {
    .name = "top",
    .summary = "watch requests, latency, memory and levels as they change",
    .run = top,
    .help =
        "usage: virtualnet top [OPTION ...]\n"
        "\n"
        "Shows what the daemon does between two readings: requests by outcome, the time of runs\n"
        "and where it goes, memory as promised and as used, and for each task its rate, its\n"
        "latency and the mean level of every block as a bar. 'q' or Ctrl-C ends it. When the\n"
        "output is no terminal, every reading is printed below the last.\n"
        "\n"
        "options:\n"
        "  --interval MS    time between readings (1000)\n"
        "  --once           two readings, then the end\n"
        "  --store NAME     the tasks of this store alone\n" VN_CLI_COMMON_HELP
        "                   (a line for each reading)\n"
        "\n"
        "examples:\n"
        "  virtualnet top\n"
        "  virtualnet top --interval 200\n"
        "  virtualnet top --once --json | jq '.task[] | {name, p99_ms}'\n",
};
