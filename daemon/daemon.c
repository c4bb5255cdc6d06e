#include "daemon/daemon.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/calls.h"
#include "daemon/client.h"
#include "daemon/receive.h"
#include "daemon/reply.h"
#include "daemon/requests.h"
#include "daemon/room.h"

#define COMPLAIN_EVERY_NS (10 * VN_NS_PER_S)
#define OTHER_DESCRIPTORS 256 /* than those of connections: stores, pipes, scrapers */
#define LAST_GRACE_MS 1000    /* for cancelled runs to end and last replies to be taken */

const char *const counter_names[N_COUNTERS] = {
    [INFER_OK] = "infer_ok",
    [PLAN_OK] = "plan_ok",
    [DESCRIBE_OK] = "describe_ok",
    [STATUS_OK] = "status_ok",
    [RELOAD_OK] = "reload_ok",
    [CANCEL_OK] = "cancel_ok",
    [BAD_FRAME] = "bad_frame",
    [BAD_REQUEST] = "bad_request",
    [UNKNOWN_TASK] = "unknown_task",
    [BAD_IMAGE] = "bad_image",
    [BUDGET_TOO_SMALL] = "budget_too_small",
    [BUSY] = "busy",
    [DEADLINE] = "deadline",
    [CANCELLED] = "cancelled",
    [NOT_ALLOWED] = "not_allowed",
    [RELOAD_FAILED] = "reload_failed",
    [INTERNAL] = "internal",
    [SHUTTING_DOWN] = "shutting_down",
    [STORE_DAMAGED] = "store_damaged",
    [SUPERSEDED] = "superseded",
    [UNKNOWN_STORE] = "unknown_store",
    [ABANDONED] = "abandoned",
    [REQUESTS_RECEIVED] = "requests_received",
    [CONNECTIONS_ACCEPTED] = "connections_accepted",
    [CONNECTIONS_REFUSED] = "connections_refused",
    [SLOW_READERS_CUT] = "slow_readers_cut",
    [SLOW_WRITERS_CUT] = "slow_writers_cut",
};

bool daemon_may_complain(uint64_t *last_ns)
{
    uint64_t now = vn_now_ns();

    if (*last_ns && now - *last_ns < COMPLAIN_EVERY_NS)
        return false;
    *last_ns = now;
    return true;
}

/* --- running ---------------------------------------------------------------------------------- */

static void on_job_done(void *context, struct job *j)
{
    struct daemon *d = context;

    schedule_done(d, j);
    requests_finish(d, j);
    schedule_feed(d);
    daemon_maybe_finish(d);
}

static void on_accepted(void *context, int fd)
{
    client_new(context, fd);
}

static void on_gauge_idle(void *context)
{
    daemon_maybe_finish(context);
}

/* Of memory pressure; called by a thread of its own. */
static void relieve(void *context)
{
    struct daemon *d = context;

    vn_residency_trim(d->memory.residency, 0);
}

static bool workers_moved(void *context)
{
    struct daemon *d = context;

    return pool_moved(&d->pool);
}

/* --- stopping --------------------------------------------------------------------------------- */

/* Once nobody handles them any more, signals would kill what is about to end well. */
static void block_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static void close_handles(struct daemon *d)
{
    block_signals();
    for (size_t i = 0; d->watching && i < sizeof d->signals / sizeof d->signals[0]; i++)
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    if (d->watching)
        uv_close((uv_handle_t *)&d->grace, NULL);
    d->watching = false;
    service_close(&d->service);
    reload_deinit(&d->reload);
    gauge_deinit(&d->gauge);
    exporter_deinit(&d->exporter);
    pressure_close(&d->memory.pressure);
    schedule_deinit(d);
    pool_stop(&d->pool);
}

void daemon_maybe_finish(struct daemon *d)
{
    if (!d->stopping || d->finished || d->clients || d->memory.ledger.running ||
        d->reload.running || d->gauge.running || d->exporter.running)
        return;
    d->finished = true;
    close_handles(d); /* with the last of them closed, the loop ends */
}

static void drop_clients(struct daemon *d, void (*drop)(struct client *c))
{
    struct client *next;

    for (struct client *c = d->clients; c; c = next) {
        next = c->next;
        drop(c);
    }
}

/* First what still runs is cancelled, and has a last moment to say so; then the process ends, with
 * or without it. A worker that is stuck cannot be joined. */
static void on_grace_over(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    if (!d->grace_over) {
        d->grace_over = true;
        pool_cancel(&d->pool);
        uv_timer_start(timer, on_grace_over, LAST_GRACE_MS, 0);
        return;
    }
    if (d->memory.ledger.running) {
        vn_log_error("%u runs did not end after they were cancelled; leaving without them",
                     d->memory.ledger.running);
        _exit(EXIT_FAILURE);
    }
    if (d->reload.running) /* reading a large store: nothing is lost */
        _exit(EXIT_SUCCESS);
    drop_clients(d, client_drop);
}

