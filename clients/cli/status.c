/* virtualnet status: what the daemon promised, what the kernel says it uses, queue and counters. */
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "clients/cli/cli.h"

#define NAME 14 /* columns of a name */

static const struct option options[] = {
    {"store", required_argument, NULL, 'o'},
    VN_CLI_COMMON_OPTIONS,
    {0},
};

static bool is_wanted(const struct vn_client_store_status *s, const char *only)
{
    return !only || !strcmp(s->name, only);
}

static json_t *json_of_stores(const struct vn_client_status *s, const char *only)
{
    json_t *stores = json_array();

    for (size_t i = 0; i < s->n_stores; i++) {
        const struct vn_client_store_status *t = &s->stores[i];

        if (!is_wanted(t, only))
            continue;
        json_array_append_new(
            stores,
            json_pack("{s:o, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                      "name", vn_cli_json_text(t->name), "loaded", t->loaded, "network",
                      vn_cli_json_text(t->network), "file_bytes", (json_int_t)t->file_bytes,
                      "parts", (json_int_t)t->parts, "parts_verified",
                      (json_int_t)t->parts_verified, "parts_damaged", (json_int_t)t->parts_damaged,
                      "tasks", (json_int_t)t->n_tasks, "blocks", (json_int_t)t->n_blocks, "groups",
                      (json_int_t)t->groups, "loads", (json_int_t)t->loads, "failed_loads",
                      (json_int_t)t->failed_loads, "loaded_since_ns",
                      (json_int_t)t->loaded_since_ns, "resident_bytes",
                      (json_int_t)t->resident_bytes));
    }
    return stores;
}

/* What the daemon's books say beyond what it promised. */
static json_t *json_of_memory(const struct vn_client_status *s)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "limit_bytes",
        (json_int_t)s->memory_limit_bytes, "accounted_bytes", (json_int_t)s->accounted_bytes,
        "scratch_bytes", (json_int_t)s->scratch_bytes, "buffer_bytes", (json_int_t)s->buffer_bytes,
        "resident_bytes", (json_int_t)s->resident_bytes, "cgroup_reclaimable_bytes",
        (json_int_t)s->cgroup_reclaimable_bytes, "pressure_share",
        vn_cli_json_number(s->pressure_share), "pressure_events", (json_int_t)s->pressure_events);
}

static int print_as_json(const struct vn_client_status *s, const char *only)
{
    json_t *counters = json_object();

    for (size_t i = 0; i < s->n_counters; i++)
        json_object_set_new(counters, s->counters[i].name,
                            json_integer((json_int_t)s->counters[i].value));
    return vn_cli_print_json(json_pack(
        "{s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, "
        "s:o, s:o, s:o}",
        "version", vn_cli_json_text(s->version), "store", vn_cli_json_text(s->store), "uptime_ns",
        (json_int_t)s->uptime_ns, "promised_bytes", (json_int_t)s->promised_bytes, "fixed_bytes",
        (json_int_t)s->fixed_bytes, "pss_bytes", (json_int_t)s->pss_bytes, "pss_anon_bytes",
        (json_int_t)s->pss_anon_bytes, "pss_file_bytes", (json_int_t)s->pss_file_bytes, "rss_bytes",
        (json_int_t)s->rss_bytes, "cgroup_bytes", (json_int_t)s->cgroup_bytes, "queue_length",
        (json_int_t)s->queue_length, "queue_limit", (json_int_t)s->queue_limit, "running",
        (json_int_t)s->running, "workers", (json_int_t)s->workers, "connections",
        (json_int_t)s->connections, "parts", (json_int_t)s->parts, "parts_verified",
        (json_int_t)s->parts_verified, "parts_damaged", (json_int_t)s->parts_damaged, "counter",
        counters, "store_status", json_of_stores(s, only), "memory", json_of_memory(s)));
}

static void print_row(const char *name, uint64_t bytes, const char *meaning)
{
    char text[VN_BYTES_TEXT];

    printf("  %-14s %12s   %s\n", name, vn_bytes_format(bytes, text), meaning);
}

/* Of what is accounted, what has a name. A daemon that knows no parts accounts nothing. */
static uint64_t parts(const struct vn_client_status *s)
{
    uint64_t sum = s->fixed_bytes + s->scratch_bytes + s->buffer_bytes + s->resident_bytes;

    return sum < s->accounted_bytes ? sum : s->accounted_bytes;
}

static void print_memory(const struct vn_client_status *s)
{
    printf("memory\n");
    if (s->memory_limit_bytes)
        print_row("limit", s->memory_limit_bytes, "what the process may hold");
    print_row("accounted", s->accounted_bytes, "what it holds at most, by its own books:");
    print_row("  fixed", s->fixed_bytes, "PSS before the first request");
    print_row("  scratch", s->scratch_bytes, "of all workers, at its most");
    print_row("  buffers", s->buffer_bytes, "requests that arrive or wait");
    print_row("  resident", s->resident_bytes, "slices in use, or kept for the next run");
    print_row("  other", s->accounted_bytes - parts(s), "pixels of runs, code and heap to come");
    print_row("promised", s->promised_bytes, "to the requests that run now");
    print_row("PSS", s->pss_bytes, "now; pages shared with others count in part");
    print_row("  anonymous", s->pss_anon_bytes, "heap, stacks, activations");
    print_row("  file", s->pss_file_bytes, "store, program, libraries: can be dropped");
    print_row("RSS", s->rss_bytes, "now; shared pages count in full");
    if (s->cgroup_bytes)
        print_row("cgroup", s->cgroup_bytes, "memory.current: counts page cache, too");
    else
        printf("  %-14s %12s   not in a memory cgroup\n", "cgroup", "-");
    if (s->cgroup_reclaimable_bytes)
        print_row("  reclaimable", s->cgroup_reclaimable_bytes, "of it, pages of files");
    if (s->pressure_events)
        printf("  %-14s %10.0f %%   of the default budgets, after %ju events of memory pressure\n",
               "in force", 100 * s->pressure_share, (uintmax_t)s->pressure_events);
}