/* What has arrived by now is answered, if only by a refusal. */
static void listen_once_more(struct client *c)
{
    receive(c);
    client_drop_if_done(c);
}

static void stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    vn_log_notice("stopping: %u running, %u waiting", schedule_running(d), d->queue.length);
    service_notify(&d->service, "STOPPING=1\nSTATUS=finishing what runs");
    service_unwatch(&d->service);
    listener_close(&d->listener);
    exporter_stop(&d->exporter);
    uv_timer_start(&d->grace, on_grace_over, d->config->shutdown_grace_ms, 0);
    requests_refuse_waiting(d);
    drop_clients(d, listen_once_more);
    daemon_maybe_finish(d);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    if (number == SIGHUP)
        reload_all(d);
    else
        stop(d);
}

/* --- starting --------------------------------------------------------------------------------- */

static void watch_signals(struct daemon *d)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&d->loop, &d->grace);
    d->grace.data = d;
    d->watching = true;
}

static void say_ready(struct daemon *d)
{
    const struct model *m = d->stores.list[0].model;
    const struct vn_network *n = m->network;
    char size[VN_BYTES_TEXT], names[256];

    vn_log_notice("virtualnetd %s serves %s (%s, %u tasks, %u blocks of %u groups, agent %s) at "
                  "%s with %u worker%s",
                  VN_VERSION, n->name, vn_bytes_format(m->store->file_bytes, size), n->n_tasks,
                  vn_network_blocks(n), n->groups, vn_agent_kind_names[n->agent.kind],
                  d->listener.lock_fd < 0 ? "an activated socket" : d->config->socket_path,
                  d->pool.n_workers, d->pool.n_workers == 1 ? "" : "s");
    memory_say(d);
    service_notify(&d->service, "READY=1\nSTATUS=serving %s",
                   stores_text(&d->stores, names, sizeof names));
    service_watch(&d->service, &d->loop, workers_moved, d);
}

/* What was begun before a failure is ended by serve. */
static int start(struct daemon *d, struct vn_why *why)
{
    const struct config *c = d->config;
    const struct listener_place place = {
        .key = "socket_path",
        .path = c->socket_path,
        .mode = config_socket_mode(c),
        .group = c->socket_group,
        .may_be_passed = true,
    };
    int r = listener_claim(&d->listener, &place, why);

    if (r)
        return r;
    r = memory_init(&d->memory, c);
    if (r)
        return vn_because(why, r, "starting: %s", strerror(-r));
    r = stores_load(&d->stores, c, &d->memory, why);
    if (r)
        return r;
    memory_begin(d, stores_idle_pss(&d->stores));
    r = pool_start(&d->pool, &d->loop, (uint32_t)c->workers, on_job_done, d);
    if (r)
        return vn_because(why, r, "starting %llu workers: %s", (unsigned long long)c->workers,
                          strerror(-r));
    r = reload_init(&d->reload, d);
    if (r)
        return vn_because(why, r, "starting: %s", strerror(-r));
    r = gauge_init(&d->gauge, &d->loop, calls_status_read, on_gauge_idle, d);
    if (r)
        return vn_because(why, r, "starting: %s", strerror(-r));
    r = exporter_init(&d->exporter, d, why);
    if (r)
        return r;
    pressure_open(&d->memory.pressure, &d->loop, (uint32_t)c->pressure_step_percent,
                  c->pressure_hold_ms, relieve, d);
    watch_signals(d);
    r = room_make(&d->loop, c->connections_limit + OTHER_DESCRIPTORS);
    if (r)
        return vn_because(why, r, "making room for connections: %s", strerror(-r));
    return listener_open(&d->listener, &d->loop, on_accepted, d, why);
}

static int serve(struct daemon *d)
{
    struct vn_why why = {""};
    bool started;

    service_open(&d->service);
    started = !start(d, &why);
    if (started) {
        say_ready(d);
    } else {
        vn_log_error("%s", why.text);
        service_notify(&d->service, "STATUS=%s", why.text);
        listener_close(&d->listener);
        close_handles(d);
    }
    uv_run(&d->loop, UV_RUN_DEFAULT); /* until the last handle is closed */
    users_deinit(&d->users);
    stores_deinit(&d->stores);
    memory_deinit(&d->memory);
    uv_loop_close(&d->loop);
    return started ? EXIT_SUCCESS : EXIT_FAILURE;
}

int daemon_run(const struct config *c)
{
    struct daemon *d = calloc(1, sizeof *d);
    int r = EXIT_FAILURE;

    if (!d || uv_loop_init(&d->loop) < 0) {
        vn_log_error("out of memory");
    } else {
        d->config = c;
        d->started_ns = vn_now_ns();
        schedule_init(d);
        r = serve(d);
    }
    free(d);
    return r;
}