/* Slices that no run has used are not compared yet, which is no fault. */
static void print_parts(uint32_t parts, uint32_t verified, uint32_t damaged)
{
    printf("%u of %u parts compared with their checksums", verified, parts);
    if (damaged)
        printf("; %u DAMAGED: put a good file in its place, then 'virtualnet reload'", damaged);
    printf("\n");
}

static void print_store(const struct vn_client_store_status *s)
{
    char bytes[VN_BYTES_TEXT];

    printf("  ");
    vn_cli_text(s->name, NAME);
    if (!s->loaded) {
        printf(" NOT LOADED: its file could not be used; the daemon's log says why\n");
        return;
    }
    printf(" network ");
    vn_cli_text(s->network, 0);
    printf(", %s, %u tasks, loaded %.1f s ago", vn_bytes_format(s->file_bytes, bytes), s->n_tasks,
           (double)s->loaded_since_ns / (double)VN_NS_PER_S);
    if (s->failed_loads)
        printf(", %ju loads failed", (uintmax_t)s->failed_loads);
    printf("\n  %*s ", NAME, "");
    print_parts(s->parts, s->parts_verified, s->parts_damaged);
}

static void print_stores(const struct vn_client_status *s, const char *only)
{
    if (s->n_stores < 2) { /* or a daemon that does not know of several */
        printf("store\n  ");
        print_parts(s->parts, s->parts_verified, s->parts_damaged);
        return;
    }
    printf("stores\n");
    for (size_t i = 0; i < s->n_stores; i++)
        if (is_wanted(&s->stores[i], only))
            print_store(&s->stores[i]);
}

static void print_as_text(const struct vn_client_status *s, const char *only)
{
    printf("virtualnetd ");
    vn_cli_text(s->version, 0);
    printf(", store ");
    vn_cli_text(s->store, 0);
    printf(", up for %.1f s\n", (double)s->uptime_ns / (double)VN_NS_PER_S);
    print_stores(s, only);
    print_memory(s);
    printf("queue\n  waiting %u of %u, running %u, workers %u, connections %u\n", s->queue_length,
           s->queue_limit, s->running, s->workers, s->connections);
    printf("requests (counters that are 0 are left out)\n");
    for (size_t i = 0; i < s->n_counters; i++) {
        if (!s->counters[i].value)
            continue;
        printf("  ");
        vn_cli_text(s->counters[i].name, 20);
        printf(" %12ju\n", (uintmax_t)s->counters[i].value);
    }
}

static bool is_there(const struct vn_client_status *s, const char *only)
{
    for (size_t i = 0; only && i < s->n_stores; i++)
        if (!strcmp(s->stores[i].name, only))
            return true;
    return !only;
}

static int ask(const struct vn_cli_common *common, const char *only)
{
    _cleanup_(vn_client_freep) struct vn_client *client = NULL;
    _cleanup_(vn_client_reply_freep) struct vn_client_reply *reply = NULL;
    int code = vn_cli_connect(common, &client);

    if (code)
        return code;
    if (vn_client_status(client, common->timeout_ms, &reply))
        return vn_cli_failed(common, NULL, vn_client_last_error(client));
    if (!is_there(reply->status, only))
        return vn_cli_sorry(common->json, VN_EXIT_REFUSED, only, "there is no such store");
    if (common->json)
        return print_as_json(reply->status, only);
    print_as_text(reply->status, only);
    return VN_EXIT_OK;
}

static int status(int argc, char **argv)
{
    struct vn_cli_common common = VN_CLI_COMMON;
    const char *only = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (option == 'o')
            only = optarg;
        else if (!vn_cli_common_option("status", option, optarg, &common))
            return VN_EXIT_USAGE;
    }
    if (optind < argc)
        return vn_cli_usage("status", "takes no argument, found '%s'", argv[optind]);
    return ask(&common, only);
}

const struct vn_command vn_command_status = {
    .name = "status",
    .summary = "show the daemon's memory, queue and counters",
    .run = status,
    .help = "usage: virtualnet status [OPTION ...]\n"
            "\n"
            "Three views of memory disagree by nature, so they stand side by side: what was\n"
            "promised to running requests, what the process uses (PSS, RSS), and what its cgroup\n"
            "is charged. docs/memory.md explains the differences.\n"
            "\n"
            "options:\n"
            "  --store NAME     of several stores, this one alone\n" VN_CLI_COMMON_HELP "\n"
            "examples:\n"
            "  virtualnet status\n"
            "  watch -n 1 virtualnet status\n"
            "  virtualnet status --json | jq .pss_bytes\n",
};
